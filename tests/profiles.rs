//! A user's own `profiles/` beside the inventory.

use crate::support::{env::Env, image::Case, memory::Body, repository};

fn env() -> Env {
    let env = Env::new();
    let example = repository().join("examples/homelab.yml");
    env.write("inventory.yml", std::fs::read(example).unwrap());
    env
}

const PLAN: &[&str] = &["plan", "node3", "--image", "demo", "--offline"];

#[test]
fn a_new_system_is_a_new_file() {
    let env = env();
    env.write(
        "profiles/os/mine.yaml",
        "title: My own\nwhen: facts.os.codename == 'trixie'\npriority: 10\n\
         use: [identity]\nedits:\n\
         - write: /etc/motd\n  content: \"This is {{ node.name }}.\\n\"\n\
         \x20 why: a greeting\n",
    );
    let plan = env.run(PLAN);
    assert_eq!(plan.code, Some(0), "{plan}");
    assert!(plan.stdout.contains("My own (profile mine)"), "{plan}");
    assert!(plan.stdout.contains("/etc/motd (15 bytes)"), "{plan}");
    assert!(!plan.stdout.contains("piflash-firstboot"), "{plan}");
}

#[test]
fn a_file_of_the_same_name_replaces_the_built_in_one() {
    let env = env();
    env.write(
        "profiles/part/kernel.yaml",
        "- kernel_words: [quiet, 'dyndbg=\"file a.c +p\"']\n",
    );
    let plan = env.run(PLAN);
    assert_eq!(plan.code, Some(0), "{plan}");
    // The firmware's file, without being told.
    let line = "boot kernel-words                /cmdline.txt += quiet \
                dyndbg=\"file a.c +p\"\n";
    assert!(plan.stdout.contains(line), "{plan}");
    assert!(!plan.stdout.contains("cgroup"), "{plan}");
}

/// A system that nobody has thought of, by the file that the README shows.
#[test]
fn the_example_of_the_readme_is_a_profile() {
    let readme = repository().join("README.md");
    let readme = std::fs::read_to_string(readme).unwrap();
    let example = readme
        .split("```")
        .find_map(|block| block.strip_prefix("yaml\n# profiles/os/"))
        .unwrap();
    let (name, profile) = example.split_once('\n').unwrap();
    let mut case = Case::load("debian");
    let release = "PRETTY_NAME=\"Debian 14\"\nID=debian\nVERSION_ID=14\n\
                   VERSION_CODENAME=forky\n";
    let body = Body::File(release.into());
    case.root.put("/usr/lib/os-release", body, 0o644);
    let env = env();
    case.write(&env.work().join("base.img")).unwrap();
    env.write(
        "inventory.yml",
        "all:\n  hosts:\n    node3: {ansible_host: 10.0.0.3}\n  \
         vars: {gateway: 10.0.0.1, ssh_authorized_keys: []}\n",
    );
    env.write(&format!("profiles/os/{name}"), profile);
    let plan = env.run(&["plan", "node3", "--image", "base.img"]);
    assert_eq!(plan.code, Some(0), "{plan}");
    for said in [
        "Debian 14 (profile debian-14)",
        "/etc/network/interfaces.d/eth0",
        "/etc/motd",
        "piflash-firstboot.service",
    ] {
        assert!(plan.stdout.contains(said), "`{said}`: {plan}");
    }
    assert!(!plan.stdout.contains("/etc/systemd/network"), "{plan}");
}

#[test]
fn parts_and_steps_may_be_for_some_nodes_and_things() {
    let env = env();
    env.write(
        "profiles/os/mine.yaml",
        "title: My own\nwhen: 'true'\npriority: 10\n\
         use:\n- {part: both, when: node.name == 'node3'}\n\
         - {part: identity, when: node.name == 'other'}\n",
    );
    env.write(
        "profiles/part/both.yaml",
        "- write: /etc/{{ item }}\n  each: \"['a', 'b']\"\n  \
         content: \"{{ item }} of {{ node.name }}\\n\"\n  \
         secret: item == 'b'\n\
         - block: /etc/hosts\n  content: \"10.0.0.9 nas\\n\"\n",
    );
    let plan = env.run(PLAN);
    assert_eq!(plan.code, Some(0), "{plan}");
    for line in ["/etc/a (11 bytes)", "/etc/b (secret)", "/etc/hosts += "] {
        assert!(plan.stdout.contains(line), "`{line}`: {plan}");
    }
    assert!(!plan.stdout.contains("/etc/hostname"), "{plan}");
}

#[test]
fn what_is_wrong_with_a_profile_is_said_with_its_place() {
    for (step, said) in [
        ("- write: /etc/x\n", "needs `content`"),
        ("- write: /etc/x\n  content: '{{ nod.name }}'\n", "undefined"),
        ("- write: ../x\n  content: ''\n", "plain absolute path"),
        ("- write: /a/../x\n  content: ''\n", "plain absolute path"),
        ("- write: /x\n  content: ''\n  mode: '999'\n", "not octal"),
        ("- write: /x\n  content: ''\n  owner: root\n", "uid:gid"),
        ("- write: /x\n  content: ''\n  remove: /y\n", "exactly one verb"),
        ("- refuse: 'no {{ node.name }} here'\n", "no node3 here"),
        ("- write: /x\n  content: ''\n  secret: yess\n", "undefined"),
        ("- write: /x\n  content: ''\n  each: '1'\n", "template failed"),
        ("- block: /x\n", "needs `content`"),
        ("- wirte: /x\n", "wirte"),
        ("- write: /x\n  template: none.j2\n", "none.j2"),
        ("- symlink: /x\n", "needs `to`"),
        ("- why: nothing\n", "exactly one verb"),
        ("- kernel_words: [a b]\n", "one word"),
        ("- kernel_words: ['a=\"b c']\n", "one word"),
        ("- kernel_words: ['']\n", "one word"),
        ("- kernel_words: [\"a\\nb\"]\n", "one word"),
        ("- config_txt: {a b: '1'}\n", "one word"),
        ("- config_txt: {a: \"1\\n[pi4]\"}\n", "one word"),
    ] {
        let env = env();
        env.write("profiles/part/kernel.yaml", step);
        let plan = env.run(PLAN);
        assert_eq!(plan.code, Some(1), "{step}: {plan}");
        assert!(plan.stderr.contains("part/kernel.yaml"), "{plan}");
        assert!(plan.stderr.contains(said), "`{said}`: {plan}");
    }
}

#[test]
fn an_image_that_no_profile_is_for() {
    let env = env();
    for name in
        ["raspberry-pi-os", "raspberry-pi-os-legacy", "ubuntu", "debian"]
    {
        let text = "title: none\nwhen: false\n";
        env.write(&format!("profiles/os/{name}.yaml"), text);
    }
    let plan = env.run(PLAN);
    assert_eq!(plan.code, Some(1), "{plan}");
    for said in ["trixie", "no profile is for this image", "ubuntu"] {
        assert!(plan.stderr.contains(said), "{plan}");
    }
}
