//! One block of directory entries.
//!
//! Records follow one another and fill the block; with `metadata_csum` the
//! last twelve bytes look like an unused record and hold the checksum.

use super::Result;
use super::checksum::crc32c;
use super::le::{put, put_u16, put_u32, u8_at, u16_at, u32_at};
use crate::fs::{FileKind, Structure};

/// The size of the record that holds the checksum.
pub(super) const TAIL: usize = 12;
const HEADER: usize = 8;

/// One record.
#[derive(Clone, Copy, Debug)]
pub(super) struct Record {
    pub(super) at: usize,
    rec_len: usize,
    name_len: usize,
    pub(super) inode: u32,
    pub(super) file_type: u8,
}

impl Record {
    /// Returns the name; none of a record that is unused.
    pub(super) fn name<'b>(&self, block: &'b [u8]) -> &'b [u8] {
        if self.inode == 0 {
            return &[];
        }
        let start = self.at.checked_add(HEADER).expect("both far below 2^32");
        let end =
            start.checked_add(self.name_len).expect("both far below 2^32");
        block.get(start..end).expect("records lie inside of their block")
    }

    fn used(&self) -> usize {
        if self.inode == 0 { 0 } else { space_for(self.name_len) }
    }
}

/// A name and what it leads to.
#[derive(Clone, Debug)]
pub(super) struct Link {
    pub(super) inode: u32,
    pub(super) file_type: u8,
    pub(super) name: Vec<u8>,
}

impl Link {
    pub(super) fn size(&self) -> usize {
        space_for(self.name.len())
    }
}

/// Returns the smallest record for a name of `len` bytes.
fn space_for(len: usize) -> usize {
    len.checked_add(HEADER).expect("both far below 2^32").next_multiple_of(4)
}

/// Returns the type field of an entry.
pub(super) fn file_type(mode: u16) -> u8 {
    match mode >> 12 {
        0x8 => 1,
        0x4 => 2,
        0x2 => 3,
        0x6 => 4,
        0x1 => 5,
        0xC => 6,
        0xA => 7,
        _ => 0,
    }
}

/// Returns what a type field says, if anything.
pub(super) fn kind(file_type: u8) -> Option<FileKind> {
    match file_type {
        1 => Some(FileKind::File),
        2 => Some(FileKind::Directory),
        3..=6 => Some(FileKind::Special),
        7 => Some(FileKind::Symlink),
        _ => None,
    }
}

/// Returns the records of the first `end` bytes, which they must fill.
pub(super) fn records(block: &[u8], end: usize) -> Option<Vec<Record>> {
    let mut records = Vec::new();
    let mut at = 0usize;
    while at < end {
        let record = Record {
            at,
            inode: u32_at(block, at),
            rec_len: u16_at(block, at.checked_add(4)?).into(),
            name_len: u8_at(block, at.checked_add(6)?).into(),
            file_type: u8_at(block, at.checked_add(7)?),
        };
        if record.rec_len < HEADER.checked_add(4)?
            || !record.rec_len.is_multiple_of(4)
            || record.rec_len < record.used()
            || (record.inode != 0 && record.name_len == 0)
        {
            return None;
        }
        at = at.checked_add(record.rec_len)?;
        records.push(record);
    }
    (at == end && end <= block.len()).then_some(records)
}

/// Returns the record called `name`.
pub(super) fn find(
    block: &[u8],
    records: &[Record],
    name: &[u8],
) -> Option<Record> {
    let mut found = records
        .iter()
        .filter(|record| record.inode != 0 && record.name(block) == name);
    found.next().copied()
}

fn put_record(block: &mut [u8], at: usize, rec_len: usize, link: &Link) {
    put_u32(block, at, link.inode);
    put_rec_len(block, at, rec_len);
    let name_len = u8::try_from(link.name.len());
    let name_len = name_len.expect("255 at most: see `components`");
    put(block, field(at, 6), &[name_len, link.file_type]);
    put(block, field(at, HEADER), &link.name);
}

fn put_rec_len(block: &mut [u8], at: usize, rec_len: usize) {
    let rec_len = u16::try_from(rec_len).expect("a block has 4096 at most");
    put_u16(block, field(at, 4), rec_len);
}

/// Returns where a field of the record at `at` lies.
fn field(at: usize, offset: usize) -> usize {
    at.checked_add(offset).expect("records lie inside of their block")
}

/// Puts `link` into the first gap; false where there is none.
pub(super) fn insert(
    block: &mut [u8],
    records: &[Record],
    link: &Link,
) -> bool {
    let need = link.size();
    let gap = records.iter().find(|record| {
        record.rec_len.checked_sub(record.used()).expect("both far below 2^32")
            >= need
    });
    let Some(record) = gap else { return false };
    let used = record.used();
    if used > 0 {
        put_rec_len(block, record.at, used);
    }
    let rest = record.rec_len.checked_sub(used).expect("there is a gap");
    put_record(block, field(record.at, used), rest, link);
    true
}

/// Removes the record called `name`: its space goes to the one before it.
pub(super) fn remove(block: &mut [u8], records: &[Record], name: &[u8]) {
    let Some(record) = find(block, records, name) else { return };
    let name_at = field(record.at, HEADER);
    put(block, name_at, &vec![0; record.name_len]);
    let before = records.iter().rev().find(|other| other.at < record.at);
    match before {
        Some(before) => {
            put_rec_len(block, before.at, field(before.rec_len, record.rec_len))
        }
        None => put_u32(block, record.at, 0),
    }
}

/// Lays `links` out in a new block of `size` bytes, of which they may use
/// `end`. They must fit.
pub(super) fn build(size: usize, end: usize, links: &[Link]) -> Vec<u8> {
    let mut block = vec![0; size];
    let mut at = 0usize;
    for (number, link) in links.iter().enumerate() {
        let last = number.checked_add(1) == Some(links.len());
        let rec_len = match last {
            true => end.checked_sub(at).expect("they fit"),
            false => link.size(),
        };
        put_record(&mut block, at, rec_len, link);
        at = field(at, rec_len);
    }
    if links.is_empty() {
        put_rec_len(&mut block, 0, end);
    }
    block
}

/// Writes the checksum record at the end of the block.
pub(super) fn seal(block: &mut [u8], seed: u32) {
    let end = block.len().checked_sub(TAIL).expect("1024 bytes or more");
    let sum = crc32c(seed, block.get(..end).expect("before the tail"));
    put(block, end, &[0, 0, 0, 0, 12, 0, 0, 0xDE]);
    put_u32(block, field(end, 8), sum);
}

/// Refuses a block whose checksum record is not there or does not agree.
pub(super) fn verify(
    block: &[u8],
    seed: u32,
    structure: Structure,
) -> Result<()> {
    let split = block.len().checked_sub(TAIL);
    let Some((names, tail)) = split.and_then(|at| block.split_at_checked(at))
    else {
        return Err(structure.rule("too short for a checksum"));
    };
    if !tail.starts_with(&[0, 0, 0, 0, 12, 0, 0, 0xDE]) {
        return Err(structure.rule("no record of a checksum"));
    }
    match (u32_at(tail, 8), crc32c(seed, names)) {
        (found, sum) if found == sum => Ok(()),
        (found, sum) => Err(structure.checksum(found, sum)),
    }
}
