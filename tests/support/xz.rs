//! .xz files made and judged by xz(1).

use super::oracle::{Complaint, run, run_with};
use std::path::Path;

/// `xz ARGS` of some bytes.
pub fn pack(content: &[u8], args: &[&str]) -> Vec<u8> {
    let args = [&["-q", "-z", "-c"], args].concat();
    run_with("xz", &args, content).unwrap()
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
