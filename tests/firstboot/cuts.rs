//! The power goes at any moment, and the node gets there all the same.

use std::fs;

use super::{
    node::{Node, SHELLS, Shell, json},
    steps::with_apt,
};

const STEPS: [&str; 5] = [
    "10-home",
    "30-upgrade",
    "35-packages",
    "40-modules-extra",
    "45-rpi-update",
];

/// Programs after and before which the power may go, as `power-cut`, which
/// stands in the middle of the others.
const SHUTS: [&str; 2] = ["sync", "mv"];

/// Counts, and kills the whole process group at the moment asked for.
const CUT: &str = r#"
n=$(($(cat "$PIFLASH_ROOT/moments" 2>/dev/null || echo 0) + 1))
echo "$n" >"$PIFLASH_ROOT/moments"
[ "$n" -ne "${CUT_AT:-0}" ] || kill -9 0
"#;

fn node(shell: &Shell) -> Node<'_> {
    let node = with_apt(shell, &STEPS);
    let me = rustix::process::getuid().as_raw().max(1000);
    node.write("etc/passwd", format!("ada:x:{me}:{me}::/home/ada:/bin/sh\n"));
    node.write("etc/skel/.profile", "stock\n");
    fs::create_dir_all(node.path("home/ada")).unwrap();
    node.program(
        "rpi-update",
        ": >$PIFLASH_ROOT/half-firmware; power-cut\n\
                                mv $PIFLASH_ROOT/half-firmware \
                                $PIFLASH_ROOT/firmware",
    );
    node.program("power-cut", CUT);
    for name in SHUTS {
        node.program(
            name,
            &format!("power-cut\n/bin/{name} \"$@\" || exit\npower-cut"),
        );
    }
    // The kernel with the modules runs from the second boot on.
    node.program("modprobe", "[ -e $PIFLASH_ROOT/systemctl ]");
    node
}

/// Boots until the node is done.
fn finish(node: &Node<'_>) {
    for _ in 0..4 {
        node.power_off();
        if node.run("provision", &[]).status.success() {
            return;
        }
    }
    panic!("still not done: {}", node.log());
}

fn assert_done(node: &Node<'_>, what: &str) {
    assert_eq!(node.status()["state"], "done", "{what}");
    assert_eq!(node.read("home/ada/.profile"), "stock\n", "{what}");
    for name in ["kernel", "nfs-common", "linux-modules-extra-raspi"] {
        assert!(node.exists(&format!("installed/{name}")), "{what}: {name}");
    }
    assert!(node.exists("firmware"), "{what}");
    for step in STEPS {
        let stamp = node.read(&format!("var/lib/piflash/stamps/{step}"));
        assert!(stamp.ends_with("Z\n"), "{what}: {step} {stamp:?}");
    }
}

#[test]
fn a_power_cut_at_any_moment_converges() {
    for (shell, stride) in SHELLS.iter().zip([11, 17]) {
        let whole = node(shell);
        finish(&whole);
        assert_done(&whole, "no cut");
        let moments: usize = whole.read("moments").trim().parse().unwrap();
        assert!(moments > 150, "{moments}");
        for at in (1..=moments).step_by(stride) {
            let mut node = node(shell);
            node.set("CUT_AT", &at.to_string());
            let what = format!("{shell:?} cut at {at} of {moments}");
            for _ in 0..3 {
                // The moment may lie behind the reboot.
                node.power_off();
                let output = node.run("provision", &[]);
                let status = node.path("var/lib/piflash/status.json");
                if status.exists() {
                    json(&status);
                }
                if output.status.success() {
                    break;
                }
            }
            finish(&node);
            assert_done(&node, &what);
        }
    }
}

/// The step before the one that is hit does not run again.
#[test]
fn a_power_cut_repeats_only_the_step_it_hit() {
    for shell in SHELLS {
        let node = Node::new(
            shell,
            &[
                ("10-a", "echo a >>$PIFLASH_ROOT/order"),
                (
                    "20-b",
                    "echo b >>$PIFLASH_ROOT/order\n\
                     [ -e $PIFLASH_ROOT/cut ] ||\n\
                     { touch $PIFLASH_ROOT/cut; kill -9 0; }",
                ),
            ],
        );
        let output = node.run("provision", &[]);
        assert!(!output.status.success());
        assert_eq!(node.status()["step"], "20-b");
        node.power_off();
        node.provision();
        assert_eq!(node.read("order"), "a\nb\nb\n", "{shell:?}");
    }
}
