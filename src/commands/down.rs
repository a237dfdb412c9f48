//! Takes nodes out of their cluster, and their cluster off them.

use std::{collections::BTreeSet, fmt::Write, path::Path, time::Duration};

use clap::Args;
use minijinja::value::Value;

use super::{
    access::Access,
    error::{CommandError, Kind, Result},
    hooks, inventory,
    status::ReachArgs,
    workshop::build_time,
};
use crate::{
    inventory::{Cluster, Hook, Inventory, Node, Role, RoleKind},
    node::down::{
        NodePlan, Options, Outcome, Plan, Run, StepError, Verdict, look, run,
    },
    ui::{Confirmed, Report, Ui},
};

/// Take nodes out of their cluster and uninstall it from them, so that they
/// are free for something else
#[derive(Args, Debug)]
pub(super) struct DownArgs {
    /// The nodes, by their names in the inventory
    #[arg(value_name = "NODE", required_unless_present = "all")]
    nodes: Vec<String>,

    /// Every node of the inventory that was built
    #[arg(long, conflicts_with = "nodes")]
    all: bool,

    /// Do not ask before a whole cluster goes down
    #[arg(short, long)]
    yes: bool,

    /// Only show what would be done
    #[arg(long)]
    dry_run: bool,

    /// Where something is in the way, do it all the same: end pods that a
    /// PodDisruptionBudget protects, lose their local data, go on without
    /// the cluster's masters or hooks
    #[arg(long)]
    force: bool,

    /// Seconds that the pods of a node have to go
    #[arg(long, value_name = "SECONDS", default_value_t = 300)]
    drain_timeout: u32,

    /// Seconds that the masters that stay have to be well again after one
    /// has left
    #[arg(long, value_name = "SECONDS", default_value_t = 180)]
    health_timeout: u32,

    #[command(flatten)]
    reach: ReachArgs,
}

/// Plans, asks where much is at stake, and does it.
pub(super) fn down(path: &Path, args: &DownArgs, ui: &Ui) -> Result<()> {
    let inventory = inventory::load(path, ui)?;
    let targets = inventory::select(&inventory, &args.nodes)?;
    let hooks = Hooks::read(path, &inventory, &targets)?;
    let ssh = args.reach.ssh()?;
    let targets: Vec<&Node> = if args.all {
        targets.into_iter().filter(|node| ssh.knows(&node.name)).collect()
    } else {
        targets
    };
    without_card(&targets, |node| ssh.knows(&node.name))?;

    let access = Access::noted(&args.reach.build_dir, build_time()?)?;
    let mut plans = Vec::new();
    for cluster in [Cluster::K3s, Cluster::K8s] {
        let members = members(&inventory, cluster);
        let names = names(&targets, Some(cluster));
        if names.is_empty() {
            continue;
        }
        // Only who goes, and who could speak to the cluster.
        let asked: Vec<&Node> = members
            .iter()
            .filter(|node| names.contains(&node.name) || is_master(node))
            .copied()
            .collect();
        ui.say(&format!("looking at the {cluster} cluster"));
        let patience = args.reach.patience();
        let seen = look(&ssh, cluster, &asked, &names, patience);
        if seen.registered.is_some() {
            access.note_seen(cluster, ui);
        }
        let options = options(args, &members, hooks.of(cluster))?;
        plans.push(Plan::new(cluster, &members, &names, &seen, &options));
    }
    for name in names(&targets, None) {
        ui.say(&format!("{name} has no part in a cluster: nothing to do"));
    }
    for warning in plans.iter().flat_map(|plan| &plan.warnings) {
        ui.warn(warning);
    }
    if args.dry_run {
        let text: String = plans.iter().map(shown).collect();
        return ui.print(&text).map_err(|e| CommandError::output(&e));
    }
    for plan in plans.iter().filter(|plan| plan.whole && !plan.is_idle()) {
        confirm(plan, args, ui)?;
    }
    let mut failures = Vec::new();
    let how = Run {
        force: args.force,
        health_timeout: Duration::from_secs(args.health_timeout.into()),
    };
    for plan in &plans {
        let outcomes = run(plan, &ssh, how, &mut |text| ui.say(text));
        let before = failures.len();
        for (node, outcome) in outcomes {
            failures.extend(conclude(&node, outcome, ui));
        }
        // With a master that could not be reached, the cluster would be back.
        if plan.whole && failures.len() == before {
            access.forget_seen(plan.cluster)?;
        }
    }
    end(failures, ui)
}

