//! .xz files: their indexes and what can be read through them.

mod hostile;
mod image;

use crate::support::xz::pack;

/// A mix that compresses, with runs of zeros.
pub fn content(len: usize) -> Vec<u8> {
    let mut state = 7u32;
    let mut bytes = Vec::with_capacity(len + 64);
    while bytes.len() < len {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        match state >> 30 {
            0 => bytes.resize(bytes.len() + (state >> 20) as usize % 5000, 0),
            1 => bytes.extend(state.to_le_bytes()),
            _ => {
                bytes.extend(format!("line {} of text\n", state >> 24).bytes())
            }
        }
    }
    bytes.truncate(len);
    bytes
}

/// Files of the same content, as different callers of xz make them.
pub fn variants(content: &[u8]) -> Vec<(&'static str, Vec<u8>)> {
    let cut = content.len() / 3;
    let half = |range: &[u8], args: &[&str]| pack(range, args);
    let joined = |padding: &[u8]| {
        [
            half(&content[..cut], &["-0", "-T2", "--block-size=30000"]),
            padding.to_vec(),
            half(&content[cut..], &["-1", "--check=crc32"]),
            padding.to_vec(),
        ]
        .concat()
    };
    let blocks = ["-0", "-T2", "--block-size=50000"];
    let with = |more: &str| pack(content, &[&blocks[..], &[more]].concat());
    let empty = pack(b"", &[]);
    vec![
        ("one block", pack(content, &["-0", "-T1"])),
        ("many blocks", with("--check=crc64")),
        ("no sizes in headers", {
            pack(content, &["-0", "-T1", "--block-size=50000"])
        }),
        ("crc32", with("--check=crc32")),
        ("sha256", with("--check=sha256")),
        ("no check", with("--check=none")),
        ("a filter", {
            let chain = ["--delta=dist=4", "--lzma2=preset=0"];
            pack(
                content,
                &[&chain[..], &["-T2", "--block-size=50000"]].concat(),
            )
        }),
        ("two streams", joined(b"")),
        ("padding", joined(&[0; 8])),
        ("much padding", joined(&vec![0; 300_000])),
        ("empty streams between", {
            [&empty[..], &joined(&[0; 4]), &empty, &[0; 12], &empty].concat()
        }),
    ]
}
