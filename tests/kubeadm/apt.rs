//! Versions, keys and holds, as the real apt resolves them: against a
//! repository of packages that do not exist, over HTTP, into a root of its
//! own.

use std::fmt::Write;

use super::{inventory, plan, text};
use crate::{
    firstboot::node::{Node, SHELLS},
    support::{gpg::Gpg, oracle, server::Server, sha256},
};

const STEP: &str = "50-k8s-packages";
const SOURCES: &str = "/etc/apt/sources.list.d";

/// apt-get that does as if: what it would install is written down as
/// installed.
const APT_GET: &str = r#"
case " $* " in
*" check "* | *" update "*) exec /usr/bin/apt-get "$@" ;;
esac
/usr/bin/apt-get --simulate "$@" >"$PIFLASH_ROOT/simulated" || exit
cat "$PIFLASH_ROOT/simulated"
sed -n 's/^Inst \([^ ]*\) .*(\([^ ]*\) .*/\1 \2/p' "$PIFLASH_ROOT/simulated" |
    while read -r name version; do
        echo "$name $version" >>"$PIFLASH_ROOT/installed"
        cat >>"$PIFLASH_ROOT/var/lib/dpkg/status" <<END
Package: $name
Status: install ok installed
Maintainer: nobody
Architecture: $(dpkg --print-architecture)
Version: $version
Description: none

END
    done
"#;

const DPKG: &str = r#"
case "$*" in
*--configure*) exit ;;
*) exec /usr/bin/dpkg --admindir "$PIFLASH_ROOT/var/lib/dpkg" \
    --force-not-root "$@" ;;
esac
"#;

/// A server with signed repositories.
struct Repositories {
    server: Server,
    gpg: Gpg,
}

impl Repositories {
    fn start() -> Self {
        let gpg = Gpg::new();
        for name in ["ours", "other"] {
            gpg.key("", name, &["ed25519", "sign", "never"]);
        }
        let this = Self { server: Server::start(), gpg };
        let mut kubernetes = Vec::new();
        for name in ["kubeadm", "kubelet", "kubectl"] {
            for version in
                ["1.37.0-1.1", "1.37.1-1.1", "1.37.1-2.1", "1.37.2-1.1"]
            {
                kubernetes.push((name, version));
            }
        }
        for version in ["1.7.0-1.1", "1.8.0-1.1"] {
            kubernetes.push(("kubernetes-cni", version));
        }
        kubernetes.push(("cri-tools", "1.37.0-1.1"));
        this.put("/k8s/v1.37/deb", "", &kubernetes);
        let docker = [
            ("containerd.io", "1.7.28-1~debian.13~trixie"),
            ("containerd.io", "2.2.1-1~debian.13~trixie"),
            ("containerd.io", "2.2.2-1~debian.13~trixie"),
            ("docker-ce", "5:28.5.2-1~debian.13~trixie"),
            ("docker-ce", "5:29.0.0-1~debian.13~trixie"),
            ("docker-ce-cli", "5:28.5.2-1~debian.13~trixie"),
            ("docker-ce-cli", "5:29.0.0-1~debian.13~trixie"),
        ];
        this.put("/docker/dists/trixie", "stable/binary-", &docker);
        // The system's own: something there has a higher version.
        let debian = [
            ("conntrack", "1"),
            ("ethtool", "1"),
            ("iptables", "1"),
            ("socat", "1"),
            ("containerd", "1.7.24"),
            ("kubeadm", "9.99-1"),
            ("kubernetes-cni", "9.99-1"),
        ];
        this.put("/debian", "", &debian);
        this
    }

