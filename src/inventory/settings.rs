//! From variables to the typed settings of a node.

use std::{collections::BTreeMap, net::IpAddr, path::Path, sync::Arc};

use minijinja::value::{Value as Jinja, ValueKind};

use super::{
    groups::Host,
    keys::{KeyOrigin, SshKeys},
    network,
    node::{Hidden, Node},
    problem::{Location, Problem, quoted},
    render::{self, World},
    roles::Membership,
    shapes::Reader,
    tree::{Kind, Tree},
    variables::{self, Variable},
};

/// What the nodes of an inventory have in common.
pub(super) struct Common<'a> {
    /// The directory of the inventory.
    pub(super) dir: &'a Path,
    /// The builder's home directory.
    pub(super) home: Option<&'a Path>,
    /// The keys of nodes whose variables name none.
    pub(super) default_keys: &'a SshKeys,
    /// All variables.
    pub(super) world: &'a Arc<World>,
}

/// Reads the variables of one node that are needed early.
struct Settings<'a> {
    reader: Reader<'a>,
    trees: BTreeMap<&'static str, Tree>,
}

impl<'a> Settings<'a> {
    /// Applies a reader of [`Reader`] to a variable, if it is set.
    fn read<T>(
        &mut self,
        name: &'static str,
        read: impl FnOnce(&mut Reader<'a>, &Variable, &Tree) -> Option<T>,
    ) -> Option<T> {
        let tree = self.trees.get(name)?;
        read(&mut self.reader, variables::variable(name)?, tree)
    }

    fn at(&self, name: &str) -> Option<&Location> {
        self.trees.get(name).map(|tree| &tree.at)
    }
}

/// Builds a node; what is wrong with it is collected.
pub(super) fn node(
    common: &Common<'_>,
    host: &Host,
    index: usize,
    membership: Membership,
    problems: &mut Vec<Problem>,
    warnings: &mut Vec<Problem>,
) -> Option<Node> {
    let world = common.world;
    let own = world.nodes.get(index)?;
    let mut trees = BTreeMap::new();
    for variable in variables::VARIABLES.iter().filter(|v| v.early) {
        if let Some(tree) = early(world, index, variable, problems) {
            trees.insert(variable.name, tree);
        }
    }
    let Common { dir, home, .. } = *common;
    let mut s = Settings { reader: Reader { dir, home, problems }, trees };

    let host_text = s.read("ansible_host", Reader::host);
    let address = host_text.as_ref().and_then(|text| text.parse().ok());
    let host_name = host_text.filter(|_| address.is_none());
    let wifi = s.read("wifi", Reader::wifi);
    let interface = s.read("interface", Reader::interface);
    let default = if wifi.is_some() { "wlan0" } else { "eth0" };
    let static_network = static_network(&mut s, host, address, warnings);
    if let (Some(name), None, Some(at)) =
        (&host_name, s.at("gateway"), s.at("ansible_host"))
    {
        warnings.push(
            Problem::at(at, format!("{} is a name", quoted(name))).hint(
                "the node takes its address from DHCP: make sure that the \
                 name leads to it",
            ),
        );
    }
    let image = s.read("image", Reader::text);
    let image_sha256 = s.read("image_sha256", Reader::sha256);
    if let (Some(image), None, Some(at)) =
        (&image, s.at("image_sha256"), s.at("image"))
        && (image.starts_with("http://") || image.starts_with("https://"))
    {
        let problem = Problem::at(at, "an image by URL needs `image_sha256`")
            .hint("the vendor publishes it beside the image");
        s.reader.problems.push(problem);
    }
    let user = s.read("ansible_user", Reader::account);
    if let (Some("root"), Some(at)) = (user.as_deref(), s.at("ansible_user")) {
        let problem = Problem::at(at, "`ansible_user` cannot be root")
            .hint("name an account, which may then use sudo");
        s.reader.problems.push(problem);
    }
    let keys = s.read("ssh_authorized_keys", Reader::ssh_keys);
    Some(Node {
        name: host.name.clone(),
        at: host.at.clone(),
        account: user.or_else(|| membership.default_account()),
        os: membership.os,
        raspberry_pi: membership.raspberry_pi,
        role: membership.role,
        first_master: membership.first_master,
        groups: own.groups.clone(),
        address,
        host_name,
        static_network,
        interface: interface.unwrap_or_else(|| default.to_owned()),
        wifi,
        ssh_authorized_keys: keys
            .unwrap_or_else(|| common.default_keys.clone()),
        password_hash: s
            .read("password_hash", Reader::password_hash)
            .map(Hidden),
        image,
        image_sha256,
        boot_directory: s.read("boot_directory", Reader::absolute_path),
        timezone: s.read("timezone", Reader::time_zone),
        locale: s.read("locale", Reader::locale),
        ntp: s.read("ntp", Reader::hosts).unwrap_or_default(),
        packages: s.read("packages", Reader::packages).unwrap_or_default(),
        upgrade: s.read("upgrade", Reader::boolean).unwrap_or(false),
        rpi_update: s.read("rpi_update", Reader::boolean).unwrap_or(false),
        status_led: s.read("status_led", Reader::boolean).unwrap_or(true),
        files: s.read("files", Reader::files).unwrap_or_default(),
        config_txt: s
            .read("config_txt", Reader::config_txt)
            .unwrap_or_default(),
        vars: own.vars.clone(),
        world: Arc::clone(world),
        index,
    })
}

/// Says whether nodes will need the builder's own keys.
pub(super) fn wants_default_keys(world: &World) -> bool {
    world.nodes.iter().any(|node| {
        node.vars
            .get("ssh_authorized_keys")
            .is_none_or(|var| var.definition.tree.is_null())
    })
}

/// What stands for the builder's keys where no node needs them.
pub(super) fn no_keys() -> SshKeys {
    SshKeys { keys: Vec::new(), origin: KeyOrigin::NoneFound }
}

fn static_network(
    s: &mut Settings<'_>,
    host: &Host,
    address: Option<IpAddr>,
    warnings: &mut Vec<Problem>,
) -> Option<super::StaticNetwork> {
    let gateway = s.read("gateway", Reader::ip);
    let prefix = s.read("prefix", Reader::prefix);
    let dns = s.read("dns", Reader::ips);
    let Some(gateway_at) = s.at("gateway").cloned() else {
        for name in ["prefix", "dns"] {
            if let Some(at) = s.at(name) {
                warnings.push(
                    Problem::at(
                        at,
                        format!("`{name}` has no effect without `gateway`"),
                    )
                    .hint("the node takes its address from DHCP"),
                );
            }
        }
        return None;
    };
    let Some(address_at) = s.at("ansible_host").cloned() else {
        let problem = Problem::at(
            &gateway_at,
            format!(
                "node {} has a `gateway` but no `ansible_host`",
                quoted(&host.name)
            ),
        );
        s.reader.problems.push(
            problem.hint("give the node its address, or leave gateway out"),
        );
        return None;
    };
    let gateway = gateway?;
    let Some(address) = address else {
        // A bad address was reported where it was read.
        if s.trees.get("ansible_host").and_then(Tree::text).is_some_and(
            |text| super::grammar::is_host_name(text) && !is_numeric(text),
        ) {
            let problem = Problem::at(
                &address_at,
                "with `gateway`, `ansible_host` must be an IP address, not a \
                 name",
            );
            s.reader.problems.push(
                problem.hint("for example `ansible_host: 192.168.71.21`"),
            );
        }
        return None;
    };
    // A bad prefix was reported; a default would only add to it.
    if prefix.is_none() && s.at("prefix").is_some() {
        return None;
    }
    match network::check(address, gateway, prefix) {
        Ok(prefix) => Some(super::StaticNetwork {
            address,
            prefix,
            gateway,
            dns: dns
                .filter(|dns| !dns.is_empty())
                .unwrap_or_else(|| vec![gateway]),
        }),
        Err((network::Blame::Prefix, message)) => {
            let at = s.at("prefix").cloned().unwrap_or(gateway_at);
            s.reader.problems.push(Problem::at(&at, message));
            None
        }
        Err((network::Blame::Gateway, message)) => {
            s.reader.problems.push(Problem::at(&gateway_at, message));
            None
        }
        Err((network::Blame::Address, message)) => {
            let problem = Problem::at(&address_at, message);
            s.reader.problems.push(problem.hint(format!(
                "the gateway is set in {}:{}",
                gateway_at.file.display(),
                gateway_at.line
            )));
            None
        }
    }
}

fn is_numeric(text: &str) -> bool {
    text.chars().all(|c| c.is_ascii_digit() || c == '.')
}

/// Gives a variable that is needed before the image is read, rendered.
fn early(
    world: &Arc<World>,
    index: usize,
    variable: &'static Variable,
    problems: &mut Vec<Problem>,
) -> Option<Tree> {
    let node = world.nodes.get(index)?;
    let var = node.vars.get(variable.name)?;
    let tree = &var.definition.tree;
    // What is encrypted was reported at its definition.
    if tree.is_null() || matches!(tree.kind, Kind::Vault) {
        return None;
    }
    if !tree.is_template() {
        return Some(tree.clone());
    }
    match render_tree(world, index, tree) {
        Ok(tree) => Some(tree),
        Err((at, error)) => {
            let problem = Problem::at(
                &at,
                format!(
                    "{} of node {} cannot be worked out: {error}",
                    quoted(variable.name),
                    quoted(&node.name)
                ),
            );
            problems.push(if error.needs_fact() {
                problem.hint(format!(
                    "{} is needed before the image is read, so it cannot \
                     use facts: write it out",
                    quoted(variable.name)
                ))
            } else {
                problem
            });
            None
        }
    }
}

type RenderFailure = (Location, render::RenderError);

/// Renders every template in a tree; the places stay.
fn render_tree(
    world: &Arc<World>,
    index: usize,
    tree: &Tree,
) -> Result<Tree, RenderFailure> {
    let kind = match &tree.kind {
        Kind::Scalar { text, .. } if tree.is_template() => {
            let value = super::Value::String(text.clone());
            let value = render::value(world, index, &Jinja::UNDEFINED, &value)
                .map_err(|error| (tree.at.clone(), error))?;
            return Ok(from_jinja(&value, &tree.at, 0));
        }
        Kind::Seq(items) => Kind::Seq(
            items
                .iter()
                .map(|item| render_tree(world, index, item))
                .collect::<Result<_, _>>()?,
        ),
        Kind::Map(pairs) => Kind::Map(
            pairs
                .iter()
                .map(|(key, value)| {
                    Ok((key.clone(), render_tree(world, index, value)?))
                })
                .collect::<Result<_, RenderFailure>>()?,
        ),
        _ => tree.kind.clone(),
    };
    Ok(Tree { at: tree.at.clone(), kind })
}

/// Deepest value taken out of an expression.
const MAX_DEPTH: usize = 8;

fn from_jinja(value: &Jinja, at: &Location, depth: usize) -> Tree {
    let inner = |value: &Jinja| from_jinja(value, at, depth.saturating_add(1));
    let kind = match value.kind() {
        ValueKind::Seq | ValueKind::Iterable if depth < MAX_DEPTH => {
            let items = value.try_iter().into_iter().flatten();
            Kind::Seq(items.map(|item| inner(&item)).collect())
        }
        ValueKind::Map if depth < MAX_DEPTH => {
            let keys = value.try_iter().into_iter().flatten();
            Kind::Map(
                keys.map(|key| {
                    let value = value.get_item(&key).unwrap_or_default();
                    (Tree::plain(&key.to_string(), at), inner(&value))
                })
                .collect(),
            )
        }
        ValueKind::None | ValueKind::Undefined => {
            return Tree::plain("", at);
        }
        _ => Kind::Scalar { text: value.to_string(), plain: true, raw: true },
    };
    Tree { at: at.clone(), kind }
}
