//! The HTTP server: boards upload their files and download their backbones. docs/reference/offload.md is its description.

use std::collections::HashSet;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use axum::body::Body;
use axum::extract::{Path, State};
use axum::http::header::{AUTHORIZATION, CONTENT_RANGE, CONTENT_TYPE, RANGE};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, put};
use axum::{Json, Router};
use axum_server::Handle;
use axum_server::tls_rustls::RustlsConfig;
use bytes::Bytes;
use http_body_util::{BodyExt, LengthLimitError, Limited};
use serde_json::json;
use tokio::time::timeout;

use crate::job::{Job, Phase};
use crate::settings::Settings;
use crate::storage::Storage;
use crate::uploads;
use graft_base::whole_file;
use graft_wire::digest::sha256;
use graft_wire::error::{Code, Error, http_status};
use graft_wire::offload::{Blob, Dataset, MAX_DATASET_BYTES};

/// Says how much of a file is here.
const OFFSET: &str = "upload-offset";
/// A board that sends nothing for so long is gone; it resumes.
const SILENCE: Duration = Duration::from_secs(60);

/// An error as it goes out.
struct Refused(Error, Option<u64>);

impl From<Error> for Refused {
    fn from(error: Error) -> Self {
        Self(error, None)
    }
}

impl From<anyhow::Error> for Refused {
    fn from(error: anyhow::Error) -> Self {
        tracing::error!(error = format!("{error:#}"), "a request could not be carried out");
        Error::internal(format!("{error:#}")).into()
    }
}

impl From<std::io::Error> for Refused {
    fn from(error: std::io::Error) -> Self {
        match error.kind() {
            std::io::ErrorKind::StorageFull | std::io::ErrorKind::QuotaExceeded => {
                Error::new(Code::DiskFull, format!("the host's disk is full: {error}")).into()
            }
            _ => anyhow::Error::from(error).into(),
        }
    }
}

impl IntoResponse for Refused {
    fn into_response(self) -> Response {
        let Self(error, offset) = self;
        let status = match (offset, error.code) {
            (Some(_), _) => StatusCode::RANGE_NOT_SATISFIABLE,
            (None, Code::Denied) => StatusCode::UNAUTHORIZED,
            (None, code) => {
                StatusCode::from_u16(http_status(code)).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR)
            }
        };
        let mut response = (status, Json(json!({ "error": error }))).into_response();
        if let Some(offset) = offset {
            response.headers_mut().insert(OFFSET, offset.into());
        }
        response
    }
}

/// A server that listens.
pub(crate) struct Server {
    pub(crate) address: SocketAddr,
    handle: Handle<SocketAddr>,
}

impl Server {
    /// Ends it; requests under way get a moment.
    pub(crate) fn stop(&self) {
        self.handle.graceful_shutdown(Some(Duration::from_secs(2)));
    }
}

/// Listens as the settings say, with TLS where they name a certificate.
///
/// # Errors
/// When the address cannot be used, or a file of the certificate cannot be read.
pub(crate) async fn listen(settings: &Settings, storage: Arc<Storage>) -> anyhow::Result<Server> {
    let (http, app, handle) = (&settings.http, router(storage).into_make_service(), Handle::new());
    let listener = std::net::TcpListener::bind(http.listen)
        .with_context(|| format!("http.listen {} cannot be listened on", http.listen))?;
    listener.set_nonblocking(true)?;
    let address = listener.local_addr()?;
    let server = axum_server::from_tcp(listener)?;
    if settings.tls() {
        let tls = RustlsConfig::from_pem_file(&http.cert_file, &http.key_file).await.with_context(|| {
            format!("{} and {} cannot be used", http.cert_file.display(), http.key_file.display())
        })?;
        let secure =
            server.acceptor(axum_server::tls_rustls::RustlsAcceptor::new(tls)).handle(handle.clone());
        tokio::spawn(secure.serve(app));
    } else {
        tokio::spawn(server.handle(handle.clone()).serve(app));
    }
    Ok(Server { address, handle })
}