/// A card that was never built is no part of a cluster; a name of it may be
/// a slip.
fn without_card(
    targets: &[&Node],
    has_card: impl Fn(&Node) -> bool,
) -> Result<()> {
    match targets.iter().find(|node| !has_card(node)) {
        None => Ok(()),
        Some(node) => Err(CommandError::new(
            Kind::Failed,
            Report::new(format!("no card of {} was built here", node.name)),
        )
        .hint("name the directory of its build: --build-dir")),
    }
}

fn is_master(node: &Node) -> bool {
    node.role.is_some_and(|role| role.kind == RoleKind::Master)
}

/// All nodes of a cluster, the first master first.
fn members(inventory: &Inventory, cluster: Cluster) -> Vec<&Node> {
    let of = |kind| inventory.of_role(Role { cluster, kind });
    of(RoleKind::Master).chain(of(RoleKind::Worker)).collect()
}

fn names(nodes: &[&Node], cluster: Option<Cluster>) -> BTreeSet<String> {
    nodes
        .iter()
        .filter(|node| node.role.map(|role| role.cluster) == cluster)
        .map(|node| node.name.clone())
        .collect()
}

/// What is applied before masters go down, of each cluster.
#[derive(Default)]
struct Hooks(Vec<(Cluster, Vec<Hook>)>);

impl Hooks {
    /// Reads those of clusters whose masters are among `targets`, so that
    /// what is wrong with one is said before anything is done.
    fn read(
        path: &Path,
        inventory: &Inventory,
        targets: &[&Node],
    ) -> Result<Self> {
        let mut all = Self::default();
        for cluster in [Cluster::K3s, Cluster::K8s] {
            let of = |node: &&&Node| {
                is_master(node)
                    && node.role.is_some_and(|role| role.cluster == cluster)
            };
            if !targets.iter().any(|node| of(&node)) {
                continue;
            }
            let first = members(inventory, cluster).first().copied();
            let Some(first) = first else { continue };
            let folder = path.parent().unwrap_or(Path::new(""));
            let hooks = hooks::pre_master_down(first, cluster, folder)?;
            all.0.push((cluster, hooks));
        }
        Ok(all)
    }

    fn of(&self, cluster: Cluster) -> Vec<Hook> {
        let found = self.0.iter().find(|(of, _)| *of == cluster);
        found.map(|(_, hooks)| hooks.clone()).unwrap_or_default()
    }
}

/// A variable that needs no image to be known.
fn text(node: &Node, name: &str) -> Result<Option<String>> {
    let value = node
        .rendered(name, &Value::UNDEFINED)
        .map_err(|error| unknown(node, name, &error))?;
    Ok(value.map(|value| value.to_string()))
}

