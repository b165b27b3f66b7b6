//! The page's interface on TCP, of the real daemon: what it gives, and whom it refuses.

mod attacks;
mod samples;

use crate::support::{Board, PATIENCE};
use serde_json::{Value, json};
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::time::Instant;

/// What a page answers.
#[derive(Debug)]
struct Answer {
    status: u16,
    head: String,
    body: Vec<u8>,
}

impl Answer {
    fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|e| panic!("{e}: {self:?}"))
    }

    /// The value of a header.
    fn header(&self, name: &str) -> Option<&str> {
        let line = self.head.lines().find(|line| line.to_lowercase().starts_with(&format!("{name}:")))?;
        Some(line.split_once(':')?.1.trim())
    }

    /// Status and code of a refusal.
    fn refusal(&self) -> (u16, String) {
        let error = self.json();
        assert_eq!(error["status"], "error", "{error}");
        assert!(error["error"]["message"].as_str().is_some_and(|text| text.len() > 10), "{error}");
        (self.status, error["error"]["code"].as_str().unwrap().to_owned())
    }
}

/// A board with a page.
struct Page {
    board: Board,
    port: u16,
}

impl Page {
    /// One that is set further by `set` before it starts.
    fn start(set: impl FnOnce(&mut Board)) -> Self {
        let mut board = Board::new();
        let port = free_port();
        board.set("web.listen", &format!("127.0.0.1:{port}"));
        set(&mut board);
        board.start();
        let page = Self { board, port };
        let begun = Instant::now();
        while page.try_ask("GET", "/healthz", &[], b"").is_none() {
            assert!(begun.elapsed() < PATIENCE, "no page");
            std::thread::sleep(std::time::Duration::from_millis(50));
        }
        page
    }

    fn connect(&self, method: &str, path: &str, headers: &[(&str, &str)], body: &[u8]) -> Option<TcpStream> {
        let mut stream = TcpStream::connect(("127.0.0.1", self.port)).ok()?;
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        // HTTP/1.0: the end of the answer is the end of the connection.
        let mut head = format!("{method} {path} HTTP/1.0\r\nContent-Length: {}\r\n", body.len());
        if !headers.iter().any(|(name, _)| *name == "Host") {
            head += &format!("Host: 127.0.0.1:{}\r\n", self.port);
        }
        for (name, value) in headers {
            head += &format!("{name}: {value}\r\n");
        }
        stream.write_all(format!("{head}\r\n").as_bytes()).ok()?;
        // It may have refused by now.
        let _ = stream.write_all(body);
        Some(stream)
    }

    fn try_ask(&self, method: &str, path: &str, headers: &[(&str, &str)], body: &[u8]) -> Option<Answer> {
        let mut stream = self.connect(method, path, headers, body)?;
        let mut bytes = Vec::new();
        let read = stream.read_to_end(&mut bytes);
        let end = bytes.windows(4).position(|four| four == b"\r\n\r\n");
        let end = end.or_else(|| panic!("{method} {path}: {read:?} {}", String::from_utf8_lossy(&bytes)))?;
        let head = String::from_utf8_lossy(&bytes[..end]).into_owned();
        let status = head.split(' ').nth(1)?.parse().ok()?;
        Some(Answer { status, head, body: bytes[end + 4..].to_vec() })
    }

    fn ask(&self, method: &str, path: &str, headers: &[(&str, &str)], body: &[u8]) -> Answer {
        self.try_ask(method, path, headers, body).unwrap()
    }

    fn get(&self, path: &str) -> Answer {
        self.ask("GET", &format!("/api/v1/{path}"), &[], b"")
    }

    /// Looks at something that is there.
    fn see(&self, path: &str) -> Value {
        let answer = self.get(path);
        assert_eq!(answer.status, 200, "{path}: {answer:?}");
        answer.json()
    }

    fn post(&self, path: &str, body: &[u8]) -> Answer {
        self.ask("POST", &format!("/api/v1/{path}"), &[("X-Graft", "1")], body)
    }

