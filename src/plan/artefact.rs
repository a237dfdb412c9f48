use crate::{
    base::artefact::{ArtefactFile, Gathered},
    profile::{Artefacts, Content, FileContent},
};

impl From<&Gathered> for Artefacts {
    fn from(gathered: &Gathered) -> Self {
        let mut artefacts = Self::default();
        for file in &gathered.files {
            artefacts.add(&file.name, file.into());
        }
        for missing in &gathered.left_out {
            artefacts.leave_out(&missing.name);
        }
        artefacts
    }
}

impl From<&ArtefactFile> for Content {
    /// The file itself, however large: nothing is read.
    fn from(artefact: &ArtefactFile) -> Self {
        let file = std::sync::Arc::clone(&artefact.file);
        let sha256 = artefact.sha256.to_string();
        Self::File(FileContent::new(file, artefact.size, sha256))
    }
}
