use minijinja::Value;

use super::{
    Artefacts, Edit, ProfileError, ProfileErrorKind, parse,
    render::Renderer,
    schema::{StepFile, Use},
    source::Source,
    step,
};

/// The steps of a file in `profiles/`: shared parts, then its own.
pub(super) struct Recipe<'p> {
    pub(super) source: &'p Source,
    /// The file, below `profiles/`.
    pub(super) path: String,
    pub(super) parts: &'p [Use],
    pub(super) edits: &'p [StepFile],
}

impl<'p> Recipe<'p> {
    pub(super) fn renderer(
        &self,
        context: &Value,
    ) -> Result<Renderer, ProfileError> {
        Renderer::new(context.clone()).map_err(|error| self.failed(error))
    }

    pub(super) fn failed(&self, error: minijinja::Error) -> ProfileError {
        ProfileErrorKind::Template(error).at(&self.path)
    }

    /// Returns the names of the parts whose condition holds.
    pub(super) fn parts(
        &self,
        context: &Value,
    ) -> Result<Vec<&'p str>, ProfileError> {
        let renderer = self.renderer(context)?;
        let mut parts = Vec::new();
        for part in self.parts {
            match part {
                Use::Always(part) => parts.push(part.as_str()),
                Use::When(part) => {
                    let holds = renderer.holds(&part.when);
                    if holds.map_err(|error| self.failed(error))? {
                        parts.push(part.part.as_str());
                    }
                }
            }
        }
        Ok(parts)
    }

    /// Returns the edits of the parts and of the file itself.
    pub(super) fn edits(
        &self,
        context: &Value,
        artefacts: &Artefacts,
    ) -> Result<Vec<Edit>, ProfileError> {
        let renderer = self.renderer(context)?;
        let mut edits = Vec::new();
        let mut render = |file: &str, steps: &[StepFile]| {
            for (number, step) in (1_usize..).zip(steps) {
                step::render(
                    self.source,
                    artefacts,
                    &renderer,
                    step,
                    &mut edits,
                )
                .map_err(|kind| kind.at(&format!("{file}, step {number}")))?;
            }
            Ok(())
        };
        for part in self.parts(context)? {
            let path = format!("part/{part}.yaml");
            let steps: Vec<StepFile> = parse(self.source, &path)?;
            render(&path, &steps)?;
        }
        render(&self.path, self.edits)?;
        Ok(edits)
    }
}