    /// A command that has to succeed.
    fn order(&self, op: &str, body: Value) -> Value {
        let answer = self.post(&format!("cmd/{op}"), body.to_string().as_bytes());
        assert!(answer.status < 300, "{op} {body}: {answer:?}");
        answer.json()
    }

    /// Waits until a view says so.
    fn until(&self, path: &str, wanted: impl Fn(&Value) -> bool) -> Value {
        let begun = Instant::now();
        loop {
            let seen = self.see(path);
            if wanted(&seen) {
                return seen;
            }
            assert!(begun.elapsed() < PATIENCE, "{path}: {seen:#}\n{}", self.board.log());
            std::thread::sleep(std::time::Duration::from_millis(50));
        }
    }

    /// Waits for the end of a job.
    fn ended(&self, job: &str) -> Value {
        let over = |job: &Value| !matches!(job["status"].as_str(), Some("init" | "executing"));
        self.until(&format!("jobs/{job}"), over)
    }

    /// Frames that can be labelled and have no label yet, oldest first.
    fn frames(&self, most: usize) -> Vec<u64> {
        let free = |seen: &Value| -> Vec<u64> {
            let frames = seen["frames"].as_array().unwrap().iter();
            frames.filter(|f| f["sample"].is_null()).map(|f| f["frame"].as_u64().unwrap()).collect()
        };
        let seen = self.until("ring", |seen| free(seen).len() >= most);
        let frames = free(&seen);
        frames[frames.len() - most..].to_vec()
    }

    /// Labels frames as one burst; the samples.
    fn burst(&self, class: &str, burst: &str, frames: &[u64]) -> Vec<i64> {
        let label = |frame: &u64| {
            let set = json!({"action": "set", "class": class, "frame": frame, "burst": burst});
            self.order("label", set)["data"]["sample"].as_i64().unwrap()
        };
        frames.iter().map(label).collect()
    }
}

fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

/// Reads from a stream until `wanted` is in it.
fn read_until(stream: &mut TcpStream, bytes: &mut Vec<u8>, wanted: impl Fn(&[u8]) -> bool) {
    let mut piece = [0u8; 16 << 10];
    while !wanted(bytes) {
        let n = stream.read(&mut piece).unwrap();
        assert!(n > 0, "it ended: {}", String::from_utf8_lossy(bytes));
        bytes.extend_from_slice(&piece[..n]);
    }
}

fn count(bytes: &[u8], wanted: &[u8]) -> usize {
    bytes.windows(wanted.len()).filter(|part| *part == wanted).count()
}

#[test]
fn the_page_and_its_interface_are_served_and_say_what_browsers_may_do() {
    let page = Page::start(|_| {});
    let index = page.ask("GET", "/", &[], b"");
    assert_eq!((index.status, index.header("content-type")), (200, Some("text/html; charset=utf-8")));
    for (name, value) in [
        ("x-content-type-options", "nosniff"),
        ("x-frame-options", "DENY"),
        ("referrer-policy", "no-referrer"),
        ("cross-origin-resource-policy", "same-origin"),
    ] {
        assert_eq!(index.header(name), Some(value), "{}", index.head);
    }
    let policy = index.header("content-security-policy").unwrap();
    assert!(policy.contains("default-src 'self'") && policy.contains("frame-ancestors 'none'"), "{policy}");
    assert!(!policy.contains("unsafe") && index.header("access-control-allow-origin").is_none());
    assert_eq!(page.ask("GET", "/teach", &[], b"").body, index.body, "a view of the page is the page");
    // What the page names is there, and is kept by browsers for ever.
    let text = String::from_utf8(index.body.clone()).unwrap();
    for asset in text.split('"').filter(|word| word.starts_with("/assets/")) {
        let file = page.ask("GET", asset, &[], b"");
        assert_eq!(file.status, 200, "{asset}");
        assert!(file.header("cache-control").unwrap().contains("immutable"), "{}", file.head);
    }
    assert_eq!(page.see("status")["device"], "board");
    assert_eq!(page.get("nothing").refusal(), (404, "not_found".into()));
    assert_eq!(page.ask("GET", "/assets/none.js", &[], b"").status, 404);
    let session = page.see("session");
    assert_eq!((&session["role"], &session["login"]), (&json!("admin"), &json!(false)), "{session}");
    let doctor = page.see("doctor");
    assert!(doctor["findings"].as_array().is_some_and(|f| f.len() > 4), "{doctor}");
    assert!(page.board.log().contains(&format!("http://127.0.0.1:{}/", page.port)), "{}", page.board.log());
}

