//! The settings of the daemon, whole and checked.

use super::layers::{Effective, Sources};
use graft_backbone::{Card, Crop};
use graft_camera as camera;
use graft_control::{Band, BudgetPolicy, GatePolicy, Policy, RoundPolicy};
use graft_learn::{Choice, Method, Options};
use graft_mqtt as mqtt;
use graft_wire::PublicKey;
use serde::{Deserialize, Serialize};
use std::path::PathBuf;
use std::time::Duration;

/// Everything that `graft run` needs to know.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Settings {
    /// `[device]`
    pub device: Device,
    /// `[camera]`
    pub camera: camera::Settings,
    /// `[backbone]`
    pub backbone: Backbone,
    /// `[capture]`
    pub capture: Capture,
    /// `[learn]`
    pub learn: Learn,
    /// `[gate]`
    pub gate: Gate,
    /// `[budget]`
    pub budget: Budget,
    /// `[predict]`
    pub predict: Predict,
    /// `[offload]`
    pub offload: Offload,
    /// `[store]`
    pub store: Store,
    /// `[mqtt]`
    pub mqtt: Mqtt,
    /// `[socket]`
    pub socket: Socket,
    /// `[web]`
    pub web: Web,
    /// `[gpio]`
    pub gpio: Gpio,
    /// `[metrics]`
    pub metrics: Metrics,
    /// `[log]`
    pub log: Log,
    /// Where they were read from; [`super::load`] reads them again.
    #[serde(skip)]
    pub sources: Sources,
    /// Every key with its value and where that came from.
    #[serde(skip)]
    pub effective: Effective,
}

/// Who this board is.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Device {
    /// `[a-z0-9-]{1,64}`.
    pub id: String,
}

#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Backbone {
    /// `None`: the built-in one.
    pub file: Option<PathBuf>,
    /// `None`: the one beside the file, else guessed.
    pub card: Option<PathBuf>,
    /// Cut tensor; `None`: the card's, else found.
    pub features: Option<String>,
    /// What is seen of a frame without a region.
    pub crop: FrameCrop,
    /// Left, top, width, height as fractions of the frame.
    pub roi: Option<[f64; 4]>,
    /// Threads that share a frame.
    pub threads: u16,
    /// Frames a second at most; `None`: all of them.
    pub max_hz: Option<f64>,
    /// Levels by which a part of the picture may differ to be embedded no second time; 0: off.
    pub change_gate: f32,
}

/// What is seen of a frame without a region.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum FrameCrop {
    /// All of it, squeezed to the network's square.
    Whole,
    /// The centred square, as networks are usually trained.
    Center,
}

impl Backbone {
    /// The card of a backbone, with the crop that is set.
    pub fn as_set(&self, card: Card) -> Card {
        let crop = match self.crop {
            FrameCrop::Whole => Crop::Stretch,
            FrameCrop::Center => Crop::Center,
        };
        Card { crop, ..card }
    }
}

/// How frames become samples.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Capture {
    /// Frames kept per second.
    pub hz: f64,
    /// Frames kept by one capture at most.
    pub max: u32,
    /// Frames whose embedding has a higher cosine with the last kept one are left out.
    pub skip_above: f32,
    /// Seconds without a label that end a burst.
    pub burst_gap_s: f64,
    /// Seconds that past frames can still be labelled.
    pub ring_s: f64,
    /// Frames a second that are kept for that.
    pub ring_hz: f64,
    /// Longest side of a stored crop in pixels.
    pub crop_px: u32,
    /// JPEG quality of stored crops.
    pub jpeg_quality: u8,
}

#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Learn {
    /// `auto` or a method.
    pub head: String,
    /// Classes with fewer samples do not count.
    pub min_samples_per_class: usize,
    /// Classes with fewer bursts do not count.
    pub min_bursts_per_class: usize,
    /// New samples that start a round.
    pub new_samples: usize,
    /// Seconds without a change before it.
    pub idle_s: f64,
    /// Share of known things that may be called unknown.
    pub reject_rate: f32,
    /// Accuracy that is wanted, 0 to 1.
    pub target_accuracy: f64,
    /// Folds of the softmax evaluation.
    pub folds: usize,
    /// Draws behind an interval.
    pub bootstrap: usize,
    /// Seed of a round.
    pub seed: u64,
    /// Threads of a round.
    pub threads: usize,
    /// Niceness of a round.
    pub nice: i32,
}

/// What a new head may cost, in points of a hundred.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Gate {
    pub max_loss_points: f64,
    /// Recall of one class.
    pub max_class_loss_points: f64,
    /// Classes with fewer bursts are not judged one by one.
    pub class_bursts: usize,
}

/// What adaptation may cost the board.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Budget {
    /// Degrees Celsius from which on no round runs.
    pub pause_c: f64,
    /// Degrees Celsius at which rounds go on.
    pub resume_c: f64,
    /// Times as long that a prediction may take beside a round.
    pub slowdown: f64,
    /// Bytes a day besides samples.
    #[serde(rename = "write_per_day")]
    pub write_per_day_bytes: u64,
}

