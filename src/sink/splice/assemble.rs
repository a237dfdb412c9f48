//! From pieces to a file.

use super::{Block, Format, Job, Source, cuts::Piece, in_order::in_order};
use crate::{
    disk::{CheckedFile, ImageFile, ReadAt},
    progress::Progress,
    sink::{CHUNK, SinkError, SinkErrorKind, Staged, source::kernel_copy},
};
use std::{io, ops::Range, os::unix::fs::FileExt};

/// Why sizes can be added: blocks lie inside of the base's file (their index
/// was read and compared with it), or are as large as the image at most.
const FILES: &str = "parts of files";

/// What a new file is made of.
pub(super) struct Assembly<'a, F: Format> {
    pub(super) job: &'a Job<'a, F>,
    pub(super) pieces: &'a [Piece],
}

/// What became of the pieces.
#[derive(Clone, Copy, Debug, Default)]
pub(in crate::sink) struct Assembled {
    /// Size of the file in bytes.
    pub(in crate::sink) packed: u64,
    /// Blocks that were copied.
    pub(in crate::sink) copied: usize,
    /// Blocks that were encoded.
    pub(in crate::sink) encoded: usize,
}

impl<F: Format> Assembly<'_, F> {
    /// Writes the file, and reads its index again. It is not published.
    pub(super) fn write(
        &self,
        staged: &Staged,
    ) -> Result<Assembled, SinkError> {
        let no_space = |needed| -> Result<_, SinkError> {
            let available = staged
                .available()
                .map_err(|e| staged.error("look at space for", None, e))?;
            let kind = SinkErrorKind::NoSpace { needed, available };
            let path = staged.path().to_owned();
            Ok((available, SinkError { path, offset: None, op: "write", kind }))
        };
        // What is encoded takes more, but nobody knows how much.
        let (copied, encoded) = (self.copied_len(), self.encoded_len());
        let (available, error) = no_space(copied)?;
        if copied > available {
            return Err(error);
        }
        let total = copied.checked_add(encoded).expect(FILES);
        self.job.progress.start("write", Some(total));
        let assembled = self.write_pieces(staged).map_err(|error| {
            let full = matches!(&error.kind, SinkErrorKind::Io(e) if matches!(
                e.kind(),
                io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded
            ));
            match no_space(total) {
                Ok((_, no_space)) if full => no_space,
                _ => error,
            }
        })?;
        self.job.progress.finish();
        self.check(staged)?;
        Ok(assembled)
    }

    fn write_pieces(&self, staged: &Staged) -> Result<Assembled, SinkError> {
        let jobs: Vec<(u64, u64)> = self
            .pieces
            .iter()
            .filter_map(|piece| match piece {
                Piece::Encode { offset, len } => Some((*offset, *len)),
                Piece::Copy(_) => None,
            })
            .collect();
        let Job { image, format, threads, .. } = self.job;
        let memo = self.job.source.as_ref().map(|source| source.memo);
        in_order(*image, format, memo, &jobs, *threads, |blocks| {
            let mut out = Out { staged, position: 0, records: Vec::new() };
            out.append(&format.header())?;
            let mut done = Assembled::default();
            for piece in self.pieces {
                match piece {
                    Piece::Copy(run) => {
                        self.copy(run.clone(), &mut out)?;
                        done.copied =
                            done.copied.checked_add(run.len()).expect(FILES);
                    }
                    Piece::Encode { offset, len } => {
                        let block = blocks
                            .next()
                            .map_err(|e| staged.read_error(Some(*offset), e))?;
                        out.append(&block.bytes)?;
                        out.records.push(block.record);
                        done.encoded =
                            done.encoded.checked_add(1).expect(FILES);
                        self.job.progress.advance(*len);
                    }
                }
            }
            let end = format.end(&out.records).ok_or_else(|| {
                let error = io::Error::other("too large for this format");
                staged.error("index", None, error)
            })?;
            out.append(&end)?;
            done.packed = out.position;
            Ok(done)
        })
    }

    /// Copies blocks of the base, which lie behind each other in its file
    /// unless something stands between them.
    fn copy(
        &self,
        run: Range<usize>,
        out: &mut Out<F::Record>,
    ) -> Result<(), SinkError> {
        let (Some(source), blocks) = (&self.job.source, self.blocks(run))
        else {
            return Ok(());
        };
        let adjacent = |a: &Block<F::Record>, b: &Block<F::Record>| {
            a.packed.checked_add(a.packed_len) == Some(b.packed)
        };
        for run in blocks.chunk_by(adjacent) {
            let Some(first) = run.first() else { continue };
            let (at, len) = (first.packed, packed_len(run));
            out.copy(source.file, at, len, self.job.progress)?;
            out.records.extend(run.iter().map(|block| block.record));
        }
        Ok(())
    }

    fn blocks(&self, run: Range<usize>) -> &[Block<F::Record>] {
        let source: Option<&Source<_>> = self.job.source.as_ref();
        let blocks = source.and_then(|source| source.blocks.get(run));
        blocks.expect("what is copied is a block of the source: see `splice`")
    }

    /// Bytes that are copied.
    fn copied_len(&self) -> u64 {
        self.pieces.iter().fold(0, |sum, piece| match piece {
            Piece::Copy(run) => packed_len(self.blocks(run.clone()))
                .checked_add(sum)
                .expect(FILES),
            Piece::Encode { .. } => sum,
        })
    }

    /// Bytes that are encoded.
    fn encoded_len(&self) -> u64 {
        self.pieces.iter().fold(0, |sum, piece| match piece {
            Piece::Copy(_) => sum,
            Piece::Encode { len, .. } => len.checked_add(sum).expect(FILES),
        })
    }

    /// Reads what was written as anybody would.
    fn check(&self, staged: &Staged) -> Result<(), SinkError> {
        let failed = |e| staged.error("read back", None, e);
        let file = staged.file().try_clone().map_err(failed)?;
        let file = ImageFile::new(file).map_err(failed)?;
        let size = self.job.format.size_of(&file).map_err(failed)?;
        if size != self.job.image.size() {
            let what = "the new file holds an image of another size";
            return Err(failed(io::Error::other(what)));
        }
        Ok(())
    }
}

