#![no_main]

piflash_fuzz::target!("sha256sums");
