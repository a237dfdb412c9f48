use super::{SinkError, SinkErrorKind};
use rustix::{
    fs::{
        AtFlags, CWD, FlockOperation, Mode, OFlags, flock, fstat, linkat, open,
        statvfs,
    },
    io::Errno,
};
use std::{
    ffi::OsString,
    fs::{self, File, OpenOptions},
    io,
    os::fd::AsRawFd,
    os::unix::fs::{FileTypeExt, MetadataExt, OpenOptionsExt},
    path::{Path, PathBuf},
};

/// Images hold private keys and tokens: they are for their owner only.
const MODE: u32 = 0o600;

/// A file that has its name only when it is complete.
///
/// Written to a file without a name (`O_TMPFILE`, see open(2)), so that a
/// killed process leaves nothing behind; where the file system has none of
/// that, to a hidden file beside the destination, which is removed on drop
/// and, after a kill, by the next run. Its mode is 0600, whatever the mode
/// of a file it replaces was.
#[derive(Debug)]
pub struct Staged {
    path: PathBuf,
    directory: PathBuf,
    file: File,
    /// The hidden name, if the file has one.
    name: Option<PathBuf>,
}

impl Staged {
    /// Opens a file that may become `path`. Missing directories are made.
    ///
    /// Refused are directories, devices and other things that are no files,
    /// and symbolic links: replacing either the link or its target would
    /// surprise somebody.
    pub fn create(path: &Path) -> Result<Self, SinkError> {
        Self::create_by(path, |directory| {
            let flags = OFlags::TMPFILE | OFlags::RDWR | OFlags::CLOEXEC;
            open(directory, flags, Mode::from_raw_mode(MODE)).map(File::from)
        })
    }

    fn create_by(
        path: &Path,
        nameless: impl FnOnce(&Path) -> Result<File, Errno>,
    ) -> Result<Self, SinkError> {
        let fail = |op, kind| SinkError {
            path: path.to_owned(),
            offset: None,
            op,
            kind,
        };
        let io = |op| move |e: io::Error| fail(op, SinkErrorKind::Io(e));
        if path.file_name().is_none() {
            let what = "it does not end in a file name";
            return Err(fail("create", SinkErrorKind::BadDestination(what)));
        }
        refuse_special(path)
            .map_err(io("look at"))?
            .map_or(Ok(()), |what| {
                Err(fail("replace", SinkErrorKind::BadDestination(what)))
            })?;
        let directory = match path.parent() {
            Some(parent) if parent != Path::new("") => parent.to_owned(),
            _ => PathBuf::from("."),
        };
        fs::create_dir_all(&directory).map_err(io("create directory of"))?;
        sweep(&directory, path);
        match nameless(&directory) {
            Ok(file) => {
                let path = path.to_owned();
                Ok(Self { path, directory, file, name: None })
            }
            // Not on this file system, or not in this kernel.
            Err(Errno::OPNOTSUPP | Errno::ISDIR | Errno::NOENT) => {
                let (file, name) =
                    create_hidden(path, &directory).map_err(io("create"))?;
                let path = path.to_owned();
                Ok(Self { path, directory, file, name: Some(name) })
            }
            Err(error) => Err(io("create")(error.into())),
        }
    }

    /// Returns the file to write to.
    pub fn file(&self) -> &File {
        &self.file
    }

