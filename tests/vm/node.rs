//! A node as its owner has it before the first power-on: an inventory, a key
//! and the image that piflash built.

use crate::{
    guest::{Guest, Weather},
    lab::{self, Lab},
    support::{
        env::Env,
        oracle::{self, run},
    },
};
use std::{
    fs,
    path::{Path, PathBuf},
    thread,
};

/// Not what QEMU's DHCP server gives, so that only a static address works.
pub const ADDRESS: &str = "192.168.71.23";
pub const GATEWAY: &str = "192.168.71.1";
pub const DNS: &str = "192.168.71.3";

/// A built card, and what belongs to it.
pub struct Node {
    env: Env,
    pub lab: Lab,
    pub image: PathBuf,
    /// Byte offsets and sizes of the two partitions, as on the stock image.
    pub boot: (u64, u64),
    console: PathBuf,
}

impl Node {
    /// Builds node3 out of a lab image. `vars` are more lines of the
    /// inventory's `vars`, without indentation.
    pub fn build(lab: Lab, vars: &[&str]) -> Self {
        let env = Env::new();
        let key = env.work().join("key");
        let key = key.to_str().unwrap();
        run("ssh-keygen", &["-q", "-t", "ed25519", "-N", "", "-f", key])
            .unwrap();
        let public = fs::read_to_string(format!("{key}.pub")).unwrap();
        let mut inventory = format!(
            "\
all:
  hosts:
    node3: {{ansible_host: {ADDRESS}}}
  children:
    {}: {{hosts: {{node3: }}}}
    raspberry_pi: {{hosts: {{node3: }}}}
  vars:
    gateway: {GATEWAY}
    dns: [{DNS}]
    ssh_authorized_keys: ['{}']
",
            lab.group(),
            public.trim()
        );
        for line in vars {
            inventory += &format!("    {line}\n");
        }
        env.write("inventory.yml", inventory);
        let base = lab.image();
        let base = base.to_str().unwrap();
        let outcome = env.run(&["build", "node3", "--image", base]);
        assert_eq!(outcome.code, Some(0), "{outcome}");
        let image = env.work().join("build/images/node3.img");
        let (boot, _) = partitions(&image);
        let consoles = lab::cache().join("consoles");
        fs::create_dir_all(&consoles).unwrap();
        let console = consoles.join(format!("{}.log", test_name()));
        fs::write(&console, "").unwrap();
        Self { env, lab, image, boot, console }
    }

    /// The private key that the account takes.
    pub fn key(&self) -> PathBuf {
        self.env.work().join("key")
    }

    /// A file below the directory that the node was built in.
    pub fn path(&self, name: &str) -> PathBuf {
        self.env.work().join(name)
    }

    /// Where the serial console is written: all power-ons of this test.
    pub fn console(&self) -> &Path {
        &self.console
    }

    /// Power, network and clock as they should be.
    pub fn power_on(&self) -> Guest<'_> {
        self.power_on_in(&Weather::default())
    }

    pub fn power_on_in(&self, weather: &Weather) -> Guest<'_> {
        Guest::start(self, weather)
    }

    /// A file of the FAT, as it is on the card now.
    pub fn boot_file(&self, name: &str) -> Vec<u8> {
        oracle::mtype(&self.image, self.boot.0, name).unwrap()
    }

    /// Both file systems are sound to their own checkers. After a shutdown.
    pub fn assert_sound(&self) {
        let (_, root) = partitions(&self.image);
        oracle::e2fsck(&self.image, root.0).unwrap();
        oracle::fsck_vfat(&self.image, self.boot.0, self.boot.1).unwrap();
    }

    /// The disk's id in its partition table, 8 hexadecimal digits.
    pub fn disk_id(&self) -> String {
        let table = oracle::sfdisk_json(&self.image).unwrap();
        let id = table["partitiontable"]["id"].as_str().unwrap();
        id.trim_start_matches("0x").to_owned()
    }
}

/// Offsets and sizes in bytes of the first two partitions.
fn partitions(image: &Path) -> ((u64, u64), (u64, u64)) {
    let table = oracle::sfdisk_json(image).unwrap();
    let range = |index: usize| {
        let partition = &table["partitiontable"]["partitions"][index];
        let bytes = |key: &str| partition[key].as_u64().unwrap() * 512;
        (bytes("start"), bytes("size"))
    };
    (range(0), range(1))
}

/// The running test's name, as a file's.
fn test_name() -> String {
    let thread = thread::current();
    thread.name().unwrap_or("unnamed").replace("::", "-")
}
