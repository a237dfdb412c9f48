//! ext4 for reading known paths, whatever state it is in.
//!
//! `ext4-view` reads first: it shares no code with the editor, and knows the
//! journals of today's kernels. What it cannot read, our own reader can:
//! older journals, small inodes, directories without file types or with the
//! hash `legacy`, times past 2038.

use std::sync::Arc;

use super::{
    DirEntry, FsError, FsErrorKind, Reader, Stat, ext4::Ext4,
    ext4_view::Ext4View, tree::Volume,
};

/// An ext4 file system, for reading only.
pub struct Ext4Reader {
    volume: Volume,
    view: Option<Ext4View>,
}

impl Ext4Reader {
    /// Opens the file system on `volume`. Of one that was not unmounted and
    /// has an older journal, what is still in that is not seen.
    pub fn open(volume: Volume) -> Result<Self, FsError> {
        let view = match Ext4View::open(Arc::new(volume.clone())) {
            Ok(view) => Some(view),
            Err(error) => {
                // Ours says what is wrong by name.
                if let Err(own) = Ext4::open_stale(&volume) {
                    return Err(match own.kind {
                        FsErrorKind::Io(_) => error,
                        _ => own,
                    });
                }
                None
            }
        };
        Ok(Self { volume, view })
    }

    /// Asks `ext4-view`, and our own reader where that one does not read.
    fn ask<T>(
        &self,
        view: impl FnOnce(&Ext4View) -> Result<T, FsError>,
        own: impl FnOnce(&Ext4<'_>) -> Result<T, FsError>,
    ) -> Result<T, FsError> {
        let first = match self.view.as_ref().map(view) {
            Some(Err(error)) if is_beyond_view(&error) => Some(error),
            Some(answer) => return answer,
            None => None,
        };
        match (Ext4::open_stale(&self.volume), first) {
            (Ok(fs), _) => own(&fs),
            (Err(_), Some(first)) => Err(first),
            (Err(error), None) => Err(error),
        }
    }
}

/// Whether `ext4-view` fails where nothing is wrong: features that it does
/// not know, and inodes that it takes for damaged.
fn is_beyond_view(error: &FsError) -> bool {
    match &error.kind {
        FsErrorKind::Unsupported(_) => true,
        FsErrorKind::Corrupt(what) => {
            let what = what.to_string();
            let known = ["has invalid timestamp", "is truncated"];
            known.iter().any(|known| what.contains(known))
        }
        _ => false,
    }
}

impl Reader for Ext4Reader {
    fn stat(&self, path: &str) -> Result<Option<Stat>, FsError> {
        self.ask(|fs| fs.stat(path), |fs| fs.stat(path))
    }

    fn read(&self, path: &str) -> Result<Vec<u8>, FsError> {
        self.ask(|fs| fs.read(path), |fs| fs.read(path))
    }

    fn read_pieces(
        &self,
        path: &str,
        receive: &mut dyn FnMut(&[u8]),
    ) -> Result<(), FsError> {
        let Some(view) = &self.view else {
            return self.read(path).map(|content| receive(&content));
        };
        match view.stat(path) {
            Err(error) if is_beyond_view(&error) => {
                self.read(path).map(|content| receive(&content))
            }
            _ => view.read_pieces(path, receive),
        }
    }

    fn read_dir(&self, path: &str) -> Result<Vec<DirEntry>, FsError> {
        self.ask(|fs| fs.read_dir(path), |fs| fs.read_dir(path))
    }

    fn read_link(&self, path: &str) -> Result<String, FsError> {
        self.ask(|fs| fs.read_link(path), |fs| fs.read_link(path))
    }
}
