//! A network of several nodes: a switch, and behind it the owner's machine
//! and the outside.
//!
//! Nodes are plugged in by datagram sockets in the switch's directory, each
//! datagram a frame, and may come and go. The outside is QEMU's user network,
//! in a QEMU without a machine. It answers whatever frame it sees, for nodes
//! as well, so that it must see only what is meant for it: a hub would not
//! do.

use crate::{
    guest::free_port,
    lab::Arch,
    network::{Mac, mac},
    site::{DNS, GATEWAY},
    support::oracle,
};
use std::{
    net::Shutdown,
    os::unix::net::UnixDatagram,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::Arc,
    thread,
};

pub struct Switch {
    process: Child,
    dir: tempfile::TempDir,
    lines: Vec<Line>,
    sockets: Vec<Arc<UnixDatagram>>,
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
        let sockets = connect(dir.path(), addresses);
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
        let line = socket(dir.path(), lines.len());
        command.args(["-netdev", &outside]);
        command.args(["-netdev", &format!("{line},id=line")]);
        for netdev in ["out", "line"] {
            let port = format!("hubport,id=hub-{netdev},hubid=0");
            command.args(["-netdev", &format!("{port},netdev={netdev}")]);
        }
        let process = command
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            // It warns that there is no machine.
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        Self { process, dir, lines, sockets }
    }

    fn line(&self, address: &str) -> (usize, &Line) {
        let mut lines = self.lines.iter().enumerate();
        lines.find(|(_, line)| line.address == address).unwrap()
    }

    /// For the node's `-netdev`, without its id.
    pub fn netdev(&self, address: &str) -> String {
        socket(self.dir.path(), self.line(address).0)
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
        for socket in &self.sockets {
            let _ = socket.shutdown(Shutdown::Both);
        }
    }
}

/// Forwards frames between nodes of these addresses and, as the last, the
/// outside; until the sockets are shut down.
fn connect(dir: &Path, addresses: &[&str]) -> Vec<Arc<UnixDatagram>> {
    let macs: Vec<Mac> = addresses.iter().map(|a| mac(a)).collect();
    let outside = macs.len();
    let sockets: Vec<_> = (0..=outside)
        .map(|index| UnixDatagram::bind(near(dir, index)).unwrap())
        .map(Arc::new)
        .collect();
    for (from, socket) in sockets.iter().enumerate() {
        let (socket, macs) = (Arc::clone(socket), macs.clone());
        let ends: Vec<PathBuf> =
            (0..=outside).map(|index| far(dir, index)).collect();
        thread::spawn(move || {
            let mut frame = vec![0; 64 << 10];
            while let Ok(len @ 1..) = socket.recv(&mut frame) {
                let Some(to) = frame[..len].first_chunk() else { continue };
                for (index, end) in ends.iter().enumerate() {
                    let meant = match to[0] & 1 {
                        // A group's, as for all.
                        1 => true,
                        _ => macs
                            .iter()
                            .position(|mac| mac == to)
                            .map_or(index == outside, |known| index == known),
                    };
                    if meant && index != from {
                        // Nobody may be there.
                        let _ = socket.send_to(&frame[..len], end);
                    }
                }
            }
        });
    }
    sockets
}

/// The switch's end of a line.
fn near(dir: &Path, index: usize) -> PathBuf {
    dir.join(format!("switch{index}"))
}

/// The other end.
fn far(dir: &Path, index: usize) -> PathBuf {
    dir.join(format!("end{index}"))
}

/// A `-netdev` at the other end.
fn socket(dir: &Path, index: usize) -> String {
    format!(
        "dgram,local.type=unix,local.path={},remote.type=unix,remote.path={}",
        far(dir, index).display(),
        near(dir, index).display()
    )
}

/// That a frame comes where it should, and nowhere else.
#[test]
fn frames_go_where_they_are_meant() {
    let dir = tempfile::tempdir().unwrap();
    let addresses = ["10.0.0.1", "10.0.0.2"];
    let sockets = connect(dir.path(), &addresses);
    let ends: Vec<UnixDatagram> = (0..3)
        .map(|index| UnixDatagram::bind(far(dir.path(), index)).unwrap())
        .collect();
    for end in &ends {
        let patience = std::time::Duration::from_millis(300);
        end.set_read_timeout(Some(patience)).unwrap();
    }
    let gateway = [0x52, 0x55, 0, 0, 0, 1];
    for (from, to, receivers) in [
        (0, mac("10.0.0.2"), &[1][..]),
        (1, gateway, &[2]),
        (2, mac("10.0.0.1"), &[0]),
        (1, [0xff; 6], &[0, 2]),
    ] {
        let frame = [&to[..], b"content"].concat();
        ends[from].send_to(&frame, near(dir.path(), from)).unwrap();
        for (index, end) in ends.iter().enumerate() {
            let mut buffer = [0; 100];
            let received = end.recv(&mut buffer);
            assert_eq!(received.is_ok(), receivers.contains(&index), "{to:?}");
        }
    }
    for socket in sockets {
        socket.shutdown(Shutdown::Both).unwrap();
    }
}
