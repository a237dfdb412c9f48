//! .xz files as rows of blocks that are compressed one by one.
//!
//! ```text
//! file ──> XzIndex: where each block is ──> XzImage: reads at any place
//!                                      └──> sink::xz: copies and encodes
//! ```
//!
//! Files come from outside: every number in them is checked before it is
//! used, and every block when it is decoded. liblzma does the compression;
//! header, index and footer of a stream are read and written here, because
//! it gives no way to a single block.

mod block;
mod container;
mod error;
mod index;
mod reader;
mod vli;

pub use block::{EncodedBlock, Encoder};
pub use container::{Check, index_and_footer, stream_header};
pub use error::{XzError, XzErrorKind};
use index::MAX_BLOCKS;
pub use index::{XzBlock, XzIndex};
pub use reader::{XzImage, XzLimits};
