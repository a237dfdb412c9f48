#![no_main]

piflash_fuzz::target!("signature");
