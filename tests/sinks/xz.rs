//! .xz files by splicing, judged by xz(1) and by Python's lzma.

use super::{
    atomic::names,
    conformance::{Case, MIB, cases},
};
use crate::support::{
    oracle::run,
    xz::{list, pack, unpack},
};
use piflash::{
    disk::{
        Overlay, ReadAt, WriteAt,
        xz::{Check, XzImage, XzIndex, XzLimits},
    },
    progress::Silent,
    sink::{
        SinkErrorKind,
        xz::{Written, XzBase, XzOptions, prepare, write_image},
    },
};
use std::{
    fs::{self, File},
    io,
    os::unix::fs::PermissionsExt,
    path::Path,
    sync::{Arc, LazyLock},
};

const QUICK: XzOptions = XzOptions { preset: 0, threads: 2 };

fn splice(overlay: &Overlay, base: Option<&XzBase>, dest: &Path) -> Written {
    write_image(overlay, base, None, dest, &QUICK, &Silent).unwrap()
}

/// xz takes the file, finds the image in it, with any number of threads, and
/// lists it; so does Python.
fn judge(path: &Path, image: &[u8], name: &str) {
    let text = path.to_str().unwrap();
    run("xz", &["-t", text]).unwrap();
    run("xz", &["-l", text]).unwrap();
    for threads in ["-T1", "-T0"] {
        assert!(unpack(path, threads).unwrap() == image, "{name}");
    }
    // All sizes in headers, so that the decoder runs in parallel; offsets
    // without gaps; one kind of check.
    let (mut packed, mut offset) = (12, 0);
    let blocks = list(path).unwrap();
    for block in &blocks {
        assert_eq!((block.packed, block.offset), (packed, offset), "{name}");
        assert_eq!(block.check, blocks[0].check, "{name}");
        packed += block.packed_len;
        offset += block.len;
    }
    assert_eq!(offset, image.len() as u64, "{name}");
    let metadata = fs::metadata(path).unwrap();
    assert_eq!(metadata.permissions().mode() & 0o7777, 0o600);
    let dir = path.parent().unwrap();
    assert_eq!(names(dir), ["node3.img.xz"], "{name}");
}

fn python(path: &Path) -> Vec<u8> {
    let program = "import lzma, sys; f = lzma.open(sys.argv[1]); \
                   sys.stdout.buffer.write(f.read())";
    run("python3", &["-c", program, path.to_str().unwrap()]).unwrap()
}

/// Bases of an image as different callers of xz make them.
const KINDS: [&str; 9] = [
    "crc64",
    "crc32",
    "sha256",
    "none",
    "odd blocks",
    "one block",
    "one block in two threads",
    "streams",
    "streams of two checks",
];

fn base_of(image: &[u8], kind: &str) -> Vec<u8> {
    // Whole blocks of an overlay, so that each change is in one.
    let blocks = ["-0", "-T2", "--block-size=294912"];
    let with = |more: &str| pack(image, &[&blocks[..], &[more]].concat());
    let (front, back) = image.split_at(image.len() / 8192 * 4096);
    let joined = |other: &str| {
        let front = pack(front, &blocks);
        let back = pack(back, &[&blocks[..], &[other]].concat());
        [front, vec![0; 4], pack(b"", &[]), back, vec![0; 8]].concat()
    };
    match kind {
        "odd blocks" => with("--block-size=300007"),
        "one block" => pack(image, &["-0", "-T1"]),
        "one block in two threads" => pack(image, &["-0", "-T2"]),
        "streams" => joined("--check=crc64"),
        "streams of two checks" => joined("--check=crc32"),
        check => with(&format!("--check={check}")),
    }
}

static CASES: LazyLock<Vec<Case>> = LazyLock::new(cases);

/// Each case with some kinds of base, and each kind with some cases: all with
/// all takes minutes. The number is another for each.
fn pairs() -> impl Iterator<Item = (usize, &'static Case, &'static str)> {
    (0..CASES.len() * 2).map(|number| {
        let kind = KINDS[number * 4 % KINDS.len()];
        (number, &CASES[number / 2], kind)
    })
}

