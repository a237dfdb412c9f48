//! .xz files made and judged by xz(1).

use super::{
    oracle::{Complaint, run, run_with},
    repository,
};
use std::{fs, path::Path};

/// `xz ARGS` of some bytes.
pub fn pack(content: &[u8], args: &[&str]) -> Vec<u8> {
    let args = [&["-q", "-z", "-c"], args].concat();
    run_with("xz", &args, content).unwrap()
}

/// The demo image as an .xz of blocks of 8 MiB.
pub fn demo() -> Vec<u8> {
    let dir = tempfile::tempdir().unwrap();
    let raw = dir.path().join("stock.img");
    let demo = repository().join("images/demo/demo.img.zst");
    let (demo, to) = (demo.to_str().unwrap(), raw.to_str().unwrap());
    run("zstd", &["-dq", "--sparse", demo, "-o", to]).unwrap();
    run("xz", &["-0", "-T2", "--block-size=8MiB", to]).unwrap();
    fs::read(dir.path().join("stock.img.xz")).unwrap()
}

/// `xz -dc`: what is in the file, all checks done.
pub fn unpack(path: &Path, threads: &str) -> Result<Vec<u8>, Complaint> {
    run("xz", &["-dc", threads, path.to_str().unwrap()])
}

/// A block as `xz --robot -lvv` lists it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listed {
    pub packed: u64,
    pub offset: u64,
    pub packed_len: u64,
    pub len: u64,
    pub check: String,
    /// `c` and `u`: which sizes its header carries.
    pub sizes: String,
}

/// `xz --robot -lvv`: the blocks of a file.
pub fn list(path: &Path) -> Result<Vec<Listed>, Complaint> {
    let args = ["--robot", "-lvv", path.to_str().unwrap()];
    let said = run("xz", &args)?;
    let said = String::from_utf8(said).unwrap();
    let block = |line: &str| {
        let field: Vec<&str> = line.split('\t').collect();
        let number = |at: usize| field[at].parse::<u64>().unwrap();
        (field[0] == "block").then(|| Listed {
            packed: number(4),
            offset: number(5),
            packed_len: number(6),
            len: number(7),
            check: field[9].to_owned(),
            sizes: field[12].to_owned(),
        })
    };
    Ok(said.lines().filter_map(block).collect())
}
