//! The two checksums of ext4, as the format seeds them.

/// Continues a CRC-32C without the customary inversions, which is how ext4
/// chains it (`metadata_csum`).
pub(super) fn crc32c(seed: u32, bytes: &[u8]) -> u32 {
    !crc32c::crc32c_append(!seed, bytes)
}

/// Continues a CRC-16 (polynomial 0x8005, reflected; `uninit_bg`).
pub(super) fn crc16(seed: u16, bytes: &[u8]) -> u16 {
    bytes.iter().fold(seed, |crc, &byte| {
        (0..8).fold(crc ^ u16::from(byte), |crc, _| {
            let carry = if crc & 1 == 1 { 0xA001 } else { 0 };
            crc >> 1 ^ carry
        })
    })
}

#[cfg(test)]
mod tests {
    use super::{crc16, crc32c};

    /// Check values of the catalogue of parametrised CRC algorithms.
    #[test]
    fn catalogue_check_values() {
        assert_eq!(!crc32c(!0, b"123456789"), 0xE306_9283);
        assert_eq!(crc16(!0, b"123456789"), 0x4B37);
        assert_eq!(crc16(0, b"123456789"), 0xBB3D);
    }
}