fn open(packed: &[u8], dir: &Path) -> XzBase {
    let path = dir.join("base.xz");
    fs::write(&path, packed).unwrap();
    XzBase::open(&path).unwrap()
}

#[test]
fn spliced_images_are_what_the_overlay_says() {
    for (_, case, kind) in pairs() {
        let (base, image) = case.model();
        let packed = base_of(&base, kind);
        let name = format!("{}, {kind}", case.name);
        let dir = tempfile::tempdir().unwrap();
        let xz = open(&packed, dir.path());
        let dest = dir.path().join("out/node3.img.xz");
        let overlay = case.edit(Arc::new(base.clone()));
        let written = splice(&overlay, Some(&xz), &dest);
        judge(&dest, &image, &name);
        let len = fs::metadata(&dest).unwrap().len();
        assert_eq!((written.size, written.packed), (case.size, len));
        let blocks = xz.index().blocks();
        let full = blocks.iter().filter(|b| b.len > 0).count();
        assert_eq!(written.copied + written.encoded, full, "{name}");
        if kind == "crc64" && case.name == "unchanged" {
            // The very file.
            assert!(fs::read(&dest).unwrap() == packed);
        }
        let touched = blocks.iter().filter(|b| {
            let range = b.offset as usize..b.end() as usize;
            base[range.clone()] != image[range]
        });
        if !matches!(kind, "streams of two checks" | "odd blocks") {
            assert_eq!(written.encoded, touched.count(), "{name}");
        }
        assert!(fs::read(dir.path().join("base.xz")).unwrap() == packed);
    }
}

#[test]
fn without_a_base_everything_is_encoded() {
    for case in &*CASES {
        let (base, image) = case.model();
        let dir = tempfile::tempdir().unwrap();
        let dest = dir.path().join("out/node3.img.xz");
        let overlay = case.edit(Arc::new(base));
        let written = splice(&overlay, None, &dest);
        judge(&dest, &image, case.name);
        assert!(python(&dest) == image, "{}", case.name);
        assert_eq!(written.copied, 0);
        assert_eq!(written.encoded, usize::from(case.size > 0));
    }
}

#[test]
fn copied_blocks_are_the_very_bytes_and_checks_stay() {
    let case = &CASES[1];
    let (base, _) = case.model();
    for kind in KINDS.into_iter().take(4) {
        let packed = base_of(&base, kind);
        let dir = tempfile::tempdir().unwrap();
        let xz = open(&packed, dir.path());
        let overlay = Overlay::new(Arc::new(base.clone()));
        overlay.write_at(MIB, b"changed").unwrap();
        let dest = dir.path().join("out/node3.img.xz");
        let written = splice(&overlay, Some(&xz), &dest);
        assert_eq!(written.encoded, 1);
        let new = fs::read(&dest).unwrap();
        let index = XzIndex::read(&new).unwrap();
        assert_eq!(index.check(), xz.index().check(), "{kind}");
        let bytes = |file: &[u8], block: piflash::disk::xz::XzBlock| {
            file[block.packed as usize..][..block.packed_len() as usize]
                .to_vec()
        };
        let pairs = xz.index().blocks().iter().zip(index.blocks());
        for (old, new_block) in pairs {
            let same = bytes(&packed, *old) == bytes(&new, *new_block);
            let changed = (old.offset..old.end()).contains(&MIB);
            assert_eq!(same, !changed, "{kind}");
        }
        if kind != "none" {
            assert!(python(&dest)[MIB as usize..].starts_with(b"changed"));
        }
    }
}

