use super::support::{BUILD_TIME, META, bytes, mcopy, mkfs, open};
use piflash::{
    disk::Zeros,
    fs::{Editor, Fat, FsErrorKind, Reader, Structure},
};
use proptest::prelude::*;
use std::sync::OnceLock;

fn volumes() -> &'static [Vec<u8>; 3] {
    static VOLUMES: OnceLock<[Vec<u8>; 3]> = OnceLock::new();
    VOLUMES.get_or_init(|| {
        [(12, 1, 720), (16, 1, 4096), (32, 1, 34_000)].map(|(b, s, kib)| {
            let volume = mkfs(b, s, kib);
            let volume = mcopy(&volume, "/cmdline.txt", &[b'a'; 3000]);
            let (memory, mut fat) = open(volume);
            fat.mkdir("/overlays and more", META).unwrap();
            let name = "/overlays and more/x.dtbo";
            fat.write(name, &Zeros(5000), META).unwrap();
            fat.commit().unwrap();
            bytes(&*memory)
        })
    })
}

fn use_all(volume: Vec<u8>) {
    let memory = piflash::disk::Memory::new(volume);
    let Ok(mut fat) = Fat::open(memory, BUILD_TIME) else { return };
    let mut waiting = vec![String::new()];
    let mut seen = 0;
    while let Some(dir) = waiting.pop() {
        seen += 1;
        let Ok(entries) = fat.read_dir(&format!("{dir}/")) else { continue };
        for entry in entries {
            let path = format!("{dir}/{}", entry.name);
            let _ = fat.read(&path);
            if seen < 50 {
                waiting.push(path);
            }
        }
    }
    let _ = fat.write("/cmdline.txt", &Zeros(9000), META);
    let _ = fat.write("/a new file with a long name", &Zeros(9000), META);
    let _ = fat.mkdir("/new", META);
    let _ = fat.remove("/overlays and more");
    let _ = fat.commit();
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    /// No input makes it panic or hang.
    #[test]
    fn damaged_volumes_never_panic(
        which in 0usize..3,
        edits in prop::collection::vec(
            (0usize..1 << 20, prop_oneof![
                any::<u8>(), Just(0u8), Just(0xffu8), 1u8..9
            ]),
            1..8,
        ),
    ) {
        let mut volume = volumes()[which].clone();
        let reserved = [512, 512, 32 * 512][which];
        let data = volume
            .windows(11)
            .position(|w| w == b"CMDLINE TXT")
            .unwrap();
        for (at, byte) in edits {
            let at = match at % 4 {
                0 => 11 + at / 4 % 80,
                1 => reserved + at / 4 % 64,
                2 => data - data % 512 + at / 4 % 512,
                _ => 512 + at / 4 % 512,
            };
            volume[at] = byte;
        }
        use_all(volume);
    }
}

#[test]
fn a_loop_of_clusters_is_an_error() {
    let mut volume = volumes()[1].clone();
    // FAT16: the chain of cmdline.txt begins at cluster 2: 2 -> 3 -> 2.
    for fat in [512, 512 + fat_len(&volume)] {
        volume[fat + 6..fat + 8].copy_from_slice(&[2, 0]);
    }
    let (_, mut fat) = open(volume);
    let error = fat.read("/cmdline.txt").unwrap_err();
    assert!(matches!(error.kind, FsErrorKind::Corrupt(_)), "{error}");
    let error = fat.write("/x", &Zeros(1), META).unwrap_err();
    assert!(matches!(error.kind, FsErrorKind::Corrupt(_)), "{error}");
}

fn fat_len(volume: &[u8]) -> usize {
    usize::from(u16::from_le_bytes([volume[22], volume[23]])) * 512
}

#[test]
fn different_fats_are_an_error() {
    let mut volume = volumes()[1].clone();
    let at = 512 + fat_len(&volume) + 1000;
    volume[at] ^= 1;
    let (_, mut fat) = open(volume);
    assert_eq!(fat.read("/cmdline.txt").unwrap().len(), 3000);
    let error = fat.write("/x", &Zeros(1), META).unwrap_err();
    assert!(error.to_string().contains("FATs differ"), "{error}");
}

#[test]
fn a_dirty_volume_is_read_but_not_edited() {
    for (volume, at) in volumes().iter().zip([0x25, 0x25, 0x41]) {
        let mut volume = volume.clone();
        volume[at] |= 1;
        let (memory, mut fat) = open(volume.clone());
        assert_eq!(fat.read("/cmdline.txt").unwrap().len(), 3000);
        let error = fat.mkdir("/x", META).unwrap_err();
        assert!(error.to_string().contains("marked dirty"), "{error}");
        fat.commit().unwrap();
        assert!(bytes(&*memory) == volume);
    }
}

