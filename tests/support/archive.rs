//! Archives, made by the tools that users have.

use std::{
    fs,
    io::Write,
    process::{Command, Stdio},
};

/// Runs a compressor on `input`.
pub fn pipe(program: &str, args: &[&str], input: &[u8]) -> Vec<u8> {
    let mut child = Command::new(program)
        .args(args)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap_or_else(|e| panic!("{program} ({program} package): {e}"));
    let mut stdin = child.stdin.take().unwrap();
    let output = std::thread::scope(|scope| {
        scope.spawn(move || stdin.write_all(input).unwrap());
        child.wait_with_output().unwrap()
    });
    assert!(output.status.success(), "{program} {args:?}");
    output.stdout
}

pub fn xz(input: &[u8]) -> Vec<u8> {
    pipe("xz", &["-1", "-T2", "--block-size=524288"], input)
}

/// Zips files by name, with Debian's zip.
pub fn zip(files: &[(&str, &[u8])]) -> Vec<u8> {
    let dir = tempfile::tempdir().unwrap();
    let mut command = Command::new("zip");
    command.args(["-q", "-1", "out.zip"]).current_dir(dir.path());
    for (name, content) in files {
        fs::write(dir.path().join(name), content).unwrap();
        command.arg(name);
    }
    let status = command.status().expect("zip (Debian package zip)");
    assert!(status.success());
    fs::read(dir.path().join("out.zip")).unwrap()
}
