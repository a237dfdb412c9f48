//! Sets of small files: how an identity is kept between builds.

use std::collections::BTreeMap;

use super::{
    authority::{Authority, AuthorityError, Certified},
    secret::Secret,
};

/// The files of one set: paths below its directory, and what they hold.
pub type Files = BTreeMap<&'static str, Secret>;

/// What is wrong with a set of files.
#[derive(Debug, thiserror::Error)]
#[error("{file} is {}", .why.word())]
pub struct Damaged {
    /// The path below the set's directory.
    pub file: &'static str,
    /// In what way.
    #[source]
    pub why: Why,
}

/// In what way a file is of no use.
#[derive(Debug, thiserror::Error)]
pub enum Why {
    /// It is not there.
    #[error("the set of files is not whole")]
    Missing,
    /// A certificate or its key.
    #[error(transparent)]
    Authority(#[from] AuthorityError),
    /// A text of another form.
    #[error("it is not {0}")]
    Form(&'static str),
}

impl Why {
    /// Says it in a word.
    pub(super) fn word(&self) -> &'static str {
        match self {
            Self::Missing => "missing",
            _ => "damaged",
        }
    }
}

/// Reads a set, file by file.
pub(super) struct Reader<'a>(pub(super) &'a BTreeMap<String, Secret>);

impl Reader<'_> {
    pub(super) fn text(&self, file: &'static str) -> Result<Secret, Damaged> {
        let text = self.0.get(file).cloned();
        text.ok_or(Damaged { file, why: Why::Missing })
    }

    /// Reads a line that a check accepts.
    pub(super) fn line(
        &self,
        file: &'static str,
        form: &'static str,
        accepts: impl Fn(&str) -> bool,
    ) -> Result<Secret, Damaged> {
        let text = self.text(file)?;
        let line = text.reveal().trim_end();
        if !accepts(line) {
            return Err(Damaged { file, why: Why::Form(form) });
        }
        Ok(Secret::new(line))
    }

    fn certified(
        &self,
        [certificate, key]: [&'static str; 2],
    ) -> Result<Certified, Damaged> {
        let (text, key) = (self.text(certificate)?, self.text(key)?);
        Ok(Certified { certificate: text.reveal().to_owned(), key })
    }

    pub(super) fn authority(
        &self,
        files: [&'static str; 2],
    ) -> Result<Authority, Damaged> {
        Authority::read(self.certified(files)?)
            .map_err(|error| Damaged { file: files[0], why: error.into() })
    }

    pub(super) fn client(
        &self,
        authority: &Authority,
        files: [&'static str; 2],
    ) -> Result<Certified, Damaged> {
        let client = authority.read_client(self.certified(files)?);
        client.map_err(|error| Damaged { file: files[0], why: error.into() })
    }
}

/// Adds a certificate and its key to a set.
pub(super) fn put(
    set: &mut Files,
    [certificate, key]: [&'static str; 2],
    certified: &Certified,
) {
    set.insert(certificate, Secret::new(&certified.certificate));
    set.insert(key, certified.key.clone());
}

/// Adds a text as a line to a set.
pub(super) fn put_line(set: &mut Files, file: &'static str, text: &Secret) {
    set.insert(file, Secret::new(&format!("{}\n", text.reveal())));
}
