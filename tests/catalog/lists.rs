//! The vendors' own lists, well-formed and not.

use piflash::base::catalog::{
    Entry, ImagerList, listed_digest, parse_sha256sums,
};
use proptest::prelude::*;
use serde_json::{Value, json};

const LITE: &str = "https://downloads.raspberrypi.com/raspios_lite_arm64/\
    images/raspios_lite_arm64-2027-01-12/\
    2027-01-11-raspios-trixie-arm64-lite.img.xz";
const SERVER: &str = "http://cdimage.ubuntu.com/releases/26.04/release/\
    ubuntu-26.04.2-preinstalled-server-arm64+raspi.img.xz";

fn hex(digit: char) -> String {
    "0123456789abcdef".replace('0', &digit.to_string()).repeat(4)
}

/// A row as rpi-imager's list has it, for 64 bits.
fn image(url: &str) -> Value {
    json!({
        "name": "Some system",
        "description": "As the list has it",
        "icon": "https://downloads.raspberrypi.com/icon.png",
        "url": url,
        "extract_size": 3_000_000_512_u64,
        "extract_sha256": hex('a'),
        "image_download_size": 500_000_001,
        "release_date": "2027-01-11",
        "init_format": "cloudinit-rpi",
        "devices": ["pi5-64bit", "pi4-64bit", "pi3-64bit"],
        "capabilities": ["rpi_connect"],
        "something_new": {"nobody": ["knows"]},
    })
}

fn with(mut row: Value, key: &str, value: Value) -> Value {
    row[key] = value;
    row
}

fn without(mut row: Value, key: &str) -> Value {
    row.as_object_mut().unwrap().remove(key).unwrap();
    row
}

fn read(rows: &Value) -> ImagerList {
    let mut list = ImagerList::new("https://downloads.raspberrypi.com/l.json");
    let document = json!({"imager": {"latest_version": "2"}, "os_list": rows});
    list.read(document.to_string().as_bytes()).unwrap();
    list
}

fn entries(rows: &Value) -> Vec<Entry> {
    let list = read(rows);
    assert_eq!(list.next_url(), None);
    list.into_entries()
}

#[test]
fn version_4_is_read_through_its_folders() {
    let sums = with(image(SERVER), "image_download_sha256", json!(hex('b')));
    let sums = with(sums, "init_format", json!("cloudinit"));
    let list = entries(&json!([
        {"name": "other", "subitems": [
            {"name": "Ubuntu", "devices": ["pi2-32bit"], "subitems": [sums]},
            image(LITE),
        ]},
    ]));
    insta::assert_snapshot!(serde_json::to_string_pretty(&list).unwrap());
    for entry in &list {
        entry.check().unwrap();
        assert!(!entry.download.pinned && !entry.image.pinned);
    }
}

#[test]
fn version_3_has_no_devices_and_less_of_the_rest() {
    let old = "https://downloads.raspberrypi.org/raspios_lite_armhf/images/\
        raspios_lite_armhf-2022-04-07/\
        2022-04-04-raspios-bullseye-armhf-lite.img.xz";
    let row = json!({
        "name": "Raspberry Pi OS Lite (32-bit)",
        "url": old,
        "extract_size": 2_017_460_224,
        "extract_sha256": hex('c'),
        "image_download_size": 310_991_552,
        "release_date": "2022-04-04",
    });
    let [entry] = &entries(&json!([row]))[..] else { panic!() };
    assert_eq!(entry.id, "raspios-bullseye-armhf-2022-04-04");
    assert_eq!(entry.init_format, None);
    assert_eq!(entry.download.size, Some(310_991_552));
    assert_eq!(entry.download.sha256, None);
}

#[test]
fn rows_that_are_no_use_are_counted() {
    let foreign = [
        "https://downloads.raspberrypi.com/raspios_arm64/images/x/\
            2025-11-24-raspios-trixie-arm64.img.xz",
        "https://example.net/2027-01-11-raspios-trixie-arm64-lite.img.xz",
        "https://cdimage.ubuntu.com/\
            2027-01-11-raspios-trixie-arm64-lite.img.xz",
        "https://downloads.raspberrypi.com.example.net/\
            2027-01-11-raspios-trixie-arm64-lite.img.xz",
        "https://user@downloads.raspberrypi.com/\
            2027-01-11-raspios-trixie-arm64-lite.img.xz",
        "https://downloads.raspberrypi.com/../\
            2027-01-11-raspios-trixie-arm64-lite.img.xz",
        "https://cdimage.ubuntu.com/ubuntu-26.04-preinstalled-desktop-arm64\
            +raspi.img.xz",
        "file:///etc/passwd",
        "",
    ];
    // An empty text is as good as none.
    let rows: Vec<Value> = foreign.iter().map(|url| image(url)).collect();
    let list = read(&json!(rows));
    assert_eq!((list.foreign(), list.unusable()), (foreign.len() - 1, 0));
    assert_eq!(list.into_entries(), []);

    let unusable = json!([
        without(image(LITE), "extract_sha256"),
        with(image(LITE), "extract_sha256", json!("")),
        with(image(LITE), "extract_sha256", json!("abc")),
        with(image(LITE), "image_download_sha256", json!("abc")),
        with(image(LITE), "extract_size", json!(u64::MAX)),
        with(image(LITE), "devices", json!(["pi1-32bit"])),
    ]);
    let list = read(&unusable);
    assert_eq!((list.foreign(), list.unusable()), (0, 6));
    assert_eq!(list.into_entries(), []);

    for row in [
        json!(3),
        json!(null),
        json!([[]]),
        json!({"url": 4}),
        json!({"subitems": 4}),
        json!({"subitems_url": {}}),
        json!({}),
    ] {
        let list = read(&json!([row, image(LITE)]));
        assert_eq!(list.into_entries().len(), 1, "{row}");
    }
}

