//! The FAT editor, judged by fsck.vfat (dosfstools) and mtools.

mod edits;
mod support;
mod untrusted;
