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
    /// Names of files in `profiles/part/`, in order.
    #[serde(default, rename = "use")]
    pub(super) parts: Vec<String>,
    /// This profile's own steps, after the parts.
    #[serde(default)]
    pub(super) edits: Vec<StepFile>,
}

/// One step: exactly one of the verbs, and what goes with it.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct StepFile {
    // Verbs: a path, or a list, as a template.
    pub(super) write: Option<String>,
    pub(super) append: Option<String>,
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

    // Content of `write` and `append`, one of the three.
    /// A template in place.
    pub(super) content: Option<String>,
    /// A file of `profiles/templates/`, rendered.
    pub(super) template: Option<String>,
    /// A file of `firstboot/`, as it is.
    pub(super) file: Option<String>,

    /// Target of `symlink`.
    pub(super) to: Option<String>,
    /// The target that wants the unit of `enable` and `disable`.
    pub(super) wanted_by: Option<String>,
    /// Four octal digits, in quotes.
    pub(super) mode: Option<String>,
    /// `uid:gid`, numbers (templates are fine).
    pub(super) owner: Option<String>,

    /// The partition; `kernel_words` and `config_txt` know theirs.
    pub(super) on: Part,
    /// Expression: whether this step is for this node and image.
    pub(super) when: Option<String>,
    /// What it is for.
    pub(super) why: Option<String>,
    /// Content is a secret.
    pub(super) secret: bool,
}