#[test]
fn further_lists_are_named_once_and_only_where_they_are_trusted() {
    let first = "http://127.0.0.1:8080/lists/v4.json";
    let mut list = ImagerList::new(first);
    assert_eq!(list.next_url(), Some(first));
    let vendor = "https://downloads.raspberrypi.com/more.json";
    let same = "http://127.0.0.1:8080/more.json";
    let document = json!({"os_list": [
        {"subitems_url": first},
        {"subitems_url": vendor},
        {"subitems": [{"subitems_url": same}, {"subitems_url": vendor}]},
        {"subitems_url": "http://127.0.0.1:80801/x.json"},
        {"subitems_url": "https://example.net/x.json"},
        {"subitems_url": "http://127.0.0.1:8080@example.net/x.json"},
        {"subitems_url": "file:///etc/passwd"},
    ]});
    list.read(document.to_string().as_bytes()).unwrap();
    assert_eq!(list.foreign(), 4);
    assert_eq!(list.next_url(), Some(vendor));
    list.read(json!({"os_list": [image(LITE)]}).to_string().as_bytes())
        .unwrap();
    // A bad document does not stop the rest.
    assert_eq!(list.next_url(), Some(same));
    let error = list.read(b"<html>").unwrap_err();
    assert_eq!(error.to_string(), format!("{same} is not JSON"));
    assert_eq!(list.next_url(), None);
    assert_eq!(list.into_entries().len(), 1);

    // Nor is a server trusted for beginning like the first one.
    let mut list = ImagerList::new("https://lists.example");
    let other = json!({"subitems_url": "https://lists.example.net/x.json"});
    list.read(json!({"os_list": [other]}).to_string().as_bytes()).unwrap();
    assert_eq!((list.foreign(), list.next_url()), (1, None));
}

#[test]
fn endless_lists_end() {
    let complaint = |document: String| {
        let mut list = ImagerList::new("https://example.net/l.json");
        list.read(document.as_bytes()).unwrap_err().to_string()
    };
    let mut folders = json!([]);
    for _ in 0..9 {
        folders = json!([{"subitems": folders}]);
    }
    let url = |n| json!({"subitems_url": format!("https://example.net/{n}")});
    let urls: Vec<Value> = (0..40).map(url).collect();
    let rows = vec![json!({}); 20_001];
    insta::assert_snapshot!(
        [
            complaint(json!({"os_list": folders}).to_string()),
            complaint(json!({"os_list": urls}).to_string()),
            complaint(json!({"os_list": rows}).to_string()),
            complaint(" ".repeat((8 << 20) + 1)),
            complaint("[".repeat(100_000)),
            complaint(json!({"os": []}).to_string()),
        ]
        .join("\n")
    );

    // Each list names the next: the depth ends it.
    let mut list = ImagerList::new("https://example.net/0");
    let mut read = 0;
    while list.next_url().is_some() && read < 100 {
        read += 1;
        let next = json!({"os_list": [url(read)]}).to_string();
        let _ = list.read(next.as_bytes());
    }
    assert!(read < 40, "{read}");
}

#[test]
fn sha256sums_gives_server_images() {
    let (a, b) = (hex('a'), hex('b'));
    let text = format!(
        "{a} *ubuntu-24.04.5-preinstalled-desktop-arm64+raspi.img.xz\n\
         {a} *ubuntu-24.04.5-preinstalled-server-arm64+raspi.img.xz\r\n\
         \n\
         {b}  ubuntu-24.04.5-preinstalled-server-armhf+raspi.img.xz\n\
         {b} *ubuntu-24.04.5-preinstalled-server-riscv64.img.xz\n"
    );
    let url = "https://cdimage.ubuntu.com/releases/24.04/release";
    let entries = parse_sha256sums(url, text.as_bytes()).unwrap();
    let found: Vec<_> = entries
        .iter()
        .map(|e| (e.id.as_str(), e.download.sha256.unwrap().to_string()))
        .collect();
    let expected = [("ubuntu-24.04.5-arm64", a), ("ubuntu-24.04.5-armhf", b)];
    assert_eq!(found, expected);
    let url = format!("{url}/");
    assert!(entries.iter().all(|entry| entry.url.starts_with(&url)));
    for entry in &entries {
        entry.check().unwrap();
    }
    let again = parse_sha256sums(&url, text.as_bytes()).unwrap();
    assert_eq!(again, entries);
}

