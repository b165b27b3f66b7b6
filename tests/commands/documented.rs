//! Every example of docs/reference/mqtt.md is sent to a real daemon, and the page shows the reply that came.

use crate::offload::host::{TOKEN, TestHost, made, noted, now_ms};
use crate::offload::{ended, taught};
use crate::support::{Board, PATIENCE, block_on, body, broker, operator, order};
use graft_lab::docs::{Before, Example, Facts, Replies, compare, examples, mqtt_markdown, refusals};
use graft_testing::operator::{Message, Operator};
use graft_wire::offload::Claim;
use graft_wire::{Op, Reply, timestamp};
use serde_json::{Map, Value, json};
use std::path::Path;
use std::time::Instant;

/// Seconds for which frames can be labelled: short, so that one that is too old need not be waited for long.
const RING_S: u64 = 3;

/// Who sends the examples, and brings about what they need.
struct Guide {
    board: Board,
    operator: Operator,
    host: TestHost,
    facts: Facts,
    /// Digest of the backbone that offers start from.
    base: String,
    /// Versions of backbones that the host has made.
    made: u64,
    /// The newest job.
    job: Option<String>,
}

impl Guide {
    async fn send(&mut self, op: Op, payload: &str) -> Value {
        let reply = self.operator.command_bytes(op.as_str(), payload.to_owned(), PATIENCE).await.unwrap();
        let reply: Value = serde_json::from_slice(&reply).unwrap();
        if let Some(job) = reply["job"].as_str() {
            self.job = Some(job.into());
        }
        if op == Op::Job && payload.contains("clear") && reply["status"] == "ok" {
            self.job = None;
        }
        let fact = |name: &str| reply["data"][name].as_i64();
        self.facts.sample = fact("sample").unwrap_or(self.facts.sample);
        self.facts.rev = fact("rev").unwrap_or(self.facts.rev);
        reply
    }

    /// Waits for the end of the newest job.
    fn ended(&self) {
        if let Some(job) = &self.job {
            ended(&self.board, job);
        }
    }

    /// What is offered: `offered`, `claimed`, or nothing.
    fn offer(&self) -> Option<String> {
        let status = self.board.json(&["offload", "status"]);
        status.pointer("/offered/offer/state").and_then(Value::as_str).map(str::to_owned)
    }

    /// A job that waits for hosts, and what a host would say of it.
    async fn offered(&mut self) {
        if self.offer().as_deref() != Some("offered") {
            self.ended();
            let started = self.send(Op::Offload, "start").await;
            assert_eq!(started["status"], "accepted", "{started}");
        }
        self.facts.job = self.job.clone().unwrap();
        let mut claim = Claim {
            job: self.facts.job.clone(),
            host: "gpu-1".into(),
            url: self.host.url.clone(),
            token: TOKEN.into(),
            until: timestamp::rfc3339(now_ms() + 60_000),
            key_id: String::new(),
            sig: String::new(),
        };
        claim.sign("board", &self.host.key).unwrap();
        self.facts.claim = claim;
    }

    async fn claimed(&mut self) {
        if self.offer().as_deref() == Some("claimed") {
            return;
        }
        self.offered().await;
        let claim = graft_wire::command::Offload::Claim(self.facts.claim.clone());
        let claim = graft_wire::Command::Offload(claim).to_value();
        order(&mut self.operator, "offload", claim).await;
        self.made += 1;
        let backbone = made(noted(&format!("backbone {}", self.made)));
        let job = self.facts.job.clone();
        self.facts.result = backbone.offered_by(&self.host, self.made, Some(&job), &self.base);
    }

