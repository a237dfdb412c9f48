//! Base images: the one that is embedded, and what any image is.

pub mod cache;
pub mod demo;
pub mod digest;
pub mod facts;
pub mod fetch;
pub mod image;
pub mod lock;
pub mod probe;
pub mod unpack;
