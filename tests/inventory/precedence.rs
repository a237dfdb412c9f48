//! Which variable wins: expected values are those of
//! `ansible-inventory -i inventory.yml --list` of ansible-core 2.19.14, run
//! on the same files.

use piflash::inventory::Inventory;

use super::Lab;

fn vars(inventory: &Inventory, node: &str, names: &[&str]) -> String {
    let node = inventory.node(node).unwrap();
    let values: Vec<String> = names
        .iter()
        .map(|name| {
            let value = node.vars.get(*name).map(|var| var.value());
            format!("{name}={}", serde_json::to_string(&value).unwrap())
        })
        .collect();
    values.join(" ")
}

#[test]
fn files_beside_the_inventory_and_groups_count_as_in_ansible() {
    let lab = Lab::new(
        "all:
  vars: {v1: all-inline, v2: all-inline, v3: all-inline, v4: all-inline,
         v5: all-inline, v6: all-inline, d: {a: 1, b: 2}}
  children:
    parent:
      vars: {v2: parent-inline, v3: parent-inline, v4: parent-inline,
             v5: parent-inline, d: {c: 3}}
      children:
        child:
          hosts:
            node1: {v5: host-inline}
            node[2:3]:
          vars: {v3: child-inline, v4: child-inline}
    bravo:
      vars: {same: bravo, prio: bravo, ansible_group_priority: 10}
      hosts: {node1: , node2: }
    charlie:
      vars: {same: charlie, prio: charlie}
      hosts: {node1: , node3: {v6: host-node3}}
    late:
      hosts: {node1: {v5: host-second}}
",
    )
    .file("group_vars/all/10.yml", "v1: all-file\nv2: all-file\nf: a\n")
    .file("group_vars/all/20.yaml", "f: b\n")
    .file("group_vars/all/.30.yml", "f: hidden\n")
    .file("group_vars/all/30.yml~", "f: backup\n")
    .file("group_vars/child.yml", "v4: child-file\nv6: child-file\n")
    .file("group_vars/child.yaml", "v4: child-yaml\n")
    .file("group_vars/parent", "v6: parent-file\n")
    .file("host_vars/node1.yml", "v5: host-file\n");
    let inventory = lab.good();
    let names = ["d", "f", "prio", "same", "v1", "v2", "v3", "v4", "v5", "v6"];
    insta::assert_snapshot!(vars(&inventory, "node1", &names), @r#"d={"c":3} f="b" prio="bravo" same="bravo" v1="all-file" v2="all-file" v3="child-inline" v4="child-file" v5="host-file" v6="child-file""#);
    insta::assert_snapshot!(vars(&inventory, "node2", &names), @r#"d={"c":3} f="b" prio="bravo" same="bravo" v1="all-file" v2="all-file" v3="child-inline" v4="child-file" v5="parent-inline" v6="child-file""#);
    insta::assert_snapshot!(vars(&inventory, "node3", &names), @r#"d={"c":3} f="b" prio="charlie" same="charlie" v1="all-file" v2="all-file" v3="child-inline" v4="child-file" v5="parent-inline" v6="host-node3""#);
    let node1 = inventory.node("node1").unwrap();
    assert!(!node1.vars.contains_key("ansible_group_priority"));
    let v5 = &node1.vars["v5"];
    assert!(v5.at().file.ends_with("host_vars/node1.yml"));
    assert_eq!(v5.from().to_string(), "node node1");
}

#[test]
fn deep_trees_and_ranges_count_as_in_ansible() {
    let lab = Lab::new(
        "b_top:
  hosts: {'web-[01:03]-x[a:b]': {n: 1}}
  vars: {x: b}
a_top:
  children:
    b_sub: {vars: {x: bsub}, hosts: {web-01-xa: }}
    c_sub:
  vars: {x: a}
c_sub:
  vars: {x: csub}
  children:
    deep: {hosts: {web-01-xa: , web-02-xa: }, vars: {x: deep}}
solo_group:
  children: {deep: {vars: {y: deep2}}, b_top: }
all:
  hosts: {lonely: , 'step[0:10:5]': , 'p1:2222': }
  vars:
    base: &b {k: 1, l: 2}
    m: {<<: *b, l: 3}
    yes_: yes
    ver: 1.30
",
    );
    let inventory = lab.good();
    insta::assert_snapshot!(
        vars(&inventory, "web-01-xa", &["x", "y", "n", "m", "yes_", "ver"]),
        @r#"x="deep" y="deep2" n=1 m={"k":1,"l":3} yes_=true ver=1.3"#
    );
    insta::assert_snapshot!(
        vars(&inventory, "web-02-xa", &["x", "y", "n"]), @r#"x="deep" y="deep2" n=1"#
    );
    insta::assert_snapshot!(
        vars(&inventory, "web-03-xb", &["x", "y", "n"]), @r#"x="b" y=null n=1"#
    );
    insta::assert_snapshot!(
        vars(&inventory, "p1", &["ansible_port", "x", "base"]), @r#"ansible_port=2222 x=null base={"k":1,"l":2}"#
    );
    let lonely = inventory.node("lonely").unwrap();
    assert_eq!(lonely.groups, ["ungrouped"]);
    let web = inventory.node("web-01-xa").unwrap();
    let groups = ["a_top", "b_sub", "b_top", "c_sub", "deep", "solo_group"];
    assert_eq!(web.groups, groups);
    let names: Vec<&str> = inventory.nodes.iter().map(|n| &*n.name).collect();
    assert_eq!(&names[..3], ["web-01-xa", "web-01-xb", "web-02-xa"]);
    assert_eq!(&names[7..], ["step0", "step5", "step10", "p1"]);
}
