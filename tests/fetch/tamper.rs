use super::support::{PATH, Setup, noise, xz, zip};
use crate::support::server::Step;
use piflash::base::digest::Sha256;

/// The whole of what an attacker or a bad disk can do to the file.
#[test]
fn every_other_file_is_refused() {
    let setup = Setup::new();
    let packed = &setup.packed;
    let mut flipped = packed.clone();
    flipped[packed.len() / 2] ^= 1;
    let mut other = setup.image.clone();
    other[5] ^= 1;
    let same_size = noise(packed.len(), 9);
    for (name, served, message) in [
        ("a flipped bit", flipped, "its xz data is damaged"),
        ("another file", same_size, "it unpacks to"),
        ("one byte more", [&packed[..], b"\0"].concat(), "bytes instead of"),
        (
            "one byte less",
            packed[..packed.len() - 1].to_vec(),
            "bytes instead of",
        ),
    ] {
        setup.server.put(PATH, &served);
        let error = setup.refused();
        assert!(error.contains(message), "{name}: {error}");
        assert_eq!(setup.partial(), [""; 0], "{name}");
    }
    setup.server.put(PATH, packed);
    setup.get_image();
}

/// The same, where less is known beforehand.
#[test]
fn what_is_known_is_compared() {
    let image = super::support::image();
    let mut other = image.clone();
    other[5] ^= 1;
    // A good file with other content.
    let mut setup = Setup::with(image.clone(), xz(&image));
    setup.server.put(PATH, &xz(&other));
    setup.wanted.download_size = None;
    let error = setup.refused();
    assert!(error.contains("the download's SHA-256 is"), "{error}");
    setup.wanted.download_sha256 = None;
    let error = setup.refused();
    assert!(error.contains("the image's SHA-256 is"), "{error}");
    let expected = format!("instead of {}", Sha256::of(&image));
    assert!(error.contains(&expected), "{error}");
    setup.wanted.image_size = Some(image.len() as u64 + 1);
    let error = setup.refused();
    assert!(error.contains("it unpacks to"), "{error}");
    setup.wanted.image_size = Some(image.len() as u64 - 1);
    let error = setup.refused();
    assert!(error.contains("it unpacks to more than"), "{error}");
    assert_eq!(setup.partial(), [""; 0]);
}

#[test]
fn bad_archives_are_refused_though_nothing_is_known() {
    let image = super::support::image();
    let good = xz(&image);
    let bomb = xz(&vec![0; 40 << 20]);
    let mut setup = Setup::with(image.clone(), good.clone());
    setup.unpinned();
    for (served, message) in [
        (good[..good.len() / 2].to_vec(), "its xz data is truncated"),
        (
            [&good[..], b"garbage"].concat(),
            "there is something behind its xz data",
        ),
        (
            zip(&[("a.img", &image), ("b.img", &image)]),
            "the zip holds 2 files instead of one image",
        ),
        (b"BZh91AY&SY".to_vec(), "it is bzip2"),
        (b"".to_vec(), "it is empty"),
    ] {
        setup.server.put(PATH, &served);
        let error = setup.refused();
        assert!(error.contains(message), "{error}");
        assert_eq!(setup.partial(), [""; 0]);
    }
    setup.server.put(PATH, &bomb);
    setup.wanted.image_size = Some(1 << 20);
    let error = setup.refused();
    assert!(error.contains("it unpacks to more than 1048576"), "{error}");
}

#[test]
fn a_lying_length_is_seen() {
    let setup = Setup::new();
    let len = setup.packed.len() as u64;
    setup.server.script(PATH, [Step::Length(len - 100)]);
    let error = setup.refused();
    assert!(error.contains(&format!("instead of {len}")), "{error}");
    let mut setup = Setup::new();
    setup.wanted.download_size = None;
    setup.server.script(PATH, [Step::Length(len - 100)]);
    let error = setup.refused();
    assert!(error.contains("its xz data is truncated"), "{error}");
    assert_eq!(setup.partial(), [""; 0]);
    setup.get_image();
}

#[test]
fn every_format_comes_through_the_cache() {
    let image = super::support::image();
    for packed in [
        image.clone(),
        super::support::pipe("gzip", &["-1"], &image),
        super::support::pipe("zstd", &["-q", "-1"], &image),
        zip(&[("node.img", &image)]),
    ] {
        let setup = Setup::with(image.clone(), packed);
        setup.server.script(PATH, [Step::Cut(1000)]);
        setup.get_image();
    }
}

#[test]
fn a_full_disk_is_told_and_the_part_kept() {
    let mut setup = Setup::new();
    // A file size limit would end the process: /dev/full is the full disk.
    let partial = setup.cache.dir().join("partial");
    std::fs::create_dir_all(&partial).unwrap();
    let key = format!("image-{}", setup.wanted.image_sha256.unwrap());
    let image = partial.join(format!("{key}.img"));
    std::os::unix::fs::symlink("/dev/full", &image).unwrap();
    setup.options.attempts = 1;
    let error = setup.refused();
    assert!(error.contains("no space left for"), "{error}");
    assert!(error.contains(&image.display().to_string()), "{error}");
    let names = setup.partial();
    assert!(names.contains(&format!("{key}.part")), "{names:?}");
    setup.get_image();
}
