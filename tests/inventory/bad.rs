//! Bad inventories, and what is said about each.

use super::{Lab, errors};

/// A control plane that is fine, to put something bad beside.
fn with_host(vars: &str) -> String {
    errors(&format!("all:\n  hosts:\n    node1: {{{vars}}}\n"))
}

#[test]
fn files_that_are_no_inventory() {
    insta::assert_snapshot!(errors(""), @r#"inventory.yml:1:1: the inventory is empty (`piflash init` writes one to start from)"#);
    insta::assert_snapshot!(errors("# only\n---\n"), @r#"inventory.yml:2:4: the inventory is empty (`piflash init` writes one to start from)"#);
    insta::assert_snapshot!(errors("just text\n"), @r#"inventory.yml:1:1: an inventory is a mapping of groups, not a single value (begin with `all:` and `hosts:` below it)"#);
    insta::assert_snapshot!(errors("- a\n- b\n"), @r#"inventory.yml:1:1: an inventory is a mapping of groups, not a list (an INI inventory is converted by `ansible-inventory -i FILE --list --yaml`)"#);
    insta::assert_snapshot!(errors("all:\n"), @r#"inventory.yml:1:1: the inventory has no nodes (name them below `all:` and `hosts:`)"#);
    insta::assert_snapshot!(errors("all: {hosts: , children: {}}\n"), @r#"inventory.yml:1:1: the inventory has no nodes (name them below `all:` and `hosts:`)"#);
    insta::assert_snapshot!(errors("[all]\nnode1 ansible_host=10.0.0.2\n"), @r#"inventory.yml:2:1: not valid YAML: did not find expected <document start> (an INI inventory is converted by `ansible-inventory -i FILE --list --yaml`)"#);
    insta::assert_snapshot!(errors("all: {}\n---\nall: {}\n"), @r#"inventory.yml:3:1: a second YAML document begins here (an inventory is one document: drop the `---`)"#);
    insta::assert_snapshot!(errors("plugin: aws_ec2\n"), @r#"inventory.yml:1:1: this configures an inventory plugin, it is no inventory"#);
    insta::assert_snapshot!(
        errors("$ANSIBLE_VAULT;1.1;AES256\n6162\n"), @r#"inventory.yml:1:1: the file is encrypted by ansible-vault (ansible-vault is not supported: use `ansible-vault decrypt` on a copy, or psk_env for a Wi-Fi key)"#
    );
    let lab = Lab::new([b'a', b'l', b'l', 0xff]);
    insta::assert_snapshot!(lab.errors(), @r#"inventory.yml: is not UTF-8 text: bad byte at offset 3"#);
    let lab = Lab::new("").file("inventory.yml.d/x", "");
    std::fs::remove_file(lab.path().join("inventory.yml")).unwrap();
    insta::assert_snapshot!(lab.errors(), @r#"inventory.yml: cannot be read: No such file or directory (os error 2)"#);
    std::fs::create_dir(lab.path().join("inventory.yml")).unwrap();
    insta::assert_snapshot!(lab.errors(), @r#"inventory.yml: is a directory, not a file"#);
}

#[test]
fn broken_yaml() {
    insta::assert_snapshot!(errors("all:\n\thosts:\n"), @r#"inventory.yml:2:2: not valid YAML: tabs disallowed within this context (block indentation) (indent with spaces: YAML allows no tabs)"#);
    insta::assert_snapshot!(errors("all:\n  hosts: {node1: \n"), @r#"inventory.yml:2:10: not valid YAML: unclosed bracket '{'"#);
    insta::assert_snapshot!(errors("all:\n  a: b: c\n"), @r#"inventory.yml:2:7: not valid YAML: mapping values are not allowed in this context (a value with `: ` in it needs quotes, and keys of one mapping the same indentation)"#);
    insta::assert_snapshot!(errors("all: *nothing\n"), @r#"inventory.yml:1:6: not valid YAML: while parsing node, found unknown anchor (an alias `*name` needs an anchor `&name` before it)"#);
    insta::assert_snapshot!(errors("all:\n  hosts:\n    n1:\n    n1:\n"), @r#"inventory.yml:4:5: `n1` is given twice (first in line 3; only one can count)"#);
    insta::assert_snapshot!(errors("all: {hosts: {n: {x: !foo 1}}}\n"), @r#"inventory.yml:1:22: the tag `!foo` is not supported (leave it out; a value with `!` in front needs quotes)"#);
    insta::assert_snapshot!(errors("all: {hosts: {[a]: }}\n"), @r#"inventory.yml:1:15: a key must be a name, not a list"#);
    insta::assert_snapshot!(errors("all: {vars: {<<: 1}}\n"), @r#"inventory.yml:1:18: `<<` needs a mapping, not a single value"#);
    insta::assert_snapshot!(errors("all: &a {hosts: {n: *a}}\n"), @r#"inventory.yml:1:21: an alias inside the value it stands for"#);
}

#[test]
fn structure() {
    insta::assert_snapshot!(errors("all:\n  host:\n    n1:\n"), @r#"inventory.yml:2:3: unknown key `host` in group `all` (did you mean `hosts`?)"#);
    insta::assert_snapshot!(errors("all:\n  node1:\n"), @r#"inventory.yml:2:3: unknown key `node1` in group `all` (only hosts, children and vars can stand here)"#);
    insta::assert_snapshot!(errors("all:\n  hosts: [n1, n2]\n"), @r#"inventory.yml:2:10: `hosts` of group `all` must be a mapping, not a list (write `name:` instead of `- name`)"#);
    insta::assert_snapshot!(errors("all: [n1]\n"), @r#"inventory.yml:1:6: group `all` must be a mapping, not a list (its keys are hosts, children and vars)"#);
    insta::assert_snapshot!(errors("all: {hosts: {n1: 10.0.0.2}}\n"), @r#"inventory.yml:1:19: node `n1` must be a mapping of variables, not a single value (write `node1: {ansible_host: 192.168.71.21}`)"#);
    insta::assert_snapshot!(errors("all: {hosts: {n1: }, vars: [a]}\n"), @r#"inventory.yml:1:28: `vars` of group `all` must be a mapping, not a list (write `name: value`)"#);
    insta::assert_snapshot!(
        errors("a: {children: {b: {children: {a: }}}, hosts: {n1: }}\n"),
        @r#"inventory.yml:1:16: group `b` is its own ancestor: `a` is below it already"#
    );
    insta::assert_snapshot!(
        errors("a: {children: {a: }, hosts: {'n[3:1]': , n1: }}\n"), @r#"
    inventory.yml:1:16: group `a` is its own ancestor: `a` is below it already
    inventory.yml:1:30: `n[3:1]`: a host range must begin before it ends
    "#
    );
    insta::assert_snapshot!(
        errors(
            "all:\n  hosts: {n1: }\n  children:\n    k3s_masters:\n    \
             k8s-worker:\n    k8s_server:\n    ubunut:\n    rasbian:\n    \
             raspberry_pi_4:\n    debian:\n    k3s_node:\n"
        ),
        @r#"
    inventory.yml:4:5: unknown group `k3s_masters` (did you mean `k3s_master`?)
    inventory.yml:5:5: unknown group `k8s-worker` (did you mean `k8s_worker`?)
    inventory.yml:6:5: unknown group `k8s_server` (did you mean `k8s_master`?)
    inventory.yml:7:5: unknown group `ubunut` (did you mean `ubuntu`?)
    inventory.yml:8:5: unknown group `rasbian` (did you mean `raspbian`?)
    "#
    );
}

#[test]
fn unknown_variables() {
    insta::assert_snapshot!(
        errors(
            "all:
  hosts:
    n1:
      ansible_host: 10.0.0.2
      gatway: 10.0.0.1
      k3s_flavour: x
      wfii: {}
      ansible_hots: fine
      http_port: 80
  vars:
    time_zone: UTC
    docker_versoin: 1
"
        ),
        @r#"
    inventory.yml:5:7: unknown variable `gatway` (did you mean `gateway`?)
    inventory.yml:6:7: unknown variable `k3s_flavour` (names that begin with k3s_ or k8s_ are piflash's own)
    inventory.yml:7:7: unknown variable `wfii` (did you mean `wifi`?)
    inventory.yml:11:5: unknown variable `time_zone` (did you mean `timezone`?)
    inventory.yml:12:5: unknown variable `docker_versoin` (did you mean `docker_version`?)
    "#
    );
    let lab = Lab::new("all: {hosts: {n1: {interfaces: []}}}");
    insta::assert_snapshot!(lab.warnings(), @r#"inventory.yml:1:20: `interfaces` is not a variable of piflash (did you mean `interface`?)"#);
}

#[test]
fn all_problems_of_all_files_are_listed_in_order() {
    let lab = Lab::new("all:\n  hosts:\n    n1: {prefix: 99, dsn: 1}\n")
        .file("host_vars/n1.yml", "locale: nope nope\ngateway: 1\n")
        .file("group_vars/all/a.yml", "timezone: [1]\n")
        .file("group_vars/all/b.yml", "- a list\n")
        .file("group_vars/k3s_mastre.yml", "a: 1\n");
    insta::assert_snapshot!(lab.errors(), @r#"
    inventory.yml:3:22: unknown variable `dsn` (did you mean `dns`?)
    group_vars/all/a.yml:1:11: `timezone` must be a time zone, not a list (for example `timezone: Europe/Berlin`)
    group_vars/all/b.yml:1:1: variables are a mapping of names, not a list
    host_vars/n1.yml:1:9: `nope nope` is not a value for `locale`: it must be a locale (for example `locale: en_US.UTF-8`)
    host_vars/n1.yml:2:10: `1` is not a value for `gateway`: it must be an IP address (for example `gateway: 192.168.71.1`)
    host_vars/n1.yml:2:10: node `n1` has a `gateway` but no `ansible_host` (give the node its address, or leave gateway out)
    "#);
    let lab = Lab::new("all: {hosts: {n1: }}\n")
        .file("group_vars/k3s_mastre.yml", "a: 1\n")
        .file("host_vars/n2/x.yml", "a: 1\n");
    insta::assert_snapshot!(lab.warnings(), @r#"
    group_vars/k3s_mastre.yml: is not used: there is no group `k3s_mastre` (did you mean `k3s_master`?)
    host_vars/n2: is not used: there is no node `n2`
    "#);
}

#[test]
fn addresses() {
    insta::assert_snapshot!(
        errors(
            "all:
  hosts:
    n1: {ansible_host: 192.168.71.21}
    n2: {ansible_host: 192.168.72.22}
    n3: {ansible_host: 192.168.71.0}
    n4: {ansible_host: 192.168.71.255}
    n5: {ansible_host: 192.168.71.1}
    n6: {ansible_host: 192.168.71.21}
    n7: {ansible_host: 192.168.71.300}
    n8: {ansible_host: 192.168.71.28/24}
    n9: {ansible_host: n9.lan}
    n10: {}
    n11: {ansible_host: 'fd00::1'}
  vars: {gateway: 192.168.71.1}
"
        ),
        @r#"
    inventory.yml:4:24: the address 192.168.72.22 is outside of the gateway's network 192.168.71.0/24 (the gateway is set in inventory.yml:14)
    inventory.yml:5:24: 192.168.71.0 is the network itself, not a host in it (the gateway is set in inventory.yml:14)
    inventory.yml:6:24: 192.168.71.255 is the broadcast address of its network (the gateway is set in inventory.yml:14)
    inventory.yml:7:24: the address 192.168.71.1 is the gateway's own (the gateway is set in inventory.yml:14)
    inventory.yml:8:24: nodes `n1` and `n6` have one address, 192.168.71.21 (the first is in inventory.yml:3)
    inventory.yml:9:24: `192.168.71.300` is not a value for `ansible_host`: it must be an IP address (for example `ansible_host: 192.168.71.21`)
    inventory.yml:10:24: `192.168.71.28/24` is a network, not an address (write 192.168.71.28, and `prefix: 24` beside it)
    inventory.yml:11:24: with `gateway`, `ansible_host` must be an IP address, not a name (for example `ansible_host: 192.168.71.21`)
    inventory.yml:13:25: the address fd00::1 and the gateway 192.168.71.1 are not of one family (the gateway is set in inventory.yml:14)
    inventory.yml:14:19: node `n10` has a `gateway` but no `ansible_host` (give the node its address, or leave gateway out)
    "#
    );
    insta::assert_snapshot!(
        with_host("ansible_host: 10.0.0.2, gateway: 10.0.0, prefix: 24"), @r#"inventory.yml:3:46: `10.0.0` is not a value for `gateway`: it must be an IP address (for example `gateway: 192.168.71.1`)"#
    );
    insta::assert_snapshot!(
        with_host("ansible_host: 10.0.0.2, gateway: 10.0.0.1, prefix: 40"),
        @r#"inventory.yml:3:64: a prefix of 40 leaves no room for a gateway"#
    );
    insta::assert_snapshot!(
        with_host("ansible_host: 10.0.0.2, prefix: 255.255.255.0"), @r#"inventory.yml:3:45: `255.255.255.0` is a netmask, not a prefix (write `prefix: 24`)"#
    );
    insta::assert_snapshot!(
        with_host("ansible_host: 10.0.0.2, gateway: 10.0.0.1, dns: [x]"), @r#"inventory.yml:3:62: `x` is not a value for `dns`: it must be an IP address or a list of them (for example `dns: [192.168.71.1, 9.9.9.9]`)"#
    );
    let lab =
        Lab::new("all: {hosts: {n1: {ansible_host: n1.lan, dns: 10.0.0.1}}}\n");
    insta::assert_snapshot!(lab.warnings(), @r#"
    inventory.yml:1:34: `n1.lan` is a name (the node takes its address from DHCP: make sure that the name leads to it)
    inventory.yml:1:47: `dns` has no effect without `gateway` (the node takes its address from DHCP)
    "#);
}

#[test]
fn roles() {
    insta::assert_snapshot!(
        errors(
            "all: {hosts: {n1: , n2: , n3: , n4: }}
raspbian: {hosts: {n1: }}
ubuntu: {hosts: {n1: }}
k3s_master: {hosts: {n1: , n2: }}
k3s_agent: {hosts: {n2: }}
k8s_worker:
  hosts:
    n3:
    n1:
"
        ),
        @r#"
    inventory.yml:3:18: node `n1` is in `raspbian` and in `ubuntu`: a card holds one operating system (it is in raspbian by line 2)
    inventory.yml:5:21: node `n2` is in `k3s_master` and in `k3s_agent`: a master runs workloads too, so it is not a worker besides (it is in k3s_master by line 4)
    inventory.yml:8:5: node `n3` is a worker of k8s, which has no master (put a node into the group k8s_master)
    inventory.yml:9:5: node `n1` is in `k3s_master` and in `k8s_worker`: a node can be in one cluster (it is in k3s_master by line 4)
    "#
    );
}

#[test]
fn names() {
    insta::assert_snapshot!(
        errors(&format!(
            "all:
  hosts:
    node_1:
    -node:
    192.168.71.21:
    {}:
    {}:
    Shelf:
    Master:
    master:
k3s_master: {{hosts: {{Master: }}}}
",
            "x".repeat(64),
            ["long"; 14].join("."),
        )),
        @r#"
    inventory.yml:3:5: `node_1` cannot be a hostname: only letters, digits and hyphens inside may be used (RFC 1123) (for example `node-1`)
    inventory.yml:4:5: `-node` cannot be a hostname: only letters, digits and hyphens inside may be used (RFC 1123) (for example `node`)
    inventory.yml:5:5: `192.168.71.21` is an address, not a name (a node's name becomes its hostname: write `node1: {ansible_host: ADDRESS}`)
    inventory.yml:6:5: `xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx…` cannot be a hostname: a part has more than 63 characters
    inventory.yml:7:5: `long.long.long.long.long.long.long.long.long.long.long.long.…` cannot be a hostname: it has more than 64 characters
    inventory.yml:9:5: `Master` cannot be the name of a Kubernetes node, which has no capital letters (for example `master`)
    inventory.yml:10:5: nodes `Master` and `master` differ only in capital letters
    "#
    );
}

#[test]
fn keys_and_passwords_are_checked_and_never_repeated() {
    let text = "all:
  hosts:
    n1:
      ssh_authorized_keys:
        - ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJdD7y3aLq4 cut@short
        - ~/.ssh/nowhere.pub
        - ~/.ssh/id_ed25519
        - |
          -----BEGIN OPENSSH PRIVATE KEY-----
          c2VjcmV0c2VjcmV0
          -----END OPENSSH PRIVATE KEY-----
        - {a: b}
      password_hash: hunter2
    n2: {password_hash: \"$6$salt$short\", gatway: 1}
    n3:
      wifi: {ssid: home, psk: short77, country: de}
    n4:
      wifi: {sid: home, password: hunter2hunter2}
    n5: {wifi: {ssid: '', psk: hunter2x, psk_env: X, country: Germany}}
    n6: {wifi: home}
    n8: {wifi: {ssid: open, country: DE}}
    n7: {password_hash: !vault secretsecret}
";
    let lab = Lab::new(text)
        .file("home/.ssh/id_ed25519", "-----BEGIN OPENSSH PRIVATE KEY-----")
        .file("home/.ssh/id_ed25519.pub", "x");
    insta::assert_snapshot!(lab.errors(), @r#"
    inventory.yml:5:11: this is not a valid public key (copy the whole line of the .pub file, which is like `ssh-ed25519 AAAAC3Nza… you@laptop`, or give its path)
    inventory.yml:6:11: no SSH key at `home/.ssh/nowhere.pub` (make one with `ssh-keygen -t ed25519`, or give the path of a .pub file)
    inventory.yml:7:11: cannot use `~/.ssh/id_ed25519`: it holds a private key, not a public one (did you mean `~/.ssh/id_ed25519.pub`?)
    inventory.yml:9:11: this is a private key: keep it secret (put the public one here, the .pub file beside it; a private key that was shared must be replaced)
    inventory.yml:12:11: `ssh_authorized_keys` must be a list of public keys or paths of .pub files, not a mapping (for example `ssh_authorized_keys: [~/.ssh/id_ed25519.pub]`)
    inventory.yml:13:22: `password_hash` is not a hash of crypt(3), but a password or half a hash (make a hash with `openssl passwd -6` and put it in quotes, or leave it out: then only SSH keys log in)
    inventory.yml:14:25: `password_hash` is cut short (make a hash with `openssl passwd -6` and put it in quotes, or leave it out: then only SSH keys log in)
    inventory.yml:14:42: unknown variable `gatway` (did you mean `gateway`?)
    inventory.yml:16:31: `psk` of `wifi` must have 8 to 63 ASCII characters, or be 64 hexadecimal digits
    inventory.yml:16:49: `de` is not a country for `wifi`: it must be two capital letters (did you mean `DE`?)
    inventory.yml:18:13: `wifi` needs `ssid` (for example `wifi: {ssid: home, psk_env: WIFI_PSK, country: DE}`)
    inventory.yml:18:13: `wifi` needs `country` (for example `wifi: {ssid: home, psk_env: WIFI_PSK, country: DE}`)
    inventory.yml:18:13: `wifi` needs `psk` or `psk_env` (psk_env names an environment variable that holds the key)
    inventory.yml:18:14: unknown key `sid` in `wifi` (did you mean `ssid`?)
    inventory.yml:18:25: unknown key `password` in `wifi` (did you mean `psk`?)
    inventory.yml:19:23: `ssid` of `wifi` must have 1 to 32 bytes
    inventory.yml:19:51: `psk_env` of `wifi` cannot stand beside `psk`
    inventory.yml:19:63: `Germany` is not a country for `wifi`: it must be two capital letters (as in ISO 3166-1, for example DE)
    inventory.yml:20:16: `wifi` must be a mapping with ssid, psk and country, not a single value (for example `wifi: {ssid: home, psk_env: WIFI_PSK, country: DE}`)
    inventory.yml:21:16: `wifi` needs `psk` or `psk_env` (psk_env names an environment variable that holds the key)
    inventory.yml:22:25: `password_hash` is encrypted (ansible-vault is not supported: use `ansible-vault decrypt` on a copy, or psk_env for a Wi-Fi key)
    "#);
    for problem in lab.load().unwrap_err().problems() {
        let shown =
            format!("{problem} {}", problem.excerpt().unwrap_or_default());
        for secret in
            ["hunter2", "short77", "$6$salt", "c2VjcmV0", "secretsecret"]
        {
            assert!(!shown.contains(secret), "{shown}");
        }
    }
}

#[test]
fn wrong_types_and_values_say_what_was_expected() {
    insta::assert_snapshot!(
        errors(
            "all:
  hosts:
    n1:
      upgrade: maybe
      rpi_update: [yes]
      timezone: berlin
      locale: english
      interface: a/b
      ansible_user: Pi
      boot_directory: boot
      packages: [Nfs_Common]
      ntp: [a b]
      image: https://example.org/x.img.xz
      image_sha256: abc
      config_txt: 5
      files:
        - {src: nowhere, dest: etc/motd, mode: rw, owner: 'A B'}
        - {source: x, dst: /x}
        - text
      proxy_url: 10.0.0.1:3128
      no_proxy: {}
      k3s_config: [a]
      k3s_version: a b
      pod_network_cidr: 10.0.0.0
      container_runtime: dokcer
      cni: []
      control_plane_endpoint: 'a:b'
      node_labels: [a=b, '=c']
      node_taints: [a=b:Never]
"
        ),
        @r#"
    inventory.yml:4:16: `maybe` is not a value for `upgrade`: it must be yes or no (for example `upgrade: no`)
    inventory.yml:5:19: `rpi_update` must be yes or no, not a list (for example `rpi_update: no`)
    inventory.yml:6:17: `berlin` is not a value for `timezone`: it must be a time zone (for example `timezone: Europe/Berlin`)
    inventory.yml:7:15: `english` is not a value for `locale`: it must be a locale (for example `locale: en_US.UTF-8`)
    inventory.yml:8:18: `a/b` is not a value for `interface`: it must be the name of a network interface (for example `interface: eth0`)
    inventory.yml:9:21: `Pi` is not a value for `ansible_user`: it must be the name of an account (for example `ansible_user: pi`)
    inventory.yml:10:23: `boot` is not a value for `boot_directory`: it must be an absolute path (for example `boot_directory: /boot/firmware`)
    inventory.yml:11:17: `packages` must be a list of Debian packages, which `Nfs_Common` is not (for example `packages: [nfs-common]`)
    inventory.yml:12:12: `ntp` must be a host or a list of hosts, which `a b` is not (for example `ntp: [0.pool.ntp.org]`)
    inventory.yml:14:21: `abc` is not a value for `image_sha256`: it must be 64 hexadecimal digits (for example `image_sha256: 9f86d081884c…`)
    inventory.yml:15:19: `config_txt` must be a mapping or a list of key=value, not a single value (for example `config_txt: {gpu_mem: 16}`)
    inventory.yml:17:17: no file at `nowhere`
    inventory.yml:17:32: `dest` of `files` must be the absolute path of the file on the node
    inventory.yml:17:48: `mode` of `files` must be octal, for example "0644"
    inventory.yml:17:59: `owner` of `files` must be user or user:group
    inventory.yml:18:11: `files` needs `src` (for example `files: [{src: motd, dest: /etc/motd, mode: "0644", owner: root}]`)
    inventory.yml:18:11: `files` needs `dest` (for example `files: [{src: motd, dest: /etc/motd, mode: "0644", owner: root}]`)
    inventory.yml:18:12: unknown key `source` in `files` (did you mean `src`?)
    inventory.yml:18:23: unknown key `dst` in `files` (did you mean `dest`?)
    inventory.yml:19:11: `files` must be a list of mappings with src and dest, not a single value (for example `files: [{src: motd, dest: /etc/motd, mode: "0644", owner: root}]`)
    inventory.yml:20:18: `10.0.0.1:3128` is not a value for `proxy_url`: it must be a http or https URL (for example `proxy_url: http://10.0.0.1:3128/`)
    inventory.yml:21:17: `no_proxy` must be text or a list, not a mapping (for example `no_proxy: 10.0.0.0/8,localhost`)
    inventory.yml:22:19: `k3s_config` must be a mapping, not a list (for example `k3s_config: {node-label: [tier=edge]}`)
    inventory.yml:23:20: `a b` is not a value for `k3s_version`: it must be a version (for example `k3s_version: v1.36.4+k3s1`)
    inventory.yml:24:25: `10.0.0.0` is not a value for `pod_network_cidr`: it must be a network (for example `pod_network_cidr: 10.244.0.0/16`)
    inventory.yml:25:26: `dokcer` is not a value for `container_runtime` (did you mean `docker`?)
    inventory.yml:26:12: `cni` must be text on one line, not a list (for example `cni: flannel`)
    inventory.yml:27:31: `a:b` is not a value for `control_plane_endpoint`: it must be host or host:port (for example `control_plane_endpoint: 192.168.71.20:6443`)
    inventory.yml:28:26: `node_labels` must be a mapping or a list of key=value, which `=c` is not (for example `node_labels: {tier: edge}`)
    inventory.yml:29:21: `a=b:Never` is not a taint (write key=value:Effect, the effect being NoSchedule, PreferNoSchedule or NoExecute)
    "#
    );
    insta::assert_snapshot!(with_host("ansible_user: root"), @r#"inventory.yml:3:27: `ansible_user` cannot be root (name an account, which may then use sudo)"#);
    insta::assert_snapshot!(
        with_host("ansible_user: a, ansible_ssh_user: b"), @r#"inventory.yml:3:30: `ansible_ssh_user` and `ansible_user` mean the same, but differ (the other is in inventory.yml:3:13)"#
    );
}

#[test]
fn early_variables_cannot_use_facts() {
    insta::assert_snapshot!(
        with_host(
            "timezone: '{{ ansible_tz }}', locale: '{{ missing }}', \
             prefix: '{{ 1 + }}', image: '{{ \"\" }}'"
        ),
        @r#"
    inventory.yml:3:23: `timezone` of node `node1` cannot be worked out: `ansible_tz` is undefined (`timezone` is needed before the image is read, so it cannot use facts: write it out)
    inventory.yml:3:51: `locale` of node `node1` cannot be worked out: `missing` is undefined
    inventory.yml:3:76: `prefix` of node `node1` cannot be worked out: syntax error: unexpected end of input, expected expression
    inventory.yml:3:96: `image` must be text on one line, not nothing (for example `image: raspios-lite-arm64`)
    "#
    );
}

#[test]
fn an_excerpt_shows_the_line_and_the_column() {
    let lab = Lab::new("all:\n  hosts:\n    n1: {gatway: 10.0.0.1}\n");
    let errors = lab.load().unwrap_err();
    let excerpt = errors.problems()[0].excerpt().unwrap();
    assert_eq!(excerpt, "    n1: {gatway: 10.0.0.1}\n         ^");
}
