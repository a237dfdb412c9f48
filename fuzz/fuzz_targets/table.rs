#![no_main]

piflash_fuzz::target!("table");
