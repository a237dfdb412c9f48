//! Base images: the one that is embedded, which others there are, and what
//! any image is.

pub mod catalog;
pub mod date;
pub mod demo;
pub mod facts;
pub mod image;
pub mod probe;
pub mod signature;
