//! Debian packages and repositories of a test's own.

use crate::support::{gpg::Gpg, oracle::run, server::Server, sha256};
use std::{fs, os::unix::fs::PermissionsExt};

/// What goes into a package: path, mode and content. A maintainer script is
/// a file in `/DEBIAN`.
pub type Files<'f> = [(&'f str, u32, &'f [u8])];

/// A package, and what a repository says of it.
pub struct Package {
    control: String,
    deb: Vec<u8>,
}

impl Package {
    /// Makes one; `control` has whole lines, with the last newline.
    pub fn make(control: &str, files: &Files<'_>) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let tree = dir.path().join("tree");
        let put = |path: &str, mode: u32, content: &[u8]| {
            let path = tree.join(path.trim_start_matches('/'));
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(&path, content).unwrap();
            fs::set_permissions(&path, fs::Permissions::from_mode(mode))
                .unwrap();
        };
        put("/DEBIAN/control", 0o644, control.as_bytes());
        let mode = fs::Permissions::from_mode(0o755);
        fs::set_permissions(tree.join("DEBIAN"), mode).unwrap();
        for (path, mode, content) in files {
            put(path, *mode, content);
        }
        let file = dir.path().join("it.deb");
        let (from, to) = (tree.to_str().unwrap(), file.to_str().unwrap());
        let how = ["--root-owner-group", "-Zgzip", "-z1", "--build", from, to];
        run("dpkg-deb", &how).unwrap();
        let deb = fs::read(&file).unwrap();
        Self { control: control.to_owned(), deb }
    }

    fn field(&self, name: &str) -> &str {
        let mut lines = self.control.lines();
        let value =
            lines.find_map(|l| l.strip_prefix(name)?.strip_prefix(": "));
        value.unwrap()
    }
}

/// Puts a flat repository on a server; signed, if there is somebody to.
pub fn publish(
    server: &Server,
    path: &str,
    packages: &[Package],
    signer: Option<&Gpg>,
) {
    let mut list = String::new();
    for package in packages {
        let name = format!(
            "{}_{}.deb",
            package.field("Package"),
            package.field("Version")
        );
        list += &format!(
            "{}Filename: ./{name}\nSize: {}\nSHA256: {}\n\n",
            package.control,
            package.deb.len(),
            sha256(&package.deb)
        );
        server.put(&format!("{path}/{name}"), &package.deb);
    }
    // apt refuses it as not valid yet where the clock is before that. An
    // hour, as a node that is off, or emulated, is late by minutes.
    let date = run("date", &["-u", "-R", "-d", "-1 hour"]).unwrap();
    let date = String::from_utf8(date).unwrap();
    let date = date.trim().replace("+0000", "UTC");
    let release = format!(
        "Origin: lab\nSuite: lab\nDate: {date}\nSHA256:\n {} {} Packages\n",
        sha256(list.as_bytes()),
        list.len(),
    );
    server.put(&format!("{path}/Packages"), list.as_bytes());
    server.put(&format!("{path}/Release"), release.as_bytes());
    if let Some(gpg) = signer {
        fs::write(gpg.path("Release"), &release).unwrap();
        let signed = gpg.run_at("", &["--clearsign", "-o", "-", "Release"]);
        server.put(&format!("{path}/InRelease"), &signed);
    }
}
