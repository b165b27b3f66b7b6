//! Connections: how many at a time, how slow they may be, how they end.

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use axum::{Extension, Router};
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::{Semaphore, broadcast, mpsc, watch};
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};
use tracing::{debug, warn};

use super::Request;
use super::routes::{Api, Peer, router};

/// How much one client may ask for.
#[derive(Clone, Copy, Debug)]
pub(super) struct Limits {
    /// Connections at a time; more wait.
    pub connections: usize,
    /// Of these, streams of `/v1/watch`; more are refused.
    pub watchers: usize,
    /// For the request line and headers, and for idle connections.
    pub header: Duration,
    /// For the whole body.
    pub body: Duration,
    /// For the daemon's answer.
    pub answer: Duration,
    /// Bytes of a command.
    pub bytes: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            connections: 64,
            watchers: 16,
            header: Duration::from_secs(10),
            body: Duration::from_secs(10),
            answer: Duration::from_secs(60),
            bytes: 64 << 10,
        }
    }
}

/// What open connections get to finish after the daemon said stop.
const GRACE: Duration = Duration::from_secs(2);

/// Serves until `shutdown` is ready, then lets open requests finish for two seconds and removes the socket.
///
/// `requests` receives what clients ask; `watch` is the source of `/v1/watch`, one JSON text per item.
pub async fn serve(
    listener: UnixListener,
    requests: mpsc::Sender<Request>,
    watch: broadcast::Sender<String>,
    shutdown: impl Future<Output = ()>,
) {
    serve_with(listener, requests, watch, shutdown, Limits::default()).await;
}

pub(super) async fn serve_with(
    listener: UnixListener,
    requests: mpsc::Sender<Request>,
    watch: broadcast::Sender<String>,
    shutdown: impl Future<Output = ()>,
    limits: Limits,
) {
    let (stop, stopping) = watch::channel(());
    let app = router(Api::new(requests, watch, limits, stopping.clone()));
    let permits = Arc::new(Semaphore::new(limits.connections));
    let mut open = JoinSet::new();
    let accepting = async {
        loop {
            let Ok(permit) = Arc::clone(&permits).acquire_owned().await else { return };
            while open.try_join_next().is_some() {}
            match listener.accept().await {
                Ok((stream, _)) => {
                    let (app, stopping) = (app.clone(), stopping.clone());
                    open.spawn(async move {
                        connection(stream, app, limits, stopping).await;
                        drop(permit);
                    });
                }
                Err(error) => {
                    warn!(%error, "a connection to the command socket could not be accepted");
                    sleep(Duration::from_millis(200)).await;
                }
            }
        }
    };
    tokio::select! {
        () = accepting => {}
        () = shutdown => {}
    }
    let path = listener.local_addr().ok().and_then(|address| address.as_pathname().map(ToOwned::to_owned));
    drop(listener);
    if let Some(path) = path {
        // Somebody may have been quicker; a left-over socket does no harm either.
        let _ = std::fs::remove_file(path);
    }
    drop(stop);
    if timeout(GRACE, async { while open.join_next().await.is_some() {} }).await.is_err() {
        debug!("connections that did not finish in time were cut");
    }
}

async fn connection(stream: UnixStream, app: Router, limits: Limits, mut stopping: watch::Receiver<()>) {
    let peer = match stream.peer_cred() {
        Ok(peer) => Peer(format!("cli:{}", peer.uid())),
        Err(_) => Peer("cli".into()),
    };
    let service = TowerToHyperService::new(app.layer(Extension(peer)));
    let serving = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(limits.header)
        .max_headers(64)
        .max_buf_size(64 << 10)
        .serve_connection(TokioIo::new(stream), service);
    tokio::pin!(serving);
    let result = tokio::select! {
        result = serving.as_mut() => result,
        // An error: the server dropped its side, which is the sign to stop.
        _ = stopping.changed() => {
            serving.as_mut().graceful_shutdown();
            serving.await
        }
    };
    if let Err(error) = result {
        debug!(%error, "a connection to the command socket ended early");
    }
}
