//! `cmdline.txt`: the words the firmware hands to the kernel.
//!
//! Only the first line counts (the firmware reads no further); words are
//! separated by spaces, and a value in `"..."` may hold spaces. Everything
//! that is not edited stays as it is, byte for byte.

use std::ops::Range;

/// Appends `word` to the command line, unless it is there already.
///
/// The result keeps the file's line end; what is on later lines stays there.
#[must_use]
pub fn append(text: &str, word: &str) -> String {
    let line = first_line(text);
    let current = text.get(line.clone()).unwrap_or_default();
    if words(current).any(|range| current.get(range) == Some(word)) {
        return text.to_owned();
    }
    with_line(text, line, &joined(current, word))
}

/// Sets `key=value`: the first word with this key takes the value, others
/// with it go away; without one, it is appended.
///
/// For a key that may stand once only: `console=` is not of that kind.
#[must_use]
pub fn set(text: &str, key: &str, value: &str) -> String {
    let line = first_line(text);
    let current = text.get(line.clone()).unwrap_or_default();
    let word = format!("{key}={value}");
    let has_key = |range: &Range<usize>| {
        current
            .get(range.clone())
            .and_then(|word| word.strip_prefix(key))
            .is_some_and(|rest| rest.starts_with('='))
    };
    let found: Vec<_> = words(current).filter(has_key).collect();
    let Some((first, others)) = found.split_first() else {
        return with_line(text, line, &joined(current, &word));
    };
    let mut edited = current.to_owned();
    for other in others.iter().rev() {
        // With the spaces before it.
        let before = current.get(..other.start).unwrap_or_default();
        let start = before.trim_end_matches([' ', '\t']).len();
        edited.replace_range(start..other.end, "");
    }
    edited.replace_range(first.clone(), &word);
    with_line(text, line, &edited)
}

/// Removes every occurrence of `word`, with the spaces before it.
#[must_use]
pub fn remove(text: &str, word: &str) -> String {
    let line = first_line(text);
    let current = text.get(line.clone()).unwrap_or_default();
    let mut edited = current.to_owned();
    let found: Vec<_> = words(current)
        .filter(|range| current.get(range.clone()) == Some(word))
        .collect();
    for range in found.iter().rev() {
        let before = edited.get(..range.start).unwrap_or_default();
        let start = before.trim_end_matches([' ', '\t']).len();
        let mut end = range.end;
        if start == 0 {
            let after = edited.get(end..).unwrap_or_default();
            let rest = after.trim_start_matches([' ', '\t']);
            end = edited
                .len()
                .checked_sub(rest.len())
                .expect("parts of one text");
        }
        edited.replace_range(start..end, "");
    }
    with_line(text, line, &edited)
}

/// Returns the words of the command line.
pub fn words_of(text: &str) -> Vec<&str> {
    let line = text.get(first_line(text)).unwrap_or_default();
    words(line).filter_map(|range| line.get(range)).collect()
}

/// Returns where the first line is that is not blank, without its line end;
/// blank lines in front of it are no command line to anyone, so the first of
/// all lines is taken where all are blank.
fn first_line(text: &str) -> Range<usize> {
    let mut start = 0usize;
    for line in text.split_inclusive('\n') {
        let content = line.trim_end_matches(['\n', '\r']);
        if !content.trim().is_empty() {
            return start
                ..start.checked_add(content.len()).expect("parts of one text");
        }
        start = start.checked_add(line.len()).expect("parts of one text");
    }
    0..0
}

/// Puts the edited line back, in front: blank lines before it are dropped,
/// as the firmware would take them for the command line.
fn with_line(text: &str, line: Range<usize>, edited: &str) -> String {
    let after = text.get(line.end..).unwrap_or_default();
    format!("{edited}{after}")
}

fn joined(line: &str, word: &str) -> String {
    let line = line.trim_end_matches([' ', '\t']);
    if line.is_empty() {
        return word.to_owned();
    }
    format!("{line} {word}")
}

/// Returns the words of a line; quotes hold one together, as the kernel's
/// `next_arg` (lib/cmdline.c) has it.
fn words(line: &str) -> impl Iterator<Item = Range<usize>> {
    let mut found = Vec::new();
    let mut start = None;
    let mut quoted = false;
    for (at, c) in line.char_indices() {
        match c {
            ' ' | '\t' if !quoted => {
                if let Some(start) = start.take() {
                    found.push(start..at);
                }
                continue;
            }
            '"' => quoted = !quoted,
            _ => {}
        }
        start.get_or_insert(at);
    }
    if let Some(start) = start {
        found.push(start..line.len());
    }
    found.into_iter()
}

#[cfg(test)]
mod tests {
    use super::*;

    const PI: &str = "console=serial0,115200 console=tty1 root=PARTUUID=1-02 \
                      rootfstype=ext4 fsck.repair=yes rootwait resize\n";

    #[test]
    fn appends_once() {
        let once = append(PI, "cgroup_memory=1");
        assert_eq!(once, PI.replace("resize\n", "resize cgroup_memory=1\n"));
        assert_eq!(append(&once, "cgroup_memory=1"), once);
        assert_eq!(append(PI, "console=tty1"), PI);
        // A part of a word is not the word.
        assert!(append(PI, "console").ends_with("resize console\n"));
        for (before, after) in [
            ("", "x"),
            ("\n", "x\n"),
            ("a", "a x"),
            ("a\n", "a x\n"),
            ("a\r\n", "a x\r\n"),
            ("a \n", "a x\n"),
            ("a  b\n", "a  b x\n"),
            ("\n\na\n", "a x\n"),
            ("a\nx\n", "a x\nx\n"),
            ("a b=\"c x\"\n", "a b=\"c x\" x\n"),
            ("a x\n", "a x\n"),
            ("x a\n", "x a\n"),
            ("  a\n", "  a x\n"),
        ] {
            assert_eq!(append(before, "x"), after, "{before:?}");
            assert_eq!(append(after, "x"), after, "{after:?}");
        }
    }

    #[test]
    fn sets_a_key() {
        for (before, after) in [
            ("", "k=v"),
            ("a k=1 b\n", "a k=v b\n"),
            ("a k=1 b k=2\n", "a k=v b\n"),
            ("k=1  k=2 k=3 b\r\n", "k=v b\r\n"),
            ("a kk=1\n", "a kk=1 k=v\n"),
            ("a k\n", "a k k=v\n"),
            ("a k=\"1 2\" b\n", "a k=v b\n"),
            ("a x=\"k=1\"\n", "a x=\"k=1\" k=v\n"),
            ("a\nk=1\n", "a k=v\nk=1\n"),
        ] {
            assert_eq!(set(before, "k", "v"), after, "{before:?}");
            assert_eq!(set(after, "k", "v"), after, "{after:?}");
        }
    }

    #[test]
    fn removes_a_word() {
        for (before, after) in [
            ("a x b\n", "a b\n"),
            ("x a\n", "a\n"),
            ("a x\n", "a\n"),
            ("x\n", "\n"),
            ("x x a x\n", "a\n"),
            ("a xx\n", "a xx\n"),
            ("a b=\"x x\"\n", "a b=\"x x\"\n"),
        ] {
            assert_eq!(remove(before, "x"), after, "{before:?}");
        }
        assert_eq!(words_of("\r\n a  b=\"c d\"\r\ne"), ["a", "b=\"c d\""]);
    }
}
