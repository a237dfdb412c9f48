//! QEMU's emulator: the card's own kernel and initrd on a whole machine.

use crate::{
    disk::Disk,
    lab::Arch,
    machine::{Machine, Weather},
    network,
    node::Node,
    qmp,
    site::{DNS, GATEWAY},
    support::oracle,
};
use serde_json::json;
use std::{
    fs, io,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
};

pub struct Emulator {
    machine: Child,
    disk: Disk,
    monitor: PathBuf,
}

impl Machine for Emulator {
    fn process(&mut self) -> &mut Child {
        &mut self.machine
    }

    fn plug(&self, into: bool) -> io::Result<()> {
        let arguments = json!({"name": "nic", "up": into});
        qmp::execute(&self.monitor, "set_link", arguments)?;
        Ok(())
    }

    fn cut(&mut self) {
        // SIGKILL.
        let _ = self.machine.kill();
        let _ = self.machine.wait();
        self.disk.eject();
    }

    fn take_card(&mut self) {
        self.disk.eject();
    }
}

impl Emulator {
    /// Does what the firmware does, and starts the machine.
    pub fn start(
        node: &Node,
        weather: &Weather,
        dir: &Path,
        port: u16,
    ) -> Self {
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
        let mac = network::mac_text(&node.address);
        let card = format!("virtio-net-pci,id=nic,netdev=net,mac={mac}");
        let disk = node.disk();
        let console = node.console().display().to_string().replace(',', ",,");
        let clock = weather.clock();
        let (program, board) = arch.machine();
        let (processors, memory) = weather.size();
        oracle::run(program, &["--version"]).unwrap();
        // Ends with the test, however that ends.
        let mut command = Command::new("setpriv");
        command
            .args(["--pdeathsig", "KILL", program])
            .current_dir(dir)
            .args(board)
            .args(["-smp", &processors.to_string()])
            .args(["-m", &memory.to_string()])
            .args(["-rtc", &format!("base={clock}")])
            .args(["-nodefaults", "-display", "none", "-no-reboot"])
            .args(["-kernel", "vmlinuz", "-initrd", "initrd.img"])
            .args(["-append", &cmdline, "-drive", &disk.drive()])
            .args(["-netdev", &network])
            .args(["-device", &card])
            .args(["-device", "virtio-rng-pci"])
            .args(["-qmp", "unix:qmp,server=on,wait=off", "-chardev"])
            .arg(format!("file,id=console,path={console},append=on"))
            .args(["-serial", "chardev:console"])
            .stdin(Stdio::null())
            .stdout(Stdio::null());
        let machine = command.spawn().unwrap_or_else(|error| {
            panic!("{:?}", oracle::missing("setpriv", &error))
        });
        Self { machine, disk, monitor: dir.join("qmp") }
    }
}
