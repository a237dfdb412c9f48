//! What an owner has before the first power-on: an inventory of one node or
//! several, a key, and what piflash built from them.

use crate::{
    lab::Lab,
    machine::{self, Kind},
    support::{
        env::Env,
        files_under,
        oracle::{self, run},
    },
    switch::Switch,
};
use std::{
    fs,
    path::PathBuf,
    sync::Arc,
    time::{SystemTime, UNIX_EPOCH},
};

/// The network of all sites, in which only static addresses work: QEMU's
/// DHCP server gives others.
pub const PREFIX: &str = "192.168.71";
pub const GATEWAY: &str = "192.168.71.1";
pub const DNS: &str = "192.168.71.3";

pub struct Site {
    env: Env,
    pub lab: Lab,
    /// What its cards are put into.
    pub kind: Kind,
    /// What several nodes share.
    pub switch: Option<Arc<Switch>>,
    /// Seconds since 1970 when the cards were about to be built.
    pub built: i64,
    /// Texts of the inventory that must not be seen outside of root's files.
    told: Vec<String>,
}

impl Site {
    /// Builds the nodes (names and addresses) out of a lab image. `vars` are
    /// more lines of the inventory's `vars`, without indentation; `secrets`
    /// are what of them is secret.
    pub fn build(
        lab: Lab,
        kind: Kind,
        nodes: &[(&str, &str)],
        vars: &[&str],
        secrets: &[&str],
    ) -> Self {
        let text = inventory(lab, nodes, vars);
        let site = Self::plan(lab, kind, &text, secrets);
        let names: Vec<&str> = nodes.iter().map(|(name, _)| *name).collect();
        site.build_cards(&names);
        site
    }

    /// An inventory, and a key that it may name as `key.pub`; no card yet.
    pub fn plan(
        lab: Lab,
        kind: Kind,
        inventory: &str,
        secrets: &[&str],
    ) -> Self {
        let env = Env::new();
        let key = env.work().join("key");
        let key = key.to_str().unwrap();
        run("ssh-keygen", &["-q", "-t", "ed25519", "-N", "", "-f", key])
            .unwrap();
        env.write("inventory.yml", inventory);
        let told = secrets.iter().map(|secret| (*secret).to_owned()).collect();
        Self { env, lab, kind, switch: None, built: now(), told }
    }

    /// Builds cards of nodes, anew where there are some.
    pub fn build_cards(&self, names: &[&str]) {
        self.build_with(names, &[], &[]);
    }

    /// The same with more arguments, and more of an environment.
    pub fn build_with(
        &self,
        names: &[&str],
        args: &[&str],
        environment: &[(&str, &str)],
    ) {
        let base = machine::image(self.lab);
        let args = [&["build"], names, args, &["--image"]].concat();
        let mut command = self.command();
        // The floor of the node's clock is to be later than what systemd and
        // the image have of their own.
        command.env_remove("SOURCE_DATE_EPOCH").args(args).arg(base);
        command.envs(environment.iter().copied());
        let output = command.output().unwrap();
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{said}");
    }

    /// piflash, where the inventory is.
    pub fn command(&self) -> assert_cmd::Command {
        self.env.command()
    }

    /// Writes a file below that directory.
    pub fn write(&self, name: &str, content: &str) {
        self.env.write(name, content);
    }

    /// A file below the directory that the site was built in.
    pub fn path(&self, name: &str) -> PathBuf {
        self.env.work().join(name)
    }

    /// What nobody may read on a node who is not root there: what the
    /// inventory has of it, and every line of every private file in
    /// `build/secrets`.
    pub fn secrets(&self) -> Vec<String> {
        let mut secrets = self.told.clone();
        let is_public = |path: &PathBuf| {
            path.extension().is_some_and(|end| end == "pub" || end == "crt")
        };
        let read = |files: &[PathBuf]| -> String {
            files.iter().map(|f| fs::read_to_string(f).unwrap()).collect()
        };
        let files = files_under(&self.path("build/secrets"));
        let (public, private): (Vec<_>, Vec<_>) =
            files.into_iter().partition(is_public);
        let public = read(&public);
        let private = read(&private);
        let lines = private.lines().map(str::trim).filter(|line| {
            // Not the first and last lines of PEM; and a private key of
            // OpenSSH has its public key in it.
            line.len() >= 16
                && !line.starts_with("-----")
                && !public.contains(line)
        });
        secrets.extend(lines.map(str::to_owned));
        assert!(secrets.len() > self.told.len() + 4, "{}", secrets.len());
        secrets
    }
}

fn inventory(lab: Lab, nodes: &[(&str, &str)], vars: &[&str]) -> String {
    let mut hosts = String::new();
    let mut members = String::new();
    for (name, address) in nodes {
        hosts += &format!("    {name}: {{ansible_host: {address}}}\n");
        members += &format!("{name}: , ");
    }
    let group = lab.group();
    let mut text = format!(
        "\
all:
  hosts:
{hosts}  children:
    {group}: {{hosts: {{{members}}}}}
    raspberry_pi: {{hosts: {{{members}}}}}
  vars:
    gateway: {GATEWAY}
    dns: [{DNS}]
    ssh_authorized_keys: [key.pub]
"
    );
    for line in vars {
        text += &format!("    {line}\n");
    }
    text
}

fn now() -> i64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    i64::try_from(now.as_secs()).unwrap()
}

/// A password's hash in the form of crypt(5).
pub fn hash(password: &str) -> String {
    let args = ["passwd", "-6", "-salt", "piflashlab", password];
    let hash = oracle::run("openssl", &args).unwrap();
    String::from_utf8(hash).unwrap().trim().to_owned()
}
