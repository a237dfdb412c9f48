use crate::base::signature::Verification;

/// What the cache has of an image.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cached {
    /// What it takes on the disk, in bytes.
    pub bytes: u64,
    /// When it was fetched, in seconds since the epoch.
    pub fetched: i64,
    /// What has been proven of it.
    pub verification: Verification,
}
