//! What a request on TCP has to pass before the router sees it. Loopback is no boundary: every page that a browser on this
//! machine shows can send requests to it.

mod login;
mod origin;
mod session;

use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::extract::{Request, State};
use axum::http::{HeaderMap, HeaderValue, Method, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use graft_wire::Code;
use tokio::sync::Semaphore;
use tokio::time::timeout;

use super::Answer;
use super::api::{Peer, again, refuse};

pub use login::{Logins, Role, forget_tokens, has_token, make_token};
pub(super) use session::router as session_router;

use login::NotLetIn;

/// A request waits so long for those before it.
const PATIENCE: Duration = Duration::from_secs(20);
/// The header that no page of another origin can send.
const OWN: &str = "x-graft";
/// What browsers may do with what we send: nothing from elsewhere, no frame around it.
const POLICY: &str = "default-src 'self'; img-src 'self' blob: data:; object-src 'none'; base-uri 'none'; \
                      form-action 'self'; frame-ancestors 'none'";

/// The checks of one listener.
#[derive(Debug)]
pub(super) struct Guard {
    /// Names by which it may be called.
    hosts: Vec<String>,
    /// Who may do what.
    logins: Logins,
    /// The cookie of a session: cookies do not tell ports apart.
    cookie: String,
    /// The cookie is for encrypted connections alone.
    secure: bool,
    /// The name of this board.
    device: String,
    /// Requests that are being answered.
    requests: Semaphore,
}

/// What a guard has to know.
#[derive(Debug)]
pub(super) struct Watchword {
    /// Names by which it may be called.
    pub hosts: Vec<String>,
    /// Who may do what.
    pub logins: Logins,
    /// The port that is listened on.
    pub port: u16,
    /// Connections are encrypted.
    pub secure: bool,
    /// The name of this board.
    pub device: String,
}

/// What somebody may do who has passed; `None`: he has not said who he is.
#[derive(Clone, Copy, Debug)]
struct Passed(Option<Role>);

impl Guard {
    /// Lets so many requests through at a time.
    pub fn new(word: Watchword, requests: usize) -> Self {
        let Watchword { hosts, logins, port, secure, device } = word;
        let cookie = format!("graft_{port}");
        Self { hosts, logins, cookie, secure, device, requests: Semaphore::new(requests) }
    }

    /// The secret of the session that the browser sends.
    fn session<'a>(&self, headers: &'a HeaderMap) -> Option<&'a str> {
        let cookies = headers.get_all(header::COOKIE).iter().filter_map(|value| value.to_str().ok());
        let mut pairs =
            cookies.flat_map(|value| value.split(';')).filter_map(|pair| pair.trim().split_once('='));
        pairs.find(|(name, _)| *name == self.cookie).map(|(_, value)| value)
    }

    /// What the sender may do.
    fn role(&self, headers: &HeaderMap, peer: Option<Peer>) -> Result<Option<Role>, NotLetIn> {
        if !self.logins.are_needed() {
            return Ok(Some(Role::Admin));
        }
        if let Some(role) = self.session(headers).and_then(|secret| self.logins.by_session(secret)) {
            return Ok(Some(role));
        }
        let bearer = headers.get(header::AUTHORIZATION).and_then(|value| value.to_str().ok());
        match bearer.and_then(|value| value.strip_prefix("Bearer ")) {
            Some(token) => self.logins.by_token(token.trim(), address(peer), Instant::now()).map(Some),
            None => Ok(None),
        }
    }

    /// Why somebody may not do this.
    fn forbids(method: &Method, path: &str, role: Option<Role>) -> Option<Answer> {
        let page = !path.starts_with("/api/") && !matches!(path, "/metrics" | "/readyz");
        let door = matches!(path, "/api/v1/login" | "/api/v1/logout" | "/api/v1/session");
        match role {
            Some(Role::Admin) => None,
            _ if page || door => None,
            Some(Role::Viewer) if is_change(method) => {
                Some(refuse(Code::Denied, "with this token one may look, and change nothing"))
            }
            Some(Role::Viewer) => None,
            None => Some(
                refuse(Code::Denied, "log in first, or send Authorization: Bearer <token>").with_status(401),
            ),
        }
    }

    /// Why a request is refused, whoever sends it.
    fn refusal(&self, method: &Method, path: &str, headers: &HeaderMap) -> Option<Answer> {
        let denied = |message: &str| Some(refuse(Code::Denied, message));
        let text = |name: &str| headers.get(name).map(|value| value.to_str().unwrap_or("\0"));
        let Some(host) = text("host").filter(|host| origin::is_host_allowed(host, &self.hosts)) else {
            return denied(
                "this name does not lead here: use the address, localhost, or a name of web.hosts (graft config \
                 explain web.hosts)",
            );
        };
        let changes = is_change(method);
        let api = path.starts_with("/api/") || !path.contains('.') && path.len() > 1;
        // A browser says where a request comes from; a program says nothing and is believed.
        let from = text("sec-fetch-site").unwrap_or("none");
        if (changes || api) && !matches!(from, "same-origin" | "none") && !is_navigation(method, headers) {
            return denied("a page of another origin may not ask this");
        }
        if !changes {
            return None;
        }
        if text("origin").is_some_and(|from| !origin::is_same(from, host)) {
            return denied("a page of another origin may not change anything here");
        }
        if text(OWN) != Some("1") {
            return denied("a request that changes something needs the header X-Graft: 1");
        }
        None
    }
}

