//! `piflash images update`, with a list on a server of this machine.

use serde_json::json;

use crate::support::{
    env::{Env, Outcome},
    server::Server,
};

const URL: &str = "https://downloads.raspberrypi.com/raspios_lite_arm64/\
                   images/raspios_lite_arm64-2027-01-12/\
                   2027-01-11-raspios-trixie-arm64-lite.img.xz";
const ID: &str = "raspios-trixie-arm64-2027-01-11";

/// A list as rpi-imager has it, with one new image in a folder.
fn list(digit: &str) -> String {
    let image = json!({
        "name": "Raspberry Pi OS Lite (64-bit)",
        "url": URL,
        "extract_size": 3_000_000_512_u64,
        "extract_sha256": digit.repeat(64),
        "image_download_size": 500_000_001,
        "release_date": "2027-01-11",
        "init_format": "cloudinit-rpi",
        "devices": ["pi5-64bit", "pi4-64bit"],
    });
    let folder = json!({"name": "Raspberry Pi OS", "subitems": [image]});
    json!({"imager": {}, "os_list": [folder]}).to_string()
}

fn update(env: &Env, server: &Server) -> Outcome {
    env.run(&["images", "update", "--list", &server.url("/list.json")])
}

#[test]
fn a_newer_image_is_listed_and_found_by_its_aliases() {
    let (env, server) = (Env::new(), Server::start());
    server.put("/list.json", list("a").as_bytes());
    let first = update(&env, &server);
    assert_eq!(first.code, Some(0), "{first}");
    assert!(first.stderr.contains("1 new images"), "{first}");
    let images = env.run(&["images", "--json", "trixie-arm64-2027"]);
    assert_eq!(images.code, Some(0), "{images}");
    let images: serde_json::Value =
        serde_json::from_str(&images.stdout).unwrap();
    let image = &images["images"][0];
    assert_eq!(image["id"], ID);
    assert_eq!(image["image"]["sha256"], "a".repeat(64));
    let aliases = image["aliases"].as_array().unwrap();
    assert!(aliases.contains(&json!("raspios")), "{image}");

    let again = update(&env, &server);
    assert_eq!(again.code, Some(0), "{again}");
    assert!(again.stderr.contains("0 new images"), "{again}");
}

#[test]
fn a_list_that_contradicts_what_is_known_adds_nothing() {
    let (env, server) = (Env::new(), Server::start());
    server.put("/list.json", list("a").as_bytes());
    assert_eq!(update(&env, &server).code, Some(0));
    let kept = env.home().join(".cache/piflash/catalog.json");
    let before = std::fs::read(&kept).unwrap();

    server.put("/list.json", list("b").as_bytes());
    let outcome = update(&env, &server);
    assert_eq!(outcome.code, Some(3), "{outcome}");
    for said in ["contradicts", &"a".repeat(64), &"b".repeat(64)] {
        assert!(outcome.stderr.contains(said), "`{said}`: {outcome}");
    }
    assert!(std::fs::read(&kept).unwrap() == before);
}

#[test]
fn what_is_no_list_is_refused_and_a_damaged_one_is_named() {
    let (env, server) = (Env::new(), Server::start());
    for body in ["<html>", "{}", ""] {
        server.put("/list.json", body.as_bytes());
        let outcome = update(&env, &server);
        assert_eq!(outcome.code, Some(1), "{body}: {outcome}");
        assert!(outcome.stderr.contains("cannot read the list"), "{outcome}");
    }
    let kept = env.home().join(".cache/piflash/catalog.json");
    assert!(!kept.exists());

    std::fs::create_dir_all(kept.parent().unwrap()).unwrap();
    std::fs::write(&kept, "{").unwrap();
    let outcome = env.run(&["images"]);
    assert_eq!(outcome.code, Some(1), "{outcome}");
    assert!(outcome.stderr.contains("catalog.json"), "{outcome}");
    assert!(outcome.stderr.contains("hint: remove"), "{outcome}");
}
