//! FAT volumes.

use std::sync::Arc;

use piflash::fs::{Editor, Fat, summary, tree};

use crate::{
    judge::{ask, is_asked},
    sparse::Sparse,
    volume,
};

const JUDGE: [&str; 2] = ["fsck.vfat", "-n"];

pub(crate) fn run(data: &[u8]) {
    let Some((disk, word)) = Sparse::parse(data) else { return };
    let disk = Arc::new(disk);
    let _ = summary::fat(&*disk);
    let view = volume::of(&disk);
    let Ok(tree) = tree::fat(&view) else { return };
    let seen = volume::walk(&*tree);
    drop(tree);
    if let Ok(ranges) = tree::unused_fat(&view) {
        volume::check_ranges(&disk, &ranges);
    }
    let Ok(mut fat) = Fat::open(disk.clone(), 1_750_216_028) else { return };
    if let Ok(ranges) = fat.free_ranges() {
        volume::check_ranges(&disk, &ranges);
    }
    if let Ok(ranges) = fat.hot_ranges() {
        volume::check_ranges(&disk, &ranges);
    }
    let judged = is_asked(data) && ask(&disk, &JUDGE).is_ok();
    let edited = volume::edit(&mut fat, &seen, word);
    if edited.is_err() || fat.commit().is_err() {
        return;
    }
    drop(fat);
    let view = volume::of(&disk);
    let after = volume::walk(&*tree::fat(&view).expect("it was read before"));
    assert!(after.whole || !seen.whole, "edits have damaged it");
    if judged && let Err(said) = ask(&disk, &JUDGE) {
        panic!("it was in order before the edits {word:#x}:\n{said}");
    }
}