/// A person follows a link from elsewhere: the page opens, which has read nothing yet.
fn is_navigation(method: &Method, headers: &HeaderMap) -> bool {
    let is = |name: &str, wanted: &str| headers.get(name).is_some_and(|value| value == wanted);
    *method == Method::GET && is("sec-fetch-mode", "navigate") && is("sec-fetch-dest", "document")
}

fn is_change(method: &Method) -> bool {
    !matches!(*method, Method::GET | Method::HEAD)
}

fn address(peer: Option<Peer>) -> std::net::IpAddr {
    match peer {
        Some(Peer::Address(address)) => address,
        _ => std::net::IpAddr::V4(std::net::Ipv4Addr::UNSPECIFIED),
    }
}

/// Why somebody is not let in, as an answer.
fn not_let_in(why: NotLetIn) -> Answer {
    match why {
        NotLetIn::Wrong => {
            refuse(Code::Denied, "this token is not known; `graft web token` makes one").with_status(401)
        }
        NotLetIn::TooMany => {
            again(Code::Denied, "too many wrong tokens from this address; wait a minute").with_status(429)
        }
        NotLetIn::Broken => refuse(Code::Internal, "the tokens cannot be read; see the log of the device"),
    }
}

/// Checks a request, lets it wait for its turn, and says in the answer's head what browsers may do with it.
pub(super) async fn check(State(guard): State<Arc<Guard>>, mut request: Request, next: Next) -> Response {
    let (method, path) = (request.method().clone(), request.uri().path().to_owned());
    let peer = request.extensions().get::<Peer>().copied();
    let refusal = guard.refusal(&method, &path, request.headers()).or_else(|| {
        match guard.role(request.headers(), peer) {
            // Whoever logs in is not asked for what his browser still sends.
            Err(why) if path != "/api/v1/login" => Some(not_let_in(why)),
            role => {
                let role = role.unwrap_or(None);
                request.extensions_mut().insert(Passed(role));
                Guard::forbids(&method, &path, role)
            }
        }
    });
    let mut response = match refusal {
        Some(answer) => answer.into_response(),
        // The turn ends with the head of the answer: streams go on without it.
        None => match timeout(PATIENCE, guard.requests.acquire()).await {
            Ok(Ok(_turn)) => next.run(request).await,
            _ => refuse(Code::Busy, "too many requests at a time").with_status(503).into_response(),
        },
    };
    let headers = response.headers_mut();
    for (name, value) in [
        (header::CONTENT_SECURITY_POLICY, POLICY),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::X_FRAME_OPTIONS, "DENY"),
        (header::REFERRER_POLICY, "no-referrer"),
    ] {
        headers.insert(name, HeaderValue::from_static(value));
    }
    headers.insert("cross-origin-resource-policy", HeaderValue::from_static("same-origin"));
    headers.insert("cross-origin-opener-policy", HeaderValue::from_static("same-origin"));
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    fn guard(state: &std::path::Path) -> Guard {
        let hosts = vec!["board.example".to_owned()];
        let logins = Logins::new(state.to_owned(), false);
        Guard::new(Watchword { hosts, logins, port: 8470, secure: false, device: "board".into() }, 8)
    }

    fn asked(method: Method, path: &str, headers: &[(&'static str, &'static str)]) -> bool {
        let guard = guard(std::path::Path::new("/nowhere"));
        let pairs = headers
            .iter()
            .map(|(name, value)| (header::HeaderName::from_static(name), HeaderValue::from_static(value)));
        guard.refusal(&method, path, &pairs.collect()).is_none()
    }

    #[test]
    fn reading_needs_a_known_name_and_no_other_page() {
        let get = |headers: &[_]| asked(Method::GET, "/api/v1/status", headers);
        assert!(get(&[("host", "127.0.0.1:8470")]) && get(&[("host", "board.example")]));
        assert!(!get(&[]) && !get(&[("host", "evil.example")]));
        let from = |site| [("host", "localhost"), ("sec-fetch-site", site)];
        assert!(get(&from("same-origin")) && get(&from("none")));
        assert!(!get(&from("cross-site")) && !get(&from("same-site")));
        let link = [
            ("host", "localhost"),
            ("sec-fetch-site", "cross-site"),
            ("sec-fetch-mode", "navigate"),
            ("sec-fetch-dest", "document"),
        ];
        assert!(asked(Method::GET, "/", &link) && asked(Method::GET, "/teach", &link));
        let framed = [link[0], link[1], link[2], ("sec-fetch-dest", "iframe")];
        assert!(!asked(Method::GET, "/teach", &framed));
    }

    #[test]
    fn changing_needs_the_own_header_and_the_own_origin() {
        let post = |headers: &[_]| asked(Method::POST, "/api/v1/cmd/mode", headers);
        let own = [("host", "localhost:8470"), ("x-graft", "1")];
        assert!(post(&own));
        assert!(!post(&own[..1]) && !post(&[own[0], ("x-graft", "yes")]) && !post(&own[1..]));
        assert!(post(&[own[0], own[1], ("origin", "http://localhost:8470")]));
        for origin in
            ["http://evil.example", "http://localhost:8471", "null", "", "http://localhost:8470.evil"]
        {
            let headers: HeaderMap = [own[0], own[1]]
                .iter()
                .map(|(n, v)| (header::HeaderName::from_static(n), HeaderValue::from_static(v)))
                .chain([(header::ORIGIN, HeaderValue::from_str(origin).unwrap())])
                .collect();
            let guard = guard(std::path::Path::new("/nowhere"));
            assert!(guard.refusal(&Method::POST, "/api/v1/cmd/mode", &headers).is_some(), "{origin}");
        }
        assert!(!post(&[own[0], own[1], ("sec-fetch-site", "cross-site")]));
    }

    #[test]
    fn a_viewer_looks_and_a_stranger_sees_the_door() {
        let forbids =
            |method: Method, path: &str, role| Guard::forbids(&method, path, role).map(|a| a.status);
        for path in ["/api/v1/status", "/api/v1/stream", "/api/v1/samples/1/image", "/metrics", "/readyz"] {
            assert_eq!(forbids(Method::GET, path, None), Some(401), "{path}");
            assert_eq!(forbids(Method::GET, path, Some(Role::Viewer)), None, "{path}");
        }
        for path in ["/", "/teach", "/assets/x.js", "/api/v1/login", "/api/v1/session", "/healthz"] {
            assert_eq!(forbids(Method::GET, path, None), None, "{path}");
        }
        for path in ["/api/v1/cmd/mode", "/api/v1/import", "/api/v1/predict"] {
            assert_eq!(forbids(Method::POST, path, Some(Role::Viewer)), Some(403), "{path}");
            assert_eq!(forbids(Method::POST, path, Some(Role::Admin)), None, "{path}");
        }
    }

    #[test]
    fn the_session_is_found_among_other_cookies() {
        let dir = tempfile::tempdir().unwrap();
        let guard = guard(dir.path());
        let headers = |cookie| HeaderMap::from_iter([(header::COOKIE, HeaderValue::from_static(cookie))]);
        assert_eq!(guard.session(&headers("a=1; graft_8470=abc; graft_84=2")), Some("abc"));
        assert_eq!(guard.session(&headers("graft_84=2;xgraft_8470=1")), None);
        assert_eq!(guard.role(&headers("a=1"), None), Ok(Some(Role::Admin)), "no token was made");
        make_token(dir.path(), Role::Admin).unwrap();
        assert_eq!(guard.role(&headers("graft_8470=abc"), None), Ok(None));
    }
}
