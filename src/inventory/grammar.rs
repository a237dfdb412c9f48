//! The grammar of names and other short texts.

use std::net::IpAddr;

/// Splits a line at commas and spaces.
pub(super) fn words(text: &str) -> impl Iterator<Item = &str> {
    text.split(|c: char| c == ',' || c.is_whitespace())
        .filter(|word| !word.is_empty())
}

/// Says whether text is one word of printable ASCII.
pub(super) fn is_word(text: &str) -> bool {
    text.chars().all(|c| c.is_ascii_graphic())
}

/// Says whether text is an `http` or `https` URL.
pub(super) fn is_url(text: &str) -> bool {
    text.strip_prefix("http://")
        .or_else(|| text.strip_prefix("https://"))
        .is_some_and(|rest| !rest.is_empty() && !rest.starts_with('/'))
        && is_word(text)
}

/// Says whether text is an absolute path that stays below the root.
pub(super) fn is_absolute(text: &str) -> bool {
    text.starts_with('/') && !text.split('/').any(|part| part == "..")
}

/// Says whether text may be the name of an account or a group.
pub(super) fn is_account(text: &str) -> bool {
    text.len() <= 32
        && text.starts_with(|c: char| c.is_ascii_lowercase() || c == '_')
        && text.chars().all(|c| {
            c.is_ascii_lowercase()
                || c.is_ascii_digit()
                || matches!(c, '_' | '-')
        })
}

/// Says whether text is a host name of RFC 1123.
pub(super) fn is_host_name(text: &str) -> bool {
    !text.is_empty()
        && text.len() <= 253
        && text.split('.').all(|label| {
            (1..=63).contains(&label.len())
                && !label.starts_with('-')
                && !label.ends_with('-')
                && label.chars().all(|c| c.is_ascii_alphanumeric() || c == '-')
        })
}

/// Says whether text is like `de_DE.UTF-8@euro`.
pub(super) fn is_locale(text: &str) -> bool {
    let (text, modifier) = text.split_once('@').unwrap_or((text, "x"));
    let (language, charset) = text.split_once('.').unwrap_or((text, "UTF-8"));
    let (language, country) =
        language.split_once('_').unwrap_or((language, "XX"));
    let lower = |s: &str| s.bytes().all(|b| b.is_ascii_lowercase());
    let upper = |s: &str| s.bytes().all(|b| b.is_ascii_uppercase());
    (matches!(language, "C" | "POSIX")
        || ((2..=3).contains(&language.len()) && lower(language)))
        && country.len() == 2
        && upper(country)
        && !charset.is_empty()
        && charset.chars().all(|c| c.is_ascii_alphanumeric() || c == '-')
        && !modifier.is_empty()
        && lower(modifier)
}

/// Says whether text names a Debian package, perhaps with `=version`.
/// <https://www.debian.org/doc/debian-policy/ch-controlfields.html#source>
pub(super) fn is_package(text: &str) -> bool {
    let (name, version) = text.split_once('=').unwrap_or((text, "1"));
    let name = name.split_once(':').map_or(name, |(name, _)| name);
    name.len() >= 2
        && name
            .starts_with(|c: char| c.is_ascii_lowercase() || c.is_ascii_digit())
        && name.chars().all(|c| {
            c.is_ascii_lowercase()
                || c.is_ascii_digit()
                || matches!(c, '+' | '-' | '.')
        })
        && !version.is_empty()
        && version.chars().all(|c| {
            c.is_ascii_alphanumeric()
                || matches!(c, '+' | '-' | '.' | ':' | '~' | '*')
        })
}

/// Says whether text is networks, joined with commas.
pub(super) fn is_cidrs(text: &str) -> bool {
    text.split(',').all(|network| {
        network.split_once('/').is_some_and(|(address, length)| {
            let max = match address.parse() {
                Ok(IpAddr::V4(_)) => 32,
                Ok(IpAddr::V6(_)) => 128,
                Err(_) => return false,
            };
            length.parse::<u8>().is_ok_and(|n| n <= max)
        })
    })
}

/// Says whether text is a host, perhaps with a port.
pub(super) fn is_endpoint(text: &str) -> bool {
    if text.parse::<IpAddr>().is_ok() || is_host_name(text) {
        return true;
    }
    text.rsplit_once(':').is_some_and(|(host, port)| {
        let host = host
            .strip_prefix('[')
            .and_then(|host| host.strip_suffix(']'))
            .unwrap_or(host);
        port.parse::<u16>().is_ok_and(|port| port > 0)
            && (host.parse::<IpAddr>().is_ok() || is_host_name(host))
    })
}

/// Says whether text is the value of a Kubernetes label.
/// <https://kubernetes.io/docs/concepts/overview/working-with-objects/labels/>
pub(super) fn is_label(text: &str) -> bool {
    text.len() <= 63
        && text.starts_with(|c: char| c.is_ascii_alphanumeric())
        && text.ends_with(|c: char| c.is_ascii_alphanumeric())
        && text
            .chars()
            .all(|c| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-'))
}

/// Says whether text is the key of a Kubernetes label or taint.
pub(super) fn is_qualified(text: &str) -> bool {
    match text.split_once('/') {
        Some((domain, name)) => is_host_name(domain) && is_label(name),
        None => is_label(text),
    }
}
