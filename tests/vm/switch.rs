//! A network of several nodes: a switch, and behind it the owner's machine
//! and the outside, as QEMU makes them.
//!
//! The switch is a QEMU without a machine. Nodes are plugged in by sockets in
//! its directory, and may come and go.

use crate::{
    guest::free_port,
    lab::Arch,
    site::{DNS, GATEWAY},
    support::oracle,
};
use std::process::{Child, Command, Stdio};

pub struct Switch {
    process: Child,
    dir: tempfile::TempDir,
    lines: Vec<Line>,
}

/// What one node is plugged into.
struct Line {
    address: String,
    /// Ports of the loopback interface that lead to its ports 22 and 6443.
    ssh: u16,
    api: u16,
}

impl Switch {
    /// A switch for nodes of these addresses.
    pub fn start(addresses: &[&str]) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let lines: Vec<Line> = addresses
            .iter()
            .map(|address| Line {
                address: (*address).to_owned(),
                ssh: free_port(),
                api: free_port(),
            })
            .collect();
        let (program, _) = Arch::of_lab().machine();
        oracle::run(program, &["--version"]).unwrap();
        // Ends with the test, however that ends.
        let mut command = Command::new("setpriv");
        command.args(["--pdeathsig", "KILL", program]);
        command.args(["-M", "none", "-nodefaults", "-display", "none"]);
        let mut outside =
            format!("user,id=out,net={GATEWAY}/24,host={GATEWAY},dns={DNS}");
        for Line { address, ssh, api } in &lines {
            for (host, guest) in [(ssh, 22), (api, 6443)] {
                outside +=
                    &format!(",hostfwd=tcp:127.0.0.1:{host}-{address}:{guest}");
            }
        }
        command.args(["-netdev", &outside]);
        command.args(["-netdev", "hubport,id=hub-out,hubid=0,netdev=out"]);
        for index in 0..lines.len() {
            let socket = socket(&dir, index, "switch", "node");
            command
                .args(["-netdev", &format!("{socket},id=line{index}")])
                .args(["-netdev"])
                .arg(format!(
                    "hubport,id=hub{index},hubid=0,netdev=line{index}"
                ));
        }
        let process = command
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            // It warns that there is no machine.
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        Self { process, dir, lines }
    }

    fn line(&self, address: &str) -> (usize, &Line) {
        let mut lines = self.lines.iter().enumerate();
        lines.find(|(_, line)| line.address == address).unwrap()
    }

    /// For the node's `-netdev`, without its id.
    pub fn netdev(&self, address: &str) -> String {
        socket(&self.dir, self.line(address).0, "node", "switch")
    }

    /// The port of the loopback interface that leads to a node's sshd.
    pub fn ssh_port(&self, address: &str) -> u16 {
        self.line(address).1.ssh
    }

    /// The port that leads to a node's API server.
    pub fn api_port(&self, address: &str) -> u16 {
        self.line(address).1.api
    }
}

impl Drop for Switch {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

fn socket(
    dir: &tempfile::TempDir,
    index: usize,
    near: &str,
    far: &str,
) -> String {
    let path = |end: &str| dir.path().join(format!("{end}{index}"));
    format!(
        "dgram,local.type=unix,local.path={},remote.type=unix,remote.path={}",
        path(near).display(),
        path(far).display()
    )
}
