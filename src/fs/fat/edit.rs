use super::{
    super::{Editor, FsError, FsErrorKind, Meta, Structure},
    Fat, INSIDE,
    agree::failed,
    check, clock, components,
    dir::{Directory, ENTRY, Entry},
    pages::Pages,
};
use crate::disk::{Cursor, ReadAt, WriteAt};
use fatfs::{FileSystem, FsOptions};
use std::{
    io::{self, Write},
    sync::Arc,
};

type Fatfs<D> = FileSystem<Cursor<Arc<Pages<D>>>>;

/// What a name may not hold on FAT; `fatfs` is no more generous.
const FORBIDDEN: &str = "\"*/:<>?\\|";

/// Refuses names that FAT, Linux or `fatfs` would not keep as they are.
fn check_name(name: &str) -> Result<(), FsErrorKind> {
    let bad = |c: char| {
        c.is_control() || FORBIDDEN.contains(c) || u32::from(c) > 0xffff
    };
    let problem = if name.is_empty() {
        "an empty name"
    } else if name.len() > 255 {
        "a name of more than 255 bytes"
    } else if name.ends_with(['.', ' ']) || name.starts_with(' ') {
        "a name that FAT would cut: space or dot at its end"
    } else if name.contains(bad) {
        "a character that FAT does not allow"
    } else {
        return Ok(());
    };
    Err(FsErrorKind::BadPath(format!("{problem}: {name:?}")))
}

/// Where a new entry will go, and what it costs.
struct Place {
    parent: Entry,
    /// Clusters by which the parent grows.
    growth: u64,
}

impl<D: ReadAt> Fat<D> {
    fn write_page(&self, at: u64, bytes: &[u8]) -> Result<(), FsErrorKind> {
        self.pages.write_at(at, bytes).map_err(FsErrorKind::Io)
    }

    /// Checks the volume before the first edit, then opens it for `fatfs`.
    fn edit(&mut self) -> Result<Fatfs<D>, FsErrorKind> {
        if !self.checked {
            if self.volume.is_dirty(&*self.pages)? {
                return Err(Structure::FileSystem.rule(
                    "the volume is marked dirty, it was not unmounted: \
                     fsck.vfat has to check it first",
                ));
            }
            check::check(&self.volume, &*self.pages)?;
            if self.volume.bits == 32 {
                // The count on the volume is a hint; ours is counted.
                let free = check::count_free(&self.volume, &*self.pages)?;
                let free = u32::try_from(free).expect("28 bits");
                if self.fs_info(488)? != free {
                    self.set_fs_info(488, free)?;
                }
            }
            self.checked = true;
        }
        let options =
            FsOptions::new().time_provider(clock::clock(self.build_time));
        FileSystem::new(Cursor::new(Arc::clone(&self.pages)), options).map_err(
            |error| match error.kind() {
                io::ErrorKind::Other => {
                    Structure::FileSystem.rule(error.to_string())
                }
                _ => FsErrorKind::Io(error),
            },
        )
    }

    fn fs_info(&self, at: u64) -> Result<u32, FsErrorKind> {
        let mut word = [0; 4];
        let at = self.volume.fs_info.checked_add(at).expect(INSIDE);
        self.pages.read_at(at, &mut word).map_err(FsErrorKind::Io)?;
        Ok(u32::from_le_bytes(word))
    }

    fn set_fs_info(&self, at: u64, value: u32) -> Result<(), FsErrorKind> {
        let at = self.volume.fs_info.checked_add(at).expect(INSIDE);
        self.write_page(at, &value.to_le_bytes())
    }

    fn free(&self) -> Result<u64, FsErrorKind> {
        if self.volume.bits == 32 {
            return Ok(self.fs_info(488)?.into());
        }
        check::count_free(&self.volume, &*self.pages)
    }

