//! Overlay, windows, extents, partition tables and .xz files.

mod overlay;
mod table;
mod xz;