fn unknown(
    node: &Node,
    name: &str,
    error: &(dyn std::error::Error + 'static),
) -> CommandError {
    let what = format!("cannot make out `{name}` of {}", node.name);
    CommandError::new(Kind::Usage, Report::new(what).because(error))
        .hint("facts of the image are not known when nodes go down")
}

fn options(
    args: &DownArgs,
    members: &[&Node],
    hooks: Vec<Hook>,
) -> Result<Options> {
    let mut delete_emptydir_data = false;
    let mut endpoint = None;
    if let Some(first) = members.first() {
        let name = "k3s_delete_emptydir_data";
        delete_emptydir_data = first
            .flag(name, &Value::UNDEFINED)
            .map_err(|error| unknown(first, name, &error))?;
        endpoint = text(first, "control_plane_endpoint")?;
    }
    Ok(Options {
        force: args.force,
        delete_emptydir_data,
        drain_timeout: Duration::from_secs(args.drain_timeout.into()),
        endpoint: endpoint.map(|text| host(&text).to_owned()),
        hooks,
    })
}

/// `host`, `host:port` or `[address]:port` without the port.
fn host(endpoint: &str) -> &str {
    if let Some((host, _)) =
        endpoint.strip_prefix('[').and_then(|rest| rest.split_once(']'))
    {
        return host;
    }
    match endpoint.split_once(':') {
        // Two colons are of an IPv6 address.
        Some((host, port)) if !port.contains(':') => host,
        _ => endpoint,
    }
}

/// A plan as people read it.
fn shown(plan: &Plan) -> String {
    let mut text = String::new();
    let whole = if plan.whole { "the whole" } else { "of the" };
    // Writing to a String cannot fail.
    let _ = writeln!(text, "# {whole} {} cluster", plan.cluster);
    for step in &plan.before {
        let _ = writeln!(text, "first: {step}");
    }
    for NodePlan { node, verdict, steps, doubt, .. } in &plan.nodes {
        let _ = match verdict {
            Verdict::Go => writeln!(text, "{node}:"),
            Verdict::Nothing(why) => writeln!(text, "{node}: {why}"),
            Verdict::Absent(why) => {
                writeln!(text, "{node}: {why}; nothing will be uninstalled")
            }
            Verdict::Blocked(why, hint) => {
                writeln!(text, "{node}: not done: {why}\n    hint: {hint}")
            }
        };
        for step in steps {
            let _ = writeln!(text, "    {step}");
        }
        if let Some((why, hint)) = doubt {
            let _ = writeln!(text, "    then: {why}\n    hint: {hint}");
        }
    }
    text
}

fn confirm(plan: &Plan, args: &DownArgs, ui: &Ui) -> Result<()> {
    if args.yes {
        return Ok(());
    }
    let cluster = plan.cluster.to_string();
    let nodes: Vec<&str> = plan.nodes.iter().map(|n| &*n.node).collect();
    let question = format!(
        "The whole {cluster} cluster goes down, with all that runs and is \
         stored in it: {}",
        nodes.join(", ")
    );
    match ui.confirm(&question, &cluster) {
        Ok(Confirmed::Yes) => Ok(()),
        Ok(Confirmed::No) => Err(CommandError::new(
            Kind::Failed,
            Report::new("not confirmed: nothing was done"),
        )),
        Ok(Confirmed::Nobody) => Err(CommandError::usage(format!(
            "the whole {cluster} cluster would go down, and nobody is there \
             to be asked"
        ))
        .hint("--yes is the answer; --dry-run shows what would be done")),
        Err(error) => {
            Err(CommandError::failed("cannot read the answer", &error))
        }
    }
}

/// Says what became of a node; what went wrong is for the end.
fn conclude(node: &str, outcome: Outcome, ui: &Ui) -> Option<StepError> {
    match outcome {
        Outcome::Down => ui.say(&format!("{node}: down")),
        Outcome::Nothing(why) => ui.say(&format!("{node}: {why}")),
        Outcome::Failed(error) => return Some(error),
        Outcome::Absent(why) => {
            return Some(StepError {
                what: format!(
                    "{node} was not uninstalled, and is out of its cluster"
                ),
                causes: vec![why],
                hint: Some(
                    "when it is on again, run this once more, or flash its card"
                        .to_owned(),
                ),
            });
        }
        Outcome::HeldBack(why) => {
            return Some(StepError {
                what: format!("{node} was left as it is"),
                causes: vec![why],
                hint: None,
            });
        }
    }
    None
}

/// The last of several errors is the command's; the others come before it.
fn end(failures: Vec<StepError>, ui: &Ui) -> Result<()> {
    let mut reports: Vec<Report> = failures.into_iter().map(report).collect();
    let Some(last) = reports.pop() else { return Ok(()) };
    for other in &reports {
        ui.warn(other.to_string().trim_start_matches("error: ").trim_end());
    }
    Err(CommandError::new(Kind::Failed, last))
}

fn report(error: StepError) -> Report {
    let mut report = Report::new(error.what);
    for cause in error.causes {
        report = report.cause(cause);
    }
    match error.hint {
        Some(hint) => report.hint(hint),
        None => report,
    }
}

#[cfg(test)]
mod tests {
    use super::host;

    #[test]
    fn endpoints_have_a_host() {
        for (endpoint, name) in [
            ("192.168.71.20:6443", "192.168.71.20"),
            ("api.home", "api.home"),
            ("[fd00::1]:6443", "fd00::1"),
            ("fd00::1", "fd00::1"),
        ] {
            assert_eq!(host(endpoint), name);
        }
    }
}