fn router(storage: Arc<Storage>) -> Router {
    Router::new()
        .route("/healthz", get(async || Json(json!({"status": "ok"}))))
        .route("/v1/jobs/{job}/manifest", put(manifest))
        .route("/v1/blobs/{hex}", get(download).head(offset).put(upload))
        .fallback(async || {
            Refused::from(Error::new(Code::NotFound, "there is nothing here; see docs/reference/offload.md"))
        })
        .with_state(storage)
}

/// The token of a request.
fn token(headers: &HeaderMap) -> Option<&str> {
    headers.get(AUTHORIZATION)?.to_str().ok()?.strip_prefix("Bearer ")
}

fn denied() -> Refused {
    Error::new(Code::Denied, "the bearer token is missing, or opens nothing here").into()
}

/// The job that a request's token opens.
fn job_of(storage: &Storage, headers: &HeaderMap) -> Result<Job, Refused> {
    token(headers).and_then(|token| storage.records().by_token(token).cloned()).ok_or_else(denied)
}

/// The file of a job that an address names.
fn blob_of(storage: &Storage, job: &Job, hex: &str) -> Result<Blob, Refused> {
    let dataset = storage.records().dataset(&job.name());
    let listed = dataset.and_then(|d| d.blobs().into_iter().find(|blob| blob.hex() == hex));
    listed.ok_or_else(|| Error::new(Code::NotFound, "the job lists no such file; send its list first").into())
}