#[test]
fn prepared_bases_hold_the_same_image() {
    for (number, case, kind) in pairs() {
        let (base, image) = case.model();
        let edits: Vec<(u64, u64)> =
            case.edits.iter().map(|(at, b)| (*at, b.len() as u64)).collect();
        let all = [(0, case.size)];
        let hot = [&[][..], &edits, &all][number % 3];
        let packed = base_of(&base, kind);
        let name = format!("{}, {kind}, {} hot", case.name, hot.len());
        let dir = tempfile::tempdir().unwrap();
        let source = open(&packed, dir.path());
        let out = dir.path().join("prepared/node3.img.xz");
        let written =
            prepare(&base, Some(&source), hot, &out, &QUICK, &Silent).unwrap();
        judge(&out, &base, &name);
        let prepared = XzBase::open(&out).unwrap();
        if !source.index().is_reusable() {
            assert_eq!(written.copied, 0, "{name}");
        }
        let check = prepared.index().check();
        assert_ne!(check, Some(Check::None), "{name}");
        // And it serves.
        let overlay = case.edit(Arc::new(base.clone()));
        let dest = dir.path().join("out/node3.img.xz");
        let written = splice(&overlay, Some(&prepared), &dest);
        assert_eq!(unpack(&dest, "-T1").unwrap(), image, "{name}");
        assert!(written.encoded <= prepared.index().blocks().len());
    }
}

#[test]
fn a_prepared_base_makes_changes_cheap() {
    let case = &CASES[1];
    let (mut base, _) = case.model();
    // Nothing that is zero, so that sizes mean something.
    base.iter_mut().enumerate().for_each(|(at, b)| *b |= at as u8 ^ 0x55);
    let packed = pack(&base, &["-0", "-T2", "--block-size=4194304"]);
    let dir = tempfile::tempdir().unwrap();
    let source = open(&packed, dir.path());
    let out = dir.path().join("prepared.xz");
    let hot = [(5 * MIB + 100, 10)];
    let written =
        prepare(&base, Some(&source), &hot, &out, &QUICK, &Silent).unwrap();
    // The second block of two: 1 MiB before, 128 KiB, the rest.
    assert_eq!((written.copied, written.encoded), (1, 3));
    let prepared = XzBase::open(&out).unwrap();
    let overlay = Overlay::new(Arc::new(base.clone()));
    overlay.write_at(5 * MIB + 105, b"!").unwrap();
    let dest = dir.path().join("node3.img.xz");
    let written = splice(&overlay, Some(&prepared), &dest);
    assert_eq!((written.copied, written.encoded), (3, 1));
    assert_eq!(written.changed, 4096);
    base[5 * MIB as usize + 105] = b'!';
    assert!(unpack(&dest, "-T0").unwrap() == base);
    let sizes: Vec<u64> =
        list(&dest).unwrap().iter().map(|block| block.len).collect();
    let fine = 128 << 10;
    assert_eq!(sizes, [4 * MIB, MIB, fine, 3 * MIB - fine]);
    assert!(list(&dest).unwrap().iter().all(|block| block.sizes == "cu"));
}

/// The bytes depend on the image alone.
#[test]
fn threads_do_not_show() {
    let case = &CASES[8];
    let (base, _) = case.model();
    let packed = pack(&base, &["-0", "-T2", "--block-size=100000"]);
    let dir = tempfile::tempdir().unwrap();
    let xz = open(&packed, dir.path());
    let overlay = case.edit(Arc::new(base));
    let files: Vec<Vec<u8>> = [1, 2, 3, 16, 1000]
        .map(|threads| {
            let dest = dir.path().join(format!("{threads}.xz"));
            let options = XzOptions { preset: 3, threads };
            let base = Some(&xz);
            write_image(&overlay, base, None, &dest, &options, &Silent)
                .unwrap();
            fs::read(dest).unwrap()
        })
        .into();
    assert!(files.iter().all(|file| *file == files[0]));
}

/// The overlay may lie over the very .xz file: nothing is unpacked.
#[test]
fn a_base_need_not_be_unpacked() {
    let case = &CASES[2];
    let (base, image) = case.model();
    let packed = pack(&base, &["-0", "-T2", "--block-size=300000"]);
    let dir = tempfile::tempdir().unwrap();
    let xz = open(&packed, dir.path());
    let file = Arc::new(packed);
    let device = XzImage::open(file, XzLimits::default()).unwrap();
    let overlay = case.edit(Arc::new(device));
    let dest = dir.path().join("out/node3.img.xz");
    splice(&overlay, Some(&xz), &dest);
    judge(&dest, &image, case.name);
}

/// Reads well up to an offset.
struct Broken(Vec<u8>, u64);

