//! From an inventory to nodes that are planned on their images.

use std::{
    borrow::Cow,
    collections::BTreeSet,
    env, fs,
    path::{Path, PathBuf},
    sync::Arc,
    time::{SystemTime, UNIX_EPOCH},
};

use super::{
    artefacts::{Artefacts, for_plan},
    error::{CommandError, Kind, Result},
    hooks, inventory,
    shelf::{ImageArgs, Shelf},
};
use crate::{
    base::{
        artefact::Gathered,
        image::{Image, Origin},
        lock::LockedImage,
    },
    identity::NodeIdentity,
    inventory::{
        FileCopy, Hook, Inventory, KeyOrigin, KeySource, Node, SshKey, WifiKey,
    },
    plan::{CustomFile, Inputs, ManifestBase, Plan},
    profile::Profiles,
    ui::{Report, Ui},
};

/// Loads once what several nodes share.
pub(super) struct Workshop {
    inventory: Inventory,
    /// The inventory's directory.
    folder: PathBuf,
    /// Seconds since the epoch, for everything that a build dates.
    pub(super) time: i64,
    profiles: Profiles,
    shelf: Shelf,
    artefacts: Artefacts,
}

/// A node, planned on its image.
pub(super) struct Job {
    pub(super) plan: Plan,
    pub(super) image: Arc<Image>,
    pub(super) keys: Vec<String>,
    pub(super) artefacts: Gathered,
    files: Vec<CustomFile>,
    hooks: Vec<Hook>,
    base: ManifestBase,
    /// With the key of its wireless network.
    pub(super) node: Node,
}

impl Workshop {
    pub(super) fn open(path: &Path, args: &ImageArgs, ui: &Ui) -> Result<Self> {
        let inventory = inventory::load(path, ui)?;
        let folder = path.parent().unwrap_or(Path::new(""));
        let profiles = Profiles::load(Some(&folder.join("profiles")))
            .map_err(|e| CommandError::failed("cannot load profiles", &e))?;
        Ok(Self {
            inventory,
            folder: folder.to_owned(),
            time: build_time()?,
            profiles,
            shelf: Shelf::new(args, folder),
            artefacts: Artefacts::open(path, args)?,
        })
    }

    /// Returns `given`, each name once; of all nodes where none is given.
    pub(super) fn names(&self, given: &[String]) -> Vec<String> {
        if given.is_empty() {
            let nodes = self.inventory.nodes.iter();
            return nodes.map(|node| node.name.clone()).collect();
        }
        let mut seen = BTreeSet::new();
        given.iter().filter(|name| seen.insert(*name)).cloned().collect()
    }

    /// Gets what builds of nodes would download: of each node its image, and
    /// what its role needs beside it.
    pub(super) fn fetch(
        &self,
        names: &[String],
        ui: &Ui,
    ) -> Result<Vec<(Arc<Image>, Gathered)>> {
        let images = self.images(names, ui)?;
        let nodes = self.nodes(names)?.into_iter().zip(images);
        let both = nodes.map(|(node, image)| {
            let artefacts = self.artefacts.gather(node, &image, ui)?;
            Ok((image, artefacts))
        });
        both.collect()
    }

    /// Gets the images of nodes, of each node one.
    fn images(&self, names: &[String], ui: &Ui) -> Result<Vec<Arc<Image>>> {
        self.shelf.get(&self.nodes(names)?, ui)
    }

    /// Gets the images of nodes, and plans the nodes on them. The plans are
    /// without the nodes' secrets, which are only made when a build is sure
    /// to begin: see [`Workshop::identify`].
    pub(super) fn prepare(
        &self,
        names: &[String],
        ui: &Ui,
    ) -> Result<Vec<Job>> {
        let images = self.images(names, ui)?;
        let jobs = self.nodes(names)?.into_iter().zip(images);
        jobs.map(|(node, image)| self.job(node, image, ui)).collect()
    }

    fn nodes(&self, names: &[String]) -> Result<Vec<&Node>> {
        names
            .iter()
            .map(|name| inventory::find(&self.inventory, name))
            .collect()
    }

    fn job(&self, node: &Node, image: Arc<Image>, ui: &Ui) -> Result<Job> {
        let node = with_wifi_key(node)?.into_owned();
        check_login(&node, &image)?;
        let hooks =
            hooks::post_master_up(&node, &image.facts, &self.folder, ui)?;
        let artefacts = self.artefacts.gather(&node, &image, ui)?;
        let files = custom_files(&node)?;
        let base = self.base(&node, &image, ui)?;
        let keys = node.ssh_authorized_keys.keys.iter().map(key).collect();
        let mut plan =
            self.plan(&node, &image, None, &files, &hooks, &artefacts)?;
        plan.seal(&base, self.time);
        Ok(Job { plan, image, keys, artefacts, files, hooks, base, node })
    }

    /// Plans a job again, now with the secrets of its node.
    pub(super) fn identify(
        &self,
        job: &mut Job,
        identity: &NodeIdentity,
    ) -> Result<()> {
        job.plan = self.plan(
            &job.node,
            &job.image,
            Some(identity),
            &job.files,
            &job.hooks,
            &job.artefacts,
        )?;
        job.plan.seal(&job.base, self.time);
        Ok(())
    }

