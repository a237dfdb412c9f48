//! Files that nobody changes, with a checksum of every piece: a disk or a
//! memory that loses bits is noticed by whoever reads.

use super::{
    Damaged, Extent, ImageFile, ReadAt, check_range, past_end,
    sums::{PIECE, PIECE_LEN, Sums, of_zeros},
};
use std::{
    fs::{self, File},
    io,
    path::{Path, PathBuf},
    sync::{Mutex, OnceLock, PoisonError},
};

/// Checksums, and where they are kept.
#[derive(Clone, Debug)]
pub struct KeptSums {
    /// The checksums.
    pub sums: Sums,
    /// Removed when the file turns out to be damaged: whoever opens it next
    /// finds none, and reads the file whole.
    pub path: PathBuf,
}

/// A file that is read as it was when its checksums were made, or not at all.
/// Without any it is read as it is.
#[derive(Debug)]
pub struct CheckedFile {
    file: ImageFile,
    path: PathBuf,
    kept: Option<KeptSums>,
    /// The first damage that anybody met.
    met: OnceLock<Damaged>,
    /// The last piece that was read for a part of it: the next part is often
    /// wanted next.
    last: Mutex<Option<(u64, Vec<u8>)>>,
}

impl CheckedFile {
    /// Takes an open file, which is at `path`.
    ///
    /// # Errors
    ///
    /// It has another size than its checksums are for; and those of looking
    /// at it.
    pub fn new(
        file: File,
        path: &Path,
        kept: Option<KeptSums>,
    ) -> io::Result<Self> {
        let (file, path) = (ImageFile::new(file)?, path.to_owned());
        let (met, last) = (OnceLock::new(), Mutex::default());
        let this = Self { file, path, kept, met, last };
        match &this.kept {
            Some(kept) if kept.sums.size() != this.size() => {
                Err(this.damaged(this.size().min(kept.sums.size())))
            }
            _ => Ok(this),
        }
    }

    /// Returns the file itself: what is read of that is not checked.
    #[must_use]
    pub fn file(&self) -> &File {
        self.file.file()
    }

    /// Returns whether what is read is checked.
    #[must_use]
    pub fn is_checked(&self) -> bool {
        self.kept.is_some()
    }

    /// Returns where the checksums are kept.
    #[must_use]
    pub fn sums_path(&self) -> Option<&Path> {
        self.kept.as_ref().map(|kept| kept.path.as_path())
    }

    /// Returns the damage that a reader met, whatever became of the error.
    #[must_use]
    pub fn damage(&self) -> Option<&Damaged> {
        self.met.get()
    }

    /// Takes note that the piece at `offset` is damaged; returns the error.
    pub fn damaged(&self, offset: u64) -> io::Error {
        if let Some(kept) = &self.kept {
            // Where that fails, the next reader meets the same damage.
            let _ = fs::remove_file(&kept.path);
        }
        let damaged = Damaged { path: self.path.clone(), offset };
        self.met.get_or_init(|| damaged.clone());
        io::Error::new(io::ErrorKind::InvalidData, damaged)
    }

    /// Reads whole pieces, from the start of one.
    fn read_pieces(
        &self,
        sums: &Sums,
        offset: u64,
        buf: &mut [u8],
    ) -> io::Result<()> {
        self.file.read_at(offset, buf)?;
        let mut at = offset;
        for bytes in buf.chunks(PIECE_LEN) {
            if sums.get(at / PIECE) != Some(crc32c::crc32c(bytes)) {
                return Err(self.damaged(at));
            }
            at = at.checked_add(PIECE).ok_or_else(past_end)?;
        }
        Ok(())
    }

    /// Reads a part of the piece that begins at `start`.
    fn read_part(
        &self,
        sums: &Sums,
        start: u64,
        within: usize,
        buf: &mut [u8],
    ) -> io::Result<()> {
        let last = || self.last.lock().unwrap_or_else(PoisonError::into_inner);
        // Nobody waits for it while it is read.
        let taken = last().take();
        let bytes = match taken {
            Some((at, bytes)) if at == start => bytes,
            other => {
                let mut bytes = other.map_or_else(Vec::new, |(_, it)| it);
                let left = self.size().checked_sub(start);
                let len = left.ok_or_else(past_end)?.min(PIECE);
                bytes.resize(usize::try_from(len).map_err(too_long)?, 0);
                self.read_pieces(sums, start, &mut bytes)?;
                bytes
            }
        };
        let part = bytes.get(within..).and_then(|b| b.get(..buf.len()));
        buf.copy_from_slice(part.ok_or_else(past_end)?);
        *last() = Some((start, bytes));
        Ok(())
    }

