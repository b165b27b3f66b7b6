//! Connections: how many at a time, how slow they may be, how they end.

use std::future::Future;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use axum::{Extension, Router};
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream, UnixListener, UnixStream};
use tokio::sync::{Semaphore, watch};
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};
use tracing::{debug, warn};

use super::Backend;
use super::api::{Api, Peer};
use super::limits::Limits;
use super::routes::{figures, router};

/// Time for open connections to finish after a stop.
const GRACE: Duration = Duration::from_secs(2);

/// A listener of either kind of socket.
pub(super) trait Listener {
    type Raw: Send + 'static;

    /// The next connection, and who is on its other end, where that can be told.
    async fn next(&self) -> io::Result<(Self::Raw, Option<Peer>)>;
}

impl Listener for UnixListener {
    type Raw = UnixStream;

    async fn next(&self) -> io::Result<(UnixStream, Option<Peer>)> {
        let (stream, _) = self.accept().await?;
        let peer = stream.peer_cred().ok().map(|peer| Peer::User(peer.uid()));
        Ok((stream, peer))
    }
}

impl Listener for TcpListener {
    type Raw = TcpStream;

    async fn next(&self) -> io::Result<(TcpStream, Option<Peer>)> {
        let (stream, from) = self.accept().await?;
        // Small answers are not held back.
        let _ = stream.set_nodelay(true);
        Ok((stream, Some(Peer::Address(from.ip().to_canonical()))))
    }
}

/// Serves everything until `shutdown` is ready, then lets open requests finish for two seconds and removes the socket.
pub async fn serve(listener: UnixListener, backend: Backend, shutdown: impl Future<Output = ()>) {
    serve_with(listener, backend, shutdown, Limits::default()).await;
}

/// Serves `/metrics`, `/healthz` and `/readyz` alone, until `shutdown` is ready.
pub async fn serve_figures(listener: TcpListener, backend: Backend, shutdown: impl Future<Output = ()>) {
    let limits = Limits { connections: 8, ..Limits::default() };
    let (stop, stopping) = watch::channel(());
    let app = figures(Api::new(backend, limits, stopping.clone()));
    accept(listener, plain, app, limits, (stop, stopping), shutdown).await;
}

pub(super) async fn serve_with(
    listener: UnixListener,
    backend: Backend,
    shutdown: impl Future<Output = ()>,
    limits: Limits,
) {
    let (stop, stopping) = watch::channel(());
    let app = router(Api::new(backend, limits, stopping.clone()), "/v1");
    let path = listener.local_addr().ok().and_then(|address| address.as_pathname().map(ToOwned::to_owned));
    accept(listener, plain, app, limits, (stop, stopping), shutdown).await;
    if let Some(path) = path {
        // It may be gone already; a left-over socket is replaced at the next start.
        let _ = std::fs::remove_file(path);
    }
}

/// A connection as it is.
pub(super) async fn plain<S>(stream: S) -> io::Result<S> {
    Ok(stream)
}

/// Accepts connections until `shutdown` is ready. `greet` makes of one what is spoken HTTP over.
pub(super) async fn accept<L, G, F, S>(
    listener: L,
    greet: G,
    app: Router,
    limits: Limits,
    (stop, stopping): (watch::Sender<()>, watch::Receiver<()>),
    shutdown: impl Future<Output = ()>,
) where
    L: Listener,
    G: Fn(L::Raw) -> F,
    F: Future<Output = io::Result<S>> + Send + 'static,
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let permits = Arc::new(Semaphore::new(limits.connections));
    let mut open = JoinSet::new();
    let accepting = async {
        loop {
            let Ok(permit) = Arc::clone(&permits).acquire_owned().await else { return };
            while open.try_join_next().is_some() {}
            match listener.next().await {
                Ok((raw, peer)) => {
                    let (app, stopping, greeting) = (app.clone(), stopping.clone(), greet(raw));
                    open.spawn(async move {
                        match timeout(limits.header, greeting).await {
                            Ok(Ok(stream)) => connection(stream, peer, app, limits, stopping).await,
                            Ok(Err(error)) => debug!(%error, "a connection did not come about"),
                            Err(_) => debug!("a connection did not come about in time"),
                        }
                        drop(permit);
                    });
                }
                Err(error) => {
                    warn!(%error, "a connection could not be accepted");
                    sleep(Duration::from_millis(200)).await;
                }
            }
        }
    };
    tokio::select! {
        () = accepting => {}
        () = shutdown => {}
    }
    drop(listener);
    drop(stop);
    if timeout(GRACE, async { while open.join_next().await.is_some() {} }).await.is_err() {
        debug!("connections that did not finish in time were cut");
    }
}

async fn connection(
    stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
    peer: Option<Peer>,
    app: Router,
    limits: Limits,
    mut stopping: watch::Receiver<()>,
) {
    let app = match peer {
        Some(peer) => app.layer(Extension(peer)),
        None => app,
    };
    let service = TowerToHyperService::new(app);
    let serving = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(limits.header)
        .max_headers(64)
        .max_buf_size(64 << 10)
        .serve_connection(TokioIo::new(stream), service);
    tokio::pin!(serving);
    let result = tokio::select! {
        result = serving.as_mut() => result,
        // An error: the sender is dropped, which means stop.
        _ = stopping.changed() => {
            serving.as_mut().graceful_shutdown();
            serving.await
        }
    };
    if let Err(error) = result {
        debug!(%error, "a connection ended early");
    }
}
