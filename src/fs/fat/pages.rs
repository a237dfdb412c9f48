use crate::disk::{ReadAt, WriteAt};
use std::{
    collections::BTreeMap,
    io,
    sync::{Mutex, MutexGuard, PoisonError},
};

/// Why places in pages can be computed: `visit` compares a range with the size.
const INSIDE: &str = "inside of the volume";
const PAGE: u64 = 4096;
/// Clean pages kept: 8 MiB, the FATs of 512 MiB in clusters of 512 bytes.
const CLEAN_LIMIT: usize = 2048;

/// A cache that holds all writes back until [`Pages::commit`].
///
/// `fatfs` reads the FAT entry by entry, and marks a volume dirty while it
/// works; neither is to reach the image.
pub(super) struct Pages<D> {
    device: D,
    size: u64,
    pages: Mutex<Cached>,
}

#[derive(Default)]
struct Cached {
    pages: BTreeMap<u64, Page>,
    clean: usize,
}

struct Page {
    bytes: Vec<u8>,
    dirty: bool,
}

impl<D: ReadAt> Pages<D> {
    pub(super) fn new(device: D) -> Self {
        let size = device.size();
        Self { device, size, pages: Mutex::default() }
    }

    fn lock(&self) -> MutexGuard<'_, Cached> {
        self.pages.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Calls `each` with the part of each page that the range covers.
    fn visit(
        &self,
        offset: u64,
        len: usize,
        dirty: bool,
        mut each: impl FnMut(&mut [u8]),
    ) -> io::Result<()> {
        let past_end = || {
            io::Error::new(
                io::ErrorKind::UnexpectedEof,
                "past the end of the volume",
            )
        };
        let end = u64::try_from(len)
            .ok()
            .and_then(|len| offset.checked_add(len))
            .filter(|end| *end <= self.size)
            .ok_or_else(past_end)?;
        let mut cached = self.lock();
        let mut position = offset;
        while position < end {
            let number = position / PAGE;
            let start = number.checked_mul(PAGE).expect(INSIDE);
            let stop = start.checked_add(PAGE).expect(INSIDE).min(self.size);
            let page = cached.page(number, || {
                let len =
                    usize::try_from(stop.checked_sub(start).expect(INSIDE));
                let mut bytes = vec![0; len.map_err(|_| past_end())?];
                self.device.read_at(start, &mut bytes)?;
                Ok(bytes)
            })?;
            let from =
                usize::try_from(position.checked_sub(start).expect(INSIDE));
            let to = usize::try_from(
                stop.min(end).checked_sub(start).expect(INSIDE),
            );
            let (Ok(from), Ok(to)) = (from, to) else {
                return Err(past_end());
            };
            each(page.bytes.get_mut(from..to).ok_or_else(past_end)?);
            if dirty && !page.dirty {
                page.dirty = true;
                cached.clean =
                    cached.clean.checked_sub(1).expect("it was clean");
            }
            position = stop;
        }
        Ok(())
    }
}

impl Cached {
    fn page(
        &mut self,
        number: u64,
        load: impl FnOnce() -> io::Result<Vec<u8>>,
    ) -> io::Result<&mut Page> {
        if !self.pages.contains_key(&number) {
            if self.clean >= CLEAN_LIMIT {
                self.pages.retain(|_, page| page.dirty);
                self.clean = 0;
            }
            let page = Page { bytes: load()?, dirty: false };
            self.pages.insert(number, page);
            self.clean = self.clean.checked_add(1).expect(INSIDE);
        }
        self.pages
            .get_mut(&number)
            .ok_or_else(|| io::Error::other("a page got lost"))
    }
}

impl<D: WriteAt> Pages<D> {
    /// Writes the pages that differ from what the device holds.
    pub(super) fn commit(&self) -> io::Result<()> {
        let mut cached = self.lock();
        let mut old = Vec::new();
        for (number, page) in &mut cached.pages {
            if page.dirty {
                let start = number.checked_mul(PAGE).expect(INSIDE);
                old.resize(page.bytes.len(), 0);
                self.device.read_at(start, &mut old)?;
                if old != page.bytes {
                    self.device.write_at(start, &page.bytes)?;
                }
                page.dirty = false;
            }
        }
        cached.clean = cached.pages.len();
        Ok(())
    }
}

impl<D: ReadAt> ReadAt for Pages<D> {
    fn size(&self) -> u64 {
        self.size
    }

    fn read_at(&self, offset: u64, buf: &mut [u8]) -> io::Result<()> {
        let mut rest = &mut *buf;
        self.visit(offset, rest.len(), false, |part| {
            let whole = std::mem::take(&mut rest);
            let (now, later) = whole.split_at_mut(part.len());
            now.copy_from_slice(part);
            rest = later;
        })
    }
}

impl<D: ReadAt> WriteAt for Pages<D> {
    fn write_at(&self, offset: u64, buf: &[u8]) -> io::Result<()> {
        let mut rest = buf;
        self.visit(offset, rest.len(), true, |part| {
            let (now, later) = rest.split_at(part.len());
            part.copy_from_slice(now);
            rest = later;
        })
    }
}
