use super::support::{chain, image, noise, pipe, xz, zip};
use piflash::base::{
    digest::Sha256,
    unpack::{Format, Limits, UnpackError, Unpacked, unpack},
};
use std::{
    fs::{self, File},
    io::BufReader,
    os::unix::fs::MetadataExt,
};

fn try_unpack(
    packed: &[u8],
    limits: &Limits,
) -> Result<(Unpacked, Vec<u8>, u64), UnpackError> {
    let dir = tempfile::tempdir().unwrap();
    let from = dir.path().join("packed");
    let to = dir.path().join("image");
    fs::write(&from, packed).unwrap();
    let out = File::create_new(&to).unwrap();
    // Small pieces: every boundary is met.
    let input = BufReader::with_capacity(1000, File::open(&from).unwrap());
    let unpacked = unpack(input, || File::open(&from), &out, limits)?;
    let blocks = fs::metadata(&to).unwrap().blocks();
    Ok((unpacked, fs::read(&to).unwrap(), blocks * 512))
}

fn good(packed: &[u8], format: Format, content: &[u8]) {
    let known =
        Limits { size: Some(content.len() as u64), ..Limits::default() };
    for limits in [known, Limits::default()] {
        let (unpacked, image, _) = try_unpack(packed, &limits)
            .unwrap_or_else(|e| panic!("{format}: {}", chain(&e)));
        assert_eq!(unpacked.format, format);
        assert_eq!(unpacked.size, content.len() as u64);
        assert_eq!(unpacked.sha256, Sha256::of(content));
        assert!(image == content, "{format}");
    }
}

fn bad(packed: &[u8]) -> String {
    chain(&try_unpack(packed, &Limits::default()).expect_err("unpacked"))
}

#[test]
fn every_format_unpacks() {
    let image = image();
    let two = [&image[..], &image[..]].concat();
    let single = pipe("xz", &["-1", "-T1"], &image);
    let gz = pipe("gzip", &["-1"], &image);
    let zst = pipe("zstd", &["-q", "-1"], &image);
    let skippable = b"\x50\x2a\x4d\x18\x03\0\0\0abc".as_slice();
    let none = pipe("xz", &["-0", "--check=none"], &image);
    good(&image, Format::Raw, &image);
    good(&xz(&image), Format::Xz, &image);
    good(&single, Format::Xz, &image);
    good(&none, Format::Xz, &image);
    good(&[&single[..], &xz(&image)].concat(), Format::Xz, &two);
    let padded = [&single[..], &[0; 4096], &single, &[0; 8]].concat();
    good(&padded, Format::Xz, &two);
    good(&gz, Format::Gz, &image);
    good(&[&gz[..], &gz].concat(), Format::Gz, &two);
    good(&zst, Format::Zst, &image);
    good(&[&zst[..], skippable, &zst].concat(), Format::Zst, &two);
    good(&zip(&[("node.img", &image)]), Format::Zip, &image);
    // Stored, since it does not compress.
    let noise = noise(100_000, 3);
    good(&zip(&[("node.img", &noise)]), Format::Zip, &noise);
    good(b"x", Format::Raw, b"x");
    good(&pipe("xz", &[], b"x"), Format::Xz, b"x");
}

#[test]
fn zero_blocks_are_holes() {
    let mut image = vec![0; 40 << 20];
    image[..4096].copy_from_slice(&noise(4096, 1));
    image[20 << 20..][..70_000].copy_from_slice(&noise(70_000, 2));
    let args = &["-0", "-T2", "--block-size=1048576"];
    for packed in [image.clone(), pipe("xz", args, &image)] {
        let (unpacked, found, taken) =
            try_unpack(&packed, &Limits::default()).unwrap();
        assert_eq!(unpacked.size, 40 << 20);
        assert!(found == image);
        assert!(taken <= 128 << 10, "{taken} bytes on the disk");
    }
}

