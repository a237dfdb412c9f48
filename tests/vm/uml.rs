//! User-Mode Linux: a kernel that is a program (`lab/kernel.sh`), in the place
//! of a machine and of the card's own kernel. Initrd and command line are the
//! card's; the initrd's modules are of no use, as all is built in.

use crate::{
    disk::Disk,
    machine::{self, Machine, Weather},
    mconsole,
    network::{self, Tap},
    node::Node,
    support::oracle::{self, run},
};
use std::{
    fs::{self, File},
    io,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
};

pub struct UserMode {
    kernel: Child,
    /// Has the card's blocks.
    storage: Child,
    disk: Disk,
    console: PathBuf,
    tap: Option<Tap>,
}

impl UserMode {
    pub fn start(node: &Node, weather: &Weather, dir: &Path) -> Self {
        network::enter();
        let tap = Tap::plug(&node.address);
        let disk = node.disk();
        let socket = dir.join("disk");
        let _ = fs::remove_file(&socket);
        let storage = disk.serve(&socket);
        let clock = ["-u", "-d", weather.clock(), "+%s"];
        let clock = String::from_utf8(run("date", &clock).unwrap()).unwrap();
        let initrd = dir.join("initrd.img");
        fs::write(&initrd, node.boot_file("initrd.img")).unwrap();
        let cmdline = String::from_utf8(node.boot_file("cmdline.txt")).unwrap();
        let cmdline = cmdline.lines().next().unwrap_or_default();
        let log = File::options().append(true).open(node.console()).unwrap();
        let (processors, memory) = weather.size();
        // Ends with the test, however that ends.
        let mut command = Command::new("setpriv");
        command
            .args(["--pdeathsig", "KILL"])
            .arg(machine::kernel().join("linux"))
            .arg(format!("mem={memory}M"))
            .arg(format!("ncpus={processors}"))
            .args(["seccomp=on", "noreboot"])
            .arg(format!("uml_dir={}", dir.display()))
            .args(["umid=uml", "con=null", "con0=null", "ssl=null"])
            .arg("ssl0=null,fd:1")
            .arg(format!("initrd={}", initrd.display()))
            .arg(format!("virtio_uml.device={}:2", socket.display()))
            .arg(format!(
                "vec0:transport=tap,ifname={},depth=64,gro=1,mac={}",
                tap.name(),
                network::mac_text(&node.address)
            ))
            .arg(format!("wallclock={}", clock.trim()))
            .args(cmdline.split_whitespace())
            .stdin(Stdio::null())
            .stdout(log.try_clone().unwrap())
            .stderr(log)
            // Where it has the guest's memory.
            .env("TMPDIR", "/dev/shm");
        let kernel = command.spawn().unwrap_or_else(|error| {
            panic!("{:?}", oracle::missing("setpriv", &error))
        });
        let console = dir.join("uml/mconsole");
        Self { kernel, storage, disk, console, tap: Some(tap) }
    }

    fn end(&mut self) {
        let _ = self.storage.wait();
        self.disk.eject();
        // The next machine has it.
        self.tap = None;
    }
}

impl Machine for UserMode {
    fn process(&mut self) -> &mut Child {
        &mut self.kernel
    }

    fn plug(&self, into: bool) -> io::Result<()> {
        let to = if into { "in" } else { "out" };
        mconsole::execute(&self.console, &format!("config cable={to}"))?;
        Ok(())
    }

    fn cut(&mut self) {
        // Both at once: what the storage has only in its memory is lost too.
        let _ = self.storage.kill();
        let _ = self.kernel.kill();
        let _ = self.kernel.wait();
        self.end();
    }

    fn take_card(&mut self) {
        let id = rustix::process::Pid::from_child(&self.storage);
        let term = rustix::process::Signal::TERM;
        let _ = rustix::process::kill_process(id, term);
        self.end();
    }
}
