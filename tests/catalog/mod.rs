//! Which base images there are, and whose they are.

mod embedded;
mod lists;
mod merge;
