//! Pictures from a browser: a zip of folders, or single pictures, unpacked below `imports/` of the state folder and then
//! imported by the same command as everywhere. And the way back: an export as a zip.

mod unpack;

use std::fs;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use axum::extract::rejection::QueryRejection;
use axum::extract::{Query, State};
use axum::http::header::{CACHE_CONTROL, CONTENT_DISPOSITION, CONTENT_TYPE};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use graft_wire::command::Dataset;
use graft_wire::messages::JobStatus;
use graft_wire::{Code, Command, Error, Reply};
use http_body_util::BodyExt;
use serde::Deserialize;
use serde_json::Value;
use tokio::sync::mpsc;
use tokio::time::{sleep, timeout};

use self::unpack::unpack;
use super::api::{Api, refuse};
use super::watching::Pieces;
use super::{Answer, View};

/// Bytes of an upload.
const MAX_UPLOAD: u64 = 512 << 20;
/// Nothing comes for this long: the upload is given up.
const SILENCE: Duration = Duration::from_secs(30);
/// An export is looked at this often.
const POLL: Duration = Duration::from_millis(200);
/// What is uploaded, and what is written for a download, has a name that begins so, and goes again.
pub const UPLOADED: &str = "page-";

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ImportQuery {
    class: Option<String>,
}

/// A folder that goes when it is dropped, unless it is kept.
struct Passing(Option<PathBuf>);

impl Drop for Passing {
    fn drop(&mut self) {
        if let Some(path) = &self.0 {
            let _ = fs::remove_dir_all(path);
        }
    }
}

/// A name that nothing has yet.
fn fresh() -> Result<String, Error> {
    let mut bytes = [0u8; 8];
    getrandom::fill(&mut bytes).map_err(|e| Error::internal(e.to_string()))?;
    Ok(format!("{UPLOADED}{:016x}", u64::from_le_bytes(bytes)))
}

fn full(error: io::Error) -> Error {
    Error::new(Code::DiskFull, format!("the upload cannot be stored: {error}"))
}

/// Removes what an earlier start left half done.
pub fn tidy(state: &Path) {
    for folder in ["imports", "exports"] {
        let entries = fs::read_dir(state.join(folder)).into_iter().flatten().flatten();
        for entry in entries.filter(|entry| entry.file_name().to_string_lossy().starts_with(UPLOADED)) {
            let _ = fs::remove_dir_all(entry.path());
        }
    }
}

/// `POST import`: a zip, or with `?class=` one picture or a zip of pictures of that class.
pub(super) async fn import(
    State(api): State<Api>,
    query: Result<Query<ImportQuery>, QueryRejection>,
    body: Body,
) -> Answer {
    let class = match query {
        Ok(Query(query)) => query.class.filter(|class| !class.is_empty()),
        Err(error) => return refuse(Code::BadRequest, error.body_text()),
    };
    let Ok(_one_at_a_time) = Arc::clone(&api.transfers).try_acquire_owned() else {
        return refuse(Code::Busy, "another upload or download is under way").with_status(503);
    };
    match receive(&api, class, body).await {
        Ok(answer) => answer,
        Err(error) => Answer::error(&error),
    }
}

async fn receive(api: &Api, class: Option<String>, body: Body) -> Result<Answer, Error> {
    let name = fresh()?;
    let imports = api.backend.state.join("imports");
    let mut folder = Passing(Some(imports.join(&name)));
    let file = imports.join(&name).join("upload");
    fs::create_dir_all(imports.join(&name)).map_err(full)?;
    store(file.clone(), body).await?;
    let place = imports.join(&name);
    let unpacked = tokio::task::spawn_blocking(move || unpack(&file, &place, class.as_deref()));
    let inside = unpacked.await.map_err(|e| Error::internal(e.to_string()))??;
    let path = Path::new(&name).join(inside);
    let command = Dataset::Import { path: path.to_string_lossy().into_owned() };
    let answer = api.command(&Command::Dataset(command)).await;
    if answer.status == 202 {
        // The import removes it.
        folder.0 = None;
    }
    Ok(answer)
}

/// Writes a body into a file as it comes. The file is written on a thread of its own: a slow card holds nobody up.
async fn store(path: PathBuf, mut body: Body) -> Result<(), Error> {
    let (sender, mut pieces) = mpsc::channel::<Bytes>(4);
    let writing = tokio::task::spawn_blocking(move || {
        let mut file = fs::File::create_new(path)?;
        while let Some(piece) = pieces.blocking_recv() {
            file.write_all(&piece)?;
        }
        Ok(())
    });
    let received = receive_into(sender, &mut body).await;
    let written = writing.await.map_err(|e| Error::internal(e.to_string()))?;
    written.map_err(full)?;
    received
}

