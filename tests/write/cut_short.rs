//! Writes that end too soon: killed, interrupted, pulled out, full.

use super::loops::{Loop, MIB, Tmpfs, noise};
use crate::support::{env::Env, oracle::run};
use rustix::process::{Pid, Signal, kill_process};
use std::{
    fs,
    io::{BufRead, BufReader, Read},
    process::{Command, Stdio},
};

/// Large enough not to be done before somebody looks.
const SIZE: u64 = 192 * MIB;

/// Writes `made.img` and calls `at` when `stage` begins. The exit code, and
/// what was said.
fn write(
    env: &Env,
    devices: &[&str],
    stage: &str,
    at: impl FnOnce(u32),
) -> (Option<i32>, String) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_piflash"));
    command
        .args(["--progress", "json", "write", "made.img", devices[0]])
        .args(devices[1..].iter().flat_map(|path| ["--also", path]))
        .args(["--allow-fixed", "--yes"])
        .current_dir(env.work())
        .stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    let mut stderr = BufReader::new(child.stderr.take().unwrap());
    let mut said = String::new();
    let wanted = format!("\"stage\":\"{stage}\"");
    loop {
        let mut line = String::new();
        assert!(stderr.read_line(&mut line).unwrap() > 0, "{said}");
        said.push_str(&line);
        if line.contains(&wanted) {
            break;
        }
    }
    at(child.id());
    stderr.read_to_string(&mut said).unwrap();
    (child.wait().unwrap().code(), said)
}

fn signal(signal: Signal) -> impl FnOnce(u32) {
    move |id| {
        let pid = Pid::from_raw(i32::try_from(id).unwrap()).unwrap();
        kill_process(pid, signal).unwrap();
    }
}

fn env() -> (Env, Loop) {
    let env = Env::new();
    noise(&env.work().join("made.img"), SIZE);
    // As of an earlier image, which boots.
    let file = env.work().join("card");
    fs::copy(env.work().join("made.img"), &file).unwrap();
    let card = Loop::of(&file, &[]);
    assert!(run("sfdisk", &["-d", card.path()]).is_ok());
    (env, card)
}

#[test]
#[ignore = "needs root and a loop device"]
fn killed_in_the_middle_nothing_boots() {
    for stage in ["write", "read-back"] {
        let (env, card) = env();
        let (code, said) =
            write(&env, &[card.path()], stage, signal(Signal::KILL));
        assert_eq!(code, None, "{said}");
        assert!(card.is_erased(), "{stage}");
    }
}

#[test]
#[ignore = "needs root and a loop device"]
fn interrupted_nothing_boots_and_that_is_said() {
    for (stage, sent) in [("write", Signal::INT), ("read-back", Signal::TERM)] {
        let (env, card) = env();
        let (code, said) = write(&env, &[card.path()], stage, signal(sent));
        assert_eq!(code, Some(1), "{said}");
        assert!(said.contains("\"interrupted\""), "{said}");
        assert!(said.contains("so nothing on it boots"), "{said}");
        assert!(card.is_erased(), "{stage}");
    }
}

/// The device refuses in the middle, as one does that is pulled out: its
/// file system is full.
#[test]
#[ignore = "needs root and a loop device"]
fn of_two_cards_the_one_that_fails_does_not_boot() {
    let (env, card) = env();
    let small = Tmpfs::new(&env.work(), SIZE / 2);
    let file = small.0.join("card");
    fs::File::create(&file).unwrap().set_len(SIZE).unwrap();
    let bad = Loop::of(&file, &[]);
    let (code, said) = write(&env, &[bad.path(), card.path()], "write", |_| ());
    assert_eq!(code, Some(1), "{said}");
    assert!(said.contains("1 of 2 devices failed"), "{said}");
    assert!(said.contains("writing failed at byte"), "{said}");
    assert!(said.contains(&format!("{} is made.img now", card.path())));
    let head = fs::read(&bad.path).unwrap()[..1 << 20].to_vec();
    assert!(head.iter().all(|byte| *byte == 0));
    let expected = fs::read(env.work().join("made.img")).unwrap();
    assert!(fs::read(&card.path).unwrap() == expected);
    drop(bad);
}

/// What was written is lost before it is read back: found, and named.
#[test]
#[ignore = "needs root and a loop device"]
fn lost_data_is_found_when_it_is_read_back() {
    let (env, card) = env();
    let cut = |_| {
        let file = fs::OpenOptions::new().write(true).open(&card.file).unwrap();
        file.set_len(SIZE / 2).unwrap();
    };
    let (code, said) = write(&env, &[card.path()], "read-back", cut);
    // Behind its end a loop device reads as zero, or not at all.
    assert!(matches!(code, Some(1 | 3)), "{said}");
    assert!(
        said.contains("is not what was written: bytes ")
            || said.contains("reading failed at byte "),
        "{said}"
    );
    assert!(said.contains("so nothing on it boots"), "{said}");
    assert!(card.is_erased());
}
