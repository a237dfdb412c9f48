//! Unpacking an image against the tools that users have.
//!
//! `cargo bench --bench unpack` makes an image of 1 GiB in the temporary
//! directory (about 3 GB are needed there), packs it with xz, gzip and zstd,
//! and unpacks it to a sparse file with SHA-256, as a download is; the tools
//! write to `/dev/null`, which is less than we do. Each number is the best of
//! a few runs.
#![allow(
    missing_docs,
    clippy::as_conversions,
    clippy::arithmetic_side_effects,
    clippy::print_stdout
)]

use piflash::base::unpack::{Limits, unpack};
use std::{
    fs::File,
    io::{BufReader, BufWriter, Write},
    path::{Path, PathBuf},
    process::{Command, Stdio},
    time::{Duration, Instant},
};

const MIB: usize = 1 << 20;
const SIZE: usize = 1024;
const RUNS: usize = 2;

fn main() {
    // `cargo test --all-targets` starts it too.
    if !std::env::args().any(|arg| arg == "--bench") {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let raw = dir.path().join("image");
    make_image(&raw);
    println!("{SIZE} MiB; seconds, best of {RUNS}");
    let many = packed(&raw, "many.xz", "xz", &["-T0", "-0", "-c"]);
    let one = packed(&raw, "one.xz", "xz", &["-T1", "-0", "-c"]);
    let gz = packed(&raw, "image.gz", "gzip", &["-1", "-c"]);
    let zst = packed(&raw, "image.zst", "zstd", &["-q", "-3", "-c"]);
    let dc = ["-dc"];
    let parallel = ["-T0", "-dc"];
    compare("xz, many blocks", &many, &[("xz", &dc), ("xz", &parallel)]);
    compare("xz, one block", &one, &[("xz", &dc), ("xz", &parallel)]);
    compare("gzip", &gz, &[("gzip", &dc)]);
    compare("zstd", &zst, &[("zstd", &["-q", "-dc"])]);
}

/// Of eight parts three are zeros, one noise, two text, two program code.
fn make_image(path: &Path) {
    let mut out = BufWriter::new(File::create(path).unwrap());
    let code = std::fs::read(std::env::current_exe().unwrap()).unwrap();
    let mut state = 1_u64;
    let mut next = move || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state
    };
    for block in 0..SIZE {
        let mut bytes = Vec::with_capacity(MIB);
        match block % 8 {
            0..3 => bytes.resize(MIB, 0),
            3 => {
                while bytes.len() < MIB {
                    bytes.extend_from_slice(&next().to_le_bytes());
                }
            }
            4 | 5 => {
                while bytes.len() < MIB {
                    let (a, b) = (next() % 50_000, next() % 700);
                    writeln!(bytes, "package-{a} depends on libfoo{b}")
                        .unwrap();
                }
            }
            _ => {
                // Different each time, or it would be one long match.
                let at = next() as usize % code.len();
                bytes.extend(code.iter().cycle().skip(at).take(MIB));
                for _ in 0..20_000 {
                    let at = next() as usize % MIB;
                    bytes[at] ^= next() as u8;
                }
            }
        }
        out.write_all(&bytes[..MIB]).unwrap();
    }
    out.flush().unwrap();
}

fn packed(raw: &Path, name: &str, program: &str, args: &[&str]) -> PathBuf {
    let path = raw.with_file_name(name);
    run(program, args, raw, &path);
    path
}

fn run(program: &str, args: &[&str], from: &Path, to: &Path) {
    let status = Command::new(program)
        .args(args)
        .stdin(Stdio::from(File::open(from).unwrap()))
        .stdout(Stdio::from(File::create(to).unwrap()))
        .status()
        .unwrap_or_else(|error| panic!("{program}: {error}"));
    assert!(status.success(), "{program}");
}

fn best(mut work: impl FnMut()) -> Duration {
    let timed = |_| {
        let start = Instant::now();
        work();
        start.elapsed()
    };
    (0..RUNS).map(timed).min().unwrap()
}

fn compare(name: &str, from: &Path, tools: &[(&str, &[&str])]) {
    let size = std::fs::metadata(from).unwrap().len() / MIB as u64;
    let to = from.with_file_name("unpacked");
    let ours = best(|| {
        let out = File::create(&to).unwrap();
        let input = BufReader::with_capacity(MIB, File::open(from).unwrap());
        let limits = Limits::default();
        unpack(input, || File::open(from), &out, &limits).unwrap();
    });
    println!("{name} ({size} MiB): piflash {:.2}", ours.as_secs_f64());
    for (program, args) in tools {
        let theirs = best(|| run(program, args, from, Path::new("/dev/null")));
        println!(
            "    {program} {}: {:.2}; we take {:.2} of it",
            args.join(" "),
            theirs.as_secs_f64(),
            ours.as_secs_f64() / theirs.as_secs_f64(),
        );
    }
}
