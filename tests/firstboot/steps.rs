//! The steps themselves, with a package manager that only pretends.

use super::node::{Node, SHELLS, Shell};

/// apt-get of a machine whose packages are files: `half/NAME` when unpacked,
/// `installed/NAME` when configured. It refuses what apt refuses, and writes
/// what it was told to `calls`. Programs end with `power-cut`, where the
/// power may go.
const APT_GET: &str = r#"
cd "$PIFLASH_ROOT"
mkdir -p half installed
echo "apt-get $*" >>calls
verb=
for word; do
    case $verb:$word in
    :check | :update | :install | :dist-upgrade) verb=$word ;;
    :*) ;;
    *) wanted="${wanted:-} $word" ;;
    esac
done
lists=var/lib/apt/lists
if [ -e $lists/broken ]; then
    echo 'E: The package lists could not be parsed' && exit 100
fi
[ "$verb" != check ] || exit 0
if [ "$verb" = update ]; then
    [ ! -e offline ] || { echo 'E: Could not resolve the mirror' && exit 100; }
    mkdir -p $lists && : >$lists/broken && power-cut && mv $lists/broken $lists/all
    exit
fi
if [ -n "$(ls half)" ]; then
    echo "E: dpkg was interrupted, you must manually run" \
        "'dpkg --configure -a' to correct the problem." && exit 100
fi
[ "$verb" != dist-upgrade ] || wanted=kernel
for name in ${wanted:-}; do
    [ -e $lists/all ] || { echo "E: Unable to locate package $name"; exit 100; }
    [ ! -e installed/$name ] || continue
    : >half/$name && power-cut && mv half/$name installed/$name && power-cut
done
"#;

