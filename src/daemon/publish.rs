//! What the daemon says by itself: predictions, the agreed label, state, statistics, events, heads.

use super::inference::{ActiveHead, Observation};
use super::{Daemon, board};
use crate::control::{self, Hold, Version, Wanted};
use crate::learn::Prediction;
use crate::mqtt::Publication;
use crate::store::HeadRow;
use crate::wire::messages::{
    Adaptation, Clock, Event, EventType, Limits, NO_LABEL, Percentiles, Phase, PredictionMessage, Reason,
    RunMode, State, Stats, TopClass, WantedMode, to_json,
};
use crate::wire::{Error, Manifest, messages, parts, timestamp};
use bytes::Bytes;
use std::time::{Duration, Instant};

/// `state` is published at most this often.
const STATE_EVERY: Duration = Duration::from_secs(1);
/// `stats` are published this often.
const STATS_EVERY: Duration = Duration::from_secs(30);
/// Classes named in a prediction.
const TOP: usize = 5;
/// Sequence tokens are told from outbox tokens by this bit.
const HEAD_TOKEN: u64 = 1 << 62;

/// What the voice remembers between frames.
#[derive(Default)]
pub struct Voice {
    agreed: Option<String>,
    candidate: Option<String>,
    agreeing: usize,
    last_prediction: Option<Instant>,
    last_state: Option<Instant>,
    last_stats: Option<Instant>,
    seq: u64,
    infer_ms: Vec<f32>,
    frames: u64,
    received: u64,
    connects: u64,
}

impl Voice {
    /// Takes one frame's word; says when enough frames in a row agree on another one.
    fn vote(&mut self, said: Option<&str>, needed: usize) -> Option<String> {
        if self.candidate.as_deref() != said {
            self.candidate = said.map(str::to_owned);
            self.agreeing = 0;
        }
        self.agreeing += 1;
        if self.agreeing < needed || self.agreed == self.candidate {
            return None;
        }
        self.agreed.clone_from(&self.candidate);
        Some(self.agreed.clone().unwrap_or_else(|| NO_LABEL.to_owned()))
    }
}

/// What a prediction comes to: a class, or none where the frame is unlike all of them.
fn word<'a>(active: &'a ActiveHead, prediction: &Prediction) -> Option<&'a str> {
    if prediction.is_unknown() { None } else { active.classes.get(prediction.class).map(String::as_str) }
}

impl Daemon {
    /// A frame came out of the inference thread.
    pub(super) fn observed(&mut self, observation: Observation) {
        self.voice.frames += 1;
        self.voice.infer_ms.push(observation.infer_ms);
        if self.voice.infer_ms.len() > 4096 {
            self.voice.infer_ms.drain(..2048);
        }
        self.newest_frame = Some((observation.seen.frame, observation.seen.taken));
        if let Some((active, prediction)) = &observation.prediction {
            let sure = prediction.confidence >= self.settings.predict.threshold;
            let said = word(active, prediction).filter(|_| sure && active.version > 0);
            if let Some(label) = self.voice.vote(said, self.settings.predict.vote) {
                self.retain(self.topics.label(), label.clone());
                self.watch("label", &serde_json::Value::from(label).to_string());
            }
            self.say_prediction(&observation, active, prediction);
        }
        if observation.kept {
            self.record(&observation.seen);
            self.ring.push(observation.seen);
        }
    }

    fn say_prediction(&mut self, observation: &Observation, active: &ActiveHead, prediction: &Prediction) {
        let hz = self.settings.predict.max_hz;
        let taken = observation.seen.taken;
        // A prediction names a frame that can be labelled.
        let due = hz > 0.0
            && observation.kept
            && self
                .voice
                .last_prediction
                .is_none_or(|last| taken.saturating_duration_since(last).as_secs_f64() >= 0.95 / hz);
        if !due {
            return;
        }
        self.voice.last_prediction = Some(taken);
        let mut order: Vec<usize> = (0..prediction.probabilities.len()).collect();
        order.sort_by(|a, b| prediction.probabilities[*b].total_cmp(&prediction.probabilities[*a]));
        let top = order
            .into_iter()
            .take(TOP)
            .filter_map(|at| {
                Some(TopClass { class: active.classes.get(at)?.clone(), score: prediction.probabilities[at] })
            })
            .collect();
        let message = PredictionMessage {
            schema: messages::Schema1,
            ts: timestamp::rfc3339(observation.seen.wall_ms),
            frame: observation.seen.frame,
            label: word(active, prediction).map(str::to_owned),
            score: prediction.confidence,
            top,
            unknown: active.head.reject.as_ref().map(|_| prediction.unknown),
            head: active.version,
            infer_ms: Some(f64::from(observation.infer_ms)),
            file: observation.seen.name.as_deref().map(str::to_owned),
        };
        let payload = to_json(&message);
        self.watch("prediction", &payload);
        if let Some(mqtt) = &self.mqtt {
            mqtt.publish(Publication {
                topic: self.topics.prediction(),
                payload: payload.into(),
                expiry_s: Some(10),
                ..Publication::default()
            });
        }
    }

