//! How much memory unpacking takes, whatever a file asks for.

use super::support::pipe;
use piflash::base::unpack::{Limits, unpack};
use std::{
    env,
    fs::{self, File},
    io::BufReader,
    path::Path,
    process::Command,
};

/// In the program's environment: the directory to work in.
const CHILD: &str = "PIFLASH_TEST_UNPACK";
const MIB: u64 = 1 << 20;
const LIMIT: u64 = 64 * MIB;
/// What the test program itself takes, and the buffers on their way to the
/// disk.
const BASE: u64 = 32 * MIB;

/// In a process of its own, for its memory is measured. With a thread for
/// each block it would hold all of the image.
#[test]
fn unpacking_takes_no_more_memory_than_it_may() {
    if let Some(dir) = env::var_os(CHILD) {
        return measure(Path::new(&dir));
    }
    let content = vec![0; 192 << 20];
    for block in ["96MiB", "24MiB"] {
        let dir = tempfile::tempdir().unwrap();
        let path = |name: &str| dir.path().join(name);
        let block = format!("--block-size={block}");
        let packed = pipe("xz", &["-0", "-T2", &block], &content);
        fs::write(path("packed"), packed).unwrap();
        let test = "fetch::memory::unpacking_takes_no_more_memory_than_it_may";
        let output = Command::new(env::current_exe().unwrap())
            .args(["--exact", test])
            .env(CHILD, dir.path())
            .output()
            .unwrap();
        assert!(output.status.success(), "{output:?}");
        let peak = fs::read_to_string(path("peak")).unwrap();
        let peak: u64 = peak.parse().unwrap();
        assert!(peak < LIMIT + BASE, "{block}: {} MiB", peak / MIB);
    }
}

fn measure(dir: &Path) {
    let open = || File::open(dir.join("packed"));
    let input = BufReader::new(open().unwrap());
    let out = File::create(dir.join("image")).unwrap();
    let limits = Limits { memory: LIMIT, threads: 16, ..Limits::default() };
    let unpacked = unpack(input, open, &out, &limits).unwrap();
    assert_eq!(unpacked.size, 192 * MIB);
    let status = fs::read_to_string("/proc/self/status").unwrap();
    let peak = status.lines().find(|line| line.starts_with("VmHWM:")).unwrap();
    let kib: u64 = peak.split_whitespace().nth(1).unwrap().parse().unwrap();
    fs::write(dir.join("peak"), (kib * 1024).to_string()).unwrap();
}
