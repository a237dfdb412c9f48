//! Programs that say whether a file system is in order.

use std::{
    fs::File,
    io,
    os::unix::fs::FileExt,
    path::Path,
    process::{Command, Stdio},
    sync::OnceLock,
};

use piflash::disk::ReadAt;

use crate::sparse::Sparse;

/// One of so many inputs is judged, as starting a program takes longer than
/// all else. PIFLASH_FUZZ_JUDGE names another number; 1 judges every input.
const SAMPLE: u32 = 16;

fn sample() -> u32 {
    static SAMPLED: OnceLock<u32> = OnceLock::new();
    *SAMPLED.get_or_init(|| {
        let named = std::env::var("PIFLASH_FUZZ_JUDGE").ok();
        let named = named.and_then(|text| text.parse().ok());
        named.filter(|sample| *sample > 0).unwrap_or(SAMPLE)
    })
}

/// Whether an input is of the sample: always the same answer for one input.
pub(crate) fn is_asked(data: &[u8]) -> bool {
    crc32fast::hash(data).is_multiple_of(sample())
}

/// Asks a program whether the file system on `disk` is in order; what it
/// says if not.
pub(crate) fn ask(disk: &Sparse, program: &[&str]) -> Result<(), String> {
    let file = tempfile::NamedTempFile::new().expect("a file");
    write(disk, file.as_file()).expect("room for an image");
    let path: &Path = file.path();
    let output = Command::new(program[0])
        .args(&program[1..])
        .arg(path)
        .env("LC_ALL", "C.UTF-8")
        .stdin(Stdio::null())
        .output()
        .unwrap_or_else(|error| panic!("{}: {error}", program[0]));
    let said = [output.stdout, output.stderr].concat();
    match output.status.success() {
        true => Ok(()),
        false => Err(String::from_utf8_lossy(&said).into_owned()),
    }
}

fn write(disk: &Sparse, file: &File) -> io::Result<()> {
    file.set_len(disk.size())?;
    disk.each(|at, page| file.write_all_at(page, at))
}
