//! `images/catalog.yaml` is well-formed, and its names mean what is
//! documented.

use crate::support::repository;
use piflash::base::{
    catalog::{Catalog, Entry, Os},
    facts::{Architecture, Flavour},
    signature::{RASPBERRY_PI, Scheme, UBUNTU, Verification},
};
use std::{collections::BTreeSet, fs};

/// Images with a known digest: raise it with every row that is added.
const ROWS: usize = 64;

fn catalog() -> Catalog {
    Catalog::embedded().unwrap()
}

/// The rows as a reader that is not ours sees them.
fn rows() -> Vec<serde_json::Value> {
    let path = repository().join("images/catalog.yaml");
    let text = fs::read_to_string(path).unwrap();
    serde_saphyr::from_str(&text).unwrap()
}

#[test]
fn every_row_is_there_once() {
    let rows = rows();
    assert_eq!(rows.len(), ROWS);
    let catalog = catalog();
    assert_eq!(catalog.entries().len(), ROWS);
    for key in ["id", "url"] {
        let values: BTreeSet<&str> =
            rows.iter().map(|row| row[key].as_str().unwrap()).collect();
        assert_eq!(values.len(), ROWS, "{key} is not unique");
    }
    // A digest twice would be a row copied and not changed.
    let digests: Vec<_> = catalog
        .entries()
        .iter()
        .flat_map(|entry| [entry.download.sha256, entry.image.sha256])
        .flatten()
        .collect();
    let unique: BTreeSet<_> = digests.iter().collect();
    assert_eq!(unique.len(), digests.len());
}

#[test]
fn rows_are_well_formed() {
    let hosts = [
        "https://downloads.raspberrypi.com/",
        "https://downloads.raspberrypi.org/",
        "https://cdimage.ubuntu.com/releases/",
    ];
    for row in rows() {
        let id = row["id"].as_str().unwrap();
        let url = row["url"].as_str().unwrap();
        assert!(hosts.iter().any(|host| url.starts_with(host)), "{id}: {url}");
        let blobs = [&row["download"], &row["image"]];
        let digests: Vec<&str> =
            blobs.iter().filter_map(|blob| blob["sha256"].as_str()).collect();
        assert!(!digests.is_empty(), "{id} has no digest");
        for digest in digests {
            let hex = |c| matches!(c, '0'..='9' | 'a'..='f');
            assert!(digest.len() == 64 && digest.chars().all(hex), "{id}");
            let kinds: BTreeSet<char> = digest.chars().collect();
            assert!(kinds.len() > 8, "{id}: {digest}");
        }
        let size = |blob: &serde_json::Value| blob["size"].as_u64();
        let (download, image) = (size(&row["download"]), size(&row["image"]));
        for (size, range) in [
            (download, 200_000_000..2_000_000_000),
            (image, 1_000_000_000..6_000_000_000),
        ] {
            assert!(size.is_none_or(|size| range.contains(&size)), "{id}");
        }
        // A whole number of sectors.
        assert!(image.is_none_or(|size| size % 512 == 0), "{id}");
        if let (Some(download), Some(image)) = (download, image) {
            assert!(download * 2 < image, "{id}");
        }
        // The file name has every part of the id in it.
        let file = url.rsplit('/').next().unwrap();
        let release = row["release"].as_str().unwrap();
        assert!(file.contains(release) && id.contains(release), "{id}");
        let arch = row["arch"].as_str().unwrap();
        assert!(id.contains(arch), "{id}");
        assert!(file.contains(arch) || file.contains("raspbian"), "{id}");
        if let Some(date) = row["date"].as_str() {
            let (year, month) = (&date[..4], &date[5..7]);
            assert!(("2019".."2027").contains(&year), "{id}");
            assert!(("01"..="12").contains(&month), "{id}");
            if id.starts_with("raspios") {
                assert!(file.starts_with(date) && id.ends_with(date), "{id}");
            }
        } else {
            assert!(id.starts_with("ubuntu"), "{id} has no date");
        }
    }
}

#[test]
fn entries_pass_their_own_check_and_are_pinned() {
    for entry in catalog().entries() {
        entry.check().unwrap();
        assert_eq!(entry.verification(), Verification::PinnedHash);
        let expected = entry.expected();
        assert_eq!(expected.architecture, entry.arch);
        let flavour = match entry.os {
            Os::RaspberryPiOs => Flavour::RaspberryPiOs,
            Os::Ubuntu => Flavour::Ubuntu,
        };
        assert_eq!(expected.flavour, flavour);
    }
}

#[test]
fn a_row_that_contradicts_its_file_name_is_refused() {
    let catalog = catalog();
    let good = catalog.find("raspios-trixie-arm64-2026-10-06").unwrap();
    let wrong = |change: fn(&mut Entry)| {
        let mut entry = good.clone();
        change(&mut entry);
        entry.check().unwrap_err().to_string()
    };
    insta::assert_snapshot!(
        [
            wrong(|e| e.id = "raspios".to_owned()),
            wrong(|e| e.arch = Architecture::Armhf),
            wrong(|e| e.release = "bookworm".to_owned()),
            wrong(|e| e.date = Some("2026-10-07".parse().unwrap())),
            wrong(|e| e.date = None),
            wrong(|e| e.os = Os::Ubuntu),
            wrong(|e| e.url = e.url.replace("https", "http")),
            wrong(|e| e.url = e.url.replace("https://", "ftp://")),
            wrong(|e| e.url = e.url.replace("pi.com", "pi.com.example.net")),
            wrong(|e| e.url = e.url.replace("-lite", "")),
            wrong(|e| e.download.size = Some(0)),
            wrong(|e| {
                e.download.sha256 = None;
                e.image.sha256 = None;
            }),
        ]
        .join("\n")
    );
}

