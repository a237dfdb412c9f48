//! `files` and `config_txt` of the inventory.

use crate::support::{env::Env, oracle};

const INVENTORY: &str = "\
all:
  hosts:
    node1: {ansible_host: 192.168.71.21}
  children:
    raspbian: {hosts: {node1: }}
  vars:
    ssh_authorized_keys: []
    config_txt: {dtparam: watchdog=on, gpu_mem: 16}
    files:
      - {src: motd, dest: /etc/motd}
      - {src: key, dest: /srv/app/key, mode: '0600', owner: 'pi:adm'}
      - {src: logo, dest: /boot/firmware/logo.bin, mode: '0755'}
";

#[test]
fn files_and_settings_get_where_they_are_wanted() {
    let env = Env::new();
    env.write("inventory.yml", INVENTORY);
    env.write("motd", "hello\n");
    env.write("key", "very secret\n");
    let logo: Vec<u8> = (0..100_000_u32).map(|n| n.to_le_bytes()[1]).collect();
    env.write("logo", &logo);
    let plan = env.run(&["plan", "node1", "--image", "demo", "--json"]);
    assert_eq!(plan.code, Some(0), "{plan}");
    assert!(!plan.stdout.contains("very secret"), "{plan}");

    let outcome = env.run(&["build", "node1", "--image", "demo"]);
    assert_eq!(outcome.code, Some(0), "{outcome}");
    let image = env.work().join("build/images/node1.img");
    let (boot, root) = (8 << 20, 98304 * 512);
    oracle::e2fsck(&image, root).unwrap();
    assert_eq!(oracle::mtype(&image, boot, "logo.bin").unwrap(), logo);
    let config = oracle::mtype(&image, boot, "config.txt").unwrap();
    let config = String::from_utf8(config).unwrap();
    for line in ["dtparam=watchdog=on", "gpu_mem=16"] {
        assert!(config.lines().any(|l| l == line), "{config}");
    }
    let debugfs = |command: &str| {
        oracle::debugfs(&image, root, &format!("{command}\n")).unwrap()
    };
    assert!(debugfs("cat /etc/motd").contains("\nhello\n"));
    assert!(debugfs("cat /srv/app/key").contains("\nvery secret\n"));
    let stat = debugfs("stat /srv/app/key");
    assert!(stat.contains("Mode:  0600"), "{stat}");
    assert!(stat.contains("User:  1000   Group:     4"), "{stat}");
}

/// By this list `piflash-node down` knows them.
#[test]
fn a_node_of_a_cluster_knows_which_files_are_yours() {
    let env = Env::new();
    let role = "    raspbian: {hosts: {node1: }}\n    k3s_worker: {hosts: \
                {node1: }}\n    k3s_master: {hosts: {node2: }}\n";
    let text = INVENTORY
        .replace("    raspbian: {hosts: {node1: }}\n", role)
        .replace("dest: /srv/app/key", "dest: /etc/cni/net.d/key");
    env.write(
        "inventory.yml",
        text.replace(
            "  children:",
            "    node2: {ansible_host: 192.168.71.22}\n  children:",
        ),
    );
    for name in ["motd", "key", "logo"] {
        env.write(name, "x");
    }
    let args = ["build", "node1", "--image", "demo", "--offline"];
    let outcome = env.run(&args);
    assert_eq!(outcome.code, Some(0), "{outcome}");
    let image = env.work().join("build/images/node1.img");
    let root = 98304 * 512;
    let list = oracle::debugfs(&image, root, "cat /etc/piflash/files\n");
    let list = list.unwrap();
    let wanted = "\n/etc/motd\n/etc/cni/net.d/key\n/boot/firmware/logo.bin\n";
    assert!(list.contains(wanted), "{list}");
}

#[test]
fn an_owner_that_the_image_does_not_know() {
    let env = Env::new();
    env.write("inventory.yml", INVENTORY.replace("pi:adm", "pi:nobodies"));
    for name in ["motd", "key", "logo"] {
        env.write(name, "x");
    }
    let outcome = env.run(&["build", "node1", "--image", "demo"]);
    assert_eq!(outcome.code, Some(1), "{outcome}");
    for said in ["/srv/app/key", "no group `nobodies`"] {
        assert!(outcome.stderr.contains(said), "{outcome}");
    }
    assert!(!env.work().join("build").exists());
}
