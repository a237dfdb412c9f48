//! A network of the test's own: a namespace with one bridge in it, on which
//! the test itself is the gateway.
//!
//! The test's thread is in that namespace, and with it all that it starts
//! afterwards: servers, piflash, ssh and kubectl reach nodes at their real
//! addresses, and no packet gets out. It ends with the last of them.

use crate::{
    site::{DNS, GATEWAY},
    support::oracle::{self, run},
};
use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};
use std::{
    cell::OnceCell,
    fs::File,
    io::{Read, Write},
    net::Ipv4Addr,
    os::fd::{AsFd, AsRawFd},
    process::{Command, Stdio},
};

/// A network card's address.
pub type Mac = [u8; 6];

/// The address of a node's network card.
pub fn mac(address: &str) -> Mac {
    let last = address.rsplit('.').next().unwrap();
    [0x52, 0x54, 0, 0x71, 0, last.parse().unwrap()]
}

/// The same as text.
pub fn mac_text(address: &str) -> String {
    mac(address).map(|byte| format!("{byte:02x}")).join(":")
}

thread_local! {
    /// The network that this thread was in before, once it is in its own.
    static OUTSIDE: OnceCell<File> = const { OnceCell::new() };
}

/// Moves this thread into a network of its own, if it is not there yet.
pub fn enter() {
    OUTSIDE.with(|outside| {
        outside.get_or_init(make);
    });
}

/// A program that is to run in the builder's own network, where package
/// archives are reached, wherever this thread is.
pub fn outside(program: &str) -> Command {
    OUTSIDE.with(|outside| {
        let Some(network) = outside.get() else {
            return Command::new(program);
        };
        let (process, fd) = (std::process::id(), network.as_raw_fd());
        let mut command = Command::new("nsenter");
        command.arg(format!("--net=/proc/{process}/fd/{fd}")).arg(program);
        command
    })
}

/// Gives the network that this thread was in.
fn make() -> File {
    let outside = File::open("/proc/thread-self/ns/net").unwrap();
    // A namespace lives as long as somebody is in it: a program is first.
    let mut first = Command::new("unshare")
        .args(["--net", "sh", "-c", "echo; read -r done"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap_or_else(|e| panic!("{:?}", oracle::missing("unshare", &e)));
    let mut newline = [0];
    let said = first.stdout.as_mut().unwrap().read(&mut newline).unwrap();
    assert_eq!(said, 1, "unshare --net fails: root is needed");
    let namespace = File::open(format!("/proc/{}/ns/net", first.id())).unwrap();
    let kind = Some(LinkNameSpaceType::Network);
    move_into_link_name_space(namespace.as_fd(), kind).unwrap();
    first.stdin.take().unwrap().write_all(b"\n").unwrap();
    first.wait().unwrap();

    ip("link set lo up");
    ip("link add br0 type bridge");
    // Who asks for names is refused at once.
    for address in [GATEWAY, DNS] {
        ip(&format!("address add {address}/24 dev br0"));
    }
    ip("link set br0 up");
    outside
}

fn ip(words: &str) {
    let words: Vec<&str> = words.split(' ').collect();
    run("ip", &words).unwrap();
}

/// A line of the bridge that a node of this address is plugged into; gone
/// when dropped.
pub struct Tap(String);

impl Tap {
    pub fn plug(address: &str) -> Self {
        let address: Ipv4Addr = address.parse().unwrap();
        let name = format!("tap{}", address.octets()[3]);
        ip(&format!("tuntap add {name} mode tap"));
        ip(&format!("link set {name} master br0 up"));
        Self(name)
    }

    pub fn name(&self) -> &str {
        &self.0
    }
}

impl Drop for Tap {
    fn drop(&mut self) {
        let _ = run("ip", &["link", "delete", &self.0]);
    }
}
