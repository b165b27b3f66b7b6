//! The scripted operator: knows nothing but MQTT, and what a person in front of the camera would see.

use super::output::Output;
use super::score::Score;
use anyhow::{Context, Result, bail, ensure};
use bytes::Bytes;
use graft_camera::pattern::{CLASSES, Scene};
use graft_testing::operator::{Message, Operator};
use graft_wire::command::{Capture, Dataset, Mode};
use graft_wire::messages::{JobMessage, JobStatus, PredictionMessage};
use graft_wire::{ClassName, Command, Envelope, Expected, Manifest, PublicKey, parts};
use serde_json::{Map, Value};
use std::collections::HashMap;
use std::time::Duration;

const ROOT: &str = "graft/demo";
const REPLY: Duration = Duration::from_secs(10);
/// Long, because the machine may be busy.
const PATIENCE: Duration = Duration::from_secs(60);

/// What is captured of each class.
#[derive(Clone, Copy, Debug)]
pub struct Bursts {
    pub each: usize,
    /// Samples a second.
    pub hz: u32,
    /// Samples in a burst.
    pub samples: u32,
}

/// How a round went.
pub struct Round {
    /// The version of its head.
    pub version: u64,
    /// Its figures, all of them on bursts that were held out.
    pub metrics: Map<String, Value>,
}

/// The head as it was read back.
pub struct Published {
    pub version: u64,
    /// Digest of the file.
    pub digest: String,
    /// Size of the file.
    pub bytes: usize,
    /// Parts it came in.
    pub parts: usize,
}

/// The operator at work.
pub struct Visit<'a> {
    output: &'a Output,
    scene: &'a Scene,
    pub(super) operator: Operator,
    heard: u64,
}

impl<'a> Visit<'a> {
    /// Connects and waits until the daemon is there and sees something.
    pub async fn begin(output: &'a Output, scene: &'a Scene, host: &str, port: u16) -> Result<Self> {
        let mut operator = Operator::connect(host, port, ROOT).await?;
        let there = |m: &Message| m.topic.ends_with("/availability") && m.payload == "online";
        operator.wait_for(0, PATIENCE, "the daemon to come online", there).await?;
        let heard = operator.now();
        Ok(Self { output, scene, operator, heard })
    }

    pub(super) async fn command(&mut self, command: impl Into<Envelope>) -> Result<Value> {
        let envelope = command.into();
        let (op, body) = (envelope.command.op().as_str(), envelope.to_value());
        let reply = self.operator.command(op, &body, REPLY).await?;
        if reply["status"] == "error" {
            bail!(
                "{op} {body} was refused: {}",
                reply["error"]["message"].as_str().unwrap_or("no reason given")
            );
        }
        Ok(reply)
    }

    /// Who tells people what happens.
    pub(super) fn output(&self) -> &Output {
        self.output
    }

    pub async fn add_classes(&mut self, classes: &[&str]) -> Result<()> {
        for class in classes {
            let command = Command::Dataset(Dataset::AddClass { class: ClassName::new(class)? });
            self.command(Envelope::named(format!("add {class}"), command)).await?;
        }
        Ok(())
    }

    async fn prediction(&mut self) -> Result<PredictionMessage> {
        let is_prediction = |m: &Message| m.topic.ends_with("/prediction");
        let message = self.operator.wait_for(self.heard, PATIENCE, "a prediction", is_prediction).await?;
        self.heard = message.number;
        Ok(serde_json::from_slice(&message.payload)?)
    }

    /// What the camera sees in this frame, as a person would know.
    fn truth(&self, frame: u64) -> (u64, &'static str) {
        (self.scene.appearance(frame), CLASSES[self.scene.truth(frame)])
    }

    /// Sees that nothing is said of a frame before there is a head.
    pub async fn without_head(&mut self) -> Result<()> {
        self.heard = self.operator.now();
        let prediction = self.prediction().await?;
        if prediction.head != 0 || prediction.label.is_some() || !prediction.top.is_empty() {
            bail!("frame {} has a label although nothing was taught", prediction.frame);
        }
        Ok(())
    }

    /// Compares predictions of this head with the truth over some appearances.
    pub async fn watch(&mut self, appearances: usize, head: u64) -> Result<Score> {
        self.heard = self.operator.now();
        let mut score = Score::default();
        let mut begun = None;
        loop {
            let prediction = self.prediction().await?;
            if prediction.head != head {
                continue;
            }
            let (appearance, truth) = self.truth(prediction.frame);
            // The one that was under way when we began to look does not count.
            if *begun.get_or_insert(appearance) == appearance {
                continue;
            }
            if score.appearances() == appearances && !score.has(appearance) {
                return Ok(score);
            }
            score.count(appearance, truth, prediction.class());
        }
    }

    /// Labels bursts of each class: begins when an object has just come, ends before it goes.
    pub async fn capture(&mut self, bursts: Bursts) -> Result<()> {
        let Bursts { each, hz, samples } = bursts;
        let hold = u64::from(self.scene.settings().hold_frames);
        let mut done: HashMap<&str, usize> = HashMap::new();
        let mut last = None;
        while CLASSES.iter().any(|class| done.get(class).copied().unwrap_or(0) < each) {
            let prediction = self.prediction().await?;
            let (appearance, class) = self.truth(prediction.frame);
            let into = prediction.frame % hold;
            let wanted = done.get(class).copied().unwrap_or(0) < each;
            if last == Some(appearance) || !wanted || into < hold / 10 || into > hold / 4 {
                continue;
            }
            last = Some(appearance);
            let from = self.operator.now();
            let (hz, max) = (Some(f64::from(hz)), Some(samples));
            let (class_name, seconds, burst) = (ClassName::new(class)?, None, None);
            self.command(Command::Capture(Capture::Start { class: class_name, hz, seconds, max, burst }))
                .await?;
            let kept = self.capture_ends(from, appearance).await?;
            if kept > 0 {
                *done.entry(class).or_default() += 1;
                self.output
                    .say(&format!("   burst {:>2}  {class:<7} {kept} samples", done.values().sum::<usize>()));
            }
        }
        Ok(())
    }

