//! The lab images, and what is known of each.

use crate::support::repository;
use std::{
    path::{Path, PathBuf},
    process::Command,
};

/// One file in `lab/`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Lab {
    Trixie,
    Bullseye,
    Ubuntu,
}

impl Lab {
    pub fn name(self) -> &'static str {
        match self {
            Self::Trixie => "raspios-trixie",
            Self::Bullseye => "raspios-bullseye",
            Self::Ubuntu => "ubuntu-24.04",
        }
    }

    /// The inventory's group for this OS.
    pub fn group(self) -> &'static str {
        match self {
            Self::Trixie | Self::Bullseye => "raspbian",
            Self::Ubuntu => "ubuntu",
        }
    }

    /// The account that an inventory without one means.
    pub fn account(self) -> &'static str {
        match self {
            Self::Trixie | Self::Bullseye => "pi",
            Self::Ubuntu => "ubuntu",
        }
    }

    /// The image, built where it has not been built yet.
    pub fn image(self) -> PathBuf {
        let script = repository().join("tests/vm/lab/build.sh");
        let output = Command::new("sh")
            .arg(script)
            .arg(self.name())
            .arg(cache())
            .output()
            .unwrap();
        let stderr = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{}: {stderr}", self.name());
        let directory = String::from_utf8(output.stdout).unwrap();
        Path::new(directory.trim()).join("image.img")
    }
}

/// Where lab images and consoles are: below cargo's target directory.
pub fn cache() -> PathBuf {
    let target = Path::new(env!("CARGO_TARGET_TMPDIR")).parent().unwrap();
    target.join("vm")
}
