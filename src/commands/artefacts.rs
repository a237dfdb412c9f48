//! What nodes need beside their base images: named by their roles, got
//! through the cache.

use std::path::Path;

use minijinja::Value;

use super::{
    error::{CommandError, Kind, Result},
    record::load,
    shelf::ImageArgs,
};
use crate::{
    base::{
        artefact::{
            Artefact, ArtefactError, Gathered, K3s, Store, VersionError,
            apt_key, cri_dockerd, flannel_manifest, gather,
        },
        facts::Facts,
        image::{Image, Origin},
        lock::Lock,
    },
    inventory::{Cluster, Node},
    plan::{Artefacts as Contents, ansible_facts},
    ui::{Report, Ui},
};

/// The artefacts of one run.
pub(super) struct Artefacts {
    args: ImageArgs,
    lock: Lock,
}

impl Artefacts {
    /// Reads which ones the nodes of an inventory were built with.
    pub(super) fn open(inventory: &Path, args: &ImageArgs) -> Result<Self> {
        let lock = load(&Lock::path_for(inventory))?;
        Ok(Self { args: args.clone(), lock })
    }

    /// Returns what a node on this image needs, downloaded where it is not
    /// in the cache.
    pub(super) fn gather(
        &self,
        node: &Node,
        image: &Image,
        ui: &Ui,
    ) -> Result<Gathered> {
        let wanted = wanted(node, &image.facts)?;
        if wanted.is_empty() {
            return Ok(Gathered::default());
        }
        let store = Store::of(&self.args.cache()?);
        let pin = |artefact: &Artefact| self.lock.pin(&node.name, artefact);
        // Only the image that does not boot can do without.
        let may_lack = image.origin == Origin::Demo;
        let options = self.args.options(node);
        let bar = ui.bar(&node.name);
        gather(&store, &wanted, &pin, may_lack, &options, &*bar)
            .map_err(|error| artefact_error(&node.name, &error))
    }
}

/// Returns what was gathered as a plan takes it. A plan reads no files, so
/// manifests, which it may change, are read here.
pub(super) fn for_plan(node: &str, gathered: &Gathered) -> Result<Contents> {
    let mut contents = Contents::from(gathered);
    for file in &gathered.files {
        if file.name.ends_with(".yml") {
            let text = file.text().map_err(|error| {
                let what = format!("cannot read {} of {node}", file.name);
                CommandError::failed(what, &error)
            })?;
            contents.add(&file.name, text.into());
        }
    }
    Ok(contents)
}

/// Names what the node's role needs.
fn wanted(node: &Node, facts: &Facts) -> Result<Vec<Artefact>> {
    let Some(role) = node.role else { return Ok(Vec::new()) };
    let settings = Settings { node, known: ansible_facts(node, facts) };
    let wrong = |error| version_error(&node.name, &error);
    let mut wanted = Vec::new();
    match role.cluster {
        Cluster::K3s => {
            let (version, url) = (
                settings.text("k3s_version")?,
                settings.text("k3s_download_url")?,
            );
            let k3s = K3s::new(
                version.as_deref(),
                url.as_deref(),
                facts.architecture,
            )
            .map_err(wrong)?;
            wanted.push(k3s.program());
            if settings.flag("k3s_airgap")? {
                wanted.push(k3s.images());
            }
        }
        Cluster::K8s => {
            let (version, url) = (
                settings.text("k8s_version")?,
                settings.text("k8s_download_url")?,
            );
            let key = apt_key(version.as_deref(), url.as_deref());
            wanted.push(key.map_err(wrong)?);
            if settings.text("container_runtime")?.as_deref() == Some("docker")
            {
                let url = settings.text("cri_dockerd_download_url")?;
                let shim = cri_dockerd(facts.architecture, url.as_deref());
                wanted.push(shim.map_err(wrong)?);
            }
            let cni = settings.text("cni")?;
            let flannel = cni.as_deref().is_none_or(|cni| cni == "flannel");
            // Applied once, by the node that begins the cluster.
            if node.first_master && flannel {
                let url = settings.text("flannel_download_url")?;
                let manifest = flannel_manifest(url.as_deref());
                wanted.push(manifest.map_err(wrong)?);
            }
        }
    }
    Ok(wanted)
}

/// The node's variables, rendered with what is known of its image.
struct Settings<'n> {
    node: &'n Node,
    known: Value,
}

impl Settings<'_> {
    fn text(&self, name: &str) -> Result<Option<String>> {
        let value = self.node.rendered(name, &self.known);
        let value = value.map_err(|error| self.error(name, &error))?;
        Ok(value.map(|value| value.to_string()))
    }

    fn flag(&self, name: &str) -> Result<bool> {
        let value = self.node.flag(name, &self.known);
        value.map_err(|error| self.error(name, &error))
    }

    fn error(
        &self,
        name: &str,
        error: &(dyn std::error::Error + 'static),
    ) -> CommandError {
        let node = &self.node.name;
        let what = format!("`{name}` of {node} cannot be worked out");
        CommandError::new(Kind::Usage, Report::new(what).because(error))
    }
}

fn version_error(node: &str, error: &VersionError) -> CommandError {
    let what = format!("nothing to be downloaded for {node}");
    let report = Report::new(what).because(error).hint(error.hint());
    CommandError::new(Kind::Usage, report)
}

fn artefact_error(node: &str, error: &ArtefactError) -> CommandError {
    let report =
        Report::new(format!("{node} cannot be given what its role needs"))
            .because(error)
            .hint(error.hint());
    let kind = match error.is_mismatch() {
        true => Kind::Verification,
        false => Kind::Failed,
    };
    CommandError::new(kind, report)
}
