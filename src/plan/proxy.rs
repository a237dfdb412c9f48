//! The proxy of a node: `proxy_url` and `no_proxy`, rendered and checked for
//! the files in which they are going to stand.

use minijinja::{Value, context};

use crate::inventory::{Node, RenderError};

/// Why a node's proxy cannot be set.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum ProxyError {
    /// An expression in it cannot be evaluated.
    #[error("`{name}`")]
    Render {
        /// The variable.
        name: &'static str,
        /// What is wrong with it.
        source: RenderError,
    },
    /// It would not stay one value in apt.conf(5) or `/etc/environment`. The
    /// value is not shown: it may hold a password.
    #[error(
        "`{0}` is not a value for apt and /etc/environment: it must be {1}"
    )]
    Value(&'static str, &'static str),
}

/// A node's proxy.
pub(super) struct Proxy {
    /// What templates see as `node.proxy`, but for its `no_proxy`.
    pub(super) value: Value,
    /// What the inventory wants to be reached without it.
    pub(super) no_proxy: Vec<String>,
}

/// Returns the proxy of a node: nothing without a `proxy_url`. `facts` are
/// the names that Ansible would know.
pub(super) fn of(
    node: &Node,
    facts: &Value,
) -> Result<Option<Proxy>, ProxyError> {
    let rendered = |name| {
        node.rendered(name, facts)
            .map_err(|source| ProxyError::Render { name, source })
    };
    let Some(url) = rendered("proxy_url")? else { return Ok(None) };
    let url = url.to_string();
    if !is_proxy(&url) {
        let expected = "http://host:port/ without quotes, spaces and #";
        return Err(ProxyError::Value("proxy_url", expected));
    }
    let hosts = rendered("no_proxy")?.map_or(Ok(Vec::new()), |value| {
        hosts(&value).ok_or(ProxyError::Value(
            "no_proxy",
            "hosts and networks with commas between",
        ))
    })?;
    // apt knows no networks and patterns.
    let direct: Vec<String> =
        hosts.iter().filter(|host| is_host(host)).cloned().collect();
    let value = context! {
        masked => masked(&url),
        secret => authority(&url).contains('@'),
        direct => direct,
        url => url,
    };
    Ok(Some(Proxy { value, no_proxy: hosts }))
}

fn authority(url: &str) -> &str {
    let rest = url.split_once("://").map_or(url, |(_, rest)| rest);
    rest.split(['/', '?']).next().unwrap_or_default()
}

/// Returns the URL without name and password.
fn masked(url: &str) -> String {
    let Some((secret, _)) = authority(url).rsplit_once('@') else {
        return url.to_owned();
    };
    let shown = |(scheme, rest): (&str, &str)| {
        let rest = rest.strip_prefix(secret).unwrap_or_default();
        format!("{scheme}://***{rest}")
    };
    url.split_once("://").map_or_else(String::new, shown)
}

fn is_proxy(url: &str) -> bool {
    let host = authority(url).rsplit('@').next().unwrap_or_default();
    (url.starts_with("http://") || url.starts_with("https://"))
        && !host.is_empty()
        && is_plain(url)
}

/// Neither apt.conf(5), pam_env(8) nor systemd would take it for more than
/// text.
fn is_plain(text: &str) -> bool {
    text.chars().all(|c| c.is_ascii_graphic() && !"\"'\\#`$;{}".contains(c))
}

/// Returns the parts of a list, or of one text with commas or spaces.
fn hosts(value: &Value) -> Option<Vec<String>> {
    let texts: Vec<String> = match value.as_str() {
        Some(text) => vec![text.to_owned()],
        None => value.try_iter().ok()?.map(|v| v.to_string()).collect(),
    };
    let parts = |text: &String| {
        text.split([',', ' '])
            .filter(|part| !part.is_empty())
            .map(str::to_owned)
            .collect::<Vec<_>>()
    };
    let hosts: Vec<String> = texts.iter().flat_map(parts).collect();
    hosts.iter().all(|host| is_plain(host)).then_some(hosts)
}

fn is_host(text: &str) -> bool {
    text.starts_with(|c: char| c.is_ascii_alphanumeric())
        && text.chars().all(|c| c.is_ascii_alphanumeric() || ".-".contains(c))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn passwords_are_masked() {
        for (url, shown) in [
            ("http://10.0.0.1:3128/", "http://10.0.0.1:3128/"),
            ("http://u:p@10.0.0.1:3128/", "http://***@10.0.0.1:3128/"),
            ("http://u:p@ss@host", "http://***@host"),
            ("http://http@host", "http://***@host"),
            ("http://host/a@b", "http://host/a@b"),
        ] {
            assert_eq!(masked(url), shown);
        }
    }

    #[test]
    fn what_would_not_stay_one_value_is_refused() {
        assert!(is_proxy("http://u:p%40x@host:3128/"));
        for url in [
            "http://",
            "http://u@",
            "ftp://host",
            "http://ho st",
            "http://ho\"st",
            "http://host#x",
            "http://host\nx",
            "http://host;",
            "http://$HOME",
        ] {
            assert!(!is_proxy(url), "{url:?}");
        }
        assert_eq!(hosts(&Value::from("a;b")), None);
        assert_eq!(hosts(&Value::from("a\nb")), None);
        let list = Value::from(vec!["10.0.0.0/8", "x, y"]);
        assert_eq!(hosts(&list).unwrap().join(","), "10.0.0.0/8,x,y");
    }

    #[test]
    fn only_hosts_go_direct_in_apt() {
        assert!(is_host("mirror.lan") && is_host("10.0.0.1"));
        for text in ["10.0.0.0/8", "*.local", ".local", "a:b"] {
            assert!(!is_host(text), "{text}");
        }
    }
}
