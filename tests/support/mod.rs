//! What several tests need.

pub mod ext4;