#[test]
fn aliases_mean_the_newest() {
    let catalog = catalog();
    let meant = |name: &str| catalog.find(name).unwrap().id.clone();
    // Every alias, except where a newer image is added.
    for (alias, id) in [
        ("raspios", "raspios-trixie-arm64-2026-10-06"),
        ("raspios-trixie", "raspios-trixie-arm64-2026-10-06"),
        ("raspios-armhf", "raspios-trixie-armhf-2026-09-15"),
        ("raspios-bookworm", "raspios-bookworm-arm64-2026-10-06"),
        ("raspios-bookworm-armhf", "raspios-bookworm-armhf-2026-09-15"),
        ("raspios-bullseye", "raspios-bullseye-arm64-2025-05-06"),
        ("raspios-bullseye-armhf", "raspios-bullseye-armhf-2024-10-22"),
        ("raspios-buster", "raspios-buster-arm64-2021-05-07"),
        ("raspios-buster-armhf", "raspios-buster-armhf-2023-05-03"),
        ("ubuntu", "ubuntu-26.04-arm64"),
        ("ubuntu-26.04", "ubuntu-26.04-arm64"),
        ("ubuntu-25.10", "ubuntu-25.10-arm64"),
        ("ubuntu-24.04", "ubuntu-24.04.5-arm64"),
        ("ubuntu-22.04", "ubuntu-22.04.5-arm64"),
        ("ubuntu-22.04-armhf", "ubuntu-22.04.5-armhf"),
        ("ubuntu-armhf", "ubuntu-22.04.5-armhf"),
        ("ubuntu-20.04", "ubuntu-20.04.5-arm64"),
        ("ubuntu-20.04-armhf", "ubuntu-20.04.5-armhf"),
    ] {
        assert_eq!(meant(alias), id, "{alias}");
        assert!(catalog.aliases_of(id).contains(&alias), "{alias}");
    }
    for entry in catalog.entries() {
        assert_eq!(meant(&entry.id), entry.id);
    }
    let ids: BTreeSet<&str> =
        catalog.entries().iter().map(|entry| entry.id.as_str()).collect();
    for (alias, entry) in catalog.aliases() {
        assert_eq!(meant(alias), entry.id);
        assert!(!ids.contains(alias), "{alias} is an id and an alias");
    }
}

#[test]
fn an_unknown_name_gets_near_ones() {
    let catalog = catalog();
    let error = |name: &str| catalog.find(name).unwrap_err();
    let said = |name: &str| error(name).to_string();
    insta::assert_snapshot!(
        [
            said("raspios-trixi"),
            said("Raspios-Bookworm"),
            said("ubuntu-24.4"),
            said("bullseye-armhf-2022-04"),
            said("fedora"),
            said(""),
            said(&"x".repeat(1000)),
        ]
        .join("\n")
    );
    let near = error("ubuntu-20").near;
    assert!(near.len() <= 5);
    assert!(near.contains(&"ubuntu-20.04".to_owned()), "{near:?}");
    assert!(near.contains(&"ubuntu-20.04-armhf".to_owned()), "{near:?}");
    assert_eq!(error("fedora").near, [""; 0]);
    for (name, meant) in [
        ("raspbian", "raspios"),
        ("rasbian", "raspios"),
        ("trixe", "raspios-trixie"),
        ("raspbian-bullseye", "raspios-bullseye"),
    ] {
        assert_eq!(error(name).near[0], meant, "{name}");
    }
}

/// The vendors' own: facts of their servers, of their release notes.
#[test]
fn every_image_says_where_its_signature_is() {
    let catalog = catalog();
    for entry in catalog.entries() {
        let source = entry.signature();
        let (folder, file) = entry.url.rsplit_once('/').unwrap();
        let (scheme, pinned) = match entry.os {
            Os::RaspberryPiOs => {
                let signature = format!("{folder}/{file}.sig");
                (Scheme::File { signature }, RASPBERRY_PI)
            }
            Os::Ubuntu => {
                let scheme = Scheme::Sums {
                    sums: format!("{folder}/SHA256SUMS"),
                    signature: format!("{folder}/SHA256SUMS.gpg"),
                    file: file.replace("%2B", "+"),
                };
                (scheme, UBUNTU)
            }
        };
        assert_eq!(source.scheme, scheme, "{}", entry.id);
        assert_eq!(source.pinned, pinned, "{}", entry.id);
    }
    let source = catalog.find("ubuntu-24.04").unwrap().signature();
    let Scheme::Sums { sums, file, .. } = &source.scheme else {
        panic!("{source:?}")
    };
    assert_eq!(
        sums,
        "https://cdimage.ubuntu.com/releases/24.04/release/SHA256SUMS"
    );
    assert!(file.ends_with("-preinstalled-server-arm64+raspi.img.xz"));
    assert_eq!(
        source.key_url(UBUNTU[0]).unwrap(),
        "https://keyserver.ubuntu.com/pks/lookup?op=get&options=mr\
         &search=0x843938DF228D22F7B3742BC0D94AA3F0EFE21092"
    );
}
