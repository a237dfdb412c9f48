//! How far the nodes are, by their own account and by their cluster's.

mod certificates;
mod shown;

use std::{
    collections::{BTreeMap, BTreeSet},
    num::NonZeroU64,
    ops::ControlFlow,
    path::{Path, PathBuf},
    time::Duration,
};

use clap::Args;

use super::{
    access::Access,
    error::{CommandError, Kind, Result},
    inventory, secrets,
    workshop::build_time,
};
use crate::{
    inventory::{Cluster, Inventory, Node, Role, RoleKind},
    node::{
        self, Answer, Api, Kubeconfig, Registered, Ssh, SshConfigError, ask_all,
    },
    ui::{Live, Report, Ui},
};

/// How soon a node is asked again, after its answer.
const AGAIN: Duration = Duration::from_secs(2);

/// Show how far nodes are on their first boot, and in their cluster
#[derive(Args, Debug)]
pub(super) struct StatusArgs {
    /// The nodes, by their names in the inventory [default: all]
    #[arg(value_name = "NODE")]
    nodes: Vec<String>,

    /// Ask again and again, until all nodes are done
    #[arg(short, long)]
    watch: bool,

    /// For programs; with --watch, a line whenever something has changed
    #[arg(long)]
    json: bool,

    #[command(flatten)]
    reach: ReachArgs,
}

/// How nodes are reached.
#[derive(Args, Clone, Debug)]
pub(super) struct ReachArgs {
    /// Seconds that a node has to answer
    #[arg(long, value_name = "SECONDS", default_value = "15")]
    timeout: NonZeroU64,

    /// Where builds wrote ssh_config and the kubeconfigs
    #[arg(long, value_name = "DIR", default_value = "build")]
    pub(super) build_dir: PathBuf,
}

impl ReachArgs {
    pub(super) fn patience(&self) -> Duration {
        Duration::from_secs(self.timeout.get().min(3600))
    }

    pub(super) fn ssh(&self) -> Result<Ssh> {
        Ssh::open(&self.build_dir, self.patience()).map_err(|error| {
            let SshConfigError { source, .. } = &error;
            let missing = source.kind() == std::io::ErrorKind::NotFound;
            CommandError::failed("no node can be reached", &error).hint(
                if missing {
                    "it is written when cards are built: piflash build --all; \
                     or name the directory: --build-dir"
                } else {
                    "`piflash build` writes it anew"
                },
            )
        })
    }
}

/// A cluster that is asked about its nodes.
struct Asked {
    cluster: Cluster,
    api: std::result::Result<Api, String>,
}

/// What is known by now; None before the first answer.
struct Known<'i> {
    nodes: Vec<(&'i Node, Option<Answer>)>,
    clusters: BTreeMap<Cluster, Option<ClusterAnswer>>,
}

/// What an API server says of its nodes, or why it does not.
type ClusterAnswer = std::result::Result<BTreeMap<String, Registered>, String>;

enum Heard {
    Node(Answer),
    Cluster(ClusterAnswer),
}

/// Asks and shows. Fails unless all nodes are done.
pub(super) fn status(path: &Path, args: &StatusArgs, ui: &Ui) -> Result<()> {
    let inventory = inventory::load(path, ui)?;
    let nodes = inventory::select(&inventory, &args.nodes)?;
    let ssh = args.reach.ssh()?;
    let limit = args.reach.patience();
    let clusters = clusters(&inventory, &nodes, args)?;
    let mut known = Known {
        nodes: nodes.iter().map(|node| (*node, None)).collect(),
        clusters: clusters.iter().map(|c| (c.cluster, None)).collect(),
    };
    let access = Access::noted(&args.reach.build_dir, build_time()?);
    if let Err(error) = &access {
        // How far the nodes are is of use without them.
        ui.warn(&format!(
            "{}, which is not there: no cluster is asked, and none is noted \
             as seen at work",
            error.report.what()
        ));
    }
    let mut seen = BTreeSet::new();
    let mut live = Live::new(ui);
    let mut output = Ok(());
    let count = nodes.len().saturating_add(clusters.len());
    ask_all(
        count,
        args.watch.then_some(AGAIN),
        |subject, cancelled| match nodes.get(subject) {
            Some(node) => {
                Heard::Node(node::ask(&ssh, &node.name, limit, cancelled))
            }
            None => {
                let at = subject.saturating_sub(nodes.len());
                Heard::Cluster(ask_cluster(clusters.get(at)))
            }
        },
        |subject, heard| {
            let cluster = match clusters
                .get(subject.saturating_sub(nodes.len()))
            {
                Some(asked) if subject >= nodes.len() => Some(asked.cluster),
                _ => nodes.get(subject).and_then(|n| n.role).map(|r| r.cluster),
            };
            if let Some(cluster) = cluster
                && is_at_work(&heard)
                && seen.insert(cluster)
                && let Ok(access) = &access
            {
                access.note_seen(cluster, ui);
            }
            match heard {
                Heard::Node(answer) => {
                    if let Some((_, old)) = known.nodes.get_mut(subject) {
                        *old = Some(answer);
                    }
                }
                Heard::Cluster(answer) => {
                    let at = subject.saturating_sub(nodes.len());
                    if let Some(asked) = clusters.get(at) {
                        known.clusters.insert(asked.cluster, Some(answer));
                    }
                }
            }
            if args.watch {
                output = watched(&mut live, &known, args.json);
                if output.is_err() || known.all_done() {
                    return ControlFlow::Break(());
                }
            }
            ControlFlow::Continue(())
        },
    );
    if !args.watch {
        let text =
            if args.json { shown::json(&known) } else { shown::text(&known) };
        output = ui.print(&text);
    }
    output.map_err(|error| CommandError::output(&error))?;
    verdict(&known)
}

