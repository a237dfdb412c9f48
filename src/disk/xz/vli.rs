//! Variable-length integers: section 1.2 of the format's specification.

/// The largest value: 63 bits, in nine bytes.
const MAX: u64 = u64::MAX >> 1;

/// Takes an integer from the front of `bytes`. `None`: it is cut off, longer
/// than nine bytes, or not in its shortest form.
pub(super) fn take(bytes: &mut &[u8]) -> Option<u64> {
    let mut value = 0u64;
    for shift in (0u32..63).step_by(7) {
        let (&byte, rest) = bytes.split_first()?;
        *bytes = rest;
        value |= u64::from(byte & 0x7f).checked_shl(shift)?;
        if byte & 0x80 == 0 {
            let minimal = byte != 0 || shift == 0;
            return minimal.then_some(value);
        }
    }
    None
}

/// Appends an integer. `None`: it has more than 63 bits.
pub(super) fn put(mut value: u64, out: &mut Vec<u8>) -> Option<()> {
    if value > MAX {
        return None;
    }
    loop {
        let low = u8::try_from(value & 0x7f).ok()?;
        value >>= 7;
        if value == 0 {
            out.push(low);
            return Some(());
        }
        out.push(low | 0x80);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn there_and_back() {
        for value in [0, 1, 127, 128, 16383, 16384, MAX - 1, MAX] {
            let mut bytes = Vec::new();
            put(value, &mut bytes).unwrap();
            bytes.push(0xaa);
            let mut rest = bytes.as_slice();
            assert_eq!(take(&mut rest), Some(value));
            assert_eq!(rest, [0xaa]);
        }
        let mut bytes = Vec::new();
        put(MAX, &mut bytes).unwrap();
        assert_eq!(bytes.len(), 9);
        assert_eq!(put(MAX + 1, &mut bytes), None);
    }

    #[test]
    fn refuses_what_is_not_shortest() {
        for bytes in [
            &[][..],
            &[0x80],
            &[0x80, 0x00],
            &[0xff, 0x80, 0x00],
            &[0xff; 9],
            &[0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x01],
        ] {
            assert_eq!(take(&mut &bytes[..]), None, "{bytes:x?}");
        }
    }
}
