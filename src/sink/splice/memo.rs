//! Blocks that were encoded before, by their content: nodes share the large
//! files that go onto their cards, and compressing is what takes the time.

use super::{Encoded, Format};
use crate::disk::ReadAt;
use sha2::{Digest, Sha256};
use std::{
    collections::HashMap,
    fmt,
    fs::File,
    io,
    os::unix::fs::FileExt,
    sync::{Mutex, MutexGuard, PoisonError},
};

/// What is kept at most, in bytes: in an unlinked temporary file, not in
/// memory.
const LIMIT: u64 = 1 << 30;
/// What is read at once, in bytes.
const PIECE: usize = 256 << 10;

/// Digest of the content and of how it was encoded.
type Key = [u8; 32];

/// Encoded blocks over one base. Threads may share one.
pub(in crate::sink) struct Memo<R>(Mutex<Option<Kept<R>>>);

struct Kept<R> {
    file: File,
    end: u64,
    /// Where the bytes are, and what the index has of them.
    places: HashMap<Key, Place<R>>,
}

/// Where one block is.
#[derive(Clone, Copy)]
struct Place<R> {
    at: u64,
    len: usize,
    /// Checksum of the bytes: a disk is between writing and reading.
    sum: u32,
    record: R,
}

impl<R> Default for Memo<R> {
    fn default() -> Self {
        Self(Mutex::new(None))
    }
}

impl<R> fmt::Debug for Memo<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Memo").finish_non_exhaustive()
    }
}

impl<R: Copy> Memo<R> {
    /// Encodes a part of an image, unless that was done before.
    pub(super) fn encode<F: Format<Record = R>>(
        &self,
        format: &F,
        image: &dyn ReadAt,
        offset: u64,
        len: u64,
    ) -> io::Result<Encoded<R>> {
        let key = key(format, image, offset, len)?;
        if let Some(block) = self.get(&key) {
            return Ok(block);
        }
        let block = format.encode(image, offset, len)?;
        // It only saves time: an error is that of nobody.
        let _ = self.put(key, &block);
        Ok(block)
    }

    fn get(&self, key: &Key) -> Option<Encoded<R>> {
        let (file, place) = {
            let kept = self.lock();
            let kept = kept.as_ref()?;
            let place = *kept.places.get(key)?;
            (kept.file.try_clone().ok()?, place)
        };
        let Place { at, len, sum, record } = place;
        let mut bytes = vec![0; len];
        file.read_exact_at(&mut bytes, at).ok()?;
        let right = crc32c::crc32c(&bytes) == sum;
        right.then_some(Encoded { bytes, record })
    }

    fn put(&self, key: Key, block: &Encoded<R>) -> io::Result<()> {
        let mut kept = self.lock();
        let kept = match &mut *kept {
            Some(kept) => kept,
            none => none.insert(Kept {
                file: tempfile::tempfile()?,
                end: 0,
                places: HashMap::new(),
            }),
        };
        let len = block.bytes.len();
        let end = u64::try_from(len)
            .ok()
            .and_then(|len| kept.end.checked_add(len))
            .filter(|end| *end <= LIMIT)
            .ok_or(io::ErrorKind::StorageFull)?;
        kept.file.write_all_at(&block.bytes, kept.end)?;
        let (at, record) = (kept.end, block.record);
        let sum = crc32c::crc32c(&block.bytes);
        kept.places.insert(key, Place { at, len, sum, record });
        kept.end = end;
        Ok(())
    }

    fn lock(&self) -> MutexGuard<'_, Option<Kept<R>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn key<F: Format>(
    format: &F,
    image: &dyn ReadAt,
    offset: u64,
    len: u64,
) -> io::Result<Key> {
    let mut digest = Sha256::new();
    digest.update(format.parameters());
    let mut piece = vec![0; PIECE];
    let (mut at, mut left) = (offset, len);
    while left > 0 {
        let len = usize::try_from(left).map_or(PIECE, |left| left.min(PIECE));
        let piece = piece.get_mut(..len).expect("a piece at most");
        image.read_at(at, piece)?;
        digest.update(&*piece);
        let len = u64::try_from(len).expect("a piece at most");
        at = at.checked_add(len).expect("inside of the image");
        left = left.checked_sub(len).expect("no more than is left");
    }
    Ok(digest.finalize().into())
}
