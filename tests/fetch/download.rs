use super::support::{PATH, Setup, noise};
use crate::support::server::{Resource, Step};
use piflash::base::signature::Verification;
use std::{sync::Arc, time::Duration};

fn status(code: u16) -> Step {
    Step::Status(code, vec![])
}

#[test]
fn an_image_is_downloaded_once() {
    let setup = Setup::new();
    let first = setup.get_image();
    assert!(!first.hit);
    assert_eq!(first.verified, Verification::PinnedHash);
    let requests = setup.server.requests();
    assert_eq!(requests.len(), 1);
    assert_eq!(requests[0].sent, setup.packed.len());
    assert_eq!(requests[0].header("range"), None);
    assert!(requests[0].header("user-agent").unwrap().starts_with("piflash/"));
    let again = setup.get_image();
    assert!(again.hit);
    assert_eq!(setup.server.requests().len(), 0);
}

#[test]
fn passing_troubles_are_waited_out() {
    let setup = Setup::new();
    let after = |seconds: &str| {
        Step::Status(429, vec![("Retry-After", seconds.to_owned())])
    };
    setup.server.script(
        PATH,
        [
            status(503),
            after("7"),
            status(500),
            Step::Bytes(b"no HTTP at all\r\n\r\n".to_vec()),
            Step::Bytes(vec![]),
        ],
    );
    setup.get_image();
    assert_eq!(setup.server.requests().len(), 6);
    let waits = setup.waits.lock().unwrap();
    assert_eq!(waits.len(), 5);
    assert_eq!(waits[1], Duration::from_secs(7));
    for (wait, most) in waits.iter().zip([500, 7000, 2000, 4000, 8000]) {
        let most = Duration::from_millis(most);
        assert!(*wait <= most && *wait >= most / 2, "{waits:?}");
    }
}

#[test]
fn lasting_troubles_are_told() {
    let setup = Setup::new();
    setup.server.script(PATH, (0..6).map(|_| status(503)));
    let error = setup.refused();
    assert!(error.contains("gave up after 6 tries"), "{error}");
    assert!(error.contains("503 (Service Unavailable)"), "{error}");
    assert!(error.contains(&setup.wanted.url), "{error}");
    assert_eq!(setup.server.requests().len(), 6);

    // Not worth a second try.
    for (code, text) in [(404, "404 (Not Found)"), (403, "403 (Forbidden)")] {
        setup.server.script(PATH, [status(code)]);
        let error = setup.refused();
        assert!(error.contains(text), "{error}");
        assert_eq!(setup.server.requests().len(), 1);
    }

    let wait = vec![("Retry-After", "86400".to_owned())];
    setup.server.script(PATH, [Step::Status(503, wait)]);
    setup.refused();
    assert_eq!(setup.server.requests().len(), 1, "a day is too long");
}

#[test]
fn nobody_there() {
    let mut setup = Setup::new();
    // Bound and closed again: nobody listens.
    let socket = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = socket.local_addr().unwrap().port();
    drop(socket);
    setup.wanted.url =
        format!("http://user:secret@127.0.0.1:{port}/a.img?token=secret");
    let error = setup.refused();
    assert!(error.contains("the server cannot be reached"), "{error}");
    assert!(error.contains(&format!("127.0.0.1:{port}/a.img")), "{error}");
    assert!(!error.contains("secret"), "{error}");
    assert_eq!(setup.waits.lock().unwrap().len(), 5);
}

#[test]
fn silence_is_an_error() {
    let mut setup = Setup::new();
    setup.options.read_timeout = Duration::from_millis(150);
    setup.options.attempts = 2;
    let hang = Step::Hang(Duration::from_millis(600));
    setup.server.script(PATH, [hang.clone(), hang]);
    let error = setup.refused();
    assert!(error.contains("gave up after 2 tries"), "{error}");
    setup.get_image();
}

#[test]
fn a_slow_server_is_waited_for() {
    let mut setup = Setup::new();
    // Longer in all than the time between two pieces may be.
    setup.options.read_timeout = Duration::from_millis(400);
    let pause = Duration::from_millis(40);
    setup.server.change(PATH, |resource| resource.pause = pause);
    assert!(setup.packed.len() > 10 * (64 << 10));
    setup.get_image();
    assert_eq!(setup.server.requests().len(), 1);
}

#[test]
fn redirects_are_followed_but_not_for_ever() {
    let mut setup = Setup::new();
    let to = |path: &str| {
        let location = vec![("Location", path.to_owned())];
        Resource {
            script: (0..30)
                .map(|_| Step::Status(302, location.clone()))
                .collect(),
            ..Resource::default()
        }
    };
    setup.server.put_resource("/latest", to("/there"));
    setup.server.put_resource("/there", to(PATH));
    setup.server.put_resource("/loop", to("/loop"));
    setup.wanted.url = setup.server.url("/loop");
    let error = setup.refused();
    assert!(error.contains("more than 10 redirects"), "{error}");
    assert_eq!(setup.server.requests().len(), 11);
    setup.wanted.url = setup.server.url("/latest");
    setup.get_image();
    assert_eq!(setup.server.requests().len(), 3);
}

#[test]
fn web_pages_are_no_images() {
    let mut setup = Setup::new();
    setup.unpinned();
    let page = b"\n<!DOCTYPE html><html>Please log in</html>";
    for content_type in [Some("text/html; charset=utf-8".to_owned()), None] {
        let body = Arc::new(page.to_vec());
        let resource = Resource { body, content_type, ..Resource::default() };
        setup.server.put_resource(PATH, resource);
        let error = setup.refused();
        assert!(error.contains("a web page instead of the file"), "{error}");
    }
}

#[test]
fn no_content_length_is_fine() {
    let setup = Setup::new();
    let endless = |resource: &mut Resource| resource.unsized_body = true;
    setup.server.change(PATH, endless);
    // The connection's end is the file's, unless the size is known.
    setup.server.script(PATH, [Step::Cut(70_000)]);
    setup.get_image();
    assert_eq!(setup.server.requests().len(), 2);

    let mut setup = Setup::new();
    setup.server.change(PATH, endless);
    setup.wanted.download_size = None;
    setup.server.script(PATH, [Step::Cut(70_000)]);
    let error = setup.refused();
    assert!(error.contains("its xz data is truncated"), "{error}");

    // But not for more than is wanted.
    let size = setup.packed.len() as u64 - 70_000;
    setup.wanted.download_size = Some(size);
    let error = setup.refused();
    assert!(error.contains(&format!("instead of {size}")), "{error}");
}

#[test]
fn wrong_urls_are_refused() {
    let mut setup = Setup::new();
    for url in ["ftp://host/a.img", "node.img", "http://", "u:secret@host"] {
        setup.wanted.url = url.to_owned();
        let error = setup.refused();
        assert!(error.contains("no http or https URL"), "{error}");
        assert!(!error.contains("secret"), "{error}");
    }
}

#[test]
fn small_texts_come_whole_or_not() {
    use piflash::base::fetch::Client;
    let setup = Setup::new();
    let text = noise(5000, 1);
    setup.server.put("/SHA256SUMS", &text);
    setup.server.script("/SHA256SUMS", [status(503), Step::Cut(100)]);
    let url = setup.server.url("/SHA256SUMS");
    let client = Client::new(&url, &setup.options).unwrap();
    assert!(client.text(&url, 5000).unwrap() == text);
    assert_eq!(setup.server.requests().len(), 3);
    client.text(&url, 4999).unwrap_err();
    client.text(&setup.server.url("/missing"), 10).unwrap_err();
}