#[test]
fn what_is_no_sha256sums_is_refused_whole() {
    let url = "https://cdimage.ubuntu.com/releases/24.04/release/";
    let a = hex('a');
    let complaint =
        |text: &[u8]| parse_sha256sums(url, text).unwrap_err().to_string();
    let good = format!("{a} *some.iso\n");
    insta::assert_snapshot!(
        [
            complaint(b"<html><title>302 Found</title>"),
            complaint(format!("{good}{a}").as_bytes()),
            complaint(format!("{good}\n{a} *../x\n").as_bytes()),
            complaint(format!("{good}{}", &good[1..]).as_bytes()),
            complaint(b"\xff\xfe"),
            complaint("\u{1b}[31mred".as_bytes()),
            complaint(&vec![b' '; (1 << 20) + 1]),
        ]
        .join("\n")
    );
    assert_eq!(parse_sha256sums(url, b""), Ok(vec![]));
}

/// JSON of the list's own keys, mostly of the wrong types.
fn anything() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<u64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        ".{0,20}".prop_map(Value::from),
        Just(Value::from(LITE)),
        Just(Value::from(SERVER)),
        Just(Value::from(hex('d'))),
    ];
    leaf.prop_recursive(6, 64, 8, |inner| {
        let key = prop::sample::select(vec![
            "os_list",
            "subitems",
            "subitems_url",
            "url",
            "extract_sha256",
            "extract_size",
            "image_download_size",
            "image_download_sha256",
            "release_date",
            "devices",
            "init_format",
        ]);
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..8).prop_map(Value::from),
            prop::collection::hash_map(key, inner, 0..8).prop_map(|map| {
                let pairs = map.into_iter();
                pairs.map(|(key, value)| (key.to_owned(), value)).collect()
            }),
        ]
    })
}

proptest! {
    #[test]
    fn lists_of_anything_are_survived(rows in anything()) {
        let mut list = ImagerList::new("https://example.net/l.json");
        let document = json!({"os_list": rows}).to_string();
        let _ = list.read(document.as_bytes());
        for entry in list.into_entries() {
            prop_assert_eq!(entry.check(), Ok(()));
        }
    }

    #[test]
    fn bytes_of_any_kind_are_survived(bytes: Vec<u8>) {
        let _ = ImagerList::new("").read(&bytes);
        let url = "https://cdimage.ubuntu.com/releases/24.04/release/";
        let _ = parse_sha256sums(url, &bytes);
    }

    #[test]
    fn urls_of_any_kind_are_survived(url in "(https://)?\\PC{0,80}") {
        let _ = Entry::of_url(&url, None);
    }

    #[test]
    fn file_names_of_any_kind_are_survived(
        name in "(ubuntu-)?[0-9a-z.+é-]{0,30}(-preinstalled-server-|-raspios-)?[0-9a-z.+-]{0,12}(-lite)?(\\+raspi)?(.img.xz|.zip)",
    ) {
        for host in ["downloads.raspberrypi.com", "cdimage.ubuntu.com"] {
            let url = format!("https://{host}/{name}");
            if let Ok(entry) = Entry::of_url(&url, None) {
                let again = Entry::of_url(&entry.url, Some(entry.arch));
                prop_assert_eq!(again, Ok(entry));
            }
        }
    }
}

#[test]
fn rows_that_contradict_each_other_give_no_digest() {
    let [one, two] = ["1", "2"].map(|digit| digit.repeat(64));
    let digest = |text: &str| {
        let found = listed_digest(text.as_bytes(), "k3s");
        found.map(|digest| digest.to_string())
    };
    assert_eq!(digest(&format!("{one}  k3s\n")), Some(one.clone()));
    let twice = format!("{one}  k3s\n{two}  other\n{one} *k3s\n");
    assert_eq!(digest(&twice), Some(one.clone()));
    assert_eq!(digest(&format!("{one}  k3s\n{two}  k3s\n")), None);
    assert_eq!(digest(&format!("{two}  other\n")), None);
    let url = "https://cdimage.ubuntu.com/releases/26.04/release/";
    let text = format!("{one}  k3s\n{one} *k3s\n{two}  k3s\n");
    let error = parse_sha256sums(url, text.as_bytes()).unwrap_err();
    let said = "SHA256SUMS:3 has another digest of k3s than before";
    assert_eq!(error.to_string(), format!("{url}{said}"));
}
