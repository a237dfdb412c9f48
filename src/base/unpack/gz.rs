use super::{Format, Tracked, UnpackError, copy, output::Output};
use flate2::bufread::GzDecoder;
use std::io::BufRead;

/// Decodes one or more members.
pub(super) fn decode<R: BufRead>(
    input: &mut Tracked<R>,
    output: &mut Output,
) -> Result<(), UnpackError> {
    let mut first = true;
    loop {
        let mut member = GzDecoder::new(&mut *input);
        // The header is read at once; an error in it comes with the data.
        if !first && member.header().is_none() {
            return Err(UnpackError::Trailing(Format::Gz));
        }
        copy(&mut member, output, Format::Gz, |m| m.get_ref().consumed)?;
        if input.at_end()? {
            return Ok(());
        }
        first = false;
    }
}
