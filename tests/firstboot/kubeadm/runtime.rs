//! Packages and container runtimes.

use std::{fs, process::Command};

use super::cluster::{node, run};
use crate::firstboot::{
    node::{Node, SHELLS, Shell},
    steps::with_apt,
};

const RUNTIME: &str = "52-k8s-runtime";

fn with_runtime<'s>(shell: &'s Shell, containerd: &str) -> Node<'s> {
    let node = node(shell, &[RUNTIME]);
    node.program("containerd", &format!("echo '{containerd}'"));
    node.program("kubelet", "echo Kubernetes v1.37.1");
    node.program(
        "crictl",
        "echo \"crictl $*\" >>$PIFLASH_ROOT/calls\n\
         [ ! -e $PIFLASH_ROOT/no-cri ] || { echo 'unknown service'; exit 1; }",
    );
    for format in ["v2", "v3"] {
        let path = format!("etc/piflash/k8s/containerd-{format}.toml");
        node.write(&path, format!("{format} @sandbox@\n"));
    }
    node
}

#[test]
fn containerd_gets_the_configuration_of_its_version() {
    let debian = "containerd github.com/containerd/containerd";
    for shell in SHELLS {
        for (version, format) in [
            (format!("{debian} 1.6.20~ds1 1.6.20~ds1-1+deb12u3"), "v2"),
            (format!("{debian} 1.7.24~ds1 1.7.24~ds1-6+deb13u1"), "v2"),
            ("containerd containerd.io 1.7.27 05044ec0a9a7".into(), "v2"),
            ("containerd containerd.io 2.0.5 fb4c30d4ede3".into(), "v2"),
            (format!("{debian}/v2 2.1.9+unknown "), "v3"),
            ("containerd containerd.io v2.2.1 1c4457e00fac".into(), "v3"),
            (format!("{debian}/v2 2.10.0"), "v3"),
        ] {
            let node = with_runtime(shell, &version);
            run(&node, RUNTIME).unwrap();
            let config = node.read("etc/containerd/config.toml");
            let wanted = format!("{format} registry.k8s.io/pause:3.10.2\n");
            assert_eq!(config, wanted, "{version}");
            let calls = node.read("calls");
            for call in [
                "systemctl enable containerd\nsystemctl restart containerd\n",
                "systemctl enable kubelet\n",
                "crictl --runtime-endpoint unix:///run/c.sock",
            ] {
                assert!(calls.contains(call), "{call}: {calls}");
            }
        }
    }
}

#[test]
fn a_runtime_that_cannot_work_says_so() {
    for shell in SHELLS {
        for (version, kubelet, said) in [
            ("x y 1.4.13", "1.30.2", "1.4.13 is too old"),
            ("x y 1.7.27", "1.38.0", "too old for Kubernetes 1.38"),
            ("nothing", "1.37.0", "tells no version"),
        ] {
            let node = with_runtime(shell, version);
            node.program("kubelet", &format!("echo Kubernetes v{kubelet}"));
            let failed = run(&node, RUNTIME).unwrap_err();
            assert!(failed.contains(said), "{failed}");
            assert!(!node.exists("etc/containerd/config.toml"));
        }
        let node = with_runtime(shell, "x y 2.2.1");
        node.write("no-list", "");
        let failed = run(&node, RUNTIME).unwrap_err();
        assert!(failed.contains("kubeadm does not tell"), "{failed}");
        // As Docker's package leaves it.
        let node = with_runtime(shell, "x y 2.2.1");
        node.write("no-cri", "");
        let failed = run(&node, RUNTIME).unwrap_err();
        let said = "unknown service\ncontainerd does not answer Kubernetes";
        assert!(failed.contains(said), "{failed}");
    }
}

#[test]
fn docker_gets_its_shim() {
    for shell in SHELLS {
        let node = with_runtime(shell, "x y 2.2.1");
        node.write("etc/piflash/k8s/runtime", "docker\n");
        node.write("cri-dockerd/cri-dockerd", "the program\n");
        let tar = Command::new("tar")
            .args(["-czf"])
            .arg(node.path("usr/local/lib/piflash/cri-dockerd.tgz"))
            .arg("-C")
            .arg(node.path(""))
            .arg("cri-dockerd")
            .status();
        assert!(tar.unwrap().success());
        fs::create_dir_all(node.path("usr/local/bin")).unwrap();
        run(&node, RUNTIME).unwrap();
        assert_eq!(node.read("usr/local/bin/cri-dockerd"), "the program\n");
        let calls = node.read("calls");
        let said = "enable docker cri-docker.socket cri-docker.service";
        assert!(calls.contains(said), "{calls}");
        assert!(!node.exists("etc/containerd/config.toml"));
        assert_eq!(
            node.read("etc/default/cri-docker"),
            "CRI_DOCKERD_ARGS=--pod-infra-container-image=\
             registry.k8s.io/pause:3.10.2\n"
        );
    }
}

#[test]
fn packages_are_installed_in_their_versions_and_held() {
    for shell in SHELLS {
        let node = with_apt(shell, &["50-k8s-packages"]);
        node.write(
            "etc/piflash/k8s/packages",
            "containerd.io\nkubeadm=1.37.1-1.1\n",
        );
        node.write("etc/piflash/k8s/hold", "kubeadm\ncontainerd.io\n");
        node.program("apt-mark", "echo \"$*\" >>$PIFLASH_ROOT/marked");
        node.provision();
        assert!(node.exists("installed/kubeadm=1.37.1-1.1"));
        assert_eq!(node.read("marked"), "hold kubeadm containerd.io\n");
        let calls = node.read("calls");
        let install =
            calls.lines().find(|line| line.contains(" install ")).unwrap();
        for option in ["--allow-downgrades", "--allow-change-held-packages"] {
            assert!(install.contains(option), "{install}");
        }
    }
}
