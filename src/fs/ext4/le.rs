//! Little-endian fields of on-disk structures.
//!
//! Offsets are constants of the format or were checked by the caller; one
//! past the end of `bytes` reads as zero (as of the shorter descriptors and
//! inodes of old), and is never written.

fn array<const N: usize>(bytes: &[u8], at: usize) -> [u8; N] {
    let field = bytes.get(at..).and_then(<[u8]>::first_chunk);
    field.copied().unwrap_or([0; N])
}

pub(super) fn u16_at(bytes: &[u8], at: usize) -> u16 {
    u16::from_le_bytes(array(bytes, at))
}

pub(super) fn u32_at(bytes: &[u8], at: usize) -> u32 {
    u32::from_le_bytes(array(bytes, at))
}

pub(super) fn u8_at(bytes: &[u8], at: usize) -> u8 {
    bytes.get(at).copied().unwrap_or(0)
}

/// Overwrites the bytes at `at`.
pub(super) fn put(bytes: &mut [u8], at: usize, field: &[u8]) {
    at.checked_add(field.len())
        .and_then(|end| bytes.get_mut(at..end))
        .expect("places are those of the format, or were checked")
        .copy_from_slice(field);
}

pub(super) fn put_u16(bytes: &mut [u8], at: usize, value: u16) {
    put(bytes, at, &value.to_le_bytes());
}

pub(super) fn put_u32(bytes: &mut [u8], at: usize, value: u32) {
    put(bytes, at, &value.to_le_bytes());
}

/// Joins the two halves of a 64-bit field.
pub(super) fn join32(high: u32, low: u32) -> u64 {
    u64::from(high) << 32 | u64::from(low)
}

/// Joins the two halves of a 32-bit field.
pub(super) fn join16(high: u16, low: u16) -> u32 {
    u32::from(high) << 16 | u32::from(low)
}

/// Returns the high and low halves of a 64-bit field.
pub(super) fn split64(value: u64) -> (u32, u32) {
    let [a, b, c, d, e, f, g, h] = value.to_be_bytes();
    (u32::from_be_bytes([a, b, c, d]), u32::from_be_bytes([e, f, g, h]))
}

/// Returns the high and low halves of a 32-bit field.
pub(super) fn split32(value: u32) -> (u16, u16) {
    let [a, b, c, d] = value.to_be_bytes();
    (u16::from_be_bytes([a, b]), u16::from_be_bytes([c, d]))
}

/// Converts for indexing; what does not fit is past the end of any slice.
pub(super) fn index(value: impl TryInto<usize>) -> usize {
    value.try_into().unwrap_or(usize::MAX)
}

/// Converts a length; lengths in memory always fit.
pub(super) fn wide(value: usize) -> u64 {
    u64::try_from(value).expect("64 bits at most")
}
