//! A running node: its console, its shell by ssh, its power switch.

use crate::{
    lab::Lab,
    node::{ADDRESS, DNS, GATEWAY, Node},
    qmp,
    support::oracle,
};
use serde_json::json;
use std::{
    fs,
    io::Read,
    net::{TcpListener, TcpStream},
    path::PathBuf,
    process::{Child, Command, Output, Stdio},
    thread,
    time::{Duration, Instant},
};

/// Everything takes so long at most. An idle machine needs a tenth.
pub const LIMIT: Duration = Duration::from_secs(600);

/// What a node is powered up into.
#[derive(Clone, Default)]
pub struct Weather {
    /// The network cable is out.
    pub unplugged: bool,
    /// What the hardware clock says (`-rtc base=`), other than the time.
    pub clock: Option<&'static str>,
}

pub struct Guest<'n> {
    node: &'n Node,
    weather: Weather,
    machine: Child,
    port: u16,
    /// Sockets, and what was taken out of the FAT.
    dir: tempfile::TempDir,
    /// Length of the console's log at the last power-on.
    since: usize,
}

impl<'n> Guest<'n> {
    pub(crate) fn start(node: &'n Node, weather: &Weather) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let port = free_port();
        let since = fs::read(node.console()).unwrap().len();
        let machine = machine(node, weather, dir.path().into(), port);
        let weather = weather.clone();
        let mut guest = Self { node, weather, machine, port, dir, since };
        if guest.weather.unplugged {
            guest.link(false);
        }
        guest
    }

    /// A reset goes by way of the firmware: the command line is read again.
    fn start_again(&mut self) {
        self.since = fs::read(self.node.console()).unwrap().len();
        let dir = self.dir.path().into();
        self.machine = machine(self.node, &self.weather, dir, self.port);
        if self.weather.unplugged {
            self.link(false);
        }
    }

    pub fn lab(&self) -> Lab {
        self.node.lab
    }

    /// The console since the last power-on.
    pub fn console(&self) -> String {
        let log = fs::read(self.node.console()).unwrap();
        String::from_utf8_lossy(&log[self.since..]).into_owned()
    }

    /// Fails the test, with the end of the console.
    pub fn fail(&self, why: &str) -> ! {
        let console = self.console();
        let lines: Vec<&str> = console.lines().collect();
        let tail = lines[lines.len().saturating_sub(60)..].join("\n");
        let path = self.node.console().display();
        panic!("{why}\n--- the end of the console, {path}:\n{tail}");
    }

    /// Asks until there is an answer.
    pub fn wait<T>(
        &mut self,
        what: &str,
        mut ask: impl FnMut(&mut Self) -> Option<T>,
    ) -> T {
        let start = Instant::now();
        loop {
            if let Some(answer) = ask(self) {
                return answer;
            }
            if self.machine.try_wait().unwrap().is_some() {
                if !self.console().contains("reboot: Restarting system") {
                    self.fail(&format!("powered off, not {what}"));
                }
                self.start_again();
            }
            if start.elapsed() > LIMIT {
                self.fail(&format!("not {what} after {LIMIT:?}"));
            }
            thread::sleep(Duration::from_millis(300));
        }
    }

    /// Waits for a text on the console, since the last power-on.
    pub fn wait_for_console(&mut self, text: &str) {
        self.wait(&format!("on the console: {text}"), |guest| {
            guest.console().contains(text).then_some(())
        });
    }

