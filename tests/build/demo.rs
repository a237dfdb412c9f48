//! The README's first command, on the image inside the program.

use std::{fs, os::unix::fs::MetadataExt, path::PathBuf};

use crate::support::{env::Env, oracle, repository};

const BOOT: u64 = 8 << 20;

/// Builds node3 of the homelab example; the image's path.
fn built(env: &Env) -> PathBuf {
    let example = repository().join("examples/homelab.yml");
    let outcome = env.run(&[
        "-i",
        example.to_str().unwrap(),
        "build",
        "node3",
        "--image",
        "demo",
        "--offline",
    ]);
    assert_eq!(outcome.code, Some(0), "{outcome}");
    for said in ["build/images/node3.img", "piflash write ", "does not boot"] {
        assert!(outcome.stderr.contains(said), "{said}: {outcome}");
    }
    env.work().join("build/images/node3.img")
}

/// Byte offsets and lengths of the partitions, as sfdisk sees them.
fn partitions(image: &std::path::Path) -> Vec<(u64, u64)> {
    let table = oracle::sfdisk_json(image).unwrap();
    table["partitiontable"]["partitions"]
        .as_array()
        .unwrap()
        .iter()
        .map(|partition| {
            let bytes = |key: &str| partition[key].as_u64().unwrap() * 512;
            (bytes("start"), bytes("size"))
        })
        .collect()
}

#[test]
fn the_first_command_of_the_readme() {
    let env = Env::new();
    let image = built(&env);
    let parts = partitions(&image);
    let [(boot, boot_len), (root, _)] = parts[..] else { panic!("{parts:?}") };
    assert_eq!(boot, BOOT);
    oracle::e2fsck(&image, root).unwrap();
    oracle::fsck_vfat(&image, boot, boot_len).unwrap();

    let cmdline = oracle::mtype(&image, boot, "cmdline.txt").unwrap();
    let cmdline = String::from_utf8(cmdline).unwrap();
    assert_eq!(cmdline.trim_end().lines().count(), 1, "{cmdline:?}");
    for word in
        ["cgroup_enable=cpuset", "cgroup_memory=1", "cgroup_enable=memory"]
    {
        let count = cmdline.split_whitespace().filter(|w| *w == word).count();
        assert_eq!(count, 1, "{word} in {cmdline:?}");
    }

    let cat = |path: &str| {
        oracle::debugfs(&image, root, &format!("cat {path}\n")).unwrap()
    };
    assert!(cat("/etc/hostname").contains("\nnode3\n"));
    assert!(cat("/etc/hosts").contains("127.0.1.1\tnode3"));
    let connection = "/etc/NetworkManager/system-connections/\
                      piflash-eth0.nmconnection";
    assert!(cat(connection).contains("method=manual"));
    let stat =
        oracle::debugfs(&image, root, &format!("stat {connection}\n")).unwrap();
    assert!(stat.contains("Mode:  0600"), "{stat}");
    let unit = "/etc/systemd/system/multi-user.target.wants/\
                piflash-firstboot.service";
    let stat =
        oracle::debugfs(&image, root, &format!("stat {unit}\n")).unwrap();
    assert!(
        stat.contains("/etc/systemd/system/piflash-firstboot.service"),
        "{stat}"
    );
}

#[test]
fn the_image_is_sparse_and_for_its_owner_alone() {
    let env = Env::new();
    let metadata = fs::metadata(built(&env)).unwrap();
    assert!(metadata.blocks() * 512 < metadata.len() / 2);
    assert_eq!(metadata.mode() & 0o7777, 0o600);
}

#[test]
fn the_same_inputs_give_the_same_bytes() {
    let (one, two) = (Env::new(), Env::new());
    one.known_identity();
    two.known_identity();
    let (one, two) = (built(&one), built(&two));
    assert!(fs::read(one).unwrap() == fs::read(two).unwrap());
}

#[test]
fn building_again_replaces_the_image_whole() {
    let env = Env::new();
    let first = fs::read(built(&env)).unwrap();
    let image = env.work().join("build/images/node3.img");
    fs::write(&image, "an old and broken image").unwrap();
    assert!(fs::read(built(&env)).unwrap() == first);
    let mut left: Vec<_> = fs::read_dir(image.parent().unwrap())
        .unwrap()
        .map(|entry| entry.unwrap().file_name())
        .collect();
    left.sort();
    assert_eq!(left, ["SHA256SUMS", "node3.img", "node3.json"]);
}

#[test]
fn a_node_named_twice_is_built_once() {
    let env = Env::new();
    let example = repository().join("examples/homelab.yml");
    let example = example.to_str().unwrap();
    let args = [
        "-i",
        example,
        "build",
        "node3",
        "node3",
        "--image",
        "demo",
        "--offline",
    ];
    let outcome = env.run(&args);
    assert_eq!(outcome.code, Some(0), "{outcome}");
    assert_eq!(
        outcome.stderr.matches("piflash write ").count(),
        1,
        "{outcome}"
    );
}

#[test]
fn the_summary_promises_what_this_image_does() {
    let env = Env::new();
    let example = repository().join("examples/homelab.yml");
    let args = |example| {
        ["-i", example, "build", "node3", "--image", "demo", "--offline"]
    };
    let outcome = env.run(&args(example.to_str().unwrap()));
    assert!(outcome.stderr.contains("grows"), "{outcome}");
    assert!(outcome.stderr.contains("first-boot steps"), "{outcome}");
    // No key is there, so none lets anybody in.
    assert!(!outcome.stderr.contains("in by key"), "{outcome}");

    let keyed = std::fs::read_to_string(&example).unwrap().replace(
        "  vars:\n",
        "  vars:\n    ssh_authorized_keys: [ssh-ed25519 \
         AAAAC3NzaC1lZDI1NTE5AAAAINRkNh8Btzd6RS+qT4r5zVmpVJWwuOXR8bjTeVjXeUHp \
         ada@desk]\n",
    );
    env.write("inventory.yml", keyed);
    let outcome = env.run(&args("inventory.yml"));
    assert_eq!(outcome.code, Some(0), "{outcome}");
    assert!(outcome.stderr.contains("in by key"), "{outcome}");
}

#[test]
fn every_node_of_the_example_builds_and_each_is_itself() {
    let env = Env::new();
    let example = repository().join("examples/homelab.yml");
    let outcome = env.run(&[
        "-i",
        example.to_str().unwrap(),
        "build",
        "--all",
        "--image",
        "demo",
        "--offline",
    ]);
    assert_eq!(outcome.code, Some(0), "{outcome}");
    for node in ["node1", "node2", "node3"] {
        let image = env.work().join(format!("build/images/{node}.img"));
        let root = partitions(&image)[1].0;
        let hostname =
            oracle::debugfs(&image, root, "cat /etc/hostname\n").unwrap();
        assert!(hostname.contains(&format!("\n{node}\n")), "{hostname}");
    }
}
