//! `provision`: order, repetition, waiting, and what it tells.

use std::fs;

use super::node::{Node, SHELLS, json};

const ORDER: &str = "echo ${0##*/} >>$PIFLASH_ROOT/order";

/// Keeps the status as it was at every attempt, and fails on the first two.
const FLAKY: &str = "\
n=$(($(cat $PIFLASH_ROOT/n 2>/dev/null || echo 0) + 1))
echo $n >$PIFLASH_ROOT/n
cp $PIFLASH_ROOT/var/lib/piflash/status.json $PIFLASH_ROOT/seen-$n
[ $n -gt 2 ] || { cat $PIFLASH_ROOT/says; exit 1; }";

#[test]
fn steps_run_once_in_order_and_report() {
    for shell in SHELLS {
        let node = Node::new(shell, &[("20-b", ORDER), ("10-a", ORDER)]);
        // No steps.
        node.write("usr/local/lib/piflash/steps/30-readme", "");
        node.script("usr/local/lib/piflash/steps/notes", ORDER);
        node.provision();
        assert_eq!(node.read("order"), "10-a\n20-b\n");
        let status = node.status();
        assert_eq!(status["state"], "done", "{status}");
        assert_eq!(status["node"], "node3");
        assert_eq!((&status["done"], &status["steps"]), (&2.into(), &2.into()));
        assert_eq!(status["percent"], 100);
        let card = node.read("boot/firmware/piflash-status.txt");
        assert!(card.contains("done (100 %, 2 of 2 steps)"), "{card}");
        node.provision();
        assert_eq!(node.read("order"), "10-a\n20-b\n", "{shell:?}");
    }
}

#[test]
fn a_node_without_steps_is_done() {
    for shell in SHELLS {
        let node = Node::new(shell, &[]);
        node.provision();
        assert_eq!(node.status()["percent"], 100);
        assert!(node.exists("var/lib/piflash/done"));
    }
}

#[test]
fn a_failing_step_is_tried_again_and_its_error_is_kept() {
    for shell in SHELLS {
        let node = Node::new(shell, &[("10-ok", ":"), ("20-flaky", FLAKY)]);
        node.write("says", "one\nno \"net\\work\n\n  \n");
        node.provision();
        let first = json(&node.path("seen-1"));
        assert_eq!(first["attempt"], 1);
        assert_eq!(first["error"], "");
        assert_eq!(first["percent"], 50);
        let third = json(&node.path("seen-3"));
        assert_eq!(third["attempt"], 3);
        assert_eq!(third["step"], "20-flaky");
        assert_eq!(third["error"], "no \"net\\work");
        assert_eq!(node.status()["state"], "done");
        assert_eq!(node.status()["error"], "");
        let log = node.log();
        let said = "20-flaky: failed (no \"net\\work), again in";
        assert_eq!(log.matches(said).count(), 2, "{log}");
        assert!(log.contains("\none\n"), "{log}");
    }
}

#[test]
fn any_error_is_shown_as_json_and_text() {
    let all: Vec<u8> = (0..=255).collect();
    let url = b"E: http://ada:s3cr%40t@10.0.0.1:3128/ and http://a:b@c@d/ x";
    let long = [b"\"\\".repeat(5000), b"\n".to_vec()].concat();
    for shell in SHELLS {
        for says in [&all[..], &url[..], &long[..], b"", b"%s%d\\c\\n -n"] {
            let node = Node::new(shell, &[("10-flaky", FLAKY)]);
            node.write("etc/hostname", "no\"de\\\n");
            node.write("says", says);
            node.provision();
            let second = json(&node.path("seen-2"));
            let error = second["error"].as_str().unwrap();
            assert!(!error.is_empty() && error.len() <= 300, "{second}");
            assert!(error.chars().all(|c| (' '..='~').contains(&c)));
            assert_eq!(second["node"], "no\"de\\");
            if says.starts_with(b"E:") {
                assert!(error.contains("http://***@10.0.0.1:3128/"), "{error}");
                for file in ["var/log/piflash.log", "seen-2", "seen-3"] {
                    let text = node.read(file);
                    assert!(!text.contains("s3cr"), "{file}: {text}");
                    assert!(!text.contains("b@c"), "{file}: {text}");
                }
            }
            if says.is_empty() {
                assert_eq!(error, "exit code 1");
            }
            if says.starts_with(b"%s") {
                assert_eq!(error, "%s%d\\c\\n -n");
            }
        }
    }
}

