//! GnuPG, the judge of signatures that is not ours.

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Command, Output},
};

/// A home directory of GnuPG's, gone when dropped.
pub struct Gpg {
    dir: tempfile::TempDir,
}

impl Gpg {
    pub fn new() -> Self {
        Self { dir: tempfile::tempdir().unwrap() }
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    fn command(&self, time: &str) -> Command {
        let mut command = Command::new("gpg");
        command
            .env_clear()
            .env("PATH", "/usr/bin:/bin")
            .env("LC_ALL", "C.UTF-8")
            .env("GNUPGHOME", self.dir.path())
            .current_dir(self.dir.path())
            .args(["--batch", "--yes", "--quiet", "--no-tty"])
            .args(["--pinentry-mode", "loopback", "--passphrase", ""])
            // Else a key made and used in one second may be too young.
            .arg("--ignore-time-conflict")
            // Not on the network, and no more than what is asked.
            .args(["--no-auto-key-retrieve", "--trust-model", "always"]);
        if !time.is_empty() {
            command.args(["--faked-system-time", &format!("{time}!")]);
        }
        command
    }

    fn output(&self, time: &str, args: &[&str]) -> Output {
        self.command(time).args(args).output().unwrap_or_else(|error| {
            panic!("gpg: {error} (Debian package gnupg)")
        })
    }

    /// Runs it at `time` (`20260101T000000`; empty: now) and returns its
    /// output.
    pub fn run_at(&self, time: &str, args: &[&str]) -> Vec<u8> {
        let output = self.output(time, args);
        assert!(
            output.status.success(),
            "gpg {args:?}: {}",
            String::from_utf8_lossy(&output.stderr)
        );
        output.stdout
    }

    pub fn run(&self, args: &[&str]) -> Vec<u8> {
        self.run_at("", args)
    }

    /// Runs it with answers to its questions.
    pub fn talk(
        &self,
        time: &str,
        args: &[&str],
        answers: fs::File,
    ) -> Vec<u8> {
        let mut command = self.command(time);
        let output =
            command.arg("--no-batch").args(args).stdin(answers).output();
        let output = output.expect("gpg (Debian package gnupg)");
        assert!(
            output.status.success(),
            "gpg {args:?}: {}",
            String::from_utf8_lossy(&output.stderr)
        );
        output.stdout
    }

    /// Whether it believes a detached signature.
    pub fn believes(&self, signature: &[u8], data: &[u8]) -> bool {
        self.write("judged.sig", signature);
        self.write("judged", data);
        self.output("", &["--verify", "judged.sig", "judged"]).status.success()
    }

    pub fn write(&self, name: &str, content: &[u8]) {
        fs::write(self.path(name), content).unwrap();
    }

    /// Makes a key and returns its fingerprint.
    pub fn key(&self, time: &str, name: &str, rest: &[&str]) -> String {
        let args = [&["--quick-generate-key", name], rest].concat();
        self.run_at(time, &args);
        let list = self.run(&["--with-colons", "--list-keys", name]);
        let list = String::from_utf8(list).unwrap();
        let line = list.lines().find(|line| line.starts_with("fpr:"));
        line.unwrap().split(':').nth(9).unwrap().to_owned()
    }

    /// Signs `data` with the key of that name.
    pub fn sign(
        &self,
        time: &str,
        name: &str,
        data: &[u8],
        rest: &[&str],
    ) -> Vec<u8> {
        self.write("signed", data);
        let end = ["--local-user", name, "--detach-sign", "signed"];
        let args = [rest, &["--output", "-"], &end].concat();
        self.run_at(time, &args)
    }

    pub fn export(&self, name: &str) -> Vec<u8> {
        self.run(&["--export", name])
    }
}

impl Drop for Gpg {
    fn drop(&mut self) {
        // The agent of this home directory only.
        let home: &Path = self.dir.path();
        let _ = Command::new("gpgconf")
            .arg("--homedir")
            .arg(home)
            .args(["--kill", "all"])
            .output();
    }
}
