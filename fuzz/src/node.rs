//! What nodes and clusters say.

use std::time::Duration;

use piflash::node::{Api, Kubeconfig, down, fuzzing};

use crate::files;

/// What the first byte of an input says of the rest.
pub(crate) fn answer(data: &[u8]) {
    let Some((first, rest)) = data.split_first() else { return };
    let text = String::from_utf8_lossy(rest);
    match first % 4 {
        0 => {
            if let Ok(status) = fuzzing::status(&text) {
                assert!(status.percent.is_none_or(|p| p <= 100));
                let texts = [&status.state, &status.step, &status.error];
                for text in texts {
                    assert!(!text.contains(char::is_control), "{text:?}");
                }
            }
        }
        1 => drop(fuzzing::nodes(rest)),
        2 => {
            let (list, health) = text.split_once("%%%").unwrap_or_default();
            let (name, address) = ("node1", "192.168.1.11");
            let _ = down::fuzzing::etcd(list, health, name, address);
        }
        _ => {
            let _ = down::fuzzing::servers(&text, "node1");
            let _ = down::fuzzing::registered(&text);
        }
    }
}

pub(crate) fn kubeconfig(data: &[u8]) {
    let dir = files::directory();
    let path = dir.path().join("kubeconfig");
    std::fs::write(&path, data).expect("room for a file");
    match Kubeconfig::load(&path) {
        Ok(found) => {
            let found = found.expect("the file is there");
            assert!(!found.authority.is_empty());
            assert!(!found.certificate.is_empty());
            let more = ["https://192.0.2.1:6443".to_owned()];
            // What it holds is looked at; nobody is asked.
            let _ = Api::new(&found, more, Duration::from_secs(1));
        }
        Err(error) => drop(error.to_string()),
    }
}