    /// Returns how many of the `len` bytes at `offset`, a hole, are in pieces
    /// that were zero; a piece that the hole has only a part of is read with
    /// its other part.
    fn was_zero(&self, sums: &Sums, offset: u64, len: u64) -> u64 {
        let end = offset
            .checked_add(len)
            .expect("inside of a file that was read once");
        let mut start = offset.next_multiple_of(PIECE);
        while start < end {
            let behind = start
                .checked_add(PIECE)
                .expect("inside of a file that was read once")
                .min(sums.size());
            if behind > end {
                break;
            }
            let len = behind
                .checked_sub(start)
                .expect("inside of a file that was read once");
            if sums.get(start / PIECE) != Some(of_zeros(len)) {
                return start
                    .checked_sub(offset)
                    .expect("inside of a file that was read once");
            }
            start = behind;
        }
        len
    }
}

impl ReadAt for CheckedFile {
    fn size(&self) -> u64 {
        self.file.size()
    }

    fn read_at(&self, offset: u64, buf: &mut [u8]) -> io::Result<()> {
        let Some(KeptSums { sums, .. }) = &self.kept else {
            return self.file.read_at(offset, buf);
        };
        check_range(self.size(), offset, buf.len())?;
        let (mut position, mut rest) = (offset, buf);
        while !rest.is_empty() {
            let over = position % PIECE;
            // What it has of whole pieces; the last one may be short.
            let all = to_u64(rest.len());
            let whole = match position.checked_add(all) {
                Some(end) if end == self.size() => all,
                _ => all
                    .checked_sub(all % PIECE)
                    .expect("a remainder is no larger"),
            };
            let len = match (over, whole) {
                (0, 1..) => whole,
                _ => PIECE
                    .checked_sub(over)
                    .expect("a remainder is smaller")
                    .min(all),
            };
            let len = usize::try_from(len).map_err(too_long)?;
            let (now, later) = rest.split_at_mut(len);
            if over == 0 && whole > 0 {
                self.read_pieces(sums, position, now)?;
            } else {
                let within = usize::try_from(over).map_err(too_long)?;
                let start = position
                    .checked_sub(over)
                    .expect("a remainder is no larger");
                self.read_part(sums, start, within, now)?;
            }
            position =
                position.checked_add(to_u64(len)).ok_or_else(past_end)?;
            rest = later;
        }
        Ok(())
    }

    /// A hole where there was something is none: reading it finds the damage.
    fn extent_at(&self, offset: u64) -> io::Result<Extent> {
        let extent = self.file.extent_at(offset)?;
        let Some(KeptSums { sums, .. }) = &self.kept else {
            return Ok(extent);
        };
        if !extent.zero {
            return Ok(extent);
        }
        match self.was_zero(sums, offset, extent.len) {
            0 => Ok(Extent { zero: false, ..extent }),
            len => Ok(Extent { len, ..extent }),
        }
    }
}

fn too_long(_: std::num::TryFromIntError) -> io::Error {
    past_end()
}

fn to_u64(len: usize) -> u64 {
    u64::try_from(len).expect("a usize has 64 bits at most")
}

#[cfg(test)]
mod tests {
    use super::{super::Summing, *};
    use std::os::unix::fs::FileExt;

    fn content() -> Vec<u8> {
        // A hole of several pieces in the middle, a short piece at the end.
        let mut bytes = vec![0; 20 * PIECE_LEN + 777];
        for (number, byte) in bytes.iter_mut().enumerate() {
            let zero = (5 * PIECE_LEN + 99..12 * PIECE_LEN).contains(&number);
            let value = number.wrapping_mul(2_654_435_761) >> 13;
            *byte = if zero { 0 } else { value.to_le_bytes()[0] };
        }
        bytes
    }

    struct Made {
        dir: tempfile::TempDir,
        content: Vec<u8>,
        sums: Sums,
    }

    impl Made {
        fn new() -> Self {
            let (dir, content) = (tempfile::tempdir().unwrap(), content());
            let mut summing = Summing::default();
            for part in content.chunks(10_001) {
                summing.update(part);
            }
            let made = Self { dir, content, sums: summing.finish() };
            made.write(&made.content);
            made
        }

