//! Jinja expressions over variables and facts.

use minijinja::{Value, context};
use piflash::inventory::{RenderError, load};

use super::{Lab, repository};

fn facts() -> Value {
    context! {
        ansible_lsb => context! { id => "Debian", codename => "trixie" },
        ansible_distribution_release => "trixie",
    }
}

#[test]
fn the_articles_docker_version_renders_with_the_facts_of_the_image() {
    let path = repository("tests/fixtures/article-inventory-all-variables.yml");
    let inventory = load(&path, None).unwrap();
    let node = inventory.node("node2").unwrap();
    let version = node.rendered("docker_version", &facts()).unwrap().unwrap();
    assert_eq!(version.as_str(), Some("5:28.5.2-1~debian-trixie"));
    let error = node.rendered("docker_version", &Value::UNDEFINED).unwrap_err();
    assert!(error.needs_fact(), "{error}");
    assert_eq!(error.to_string(), "`ansible_lsb.id` is undefined");
    assert!(node.flag("remove_docker_directory", &facts()).unwrap());
    assert!(!node.flag("k3s_airgap", &facts()).unwrap());
}

#[test]
fn names_of_ansible_can_be_used() {
    let lab = Lab::new(
        "all:
  hosts:
    a.lan: {ansible_host: 10.0.0.2, number: 7, list: [x, '{{ number }}']}
    b: {ansible_host: \"{{ base }}.3\", gateway: '{{ base }}.1',
        dns: ['{{ gateway }}', '{{ hostvars[\"a.lan\"].ansible_host }}']}
  vars: {base: 10.0.0, greeting: 'I am {{ inventory_hostname }}'}
  children: {k3s_master: {hosts: {a.lan: }}}
",
    );
    let inventory = lab.good();
    let node = &inventory.nodes[0];
    let render = |text: &str| {
        node.render(text, &facts()).map_err(|error| error.to_string())
    };
    let cases = [
        ("{{ greeting }}", "I am a.lan"),
        ("{{ inventory_hostname_short }}", "a"),
        ("{{ group_names | join(',') }}", "k3s_master"),
        ("{{ groups['k3s_master'][0] }}", "a.lan"),
        ("{{ hostvars['b'].greeting }}", "I am b"),
        ("{{ hostvars['b']['ansible_host'] }}", "10.0.0.3"),
        ("{{ list[1] + 1 }}", "8"),
        ("{{ ansible_facts.lsb.codename }}", "trixie"),
        ("{{ ansible_facts['distribution_release'] }}", "trixie"),
        ("{{ 'A B'.lower().split(' ')[0] }}", "a"),
        ("{{ missing | default('none') }}", "none"),
        ("{% if number > 5 %}\nbig\n{% endif %}\n", "big\n"),
        ("no template\n", "no template\n"),
    ];
    for (text, expected) in cases {
        assert_eq!(render(text).as_deref(), Ok(expected), "{text}");
    }
    let network = inventory.nodes[1].static_network.as_ref().unwrap();
    assert_eq!(network.address.to_string(), "10.0.0.3");
    assert_eq!(network.dns[1].to_string(), "10.0.0.2");
}

#[test]
fn what_is_undefined_is_named() {
    let lab = Lab::new(
        "all: {hosts: {a: {inner: '{{ nowhere }}', outer: 'x{{ inner }}',
         r1: '{{ r2 }}', r2: 'y{{ r1 }}',
         bomb0: bang, bomb1: '{{ bomb0 }}{{ bomb0 }}'}}}",
    );
    let inventory = lab.good();
    let error = |text: &str| -> RenderError {
        inventory.nodes[0].render(text, &facts()).unwrap_err()
    };
    assert_eq!(error("{{ outer }}").undefined(), Some("nowhere"));
    assert_eq!(error("{{ a_b.c }}").undefined(), Some("a_b.c"));
    let nested = error("{{ ansible_lsb.codenam }}");
    assert_eq!(nested.undefined(), Some("ansible_lsb.codenam"));
    assert!(nested.needs_fact());
    assert!(!error("{{ outer }}").needs_fact());
    for text in [
        "{{ r1 }}",
        "{{ x",
        "{% for i in range(99999) %}{% for j in range(99999) %}{% endfor %}\
         {% endfor %}",
        "{% for i in range(100) %}{{ 'a' * 99999 }}{% endfor %}",
        "{% include 'x' %}",
    ] {
        let message = error(text).to_string();
        assert!(!message.is_empty() && message.len() < 200, "{message}");
    }
    assert!(error("{{ r1 }}").to_string().contains("without end"));
}
