//! What people and other machines see of the daemon: predictions, the label, the scene's drift, the camera, state and
//! statistics, figures for Prometheus.

mod figures;
mod messages;
mod scene;
mod vote;

pub use self::figures::Figures;
pub use self::messages::{Parts, status_line};

use self::figures::Tally;
use self::messages::MessageCounters;
use self::scene::{Look, Scene};
use self::vote::Vote;
use super::context::Context;
use super::effects::{Effect, Effects, Service};
use super::event::Note;
use super::frames::Observation;
use super::kept::Fact;
use graft_camera as camera;
use graft_control::Hold;
use graft_wire::messages::{
    CameraFacts, DriftState, DriftVerdict, EventType, NoLabel, PredictionMessage, Schema1, to_json,
};
use graft_wire::{Code, Error, home_assistant, timestamp};
use serde_json::{Value, json};
use std::time::{Duration, Instant};

/// `state` is published at most this often.
const STATE_EVERY: Duration = Duration::from_secs(1);
/// `stats` are published this often.
const STATS_EVERY: Duration = Duration::from_secs(30);

/// What is watched.
#[derive(Clone, Debug)]
pub enum Input {
    /// The camera opened, was lost, or ended.
    Camera(camera::Status),
    /// A frame was predicted.
    Observed(Box<Observation>),
    /// A whole round took so many seconds.
    RoundTook(f64),
}

/// The newest frame that was looked at.
#[derive(Clone, Copy, Debug)]
pub struct NewestFrame {
    /// Its number.
    pub frame: u64,
    /// When it was taken.
    pub taken: Instant,
    /// Width and height of the whole picture.
    pub size: [u32; 2],
    /// The part of it that is looked at, left, top, width, height in fractions; `None`: all of it.
    pub shown: Option<[f64; 4]>,
}

/// What is seen of one camera.
#[derive(Debug)]
pub struct Watch {
    /// The board as it names itself.
    board: String,
    camera: CameraFacts,
    vote: Vote,
    scene: Scene,
    counters: MessageCounters,
    tally: Tally,
    newest_frame: Option<NewestFrame>,
    last_prediction: Option<Instant>,
}

impl Watch {
    /// With nothing seen yet. `source` names the kind of camera, `drift` is what an earlier start told of its scene.
    pub fn new(board: String, source: &str, boot_id: &str, drift: Option<DriftState>) -> Self {
        let camera =
            CameraFacts { source: source.into(), description: String::new(), width: None, height: None };
        Self {
            board,
            camera,
            vote: Vote::default(),
            scene: Scene::after(drift),
            counters: MessageCounters::new(boot_id),
            tally: Tally::default(),
            newest_frame: None,
            last_prediction: None,
        }
    }

    /// The camera, as it is told.
    pub fn camera(&self) -> &CameraFacts {
        &self.camera
    }

    /// The newest frame that was looked at.
    pub fn newest_frame(&self) -> Option<NewestFrame> {
        self.newest_frame
    }

    /// The label as it is published.
    pub fn label(&self) -> &str {
        self.vote.label()
    }

    /// The one way in.
    pub fn handle(&mut self, cx: &Context, input: Input, fx: &mut Effects) {
        match input {
            Input::Camera(status) => self.camera_is(cx, status, fx),
            Input::Observed(observation) => self.observed(cx, &observation, fx),
            Input::RoundTook(seconds) => self.tally.round(seconds),
        }
    }

    fn camera_is(&mut self, cx: &Context, status: camera::Status, fx: &mut Effects) {
        let is_held = cx.holds.contains(&Hold::CameraLost);
        fx.changed();
        match status {
            camera::Status::Open(description) => {
                tracing::info!(description, "camera open");
                // Whether a frame was seen says nothing: the first one may overtake this message.
                let was_lost = self.tally.openings() > 0 && is_held;
                self.tally.opened();
                self.camera.description = description;
                fx.tell(Note::Hold(Hold::CameraLost, false));
                if was_lost {
                    fx.event(&cx.now, EventType::CameraBack, |e| e);
                }
            }
            camera::Status::Lost(reason) => {
                let was_told = is_held && self.tally.openings() == 0;
                // In the message itself: `journalctl` does not show fields.
                tracing::warn!("camera lost: {reason}");
                fx.tell(Note::Hold(Hold::CameraLost, true));
                self.label_lost(fx);
                if !was_told {
                    let error = Error::new(Code::Camera, reason);
                    fx.event(&cx.now, EventType::CameraLost, |e| e.because(error));
                }
            }
            camera::Status::Ended => {
                tracing::info!("the camera's pictures are at their end");
                fx.tell(Note::Hold(Hold::CameraLost, true));
                self.label_lost(fx);
            }
        }
        fx.tell(Note::Info);
    }

