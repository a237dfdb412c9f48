//! ext4 images made by mke2fs, and the judges of what became of them:
//! e2fsck, debugfs, ext4-view.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use piflash::disk::{Memory, ReadAt, WriteAt};
use piflash::fs::Meta;
use piflash::fs::ext4::{EditOptions, Ext4};

/// The clock of all edits here.
pub const NOW: i64 = 1_790_000_000;
pub const OPTIONS: EditOptions = EditOptions { now: NOW, seed: 7 };

/// A set of mke2fs options.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct FeatureSet {
    pub name: &'static str,
    pub options: &'static [&'static str],
}

/// The matrix: what stock images have, and what is easily got wrong. Small
/// groups (-g), so that small images have several.
pub const FEATURE_SETS: [FeatureSet; 11] = [
    FeatureSet {
        name: "buster",
        options: &["-b4096", "-O^huge_file,^64bit,^metadata_csum,^orphan_file"],
    },
    FeatureSet {
        name: "bookworm",
        options: &["-b4096", "-g2048", "-O^64bit,^huge_file,^orphan_file"],
    },
    FeatureSet {
        name: "trixie",
        options: &["-b4096", "-g2048", "-O^64bit,^huge_file,orphan_file"],
    },
    FeatureSet {
        name: "ubuntu-24.04",
        options: &["-b4096", "-g1024", "-O64bit,metadata_csum,^orphan_file"],
    },
    FeatureSet {
        name: "ubuntu-25.10",
        options: &[
            "-b4096",
            "-g2048",
            "-O64bit,metadata_csum,metadata_csum_seed,orphan_file",
        ],
    },
    FeatureSet { name: "1k", options: &["-b1024", "-O64bit,metadata_csum"] },
    FeatureSet {
        name: "uninit_bg",
        options: &["-b4096", "-g2048", "-O^metadata_csum,uninit_bg,^64bit"],
    },
    FeatureSet {
        name: "2k",
        options: &["-b2048", "-g4096", "-O64bit,metadata_csum"],
    },
    FeatureSet {
        name: "128-byte-inodes",
        options: &["-b1024", "-I128", "-O^64bit,metadata_csum"],
    },
    FeatureSet {
        name: "uninit_bg-64bit",
        options: &["-b1024", "-O^metadata_csum,uninit_bg,64bit,^flex_bg"],
    },
    FeatureSet {
        name: "old-habits",
        options: &[
            "-b2048",
            "-g4096",
            "-O^dir_index,^filetype,^sparse_super,^resize_inode,^flex_bg",
        ],
    },
];

/// An image in memory.
pub struct Disk(Memory);

impl Disk {
    pub fn new(bytes: Vec<u8>) -> Self {
        Self(Memory::new(bytes))
    }

    pub fn bytes(&self) -> Vec<u8> {
        let mut bytes = vec![0; usize::try_from(self.size()).unwrap()];
        self.read_at(0, &mut bytes).unwrap();
        bytes
    }

    pub fn open(&self) -> Ext4<'_> {
        Ext4::open(self, OPTIONS).unwrap()
    }
}

impl ReadAt for Disk {
    fn size(&self) -> u64 {
        self.0.size()
    }

    fn read_at(&self, offset: u64, buf: &mut [u8]) -> io::Result<()> {
        self.0.read_at(offset, buf)
    }
}

impl WriteAt for Disk {
    fn write_at(&self, offset: u64, buf: &[u8]) -> io::Result<()> {
        self.0.write_at(offset, buf)
    }
}

pub fn meta(mode: u16, uid: u32, gid: u32, mtime: i64) -> Meta {
    Meta { mode, uid, gid, mtime }
}

/// Some bytes that do not repeat from block to block.
pub fn noise(len: usize, seed: u64) -> Vec<u8> {
    let mut state = seed.wrapping_mul(2).wrapping_add(1);
    let mut bytes = Vec::with_capacity(len + 8);
    while bytes.len() < len {
        state = state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        bytes.extend((state >> 11).to_le_bytes());
    }
    bytes.truncate(len);
    bytes
}

