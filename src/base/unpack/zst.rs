use super::{Format, Tracked, UnpackError, copy, output::Output};
use std::io::{self, BufRead, Read};
use zstd::stream::read::Decoder;

/// The largest window, in bytes, as of `zstd` without `--long`: that much of
/// what was unpacked must be kept in memory.
const MAX_WINDOW: u64 = 128 << 20;
/// Bytes of the longest frame header.
const HEADER: usize = 18;

/// Decodes one or more frames; a window above [`MAX_WINDOW`] is refused.
pub(super) fn decode<R: BufRead>(
    input: &mut Tracked<R>,
    output: &mut Output,
) -> Result<(), UnpackError> {
    loop {
        let mut frame =
            Frame { input: &mut *input, header: Vec::new(), taken: 0 };
        decode_frame(&mut frame, output).map_err(|error| {
            match window(&frame.header) {
                Some(window) if window > MAX_WINDOW => {
                    UnpackError::Window { window, limit: MAX_WINDOW }
                }
                _ => error,
            }
        })?;
        match input.next_byte()? {
            None => return Ok(()),
            // First bytes of frames and of skippable frames.
            Some(0x28 | 0x50..=0x5f) => {}
            Some(_) => return Err(UnpackError::Trailing(Format::Zst)),
        }
    }
}

fn decode_frame<R: BufRead>(
    frame: &mut Frame<'_, R>,
    output: &mut Output,
) -> Result<(), UnpackError> {
    let mut decoder = Decoder::with_buffer(frame)
        .map_err(|error| UnpackError::of(Format::Zst, error))?
        .single_frame();
    copy(&mut decoder, output, Format::Zst, |f| f.get_ref().input.consumed)
}

/// A frame as it is read, with its first bytes.
struct Frame<'i, R> {
    input: &'i mut Tracked<R>,
    /// Those that the decoder was shown: it fails before it takes them.
    header: Vec<u8>,
    taken: usize,
}

impl<R: BufRead> BufRead for Frame<'_, R> {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        let bytes = self.input.fill_buf()?;
        if self.taken < HEADER {
            self.header.truncate(self.taken);
            self.header.extend(bytes.iter().take(HEADER));
        }
        Ok(bytes)
    }

    fn consume(&mut self, amount: usize) {
        // Only compared with the length of a header.
        self.taken = self.taken.saturating_add(amount);
        self.input.consume(amount);
    }
}

impl<R: BufRead> Read for Frame<'_, R> {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        let read = self.fill_buf()?.read(buf)?;
        self.consume(read);
        Ok(read)
    }
}

/// Returns the window that a frame header asks for, in bytes: RFC 8878,
/// section 3.1.1.1.
fn window(header: &[u8]) -> Option<u64> {
    let (magic, rest) = header.split_first_chunk::<4>()?;
    let (descriptor, rest) = rest.split_first()?;
    if *magic != [0x28, 0xb5, 0x2f, 0xfd] {
        return None;
    }
    let single_segment = descriptor & 0x20 != 0;
    if !single_segment {
        let window = rest.first()?;
        let base = 1u64.checked_shl(u32::from(window >> 3).checked_add(10)?)?;
        let steps = (base / 8).checked_mul(u64::from(window & 7))?;
        return base.checked_add(steps);
    }
    // Then it is all of the content, whose size stands behind the number of
    // a dictionary.
    let dictionary = match descriptor & 3 {
        3 => 4,
        len => usize::from(len),
    };
    let size = rest.get(dictionary..)?;
    let number = |len: usize| {
        let bytes = size.get(..len)?.iter().rev();
        let join = |sum: u64, byte: &u8| (sum << 8) | u64::from(*byte);
        Some(bytes.fold(0, join))
    };
    match descriptor >> 6 {
        0 => number(1),
        1 => number(2)?.checked_add(256),
        2 => number(4),
        _ => number(8),
    }
}

#[cfg(test)]
mod tests {
    use super::window;

    #[test]
    fn windows_of_frame_headers() {
        let of =
            |rest: &[u8]| window(&[&[0x28, 0xb5, 0x2f, 0xfd], rest].concat());
        assert_eq!(of(&[0x00, 0x00]), Some(1 << 10));
        assert_eq!(of(&[0x04, 17 << 3]), Some(128 << 20));
        assert_eq!(of(&[0x04, (17 << 3) | 1]), Some(144 << 20));
        assert_eq!(of(&[0x04, 0xff]), Some((1 << 41) / 8 * 15));
        assert_eq!(of(&[0x20, 7]), Some(7));
        assert_eq!(of(&[0x60, 1, 1]), Some(513));
        assert_eq!(of(&[0xa3, 9, 9, 9, 9, 0, 0, 0, 16]), Some(1 << 28));
        assert_eq!(of(&[0xe0, 0, 0, 0, 0, 1, 0, 0, 0]), Some(1 << 32));
        assert_eq!(of(&[0xe0, 0, 0, 0]), None);
        assert_eq!(of(&[]), None);
        assert_eq!(window(b"\x50\x2a\x4d\x18\x00\x00"), None);
    }
}
