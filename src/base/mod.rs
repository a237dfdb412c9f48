//! Base images: the one that is embedded, and what any image is.

pub mod demo;
pub mod facts;
pub mod image;
pub mod lock;
pub mod probe;
