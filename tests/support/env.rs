//! The program in an environment that holds nothing of the machine's.

use assert_cmd::Command;
use std::{
    fmt, fs,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
};

/// A directory to run in, gone when dropped.
pub struct Env {
    dir: tempfile::TempDir,
}

/// What a run gave.
#[derive(Clone, PartialEq, Eq)]
#[must_use]
pub struct Outcome {
    pub code: Option<i32>,
    pub stdout: String,
    pub stderr: String,
}

// For snapshots: all of it, as it looks.
impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.code {
            Some(code) => writeln!(f, "exit code {code}")?,
            None => writeln!(f, "killed")?,
        }
        write!(f, "--- stdout\n{}", self.stdout)?;
        write!(f, "--- stderr\n{}", self.stderr)
    }
}

impl fmt::Debug for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl Env {
    pub fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        fs::create_dir(dir.path().join("home")).unwrap();
        fs::create_dir(dir.path().join("work")).unwrap();
        Self { dir }
    }

    /// Where the program runs.
    pub fn work(&self) -> PathBuf {
        self.dir.path().join("work")
    }

    pub fn home(&self) -> PathBuf {
        self.dir.path().join("home")
    }

    /// Writes a file below [`Env::work`], with its directories.
    pub fn write(&self, path: &str, content: impl AsRef<[u8]>) {
        let path = self.work().join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, content).unwrap();
    }

    /// Reads a file below [`Env::work`].
    pub fn read(&self, path: &str) -> Vec<u8> {
        let path = self.work().join(path);
        fs::read(&path)
            .unwrap_or_else(|error| panic!("{}: {error}", path.display()))
    }

    /// Gives node3 and the clusters the identity of
    /// `tests/fixtures/identity`, so that what is built does not depend on
    /// randomness.
    pub fn known_identity(&self) {
        let from = super::repository().join("tests/fixtures/identity");
        for (dir, to) in
            [("node3", "nodes/node3"), ("k3s", "k3s"), ("k8s", "k8s")]
        {
            let from = from.join(dir);
            for file in super::files_under(&from) {
                let name = file.strip_prefix(&from).unwrap();
                let name = format!("build/secrets/{to}/{}", name.display());
                self.write(&name, fs::read(&file).unwrap());
                self.chmod(&name, 0o600);
            }
        }
        let nodes = ["", "/nodes", "/nodes/node3"];
        let k3s = ["/k3s", "/k3s/tls", "/k3s/tls/etcd"];
        let k8s = ["/k8s", "/k8s/pki", "/k8s/pki/etcd"];
        for dir in nodes.into_iter().chain(k3s).chain(k8s) {
            self.chmod(&format!("build/secrets{dir}"), 0o700);
        }
    }

    pub fn chmod(&self, path: &str, mode: u32) {
        let mode = fs::Permissions::from_mode(mode);
        fs::set_permissions(self.work().join(path), mode).unwrap();
    }

    /// The program, ready to be given arguments.
    pub fn command(&self) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_piflash"));
        command
            .env_clear()
            .env("PATH", "/usr/bin:/bin")
            .env("HOME", self.home())
            .env("TMPDIR", self.dir.path())
            .env("LC_ALL", "C.UTF-8")
            .env("TZ", "UTC")
            .env("SOURCE_DATE_EPOCH", super::image::TIME.to_string())
            .current_dir(self.work());
        command
    }

    /// Runs the program; paths in its output become `$WORK`, `$HOME` and
    /// `$REPOSITORY`.
    pub fn run(&self, args: &[&str]) -> Outcome {
        self.run_with(&[], args)
    }

    /// The same with environment variables.
    pub fn run_with(&self, vars: &[(&str, &str)], args: &[&str]) -> Outcome {
        let mut command = self.command();
        command.envs(vars.iter().copied()).args(args);
        let output = command.output().unwrap();
        let shown = |bytes: &[u8]| self.shown(&String::from_utf8_lossy(bytes));
        Outcome {
            code: output.status.code(),
            stdout: shown(&output.stdout),
            stderr: shown(&output.stderr),
        }
    }

    fn shown(&self, text: &str) -> String {
        let place = |path: &Path| path.display().to_string();
        text.replace(&place(&self.work()), "$WORK")
            .replace(&place(&self.home()), "$HOME")
            .replace(&place(self.dir.path()), "$TMPDIR")
            .replace(&place(super::repository()), "$REPOSITORY")
    }
}