    fn put(&self, base: &str, below: &str, packages: &[(&str, &str)]) {
        let architecture = architecture();
        let mut list = String::new();
        for (name, version) in packages {
            writeln!(
                list,
                "Package: {name}\nVersion: {version}\nArchitecture: \
                 {architecture}\nMaintainer: nobody\nFilename: {name}.deb\n\
                 Size: 1\nSHA256: {:064}\nDescription: none\n",
                0
            )
            .unwrap();
        }
        let mut file = "Packages".to_owned();
        if !below.is_empty() {
            file = format!("{below}{architecture}/Packages");
        }
        let release = format!(
            "Origin: test\nLabel: test\nSuite: test\nCodename: trixie\n\
             Architectures: {architecture}\nComponents: stable\nDate: Sat, 01 \
             Nov 2025 00:00:00 UTC\nSHA256:\n {} {} {file}\n",
            sha256(list.as_bytes()),
            list.len()
        );
        self.server.put(&format!("{base}/{file}"), list.as_bytes());
        self.gpg.write("release", release.as_bytes());
        let args = ["--local-user", "ours", "--clearsign", "--output", "-"];
        let signed = self.gpg.run(&[&args[..], &["release"]].concat());
        self.server.put(&format!("{base}/InRelease"), &signed);
    }

    fn key(&self, name: &str) -> String {
        let key = self.gpg.run(&["--armor", "--export", name]);
        String::from_utf8(key).unwrap()
    }

    /// A node with what its card would have, for the first attempt.
    fn node(&self, vars: &str) -> Node<'static> {
        let mut node = Node::new(&SHELLS[0], &[]);
        let root = node.path("");
        let root = root.to_str().unwrap().trim_end_matches('/');
        let vars = format!(
            "    k8s_download_url: {}\n    docker_apt_repository: deb \
             [signed-by=/etc/apt/keyrings/docker.asc] {} trixie stable\n{vars}",
            self.server.url("/k8s"),
            self.server.url("/docker")
        );
        let plan = plan(&inventory(&vars), "node4");
        for name in ["kubernetes", "docker"] {
            let path = format!("{SOURCES}/{name}.list");
            // Paths of the node's are not those of this machine.
            let line = text(&plan, &path)
                .replace("signed-by=/", &format!("signed-by={root}/"));
            node.write(&path[1..], line);
            let key = format!("etc/apt/keyrings/{name}.asc");
            node.write(&key, self.key("ours"));
        }
        let url = self.server.url("/debian");
        node.write(
            &format!("{}/debian.list", &SOURCES[1..]),
            format!("deb [trusted=yes] {url} /\n"),
        );
        for path in [
            "/etc/apt/preferences.d/piflash-kubernetes",
            "/etc/piflash/k8s/packages",
            "/etc/piflash/k8s/hold",
        ] {
            node.write(&path[1..], text(&plan, path));
        }
        let architecture = architecture();
        node.write(
            "apt.conf",
            format!(
                "Dir \"{root}\";\nAPT::Architecture \"{architecture}\";\n\
                 APT::Architectures {{ \"{architecture}\"; }};\n\
                 APT::Sandbox::User \"\";\nAcquire::Languages \"none\";\n\
                 Dir::Bin::dpkg \"{root}/programs/dpkg\";\n"
            ),
        );
        node.write("var/lib/dpkg/status", "");
        for dir in
            ["lib/apt/lists/partial", "cache/apt/archives/partial", "log/apt"]
        {
            std::fs::create_dir_all(node.path(&format!("var/{dir}"))).unwrap();
        }
        let conf = node.path("apt.conf");
        node.set("APT_CONFIG", conf.to_str().unwrap());
        node.program("apt-get", APT_GET);
        node.program("dpkg", DPKG);
        node.step(STEP);
        node
    }
}

fn architecture() -> String {
    let text = oracle::run("dpkg", &["--print-architecture"]).unwrap();
    String::from_utf8(text).unwrap().trim().to_owned()
}

fn run(node: &Node<'_>) -> Result<(), String> {
    let output = node.run(&format!("steps/{STEP}"), &[]);
    let text = [output.stdout, output.stderr].concat();
    let text = String::from_utf8(text).unwrap();
    if output.status.success() { Ok(()) } else { Err(text) }
}

fn installed(node: &Node<'_>) -> Vec<String> {
    let text = node.read("installed");
    let mut lines: Vec<String> = text.lines().map(str::to_owned).collect();
    lines.sort();
    lines
}

/// Runs another of apt's programs on the node.
fn apt(node: &Node<'_>, program: &str, args: &[&str]) -> String {
    let output = std::process::Command::new(program)
        .args(args)
        .env("APT_CONFIG", node.path("apt.conf"))
        .env("PIFLASH_ROOT", node.path(""))
        .env("LC_ALL", "C.UTF-8")
        .output()
        .unwrap();
    assert!(output.status.success(), "{output:?}");
    String::from_utf8(output.stdout).unwrap()
}

