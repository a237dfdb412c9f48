//! Clusters of kubeadm. apt, containerd and kubectl are Debian's; kubeadm,
//! crictl and the kubelet are stand-ins, in packages of Kubernetes' names.

use super::{Cluster, is_ready, named, standin};
use crate::{
    expect::{settle, status},
    repository::{Files, Package, publish},
    site::GATEWAY,
    support::{gpg::Gpg, oracle::run},
};
use std::{fs, thread, time::Duration};

const CONFIG: &str = "build/k8s-config.yml";
const VERSION: &str = "1.37.1-1.1";
const NODES: [(&str, &str); 2] =
    [("node5", "192.168.71.25"), ("node6", "192.168.71.26")];

const KUBELET: &str = "\
[Unit]
Description=kubelet: a stand-in
Wants=network-online.target
After=network-online.target
StartLimitIntervalSec=0

[Service]
ExecStart=/usr/bin/kubelet
Restart=always
RestartSec=3

[Install]
WantedBy=multi-user.target
";

/// Debian's package of this name has made way for Kubernetes' own.
const KUBECTL: &str = "#!/bin/sh\nexec /usr/local/lib/kubectl \"$@\"\n";

/// A master and a worker, which is up first; power goes in the middle of
/// init and of join.
#[test]
#[ignore = "boots virtual machines"]
fn kubeadm_worker_comes_before_its_master() {
    let mut cluster = Cluster::plan(
        &NODES,
        &["k8s_master: {hosts: {node5: }}", "k8s_worker: {hosts: {node6: }}"],
        &[
            &format!("k8s_version: {VERSION}"),
            "docker_apt_repository: none",
            "node_labels: {tier: edge}",
        ],
    );
    publish_packages(&cluster);
    // What the builder downloads comes by a way of its own; the nodes have
    // a proxy.
    let server = cluster.releases.server.url("");
    let (_, port) = server.rsplit_once(':').unwrap();
    let proxy = [("http_proxy", server.as_str())];
    cluster.site.build_with(&["node5", "node6"], &[], &proxy);
    cluster.add_vars(&[&format!("proxy_url: http://{GATEWAY}:{port}")]);
    cluster.site.build_with(&["node5", "node6"], &["--offline"], &[]);
    let (five, six) = (cluster.node("node5"), cluster.node("node6"));

    let mut worker = six.power_on();
    let mut master = five.power_on();
    master.wait_for_console("55-k8s-init: attempt");
    thread::sleep(Duration::from_millis(500));
    master.cut();
    let mut master = five.power_on();
    worker.wait_for_console("55-k8s-join: attempt");
    // It joins as soon as there is somebody.
    master.wait_for_console("55-k8s-init: done");
    thread::sleep(Duration::from_secs(1));
    worker.cut();
    let mut worker = six.power_on();
    settle(&mut master);
    settle(&mut worker);
    assert_eq!(status(&worker)["state"], "done");

    let nodes = cluster.kubectl(CONFIG, "node5", &["get", "nodes"]).unwrap();
    for (name, address) in NODES {
        let node = named(&nodes, name);
        assert!(is_ready(node), "{node:#}");
        assert_eq!(node["metadata"]["labels"]["tier"], "edge");
        assert_eq!(node["status"]["addresses"][0]["address"], address);
    }
    let role = "node-role.kubernetes.io/control-plane";
    let taint = &named(&nodes, "node5")["spec"]["taints"][0];
    assert_eq!(taint["key"], role);
    let labels = &named(&nodes, "node6")["metadata"]["labels"];
    assert!(labels[role].is_null(), "{labels}");
    // Flannel's manifest has been applied.
    let flannel = ["get", "namespace", "kube-flannel"];
    cluster.kubectl(CONFIG, "node5", &flannel).unwrap();

    for guest in [&master, &worker] {
        let held = guest.sh("apt-mark showhold | sort | xargs");
        assert_eq!(
            held,
            "containerd cri-tools kubeadm kubectl kubelet kubernetes-cni"
        );
        let version = "dpkg-query -W -f '${Version}' kubelet";
        assert_eq!(guest.sh(version), VERSION);
        let config = "sudo containerd config dump";
        let dump = guest.sh(&format!("{config} | grep SystemdCgroup"));
        assert_eq!(dump.trim(), "SystemdCgroup = true");
    }
    // Workers have nobody's key but their own.
    assert_eq!(
        worker.sh("sudo find / -xdev -name 'ca.key' -o -xdev -name 'sa.key'"),
        ""
    );
    worker.power_off();
    six.assert_sound();
    master.power_off();
    five.assert_sound();
}

/// Kubernetes' repository, signed; the versions to be taken are not the
/// newest.
fn publish_packages(cluster: &Cluster) {
    let gpg = Gpg::new();
    gpg.key("", "packages@lab.test", &["ed25519", "sign"]);
    let key = gpg.run(&["--armor", "--export", "packages@lab.test"]);
    let server = &cluster.releases.server;
    let path = "/k8s/v1.37/deb";
    server.put(&format!("{path}/Release.key"), &key);

    let program = standin();
    let stripped = gpg.path("kubelet");
    let (from, to) = (program.to_str().unwrap(), stripped.to_str().unwrap());
    run("strip", &["-o", to, from]).unwrap();
    let program = fs::read(stripped).unwrap();
    let link = |name: &str| {
        format!("#!/bin/bash\nexec -a {name} /usr/bin/kubelet \"$@\"\n")
    };
    let (kubeadm, crictl) = (link("kubeadm"), link("crictl"));
    let unit = "/usr/lib/systemd/system/kubelet.service";
    let mut packages = Vec::new();
    for version in [VERSION, "1.37.2-1.1"] {
        let control = |name: &str, depends: &str| {
            format!(
                "Package: {name}\nVersion: {version}\nArchitecture: amd64\n\
                 Maintainer: nobody <nobody@localhost>\n{depends}\
                 Description: stand-in of {name}\n"
            )
        };
        let kubelet = control("kubelet", "");
        let files = [
            ("/usr/bin/kubelet", 0o755, &*program),
            (unit, 0o644, KUBELET.as_bytes()),
        ];
        packages.push(Package::make(&kubelet, wanted(version, &files)));
        let depends = "Depends: kubelet, kubectl, cri-tools\n";
        for (name, depends, script) in
            [("kubeadm", depends, &*kubeadm), ("kubectl", "", KUBECTL)]
        {
            let path = format!("/usr/bin/{name}");
            let files = [(&*path, 0o755, script.as_bytes())];
            let files = wanted(version, &files);
            packages.push(Package::make(&control(name, depends), files));
        }
    }
    packages.push(Package::make(
        "Package: cri-tools\nVersion: 1.37.0-1.1\nArchitecture: amd64\n\
         Maintainer: nobody <nobody@localhost>\nDescription: stand-in\n",
        &[("/usr/bin/crictl", 0o755, crictl.as_bytes())],
    ));
    packages.push(Package::make(
        "Package: kubernetes-cni\nVersion: 1.8.0-1.1\nArchitecture: amd64\n\
         Maintainer: nobody <nobody@localhost>\nDescription: stand-in\n",
        &[],
    ));
    publish(server, path, &packages, Some(&gpg));
    // The archive that the lab image knows has nothing.
    publish(server, "/lab", &[], None);
}

/// Of other versions nobody must ever see more than their name.
fn wanted<'f>(version: &str, files: &'f Files<'f>) -> &'f Files<'f> {
    if version == VERSION { files } else { &[] }
}