    fn observed(&mut self, cx: &Context, observation: &Observation, fx: &mut Effects) {
        self.counters.frame(observation.infer_ms);
        self.tally.frame(observation);
        let seen = &observation.seen;
        let (frame, taken, shown) = (seen.frame, seen.taken, seen.shown);
        self.newest_frame = Some(NewestFrame { frame, taken, size: observation.size, shown });
        if let Some((_, prediction)) = &observation.prediction {
            let sure = prediction.confidence >= cx.settings.predict.threshold;
            let class = observation.class().filter(|_| sure);
            // Frames from before the loss may still be on their way: they say nothing of what is there now.
            if !cx.holds.contains(&Hold::CameraLost)
                && self.vote.count(class, cx.settings.predict.vote).is_some()
            {
                self.publish_label(fx);
            }
        }
        self.scene_sees(cx, observation, fx);
        // A prediction names a frame that can be labelled.
        if observation.kept {
            self.predict(cx, observation, fx);
        }
    }

    fn publish_label(&self, fx: &mut Effects) {
        let label = self.vote.label();
        fx.watch("label", &Value::from(label).to_string());
        fx.say(fx.topics().label(), label.to_owned());
    }

    /// Nothing is seen any more: the label is taken back. `reasons` of `state` says why.
    fn label_lost(&mut self, fx: &mut Effects) {
        if self.vote.forget() {
            self.publish_label(fx);
        }
    }

    fn predict(&mut self, cx: &Context, observation: &Observation, fx: &mut Effects) {
        let hz = cx.settings.predict.max_hz;
        let taken = observation.seen.taken;
        let due = |last| taken.saturating_duration_since(last).as_secs_f64() >= 0.95 / hz;
        if hz <= 0.0 || !self.last_prediction.is_none_or(due) {
            return;
        }
        self.last_prediction = Some(taken);
        let age = cx.now.at.saturating_duration_since(taken);
        let payload = to_json(&prediction(observation, age));
        fx.watch("prediction", &payload);
        fx.say(fx.topics().prediction(), payload);
    }

    fn scene_sees(&mut self, cx: &Context, observation: &Observation, fx: &mut Effects) {
        let capture = &cx.settings.capture;
        let slice = Duration::from_secs_f64(capture.burst_gap_s);
        let Some(look) = self.scene.see(observation, slice, capture.skip_above) else { return };
        let Some(verdict) = self.scene.verdict(&look) else { return };
        let mut state = DriftState {
            verdict,
            fault: None,
            since: timestamp::rfc3339(cx.now.wall_ms),
            head: self.scene.head(),
            bursts: 0,
            unknown: 0,
            p: 0.0,
            as_ever: 0.0,
            class: None,
        };
        match look {
            Look::Fault(fault) => state.fault = Some(fault),
            Look::Scene(found) => {
                let class = found.class.filter(|_| verdict != DriftVerdict::Same);
                let active = observation.prediction.as_ref().map(|(active, _)| active);
                state.class = class.and_then(|class| Some(active?.class(class as usize)?.to_owned()));
                (state.bursts, state.unknown) = (found.bursts as u64, found.unknown as u64);
                (state.p, state.as_ever) = (found.p, found.as_ever);
            }
        }
        let before = self.scene.told.as_ref().map(|told| (told.verdict, told.fault));
        if before == Some((state.verdict, state.fault)) {
            state.since = self.scene.told.take().map_or(state.since, |told| told.since);
            self.scene.told = Some(state);
            return;
        }
        fx.changed();
        fx.keep(Fact::Drift(state.clone()));
        self.scene.told = Some(state.clone());
        if (before.is_some() || verdict != DriftVerdict::Same)
            && let Value::Object(data) = json!(state)
        {
            fx.event(&cx.now, EventType::Drift, |mut event| {
                event.data = data;
                event
            });
        }
    }

