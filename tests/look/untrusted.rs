//! Images of unknown origin: never a panic, never without end, and nothing
//! but text reaches the terminal.

use super::{Copy, cards, json};
use crate::support::ext4::{NOW, OPTIONS, meta};
use piflash::{
    base::disk_image::{DiskImage, Form},
    disk::{ImageFile, Memory, ReadAt, Window},
    fs::{
        Editor,
        ext4::Ext4,
        tree::{Walk, compare},
    },
};
use std::{
    fs,
    io::{self, Read},
    panic::{AssertUnwindSafe, catch_unwind},
    path::Path,
    sync::Arc,
    time::{Duration, Instant},
};

/// Edits the root file system of a copy by our own editor, which takes names
/// that other tools do not.
fn edit(copy: &Copy, edits: impl Fn(&mut Ext4<'_>)) {
    let file = fs::OpenOptions::new().read(true).write(true).open(&copy.path);
    let device = ImageFile::new(file.unwrap()).unwrap();
    let layout = &cards().case.layout.root;
    let (start, len) = (layout.start * 512, layout.sectors * 512);
    let window = Window::new(device, start, len).unwrap();
    let mut fs = Ext4::open(&window, OPTIONS).unwrap();
    edits(&mut fs);
    fs.commit().unwrap();
}

#[test]
fn names_cannot_speak_to_the_terminal() {
    let cards = cards();
    let copy = cards.copy(&cards.node("node3"));
    let names =
        ["a\nb", "\u{1b}[2J", "\u{202e}gnp.exe", "back\\slash", "größe", " x "];
    edit(&copy, |fs| {
        let meta = meta(0o644, 0, 0, NOW);
        fs.mkdir("/odd", meta).unwrap();
        for name in names {
            let path = format!("/odd/{name}");
            fs.write(&path, &b"\x1b[31mred\n".to_vec(), meta).unwrap();
        }
        fs.symlink("/odd/link", "\u{1b}]0;title\u{7}", meta).unwrap();
    });
    let path = copy.path.to_str().unwrap();
    let listing = cards.run(&["inspect", path, "root:/odd"]);
    assert_eq!(listing.code, Some(0), "{listing}");
    assert_eq!(listing.stdout.lines().count(), names.len() + 1, "{listing}");
    let diff = cards.run(&["diff", "build/images/node3.img", path]);
    assert_eq!(diff.stdout.lines().count(), names.len() + 2, "{diff}");
    let verify = cards.verify(&copy.path);
    assert_eq!(verify.stdout.lines().count(), names.len() + 2, "{verify}");
    for outcome in [&listing, &diff, &verify] {
        let text = format!("{}{}", outcome.stdout, outcome.stderr);
        let bad = |c: char| (c.is_control() && c != '\n') || c == '\u{202e}';
        assert!(!text.contains(bad), "{text:?}");
    }
    assert!(listing.stdout.contains(r"/odd/a\nb"), "{listing}");
    assert!(listing.stdout.contains("/odd/größe"), "{listing}");

    let entries = cards.run(&["inspect", path, "root:/odd", "--json"]);
    let entries = json(&entries);
    let found: Vec<_> = entries["entries"].as_array().unwrap()[1..]
        .iter()
        .map(|entry| {
            entry["path"].as_str().unwrap()["/odd/".len()..].to_owned()
        })
        .collect();
    let mut expected: Vec<_> = names.map(str::to_owned).to_vec();
    expected.push("link".to_owned());
    expected.sort();
    assert_eq!(found, expected);
    // To a program, a file is its bytes.
    let content = cards.run(&["inspect", path, "root:/odd/größe"]);
    assert_eq!(content.stdout, "\u{1b}[31mred\n");
}

#[test]
fn directories_in_circles_end() {
    let cards = cards();
    let copy = cards.copy(&cards.node("node3"));
    copy.debugfs(
        cards,
        "mkdir /loop\nmkdir /loop/a\nmkdir /loop/b\n\
         link /loop /loop/a/up\nlink /loop /loop/b/up\n",
    );
    let path = copy.path.to_str().unwrap();
    let begin = Instant::now();
    let listing = cards.run(&["inspect", path, "root:/loop"]);
    assert_eq!(listing.code, Some(1), "{listing}");
    assert!(listing.stderr.contains("is in two places"), "{listing}");
    let diff = cards.run(&["diff", "base.img", path]);
    assert_eq!(diff.code, Some(1), "{diff}");
    assert!(diff.stdout.contains("+ root:/loop/b"), "{diff}");
    let verify = cards.verify(&copy.path);
    assert_eq!(verify.code, Some(3), "{verify}");
    // The reader that goes by paths has no other way to know.
    copy.debugfs(cards, "feature needs_recovery\n");
    let listing = cards.run(&["inspect", path, "root:/loop"]);
    assert_eq!(listing.code, Some(1), "{listing}");
    assert!(begin.elapsed() < Duration::from_secs(240));
}

#[test]
fn deep_trees_and_huge_files_are_shown() {
    let cards = cards();
    let copy = cards.copy(&cards.node("node3"));
    edit(&copy, |fs| {
        let meta = meta(0o755, 0, 0, NOW);
        let mut path = String::new();
        for _ in 0..500 {
            path.push_str("/d");
            fs.mkdir(&path, meta).unwrap();
        }
        fs.write("/huge", &b"x".to_vec(), meta).unwrap();
    });
    copy.debugfs(cards, "sif /huge size 0x100000000000\n");
    let path = copy.path.to_str().unwrap();
    let listing = cards.run(&["inspect", path, "root:/d"]);
    assert_eq!(listing.code, Some(0), "{listing}");
    assert_eq!(listing.stdout.lines().count(), 499);
    let huge = cards.run(&["inspect", path, "root:/huge"]);
    assert_eq!(huge.code, Some(1), "{huge}");
    assert!(huge.stderr.contains("more than the file system has"), "{huge}");
    let diff = cards.run(&["diff", "base.img", path, "--brief"]);
    assert_eq!(diff.code, Some(3), "{diff}");
    assert!(diff.stdout.contains("+ root:/huge"), "{diff}");
}

/// Looks at everything that there is; errors are fine.
fn look(bytes: Vec<u8>, other: &DiskImage) {
    let device: Arc<dyn ReadAt> = Arc::new(Memory::new(bytes));
    let path = Path::new("random");
    let Ok(image) = DiskImage::new(path, Form::Raw, device) else { return };
    let _ = image.facts();
    for partition in &image.table.partitions {
        let number = partition.number;
        let _ = image.summary(number);
        let _ = image.unused(number);
        let Some(Ok(tree)) = image.tree(number) else { continue };
        let Ok(root) = tree.root() else { continue };
        for node in Walk::new(&*tree, root).take(5000).flatten() {
            let _ = tree.target(&node);
            if let Ok(file) = tree.open(&node) {
                let _ = io::copy(&mut file.take(4 << 20), &mut io::sink());
            }
        }
        if let Some(Ok(other)) = other.tree(number) {
            let _ = compare(&*other, &*tree, &mut |_| Ok::<_, ()>(()));
        }
    }
}

#[test]
fn random_damage_is_no_panic_and_no_loop() {
    let cards = cards();
    let sound = fs::read(cards.node("node3")).unwrap();
    let device: Arc<dyn ReadAt> = Arc::new(Memory::new(sound.clone()));
    let sound_image =
        DiskImage::new(Path::new("sound"), Form::Raw, device).unwrap();
    let (boot, root) = cards.case.offsets();
    let mut random = 0x2545_F491_4F6C_DD1Du64;
    let mut next = |bound: u64| {
        random ^= random << 13;
        random ^= random >> 7;
        random ^= random << 17;
        (random >> 11) % bound
    };
    for round in 0..24 {
        let mut bytes = sound.clone();
        let places = 1 + next(40);
        for _ in 0..places {
            let at = match next(4) {
                0 => boot + next(512),
                1 => boot + next(2 << 20),
                2 => root + 1024 + next(1024),
                _ => root + next(8 << 20),
            };
            // What is zero mostly means nothing.
            let at = (at..at + 65_536)
                .find(|at| bytes[*at as usize] != 0)
                .unwrap_or(at);
            bytes[at as usize] = next(256) as u8;
        }
        let begin = Instant::now();
        let run = AssertUnwindSafe(|| look(bytes, &sound_image));
        assert!(catch_unwind(run).is_ok(), "round {round}");
        let took = begin.elapsed();
        assert!(took < Duration::from_secs(60), "round {round}: {took:?}");
    }
}
