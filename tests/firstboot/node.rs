//! A node for the shell: a root made for it, with the files that a profile
//! puts there, and programs that only pretend.

use std::{
    fs,
    os::unix::{fs::PermissionsExt, process::CommandExt},
    path::{Path, PathBuf},
    process::{Command, Output},
};

use serde_json::Value;

use crate::support::repository;

/// The shells that must do: Debian's `sh`, and busybox with its own versions
/// of the small programs.
pub const SHELLS: &[Shell] = &[
    Shell { command: &["dash"], shebang: "#!/bin/dash" },
    Shell { command: &["busybox", "sh"], shebang: "#!/bin/busybox sh" },
];

pub const DEFAULT_ROUTE: &str = "\
Iface\tDestination\tGateway \tFlags\tRefCnt\tUse\tMetric\tMask\n\
eth0\t0047A8C0\t00000000\t0001\t0\t0\t0\t00FFFFFF\n\
eth0\t00000000\t0147A8C0\t0003\t0\t0\t0\t00000000\n";

#[derive(Debug)]
pub struct Shell {
    command: &'static [&'static str],
    shebang: &'static str,
}

impl Shell {
    pub fn is_busybox(&self) -> bool {
        self.command[0] == "busybox"
    }
}

pub struct Node<'s> {
    dir: tempfile::TempDir,
    shell: &'s Shell,
    env: Vec<(&'static str, String)>,
}

impl<'s> Node<'s> {
    /// A node with `steps`, each a name and the lines of a script.
    pub fn new(shell: &'s Shell, steps: &[(&str, &str)]) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let node = Self { dir, shell, env: Vec::new() };
        node.write("etc/hostname", "node3\n");
        node.write("etc/piflash/boot", "/boot/firmware\n");
        node.write("etc/piflash/built", "1700000000\n");
        node.write("proc/net/route", DEFAULT_ROUTE);
        node.write("proc/uptime", "100.25 90.00\n");
        node.write("run/systemd/timesync/synchronized", "");
        fs::create_dir_all(node.path("boot/firmware")).unwrap();
        fs::create_dir_all(node.path("usr/local/lib/piflash/steps")).unwrap();
        for file in [
            "report.sh",
            "output.sh",
            "others.sh",
            "apt.sh",
            "provision",
            "piflash-node",
        ] {
            node.install(file, file);
        }
        for (name, script) in steps {
            node.script(&format!("usr/local/lib/piflash/steps/{name}"), script);
        }
        node.program("id", "echo ${ID:-0}");
        node.program("timedatectl", "exit 1");
        node.program(
            "systemctl",
            "echo \"$*\" >>\"$PIFLASH_ROOT/systemctl\"\n\
             [ \"$1\" != reboot ] || kill -9 0",
        );
        if shell.is_busybox() {
            let applets = node.path("applets");
            fs::create_dir(&applets).unwrap();
            let status = Command::new("busybox")
                .args(["--install", "-s"])
                .arg(&applets)
                .status()
                .expect("Debian package busybox");
            assert!(status.success());
        }
        node
    }

    pub fn set(&mut self, name: &'static str, value: &str) {
        self.env.push((name, value.to_owned()));
    }

    pub fn path(&self, path: &str) -> PathBuf {
        self.dir.path().join(path)
    }

    pub fn exists(&self, path: &str) -> bool {
        self.path(path).exists()
    }

    pub fn write(&self, path: &str, text: impl AsRef<[u8]>) {
        let path = self.path(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }

    pub fn read(&self, path: &str) -> String {
        let path = self.path(path);
        fs::read_to_string(&path)
            .unwrap_or_else(|e| panic!("{}: {e}", path.display()))
    }

    pub fn remove(&self, path: &str) {
        fs::remove_file(self.path(path)).unwrap();
    }

    /// Time passes as the node sleeps, and no faster.
    pub fn clock(&self) {
        self.program(
            "sleep",
            "cd $PIFLASH_ROOT/proc && read -r up _ <uptime &&\n\
             echo \"$((${up%.*} + 5)).25 90.00\" >uptime",
        );
    }

    /// Seconds that have passed since it was switched on.
    pub fn uptime(&self) -> u64 {
        let text = self.read("proc/uptime");
        text.split('.').next().unwrap().parse::<u64>().unwrap() - 100
    }

    /// Writes an executable in the node's shell.
    pub fn script(&self, path: &str, lines: &str) {
        self.write(path, format!("{}\n{lines}\n", self.shell.shebang));
        let mode = fs::Permissions::from_mode(0o755);
        fs::set_permissions(self.path(path), mode).unwrap();
    }

    /// Puts a program first in the path. A `sleep` is that between looks and
    /// attempts: who copies a step's output to the log rests as always.
    pub fn program(&self, name: &str, lines: &str) {
        let lines = match name {
            "sleep" => {
                format!("[ \"$1\" != 2 ] || exec /bin/sleep 2\n{lines}")
            }
            _ => lines.to_owned(),
        };
        self.script(&format!("programs/{name}"), &lines);
    }

    /// Installs a file of `firstboot/`, for the node's shell.
    pub fn install(&self, from: &str, to: &str) {
        let path = repository().join("firstboot").join(from);
        let text = fs::read_to_string(path).unwrap();
        let text = text.strip_prefix("#!/bin/sh\n").unwrap_or(&text);
        self.script(&format!("usr/local/lib/piflash/{to}"), text);
    }

    /// Installs a step of `firstboot/steps`.
    pub fn step(&self, name: &str) {
        self.install(&format!("steps/{name}"), &format!("steps/{name}"));
    }

    /// A program of the node's, in a process group of its own.
    pub fn command(&self, name: &str, args: &[&str]) -> Command {
        let mut path = self.path("programs").into_os_string();
        if self.exists("applets") {
            path.push(":");
            path.push(self.path("applets"));
        }
        path.push(":/usr/sbin:/usr/bin:/sbin:/bin");
        let mut command = Command::new(self.shell.command[0]);
        command
            .args(&self.shell.command[1..])
            .arg(self.path("usr/local/lib/piflash").join(name))
            .args(args)
            .env_clear()
            .env("PATH", path)
            .env("PIFLASH_ROOT", self.dir.path())
            .env("PIFLASH_TICK", "0")
            .env("PIFLASH_PAUSE", "1")
            .envs(self.env.iter().map(|(name, value)| (name, value)))
            .process_group(0);
        command
    }

    pub fn run(&self, name: &str, args: &[&str]) -> Output {
        self.command(name, args).output().unwrap_or_else(|e| {
            let shell = self.shell.command[0];
            panic!("{shell}: {e}: is its Debian package installed?")
        })
    }

    /// One boot that goes well.
    pub fn provision(&self) -> Output {
        let output = self.run("provision", &[]);
        assert!(output.status.success(), "{:?} {output:?}", self.shell);
        output
    }

    /// The power goes, or systemd reboots: what is in memory is gone.
    pub fn power_off(&self) {
        drop(fs::remove_dir_all(self.path("run/piflash")));
    }

    pub fn status(&self) -> Value {
        json(&self.path("var/lib/piflash/status.json"))
    }

    pub fn log(&self) -> String {
        self.read("var/log/piflash.log")
    }
}

/// Reads JSON that must be whole.
pub fn json(path: &Path) -> Value {
    let bytes =
        fs::read(path).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
    serde_json::from_slice(&bytes)
        .unwrap_or_else(|e| panic!("{e}: {}", String::from_utf8_lossy(&bytes)))
}