/// Finds a tool, also where only root looks.
fn find_tool(tool: &str) -> PathBuf {
    let path = std::env::var("PATH").unwrap_or_default();
    let path = format!("{path}:/usr/sbin:/sbin");
    std::env::split_paths(&path)
        .map(|dir| dir.join(tool))
        .find(|file| file.is_file())
        .unwrap_or_else(|| {
            panic!("{tool} is missing (Debian package e2fsprogs)")
        })
}

/// Runs a tool of e2fsprogs.
pub fn run(tool: &str, args: &[&str]) -> Output {
    Command::new(find_tool(tool))
        .args(args)
        .env("LC_ALL", "C.UTF-8")
        .env("TZ", "UTC")
        .env("E2FSPROGS_FAKE_TIME", "1750000000")
        .env("MKE2FS_CONFIG", "/dev/null")
        .output()
        .unwrap()
}

pub fn run_ok(tool: &str, args: &[&str]) -> String {
    let output = run(tool, args);
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let errors = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(
        output.status.success(),
        "{tool} {args:?}: {}\n{text}\n{errors}",
        output.status
    );
    text
}

/// Makes an image of `mib` MiB from the files below `tree`. What mke2fs does
/// not write is not zero, as on a used card.
pub fn mke2fs(
    image: &Path,
    mib: u64,
    set: FeatureSet,
    more: &[&str],
    tree: Option<&Path>,
) {
    fs::write(image, vec![0xA5; usize::try_from(mib).unwrap() << 20]).unwrap();
    let mut args = vec!["-q", "-F", "-t", "ext4"];
    // The defaults of Debian's mke2fs.conf.
    let base = "-Ohas_journal,extent,huge_file,flex_bg,metadata_csum,64bit,\
                dir_nlink,extra_isize,sparse_super,large_file,filetype,\
                resize_inode,dir_index,ext_attr";
    let options: Vec<_> =
        set.options.iter().filter(|o| !o.starts_with("-O")).collect();
    let features: Vec<_> = set
        .options
        .iter()
        .filter_map(|option| option.strip_prefix("-O"))
        .collect();
    let features = format!("{base},{}", features.join(","));
    args.extend(options);
    if !set.options.iter().any(|option| option.starts_with("-I")) {
        args.push("-I256");
    }
    args.extend([
        features.as_str(),
        "-U6b1d3a3e-9a0c-4c8e-8f6b-2b9d6d0f3c11",
        "-Ehash_seed=5f0c3c52-7ad1-4e2b-9b3e-0d7c1a2b3c4d,nodiscard,\
         lazy_itable_init=1",
        "-m0",
    ]);
    args.extend(more);
    let tree = tree.map(|tree| tree.to_str().unwrap());
    if let Some(tree) = tree {
        args.extend(["-d", tree]);
    }
    args.push(image.to_str().unwrap());
    run_ok("mke2fs", &args);
}

/// Runs debugfs commands on an image.
pub fn debugfs(image: &Path, write: bool, commands: &[String]) -> String {
    let script = image.with_extension("debugfs");
    fs::write(&script, commands.join("\n") + "\n").unwrap();
    let mut args = if write { vec!["-w"] } else { vec![] };
    args.extend(["-f", script.to_str().unwrap(), image.to_str().unwrap()]);
    run_ok("debugfs", &args)
}

/// Judges an image: everything must be in order.
pub fn e2fsck_clean(image: &Path) {
    run_ok("e2fsck", &["-fn", image.to_str().unwrap()]);
}

/// Indexes directories, as far as e2fsck finds it worth while.
pub fn e2fsck_index(image: &Path) {
    let output = run("e2fsck", &["-fyD", image.to_str().unwrap()]);
    assert!(matches!(output.status.code(), Some(0 | 1)), "{output:?}");
}
