//! Images that cannot be understood, and what is said of them.

use crate::support::{
    image::Case,
    memory::{Body, MemTree},
};
use piflash::{
    base::{
        facts::{Facts, FsKind, NetworkStack, PartitionFacts},
        probe::{ProbeError, identify, probe, probe_volumes},
    },
    disk::ReadAt,
};
use proptest::prelude::*;
use std::io;

fn probed(case: &Case) -> Result<Facts, ProbeError> {
    let volumes: [(u32, &dyn piflash::fs::Reader); 2] =
        [(1, &case.boot), (2, &case.root)];
    probe_volumes(&volumes, &case.table())
}

/// The message after `change` was done to bookworm.
fn message(change: impl FnOnce(&mut Case)) -> String {
    let mut case = Case::load("bookworm");
    change(&mut case);
    probed(&case).unwrap_err().to_string()
}

#[test]
fn empty_fat() {
    let message = message(|case| case.boot = MemTree::new(0));
    assert_eq!(
        message,
        "no boot partition: none of the 1 FAT partitions holds config.txt \
         or cmdline.txt"
    );
}

#[test]
fn no_root() {
    let message = message(|case| case.root = MemTree::new(0));
    assert_eq!(
        message,
        "no root partition: none of the 1 ext4 partitions holds \
         etc/os-release and an init"
    );
}

#[test]
fn what_is_there_instead_of_a_root_is_named() {
    let signed = |at: usize, signature: &[u8]| {
        let mut bytes = vec![0; 1 << 20];
        bytes[at..at + signature.len()].copy_from_slice(signature);
        identify(&bytes).unwrap()
    };
    for (at, signature, name) in [
        (0, &b"LUKS\xba\xbe"[..], "LUKS"),
        (0x1_0040, b"_BHRfS_M", "btrfs"),
        (0x400, b"\x10\x20\xf5\xf2", "f2fs"),
        (0, b"XFSB", "XFS"),
        (0x200, b"LABELONE", "LVM"),
    ] {
        let case = Case::load("bookworm");
        let mut table = case.table();
        table.partitions[1].volume = signed(at, signature);
        let volumes: [(u32, &dyn piflash::fs::Reader); 1] = [(1, &case.boot)];
        let error = probe_volumes(&volumes, &table).unwrap_err();
        assert_eq!(
            error.to_string(),
            format!(
                "no root partition: none of the 0 ext4 partitions holds \
                 etc/os-release and an init; partition 2 holds {name}, not \
                 ext4"
            )
        );
    }
}

#[test]
fn no_partitions_at_all() {
    let case = Case::load("bookworm");
    let mut table = case.table();
    table.partitions.clear();
    let error = probe(&case.boot, &case.root, &table).unwrap_err();
    assert!(error.to_string().starts_with("no boot partition"), "{error}");
}

#[test]
fn two_roots() {
    let case = Case::load("bookworm");
    let mut table = case.table();
    let third = PartitionFacts { number: 3, ..table.partitions[1].clone() };
    table.partitions.push(third);
    let volumes: [(u32, &dyn piflash::fs::Reader); 3] =
        [(1, &case.boot), (2, &case.root), (3, &case.root)];
    let error = probe_volumes(&volumes, &table).unwrap_err();
    assert_eq!(
        error.to_string(),
        "partitions 2 and 3 both hold an installed system"
    );
}

#[test]
fn a_data_partition_behind_root_is_no_second_root() {
    let case = Case::load("bookworm");
    let mut table = case.table();
    let root = &table.partitions[1];
    let data = PartitionFacts {
        number: 3,
        start: root.start + root.len,
        ..root.clone()
    };
    assert_eq!(data.volume.fs, Some(FsKind::Ext4));
    table.partitions.push(data);
    let empty = MemTree::new(0);
    let volumes: [(u32, &dyn piflash::fs::Reader); 3] =
        [(1, &case.boot), (2, &case.root), (3, &empty)];
    let facts = probe_volumes(&volumes, &table).unwrap();
    assert_eq!(facts.root_partition, 2);
    assert!(!facts.root_is_last);
}

