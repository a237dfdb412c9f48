use super::support::Setup;
use piflash::base::fetch::Proxies;

/// The server is asked as a proxy; nobody has the name of the URL.
#[test]
fn a_proxy_is_asked() {
    let mut setup = Setup::new();
    setup.wanted.url = "http://images.invalid/os/node.img.xz".to_owned();
    let proxy = setup.server.url("").replace("//", "//user:secret@");
    let none = Proxies::default();
    setup.options.proxies = none.clone().overridden(Some(&proxy), None);
    setup.get_image();
    let requests = setup.server.requests();
    assert_eq!(requests.len(), 1);
    assert_eq!(requests[0].target, setup.wanted.url);
    // user:secret
    let password = Some("Basic dXNlcjpzZWNyZXQ=");
    assert_eq!(requests[0].header("proxy-authorization"), password);
    let shown = format!("{:?} {:?}", setup.options, setup.options.proxies);
    assert!(!shown.contains("secret"), "{shown}");
}

#[test]
fn no_proxy_is_respected() {
    let other = crate::support::server::Server::start();
    for (no_proxy, direct) in [
        ("127.0.0.1", true),
        ("10.0.0.0/8, 127.0.0.0/8", true),
        ("*", true),
        ("10.0.0.0/8,localhost", false),
    ] {
        let mut setup = Setup::new();
        let proxies =
            Proxies::default().overridden(Some(&other.url("")), Some(no_proxy));
        setup.options.proxies = proxies;
        setup.options.attempts = 1;
        assert_eq!(setup.get().is_ok(), direct, "{no_proxy}");
        assert_eq!(setup.server.requests().is_empty(), !direct);
        assert_eq!(other.requests().is_empty(), direct);
    }
}

#[test]
fn proxies_of_the_environment() {
    let from = |list: &[(&str, &str)]| {
        Proxies::from_variables(|name| {
            let found = list.iter().find(|(n, _)| *n == name);
            found.map(|(_, value)| (*value).to_owned())
        })
    };
    let some = |text: &str| Some(text.to_owned());
    let found = from(&[
        ("http_proxy", "http://a"),
        ("HTTPS_PROXY", "http://b"),
        ("ALL_PROXY", "http://c"),
        ("no_proxy", "x"),
        ("NO_PROXY", "y"),
    ]);
    assert!(found.http == some("http://a") && found.https == some("http://b"));
    assert!(found.no_proxy == some("x"));
    let found = from(&[("ALL_PROXY", "http://c"), ("http_proxy", "")]);
    assert!(found.http == some("http://c") && found.https == some("http://c"));
    let cgi = [("HTTP_PROXY", "http://evil"), ("REQUEST_METHOD", "GET")];
    assert!(from(&cgi).http.is_none());
    let given = found.overridden(None, Some("z"));
    assert!(given.http == some("http://c") && given.no_proxy == some("z"));
}

#[test]
fn a_wrong_proxy_is_not_shown() {
    let mut setup = Setup::new();
    setup.options.proxies =
        Proxies::default().overridden(Some("http://u:secret@[bad"), None);
    let error = setup.refused();
    assert!(error.contains("the URL of the proxy is wrong"), "{error}");
    assert!(!error.contains("secret"), "{error}");
}
