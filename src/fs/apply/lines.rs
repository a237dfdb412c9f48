//! Lines added to text files.

/// Adds whole lines at the end, unless they are there one after another.
pub(super) fn append(old: &str, text: &str) -> String {
    let newline = |text: &str| match text {
        "" => "",
        text if text.ends_with('\n') => "",
        _ => "\n",
    };
    let lines = format!("{text}{}", newline(text));
    let new = format!("{old}{}", newline(old));
    // `#a` and `ab` are not the line `a`.
    if new.starts_with(&lines) || new.contains(&format!("\n{lines}")) {
        return old.to_owned();
    }
    new + &lines
}

const BEGIN: &str = "# BEGIN piflash";
const END: &str = "# END piflash";

/// Puts whole lines between two marks at the end, and takes away what an
/// earlier build put between such marks.
pub(super) fn block(old: &str, text: &str) -> String {
    let mut new = String::new();
    let mut ours = false;
    // Without its end, what follows a beginning may be the owner's.
    let closed = old.lines().any(|line| line == END);
    for line in old.lines() {
        match line {
            BEGIN if closed => ours = true,
            END => ours = false,
            _ if ours => {}
            line => {
                new.push_str(line);
                new.push('\n');
            }
        }
    }
    let newline = if text.ends_with('\n') { "" } else { "\n" };
    format!("{new}{BEGIN}\n{text}{newline}{END}\n")
}

#[cfg(test)]
mod tests {
    use super::{append, block};

    #[test]
    fn appends_whole_lines_once() {
        for (old, text, new) in [
            ("", "a\n", "a\n"),
            ("x", "a\n", "x\na\n"),
            ("x\n", "a", "x\na\n"),
            ("#a\n", "a\n", "#a\na\n"),
            ("ab\n", "a", "ab\na\n"),
            ("x\nab", "a", "x\nab\na\n"),
            ("x\n", "\na\nb\n", "x\n\na\nb\n"),
            ("a\nc\nb\n", "a\nb\n", "a\nc\nb\na\nb\n"),
        ] {
            assert_eq!(append(old, text), new, "{old:?} + {text:?}");
            assert_eq!(append(new, text), new, "again: {old:?} + {text:?}");
        }
        // What is there stays as it is, without its last newline too.
        for old in ["a", "a\n", "x\na", "a\nx\n"] {
            assert_eq!(append(old, "a\n"), old);
        }
    }

    #[test]
    fn a_block_is_replaced_by_the_next() {
        let once = block("a\nb", "x\n");
        assert_eq!(once, "a\nb\n# BEGIN piflash\nx\n# END piflash\n");
        assert_eq!(block(&once, "x\n"), once);
        let edited = format!("{once}c\n");
        assert_eq!(
            block(&edited, "y"),
            "a\nb\nc\n# BEGIN piflash\ny\n# END piflash\n"
        );
        // Nothing of the owner's is lost for want of a mark.
        let open = "# BEGIN piflash\nx\nmine\n";
        assert!(block(open, "y").starts_with(open));
    }
}
