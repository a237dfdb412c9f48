//! A running node: its console and its power switch.

use crate::{
    disk::Disk,
    lab::{Arch, Lab},
    node::Node,
    qmp,
    site::{DNS, GATEWAY},
    support::oracle,
    switch,
};
use serde_json::json;
use std::{
    fs,
    net::TcpListener,
    path::PathBuf,
    process::{Child, Command, Stdio},
    thread,
    time::{Duration, Instant},
};

/// Everything takes so long at most; an idle machine needs a fraction of it.
pub const LIMIT: Duration = Duration::from_secs(1800);

/// What a node is powered up into.
#[derive(Clone, Default)]
pub struct Weather {
    /// The network cable is out.
    pub unplugged: bool,
    /// What a hardware clock says (`-rtc base=`). A Raspberry Pi has none,
    /// and begins in 1970.
    pub clock: Option<String>,
    /// More arguments for QEMU: further network cards, which come after
    /// eth0.
    pub hardware: Vec<String>,
}

pub struct Guest<'n> {
    node: &'n Node,
    weather: Weather,
    disk: Disk,
    machine: Child,
    pub(crate) port: u16,
    /// Sockets, and what was taken out of the FAT.
    dir: tempfile::TempDir,
    /// Length of the console's log at the last power-on.
    since: usize,
}

impl<'n> Guest<'n> {
    pub(crate) fn start(node: &'n Node, weather: &Weather) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let port = match &node.site.switch {
            Some(switch) => switch.ssh_port(&node.address),
            None => free_port(),
        };
        let since = fs::read(node.console()).unwrap().len();
        let (disk, machine) = machine(node, weather, dir.path().into(), port);
        let weather = weather.clone();
        let mut guest = Self { node, weather, disk, machine, port, dir, since };
        if guest.weather.unplugged {
            guest.link(false);
        }
        guest
    }

    /// A reset goes by way of the firmware: the command line is read again.
    fn start_again(&mut self) {
        self.hang_up();
        self.disk.eject();
        self.since = fs::read(self.node.console()).unwrap().len();
        let dir = self.dir.path().into();
        (self.disk, self.machine) =
            machine(self.node, &self.weather, dir, self.port);
        if self.weather.unplugged {
            self.link(false);
        }
    }

    pub fn node(&self) -> &'n Node {
        self.node
    }

    pub fn lab(&self) -> Lab {
        self.node.lab()
    }

    /// A file beside the running machine.
    pub(crate) fn file(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
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

    /// Plugs the network cable in, or out.
    pub fn link(&mut self, up: bool) {
        self.weather.unplugged = !up;
        let socket = self.file("qmp");
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

    /// Pulls the plug: what the guest had not flushed is lost.
    pub fn cut(self) {
        drop(self);
    }
}

impl Drop for Guest<'_> {
    fn drop(&mut self) {
        // SIGKILL.
        let _ = self.machine.kill();
        let _ = self.machine.wait();
        self.hang_up();
        if !thread::panicking() {
            self.disk.eject();
        }
    }
}

/// Does what the firmware does, and starts the machine.
fn machine(
    node: &Node,
    weather: &Weather,
    dir: PathBuf,
    port: u16,
) -> (Disk, Child) {
    for name in ["vmlinuz", "initrd.img"] {
        fs::write(dir.join(name), node.boot_file(name)).unwrap();
    }
    let cmdline = String::from_utf8(node.boot_file("cmdline.txt")).unwrap();
    let cmdline = cmdline.lines().next().unwrap_or_default();
    let arch = Arch::of_lab();
    let cmdline = format!("{} {cmdline}", arch.words());
    let network = match &node.site.switch {
        Some(switch) => format!("{},id=net", switch.netdev(&node.address)),
        None => format!(
            "user,id=net,net={GATEWAY}/24,host={GATEWAY},dns={DNS},\
             hostfwd=tcp:127.0.0.1:{port}-{}:22",
            node.address
        ),
    };
    let mac = switch::mac(&node.address).map(|byte| format!("{byte:02x}"));
    let mac = mac.join(":");
    let card = format!("virtio-net-pci,id=nic,netdev=net,mac={mac}");
    let disk = node.disk();
    let console = node.console().display().to_string().replace(',', ",,");
    let clock = weather.clock.as_deref().unwrap_or("1970-01-02");
    let (program, board) = arch.machine();
    oracle::run(program, &["--version"]).unwrap();
    // Ends with the test, however that ends.
    let mut command = Command::new("setpriv");
    command
        .args(["--pdeathsig", "KILL", program])
        .current_dir(&dir)
        .args(board)
        .args(["-m", "1024", "-rtc", &format!("base={clock}")])
        .args(["-nodefaults", "-display", "none", "-no-reboot"])
        .args(["-kernel", "vmlinuz", "-initrd", "initrd.img"])
        .args(["-append", &cmdline, "-drive", &disk.drive()])
        .args(["-netdev", &network])
        .args(["-device", &card])
        .args(["-device", "virtio-rng-pci"])
        .args(&weather.hardware)
        .args(["-qmp", "unix:qmp,server=on,wait=off", "-chardev"])
        .arg(format!("file,id=console,path={console},append=on"))
        .args(["-serial", "chardev:console"])
        .stdin(Stdio::null())
        .stdout(Stdio::null());
    let machine = command.spawn().unwrap_or_else(|error| {
        panic!("{:?}", oracle::missing("setpriv", &error))
    });
    (disk, machine)
}

/// A port of the loopback interface that nobody has now.
pub(crate) fn free_port() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    listener.local_addr().unwrap().port()
}
