//! The lab images, and what is known of each.

use crate::{network, support::repository};
use std::{
    env::consts,
    path::{Path, PathBuf},
};

/// One file in `lab/`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Lab {
    Trixie,
    Bullseye,
    Ubuntu,
    /// Trixie with what a cluster's stand-ins need.
    Kubernetes,
    /// Trixie with room for real Kubernetes.
    Real,
}

impl Lab {
    pub fn name(self) -> &'static str {
        match self {
            Self::Trixie => "raspios-trixie",
            Self::Bullseye => "raspios-bullseye",
            Self::Ubuntu => "ubuntu-24.04",
            Self::Kubernetes => "kubernetes-trixie",
            Self::Real => "kubernetes-real",
        }
    }

    /// The inventory's group for this OS.
    pub fn group(self) -> &'static str {
        match self {
            Self::Trixie | Self::Bullseye | Self::Kubernetes | Self::Real => {
                "raspbian"
            }
            Self::Ubuntu => "ubuntu",
        }
    }

    /// The account that an inventory without one means.
    pub fn account(self) -> &'static str {
        match self {
            Self::Trixie | Self::Bullseye | Self::Kubernetes | Self::Real => {
                "pi"
            }
            Self::Ubuntu => "ubuntu",
        }
    }

    /// The first sign on the console of a boot that is not over when the OS
    /// has made its own first boot.
    pub fn early(self) -> &'static str {
        match self {
            Self::Trixie | Self::Ubuntu | Self::Kubernetes | Self::Real => {
                "systemd[1]: "
            }
            // `quiet`: it says nothing before.
            Self::Bullseye => "10-home: attempt",
        }
    }

    /// Where the FAT is mounted.
    pub fn boot_mount(self) -> &'static str {
        match self {
            Self::Bullseye => "/boot",
            Self::Trixie | Self::Ubuntu | Self::Kubernetes | Self::Real => {
                "/boot/firmware"
            }
        }
    }

    /// The image, built where it has not been built yet; with modules of a
    /// kernel that it has not of itself.
    pub fn image(self, kernel: Option<&Path>) -> PathBuf {
        let modules = kernel.map(|kernel| kernel.join("modules"));
        let modules = modules.unwrap_or_default();
        let args = [self.name(), Arch::of_lab().name()].map(str::to_owned);
        let modules = modules.to_str().unwrap().to_owned();
        let made = script("build.sh", &[&args[..], &[modules]].concat());
        made.unwrap().join("image.img")
    }
}

/// The directory that a script of `lab/` prints.
pub fn script(name: &str, args: &[String]) -> Result<PathBuf, String> {
    let script = repository().join("tests/vm/lab").join(name);
    let mut command = network::outside("sh");
    let output = command.arg(script).args(args).arg(cache()).output();
    let output = output.unwrap();
    let stderr = String::from_utf8_lossy(&output.stderr);
    if !output.status.success() {
        return Err(format!("{name}: {stderr}"));
    }
    let directory = String::from_utf8(output.stdout).unwrap();
    Ok(PathBuf::from(directory.trim()))
}

/// What the lab images are built for.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Arch {
    Amd64,
    Arm64,
}

impl Arch {
    /// The builder's own, unless `PIFLASH_VM_ARCH` says otherwise.
    pub fn of_lab() -> Self {
        let asked = std::env::var("PIFLASH_VM_ARCH");
        match (asked.as_deref(), consts::ARCH) {
            (Ok("amd64"), _) | (Err(_), "x86_64") => Self::Amd64,
            (Ok("arm64"), _) | (Err(_), "aarch64") => Self::Arm64,
            (Ok(other), _) => {
                panic!("PIFLASH_VM_ARCH is {other}, not amd64 or arm64")
            }
            (_, other) => {
                panic!("on {other}, say amd64 or arm64 in PIFLASH_VM_ARCH")
            }
        }
    }

    /// Whether it is that of the machine that the tests run on.
    pub fn is_builders(self) -> bool {
        let arch = match self {
            Self::Amd64 => "x86_64",
            Self::Arm64 => "aarch64",
        };
        consts::ARCH == arch
    }

    pub fn name(self) -> &'static str {
        match self {
            Self::Amd64 => "amd64",
            Self::Arm64 => "arm64",
        }
    }

    /// QEMU's program, and its arguments for a machine without disk and
    /// network. `PIFLASH_VM_ACCEL=kvm` makes it run as fast as the builder
    /// itself where that works.
    pub fn machine(self) -> (&'static str, Vec<String>) {
        let accel = std::env::var("PIFLASH_VM_ACCEL");
        let accel = accel.unwrap_or_else(|_| "tcg".to_owned());
        let (program, board, cpu) = match self {
            // Without AVX, which is slow to emulate.
            Self::Amd64 => ("qemu-system-x86_64", "pc", "Nehalem"),
            Self::Arm64 => ("qemu-system-aarch64", "virt", "cortex-a72"),
        };
        // One processor: an emulated one keeps a core of the builder busy,
        // and two guests run side by side. 2 ns for each instruction: time
        // in the guest goes by what it does, and no time-out is over early
        // because the builder is busy. Idle, it waits in real time.
        let (cpu, time) = match accel.as_str() {
            "kvm" => ("host", &[][..]),
            _ => (cpu, &["-icount", "shift=1"][..]),
        };
        let mut args = vec!["-M", board, "-accel", &accel, "-cpu", cpu];
        args.extend(time);
        (program, args.into_iter().map(str::to_owned).collect())
    }

    /// What the machine needs on the kernel's command line, in front of the
    /// card's own words, as the firmware of a Raspberry Pi puts its own there.
    pub fn words(self) -> &'static str {
        match self {
            // The kernel's check of the timer is of real time; and nobody
            // attacks an emulated processor.
            Self::Amd64 => "no_timer_check mitigations=off",
            Self::Arm64 => "mitigations=off",
        }
    }
}

/// Where lab images and consoles are: below cargo's target directory.
pub fn cache() -> PathBuf {
    let target = Path::new(env!("CARGO_TARGET_TMPDIR")).parent().unwrap();
    target.join("vm")
}
