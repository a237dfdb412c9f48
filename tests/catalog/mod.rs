//! Which base images there are, and whose they are.

mod embedded;
mod keys;
mod lists;
mod merge;
mod signature;
