//! The daemon's figures for Prometheus, in base units, under `graft_`. Nothing is labelled by picture or burst, so
//! the number of series depends on the class list alone.

use super::messages::Parts;
use crate::board::Throttle;
use crate::daemon::context::Context;
use crate::daemon::effects::{Counters, Readings};
use crate::daemon::frames::Observation;
use crate::web::Answer;
use graft_control::Hold;
use graft_wire::Error;
use prometheus_client::encoding::text::encode;
use prometheus_client::metrics::counter::ConstCounter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::{ConstGauge, Gauge};
use prometheus_client::metrics::histogram::{Histogram, exponential_buckets};
use prometheus_client::registry::{Registry, Unit};

/// What Prometheus is told that this is.
const OPEN_METRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

type Labels = Vec<(&'static str, String)>;

/// What has to be counted as it happens; everything else is looked up when somebody asks.
#[derive(Debug)]
pub struct Tally {
    /// Frames predicted.
    frames: u64,
    /// … of them with the embedding of an earlier one.
    reused: u64,
    /// Times that the camera opened.
    openings: u64,
    /// From frame to prediction.
    infer: Histogram,
    /// How old frames are when their prediction begins.
    age: Histogram,
    /// Whole rounds.
    train: Histogram,
}

impl Default for Tally {
    fn default() -> Self {
        Self {
            frames: 0,
            reused: 0,
            openings: 0,
            // 1 ms to 4 s, and 10 ms to 3 min.
            infer: Histogram::new(exponential_buckets(0.001, 2.0, 13)),
            age: Histogram::new([0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0]),
            train: Histogram::new(exponential_buckets(0.01, 4.0, 8)),
        }
    }
}

impl Tally {
    /// One frame was predicted.
    pub fn frame(&mut self, observation: &Observation) {
        self.frames += 1;
        self.reused += u64::from(observation.reused);
        self.infer.observe(f64::from(observation.infer_ms) / 1e3);
        self.age.observe(f64::from(observation.age_ms) / 1e3);
    }

    /// A whole round took so many seconds.
    pub fn round(&mut self, seconds: f64) {
        self.train.observe(seconds);
    }

    /// The camera opened.
    pub fn opened(&mut self) {
        self.openings += 1;
    }

    /// Times that the camera opened.
    pub fn openings(&self) -> u64 {
        self.openings
    }
}

/// What the figures are made of.
pub struct Figures<'a> {
    /// The daemon at this moment.
    pub cx: &'a Context,
    /// Its components.
    pub parts: &'a Parts<'a>,
    /// Its threads and connections.
    pub counters: Counters,
    /// The board's sensors.
    pub readings: Readings,
}

impl Figures<'_> {
    /// `/metrics`.
    ///
    /// # Errors
    /// The figures cannot be written.
    pub fn answer(&self, tally: &Tally) -> Result<Answer, Error> {
        let mut registry = Registry::with_prefix("graft");
        self.counters(tally, &mut registry);
        self.gauges(&mut registry);
        for (name, help, histogram) in [
            ("infer", "Time from frame to prediction", &tally.infer),
            ("frame_age", "Time from the camera's taking a frame to the start of its prediction", &tally.age),
            ("train", "Time of a round, evaluation included", &tally.train),
        ] {
            registry.register_with_unit(name, help, Unit::Seconds, histogram.clone());
        }
        let mut text = String::new();
        encode(&mut text, &registry).map_err(|_| Error::internal("the figures cannot be written"))?;
        Ok(Answer::bytes(OPEN_METRICS, text))
    }

    fn counters(&self, tally: &Tally, registry: &mut Registry) {
        let frames = Family::<Labels, prometheus_client::metrics::counter::Counter>::default();
        for (result, count) in [
            ("predicted", tally.frames),
            ("dropped", self.counters.dropped),
            ("failed", self.counters.failed),
        ] {
            frames.get_or_create(&vec![("result", result.to_owned())]).inc_by(count);
        }
        registry.register("frames", "Frames by what came of them", frames);
        let mqtt = self.counters.mqtt.unwrap_or_default();
        for (name, help, count) in [
            (
                "frames_reused",
                "Frames predicted with the embedding of an earlier one, because nothing had changed",
                tally.reused,
            ),
            ("camera_restarts", "Times that the camera was opened again", tally.openings.saturating_sub(1)),
            ("mqtt_dropped", "Messages given up because the broker was away", mqtt.dropped),
            ("mqtt_refused", "Messages that the broker or our limits refused", mqtt.refused),
        ] {
            registry.register(name, help, ConstCounter::new(count));
        }
        if let Some(bytes) = self.readings.written_bytes {
            let help = "Bytes that the program has had written to storage";
            registry.register_with_unit("written", help, Unit::Bytes, ConstCounter::new(bytes));
        }
    }

    fn gauges(&self, registry: &mut Registry) {
        let version: Labels = vec![
            ("version", env!("CARGO_PKG_VERSION").to_owned()),
            ("backbone", self.cx.backbone.backbone.name.clone()),
        ];
        let build = Family::<Labels, Gauge>::default();
        build.get_or_create(&version).set(1);
        registry.register("build_info", "Always 1; the labels say what runs", build);
        let count = |registry: &mut Registry, name: &str, help: &str, value: f64| {
            registry.register(name, help, ConstGauge::new(value));
        };
        let flag = f64::from;
        let connected = self.counters.mqtt.is_some_and(|mqtt| mqtt.connected);
        let holds = &self.cx.holds;
        count(
            registry,
            "head_version",
            "Version of the active head, 0 without one",
            self.cx.active.unwrap_or(0) as f64,
        );
        count(registry, "mqtt_connected", "Whether the broker can be reached", flag(connected));
        count(registry, "camera_delivers", "Whether frames come", flag(!holds.contains(&Hold::CameraLost)));
        count(
            registry,
            "adaptation_held",
            "Whether something holds adaptation back",
            flag(!holds.is_empty()),
        );
        if let Some(accuracy) = self.parts.adapt.head_state().and_then(|head| head.accuracy) {
            let help = "Accuracy of the active head on bursts it never saw, 0 to 1";
            count(registry, "heldout_accuracy", help, accuracy.value);
        }
        let (samples, bursts) = (Family::<Labels, Gauge>::default(), Family::<Labels, Gauge>::default());
        for class in &self.parts.labels.dataset().classes {
            let label: Labels = vec![("class", class.name.clone())];
            samples.get_or_create(&label).set(i64::try_from(class.samples).unwrap_or(i64::MAX));
            bursts.get_or_create(&label).set(i64::try_from(class.bursts).unwrap_or(i64::MAX));
        }
        registry.register("dataset_images", "Labelled samples", samples);
        registry.register("dataset_bursts", "Bursts they came in", bursts);
        let optional = [
            ("temperature", "Hottest sensor", Unit::Celsius, self.readings.temperature_c),
            (
                "disk_free",
                "Free space where the samples are",
                Unit::Bytes,
                self.readings.disk_free_bytes.map(|bytes| bytes as f64),
            ),
            ("memory", "Resident memory", Unit::Bytes, self.readings.rss_bytes.map(|bytes| bytes as f64)),
        ];
        for (name, help, unit, value) in optional {
            if let Some(value) = value {
                registry.register_with_unit(name, help, unit, ConstGauge::new(value));
            }
        }
        if let Some(Throttle { slowed, undervoltage }) = self.readings.throttle {
            count(registry, "throttled", "Whether the board slows itself down", flag(slowed));
            count(registry, "undervoltage", "Whether its supply voltage is too low", flag(undervoltage));
        }
    }
}