    /// Looks up the parent of a new entry and what naming it there takes.
    fn place(&self, path: &str) -> Result<Place, FsErrorKind> {
        let names = components(path)?;
        let Some((name, above)) = names.split_last() else {
            return Err(FsErrorKind::WrongKind("is the root directory"));
        };
        check_name(name)?;
        let parent = self.existing(&format!("/{}", above.join("/")))?;
        if !parent.is_dir {
            return Err(FsErrorKind::WrongKind("its parent is a file"));
        }
        let directory = self.directory(&parent)?;
        let wanted = name.encode_utf16().count().div_ceil(13);
        let wanted = wanted.checked_add(1).expect(INSIDE);
        let capacity = directory.bytes.len() / ENTRY;
        let end = directory.room_for(wanted).checked_add(wanted).expect(INSIDE);
        // None where there is room already.
        let missing = end.saturating_sub(capacity);
        let fixed = parent.cluster == 0 && self.volume.root_cluster == 0;
        if (fixed && missing > 0) || end > 65_536 {
            // Fewer than are wanted where the end is past the limit.
            let number = |n: usize| u64::try_from(n).unwrap_or(u64::MAX);
            return Err(FsErrorKind::NoSpace {
                what: "directory entries",
                needed: number(wanted),
                available: number(wanted.checked_sub(missing).expect(INSIDE)),
            });
        }
        self.clear_unused(&parent, &directory)?;
        let bytes = missing.checked_mul(ENTRY).expect(INSIDE);
        let bytes = u64::try_from(bytes).expect(INSIDE);
        Ok(Place { parent, growth: self.volume.clusters_of(bytes) })
    }

    /// Zeroes what is behind a directory's last entry: a new entry takes
    /// the place of the end mark, and what follows would come to life.
    fn clear_unused(
        &self,
        entry: &Entry,
        directory: &Directory,
    ) -> Result<(), FsErrorKind> {
        let used = directory.used().checked_mul(ENTRY).expect(INSIDE);
        let unused =
            directory.bytes.get(used..).expect("entries of these bytes");
        if unused.iter().all(|byte| *byte == 0) {
            return Ok(());
        }
        let first = match entry.cluster {
            0 => self.volume.root_cluster,
            cluster => cluster,
        };
        let zeros = |from: usize, len: usize| {
            vec![0; len.checked_sub(from).expect(INSIDE)]
        };
        if first == 0 {
            let used_bytes = u64::try_from(used).expect(INSIDE);
            let at = self.volume.root.checked_add(used_bytes).expect(INSIDE);
            return self.write_page(at, &zeros(used, directory.bytes.len()));
        }
        let step = usize::try_from(self.volume.cluster).expect(INSIDE);
        let chain = self.volume.chain(&*self.pages, first)?;
        let mut start = 0usize;
        for cluster in chain {
            // All of a cluster that is behind the last entry.
            let from = used.saturating_sub(start).min(step);
            let offset = u64::try_from(from).expect(INSIDE);
            let at = self
                .volume
                .cluster_offset(cluster)
                .checked_add(offset)
                .expect(INSIDE);
            self.write_page(at, &zeros(from, step))?;
            start = start.checked_add(step).expect(INSIDE);
        }
        Ok(())
    }

    /// Refuses what does not fit and prepares the clusters that `fatfs` will
    /// take next.
    fn reserve(
        &self,
        clusters: u64,
        place: Option<&Place>,
    ) -> Result<(), FsErrorKind> {
        let growth = place.map_or(0, |place| place.growth);
        let needed = clusters.checked_add(growth).expect(INSIDE);
        let free = self.free()?;
        if needed > free {
            let bytes = |clusters: u64| {
                clusters.checked_mul(self.volume.cluster).expect(INSIDE)
            };
            return Err(FsErrorKind::NoSpace {
                what: "bytes",
                needed: bytes(needed),
                available: bytes(free),
            });
        }
        if self.volume.bits != 32 || needed == 0 {
            return Ok(());
        }
        // Where `fatfs` begins to look. Moved on here, a page at a time and
        // not a word at a time.
        let hint = self.fs_info(492)?;
        let start = if self.volume.is_cluster(hint) { hint } else { 2 };
        let all = self.volume.numbers();
        let mut free = (start..all.end).chain(all.start..start);
        let mut zeroed = 0u64;
        let in_root = place.is_some_and(|place| place.parent.cluster == 0);
        // A new directory takes its own cluster before its parent grows.
        let to_zero = if in_root && growth > 0 {
            growth.checked_add(1).expect(INSIDE).min(needed)
        } else {
            0
        };
        let mut first = None;
        while first.is_none() || zeroed < to_zero {
            let Some(cluster) = free.next() else { break };
            if !self.volume.is_free(&*self.pages, cluster)? {
                continue;
            }
            if first.replace(cluster).is_none() && cluster != hint {
                self.set_fs_info(492, cluster)?;
            }
            if zeroed < to_zero {
                self.zero_cluster(cluster)?;
                zeroed = zeroed.checked_add(1).expect(INSIDE);
            }
        }
        Ok(())
    }

