//! The client of the command socket: blocking calls.

use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use graft_wire::Error;
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::client::conn::http1;
use hyper::{Method, Request, Response};
use hyper_util::rt::TokioIo;
use serde_json::Value;
use tokio::net::UnixStream;
use tokio::runtime::{Builder, Runtime};
use tokio::time::timeout;

/// Longer than the daemon takes to give up on an answer.
const WAIT: Duration = Duration::from_secs(75);
const MAX_JSON: usize = 32 << 20;
const MAX_FILE: usize = 1 << 30;
const MAX_LINE: usize = 1 << 20;

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// The daemon cannot be reached.
    #[error("the daemon cannot be reached at {socket}: {reason}", socket = .socket.display())]
    Unreachable {
        /// The socket that was tried.
        socket: PathBuf,
        /// What is wrong and what to do.
        reason: String,
    },
    /// The daemon refused the request.
    #[error("{error} ({code})", code = .error.code)]
    Refused {
        /// HTTP status.
        status: u16,
        /// The error, as on MQTT.
        error: Error,
        /// The whole reply.
        reply: Value,
    },
    /// The connection broke, or the answer cannot be read.
    #[error("the conversation with the daemon failed: {0}")]
    Broken(String),
    /// No answer in time.
    #[error("the daemon did not answer within {} s", .0.as_secs())]
    TimedOut(Duration),
}

/// Client of one daemon. Must not be used inside an async runtime: every call blocks.
#[derive(Clone, Debug)]
pub struct Client {
    socket: PathBuf,
    wait: Duration,
}

impl Client {
    /// A client for the daemon at `socket`; nothing is connected yet.
    pub fn new(socket: impl Into<PathBuf>) -> Self {
        Self { socket: socket.into(), wait: WAIT }
    }

    /// The path of the socket.
    pub fn socket(&self) -> &Path {
        &self.socket
    }

    /// Sends a command, the same as on MQTT, and returns the reply (`status` is `ok` or `accepted`). A body
    /// that is a JSON string is sent as a bare word.
    ///
    /// # Errors
    /// See [`ClientError`]; a reply with `status: error` is [`ClientError::Refused`].
    pub fn command(&self, op: &str, body: &Value) -> Result<Value, ClientError> {
        let body = match body {
            Value::String(word) => word.clone().into_bytes(),
            body => body.to_string().into_bytes(),
        };
        let path = format!("/v1/cmd/{}", encode(op));
        let bytes = self.collect(Method::POST, &path, body.into(), MAX_JSON)?;
        parse(&bytes)
    }

    /// Looks at a path such as `/v1/status`.
    ///
    /// # Errors
    /// See [`ClientError`].
    pub fn get(&self, path: &str) -> Result<Value, ClientError> {
        parse(&self.collect(Method::GET, path, Bytes::new(), MAX_JSON)?)
    }

    /// Fetches a file, such as `/v1/heads/active/file` with `format`.
    ///
    /// # Errors
    /// See [`ClientError`].
    pub fn get_bytes(&self, path: &str, query: &[(&str, &str)]) -> Result<Bytes, ClientError> {
        self.collect(Method::GET, &with_query(path, query), Bytes::new(), MAX_FILE)
    }

    /// Calls `line` with each line of `/v1/watch` until it returns false or the daemon ends.
    ///
    /// # Errors
    /// See [`ClientError`]; the end of the daemon is not one.
    pub fn watch(&self, mut line: impl FnMut(&str) -> bool) -> Result<(), ClientError> {
        self.runtime()?.block_on(async {
            let mut response = self.send(Method::GET, "/v1/watch", Bytes::new()).await?;
            let mut text = BytesMut::new();
            while let Some(frame) = response.body_mut().frame().await {
                let Ok(Ok(piece)) = frame.map(|frame| frame.into_data()) else { return Ok(()) };
                text.extend_from_slice(&piece);
                while let Some(end) = text.iter().position(|byte| *byte == b'\n') {
                    let whole = text.split_to(end + 1);
                    if !line(String::from_utf8_lossy(&whole).trim_end()) {
                        return Ok(());
                    }
                }
                if text.len() > MAX_LINE {
                    return Err(ClientError::Broken("a line is longer than 1 MiB".into()));
                }
            }
            Ok(())
        })
    }

