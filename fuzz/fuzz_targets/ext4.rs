#![no_main]

piflash_fuzz::target!("ext4");
