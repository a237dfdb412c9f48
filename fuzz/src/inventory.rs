//! Inventories, with variables beside them.

use std::{fs, path::Path};

use piflash::inventory::load;

use crate::files;

const FILES: [&str; 4] = [
    "group_vars/all.yml",
    "group_vars/k3s_cluster.yml",
    "host_vars/node1.yml",
    "file.txt",
];

pub(crate) fn run(data: &[u8]) {
    let dir = files::directory();
    let path = dir.path();
    for below in ["group_vars", "host_vars", "home"] {
        fs::create_dir(path.join(below)).expect("a directory");
    }
    files::write(path, "inventory.yml", &FILES, data);
    let file = path.join("inventory.yml");
    match load(&file, Some(Path::new(&path.join("home")))) {
        Ok(inventory) => {
            assert!(!inventory.nodes.is_empty());
            for node in &inventory.nodes {
                let found = inventory.node(&node.name).expect("it is there");
                assert_eq!(found.name, node.name);
            }
            let _ = format!("{:?}", inventory.warnings);
        }
        Err(errors) => {
            let said = errors.to_string();
            assert!(!said.is_empty());
        }
    }
}