    /// Publishes what this device is.
    pub fn publish_info(&self, cx: &Context, fx: &mut Effects) {
        let info = messages::info(cx, fx.topics(), self.board.clone(), &self.camera);
        fx.say(fx.topics().info(), to_json(&info));
    }

    /// Makes the board known to Home Assistant, where that is wanted.
    pub fn introduce(&self, cx: &Context, fx: &mut Effects) {
        if let Some(prefix) = &cx.settings.mqtt.home_assistant {
            let version = env!("CARGO_PKG_VERSION");
            let (topic, payload) = home_assistant::discovery(prefix, fx.topics(), version, &self.board);
            fx.say(topic, payload);
        }
    }

    /// Publishes state and statistics when they are due.
    pub fn tick(&mut self, cx: &Context, parts: &Parts<'_>, fx: &mut Effects) {
        if fx.has_changed() && self.counters.state_is_due(cx.now.at, STATE_EVERY) {
            self.publish_state(cx, parts, fx);
        }
        if self.counters.stats_are_due(cx.now.at, STATS_EVERY) {
            self.publish_stats(cx, fx);
        }
    }

    /// The broker is there: everything that it should keep is said again by the session; the rest here.
    pub fn connected(&mut self, cx: &Context, parts: &Parts<'_>, fx: &mut Effects) {
        self.counters.connected();
        self.publish_state(cx, parts, fx);
        fx.say(fx.topics().label(), self.vote.label().to_owned());
    }

    fn publish_state(&mut self, cx: &Context, parts: &Parts<'_>, fx: &mut Effects) {
        fx.told();
        self.counters.state_told(cx.now.at);
        let payload = to_json(&self.state(cx, parts));
        fx.watch("state", &payload);
        fx.say(fx.topics().state(), payload);
        let line = status_line(parts, &fx.readings());
        fx.send(Effect::Service(Service::Status(line)));
    }

    fn publish_stats(&mut self, cx: &Context, fx: &mut Effects) {
        let stats = self.counters.stats(&cx.now, STATS_EVERY, &fx.counters(), &fx.readings());
        let payload = to_json(&stats);
        fx.watch("stats", &payload);
        fx.say(fx.topics().stats(), payload);
    }

    /// The state as it is published and as `graft status` shows it.
    pub fn state(&self, cx: &Context, parts: &Parts<'_>) -> graft_wire::messages::State {
        messages::state(cx, parts, &self.counters, self.scene.told.clone())
    }

    /// `/metrics`.
    ///
    /// # Errors
    /// The figures cannot be written.
    pub fn metrics(
        &self,
        cx: &Context,
        parts: &Parts<'_>,
        fx: &Effects,
    ) -> Result<crate::web::Answer, Error> {
        Figures { cx, parts, counters: fx.counters(), readings: fx.readings() }.answer(&self.tally)
    }
}

/// The message of a prediction whose frame is so old.
fn prediction(observation: &Observation, age: Duration) -> PredictionMessage {
    let given = observation.prediction.as_ref();
    let top = given.map_or_else(Vec::new, |(active, prediction)| active.likeliest(prediction));
    PredictionMessage {
        schema: Schema1,
        ts: timestamp::rfc3339(observation.seen.wall_ms),
        frame: observation.seen.frame,
        label: given.map(|_| observation.class().map(str::to_owned)),
        why: match (given, observation.class()) {
            (None, _) => Some(NoLabel::NoHead),
            (Some(_), None) => Some(NoLabel::Unknown),
            (Some(_), Some(_)) => None,
        },
        score: given.map(|(_, p)| p.confidence),
        top,
        unknown: given.and_then(|(active, p)| active.head.reject.as_ref().map(|_| p.unknown)),
        head: given.map_or(0, |(active, _)| active.version),
        infer_ms: Some(f64::from(observation.infer_ms)),
        age_ms: Some(age.as_secs_f64() * 1e3),
        reused: observation.reused,
        file: observation.seen.name.as_deref().map(str::to_owned),
    }
}
