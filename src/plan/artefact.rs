use crate::{
    base::artefact::ArtefactFile,
    profile::{Content, FileContent},
};

impl From<&ArtefactFile> for Content {
    /// The file itself, however large: nothing is read.
    fn from(artefact: &ArtefactFile) -> Self {
        let file = std::sync::Arc::clone(&artefact.file);
        let sha256 = artefact.sha256.to_string();
        Self::File(FileContent::new(file, artefact.size, sha256))
    }
}
