use super::{Format, Limits, Tracked, UnpackError, output::Output};
use liblzma::stream::{Action, Error, MtStreamBuilder, Status, Stream};
use std::io::BufRead;

/// Calls that neither read nor write before the data is given up. The decoder
/// reports the first such call as an ordinary one.
const IDLE_CALLS: u32 = 8;

/// Decodes one or more streams, in parallel where a stream has several blocks
/// whose headers carry their sizes.
pub(super) fn decode<R: BufRead>(
    input: &mut Tracked<R>,
    output: &mut Output,
    limits: &Limits,
) -> Result<(), UnpackError> {
    loop {
        decode_stream(input, output, limits)?;
        skip_padding(input)?;
        match input.next_byte()? {
            None => return Ok(()),
            // The first byte of the magic; the decoder checks the others.
            Some(0xfd) => {}
            Some(_) => return Err(UnpackError::Trailing(Format::Xz)),
        }
    }
}

fn decode_stream<R: BufRead>(
    input: &mut Tracked<R>,
    output: &mut Output,
    limits: &Limits,
) -> Result<(), UnpackError> {
    let first = input.consumed == 0;
    let fail = |error| match error {
        Error::MemLimit => UnpackError::Memory { limit: limits.memory },
        // What follows the first stream is no stream.
        Error::Format if !first => UnpackError::Trailing(Format::Xz),
        error => {
            let detail = error.to_string();
            UnpackError::Damaged { format: Format::Xz, detail }
        }
    };
    let mut stream = decoder(limits).map_err(fail)?;
    let mut idle = 0_u32;
    loop {
        let bytes = input.fill_buf().map_err(UnpackError::Read)?;
        let at_end = bytes.is_empty();
        let action = if at_end { Action::Finish } else { Action::Run };
        let (read, written) = (stream.total_in(), stream.total_out());
        let result = stream.process(bytes, output.space(), action);
        let read = step(stream.total_in(), read);
        let written = step(stream.total_out(), written);
        input.consume(read);
        if written > 0 {
            output.filled(written, input.consumed)?;
        }
        if matches!(result.map_err(fail)?, Status::StreamEnd) {
            return Ok(());
        }
        // LZMA_BUF_ERROR is `MemNeeded` here: no progress is possible.
        idle = match (read, written) {
            (0, 0) => idle.saturating_add(1),
            _ => 0,
        };
        if idle > IDLE_CALLS {
            return Err(UnpackError::Truncated(Format::Xz));
        }
    }
}

fn decoder(limits: &Limits) -> Result<Stream, Error> {
    // Without limits the threaded decoder takes what a header asks for.
    MtStreamBuilder::new()
        .threads(limits.threads.max(1))
        .memlimit_threading(limits.memory / 2)
        .memlimit_stop(limits.memory)
        .decoder()
}

/// The padding of a stream: zeros in fours.
fn skip_padding<R: BufRead>(input: &mut Tracked<R>) -> Result<(), UnpackError> {
    let mut zeros = 0_usize;
    loop {
        let bytes = input.fill_buf().map_err(UnpackError::Read)?;
        let len = bytes.iter().take_while(|byte| **byte == 0).count();
        if len == 0 {
            break;
        }
        input.consume(len);
        zeros = zeros.wrapping_add(len);
    }
    match zeros % 4 {
        0 => Ok(()),
        _ => Err(UnpackError::Trailing(Format::Xz)),
    }
}

fn step(now: u64, before: u64) -> usize {
    usize::try_from(now.saturating_sub(before)).unwrap_or(usize::MAX)
}
