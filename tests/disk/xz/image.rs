use super::{content, variants};
use crate::support::xz::{list, pack};
use piflash::disk::{
    ReadAt,
    xz::{Check, XzImage, XzIndex, XzLimits},
};
use proptest::prelude::*;
use std::{
    io,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

fn open(packed: Vec<u8>) -> XzImage {
    XzImage::open(Arc::new(packed), XzLimits::default()).unwrap()
}

#[test]
fn the_index_is_what_xz_lists() {
    let content = content(400_000);
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("x.xz");
    for (name, packed) in variants(&content) {
        std::fs::write(&path, &packed).unwrap();
        let index = XzIndex::read(&packed).unwrap();
        let listed = list(&path).unwrap();
        assert_eq!(index.size(), 400_000, "{name}");
        assert_eq!(index.blocks().len(), listed.len(), "{name}");
        for (ours, theirs) in index.blocks().iter().zip(listed) {
            let found = (ours.packed, ours.packed_len(), ours.offset, ours.len);
            let want =
                (theirs.packed, theirs.packed_len, theirs.offset, theirs.len);
            assert_eq!(found, want, "{name}");
            let check = match ours.check {
                Check::None => "None",
                Check::Crc32 => "CRC32",
                Check::Crc64 => "CRC64",
                Check::Sha256 => "SHA-256",
            };
            assert_eq!(check, theirs.check, "{name}");
        }
    }
}

#[test]
fn every_byte_is_there() {
    let content = content(400_000);
    for (name, packed) in variants(&content) {
        let image = open(packed);
        assert_eq!(image.size(), 400_000);
        let mut all = vec![1; 400_000];
        image.read_at(0, &mut all).unwrap();
        assert!(all == content, "{name}");
        for at in [0, 1, 29_999, 30_000, 49_999, 133_333, 399_990] {
            let mut some = [0; 10];
            image.read_at(at, &mut some).unwrap();
            assert_eq!(some, content[at as usize..][..10], "{name}");
        }
        for (at, len) in [(400_000, 1), (399_999, 2), (u64::MAX, 1)] {
            assert!(image.read_at(at, &mut vec![0; len]).is_err(), "{name}");
        }
        image.read_at(400_000, &mut []).unwrap();
    }
}

#[test]
fn an_empty_image_is_one() {
    let empty = pack(b"", &[]);
    for packed in [empty.clone(), [&empty[..], &[0; 4], &empty].concat()] {
        let image = open(packed);
        assert_eq!(image.size(), 0);
        assert_eq!(image.index().check(), None);
        assert_eq!(image.index().find(0), None);
        assert!(image.read_at(0, &mut [0]).is_err());
    }
}

/// Counts what is read of the file.
struct Counted(Vec<u8>, AtomicU64);

impl ReadAt for Counted {
    fn size(&self) -> u64 {
        self.0.size()
    }
    fn read_at(&self, offset: u64, buf: &mut [u8]) -> io::Result<()> {
        self.1.fetch_add(buf.len() as u64, Ordering::Relaxed);
        self.0.read_at(offset, buf)
    }
}

#[test]
fn the_cache_keeps_what_it_may_and_no_more() {
    let content = content(400_000);
    let packed = pack(&content, &["-0", "-T2", "--block-size=50000"]);
    let index = XzIndex::read(&packed).unwrap();
    let file = Arc::new(Counted(packed, AtomicU64::new(0)));
    let options = XzLimits { cache: 100_000, ..XzLimits::default() };
    let image = XzImage::open(file.clone(), options).unwrap();
    let read = |block: usize| {
        let before = file.1.load(Ordering::Relaxed);
        let mut byte = [0];
        let at = block * 50_000 + 17;
        image.read_at(at as u64, &mut byte).unwrap();
        assert_eq!(byte[0], content[at]);
        let read = file.1.load(Ordering::Relaxed) - before;
        assert!(read == 0 || read == index.blocks()[block].packed_len());
        read > 0
    };
    let reads: Vec<bool> =
        [0, 0, 1, 0, 1, 2, 1, 0, 2].map(read).into_iter().collect();
    // Two are kept; 2 puts out 0, and then 0 puts out 2.
    let want = [true, false, true, false, false, true, false, true, true];
    assert_eq!(reads, want);

    // Smaller than a block: nothing is kept, all is read.
    let options = XzLimits { cache: 100, ..XzLimits::default() };
    let image = XzImage::open(file, options).unwrap();
    let mut all = vec![0; 400_000];
    image.read_at(0, &mut all).unwrap();
    assert!(all == content);
}

#[test]
fn threads_share_the_work() {
    let content = content(400_000);
    let packed = pack(&content, &["-0", "-T2", "--block-size=50000"]);
    let file = Arc::new(Counted(packed, AtomicU64::new(0)));
    let image = XzImage::open(file.clone(), XzLimits::default()).unwrap();
    let opened = file.1.load(Ordering::Relaxed);
    std::thread::scope(|scope| {
        for start in 0..8 {
            let (image, content) = (&image, &content);
            scope.spawn(move || {
                for step in 0..40 {
                    let at = (start * 50_000 + step * 9_973) % 399_000;
                    let mut some = [0; 1000];
                    image.read_at(at as u64, &mut some).unwrap();
                    assert!(some == content[at..at + 1000]);
                }
            });
        }
    });
    let packed: u64 =
        image.index().blocks().iter().map(|b| b.packed_len()).sum();
    // Each block was decoded once.
    assert_eq!(file.1.load(Ordering::Relaxed) - opened, packed);
}

#[test]
fn a_damaged_block_is_an_error_and_the_others_are_not() {
    let content = content(400_000);
    for check in ["--check=crc32", "--check=crc64", "--check=sha256"] {
        let args = ["-0", "-T2", "--block-size=50000", check];
        let good = pack(&content, &args);
        let index = XzIndex::read(&good).unwrap();
        let block = index.blocks()[3];
        for at in (0..block.packed_len()).step_by(37) {
            let mut packed = good.clone();
            packed[(block.packed + at) as usize] ^= 0x10;
            let image = open(packed);
            let error = image.read_at(block.offset, &mut [0]).unwrap_err();
            assert_eq!(error.kind(), io::ErrorKind::InvalidData, "{error}");
            let said = error.to_string();
            assert!(said.contains(&block.packed.to_string()), "{said}");
            // Asked again, it is no better.
            assert!(image.read_at(block.end() - 1, &mut [0]).is_err());
            let mut byte = [0];
            image.read_at(block.end(), &mut byte).unwrap();
            assert_eq!(byte[0], content[200_000]);
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(40))]
    #[test]
    fn any_range_of_any_cut(
        len in 0usize..60_000,
        block in 1000usize..30_000,
        ranges in proptest::collection::vec((0usize..60_000, 0usize..20_000), 8),
    ) {
        let content = content(len);
        let size = format!("--block-size={block}");
        let image = open(pack(&content, &["-0", "-T2", &size]));
        prop_assert_eq!(image.size(), len as u64);
        for (at, n) in ranges {
            let at = at.min(len);
            let n = n.min(len - at);
            let mut some = vec![0; n];
            image.read_at(at as u64, &mut some).unwrap();
            prop_assert!(some == content[at..at + n]);
        }
    }
}
