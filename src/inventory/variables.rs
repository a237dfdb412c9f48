//! The one table of the variables that are ours: their names, shapes,
//! defaults and meaning. Validation, "did you mean" and the inventory that
//! `init` writes all derive from it.

use super::problem::nearest;

/// A variable that piflash reads.
#[derive(Debug)]
pub struct Variable {
    /// The name.
    pub name: &'static str,
    /// Other names that mean the same.
    pub aliases: &'static [&'static str],
    /// What a value must look like.
    pub shape: Shape,
    /// What holds when it is not set, in words or as a value; empty if
    /// nothing.
    pub default: &'static str,
    /// A value as it may stand in an inventory, in YAML's flow style.
    pub example: &'static str,
    /// One line of documentation.
    pub doc: &'static str,
    /// Its values are needed before the image is read, so they may use
    /// expressions over the inventory, not over facts.
    pub early: bool,
}

/// What a value must look like.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shape {
    /// Text on one line; a number is taken as it is written.
    Text,
    /// `yes` or `no`.
    Bool,
    /// An IP address, or for `ansible_host` a name.
    Host,
    /// An IP address.
    Ip,
    /// One IP address or a list of them.
    IpList,
    /// The length of a network prefix, 1 to 127.
    Prefix,
    /// The name of a network interface.
    Interface,
    /// The name of an account.
    Account,
    /// The `wifi` mapping.
    Wifi,
    /// Public keys or paths of `.pub` files.
    SshKeys,
    /// A hash of crypt(3).
    PasswordHash,
    /// SHA-256 in 64 hexadecimal digits.
    Sha256,
    /// An absolute path.
    AbsolutePath,
    /// Like `Europe/Berlin`.
    TimeZone,
    /// Like `en_US.UTF-8`.
    Locale,
    /// One host name or address, or a list of them.
    Hosts,
    /// Names of Debian packages, as a list or in one line.
    Packages,
    /// The `files` list.
    Files,
    /// Settings of `config.txt`.
    ConfigTxt,
    /// An `http` or `https` URL.
    Url,
    /// Text, or a list of texts that is joined with commas.
    CommaList,
    /// A version, without spaces.
    Version,
    /// Networks like `10.244.0.0/16`, joined with commas for dual stack.
    Cidr,
    /// One of some words.
    Choice(&'static [&'static str]),
    /// `host` or `host:port`.
    Endpoint,
    /// A mapping of anything.
    Map,
    /// Labels of a Kubernetes node: a mapping, or a list of `key=value`.
    Labels,
    /// Taints of a Kubernetes node: a list of `key[=value]:Effect`.
    Taints,
}

impl Shape {
    /// Says in words what is expected.
    pub fn expected(self) -> String {
        match self {
            Self::Text => "text on one line",
            Self::Bool => "yes or no",
            Self::Host => "an IP address",
            Self::Ip => "an IP address",
            Self::IpList => "an IP address or a list of them",
            Self::Prefix => "a prefix length, 1 to 31 (IPv6: to 127)",
            Self::Interface => "the name of a network interface",
            Self::Account => "the name of an account",
            Self::Wifi => "a mapping with ssid, psk and country",
            Self::SshKeys => "a list of public keys or paths of .pub files",
            Self::PasswordHash => "a hash of crypt(3)",
            Self::Sha256 => "64 hexadecimal digits",
            Self::AbsolutePath => "an absolute path",
            Self::TimeZone => "a time zone",
            Self::Locale => "a locale",
            Self::Hosts => "a host or a list of hosts",
            Self::Packages => "a list of Debian packages",
            Self::Files => "a list of mappings with src and dest",
            Self::ConfigTxt => "a mapping or a list of key=value",
            Self::Url => "a http or https URL",
            Self::CommaList => "text or a list",
            Self::Version => "a version",
            Self::Cidr => "a network",
            Self::Choice(words) => return words.join(" or "),
            Self::Endpoint => "host or host:port",
            Self::Map => "a mapping",
            Self::Labels => "a mapping or a list of key=value",
            Self::Taints => "a list of key=value:Effect",
        }
        .to_owned()
    }
}

const fn early(
    name: &'static str,
    shape: Shape,
    default: &'static str,
    example: &'static str,
    doc: &'static str,
) -> Variable {
    Variable { name, aliases: &[], shape, default, example, doc, early: true }
}

const fn late(
    name: &'static str,
    shape: Shape,
    default: &'static str,
    example: &'static str,
    doc: &'static str,
) -> Variable {
    Variable { name, aliases: &[], shape, default, example, doc, early: false }
}

const fn also(
    variable: Variable,
    aliases: &'static [&'static str],
) -> Variable {
    Variable { aliases, ..variable }
}

