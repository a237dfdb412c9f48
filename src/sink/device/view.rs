use super::{BLOCK, Target, buffer::Buffer};
use crate::disk::ReadAt;
use std::{
    fmt, io,
    sync::{Arc, Mutex, PoisonError},
};

/// What is read at once: file systems ask for a few bytes at a time, and a
/// read that no cache answers takes as long for many.
const WINDOW: u64 = 128 << 10;
/// How many of them are kept.
const KEPT: usize = 16;

/// A target as a disk that file systems are read from: uncached, and with the
/// head that it gets last already in its place.
pub struct TargetView {
    target: Arc<dyn Target>,
    size: u64,
    head: Vec<u8>,
    windows: Mutex<Windows>,
}

struct Windows {
    /// Number of the window, and its bytes; the last one used is last.
    kept: Vec<(u64, Vec<u8>)>,
    buffer: Buffer,
}

impl TargetView {
    /// Shows the first `size` bytes of `target`, with `head` in front.
    #[must_use]
    pub fn new(target: Arc<dyn Target>, size: u64, head: Vec<u8>) -> Self {
        let size = size.min(target.size());
        let windows = Windows { kept: Vec::new(), buffer: Buffer::new() };
        Self { target, size, head, windows: Mutex::new(windows) }
    }

    fn head_len(&self) -> u64 {
        u64::try_from(self.head.len()).unwrap_or(u64::MAX)
    }

    /// Copies the part of a window that `buf` begins in; returns how many
    /// bytes that were.
    fn copy(&self, offset: u64, buf: &mut [u8]) -> io::Result<usize> {
        let number = offset / WINDOW;
        let mut windows =
            self.windows.lock().unwrap_or_else(PoisonError::into_inner);
        let found = windows.kept.iter().position(|(n, _)| *n == number);
        let window = match found {
            Some(at) => windows.kept.remove(at),
            None => (number, self.load(number, &mut windows.buffer)?),
        };
        if windows.kept.len() >= KEPT {
            windows.kept.remove(0);
        }
        let within = usize::try_from(offset % WINDOW).expect("in a window");
        // Nothing where the device ends in it.
        let source = window.1.get(within..).unwrap_or_default();
        let len = source.len().min(buf.len());
        if let (Some(to), Some(from)) = (buf.get_mut(..len), source.get(..len))
        {
            to.copy_from_slice(from);
        }
        windows.kept.push(window);
        if len == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        Ok(len)
    }

    fn load(&self, number: u64, buffer: &mut Buffer) -> io::Result<Vec<u8>> {
        let past = || io::Error::from(io::ErrorKind::UnexpectedEof);
        let start = number.checked_mul(WINDOW).ok_or_else(past)?;
        let left = self.target.size().checked_sub(start).ok_or_else(past)?;
        let len = usize::try_from(left.min(WINDOW)).expect("a window");
        let bytes = buffer.bytes_mut().get_mut(..len).expect("a window");
        self.target.read_at(start, bytes)?;
        Ok(bytes.to_vec())
    }
}

impl ReadAt for TargetView {
    fn size(&self) -> u64 {
        self.size
    }

    fn read_at(&self, offset: u64, buf: &mut [u8]) -> io::Result<()> {
        let wanted = u64::try_from(buf.len()).expect("64 bits at most");
        let end = offset.checked_add(wanted);
        if end.is_none_or(|end| end > self.size) {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        let (mut position, mut rest) = (offset, buf);
        while !rest.is_empty() {
            let done = if position < self.head_len() {
                let within = usize::try_from(position).expect("in the head");
                let source = self.head.get(within..).expect("in the head");
                let len = source.len().min(rest.len());
                for (to, from) in rest.iter_mut().zip(source) {
                    *to = *from;
                }
                len
            } else {
                self.copy(position, rest)?
            };
            if done == 0 {
                // The device is shorter than the image.
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            position = u64::try_from(done)
                .ok()
                .and_then(|done| position.checked_add(done))
                .expect("compared with the size above");
            rest = rest.get_mut(done..).expect("no more than was wanted");
        }
        Ok(())
    }
}

impl fmt::Debug for TargetView {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TargetView")
            .field("size", &self.size)
            .finish_non_exhaustive()
    }
}

// A window is a whole number of blocks, so reads are aligned.
const _: () = assert!(WINDOW.is_multiple_of(BLOCK));
