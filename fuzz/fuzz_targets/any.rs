//! All targets in one program, which takes a tenth of the time to link:
//! PIFLASH_FUZZ names the one that is run.

#![no_main]

use std::sync::LazyLock;

static NAME: LazyLock<String> = LazyLock::new(|| {
    std::env::var("PIFLASH_FUZZ").expect("PIFLASH_FUZZ names a target")
});

piflash_fuzz::target!(&NAME);
