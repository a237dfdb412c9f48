//! What a program is compiled for, by its ELF header (elf.h).

use super::facts::Architecture;

/// Bytes of a file that [`machine`] needs.
pub(super) const HEAD: u64 = 20;

/// `e_machine`.
const EM_ARM: u16 = 40;
const EM_X86_64: u16 = 62;
const EM_AARCH64: u16 = 183;

/// Returns what an ELF file is compiled for, or what it is instead.
pub(super) fn machine(content: &[u8]) -> Result<Architecture, String> {
    let header = content.get(..20).filter(|h| h.starts_with(b"\x7fELF"));
    let Some(header) = header else {
        return Err("not an ELF program".into());
    };
    if header.get(5) != Some(&1) {
        return Err("a big-endian program".into());
    }
    let word = header.get(18..20).and_then(|w| w.try_into().ok());
    match word.map(u16::from_le_bytes) {
        Some(EM_AARCH64) => Ok(Architecture::Arm64),
        Some(EM_ARM) => Ok(Architecture::Armhf),
        Some(EM_X86_64) => Ok(Architecture::Amd64),
        Some(other) => Err(format!("for the unknown ELF machine {other}")),
        None => Err("a truncated ELF program".into()),
    }
}
