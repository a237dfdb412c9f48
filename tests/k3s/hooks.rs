//! Hooks: found by their names, checked before they are laid down.

use super::single;
use crate::support::env::{Env, Outcome};

const GOOD: &str = "apiVersion: v1\nkind: Namespace\nmetadata: {name: x}\n";

fn env(vars: &str) -> Env {
    let env = Env::new();
    env.write("inventory.yml", single(vars));
    env
}

fn plan(env: &Env, node: &str) -> Outcome {
    env.run(&["plan", node, "--image", "demo", "--offline"])
}

fn manifests(outcome: &Outcome) -> Vec<&str> {
    assert_eq!(outcome.code, Some(0), "{outcome}");
    let folder = "/var/lib/rancher/k3s/server/manifests/";
    outcome
        .stdout
        .lines()
        .filter_map(|line| line.split(folder).nth(1))
        .map(|rest| rest.split(' ').next().unwrap())
        .collect()
}

#[test]
fn they_go_to_the_first_server_in_their_order() {
    let env = env("");
    for name in [
        "k3s-post-master-up.yml",
        "post-master-up.yml",
        "post-server-up.yaml",
        "k8s-post-master-up.yml",
        "pre-master-down.yml",
    ] {
        env.write(&format!("hooks/{name}"), GOOD);
    }
    let server = plan(&env, "node1");
    assert_eq!(
        manifests(&server),
        ["post-master-up.yml", "post-server-up.yaml", "k3s-post-master-up.yml"]
    );
    assert_eq!(server.stderr, "");
    assert_eq!(manifests(&plan(&env, "node4")), [""; 0]);
    // They may hold secrets.
    let json = env.run(&["plan", "node1", "--image", "demo", "--json"]);
    assert!(!json.stdout.contains("kind: Namespace"), "{json}");
}

#[test]
fn another_folder_may_hold_them() {
    for name in ["hooks_dir", "k3s_hooks_dir"] {
        let env = env(&format!("    {name}: deploy/hooks\n"));
        env.write("deploy/hooks/post-master-up.yaml", GOOD);
        assert_eq!(manifests(&plan(&env, "node1")), ["post-master-up.yaml"]);
    }
    let gone = self::env("    hooks_dir: deploy/hooks\n");
    let outcome = plan(&gone, "node1");
    assert_eq!(outcome.code, Some(2), "{outcome}");
    assert!(outcome.stderr.contains("deploy/hooks"), "{outcome}");
    assert!(outcome.stderr.contains("hooks_dir"), "{outcome}");
}

#[test]
fn a_name_that_is_none_is_said() {
    let env = env("");
    env.write("hooks/post-master-upp.yml", GOOD);
    env.write("hooks/README.md", "");
    let outcome = plan(&env, "node1");
    assert_eq!(manifests(&outcome), [""; 0]);
    let said = "hooks/post-master-upp.yml is not the name of a hook";
    assert!(outcome.stderr.contains(said), "{outcome}");
    assert!(!outcome.stderr.contains("README"), "{outcome}");
}

#[test]
fn what_is_wrong_is_named_with_its_place() {
    for (content, at, said) in [
        ("a: b\n  c: d\n", "2:", "mapping"),
        ("kind: [x\n", "", ""),
        ("apiVersion: v1\nkind: A\n---\n\tb: c\n", "4:", ""),
        (
            "apiVersion: v1\nkind: A\n---\nkind: B\n",
            "4:1",
            "without `apiVersion`",
        ),
        ("apiVersion: v1\n", "1:1", "without `kind`"),
        // Tasks of Ansible's.
        ("- name: x\n  command: y\n", "1:", ""),
        ("text\n", "1:", ""),
    ] {
        let env = env("");
        env.write("hooks/post-master-up.yml", content);
        let outcome = plan(&env, "node1");
        assert_eq!(outcome.code, Some(2), "{content}: {outcome}");
        let place = format!("hooks/post-master-up.yml:{at}");
        assert!(outcome.stderr.contains(&place), "{content}: {outcome}");
        assert!(outcome.stderr.contains(said), "{content}: {outcome}");
        assert!(outcome.stderr.contains("kubectl apply"), "{outcome}");
    }
    // Nothing, and comments, are no mistakes.
    let env = env("");
    env.write("hooks/post-master-up.yml", "# later\n");
    env.write("hooks/k3s-post-master-up.yml", format!("---\n{GOOD}---\n"));
    assert_eq!(plan(&env, "node1").code, Some(0));
}

#[test]
fn two_of_one_name_are_refused() {
    let env = env("");
    env.write("hooks/post-master-up.yml", GOOD);
    env.write("hooks/post-master-up.yaml", GOOD);
    let outcome = plan(&env, "node1");
    assert_eq!(outcome.code, Some(2), "{outcome}");
    assert!(outcome.stderr.contains("keep one of"), "{outcome}");
    env.write("hooks/post-master-up.yaml", [0xff, 0xfe]);
    std::fs::remove_file(env.work().join("hooks/post-master-up.yml")).unwrap();
    let outcome = plan(&env, "node1");
    assert_eq!(outcome.code, Some(2), "{outcome}");
    assert!(outcome.stderr.contains("post-master-up.yaml"), "{outcome}");
}