        fn path(&self) -> PathBuf {
            self.dir.path().join("file")
        }

        /// Zeros stay holes.
        fn write(&self, content: &[u8]) {
            let _ = fs::remove_file(self.path());
            let file = File::create(self.path()).unwrap();
            file.set_len(to_u64(content.len())).unwrap();
            for (at, block) in (0..).step_by(4096).zip(content.chunks(4096)) {
                if block.iter().any(|byte| *byte != 0) {
                    file.write_all_at(block, at).unwrap();
                }
            }
        }

        fn open(&self) -> CheckedFile {
            let path = self.dir.path().join("sums");
            fs::write(&path, self.sums.to_bytes()).unwrap();
            let kept = Some(KeptSums { sums: self.sums.clone(), path });
            let file = File::open(self.path()).unwrap();
            CheckedFile::new(file, &self.path(), kept).unwrap()
        }
    }

    #[test]
    fn any_part_is_read_as_it_is() {
        let made = Made::new();
        let file = made.open();
        let size = made.content.len();
        for start in [0, 1, PIECE_LEN - 1, PIECE_LEN, 3 * PIECE_LEN + 5] {
            for len in [0, 1, 4096, PIECE_LEN, PIECE_LEN + 1, 5 * PIECE_LEN] {
                let mut found = vec![0xee; len];
                file.read_at(to_u64(start), &mut found).unwrap();
                assert!(found == made.content[start..start + len]);
            }
            let mut rest = vec![0xee; size - start];
            file.read_at(to_u64(start), &mut rest).unwrap();
            assert!(rest == made.content[start..]);
        }
        assert!(file.read_at(to_u64(size) - 1, &mut [0; 2]).is_err());
    }

    #[test]
    fn every_flipped_bit_is_noticed() {
        let made = Made::new();
        let size = made.content.len();
        let places = [0, 1, PIECE_LEN - 1, PIECE_LEN, 7 * PIECE_LEN, size - 1];
        for at in places {
            let mut bad = made.content.clone();
            bad[at] ^= 0x10;
            made.write(&bad);
            let start = at / PIECE_LEN * PIECE_LEN;
            for (from, len) in [(0, size), (at, 1), (start, size - start)] {
                let file = made.open();
                let error =
                    file.read_at(to_u64(from), &mut vec![0; len]).unwrap_err();
                let damaged = Damaged::of(&error).expect("of its kind");
                assert_eq!(damaged.offset, to_u64(start));
                assert_eq!(damaged.path, made.path());
                assert!(!made.dir.path().join("sums").exists());
            }
            // A part in front of it is as it was.
            let mut byte = [0];
            if start > 0 {
                made.open().read_at(0, &mut byte).unwrap();
                assert_eq!(byte, made.content[..1]);
            }
        }
    }

    #[test]
    fn a_hole_where_there_was_something_is_read() {
        let made = Made::new();
        let zeros = |file: &CheckedFile| {
            let extents = super::super::extents(file).map(Result::unwrap);
            let zeros = extents.filter(|extent| extent.zero);
            zeros.fold(0, |sum, extent| sum + extent.len)
        };
        let before = zeros(&made.open());
        assert!(before > 5 * PIECE, "{before}");
        let mut bad = made.content.clone();
        bad[15 * PIECE_LEN..17 * PIECE_LEN].fill(0);
        made.write(&bad);
        let file = made.open();
        let lost = 15 * PIECE..17 * PIECE;
        for extent in super::super::extents(&file).map(Result::unwrap) {
            let end = extent.offset + extent.len;
            let touches = extent.offset < lost.end && end > lost.start;
            assert!(!(extent.zero && touches), "{extent:?}");
        }
        let mut byte = [0];
        assert!(file.read_at(16 * PIECE, &mut byte).is_err());
    }

    #[test]
    fn another_size_is_damage() {
        let made = Made::new();
        for size in [made.content.len() - 1, made.content.len() + 1] {
            let mut bad = made.content.clone();
            bad.resize(size, 0);
            made.write(&bad);
            let kept = Some(KeptSums {
                sums: made.sums.clone(),
                path: made.dir.path().join("sums"),
            });
            let file = File::open(made.path()).unwrap();
            let error = CheckedFile::new(file, &made.path(), kept).unwrap_err();
            assert!(Damaged::of(&error).is_some());
        }
    }
}