    /// Publishes a topic that the broker keeps.
    pub(super) fn retain(&self, topic: String, payload: String) {
        if let Some(mqtt) = &self.mqtt {
            mqtt.retain(topic, payload);
        }
    }

    /// One line to everyone who watches over HTTP.
    pub(super) fn watch(&self, kind: &str, payload: &str) {
        // Nobody watching is no error.
        let _ = self.watchers.send(format!("{{\"type\":\"{kind}\",\"data\":{payload}}}"));
    }

    /// Tells of something that happened: on disk first, so that it survives a broker that is away.
    pub(super) fn event(&mut self, kind: EventType, fill: impl FnOnce(Event) -> Event) {
        let event = fill(Event::new(timestamp::rfc3339(self.clock.wall_ms()), kind));
        let payload = to_json(&event);
        tracing::info!(event = %payload, "event");
        self.watch("event", &payload);
        if self.mqtt.is_none() {
            return;
        }
        let topic = self.topics.event();
        self.store_then(
            {
                let (topic, payload) = (topic.clone(), payload.clone());
                move |store| store.push(&topic, payload.as_bytes(), false)
            },
            move |daemon, stored| {
                let token =
                    stored.inspect_err(|error| tracing::warn!(%error, "an event could not be stored")).ok();
                daemon.send_event(topic, payload.into(), token.and_then(|id| u64::try_from(id).ok()));
            },
        );
    }

    fn send_event(&self, topic: String, payload: Bytes, token: Option<u64>) {
        if let Some(mqtt) = &self.mqtt {
            mqtt.publish(Publication { topic, payload, qos1: true, token, ..Publication::default() });
        }
    }

    /// Sends what an earlier start could not deliver.
    pub(super) fn send_outbox(&mut self) {
        self.store_then(
            |store| store.pending(0, 1000),
            |daemon, pending| match pending {
                Ok(pending) => {
                    for outgoing in pending {
                        daemon.send_event(
                            outgoing.topic,
                            outgoing.payload.into(),
                            u64::try_from(outgoing.seq).ok(),
                        );
                    }
                }
                Err(error) => tracing::warn!(%error, "the outbox could not be read"),
            },
        );
    }

    /// The broker has it, or never will.
    pub(super) fn delivered(&mut self, token: u64, refused: Option<String>) {
        if let Some(reason) = &refused {
            tracing::warn!(token, reason, "a publication was refused");
        }
        if token & HEAD_TOKEN != 0 {
            let version = token & !HEAD_TOKEN;
            if let Some(reason) = refused {
                if !reason.starts_with("superseded") {
                    let error = Error::new(
                        crate::wire::Code::TooLarge,
                        format!("head {version} was not published: {reason}"),
                    );
                    self.event(EventType::Error, |e| e.because(error));
                }
                return;
            }
            let now_ms = self.clock.wall_ms();
            return self.store_then(
                move |store| store.set_published(i64::try_from(version).unwrap_or(i64::MAX), now_ms),
                |_, result| {
                    if let Err(error) = result {
                        tracing::warn!(%error, "the publication of a head could not be noted");
                    }
                },
            );
        }
        if let Ok(id) = i64::try_from(token) {
            self.store_then(
                move |store| store.done(id),
                |_, result| {
                    if let Err(error) = result {
                        tracing::warn!(%error, "a delivered event could not be taken off the outbox");
                    }
                },
            );
        }
    }