    fn zero_cluster(&self, cluster: u32) -> Result<(), FsErrorKind> {
        let len = usize::try_from(self.volume.cluster).expect(INSIDE);
        self.write_page(self.volume.cluster_offset(cluster), &vec![0; len])
    }

    fn write_file(
        &mut self,
        path: &str,
        content: &dyn ReadAt,
    ) -> Result<(), FsErrorKind> {
        let fs = self.edit()?;
        let size = content.size();
        if u32::try_from(size).is_err() {
            let what = "a file of 4 GiB or more on FAT";
            return Err(FsErrorKind::Unsupported(what.to_owned()));
        }
        let old = self.only(path)?;
        if old.as_ref().is_some_and(|old| old.is_dir) {
            return Err(FsErrorKind::WrongKind("is a directory"));
        }
        let needed = self.volume.clusters_of(size);
        let mut old_chain = Vec::new();
        match &old {
            Some(old) => {
                let chain = self.volume.chain(&*self.pages, old.cluster)?;
                old_chain.clone_from(&chain);
                let has = u64::try_from(chain.len()).expect(INSIDE);
                // Nothing more where the file gets shorter.
                let more = needed.saturating_sub(has);
                self.reserve(more, None)?;
            }
            None => self.reserve(needed, Some(&self.place(path)?))?,
        }
        // Read again: `reserve` may have moved the hint.
        drop(fs);
        let fs = self.edit()?;
        // The old clusters are written over, so that little changes.
        let copy = || -> io::Result<()> {
            let mut file = fs.root_dir().create_file(path)?;
            let mut buffer = vec![0; 64 << 10];
            let mut offset = 0;
            while offset < size {
                let len = size.checked_sub(offset).expect(INSIDE).min(64 << 10);
                let end = usize::try_from(len).expect("64 KiB");
                let part = buffer.get_mut(..end).expect("the buffer's size");
                content.read_at(offset, part)?;
                file.write_all(part)?;
                offset = offset.checked_add(len).expect(INSIDE);
            }
            if old.is_some() {
                file.truncate()?;
            }
            let now = clock::clock(self.build_time).0;
            #[expect(deprecated, reason = "the only way to all three times")]
            {
                file.set_created(now);
                file.set_accessed(now.date);
                file.set_modified(now);
            }
            file.flush()
        };
        copy().map_err(failed)?;
        fs.unmount().map_err(FsErrorKind::Io)?;
        self.check_written(path, content)?;
        self.wipe(&old_chain)?;
        if old.is_some() {
            self.wipe_slack(&self.existing(path)?)?;
        }
        Ok(())
    }

    /// Zeroes those of the clusters that are free now, so that nothing is
    /// left of a file that was removed or replaced.
    fn wipe(&self, clusters: &[u32]) -> Result<(), FsErrorKind> {
        for &cluster in clusters {
            if self.volume.is_free(&*self.pages, cluster)? {
                self.zero_cluster(cluster)?;
            }
        }
        Ok(())
    }

    /// Zeroes what is behind the end of a file in its last cluster.
    fn wipe_slack(&self, file: &Entry) -> Result<(), FsErrorKind> {
        let chain = self.volume.chain(&*self.pages, file.cluster)?;
        let Some(last) = chain.last() else { return Ok(()) };
        let used = match u64::from(file.size).checked_rem(self.volume.cluster) {
            // Full, or none at all.
            None | Some(0) => return Ok(()),
            Some(used) => used,
        };
        let rest = self.volume.cluster.checked_sub(used);
        let rest = rest.and_then(|rest| usize::try_from(rest).ok());
        let at = self.volume.cluster_offset(*last).checked_add(used);
        let (Some(rest), Some(at)) = (rest, at) else {
            return Err(Structure::Cluster(*last).rule("past any device"));
        };
        self.write_page(at, &vec![0; rest])
    }