impl ReadAt for Broken {
    fn size(&self) -> u64 {
        self.0.size()
    }
    fn read_at(&self, offset: u64, buf: &mut [u8]) -> io::Result<()> {
        if offset + buf.len() as u64 > self.1 {
            return Err(io::Error::other("the card was pulled"));
        }
        self.0.read_at(offset, buf)
    }
}

#[test]
fn a_read_error_leaves_the_old_file() {
    let base = vec![7; 2 * MIB as usize];
    let packed = pack(&base, &["-0", "-T2", "--block-size=100000"]);
    let dir = tempfile::tempdir().unwrap();
    let xz = open(&packed, dir.path());
    let dest = dir.path().join("out/node3.img.xz");
    fs::create_dir(dir.path().join("out")).unwrap();
    fs::write(&dest, "the old image").unwrap();
    let overlay = Overlay::new(Arc::new(Broken(base, MIB)));
    for at in (0..MIB).step_by(MIB as usize / 4) {
        overlay.write_at(at, &[1; 4096]).unwrap();
    }
    overlay.write_at(MIB + 8192, &[1; 4096]).unwrap();
    let error = write_image(&overlay, Some(&xz), None, &dest, &QUICK, &Silent)
        .unwrap_err();
    assert!(matches!(error.kind, SinkErrorKind::Read(_)), "{error}");
    assert_eq!(error.path, dest);
    assert_eq!(fs::read(&dest).unwrap(), b"the old image");
    assert_eq!(names(dest.parent().unwrap()), ["node3.img.xz"]);
}

#[test]
fn a_base_that_does_not_fit_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let xz = open(&pack(&[1; 5000], &[]), dir.path());
    let overlay = Overlay::new(Arc::new(vec![1; 5001]));
    let dest = dir.path().join("node3.img.xz");
    let error = write_image(&overlay, Some(&xz), None, &dest, &QUICK, &Silent)
        .unwrap_err();
    assert!(matches!(error.kind, SinkErrorKind::BadBase(_)), "{error}");
    // Nor may it be replaced by what is made of it.
    let overlay = Overlay::new(Arc::new(vec![1; 5000]));
    let itself = dir.path().join("base.xz");
    let raw = File::open(&itself).unwrap();
    for (base, raw) in [(Some(&xz), None), (None, Some(&raw))] {
        let error = write_image(&overlay, base, raw, &itself, &QUICK, &Silent)
            .unwrap_err();
        assert!(error.to_string().contains("base image"), "{error}");
    }
    assert_eq!(names(dir.path()), ["base.xz"]);
}

#[test]
fn there_is_no_preset_ten() {
    let dir = tempfile::tempdir().unwrap();
    let overlay = Overlay::new(Arc::new(vec![1; 5000]));
    let dest = dir.path().join("node3.img.xz");
    let options = XzOptions { preset: 10, threads: 1 };
    let error = write_image(&overlay, None, None, &dest, &options, &Silent)
        .unwrap_err();
    assert!(format!("{error:?}").contains("preset"), "{error:?}");
    assert_eq!(names(dir.path()), [""; 0]);
}

/// Not worse than xz by more than a hundredth, with the same preset.
#[test]
fn the_size_is_that_of_xz() {
    let me = std::env::current_exe().unwrap();
    let mut base = fs::read(me).unwrap();
    base.truncate(12 * MIB as usize);
    let packed = pack(&base, &["-6", "-T2", "--block-size=3145728"]);
    let dir = tempfile::tempdir().unwrap();
    let xz = open(&packed, dir.path());
    let overlay = Overlay::new(Arc::new(base.clone()));
    overlay.write_at(4 * MIB, &base[..8192]).unwrap();
    base.copy_within(..8192, 4 * MIB as usize);
    let dest = dir.path().join("node3.img.xz");
    let options = XzOptions { threads: 2, ..XzOptions::default() };
    let written =
        write_image(&overlay, Some(&xz), None, &dest, &options, &Silent)
            .unwrap();
    assert_eq!(written.encoded, 1);
    let theirs = pack(&base, &["-6", "-T2", "--block-size=3145728"]);
    let theirs = theirs.len() as f64;
    assert!((written.packed as f64) < theirs * 1.01);
    assert!(unpack(&dest, "-T0").unwrap() == base);
}