#[test]
fn missing_os_release() {
    let message = message(|case| {
        case.root.remove("/etc/os-release");
        case.root.remove("/usr/lib/os-release");
    });
    assert_eq!(message, "/etc/os-release on the root partition: no such file");
}

#[test]
fn os_release_without_id() {
    let message =
        message(|case| case.root.file("/usr/lib/os-release", "NAME=x\n"));
    assert_eq!(message, "/etc/os-release on the root partition: no ID in it");
}

#[test]
fn os_release_that_leads_in_a_circle() {
    let message = message(|case| {
        case.root.link("/usr/lib/os-release", "../../etc/os-release");
    });
    assert_eq!(
        message,
        "/etc/os-release on the root partition: too many levels of symbolic \
         links"
    );
}

#[test]
fn architecture_mismatch() {
    let message = message(|case| {
        let program = crate::support::list::elf("amd64").unwrap();
        case.root.file("/usr/bin/true", program);
    });
    assert_eq!(
        message,
        "/usr/bin/true is a program for amd64, but /var/lib/dpkg/status says \
         that the system is arm64"
    );
}

#[test]
fn no_program_of_a_known_machine() {
    let message = message(|case| {
        for program in ["/usr/bin/true", "/usr/bin/dash"] {
            case.root.file(program, "#!/bin/sh\n");
        }
        case.root.file("/usr/lib/systemd/systemd", b"\x7fELF\x02\x02");
    });
    assert!(
        message.starts_with(
            "no program to tell the architecture by: /usr/bin/true is not \
             an ELF program; "
        ),
        "{message}"
    );
}

#[test]
fn a_file_larger_than_memory_is_not_read() {
    let message = message(|case| {
        let node = case.root.nodes.get_mut("/etc/passwd").unwrap();
        node.size = Some(4 << 30);
    });
    assert_eq!(
        message,
        "/etc/passwd on the root partition: 4294967296 bytes, more than the \
         1048576 expected"
    );
}

#[test]
fn texts_that_would_be_damaged_by_rewriting_are_refused() {
    let hosts =
        message(|case| case.root.file("/etc/hosts", b"127.0.0.1 \xff\n"));
    assert_eq!(hosts, "/etc/hosts on the root partition: not UTF-8 text");
    let passwd = message(|case| {
        case.root.file("/etc/passwd", "root:x:0:0::/:/bin/sh\npi:x:uid\n");
    });
    assert_eq!(
        passwd,
        "/etc/passwd on the root partition: line 2 is not an entry of \
         passwd(5)"
    );
    let directory = message(|case| {
        case.root.remove("/etc/shadow");
        case.root.put("/etc/shadow", Body::Directory, 0o755);
    });
    assert_eq!(
        directory,
        "/etc/shadow on the root partition: not a regular file"
    );
}

#[test]
fn no_mount_point_for_the_fat() {
    let message = message(|case| {
        case.root.remove("/etc/fstab");
        case.root.remove("/boot");
    });
    assert_eq!(
        message,
        "/etc/fstab on the root partition: names no mount point for the boot \
         partition, and there is neither /boot/firmware nor /boot"
    );
}

#[test]
fn missing_optional_files_are_facts() {
    let mut case = Case::load("bookworm");
    for path in [
        "/etc/fstab",
        "/etc/hosts",
        "/etc/shadow",
        "/etc/machine-id",
        "/var/lib/dpkg",
        "/usr/lib/systemd/system",
        "/usr/lib/modules",
    ] {
        case.root.remove(path);
    }
    case.boot.remove("/cmdline.txt");
    let facts = probed(&case).unwrap();
    assert_eq!(facts.boot.mount, "/boot/firmware");
    assert_eq!(facts.boot.mount_source, "the directory /boot/firmware");
    assert_eq!(facts.boot.cmdline, None);
    assert_eq!(facts.network.stack, NetworkStack::Unknown);
    assert_eq!(facts.systemd, None);
    assert!(facts.accounts[0].locked);
    assert!(facts.texts.shadow.is_none() && facts.kernels.is_empty());
}

