use piflash::{
    disk::{ImageFile, Overlay, ReadAt, WriteAt},
    progress::Silent,
    sink::raw::{Method, RawOptions, Written, write_image},
};
use std::{
    fs::File,
    os::unix::fs::{FileExt, MetadataExt, PermissionsExt},
    path::Path,
    sync::Arc,
};

pub const MIB: u64 = 1 << 20;

/// An image as it should come out: a base with holes and edits over it.
pub struct Case {
    pub name: &'static str,
    pub size: u64,
    pub data: Vec<(u64, Vec<u8>)>,
    pub edits: Vec<(u64, Vec<u8>)>,
    /// Bytes on disk that a sparse file of it may take.
    pub dense: u64,
}

fn noise(len: u64, seed: u64) -> Vec<u8> {
    let mut state = seed | 1;
    (0..len)
        .map(|_| {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            (state >> 32) as u8 | 1
        })
        .collect()
}

pub fn cases() -> Vec<Case> {
    let case = |name, size, data: &[(u64, u64)], edits, dense| Case {
        name,
        size,
        data: data.iter().map(|(at, n)| (*at, noise(*n, at + 9))).collect(),
        edits,
        dense,
    };
    let zeros = |len: u64| vec![0; len as usize];
    vec![
        case("all zero", 8 * MIB, &[], vec![], 0),
        case(
            "unchanged",
            8 * MIB,
            &[(MIB, MIB), (5 * MIB, 4096)],
            vec![],
            MIB + 4096,
        ),
        case(
            "edits at block edges",
            8 * MIB,
            &[(MIB, MIB)],
            vec![
                (MIB - 1, noise(2, 1)),
                (MIB + 4096, noise(4096, 2)),
                (MIB + 8191, noise(4098, 3)),
                (2 * MIB - 1, noise(1, 4)),
                (2 * MIB, noise(1, 5)),
                (0, noise(1, 6)),
            ],
            MIB + 3 * 4096,
        ),
        case(
            "data turned to zero",
            8 * MIB,
            &[(0, 4 * MIB)],
            vec![(MIB, zeros(2 * MIB)), (100, zeros(10))],
            2 * MIB,
        ),
        case(
            "zeros over a hole",
            8 * MIB,
            &[(0, 4096)],
            vec![
                (4 * MIB, zeros(MIB)),
                (6 * MIB, [zeros(8192), noise(4096, 7), zeros(8192)].concat()),
            ],
            8192,
        ),
        case(
            "partial last block",
            3 * MIB + 1234,
            &[(3 * MIB, 1234)],
            vec![(3 * MIB + 1233, vec![7])],
            4096,
        ),
        case(
            "partial last block, untouched",
            3 * MIB + 1,
            &[(3 * MIB, 1)],
            vec![(0, vec![7])],
            8192,
        ),
        case(
            "partial last block, a hole",
            3 * MIB + 1,
            &[(0, 10)],
            vec![],
            4096,
        ),
        case(
            "all changed",
            3 * MIB + 77,
            &[(MIB, MIB)],
            vec![(0, noise(3 * MIB + 77, 8))],
            3 * MIB + 4096,
        ),
        case("one byte", 1, &[(0, 1)], vec![(0, vec![3])], 4096),
        case("empty", 0, &[], vec![], 0),
    ]
}

impl Case {
    /// Writes the base as a sparse file and edits it.
    pub fn build(&self, base: &Path) -> Overlay {
        let file = File::create_new(base).unwrap();
        file.set_len(self.size).unwrap();
        for (at, bytes) in &self.data {
            file.write_all_at(bytes, *at).unwrap();
        }
        file.sync_all().unwrap();
        let image = ImageFile::open(base).unwrap();
        self.edit(Arc::new(image))
    }

    pub fn edit(&self, base: Arc<dyn ReadAt>) -> Overlay {
        let overlay = Overlay::new(base);
        for (at, bytes) in &self.edits {
            overlay.write_at(*at, bytes).unwrap();
        }
        overlay
    }

    fn image(&self, edits: &[(u64, Vec<u8>)]) -> Vec<u8> {
        let mut image = vec![0; self.size as usize];
        for (at, bytes) in self.data.iter().chain(edits) {
            image[*at as usize..][..bytes.len()].copy_from_slice(bytes);
        }
        image
    }

    /// The independent model of the base and of the result.
    pub fn model(&self) -> (Vec<u8>, Vec<u8>) {
        (self.image(&[]), self.image(&self.edits))
    }
}

pub fn raw(
    overlay: &Overlay,
    base: Option<&File>,
    dest: &Path,
    reflink: bool,
) -> Written {
    let options = RawOptions { reflink, ..RawOptions::default() };
    write_image(overlay, base, dest, &options, &Silent).unwrap()
}

/// Checks content, mode, an untouched base, and that nothing else is there.
pub fn judge(case: &Case, dir: &Path) {
    let (base, image) = case.model();
    let found = std::fs::read(dir.join("out/node3.img")).unwrap();
    assert!(found == image, "{}: content differs", case.name);
    assert!(std::fs::read(dir.join("base.img")).unwrap() == base);
    let metadata = std::fs::metadata(dir.join("out/node3.img")).unwrap();
    assert_eq!(metadata.permissions().mode() & 0o7777, 0o600);
    let names: Vec<_> = std::fs::read_dir(dir.join("out"))
        .unwrap()
        .map(|entry| entry.unwrap().file_name())
        .collect();
    assert_eq!(names, ["node3.img"]);
}

#[test]
fn raw_images_are_what_the_overlay_says() {
    for case in cases() {
        for with_file in [false, true] {
            let dir = tempfile::tempdir().unwrap();
            let base = dir.path().join("base.img");
            let overlay = case.build(&base);
            let file = File::open(&base).unwrap();
            let dest = dir.path().join("out/node3.img");
            let file = with_file.then_some(&file);
            let written = raw(&overlay, file, &dest, false);
            assert_eq!(written.size, case.size);
            assert_eq!(written.method, Method::Copied);
            judge(&case, dir.path());
            let blocks = std::fs::metadata(&dest).unwrap().blocks() * 512;
            assert!(
                blocks <= case.dense + 16384,
                "{}: {blocks} bytes on disk, {} of data",
                case.name,
                case.dense
            );
            // Over what is there already, and from memory.
            let memory = case.edit(Arc::new(case.model().0));
            raw(&memory, None, &dest, true);
            judge(&case, dir.path());
        }
    }
}