    /// Returns what the file will be called.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Returns whether `other` is the file that would be replaced.
    pub fn would_replace(&self, other: &File) -> io::Result<bool> {
        let theirs = fstat(other)?;
        match fs::symlink_metadata(&self.path) {
            Ok(ours) => {
                Ok(ours.dev() == theirs.st_dev && ours.ino() == theirs.st_ino)
            }
            Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// Returns the bytes that this user may still write there.
    pub fn available(&self) -> io::Result<u64> {
        let stat = statvfs(&self.directory)?;
        // Without a limit some file systems say the most there is.
        Ok(stat.f_bavail.saturating_mul(stat.f_frsize))
    }

    /// Makes an error that names the destination.
    pub fn error(
        &self,
        op: &'static str,
        offset: Option<u64>,
        error: io::Error,
    ) -> SinkError {
        let path = self.path.clone();
        SinkError { path, offset, op, kind: SinkErrorKind::Io(error) }
    }

    /// Makes an error of reading what was to be written there.
    pub fn read_error(
        &self,
        offset: Option<u64>,
        error: io::Error,
    ) -> SinkError {
        let (path, kind) = (self.path.clone(), SinkErrorKind::Read(error));
        SinkError { path, offset, op: "write", kind }
    }

    /// Writes the file to the disk and gives it its name, in place of any
    /// file that had it.
    pub fn publish(mut self) -> Result<(), SinkError> {
        self.file.sync_all().map_err(|e| self.error("sync", None, e))?;
        if self.name.is_none() {
            self.name = self.link().map_err(|e| self.error("link", None, e))?;
        }
        if let Some(name) = &self.name {
            fs::rename(name, &self.path)
                .map_err(|e| self.error("rename", None, e))?;
            self.name = None;
        }
        // Without this the name may be lost in a power cut.
        File::open(&self.directory)
            .and_then(|directory| directory.sync_all())
            .map_err(|e| self.error("sync directory of", None, e))
    }

    /// Links the nameless file to its name or, where a file has that, to a
    /// hidden one, which is returned: linkat(2) cannot replace.
    fn link(&self) -> io::Result<Option<PathBuf>> {
        let fd = format!("/proc/self/fd/{}", self.file.as_raw_fd());
        let link = |to: &Path| match linkat(
            CWD,
            &fd,
            CWD,
            to,
            AtFlags::SYMLINK_FOLLOW,
        ) {
            Ok(()) => Ok(true),
            Err(Errno::EXIST) => Ok(false),
            Err(error) => Err(io::Error::from(error)),
        };
        if link(&self.path)? {
            return Ok(None);
        }
        // The lock tells others that it is not stale.
        flock(&self.file, FlockOperation::NonBlockingLockExclusive)?;
        for name in hidden_names(&self.path, &self.directory) {
            if link(&name)? {
                return Ok(Some(name));
            }
        }
        Err(io::ErrorKind::AlreadyExists.into())
    }
}

impl Drop for Staged {
    fn drop(&mut self) {
        if let Some(name) = &self.name {
            // Nothing can be done about an error; the next run sweeps.
            let _ = fs::remove_file(name);
        }
    }
}

/// Returns what is wrong with replacing what is at `path`.
fn refuse_special(path: &Path) -> io::Result<Option<&'static str>> {
    let kind = match fs::symlink_metadata(path) {
        Ok(metadata) => metadata.file_type(),
        Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(e) if e.kind() == io::ErrorKind::NotADirectory => {
            return Ok(Some("a file stands where a directory is needed"));
        }
        Err(error) => return Err(error),
    };
    Ok(if kind.is_file() {
        None
    } else if kind.is_dir() {
        Some("it is a directory")
    } else if kind.is_symlink() {
        Some("it is a symbolic link: name its target, or remove it")
    } else if kind.is_block_device() || kind.is_char_device() {
        Some("it is a device: an image file cannot take its place")
    } else {
        Some("it is not a regular file")
    })
}

/// `.node3.img.PID-N.part`
fn hidden_names(
    path: &Path,
    directory: &Path,
) -> impl Iterator<Item = PathBuf> {
    let prefix = hidden_prefix(path);
    let directory = directory.to_owned();
    let id = std::process::id();
    (0..1000u32).map(move |n| {
        let mut name = prefix.clone();
        name.push(format!("{id}-{n}.part"));
        directory.join(name)
    })
}

fn hidden_prefix(path: &Path) -> OsString {
    let mut name = OsString::from(".");
    name.push(path.file_name().unwrap_or_default());
    name.push(".");
    name
}

fn create_hidden(path: &Path, dir: &Path) -> io::Result<(File, PathBuf)> {
    for name in hidden_names(path, dir) {
        let mut options = OpenOptions::new();
        options.read(true).write(true).create_new(true).mode(MODE);
        match options.open(&name) {
            // A sweep may come before the lock: then the name is gone.
            Ok(file) => {
                let lock = FlockOperation::NonBlockingLockExclusive;
                if flock(&file, lock).is_ok() && file.metadata()?.nlink() > 0 {
                    return Ok((file, name));
                }
            }
            Err(e) if e.kind() == io::ErrorKind::AlreadyExists => {}
            Err(error) => return Err(error),
        }
    }
    Err(io::ErrorKind::AlreadyExists.into())
}

/// Removes what killed processes left of this image: hidden files that
/// nobody has locked. Errors do not matter, the files only take space.
fn sweep(directory: &Path, path: &Path) {
    let prefix = hidden_prefix(path);
    let (Some(prefix), Ok(entries)) =
        (prefix.to_str(), fs::read_dir(directory))
    else {
        return;
    };
    for entry in entries.flatten() {
        let name = entry.file_name();
        let ours = name
            .to_str()
            .and_then(|name| name.strip_prefix(prefix))
            .and_then(|rest| rest.strip_suffix(".part"))
            .and_then(|rest| rest.split_once('-'))
            .is_some_and(|(process, n)| {
                process.parse::<u32>().is_ok() && n.parse::<u32>().is_ok()
            });
        let is_file = entry.file_type().is_ok_and(|kind| kind.is_file());
        if !ours || !is_file {
            continue;
        }
        let Ok(file) = OpenOptions::new().write(true).open(entry.path()) else {
            continue;
        };
        if flock(&file, FlockOperation::NonBlockingLockExclusive).is_ok() {
            let _ = fs::remove_file(entry.path());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;

    fn names(dir: &Path) -> Vec<OsString> {
        let mut names: Vec<_> = fs::read_dir(dir)
            .unwrap()
            .map(|entry| entry.unwrap().file_name())
            .collect();
        names.sort();
        names
    }

    /// As on vfat, NFS or an old kernel.
    #[test]
    fn a_hidden_name_does_without_nameless_files() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("deep/node3.img");
        let create = || Staged::create_by(&path, |_| Err(Errno::OPNOTSUPP));
        let deep = dir.path().join("deep");
        for content in ["first", "second"] {
            let staged = create().unwrap();
            staged.file().write_all(content.as_bytes()).unwrap();
            let other = create().unwrap();
            assert!(names(&deep).len() >= 2, "one swept the other");
            drop(other);
            staged.publish().unwrap();
            assert_eq!(fs::read_to_string(&path).unwrap(), content);
            assert_eq!(names(&deep), ["node3.img"]);
            let mode = fs::metadata(&path).unwrap().mode();
            assert_eq!(mode & 0o7777, 0o600);
        }
        // Given up: the old one stays.
        drop(create().unwrap());
        assert_eq!(fs::read_to_string(&path).unwrap(), "second");
        assert_eq!(names(&deep), ["node3.img"]);
        // Killed: the next run sweeps.
        let mut killed = create().unwrap();
        let stale = killed.name.take().unwrap();
        drop(killed);
        assert!(stale.exists());
        Staged::create(&path).unwrap().publish().unwrap();
        assert_eq!(names(&deep), ["node3.img"]);
    }
}