#[test]
fn two_network_managers_are_not_guessed_about() {
    let mut case = Case::load("bullseye");
    case.root.link(
        "/etc/systemd/system/multi-user.target.wants/NetworkManager.service",
        "/lib/systemd/system/NetworkManager.service",
    );
    let network = probed(&case).unwrap().network;
    assert_eq!(network.stack, NetworkStack::Unknown);
    let last = network.evidence.last().unwrap();
    assert_eq!(last, "two network managers are enabled");
    // Masked, it is none.
    case.root.link("/etc/systemd/system/NetworkManager.service", "/dev/null");
    let network = probed(&case).unwrap().network;
    assert_eq!(network.stack, NetworkStack::Dhcpcd);
}

#[test]
fn cloud_init_is_switched_off_as_its_generator_would() {
    let reasons = |change: fn(&mut Case)| {
        let mut case = Case::load("trixie-cloud-init");
        change(&mut case);
        let facts = probed(&case).unwrap();
        serde_json::to_value(facts.cloud_init.state).unwrap()
    };
    assert_eq!(reasons(|_| {}), "active");
    assert_eq!(
        reasons(|case| case.root.file("/etc/cloud/cloud-init.disabled", "")),
        "inert"
    );
    assert_eq!(
        reasons(|case| {
            case.boot.file("/cmdline.txt", "rootwait cloud-init=disabled\n");
        }),
        "inert"
    );
    assert_eq!(
        reasons(|case| {
            case.boot.remove("/meta-data");
            case.boot.remove("/user-data");
        }),
        "inert"
    );
    // A relabelled FAT loses Ubuntu's seed.
    let case = Case::load("ubuntu-24.04");
    let mut table = case.table();
    table.partitions[0].volume.label = Some("BOOT".to_owned());
    let facts = probe(&case.boot, &case.root, &table).unwrap();
    assert_eq!(serde_json::to_value(facts.cloud_init.state).unwrap(), "inert");
}

struct Bytes(Vec<u8>);

impl ReadAt for Bytes {
    fn size(&self) -> u64 {
        self.0.len() as u64
    }

    fn read_at(&self, offset: u64, buf: &mut [u8]) -> io::Result<()> {
        let offset = offset as usize;
        let part = self.0.get(offset..offset + buf.len());
        buf.copy_from_slice(part.ok_or(io::ErrorKind::UnexpectedEof)?);
        Ok(())
    }
}

proptest! {
    /// Whatever a partition's first bytes and a program's header are, there
    /// is an answer or an error, and never a panic.
    #[test]
    fn any_bytes_have_an_answer(
        bytes in proptest::collection::vec(any::<u8>(), 0..3000),
        magic in any::<bool>(),
    ) {
        let mut sector = bytes.clone();
        if magic && sector.len() > 1100 {
            sector[510..512].copy_from_slice(&[0x55, 0xaa]);
            sector[82..87].copy_from_slice(b"FAT32");
            sector[1080..1082].copy_from_slice(&[0x53, 0xef]);
        }
        prop_assert!(identify(&Bytes(sector)).is_ok());
        let mut case = Case::load("bookworm");
        let mut program = b"\x7fELF".to_vec();
        program.extend(&bytes);
        case.root.file("/usr/bin/true", &program);
        case.root.file("/etc/fstab", &bytes);
        case.root.file("/var/lib/dpkg/status", &bytes);
        case.root.file("/etc/cloud/cloud.cfg", &bytes);
        case.root.file("/usr/bin/cloud-init", &bytes);
        case.boot.file("/cmdline.txt", &bytes);
        let _ = probed(&case);
        case.root.file("/usr/lib/os-release", &bytes);
        let _ = probed(&case);
    }
}
