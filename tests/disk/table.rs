use piflash::disk::{PartitionTable, ReadAt, TableError, TableKind};
use proptest::prelude::*;
use std::{
    io::{Read, Seek, Write},
    process::{Command, Stdio},
};

/// Makes a disk by `sfdisk` (package fdisk) and returns it with what
/// `sfdisk -J` says of it.
fn sfdisk(size: u64, script: &str) -> (Vec<u8>, serde_json::Value) {
    let mut file = tempfile::NamedTempFile::new().unwrap();
    file.as_file().set_len(size).unwrap();
    let mut child = Command::new("sfdisk")
        .args(["-q", "--no-reread", "--no-tell-kernel"])
        .arg(file.path())
        .stdin(Stdio::piped())
        .spawn()
        .expect("sfdisk is missing: install the package fdisk");
    child.stdin.take().unwrap().write_all(script.as_bytes()).unwrap();
    assert!(child.wait().unwrap().success());
    let out =
        Command::new("sfdisk").arg("-J").arg(file.path()).output().unwrap();
    assert!(out.status.success());
    let json = serde_json::from_slice(&out.stdout).unwrap();
    let mut disk = Vec::new();
    file.rewind().unwrap();
    file.read_to_end(&mut disk).unwrap();
    (disk, json)
}

const MBR: &str = "label: dos
label-id: 0x041bba91
start=16384, size=20480, type=c, bootable
start=40960, size=8192, type=83
start=51200, size=40960, type=5
start=53248, size=4096, type=83
start=59392, size=8192, type=82
start=69632, size=2048, type=c
";
const GPT: &str = "label: gpt
label-id: 15F4C6BE-1102-4331-9904-F78E78AFD1FD
start=2048, size=20480, type=U, name=\"boot fs\"
start=40960, size=8192, type=L, uuid=0FC63DAF-8483-4772-8E79-3D69D8477DE4, \
name=\"wurzel\u{e4}\", attrs=LegacyBIOSBootable
";

fn agrees(disk: &[u8], json: &serde_json::Value) -> PartitionTable {
    let table = PartitionTable::read(&disk).unwrap();
    let json = &json["partitiontable"];
    let text = |v: &serde_json::Value| {
        v.as_str().unwrap_or_default().trim_start_matches("0x").to_lowercase()
    };
    assert_eq!(table.disk_id, text(&json["id"]));
    let theirs = json["partitions"].as_array().unwrap();
    assert_eq!(table.partitions.len(), theirs.len());
    for (ours, theirs) in table.partitions.iter().zip(theirs) {
        let node = theirs["node"].as_str().unwrap();
        assert!(node.ends_with(&ours.number.to_string()), "{node}");
        assert_eq!(ours.start / 512, theirs["start"].as_u64().unwrap());
        assert_eq!(ours.len / 512, theirs["size"].as_u64().unwrap());
        let kind = format!("{:0>2}", text(&theirs["type"]));
        assert_eq!(ours.kind.to_string(), kind);
        let bootable = theirs["bootable"].as_bool().unwrap_or(false)
            || theirs["attrs"].as_str() == Some("LegacyBIOSBootable");
        assert_eq!(ours.bootable, bootable);
        assert_eq!(ours.name, theirs["name"].as_str().unwrap_or_default());
        if table.kind == TableKind::Gpt {
            assert_eq!(ours.partuuid, text(&theirs["uuid"]));
        }
    }
    table
}

#[test]
fn agrees_with_sfdisk_on_an_mbr() {
    let (disk, json) = sfdisk(64 << 20, MBR);
    let table = agrees(&disk, &json);
    assert_eq!(table.kind, TableKind::Mbr);
    let numbers: Vec<_> = table.partitions.iter().map(|p| p.number).collect();
    assert_eq!(numbers, [1, 2, 3, 5, 6, 7]);
    assert_eq!(table.partition(2).unwrap().partuuid, "041bba91-02");
    assert!(table.partition(3).unwrap().is_extended());
    let boot = table.partition(1).unwrap().window(&disk).unwrap();
    assert_eq!((boot.start(), boot.size()), (16384 * 512, 20480 * 512));
    // An extended partition that was never given a logical one.
    let empty: String = MBR.lines().take(5).map(|l| format!("{l}\n")).collect();
    let (disk, json) = sfdisk(64 << 20, &empty);
    agrees(&disk, &json);
}