    fn collect(&self, method: Method, path: &str, body: Bytes, most: usize) -> Result<Bytes, ClientError> {
        self.runtime()?.block_on(async {
            timeout(self.wait, async {
                let response = self.send(method, path, body).await?;
                read(response, most).await
            })
            .await
            .unwrap_or(Err(ClientError::TimedOut(self.wait)))
        })
    }

    /// The response, if it is a good one; a bad one as the error it is.
    async fn send(&self, method: Method, path: &str, body: Bytes) -> Result<Response<Incoming>, ClientError> {
        let stream = UnixStream::connect(&self.socket).await.map_err(|error| self.unreachable(&error))?;
        let broken = |error: hyper::Error| ClientError::Broken(error.to_string());
        let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await.map_err(broken)?;
        tokio::spawn(connection);
        let request = Request::builder()
            .method(method)
            .uri(path)
            .header("host", "graft")
            .body(Full::new(body))
            .map_err(|error| ClientError::Broken(error.to_string()))?;
        let response = sender.send_request(request).await.map_err(broken)?;
        if response.status().is_success() { Ok(response) } else { Err(refusal(response).await) }
    }

    fn runtime(&self) -> Result<Runtime, ClientError> {
        Builder::new_current_thread()
            .enable_all()
            .build()
            .map_err(|error| ClientError::Broken(format!("no runtime: {error}")))
    }

    fn unreachable(&self, error: &io::Error) -> ClientError {
        let reason = match error.kind() {
            io::ErrorKind::NotFound => {
                "there is no such socket. Is the daemon running? Start it with `systemctl start graft` or \
                 `graft run`, or name its socket with --socket"
                    .into()
            }
            io::ErrorKind::PermissionDenied => {
                "you may not use it. Join the group of the socket with `sudo usermod -aG graft $USER` and log in \
                 again, or use sudo"
                    .into()
            }
            io::ErrorKind::ConnectionRefused => {
                "nobody answers: the daemon ended without removing it. Start it with `systemctl start graft` or \
                 `graft run`"
                    .into()
            }
            _ => error.to_string(),
        };
        ClientError::Unreachable { socket: self.socket.clone(), reason }
    }
}

async fn read(mut response: Response<Incoming>, most: usize) -> Result<Bytes, ClientError> {
    let mut bytes = BytesMut::new();
    while let Some(frame) = response.body_mut().frame().await {
        let frame = frame.map_err(|error| ClientError::Broken(error.to_string()))?;
        let Ok(piece) = frame.into_data() else { continue };
        if bytes.len() + piece.len() > most {
            return Err(ClientError::Broken(format!("the answer is longer than {most} bytes")));
        }
        bytes.extend_from_slice(&piece);
    }
    Ok(bytes.freeze())
}

async fn refusal(response: Response<Incoming>) -> ClientError {
    let status = response.status().as_u16();
    let reply = match read(response, MAX_JSON).await.and_then(|bytes| parse(&bytes)) {
        Ok(reply) => reply,
        Err(error) => return ClientError::Broken(format!("status {status}, and then {error}")),
    };
    // A daemon of a later version may have codes that are not known here.
    let unknown = |_| Error::internal(format!("the daemon answered with status {status}: {reply}"));
    let error = serde_json::from_value(reply["error"].clone()).unwrap_or_else(unknown);
    ClientError::Refused { status, error, reply }
}

fn parse(bytes: &[u8]) -> Result<Value, ClientError> {
    serde_json::from_slice(bytes)
        .map_err(|error| ClientError::Broken(format!("the answer is not JSON: {error}")))
}

fn with_query(path: &str, query: &[(&str, &str)]) -> String {
    let pairs: Vec<_> =
        query.iter().map(|(key, value)| format!("{}={}", encode(key), encode(value))).collect();
    if pairs.is_empty() { path.to_owned() } else { format!("{path}?{}", pairs.join("&")) }
}

/// Percent-encodes everything that is not a letter, digit or one of `-_.~`, for a part of a path or query.
pub fn encode(text: &str) -> String {
    text.bytes().fold(String::with_capacity(text.len()), |mut out, byte| {
        if byte.is_ascii_alphanumeric() || b"-_.~".contains(&byte) {
            out.push(char::from(byte));
        } else {
            out.push_str(&format!("%{byte:02X}"));
        }
        out
    })
}