    /// Publishes a stored head: its parts, then the manifest, then the parts of older heads go.
    pub(super) fn publish_head(&mut self, version: Version) {
        if self.mqtt.is_none() {
            return;
        }
        self.store_then(
            move |store| Ok((super::heads::read(store, version)?, store.heads(64)?)),
            move |daemon, read| match read
                .map_err(|e| e.to_string())
                .and_then(|((row, file), all)| daemon.head_stages(&row, &file, &all))
            {
                Ok(stages) => {
                    tracing::info!(
                        version,
                        parts = stages.first().map_or(0, Vec::len),
                        "publishing the head"
                    );
                    if let Some(mqtt) = &daemon.mqtt {
                        mqtt.sequence(stages, Some(HEAD_TOKEN | version));
                    }
                }
                Err(error) => tracing::error!(version, error, "a head could not be published"),
            },
        );
    }

    fn head_stages(
        &self,
        row: &HeadRow,
        file: &[u8],
        all: &[HeadRow],
    ) -> Result<Vec<Vec<Publication>>, String> {
        let kept = |topic: String, payload: Bytes| Publication {
            topic,
            payload,
            retain: true,
            qos1: true,
            ..Publication::default()
        };
        let (list, bytes) = parts::split(file).map_err(|e| e.to_string())?;
        let body = list
            .iter()
            .zip(bytes)
            .map(|(part, bytes)| {
                kept(self.topics.head_part(row.version.unsigned_abs(), part.n), Bytes::copy_from_slice(bytes))
            })
            .collect();
        let manifest = vec![kept(self.topics.head(), Bytes::copy_from_slice(row.manifest.as_bytes()))];
        // The head before this one stays, for whoever is just fetching it.
        let mut published: Vec<&HeadRow> =
            all.iter().filter(|r| r.published_ms.is_some() && r.version != row.version).collect();
        published.sort_by_key(|r| std::cmp::Reverse(r.version));
        let cleared = published
            .into_iter()
            .skip(1)
            .filter_map(|old| serde_json::from_str::<Manifest>(&old.manifest).ok().map(|m| (old.version, m)))
            .flat_map(|(version, old)| old.parts.into_iter().map(move |part| (version, part.n)))
            .map(|(version, n)| kept(self.topics.head_part(version.unsigned_abs(), n), Bytes::new()))
            .collect();
        Ok(vec![body, manifest, cleared])
    }

    /// The broker is there: everything that it should keep is said again by the session; the rest here.
    pub(super) fn connected(&mut self) {
        self.voice.connects += 1;
        self.retain(self.topics.info(), to_json(&self.info()));
        self.say_state();
        if self.voice.agreed.is_none() {
            self.retain(self.topics.label(), NO_LABEL.to_owned());
        }
        if let Some(version) = self.control.active() {
            self.publish_head(version);
        }
    }

    pub(super) fn info(&self) -> messages::Info {
        messages::Info {
            schema: messages::Schema1,
            api: messages::API,
            version: env!("CARGO_PKG_VERSION").into(),
            device: self.topics.device().into(),
            board: board::name(),
            ops: messages::Info::all_ops(),
            limits: Limits { frame_seconds: self.settings.capture.ring_s as u64, ..Limits::default() },
            camera: self.camera.clone(),
            backbone: Some(self.provenance.backbone.clone()),
            config: self.settings.effective.masked(),
            key_id: self.provenance.key.id(),
            public_key: self.provenance.key.public().base64(),
        }
    }

    /// Publishes state and statistics when they are due.
    pub(super) fn tick_voice(&mut self) {
        let due = |last: Option<Instant>, every: Duration| last.is_none_or(|at| at.elapsed() >= every);
        if self.state_changed && due(self.voice.last_state, STATE_EVERY) {
            self.say_state();
        }
        if due(self.voice.last_stats, STATS_EVERY) {
            self.say_stats();
        }
    }

    fn say_state(&mut self) {
        self.state_changed = false;
        self.voice.last_state = Some(Instant::now());
        self.voice.seq += 1;
        let payload = to_json(&self.state());
        self.watch("state", &payload);
        self.retain(self.topics.state(), payload);
        crate::systemd::status(&self.status_line());
    }

    /// One line for people.
    pub(super) fn status_line(&self) -> String {
        let head = self.head_state.as_ref().map_or("no head yet".to_owned(), |h| {
            let accuracy =
                h.accuracy.map_or(String::new(), |a| format!(" ({:.1} % held out)", a.value * 100.0));
            format!("head {}{accuracy}", h.version)
        });
        let holds: Vec<&str> = self.control.holds().into_iter().map(Hold::as_str).collect();
        let held = if holds.is_empty() { String::new() } else { format!(", {}", holds.join(" ")) };
        format!("{}, {head}, {} samples{held}", self.control.wanted().as_str(), self.dataset.samples())
    }

