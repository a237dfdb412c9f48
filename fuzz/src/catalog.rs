//! What vendors say of their images.

use std::sync::OnceLock;

use piflash::base::catalog::{
    Added, Catalog, IMAGER_LIST, ImagerList, listed_digest, parse_sha256sums,
};

const RELEASE: &str = "https://cdimage.ubuntu.com/releases/24.04/release/";
/// Between the documents of an input.
const MARK: &[u8] = b"\n%%%\n";

fn catalog() -> Catalog {
    static EMBEDDED: OnceLock<Catalog> = OnceLock::new();
    EMBEDDED.get_or_init(|| Catalog::embedded().expect("a good one")).clone()
}

fn merge(entries: Vec<piflash::base::catalog::Entry>) {
    let mut catalog = catalog();
    if catalog.merge(entries.clone()).is_err() {
        return;
    }
    let again = catalog.merge(entries).expect("it agrees with itself");
    assert_eq!(again, Added::default(), "nothing is new the second time");
    for (alias, entry) in catalog.aliases() {
        let found = catalog.find(alias).expect("it is an alias");
        assert_eq!(found, entry);
    }
    for entry in catalog.entries() {
        assert!(entry.url.starts_with("https://"), "{}", entry.url);
        let _ = catalog.newer(entry);
    }
}

pub(crate) fn imager_list(data: &[u8]) {
    let mut list = ImagerList::new(IMAGER_LIST);
    let mut rest = data;
    let mut documents = 0;
    while let Some(url) = list.next_url() {
        assert!(url.starts_with("https://"), "{url}");
        documents += 1;
        assert!(documents < 100, "lists without end");
        let mark = rest.windows(MARK.len()).position(|w| w == MARK);
        let document = match mark {
            Some(at) => {
                let (document, behind) = rest.split_at(at);
                rest = &behind[MARK.len()..];
                document
            }
            None => std::mem::take(&mut rest),
        };
        let _ = list.read(document);
    }
    merge(list.into_entries());
}

pub(crate) fn sha256sums(data: &[u8]) {
    let Ok(entries) = parse_sha256sums(RELEASE, data) else { return };
    for entry in &entries {
        let file = entry.url.strip_prefix(RELEASE).expect("below it");
        let digest = listed_digest(data, file);
        assert!(digest.is_some() && entry.download.sha256.is_some());
    }
    merge(entries);
}
