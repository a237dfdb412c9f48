//! What `piflash-node status` says of a node.

use std::{sync::atomic::AtomicBool, time::Duration};

use serde::{Deserialize, Serialize};

use super::{
    ssh::{Failure, Output, Request, Ssh},
    text::{clean, last_lines},
};

/// The format of `piflash-node status` that is known here.
const VERSION: u64 = 1;
/// It is less than 1 KiB.
const LARGEST: u64 = 16 << 10;

/// How far a node has come. Texts are clean.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct NodeStatus {
    /// `not started`, `running`, `waiting`, `rebooting`, `done`,
    /// `going down`, `down`, or what a later version calls it.
    pub state: String,
    /// The step at work, or empty.
    pub step: String,
    /// The step's attempt, from 1.
    pub attempt: Option<u64>,
    /// Steps that are done.
    pub done: Option<u64>,
    /// Steps that there are.
    pub steps: Option<u64>,
    /// 0 to 100.
    pub percent: Option<u64>,
    /// Since when, by the node's clock, or empty.
    pub since: String,
    /// The last error, or empty.
    pub error: String,
    /// The last line that the step at work has printed, or empty.
    pub output: String,
    /// The certificate that ends first, on a member of a cluster.
    pub certificate: Option<Box<CertificateEnd>>,
}

/// A certificate of a node that ends.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct CertificateEnd {
    /// Days that it is still good for, rounded down; less than zero once it
    /// is over.
    pub days: i64,
    /// Its end, by UTC: `2027-11-30T06:40:00Z`.
    pub end: String,
    /// Where the node has it.
    pub file: String,
}

/// What came of asking a node.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    /// It says how far it is.
    Told(NodeStatus),
    /// It does not.
    Trouble(Trouble),
}

/// Why a node does not say how far it is.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Trouble {
    /// Nothing ran on it.
    #[error(transparent)]
    Ssh(#[from] Failure),
    /// It was not made by piflash.
    #[error("there is no piflash-node on it")]
    NotInstalled,
    /// The answer is none.
    #[error("an answer that is none: {0}")]
    Malformed(String),
}

impl Trouble {
    /// Names the trouble for tables and programs.
    #[must_use]
    pub fn name(&self) -> &'static str {
        match self {
            Self::Ssh(failure) => match failure {
                Failure::NeverBuilt => "never built",
                Failure::Unreachable(_) => "unreachable",
                Failure::HostKeyChanged => "HOST KEY CHANGED",
                Failure::HostKeyUnknown => "host key unknown",
                Failure::Refused(_) => "login refused",
                Failure::Late(_) => "no answer",
                Failure::TooMuch(_) => "malformed answer",
                Failure::Lost(_) => "connection lost",
                Failure::Other(_) => "ssh failed",
                Failure::Cancelled => "interrupted",
            },
            Self::NotInstalled => "no piflash-node",
            Self::Malformed(_) => "malformed answer",
        }
    }

    /// Says what to do about it at `node`, where that is known.
    #[must_use]
    pub fn hint(&self, node: &str) -> Option<String> {
        let Self::Ssh(failure) = self else { return None };
        match failure {
            Failure::NeverBuilt => Some(format!("piflash build {node}")),
            Failure::HostKeyChanged => Some(format!(
                "somebody else may be answering: find out who has the address. \
                 If the card is older than build/secrets, or was made \
                 elsewhere, flash it with what `piflash build {node}` makes"
            )),
            Failure::HostKeyUnknown => {
                Some(format!("`piflash build {node}` writes known_hosts anew"))
            }
            Failure::Refused(_) => Some(format!(
                "`ssh_authorized_keys` of {node} names the keys of its card: \
                 is one of them in ~/.ssh or in an agent, and without a \
                 passphrase to be asked for?"
            )),
            _ => None,
        }
    }

    /// Says whether the node is likely off or away.
    #[must_use]
    pub fn is_absence(&self) -> bool {
        matches!(self, Self::Ssh(Failure::Unreachable(_) | Failure::Late(_)))
    }
}

/// Asks a node how far it is.
#[must_use]
pub fn ask(
    ssh: &Ssh,
    node: &str,
    limit: Duration,
    cancelled: &AtomicBool,
) -> Answer {
    let request = Request {
        script: "piflash-node status",
        input: b"",
        limit,
        most: LARGEST,
    };
    let read = match ssh.run(node, &request, cancelled) {
        Ok(output) => read(&output),
        Err(failure) => Err(failure.into()),
    };
    match read {
        Ok(status) => Answer::Told(status),
        Err(trouble) => Answer::Trouble(trouble),
    }
}

/// As the node writes it; see firstboot/report.sh.
#[derive(Deserialize)]
struct Raw {
    version: u64,
    state: String,
    #[serde(default)]
    step: String,
    attempt: Option<u64>,
    done: Option<u64>,
    steps: Option<u64>,
    percent: Option<u64>,
    #[serde(default)]
    since: String,
    #[serde(default)]
    error: String,
    // Those below are of later nodes.
    #[serde(default)]
    output: String,
    certificates: Option<RawCertificates>,
}

