//! Disks as inputs: only the pages that are not zero.
//!
//! An input is the number of pages of the device, a word for the target, and
//! then pages: the number of each and its bytes. Numbers have 32 bits,
//! little-endian. `pack.py` makes inputs from images.

use std::{
    collections::BTreeMap,
    io,
    sync::{Mutex, MutexGuard},
};

use piflash::disk::{ReadAt, WriteAt};

/// Bytes of a page: a sector.
pub(crate) const PAGE: usize = 512;
const HEAD: usize = 8;
const RECORD: usize = 4 + PAGE;
/// Pages of the largest device (256 MiB).
const MOST: u32 = 1 << 19;

/// A device in memory.
pub(crate) struct Sparse {
    size: u64,
    pages: Mutex<BTreeMap<u64, [u8; PAGE]>>,
}

impl Sparse {
    /// Reads an input: the device, and the word for the target.
    pub(crate) fn parse(data: &[u8]) -> Option<(Self, u32)> {
        let (head, records) = data.split_at_checked(HEAD)?;
        let count = word(&head[..4]).min(MOST);
        let mut pages = BTreeMap::new();
        for record in records.chunks_exact(RECORD) {
            let number = word(&record[..4]);
            if number < count {
                let page = record[4..].try_into().expect("its size");
                pages.insert(number.into(), page);
            }
        }
        let size = u64::from(count) * PAGE as u64;
        Some((Self { size, pages: Mutex::new(pages) }, word(&head[4..])))
    }

    fn pages(&self) -> MutexGuard<'_, BTreeMap<u64, [u8; PAGE]>> {
        self.pages.lock().expect("nobody panics with it")
    }

    /// Calls `each` with all pages that may be other than zero.
    pub(crate) fn each(
        &self,
        mut each: impl FnMut(u64, &[u8]) -> io::Result<()>,
    ) -> io::Result<()> {
        let pages = self.pages();
        pages.iter().try_for_each(|(at, page)| each(at * PAGE as u64, page))
    }

    /// Reads `len` bytes, where the device has them.
    pub(crate) fn get(&self, offset: u64, len: usize) -> Option<Vec<u8>> {
        let mut bytes = vec![0; len];
        self.read_at(offset, &mut bytes).ok().map(|()| bytes)
    }

    /// Writes bytes, where the device has room for them.
    pub(crate) fn put(&self, offset: u64, bytes: &[u8]) {
        let _ = self.write_at(offset, bytes);
    }

    fn check(&self, offset: u64, len: usize) -> io::Result<()> {
        match offset.checked_add(len as u64) {
            Some(end) if end <= self.size => Ok(()),
            _ => Err(io::ErrorKind::UnexpectedEof.into()),
        }
    }
}

/// Page, offset in it, and place in a buffer of what is at `offset`.
fn pieces(
    offset: u64,
    len: usize,
) -> impl Iterator<Item = (u64, usize, std::ops::Range<usize>)> {
    let mut at = 0;
    std::iter::from_fn(move || {
        if at == len {
            return None;
        }
        let position = offset + at as u64;
        let within = (position % PAGE as u64) as usize;
        let end = len.min(at + PAGE - within);
        let range = at..end;
        at = end;
        Some((position / PAGE as u64, within, range))
    })
}

impl ReadAt for Sparse {
    fn size(&self) -> u64 {
        self.size
    }

    fn read_at(&self, offset: u64, buf: &mut [u8]) -> io::Result<()> {
        self.check(offset, buf.len())?;
        let pages = self.pages();
        for (page, within, range) in pieces(offset, buf.len()) {
            let len = range.len();
            match pages.get(&page) {
                Some(page) => {
                    buf[range].copy_from_slice(&page[within..within + len]);
                }
                None => buf[range].fill(0),
            }
        }
        Ok(())
    }
}

impl WriteAt for Sparse {
    fn write_at(&self, offset: u64, buf: &[u8]) -> io::Result<()> {
        self.check(offset, buf.len())?;
        let mut pages = self.pages();
        for (page, within, range) in pieces(offset, buf.len()) {
            let len = range.len();
            let page = pages.entry(page).or_insert([0; PAGE]);
            page[within..within + len].copy_from_slice(&buf[range]);
        }
        Ok(())
    }
}

fn word(bytes: &[u8]) -> u32 {
    u32::from_le_bytes(bytes.try_into().expect("four bytes"))
}

struct Random(u64);

impl Random {
    fn below(&mut self, bound: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 20) as usize % bound
    }
}

/// Changes an input so that pages stay pages: mostly fields within one.
pub(crate) fn mutate(
    data: &mut [u8],
    size: usize,
    max: usize,
    seed: u32,
) -> usize {
    let max = max.min(data.len());
    let count = size.saturating_sub(HEAD) / RECORD;
    if count == 0 {
        return libfuzzer_sys::fuzzer_mutate(data, size, max);
    }
    let mut random = Random(u64::from(seed) << 1 | 1);
    random.below(2);
    let size = HEAD + count * RECORD;
    let at = |number: usize| HEAD + number * RECORD;
    let (one, other) = (at(random.below(count)), at(random.below(count)));
    match random.below(24) {
        // The word for the target.
        0 | 1 => data[4 + random.below(4)] = random.below(256) as u8,
        // The size of the device, by a little.
        2 => {
            let pages = word(&data[..4]);
            let by = 1u32 << random.below(12);
            let pages = match random.below(2) {
                0 => pages.saturating_add(by),
                _ => pages.saturating_sub(by),
            };
            data[..4].copy_from_slice(&pages.to_le_bytes());
        }
        // A page is missing, or is in another place, or there twice.
        3 => {
            data.copy_within(size - RECORD..size, one);
            return size - RECORD;
        }
        4 => {
            let number = word(&data[one..one + 4]);
            let number = number.wrapping_add(1 << random.below(8));
            data[one..one + 4].copy_from_slice(&number.to_le_bytes());
        }
        5 if size + RECORD <= max => {
            data.copy_within(one..one + RECORD, size);
            let number = word(&data[one..one + 4]) + 1;
            data[size..size + 4].copy_from_slice(&number.to_le_bytes());
            return size + RECORD;
        }
        // What one page has, another has.
        6 => data.copy_within(one + 4..one + RECORD, other + 4),
        7 | 8 => {
            let len = 8 << random.below(5);
            let (from, to) =
                (random.below(PAGE / len), random.below(PAGE / len));
            let from = one + 4 + from * len;
            data.copy_within(from..from + len, other + 4 + to * len);
        }
        _ => {
            for _ in 0..=random.below(4) {
                let page = at(random.below(count)) + 4;
                let len = 1 << random.below(8);
                let start = page + random.below(PAGE / len) * len;
                let mut field = data[start..start + len].to_vec();
                libfuzzer_sys::fuzzer_mutate(&mut field, len, len);
                data[start..start + len].copy_from_slice(&field);
            }
        }
    }
    size
}