    /// Waits until the account can log in.
    pub fn wait_for_ssh(&mut self) {
        // Cheaper for the guest than an attempt at each.
        self.wait("answering by ssh", |guest| {
            let address = ("127.0.0.1", guest.port);
            let mut stream = TcpStream::connect(address).ok()?;
            stream.set_read_timeout(Some(Duration::from_secs(5))).unwrap();
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

    /// ssh to the node's account, over one connection for all commands.
    fn ssh(&self) -> Command {
        let mut command = Command::new("ssh");
        let known = self.node.path("known_hosts");
        let control = self.dir.path().join("ssh");
        command
            .args(["-F", "none", "-i"])
            .arg(self.node.key())
            .args(["-p", &self.port.to_string()])
            .args(["-o", "IdentitiesOnly=yes", "-o", "BatchMode=yes"])
            .args(["-o", "LogLevel=ERROR", "-o", "ConnectTimeout=60"])
            .args(["-o", "ServerAliveInterval=20"])
            .args(["-o", "HostKeyAlias=node3"])
            .args(["-o", "StrictHostKeyChecking=accept-new"])
            .arg("-o")
            .arg(format!("UserKnownHostsFile={}", known.display()))
            .arg("-o")
            .arg(format!("ControlPath={}", control.display()))
            .args(["-o", "ControlMaster=auto", "-o", "ControlPersist=yes"])
            .args(["-l", self.node.lab.account()])
            .stdin(Stdio::null());
        command
    }

    /// What a command of the account's shell gives.
    pub fn try_sh(&self, script: &str) -> Output {
        self.ssh().args(["127.0.0.1", script]).output().unwrap()
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

    /// What sshd says to somebody without the key.
    pub fn login_without_key(&self) -> String {
        let mut ssh = self.ssh();
        // The first of two values counts, so a new connection comes first.
        let args: Vec<_> = ssh.get_args().map(ToOwned::to_owned).collect();
        ssh = Command::new("ssh");
        ssh.args(["-o", "ControlPath=none", "-o", "PubkeyAuthentication=no"])
            .args(args)
            .args(["127.0.0.1", "true"])
            .stdin(Stdio::null());
        let output = ssh.output().unwrap();
        assert!(!output.status.success(), "logged in without a key");
        String::from_utf8_lossy(&output.stderr).into_owned()
    }

    /// Plugs the network cable in, or out.
    pub fn link(&mut self, up: bool) {
        self.weather.unplugged = !up;
        let socket = self.dir.path().join("qmp");
        let arguments = json!({"name": "nic", "up": up});
        let start = Instant::now();
        while let Err(error) =
            qmp::execute(&socket, "set_link", arguments.clone())
        {
            // The socket is there a moment after QEMU's start.
            if start.elapsed() > Duration::from_secs(30) {
                self.fail(&format!("QEMU does not answer: {error}"));
            }
            thread::sleep(Duration::from_millis(50));
        }
    }

    /// Shuts down, and waits for the end of it.
    pub fn power_off(mut self) {
        // The connection may go before the answer comes.
        self.try_sh("sudo systemctl poweroff");
        let start = Instant::now();
        while self.machine.try_wait().unwrap().is_none() {
            if start.elapsed() > LIMIT {
                self.fail("still on after systemctl poweroff");
            }
            thread::sleep(Duration::from_millis(200));
        }
        if !self.console().contains("reboot: Power down") {
            self.fail("the shutdown did not come to its end");
        }
    }

    /// Pulls the plug: what the guest had not written is lost.
    pub fn cut(self) {
        drop(self);
    }
}

impl Drop for Guest<'_> {
    fn drop(&mut self) {
        // SIGKILL.
        let _ = self.machine.kill();
        let _ = self.machine.wait();
        // The master connection notices when it is asked.
        let mut ssh = self.ssh();
        ssh.args(["-O", "exit", "127.0.0.1"]).stderr(Stdio::null());
        let _ = ssh.status();
    }
}

/// Does what the firmware does, and starts the machine.
fn machine(node: &Node, weather: &Weather, dir: PathBuf, port: u16) -> Child {
    for name in ["vmlinuz", "initrd.img"] {
        fs::write(dir.join(name), node.boot_file(name)).unwrap();
    }
    let cmdline = String::from_utf8(node.boot_file("cmdline.txt")).unwrap();
    let cmdline = cmdline.lines().next().unwrap_or_default();
    let network = format!(
        "user,id=net,net={GATEWAY}/24,host={GATEWAY},dns={DNS},\
         hostfwd=tcp:127.0.0.1:{port}-{ADDRESS}:22"
    );
    let disk = node.image.display().to_string().replace(',', ",,");
    let disk = format!("file={disk},if=virtio,format=raw,cache=unsafe");
    let console = node.console().display().to_string().replace(',', ",,");
    let mut command = Command::new("qemu-system-x86_64");
    command
        .current_dir(&dir)
        .args(["-accel", "tcg", "-cpu", "max", "-smp", "2", "-m", "1024"])
        .args(["-nodefaults", "-display", "none", "-no-reboot"])
        .args(["-kernel", "vmlinuz", "-initrd", "initrd.img"])
        .args(["-append", cmdline, "-drive", &disk])
        .args(["-netdev", &network])
        .args(["-device", "virtio-net-pci,id=nic,netdev=net"])
        .args(["-device", "virtio-rng-pci"])
        .args(["-qmp", "unix:qmp,server=on,wait=off", "-chardev"])
        .arg(format!("file,id=console,path={console},append=on"))
        .args(["-serial", "chardev:console"])
        .stdin(Stdio::null())
        .stdout(Stdio::null());
    if let Some(clock) = weather.clock {
        command.args(["-rtc", &format!("base={clock}")]);
    }
    command.spawn().unwrap_or_else(|error| {
        panic!("{:?}", oracle::missing("qemu-system-x86_64", &error))
    })
}

/// A port of the loopback interface that nobody has now.
fn free_port() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    listener.local_addr().unwrap().port()
}