fn packed_len<R>(blocks: &[Block<R>]) -> u64 {
    blocks.iter().fold(0, |sum, b| b.packed_len.checked_add(sum).expect(FILES))
}

/// The file as it grows.
struct Out<'s, R> {
    staged: &'s Staged,
    position: u64,
    /// Of the blocks so far.
    records: Vec<R>,
}

impl<R> Out<'_, R> {
    fn append(&mut self, bytes: &[u8]) -> Result<(), SinkError> {
        self.staged
            .file()
            .write_all_at(bytes, self.position)
            .map_err(|e| self.staged.error("write", None, e))?;
        let len = u64::try_from(bytes.len()).expect("64 bits at most");
        self.position = self.position.checked_add(len).expect(FILES);
        Ok(())
    }

    /// Appends `len` bytes at `from` of the base: compared with its checksums
    /// where it has any, else by the kernel where that works.
    fn copy(
        &mut self,
        source: &CheckedFile,
        mut from: u64,
        mut len: u64,
        progress: &dyn Progress,
    ) -> Result<(), SinkError> {
        let target = self.staged.file();
        while !source.is_checked()
            && let Some(copied) =
                kernel_copy(source.file(), from, target, self.position, len)
        {
            progress.advance(copied);
            from = from.checked_add(copied).expect(FILES);
            self.position = self.position.checked_add(copied).expect(FILES);
            len = len.checked_sub(copied).expect(FILES);
        }
        let mut buffer = vec![0; CHUNK];
        while len > 0 {
            // To where whole pieces begin that have one checksum.
            let over = usize::try_from(from).map_or(0, |from| from % CHUNK);
            let room = CHUNK.checked_sub(over).expect(FILES);
            let step = usize::try_from(len).map_or(room, |l| l.min(room));
            let chunk = buffer.get_mut(..step).expect("a chunk at most");
            source
                .read_at(from, chunk)
                .map_err(|e| self.staged.read_error(None, e))?;
            self.append(chunk)?;
            let step = u64::try_from(step).expect("a chunk at most");
            progress.advance(step);
            from = from.checked_add(step).expect(FILES);
            len = len.checked_sub(step).expect(FILES);
        }
        Ok(())
    }
}
