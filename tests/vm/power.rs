//! That power cuts are power cuts, whatever the machine: what a guest has
//! written and not flushed is lost.

use crate::{lab::Lab, node::Node};
use std::{fs::File, os::unix::fs::FileExt};

/// Where nothing is: between the partition table and the first partition.
const FLUSHED: u64 = 2 << 20;
const LOST: u64 = 4 << 20;
const SIZE: usize = 64 << 10;

#[test]
#[ignore = "boots a virtual machine"]
fn a_cut_loses_what_was_not_flushed() {
    let node = Node::build(Lab::Trixie, &[], &[]);
    assert!(node.boot.0 >= LOST + 65536, "{}", node.boot.0);
    let mut guest = node.power_on();
    guest.wait_for_ssh();
    // Or its kernel would send no flush at all, and file systems that are
    // sound on a card would be broken here.
    let cache = guest.sh("cat /sys/block/vda/queue/write_cache");
    assert_eq!(cache, "write back");
    // No flush of somebody else's comes in between: file systems have nothing
    // to write for as long.
    let write = |at: u64, flush: &str| {
        format!(
            "tr \\\\000 X </dev/zero | dd of=/dev/vda bs=64k count=1 \
             iflag=fullblock seek={at} oflag=direct,seek_bytes \
             conv=notrunc{flush} status=none"
        )
    };
    guest.sh(&format!(
        "sudo sh -c 'mount -o remount,commit=600 / && sync && {}; {}'",
        write(FLUSHED, ",fsync"),
        write(LOST, ""),
    ));
    guest.cut();
    let card = File::open(&node.image).unwrap();
    let read = |at: u64| {
        let mut bytes = vec![0; SIZE];
        card.read_exact_at(&mut bytes, at).unwrap();
        bytes
    };
    assert!(read(FLUSHED) == vec![b'X'; SIZE], "what was flushed is lost");
    assert!(read(LOST) == vec![0; SIZE], "what was not flushed is there");
}