#[test]
fn pauses_grow() {
    let script = "n=$(($(cat $PIFLASH_ROOT/n 2>/dev/null || echo 0) + 1))\n\
                  echo $n >$PIFLASH_ROOT/n\n[ $n -ge 8 ]";
    for shell in SHELLS {
        let mut node = Node::new(shell, &[("10-slow", script)]);
        node.program("sleep", "exit 0");
        node.set("PIFLASH_PAUSE", "4");
        node.provision();
        let log = node.log();
        let pauses: Vec<u32> = log
            .lines()
            .filter_map(|line| line.split_once("again in "))
            .map(|(_, rest)| rest.trim_end_matches(" s").parse().unwrap())
            .collect();
        assert_eq!(pauses.len(), 7, "{log}");
        for (number, pause) in pauses.iter().enumerate() {
            let least = (4 << number).min(300);
            let range = least..=least + least / 4;
            assert!(range.contains(pause), "{number}: {pauses:?}");
        }
    }
}

#[test]
fn the_card_need_not_take_the_status() {
    for shell in SHELLS {
        let node = Node::new(shell, &[("10-a", ":")]);
        let card = node.path("boot/firmware");
        let text = card.join("piflash-status.txt");
        let part = card.join("piflash-status.txt.tmp");
        // Full.
        std::os::unix::fs::symlink("/dev/full", &part).unwrap();
        node.write("boot/firmware/piflash-status.txt", "older\n");
        let output = node.provision();
        assert_eq!(output.stderr, b"", "{output:?}");
        assert_eq!(node.status()["state"], "done");
        // Not to be written to, also by root.
        drop(fs::remove_file(&text));
        drop(fs::remove_file(&part));
        fs::create_dir(&part).unwrap();
        assert_eq!(node.provision().stderr, b"");
        assert!(!text.exists());
        // A file in place of the directory, then nothing at all.
        fs::remove_dir_all(&card).unwrap();
        fs::write(&card, "").unwrap();
        assert_eq!(node.provision().stderr, b"");
        fs::remove_file(&card).unwrap();
        assert_eq!(node.provision().stderr, b"");
        assert!(!card.exists());
        assert_eq!(node.status()["state"], "done");
    }
}

#[test]
fn it_waits_for_the_clock_but_not_for_ever() {
    let step = &[("10-a", "# Needs: network clock\n:")];
    for shell in SHELLS {
        for (now, limit) in [("1000", 5), ("1800000000", 2)] {
            let mut node = Node::new(shell, step);
            node.set("PIFLASH_CLOCK_WAIT", "5");
            node.set("PIFLASH_SYNC_WAIT", "2");
            node.remove("run/systemd/timesync/synchronized");
            node.program("date", &format!(
                "[ \"$1\" = +%s ] && echo {now} || echo 1970-01-01T00:16:40Z"
            ));
            node.provision();
            let log = node.log();
            let said = format!("not synchronized after {limit} s, going on");
            assert!(log.contains(&said), "{log}");
        }
        // Any daemon may have set it.
        let node = Node::new(shell, step);
        node.remove("run/systemd/timesync/synchronized");
        node.program("timedatectl", "echo yes");
        node.provision();
        assert!(!node.log().contains("waiting"), "{}", node.log());
        // Who needs no clock waits for none.
        let node = Node::new(shell, &[("10-a", "# Needs: network\n:")]);
        node.remove("run/systemd/timesync/synchronized");
        node.provision();
        assert!(!node.log().contains("waiting"), "{}", node.log());
    }
}

