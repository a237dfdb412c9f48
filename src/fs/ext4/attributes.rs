//! The entries of extended attributes, in an inode or in a block of their
//! own.
//!
//! Entries grow from the start, their values lie anywhere behind them.
//! Format: the kernel's `ext4/attributes.rst` documentation.

use super::le::{put, put_u16, put_u32, u8_at, u16_at, u32_at};

const HEADER: usize = 16;
const VALUE_OFFSET: usize = 2;
const VALUE_INODE: usize = 4;
const VALUE_SIZE: usize = 8;
const HASH: usize = 12;

/// An attribute: the number of its prefix, and the name behind that.
pub(super) type Name = (u8, &'static [u8]);
pub(super) const POSIX_ACL_ACCESS: Name = (2, b"");
pub(super) const SECURITY_CAPABILITY: Name = (6, b"capability");

// Of an ACL as ext4 keeps it: version, then tag and permissions of each
// entry, with an id behind those that name somebody.
const ACL_VERSION: u32 = 1;
const ACL_USER_OBJ: u16 = 0x01;
const ACL_USER: u16 = 0x02;
const ACL_GROUP_OBJ: u16 = 0x04;
const ACL_GROUP: u16 = 0x08;
const ACL_MASK: u16 = 0x10;
const ACL_OTHER: u16 = 0x20;

/// Bytes with entries in them.
pub(super) struct Entries<'b> {
    bytes: &'b mut [u8],
    /// Where the first entry lies; offsets of values count from byte 0.
    first: usize,
}

struct Entry {
    at: usize,
    prefix: u8,
    name: Vec<u8>,
    value: std::ops::Range<usize>,
}

impl Entry {
    fn is(&self, (prefix, name): Name) -> bool {
        self.prefix == prefix && self.name == name
    }
}

/// What is wrong with them.
pub(super) type Wrong = &'static str;

impl<'b> Entries<'b> {
    pub(super) fn new(bytes: &'b mut [u8], first: usize) -> Self {
        Self { bytes, first }
    }

    fn all(&self) -> Result<Vec<Entry>, Wrong> {
        const OUTSIDE: Wrong = "an entry outside of its place";
        let mut entries = Vec::new();
        let mut at = self.first;
        loop {
            let rest = self.bytes.get(at..).unwrap_or(&[]);
            match rest.get(..4) {
                Some([0, 0, 0, 0]) => return Ok(entries),
                // Where nothing more fits, there is no end mark.
                None if rest.is_empty() => return Ok(entries),
                None => return Err(OUTSIDE),
                Some(_) => {}
            }
            let name = rest
                .get(HEADER..)
                .and_then(|names| names.get(..u8_at(rest, 0).into()))
                .ok_or(OUTSIDE)?
                .to_vec();
            if u32_at(rest, VALUE_INODE) != 0 {
                return Err("a value in an inode of its own");
            }
            let start = usize::from(u16_at(rest, VALUE_OFFSET));
            let len = usize::try_from(u32_at(rest, VALUE_SIZE));
            let end = len.ok().and_then(|len| start.checked_add(len));
            let value = match end {
                Some(end) if end == start => 0..0,
                Some(end) if end <= self.bytes.len() => start..end,
                _ => return Err("a value outside of its place"),
            };
            let size = HEADER
                .checked_add(name.len())
                .expect("names are at most 255 bytes")
                .next_multiple_of(4);
            let prefix = u8_at(rest, 1);
            entries.push(Entry { at, prefix, name, value });
            at = at.checked_add(size).ok_or(OUTSIDE)?;
        }
    }

    pub(super) fn is_empty(&self) -> Result<bool, Wrong> {
        Ok(self.all()?.is_empty())
    }

