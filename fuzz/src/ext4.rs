//! ext4 file systems.

use std::sync::Arc;

use piflash::fs::{
    Editor, Ext4Reader, Reader,
    ext4::{EditOptions, Ext4},
    ext4_view::Ext4View,
    summary, tree,
};

use crate::{
    ext4_seal::seal,
    judge::{ask, is_asked},
    sparse::Sparse,
    volume,
};

const JUDGE: [&str; 2] = ["e2fsck", "-fn"];
const OPTIONS: EditOptions = EditOptions { now: 1_790_000_000, seed: 7 };

pub(crate) fn run(data: &[u8]) {
    let Some((disk, word)) = Sparse::parse(data) else { return };
    if word & 1 == 0 {
        seal(&disk);
    }
    let disk = Arc::new(disk);
    let _ = summary::ext4(&*disk);
    let view = volume::of(&disk);
    let Ok(tree) = tree::ext4(&view) else { return };
    let seen = volume::walk(&*tree);
    drop(tree);
    if let Ok(reader) = Ext4Reader::open(view.clone()) {
        for path in seen.files.iter().chain(&seen.others).take(20) {
            let _ = reader.stat(path);
            let _ = reader.read_link(path);
        }
    }
    if word & 2 != 0
        && let Ok(tree) = Ext4View::open(Arc::new(view.clone()))
    {
        volume::walk(&tree);
    }
    if let Ok(ranges) = tree::unused_ext4(&view) {
        volume::check_ranges(&disk, &ranges);
    }
    let Ok(mut fs) = Ext4::open(&*disk, OPTIONS) else { return };
    if let Ok(ranges) = fs.free_ranges() {
        volume::check_ranges(&disk, &ranges);
    }
    if let Ok(ranges) = fs.hot_ranges(&["/", "/etc", "/var/lib"]) {
        volume::check_ranges(&disk, &ranges);
    }
    let judged = is_asked(data) && ask(&disk, &JUDGE).is_ok();
    let edited = volume::edit(&mut fs, &seen, word)
        .and_then(|()| volume::link(&mut fs, &seen, word));
    if edited.is_err() || fs.commit().is_err() {
        return;
    }
    drop(fs);
    Ext4::open(&*disk, OPTIONS).expect("it was opened before the edits");
    if judged && let Err(said) = ask(&disk, &JUDGE) {
        panic!("it was in order before the edits {word:#x}:\n{said}");
    }
}
