use piflash::{
    disk::{Extent, ImageFile, Overlay, ReadAt, WriteAt, Zeros},
    progress::{Progress, Silent},
    sink::{
        SinkError, SinkErrorKind,
        raw::{RawOptions, write_image},
    },
};
use std::{
    fs, io,
    os::unix::fs::{FileExt, MetadataExt, symlink},
    path::{Path, PathBuf},
    process::Command,
    sync::Arc,
    time::{Duration, Instant},
};

const SIZE: u64 = 6 << 20;

/// A base that is slow, or fails from an offset on.
pub struct Faulty {
    pub delay: Duration,
    pub fails_at: u64,
}

impl ReadAt for Faulty {
    fn size(&self) -> u64 {
        SIZE
    }
    fn read_at(&self, offset: u64, buf: &mut [u8]) -> io::Result<()> {
        std::thread::sleep(self.delay);
        if offset + buf.len() as u64 > self.fails_at {
            return Err(io::Error::other("the card was pulled"));
        }
        buf.fill(0x5a);
        Ok(())
    }
    fn extent_at(&self, offset: u64) -> io::Result<Extent> {
        Ok(Extent { offset, len: SIZE - offset, zero: false })
    }
}

pub fn write(base: Arc<dyn ReadAt>, dest: &Path) -> Result<(), SinkError> {
    let overlay = Overlay::new(base);
    let options = RawOptions::default();
    write_image(&overlay, None, dest, &options, &Silent).map(drop)
}

pub fn names(dir: &Path) -> Vec<String> {
    let mut names: Vec<_> = fs::read_dir(dir)
        .unwrap()
        .map(|e| e.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    names
}

const DEST: &str = "PIFLASH_TEST_SLOW_WRITE_TO";

/// Not a test by itself: the process that the next test kills.
#[test]
fn slow_writer() {
    let Some(dest) = std::env::var_os(DEST) else { return };
    let delay = Duration::from_millis(40);
    let base = Arc::new(Faulty { delay, fails_at: u64::MAX });
    write(base, &PathBuf::from(dest)).unwrap();
}

#[test]
fn a_kill_leaves_the_old_file_or_none() {
    let me = std::env::current_exe().unwrap();
    for old in [None, Some(b"the old image".as_slice())] {
        for millis in [0, 20, 60, 100, 150, 200, 250, 300, 400, 3000] {
            let dir = tempfile::tempdir().unwrap();
            let dest = dir.path().join("node3.img");
            if let Some(old) = old {
                fs::write(&dest, old).unwrap();
            }
            let mut child = Command::new(&me)
                .args(["--exact", "sinks::atomic::slow_writer"])
                .env(DEST, &dest)
                .stdout(std::process::Stdio::null())
                .spawn()
                .unwrap();
            let end = Instant::now() + Duration::from_millis(millis);
            let mut done = false;
            while Instant::now() < end && !done {
                std::thread::sleep(Duration::from_millis(1));
                done = child.try_wait().unwrap().is_some();
            }
            child.kill().unwrap();
            child.wait().unwrap();
            let found = fs::read(&dest).ok();
            let whole =
                found.as_ref().is_some_and(|f| *f == [0x5a; SIZE as usize]);
            if done {
                assert!(whole, "finished, but not whole");
            } else {
                assert!(whole || found.as_deref() == old, "after {millis}");
            }
            // Only between link and rename, a moment, can there be more; and
            // then it goes with the next run.
            let expected: &[&str] =
                if found.is_some() { &["node3.img"] } else { &[] };
            assert_eq!(names(dir.path()), expected, "after {millis} ms");
            if millis == 3000 {
                assert!(done, "the writer takes too long for this test");
            }
        }
    }
}

#[test]
fn a_read_error_leaves_the_old_file() {
    for fails_at in [0, 1 << 20, SIZE - 1] {
        let dir = tempfile::tempdir().unwrap();
        let dest = dir.path().join("node3.img");
        fs::write(&dest, "the old image").unwrap();
        let base = Arc::new(Faulty { delay: Duration::ZERO, fails_at });
        let error = write(base, &dest).unwrap_err();
        assert!(matches!(error.kind, SinkErrorKind::Read(_)), "{error}");
        assert_eq!(error.path, dest);
        assert_eq!(error.offset, Some(fails_at >> 17 << 17));
        assert_eq!(fs::read(&dest).unwrap(), b"the old image");
        assert_eq!(names(dir.path()), ["node3.img"]);
    }
}

#[test]
fn refuses_bad_destinations() {
    let dir = tempfile::tempdir().unwrap();
    let at = |name: &str| dir.path().join(name);
    fs::create_dir(at("dir")).unwrap();
    fs::write(at("file"), "x").unwrap();
    symlink("file", at("link")).unwrap();
    symlink("nowhere", at("dangling")).unwrap();
    let pipe = at("pipe");
    let status = Command::new("mkfifo").arg(&pipe).status().unwrap();
    assert!(status.success());
    let before = names(dir.path());
    for (dest, word) in [
        (at("dir"), "directory"),
        (at("link"), "symbolic link"),
        (at("dangling"), "symbolic link"),
        (pipe, "not a regular file"),
        (PathBuf::from("/dev/null"), "device"),
        (at("file/x"), "where a directory is needed"),
        (PathBuf::from("/"), "file name"),
    ] {
        let error = write(Arc::new(Zeros(4096)), &dest).unwrap_err();
        assert!(
            matches!(error.kind, SinkErrorKind::BadDestination(_)),
            "{error}"
        );
        assert!(error.to_string().contains(word), "{error}");
    }
    assert_eq!(names(dir.path()), before);
    assert_eq!(fs::read(at("file")).unwrap(), b"x");
}

#[test]
fn refuses_to_replace_the_base() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("base.img");
    fs::write(&path, vec![1; 8192]).unwrap();
    let file = fs::File::open(&path).unwrap();
    let alias = dir.path().join("alias.img");
    fs::hard_link(&path, &alias).unwrap();
    let overlay = Overlay::new(Arc::new(vec![1; 8192]));
    overlay.write_at(0, b"x").unwrap();
    for dest in [&path, &alias] {
        let options = RawOptions::default();
        let error = write_image(&overlay, Some(&file), dest, &options, &Silent)
            .unwrap_err();
        assert!(error.to_string().contains("base image"), "{error}");
    }
    assert_eq!(fs::read(&path).unwrap(), vec![1; 8192]);
    assert_eq!(fs::metadata(&path).unwrap().nlink(), 2);
}