#[test]
fn a_default_port_that_is_taken_is_no_fault_and_one_that_was_asked_for_is() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let at = taken.local_addr().unwrap().to_string();
    let mut board = Board::new();
    board.set("web.listen", &at);
    let output = board.run_to_its_end();
    assert_eq!(output.status.code(), Some(78), "{output:?}");
    assert!(String::from_utf8_lossy(&output.stderr).contains("web.listen"), "{output:?}");
}

#[test]
fn whoever_watches_is_told_how_it_is_and_then_what_happens() {
    let page = Page::start(|_| {});
    let mut stream = page.connect("GET", "/api/v1/events", &[], b"").unwrap();
    let mut bytes = Vec::new();
    read_until(&mut stream, &mut bytes, |bytes| count(bytes, b"event: prediction\n") >= 3);
    let text = String::from_utf8(bytes).unwrap();
    let (head, body) = text.split_once("\r\n\r\n").unwrap();
    assert!(head.to_lowercase().contains("content-type: text/event-stream"), "{head}");
    let events: Vec<(&str, Value)> = body
        .split("\n\n")
        .filter_map(|event| event.strip_prefix("event: ")?.split_once("\ndata: "))
        .filter_map(|(kind, data)| Some((kind, serde_json::from_str(data).ok()?)))
        .collect();
    let kinds: Vec<&str> = events.iter().map(|(kind, _)| *kind).collect();
    assert_eq!(kinds[..2], ["state", "label"], "{kinds:?}");
    assert_eq!((&events[0].1["wanted"], &events[1].1), (&json!("infer"), &json!("none")), "{events:?}");
    let prediction = events.iter().find(|(kind, _)| *kind == "prediction").unwrap();
    assert_eq!(prediction.1["why"], "no_head", "{events:?}");
}

#[test]
fn the_whole_picture_is_shown_to_four_and_to_one_more_when_one_goes() {
    let page = Page::start(|board| {
        board.set("camera.width", "1280");
        board.set("camera.height", "720");
        board.set("backbone.crop", "center");
    });
    let view = page.until("view", |view| view["frame"].is_object());
    assert_eq!((&view["frame"]["width"], &view["frame"]["height"]), (&json!(1280), &json!(720)), "{view}");
    assert!((0.3..0.6).contains(&view["part"].as_f64().unwrap()), "{view}");
    assert_eq!((&view["crop"], &view["region"]), (&json!("center"), &json!(null)));
    let mut viewers: Vec<TcpStream> =
        (0..4).map(|_| page.connect("GET", "/api/v1/stream", &[], b"").unwrap()).collect();
    let mut bytes = Vec::new();
    for viewer in &mut viewers {
        bytes.clear();
        read_until(viewer, &mut bytes, |bytes| count(bytes, b"\r\n--frame\r\n") >= 3);
    }
    let start = bytes.windows(2).position(|two| two == [0xff, 0xd8]).unwrap();
    let picture = graft_camera::decode_image(&bytes[start..]).unwrap();
    assert_eq!((picture.width, picture.height), (640, 360));
    assert_eq!(page.get("stream").refusal(), (503, "busy".into()));
    viewers.pop();
    let begun = Instant::now();
    loop {
        let mut late = page.connect("GET", "/api/v1/stream", &[], b"").unwrap();
        bytes.clear();
        read_until(&mut late, &mut bytes, |bytes| count(bytes, b"\r\n\r\n") >= 1);
        if bytes.starts_with(b"HTTP/1.0 200") {
            break;
        }
        assert!(begun.elapsed() < PATIENCE, "the place does not become free");
        std::thread::sleep(std::time::Duration::from_millis(100));
    }
}
