//! What kubeadm is told that only the running node knows, and what of its
//! words reaches people.

use super::cluster::{Shown, node, remote, run, seed};
use crate::firstboot::{
    certificates::certificate,
    node::{Node, SHELLS},
};

const INIT: &str = "55-k8s-init";
const JOIN: &str = "55-k8s-join";
const HOUR: i64 = 3600;
const YEAR: i64 = 365 * 24 * HOUR;

fn now() -> i64 {
    time::OffsetDateTime::now_utc().unix_timestamp()
}

/// A configuration with what is replaced on the node, in both forms.
fn configure(node: &Node<'_>) {
    node.write(
        "etc/piflash/k8s/kubeadm.yaml",
        "kubernetesVersion: v1.37.0\n\
         certificateValidityPeriod: 8760h0m0s\n\
         nodeRegistration:\n  kubeletExtraArgs:\n\
         \x20 - name: resolv-conf\n    value: \"/etc/resolv.conf\"\n\
         \x20 - name: node-labels\n    value: \"a=b\"\n\
         old:\n    resolv-conf: \"/etc/resolv.conf\"\n",
    );
}

fn authorities(node: &Node<'_>, first: i64, other: i64) {
    seed(node);
    let of = |end: i64| certificate(now() - YEAR, end);
    node.write("etc/piflash/k8s/pki/ca.crt", of(other));
    node.write("etc/piflash/k8s/pki/etcd/ca.crt", of(first));
}

/// The packages are held, so no upgrade renews a certificate within kubeadm's
/// own year. The card may lie in a drawer: what counts is the node's clock.
#[test]
fn certificates_are_good_for_as_long_as_their_authorities() {
    for shell in SHELLS {
        for years in [9, 1] {
            let node = node(shell, &[INIT]);
            let end = now() + years * YEAR;
            authorities(&node, end, end + YEAR);
            configure(&node);
            run(&node, INIT).unwrap();
            let config = node.read("told-config");
            let hours: i64 = config
                .split_once("certificateValidityPeriod: ")
                .and_then(|(_, rest)| rest.split_once("h0m0s\n"))
                .unwrap_or_else(|| panic!("{config}"))
                .0
                .parse()
                .unwrap();
            // kubeadm counts from when it runs.
            let left = end - now() - hours * HOUR;
            assert!((0..3 * HOUR).contains(&left), "{left}: {config}");
        }
        let node = node(shell, &[INIT]);
        authorities(&node, now() + HOUR, now() + YEAR);
        configure(&node);
        let failed = run(&node, INIT).unwrap_err();
        assert!(failed.contains("authorities end at 20"), "{failed}");
        seed(&node);
        node.remove("etc/piflash/k8s/pki/etcd/ca.crt");
        let failed = run(&node, INIT).unwrap_err();
        assert!(failed.contains("no certificate of an auth"), "{failed}");
    }
}

/// The cluster's configuration of kubelets has that of the first master, who
/// may have another system.
#[test]
fn each_node_has_its_own_name_servers() {
    for shell in SHELLS {
        for (resolved, path) in [
            (true, "/run/systemd/resolve/resolv.conf"),
            (false, "/etc/resolv.conf"),
        ] {
            let node = node(shell, &[JOIN]);
            remote(&node, &["10.0.0.1:6443"]);
            configure(&node);
            let text = node.read("etc/piflash/k8s/kubeadm.yaml");
            let text = text.replace("certificateValidityPeriod", "other");
            node.write("etc/piflash/k8s/kubeadm.yaml", text);
            if resolved {
                node.write("resolved", "");
            }
            run(&node, JOIN).unwrap();
            let config = node.read("told-config");
            for part in [
                format!("  - name: resolv-conf\n    value: {path}\n"),
                "  - name: node-labels\n    value: \"a=b\"\n".to_owned(),
                format!("old:\n    resolv-conf: {path}\n"),
            ] {
                let config = config.replace('"', "");
                let part = part.replace('"', "");
                assert!(config.contains(&part), "{part}: {config}");
            }
        }
    }
}

/// Up to 1.33 its checks are part of the error; since then they come before a
/// last line that is always the same. What looks at the system has colours,
/// and nothing turns them off.
#[test]
fn the_reason_is_that_of_kubeadms_checks() {
    const OLD: &str = "\
error execution phase preflight: [preflight] Some fatal errors occurred:
\t[ERROR Swap]: running with swap on is not supported
\t[ERROR Port-6443]: Port 6443 is in use
[preflight] If you know what you are doing, you can make a check non-fatal \
with `--ignore-preflight-errors=...`
To see the stack trace of this error execute with --v=5 or higher
";
    const NEW: &str = "\
W1130 06:40:00.000000    1234 initconfiguration.go:362] WARNING: \
certificateValidityPeriod: the value 87408h0m0s is more than the recommended
[preflight] Running pre-flight checks
[preflight] The system verification failed. Printing the output from the \
verification:
\x1b[0;37mKERNEL_VERSION\x1b[0m: \x1b[0;32m6.12.47\x1b[0m
\x1b[0;37mCGROUPS_MEMORY\x1b[0m: \x1b[0;31mmissing\x1b[0m
[preflight] Some fatal errors occurred:
\t[ERROR Swap]: running with swap on is not supported
\t[ERROR Port-6443]: Port 6443 is in use
[preflight] If you know what you are doing, you can make a check non-fatal \
with `--ignore-preflight-errors=...`
error: error execution phase preflight: preflight checks failed
To see the stack trace of this error execute with --v=5 or higher
";
    for shell in SHELLS {
        for text in [OLD, NEW] {
            let node = node(shell, &[INIT]);
            seed(&node);
            node.write("says", text);
            let Shown { status, log } = Shown::of_failing(
                &node,
                "[ \"$1\" != version ] || { echo v1.37.1; exit; }\n\
                 cat \"$PIFLASH_ROOT/says\" >&2; exit 1",
            );
            assert_eq!(
                status["error"],
                "kubeadm init failed: [ERROR Swap]: running with swap on is \
                 not supported; [ERROR Port-6443]: Port 6443 is in use"
            );
            assert!(!log.contains('\x1b'), "{log:?}");
            assert!(!log.contains("[0;"), "{log}");
            if text == NEW {
                assert!(log.contains("CGROUPS_MEMORY: missing\n"), "{log}");
            }
            assert!(!node.exists("run/piflash/kubeadm.output"));
        }
    }
}
