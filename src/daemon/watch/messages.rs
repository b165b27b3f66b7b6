//! The messages in which the daemon describes itself: info, state, statistics.

use crate::daemon::adapt::Adapt;
use crate::daemon::board::BoardMonitor;
use crate::daemon::clock::Now;
use crate::daemon::context::Context;
use crate::daemon::effects::{Counters, Readings};
use crate::daemon::labels::Labels;
use graft_control::{self as control, Hold, Wanted};
use graft_wire::messages::{
    self, Adaptation, CameraFacts, Clock, DriftState, Limits, Percentiles, Phase, Reason, RunMode, State,
    Stats, WantedMode,
};
use graft_wire::{Topics, timestamp};
use std::time::{Duration, Instant};

/// Times remembered between two statistics at most.
const TIMES: usize = 4096;

/// The components that the state is made of.
pub struct Parts<'a> {
    /// Rounds and heads.
    pub adapt: &'a Adapt,
    /// Samples.
    pub labels: &'a Labels,
    /// The budget of rounds.
    pub board: &'a BoardMonitor,
}

/// Counters and times between two messages.
#[derive(Debug)]
pub struct MessageCounters {
    boot_id: String,
    last_state: Option<Instant>,
    last_stats: Option<Instant>,
    seq: u64,
    infer_ms: Vec<f32>,
    frames: u64,
    received: u64,
    /// Processor time at the last statistics.
    cpu_time: Option<Duration>,
    /// Connections to the broker since the start.
    connects: u64,
}

impl MessageCounters {
    /// With nothing counted yet.
    pub fn new(boot_id: &str) -> Self {
        Self {
            boot_id: boot_id.to_owned(),
            last_state: None,
            last_stats: None,
            seq: 0,
            infer_ms: Vec::new(),
            frames: 0,
            received: 0,
            cpu_time: None,
            connects: 0,
        }
    }

    /// One frame was predicted in this time.
    pub fn frame(&mut self, infer_ms: f32) {
        self.frames += 1;
        if self.infer_ms.len() < TIMES {
            self.infer_ms.push(infer_ms);
        }
    }

    /// The broker is there.
    pub fn connected(&mut self) {
        self.connects += 1;
    }

    /// Whether the state was last told that long ago.
    pub fn state_is_due(&self, now: Instant, every: Duration) -> bool {
        self.last_state.is_none_or(|at| now.saturating_duration_since(at) >= every)
    }

    /// Whether the statistics were last told that long ago.
    pub fn stats_are_due(&self, now: Instant, every: Duration) -> bool {
        self.last_stats.is_none_or(|at| now.saturating_duration_since(at) >= every)
    }

    /// The state is being told.
    pub fn state_told(&mut self, now: Instant) {
        self.last_state = Some(now);
        self.seq += 1;
    }

    /// The statistics since the last ones; `every` stands for the time before the first ones.
    pub fn stats(&mut self, now: &Now, every: Duration, counters: &Counters, readings: &Readings) -> Stats {
        let since = self.last_stats.map_or(every, |at| now.at.saturating_duration_since(at));
        let elapsed = since.as_secs_f64().max(1e-3);
        self.last_stats = Some(now.at);
        let mut times = std::mem::take(&mut self.infer_ms);
        times.sort_by(f32::total_cmp);
        let at = |share: f64| {
            let index = ((times.len() as f64 * share) as usize).min(times.len().saturating_sub(1));
            times.get(index).map_or(0.0, |v| f64::from(*v))
        };
        let before = std::mem::replace(&mut self.cpu_time, readings.cpu_time);
        let cpu_percent = readings
            .cpu_time
            .zip(before)
            .map(|(now, before)| now.saturating_sub(before).as_secs_f64() / elapsed * 100.0);
        let stats = Stats {
            schema: messages::Schema1,
            ts: timestamp::rfc3339(now.wall_ms),
            camera_fps: counters.received.saturating_sub(self.received) as f64 / elapsed,
            fps: self.frames as f64 / elapsed,
            infer_ms: Percentiles { p50: at(0.5), p95: at(0.95) },
            cpu_percent,
            temperature_c: readings.temperature_c,
            throttled: readings.throttle.map(|throttle| throttle.slowed),
            rss_bytes: readings.rss_bytes,
            disk_free_bytes: readings.disk_free_bytes,
            written_bytes: readings.written_bytes,
            frames_dropped: counters.dropped,
            messages_dropped: counters.mqtt.as_ref().map_or(0, |m| m.dropped),
            connects: self.connects,
        };
        self.received = counters.received;
        self.frames = 0;
        stats
    }
}