#[test]
fn pinned_packages_are_what_is_installed_and_stay() {
    let repositories = Repositories::start();
    let vars = "    k8s_version: 1.37.1-1.1\n    \
                kubernetes_cni_version: 1.7.0-1.1\n    \
                containerd_version: 2.2.1-1\n";
    let node = repositories.node(vars);
    run(&node).unwrap();
    assert_eq!(
        installed(&node),
        [
            "conntrack 1",
            "containerd.io 2.2.1-1~debian.13~trixie",
            "cri-tools 1.37.0-1.1",
            "ethtool 1",
            "iptables 1",
            "kubeadm 1.37.1-1.1",
            "kubectl 1.37.1-1.1",
            "kubelet 1.37.1-1.1",
            "kubernetes-cni 1.7.0-1.1",
            "socat 1",
        ]
    );
    let held = apt(&node, "apt-mark", &["showhold"]);
    let held: Vec<&str> = held.lines().collect();
    assert_eq!(
        held,
        [
            "containerd.io",
            "cri-tools",
            "kubeadm",
            "kubectl",
            "kubelet",
            "kubernetes-cni"
        ]
    );
    let upgrade = ["--simulate", "dist-upgrade"];
    let said = apt(&node, "apt-get", &upgrade);
    assert!(!said.contains("\nInst "), "{said}");
    // Once more, as after a power cut.
    run(&node).unwrap();
    assert_eq!(installed(&node).len(), 10);
    // Without the holds, which somebody may have taken away.
    apt(&node, "apt-mark", &[&["unhold"], &held[..]].concat());
    let said = apt(&node, "apt-get", &upgrade);
    assert!(!said.contains("\nInst "), "{said}");
    // The judge can say something else.
    node.remove("etc/apt/preferences.d/piflash-kubernetes");
    let said = apt(&node, "apt-get", &upgrade);
    assert!(said.contains("Inst kubeadm [1.37.1-1.1] (9.99-1"), "{said}");
}

#[test]
fn a_minor_release_is_its_newest_patch() {
    let repositories = Repositories::start();
    for (version, expected) in
        [("1.37", "1.37.2-1.1"), ("1.37.1", "1.37.1-2.1")]
    {
        let vars = format!("    k8s_version: \"{version}\"\n");
        let node = repositories.node(&vars);
        run(&node).unwrap();
        for name in ["kubeadm", "kubelet", "kubectl"] {
            let line = format!("{name} {expected}");
            assert!(installed(&node).contains(&line), "{version}: {line}");
        }
    }
}

#[test]
fn docker_is_pinned_too() {
    let repositories = Repositories::start();
    let docker = "    container_runtime: docker\n    \
                  docker_version: \"5:28.5.2-1~debian.13~trixie\"\n    \
                  containerd_version: 2.2.2-1\n";
    let node = repositories.node(docker);
    run(&node).unwrap();
    let held = apt(&node, "apt-mark", &["showhold"]);
    for (name, version) in [
        ("containerd.io", "2.2.2-1~debian.13~trixie"),
        ("docker-ce", "5:28.5.2-1~debian.13~trixie"),
        ("docker-ce-cli", "5:28.5.2-1~debian.13~trixie"),
    ] {
        let line = format!("{name} {version}");
        assert!(installed(&node).contains(&line), "{line}");
        assert!(held.lines().any(|it| it == name), "{held}");
    }
}

#[test]
fn what_cannot_be_had_is_said_and_nothing_else_taken() {
    let repositories = Repositories::start();
    let node = repositories.node("    k8s_version: 1.37.9-1.1\n");
    let said = run(&node).unwrap_err();
    assert!(said.contains("'1.37.9-1.1' for 'kubeadm'"), "{said}");
    assert!(!node.exists("installed"));
    // Signed by somebody else.
    let node = repositories.node("");
    node.write("etc/apt/keyrings/kubernetes.asc", repositories.key("other"));
    let said = run(&node).unwrap_err();
    assert!(
        said.contains("NO_PUBKEY") || said.contains("Missing key"),
        "{said}"
    );
    assert!(!node.exists("installed"));
}
