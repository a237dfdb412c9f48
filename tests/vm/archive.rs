//! An archive of one package, behind a proxy with a name and a password: the
//! only one that the lab images know.

use crate::{
    machine::Kind,
    repository::{Package, publish},
    site::GATEWAY,
    support::server::{Request, Server},
};

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
        let servers = Kind::of_test().servers();
        Self { server: Server::start_on(servers) }
    }

    /// For `proxy_url`: on the guest's gateway, which is the host.
    pub fn proxy(&self) -> String {
        let url = self.server.url("");
        let port = url.rsplit(':').next().unwrap();
        format!("http://lab:{PASSWORD}@{GATEWAY}:{port}")
    }

    /// From now on it has the package.
    pub fn open(&self) {
        let postinst = ("/DEBIAN/postinst", 0o755, POSTINST.as_bytes());
        let package = Package::make(CONTROL, &[postinst]);
        publish(&self.server, "/lab", &[package], None);
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
