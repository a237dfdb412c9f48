use super::{Format, Tracked, UnpackError, copy, output::Output};
use std::io::BufRead;
use zstd::stream::read::Decoder;

/// Decodes one or more frames; a window above 128 MiB is refused, as `zstd`
/// does without `--long`.
pub(super) fn decode<R: BufRead>(
    input: &mut Tracked<R>,
    output: &mut Output,
) -> Result<(), UnpackError> {
    loop {
        let mut frame = Decoder::with_buffer(&mut *input)
            .map_err(|error| UnpackError::of(Format::Zst, error))?
            .single_frame();
        copy(&mut frame, output, Format::Zst, |f| f.get_ref().consumed)?;
        match input.next_byte()? {
            None => return Ok(()),
            // First bytes of frames and of skippable frames.
            Some(0x28 | 0x50..=0x5f) => {}
            Some(_) => return Err(UnpackError::Trailing(Format::Zst)),
        }
    }
}
