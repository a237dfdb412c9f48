//! Filters that write a text as the formats of network programs have it, so
//! that no name or key of a network can break out of its place.

use std::fmt::Write;

/// Writes bytes as hexadecimal digits: wpa_supplicant.conf(5)'s form of a
/// name without quotes.
pub(super) fn hex(text: &str) -> String {
    text.bytes().fold(String::new(), |mut hex, byte| {
        // Writing to a String cannot fail.
        let _ = write!(hex, "{byte:02x}");
        hex
    })
}

/// Writes bytes as NetworkManager's list of numbers, `104;105;`: the form of
/// a network's name that holds any byte (nm-settings-keyfile(5)).
pub(super) fn octets(text: &str) -> String {
    text.bytes().fold(String::new(), |mut list, byte| {
        let _ = write!(list, "{byte};");
        list
    })
}

/// Escapes a text as a value of GLib's key files: backslashes, and the
/// spaces and control characters that a reader would drop or take for the
/// line's end.
pub(super) fn keyfile(text: &str) -> String {
    let first = text.len().saturating_sub(text.trim_start_matches(' ').len());
    let last = text.trim_end_matches(' ').len();
    let mut value = String::new();
    for (at, c) in text.char_indices() {
        match c {
            ' ' if at < first || at >= last => value.push_str("\\s"),
            '\\' => value.push_str("\\\\"),
            '\n' => value.push_str("\\n"),
            '\r' => value.push_str("\\r"),
            '\t' => value.push_str("\\t"),
            c => value.push(c),
        }
    }
    value
}

/// Writes a text in YAML's double quotes.
pub(super) fn yaml(text: &str) -> String {
    let mut quoted = String::from("\"");
    for c in text.chars() {
        match c {
            '"' | '\\' => quoted.extend(['\\', c]),
            // Of those that YAML does not allow as they are, all that the
            // inventory lets through.
            c if c.is_control() || matches!(c, '\u{2028}' | '\u{2029}') => {
                let _ = write!(quoted, "\\u{:04x}", u32::from(c));
            }
            c => quoted.push(c),
        }
    }
    quoted.push('"');
    quoted
}

#[cfg(test)]
mod tests {
    use super::{hex, keyfile, octets, yaml};

    #[test]
    fn names_become_bytes() {
        assert_eq!(hex("a\u{e9}\""), "61c3a922");
        assert_eq!(octets("1;\u{e9}"), "49;59;195;169;");
    }

    #[test]
    fn values_stay_in_their_place() {
        for (text, value) in [
            ("plain # ; = [x]", "plain # ; = [x]"),
            ("  two  ", "\\s\\stwo\\s\\s"),
            ("   ", "\\s\\s\\s"),
            ("a\\b\n", "a\\\\b\\n"),
        ] {
            assert_eq!(keyfile(text), value, "{text:?}");
        }
    }

    #[test]
    fn yaml_reads_back_what_was_quoted() {
        let hostile = " \"a\\b\": {x} #c\u{85}\u{7f}\u{2028}\u{e9} ";
        let read: String = serde_saphyr::from_str(&yaml(hostile)).unwrap();
        assert_eq!(read, hostile);
    }
}
