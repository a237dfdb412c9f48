//! Profiles: what an operating system needs, as data.
//!
//! `profiles/os/NAME.yaml` says which images it is for (an expression over
//! `facts`) and which steps they need; `profiles/role/NAME.yaml` has the steps
//! of a place in a cluster; `profiles/part/` holds steps that several share;
//! `profiles/templates/` and `firstboot/` hold the files. A new operating
//! system is a new YAML file. All of it is embedded in the binary; a user's
//! own `profiles/` adds files or replaces them by name.

mod artefacts;
mod content;
mod edit;
mod error;
mod quote;
mod recipe;
mod render;
mod role;
mod schema;
mod source;
mod step;

use std::path::Path;

use minijinja::Value;

pub use artefacts::Artefacts;
pub use content::{Content, FileContent};
pub use edit::{Access, Action, Edit, Part};
pub use error::{ProfileError, ProfileErrorKind};
use recipe::Recipe;
use render::Renderer;
pub use role::RoleProfile;
use schema::OsFile;
use source::Source;

/// All profiles at hand.
#[derive(Debug)]
pub struct Profiles {
    source: Source,
    os: Vec<(String, OsFile)>,
}

/// The profile chosen for an image.
#[derive(Debug)]
pub struct Profile<'p> {
    name: &'p str,
    file: &'p OsFile,
    source: &'p Source,
}

impl Profiles {
    /// Reads the embedded profiles and those of `user`, a directory in the
    /// layout of `profiles/` (it need not exist).
    pub fn load(user: Option<&Path>) -> Result<Self, ProfileError> {
        let source = Source::new(user);
        let names =
            source.names("os").map_err(|e| ProfileErrorKind::Io(e).at("os"))?;
        let mut os = Vec::new();
        for name in names {
            let path = format!("os/{name}.yaml");
            os.push((name, parse(&source, &path)?));
        }
        // Stable: among equals the alphabet decides.
        os.sort_by_key(|(_, file): &(String, OsFile)| {
            std::cmp::Reverse(file.priority)
        });
        Ok(Self { source, os })
    }

    /// Returns the profile for an image: the first, by priority, whose
    /// `when` holds. `context` has `facts`.
    pub fn choose(&self, context: &Value) -> Result<Profile<'_>, ProfileError> {
        let renderer = Renderer::new(context.clone())
            .map_err(|e| ProfileErrorKind::Template(e).at("os"))?;
        for (name, file) in &self.os {
            let holds = renderer.holds(&file.when).map_err(|e| {
                ProfileErrorKind::Template(e).at(&format!("os/{name}.yaml"))
            })?;
            if holds {
                return Ok(Profile { name, file, source: &self.source });
            }
        }
        let known = self.os.iter().map(|(name, _)| name.clone()).collect();
        Err(ProfileErrorKind::NoneMatches { known }.at("os"))
    }

    /// Returns the profile of a place in a cluster, as `k3s-server`; none
    /// where there is none of that name.
    pub fn role(
        &self,
        name: &str,
    ) -> Result<Option<RoleProfile<'_>>, ProfileError> {
        RoleProfile::load(&self.source, name)
    }
}

impl Profile<'_> {
    /// Returns the name of its file, as `raspberry-pi-os`.
    #[must_use]
    pub fn name(&self) -> &str {
        self.name
    }

    /// Returns its title for people.
    #[must_use]
    pub fn title(&self) -> &str {
        &self.file.title
    }

    /// Returns the names of the parts that are for one node. `context` is
    /// what templates see.
    pub fn parts(&self, context: &Value) -> Result<Vec<&str>, ProfileError> {
        self.recipe().parts(context)
    }

    /// Returns the edits for one node, in the order in which they are to be
    /// applied. `context` is what templates see.
    pub fn edits(
        &self,
        context: &Value,
        artefacts: &Artefacts,
    ) -> Result<Vec<Edit>, ProfileError> {
        self.recipe().edits(context, artefacts)
    }

    fn recipe(&self) -> Recipe<'_> {
        Recipe {
            source: self.source,
            path: format!("os/{}.yaml", self.name),
            parts: &self.file.parts,
            edits: &self.file.edits,
        }
    }
}

/// Reads a file that a profile cannot do without.
fn parse<T: serde::de::DeserializeOwned>(
    source: &Source,
    path: &str,
) -> Result<T, ProfileError> {
    parse_if_any(source, path)?
        .ok_or_else(|| ProfileErrorKind::Missing.at(path))
}

fn parse_if_any<T: serde::de::DeserializeOwned>(
    source: &Source,
    path: &str,
) -> Result<Option<T>, ProfileError> {
    let text =
        source.profile(path).map_err(|e| ProfileErrorKind::Io(e).at(path))?;
    let Some(text) = text else { return Ok(None) };
    serde_saphyr::from_str(&text)
        .map(Some)
        .map_err(|e| ProfileErrorKind::Yaml(e.to_string()).at(path))
}