#[test]
fn what_follows_is_refused() {
    let image = noise(50_000, 1);
    for (packed, word) in [
        (xz(&image), "xz"),
        (pipe("gzip", &[], &image), "gzip"),
        (pipe("zstd", &["-q"], &image), "zstd"),
        (zip(&[("a.img", &image)]), "zip"),
    ] {
        let expected = format!("there is something behind its {word} data");
        for junk in [&b"garbage and more of it"[..], b"x", b"\n", &[0; 5]] {
            let found = bad(&[&packed[..], junk].concat());
            assert_eq!(found, expected, "{junk:?}");
        }
    }
    // The first byte of another stream, and no stream.
    let junk = [&xz(&image)[..], b"\xfd7zXY and more of it"].concat();
    assert_eq!(bad(&junk), "there is something behind its xz data");
    let junk = [&pipe("gzip", &[], &image)[..], b"\x1f\x8cxxxxxxxxxxxx"];
    assert_eq!(bad(&junk.concat()), "there is something behind its gzip data");
}

#[test]
fn truncation_at_any_byte_is_seen() {
    let image = image();
    for (packed, word) in [
        (xz(&image), "xz"),
        (pipe("xz", &["-1", "-T1"], &image), "xz"),
        (pipe("gzip", &["-1"], &image), "gzip"),
        (pipe("zstd", &["-q", "-1"], &image), "zstd"),
        (zip(&[("a.img", &image)]), "zip"),
    ] {
        let len = packed.len();
        for end in [8, 13, 40, len / 3, len / 2, len - 13, len - 4, len - 1] {
            let found = bad(&packed[..end]);
            let truncated = format!("its {word} data is truncated");
            // A zip has its contents at the end.
            let damaged = format!("its {word} data is damaged");
            assert!(
                found == truncated
                    || word == "zip" && found.starts_with(&damaged),
                "{word} {end} of {len}: {found}"
            );
        }
    }
}

#[test]
fn flipped_bits_are_seen() {
    let image = image();
    for (packed, word) in [
        (xz(&image), "xz"),
        (pipe("gzip", &["-1"], &image), "gzip"),
        (pipe("zstd", &["-q", "-1", "--check"], &image), "zstd"),
        (zip(&[("a.img", &image)]), "zip"),
    ] {
        for at in [packed.len() / 4, packed.len() / 2, packed.len() * 3 / 4] {
            let mut packed = packed.clone();
            packed[at] ^= 0x10;
            let found = bad(&packed);
            assert!(found.contains(word), "{found}");
        }
    }
}

#[test]
fn sizes_are_limited() {
    let zeros = vec![0; 24 << 20];
    let bomb = pipe("xz", &["-6", "-T1"], &zeros);
    let fail = |limits: Limits| {
        chain(&try_unpack(&bomb, &limits).expect_err("unpacked"))
    };
    let default = Limits::default;
    let max_size = Limits { max_size: 23 << 20, ..default() };
    assert_eq!(fail(max_size), "it unpacks to more than 24117248 bytes");
    let known = Limits { size: Some(1000), ..default() };
    assert_eq!(fail(known), "it unpacks to more than 1000 bytes");
    let known = Limits { size: Some(25 << 20), ..default() };
    assert_eq!(fail(known), "it unpacks to 25165824 bytes instead of 26214400");
    let found = fail(Limits { free: 1 << 20, ..default() });
    assert!(found.contains("looks like a decompression bomb"), "{found}");
    // What is known to be so large is no bomb.
    let size = Some(24 << 20);
    let limits = Limits { size, free: 1 << 20, ..default() };
    try_unpack(&bomb, &limits).unwrap();
    let memory = Limits { memory: 4 << 20, ..default() };
    let found = fail(memory);
    assert_eq!(found, "unpacking it takes more than 4194304 bytes of memory");
}

#[test]
fn zips_hold_one_image() {
    let two = zip(&[("a.img", b"one"), ("b.img", b"two")]);
    assert_eq!(bad(&two), "the zip holds 2 files instead of one image");
    let none = b"PK\x05\x06\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0";
    assert_eq!(bad(none), "the zip holds 0 files instead of one image");
}

#[test]
fn other_formats_are_named() {
    for (packed, word) in [
        (&b"BZh91AY&SY"[..], "bzip2"),
        (b"7z\xbc\xaf\x27\x1c\0\x04", "7-Zip"),
        (b"QFI\xfb\0\0\0\x03", "qcow2"),
    ] {
        let expected = format!("it is {word}, which piflash does not unpack");
        assert_eq!(bad(packed), expected);
    }
    assert_eq!(bad(b""), "it is empty");
}
