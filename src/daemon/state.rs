//! What the daemon says of itself: info, state, statistics.

use super::Daemon;
use crate::board;
use graft_control::{self as control, Hold, Wanted};
use graft_wire::messages::{
    self, Adaptation, Clock, Limits, Percentiles, Phase, Reason, RunMode, State, Stats, WantedMode, to_json,
};
use graft_wire::timestamp;
use std::time::{Duration, Instant};

/// `state` is published at most this often.
const STATE_EVERY: Duration = Duration::from_secs(1);
/// `stats` are published this often.
const STATS_EVERY: Duration = Duration::from_secs(30);
/// Times remembered between two statistics at most.
const TIMES: usize = 4096;

/// Counters and times between two messages.
#[derive(Default)]
pub struct Pulse {
    last_state: Option<Instant>,
    last_stats: Option<Instant>,
    seq: u64,
    infer_ms: Vec<f32>,
    frames: u64,
    received: u64,
    /// Processor time at the last statistics.
    cpu: Option<Duration>,
    /// Connections to the broker since the start.
    pub connects: u64,
}

impl Pulse {
    /// One frame was predicted in this time.
    pub fn frame(&mut self, infer_ms: f32) {
        self.frames += 1;
        if self.infer_ms.len() < TIMES {
            self.infer_ms.push(infer_ms);
        }
    }
}

impl Daemon {
    pub(super) fn info(&self) -> messages::Info {
        messages::Info {
            schema: messages::Schema1,
            api: messages::API,
            version: env!("CARGO_PKG_VERSION").into(),
            device: self.topics.device().into(),
            group: self.settings.offload.group.clone(),
            board: self.board.name(),
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
    pub(super) fn tick_pulse(&mut self) {
        let due = |last: Option<Instant>, every: Duration| last.is_none_or(|at| at.elapsed() >= every);
        if self.state_changed && due(self.pulse.last_state, STATE_EVERY) {
            self.say_state();
        }
        if due(self.pulse.last_stats, STATS_EVERY) {
            self.say_stats();
        }
    }

    /// What a round that starts by itself still lacks.
    fn waiting_for(&self) -> Option<String> {
        let learn = &self.settings.learn;
        let (samples, bursts) = (learn.min_samples_per_class, learn.min_bursts_per_class);
        let lacking: Vec<String> = self
            .dataset
            .classes
            .iter()
            .filter(|class| class.samples < samples || class.bursts < bursts)
            .map(|class| format!("{} has {} in {}", class.name, class.samples, class.bursts))
            .collect();
        (self.dataset.classes.len() - lacking.len() < 2).then(|| {
            let now = if lacking.is_empty() { String::new() } else { format!("; {}", lacking.join(", ")) };
            format!("two classes with {samples} samples in {bursts} bursts each{now}")
        })
    }

    pub(super) fn say_state(&mut self) {
        self.state_changed = false;
        self.pulse.last_state = Some(Instant::now());
        self.pulse.seq += 1;
        let payload = to_json(&self.state());
        self.watch("state", &payload);
        self.say(self.topics.state(), payload);
        graft_base::systemd::status(&self.status_line());
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
        let heat = self.board.temperature_c().map_or(String::new(), |celsius| format!(", {celsius:.0} °C"));
        let wanted = self.control.wanted().as_str();
        format!("{wanted}, {head}, {} samples{heat}{held}", self.dataset.samples())
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
        let yields = self.budget.yields().then_some(Reason::CpuBudget);
        let reason = |hold: &Hold| match hold {
            Hold::CameraLost => Reason::CameraLost,
            Hold::DiskLow => Reason::DiskLow,
            Hold::Thermal => Reason::Thermal,
            Hold::Writes => Reason::WriteBudget,
            Hold::User => Reason::User,
        };
        State {
            schema: messages::Schema1,
            ts: timestamp::rfc3339(self.clock.wall_ms()),
            clock: if self.clock.synced() { Clock::Synced } else { Clock::Unsynced },
            uptime_ms: u64::try_from(self.clock.now().as_millis()).unwrap_or(u64::MAX),
            boot_id: self.clock.boot_id.clone(),
            seq: self.pulse.seq,
            mode,
            wanted,
            reasons: holds.iter().map(reason).chain(yields).collect(),
            adaptation: Adaptation {
                phase: match self.control.state() {
                    control::State::Idle => Phase::Idle,
                    control::State::Collecting => Phase::Collecting,
                    control::State::Training { .. } => Phase::Training,
                    control::State::Suspended { .. } => Phase::Suspended,
                },
                new_samples: self.control.changed() as u64,
                needed: self.settings.learn.new_samples as u64,
                waiting_for: self.waiting_for(),
            },
            head: self.head_state.clone().map(|h| messages::HeadState { pinned: self.control.pinned(), ..h }),
            backbone: Some(self.provenance.backbone.clone()),
            dataset: self.dataset.to_state(),
            advice: self.findings.advice.clone(),
            drift: self.scene.told.clone(),
            job: self.control.job().map(|j| j.to_string()),
        }
    }

    fn say_stats(&mut self) {
        let elapsed = self.pulse.last_stats.map_or(STATS_EVERY, |at| at.elapsed()).as_secs_f64().max(1e-3);
        self.pulse.last_stats = Some(Instant::now());
        let mut times = std::mem::take(&mut self.pulse.infer_ms);
        times.sort_by(f32::total_cmp);
        let at = |share: f64| {
            let index = ((times.len() as f64 * share) as usize).min(times.len().saturating_sub(1));
            times.get(index).map_or(0.0, |v| f64::from(*v))
        };
        let received = self.slot.received();
        let cpu = board::cpu_time();
        let cpu_percent = self
            .pulse
            .cpu
            .replace(cpu)
            .map(|before| (cpu.saturating_sub(before)).as_secs_f64() / elapsed * 100.0);
        let stats = Stats {
            schema: messages::Schema1,
            ts: timestamp::rfc3339(self.clock.wall_ms()),
            camera_fps: received.saturating_sub(self.pulse.received) as f64 / elapsed,
            fps: self.pulse.frames as f64 / elapsed,
            infer_ms: Percentiles { p50: at(0.5), p95: at(0.95) },
            cpu_percent,
            temperature_c: self.board.temperature_c(),
            throttled: self.board.throttle().map(|throttle| throttle.slowed),
            rss_bytes: self.board.rss_bytes(),
            disk_free_bytes: board::free_bytes(&self.settings.store.dir),
            written_bytes: self.board.written_bytes(),
            frames_dropped: self.slot.drops(),
            messages_dropped: self.mqtt.as_ref().map_or(0, |m| m.stats().dropped),
            connects: self.pulse.connects,
        };
        self.pulse.received = received;
        self.pulse.frames = 0;
        let payload = to_json(&stats);
        self.watch("stats", &payload);
        self.say(self.topics.stats(), payload);
    }
}