    /// Waits for the end of a capture; ends it when the object is about to go.
    async fn capture_ends(&mut self, from: u64, appearance: u64) -> Result<u64> {
        let hold = u64::from(self.scene.settings().hold_frames);
        loop {
            let next = |m: &Message| m.topic.ends_with("/event") || m.topic.ends_with("/prediction");
            let message =
                self.operator.wait_for(self.heard.max(from), PATIENCE, "the capture's end", next).await?;
            self.heard = message.number;
            if message.topic.ends_with("/event") {
                let event: Value = serde_json::from_slice(&message.payload)?;
                if event["type"] == "captured" {
                    return Ok(event["data"]["kept"].as_u64().unwrap_or(0));
                }
                continue;
            }
            let prediction: PredictionMessage = serde_json::from_slice(&message.payload)?;
            if prediction.frame > (appearance + 1) * hold - hold / 8 {
                // It may have ended by itself just now; the event tells either way.
                let stop = Command::Capture(Capture::Stop);
                let _ = self.operator.command(stop.op().as_str(), &stop.to_value(), REPLY).await?;
            }
        }
    }

    /// Switches adaptation on and follows the round that it starts.
    pub async fn adapt(&mut self) -> Result<Round> {
        let from = self.operator.now();
        self.command(Command::Mode(Mode::Adapt)).await?;
        let ended = |m: &Message| {
            m.topic.contains("/job/")
                && serde_json::from_slice::<JobMessage>(&m.payload)
                    .is_ok_and(|j| j.op == "train" && j.status.is_final())
        };
        let message = self.operator.wait_for(from, PATIENCE, "the round's end", ended).await?;
        let job: JobMessage = serde_json::from_slice(&message.payload)?;
        if job.status != JobStatus::Successful {
            bail!("the round failed: {}", job.error.map_or_else(String::new, |e| e.message));
        }
        let figure = |name: &str, part: &str| {
            job.metrics.get(name).and_then(|f| f[part].as_f64()).unwrap_or(f64::NAN) * 100.0
        };
        self.output.say(&format!(
            "   {} samples in {} bursts, trained in {} ms: {} head",
            job.metrics.get("samples").unwrap_or(&Value::Null),
            job.metrics.get("bursts").unwrap_or(&Value::Null),
            job.metrics.get("train_ms").unwrap_or(&Value::Null),
            job.metrics.get("method").and_then(Value::as_str).unwrap_or("?"),
        ));
        self.output.say(&match job.metrics.get("missing").and_then(Value::as_str) {
            Some(missing) => format!("   held-out bursts: not enough evidence yet: {missing}"),
            None => format!(
                "   held-out bursts: {:.0} % right (95 % interval {:.0} to {:.0}), \
                 always saying the largest class: {:.0} %",
                figure("accuracy", "value"),
                figure("accuracy", "low"),
                figure("accuracy", "high"),
                job.metrics.get("majority").and_then(Value::as_f64).unwrap_or(f64::NAN) * 100.0,
            ),
        });
        let reason = job.result.get("reason").and_then(Value::as_str).unwrap_or("");
        ensure!(
            job.result.get("promoted") == Some(&Value::Bool(true)),
            "the gate kept the head back: {reason}"
        );
        self.output.say(&format!("   gate: promoted ({reason})\n"));
        let version =
            job.result.get("version").and_then(Value::as_u64).context("the round has no version")?;
        Ok(Round { version, metrics: job.metrics })
    }

    /// Reads manifest and parts as any consumer would: pinned key, then signature, then digests.
    pub async fn fetch_head(&mut self, version: u64) -> Result<Published> {
        let info: Value = serde_json::from_slice(&self.operator.retained("info", REPLY).await?)?;
        let pinned = PublicKey::from_base64(info["public_key"].as_str().unwrap_or_default())?;
        let is_ours = |m: &Message| {
            m.topic.ends_with("/head")
                && Manifest::from_json(&m.payload).is_ok_and(|manifest| manifest.version == version)
        };
        let message = self.operator.wait_for(0, PATIENCE, "the head's manifest", is_ours).await?;
        let manifest = Manifest::from_json(&message.payload)?;
        let expected = Expected { device: Some("demo"), ..Expected::default() };
        manifest.verify(&pinned, &expected)?;
        let mut fetched: HashMap<u32, Bytes> = HashMap::new();
        for part in &manifest.parts {
            fetched
                .insert(part.n, self.operator.retained(&format!("head/{version}/{}", part.n), REPLY).await?);
        }
        let file = parts::join(&manifest.parts, |n| fetched.get(&n).map(|bytes| &bytes[..]))?;
        let head = manifest.open(&file)?;
        ensure!(head.meta.version == version, "the file is of version {}, not {version}", head.meta.version);
        Ok(Published { version, digest: manifest.digest, bytes: file.len(), parts: manifest.parts.len() })
    }

    pub async fn end(self) {
        self.operator.close().await;
    }
}