    /// The state as it is published and as `graft status` shows it.
    pub(super) fn state(&self) -> State {
        let wanted = match self.control.wanted() {
            Wanted::Adapt => WantedMode::Adapt,
            Wanted::Infer => WantedMode::Infer,
            Wanted::Pause => WantedMode::Pause,
        };
        let holds = self.control.holds();
        let degraded = holds.iter().any(|h| *h != Hold::User);
        let mode = match wanted {
            _ if degraded => RunMode::Degraded,
            WantedMode::Adapt => RunMode::Adapt,
            WantedMode::Infer => RunMode::Infer,
            WantedMode::Pause => RunMode::Pause,
        };
        let reason = |hold: &Hold| match hold {
            Hold::CameraLost => Reason::CameraLost,
            Hold::DiskLow => Reason::DiskLow,
            Hold::Thermal => Reason::Thermal,
            Hold::User => Reason::User,
        };
        State {
            schema: messages::Schema1,
            ts: timestamp::rfc3339(self.clock.wall_ms()),
            clock: if self.clock.synced() { Clock::Synced } else { Clock::Unsynced },
            uptime_ms: u64::try_from(self.clock.now().as_millis()).unwrap_or(u64::MAX),
            boot_id: self.clock.boot_id.clone(),
            seq: self.voice.seq,
            mode,
            wanted,
            reasons: holds.iter().map(reason).collect(),
            adaptation: Adaptation {
                phase: match self.control.state() {
                    control::State::Idle => Phase::Idle,
                    control::State::Collecting => Phase::Collecting,
                    control::State::Training { .. } => Phase::Training,
                    control::State::Suspended { .. } => Phase::Suspended,
                },
                new_samples: self.control.changed() as u64,
                needed: self.settings.learn.new_samples as u64,
            },
            head: self.head_state.clone().map(|h| messages::HeadState { pinned: self.control.pinned(), ..h }),
            backbone: Some(self.provenance.backbone.clone()),
            dataset: self.dataset.to_state(),
            job: self.control.job().map(|j| j.to_string()),
        }
    }

    fn say_stats(&mut self) {
        let elapsed = self.voice.last_stats.map_or(STATS_EVERY, |at| at.elapsed()).as_secs_f64().max(1e-3);
        self.voice.last_stats = Some(Instant::now());
        let mut times = std::mem::take(&mut self.voice.infer_ms);
        times.sort_by(f32::total_cmp);
        let at = |share: f64| {
            let index = ((times.len() as f64 * share) as usize).min(times.len().saturating_sub(1));
            times.get(index).map_or(0.0, |v| f64::from(*v))
        };
        let received = self.slot.received();
        let stats = Stats {
            schema: messages::Schema1,
            ts: timestamp::rfc3339(self.clock.wall_ms()),
            camera_fps: received.saturating_sub(self.voice.received) as f64 / elapsed,
            fps: self.voice.frames as f64 / elapsed,
            infer_ms: Percentiles { p50: at(0.5), p95: at(0.95) },
            cpu_percent: None,
            temperature_c: board::temperature_c(),
            throttled: None,
            rss_bytes: board::rss_bytes(),
            disk_free_bytes: board::free_bytes(&self.settings.store.dir),
            written_bytes: board::written_bytes(),
            frames_dropped: self.slot.drops(),
            messages_dropped: self.mqtt.as_ref().map_or(0, |m| m.stats().dropped),
            connects: self.voice.connects,
        };
        self.voice.received = received;
        self.voice.frames = 0;
        let payload = to_json(&stats);
        self.watch("stats", &payload);
        if let Some(mqtt) = &self.mqtt {
            mqtt.publish(Publication {
                topic: self.topics.stats(),
                payload: payload.into(),
                expiry_s: Some(60),
                ..Publication::default()
            });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_label_changes_only_when_enough_frames_agree() {
        let mut voice = Voice::default();
        let said = ["a", "a", "b", "a", "a", "a", "a", "", "", "", "b", "b", "b"];
        let heard: Vec<Option<String>> =
            said.iter().map(|s| voice.vote(Some(*s).filter(|s| !s.is_empty()), 3)).collect();
        let expected =
            [None, None, None, None, None, Some("a"), None, None, None, Some("none"), None, None, Some("b")];
        assert_eq!(heard, expected.map(|e| e.map(str::to_owned)));
    }
}
