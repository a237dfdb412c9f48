//! No secret of a site is where others than root can read it.

use crate::{guest::Guest, node::Node};
use std::fs;

/// The guest's logs and journal.
pub fn assert_none_in_logs(guest: &Guest<'_>) {
    let secrets = guest.node().site.secrets();
    for (what, script) in [
        ("the logs", "sudo tar -C / -c var/log run/log 2>/dev/null | cat"),
        ("the journal", "sudo journalctl -o export --no-pager"),
        (
            "the status",
            "sudo piflash-node status; sudo piflash-node status --text",
        ),
        ("the processes", "ps axww"),
    ] {
        let output = guest.try_sh(script);
        assert!(output.status.success(), "{script}: {output:?}");
        assert!(output.stdout.len() > 40, "{script}: {output:?}");
        assert_none(what, &output.stdout, &secrets);
    }
}

/// The console of all power-ons, and the FAT, deleted files too. For a node
/// that is off.
pub fn assert_none_outside(node: &Node) {
    let secrets = node.site.secrets();
    let console = fs::read(node.console()).unwrap();
    let login = format!("{} login: ", node.name);
    assert!(find(&console, login.as_bytes()).is_some());
    assert_none("the console", &console, &secrets);
    assert_none("the FAT", &node.boot_bytes(), &secrets);
}

fn assert_none(what: &str, bytes: &[u8], secrets: &[String]) {
    for secret in secrets {
        if let Some(at) = find(bytes, secret.as_bytes()) {
            let start = at.saturating_sub(200);
            let around = &bytes[start..bytes.len().min(at + 200)];
            let around = String::from_utf8_lossy(around);
            panic!("{what} has a secret at {at}: {around}");
        }
    }
}

fn find(bytes: &[u8], text: &[u8]) -> Option<usize> {
    let first = text[0];
    let mut from = 0;
    while let Some(at) = bytes[from..].iter().position(|b| *b == first) {
        let at = from + at;
        if bytes[at..].starts_with(text) {
            return Some(at);
        }
        from = at + 1;
    }
    None
}

#[test]
fn a_secret_is_found() {
    let secrets = ["not there".to_owned(), "s3cret".to_owned()];
    assert_none("a text", b"s3cre sss3cre", &secrets);
    let bytes = [&[b's'; 300][..], b"s3cret"].concat();
    let found = std::panic::catch_unwind(|| {
        assert_none("a text", &bytes, &secrets);
    });
    assert!(found.is_err());
}
