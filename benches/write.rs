//! Writing a card against bmaptool and dd, on a loop device.
//!
//! `cargo bench --bench write` needs root, loop devices and Debian's package
//! bmap-tools, and about 4 GB in the temporary directory (`TMPDIR`). It makes
//! an image in the layout of Raspberry Pi OS of 2 GiB, of which about 700 MiB
//! are files, and writes it to a loop device over a file that has all its
//! blocks. All write raw: unpacking would hide the rest. The ways are run in
//! turns, seven times; the median counts, the fastest run stands beside it.
//! With `TMPDIR` in memory (`/dev/shm`) no disk disturbs, and what remains is
//! what the programs themselves take.
#![allow(
    missing_docs,
    clippy::as_conversions,
    clippy::arithmetic_side_effects,
    clippy::print_stdout
)]

use std::{
    fs::{self, File},
    io::Write,
    path::Path,
    process::{Command, Stdio},
    time::{Duration, Instant},
};

const MIB: u64 = 1 << 20;
/// Of the image.
const SIZE: u64 = 2048 * MIB;
/// Of files in the ext4.
const FILES: u64 = 700;
const ROOT: u64 = 272 * MIB;
const RUNS: usize = 7;

fn main() {
    // `cargo test --all-targets` starts it too.
    if !std::env::args().any(|arg| arg == "--bench") {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let image = dir.path().join("image.img");
    make_image(dir.path(), &image);
    let image = image.to_str().unwrap();
    let map = format!("{image}.bmap");
    run("bmaptool", &["create", "-o", &map, image]);
    let card = dir.path().join("card");
    let mut out = File::create(&card).unwrap();
    for _ in 0..SIZE / MIB + 16 {
        out.write_all(&[0xa5; MIB as usize]).unwrap();
    }
    drop(out);
    let card = card.to_str().unwrap();
    let device = run("losetup", &["--show", "-f", card]);
    let device = device.trim();

    let piflash = env!("CARGO_BIN_EXE_piflash");
    let write = ["write", image, device, "--allow-fixed", "--yes", "-q"];
    let unverified = [&write[..], &["--no-verify"]].concat();
    let input = format!("if={image}");
    let output = format!("of={device}");
    let (input, output) = (input.as_str(), output.as_str());
    let ways: [(&str, &str, Vec<&str>); 5] = [
        ("piflash --no-verify", piflash, unverified),
        ("piflash (read back)", piflash, write.to_vec()),
        (
            "bmaptool copy",
            "bmaptool",
            vec!["-q", "copy", "--bmap", &map, image, device],
        ),
        (
            "dd conv=fsync",
            "dd",
            vec!["bs=4M", "conv=fsync", "status=none", input, output],
        ),
        (
            "dd oflag=direct",
            "dd",
            vec![
                "bs=4M",
                "oflag=direct",
                "conv=fsync",
                "status=none",
                input,
                output,
            ],
        ),
    ];
    let mut times = vec![Vec::new(); ways.len()];
    for _ in 0..RUNS {
        for ((_, program, args), times) in ways.iter().zip(&mut times) {
            // What an earlier run left to be written is not this one's.
            run("sync", &[]);
            let started = Instant::now();
            run(program, args);
            times.push(started.elapsed());
        }
    }
    times.iter_mut().for_each(|times| times.sort());
    let median = |times: &[Duration]| times[RUNS / 2].as_secs_f64();
    let bmaptool = median(&times[2]);
    println!("| way | seconds | of bmaptool's time | fastest |");
    println!("|---|---|---|---|");
    for ((name, ..), times) in ways.iter().zip(&times) {
        let (time, best) = (median(times), times[0].as_secs_f64());
        println!("| {name} | {time:.2} | {:.2} | {best:.2} |", time / bmaptool);
    }
    run("losetup", &["-d", device]);
}

/// An empty FAT, an ext4 with many files.
fn make_image(dir: &Path, image: &Path) {
    let tree = dir.join("tree");
    fs::create_dir(&tree).unwrap();
    let mut state = 1_u64;
    for number in 0..FILES {
        let mut bytes = Vec::new();
        while bytes.len() < MIB as usize {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            bytes.extend_from_slice(&state.to_le_bytes());
        }
        fs::write(tree.join(number.to_string()), bytes).unwrap();
    }
    let root = dir.join("root");
    File::create(&root).unwrap().set_len(SIZE - ROOT).unwrap();
    let (tree, root_name) = (tree.to_str().unwrap(), root.to_str().unwrap());
    run("mke2fs", &["-q", "-t", "ext4", "-d", tree, root_name]);
    fs::remove_dir_all(tree).unwrap();
    let boot = dir.join("boot");
    File::create(&boot).unwrap().set_len(256 * MIB).unwrap();
    run("mkfs.vfat", &["-F", "32", boot.to_str().unwrap()]);
    File::create(image).unwrap().set_len(SIZE).unwrap();
    let name = image.to_str().unwrap();
    let mut sfdisk = Command::new("sfdisk")
        .args(["-q", name])
        .stdin(Stdio::piped())
        .spawn()
        .unwrap();
    let table = b"label: dos\nstart=8192, size=256MiB, type=c\n\
                  start=272MiB, type=83\n";
    sfdisk.stdin.take().unwrap().write_all(table).unwrap();
    assert!(sfdisk.wait().unwrap().success());
    for (part, at) in [(&boot, 4 * MIB), (&root, ROOT)] {
        let seek = format!("seek={at}");
        let (from, to) =
            (format!("if={}", part.display()), format!("of={name}"));
        let flags = ["bs=1M", "conv=notrunc,sparse", "oflag=seek_bytes"];
        let args = [&[from.as_str(), &to, &seek, "status=none"], &flags[..]];
        run("dd", &args.concat());
        fs::remove_file(part).unwrap();
    }
}

fn run(program: &str, args: &[&str]) -> String {
    let output = Command::new(program)
        .args(args)
        .output()
        .unwrap_or_else(|error| panic!("{program}: {error}"));
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{program} {args:?}: {said}");
    String::from_utf8(output.stdout).unwrap()
}
