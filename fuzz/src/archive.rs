//! Compressed images, as they are unpacked.

use std::{
    fs::File,
    io::{self, Write},
};

use piflash::{
    base::unpack::{Format, Limits, Unpacked, unpack_to},
    disk::zst::ZstIndex,
};

/// What an image may have, in bytes.
const MOST: u64 = 16 << 20;

/// Unpacks `data` as what its first bytes say.
pub(crate) fn unpack(data: &[u8]) -> Option<Unpacked> {
    let limits = Limits {
        max_size: MOST,
        memory: 128 << 20,
        threads: 1,
        ..Limits::default()
    };
    let whole = || -> io::Result<File> {
        let mut file = tempfile::tempfile()?;
        file.write_all(data)?;
        Ok(file)
    };
    let mut end = 0;
    let receive = |offset: u64, piece: &[u8]| {
        assert_eq!(offset, end, "pieces come in order");
        end = offset + piece.len() as u64;
        Ok(())
    };
    let unpacked = unpack_to(data, whole, receive, &limits).ok()?;
    assert!(unpacked.size <= MOST);
    assert_eq!(unpacked.size, end);
    Some(unpacked)
}

pub(crate) fn zip(data: &[u8]) {
    if matches!(Format::of(data), Ok(Format::Zip)) {
        unpack(data);
    }
}

pub(crate) fn zst(data: &[u8]) {
    if let Ok(index) = ZstIndex::read(&data) {
        let (mut packed, mut offset) = (0, 0);
        for frame in index.frames() {
            assert_eq!((frame.packed, frame.offset), (packed, offset));
            packed += u64::from(frame.packed_len);
            offset += u64::from(frame.len);
        }
        assert!(packed <= data.len() as u64);
        assert_eq!(offset, index.size());
    }
    if matches!(Format::of(data), Ok(Format::Zst)) {
        unpack(data);
    }
}
