//! What goes into the image for the steps: the plan, and the files.

use crate::support::{env::Env, repository};

fn env(vars: &str) -> Env {
    let env = Env::new();
    let path = repository().join("examples/homelab.yml");
    let text = std::fs::read_to_string(path).unwrap();
    env.write("inventory.yml", format!("{text}{vars}"));
    env.write(
        "home/.ssh/id_ed25519.pub",
        "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAINRkNh8Btzd6RS+qT4r5zVmpVJWwu\
         OXR8bjTeVjXeUHp ada@desk\n",
    );
    env
}

fn content(env: &Env, path: &str) -> Option<String> {
    let plan =
        env.run(&["plan", "node3", "--image", "demo", "--offline", "--json"]);
    assert_eq!(plan.code, Some(0), "{plan}");
    let plan: serde_json::Value = serde_json::from_str(&plan.stdout).unwrap();
    let edits = plan["edits"].as_array().unwrap();
    let edit = edits.iter().find(|edit| edit["path"] == path)?;
    Some(edit["content"].as_str().unwrap_or("(secret)").to_owned())
}

const PLAN: &[&str] = &["plan", "node3", "--image", "demo", "--offline"];
const STEPS: &str = "/usr/local/lib/piflash/steps";

#[test]
fn only_what_a_node_needs_is_put_into_its_image() {
    let plan = env("").run(PLAN);
    assert_eq!(plan.code, Some(0), "{plan}");
    for absent in ["20-ipt", "30-", "35-", "40-", "45-", "95proxies"] {
        assert!(!plan.stdout.contains(absent), "{absent}: {plan}");
    }
    let env = env("    k3s_apt: [nfs-common, curl]\n    upgrade: yes\n    \
                   rpi_update: yes\n    no_proxy: x.lan\n");
    let plan = env.run(PLAN);
    for present in [
        "30-upgrade",
        "35-packages",
        "45-rpi-update",
        "nfs-common, curl",
        "note: rpi_update installs firmware",
        "note: no_proxy has no effect without proxy_url",
    ] {
        assert!(plan.stdout.contains(present), "{present}: {plan}");
    }
    assert!(!plan.stdout.contains("95proxies"), "{plan}");
    let packages = content(&env, "/etc/piflash/packages");
    assert_eq!(packages.as_deref(), Some("nfs-common\ncurl\n"));
    for step in ["10-home", "30-upgrade", "35-packages", "45-rpi-update"] {
        let own = repository().join("firstboot/steps").join(step);
        let own = std::fs::read_to_string(own).unwrap();
        let path = format!("{STEPS}/{step}");
        assert_eq!(content(&env, &path).as_ref(), Some(&own));
    }
}

#[test]
fn a_proxy_is_set_for_apt_and_the_environment() {
    let env = env("    proxy_url: http://10.0.0.1:3128/\n    \
                   no_proxy: 10.0.0.0/8,*.local,mirror.lan\n");
    assert_eq!(
        content(&env, "/etc/apt/apt.conf.d/95proxies").unwrap(),
        "Acquire::http::Proxy \"http://10.0.0.1:3128/\";\n\
         Acquire::https::Proxy \"http://10.0.0.1:3128/\";\n\
         Acquire::http::Proxy::mirror.lan \"DIRECT\";\n\
         Acquire::https::Proxy::mirror.lan \"DIRECT\";\n"
    );
    let lines = "http_proxy=http://10.0.0.1:3128/\n\
                 https_proxy=http://10.0.0.1:3128/\n\
                 HTTP_PROXY=http://10.0.0.1:3128/\n\
                 HTTPS_PROXY=http://10.0.0.1:3128/\n";
    // node3 is in a cluster, whose nodes, pods and services come behind.
    let direct = "10.0.0.0/8,*.local,mirror.lan,localhost,127.0.0.0/8,::1,\
                  .svc,.cluster.local,10.42.0.0/16,10.43.0.0/16,\
                  192.168.71.21,node1,node2,192.168.71.22,node3,192.168.71.23";
    assert_eq!(
        content(&env, "/etc/environment").unwrap(),
        format!("{lines}no_proxy={direct}\nNO_PROXY={direct}\n")
    );
}

/// The password is in the image, for root alone, and nowhere else.
#[test]
fn a_password_in_the_proxy_is_not_shown() {
    let env = env("    proxy_url: http://ada:s3cr3t@10.0.0.1:3128/\n");
    for args in [
        PLAN,
        &["plan", "node3", "--image", "demo", "--offline", "--json"],
        &["build", "node3", "--image", "demo", "--offline"],
    ] {
        let output = env.run(args);
        assert_eq!(output.code, Some(0), "{output}");
        assert!(!output.to_string().contains("s3cr3t"), "{output}");
    }
    let plan = env.run(PLAN).stdout;
    for line in [
        "root write        0600 0:0       /etc/apt/apt.conf.d/95proxies \
         (secret)",
        "root append                      /etc/environment (secret)",
        "root access       0600 0:0       /etc/environment",
        "proxy, http://***@10.0.0.1:3128/",
    ] {
        assert!(plan.contains(line), "{line}: {plan}");
    }
    let image = env.read("build/images/node3.img");
    let secret = b"s3cr3t".as_slice();
    assert!(image.windows(secret.len()).any(|bytes| bytes == secret));
}

#[test]
fn a_proxy_that_would_break_a_file_is_refused_without_showing_it() {
    for (value, said) in [
        ("proxy_url: \"http://u:p'w@h/\"", "`proxy_url` is not a value"),
        ("proxy_url: http://h\n    no_proxy: 'a;p`w'", "`no_proxy` is not"),
        ("proxy_url: 'http://{{ nobody }}:pw@h'", "`nobody` is undefined"),
    ] {
        let plan = env(&format!("    {value}\n")).run(PLAN);
        assert_ne!(plan.code, Some(0), "{value}: {plan}");
        assert!(plan.stderr.contains(said), "{said}: {plan}");
        assert!(!plan.stderr.contains("p'w"), "{plan}");
        assert!(!plan.stderr.contains("p`w"), "{plan}");
    }
    let env = env("    proxy_url: 'http://{{ ansible_lsb.codename }}:1'\n");
    let apt = content(&env, "/etc/apt/apt.conf.d/95proxies").unwrap();
    assert!(apt.contains("http://trixie:1"), "{apt}");
}
