//! Stands in for k3s, kubeadm and the kubelet on nodes that tests boot, as
//! the real ones are in no package that Debian has.
//!
//! It runs no containers. What it keeps is the contract by which a node and
//! what piflash laid down on it are judged: files and flags that the release
//! knows (an unknown one is an error), certificates that chain and are valid
//! now, tokens and digests of the authority verified over TLS by the one who
//! joins, node passwords, client certificates, and an API that Debian's own
//! kubectl talks to. Facts: docs.k3s.io, kubernetes.io.
#![allow(
    missing_docs,
    unreachable_pub,
    clippy::as_conversions,
    clippy::arithmetic_side_effects,
    clippy::print_stdout,
    clippy::print_stderr
)]

mod api;
mod config;
mod http;
mod join;
mod k3s;
mod kubeadm;
mod kubeadm_config;
mod kubelet;
mod node;
mod objects;
mod preflight;
mod reset;
mod tls;
mod token;

use std::{
    env,
    error::Error,
    os::unix::{net::UnixStream, process::CommandExt},
    process,
};

/// Whatever went wrong; the journal shows it.
pub type Result<T, E = Box<dyn Error + Send + Sync>> =
    std::result::Result<T, E>;

/// The release that it claims to be.
pub const VERSION: &str = "v1.36.4";

fn main() {
    let mut args = env::args();
    let program = args.next().unwrap_or_default();
    let program = program.rsplit('/').next().unwrap_or_default().to_owned();
    let args: Vec<String> = args.collect();
    let words: Vec<&str> = args.iter().map(String::as_str).collect();
    let outcome = match (program.as_str(), words.as_slice()) {
        ("k3s", ["server"]) => k3s::server(),
        ("k3s", ["agent"]) => k3s::agent(),
        ("k3s", ["kubectl", rest @ ..]) | ("kubectl", rest) => kubectl(rest),
        ("k3s", ["--version"]) => {
            println!("k3s version {VERSION}+k3s1");
            Ok(())
        }
        ("kubeadm", words) => kubeadm::run(words),
        ("kubelet", ["--version"]) => {
            println!("Kubernetes {}", kubeadm::VERSION);
            Ok(())
        }
        ("kubelet", []) => kubelet::run(),
        ("crictl", words) => crictl(words),
        _ => Err(format!("no such command: {program} {words:?}").into()),
    };
    if let Err(error) = outcome {
        if program == "kubeadm" {
            eprintln!("{}", kubeadm::last_words(&error.to_string()));
            process::exit(1);
        }
        // As logrus prints it.
        eprintln!("level=fatal msg={:?}", error.to_string());
        process::exit(1);
    }
}

/// k3s has kubectl built in; here it is Debian's.
fn kubectl(args: &[&str]) -> Result<()> {
    let mut kubectl = process::Command::new("/usr/bin/kubectl");
    if env::var_os("KUBECONFIG").is_none() {
        kubectl.env("KUBECONFIG", k3s::KUBECONFIG);
    }
    Err(kubectl.args(args).exec().into())
}

/// Whether anybody is there.
fn crictl(words: &[&str]) -> Result<()> {
    let endpoint = words
        .windows(2)
        .find_map(|pair| (pair[0] == "--runtime-endpoint").then_some(pair[1]));
    let socket = endpoint.and_then(|all| all.strip_prefix("unix://"));
    let socket = socket.ok_or("no --runtime-endpoint unix://...")?;
    UnixStream::connect(socket)
        .map_err(|error| format!("{socket}: {error}"))?;
    Ok(())
}
