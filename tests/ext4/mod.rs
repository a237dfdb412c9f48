//! The ext4 editor, judged by tools we did not write.

mod attributes;
mod edits;
mod htree;
mod kernel;
mod random;
mod readers;
mod refusals;
mod robust;
mod scenario;
mod space;
mod wiped;
