//! An archive of one package, behind a proxy with a name and a password: the
//! only one that the lab images know.

use crate::{
    site::GATEWAY,
    support::{
        oracle::run,
        server::{Request, Server},
        sha256,
    },
};
use std::{fs, os::unix::fs::PermissionsExt};

/// The package, and what it says while it is half configured.
pub const PACKAGE: &str = "piflash-proof";
pub const HALF_CONFIGURED: &str = "lab: the package is half configured";

/// The password that the proxy wants.
pub const PASSWORD: &str = "p4ss-for-the-proxy";

/// Long enough for a power cut in the middle.
const POSTINST: &str = "#!/bin/sh
echo 'lab: the package is half configured' >/dev/console
sleep 4
";

const CONTROL: &str = "Package: piflash-proof
Version: 1.0
Architecture: all
Maintainer: nobody <nobody@localhost>
Description: proves that packages are installed
";

pub struct Archive {
    server: Server,
}

impl Archive {
    /// A proxy that does not find anything yet.
    pub fn start() -> Self {
        Self { server: Server::start() }
    }

    /// For `proxy_url`: on the guest's gateway, which is the host.
    pub fn proxy(&self) -> String {
        let url = self.server.url("");
        let port = url.rsplit(':').next().unwrap();
        format!("http://lab:{PASSWORD}@{GATEWAY}:{port}")
    }

    /// From now on it has the package.
    pub fn open(&self) {
        let dir = tempfile::tempdir().unwrap();
        let tree = dir.path().join("tree");
        let control = tree.join("DEBIAN");
        fs::create_dir_all(&control).unwrap();
        let mode = fs::Permissions::from_mode(0o755);
        fs::set_permissions(&control, mode.clone()).unwrap();
        fs::write(control.join("control"), CONTROL).unwrap();
        let postinst = control.join("postinst");
        fs::write(&postinst, POSTINST).unwrap();
        fs::set_permissions(&postinst, mode).unwrap();
        let file = dir.path().join("proof.deb");
        let (from, to) = (tree.to_str().unwrap(), file.to_str().unwrap());
        let how = ["--root-owner-group", "-Zgzip", "--build", from, to];
        run("dpkg-deb", &how).unwrap();
        let deb = fs::read(&file).unwrap();
        let packages = format!(
            "{CONTROL}Filename: ./proof.deb\nSize: {}\nSHA256: {}\n\n",
            deb.len(),
            sha256(&deb)
        );
        // Of now: a node whose clock is before the build refuses it as not
        // valid yet.
        let date = run("date", &["-u", "-R"]).unwrap();
        let date = String::from_utf8(date).unwrap();
        let date = date.trim().replace("+0000", "UTC");
        let release = format!(
            "Origin: lab\nSuite: lab\nDate: {date}\n\
             SHA256:\n {} {} Packages\n",
            sha256(packages.as_bytes()),
            packages.len(),
        );
        self.server.put("/lab/proof.deb", &deb);
        self.server.put("/lab/Packages", packages.as_bytes());
        self.server.put("/lab/Release", release.as_bytes());
    }

    /// What came so far, all of it with the password.
    pub fn requests(&self) -> Vec<Request> {
        let requests = self.server.requests();
        for request in &requests {
            let told = request.header("proxy-authorization");
            assert!(told.is_some(), "{request:?}");
        }
        requests
    }
}