#[test]
fn agrees_with_sfdisk_on_a_gpt() {
    let (disk, json) = sfdisk(64 << 20, GPT);
    let table = agrees(&disk, &json);
    assert_eq!(table.kind, TableKind::Gpt);
    let uuid = "0fc63daf-8483-4772-8e79-3d69d8477de4";
    assert_eq!(table.partition(2).unwrap().partuuid, uuid);
}

fn error(disk: &[u8]) -> TableError {
    PartitionTable::read(&disk).unwrap_err()
}

#[test]
fn refuses_damaged_mbrs() {
    let (disk, _) = sfdisk(64 << 20, MBR);
    let with = |edits: &[(usize, &[u8])]| {
        let mut disk = disk.clone();
        for (at, bytes) in edits {
            disk[*at..*at + bytes.len()].copy_from_slice(bytes);
        }
        error(&disk)
    };
    let entry = |n: usize| 446 + (n - 1) * 16;
    assert!(matches!(error(&[0; 100]), TableError::Missing(_)));
    assert!(matches!(error(&[0; 4096]), TableError::Missing(_)));
    assert!(matches!(with(&[(510, &[0])]), TableError::Missing(_)));
    let none: &[(usize, &[u8])] = &[(446, &[0; 64])];
    assert!(matches!(with(none), TableError::Missing(_)));
    assert!(matches!(
        with(&[(entry(1), &[7])]),
        TableError::BadMbr { sector: 0, .. }
    ));
    assert!(matches!(
        with(&[(entry(2) + 12, &[0; 4])]),
        TableError::Empty { number: 2 }
    ));
    assert!(matches!(
        with(&[(entry(2) + 8, &[0xff; 4])]),
        TableError::OutOfRange { number: 2, disk_sectors: 131_072, .. }
    ));
    assert!(matches!(
        with(&[(entry(1) + 8, &0u32.to_le_bytes())]),
        TableError::OutOfRange { number: 1, first: 0, .. }
    ));
    assert!(matches!(
        with(&[(entry(1) + 12, &24_577u32.to_le_bytes())]),
        TableError::Overlap { number: 1, other: 2, sector: 40_960 }
    ));
    assert!(matches!(
        with(&[(entry(4) + 4, &[0x0f])]),
        TableError::BadMbr { sector: 0, .. }
    ));
    // The first extended boot record: its partition, its link.
    let ebr = 51_200 * 512 + 446;
    assert!(matches!(
        with(&[(ebr + 12, &[0xff; 4])]),
        TableError::OutsideExtended { number: 5, .. }
    ));
    assert!(matches!(
        with(&[(ebr + 16 + 8, &[0; 4])]),
        TableError::BadMbr { sector: 51_200, .. }
    ));
    assert!(matches!(
        with(&[(ebr + 16 + 8, &[0xff; 4])]),
        TableError::BadMbr { sector: 51_200, .. }
    ));
    let fat: &[(usize, &[u8])] = &[(0x52, b"FAT32")];
    assert!(matches!(with(fat), TableError::Missing(_)));
    assert!(error(&disk[..40 << 20]).to_string().contains("cut short"));
}

#[test]
fn refuses_damaged_gpts() {
    let (disk, _) = sfdisk(64 << 20, GPT);
    let with = |edits: &[usize]| {
        let mut disk = disk.clone();
        edits.iter().for_each(|at| disk[*at] ^= 1);
        error(&disk)
    };
    let last = disk.len() - 512;
    // Header and entries, with and without a good backup.
    for at in [512, 512 + 40, 1024 + 3] {
        assert!(matches!(with(&[at]), TableError::BadGpt { backup: true, .. }));
        assert!(matches!(
            with(&[at, last]),
            TableError::BadGpt { backup: false, .. }
        ));
    }
    let text = with(&[512]).to_string();
    assert!(text.contains("backup at the end of the disk is readable"));
    let mut hybrid = disk.clone();
    hybrid.copy_within(446..462, 462);
    hybrid[462 + 4] = 0x83;
    assert!(matches!(
        error(&hybrid),
        TableError::Hybrid { number: 2, kind: 0x83 }
    ));
    assert!(matches!(error(&disk[..1024]), TableError::BadGpt { .. }));
}

