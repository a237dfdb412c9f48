//! How long the certificates of a member of a cluster are still good for.

use std::{
    fs::{self, File},
    time::{Duration, SystemTime},
};

use base64::{Engine, engine::general_purpose::STANDARD};
use rcgen::{CertificateParams, KeyPair};
use serde_json::Value;
use time::OffsetDateTime;

use super::node::{Node, SHELLS, Shell};

const TOOL: &str = "piflash-node";
const APISERVER: &str = "etc/kubernetes/pki/apiserver.crt";
const KUBELET: &str = "var/lib/kubelet/pki/kubelet-client-current.pem";
const DAY: i64 = 86_400;
/// So that a day that is almost over does not become another number.
const HOUR: i64 = 3600;

fn now() -> i64 {
    OffsetDateTime::now_utc().unix_timestamp()
}

/// A certificate of these times, in seconds since 1970.
pub fn certificate(begin: i64, end: i64) -> String {
    let time = |s| OffsetDateTime::from_unix_timestamp(s).unwrap();
    let mut params = CertificateParams::new(["x".to_owned()]).unwrap();
    (params.not_before, params.not_after) = (time(begin), time(end));
    params.self_signed(&KeyPair::generate().unwrap()).unwrap().pem()
}

/// One that began a while ago, and ends in so many days.
fn ends_in(days: i64) -> String {
    certificate(now() - 300 * DAY, now() + days * DAY + HOUR)
}

fn master(shell: &Shell) -> Node<'_> {
    let node = Node::new(shell, &[]);
    node.install("certificates.sh", "certificates.sh");
    node.write("etc/kubernetes/pki/ca.crt", ends_in(3000));
    node.write("etc/kubernetes/pki/etcd/ca.crt", ends_in(3000));
    node.write(APISERVER, ends_in(100));
    node.provision();
    node
}

fn status(node: &Node<'_>) -> Value {
    let output = node.run(TOOL, &["status"]);
    assert!(output.stderr.is_empty(), "{output:?}");
    serde_json::from_slice(&output.stdout)
        .unwrap_or_else(|error| panic!("{error}: {output:?}"))
}

fn first(node: &Node<'_>) -> (i64, String) {
    let status = status(node);
    assert_eq!(status["state"], "done", "{status}");
    let found = &status["certificates"];
    let file = found["file"].as_str().unwrap_or_else(|| panic!("{status}"));
    (found["days"].as_i64().unwrap(), file.to_owned())
}

#[test]
fn status_names_what_ends_first() {
    for shell in SHELLS {
        let node = master(shell);
        assert_eq!(first(&node), (100, format!("/{APISERVER}")));
        let text = node.run(TOOL, &["status", "--text"]).stdout;
        let text = String::from_utf8(text).unwrap();
        let said = format!("certs:   100 days left (/{APISERVER})\n");
        assert!(text.ends_with(&said), "{text}");
        // A kubeconfig has its certificate in base64, once more.
        let data = STANDARD.encode(ends_in(50));
        let text =
            format!("users:\n- user:\n    client-certificate-data: {data}\n");
        node.write("etc/kubernetes/scheduler.conf", text);
        let scheduler = "/etc/kubernetes/scheduler.conf".to_owned();
        assert_eq!(first(&node), (50, scheduler));
        // Of several in one file, each counts.
        let both = ends_in(2000) + &ends_in(7);
        let k3s = "var/lib/rancher/k3s/agent/client-kubelet.crt";
        node.write(k3s, both);
        assert_eq!(first(&node), (7, format!("/{k3s}")));
        // What is over has less than no days left.
        node.write(APISERVER, ends_in(-3));
        assert_eq!(first(&node).0, -3);
        node.write(APISERVER, "no certificate\n");
        node.remove(k3s);
        node.remove("etc/kubernetes/scheduler.conf");
        assert_eq!(first(&node).0, 3000);
    }
}

/// The two forms that times have in certificates, and days of every kind.
#[test]
fn times_are_read_as_openssl_reads_them() {
    for shell in SHELLS {
        let node = master(shell);
        for end in [
            // 2049-12-31T23:59:59Z, and a second later.
            2_524_607_999,
            2_524_608_000,
            // 2028-02-29T12:34:56Z, 2100-03-01T00:00:00Z
            1_835_440_496,
            4_107_542_400,
        ] {
            let pem = certificate(end - DAY, end);
            node.write("it.pem", &pem);
            let script = ". \"$PIFLASH_ROOT/usr/local/lib/piflash/\
                          certificates.sh\"\n\
                          certificate_ends \"$PIFLASH_ROOT/it.pem\"";
            node.script("usr/local/lib/piflash/ask", script);
            let said = node.run("ask", &[]).stdout;
            let said = String::from_utf8(said).unwrap();
            let path = node.path("it.pem");
            let wanted = format!("{} {end} {}\n", end - DAY, path.display());
            assert_eq!(said, wanted, "{shell:?}");
        }
    }
}

/// The kubelet renews its own in the last third of its life.
#[test]
fn what_is_renewed_by_itself_counts_once_that_has_failed() {
    for shell in SHELLS {
        let node = master(shell);
        let year = |left: i64| {
            let end = now() + left * DAY + HOUR;
            certificate(end - 365 * DAY, end)
        };
        node.write(KUBELET, year(40));
        assert_eq!(first(&node).0, 100);
        node.write(KUBELET, year(10));
        assert_eq!(first(&node), (10, format!("/{KUBELET}")));
    }
}

#[test]
fn who_may_not_read_certificates_gets_what_root_has_read() {
    for shell in SHELLS {
        let mut node = master(shell);
        node.program(
            "sudo",
            "echo \"$*\" >>$PIFLASH_ROOT/asked\n\
             [ ! -e $PIFLASH_ROOT/no-sudo ] || exit 1\n\
             shift\nID=0 exec \"$@\"",
        );
        node.set("ID", "1000");
        node.write("no-sudo", "");
        assert_eq!(status(&node)["certificates"], Value::Null);
        node.remove("no-sudo");
        assert_eq!(first(&node).0, 100);
        // Not asked again within the hour: sudo writes down every use.
        node.write(APISERVER, ends_in(90));
        assert_eq!(first(&node).0, 100);
        assert_eq!(node.read("asked").lines().count(), 2);
        let known = node.path("run/piflash/certificates");
        let earlier = SystemTime::now() - Duration::from_secs(2 * 3600);
        File::options()
            .write(true)
            .open(known)
            .unwrap()
            .set_modified(earlier)
            .unwrap();
        assert_eq!(first(&node).0, 90);
    }
}

/// Nothing is said of a node that is not built, or taken down.
#[test]
fn only_a_member_that_is_done_has_certificates() {
    for shell in SHELLS {
        let node = master(shell);
        node.write("var/lib/piflash/down", "");
        assert_eq!(status(&node)["certificates"], Value::Null);
        node.remove("var/lib/piflash/down");
        node.remove("var/lib/piflash/done");
        assert_eq!(status(&node)["certificates"], Value::Null);
        node.write("var/lib/piflash/done", "");
        for path in ["etc/kubernetes", "var/lib/kubelet"] {
            drop(fs::remove_dir_all(node.path(path)));
        }
        assert_eq!(status(&node)["certificates"], Value::Null);
    }
}
