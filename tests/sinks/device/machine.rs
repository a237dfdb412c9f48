//! Disks as `/sys` and `/proc` show them, made up.

use piflash::sink::device::disks::{Bus, DiskError, How, Machine};
use std::{
    fs,
    os::unix::fs::symlink,
    path::{Path, PathBuf},
};

/// A made-up machine.
struct Made(tempfile::TempDir);

impl Made {
    fn new() -> Self {
        let this = Self(tempfile::tempdir().unwrap());
        this.write("proc/self/mountinfo", "");
        for dir in ["sys/block", "sys/class/block", "sys/dev/block", "dev"] {
            fs::create_dir_all(this.path(dir)).unwrap();
        }
        this
    }

    fn path(&self, path: &str) -> PathBuf {
        self.0.path().join(path)
    }

    fn write(&self, path: &str, text: &str) {
        let path = self.path(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }

    /// Adds a disk below `sys/devices/PLACE/block`.
    fn disk(&self, place: &str, name: &str, number: &str) -> String {
        let device = format!("sys/devices/{place}");
        let dir = format!("{device}/block/{name}");
        self.write(&format!("{dir}/dev"), number);
        self.write(&format!("{dir}/size"), "62333952\n");
        self.write(&format!("{dir}/removable"), "0\n");
        self.write(&format!("{dir}/ro"), "0\n");
        self.write(&format!("{dir}/diskseq"), "7\n");
        fs::create_dir_all(self.path(&format!("{dir}/holders"))).unwrap();
        symlink(self.path(&device), self.path(&format!("{dir}/device")))
            .unwrap();
        self.link(&dir, name, number);
        symlink(self.path(&dir), self.path(&format!("sys/block/{name}")))
            .unwrap();
        dir
    }

    fn partition(&self, disk: &str, name: &str, number: &str) -> String {
        let dir = format!("{disk}/{name}");
        self.write(&format!("{dir}/dev"), number);
        self.write(&format!("{dir}/partition"), "1\n");
        fs::create_dir_all(self.path(&format!("{dir}/holders"))).unwrap();
        self.link(&dir, name, number);
        dir
    }

    fn link(&self, dir: &str, name: &str, number: &str) {
        for link in ["sys/class/block", "sys/dev/block"] {
            let name = if link.ends_with("dev/block") { number } else { name };
            symlink(self.path(dir), self.path(&format!("{link}/{name}")))
                .unwrap();
        }
        self.write(&format!("dev/{name}"), "");
    }

    fn mounts(&self, lines: &[&str]) {
        self.write("proc/self/mountinfo", &lines.join("\n"));
    }

    fn machine(&self) -> Machine {
        Machine::at(self.0.path())
    }

    fn uses(&self, name: &str) -> Vec<String> {
        let disk = self.machine().named(name).unwrap();
        disk.uses.iter().map(ToString::to_string).collect()
    }
}

const USB: &str = "pci0000:00/0000:00:14.0/usb1/1-2/1-2:1.0/host6/target6:0:0";

#[test]
fn a_card_in_a_reader() {
    let made = Made::new();
    let dir = made.disk(USB, "sdb", "8:16");
    made.write(&format!("{dir}/removable"), "1\n");
    made.write(&format!("sys/devices/{USB}/vendor"), "Generic \n");
    made.write(&format!("sys/devices/{USB}/model"), "STORAGE DEVICE  \n");
    let disk = made.machine().named("sdb").unwrap();
    assert_eq!(disk.bus, Bus::Usb);
    assert_eq!(disk.model, "Generic STORAGE DEVICE");
    assert_eq!(disk.size, 62_333_952 * 512);
    assert_eq!((disk.number, disk.sequence), ((8, 16), Some(7)));
    assert!(disk.removable && !disk.read_only && disk.uses.is_empty());
    assert_eq!(disk.path(), Path::new("/dev/sdb"));
    assert_eq!(made.machine().numbered((8, 16)).unwrap(), disk);
    assert_eq!(made.machine().disks().unwrap(), [disk]);
}

/// The kernel calls both fixed.
#[test]
fn a_slot_has_cards_and_soldered_memory() {
    let made = Made::new();
    for (name, kind, bus, removable) in
        [("mmcblk0", "SD", Bus::Sd, true), ("mmcblk1", "MMC", Bus::Emmc, false)]
    {
        let place = format!("platform/soc/mmc_host/mmc0/{name}:0001");
        made.disk(&place, name, if removable { "179:0" } else { "179:32" });
        made.write(&format!("sys/devices/{place}/type"), kind);
        made.write(&format!("sys/devices/{place}/name"), "SC32G\n");
        let disk = made.machine().named(name).unwrap();
        assert_eq!((disk.bus, disk.removable), (bus, removable));
        assert_eq!(disk.model, "SC32G");
    }
}

#[test]
fn a_partition_is_no_disk() {
    let made = Made::new();
    let disk = made.disk(USB, "sdb", "8:16");
    made.partition(&disk, "sdb1", "8:17");
    let error = made.machine().numbered((8, 17)).unwrap_err();
    assert_eq!(error.to_string(), "it is partition 1 of /dev/sdb, not a disk");
    let error = made.machine().named("sdc").unwrap_err();
    assert!(matches!(error, DiskError::Missing));
    let file = made.path("dev/sdb");
    let error = made.machine().find(&file).unwrap_err();
    assert!(matches!(error, DiskError::NotADevice));
    let error = made.machine().find(Path::new("/dev/null")).unwrap_err();
    assert!(matches!(error, DiskError::NotADevice));
    let error = made.machine().find(Path::new("/no/such")).unwrap_err();
    assert!(matches!(error, DiskError::Missing));
}

/// Mounted by number, and by path where the file system has made up the
/// number.
#[test]
fn mounts_of_partitions_are_found() {
    let made = Made::new();
    let disk = made.disk(USB, "sdb", "8:16");
    made.partition(&disk, "sdb1", "8:17");
    made.partition(&disk, "sdb2", "8:18");
    made.mounts(&[
        "22 1 0:20 / /proc rw - proc proc rw",
        "23 1 8:17 / /media/boot\\040fs rw shared:1 - vfat /dev/sdb1 rw",
        "24 1 0:44 / /media/root rw - btrfs /dev/sdb2 rw",
        "25 1 8:33 / /other rw - ext4 /dev/sdc1 rw",
    ]);
    assert_eq!(
        made.uses("sdb"),
        ["sdb1 is mounted at /media/boot fs", "sdb2 is mounted at /media/root"]
    );
    assert!(!made.machine().named("sdb").unwrap().is_system());
}

/// LUKS below LVM below the root file system, as installers make it.
#[test]
fn the_systems_disk_is_known_through_what_is_made_of_it() {
    let made = Made::new();
    let disk = made.disk("pci0000:00/ata1/host0", "sda", "8:0");
    let part = made.partition(&disk, "sda3", "8:3");
    for (name, number, known) in [
        ("dm-0", "253:0", "luks"),
        ("dm-1", "253:1", "vg-root"),
        ("dm-2", "253:2", "vg-swap"),
    ] {
        let dir = made.disk(&format!("virtual/{name}"), name, number);
        made.write(&format!("{dir}/dm/name"), known);
        fs::create_dir_all(made.path("dev/mapper")).unwrap();
        symlink(
            format!("../{name}"),
            made.path(&format!("dev/mapper/{known}")),
        )
        .unwrap();
    }
    let hold = |by: &str, holder: &str| {
        made.write(&format!("{by}/holders/{holder}"), "");
    };
    hold(&part, "dm-0");
    hold("sys/class/block/dm-0", "dm-1");
    hold("sys/class/block/dm-0", "dm-2");
    made.mounts(&["22 1 253:1 / / rw - ext4 /dev/mapper/vg-root rw"]);
    made.write(
        "proc/swaps",
        "Filename Type Size Used Priority\n/dev/mapper/vg-swap partition 1 0 -2\n",
    );
    assert_eq!(
        made.uses("sda"),
        [
            "sda3 is held by dm-0 (luks)",
            "dm-0 is held by dm-1 (vg-root)",
            "dm-1 is mounted at /",
            "dm-0 is held by dm-2 (vg-swap)",
            "dm-2 is used as swap",
        ]
    );
    assert!(made.machine().named("sda").unwrap().is_system());
    // Mappings are not offered.
    let disks = made.machine().disks().unwrap();
    let names: Vec<_> = disks.iter().map(|disk| disk.name.as_str()).collect();
    assert_eq!(names, ["sda"]);
}

#[test]
fn loops_and_file_systems_of_several_disks_are_uses() {
    let made = Made::new();
    made.disk(USB, "sdb", "8:16");
    let dir = made.disk("virtual/l", "loop3", "7:3");
    made.write(&format!("{dir}/loop/backing_file"), "/dev/sdb\n");
    made.write("sys/fs/btrfs/5a6b/devices/sdb/x", "");
    made.write("sys/fs/btrfs/features/x", "");
    assert_eq!(
        made.uses("sdb"),
        ["sdb is part of the btrfs 5a6b", "sdb is held by loop3"]
    );
    let disk = made.machine().named("loop3").unwrap();
    assert_eq!((disk.bus, disk.model.as_str()), (Bus::Loop, "/dev/sdb"));
    let disk = made.machine().named("sdb").unwrap();
    assert!(disk.uses.iter().any(|u| u.how == How::Holder("loop3".to_owned())));
}