/// A GPT that is wrong in spite of right checksums.
#[test]
fn refuses_an_implausible_gpt() {
    let (disk, _) = sfdisk(8 << 20, "label: gpt\nstart=2048, size=2048\n");
    let with = |at: usize, bytes: &[u8]| {
        let mut disk = disk.clone();
        disk[512 + at..512 + at + bytes.len()].copy_from_slice(bytes);
        disk[512 + 16..512 + 20].fill(0);
        let crc = crc32(&disk[512..512 + 92]);
        disk[512 + 16..512 + 20].copy_from_slice(&crc.to_le_bytes());
        error(&disk)
    };
    for (at, bytes) in [
        (24, &2u64.to_le_bytes()[..]),
        (48, &u64::MAX.to_le_bytes()),
        (72, &u64::MAX.to_le_bytes()),
        (80, &u32::MAX.to_le_bytes()),
        (84, &256u32.to_le_bytes()),
        (80, &0u32.to_le_bytes()),
    ] {
        assert!(matches!(
            with(at, bytes),
            TableError::BadGpt { backup: true, .. }
        ));
    }
}

/// CRC-32 as in UEFI, bit by bit.
fn crc32(bytes: &[u8]) -> u32 {
    let mut crc = u32::MAX;
    for byte in bytes {
        crc ^= u32::from(*byte);
        for _ in 0..8 {
            crc = (crc >> 1) ^ (0xedb8_8320 & (crc & 1).wrapping_neg());
        }
    }
    !crc
}

proptest! {
    #[test]
    fn random_sectors_never_panic(
        mut disk in prop::collection::vec(any::<u8>(), 512..8192),
        extended in any::<bool>(),
    ) {
        disk[510..512].copy_from_slice(&[0x55, 0xaa]);
        for n in 0..4 {
            disk[446 + n * 16] &= 0x80;
        }
        if extended {
            disk[446 + 4] = 5;
            disk[446 + 8..446 + 12].copy_from_slice(&1u32.to_le_bytes());
        }
        let _ = PartitionTable::read(&disk);
    }

    #[test]
    fn mutated_tables_never_panic(
        gpt in any::<bool>(),
        edits in prop::collection::vec((0usize..2048, any::<u8>()), 1..6),
    ) {
        static DISKS: std::sync::OnceLock<[Vec<u8>; 2]> =
            std::sync::OnceLock::new();
        let disks = DISKS.get_or_init(|| {
            let small = "label: dos\nstart=8,size=8,type=c\n\
                start=32,size=96,type=5\nstart=34,size=8\nstart=50,size=8\n";
            let gpt = "label: gpt\nfirst-lba: 34\nstart=34,size=9\n";
            [sfdisk(128 << 10, small).0, sfdisk(128 << 10, gpt).0]
        });
        let mut disk = disks[usize::from(gpt)].clone();
        for (at, byte) in edits {
            // Mostly inside the records themselves.
            let at = match at % 3 {
                0 if gpt => 512 + at % 92,
                1 if gpt => 1024 + at % 128,
                0 => 446 + at % 66,
                1 => 32 * 512 + 446 + at % 66,
                _ => at * 61 % disk.len(),
            };
            disk[at] = byte;
        }
        if gpt {
            disk[512 + 16..512 + 20].fill(0);
            let crc = crc32(&disk[512..512 + 92]);
            disk[512 + 16..512 + 20].copy_from_slice(&crc.to_le_bytes());
        }
        if let Ok(table) = PartitionTable::read(&disk) {
            for p in &table.partitions {
                prop_assert!(p.end() <= disk.len() as u64 && p.len > 0);
            }
        }
    }
}
