/// Returns a number of bytes for people, in binary units: `70.0 MiB`.
#[must_use]
pub fn bytes(count: u64) -> String {
    indicatif::BinaryBytes(count).to_string()
}
