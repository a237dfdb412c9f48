//! Who is killed, and who is not.

use std::{
    fs,
    os::unix::process::ExitStatusExt,
    process::{Child, Command, Stdio},
};

use super::{DATA, goes_down, node};
use crate::firstboot::node::{Node, SHELLS};

/// A process that a test may kill, as /proc shows it.
fn process(node: &Node<'_>, command: &str, parent: u32) -> Child {
    let child = Command::new("sleep")
        .arg("60")
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let pid = child.id();
    let command = command.replace(' ', "\0");
    node.write(&format!("proc/{pid}/cmdline"), command);
    let stat = format!("{pid} (a) b) c) S {parent} 1 1 0\n");
    node.write(&format!("proc/{pid}/stat"), stat);
    child
}

#[test]
fn containers_end_and_nothing_else_does() {
    for shell in SHELLS {
        for script in ["50-k3s", "50-k8s"] {
            let node = node(shell);
            let root = node.path("").display().to_string();
            let root = root.trim_end_matches('/').to_owned();
            let shim = match script {
                "50-k3s" => {
                    let bin = format!("{root}/{DATA}/data/0a/bin");
                    format!("{bin}/containerd-shim-runc-v2 -namespace k8s.io")
                }
                _ => format!(
                    "{root}/usr/local/bin/containerd-shim-runc-v2 -namespace \
                     k8s.io -id 1"
                ),
            };
            let shim = process(&node, &shim, 1);
            let pause = process(&node, "/pause", shim.id());
            let server = process(&node, "nginx: master", pause.id());
            let orphan = process(&node, "sleep 1", 1);
            let cgroup = "sys/fs/cgroup/kubepods.slice/x/cgroup.procs";
            node.write(cgroup, format!("0\n1\n{}\n", orphan.id()));
            let others = [
                process(&node, "/usr/sbin/sshd -D", 1),
                process(
                    &node,
                    &format!("vi {root}/{DATA}/data/0a/bin/containerd-shim"),
                    1,
                ),
                process(
                    &node,
                    &format!(
                        "{root}/usr/bin/containerd-shim-runc-v2 -namespace \
                         moby -id 2"
                    ),
                    1,
                ),
            ];
            let path = node.path("proc");
            let reaper = std::thread::spawn(move || {
                for mut child in [shim, pause, server, orphan] {
                    let status = child.wait().unwrap();
                    // As the kernel takes it away.
                    let dir = path.join(child.id().to_string());
                    fs::remove_dir_all(dir).unwrap();
                    assert_eq!(status.signal(), Some(9));
                }
            });
            let watcher = {
                let file = node.path(cgroup);
                std::thread::spawn(move || {
                    reaper.join().unwrap();
                    fs::write(file, "0\n1\n").unwrap();
                })
            };
            goes_down(&node, script);
            watcher.join().unwrap();
            for mut other in others {
                assert_eq!(other.try_wait().unwrap(), None);
                other.kill().unwrap();
                other.wait().unwrap();
            }
        }
    }
}
