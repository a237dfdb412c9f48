//! The program and HTTPS: certificates, proxies, and the vendors' own names.

use crate::support::{
    env::{Env, Outcome},
    server::Step,
    tls::{Authority, Names, Tls, Tunnel},
    vendor::Vendor,
};
use std::{fs, time::Duration};

const GOOD: (i32, i32) = (2020, 2100);

/// A vendor behind TLS, and a machine that wants its image.
struct Shop {
    vendor: Vendor,
    tls: Tls,
    env: Env,
}

impl Shop {
    /// The machine trusts `trusted`, the certificate is made by `by`.
    fn new(trusted: &Authority, by: &Authority, names: &Names) -> Self {
        let vendor = Vendor::start(1, Duration::ZERO);
        let tls = Tls::before(&vendor.server, by, names);
        let shop = Self { vendor, tls, env: Env::new() };
        shop.wants(&shop.tls.url(&shop.vendor.images[0].path));
        shop.env.write("ca.pem", trusted.pem());
        shop
    }

    fn wants(&self, url: &str) {
        let sha256 = &self.vendor.images[0].sha256;
        self.env.write(
            "inventory.yml",
            format!(
                "all:\n  hosts:\n    node1: {{ansible_host: 10.0.0.1}}\n\
                 \x20 vars:\n    ssh_authorized_keys: []\n\
                 \x20   image: {url}\n    image_sha256: {sha256}\n"
            ),
        );
    }

    fn build(&self, vars: &[(&str, &str)]) -> Outcome {
        let ca = self.env.work().join("ca.pem");
        let trust = ("SSL_CERT_FILE", ca.to_str().unwrap());
        let vars = [&[trust], vars].concat();
        self.env.run_with(&vars, &["build", "node1"])
    }

    /// Builds, and looks that nothing came of it.
    fn refused(&self, vars: &[(&str, &str)], said: &[&str]) {
        let outcome = self.build(vars);
        assert_eq!(outcome.code, Some(1), "{outcome}");
        for words in said {
            assert!(outcome.stderr.contains(words), "`{words}`: {outcome}");
        }
        assert!(!self.env.work().join("build").exists(), "{outcome}");
        let images = self.env.home().join(".cache/piflash/images");
        assert_eq!(fs::read_dir(images).map_or(0, Iterator::count), 0);
        assert_eq!(self.vendor.asked(), [""; 0], "{outcome}");
    }
}

#[test]
fn a_certificate_of_a_trusted_ca_is_good_also_for_the_rest() {
    let ca = Authority::new("the company's");
    let shop =
        Shop::new(&ca, &ca, &Names { hosts: &["localhost"], valid: GOOD });
    shop.vendor
        .server
        .script(&shop.vendor.images[0].path, [Step::Cut(900_000)]);
    let outcome = shop.build(&[]);
    assert_eq!(outcome.code, Some(0), "{outcome}");
    let requests = shop.vendor.server.requests();
    assert_eq!(requests.len(), 2);
    assert_eq!(requests[1].header("range"), Some("bytes=900000-"));
    assert!(!shop.env.read("build/images/node1.img").is_empty());
}

/// Refused at once: another try would see the same certificate.
#[test]
fn bad_certificates_are_refused_and_the_hint_fits() {
    let ca = Authority::new("ours");
    let stranger = Authority::new("a stranger's");
    let local = &["localhost"][..];
    for (by, hosts, valid, said) in [
        (&stranger, local, GOOD, &["UnknownIssuer", "SSL_CERT_FILE"][..]),
        (&ca, local, (2020, 2021), &["expired", "clock"]),
        (&ca, local, (2099, 2100), &["not valid yet", "clock"]),
        (&ca, &["else.invalid"], GOOD, &["else.invalid", "another server"]),
    ] {
        let shop = Shop::new(&ca, by, &Names { hosts, valid });
        shop.refused(&[], &[said, &["certificate is refused"]].concat());
        assert_eq!(shop.tls.connections(), 1);
    }
}

#[test]
fn without_any_ca_there_is_no_https() {
    let ca = Authority::new("ours");
    let shop =
        Shop::new(&ca, &ca, &Names { hosts: &["localhost"], valid: GOOD });
    for (ca, said) in [
        ("/nonexistent.pem", "SSL_CERT_FILE"),
        ("/dev/null", "ca-certificates"),
    ] {
        let vars = [("SSL_CERT_FILE", ca)];
        shop.refused(&vars, &["HTTPS cannot be set up", said]);
    }
    assert_eq!(shop.tls.connections(), 0);
}

#[test]
fn nobody_leads_from_https_to_http() {
    let ca = Authority::new("ours");
    let shop =
        Shop::new(&ca, &ca, &Names { hosts: &["localhost"], valid: GOOD });
    let path = &shop.vendor.images[0].path;
    let to = vec![("Location", shop.vendor.server.url(path))];
    shop.vendor.server.script(path, [Step::Status(302, to)]);
    let outcome = shop.build(&[]);
    assert_eq!(outcome.code, Some(1), "{outcome}");
    assert!(outcome.stderr.contains("from https to http"), "{outcome}");
    assert_eq!(shop.vendor.asked().len(), 1);
    // To another path of https it may.
    let to = vec![("Location", shop.tls.url(path))];
    shop.vendor.server.script(path, [Step::Status(302, to)]);
    let outcome = shop.build(&[]);
    assert_eq!(outcome.code, Some(0), "{outcome}");
}

/// Nobody but the proxy knows the host.
#[test]
fn a_proxy_tunnels_and_its_password_is_not_shown() {
    let ca = Authority::new("ours");
    let host = "images.invalid";
    let shop = Shop::new(&ca, &ca, &Names { hosts: &[host], valid: GOOD });
    let path = &shop.vendor.images[0].path;
    shop.wants(&format!("https://{host}{path}"));
    let tunnel = Tunnel::to(shop.tls.address(), true);
    let wrong = tunnel.url("wrong");
    let outcome = shop.build(&[("https_proxy", &wrong)]);
    assert_eq!(outcome.code, Some(1), "{outcome}");
    assert!(outcome.stderr.contains("wants a password"), "{outcome}");
    assert!(!outcome.stderr.contains("wrong"), "{outcome}");
    assert_eq!(tunnel.asked(), ["images.invalid:443"]);
    let outcome = shop.build(&[("https_proxy", &tunnel.url("secret"))]);
    assert_eq!(outcome.code, Some(0), "{outcome}");
    assert_eq!(tunnel.asked(), ["images.invalid:443"]);
    assert_eq!(shop.vendor.asked(), [path.as_str()]);
}
