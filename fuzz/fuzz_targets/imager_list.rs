#![no_main]

piflash_fuzz::target!("imager_list");
