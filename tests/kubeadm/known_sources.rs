//! Images that know Docker's or Kubernetes' repository already, under
//! another name or with another key: the real apt reads what is left.

use std::fs;

use super::{inventory, plan_on, plan_with_files};
use crate::support::{image::Case, oracle};
use piflash::{
    inventory::FileCopy,
    plan::{Action, CustomFile, Plan},
};

const SOURCES: &str = "/etc/apt/sources.list.d";
const DEBIAN: &str = "deb http://deb.debian.org/debian trixie main\n";

/// The image with these files of apt's, and what the plan makes of it.
fn planned(files: &[(&str, &str)]) -> (Case, Plan) {
    let mut case = Case::load("trixie");
    for (path, text) in files {
        case.root.file(path, text);
    }
    let plan = plan_on(&case, &inventory(""), "node4").unwrap();
    (case, plan)
}

/// apt's sources as they are on the card: by path, their text.
fn sources(case: &Case, plan: &Plan) -> Vec<(String, String)> {
    let is_source = |path: &str| {
        path == "/etc/apt/sources.list"
            || path.starts_with(&format!("{SOURCES}/"))
    };
    let mut found = std::collections::BTreeMap::new();
    for (path, node) in &case.root.nodes {
        if let crate::support::memory::Body::File(content) = &node.body
            && is_source(path)
        {
            let text = String::from_utf8(content.clone()).unwrap();
            found.insert(path.clone(), text);
        }
    }
    for edit in plan.edits.iter().filter(|edit| is_source(&edit.path)) {
        match &edit.action {
            Action::Write { content, .. } => {
                let text = content.as_text().unwrap().to_owned();
                found.insert(edit.path.clone(), text);
            }
            Action::Remove => drop(found.remove(&edit.path)),
            other => panic!("{other:?}"),
        }
    }
    found.into_iter().collect()
}

/// What the real apt would fetch from these sources; its complaint where it
/// cannot read them.
fn targets(sources: &[(String, String)]) -> Result<String, String> {
    let dir = tempfile::tempdir().unwrap();
    let root = dir.path();
    fs::create_dir_all(root.join("parts")).unwrap();
    fs::create_dir_all(root.join("lists/partial")).unwrap();
    fs::write(root.join("sources.list"), "").unwrap();
    for (path, text) in sources {
        let name = path.rsplit('/').next().unwrap();
        let to = match path.strip_prefix(SOURCES) {
            Some(_) => root.join("parts").join(name),
            None => root.join(name),
        };
        fs::write(to, text).unwrap();
    }
    let root = root.display();
    let args = [
        format!("-oDir::Etc::sourcelist={root}/sources.list"),
        format!("-oDir::Etc::sourceparts={root}/parts"),
        format!("-oDir::State::lists={root}/lists"),
        "-oDebug::NoLocking=1".to_owned(),
        "-oAPT::Architecture=arm64".to_owned(),
        "update".to_owned(),
        "--print-uris".to_owned(),
    ];
    let args: Vec<&str> = args.iter().map(String::as_str).collect();
    match oracle::run("apt-get", &args) {
        Ok(text) => Ok(String::from_utf8(text).unwrap()),
        Err(error) => Err(error.0),
    }
}

/// Docker's, as its own documents and other programs name it.
const DOCKER: &[(&str, &str)] = &[
    (
        "docker.sources",
        "Types: deb\nURIs: https://download.docker.com/linux/debian\nSuites: \
         trixie\nComponents: stable\nSigned-By: \
         /etc/apt/keyrings/docker.gpg\n",
    ),
    // The same key: apt reads it, and warns at every run.
    (
        "docker.sources",
        "# Docker\n\ntypes: deb\nuris:\n # both\n \
         https://download.docker.com/linux/debian/\nSuites: trixie\n\
         Components: stable\nSigned-By: /etc/apt/keyrings/docker.asc\n",
    ),
    (
        "download_docker_com_linux_debian.list",
        "deb [arch=arm64 signed-by=/usr/share/keyrings/docker.gpg] \
         https://download.docker.com/linux/debian trixie stable\n# deb-src \
         https://download.docker.com/linux/debian trixie stable\n",
    ),
    (
        "archive_uri-https_download_docker_com_linux_debian-trixie.list",
        "  deb [ arch=arm64 ]   https://user@Download.Docker.com:443/linux/\
         debian  trixie stable # of mine\n",
    ),
];

