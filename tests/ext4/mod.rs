//! The ext4 editor, judged by tools we did not write.

mod edits;
mod random;
mod refusals;
mod scenario;
mod space;
