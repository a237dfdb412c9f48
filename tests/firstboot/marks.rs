//! Units of a role start after their step, and not before.

use super::node::{Node, SHELLS};
use crate::support::repository;
use std::fs;

const MARKS: &str = "var/lib/piflash/allowed";

/// The paths without which systemd does not start a unit of ours.
fn conditions(file: &str) -> Vec<String> {
    let text = fs::read_to_string(repository().join(file)).unwrap();
    text.lines()
        .filter_map(|line| line.strip_prefix("ConditionPathExists=/"))
        .map(str::to_owned)
        .collect()
}

/// systemctl, which writes down what marks there are.
const SYSTEMCTL: &str = "\
echo \"$1: $(ls $PIFLASH_ROOT/var/lib/piflash/allowed 2>/dev/null)\" \
>>$PIFLASH_ROOT/seen";

#[test]
fn k3s_starts_once_its_step_has_decided() {
    let template = "profiles/templates/k3s.service.j2";
    assert_eq!(conditions(template), [format!("{MARKS}/50-k3s")]);
    for shell in SHELLS {
        let node = Node::new(shell, &[]);
        node.write("etc/piflash/role", "k3s agent\n");
        node.script("usr/local/bin/k3s", "exit 1");
        node.program("systemctl", SYSTEMCTL);
        node.step("50-k3s");
        node.provision();
        let seen = node.read("seen");
        assert_eq!(seen, "daemon-reload: \nenable: \nstart: 50-k3s\n");
        assert!(node.exists(&format!("{MARKS}/50-k3s")));
        // Every later boot needs it.
        node.power_off();
        node.provision();
        assert!(node.exists(&format!("{MARKS}/50-k3s")));
    }
}

#[test]
fn cri_dockerd_starts_once_its_step_has_installed_it() {
    let mark = format!("{MARKS}/52-k8s-runtime");
    for kind in ["service", "socket"] {
        let unit = format!("firstboot/cri-docker.{kind}");
        assert_eq!(conditions(&unit), [mark.as_str()]);
    }
    for shell in SHELLS {
        let node = Node::new(shell, &[]);
        node.install("k8s.sh", "k8s.sh");
        node.install("certificates.sh", "certificates.sh");
        node.step("52-k8s-runtime");
        node.write("etc/piflash/k8s/name", "node3\n");
        node.write("etc/piflash/k8s/socket", "unix:///run/c.sock\n");
        node.write("etc/piflash/k8s/runtime", "docker\n");
        node.write("usr/local/lib/piflash/cri-dockerd.tgz", "");
        fs::create_dir_all(node.path("usr/local/bin")).unwrap();
        node.program("tar", "exit 0");
        node.program(
            "kubeadm",
            "[ \"$1\" = version ] || echo registry.k8s.io/pause:3.10.2",
        );
        node.program("crictl", "exit 0");
        node.program("systemctl", SYSTEMCTL);
        let output = node.run("steps/52-k8s-runtime", &[]);
        assert!(output.status.success(), "{output:?}");
        let seen = node.read("seen");
        let restarts: Vec<&str> =
            seen.lines().filter(|line| line.starts_with("restart")).collect();
        // Docker itself, and then cri-dockerd.
        assert_eq!(restarts, ["restart: ", "restart: 52-k8s-runtime"]);
        assert!(node.exists(&mark));
    }
}

/// A step that starts a unit.
const STARTS: &str = ". $PIFLASH_ROOT/usr/local/lib/piflash/report.sh\n\
                      allow ${0##*/}";

#[test]
fn retry_and_down_take_the_marks_away() {
    for shell in SHELLS {
        let steps = [("50-a", STARTS), ("60-b", STARTS)];
        let node = Node::new(shell, &steps);
        let marks = || {
            let mut names: Vec<String> = fs::read_dir(node.path(MARKS))
                .unwrap()
                .map(|e| e.unwrap().file_name().into_string().unwrap())
                .collect();
            names.sort();
            names
        };
        node.provision();
        assert_eq!(marks(), ["50-a", "60-b"]);
        // That step's alone: the other one does not run again.
        let output = node.run("piflash-node", &["retry", "50-a"]);
        assert!(output.status.success(), "{output:?}");
        assert_eq!(marks(), ["60-b"]);
        node.provision();
        assert_eq!(marks(), ["50-a", "60-b"]);

        let folder = "usr/local/lib/piflash/down";
        node.script(
            &format!("{folder}/50-a"),
            "ls $PIFLASH_ROOT/var/lib/piflash/allowed >$PIFLASH_ROOT/left",
        );
        let output = node.run("piflash-node", &["down"]);
        assert!(output.status.success(), "{output:?}");
        assert_eq!(node.read("left"), "");
        // What is up again is whole again, whichever step was named.
        for args in [&["retry"][..], &["retry", "60-b"]] {
            node.run("piflash-node", &["down"]);
            let output = node.run("piflash-node", args);
            assert!(output.status.success(), "{output:?}");
            assert_eq!(marks(), Vec::<String>::new());
            node.provision();
            assert_eq!(marks(), ["50-a", "60-b"]);
        }
    }
}
