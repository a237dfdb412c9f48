//! Overlay, windows, extents and partition tables.

mod overlay;
mod table;
