//! Filters that write a value as the formats of others have it, so that no
//! name or key can break out of its place.

use std::fmt::Write;

use minijinja::{Error, ErrorKind, Value};
use pbkdf2::pbkdf2_hmac;
use sha1::Sha1;

/// Rounds and bytes of a key of WPA2 (IEEE 802.11, J.4.1).
const ROUNDS: u32 = 4096;
const KEY: usize = 32;

/// Writes bytes as hexadecimal digits: wpa_supplicant.conf(5)'s form of a
/// name without quotes.
pub(super) fn hex(text: &str) -> String {
    digits(text.as_bytes())
}

fn digits(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut hex, byte| {
        // Writing to a String cannot fail.
        let _ = write!(hex, "{byte:02x}");
        hex
    })
}

/// Turns a passphrase into the key of the network `ssid`, 64 hexadecimal
/// digits, as wpa_passphrase(8) does; what is a key already stays. For files
/// whose quoting cannot be trusted: wpa_supplicant takes a `#` behind a `"`
/// for a comment, even within a passphrase.
pub(super) fn psk(text: &str, ssid: &str) -> String {
    if text.len() == 64 {
        return text.to_owned();
    }
    let mut key = [0; KEY];
    pbkdf2_hmac::<Sha1>(text.as_bytes(), ssid.as_bytes(), ROUNDS, &mut key);
    digits(&key)
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

/// Writes a value as YAML in block style, with a line feed at the end. Every
/// text is in quotes: readers of YAML 1.1 take `yes` and `0x1` for others.
pub(super) fn to_yaml(value: &Value) -> Result<String, Error> {
    if value.is_undefined() {
        return Err(Error::from(ErrorKind::UndefinedError));
    }
    let options = serde_saphyr::ser_options! { quote_all: true };
    serde_saphyr::to_string_with_options(value, options).map_err(|error| {
        Error::new(ErrorKind::BadSerialization, "as YAML").with_source(error)
    })
}

#[cfg(test)]
mod tests {
    use super::{hex, keyfile, octets, psk, yaml};

    #[test]
    fn names_become_bytes() {
        assert_eq!(hex("a\u{e9}\""), "61c3a922");
        assert_eq!(octets("1;\u{e9}"), "49;59;195;169;");
    }

    // IEEE 802.11, J.4.2.
    #[test]
    fn keys_are_those_of_the_standard() {
        assert_eq!(
            psk("password", "IEEE"),
            "f42c6fc52df0ebef9ebb4b90b38a5f90\
             2e83fe1b135a70e23aed762e9710a12e"
        );
        let key = "AB".repeat(32);
        assert_eq!(psk(&key, "IEEE"), key);
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