#[test]
fn it_waits_for_a_route_but_not_for_ever() {
    let none = "Iface\tDestination\tGateway \tFlags\tRefCnt\tUse\tMetric\t\
                Mask\neth0\t0047A8C0\t00000000\t0001\t0\t0\t0\t00FFFFFF\n";
    let zeros = "0".repeat(32);
    let six = |hop: &str, dev: &str| {
        format!("{zeros} 00 {zeros} 00 {hop} 400 1 0 450003     {dev}\n")
    };
    let hop = "fe80000000000000000000000000000a";
    for shell in SHELLS {
        for (six, waits) in [
            (String::new(), true),
            (six(&zeros, "lo"), true),
            (six(hop, "eth0"), false),
        ] {
            let mut node = Node::new(shell, &[("10-a", "# Needs: network\n:")]);
            node.set("PIFLASH_NETWORK_WAIT", "3");
            node.write("proc/net/route", none);
            node.write("proc/net/ipv6_route", &six);
            node.provision();
            let said = "10-a: still no default route after 3 s, going on";
            assert_eq!(node.log().contains(said), waits, "{}", node.log());
        }
        // It comes while it is waited for.
        let node = Node::new(shell, &[("10-a", "# Needs: clock network\n:")]);
        let route = node.read("proc/net/route");
        node.write("proc/net/route", none);
        node.write("route", route);
        node.program("sleep", "cp $PIFLASH_ROOT/route $PIFLASH_ROOT/proc/net");
        node.provision();
        let log = node.log();
        assert!(log.contains("10-a: there is a default route"), "{log}");
    }
}

#[test]
fn only_one_works_on_a_node() {
    for shell in SHELLS {
        let node = Node::new(shell, &[("10-a", ORDER)]);
        node.write("run/piflash/lock", "");
        let lock = fs::File::open(node.path("run/piflash/lock")).unwrap();
        lock.lock().unwrap();
        let output = node.run("provision", &[]);
        assert_eq!(output.status.code(), Some(1));
        let error = String::from_utf8_lossy(&output.stderr);
        assert!(error.contains("another one"), "{error}");
        assert!(!node.exists("order"));
        lock.unlock().unwrap();
        node.provision();
    }
}

/// A daemon that a step starts must not hold the lock.
#[test]
fn steps_do_not_inherit_the_lock() {
    let script = "(sleep 600 >/dev/null 2>&1 & echo $! >$PIFLASH_ROOT/pid)";
    for shell in SHELLS {
        let node = Node::new(shell, &[("10-a", script)]);
        node.provision();
        let again = node.run("provision", &[]);
        let pid = node.read("pid").trim().parse().unwrap();
        let pid = rustix::process::Pid::from_raw(pid).unwrap();
        rustix::process::kill_process(pid, rustix::process::Signal::KILL)
            .unwrap();
        assert!(again.status.success(), "{again:?}");
    }
}

#[test]
fn the_log_is_bounded() {
    let script = "n=$(($(cat $PIFLASH_ROOT/n 2>/dev/null || echo 0) + 1))\n\
                  echo $n >$PIFLASH_ROOT/n\n\
                  head -c 9000 /dev/zero | tr '\\0' x\necho end-$n\n\
                  [ $n -ge 4 ]";
    for shell in SHELLS {
        let mut node = Node::new(shell, &[("10-a", script)]);
        node.set("PIFLASH_LOG_LIMIT", "4000");
        node.provision();
        let names: Vec<_> = fs::read_dir(node.path("var/log"))
            .unwrap()
            .map(|entry| entry.unwrap().file_name())
            .collect();
        assert_eq!(names.len(), 2, "{names:?}");
        for name in ["var/log/piflash.log", "var/log/piflash.log.1"] {
            let len = node.read(name).len();
            assert!(len < 9000, "{name}: {len}");
        }
        let old = node.read("var/log/piflash.log.1");
        let both = old + &node.log();
        assert!(both.contains("end-4"), "{both}");
        assert!(!both.contains("end-1"), "{both}");
    }
}

/// Steps below 50 share one reboot, and the node goes on after it.
#[test]
fn a_step_may_ask_for_a_reboot() {
    let asks = "echo ${0##*/} >>$PIFLASH_ROOT/order\n\
                : >$PIFLASH_ROOT/run/piflash/reboot";
    for shell in SHELLS {
        let node = Node::new(
            shell,
            &[("10-a", asks), ("20-b", asks), ("50-c", asks), ("60-d", ORDER)],
        );
        for order in ["10-a\n20-b\n", "10-a\n20-b\n50-c\n"] {
            let output = node.run("provision", &[]);
            assert!(!output.status.success());
            assert_eq!(node.status()["state"], "rebooting");
            assert_eq!(node.read("order"), order, "{shell:?}");
            node.power_off();
        }
        node.provision();
        assert_eq!(node.read("order"), "10-a\n20-b\n50-c\n60-d\n");
        assert_eq!(node.read("systemctl"), "reboot\nreboot\n");
        assert_eq!(node.status()["state"], "done");
    }
}
