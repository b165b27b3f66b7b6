//! The real socket with a scripted daemon behind it.

mod sockets;
mod watching;

use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use graft_wire::{Code, Error};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::UnixStream;
use tokio::sync::{broadcast, mpsc, oneshot};
use tokio::task::JoinHandle;
use tokio::time::timeout;

use super::client::{Client, ClientError, encode};
use super::limits::Limits;
use super::serve::serve_with;
use super::*;

const LONG: Duration = Duration::from_secs(30);

/// A served socket. What was asked is noted; the answers are made up.
struct Bench {
    dir: TempDir,
    asked: Arc<Mutex<Vec<String>>>,
    watch: broadcast::Sender<String>,
    stop: Option<oneshot::Sender<()>>,
    serving: JoinHandle<()>,
}

impl Bench {
    fn start() -> Self {
        Self::start_with(Limits::default())
    }

    fn start_with(limits: Limits) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let listener = listen(&dir.path().join("s")).unwrap();
        let (requests, inbox) = mpsc::channel(8);
        let (watch, _) = broadcast::channel(16);
        let (stop, stopped) = oneshot::channel::<()>();
        let asked = Arc::new(Mutex::new(Vec::new()));
        tokio::spawn(daemon(inbox, Arc::clone(&asked)));
        let shutdown = async {
            let _ = stopped.await;
        };
        let backend =
            Backend { requests, watch: watch.clone(), preview: Arc::default(), state: dir.path().into() };
        let serving = tokio::spawn(serve_with(listener, backend, shutdown, limits));
        Self { dir, asked, watch, stop: Some(stop), serving }
    }

    fn socket(&self) -> PathBuf {
        self.dir.path().join("s")
    }

    /// Runs a blocking conversation beside the server.
    async fn talk<T: Send + 'static>(&self, what: impl FnOnce(Client) -> T + Send + 'static) -> T {
        let client = Client::new(self.socket());
        timeout(LONG, tokio::task::spawn_blocking(move || what(client))).await.expect("too slow").unwrap()
    }

    /// Sends bytes as they are; what comes back until the server closes.
    async fn raw(&self, request: &[u8]) -> String {
        let mut stream = UnixStream::connect(self.socket()).await.unwrap();
        let mut text = String::new();
        // The server may have enough before it read everything.
        let _ = stream.write_all(request).await;
        let _ = timeout(LONG, stream.read_to_string(&mut text)).await.expect("the server does not close");
        text
    }

    fn asked(&self) -> Vec<String> {
        std::mem::take(&mut self.asked.lock().unwrap())
    }
}

async fn daemon(mut inbox: mpsc::Receiver<Request>, asked: Arc<Mutex<Vec<String>>>) {
    while let Some(request) = inbox.recv().await {
        match request {
            Request::Command { op, body, by, reply } => {
                asked.lock().unwrap().push(format!("{op} {} {by:?}", String::from_utf8_lossy(&body)));
                let answer = match op.as_str() {
                    "train" => Answer::json_with(202, &json!({"status": "accepted", "job": "j1"})),
                    "head" => Answer::error(&Error::new(Code::Busy, "job j1 is running")),
                    // Dropped instead of sent.
                    "die" => continue,
                    "hang" => {
                        tokio::spawn(async move {
                            tokio::time::sleep(LONG).await;
                            drop(reply);
                        });
                        continue;
                    }
                    _ => Answer::json(&json!({"status": "ok"})),
                };
                reply.send(answer).unwrap();
            }
            Request::View { view, reply } => {
                asked.lock().unwrap().push(format!("{view:?}"));
                let answer = match view {
                    View::Frame | View::SampleImage(_) => Answer::bytes("image/jpeg", vec![0xff, 0xd8, 0xff]),
                    View::HeadFile { .. } => Answer::bytes("application/octet-stream", vec![7; 3 << 20]),
                    View::Job(id) => Answer::error(&Error::new(Code::NotFound, format!("no job {id}"))),
                    view => Answer::json(&json!({"view": format!("{view:?}")})),
                };
                reply.send(answer).unwrap();
            }
        }
    }
}

