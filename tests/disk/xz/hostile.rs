//! Files made to deceive: none may panic, hang or take memory without bound.

use super::{content, variants};
use crate::support::xz::pack;
use piflash::disk::{
    ReadAt,
    xz::{XzErrorKind, XzImage, XzIndex, XzLimits},
};
use proptest::prelude::*;
use std::sync::{Arc, LazyLock};

fn vli(mut value: u64) -> Vec<u8> {
    let mut bytes = Vec::new();
    while value > 0x7f {
        bytes.push(value as u8 | 0x80);
        value >>= 7;
    }
    bytes.push(value as u8);
    bytes
}

/// CRC32 of IEEE 802.3, bit by bit.
fn crc(bytes: &[u8]) -> [u8; 4] {
    let mut crc = u32::MAX;
    for byte in bytes {
        crc ^= u32::from(*byte);
        for _ in 0..8 {
            crc = (crc >> 1) ^ (0xedb8_8320 * (crc & 1));
        }
    }
    (!crc).to_le_bytes()
}

fn with_crc(bytes: &[u8]) -> Vec<u8> {
    [bytes, &crc(bytes)].concat()
}

/// A stream with right checksums round whatever index is wanted.
fn stream(blocks: &[u8], index: &[u8], flags: [u8; 2]) -> Vec<u8> {
    let mut body = index.to_vec();
    body.resize(body.len().next_multiple_of(4), 0);
    let index = with_crc(&body);
    let words = (index.len() / 4 - 1) as u32;
    let fields = [&words.to_le_bytes()[..], &flags].concat();
    [
        b"\xfd7zXZ\0",
        &with_crc(&flags)[..],
        blocks,
        &index,
        &crc(&fields),
        &fields,
        b"YZ",
    ]
    .concat()
}

fn index(count: u64, records: &[(u64, u64)]) -> Vec<u8> {
    let mut bytes = [vec![0], vli(count)].concat();
    for (unpadded, len) in records {
        bytes.extend(vli(*unpadded));
        bytes.extend(vli(*len));
    }
    bytes
}

fn refused(packed: Vec<u8>) -> XzErrorKind {
    XzIndex::read(&packed).unwrap_err().kind
}

#[test]
fn made_streams_are_as_xz_makes_them() {
    assert_eq!(stream(b"", &index(0, &[]), [0, 4]), pack(b"", &[]));
}

#[test]
fn lies_in_an_index_are_refused() {
    let crc64 = [0, 4];
    let big = 1 << 62;
    let cases: Vec<(&str, Vec<u8>)> = vec![
        ("more records than bytes", stream(b"", &index(big, &[]), crc64)),
        ("one record too few", stream(b"", &index(1, &[]), crc64)),
        ("one too many", stream(&[0; 16], &index(0, &[(16, 9)]), crc64)),
        ("smaller than any block", {
            stream(&[0; 4], &index(1, &[(4, 9)]), crc64)
        }),
        ("larger than the file", {
            stream(&[0; 16], &index(1, &[(20, 9)]), crc64)
        }),
        ("smaller than the file", {
            stream(&[0; 16], &index(1, &[(12, 9)]), crc64)
        }),
        (
            "a size near 2^63",
            stream(b"", &index(1, &[(big * 2 - 1, 1)]), crc64),
        ),
        ("a size of 2^63", stream(b"", &index(1, &[(big * 2, 1)]), crc64)),
        ("sizes that overflow", {
            stream(b"", &index(4, &[(big, 1); 4]), crc64)
        }),
        ("contents that overflow", {
            stream(&[0; 64], &index(4, &[(16, big); 4]), crc64)
        }),
        ("a number in ten bytes", {
            stream(b"", &[&[0, 1, 16][..], &[0x80; 9], &[1]].concat(), crc64)
        }),
        ("a number not in its shortest form", {
            stream(&[0; 16], &[0, 1, 0x90, 0, 9], crc64)
        }),
        ("padding that is not zero", stream(b"", &[0, 0, 1, 0], crc64)),
        ("too much padding", stream(b"", &[0; 8], crc64)),
        ("a block where the index should be", stream(b"", &[2, 0], crc64)),
    ];
    for (name, packed) in cases {
        assert!(
            matches!(
                refused(packed),
                XzErrorKind::Corrupt(_) | XzErrorKind::NotXz(_)
            ),
            "{name}"
        );
    }
    for flags in [[1, 4], [0, 0x14], [0, 2], [0, 15]] {
        assert!(matches!(
            refused(stream(b"", &index(0, &[]), flags)),
            XzErrorKind::Unsupported(_)
        ));
    }
}

#[test]
fn what_is_no_xz_is_refused() {
    let good = pack(b"something", &[]);
    let tail = |cut: usize| good[..good.len() - cut].to_vec();
    for packed in [
        vec![],
        vec![0; 4],
        vec![0; 1 << 20],
        vec![1; 8],
        vec![0xff; 4096],
        b"YZ".repeat(6),
        tail(1),
        tail(4),
        tail(12),
        good[4..].to_vec(),
        [&[0; 4], &good[..]].concat(),
        [b"junk", &good[..]].concat(),
        [&good[..], &[0; 3]].concat(),
        [&good[..], b"junk"].concat(),
    ] {
        assert!(matches!(
            refused(packed),
            XzErrorKind::NotXz(_) | XzErrorKind::Corrupt(_)
        ));
    }
}

