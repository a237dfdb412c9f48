//! What lists add, and what they may not change.

use piflash::base::{
    catalog::{Added, Blob, Catalog, Entry},
    digest::Sha256,
    signature::Verification,
};
use std::fs;

const KNOWN: &str = "raspios-trixie-arm64-2026-10-06";

fn digest(byte: u8) -> Sha256 {
    Sha256::new([byte; 32])
}

/// A Raspberry Pi OS Lite that is not in the catalogue.
fn new_image(release: &str, date: &str) -> Entry {
    let url = format!(
        "https://downloads.raspberrypi.com/raspios_lite_arm64/images/x/\
         {date}-raspios-{release}-arm64-lite.img.xz"
    );
    let mut entry = Entry::of_url(&url, None).unwrap();
    entry.image.sha256 = Some(digest(1));
    entry
}

fn added(images: usize, completed: usize) -> Added {
    Added { images, completed }
}

#[test]
fn new_images_are_found_and_become_the_newest() {
    let mut catalog = Catalog::embedded().unwrap();
    let list = vec![
        new_image("trixie", "2027-01-11"),
        new_image("trixie", "2025-10-01"),
        new_image("bookworm", "2027-02-01"),
        // A release that nothing here knows is there, but not `raspios`.
        new_image("zurg", "2035-01-01"),
    ];
    assert_eq!(catalog.merge(list.clone()), Ok(added(4, 0)));
    let meant = |name: &str| catalog.find(name).unwrap().id.clone();
    assert_eq!(meant("raspios"), "raspios-trixie-arm64-2027-01-11");
    assert_eq!(meant("raspios-bookworm"), "raspios-bookworm-arm64-2027-02-01");
    assert_eq!(meant("raspios-zurg"), "raspios-zurg-arm64-2035-01-01");
    assert_eq!(meant("raspios-trixie-arm64-2025-10-01"), list[1].id);
    let found = catalog.find("raspios").unwrap();
    assert_eq!(found.verification(), Verification::HashOnly);
    // The second time there is nothing new.
    assert_eq!(catalog.merge(list), Ok(added(0, 0)));
}

#[test]
fn a_point_release_takes_over_an_alias_but_no_id() {
    let mut catalog = Catalog::embedded().unwrap();
    let url = "https://cdimage.ubuntu.com/releases/26.04/release/\
        ubuntu-26.04.1-preinstalled-server-arm64+raspi.img.xz";
    let mut entry = Entry::of_url(url, None).unwrap();
    entry.download.sha256 = Some(digest(2));
    catalog.merge(vec![entry]).unwrap();
    let meant = |name: &str| catalog.find(name).unwrap().id.clone();
    assert_eq!(meant("ubuntu-26.04"), "ubuntu-26.04.1-arm64");
    assert_eq!(meant("ubuntu"), "ubuntu-26.04.1-arm64");
    assert_eq!(meant("ubuntu-26.04-arm64"), "ubuntu-26.04-arm64");
}

#[test]
fn a_known_image_is_completed_and_keeps_its_url() {
    let mut catalog = Catalog::embedded().unwrap();
    // Only the digest of its download is part of the program.
    let id = "raspios-bookworm-arm64-2026-10-06";
    let known = catalog.find(id).unwrap().clone();
    assert_eq!(known.image, Blob::default());
    let mut list = known.clone();
    list.url = known.url.replace("raspberrypi.com", "raspberrypi.org");
    list.download.sha256 = None;
    list.image =
        Blob { size: Some(5120), sha256: Some(digest(3)), pinned: false };
    assert_eq!(catalog.merge(vec![list.clone()]), Ok(added(0, 1)));
    let found = catalog.find(id).unwrap();
    assert_eq!(found.url, known.url);
    assert_eq!(found.download, known.download);
    assert_eq!(found.image, list.image);
    assert!(found.download.pinned && !found.image.pinned);
}

#[test]
fn a_contradiction_names_both_and_changes_nothing() {
    let catalog = Catalog::embedded().unwrap();
    let complaint = |change: fn(&mut Entry)| {
        let mut catalog = catalog.clone();
        let mut entry = catalog.find(KNOWN).unwrap().clone();
        change(&mut entry);
        let list = vec![new_image("trixie", "2027-01-11"), entry];
        let error = catalog.merge(list).unwrap_err();
        // Not even what came before it.
        let ids = |c: &Catalog| c.entries().to_vec();
        assert_eq!(ids(&catalog), ids(&Catalog::embedded().unwrap()));
        error.to_string()
    };
    insta::assert_snapshot!(
        [
            complaint(|e| e.download.sha256 = Some(digest(4))),
            complaint(|e| e.image.sha256 = Some(digest(5))),
            complaint(|e| e.image.size = Some(6)),
            complaint(|e| {
                e.url = e.url.replace("raspberrypi.com", "raspberrypi.org");
                e.download.size = Some(7);
            }),
        ]
        .join("\n")
    );
    // A list that contradicts itself is no better.
    let mut other = new_image("trixie", "2027-01-11");
    other.image.sha256 = Some(digest(8));
    let list = vec![new_image("trixie", "2027-01-11"), other];
    assert!(catalog.clone().merge(list).is_err());
}

#[test]
fn additions_are_kept_in_a_file() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("updates.json");
    let mut catalog = Catalog::embedded().unwrap();
    // Nothing there yet.
    catalog.load(&path).unwrap();
    catalog.merge(vec![new_image("trixie", "2027-01-11")]).unwrap();
    catalog.save(&path).unwrap();
    insta::assert_snapshot!(fs::read_to_string(&path).unwrap());

    let mut again = Catalog::embedded().unwrap();
    again.load(&path).unwrap();
    assert_eq!(again.entries(), catalog.entries());
    // Saved again, they are all there.
    again.merge(vec![new_image("trixie", "2027-03-11")]).unwrap();
    again.save(&path).unwrap();
    let mut third = Catalog::embedded().unwrap();
    third.load(&path).unwrap();
    assert_eq!(third.entries(), again.entries());
    assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1);

    let error = catalog.save(&dir.path().join("no/folder")).unwrap_err();
    assert!(error.to_string().ends_with("no/folder cannot be written"));
}

#[test]
fn a_damaged_file_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("updates.json");
    let mut catalog = Catalog::embedded().unwrap();
    catalog.merge(vec![new_image("trixie", "2027-01-11")]).unwrap();
    catalog.save(&path).unwrap();
    let good = fs::read_to_string(&path).unwrap();
    let known = catalog.find(KNOWN).unwrap();
    let mut other = known.clone();
    other.image.sha256 = Some(digest(9));
    let contradicting = serde_json::json!({"version": 1, "entries": [other]});
    for (content, message) in [
        (good[..good.len() - 9].to_owned(), "is damaged"),
        (good.replace("\"version\": 1", "\"version\": 2"), "has format 2"),
        (good.replace("\"arm64\"", "\"armhf\""), "is damaged"),
        (good.replace("01010", "xyz"), "is damaged"),
        (" ".repeat((16 << 20) + 1), "is too large"),
        (contradicting.to_string(), "does not fit this version"),
    ] {
        fs::write(&path, content).unwrap();
        let mut catalog = Catalog::embedded().unwrap();
        let before = catalog.entries().to_vec();
        let error = catalog.load(&path).unwrap_err().to_string();
        assert!(error.contains("updates.json"), "{error}");
        assert!(error.contains(message), "{error}");
        assert_eq!(catalog.entries(), before);
    }
}