/// What this device is.
pub fn info(cx: &Context, topics: &Topics, board: String, camera: &CameraFacts) -> messages::Info {
    messages::Info {
        schema: messages::Schema1,
        api: messages::API,
        version: env!("CARGO_PKG_VERSION").into(),
        device: topics.device().into(),
        group: cx.settings.offload.group.clone(),
        board,
        ops: messages::Info::all_ops(),
        limits: Limits { frame_seconds: cx.settings.capture.ring_s as u64, ..Limits::default() },
        camera: Some(camera.clone()),
        backbone: Some(cx.backbone.backbone.clone()),
        config: cx.settings.effective.masked(),
        key_id: cx.backbone.key.id(),
        public_key: cx.backbone.key.public().base64(),
    }
}

/// One line for people.
pub fn status_line(parts: &Parts<'_>, readings: &Readings) -> String {
    let head = parts.adapt.head_state().map_or("no head yet".to_owned(), |h| {
        let accuracy = h.accuracy.map_or(String::new(), |a| format!(" ({:.1} % held out)", a.value * 100.0));
        format!("head {}{accuracy}", h.version)
    });
    let control = parts.adapt.control();
    let holds: Vec<&str> = control.holds().into_iter().map(Hold::as_str).collect();
    let held = if holds.is_empty() { String::new() } else { format!(", {}", holds.join(" ")) };
    let heat = readings.temperature_c.map_or(String::new(), |celsius| format!(", {celsius:.0} °C"));
    let (wanted, samples) = (control.wanted().as_str(), parts.labels.dataset().samples());
    format!("{wanted}, {head}, {samples} samples{heat}{held}")
}

/// The state as it is published and as `graft status` shows it.
pub fn state(cx: &Context, parts: &Parts<'_>, sent: &MessageCounters, drift: Option<DriftState>) -> State {
    let control = parts.adapt.control();
    let wanted = match control.wanted() {
        Wanted::Adapt => WantedMode::Adapt,
        Wanted::Infer => WantedMode::Infer,
        Wanted::Pause => WantedMode::Pause,
    };
    let holds = control.holds();
    let degraded = holds.iter().any(|h| *h != Hold::User);
    let mode = match wanted {
        _ if degraded => RunMode::Degraded,
        WantedMode::Adapt => RunMode::Adapt,
        WantedMode::Infer => RunMode::Infer,
        WantedMode::Pause => RunMode::Pause,
    };
    let yields = parts.board.yields().then_some(Reason::CpuBudget);
    let reason = |hold: &Hold| match hold {
        Hold::CameraLost => Reason::CameraLost,
        Hold::DiskLow => Reason::DiskLow,
        Hold::Thermal => Reason::Thermal,
        Hold::Writes => Reason::WriteBudget,
        Hold::User => Reason::User,
    };
    let head = parts.adapt.head_state().cloned();
    State {
        schema: messages::Schema1,
        ts: timestamp::rfc3339(cx.now.wall_ms),
        clock: if cx.now.synced { Clock::Synced } else { Clock::Unsynced },
        uptime_ms: u64::try_from(cx.now.uptime.as_millis()).unwrap_or(u64::MAX),
        boot_id: sent.boot_id.clone(),
        seq: sent.seq,
        mode,
        wanted,
        reasons: holds.iter().map(reason).chain(yields).collect(),
        adaptation: Adaptation {
            phase: match control.state() {
                control::State::Idle => Phase::Idle,
                control::State::Collecting => Phase::Collecting,
                control::State::Training { .. } => Phase::Training,
                control::State::Suspended { .. } => Phase::Suspended,
            },
            new_samples: control.changed() as u64,
            needed: cx.settings.learn.new_samples as u64,
            waiting_for: control.waits_for(cx.now.uptime).map(|waits| waits.to_string()),
        },
        head: head.map(|h| messages::HeadState { pinned: control.pinned(), ..h }),
        backbone: Some(cx.backbone.backbone.clone()),
        dataset: parts.labels.dataset().to_state(),
        advice: parts.adapt.findings().advice.clone(),
        drift,
        job: control.job().map(|j| j.to_string()),
    }
}
