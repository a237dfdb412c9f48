//! `/etc/hosts`: the node's own name.

/// Debian's address for a host's own name (hosts(5), Debian Reference 5.1.1).
const OWN: &str = "127.0.1.1";

/// Returns the text of `/etc/hosts` with `name` on the line of 127.0.1.1,
/// every other line as it was.
pub(super) fn with_own_name(text: &str, name: &str) -> String {
    let own = format!("{OWN}\t{name}");
    let mut lines: Vec<&str> = Vec::new();
    let mut placed = false;
    for line in text.lines() {
        if line.split_whitespace().next() == Some(OWN) {
            if !placed {
                lines.push(&own);
                placed = true;
            }
        } else {
            lines.push(line);
        }
    }
    if !placed {
        let after = lines.iter().position(|line| {
            line.split_whitespace().next() == Some("127.0.0.1")
        });
        match after {
            Some(at) => lines.insert(at.saturating_add(1), &own),
            None => {
                lines.insert(0, &own);
                lines.insert(0, "127.0.0.1\tlocalhost");
            }
        }
    }
    let mut text = lines.join("\n");
    text.push('\n');
    text
}

#[cfg(test)]
mod tests {
    use super::with_own_name;

    #[test]
    fn replaces_the_stock_name() {
        let stock = "127.0.0.1\tlocalhost\n::1\t\tlocalhost\n\n\
                     127.0.1.1\traspberrypi\n";
        let text = with_own_name(stock, "node3");
        assert_eq!(text, stock.replace("raspberrypi", "node3"));
        assert_eq!(with_own_name(&text, "node3"), text);
    }

    #[test]
    fn adds_the_line_where_there_is_none() {
        assert_eq!(
            with_own_name("127.0.0.1 localhost\nff02::1 all\n", "n"),
            "127.0.0.1 localhost\n127.0.1.1\tn\nff02::1 all\n"
        );
        assert_eq!(
            with_own_name("", "n"),
            "127.0.0.1\tlocalhost\n127.0.1.1\tn\n"
        );
    }
}
