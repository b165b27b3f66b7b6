//! The page and the interface on TCP: the listener, its files, and the guard before both.

use std::future::Future;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;

use axum::Router;
use axum::http::{HeaderValue, Method, Uri, header};
use axum::middleware;
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use graft_wire::Code;
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio_rustls::TlsAcceptor;

use super::Backend;
use super::api::{Api, refuse};
use super::guard::{Guard, Logins, Watchword, check, has_token, session_router};
use super::limits::Limits;
use super::routes::router;
use super::serve::{accept, plain};
use super::tls::{Certificate, TlsError, own_names};

/// The root of the interface on TCP.
const ROOT: &str = "/api/v1";

/// How the page is served.
#[derive(Clone, Debug)]
pub struct PageSettings {
    /// Address and port.
    pub listen: SocketAddr,
    /// Names by which browsers may call it.
    pub hosts: Vec<String>,
    /// The certificate of encrypted connections; `None`: they are not encrypted.
    pub certificate: Option<Certificate>,
    /// The state folder, where tokens are.
    pub state: PathBuf,
    /// The name of this board.
    pub device: String,
}

/// Why the page is not served.
#[derive(Debug, thiserror::Error)]
pub enum PageError {
    /// The port cannot be had.
    #[error("web.listen = {at} cannot be used: {source}")]
    Port {
        at: SocketAddr,
        /// What the system says.
        source: std::io::Error,
    },
    /// Others could do everything.
    #[error(
        "web.listen = {0} lets other machines reach the page, and nobody has a token yet: make one with `graft web \
         token`, or set web.listen to an address of this machine alone, like 127.0.0.1:8470"
    )]
    NoToken(SocketAddr),
    /// The tokens cannot be read.
    #[error("the tokens of the page cannot be read: {0}")]
    Tokens(std::io::Error),
    /// There is no certificate.
    #[error("web.tls: {0}")]
    Tls(#[from] TlsError),
    /// Key and certificate do not fit.
    #[error("web.cert_file and web.key_file cannot be used together: {0}")]
    Identity(#[from] tokio_rustls::rustls::Error),
}

/// A page that only has to be served.
pub struct Page {
    listener: TcpListener,
    tls: Option<TlsAcceptor>,
    settings: PageSettings,
}

impl Page {
    /// Takes the port, once it is safe to do so.
    ///
    /// # Errors
    /// [`PageError`].
    pub async fn open(mut settings: PageSettings) -> Result<Self, PageError> {
        let at = settings.listen;
        if !at.ip().is_loopback() && !has_token(&settings.state).map_err(PageError::Tokens)? {
            return Err(PageError::NoToken(at));
        }
        let tls = match &settings.certificate {
            Some(certificate) => {
                let identity = certificate.load()?;
                tracing::info!("the page's certificate has the SHA-256 {}", identity.fingerprint());
                Some(identity.acceptor()?)
            }
            None => None,
        };
        let listener = TcpListener::bind(at).await.map_err(|source| PageError::Port { at, source })?;
        settings.hosts.append(&mut own_names());
        Ok(Self { listener, tls, settings })
    }

    fn at(&self) -> SocketAddr {
        self.listener.local_addr().unwrap_or(self.settings.listen)
    }

    /// Where people find it.
    pub fn address(&self) -> String {
        let (at, scheme) = (self.at(), if self.tls.is_some() { "https" } else { "http" });
        match own_names().first() {
            Some(name) if at.ip().is_unspecified() => format!("{scheme}://{name}:{}/", at.port()),
            _ => format!("{scheme}://{at}/"),
        }
    }

    /// Serves it until `shutdown` is ready.
    pub async fn serve(self, backend: Backend, shutdown: impl Future<Output = ()>) {
        let limits = Limits::default();
        let (stop, stopping) = watch::channel(());
        let at = self.at();
        let PageSettings { hosts, state, device, .. } = self.settings;
        let logins = Logins::new(state, !at.ip().is_loopback());
        let word = Watchword { hosts, logins, port: at.port(), secure: self.tls.is_some(), device };
        let guard = Arc::new(Guard::new(word, limits.requests));
        let app = app(Api::new(backend, limits, stopping.clone()), guard);
        let stop = (stop, stopping);
        match self.tls {
            Some(acceptor) => {
                let greet = move |stream| acceptor.accept(stream);
                accept(self.listener, greet, app, limits, stop, shutdown).await;
            }
            None => accept(self.listener, plain, app, limits, stop, shutdown).await,
        }
    }
}

/// The interface, and everything else as files of the page, behind the guard.
fn app(api: Api, guard: Arc<Guard>) -> Router {
    let page = async |method: Method, uri: Uri| file(&method, uri.path());
    router(api, ROOT)
        .merge(session_router(Arc::clone(&guard), ROOT))
        .fallback(page)
        .layer(middleware::from_fn_with_state(guard, check))
}

/// A file of the page. What has no ending is a view of the page, which has one file for all.
fn file(method: &Method, path: &str) -> Response {
    let reads = matches!(*method, Method::GET | Method::HEAD);
    let name = path.trim_start_matches('/');
    let view = !name.rsplit('/').next().unwrap_or_default().contains('.');
    let file = if view { graft_page::file("index.html") } else { graft_page::file(name) };
    let Some(file) = file.filter(|_| reads && !path.starts_with("/api/")) else {
        let message =
            format!("there is nothing at {path}; {ROOT}/openapi.json lists what there is below {ROOT}");
        return refuse(Code::NotFound, message).into_response();
    };
    let mut response = Bytes::from(file.bytes.into_owned()).into_response();
    let cached = if file.immutable { "public, max-age=31536000, immutable" } else { "no-cache" };
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(file.content_type));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static(cached));
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kind(path: &str) -> (u16, String, String) {
        let response = file(&Method::GET, path);
        let head = |name: header::HeaderName| {
            response.headers().get(name).map_or("", |value| value.to_str().unwrap()).to_owned()
        };
        (response.status().as_u16(), head(header::CONTENT_TYPE), head(header::CACHE_CONTROL))
    }

    #[test]
    fn views_are_the_page_and_the_rest_is_a_file_or_nothing() {
        let page = (200, "text/html; charset=utf-8".to_owned(), "no-cache".to_owned());
        for path in ["/", "/index.html", "/teach", "/classes/ok"] {
            assert_eq!(kind(path), page, "{path}");
        }
        for path in
            ["/api/v1/none", "/api/", "/assets/none.js", "/../Cargo.toml", "/Cargo.toml", "//etc/passwd.txt"]
        {
            assert_eq!(kind(path).0, 404, "{path}");
        }
        assert_eq!(file(&Method::POST, "/").status().as_u16(), 404);
    }
}
