//! A node as its owner has it before the first power-on: the card that
//! piflash built.

use crate::{
    disk::Disk,
    guest::Guest,
    lab::{self, Lab},
    machine::{Kind, Weather},
    site::{PREFIX, Site},
    support::oracle::{self, run},
};
use std::{
    fs,
    os::unix::fs::FileExt,
    path::{Path, PathBuf},
    sync::Arc,
    thread,
};

pub struct Node {
    pub site: Arc<Site>,
    pub name: String,
    pub address: String,
    pub image: PathBuf,
    /// Byte offsets and sizes of the two partitions, as on the stock image.
    pub boot: (u64, u64),
    console: PathBuf,
}

impl Node {
    /// A site of one node, node3.
    pub fn build(lab: Lab, vars: &[&str], secrets: &[&str]) -> Self {
        Self::build_for(Kind::of_test(), lab, vars, secrets)
    }

    /// The same for machines of this kind.
    pub fn build_for(
        kind: Kind,
        lab: Lab,
        vars: &[&str],
        secrets: &[&str],
    ) -> Self {
        let address = format!("{PREFIX}.23");
        let nodes = [("node3", address.as_str())];
        let site = Arc::new(Site::build(lab, kind, &nodes, vars, secrets));
        Self::of(&site, "node3", &address)
    }

    /// One node of a site.
    pub fn of(site: &Arc<Site>, name: &str, address: &str) -> Self {
        let image = site.path(&format!("build/images/{name}.img"));
        let (boot, _) = partitions(&image);
        let consoles = lab::cache().join("consoles");
        fs::create_dir_all(&consoles).unwrap();
        let console = consoles.join(format!("{}-{name}.log", test_name()));
        fs::write(&console, "").unwrap();
        Self {
            site: Arc::clone(site),
            name: name.to_owned(),
            address: address.to_owned(),
            image,
            boot,
            console,
        }
    }

    pub fn lab(&self) -> Lab {
        self.site.lab
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

    /// The whole FAT partition, blocks that belong to no file too, but
    /// without those that are all zeros.
    pub fn boot_bytes(&self) -> Vec<u8> {
        let image = fs::File::open(&self.image).unwrap();
        let mut bytes = Vec::new();
        let mut block = [0; 4096];
        for at in (0..self.boot.1).step_by(block.len()) {
            image.read_exact_at(&mut block, self.boot.0 + at).unwrap();
            if block != [0; 4096] {
                bytes.extend(block);
            }
        }
        bytes
    }

    /// Leaves no room on the FAT, by a file of this name.
    pub fn fill_boot(&self, name: &str) {
        let at = oracle::fat_at(&self.image, self.boot.0);
        let listing = run("mdir", &["-i", &at, "::/"]).unwrap();
        let listing = String::from_utf8(listing).unwrap();
        let free = listing.lines().find(|line| line.contains("bytes free"));
        let free: String =
            free.unwrap().chars().filter(char::is_ascii_digit).collect();
        let filler = tempfile::NamedTempFile::new().unwrap();
        filler.as_file().set_len(free.parse().unwrap()).unwrap();
        let filler = filler.path().to_str().unwrap();
        run("mcopy", &["-i", &at, filler, &format!("::/{name}")]).unwrap();
        let listing = run("mdir", &["-i", &at, "::/"]).unwrap();
        let listing = String::from_utf8(listing).unwrap();
        assert!(listing.contains(" 0 bytes free"), "{listing}");
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

    pub(crate) fn disk(&self) -> Disk {
        Disk::insert(&self.image)
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
