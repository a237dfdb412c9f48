//! Block maps over the same overlays as every sink, judged by bmaptool(1).

use super::conformance::{Case, cases};
use crate::support::{bmap::copy_onto, oracle::run};
use piflash::{
    progress::Silent,
    sink::bmap::{BaseChecksums, write_map},
};
use std::{fs, path::Path, sync::Arc};

const BLOCK: u64 = 4096;

/// Copies the image by its map onto garbage; returns what is there then.
fn copied(image: &[u8], map: &Path, dir: &Path) -> Vec<u8> {
    let (from, to) = (dir.join("node3.img"), dir.join("card"));
    fs::write(&from, image).unwrap();
    fs::write(&to, vec![0xa5; image.len()]).unwrap();
    copy_onto(&from, map, &to).unwrap();
    fs::read(to).unwrap()
}

/// Ranges of a case that hold nothing: none, the first quarter, all odd
/// pieces of 5,000 bytes.
fn unused(case: &Case, number: usize) -> Vec<(u64, u64)> {
    match number % 3 {
        0 => Vec::new(),
        1 => vec![(0, case.size / 4)],
        _ => (0..case.size / 10_000).map(|n| (n * 10_000, 5000)).collect(),
    }
}

#[test]
fn what_is_used_is_copied_and_the_rest_is_not_touched() {
    // bmaptool takes no empty image.
    let cases = cases().into_iter().filter(|case| case.size > 0);
    for (number, case) in cases.enumerate() {
        let (base, image) = case.model();
        let overlay = case.edit(Arc::new(base));
        let unused = unused(&case, number);
        let dir = tempfile::tempdir().unwrap();
        let map = dir.path().join("node3.img.bmap");
        let known = BaseChecksums::default();
        let written =
            write_map(&overlay, &unused, &known, &map, &Silent).unwrap();
        let card = copied(&image, &map, dir.path());
        let mut mapped = 0;
        for (at, (there, wanted)) in card
            .chunks(BLOCK as usize)
            .zip(image.chunks(BLOCK as usize))
            .enumerate()
        {
            let start = at as u64 * BLOCK;
            let end = start + wanted.len() as u64;
            let free =
                unused.iter().any(|(at, len)| *at <= start && end <= at + len);
            if free {
                assert!(there.iter().all(|b| *b == 0xa5), "{}", case.name);
            } else {
                assert!(there == wanted, "{}: block {at}", case.name);
                mapped += BLOCK;
            }
        }
        assert_eq!(written.mapped, mapped, "{}", case.name);
        // The second node over this base reads only what differs from it.
        let again = dir.path().join("again.bmap");
        write_map(&overlay, &unused, &known, &again, &Silent).unwrap();
        assert!(fs::read(&again).unwrap() == fs::read(&map).unwrap());
    }
}

/// A map is worth nothing if it does not tell right from wrong.
#[test]
fn a_wrong_byte_is_found() {
    let case = &cases()[2];
    let (base, mut image) = case.model();
    let overlay = case.edit(Arc::new(base));
    let dir = tempfile::tempdir().unwrap();
    let map = dir.path().join("node3.img.bmap");
    let known = BaseChecksums::default();
    write_map(&overlay, &[], &known, &map, &Silent).unwrap();
    image[5_000_000] ^= 1;
    let (from, to) = (dir.path().join("node3.img"), dir.path().join("card"));
    fs::write(&from, image).unwrap();
    let [map, from, to] = [map, from, to].map(|p| p.display().to_string());
    let args = ["copy", "--bmap", &map, &from, &to];
    let said = run("bmaptool", &args).unwrap_err();
    assert!(said.0.contains("checksum"), "{said:?}");
    // And the map knows itself.
    let text = fs::read_to_string(&map).unwrap();
    fs::write(&map, text.replacen("Range", "Rangf", 2)).unwrap();
    assert!(run("bmaptool", &args).is_err());
}