fn refusal(result: Result<impl std::fmt::Debug, ClientError>) -> (u16, String, String) {
    match result.unwrap_err() {
        ClientError::Refused { status, error: Error { code, message, .. }, reply } => {
            assert_eq!(reply["error"]["code"], code.as_str());
            assert!(
                reply["error"]["message"].is_string() && reply["error"]["retryable"].is_boolean(),
                "{reply}"
            );
            (status, code.to_string(), message)
        }
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn every_view_has_its_path() {
    let bench = Bench::start();
    let paths = [
        ("/v1/status", "Status"),
        ("/v1/dataset", "Dataset"),
        ("/v1/dataset/statistics", "Statistics"),
        ("/v1/samples", "Samples { class: None, limit: 50, offset: 0 }"),
        (
            "/v1/samples?class=o%20k%2F%C3%A4&limit=7&offset=9",
            "Samples { class: Some(\"o k/ä\"), limit: 7, offset: 9 }",
        ),
        ("/v1/samples?class=", "Samples { class: None, limit: 50, offset: 0 }"),
        ("/v1/heads", "Heads"),
        ("/v1/heads/12", "Head(12)"),
        ("/v1/config", "Config"),
        ("/v1/jobs", "Jobs"),
    ];
    bench
        .talk(move |client| {
            for (path, view) in paths {
                assert_eq!(client.get(path).unwrap(), json!({"view": view}), "{path}");
            }
            assert_eq!(client.get("/healthz").unwrap(), json!({"status": "ok"}));
            assert_eq!(client.get_bytes("/v1/frame", &[]).unwrap()[..], [0xff, 0xd8, 0xff]);
            assert_eq!(client.get_bytes("/v1/samples/-3/image", &[]).unwrap().len(), 3);
            assert_eq!(client.get_bytes("/v1/heads/active/file", &[]).unwrap(), vec![7; 3 << 20]);
            let format = [("format", "merged-onnx")];
            assert_eq!(client.get_bytes("/v1/heads/4/file", &format).unwrap().len(), 3 << 20);
            let class = client.get("/v1/samples?class=a%26b%3Dc%20d").unwrap();
            assert!(class["view"].as_str().unwrap().contains("Some(\"a&b=c d\")"), "{class}");
            let (status, code, message) = refusal(client.get("/v1/jobs/j%2F7"));
            assert_eq!((status, code.as_str(), message.as_str()), (404, "not_found", "no job j/7"));
        })
        .await;
    let files: Vec<_> = bench.asked().into_iter().filter(|text| text.starts_with("HeadFile")).collect();
    assert_eq!(
        files,
        [
            "HeadFile { version: None, format: \"safetensors\" }",
            "HeadFile { version: Some(4), format: \"merged-onnx\" }"
        ]
    );
}

#[tokio::test]
async fn commands_are_the_same_as_on_mqtt() {
    let bench = Bench::start();
    bench
        .talk(|client| {
            assert_eq!(client.command("mode", &json!("adapt")).unwrap(), json!({"status": "ok"}));
            let reply = client.command("train", &json!({"action": "start"})).unwrap();
            assert_eq!(reply["job"], "j1");
            let (status, code, message) = refusal(client.command("head", &json!({"action": "publish"})));
            assert_eq!((status, code.as_str(), message.as_str()), (409, "busy", "job j1 is running"));
            let (status, ..) = refusal(client.command("die", &Value::Null));
            assert_eq!(status, 503);
        })
        .await;
    let asked = bench.asked();
    let uid = std::fs::metadata(bench.dir.path()).map(|m| std::os::unix::fs::MetadataExt::uid(&m)).unwrap();
    assert_eq!(asked[0], format!("mode adapt Some({uid})"));
    assert_eq!(asked[1], format!("train {{\"action\":\"start\"}} Some({uid})"));
}

#[tokio::test]
async fn wrong_requests_are_refused_in_the_one_shape() {
    let bench = Bench::start();
    bench
        .talk(|client| {
            for (path, status, code, word) in [
                ("/", 404, "not_found", "/v1"),
                ("/v2/status", 404, "not_found", "/v2/status"),
                ("/v1/heads/x", 404, "not_found", "\"x\""),
                ("/v1/heads/active", 404, "not_found", "active"),
                ("/v1/heads/-1/file", 404, "not_found", "-1"),
                ("/v1/heads/1/file?format=pt", 400, "bad_request", "safetensors, onnx, merged-onnx"),
                ("/v1/samples/x/image", 404, "not_found", "\"x\""),
                ("/v1/samples?limit=0", 400, "bad_request", "1 to 1000"),
                ("/v1/samples?limit=1001", 400, "bad_request", "1 to 1000"),
                ("/v1/samples?limit=many", 400, "bad_request", "limit"),
                ("/v1/samples?clas=ok", 400, "bad_request", "clas"),
                ("/v1/cmd/mode", 405, "unsupported", "POST"),
            ] {
                let (found, kind, message) = refusal(client.get(path));
                assert_eq!((found, kind.as_str()), (status, code), "{path}");
                assert!(message.contains(word), "{path}: {message}");
            }
            let (status, code, _) = refusal(client.command("../status", &Value::Null));
            assert_eq!((status, code.as_str()), (404, "not_found"));
        })
        .await;
    // A GET never becomes a command, and a view is never posted.
    assert!(bench.asked().is_empty());
    let answer = bench.raw(b"DELETE /v1/status HTTP/1.1\r\nhost: g\r\nconnection: close\r\n\r\n").await;
    assert!(answer.starts_with("HTTP/1.1 405") && answer.contains("\"unsupported\""), "{answer}");
    assert!(bench.asked().is_empty());
}

#[tokio::test]
async fn large_bodies_are_refused() {
    let bench = Bench::start();
    bench
        .talk(|client| {
            let body = Value::String("x".repeat(64 << 10));
            assert!(client.command("label", &body).is_ok());
            let body = Value::String("x".repeat((64 << 10) + 1));
            let (status, code, message) = refusal(client.command("label", &body));
            assert_eq!((status, code.as_str()), (413, "too_large"));
            assert!(message.contains("65536"), "{message}");
        })
        .await;
    // A length that is only claimed is not waited for.
    let head = b"POST /v1/cmd/label HTTP/1.1\r\nhost: g\r\nconnection: close\r\ncontent-length: 999999999999\r\n\r\n";
    let claimed = bench.raw(head).await;
    assert!(claimed.starts_with("HTTP/1.1 413"), "{claimed}");
    let long = format!("GET /{} HTTP/1.1\r\nhost: g\r\n\r\n", "a".repeat(1 << 20));
    let answer = bench.raw(long.as_bytes()).await;
    assert!(answer.is_empty() || answer.starts_with("HTTP/1.1 4"), "{answer}");
    assert_eq!(bench.asked().len(), 1);
}

#[tokio::test]
async fn slow_clients_are_cut_and_a_slow_daemon_is_told_of() {
    let short = Duration::from_millis(100);
    let bench = Bench::start_with(Limits { header: short, body: short, answer: short, ..Limits::default() });
    assert_eq!(bench.raw(b"").await, "", "an idle connection is closed");
    let answer = bench.raw(b"GET /v1/sta").await;
    assert!(answer.is_empty() || answer.starts_with("HTTP/1.1 408"), "{answer}");
    let answer = bench.raw(b"POST /v1/cmd/mode HTTP/1.1\r\nhost: g\r\ncontent-length: 9\r\n\r\nada").await;
    assert!(answer.starts_with("HTTP/1.1 408") && answer.contains("\"timeout\""), "{answer}");
    assert!(bench.asked().is_empty());
    let (status, code, _) = bench.talk(|client| refusal(client.command("hang", &Value::Null))).await;
    assert_eq!((status, code.as_str()), (504, "timeout"));
}

#[tokio::test]
async fn i19_nonsense_does_not_hurt() {
    let bench = Bench::start();
    for request in [
        &b"\0\xff\xfe\r\n\r\n"[..],
        b"GET\r\n\r\n",
        b"GET / HTTP/9.9\r\n\r\n",
        b"POST /v1/cmd/mode HTTP/1.1\r\nhost: g\r\ntransfer-encoding: chunked\r\n\r\nzz\r\n",
        b"GET /v1/samples?class=%ff%fe HTTP/1.1\r\nhost: g\r\nconnection: close\r\n\r\n",
        b"GET /v1/jobs/%ff HTTP/1.1\r\nhost: g\r\nconnection: close\r\n\r\n",
        b"POST /v1/cmd/%ff HTTP/1.1\r\nhost: g\r\nconnection: close\r\n\r\n",
    ] {
        let answer = bench.raw(request).await;
        assert!(answer.is_empty() || answer.starts_with("HTTP/1."), "{answer}");
        assert!(!answer.starts_with("HTTP/1.1 5"), "{answer}");
    }
    assert!(bench.talk(|client| client.get("/v1/status")).await.is_ok());
}

#[tokio::test]
async fn connections_are_limited_but_wait_their_turn() {
    let bench = Bench::start_with(Limits { connections: 1, ..Limits::default() });
    let holding = UnixStream::connect(bench.socket()).await.unwrap();
    let waiting = bench.talk(|client| client.get("/v1/status"));
    let freeing = async {
        for _ in 0..100 {
            tokio::task::yield_now().await;
        }
        assert!(bench.asked().is_empty());
        drop(holding);
    };
    let (status, ()) = tokio::join!(waiting, freeing);
    assert!(status.is_ok());
}

#[test]
fn parts_of_paths_are_encoded() {
    assert_eq!(encode("a b/ä?&=%"), "a%20b%2F%C3%A4%3F%26%3D%25");
    assert_eq!(encode("line-3_x.~"), "line-3_x.~");
}