    /// Removes an attribute; false where there is none of this name.
    pub(super) fn remove(&mut self, name: Name) -> Result<bool, Wrong> {
        let entries = self.all()?;
        let (gone, kept): (Vec<_>, Vec<_>) =
            entries.iter().partition(|entry| entry.is(name));
        if gone.is_empty() {
            return Ok(false);
        }
        let before = self.bytes.to_vec();
        if let Some(place) = self.bytes.get_mut(self.first..) {
            place.fill(0);
        }
        // Entries from the start, values from the end.
        let (mut at, mut end) = (self.first, self.bytes.len());
        for entry in kept {
            let value =
                before.get(entry.value.clone()).expect("checked by `all`");
            let header = before.get(entry.at..).expect("checked by `all`");
            let header = header.get(..HEADER).expect("checked by `all`");
            let size = value.len().next_multiple_of(4);
            let name_at = at.checked_add(HEADER);
            let next = name_at
                .and_then(|at| at.checked_add(entry.name.len()))
                .and_then(|at| at.checked_next_multiple_of(4));
            let start = end.checked_sub(size);
            let (Some(name_at), Some(next), Some(start)) =
                (name_at, next, start)
            else {
                return Err("values that overlap");
            };
            if next > start {
                return Err("values that overlap");
            }
            put(self.bytes, at, header);
            put(self.bytes, name_at, &entry.name);
            if !value.is_empty() {
                let offset = u16::try_from(start)
                    .expect("blocks are at most 4096 bytes");
                put(self.bytes, start, value);
                if let Some(entry) = self.bytes.get_mut(at..) {
                    put_u16(entry, VALUE_OFFSET, offset);
                }
            }
            (at, end) = (next, start);
        }
        Ok(true)
    }

    /// Puts the permissions of `mode` into the ACL, as chmod(2) does: those
    /// of the group are the mask, where there is one. False without an ACL.
    pub(super) fn chmod(&mut self, mode: u16) -> Result<bool, Wrong> {
        let entries = self.all()?;
        let found = entries.iter().find(|entry| entry.is(POSIX_ACL_ACCESS));
        let Some(entry) = found else { return Ok(false) };
        let value = self.bytes.get_mut(entry.value.clone());
        let value = value.ok_or("a value outside of its place")?;
        set_acl_mode(value, mode)?;
        let sum = hash(&entry.name, value);
        let entry = self.bytes.get_mut(entry.at..).expect("checked by `all`");
        // In inodes the kernel stores none.
        if u32_at(entry, HASH) != 0 {
            put_u32(entry, HASH, sum);
        }
        Ok(true)
    }

    /// Returns the hash of all entries, 0 where one has none.
    pub(super) fn hash(&self) -> Result<u32, Wrong> {
        let mut sum = 0u32;
        for entry in self.all()? {
            let rest = self.bytes.get(entry.at..).expect("checked by `all`");
            match u32_at(rest, HASH) {
                0 => return Ok(0),
                hash => sum = sum.rotate_left(16) ^ hash,
            }
        }
        Ok(sum)
    }
}

fn set_acl_mode(acl: &mut [u8], mode: u16) -> Result<(), Wrong> {
    const WRONG: Wrong = "an ACL that cannot be read";
    if acl.len() < 4 || u32_at(acl, 0) != ACL_VERSION {
        return Err(WRONG);
    }
    let mut places = Vec::new();
    let mut at = 4usize;
    while at < acl.len() {
        let tag = u16_at(acl, at);
        let size = match tag {
            ACL_USER | ACL_GROUP => 8,
            ACL_USER_OBJ | ACL_GROUP_OBJ | ACL_MASK | ACL_OTHER => 4,
            _ => return Err(WRONG),
        };
        places.push((tag, at));
        at = at.checked_add(size).ok_or(WRONG)?;
    }
    if at != acl.len() {
        return Err(WRONG);
    }
    let has_mask = places.iter().any(|(tag, _)| *tag == ACL_MASK);
    for (tag, at) in places {
        let permissions = match tag {
            ACL_USER_OBJ => mode >> 6 & 7,
            ACL_GROUP_OBJ if !has_mask => mode >> 3 & 7,
            ACL_MASK => mode >> 3 & 7,
            ACL_OTHER => mode & 7,
            _ => continue,
        };
        put_u16(acl, at.checked_add(2).ok_or(WRONG)?, permissions);
    }
    Ok(())
}

/// The hash of one entry: of its name, then of its value in words.
fn hash(name: &[u8], value: &[u8]) -> u32 {
    let hash = name
        .iter()
        .fold(0u32, |hash, byte| hash.rotate_left(5) ^ u32::from(*byte));
    value.chunks(4).fold(hash, |hash, bytes| {
        let mut word = [0; 4];
        put(&mut word, 0, bytes);
        hash.rotate_left(16) ^ u32::from_le_bytes(word)
    })
}
