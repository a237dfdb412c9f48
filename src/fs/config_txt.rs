//! `config.txt`: the firmware's settings.
//!
//! Lines `key=value` under filters as `[pi4]`; `[all]` ends a filter (the
//! documentation of config.txt, "Conditional filters"). Before the first
//! filter, `[all]` holds. Everything that is not edited stays as it is.

/// Lines that add to each other and do not replace one another.
const ADDITIVE: [&str; 4] = ["dtoverlay", "dtparam", "gpio", "initramfs"];

/// Sets `key=value` in the section `[section]` (usually `all`).
///
/// Where the key is set in such a section, the last such line takes the
/// value, since the last one wins. Otherwise a line is appended, under a
/// filter line of its own if the file ends in another section. Keys that may
/// stand several times (`dtparam`, `dtoverlay`, `gpio`, `initramfs`) get a
/// line unless just that one is there.
#[must_use]
pub fn set(text: &str, section: &str, key: &str, value: &str) -> String {
    let wanted = format!("{key}={value}");
    let mut lines: Vec<String> =
        text.split_inclusive('\n').map(str::to_owned).collect();
    let mut current = "all".to_owned();
    let mut target = None;
    for (index, line) in lines.iter().enumerate() {
        let line = line.trim();
        if let Some(filter) = filter(line) {
            current = filter.to_ascii_lowercase();
        } else if current.eq_ignore_ascii_case(section)
            && let Some((k, v)) = line.split_once('=')
            && k.trim() == key
        {
            let same = v.trim() == value;
            if ADDITIVE.contains(&key) {
                if same {
                    return text.to_owned();
                }
            } else {
                target = Some((index, same));
            }
        }
    }
    match target {
        Some((_, true)) => text.to_owned(),
        Some((index, false)) => {
            if let Some(line) = lines.get_mut(index) {
                let content = line.trim_end_matches(['\n', '\r']).len();
                line.replace_range(..content, &wanted);
            }
            lines.concat()
        }
        None => append(text, section, &current, &wanted),
    }
}

fn append(text: &str, section: &str, current: &str, line: &str) -> String {
    let end = if text.contains("\r\n") { "\r\n" } else { "\n" };
    let mut text = text.to_owned();
    if !text.is_empty() && !text.ends_with('\n') {
        text.push_str(end);
    }
    if !current.eq_ignore_ascii_case(section) {
        text.push_str(&format!("[{section}]{end}"));
    }
    text.push_str(line);
    text.push_str(end);
    text
}

fn filter(line: &str) -> Option<&str> {
    line.strip_prefix('[')?.split_once(']').map(|(name, _)| name.trim())
}

#[cfg(test)]
mod tests {
    use super::set;

    #[test]
    fn sets_a_key() {
        for (before, after) in [
            ("", "k=v\n"),
            ("# c", "# c\nk=v\n"),
            ("k=1\n", "k=v\n"),
            ("k=v\n", "k=v\n"),
            ("k=v", "k=v"),
            ("k=1", "k=v"),
            ("k=1\r\na=2\r\n", "k=v\r\na=2\r\n"),
            ("a=2\r\n", "a=2\r\nk=v\r\n"),
            ("#k=1\n", "#k=1\nk=v\n"),
            ("kk=1\n", "kk=1\nk=v\n"),
            ("k=1\nk=2\n", "k=1\nk=v\n"),
            ("[pi4]\nk=1\n", "[pi4]\nk=1\n[all]\nk=v\n"),
            ("[pi4]\nk=1\n[all]\n", "[pi4]\nk=1\n[all]\nk=v\n"),
            ("k=1\n[pi4]\nk=2\n", "k=v\n[pi4]\nk=2\n"),
            (
                "[pi4]\na=1\n[ALL]\nk=1\n[cm5]\n",
                "[pi4]\na=1\n[ALL]\nk=v\n[cm5]\n",
            ),
            ("  k = 1\n", "k=v\n"),
        ] {
            assert_eq!(set(before, "all", "k", "v"), after, "{before:?}");
            assert_eq!(set(after, "all", "k", "v"), after, "{after:?}");
        }
        assert_eq!(set("k=1\n", "pi4", "k", "v"), "k=1\n[pi4]\nk=v\n");
        assert_eq!(set("[pi4]\nk=1\n", "pi4", "k", "v"), "[pi4]\nk=v\n");
    }

    #[test]
    fn overlays_add_up() {
        let text = "dtparam=audio=on\n";
        let more = "dtparam=audio=on\ndtparam=i2c_arm=on\n";
        assert_eq!(set(text, "all", "dtparam", "audio=on"), text);
        assert_eq!(set(text, "all", "dtparam", "i2c_arm=on"), more);
        assert_eq!(set(more, "all", "dtparam", "i2c_arm=on"), more);
        let filtered = "[pi4]\ndtoverlay=x\n";
        assert_eq!(
            set(filtered, "all", "dtoverlay", "x"),
            "[pi4]\ndtoverlay=x\n[all]\ndtoverlay=x\n"
        );
    }
}
