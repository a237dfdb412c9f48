//! The board's LED, with files in place of sysfs.

use super::node::{Node, SHELLS, Shell};

const TRIGGERS: &str = "none kbd-scrolllock timer oneshot [mmc0] heartbeat\n";

fn board<'s>(shell: &'s Shell, led: &str, steps: &[(&str, &str)]) -> Node<'s> {
    let node = Node::new(shell, steps);
    node.install("led.sh", "led.sh");
    node.program("modprobe", "echo \"$*\" >>$PIFLASH_ROOT/modprobe");
    for name in [led, "PWR", "led1"] {
        node.write(&format!("sys/class/leds/{name}/trigger"), TRIGGERS);
    }
    node
}

/// A step that fails so often that a fast blink is due, and writes down how
/// the LED blinks at each attempt.
const FLAKY: &str = "\
n=$(($(cat $PIFLASH_ROOT/n 2>/dev/null || echo 0) + 1))
echo $n >$PIFLASH_ROOT/n
cd $PIFLASH_ROOT/sys/class/leds/$LED
echo $(cat trigger delay_on delay_off) >>$PIFLASH_ROOT/blinks
[ $n -gt 4 ]";

#[test]
fn it_blinks_slowly_then_fast_and_is_what_it_was() {
    for shell in SHELLS {
        for led in ["ACT", "led0"] {
            let steps = [("10-flaky", FLAKY), ("20-last", FLAKY)];
            let mut node = board(shell, led, &steps);
            node.set("LED", led);
            // A pause tells how it blinks, once the third attempt failed.
            node.program(
                "sleep",
                "cat $PIFLASH_ROOT/sys/class/leds/$LED/delay_on \
                 >>$PIFLASH_ROOT/pauses",
            );
            node.provision();
            let slow = "timer 1000 1000\n".repeat(3);
            let fast = "timer 100 100\n".repeat(2);
            let next = "timer 1000 1000\n";
            assert_eq!(node.read("blinks"), format!("{slow}{fast}{next}"));
            let pauses = node.read("pauses");
            let mut lines: Vec<&str> = pauses.lines().collect();
            lines.dedup();
            assert_eq!(lines, ["1000", "100"]);
            let trigger = format!("sys/class/leds/{led}/trigger");
            assert_eq!(node.read(&trigger), "mmc0\n");
            for other in ["PWR", "led1"] {
                let folder = node.path("sys/class/leds").join(other);
                let files = std::fs::read_dir(folder).unwrap().count();
                assert_eq!(files, 1, "{other}");
                let path = format!("sys/class/leds/{other}/trigger");
                assert_eq!(node.read(&path), TRIGGERS);
            }
            assert!(!node.exists("modprobe"));
        }
    }
}

/// The runner was killed and started again: the LED blinks already.
#[test]
fn it_is_what_it_was_after_the_runner_was_killed() {
    let kill = "[ -e $PIFLASH_ROOT/killed ] || {\n\
                : >$PIFLASH_ROOT/killed; kill -9 $PPID; }";
    for shell in SHELLS {
        let node = board(shell, "ACT", &[("10-a", kill)]);
        node.run("provision", &[]);
        let trigger = "sys/class/leds/ACT/trigger";
        assert_eq!(node.read(trigger), "timer\n");
        node.provision();
        assert_eq!(node.read(trigger), "mmc0\n");
        // A node that is taken down does not blink either.
        node.write(trigger, TRIGGERS);
        let folder = "usr/local/lib/piflash/down";
        node.script(
            &format!("{folder}/10-a"),
            "cp $PIFLASH_ROOT/sys/class/leds/ACT/trigger \
             $PIFLASH_ROOT/meanwhile",
        );
        let output = node.run("piflash-node", &["down"]);
        assert!(output.status.success(), "{output:?}");
        assert_eq!(node.read("meanwhile"), "timer\n");
        assert_eq!(node.read(trigger), "mmc0\n");
    }
}

#[test]
fn a_kernel_without_blinking_leaves_it_alone() {
    for shell in SHELLS {
        let node = board(shell, "ACT", &[("10-a", ":")]);
        let trigger = "sys/class/leds/ACT/trigger";
        node.write(trigger, "none [actpwr]\n");
        let output = node.provision();
        assert_eq!(output.stderr, b"", "{output:?}");
        assert_eq!(node.read(trigger), "none [actpwr]\n");
        assert_eq!(
            node.read("modprobe").lines().next(),
            Some("-q ledtrig-timer")
        );
    }
}

#[test]
fn a_board_without_it_is_built_as_well() {
    for shell in SHELLS {
        for led in ["PWR", "default-on"] {
            let node = board(shell, led, &[("10-a", ":")]);
            let output = node.provision();
            assert_eq!(output.stderr, b"", "{output:?}");
            assert_eq!(node.status()["state"], "done");
            let path = format!("sys/class/leds/{led}/trigger");
            assert_eq!(node.read(&path), TRIGGERS);
        }
        // sysfs says no.
        let node = board(shell, "ACT", &[("10-a", ":")]);
        std::fs::create_dir(node.path("sys/class/leds/ACT/delay_on")).unwrap();
        let output = node.provision();
        assert_eq!(output.stderr, b"", "{output:?}");
        assert_eq!(node.status()["state"], "done");
    }
}
