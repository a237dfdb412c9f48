//! What cannot work is refused before a card is written, with the reason;
//! what the system has is taken where that works.

use super::{inventory, paths, plan, plan_on, single, text};
use crate::support::{gpg::Gpg, image::Case, memory::Body, repository};

fn refused(case: &Case, vars: &str) -> String {
    let error = plan_on(case, &single(vars), "node4").unwrap_err();
    let mut text = error.to_string();
    let mut source = std::error::Error::source(&error);
    while let Some(error) = source {
        text += &format!("\n{error}");
        source = error.source();
    }
    text
}

#[test]
fn what_kubernetes_cannot_run_on() {
    let said = refused(&Case::load("buster"), "");
    assert!(said.contains("32-bit ARM") && said.contains("k3s"), "{said}");
    let old = Case::load("ubuntu-20.04");
    let said = refused(&old, "    k8s_version: \"1.35\"\n");
    for part in ["control groups v1", "Ubuntu 20.04", "1.34"] {
        assert!(said.contains(part), "{part}: {said}");
    }
    let last = single("    k8s_version: \"1.34\"\n");
    assert!(plan_on(&old, &last, "node4").is_ok());
    let mut unified = Case::load("ubuntu-20.04");
    let line = b"console=tty1 systemd.unified_cgroup_hierarchy=1\n".to_vec();
    unified.boot.put("/cmdline.txt", Body::File(line), 0o755);
    assert!(plan_on(&unified, &single(""), "node4").is_ok());
}

/// Whoever is built: the cluster cannot be.
#[test]
fn nodes_with_ipv6_addresses() {
    let case = Case::load("trixie");
    let six = single("").replace(
        "ansible_host: 192.168.71.21",
        "ansible_host: \"fd00:71::21\"",
    );
    for inventory in [
        six.replace("    gateway: 192.168.71.1\n", ""),
        single("")
            .replace("192.168.71.24", "\"fd00:71::24\"")
            .replace("    gateway: 192.168.71.1\n", ""),
    ] {
        for node in ["node1", "node4"] {
            let error = plan_on(&case, &inventory, node).unwrap_err();
            let said = error.to_string();
            for part in ["IPv6", "fd00:71::2", "10.96.0.0/12", "k3s"] {
                assert!(said.contains(part), "{part}: {said}");
            }
        }
    }
}

#[test]
fn versions_that_are_none_or_too_old() {
    let case = Case::load("trixie");
    for (vars, parts) in [
        ("k8s_version: stable", ["k8s_version", ""]),
        ("k8s_version: 1.37-1.1", ["1.37-1.1", "Kubernetes"]),
        ("k8s_version: \"1.23\"", ["1.23", "1.24"]),
        ("containerd_version: 1.5.9-1", ["1.5.9-1", "1.6"]),
        (
            "k8s_version: \"1.38\"\n    containerd_version: 1.7.27-1",
            ["1.7.27-1", "2.0"],
        ),
        (
            "k8s_version: \"1.38\"\n    docker_apt_repository: none",
            ["Debian GNU/Linux 13", "docker_apt_repository"],
        ),
        ("pod_network_cidr: fd00::/64", ["IPv6", "IPv4"]),
        (
            "docker_registry_mirror_url: https://a:b@mirror.lan",
            ["docker_registry_mirror_url", "password"],
        ),
        ("docker_apt_repository: stable", ["docker_apt_repository", "trixie"]),
        (
            "container_runtime: docker\n    docker_apt_repository: deb \
             https://download.docker.com/linux/raspbian stretch stable",
            ["Raspbian", "arm64"],
        ),
    ] {
        let said = refused(&case, &format!("    {vars}\n"));
        for part in parts {
            assert!(said.contains(part), "{vars}: `{part}`: {said}");
        }
        assert!(!said.contains("a:b"), "{said}");
    }
    let bullseye = Case::load("bullseye");
    let own = "    k8s_version: \"1.34\"\n    docker_apt_repository: none\n";
    let said = match plan_on(&bullseye, &single(own), "node4") {
        // A 32-bit image has its own reason.
        Err(error) => error.to_string(),
        Ok(_) => panic!("containerd 1.4"),
    };
    assert!(said.contains("too old") || said.contains("32-bit"), "{said}");
}

/// The inventory of the article says where Docker came from in 2018.
#[test]
fn an_old_repository_is_not_in_containerds_way() {
    let vars = "    docker_apt_repository: deb \
                https://download.docker.com/linux/raspbian stretch stable\n";
    let plan = plan(&single(vars), "node4");
    let line = text(&plan, "/etc/apt/sources.list.d/docker.list");
    assert_eq!(
        line,
        "deb [signed-by=/etc/apt/keyrings/docker.asc] \
         https://download.docker.com/linux/debian trixie stable\n"
    );
    let said = plan.notes.iter().any(|note| note.contains("for Raspbian"));
    assert!(said, "{:?}", plan.notes);
}

#[test]
fn each_system_has_its_repository() {
    for (case, said) in [
        ("trixie", "linux/debian trixie stable"),
        ("ubuntu-24.04", "linux/ubuntu noble stable"),
        ("ubuntu-26.04", "linux/ubuntu"),
    ] {
        let inventory = inventory("");
        let plan = plan_on(&Case::load(case), &inventory, "node4").unwrap();
        let line = text(&plan, "/etc/apt/sources.list.d/docker.list");
        assert!(line.contains(said), "{case}: {line}");
        let packages = text(&plan, "/etc/piflash/k8s/packages");
        assert!(packages.contains("containerd.io\n"), "{packages}");
    }
    let own = plan(&inventory("    docker_apt_repository: none\n"), "node4");
    assert!(!paths(&own).contains(&"/etc/apt/sources.list.d/docker.list"));
    let packages = text(&own, "/etc/piflash/k8s/packages");
    assert!(packages.starts_with("containerd\nconntrack\n"), "{packages}");
}

/// Docker's key is part of the program, and is Docker's.
#[test]
fn dockers_key_is_dockers() {
    let key =
        text(&plan(&inventory(""), "node4"), "/etc/apt/keyrings/docker.asc");
    let file = repository().join("profiles/templates/docker.asc");
    assert_eq!(key, std::fs::read_to_string(file).unwrap());
    let gpg = Gpg::new();
    gpg.write("key", key.as_bytes());
    let list = gpg.run(&["--with-colons", "--show-keys", "key"]);
    let list = String::from_utf8(list).unwrap();
    // https://docs.docker.com/engine/install/debian/
    let primary = "fpr:::::::::9DC858229FC7DD38854AE2D88D81803C0EBFCD88:";
    assert!(list.contains(primary), "{list}");
    assert_eq!(list.lines().filter(|it| it.starts_with("pub:")).count(), 1);
    gpg.run(&["--import", "key"]);
    let checked = gpg.run(&["--with-colons", "--check-sigs"]);
    let checked = String::from_utf8(checked).unwrap();
    assert!(!checked.contains("\nsig:-"), "{checked}");
    assert!(checked.contains("\nsig:!"), "{checked}");
}
