//! `tests/cases/NAME/image.yaml` and the trees beside it: a made image of
//! one release, in memory or as a disk image file.

use super::{
    list,
    memory::{Body, MemTree},
    oracle::{self, Complaint, run, run_with},
    repository,
};
use piflash::base::facts::{
    FsKind, PartitionFacts, TableFacts, TableKind, Volume,
};
use serde::Deserialize;
use std::{fmt::Write, fs, path::Path};

/// 2026-06-18 00:00 UTC: the time of everything in a made image.
pub const TIME: i64 = 1_781_740_800;

const SECTOR: u64 = 512;

/// What `image.yaml` says.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Layout {
    pub about: String,
    /// Directory of the trees, from the repository's top; else `image/`.
    pub from: Option<String>,
    pub table: Table,
    pub boot: Fat,
    pub root: Ext4,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Table {
    /// `dos` or `gpt`, in sfdisk's words.
    pub kind: String,
    pub id: String,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Fat {
    pub start: u64,
    pub sectors: u64,
    pub bits: u32,
    pub sectors_per_cluster: u32,
    pub label: String,
    pub serial: String,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Ext4 {
    pub start: u64,
    pub sectors: u64,
    pub label: String,
    pub uuid: String,
    /// What the release's mke2fs adds to and takes from our base list.
    pub features: String,
}

/// Every release's mke2fs has these on.
const FEATURES: &str = "none,has_journal,ext_attr,resize_inode,dir_index,\
    filetype,extent,flex_bg,sparse_super,large_file,dir_nlink,extra_isize";

const MKE2FS_CONF: &str =
    "[fs_types]\n\text4 = {\n\t\tfeatures = has_journal\n\t}\n";

/// A made image.
#[derive(Clone, Debug)]
pub struct Case {
    pub layout: Layout,
    pub boot: MemTree,
    pub root: MemTree,
}

impl Case {
    /// Reads `tests/cases/NAME`.
    pub fn load(name: &str) -> Self {
        let dir = repository().join("tests/cases").join(name);
        let path = dir.join("image.yaml");
        let text = fs::read_to_string(&path)
            .unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        let layout: Layout = serde_saphyr::from_str(&text)
            .unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        let trees = match &layout.from {
            Some(from) => repository().join(from),
            None => dir.join("image"),
        };
        let tree = |part: &str| {
            let list = trees.join(format!("{part}.list"));
            list::load(&trees.join(part), &list, TIME)
        };
        Self { boot: tree("boot"), root: tree("root"), layout }
    }

    /// The table as probing sees it.
    pub fn table(&self) -> TableFacts {
        let Layout { table, boot, root, .. } = &self.layout;
        let gpt = table.kind == "gpt";
        let partition =
            |number, start, sectors, types: [&str; 2], volume| PartitionFacts {
                number,
                start: start * SECTOR,
                len: sectors * SECTOR,
                type_id: types[usize::from(gpt)].to_owned(),
                volume,
            };
        let fat = Volume {
            fs: Some(FsKind::Fat),
            foreign: None,
            label: Some(boot.label.clone()),
            uuid: Some(format!("{}-{}", &boot.serial[..4], &boot.serial[4..])),
        };
        let ext4 = Volume {
            fs: Some(FsKind::Ext4),
            foreign: None,
            label: Some(root.label.clone()),
            uuid: Some(root.uuid.clone()),
        };
        let fat_types = ["0c", "ebd0a0a2-b9e5-4433-87c0-68b6b72699c7"];
        let ext4_types = ["83", "0fc63daf-8483-4772-8e79-3d69d8477de4"];
        TableFacts {
            kind: if gpt { TableKind::Gpt } else { TableKind::Mbr },
            disk_id: table.id.clone(),
            partitions: vec![
                partition(1, boot.start, boot.sectors, fat_types, fat),
                partition(2, root.start, root.sectors, ext4_types, ext4),
            ],
        }
    }

    /// Byte offsets of the FAT and the ext4.
    pub fn offsets(&self) -> (u64, u64) {
        let Layout { boot, root, .. } = &self.layout;
        (boot.start * SECTOR, root.start * SECTOR)
    }

    /// Makes the disk image at `path`, sparse; the same bytes every time.
    pub fn write(&self, path: &Path) -> Result<(), Complaint> {
        let Layout { table, boot, root, .. } = &self.layout;
        let end = (root.start + root.sectors) * SECTOR;
        // GPT keeps a copy of itself at the end.
        let file = fs::File::create(path).unwrap();
        file.set_len(end + (1 << 20)).unwrap();
        let image = path.to_str().unwrap();
        let (fat, linux) = match table.kind.as_str() {
            "gpt" => (
                "EBD0A0A2-B9E5-4433-87C0-68B6B72699C7",
                "0FC63DAF-8483-4772-8E79-3D69D8477DE4",
            ),
            _ => ("c", "83"),
        };
        let id = match table.kind.as_str() {
            "gpt" => table.id.clone(),
            _ => format!("0x{}", table.id),
        };
        let script = format!(
            "label: {}\nlabel-id: {id}\nunit: sectors\n\
             start={}, size={}, type={fat}\nstart={}, size={}, type={linux}\n",
            table.kind, boot.start, boot.sectors, root.start, root.sectors,
        );
        run_with("sfdisk", &["--quiet", image], script.as_bytes())?;
        self.write_fat(path)?;
        self.write_ext4(path)
    }

    fn write_fat(&self, path: &Path) -> Result<(), Complaint> {
        let fat = &self.layout.boot;
        let image = path.to_str().unwrap();
        run(
            "mkfs.vfat",
            &[
                "--invariant",
                &format!("-F{}", fat.bits),
                &format!("-s{}", fat.sectors_per_cluster),
                "-n",
                &fat.label,
                "-i",
                &fat.serial,
                "--offset",
                &fat.start.to_string(),
                image,
                &(fat.sectors / 2).to_string(),
            ],
        )?;
        let at = oracle::fat_at(path, fat.start * SECTOR);
        let staged = tempfile::tempdir().unwrap();
        let source = staged.path().join("file");
        for (name, node) in &self.boot.nodes {
            let to = format!("::{name}");
            match &node.body {
                Body::Directory if name == "/" => {}
                Body::Directory => drop(run("mmd", &["-i", &at, &to])?),
                Body::File(content) => {
                    fs::write(&source, content).unwrap();
                    let source = source.to_str().unwrap();
                    run("mcopy", &["-i", &at, source, &to])?;
                }
                Body::Symlink(_) => panic!("{name}: a link on a FAT"),
            }
        }
        Ok(())
    }

    fn write_ext4(&self, path: &Path) -> Result<(), Complaint> {
        let ext4 = &self.layout.root;
        let staged = tempfile::tempdir().unwrap();
        let conf = staged.path().join("mke2fs.conf");
        fs::write(&conf, MKE2FS_CONF).unwrap();
        let offset = ext4.start * SECTOR;
        // Through env(1), as every test has the same environment.
        run(
            "env",
            &[
                &format!("MKE2FS_CONFIG={}", conf.display()),
                "mke2fs",
                "-q",
                "-text4",
                &format!("-O{FEATURES},{}", ext4.features),
                "-b4096",
                "-i16384",
                "-I256",
                "-Jsize=4",
                "-L",
                &ext4.label,
                "-U",
                &ext4.uuid,
                "-E",
                &format!(
                    "hash_seed={},lazy_itable_init=0,offset={offset}",
                    ext4.uuid
                ),
                path.to_str().unwrap(),
                &format!("{}k", ext4.sectors / 2),
            ],
        )?;
        let commands = debugfs_commands(&self.root, staged.path());
        let at = oracle::ext4_at(path, offset);
        let output =
            run_with("debugfs", &["-w", "-f", "-", &at], commands.as_bytes())?;
        let output = String::from_utf8_lossy(&output);
        // It repeats every command; anything else is a complaint.
        let complaints: Vec<&str> = output
            .lines()
            .filter(|line| {
                !line.is_empty()
                    && !line.starts_with("debugfs")
                    && !line.starts_with("Allocated inode: ")
                    && !line.starts_with("Setting current time ")
            })
            .collect();
        if !complaints.is_empty() {
            return Err(Complaint(complaints.join("\n")));
        }
        oracle::e2fsck(path, offset).map(drop)
    }
}

/// debugfs commands that make `tree`. They need no root, unlike owners that
/// `mke2fs -d` copies from its source.
fn debugfs_commands(tree: &MemTree, staged: &Path) -> String {
    let mut script = format!("set_current_time @{TIME}\n");
    let mut times = String::new();
    let stamp = |script: &mut String, what: &str, time: i64| {
        for field in ["atime", "ctime", "mtime", "crtime"] {
            writeln!(script, "sif {what} {field} @{time}").unwrap();
        }
    };
    for inode in ["<1>", "<7>", "<8>", "/lost+found"] {
        stamp(&mut times, inode, TIME);
    }
    for (index, (path, node)) in tree.nodes.iter().enumerate() {
        let (parent, name) = path.rsplit_once('/').unwrap();
        let kind = match &node.body {
            Body::Directory => {
                if path != "/" {
                    writeln!(script, "mkdir {path}").unwrap();
                }
                0o040_000
            }
            Body::Symlink(target) => {
                writeln!(script, "symlink {path} {target}").unwrap();
                0o120_000
            }
            Body::File(content) => {
                let source = staged.join(index.to_string());
                fs::write(&source, content).unwrap();
                writeln!(
                    script,
                    "cd {parent}/\nwrite {} {name}\ncd /",
                    source.display()
                )
                .unwrap();
                0o100_000
            }
        };
        let meta = node.meta;
        writeln!(
            script,
            "sif {path} mode 0{:o}\nsif {path} uid {}\nsif {path} gid {}\n\
             sif {path} generation 0",
            kind | u32::from(meta.mode),
            meta.uid,
            meta.gid
        )
        .unwrap();
        stamp(&mut times, path, meta.mtime);
    }
    // Last, as a directory takes a new time with every entry.
    script += &times;
    for field in ["wtime", "lastcheck", "mkfs_time"] {
        writeln!(script, "ssv {field} @{TIME}").unwrap();
    }
    script + "ssv kbytes_written 0\n"
}