#[test]
fn a_wrong_count_of_free_clusters_is_put_right() {
    let mut volume = volumes()[2].clone();
    for wrong in [0u32, 5, u32::MAX, 0x7fff_ffff] {
        volume[512 + 488..512 + 492].copy_from_slice(&wrong.to_le_bytes());
        volume[512 + 492..512 + 496].copy_from_slice(&wrong.to_le_bytes());
        let (memory, mut fat) = open(volume.clone());
        fat.write("/x", &Zeros(2000), META).unwrap();
        fat.commit().unwrap();
        super::support::Judged::clean(&bytes(&*memory));
    }
}

#[test]
fn a_sector_of_free_counts_that_is_elsewhere_is_not_written() {
    let mut volume = volumes()[2].clone();
    let data = volume.windows(11).position(|w| w == b"CMDLINE TXT").unwrap();
    // The root directory is cluster 2, of one sector.
    let cluster = u16::from_le_bytes([volume[data + 26], volume[data + 27]]);
    let file = data / 512 + usize::from(cluster) - 2;
    // A file that looks like such a sector.
    volume.copy_within(512..1024, file * 512);
    for sector in [0, 32, file, 0xFFFF] {
        let sector = u16::try_from(sector).unwrap().to_le_bytes();
        volume[48..50].copy_from_slice(&sector);
        let (memory, mut fat) = open(volume.clone());
        assert_eq!(fat.read("/cmdline.txt").unwrap().len(), 3000);
        let error = fat.write("/x", &Zeros(2000), META).unwrap_err();
        let FsErrorKind::Corrupt(corruption) = error.kind else {
            panic!("{error:?}")
        };
        assert_eq!(corruption.structure, Structure::BootSector);
        fat.commit().unwrap();
        assert!(bytes(&*memory) == volume);
    }
}

#[test]
fn no_fat_is_said_so() {
    for bytes in [vec![0; 4096], vec![0xff; 4096], vec![]] {
        let memory = piflash::disk::Memory::new(bytes);
        assert!(Fat::open(memory, 0).is_err());
    }
}

/// A FAT16 volume with two files of long names, and where the last part of
/// the second one's name is.
fn two_long_names() -> (Vec<u8>, usize) {
    let volume = mcopy(&volumes()[1], "/another one.txt", b"old");
    let volume = mcopy(&volume, "/a third file.txt", b"third");
    let name: Vec<u8> =
        "a th".encode_utf16().flat_map(u16::to_le_bytes).collect();
    let first = volume.windows(8).position(|w| *w == *name).unwrap() - 1;
    (volume, first - 32)
}

#[test]
fn a_long_name_that_fatfs_reads_otherwise_is_an_error() {
    let (volume, at) = two_long_names();
    // Behind the end of the name 0xffff is right; fatfs reads what is there.
    let end = volume[at..at + 32].chunks(2).position(|c| c == [0xff; 2]);
    let mut volume = volume;
    volume[at + end.unwrap() * 2] = 0xdf;
    let (_, fat) = open(volume.clone());
    assert_eq!(fat.read("/a third file.txt").unwrap(), b"third");
    let edits: [fn(&mut Fat<_>) -> Result<(), _>; 3] = [
        |fat| fat.write("/a third file.txt", &Zeros(700), META),
        |fat| fat.write("/a third file.txt", &Zeros(5), META),
        |fat| fat.remove("/a third file.txt"),
    ];
    for (number, edit) in edits.iter().enumerate() {
        let (_, mut fat) = open(volume.clone());
        let error = edit(&mut fat).unwrap_err();
        assert!(
            matches!(error.kind, FsErrorKind::Corrupt(_)),
            "{number}: {error:?}"
        );
    }
    // Others are edited as ever.
    let (memory, mut fat) = open(volume);
    fat.write("/another one.txt", &Zeros(700), META).unwrap();
    fat.commit().unwrap();
    assert_eq!(
        open(bytes(&*memory)).1.read("/another one.txt").unwrap(),
        [0; 700]
    );
}

#[test]
fn two_entries_of_one_name_are_an_error() {
    let (mut volume, at) = two_long_names();
    // The short entry has its long name no more, but that of another.
    volume[at + 64..at + 75].copy_from_slice(b"CMDLINE TXT");
    let (_, mut fat) = open(volume);
    for edit in
        [fat.write("/cmdline.txt", &Zeros(7), META), fat.remove("/cmdline.txt")]
    {
        let error = edit.unwrap_err();
        assert!(matches!(error.kind, FsErrorKind::Corrupt(_)), "{error:?}");
    }
}
