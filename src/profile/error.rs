use std::{error::Error, fmt, io};

/// Why a profile cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ProfileErrorKind {
    /// A profile names a file that is not there.
    #[error("no such file in profiles/ or firstboot/")]
    Missing,
    /// The file could not be read.
    #[error("cannot be read")]
    Io(#[source] io::Error),
    /// The file is not YAML of a profile's shape.
    #[error("{0}")]
    Yaml(String),
    /// A template or expression failed.
    #[error("the template failed")]
    Template(#[source] minijinja::Error),
    /// No profile is for this image.
    #[error("no profile is for this image (there are: {})", .known.join(", "))]
    NoneMatches {
        /// The profiles there are.
        known: Vec<String>,
    },
    /// The profile says that this image cannot become this node.
    #[error("{0}")]
    Refused(String),
    /// A step does not make sense.
    #[error("{0}")]
    Step(String),
}

/// A [`ProfileErrorKind`] and the file and step at which it happened.
#[derive(Debug)]
pub struct ProfileError {
    /// As `part/account.yaml, step 3`, below `profiles/`.
    pub at: String,
    /// What went wrong.
    pub kind: ProfileErrorKind,
}

impl ProfileErrorKind {
    pub(super) fn at(self, at: &str) -> ProfileError {
        ProfileError { at: at.to_owned(), kind: self }
    }
}

impl fmt::Display for ProfileError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "profiles/{}: {}", self.at, self.kind)
    }
}

impl Error for ProfileError {
    // The kind is already part of the message.
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        self.kind.source()
    }
}
