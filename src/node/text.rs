//! Texts of others, made fit for a terminal, a table and a log.

/// Returns a text on one line, of at most `most` characters, without
/// anything that a terminal would obey: escape sequences (ECMA-48), control
/// characters, and those that turn the direction of writing.
#[must_use]
pub fn clean(text: &str, most: usize) -> String {
    let mut shown = String::new();
    let mut count = 0_usize;
    let mut blank = false;
    for c in printable(text) {
        if c.is_whitespace() {
            blank = count > 0;
            continue;
        }
        let more = if blank { 2 } else { 1 };
        if count.saturating_add(more) > most {
            shown.pop();
            shown.push('…');
            return shown;
        }
        if blank {
            shown.push(' ');
            blank = false;
        }
        shown.push(c);
        count = count.saturating_add(more);
    }
    shown
}

/// Returns the last lines that say something, each as by [`clean`], at most
/// `most` of them.
#[must_use]
pub fn last_lines(text: &str, most: usize) -> Vec<String> {
    let lines = text.lines().map(|line| clean(line, 300));
    let lines: Vec<String> = lines.filter(|line| !line.is_empty()).collect();
    let first = lines.len().saturating_sub(most);
    lines.into_iter().skip(first).collect()
}

/// The characters that are left without escape sequences; every control
/// character is a blank.
fn printable(text: &str) -> impl Iterator<Item = char> {
    let mut chars = text.chars().peekable();
    std::iter::from_fn(move || {
        loop {
            let c = chars.next()?;
            match c {
                '\x1b' => match chars.next()? {
                    '[' => skip_control(&mut chars),
                    ']' | 'P' | 'X' | '^' | '_' => skip_string(&mut chars),
                    // With one more character, or alone.
                    ' '..='/' => drop(chars.next()),
                    _ => {}
                },
                '\u{9b}' => skip_control(&mut chars),
                '\u{90}' | '\u{98}' | '\u{9d}'..='\u{9f}' => {
                    skip_string(&mut chars);
                }
                c if c.is_control() => return Some(' '),
                // Invisible, or of the direction of writing.
                '\u{ad}'
                | '\u{61c}'
                | '\u{180e}'
                | '\u{200b}'..='\u{200f}'
                | '\u{2028}'..='\u{202e}'
                | '\u{2060}'..='\u{206f}'
                | '\u{feff}'
                | '\u{fff9}'..='\u{fffb}'
                | '\u{e0000}'..='\u{e007f}' => {}
                c => return Some(c),
            }
        }
    })
}

type Chars<'a> = std::iter::Peekable<std::str::Chars<'a>>;

/// Up to the byte that ends a control sequence.
fn skip_control(chars: &mut Chars<'_>) {
    while chars.next_if(|c| matches!(c, ' '..='?')).is_some() {}
    let _ = chars.next_if(|c| matches!(c, '@'..='~'));
}

/// Up to BEL or ST; of a line, as a text without an end would hide the rest.
fn skip_string(chars: &mut Chars<'_>) {
    while let Some(c) = chars.next_if(|c| *c != '\n') {
        let backslash = c == '\x1b' && chars.next_if_eq(&'\\').is_some();
        if matches!(c, '\x07' | '\u{9c}') || backslash {
            return;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_is_left_for_a_terminal_to_obey() {
        for (text, shown) in [
            ("plain text", "plain text"),
            ("a\tb\r\nc", "a b c"),
            ("\x1b[2J\x1b[1;31mred\x1b[0m", "red"),
            ("\x1b]0;title\x07after", "after"),
            ("\x1b]8;;http://x\x1b\\link\x1b]8;;\x1b\\", "link"),
            ("\x1b]0;no end", ""),
            ("\x1b]0;no end\nnext", "next"),
            ("\u{9b}2Jx\u{9d}0;t\u{9c}y", "xy"),
            ("\x1bcreset \x1b(Bset", "reset set"),
            ("a\u{202e}b\u{200b}c", "abc"),
            ("\x1b", ""),
            ("bell\x07 and\x00nul", "bell and nul"),
        ] {
            assert_eq!(clean(text, 100), shown, "{text:?}");
        }
    }

    #[test]
    fn long_texts_are_cut() {
        assert_eq!(clean("abcdef", 6), "abcdef");
        assert_eq!(clean("abcdefg", 6), "abcde…");
        assert_eq!(clean("größer", 3), "gr…");
        let lines = "a\n\nb\x1b[K\n \nc\n";
        assert_eq!(last_lines(lines, 2), ["b", "c"]);
        assert_eq!(last_lines("", 2), [""; 0]);
    }

    proptest::proptest! {
        #[test]
        fn no_control_character_is_left(text in ".{0,60}", tail in "\\PC{0,9}") {
            let text = format!("{text}\x1b{tail}\u{9b}{text}");
            let shown = clean(&text, 50);
            proptest::prop_assert!(!shown.contains(char::is_control));
            proptest::prop_assert!(shown.chars().count() <= 50);
        }
    }
}