/// `PUT /v1/jobs/{job}/manifest`: everything is checked before anything is stored.
async fn manifest(
    State(storage): State<Arc<Storage>>,
    Path(id): Path<String>,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, Refused> {
    let job = job_of(&storage, &headers)?;
    if job.offer.job != id {
        return Err(denied());
    }
    let read = timeout(SILENCE, Limited::new(body, MAX_DATASET_BYTES).collect()).await;
    let bytes = match read {
        Ok(Ok(body)) => body.to_bytes(),
        Ok(Err(error)) if error.is::<LengthLimitError>() => {
            let message = format!("a list of files has at most {MAX_DATASET_BYTES} bytes");
            return Err(Error::new(Code::TooLarge, message).into());
        }
        Ok(Err(error)) => return Err(Error::bad_request("", format!("the list broke off: {error}")).into()),
        Err(_) => return Err(Error::new(Code::Timeout, "the list did not arrive in time").into()),
    };
    if sha256(&bytes) != job.offer.dataset.digest {
        let message = "this is not the list of files that the offer speaks of";
        return Err(Error::new(Code::DigestMismatch, message).into());
    }
    let dataset = Dataset::from_json(&bytes).map_err(|e| Error::new(Code::Incompatible, e.to_string()))?;
    if dataset.device != job.device || dataset.backbone.digest != job.offer.backbone.digest {
        let message = "the list is of another device or backbone than the offer";
        return Err(Error::new(Code::Incompatible, message).into());
    }
    has_room(&storage, &job.name(), &dataset).await?;
    if job.phase == Phase::Receiving {
        let path = storage.records().folder(&job.name()).join("dataset.json");
        whole_file::write(&path, &bytes, 0o600)?;
    }
    admit_complete(&storage, &job).await?;
    let missing = storage.missing(&job).await?.unwrap_or_default();
    if missing.is_empty() {
        storage.upload_complete(&job).await;
    }
    let names: Vec<&str> = missing.iter().map(Blob::hex).collect();
    Ok(Json(json!({ "missing": names })).into_response())
}

/// Whether a job stays within the limits, with what others were promised and have not sent yet.
async fn has_room(storage: &Storage, name: &str, dataset: &Dataset) -> Result<(), Refused> {
    let total: u64 = dataset.blobs().iter().fold(0, |sum, blob| sum.saturating_add(blob.size));
    if total > storage.limits.max_job_bytes {
        let most = storage.limits.max_job_bytes;
        let message = format!("the job has {total} bytes; this host takes jobs of {most} (offers.max_gb)");
        return Err(Error::new(Code::TooLarge, message).into());
    }
    let there = storage.blobs.list().await?;
    let mut promised = {
        let records = storage.records();
        let others =
            records.jobs().filter(|(other, _)| *other != name).map(|(other, _)| records.dataset(other));
        others.flatten().flat_map(|d| d.blobs()).collect::<HashSet<Blob>>()
    };
    promised.extend(dataset.blobs());
    let used: u64 = there.values().map(|(size, _)| size).sum();
    let new: u64 = promised.iter().filter(|b| !there.contains_key(b.hex())).map(|b| b.size).sum();
    if used.saturating_add(new) > storage.limits.quota_bytes {
        let quota = storage.limits.quota_bytes;
        let message =
            format!("{new} more bytes do not fit: {used} of {quota} are used (store.quota_gb of the host)");
        return Err(Error::new(Code::DiskFull, message).into());
    }
    Ok(())
}

/// Files that were whole when this host was killed, before it had looked at them.
async fn admit_complete(storage: &Storage, job: &Job) -> Result<(), Refused> {
    for blob in storage.missing(job).await?.unwrap_or_default() {
        let path = storage.incoming(&job.name(), &blob);
        if uploads::received(&path) >= blob.size {
            let _lock = storage.uploads.lock(&path).await;
            if uploads::received(&path) >= blob.size {
                storage.admit(&job.name(), &blob).await?;
            }
        }
    }
    Ok(())
}

/// `HEAD /v1/blobs/{hex}`: how much of a file is here.
async fn offset(
    State(storage): State<Arc<Storage>>,
    Path(hex): Path<String>,
    headers: HeaderMap,
) -> Result<Response, Refused> {
    let job = job_of(&storage, &headers)?;
    let blob = blob_of(&storage, &job, &hex)?;
    let there = storage.blobs.size(blob.hex()).await?;
    let received = match there {
        Some(size) if size == blob.size => size,
        // A whole file that was not looked at yet counts as one that lacks its end, so that the board asks for the verdict.
        _ => uploads::received(&storage.incoming(&job.name(), &blob)).min(blob.size.saturating_sub(1)),
    };
    Ok((StatusCode::OK, [(OFFSET, received.to_string())]).into_response())
}

/// `PUT /v1/blobs/{hex}`: the next piece of a file.
async fn upload(
    State(storage): State<Arc<Storage>>,
    Path(hex): Path<String>,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, Refused> {
    let job = job_of(&storage, &headers)?;
    let blob = blob_of(&storage, &job, &hex)?;
    let (from, to) = content_range(&headers, blob.size)?;
    if storage.blobs.size(blob.hex()).await? == Some(blob.size) {
        return Ok(StatusCode::CREATED.into_response());
    }
    let path = storage.incoming(&job.name(), &blob);
    let _lock = storage.uploads.lock(&path).await;
    let mut have = uploads::received(&path);
    // The last byte may be sent again: it asks for the verdict on a file that is whole already.
    if have == blob.size && from + 1 == blob.size {
        std::fs::OpenOptions::new().write(true).open(&path)?.set_len(from)?;
        have = from;
    }
    if from != have {
        let message = format!("{have} bytes are here; go on there");
        return Err(Refused(Error::new(Code::Conflict, message), Some(have)));
    }
    let mut file = uploads::append(&path, from)?;
    let mut left = to - from;
    let mut body = Limited::new(body, usize::try_from(left).unwrap_or(usize::MAX));
    while left > 0 {
        let piece: Bytes = match timeout(SILENCE, body.frame()).await {
            Ok(Some(Ok(frame))) => frame.into_data().unwrap_or_default(),
            // What came stays; the board asks and goes on.
            _ => break,
        };
        std::io::Write::write_all(&mut file, &piece)?;
        left -= piece.len() as u64;
    }
    tokio::task::spawn_blocking(move || uploads::sync(file)).await.map_err(anyhow::Error::from)??;
    if left > 0 {
        return Err(Error::new(Code::Timeout, "the piece broke off; ask with HEAD and go on").into());
    }
    if to < blob.size {
        return Ok(StatusCode::ACCEPTED.into_response());
    }
    if !storage.admit(&job.name(), &blob).await? {
        let message = "the bytes are not those that the digest names; the file starts again at 0";
        return Err(Error::new(Code::DigestMismatch, message).into());
    }
    storage.upload_complete(&job).await;
    Ok(StatusCode::CREATED.into_response())
}

/// `bytes <from>-<to>/<size>`; gives the first byte and the one behind the last.
fn content_range(headers: &HeaderMap, size: u64) -> Result<(u64, u64), Refused> {
    let wrong = || Error::bad_request("", format!("Content-Range has to be `bytes <from>-<to>/{size}`"));
    let text = headers.get(CONTENT_RANGE).and_then(|v| v.to_str().ok()).ok_or_else(wrong)?;
    let parse = || {
        let (range, total) = text.strip_prefix("bytes ")?.split_once('/')?;
        let (from, to) = range.split_once('-')?;
        Some((from.parse::<u64>().ok()?, to.parse::<u64>().ok()?, total.parse::<u64>().ok()?))
    };
    match parse() {
        Some((from, to, total)) if total == size && from <= to && to < size => Ok((from, to + 1)),
        _ => Err(wrong().into()),
    }
}

/// `GET /v1/blobs/{hex}`: a file of a result, from where the board has it.
async fn download(
    State(storage): State<Arc<Storage>>,
    Path(hex): Path<String>,
    headers: HeaderMap,
) -> Result<Response, Refused> {
    let token = token(&headers).ok_or_else(denied)?;
    let files = match storage.records().by_token(token).map(|job| job.phase.clone()) {
        Some(Phase::Returned { manifest }) => manifest.files,
        Some(_) => return Err(Error::new(Code::NotFound, "the job has no result yet").into()),
        None => storage.fleet().files_of(token).ok_or_else(denied)?,
    };
    let found = files.named().into_iter().map(|(_, blob)| blob).find(|blob| blob.hex() == hex);
    let blob = found.ok_or_else(|| Error::new(Code::NotFound, "the result has no such file"))?.clone();
    let from = headers
        .get(RANGE)
        .and_then(|v| v.to_str().ok()?.strip_prefix("bytes=")?.strip_suffix('-')?.parse::<u64>().ok())
        .filter(|from| *from < blob.size)
        .unwrap_or(0);
    let body = storage.blobs.body(blob.hex(), from).await?;
    let mut response = Response::new(body);
    let head = response.headers_mut();
    head.insert(CONTENT_TYPE, axum::http::HeaderValue::from_static("application/octet-stream"));
    head.insert(axum::http::header::CONTENT_LENGTH, (blob.size - from).into());
    if from > 0 {
        *response.status_mut() = StatusCode::PARTIAL_CONTENT;
        let range = format!("bytes {from}-{}/{}", blob.size - 1, blob.size);
        if let Ok(range) = range.parse() {
            response.headers_mut().insert(CONTENT_RANGE, range);
        }
    }
    Ok(response)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_range_lies_within_its_file() {
        let range = |text: Option<&'static str>| {
            let mut headers = HeaderMap::new();
            if let Some(text) = text {
                headers.insert(CONTENT_RANGE, axum::http::HeaderValue::from_static(text));
            }
            content_range(&headers, 10).map_err(|Refused(error, _)| error.code)
        };
        assert_eq!(range(Some("bytes 0-9/10")), Ok((0, 10)));
        assert_eq!(range(Some("bytes 3-3/10")), Ok((3, 4)));
        for wrong in ["bytes 0-10/10", "bytes 5-4/10", "bytes 0-9/11", "bytes 0-9", "0-9/10", "bytes -1-9/10"]
        {
            assert_eq!(range(Some(wrong)), Err(Code::BadRequest), "{wrong}");
        }
        assert_eq!(range(None), Err(Code::BadRequest));
    }
}
