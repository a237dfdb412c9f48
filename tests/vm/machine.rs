//! What a card is put into: User-Mode Linux, at the machine's own speed, or
//! QEMU's emulator, with the kernel and initrd of the card.

use crate::{
    lab::{Arch, Lab},
    network,
    node::Node,
    qemu, uml,
};
use std::{
    io,
    net::Ipv4Addr,
    path::{Path, PathBuf},
    process::Child,
    sync::OnceLock,
};

/// A machine that is on, with a card in it.
pub trait Machine {
    /// Its own process, which ends when it powers off or resets.
    fn process(&mut self) -> &mut Child;

    /// Plugs the network cable in, or out.
    fn plug(&self, into: bool) -> io::Result<()>;

    /// Pulls the plug, if it is on: what the guest had not flushed is lost.
    /// Takes the card out.
    fn cut(&mut self);

    /// Takes the card out of a machine that has powered off or reset itself:
    /// no write is lost.
    fn take_card(&mut self);
}

/// What a node is powered up into.
#[derive(Clone, Default)]
pub struct Weather {
    /// The network cable is out.
    pub unplugged: bool,
    /// What the clock says, as `date -d` reads it in UTC. A Raspberry Pi has
    /// no hardware clock, and begins in 1970.
    pub clock: Option<String>,
    /// Large enough for a control plane: kubeadm wants two processors and
    /// 1700 MB.
    pub large: bool,
}

impl Weather {
    /// Processors, and memory in MiB.
    pub fn size(&self) -> (u32, u32) {
        if self.large { (2, 2560) } else { (1, 1024) }
    }

    pub fn clock(&self) -> &str {
        self.clock.as_deref().unwrap_or("1970-01-02")
    }
}

/// Which machine.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Kind {
    UserMode,
    Emulator,
}

impl Kind {
    /// That of all tests but those that are about the emulator: User-Mode
    /// Linux where it can be, which is on x86 and as root; what
    /// `PIFLASH_VM_MACHINE` says goes first.
    pub fn of_test() -> Self {
        let asked = std::env::var("PIFLASH_VM_MACHINE");
        let possible = Arch::of_lab() == Arch::Amd64
            && Arch::Amd64.is_builders()
            && rustix::process::geteuid().is_root();
        match asked.as_deref() {
            Ok("uml") => Self::UserMode,
            Ok("qemu") => Self::Emulator,
            Ok(other) => {
                panic!("PIFLASH_VM_MACHINE is {other}, not uml or qemu")
            }
            Err(_) if possible => Self::UserMode,
            Err(_) => Self::Emulator,
        }
    }

    /// Where servers of the test listen, before any is started.
    pub fn servers(self) -> Ipv4Addr {
        match self {
            // Nodes reach them at their gateway; nobody else can.
            Self::UserMode => {
                network::enter();
                Ipv4Addr::UNSPECIFIED
            }
            Self::Emulator => Ipv4Addr::LOCALHOST,
        }
    }

    /// Puts the card into a machine of this kind, and switches it on. `port`
    /// of the loopback interface leads to the emulator's port 22.
    pub fn power_on(
        self,
        node: &Node,
        weather: &Weather,
        dir: &Path,
        port: u16,
    ) -> Box<dyn Machine> {
        match self {
            Self::UserMode => {
                Box::new(uml::UserMode::start(node, weather, dir))
            }
            Self::Emulator => {
                Box::new(qemu::Emulator::start(node, weather, dir, port))
            }
        }
    }
}

/// The kernel that User-Mode Linux is, built where there is none yet, with
/// its modules beside it.
pub fn kernel() -> &'static Path {
    static KERNEL: OnceLock<PathBuf> = OnceLock::new();
    KERNEL.get_or_init(|| {
        let said = crate::lab::script("kernel.sh", &[]);
        said.unwrap_or_else(|why| {
            panic!(
                "{why}\nPIFLASH_VM_MACHINE=qemu boots cards in the emulator \
                 instead"
            )
        })
    })
}

/// The image that cards are made of: one for machines of both kinds.
pub fn image(lab: Lab) -> PathBuf {
    let user_mode = Kind::of_test() == Kind::UserMode;
    lab.image(user_mode.then(kernel))
}