const KUBERNETES: &[(&str, &str)] = &[
    (
        "k8s.list",
        "deb [signed-by=/etc/apt/keyrings/kubernetes-apt-keyring.gpg] \
         https://pkgs.k8s.io/core:/stable:/v1.37/deb/ /\n",
    ),
    (
        "kubernetes.sources",
        "Types: deb\nURIs: https://pkgs.k8s.io/core:/stable:/v1.37/deb/\n\
         Suites: /\nSigned-By: /etc/apt/keyrings/k.gpg\n",
    ),
    // Gone since 2024: fetching it fails for ever.
    (
        "apt_kubernetes_io.list",
        "deb https://apt.kubernetes.io/ kubernetes-xenial main\n",
    ),
    (
        "google.list",
        "deb http://packages.cloud.google.com/apt kubernetes-xenial main\n",
    ),
];

#[test]
fn a_repository_under_another_name_is_taken_out_and_said() {
    for (kind, files, host) in [
        ("Docker", DOCKER, "download.docker.com"),
        ("Kubernetes", KUBERNETES, "pkgs.k8s.io"),
    ] {
        for (name, text) in files {
            let path = format!("{SOURCES}/{name}");
            let (case, plan) = planned(&[(&path, text)]);
            let sources = sources(&case, &plan);
            assert!(sources.iter().all(|(p, _)| *p != path), "{sources:?}");
            let targets = targets(&sources).unwrap();
            // Once, and with nothing that is gone.
            let of = |part: &str| targets.matches(part).count();
            assert!(of(host) > 0, "{targets}");
            for gone in ["apt.kubernetes.io", "cloud.google.com"] {
                assert_eq!(of(gone), 0, "{targets}");
            }
            let said: Vec<_> = plan
                .notes
                .iter()
                .filter(|n| n.contains(&path) && n.contains(kind))
                .collect();
            assert_eq!(said.len(), 1, "{name}: {:?}", plan.notes);
        }
    }
}

/// Without the plan's edits, apt would be dead: this is what is found.
#[test]
fn apt_refuses_a_repository_with_two_keys() {
    let (name, text) = DOCKER[0];
    let (_, plan) = planned(&[]);
    let mut both = sources(&Case::load("trixie"), &plan);
    assert!(targets(&both).is_ok());
    both.push((format!("{SOURCES}/{name}"), text.to_owned()));
    let complaint = targets(&both).unwrap_err();
    assert!(complaint.contains("Conflicting values"), "{complaint}");
}

#[test]
fn what_else_is_in_such_a_file_stays() {
    let list = "deb http://deb.debian.org/debian trixie main # system\n\
                deb https://download.docker.com/linux/debian trixie stable\n\
                deb [trusted=yes] http://lan/apt ./\n";
    let stanzas = "# ours\nTypes: deb\nURIs: http://lan/other\nSuites: trixie\n\
         Components: main\n\nTypes: deb deb-src\nURIs: \
         https://download.docker.com/linux/debian http://lan/docker\nSuites: \
         trixie\nComponents: stable\nTrusted: yes\n\nTypes: deb\nURIs: \
         https://pkgs.k8s.io/core:/stable:/v1.37/deb\nSuites: /\n";
    let mixed = format!("{SOURCES}/mixed.sources");
    let (case, plan) =
        planned(&[("/etc/apt/sources.list", list), (&mixed, stanzas)]);
    let sources = sources(&case, &plan);
    let of = |path: &str| {
        let found = sources.iter().find(|(p, _)| p == path);
        &*found.unwrap_or_else(|| panic!("{path}: {sources:?}")).1
    };
    assert_eq!(
        of("/etc/apt/sources.list"),
        "deb http://deb.debian.org/debian trixie main # system\n\
         deb [trusted=yes] http://lan/apt ./\n"
    );
    let left = of(&mixed);
    for stays in ["# ours", "http://lan/other", "http://lan/docker"] {
        assert!(left.contains(stays), "{left}");
    }
    for goes in ["download.docker.com", "pkgs.k8s.io"] {
        assert!(!left.contains(goes), "{left}");
    }
    let targets = targets(&sources).unwrap();
    for lan in ["http://lan/apt", "http://lan/other", "http://lan/docker"] {
        assert!(targets.contains(lan), "{targets}");
    }
}