/// Whether a cluster must be there: its API answers, or a node says that it
/// has become one of it.
fn is_at_work(heard: &Heard) -> bool {
    match heard {
        Heard::Cluster(answer) => answer.is_ok(),
        Heard::Node(Answer::Told(status)) => status.state == "done",
        Heard::Node(Answer::Trouble(_)) => false,
    }
}

/// Shows what is known by now. Where nothing can be drawn over, only when
/// everybody has answered once.
fn watched(
    live: &mut Live<'_>,
    known: &Known<'_>,
    json: bool,
) -> std::io::Result<()> {
    let all = known.nodes.iter().all(|(_, answer)| answer.is_some())
        && known.clusters.values().all(Option::is_some);
    if json {
        if !all {
            return Ok(());
        }
        return live.append(&shown::json_line(known));
    }
    if all || live.in_place() {
        return live.show(&shown::text(known));
    }
    Ok(())
}

/// Exit code 0 is for programs that wait for a cluster.
fn verdict(known: &Known<'_>) -> Result<()> {
    let open: Vec<&str> = known
        .nodes
        .iter()
        .filter(|(node, answer)| !known.is_done(node, answer.as_ref()))
        .map(|(node, _)| &*node.name)
        .collect();
    if open.is_empty() {
        return Ok(());
    }
    let what = match open.len() {
        1 => format!("{} is not done", open.join("")),
        _ => format!("{} nodes are not done: {}", open.len(), open.join(", ")),
    };
    Err(CommandError::new(Kind::Failed, Report::new(what)))
}

/// The clusters of nodes, each with a way to ask it.
fn clusters(
    inventory: &Inventory,
    nodes: &[&Node],
    args: &StatusArgs,
) -> Result<Vec<Asked>> {
    let mut asked = Vec::new();
    for cluster in [Cluster::K3s, Cluster::K8s] {
        let of = |node: &&&Node| {
            node.role.is_some_and(|role| role.cluster == cluster)
        };
        if !nodes.iter().any(|node| of(&node)) {
            continue;
        }
        let path = secrets::kubeconfig_path(&args.reach.build_dir, cluster)?;
        let kubeconfig = Kubeconfig::load(&path).map_err(|error| {
            CommandError::failed(
                format!("cannot ask the {cluster} cluster"),
                &error,
            )
            .hint("remove it: `piflash build` writes it anew")
        })?;
        let Some(kubeconfig) = kubeconfig else { continue };
        let role = Role { cluster, kind: RoleKind::Master };
        let masters = inventory.of_role(role).map(|node| url(&node.reach()));
        // Half of what a node has: there may be several to ask.
        let patience = args.reach.patience().div_f32(2.0);
        let api = Api::new(&kubeconfig, masters, patience)
            .map_err(|error| chain(&error));
        asked.push(Asked { cluster, api });
    }
    Ok(asked)
}

/// Where a master's API server listens.
fn url(reach: &str) -> String {
    if reach.contains(':') {
        format!("https://[{reach}]:6443")
    } else {
        format!("https://{reach}:6443")
    }
}

fn ask_cluster(asked: Option<&Asked>) -> ClusterAnswer {
    match asked.map(|asked| &asked.api) {
        Some(Ok(api)) => api.nodes().map_err(|error| chain(&error)),
        Some(Err(why)) => Err(why.clone()),
        None => Err("it was not asked".to_owned()),
    }
}

/// An error with what caused it, on one line.
fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut next = error.source();
    while let Some(error) = next {
        text = format!("{text}: {error}");
        next = error.source();
    }
    node::text::clean(&text, 300)
}

impl Known<'_> {
    /// What the cluster says of a node: None if it says nothing at all.
    fn registered(&self, node: &Node) -> Option<Option<&Registered>> {
        let cluster = node.role?.cluster;
        let answer = self.clusters.get(&cluster)?.as_ref()?;
        let nodes = answer.as_ref().ok()?;
        Some(nodes.get(&node.name))
    }

    fn is_done(&self, node: &Node, answer: Option<&Answer>) -> bool {
        let Some(Answer::Told(status)) = answer else { return false };
        // Without an answer of the cluster, the node's word counts.
        let ready = match self.registered(node) {
            Some(registered) => registered.is_some_and(|known| known.ready),
            None => true,
        };
        status.state == "done" && ready
    }

    fn all_done(&self) -> bool {
        self.clusters.values().all(Option::is_some)
            && self
                .nodes
                .iter()
                .all(|(node, answer)| self.is_done(node, answer.as_ref()))
    }
}
