//! Any input at all: never a panic, never without bound. More cases are run
//! by setting `PROPTEST_CASES`.

use std::time::{Duration, Instant};

use proptest::prelude::*;

use super::{Lab, errors};

/// Pieces that make YAML, Jinja and our names likely.
const PIECES: [&str; 44] = [
    "all:",
    "hosts:",
    "children:",
    "vars:",
    "\n",
    "\n  ",
    "\n    ",
    "- ",
    "{",
    "}",
    "[",
    "]",
    ", ",
    ": ",
    "node1",
    "node[1:3]",
    "node[a:",
    "&a ",
    "*a",
    "<<: ",
    "!vault ",
    "!unsafe ",
    "|\n",
    "> ",
    "'",
    "\"",
    "#",
    "\t",
    "{{ ",
    " }}",
    "{% for x in y %}",
    "k3s_master",
    "k8s_worker",
    "ubuntu",
    "gateway",
    "prefix",
    "ansible_host",
    "wifi",
    "files",
    "10.0.0.1",
    "~",
    "ssh_authorized_keys",
    "password_hash",
    "\u{1f600}",
];

proptest! {
    #[test]
    fn bytes_never_panic(bytes in prop::collection::vec(any::<u8>(), 0..400)) {
        drop(Lab::new(bytes).load());
    }

    #[test]
    fn near_inventories_never_panic(
        pieces in prop::collection::vec(prop::sample::select(&PIECES[..]), 0..60)
    ) {
        let lab = Lab::new(pieces.concat());
        if let Err(errors) = lab.load() {
            prop_assert!(!errors.problems().is_empty());
            for problem in errors.problems() {
                prop_assert!(!problem.to_string().contains('\n'));
                drop(problem.excerpt());
            }
        }
    }

    #[test]
    fn any_value_of_our_variables_never_panics(
        index in 0..piflash::inventory::variables::VARIABLES.len(),
        value in "(\\PC{0,40}|[0-9./:a-f]{0,20}|\\$[0-9a-z]\\$.{0,20})",
    ) {
        let name = piflash::inventory::variables::VARIABLES[index].name;
        let value = serde_json::to_string(&value).unwrap();
        drop(Lab::new(format!("all: {{hosts: {{a: {{{name}: {value}}}}}}}"))
            .load());
    }
}

fn quickly(text: &str) -> String {
    let start = Instant::now();
    let errors = errors(text);
    assert!(start.elapsed() < Duration::from_secs(10), "{errors}");
    errors
}

#[test]
fn an_alias_bomb_is_refused() {
    let mut text = String::from("a0: &a0 [lol, lol, lol, lol, lol, lol]\n");
    for i in 1..20 {
        let refs = vec![format!("*a{}", i - 1); 10].join(", ");
        text.push_str(&format!("a{i}: &a{i} [{refs}]\n"));
    }
    insta::assert_snapshot!(
        quickly(&text),
        @r#"inventory.yml:5:9: more than 100000 values, aliases followed"#
    );
}

#[test]
fn long_text_behind_many_aliases_is_refused() {
    let text = format!(
        "all: {{vars: {{a: &a {}, b: [{}]}}}}\n",
        "x".repeat(100_000),
        vec!["*a"; 1000].join(", ")
    );
    insta::assert_snapshot!(quickly(&text), @r#"inventory.yml:1:100350: too much text, aliases followed"#);
}

#[test]
fn deep_nesting_is_refused() {
    let flow = format!("a: {}{}", "[".repeat(10_000), "]".repeat(10_000));
    insta::assert_snapshot!(quickly(&flow), @r#"inventory.yml:1:68: not valid YAML: recursion limit exceeded"#);
    let block: String = (0..3000)
        .map(|depth| format!("{}a:\n", " ".repeat(depth % 300)))
        .collect();
    insta::assert_snapshot!(quickly(&block), @r#"inventory.yml:64:64: nested deeper than 64 levels"#);
}

#[test]
fn a_range_without_end_is_refused() {
    insta::assert_snapshot!(
        quickly("all: {hosts: {'n[1:999999999]': , 'm[1:99]-[1:99]': }}"),
        @r#"
    inventory.yml:1:15: `n[1:999999999]`: a host range of more than 1024 nodes
    inventory.yml:1:35: `m[1:99]-[1:99]`: a host range of more than 1024 nodes
    "#
    );
}

#[test]
fn a_large_file_is_refused() {
    let text = format!("# {}\n", "x".repeat(1 << 20));
    insta::assert_snapshot!(quickly(&text), @r#"inventory.yml: is larger than 1 MiB (is this really an inventory?)"#);
}

#[test]
fn a_thousand_nodes_in_hundreds_of_groups_load_in_seconds() {
    let mut text = String::from(
        "all:\n  hosts:\n    n[1:1000]: {a: 1, timezone: UTC}\n  children:\n",
    );
    for group in 1..300 {
        text.push_str(&format!(
            "    g{group}: {{hosts: {{'n[{group}:{}]': }}, vars: {{x: 1}}}}\n",
            group + 200
        ));
    }
    let start = Instant::now();
    let inventory = Lab::new(text).good();
    assert_eq!(inventory.nodes.len(), 1000);
    let taken = start.elapsed();
    assert!(taken < Duration::from_secs(10), "{taken:?}");
}
