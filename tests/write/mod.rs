//! `piflash write`, on loop devices. They are files that look like disks, so
//! `--allow-fixed` is given. All but the first few need root.

mod card;
mod cut_short;
mod image;
pub(crate) mod loops;
mod privileges;
mod refused;
