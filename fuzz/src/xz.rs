//! .xz files, block by block and as one stream.

use std::sync::Arc;

use crc32fast::hash;
use liblzma::stream::{Action, CONCATENATED, Status, Stream};
use piflash::disk::{
    ReadAt,
    xz::{XzImage, XzIndex, XzLimits},
};

use crate::archive;

/// Images that are read whole, in bytes.
const MOST: u64 = 8 << 20;
/// Of the last word of an input: the checksums are as they are.
const UNSEALED: u8 = 1;

pub(crate) fn run(data: &[u8]) {
    // .xz files are of fours; one byte more is for the target.
    let mut file = data.to_vec();
    if file.len() % 4 == 1 && file.pop().is_some_and(|b| b & UNSEALED == 0) {
        seal(&mut file);
    }
    archive::unpack(&file);
    let size = XzIndex::read(&file).map(|index| index.size());
    let opened = XzImage::open(Arc::new(file.clone()), XzLimits::default());
    let Ok(image) = opened else { return };
    assert_eq!(size.ok(), Some(image.size()));
    if image.size() > MOST {
        let mut byte = [0];
        let _ = image.read_at(image.size() - 1, &mut byte);
        return;
    }
    let mut content = vec![0; image.size() as usize];
    if image.read_at(0, &mut content).is_err() {
        return;
    }
    // What is read by blocks is what is read from the beginning.
    match decoded(&file, content.len()) {
        Ok(other) => assert!(content == other, "contents differ"),
        Err(error) => panic!("only by blocks, not as a stream: {error}"),
    }
}

/// Decodes a file from its beginning, to at most one byte more than `len`.
fn decoded(file: &[u8], len: usize) -> Result<Vec<u8>, String> {
    let mut stream = Stream::new_stream_decoder(1 << 30, CONCATENATED)
        .map_err(|error| error.to_string())?;
    let mut content = Vec::with_capacity(len + 1);
    let mut at = 0;
    loop {
        let before = (at, content.len());
        let status = stream
            .process_vec(&file[at..], &mut content, Action::Finish)
            .map_err(|error| error.to_string())?;
        at = stream.total_in() as usize;
        if matches!(status, Status::StreamEnd) {
            return Ok(content);
        }
        if before == (at, content.len()) {
            return Err("it does not end".to_owned());
        }
    }
}

/// Sets the checksums right of a stream's header, index and footer.
fn seal(file: &mut [u8]) {
    let len = file.len();
    if len < 32 {
        return;
    }
    let sum = hash(&file[6..8]);
    file[8..12].copy_from_slice(&sum.to_le_bytes());
    let footer = len - 12;
    let sum = hash(&file[footer + 4..footer + 10]);
    file[footer..footer + 4].copy_from_slice(&sum.to_le_bytes());
    let words = file[footer + 4..footer + 8].try_into().expect("four bytes");
    let index = u64::from(u32::from_le_bytes(words)) * 4 + 4;
    let Some(start) = footer.checked_sub(index as usize) else { return };
    if index >= 8 {
        let sum = hash(&file[start..footer - 4]);
        file[footer - 4..footer].copy_from_slice(&sum.to_le_bytes());
    }
}