    /// Returns by what a card names its base.
    fn base(
        &self,
        node: &Node,
        image: &Image,
        ui: &Ui,
    ) -> Result<ManifestBase> {
        let cache = self.shelf.cache();
        let locked = image.locked(cache.as_ref(), &*ui.bar(&node.name));
        let LockedImage { name, size, sha256, .. } = locked.map_err(|e| {
            let what = format!("cannot read the base of {}", node.name);
            CommandError::failed(what, &e)
        })?;
        Ok(ManifestBase { name, size, sha256 })
    }

    fn plan(
        &self,
        node: &Node,
        image: &Image,
        identity: Option<&NodeIdentity>,
        files: &[CustomFile],
        hooks: &[Hook],
        artefacts: &Gathered,
    ) -> Result<Plan> {
        let facts = &image.facts;
        let inputs = Inputs {
            node,
            inventory: &self.inventory,
            facts,
            profiles: &self.profiles,
            identity,
            files,
            hooks,
            artefacts: &for_plan(&node.name, artefacts)?,
            time: self.time,
        };
        Plan::new(&inputs).map_err(|e| {
            CommandError::failed(
                format!(
                    "cannot plan {} on {} ({}, {}, network: {})",
                    node.name,
                    image.name,
                    facts.os.pretty_name,
                    facts.architecture,
                    facts.network.stack,
                ),
                &e,
            )
        })
    }
}

impl Job {
    /// Returns by what a card names its base.
    pub(super) fn base(&self) -> &ManifestBase {
        &self.base
    }
}

/// Looks up the key of the wireless network where `psk_env` says.
fn with_wifi_key(node: &Node) -> Result<Cow<'_, Node>> {
    let Some(wifi) = &node.wifi else { return Ok(Cow::Borrowed(node)) };
    let WifiKey::Env(name) = &wifi.key else { return Ok(Cow::Borrowed(node)) };
    let hint = format!("`psk_env` of `wifi` of {} names it", node.name);
    let text = env::var(name).map_err(|_| {
        let what = format!("the environment variable {name} is not set");
        CommandError::usage(what).hint(hint.clone())
    })?;
    // Never repeated: it is a secret.
    let key = WifiKey::psk(&text).ok_or_else(|| {
        let must = WifiKey::EXPECTED;
        CommandError::usage(format!("the key in {name} must {must}")).hint(hint)
    })?;
    let mut node = node.clone();
    if let Some(wifi) = &mut node.wifi {
        wifi.key = key;
    }
    Ok(Cow::Owned(node))
}

/// Reads the files that the inventory wants on the node.
fn custom_files(node: &Node) -> Result<Vec<CustomFile>> {
    let read = |copy: &FileCopy| {
        let content = fs::read(&copy.src).map_err(|error| {
            let what = format!("cannot read {}", copy.src.display());
            let report = Report::new(what)
                .cause(format!("`files` of {} names it", node.name))
                .because(&error);
            CommandError::new(Kind::Usage, report)
        })?;
        Ok(CustomFile { copy: copy.clone(), content })
    };
    node.files.iter().map(read).collect()
}

/// Names a key without its long middle.
fn key(key: &SshKey) -> String {
    let kind = key.text.split_whitespace().next().unwrap_or_default();
    let source = match &key.source {
        KeySource::Inline => "inventory".to_owned(),
        KeySource::File(path) => path.display().to_string(),
    };
    format!("{kind} {} ({source})", key.comment)
}

/// A node that nobody can reach stands on a shelf without a screen: refuse,
/// unless that was asked for.
fn check_login(node: &Node, image: &Image) -> Result<()> {
    if image.origin == Origin::Demo
        || node.password_hash.is_some()
        || !node.ssh_authorized_keys.keys.is_empty()
        || node.ssh_authorized_keys.origin == KeyOrigin::ExplicitlyNone
    {
        return Ok(());
    }
    Err(CommandError::usage(format!(
        "nobody could log in to {}: no SSH key and no password",
        node.name
    ))
    .hint(
        "make a key with ssh-keygen (~/.ssh/*.pub is used), or set \
         `ssh_authorized_keys`; `ssh_authorized_keys: []` says that no login \
         is wanted",
    ))
}

/// Returns `SOURCE_DATE_EPOCH`, or now.
pub(super) fn build_time() -> Result<i64> {
    match env::var_os("SOURCE_DATE_EPOCH") {
        // Later times could not be read back: ext4-view 1.0 takes them for
        // damage.
        Some(text) => text
            .to_str()
            .and_then(|text| text.parse().ok())
            .filter(|time| (0..=i64::from(i32::MAX)).contains(time))
            .ok_or_else(|| {
                CommandError::usage(format!(
                    "SOURCE_DATE_EPOCH is `{}`, not seconds since 1970 \
                     (until 2038)",
                    text.display()
                ))
            }),
        None => SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .ok()
            .and_then(|time| i64::try_from(time.as_secs()).ok())
            .ok_or_else(|| {
                CommandError::usage("this machine's clock is before 1970")
                    .hint("set the clock, or SOURCE_DATE_EPOCH")
            }),
    }
}
