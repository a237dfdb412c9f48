//! Base images: the one that is embedded, which others there are, how they
//! get here, and what any image is.

pub mod artefact;
pub mod cache;
pub mod catalog;
pub mod date;
pub mod demo;
pub mod digest;
pub mod disk_image;
mod elf;
pub mod facts;
pub mod fetch;
mod file_error;
pub mod image;
pub mod lock;
pub mod probe;
pub mod signature;
pub mod unpack;
pub mod whole;

pub use file_error::FileError;
