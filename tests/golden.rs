//! One node on each release: what is planned and what it changes.
//!
//! `tests/cases/NAME/` holds the release's files (`image.yaml`), the
//! inventory, and three snapshots: `plan.snap`, what `piflash plan` prints,
//! `files.snap`, what it writes into files, and `tree.snap`, what building
//! changed in the two file systems, as others read them. `inventory-X.yml`
//! is another inventory for the same files, its snapshots are `X-plan.snap`
//! and so on.

use std::{fs, path::Path};

use crate::support::{
    env::Env, files_under, image::Case, memory::Body, oracle,
    releases::Releases, repository, tree,
};

/// Says of all the rest what it is, and of the base what mke2fs made of it:
/// tests of `inspect` read it.
const MANIFEST: &str = "/etc/piflash/manifest.json";

/// One test a case, so that they run side by side.
macro_rules! cases {
    ($($test:ident: $name:literal $($variant:literal)?,)*) => {
        const NAMES: &[(&str, &str)] =
            &[$(($name, concat!("", $($variant)?))),*];
        $(
            #[test]
            fn $test() {
                becomes_a_node($name, concat!("", $($variant)?));
            }
        )*
    };
}

cases! {
    bookworm: "bookworm",
    bookworm_wifi: "bookworm" "wifi",
    bullseye: "bullseye",
    bullseye_wifi: "bullseye" "wifi",
    buster: "buster",
    debian: "debian",
    trixie: "trixie",
    trixie_agent: "trixie" "agent",
    trixie_k8s_master: "trixie" "k8s-master",
    trixie_k8s_worker: "trixie" "k8s-worker",
    trixie_cloud_init: "trixie-cloud-init",
    ubuntu_20_04: "ubuntu-20.04",
    ubuntu_22_04: "ubuntu-22.04",
    ubuntu_22_04_wifi: "ubuntu-22.04" "wifi",
    ubuntu_24_04: "ubuntu-24.04",
    ubuntu_24_04_k8s_master: "ubuntu-24.04" "k8s-master",
    ubuntu_24_04_k8s_worker: "ubuntu-24.04" "k8s-worker",
    ubuntu_24_04_server: "ubuntu-24.04" "server",
    ubuntu_25_10: "ubuntu-25.10",
    ubuntu_26_04: "ubuntu-26.04",
}

#[test]
fn no_case_is_forgotten() {
    let cases = repository().join("tests/cases");
    let names = |folder: &Path| -> Vec<String> {
        fs::read_dir(folder)
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect()
    };
    let mut found = Vec::new();
    for case in names(&cases) {
        for file in names(&cases.join(&case)) {
            let variant = file
                .strip_prefix("inventory")
                .and_then(|rest| rest.strip_suffix(".yml"));
            if let Some(variant) = variant {
                let variant = variant.trim_start_matches('-').to_owned();
                found.push((case.clone(), variant));
            }
        }
    }
    found.sort();
    let known: Vec<_> = NAMES
        .iter()
        .map(|(name, variant)| ((*name).to_owned(), (*variant).to_owned()))
        .collect();
    assert_eq!(found, known);
}

fn snapshots(name: &str) -> insta::Settings {
    let mut settings = insta::Settings::clone_current();
    settings.set_snapshot_path(repository().join("tests/cases").join(name));
    settings.set_prepend_module_to_snapshot(false);
    settings.set_omit_expression(true);
    settings
}

/// The case's inventory.
fn inventory(name: &str, dash: &str, variant: &str) -> String {
    let path = repository()
        .join("tests/cases")
        .join(name)
        .join(format!("inventory{dash}{variant}.yml"));
    let text = fs::read_to_string(&path)
        .unwrap_or_else(|e| panic!("{}: {e}", path.display()));
    let vars = format!("  vars:\n{}", Releases::known_variables());
    text.replace("  vars:\n", &vars)
}

/// Puts what the node's role needs into the cache. URLs are part of what is
/// written, so they must not have the port of a server in them.
fn fill_cache(env: &Env, inventory: &str) {
    let releases = Releases::start();
    let lines = inventory.lines();
    let direct: Vec<&str> =
        lines.filter(|line| !line.contains(" proxy_url:")).collect();
    env.write("inventory.yml", direct.join("\n") + "\n");
    let proxy = releases.server.url("/");
    let args = ["plan", "node3", "--image", "base.img"];
    let filled = env.run_with(&[("http_proxy", &proxy)], &args);
    assert_eq!(filled.code, Some(0), "{filled}");
}

/// Each partition is sound to its own checker.
fn assert_sound(image: &Path, case: &Case) {
    let (boot, root) = case.offsets();
    let len = case.table().partitions[0].len;
    oracle::e2fsck(image, root).unwrap();
    oracle::fsck_vfat(image, boot, len).unwrap();
}

/// What is written into the files of this release: the same first-boot
/// files and accounts everywhere are left to others.
fn contents(plan: &str) -> String {
    let plan: serde_json::Value = serde_json::from_str(plan).unwrap();
    let mut text = String::new();
    for edit in plan["edits"].as_array().unwrap() {
        let path = edit["path"].as_str().unwrap();
        let Some(content) = edit["content"].as_str() else { continue };
        let own = ["/usr/local/", "/etc/systemd/system/", MANIFEST];
        if !own.iter().any(|folder| path.starts_with(folder)) {
            text += &format!("=== {path}\n{content}\n");
        }
    }
    text
}

