//! Every inventory of `examples/` plans, each of its nodes.

use crate::support::{env::Env, files_under, releases::Releases, repository};
use piflash::inventory;

#[test]
fn every_example_plans() {
    let examples = repository().join("examples");
    let mut count = 0;
    for path in files_under(&examples) {
        let name = path.file_name().unwrap().to_str().unwrap();
        let inventory = name.ends_with(".yml") && name != "github-workflow.yml";
        if path.parent() != Some(&examples) || !inventory {
            continue;
        }
        count += 1;
        let inventory = inventory::load(&path, None).unwrap();
        assert!(inventory.warnings.is_empty(), "{:?}", inventory.warnings);
        let releases = Releases::start();
        let env = Env::new();
        for file in files_under(&examples) {
            let below = file.strip_prefix(&examples).unwrap();
            let below = below.to_str().unwrap();
            let text = std::fs::read_to_string(&file).unwrap();
            let vars = format!("\n  vars:\n{}", releases.variables());
            env.write(below, text.replace("\n  vars:\n", &vars));
        }
        for node in &inventory.nodes {
            let role = node.role.unwrap_or_else(|| panic!("{}", node.name));
            let args = ["-i", name, "plan", &node.name, "--image", "demo"];
            let plan = env.run(&args);
            assert_eq!(plan.code, Some(0), "{name}: {plan}");
            let begins = format!("{}: ", node.name);
            assert!(plan.stdout.starts_with(&begins), "{name}: {plan}");
            let (program, begins) = match role.cluster {
                inventory::Cluster::K3s => {
                    ("/usr/local/bin/k3s (300024 bytes)", "role: k3s ")
                }
                inventory::Cluster::K8s => {
                    ("/usr/local/lib/piflash/provision", "k8s")
                }
            };
            for said in [program, begins] {
                assert!(plan.stdout.contains(said), "{name}: {plan}");
            }
        }
    }
    assert_eq!(count, 4);
}
