/// Returns text of unknown origin so that a terminal shows it, and does
/// nothing else: control characters, marks that turn the direction of
/// writing, bytes that are not UTF-8, and `\` itself are escaped.
#[must_use]
pub fn escape(bytes: &[u8]) -> String {
    escape_but(bytes, &['\\'], &[])
}

/// The same for the content of a file: line feeds and tabs stay, and `\`
/// does, as people know what is in a text.
#[must_use]
pub fn escape_text(bytes: &[u8]) -> String {
    escape_but(bytes, &[], &['\n', '\t'])
}

fn escape_but(bytes: &[u8], also: &[char], not: &[char]) -> String {
    let mut shown = String::new();
    for chunk in bytes.utf8_chunks() {
        for c in chunk.valid().chars() {
            let harmful = c.is_control() || is_invisible(c);
            if (harmful && !not.contains(&c)) || also.contains(&c) {
                shown.extend(c.escape_default());
            } else {
                shown.push(c);
            }
        }
        for byte in chunk.invalid() {
            shown.push_str(&format!("\\x{byte:02x}"));
        }
    }
    shown
}

/// Line separators, direction marks, and the byte order mark.
fn is_invisible(c: char) -> bool {
    matches!(
        c,
        '\u{200b}'..='\u{200f}'
            | '\u{2028}'..='\u{202e}'
            | '\u{2066}'..='\u{2069}'
            | '\u{feff}'
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_reaches_the_terminal_but_text() {
        assert_eq!(escape(b"/etc/hosts"), "/etc/hosts");
        assert_eq!(escape("größe".as_bytes()), "größe");
        assert_eq!(escape(b"a\nb\x1b[31m\\"), r"a\nb\u{1b}[31m\\");
        assert_eq!(escape(b"\xff\xfeA\xc3"), r"\xff\xfeA\xc3");
        assert_eq!(escape("a\u{202e}b\u{9b}".as_bytes()), r"a\u{202e}b\u{9b}");
        assert_eq!(escape_text(b"a\tb\\\n\r\x07"), "a\tb\\\n\\r\\u{7}");
    }
}