    fn make_directory(&mut self, path: &str) -> Result<(), FsErrorKind> {
        drop(self.edit()?);
        match self.only(path)? {
            Some(entry) if entry.is_dir => return Ok(()),
            Some(_) => return Err(FsErrorKind::WrongKind("is a file")),
            None => {}
        }
        let place = self.place(path)?;
        self.reserve(1, Some(&place))?;
        let fs = self.edit()?;
        fs.root_dir().create_dir(path).map_err(failed)?;
        fs.unmount().map_err(FsErrorKind::Io)?;
        self.write_dots(&self.made(path)?, &place.parent)
    }

    /// Gives a new directory the two entries that it must begin with,
    /// without long names, and 0 for a parent that is the root.
    fn write_dots(
        &self,
        entry: &Entry,
        parent: &Entry,
    ) -> Result<(), FsErrorKind> {
        let len = usize::try_from(self.volume.cluster).expect(INSIDE);
        let at = self.volume.cluster_offset(entry.cluster);
        let mut old = vec![0; len];
        self.pages.read_at(at, &mut old).map_err(FsErrorKind::Io)?;
        let mut new = Vec::with_capacity(len);
        for name in [b".          ", b"..         "] {
            let raw = old.chunks_exact(ENTRY).find(|e| e.starts_with(name));
            new.extend_from_slice(raw.unwrap_or(&[0; ENTRY]));
        }
        let [low0, low1, high0, high1] = parent.cluster.to_le_bytes();
        for (at, byte) in [(52, high0), (53, high1), (58, low0), (59, low1)] {
            if let Some(slot) = new.get_mut(at) {
                *slot = byte;
            }
        }
        new.resize(len, 0);
        self.write_page(at, &new)
    }

    fn remove_all(&mut self, path: &str) -> Result<(), FsErrorKind> {
        let fs = self.edit()?;
        let Some(entry) = self.only(path)? else { return Ok(()) };
        if components(path)?.is_empty() {
            return Err(FsErrorKind::WrongKind("is the root directory"));
        }
        // Parents before children, then removed from the end.
        let mut all = vec![(path.to_owned(), entry)];
        let mut next = 0;
        while let Some((path, entry)) = all.get(next) {
            let mut children = Vec::new();
            if entry.is_dir {
                let directory = self.directory(entry)?;
                for child in directory.entries(&self.volume) {
                    children.push((format!("{path}/{}", child.name), child));
                }
            }
            all.extend(children);
            next = next.checked_add(1).expect(INSIDE);
        }
        let mut clusters = Vec::new();
        for (path, entry) in all.iter().rev() {
            let chain = self.volume.chain(&*self.pages, entry.cluster)?;
            clusters.extend(chain);
            fs.root_dir().remove(path).map_err(failed)?;
        }
        fs.unmount().map_err(FsErrorKind::Io)?;
        self.check_removed(path)?;
        self.wipe(&clusters)
    }
}

impl<D: WriteAt> Editor for Fat<D> {
    fn write(
        &mut self,
        path: &str,
        content: &dyn ReadAt,
        _meta: Meta,
    ) -> Result<(), FsError> {
        self.write_file(path, content).map_err(|kind| kind.at(path))
    }

    fn mkdir(&mut self, path: &str, _meta: Meta) -> Result<(), FsError> {
        self.make_directory(path).map_err(|kind| kind.at(path))
    }

    fn symlink(
        &mut self,
        path: &str,
        _target: &str,
        _meta: Meta,
    ) -> Result<(), FsError> {
        let what = "symbolic links on FAT".to_owned();
        Err(FsErrorKind::Unsupported(what).at(path))
    }

    /// Only looks whether something is at `path`.
    fn set_meta(&mut self, path: &str, _meta: Meta) -> Result<(), FsError> {
        self.existing(path).map(drop).map_err(|kind| kind.at(path))
    }

    fn remove(&mut self, path: &str) -> Result<(), FsError> {
        self.remove_all(path).map_err(|kind| kind.at(path))
    }

    fn commit(&mut self) -> Result<(), FsError> {
        Ok(self.pages.commit()?)
    }
}
