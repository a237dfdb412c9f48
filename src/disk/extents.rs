use super::ReadAt;
use std::io;

/// A run of bytes, known to be zero or not.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Extent {
    /// Where it begins, in bytes.
    pub offset: u64,
    /// How long it is, in bytes.
    pub len: u64,
    /// Whether every byte of it reads as zero. Data may be zero too.
    pub zero: bool,
}

impl Extent {
    /// Returns the offset behind the last byte.
    pub fn end(&self) -> u64 {
        self.offset
            .checked_add(self.len)
            .expect("extents lie inside of their device")
    }
}

/// Iterates over the extents of a device; see [`extents`].
pub struct Extents<'a> {
    device: &'a dyn ReadAt,
    position: u64,
    ahead: Option<Extent>,
}

/// Returns the data and zero runs of a device, in order and without gaps;
/// neighbours differ in kind. The iterator ends after an error.
pub fn extents(device: &dyn ReadAt) -> Extents<'_> {
    Extents { device, position: 0, ahead: None }
}

impl Extents<'_> {
    fn step(&mut self) -> Option<io::Result<Extent>> {
        let rest = self.device.size().checked_sub(self.position)?;
        if rest == 0 {
            return None;
        }
        let extent = self.device.extent_at(self.position).and_then(|found| {
            let len = found.len.min(rest);
            if len == 0 {
                return Err(io::Error::other("a device gave an empty extent"));
            }
            Ok(Extent { offset: self.position, len, zero: found.zero })
        });
        self.position = match &extent {
            Ok(extent) => extent.end(),
            Err(_) => self.device.size(),
        };
        Some(extent)
    }
}

impl Iterator for Extents<'_> {
    type Item = io::Result<Extent>;

    fn next(&mut self) -> Option<Self::Item> {
        let mut run = match self.ahead.take() {
            Some(extent) => extent,
            None => match self.step()? {
                Ok(extent) => extent,
                Err(error) => return Some(Err(error)),
            },
        };
        while let Some(next) = self.step() {
            match next {
                Ok(next) if next.zero == run.zero => {
                    run.len = run
                        .len
                        .checked_add(next.len)
                        .expect("extents lie inside of their device");
                }
                Ok(next) => {
                    self.ahead = Some(next);
                    break;
                }
                Err(error) => return Some(Err(error)),
            }
        }
        Some(Ok(run))
    }
}