/// What is said about frames.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Predict {
    /// Frames that must agree.
    pub vote: usize,
    /// Predictions per second; 0: none.
    pub max_hz: f64,
    pub threshold: f32,
}

/// Fine-tuning on a host, and backbones from there.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Offload {
    /// Public keys, base64.
    #[serde(default)]
    pub host_keys: Vec<String>,
    pub automatic: bool,
    /// What the host trains.
    pub recipe: String,
    /// Hours.
    pub give_up_h: f64,
    /// Bytes a second; 0: no bound.
    pub upload_rate: u64,
    /// Certificates for https hosts.
    pub ca_file: Option<PathBuf>,
    pub group: Option<String>,
    /// Bytes that backbones may take.
    #[serde(rename = "quota")]
    pub quota_bytes: u64,
    /// Milliseconds a frame may take.
    pub max_frame_ms: Option<f64>,
    /// Seconds on probation.
    pub probation_s: f64,
}

#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Store {
    pub dir: PathBuf,
    /// Bytes it may take.
    #[serde(rename = "quota")]
    pub quota_bytes: u64,
    /// Bytes to leave free on the disk.
    #[serde(rename = "free_floor")]
    pub free_floor_bytes: u64,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Mqtt {
    /// First part of every topic.
    pub base: String,
    /// Prefix of Home Assistant's discovery; `None`: off.
    pub home_assistant: Option<String>,
    pub session: mqtt::Settings,
}

/// The unix socket of the command line.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Socket {
    pub path: PathBuf,
    pub mode: u32,
}

/// The page and the HTTP interface on TCP.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Web {
    /// `None`: there is none.
    pub listen: Option<std::net::SocketAddr>,
    /// Names by which browsers may call it, besides those that it always has.
    #[serde(default)]
    pub hosts: Vec<String>,
    pub tls: WebTls,
    /// PEM; `None`: a certificate of its own.
    pub cert_file: Option<PathBuf>,
    pub key_file: Option<PathBuf>,
}

/// Whether the page is encrypted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum WebTls {
    /// Unless only this machine can reach it.
    Auto,
    On,
    Off,
}

impl Web {
    /// Whether connections to this address are encrypted.
    pub fn encrypts(&self, at: std::net::SocketAddr) -> bool {
        match self.tls {
            WebTls::Auto => !at.ip().is_loopback(),
            WebTls::On => true,
            WebTls::Off => false,
        }
    }
}

/// A button and a lamp.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Gpio {
    pub chip: PathBuf,
    /// Line of the button.
    pub button: Option<u32>,
    /// Class of the samples kept while it is held.
    #[serde(default)]
    pub class: String,
    /// Line of the lamp.
    pub lamp: Option<u32>,
}

#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Metrics {
    /// A loopback address; `None`: only on the unix socket.
    pub listen: Option<std::net::SocketAddr>,
}

#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Log {
    /// error, warn, info, debug or trace.
    pub level: String,
}

/// The head that a word names; `auto` and unknown words are [`Choice::Auto`].
pub fn choice(word: &str) -> Choice {
    Method::parse(word).map_or(Choice::Auto, Choice::Only)
}

impl Learn {
    /// For [`graft_learn::train`].
    pub fn options(&self) -> Options {
        Options {
            choice: choice(&self.head),
            reject_rate: self.reject_rate,
            target: self.target_accuracy,
            bootstrap: self.bootstrap,
            folds: self.folds,
            seed: self.seed,
        }
    }
}

impl Offload {
    /// The pinned keys.
    ///
    /// # Errors
    /// What is wrong with the first one that is none.
    pub fn keys(&self) -> Result<Vec<PublicKey>, String> {
        let read = |text: &String| {
            PublicKey::from_base64(text).map_err(|e| format!("offload.host_keys: {text:?} is refused: {e}"))
        };
        self.host_keys.iter().map(read).collect()
    }
}

impl Budget {
    /// For [`graft_control::BudgetPolicy`]'s readers.
    pub fn policy(&self) -> BudgetPolicy {
        BudgetPolicy {
            heat: Band { hold: self.pause_c, release: self.resume_c },
            write_per_day: self.write_per_day_bytes,
            slowdown: self.slowdown,
        }
    }
}

impl Settings {
    /// For [`graft_control::Control`].
    pub fn policy(&self) -> Policy {
        Policy {
            round: RoundPolicy {
                new_samples: self.learn.new_samples,
                idle: Duration::from_secs_f64(self.learn.idle_s),
                min_samples: self.learn.min_samples_per_class,
                min_bursts: self.learn.min_bursts_per_class,
                choice: choice(&self.learn.head),
            },
            gate: GatePolicy {
                max_loss: self.gate.max_loss_points / 100.0,
                max_class_loss: self.gate.max_class_loss_points / 100.0,
                class_bursts: self.gate.class_bursts,
            },
        }
    }
}
