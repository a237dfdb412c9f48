//! The shell of a guest, as its owner reaches it: by the `ssh_config` and
//! `known_hosts` that piflash wrote, which know the host keys already.

use crate::{guest::Guest, machine::Kind, support::oracle};
use std::{
    fs,
    io::Read,
    net::{IpAddr, Ipv4Addr, SocketAddr, TcpStream},
    os::unix::fs::PermissionsExt,
    process::{Command, Output, Stdio},
    time::Duration,
};

impl Guest<'_> {
    /// Waits until the account can log in.
    pub fn wait_for_ssh(&mut self) {
        // Cheaper for the guest than an attempt at each.
        self.wait("answering by ssh", |guest| {
            let address = guest.way();
            let patience = Duration::from_secs(5);
            let mut stream =
                TcpStream::connect_timeout(&address, patience).ok()?;
            stream.set_read_timeout(Some(patience)).unwrap();
            let mut hello = [0; 4];
            stream.read_exact(&mut hello).ok()?;
            (hello == *b"SSH-").then_some(())
        });
        self.wait("letting the account in", |guest| {
            let output = guest.try_sh("true");
            let said = String::from_utf8_lossy(&output.stderr);
            if said.contains("Host key verification failed") {
                guest.fail(&said);
            }
            output.status.success().then_some(())
        });
    }

    /// Where its sshd is reached: an emulator's, at a forwarded port.
    fn way(&self) -> SocketAddr {
        match self.kind() {
            Kind::UserMode => {
                (self.node().address.parse::<IpAddr>().unwrap(), 22).into()
            }
            Kind::Emulator => (Ipv4Addr::LOCALHOST, self.port).into(),
        }
    }

    /// What the owner types, but for the way.
    fn ssh(&self, more: &[&str]) -> Command {
        let config = self.node().site.path("build/ssh_config");
        let text = fs::read_to_string(&config).unwrap();
        assert!(text.contains("StrictHostKeyChecking yes"), "{text}");
        let mut command = Command::new("ssh");
        command.arg("-F").arg(config);
        let way = self.way();
        for option in [
            &*format!("HostName={}", way.ip()),
            "LogLevel=ERROR",
            "ConnectTimeout=300",
            "ServerAliveInterval=100",
            "IdentitiesOnly=yes",
        ] {
            command.args(["-o", option]);
        }
        command.args(["-p", &way.port().to_string()]).args(more);
        command.arg(&self.node().name).stdin(Stdio::null());
        command
    }

    /// One connection for all commands.
    fn shared(&self) -> Command {
        let control = format!("ControlPath={}", self.file("ssh").display());
        let master = "ControlMaster=auto";
        let stay = "ControlPersist=yes";
        let batch = "BatchMode=yes";
        self.ssh(&["-o", &control, "-o", master, "-o", stay, "-o", batch])
    }

    /// What a command of the account's shell gives.
    pub fn try_sh(&self, script: &str) -> Output {
        said(self.shared().arg(script))
    }

    /// The standard output of a command that must succeed.
    pub fn sh(&self, script: &str) -> String {
        let output = self.try_sh(script);
        if !output.status.success() {
            let said = String::from_utf8_lossy(&output.stderr);
            let out = String::from_utf8_lossy(&output.stdout);
            self.fail(&format!("{script}: {}\n{out}{said}", output.status));
        }
        String::from_utf8_lossy(&output.stdout).trim().to_owned()
    }

    /// What sshd says to somebody who has the password and not the key; the
    /// error is what it says when it lets nobody in.
    pub fn login_by_password(&self, password: &str) -> Result<(), String> {
        // OpenSSH asks a program for it.
        let ask = self.file("askpass");
        fs::write(&ask, "#!/bin/sh\necho \"$PASSWORD\"\n").unwrap();
        fs::set_permissions(&ask, fs::Permissions::from_mode(0o700)).unwrap();
        let mut ssh = self.ssh(&[
            "-o",
            "PubkeyAuthentication=no",
            "-o",
            "NumberOfPasswordPrompts=1",
        ]);
        ssh.args(["id", "-un"])
            .env("SSH_ASKPASS", ask)
            .env("SSH_ASKPASS_REQUIRE", "force")
            .env("PASSWORD", password);
        let output = said(&mut ssh);
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        if output.status.success() {
            let account = String::from_utf8_lossy(&output.stdout);
            assert_eq!(account.trim(), self.lab().account());
            return Ok(());
        }
        assert_eq!(output.status.code(), Some(255), "{said}");
        Err(said)
    }

    /// Ends the shared connection.
    pub(crate) fn hang_up(&self) {
        // The master notices when it is asked.
        let control = format!("ControlPath={}", self.file("ssh").display());
        let mut ssh = self.ssh(&["-o", &control, "-O", "exit"]);
        let _ = ssh.stdout(Stdio::null()).stderr(Stdio::null()).status();
    }
}

fn said(ssh: &mut Command) -> Output {
    ssh.output()
        .unwrap_or_else(|error| panic!("{:?}", oracle::missing("ssh", &error)))
}