/// What belongs to the system alone: no plan gives a node an identity of the
/// image's, nor breaks what grows the root partition.
fn assert_left_alone(plan: &str, case: &Case) {
    let plan: serde_json::Value = serde_json::from_str(plan).unwrap();
    let id = &case.layout.table.id;
    for edit in plan["edits"].as_array().unwrap() {
        let path = edit["path"].as_str().unwrap();
        assert!(
            !["/etc/machine-id", "/var/lib/dbus/machine-id", "/etc/fstab"]
                .contains(&path),
            "{path}"
        );
        // The disk's identity changes on the first boot.
        assert!(!edit.to_string().contains(id), "{edit}");
        assert!(!edit.to_string().contains("PARTUUID"), "{edit}");
    }
}

/// The kernel's command line is still one line, and all that was on it still
/// is, in the same order.
fn assert_command_line(image: &Path, case: &Case) {
    let (boot, _) = case.offsets();
    let path = ["current/cmdline.txt", "cmdline.txt"]
        .into_iter()
        .find(|path| case.boot.nodes.contains_key(&format!("/{path}")))
        .unwrap();
    let Body::File(stock) = &case.boot.nodes[&format!("/{path}")].body else {
        panic!("{path} is no file")
    };
    let stock = String::from_utf8(stock.clone()).unwrap();
    let line = oracle::mtype(image, boot, path).unwrap();
    let line = String::from_utf8(line).unwrap();
    assert!(line.starts_with(stock.trim_end()), "{line}");
    assert_eq!(line.trim_end().lines().count(), 1, "{line}");
}

/// A line of a plan or of a tree, without size and digest of piflash's own
/// first-boot files: a change of one of them must not touch every case.
fn own_file_masked(line: &str) -> String {
    const OWN: [&str; 2] = ["/usr/local/", "piflash-firstboot.service"];
    let is_own = OWN.iter().any(|own| line.contains(own));
    let words: Vec<&str> = line.split(' ').collect();
    match *words.as_slice() {
        // `+ root/PATH MODE OWNER SIZE DIGEST`
        [sign, path, mode, owner, size, digest]
            if is_own && digest.len() == 64 && size != "-" =>
        {
            format!("{sign} {path} {mode} {owner} * *")
        }
        // `  root write MODE OWNER PATH (SIZE bytes)`
        [.., size, "bytes)"] if is_own && size.starts_with('(') => {
            let (kept, _) = line.rsplit_once('(').expect("size begins with it");
            format!("{kept}(* bytes)")
        }
        _ => line.to_owned(),
    }
}

fn becomes_a_node(name: &str, variant: &str) {
    let dash = if variant.is_empty() { "" } else { "-" };
    let case = Case::load(name);
    let env = Env::new();
    let base = env.work().join("base.img");
    case.write(&base).unwrap();
    let inventory = inventory(name, dash, variant);
    let hooks = repository().join("tests/cases").join(name).join("hooks");
    for hook in files_under(&hooks) {
        let file = hook.file_name().unwrap().to_str().unwrap();
        env.write(&format!("hooks/{file}"), fs::read(&hook).unwrap());
    }
    fill_cache(&env, &inventory);
    env.write("inventory.yml", inventory);
    env.known_identity();

    let plan = env.run(&["plan", "node3", "--image", "base.img"]);
    assert_eq!(plan.code, Some(0), "{name}: {plan}");
    let json = env.run(&["plan", "node3", "--image", "base.img", "--json"]);
    assert_eq!(json.code, Some(0), "{name}: {json}");
    let build = env.run(&["build", "node3", "--image", "base.img"]);
    assert_eq!(build.code, Some(0), "{name}: {build}");

    let image = env.work().join("build/images/node3.img");
    assert_sound(&image, &case);
    assert_left_alone(&json.stdout, &case);
    assert_command_line(&image, &case);
    assert_eq!(
        oracle::sfdisk_dump(&base).unwrap().replace("base.img", ""),
        oracle::sfdisk_dump(&image)
            .unwrap()
            .replace("build/images/node3.img", "")
    );
    let (boot, root) = case.offsets();
    let before = tree::lines(&base, boot, root).unwrap();
    let after = tree::lines(&image, boot, root).unwrap();
    let changes =
        tree::diff(&before, &after).into_iter().map(|line| {
            match line.split_once(MANIFEST) {
                Some((root, _)) => format!("{root}{MANIFEST}"),
                None => line,
            }
        });
    let changes: Vec<String> =
        changes.map(|line| own_file_masked(&line)).collect();
    let changes = changes.join("\n");
    let plan: Vec<String> = plan.stdout.lines().map(own_file_masked).collect();
    let plan = plan.join("\n") + "\n";
    let of = |kind: &str| format!("{variant}{dash}{kind}");
    snapshots(name).bind(|| {
        insta::assert_snapshot!(of("plan"), plan);
        insta::assert_snapshot!(of("files"), contents(&json.stdout));
        insta::assert_snapshot!(of("tree"), changes);
    });
}