async fn receive_into(sender: mpsc::Sender<Bytes>, body: &mut Body) -> Result<(), Error> {
    let mut bytes = 0u64;
    loop {
        let frame = timeout(SILENCE, body.frame())
            .await
            .map_err(|_| Error::new(Code::Timeout, "the upload did not go on"))?;
        let Some(frame) = frame else { break };
        let frame = frame.map_err(|e| Error::new(Code::BadRequest, format!("the upload broke off: {e}")))?;
        let Ok(piece) = frame.into_data() else { continue };
        bytes += piece.len() as u64;
        if bytes > MAX_UPLOAD {
            let message = format!("an upload has at most {} MB", MAX_UPLOAD >> 20);
            return Err(Error::new(Code::TooLarge, message));
        }
        if sender.send(piece).await.is_err() {
            // The writer ended; it says why.
            break;
        }
    }
    if bytes == 0 {
        return Err(Error::bad_request("", "the body is empty: send a zip, or a picture with ?class="));
    }
    Ok(())
}

/// `GET export`: all samples as a zip of the folder that `dataset export` writes.
pub(super) async fn export(State(api): State<Api>) -> Response {
    let Ok(permit) = Arc::clone(&api.transfers).try_acquire_owned() else {
        return refuse(Code::Busy, "another upload or download is under way")
            .with_status(503)
            .into_response();
    };
    let folder = match written(&api).await {
        Ok(folder) => folder,
        Err(answer) => return answer.into_response(),
    };
    let (sender, pieces) = mpsc::channel(4);
    tokio::task::spawn_blocking(move || {
        let result = zip(&folder, Sender { pieces: sender, buffer: Vec::new() });
        if let Err(error) = result {
            tracing::warn!(%error, "an export was not sent whole");
        }
    });
    let head = [
        (CONTENT_TYPE, "application/zip"),
        (CACHE_CONTROL, "no-store"),
        (CONTENT_DISPOSITION, "attachment; filename=\"graft-dataset.zip\""),
    ];
    (head, Pieces::body(pieces, Some(permit))).into_response()
}

/// Has the daemon export into a folder of its own, and waits.
async fn written(api: &Api) -> Result<Passing, Answer> {
    let name = fresh().map_err(|error| Answer::error(&error))?;
    let folder = Passing(Some(api.backend.state.join("exports").join(&name)));
    let answer = api.command(&Command::Dataset(Dataset::Export { path: Some(name) })).await;
    let reply: Option<Reply> = serde_json::from_slice(&answer.body).ok();
    let Some(job) = reply.and_then(|reply| reply.job) else { return Err(answer) };
    loop {
        let answer = api.view(View::Job(job.clone())).await;
        let told: Value = serde_json::from_slice(&answer.body).unwrap_or_default();
        match serde_json::from_value(told["status"].clone()) {
            Ok(JobStatus::Successful) => return Ok(folder),
            Ok(JobStatus::Init | JobStatus::Executing) => sleep(POLL).await,
            _ => {
                let error = serde_json::from_value(told["error"].clone());
                let error = error.unwrap_or_else(|_| Error::internal(format!("the export failed: {told}")));
                return Err(Answer::error(&error));
            }
        }
    }
}

/// Sends what is written to it, in pieces of some size.
struct Sender {
    pieces: mpsc::Sender<Bytes>,
    buffer: Vec<u8>,
}

const PIECE: usize = 64 << 10;

impl Write for Sender {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.buffer.extend_from_slice(bytes);
        if self.buffer.len() >= PIECE {
            self.flush()?;
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        let piece = std::mem::take(&mut self.buffer);
        let gone = |_| io::Error::new(io::ErrorKind::BrokenPipe, "nobody reads it any more");
        if piece.is_empty() { Ok(()) } else { self.pieces.blocking_send(piece.into()).map_err(gone) }
    }
}

/// The files of a folder as a zip. Pictures are not compressed a second time.
fn zip(folder: &Passing, sender: Sender) -> io::Result<()> {
    let Some(root) = &folder.0 else { return Ok(()) };
    let mut writer = zip::ZipWriter::new_stream(sender);
    let options = zip::write::SimpleFileOptions::default().compression_method(zip::CompressionMethod::Stored);
    let mut folders = vec![PathBuf::new()];
    while let Some(inside) = folders.pop() {
        let mut entries: Vec<_> = fs::read_dir(root.join(&inside))?.collect::<Result<_, _>>()?;
        entries.sort_by_key(fs::DirEntry::file_name);
        for entry in entries {
            let path = inside.join(entry.file_name());
            if entry.file_type()?.is_dir() {
                folders.push(path);
                continue;
            }
            writer.start_file(path.to_string_lossy(), options)?;
            io::copy(&mut fs::File::open(entry.path())?, &mut writer)?;
        }
    }
    writer.finish()?.into_inner().flush()
}
