//! Host ranges: `node[1:3]`, `node[01:10:2]`, `rack[a:c]-[1:2]`.

/// Most names one pattern may stand for.
pub(super) const MAX_HOSTS: usize = 1024;

/// Expands a host pattern as Ansible does. Gives the names and the port of a
/// pattern like `node1:2222`; the error is a message.
pub(super) fn expand(
    pattern: &str,
) -> Result<(Vec<String>, Option<u16>), String> {
    let (pattern, port) = split_port(pattern)?;
    let mut names = vec![String::new()];
    let mut rest = pattern;
    while let Some((head, tail)) = rest.split_once('[') {
        let Some((range, tail)) = tail.split_once(']') else {
            return Err("a host range needs a closing `]`".into());
        };
        let parts = sequence(range)?;
        let total = names.len().saturating_mul(parts.len());
        if total > MAX_HOSTS {
            return Err(format!("a host range of more than {MAX_HOSTS} nodes"));
        }
        names = names
            .iter()
            .flat_map(|name| {
                parts.iter().map(move |part| format!("{name}{head}{part}"))
            })
            .collect();
        rest = tail;
    }
    for name in &mut names {
        name.push_str(rest);
    }
    Ok((names, port))
}

/// Cuts off `:2222`. Colons in brackets belong to a range.
fn split_port(pattern: &str) -> Result<(&str, Option<u16>), String> {
    let Some((name, port)) = pattern.rsplit_once(':') else {
        return Ok((pattern, None));
    };
    if port.contains(']') {
        return Ok((pattern, None));
    }
    // More than one colon outside of brackets: an IPv6 address, no port.
    if name.contains(':') && !name.contains('[') {
        return Ok((pattern, None));
    }
    let port = port
        .parse()
        .map_err(|_| "what follows the colon is not a port".to_owned())?;
    Ok((name, Some(port)))
}

fn sequence(range: &str) -> Result<Vec<String>, String> {
    let bounds: Vec<&str> = range.split(':').collect();
    let (begin, end, step) = match *bounds {
        [begin, end] => (begin, end, "1"),
        [begin, end, step] => (begin, end, step),
        _ => {
            return Err(
                "a host range is [begin:end] or [begin:end:step]".into()
            );
        }
    };
    let begin = if begin.is_empty() { "0" } else { begin };
    if end.is_empty() {
        return Err("a host range needs its end".into());
    }
    let step: usize = step
        .parse()
        .ok()
        .filter(|&step| step > 0)
        .ok_or("the step of a host range must be a number from 1")?;
    let backwards = "a host range must begin before it ends";
    if let (Some(first), Some(last)) = (letter(begin), letter(end)) {
        let letters: Vec<char> = ('a'..='z').chain('A'..='Z').collect();
        let position = |c| letters.iter().position(|&l| l == c);
        let (Some(first), Some(last)) = (position(first), position(last))
        else {
            return Err(backwards.into());
        };
        return letters
            .get(first..=last)
            .map(|run| run.iter().step_by(step).map(char::to_string).collect())
            .filter(|run: &Vec<String>| !run.is_empty())
            .ok_or_else(|| backwards.to_owned());
    }
    let width = if begin.len() > 1 && begin.starts_with('0') {
        if begin.len() != end.len() {
            return Err(
                "both ends of a host range with leading zeros need the \
                 same length"
                    .into(),
            );
        }
        begin.len()
    } else {
        0
    };
    // A host name has at most 253 characters.
    if width > 253 {
        return Err("a host range with too many leading zeros".into());
    }
    let number = |text: &str| {
        text.parse::<u32>()
            .map_err(|_| "a host range runs between numbers or letters")
    };
    let (first, last) = (number(begin)?, number(end)?);
    if first > last {
        return Err(backwards.into());
    }
    let names: Vec<String> = (first..=last)
        .step_by(step)
        .take(MAX_HOSTS.saturating_add(1))
        .map(|n| format!("{n:0width$}"))
        .collect();
    Ok(names)
}

fn letter(text: &str) -> Option<char> {
    let mut chars = text.chars();
    let first = chars.next()?;
    (chars.next().is_none() && first.is_ascii_alphabetic()).then_some(first)
}

#[cfg(test)]
mod tests {
    use super::expand;

    fn names(pattern: &str) -> Vec<String> {
        expand(pattern).map(|(names, _)| names).unwrap_or_default()
    }

    /// As `ansible-inventory --graph` (core 2.19) lists them.
    #[test]
    fn ranges_expand_as_in_ansible() {
        assert_eq!(names("node[1:3]"), ["node1", "node2", "node3"]);
        assert_eq!(names("n[08:10]"), ["n08", "n09", "n10"]);
        assert_eq!(names("step[0:10:5]"), ["step0", "step5", "step10"]);
        assert_eq!(names("r[a:b]-[:1]"), ["ra-0", "ra-1", "rb-0", "rb-1"]);
        assert_eq!(names("plain"), ["plain"]);
        assert_eq!(expand("p1:2222"), Ok((vec!["p1".to_owned()], Some(2222))));
    }

    #[test]
    fn bad_ranges_say_why() {
        for pattern in [
            "n[1:]",
            "n[3:1]",
            "n[1:2",
            "n[1]",
            "n[01:9]",
            "n[1:9:0]",
            "n[1:99999999]",
            "n[1:100]m[1:100]",
            "n[a:3]",
            "n:x",
        ] {
            assert!(expand(pattern).is_err(), "{pattern}");
        }
    }
}
