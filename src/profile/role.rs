use minijinja::Value;

use super::{
    Artefacts, Edit, ProfileError, parse_if_any, recipe::Recipe,
    schema::RoleFile, source::Source,
};

/// The profile of a place in a cluster.
#[derive(Debug)]
pub struct RoleProfile<'p> {
    path: String,
    file: RoleFile,
    source: &'p Source,
}

impl<'p> RoleProfile<'p> {
    pub(super) fn load(
        source: &'p Source,
        name: &str,
    ) -> Result<Option<Self>, ProfileError> {
        let path = format!("role/{name}.yaml");
        let file = parse_if_any(source, &path)?;
        Ok(file.map(|file| Self { path, file, source }))
    }

    /// Returns its title for people.
    #[must_use]
    pub fn title(&self) -> &str {
        &self.file.title
    }

    /// Returns what the node does when it is powered up, for people.
    pub fn does(&self, context: &Value) -> Result<Vec<String>, ProfileError> {
        let recipe = self.recipe();
        let renderer = recipe.renderer(context)?;
        let texts = self.file.does.iter().map(|template| {
            let text = renderer.text("does", template);
            text.map_err(|error| recipe.failed(error))
        });
        let texts: Vec<String> = texts.collect::<Result<_, _>>()?;
        // A template may say nothing.
        Ok(texts.into_iter().filter(|text| !text.trim().is_empty()).collect())
    }

    /// Returns the names of the parts that are for one node.
    pub fn parts(&self, context: &Value) -> Result<Vec<&str>, ProfileError> {
        self.recipe().parts(context)
    }

    /// Returns the edits for one node, in the order in which they are to be
    /// applied.
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
            path: self.path.clone(),
            parts: &self.file.parts,
            edits: &self.file.edits,
        }
    }
}
