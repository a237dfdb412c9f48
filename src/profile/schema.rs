//! The YAML of `profiles/`, as written.

use std::collections::BTreeMap;

use serde::Deserialize;

use super::edit::Part;

/// `profiles/os/NAME.yaml`: one operating system release or family.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct OsFile {
    /// For people.
    pub(super) title: String,
    /// Expression over `facts`: whether an image is of this kind.
    pub(super) when: String,
    /// Where several match, the highest wins.
    #[serde(default)]
    pub(super) priority: i32,
    /// Files in `profiles/part/`, in order.
    #[serde(default, rename = "use")]
    pub(super) parts: Vec<Use>,
    /// This profile's own steps, after the parts.
    #[serde(default)]
    pub(super) edits: Vec<StepFile>,
}

/// `profiles/role/NAME.yaml`: a place in a cluster.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RoleFile {
    /// For people.
    pub(super) title: String,
    /// What the node does when it is powered up, for people: templates.
    #[serde(default)]
    pub(super) does: Vec<String>,
    /// Files in `profiles/part/`, in order.
    #[serde(default, rename = "use")]
    pub(super) parts: Vec<Use>,
    /// This role's own steps, after the parts.
    #[serde(default)]
    pub(super) edits: Vec<StepFile>,
}

/// A part that a profile is made of.
#[derive(Clone, Debug, Deserialize)]
#[serde(untagged)]
pub(super) enum Use {
    /// Always, by its name.
    Always(String),
    /// Where an expression holds.
    When(UseWhen),
}

/// `{part: NAME, when: EXPRESSION}`.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct UseWhen {
    /// Its name.
    pub(super) part: String,
    /// Whether it is for this node and image.
    pub(super) when: String,
}

/// One step: exactly one of the verbs, and what goes with it.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct StepFile {
    // Verbs: a path, or a list, as a template.
    pub(super) write: Option<String>,
    pub(super) append: Option<String>,
    /// Lines of our own in a file of others, replaced at the next build.
    pub(super) block: Option<String>,
    pub(super) kernel_words: Option<Vec<String>>,
    pub(super) config_txt: Option<BTreeMap<String, String>>,
    pub(super) mkdir: Option<String>,
    pub(super) symlink: Option<String>,
    pub(super) access: Option<String>,
    pub(super) remove: Option<String>,
    /// A systemd unit to start at boot.
    pub(super) enable: Option<String>,
    /// A systemd unit to no longer start at boot.
    pub(super) disable: Option<String>,
    /// Why there is no plan for this node on this image.
    pub(super) refuse: Option<String>,

    // Content of `write`, `append` and `block`, one of these.
    /// A template in place.
    pub(super) content: Option<String>,
    /// A file of `profiles/templates/`, rendered.
    pub(super) template: Option<String>,
    /// A file of `firstboot/`, as it is.
    pub(super) file: Option<String>,
    /// A file that the builder has downloaded, by its name; for `write` only.
    /// Where the image goes without, the step is left out.
    pub(super) artefact: Option<String>,

    /// Target of `symlink`.
    pub(super) to: Option<String>,
    /// The target that wants the unit of `enable` and `disable`.
    pub(super) wanted_by: Option<String>,
    /// Four octal digits, in quotes (templates are fine).
    pub(super) mode: Option<String>,
    /// `uid:gid`, numbers (templates are fine).
    pub(super) owner: Option<String>,

    /// The partition; `kernel_words` and `config_txt` know theirs.
    pub(super) on: Part,
    /// Expression: whether this step is for this node and image.
    pub(super) when: Option<String>,
    /// Expression: a list; the step is done for each `item` of it.
    pub(super) each: Option<String>,
    /// What it is for.
    pub(super) why: Option<String>,
    /// Expression: whether the content is a secret.
    pub(super) secret: Option<String>,
}
