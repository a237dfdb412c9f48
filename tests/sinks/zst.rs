//! .zst files of independent frames, judged by zstd(1).

use super::{
    atomic::names,
    conformance::{Case, MIB, cases},
};
use crate::support::oracle::run;
use piflash::{
    disk::{Overlay, WriteAt, zst::ZstIndex},
    progress::Silent,
    sink::{
        PackedWritten, SinkErrorKind,
        zst::{ZstBase, ZstOptions, prepare, write_image},
    },
};
use std::{
    fs::{self, File},
    os::unix::fs::PermissionsExt,
    path::Path,
    sync::{Arc, LazyLock},
};

const QUICK: ZstOptions = ZstOptions { level: 1, threads: 2 };

static CASES: LazyLock<Vec<Case>> = LazyLock::new(cases);

fn splice(
    overlay: &Overlay,
    base: Option<&ZstBase>,
    dest: &Path,
) -> PackedWritten {
    write_image(overlay, base, None, dest, &QUICK, &Silent).unwrap()
}

/// zstd takes the file and finds the image in it; the table names frames that
/// zstd unpacks one by one.
fn judge(path: &Path, image: &[u8], name: &str) {
    let text = path.to_str().unwrap();
    run("zstd", &["-q", "-t", text]).unwrap();
    assert!(run("zstd", &["-dc", text]).unwrap() == image, "{name}");
    let file = fs::read(path).unwrap();
    let index = ZstIndex::read(&file).unwrap();
    assert_eq!(index.size(), image.len() as u64, "{name}");
    if let Some(last) = index.frames().last() {
        let dir = tempfile::tempdir().unwrap();
        let frame = dir.path().join("frame");
        let at = last.packed as usize;
        let packed = &file[at..at + last.packed_len as usize];
        fs::write(&frame, packed).unwrap();
        let content = run("zstd", &["-dc", frame.to_str().unwrap()]).unwrap();
        let at = last.offset as usize;
        assert!(content == image[at..at + last.len as usize], "{name}");
        // A checksum behind it: 4 bytes that matter.
        let mut bad = packed.to_vec();
        *bad.last_mut().unwrap() ^= 1;
        fs::write(&frame, bad).unwrap();
        assert!(run("zstd", &["-t", frame.to_str().unwrap()]).is_err());
    }
    let metadata = fs::metadata(path).unwrap();
    assert_eq!(metadata.permissions().mode() & 0o7777, 0o600);
    let dir = path.parent().unwrap();
    assert_eq!(names(dir), ["node3.img.zst"], "{name}");
}

fn prepared(base: &[u8], hot: &[(u64, u64)], dir: &Path) -> ZstBase {
    let out = dir.join("base/node3.img.zst");
    prepare(&base, hot, &out, &QUICK, &Silent).unwrap();
    judge(&out, base, "prepared");
    ZstBase::new(File::open(&out).unwrap()).unwrap()
}

#[test]
fn spliced_images_are_what_the_overlay_says() {
    for (number, case) in CASES.iter().enumerate() {
        let (base, image) = case.model();
        let edits: Vec<(u64, u64)> =
            case.edits.iter().map(|(at, b)| (*at, b.len() as u64)).collect();
        let all = [(0, case.size)];
        let hot = [&edits[..], &[], &all][number % 3];
        let dir = tempfile::tempdir().unwrap();
        let zst = prepared(&base, hot, dir.path());
        let dest = dir.path().join("out/node3.img.zst");
        let overlay = case.edit(Arc::new(base.clone()));
        let written = splice(&overlay, Some(&zst), &dest);
        judge(&dest, &image, case.name);
        let len = fs::metadata(&dest).unwrap().len();
        assert_eq!((written.size, written.packed), (case.size, len));
        let touched = zst.index().frames().iter().filter(|frame| {
            let at = frame.offset as usize;
            let range = at..at + frame.len as usize;
            base[range.clone()] != image[range]
        });
        assert_eq!(written.encoded, touched.count(), "{}", case.name);
        let frames = zst.index().frames().len();
        assert_eq!(written.copied + written.encoded, frames);
    }
}

#[test]
fn without_a_base_everything_is_encoded() {
    for case in &*CASES {
        let (base, image) = case.model();
        let dir = tempfile::tempdir().unwrap();
        let dest = dir.path().join("out/node3.img.zst");
        let written = splice(&case.edit(Arc::new(base)), None, &dest);
        judge(&dest, &image, case.name);
        assert_eq!(written.copied, 0);
    }
}

#[test]
fn threads_do_not_show() {
    let case = &CASES[8];
    let (base, _) = case.model();
    let dir = tempfile::tempdir().unwrap();
    let zst = prepared(&base, &[(0, MIB)], dir.path());
    let overlay = case.edit(Arc::new(base));
    let files: Vec<Vec<u8>> = [1, 2, 16]
        .map(|threads| {
            let dest = dir.path().join(format!("{threads}.zst"));
            let options = ZstOptions { level: 3, threads };
            let base = Some(&zst);
            write_image(&overlay, base, None, &dest, &options, &Silent)
                .unwrap();
            fs::read(dest).unwrap()
        })
        .into();
    assert!(files.iter().all(|file| *file == files[0]));
}

#[test]
fn a_base_that_does_not_fit_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let zst = prepared(&[1; 5000], &[], dir.path());
    let overlay = Overlay::new(Arc::new(vec![1; 5001]));
    overlay.write_at(0, b"x").unwrap();
    let dest = dir.path().join("node3.img.zst");
    let error = write_image(&overlay, Some(&zst), None, &dest, &QUICK, &Silent)
        .unwrap_err();
    assert!(matches!(error.kind, SinkErrorKind::BadBase(_)), "{error}");
    assert_eq!(names(dir.path()), ["base"]);
    let itself = dir.path().join("base/node3.img.zst");
    let overlay = Overlay::new(Arc::new(vec![1; 5000]));
    let error =
        write_image(&overlay, Some(&zst), None, &itself, &QUICK, &Silent)
            .unwrap_err();
    assert!(error.to_string().contains("base image"), "{error}");
}
