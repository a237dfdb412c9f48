//! Cards written by their maps, by bmaptool's own code.

use super::oracle::{Complaint, run};
use std::path::Path;

/// Copies an image, compressed or not, over what is on a card, and verifies
/// it. The program itself empties a file before it copies, which a card is
/// not, so its library is called: that of Debian, for Debian's Python.
pub fn copy_onto(
    image: &Path,
    map: &Path,
    card: &Path,
) -> Result<(), Complaint> {
    let program = "
import sys
from bmaptools import BmapCopy, TransRead
image = TransRead.TransRead(sys.argv[1])
with open(sys.argv[2], 'r+') as bmap, open(sys.argv[3], 'rb+') as card:
    copy = BmapCopy.BmapCopy(image, card, bmap, image.size)
    copy.copy(False, True)
";
    let [image, map, card] = [image, map, card].map(|p| p.to_str().unwrap());
    let args = ["-c", program, image, map, card];
    run("/usr/bin/python3", &args).map(drop)
}
