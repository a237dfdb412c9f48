//! A card in its reader, and what a power cut leaves of it.
//!
//! While a machine runs, its writes go to a qcow2 file over the card. QEMU
//! keeps the index of that file in its own memory until the guest flushes
//! the disk. Killed before, it takes the new blocks with it that the guest
//! had written and not flushed, as a card does that loses its own cache; what
//! was written over blocks of an earlier flush stays, so that the order is
//! lost too. `cache=unsafe` only spares the host's own fsync: the host does
//! not crash.

use crate::support::oracle::run;
use std::{
    fs,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    thread,
    time::{Duration, Instant},
};

pub struct Disk {
    card: PathBuf,
    layer: PathBuf,
}

impl Disk {
    /// Puts a raw image into a machine.
    pub fn insert(card: &Path) -> Self {
        let layer = card.with_extension("qcow2");
        let disk = Self { card: card.to_owned(), layer };
        let (card, layer) = (text(&disk.card), text(&disk.layer));
        // Blocks as small as a file system's: a larger one would take its
        // neighbours along.
        let args = ["create", "-q", "-f", "qcow2", "-F", "raw", "-b", card];
        let size = ["-o", "cluster_size=4k", layer];
        run("qemu-img", &[&args[..], &size].concat()).unwrap();
        disk
    }

    /// For QEMU's `-drive`.
    pub fn drive(&self) -> String {
        let layer = text(&self.layer).replace(',', ",,");
        format!("file={layer},if=virtio,format=qcow2,cache=unsafe")
    }

    /// Serves its blocks at a socket (vhost-user). What the guest has not
    /// flushed is lost with this process, as with QEMU's own.
    pub fn serve(&self, socket: &Path) -> Child {
        let program = "qemu-storage-daemon";
        let layer = text(&self.layer).replace(',', ",,");
        let socket = text(socket).replace(',', ",,");
        let mut command = Command::new("setpriv");
        command.args(["--pdeathsig", "KILL", program]);
        for blockdev in [
            format!("file,node-name=file,filename={layer},cache.no-flush=on"),
            "qcow2,node-name=card,file=file,cache.no-flush=on".to_owned(),
        ] {
            command.args(["--blockdev", &format!("driver={blockdev}")]);
        }
        command.arg("--export").arg(format!(
            "type=vhost-user-blk,id=card,node-name=card,writable=on,\
             addr.type=unix,addr.path={socket}"
        ));
        let mut storage = command.stdin(Stdio::null()).spawn().unwrap();
        let start = Instant::now();
        while !Path::new(&socket).exists() {
            let gone = storage.try_wait().unwrap();
            assert!(gone.is_none(), "{program} ended: {gone:?}");
            assert!(start.elapsed() < Duration::from_secs(60), "{program}");
            thread::sleep(Duration::from_millis(10));
        }
        storage
    }

    /// Takes the card out, when no machine runs: all that counts is on it.
    pub fn eject(&self) {
        if self.layer.exists() {
            let commit = ["commit", "-q", "-t", "unsafe", text(&self.layer)];
            run("qemu-img", &commit).unwrap();
            fs::remove_file(&self.layer).unwrap();
        }
    }
}

fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}

/// That a cut loses what was not flushed, and only that.
#[test]
fn a_cut_loses_what_was_not_flushed() {
    let dir = tempfile::tempdir().unwrap();
    let card = dir.path().join("card.img");
    let mib = 1 << 20;
    fs::write(&card, vec![0; 8 * mib]).unwrap();
    let disk = Disk::insert(&card);
    let commands = [
        "write -q -P 1 1M 64k",
        "flush",
        "write -q -P 2 2M 64k",
        "write -q -P 3 1M 4k",
        "abort",
    ];
    let mut args = vec!["-t", "unsafe", "-f", "qcow2"];
    args.extend(commands.iter().flat_map(|command| ["-c", command]));
    args.push(text(&disk.layer));
    // It dies of `abort`.
    run("qemu-io", &args).unwrap_err();
    disk.eject();
    let left = fs::read(&card).unwrap();
    assert_eq!(left[mib..mib + 4096], [3; 4096], "overwritten");
    assert_eq!(left[mib + 4096..mib + (64 << 10)], [1; 60 << 10], "flushed");
    assert_eq!(left[2 * mib..2 * mib + 4096], [0; 4096], "not flushed");
}
