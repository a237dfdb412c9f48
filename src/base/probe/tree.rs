use super::error::{Place, ProbeError};
use crate::fs::{DirEntry, FileKind, FsError, FsErrorKind, Reader, Stat};
use std::collections::VecDeque;

/// The most that is read of a text file.
const TEXT_LIMIT: u64 = 1 << 20;
/// As the kernel's own limit, see `path_resolution(7)`.
const LINK_LIMIT: u32 = 40;

/// A file system looked at as the system running from it would: symbolic
/// links are followed to the end and never lead out; reads are bounded.
pub(super) struct Tree<'a> {
    reader: &'a dyn Reader,
    partition: &'static str,
}

impl<'a> Tree<'a> {
    pub(super) fn new(reader: &'a dyn Reader, partition: &'static str) -> Self {
        Self { reader, partition }
    }

    pub(super) fn place(&self, path: &str) -> Place {
        Place { partition: self.partition, path: path.to_owned() }
    }

    fn fs(&self, source: FsError) -> ProbeError {
        ProbeError::Fs { partition: self.partition, source }
    }

    /// Returns what is at `path` itself, a link unfollowed.
    fn entry(&self, path: &str) -> Result<Option<Stat>, ProbeError> {
        match self.reader.stat(path) {
            Ok(stat) => Ok(stat),
            Err(FsError { kind: FsErrorKind::NotFound, .. }) => Ok(None),
            Err(error) => Err(self.fs(error)),
        }
    }

    /// Follows every link of `path`; `None` where that leads to nothing.
    pub(super) fn resolve(
        &self,
        path: &str,
    ) -> Result<Option<(String, Stat)>, ProbeError> {
        let mut pending: VecDeque<String> = components(path);
        let mut done: Vec<String> = Vec::new();
        let mut links = 0u32;
        let mut stat = self.entry("/")?;
        while let Some(name) = pending.pop_front() {
            if name == ".." {
                done.pop();
                stat = self.entry(&absolute(&done))?;
                continue;
            }
            if !stat.is_some_and(|stat| stat.kind == FileKind::Directory) {
                return Ok(None);
            }
            done.push(name);
            let here = absolute(&done);
            stat = self.entry(&here)?;
            if !stat.is_some_and(|stat| stat.kind == FileKind::Symlink) {
                continue;
            }
            links = links.saturating_add(1);
            if links > LINK_LIMIT {
                return Err(ProbeError::LinkLoop(self.place(path)));
            }
            let target =
                self.reader.read_link(&here).map_err(|e| self.fs(e))?;
            if target.starts_with('/') {
                done.clear();
            } else {
                done.pop();
            }
            let mut next = components(&target);
            next.append(&mut pending);
            pending = next;
            stat = self.entry(&absolute(&done))?;
        }
        Ok(stat.map(|stat| (absolute(&done), stat)))
    }

    /// Returns whether anything is at the end of `path`'s links.
    pub(super) fn exists(&self, path: &str) -> Result<bool, ProbeError> {
        Ok(self.resolve(path)?.is_some())
    }

    /// Returns whether `path` is a directory.
    pub(super) fn is_dir(&self, path: &str) -> Result<bool, ProbeError> {
        let found = self.resolve(path)?;
        Ok(found.is_some_and(|(_, stat)| stat.kind == FileKind::Directory))
    }

    /// Returns the target of the link at `path`, if it is one.
    pub(super) fn link(
        &self,
        path: &str,
    ) -> Result<Option<String>, ProbeError> {
        let Some((parent, name)) = path.rsplit_once('/') else {
            return Ok(None);
        };
        let Some((parent, _)) = self.resolve(parent)? else {
            return Ok(None);
        };
        let path = format!("{}/{name}", parent.trim_end_matches('/'));
        match self.entry(&path)? {
            Some(stat) if stat.kind == FileKind::Symlink => {
                self.reader.read_link(&path).map(Some).map_err(|e| self.fs(e))
            }
            _ => Ok(None),
        }
    }

    /// Returns the content of a regular file of `limit` bytes at most.
    pub(super) fn bytes(
        &self,
        path: &str,
        limit: u64,
    ) -> Result<Option<Vec<u8>>, ProbeError> {
        let Some((real, stat)) = self.resolve(path)? else {
            return Ok(None);
        };
        if stat.kind != FileKind::File {
            return Err(ProbeError::Malformed {
                place: self.place(path),
                what: "not a regular file".into(),
            });
        }
        if stat.size > limit {
            return Err(ProbeError::TooLarge {
                place: self.place(path),
                size: stat.size,
                limit,
            });
        }
        self.reader.read(&real).map(Some).map_err(|e| self.fs(e))
    }

    /// Returns a text file of up to 1 MiB, bytes that are not UTF-8
    /// replaced.
    pub(super) fn text(
        &self,
        path: &str,
    ) -> Result<Option<String>, ProbeError> {
        self.text_up_to(path, TEXT_LIMIT)
    }

    /// Returns a text file of up to `limit` bytes.
    pub(super) fn text_up_to(
        &self,
        path: &str,
        limit: u64,
    ) -> Result<Option<String>, ProbeError> {
        let bytes = self.bytes(path, limit)?;
        Ok(bytes.map(|bytes| String::from_utf8_lossy(&bytes).into_owned()))
    }

    /// Returns a text file that a plan will rewrite: one that is not UTF-8
    /// would be damaged by that, so it is refused.
    pub(super) fn exact_text(
        &self,
        path: &str,
    ) -> Result<Option<String>, ProbeError> {
        let Some(bytes) = self.bytes(path, TEXT_LIMIT)? else {
            return Ok(None);
        };
        String::from_utf8(bytes).map(Some).map_err(|_| ProbeError::Malformed {
            place: self.place(path),
            what: "not UTF-8 text".into(),
        })
    }

    /// Returns the entries of a directory by name; none where there is no
    /// directory.
    pub(super) fn list(&self, path: &str) -> Result<Vec<DirEntry>, ProbeError> {
        let Some((real, stat)) = self.resolve(path)? else {
            return Ok(Vec::new());
        };
        if stat.kind != FileKind::Directory {
            return Ok(Vec::new());
        }
        let mut entries =
            self.reader.read_dir(&real).map_err(|e| self.fs(e))?;
        entries.sort_by(|a, b| a.name.cmp(&b.name));
        Ok(entries)
    }
}

fn components(path: &str) -> VecDeque<String> {
    path.split('/')
        .filter(|name| !name.is_empty() && *name != ".")
        .map(str::to_owned)
        .collect()
}

fn absolute(components: &[String]) -> String {
    format!("/{}", components.join("/"))
}