/// What apt does not read, or is another repository, is none of it.
#[test]
fn others_are_left_alone() {
    let cri_o = "deb https://pkgs.k8s.io/addons:/cri-o:/stable:/v1.37/deb/ /\n";
    let off = "Types: deb\nEnabled: no\nURIs: \
               https://download.docker.com/linux/debian\nSuites: trixie\n\
               Components: stable\n";
    let files = [
        ("/etc/apt/sources.list", DEBIAN),
        (&*format!("{SOURCES}/cri-o.list"), cri_o),
        (&*format!("{SOURCES}/off.sources"), off),
        (&*format!("{SOURCES}/docker.list.save"), DOCKER[2].1),
        (
            &*format!("{SOURCES}/google.list"),
            "deb http://packages.cloud.google.com/apt cloud-sdk main\n",
        ),
    ];
    let (case, plan) = planned(&files);
    let sources = sources(&case, &plan);
    for (path, text) in files {
        let found = sources.iter().find(|(p, _)| p == path);
        assert_eq!(found.map(|(_, t)| &**t), Some(text), "{path}");
    }
    assert!(!plan.notes.iter().any(|n| n.contains(SOURCES)), "{plan:?}");
}

/// With the system's own packages, no source of piflash's is in the way.
#[test]
fn the_systems_own_packages_leave_the_images_sources_alone() {
    let mut case = Case::load("trixie");
    let path = format!("{SOURCES}/docker.sources");
    case.root.file(&path, DOCKER[0].1);
    let vars = "    docker_apt_repository: none\n    k8s_version: \"1.37\"\n";
    let plan = plan_on(&case, &inventory(vars), "node4").unwrap();
    let sources = sources(&case, &plan);
    assert!(sources.iter().any(|(p, _)| *p == path), "{sources:?}");
}

/// A mirror is the same repository if its address is the same.
#[test]
fn a_mirror_is_known_by_its_address() {
    let mut case = Case::load("trixie");
    let path = format!("{SOURCES}/mirror.list");
    case.root.file(
        &path,
        "deb [signed-by=/k.gpg] http://mirror.lan/docker/ trixie stable\n",
    );
    let vars = "    docker_apt_repository: deb http://mirror.lan/docker trixie \
                stable\n";
    let plan = plan_on(&case, &inventory(vars), "node4").unwrap();
    let sources = sources(&case, &plan);
    assert!(sources.iter().all(|(p, _)| *p != path), "{sources:?}");
    targets(&sources).unwrap();
}

/// What lies at the place of piflash's own file is not lost without a word.
#[test]
fn a_file_of_the_same_name_is_replaced_and_said() {
    let path = format!("{SOURCES}/docker.list");
    let (case, plan) = planned(&[(&path, DOCKER[2].1)]);
    targets(&sources(&case, &plan)).unwrap();
    let said = |n: &String| n.contains(&path) && n.contains("replaced");
    assert!(plan.notes.iter().any(said), "{:?}", plan.notes);
}

/// A file of the user's is not taken out: they are told how else.
#[test]
fn a_file_of_the_users_that_names_one_is_refused() {
    let case = Case::load("trixie");
    let plan = |dest: &str, text: &str| {
        let copy = FileCopy {
            src: "mine".into(),
            dest: dest.to_owned(),
            mode: 0o644,
            owner: "root".to_owned(),
        };
        let file = CustomFile { copy, content: text.into() };
        plan_with_files(&case, &inventory(""), "node4", &[file])
    };
    let mine = format!("{SOURCES}/mine.sources");
    let error = plan(&mine, DOCKER[0].1).unwrap_err().to_string();
    for word in [&*mine, "Docker", "docker_apt_repository"] {
        assert!(error.contains(word), "{error}");
    }
    // In place of piflash's own it is their word on it; apt does not read
    // others.
    plan(&format!("{SOURCES}/docker.list"), DOCKER[2].1).unwrap();
    plan("/home/pi/mine.sources", DOCKER[0].1).unwrap();
    plan(&format!("{SOURCES}/lan.list"), DEBIAN).unwrap();
}
