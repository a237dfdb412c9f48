//! The ext4 editor, judged by tools we did not write.

mod random;
mod scenario;