const DPKG: &str = r#"
cd "$PIFLASH_ROOT"
echo "dpkg $*" >>calls
for path in half/*; do
    [ ! -e "$path" ] || { power-cut && mv "$path" installed/ && power-cut; }
done
"#;

const DPKG_QUERY: &str = r#"
cd "$PIFLASH_ROOT"
echo "linux-image-rpi 1 install ok installed"
[ ! -e installed/kernel ] || echo "linux-image-rpi 2 install ok installed"
"#;

/// A node with a pretended package manager and some real steps.
pub fn with_apt<'s>(shell: &'s Shell, steps: &[&str]) -> Node<'s> {
    let node = Node::new(shell, &[]);
    node.program("power-cut", "");
    node.program("apt-get", APT_GET);
    node.program("dpkg", DPKG);
    node.program("dpkg-query", DPKG_QUERY);
    node.program("modprobe", "[ -e $PIFLASH_ROOT/rebooted ]");
    node.write("etc/piflash/packages", "nfs-common\ncurl=7.88.*\n");
    for step in steps {
        node.step(step);
    }
    node
}

#[test]
fn packages_are_installed_without_questions() {
    for shell in SHELLS {
        let node = with_apt(shell, &["35-packages"]);
        node.provision();
        assert!(node.exists("installed/nfs-common"));
        assert!(node.exists("installed/curl=7.88.*"));
        let calls = node.read("calls");
        let first = calls.lines().next().unwrap();
        assert!(first.ends_with("--configure -a"), "{calls}");
        for needed in ["-y", "DPkg::Lock::Timeout=600", "--force-confold"] {
            for line in calls.lines().filter(|l| l.starts_with("apt-get")) {
                assert!(line.contains(needed), "{needed}: {calls}");
            }
        }
        assert_eq!(calls.matches(" update").count(), 1, "{calls}");
    }
}

#[test]
fn the_lists_are_fetched_once_a_boot_and_again_after_a_failure() {
    for shell in SHELLS {
        let node = with_apt(shell, &["30-upgrade", "35-packages"]);
        node.write("etc/piflash/packages", "curl\n");
        node.write("offline", "");
        // The network comes after the second attempt.
        node.program(
            "sleep",
            "echo x >>$PIFLASH_ROOT/slept\n\
             [ $(wc -l <$PIFLASH_ROOT/slept) -lt 3 ] ||\n\
             rm -f $PIFLASH_ROOT/offline",
        );
        assert!(!node.run("provision", &[]).status.success());
        assert_eq!(node.read("systemctl"), "reboot\n");
        let log = node.log();
        assert!(log.contains("failed (E: Could not resolve"), "{log}");
        let updates = || node.read("calls").matches(" update").count();
        let before = updates();
        assert!(before > 1 && node.exists("installed/curl"));
        node.power_off();
        node.provision();
        assert_eq!(updates(), before);
    }
}

#[test]
fn broken_lists_and_half_configured_packages_are_mended() {
    for shell in SHELLS {
        let node = with_apt(shell, &["35-packages"]);
        node.write("half/libc6", "");
        node.write("installed/sh", "");
        node.write("var/lib/apt/lists/broken", "");
        node.provision();
        assert!(node.exists("installed/libc6"));
        assert!(node.exists("installed/nfs-common"));
        let log = node.log();
        assert!(!log.contains("failed"), "{log}");
    }
}

#[test]
fn only_a_new_kernel_asks_for_a_reboot() {
    for shell in SHELLS {
        let node = with_apt(shell, &["30-upgrade"]);
        assert!(!node.run("provision", &[]).status.success());
        assert_eq!(node.read("systemctl"), "reboot\n");
        node.power_off();
        node.provision();
        assert_eq!(node.status()["state"], "done");
        // Again, by hand, when there is nothing new.
        node.remove("var/lib/piflash/stamps/30-upgrade");
        node.provision();
        assert_eq!(node.read("systemctl"), "reboot\n");
    }
}

#[test]
fn modules_of_a_newer_kernel_need_a_reboot() {
    for shell in SHELLS {
        let node = with_apt(shell, &["40-modules-extra"]);
        assert!(!node.run("provision", &[]).status.success());
        assert!(node.exists("installed/linux-modules-extra-raspi"));
        node.power_off();
        node.write("rebooted", "");
        node.provision();
        let node = with_apt(shell, &["40-modules-extra"]);
        node.write("rebooted", "");
        node.provision();
    }
}

#[test]
fn rpi_update_runs_or_says_what_it_lacks() {
    for shell in SHELLS {
        let node = with_apt(shell, &["45-rpi-update"]);
        node.program(
            "sleep",
            "cp $PIFLASH_ROOT/var/lib/piflash/status.json $PIFLASH_ROOT/seen\n\
             mv $PIFLASH_ROOT/rpi-update $PIFLASH_ROOT/programs 2>/dev/null",
        );
        node.script(
            "rpi-update",
            "[ \"$SKIP_WARNING\" = 1 ] && echo ran >$PIFLASH_ROOT/ran",
        );
        assert!(!node.run("provision", &[]).status.success());
        let seen = node.read("seen");
        assert!(seen.contains("rpi-update is not in this image"), "{seen}");
        assert!(node.read("calls").contains("install rpi-update"));
        assert_eq!(node.read("ran"), "ran\n");
        assert_eq!(node.read("systemctl"), "reboot\n");
        node.power_off();
        node.provision();
    }
}

#[test]
fn iptables_is_set_to_legacy_where_that_is_there() {
    for shell in SHELLS {
        let node = Node::new(shell, &[]);
        node.step("20-iptables-legacy");
        node.script("usr/sbin/iptables-legacy", "");
        node.program("update-alternatives", "echo $* >>$PIFLASH_ROOT/set");
        node.provision();
        assert_eq!(
            node.read("set"),
            "--set iptables /usr/sbin/iptables-legacy\n"
        );
    }
}

#[test]
fn the_home_step_fills_what_is_missing_and_keeps_what_is_there() {
    // chown works for the own uid, whoever runs the tests.
    let uid = rustix::process::getuid().as_raw();
    assert!(
        uid == 0 || uid >= 1000,
        "run as root or as an account with a uid from 1000"
    );
    let me = uid.max(1000);
    for shell in SHELLS {
        let node = Node::new(shell, &[]);
        node.step("10-home");
        node.write(
            "etc/passwd",
            format!(
                "root:x:0:0:root:/root:/bin/sh\n\
             ada:x:{me}:{me}:,,,:/home/ada:/bin/sh\n\
             bob:x:{me}:{me}::/home/none:/bin/sh\n"
            ),
        );
        node.write("etc/skel/.profile", "stock\n");
        node.write("etc/skel/.bashrc", "stock\n");
        node.write("home/ada/.bashrc", "mine\n");
        // Power went in the middle of the last attempt.
        node.write("home/ada/.piflash-part/half", "");
        for _ in 0..2 {
            let output = node.run("steps/10-home", &[]);
            assert!(output.status.success(), "{output:?}");
            assert_eq!(node.read("home/ada/.profile"), "stock\n");
            assert_eq!(node.read("home/ada/.bashrc"), "mine\n");
        }
        assert!(!node.exists("root"));
        assert!(!node.exists("home/ada/.piflash-part"));
    }
}
