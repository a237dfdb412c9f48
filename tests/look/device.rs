//! A card in its reader is looked at as its image is.

use super::{cards, json};
use crate::write::loops::Loop;
use std::{fs, os::unix::fs::FileExt};

#[test]
#[ignore = "needs root and a loop device"]
fn a_written_card_is_what_its_image_is() {
    let cards = cards();
    let image = cards.node("node3");
    let bytes = fs::read(&image).unwrap();
    // Of a file that piflash laid down.
    let text = b"piflash: build this node";
    let at = bytes.windows(text.len()).rposition(|w| w == text).unwrap();
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("card");
    for sector in ["512", "4096"] {
        // Larger, and full of what was there before.
        fs::write(&file, vec![0xa5; bytes.len() + (3 << 20)]).unwrap();
        let card = Loop::of(&file, &["-b", sector]);
        let name = card.path();
        let written = cards.run(&[
            "write",
            image.to_str().unwrap(),
            name,
            "--allow-fixed",
            "--yes",
        ]);
        assert_eq!(written.code, Some(0), "{written}");

        let inspect = |path| json(&cards.run(&["inspect", "--json", path]));
        let of_image = inspect(image.to_str().unwrap());
        let of_card = inspect(name);
        for key in ["table", "partitions", "facts", "manifest"] {
            assert!(!of_image[key].is_null(), "{key}: {of_image:#}");
            assert_eq!(of_card[key], of_image[key], "{key}");
        }
        let hostname = cards.run(&["inspect", name, "/etc/hostname"]);
        assert_eq!(hostname.stdout, "node3\n", "{hostname}");
        let verified = cards.verify(&card.path);
        assert_eq!(verified.code, Some(0), "{verified}");
        let differs = cards.run(&["diff", image.to_str().unwrap(), name]);
        assert_eq!(differs.code, Some(0), "{differs}");

        let device = fs::OpenOptions::new().write(true).open(&card.path);
        device.unwrap().write_all_at(b"T", at as u64).unwrap();
        let verified = cards.verify(&card.path);
        assert_eq!(verified.code, Some(3), "{verified}");
    }
}