#[test]
fn too_much_of_anything_is_refused() {
    let many = (1u64 << 20) + 1;
    let records = vec![(16, 1); many as usize];
    let mut zeros = vec![0; many as usize * 16];
    for packed in [
        stream(&zeros, &index(many, &records), [0, 4]),
        pack(b"", &[]).repeat(5000),
    ] {
        assert!(matches!(refused(packed), XzErrorKind::TooLarge { .. }));
    }
    // Over two streams.
    let half = &records[..many as usize / 2 + 1];
    zeros.truncate(half.len() * 16);
    let half = stream(&zeros, &index(half.len() as u64, half), [0, 4]);
    assert!(XzIndex::read(&half).is_ok());
    assert!(matches!(refused(half.repeat(2)), XzErrorKind::TooLarge { .. }));
}

#[test]
fn a_block_may_not_ask_for_all_the_memory() {
    let open = |packed: Vec<u8>, options| {
        XzImage::open(Arc::new(packed), options).map_err(|e| e.kind)
    };
    let huge = stream(&[0; 16], &index(1, &[(16, 1 << 40)]), [0, 4]);
    let result = open(huge, XzLimits::default());
    assert!(matches!(result, Err(XzErrorKind::TooLarge { .. })));
    // A dictionary of 64 MiB in the block's header.
    let packed = pack(&content(100_000), &["-9", "-T1"]);
    let options = XzLimits { memory: 8 << 20, ..XzLimits::default() };
    let image = open(packed.clone(), options).unwrap();
    let error = image.read_at(0, &mut [0]).unwrap_err();
    assert!(error.to_string().contains("memory"), "{error}");
    let image = open(packed, XzLimits::default()).unwrap();
    image.read_at(0, &mut [0]).unwrap();
}

#[test]
fn a_lie_about_a_blocks_size_shows_when_it_is_read() {
    let content = content(50_000);
    let packed = pack(&content, &["-0", "-T1"]);
    let index_of = XzIndex::read(&packed).unwrap();
    let block = index_of.blocks()[0];
    let body = &packed[12..][..block.packed_len() as usize];
    for len in [0, 1, 49_999, 50_001, 1 << 20] {
        let lie = index(1, &[(block.unpadded, len)]);
        let packed = Arc::new(stream(body, &lie, [0, 4]));
        let image = XzImage::open(packed, XzLimits::default()).unwrap();
        if len > 0 {
            assert!(image.read_at(0, &mut [0]).is_err(), "{len}");
        }
    }
    let truth = index(1, &[(block.unpadded, 50_000)]);
    assert_eq!(stream(body, &truth, [0, 4]), packed);
}

/// Reads all there is, whatever it may be; the result is not asked.
fn try_all(packed: Vec<u8>) -> Option<Vec<u8>> {
    let options = XzLimits { max_block: 1 << 20, memory: 16 << 20, cache: 0 };
    let image = XzImage::open(Arc::new(packed), options).ok()?;
    let size = usize::try_from(image.size()).ok().filter(|n| *n < 8 << 20)?;
    let mut all = vec![0; size];
    image.read_at(0, &mut all).ok()?;
    Some(all)
}

#[test]
fn every_truncation_is_noticed() {
    let content = content(30_000);
    for (name, packed) in variants(&content) {
        let streams = XzIndex::read(&packed).unwrap().streams();
        let cuts = (0..packed.len()).step_by(packed.len() / 150 + 1);
        for cut in cuts.chain(packed.len().saturating_sub(40)..packed.len()) {
            if let Some(found) = try_all(packed[..cut].to_vec()) {
                // At the end of a stream, or within the padding behind it.
                assert!(streams > 1, "{name} cut at {cut}");
                assert!(content.starts_with(&found), "{name} cut at {cut}");
            }
        }
    }
}

type Made = (Vec<u8>, Vec<(&'static str, Vec<u8>)>);
static SMALL: LazyLock<Made> = LazyLock::new(|| {
    let content = content(20_000);
    let variants = variants(&content);
    (content, variants)
});

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]
    #[test]
    fn mutations_never_give_other_bytes(
        which in 0usize..11,
        changes in proptest::collection::vec((0u32..1_000_000, any::<u8>()), 1..4),
        from_end: bool,
    ) {
        let (content, variants) = &*SMALL;
        let (name, good) = &variants[which];
        let mut packed = good.clone();
        for (at, xor) in changes {
            // The end has the most to say.
            let reach = if from_end { good.len().min(120) } else { good.len() };
            let at = good.len() - 1 - at as usize % reach;
            packed[at] ^= xor;
        }
        let found = try_all(packed.clone());
        if packed == *good {
            prop_assert!(found.as_ref() == Some(content));
        } else if let Some(found) = found
            && *name != "no check"
        {
            prop_assert!(found == *content, "{}", name);
        }
    }

    #[test]
    fn noise_is_refused(mut bytes in proptest::collection::vec(any::<u8>(), 0..400)) {
        bytes.truncate(bytes.len() / 4 * 4);
        prop_assert!(XzIndex::read(&bytes).is_err());
    }

    #[test]
    fn any_index_with_right_checksums(
        count in 0u64..6,
        records in proptest::collection::vec((0u64..80, 0u64..1 << 40), 0..5),
        blocks in 0usize..40,
        flags in 0u8..16,
    ) {
        let blocks = vec![0; blocks * 4];
        let packed = stream(&blocks, &index(count, &records), [0, flags]);
        if let Ok(found) = XzIndex::read(&packed) {
            prop_assert_eq!(found.blocks().len() as u64, count);
            let sum: u64 = found.blocks().iter().map(|b| b.packed_len()).sum();
            prop_assert_eq!(sum, blocks.len() as u64);
            let len: u64 = records.iter().map(|(_, len)| len).sum();
            prop_assert_eq!(found.size(), len);
        }
        try_all(packed);
    }
}