#[test]
fn an_image_larger_than_the_disk_is_refused_first() {
    let dir = tempfile::tempdir().unwrap();
    let dest = dir.path().join("node3.img");

    /// Says that it is all data.
    struct Huge;
    impl ReadAt for Huge {
        fn size(&self) -> u64 {
            1 << 50
        }
        fn read_at(&self, _: u64, _: &mut [u8]) -> io::Result<()> {
            panic!("read in spite of a full disk")
        }
    }
    let error = write(Arc::new(Huge), &dest).unwrap_err();
    let SinkErrorKind::NoSpace { needed, available } = error.kind else {
        panic!("{error}");
    };
    assert_eq!(needed, 1 << 50);
    assert!(available > 0 && available < needed);
    assert_eq!(names(dir.path()), [""; 0]);
}

/// Left by a killed run where there is no nameless file; nobody holds it.
#[test]
fn stale_parts_are_swept() {
    let dir = tempfile::tempdir().unwrap();
    let dest = dir.path().join("node3.img");
    let stale = dir.path().join(".node3.img.4194303-0.part");
    let held = dir.path().join(".node3.img.4194303-1.part");
    let other = dir.path().join(".node4.img.4194303-0.part");
    let own = dir.path().join(".node3.img.notes");
    for path in [&stale, &held, &other, &own] {
        fs::write(path, "x").unwrap();
    }
    let lock = fs::File::open(&held).unwrap();
    lock.lock().unwrap();
    write(Arc::new(Zeros(4096)), &dest).unwrap();
    assert_eq!(
        names(dir.path()),
        [
            ".node3.img.4194303-1.part",
            ".node3.img.notes",
            ".node4.img.4194303-0.part",
            "node3.img"
        ]
    );
}

/// Somebody downloads to the base again while it is copied.
struct Overwritten<'p>(&'p Path);

impl Progress for Overwritten<'_> {
    fn start(&self, _stage: &'static str, _total: Option<u64>) {
        // File times are as coarse as the kernel's tick.
        std::thread::sleep(Duration::from_millis(20));
        let base = fs::OpenOptions::new().write(true).open(self.0).unwrap();
        base.write_all_at(b"another image", 4096).unwrap();
    }
    fn advance(&self, _bytes: u64) {}
    fn finish(&self) {}
}

#[test]
fn a_base_that_changes_meanwhile_is_no_base() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("base.img");
    let dest = dir.path().join("node3.img");
    fs::write(&path, vec![0x5a; 1 << 20]).unwrap();
    fs::write(&dest, "the old image").unwrap();
    for reflink in [true, false] {
        let file = fs::File::open(&path).unwrap();
        let base = ImageFile::open(&path).unwrap();
        let error = write_image(
            &Overlay::new(Arc::new(base)),
            Some(&file),
            &dest,
            &RawOptions { reflink, ..RawOptions::default() },
            &Overwritten(&path),
        )
        .unwrap_err();
        let SinkErrorKind::Read(why) = &error.kind else { panic!("{error}") };
        assert!(why.to_string().contains("was changed"), "{why}");
        assert_eq!(fs::read(&dest).unwrap(), b"the old image");
        assert_eq!(names(dir.path()), ["base.img", "node3.img"]);
    }
}