/// All variables that are ours, in the order of the documentation.
#[rustfmt::skip] // a table
pub static VARIABLES: &[Variable] = &[
    early("ansible_host", Shape::Host, "", "192.168.71.21",
        "the node's address"),
    early("gateway", Shape::Ip, "", "192.168.71.1",
        "sets the address statically; without it the node stays on DHCP"),
    early("prefix", Shape::Prefix, "24, IPv6: 64", "24",
        "length of the network prefix"),
    early("dns", Shape::IpList, "the gateway", "[192.168.71.1, 9.9.9.9]",
        "name servers"),
    early("interface", Shape::Interface, "eth0, with wifi wlan0", "eth0",
        "the interface that gets the address"),
    early("wifi", Shape::Wifi, "",
        "{ssid: home, psk_env: WIFI_PSK, country: DE}",
        "wireless network; psk_env names an environment variable"),
    also(early("ansible_user", Shape::Account, "pi, on Ubuntu ubuntu", "pi",
        "the account that is made on the node"),
        &["ansible_ssh_user"]),
    early("ssh_authorized_keys", Shape::SshKeys, "~/.ssh/*.pub",
        "[~/.ssh/id_ed25519.pub]",
        "public keys, or paths of .pub files, that may log in"),
    early("password_hash", Shape::PasswordHash, "key login only",
        "$6$nNlbPnEo$Dh…",
        "crypt(3) hash of the account's password: openssl passwd -6"),
    early("image", Shape::Text, "the group's", "raspios-lite-arm64",
        "catalog id, path or URL of the stock image"),
    early("image_sha256", Shape::Sha256, "", "9f86d081884c…",
        "SHA-256 of the file that `image` names; a URL needs it"),
    early("boot_directory", Shape::AbsolutePath, "the image's",
        "/boot/firmware",
        "where the image mounts its boot partition; only checked"),
    early("timezone", Shape::TimeZone, "the image's", "Europe/Berlin",
        "time zone"),
    early("locale", Shape::Locale, "the image's", "en_US.UTF-8", "locale"),
    early("ntp", Shape::Hosts, "the image's", "[0.pool.ntp.org]",
        "time servers"),
    also(early("packages", Shape::Packages, "", "[nfs-common]",
        "packages to install on first boot"),
        &["k3s_apt"]),
    early("upgrade", Shape::Bool, "no", "no",
        "upgrade all packages on first boot"),
    early("rpi_update", Shape::Bool, "no", "no",
        "run rpi-update on first boot"),
    early("status_led", Shape::Bool, "yes", "no",
        "the board's ACT LED shows how far the first boot is"),
    early("files", Shape::Files, "",
        "[{src: motd, dest: /etc/motd, mode: \"0644\", owner: root}]",
        "files to copy into the image"),
    early("config_txt", Shape::ConfigTxt, "", "{gpu_mem: 16}",
        "settings for config.txt"),
    late("proxy_url", Shape::Url, "", "http://10.0.0.1:3128/",
        "proxy for the node's downloads"),
    late("no_proxy", Shape::CommaList, "", "10.0.0.0/8,localhost",
        "what is reached without the proxy"),
    late("docker_registry_mirror_url", Shape::Url, "",
        "https://mirror.example/", "mirror of Docker Hub"),
    late("k3s_registries", Shape::Map, "", "{mirrors: {}}",
        "content of k3s's registries.yaml"),
    late("k3s_version", Shape::Version, "the catalog's", "v1.36.4+k3s1",
        "release of k3s"),
    late("k3s_config", Shape::Map, "", "{node-label: [tier=edge]}",
        "merged into k3s's config.yaml"),
    late("k3s_url", Shape::Url, "the first master",
        "https://192.168.71.21:6443", "server that k3s nodes join"),
    late("k3s_airgap", Shape::Bool, "no", "no",
        "put the container images of the release in the image too"),
    late("k3s_download_url", Shape::Url, "k3s's releases on GitHub",
        "https://mirror.example/k3s", "where k3s is downloaded from"),
    late("k8s_download_url", Shape::Url, "pkgs.k8s.io",
        "https://mirror.example/k8s",
        "apt repositories of Kubernetes, one for each minor version below"),
    late("flannel_download_url", Shape::Url, "Flannel's releases on GitHub",
        "https://mirror.example/flannel",
        "where Flannel's manifest is downloaded from"),
    late("cri_dockerd_download_url", Shape::Url,
        "cri-dockerd's releases on GitHub", "https://mirror.example/cri",
        "where cri-dockerd is downloaded from, for Docker"),
    late("k8s_version", Shape::Version, "the newest", "1.37.1-1.1",
        "version of the packages kubeadm, kubelet and kubectl"),
    also(late("kubernetes_cni_version", Shape::Version, "the newest",
        "1.8.0-1.1", "version of the package kubernetes-cni"),
        &["kuberneted_cni_version"]),
    late("containerd_version", Shape::Version, "the newest", "2.2.1-1",
        "version of the package containerd.io"),
    late("docker_version", Shape::Version, "the newest",
        "5:28.5.2-1~debian.13~trixie", "version of the package docker-ce"),
    late("docker_apt_repository", Shape::Text, "Docker's for the image",
        "deb https://download.docker.com/linux/debian trixie stable",
        "line of sources.list for Docker and containerd"),
    late("container_runtime", Shape::Choice(&["containerd", "docker"]),
        "containerd", "containerd", "what runs the containers of kubeadm"),
    late("pod_network_cidr", Shape::Cidr, "10.244.0.0/16", "10.244.0.0/16",
        "network of the pods"),
    late("cni", Shape::Text, "flannel", "flannel",
        "network add-on of kubeadm"),
    late("control_plane_endpoint", Shape::Endpoint, "the first master",
        "192.168.71.20:6443", "address that stands for all masters"),
    late("node_labels", Shape::Labels, "", "{tier: edge}",
        "labels of the Kubernetes node"),
    late("node_taints", Shape::Taints, "", "[dedicated=gpu:NoSchedule]",
        "taints of the Kubernetes node"),
    also(late("hooks_dir", Shape::Text, "hooks", "hooks",
        "directory of the event hooks"),
        &["k3s_hooks_dir"]),
    late("remove_docker_directory", Shape::Bool, "no", "no",
        "down also removes /var/lib/docker"),
    late("k3s_delete_emptydir_data", Shape::Bool, "no", "no",
        "down also drains pods with emptyDir data"),
];