    async fn before(&mut self, before: Before) {
        match before {
            Before::Nothing => {}
            Before::Frames => {
                // That no capture runs is no fault here.
                self.send(Op::Capture, "stop").await;
                let from = self.operator.now();
                let prediction = |m: &Message| m.topic.ends_with("/prediction");
                let told = self.operator.wait_for(from, PATIENCE, "a prediction", prediction).await.unwrap();
                self.facts.frame = body(&told)["frame"].as_u64().unwrap();
            }
            Before::Capture => {
                let started = self.send(Op::Capture, r#"{"action":"start","class":"ok"}"#).await;
                assert!(started["status"] == "ok" || started["error"]["code"] == "busy", "{started}");
            }
            Before::Late => {
                let late = 2 * 20 * RING_S;
                self.board.until("frames to be forgotten", |s| s["frame"]["id"].as_u64() > Some(late));
            }
            Before::Samples => {
                self.ended();
                let undone = self.send(Op::Label, "undo").await;
                assert_eq!(undone["status"], "ok", "{undone}");
            }
            Before::Round => {
                self.ended();
                let started = self.send(Op::Train, "start").await;
                assert_eq!(started["status"], "accepted", "{started}");
            }
            Before::Head => {
                self.ended();
                self.board.until("a head", |status| status["head"]["version"].is_u64());
            }
            Before::Offer => self.offered().await,
            Before::Claim => self.claimed().await,
            Before::Ended => {
                self.ended();
                self.facts.job = self.job.clone().unwrap_or_default();
                self.made += 1;
                let backbone = made(noted(&format!("backbone {}", self.made)));
                self.facts.fleet = backbone.offered_by(&self.host, self.made, None, &self.base);
            }
        }
    }

    /// The reply to an example. What a busy machine may spoil (a frame that is too old, a round that is over) is
    /// tried again.
    async fn reply(&mut self, example: &Example) -> Value {
        let begun = Instant::now();
        loop {
            self.before(example.before).await;
            let payload = example.body(&self.facts);
            let reply = self.send(example.op, &payload).await;
            let again = reply["error"]["code"] == "camera"
                || example.before == Before::Round && reply["status"] == "error";
            if !again {
                return shown(&reply, &payload);
            }
            assert!(begun.elapsed() < PATIENCE, "{payload}: {reply}\n{}", self.board.log());
        }
    }
}

/// A reply as the page shows it: what differs from board to board and from run to run has a placeholder.
fn shown(reply: &Value, payload: &str) -> Value {
    match reply {
        Value::Object(map) => {
            let entry = |(name, value): (&String, &Value)| (name.clone(), placeholder(name, value, payload));
            Value::Object(map.iter().map(entry).collect())
        }
        Value::Array(list) => list.iter().map(|value| shown(value, payload)).collect(),
        other => other.clone(),
    }
}

fn placeholder(name: &str, value: &Value, payload: &str) -> Value {
    let numbers = [
        "affected", "bytes", "frame", "id", "kept", "margin", "newest", "oldest", "rev", "sample", "seconds",
        "skipped", "version",
    ];
    match (name, value) {
        (name, Value::Number(_)) if numbers.contains(&name) => "<n>".into(),
        ("burst", Value::String(burst)) if !payload.contains(burst.as_str()) => "<burst>".into(),
        ("job", Value::String(_)) => "<job>".into(),
        ("taken", _) => "<time>".into(),
        ("sha256", _) => "<hex>".into(),
        ("text" | "message", Value::String(text)) => numberless(text).into(),
        (_, value) => shown(value, payload),
    }
}

/// Text with `<n>` for each number in it.
fn numberless(text: &str) -> String {
    let mut out = String::new();
    for (at, c) in text.char_indices() {
        let follows = text[..at].chars().next_back().is_some_and(|before| before.is_ascii_digit());
        match c.is_ascii_digit() {
            true if follows => {}
            true => out.push_str("<n>"),
            false => out.push(c),
        }
    }
    out
}

/// Of every setting only two: the others are on the page about the configuration.
fn two_settings(reply: &mut Value) {
    let data = &reply["data"];
    let more = |name: &str, value: &Value| json!({name: value, "…": true});
    reply["data"] = json!({
        "camera": more("source", &data["camera"]["source"]),
        "predict": more("max_hz", &data["predict"]["max_hz"]),
        "…": true,
    });
}

/// Which label is the most suspect depends on what the camera showed at each moment.
fn any_suspect(suspect: &mut Value) {
    for (field, shown) in
        [("by", "<name>"), ("class", "<class>"), ("said", "<class>"), ("source", "<source>")]
    {
        suspect[field] = json!(shown);
    }
}

fn text(reply: &Value) -> String {
    let reply: Reply = serde_json::from_value(reply.clone()).unwrap();
    reply.to_json().replace("\"<n>\"", "<n>").replace("\"…\":true", "…")
}

#[test]
fn every_documented_command_gets_the_reply_that_its_page_shows() {
    let dir = tempfile::tempdir().unwrap();
    let Some(broker) = broker(dir.path()) else { return };
    let host = TestHost::start();
    let mut board = Board::on(&broker);
    board.set("capture.ring_s", &RING_S.to_string());
    let board = taught(board, &host.key.public());
    let base = board.json(&["status"])["backbone"]["digest"].as_str().unwrap().to_owned();
    // What the example of an import reads.
    let inbox = board.path("state").join("imports/inbox/ok");
    std::fs::create_dir_all(&inbox).unwrap();
    let picture = graft_camera::encode_jpeg(&crate::service::scene().render(1), 90);
    std::fs::write(inbox.join("1.jpg"), picture).unwrap();
    let replies = block_on(async {
        let operator = operator(&broker).await;
        let mut guide = Guide { board, operator, host, facts: Facts::shown(), base, made: 0, job: None };
        let mut replies = Replies::default();
        for example in examples() {
            let mut reply = guide.reply(&example).await;
            if example.op == Op::Config && reply["data"].get("camera").is_some() {
                two_settings(&mut reply);
            }
            if let Some(suspect) = reply.pointer_mut("/data/suspects/0") {
                any_suspect(suspect);
            }
            replies.examples.push(text(&reply));
        }
        for (op, payload) in refusals() {
            let reply = guide.send(op, payload).await;
            assert_eq!(reply["status"], "error", "{payload}");
            replies.refusals.push(text(&reply));
        }
        replies
    });
    let page = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/reference/mqtt.md");
    compare(&page, &mqtt_markdown(&replies)).unwrap();
}

#[test]
fn what_differs_has_a_placeholder() {
    let reply = json!({"status": "ok", "data": {"sample": 12, "burst": "b-7", "text": "sample 12: a -> b-2", "n": [
        {"id": 3, "taken": "2026-03-01T12:00:00Z", "class": "7"}]}, "job": "4"});
    let expected = r#"{"status":"ok","job":"<job>","data":{"burst":"<burst>","n":[{"class":"7","id":<n>,"taken":"<time>"}],"sample":<n>,"text":"sample <n>: a -> b-<n>"}}"#;
    assert_eq!(text(&shown(&reply, "ok")), expected);
    let kept: Map<String, Value> = Map::from_iter([("burst".to_owned(), json!("tray-17"))]);
    assert_eq!(shown(&json!(kept), r#"{"burst":"tray-17"}"#), json!(kept));
}
