//! Sends to a training host what it lacks, over HTTP: by digest, in pieces, at a bounded rate. Only the client; what is sent,
//! when, and whether at all is the daemon's. How the host answers is in docs/reference/offload.md.

use graft_base::http::agent;
use graft_wire::offload::{Blob, hex_of};
use serde::Deserialize;
use std::io::Read;
use std::ops::ControlFlow;
use std::path::Path;
use std::time::{Duration, Instant};
use ureq::Agent;

/// Bytes of one request at most; a broken transfer goes on where the host's copy ends.
const PIECE: usize = 1 << 20;
/// Largest answer that is read.
const MOST_ANSWER: u64 = 16 << 20;

/// Where to send, and how.
#[derive(Clone, Debug)]
pub struct Peer<'a> {
    /// The address of its claim.
    pub url: &'a str,
    /// The token of its claim.
    pub token: &'a str,
    /// Certificates (PEM) that it is checked against; `None`: those of the public authorities.
    pub ca_file: Option<&'a Path>,
    /// Bytes a second; 0: no bound.
    pub rate: u64,
}

/// Why a transfer ended early.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PushError {
    /// The network, or the host for now: try again.
    #[error("{0}")]
    Broke(String),
    /// The host will not have it.
    #[error("the host refuses: {0}")]
    Refused(String),
    /// A file is not here any more.
    #[error("{0}")]
    Gone(String),
    /// The caller ended it.
    #[error("ended")]
    Ended,
}

/// Sends the list of files of a job, then every file of it that the host lacks. `read` gives the bytes of a file, `progress`
/// gets bytes done and in all and may end it.
///
/// # Errors
/// See [`PushError`]. What the host has got stays there.
pub fn push(
    peer: &Peer<'_>,
    job: &str,
    dataset: &[u8],
    blobs: &[Blob],
    read: &mut dyn FnMut(&Blob) -> Result<Vec<u8>, String>,
    progress: &mut dyn FnMut(u64, u64) -> ControlFlow<()>,
) -> Result<(), PushError> {
    #[derive(Deserialize)]
    struct Missing {
        missing: Vec<String>,
    }
    let agent = agent(peer.url, peer.ca_file, true).map_err(PushError::Broke)?;
    let mut pusher = Pusher { agent, peer, bucket: Bucket::new(peer.rate) };
    let text = pusher.put(&format!("/v1/jobs/{job}/manifest"), None, dataset)?;
    let missing: Missing = serde_json::from_str(&text)
        .map_err(|e| PushError::Broke(format!("the host's list of missing files cannot be read: {e}")))?;
    let lacks = |blob: &&Blob| missing.missing.iter().any(|m| hex_of(m) == blob.hex());
    let lacking: Vec<&Blob> = blobs.iter().filter(lacks).collect();
    let total = lacking.iter().map(|blob| blob.size).sum();
    let mut done = 0;
    for blob in lacking {
        let before = done;
        pusher.blob(blob, read, &mut |of_it| progress(before + of_it, total))?;
        done += blob.size;
    }
    if progress(done, total).is_break() { Err(PushError::Ended) } else { Ok(()) }
}

struct Pusher<'a> {
    agent: Agent,
    peer: &'a Peer<'a>,
    bucket: Bucket,
}

impl Pusher<'_> {
    fn blob(
        &mut self,
        blob: &Blob,
        read: &mut dyn FnMut(&Blob) -> Result<Vec<u8>, String>,
        progress: &mut dyn FnMut(u64) -> ControlFlow<()>,
    ) -> Result<(), PushError> {
        let path = format!("/v1/blobs/{}", blob.hex());
        let bytes = read(blob).map_err(PushError::Gone)?;
        let total = bytes.len();
        let mut at = usize::try_from(self.received(&path)?).unwrap_or(0);
        // A copy that is longer than the file is none of it.
        if at > total {
            at = 0;
        }
        while at < total {
            if progress(at as u64).is_break() {
                return Err(PushError::Ended);
            }
            let end = total.min(at + self.bucket.piece());
            let piece = bytes.get(at..end).unwrap_or_default();
            self.bucket.wait(piece.len());
            let range = format!("bytes {at}-{}/{total}", end - 1);
            // A file that did not arrive as it left is none of the host's fault: it is sent again.
            self.put(&path, Some(range), piece).map_err(|error| match error {
                PushError::Refused(why) if why.starts_with("422") => PushError::Broke(why),
                other => other,
            })?;
            at = end;
        }
        Ok(())
    }

    /// How much of a file the host has.
    fn received(&self, path: &str) -> Result<u64, PushError> {
        let request = self.agent.head(format!("{}{path}", self.peer.url.trim_end_matches('/')));
        let response = request.header("Authorization", self.bearer()).call().map_err(broke)?;
        match response.status().as_u16() {
            200 => {
                let offset = response.headers().get("Upload-Offset").and_then(|value| value.to_str().ok());
                Ok(offset.and_then(|offset| offset.parse().ok()).unwrap_or(0))
            }
            status => Err(refused(status, String::new())),
        }
    }

    fn put(&self, path: &str, range: Option<String>, body: &[u8]) -> Result<String, PushError> {
        let url = format!("{}{path}", self.peer.url.trim_end_matches('/'));
        let mut request = self.agent.put(url).header("Authorization", self.bearer());
        if let Some(range) = range {
            request = request.header("Content-Range", range);
        }
        let mut response = request.send(body).map_err(broke)?;
        let mut text = String::new();
        let read = response.body_mut().as_reader().take(MOST_ANSWER).read_to_string(&mut text);
        read.map_err(|e| PushError::Broke(e.to_string()))?;
        match response.status().as_u16() {
            200..=299 => Ok(text),
            status => Err(refused(status, text)),
        }
    }

    fn bearer(&self) -> String {
        format!("Bearer {}", self.peer.token)
    }
}

fn broke(error: ureq::Error) -> PushError {
    PushError::Broke(error.to_string())
}

/// What a status means: a busy or broken host may do better later, a refusal stays one.
fn refused(status: u16, text: String) -> PushError {
    let text: String = text.chars().filter(|c| !c.is_control()).take(200).collect();
    let text = format!("{status} {text}").trim_end().to_owned();
    match status {
        // A piece that does not fit what is there: the next try asks how much that is.
        408 | 409 | 416 | 425 | 429 | 500..=599 => PushError::Broke(text),
        _ => PushError::Refused(text),
    }
}

/// Lets so many bytes a second through.
struct Bucket {
    rate: u64,
    free_at: Instant,
}

impl Bucket {
    fn new(rate: u64) -> Self {
        Self { rate, free_at: Instant::now() }
    }

    /// Pieces are small enough that the rate holds within a second.
    fn piece(&self) -> usize {
        if self.rate == 0 { PIECE } else { PIECE.min(usize::try_from(self.rate).unwrap_or(PIECE)).max(4096) }
    }

    fn wait(&mut self, bytes: usize) {
        if self.rate == 0 {
            return;
        }
        let now = Instant::now();
        std::thread::sleep(self.free_at.saturating_duration_since(now));
        self.free_at = self.free_at.max(now) + Duration::from_secs_f64(bytes as f64 / self.rate as f64);
    }
}