/// Prefixes under which every name is ours.
const PREFIXES: [&str; 2] = ["k3s_", "k8s_"];

/// What a name of a variable is to us.
#[derive(Debug)]
pub(super) enum Known {
    /// One of ours.
    Ours(&'static Variable),
    /// Not ours, and none of our business.
    Foreign,
    /// Likely one of ours with a slip, or under our prefix.
    Unknown(Option<&'static str>),
    /// Foreign, but one of ours with something at its end, like a plural.
    Doubtful(&'static str),
}

/// Looks up one of our variables by its name or an alias.
pub fn variable(name: &str) -> Option<&'static Variable> {
    VARIABLES.iter().find(|v| v.name == name || v.aliases.contains(&name))
}

/// Says what a name is to us.
pub(super) fn classify(name: &str) -> Known {
    if let Some(variable) = variable(name) {
        return Known::Ours(variable);
    }
    if name.starts_with("ansible_") {
        return Known::Foreign;
    }
    let names = VARIABLES
        .iter()
        .flat_map(|v| std::iter::once(v.name).chain(v.aliases.iter().copied()))
        .filter(|name| !name.starts_with("ansible_"));
    let near = nearest(name, names);
    let ours = PREFIXES.iter().any(|prefix| name.starts_with(prefix));
    match near {
        // `interfaces`, `file` and `local` are likely foreign words.
        Some(near)
            if !ours && (name.starts_with(near) || near.starts_with(name)) =>
        {
            Known::Doubtful(near)
        }
        None if !ours => Known::Foreign,
        near => Known::Unknown(near),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn foreign_names_are_left_alone() {
        for name in [
            "ansible_hots",
            "interface_name",
            "http_port",
            "mtu",
            "cname",
            "dns_domain",
            "my_gateway",
            "users",
            "docker_users",
            "image_tag",
            "ntp_enabled",
            "time",
            "prefixes",
            "file_mode",
        ] {
            assert!(matches!(classify(name), Known::Foreign), "{name}");
        }
        for name in ["interfaces", "file", "local"] {
            assert!(matches!(classify(name), Known::Doubtful(_)), "{name}");
        }
    }

    #[test]
    fn slips_and_unknown_names_under_our_prefixes_are_found() {
        for (name, near) in [
            ("gatway", Some("gateway")),
            ("time_zone", Some("timezone")),
            ("k3s_versoin", Some("k3s_version")),
            ("k8s_flavour", None),
            ("docker_registry_mirror", None),
        ] {
            match classify(name) {
                Known::Unknown(found) => assert_eq!(found, near, "{name}"),
                Known::Foreign => {
                    assert_eq!(near, None, "{name}");
                    assert!(!name.starts_with("k8s_"), "{name}");
                }
                other => panic!("{name}: {other:?}"),
            }
        }
    }

    #[test]
    fn names_are_unique() {
        let mut names: Vec<&str> = VARIABLES
            .iter()
            .flat_map(|v| v.aliases.iter().copied().chain([v.name]))
            .collect();
        let count = names.len();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), count);
    }
}