/// As firstboot/piflash-node adds it.
#[derive(Deserialize)]
struct RawCertificates {
    days: i64,
    #[serde(default)]
    end: String,
    #[serde(default)]
    file: String,
}

pub(super) fn read(output: &Output) -> Result<NodeStatus, Trouble> {
    // As shells say that there is no such program (POSIX, 2.8.2).
    if output.code == 127 {
        return Err(Trouble::NotInstalled);
    }
    if output.code != 0 {
        let said = last_lines(&output.stderr, 1).pop().unwrap_or_default();
        let why = format!("exit code {}: {said}", output.code);
        return Err(Trouble::Malformed(why));
    }
    let raw: Raw = serde_json::from_str(&output.stdout).map_err(|error| {
        // serde_json may repeat a part of what it read.
        Trouble::Malformed(clean(&error.to_string(), 100))
    })?;
    if raw.version != VERSION {
        return Err(Trouble::Malformed(format!(
            "version {} of the format, of which this piflash knows {VERSION}",
            raw.version
        )));
    }
    let state = clean(&raw.state, 20);
    if state.is_empty() {
        return Err(Trouble::Malformed("no state".to_owned()));
    }
    Ok(NodeStatus {
        state,
        step: clean(&raw.step, 60),
        attempt: raw.attempt,
        done: raw.done,
        steps: raw.steps,
        percent: raw.percent.map(|percent| percent.min(100)),
        since: clean(&raw.since, 30),
        error: clean(&raw.error, 300),
        output: clean(&raw.output, 300),
        certificate: raw.certificates.map(|first| {
            Box::new(CertificateEnd {
                days: first.days,
                end: clean(&first.end, 30),
                file: clean(&first.file, 100),
            })
        }),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(code: i32, stdout: &str) -> Result<NodeStatus, Trouble> {
        let stderr = "sh: boom\x1b[2J\n".to_owned();
        read(&Output { code, stdout: stdout.to_owned(), stderr })
    }

    #[test]
    fn the_node_tools_own_answers_are_read() {
        let status = answer(
            0,
            r#"{"version":1,"node":"node3","state":"waiting","step":"50-k3s","attempt":3,"done":4,"steps":6,"percent":66,"since":"2026-11-25T18:00:00Z","error":"no route","new":[1]}"#,
        )
        .unwrap();
        assert_eq!((&*status.state, &*status.step), ("waiting", "50-k3s"));
        assert_eq!((status.attempt, status.percent), (Some(3), Some(66)));
        let status = answer(0, r#"{"version":1,"state":"not started"}"#);
        let status = status.unwrap();
        assert_eq!((&*status.state, status.percent), ("not started", None));
        assert_eq!((&*status.output, status.certificate), ("", None));
        let status = answer(
            0,
            r#"{"version":1,"state":"done","output":"Setting up kubelet","certificates":{"days":-2,"end":"2027-11-30T06:40:00Z","file":"/etc/kubernetes/pki/apiserver.crt"}}"#,
        )
        .unwrap();
        assert_eq!(status.output, "Setting up kubelet");
        let first = status.certificate.unwrap();
        assert_eq!((first.days, &*first.end), (-2, "2027-11-30T06:40:00Z"));
    }

    #[test]
    fn hostile_and_broken_answers_are_no_answers() {
        for (code, stdout, said) in [
            (0, "", "EOF"),
            (0, "{", "EOF"),
            (0, "[]", "invalid"),
            (0, r#"{"version":2,"state":"done"}"#, "version 2"),
            (0, r#"{"version":1,"state":7}"#, "invalid type"),
            (0, r#"{"version":1,"state":"\u001b[2J"}"#, "no state"),
            (0, r#"{"version":1,"state":"x","attempt":-1}"#, "invalid value"),
            (0, r#"{"version":1,"state":"x","percent":1e99}"#, "invalid type"),
            (
                0,
                r#"{"version":1,"state":"x","certificates":7}"#,
                "invalid type",
            ),
            (
                0,
                r#"{"version":1,"state":"x","certificates":{"days":1e99}}"#,
                "invalid type",
            ),
            (1, r#"{"version":1,"state":"done"}"#, "exit code 1: sh: boom"),
        ] {
            let error = answer(code, stdout).unwrap_err();
            let text = error.to_string();
            assert!(text.contains(said), "{stdout}: {text}");
            assert!(!text.contains(char::is_control), "{text:?}");
        }
        assert_eq!(answer(127, ""), Err(Trouble::NotInstalled));
        let long = "x".repeat(5000);
        let hostile = format!(
            r#"{{"version":1,"state":"done\u001b[1A","percent":700,"error":"\u001b]0;{long}\u0007\u202eevil\n{long}"}}"#
        );
        let status = answer(0, &hostile).unwrap();
        assert_eq!((&*status.state, status.percent), ("done", Some(100)));
        assert!(status.error.starts_with("evil xxx"), "{}", status.error);
        assert_eq!(status.error.chars().count(), 300);
    }
}
