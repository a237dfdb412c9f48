//! Hashes of names, which order the index of a directory.
//!
//! Half MD4 is the first, second and third round of MD4 (RFC 1320) with
//! eight of sixteen words; TEA is Wheeler and Needham's Tiny Encryption
//! Algorithm with 16 rounds. What the format adds: the packing of names into
//! words, and a lowest bit of zero (it marks continued hashes in an index).

const LEGACY: u8 = 0;
const HALF_MD4: u8 = 1;
const TEA: u8 = 2;
/// The highest value is reserved for the end of a directory.
const END: u32 = 0xFFFF_FFFE;

/// Which hash a directory uses.
#[derive(Clone, Copy, Debug)]
pub(super) struct HashKind {
    pub(super) version: u8,
    pub(super) unsigned: bool,
    pub(super) seed: [u32; 4],
}

impl HashKind {
    pub(super) fn is_known(self) -> bool {
        self.version <= TEA
    }

    /// Hashes a name; the lowest bit of the result is zero.
    pub(super) fn hash(self, name: &[u8]) -> u32 {
        let mut state = [0x6745_2301, 0xEFCD_AB89, 0x98BA_DCFE, 0x1032_5476];
        if self.seed != [0; 4] {
            state = self.seed;
        }
        let hash = match self.version {
            LEGACY => self.legacy(name),
            HALF_MD4 => {
                for part in chunks(name, 32) {
                    half_md4(&mut state, &self.words::<8>(part));
                }
                state[1]
            }
            _ => {
                for part in chunks(name, 16) {
                    tea(&mut state, &self.words::<4>(part));
                }
                state[0]
            }
        };
        let hash = hash & !1;
        if hash == END { END.wrapping_sub(2) } else { hash }
    }

    /// Widens a character as `char` of the machine that made the file system.
    fn widen(self, byte: u8) -> u32 {
        if self.unsigned {
            u32::from(byte)
        } else {
            i32::from(byte.cast_signed()).cast_unsigned()
        }
    }

    fn legacy(self, name: &[u8]) -> u32 {
        let (mut hash0, mut hash1) = (0x12A3_FE2D_u32, 0x37AB_E8F9_u32);
        for &byte in name {
            let step = self.widen(byte).wrapping_mul(7_152_373);
            let mut hash = hash1.wrapping_add(hash0 ^ step);
            if hash & 0x8000_0000 != 0 {
                hash = hash.wrapping_sub(0x7FFF_FFFF);
            }
            hash1 = hash0;
            hash0 = hash;
        }
        hash0 << 1
    }

    /// Packs the next part of a name into `N` words: four characters each,
    /// the first highest; what is missing is filled with the length of all
    /// that was left of the name.
    fn words<const N: usize>(self, rest: &[u8]) -> [u32; N] {
        let len = u32::try_from(rest.len()).expect("255 at most");
        let pad = len | len << 8;
        let pad = pad | pad << 16;
        let mut words = [pad; N];
        for (word, bytes) in words.iter_mut().zip(rest.chunks(4)) {
            *word = bytes.iter().fold(pad, |word, &byte| {
                (word << 8).wrapping_add(self.widen(byte))
            });
        }
        words
    }
}

/// Yields what is left of `name` before each step of `size` bytes.
fn chunks(name: &[u8], size: usize) -> impl Iterator<Item = &[u8]> {
    (0..name.len()).step_by(size).map(|at| name.get(at..).unwrap_or(&[]))
}

fn half_md4(state: &mut [u32; 4], words: &[u32; 8]) {
    type Mixer = fn(u32, u32, u32) -> u32;
    let rounds: [(Mixer, u32, [usize; 8], [u32; 4]); 3] = [
        (|x, y, z| x & y | !x & z, 0, [0, 1, 2, 3, 4, 5, 6, 7], [3, 7, 11, 19]),
        (
            |x, y, z| x & y | x & z | y & z,
            0x5A82_7999,
            [1, 3, 5, 7, 0, 2, 4, 6],
            [3, 5, 9, 13],
        ),
        (
            |x, y, z| x ^ y ^ z,
            0x6ED9_EBA1,
            [3, 7, 2, 6, 1, 5, 0, 4],
            [3, 9, 11, 15],
        ),
    ];
    let [mut a, mut b, mut c, mut d] = *state;
    for (mixer, constant, order, shifts) in rounds {
        for (at, shift) in order.into_iter().zip(shifts.into_iter().cycle()) {
            let word = words.get(at).copied().unwrap_or(0);
            let sum = a
                .wrapping_add(mixer(b, c, d))
                .wrapping_add(word)
                .wrapping_add(constant);
            (a, b, c, d) = (d, sum.rotate_left(shift), b, c);
        }
    }
    for (held, new) in state.iter_mut().zip([a, b, c, d]) {
        *held = held.wrapping_add(new);
    }
}

fn tea(state: &mut [u32; 4], key: &[u32; 4]) {
    let [mut y, mut z, ..] = *state;
    let mut sum = 0u32;
    let mix = |value: u32, first: u32, second: u32, sum: u32| {
        (value << 4).wrapping_add(first)
            ^ value.wrapping_add(sum)
            ^ (value >> 5).wrapping_add(second)
    };
    for _ in 0..16 {
        sum = sum.wrapping_add(0x9E37_79B9);
        y = y.wrapping_add(mix(z, key[0], key[1], sum));
        z = z.wrapping_add(mix(y, key[2], key[3], sum));
    }
    state[0] = state[0].wrapping_add(y);
    state[1] = state[1].wrapping_add(z);
}
