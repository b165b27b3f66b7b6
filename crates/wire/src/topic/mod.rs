//! Topics: one row for each kind of topic, by which the daemon publishes and the documents are written, and their
//! names as a type. The tree is `{base}/{device}/…`; the device writes everything except `cmd/…`, and reads only that.

use std::fmt;

use super::command::Op;
use super::messages::{OFFLINE, ONLINE};

/// One kind of topic that a device writes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Topic {
    /// Its name below `{base}/{device}`, with `{…}` for what varies.
    pub address: &'static str,
    /// What it carries.
    pub payload: Payload,
    /// Kept by the broker for later subscribers.
    pub retain: bool,
    /// Quality of service: 0 or 1.
    pub qos: u8,
    /// Seconds after which the broker drops a message.
    pub expiry_s: Option<u32>,
    /// What it says, for people.
    pub about: &'static str,
}

/// What a topic carries.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Payload {
    /// JSON of the type of this name.
    Json(&'static str),
    /// Plain text, one of these words.
    Word(&'static [&'static str]),
    /// Plain text.
    Text,
    /// The bytes of a part of a head file.
    Bytes,
}

const fn kept(address: &'static str, payload: Payload, about: &'static str) -> Topic {
    Topic { address, payload, retain: true, qos: 1, expiry_s: None, about }
}

const fn told(address: &'static str, payload: Payload, about: &'static str) -> Topic {
    Topic { address, payload, retain: false, qos: 1, expiry_s: None, about }
}

/// Life of a topic of a job at the broker, in seconds: a week. It is for boards that never come back; those that do
/// clear their topics themselves.
const WEEK: Option<u32> = Some(7 * 86_400);

impl Topic {
    /// `online` or `offline`; the last will.
    pub const AVAILABILITY: Self = kept(
        "availability",
        Payload::Word(&[ONLINE, OFFLINE]),
        "Whether the device is there. `offline` is the last will, and is said before a clean goodbye, too.",
    );
    /// What the device is and can do.
    pub const INFO: Self = kept(
        "info",
        Payload::Json("Info"),
        "What the device is and can do: commands, limits, camera, configuration without secrets, public key.",
    );
    /// What it is doing.
    pub const STATE: Self = kept(
        "state",
        Payload::Json("State"),
        "What it is doing and why: mode, head with its accuracy, backbone, samples by class, running job. \
         On change, at most once a second.",
    );
    /// Figures for graphs.
    pub const STATS: Self = Self {
        qos: 0,
        expiry_s: Some(60),
        ..told("stats", Payload::Json("Stats"), "Figures for graphs, every 30 seconds.")
    };
    /// The agreed class.
    pub const LABEL: Self = kept(
        "label",
        Payload::Text,
        "The agreed class as plain text, on change only: three frames in a row (setting `predict.vote`) have \
         to say the same with enough confidence. `none` while there is no agreed class: before the first head (`head` of `state` is `null` then) and \
         while the camera is lost (`reasons` of `state` has `camera_lost` then).",
    );
    /// What one frame looks like.
    pub const PREDICTION: Self = Self {
        qos: 0,
        expiry_s: Some(10),
        ..told(
            "prediction",
            Payload::Json("PredictionMessage"),
            "What one frame looks like to the head, at most twice a second. Its `frame` is what `label` takes.",
        )
    };
    /// Things that happened.
    pub const EVENT: Self = told(
        "event",
        Payload::Json("Event"),
        "Things that happened: captures, rounds, heads that came or were refused, camera lost and back.",
    );
    /// The manifest of the active head.
    pub const HEAD: Self = kept(
        "head",
        Payload::Json("Manifest"),
        "The signed manifest of the active head. Published after its parts.",
    );
    /// A part of a head file.
    pub const HEAD_PART: Self = kept(
        "head/{version}/{n}",
        Payload::Bytes,
        "Part `n` (from 0) of the head file, at most 64 KiB. Those of the active and the previous version are \
         kept; older ones are cleared with an empty message.",
    );
    /// How far a job is.
    pub const JOB: Self = Self {
        expiry_s: WEEK,
        ..kept(
            "job/{job}",
            Payload::Json("JobMessage"),
            "How far a job is. Cleared a day after its end, or by `cmd/job`. A job that a restart cut off is \
             told as `canceled` then.",
        )
    };
    /// A fine-tuning job that waits for a host, or that one has.
    pub const OFFLOAD: Self = Self {
        expiry_s: WEEK,
        ..kept(
            "offload/{job}",
            Payload::Json("Offer"),
            "A fine-tuning job that waits for a training host, or that a host has claimed. Cleared with an empty \
             message when it is over. See [offload.md](../guide/offload.md).",
        )
    };
    /// The answer to a command.
    pub const REPLY: Self =
        told("reply/{op}", Payload::Json("Reply"), "The answer to a command that named no response topic.");
    /// The one that is not below the device: what Home Assistant finds it by.
    pub const HOME_ASSISTANT: Self = kept(
        "{prefix}/device/{id}/config",
        Payload::Text,
        "The device as Home Assistant discovers it, where `mqtt.home_assistant` names a prefix.",
    );

    /// Every kind below `{base}/{device}`, in the order of the documentation.
    pub const ALL: [Self; 12] = [
        Self::AVAILABILITY,
        Self::INFO,
        Self::STATE,
        Self::STATS,
        Self::LABEL,
        Self::PREDICTION,
        Self::EVENT,
        Self::HEAD,
        Self::HEAD_PART,
        Self::JOB,
        Self::OFFLOAD,
        Self::REPLY,
    ];
}

/// A topic to publish to: its name and the row that says how.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Address {
    /// The kind of topic.
    pub topic: Topic,
    /// The whole name.
    pub name: String,
}

impl Address {
    /// One topic of a kind.
    pub fn new(topic: Topic, name: impl Into<String>) -> Self {
        Self { topic, name: name.into() }
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.name)
    }
}

impl From<Address> for String {
    fn from(address: Address) -> Self {
        address.name
    }
}

/// Most levels of a base: together with the deepest topic (`head/<version>/<n>` under the device) this
/// stays within the seven slashes that the strictest known broker allows.
const BASE_LEVELS: usize = 4;
const BASE_BYTES: usize = 128;
const RESPONSE_BYTES: usize = 512;

/// Why a base or a device id was refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TopicError {
    /// The base is not usable as the start of a topic name.
    #[error("topic base {0:?} is not usable: {1}; use something like `graft` or `site/line-3`")]
    Base(String, &'static str),
    /// The device id breaks the alphabet or the length.
    #[error("device id {0:?} is not usable: it takes 1 to 64 of a-z, 0-9 and '-'")]
    Device(String),
}

/// The topics of one device.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Topics {
    root: String,
    device: String,
}

impl Topics {
    /// Checks both names. `base` may have levels (`site/line-3`) but no wildcards.
    pub fn new(base: &str, device: &str) -> Result<Self, TopicError> {
        let refuse = |why| Err(TopicError::Base(base.chars().take(BASE_BYTES).collect(), why));
        if base.is_empty() {
            return refuse("it is empty");
        }
        if base.len() > BASE_BYTES {
            return refuse("it is longer than 128 bytes");
        }
        if base.contains(['+', '#']) {
            return refuse("it holds a wildcard (+ or #)");
        }
        if base.starts_with('$') {
            return refuse("names starting with $ belong to the broker");
        }
        if base.chars().any(char::is_control) {
            return refuse("it holds a control character");
        }
        if base.split('/').any(str::is_empty) {
            return refuse("it has an empty level (a slash at an end, or two in a row)");
        }
        if base.split('/').count() > BASE_LEVELS {
            return refuse("it has more than 4 levels");
        }
        if !is_device_id(device) {
            return Err(TopicError::Device(device.chars().take(80).collect()));
        }
        Ok(Self { root: format!("{base}/{device}"), device: device.to_owned() })
    }

    /// `{base}/{device}`.
    pub fn root(&self) -> &str {
        &self.root
    }

    /// The device id.
    pub fn device(&self) -> &str {
        &self.device
    }

    fn under(&self, rest: &str) -> String {
        format!("{}/{rest}", self.root)
    }

    /// The address of a kind of topic, its `{…}` filled in order.
    fn at(&self, topic: Topic, parts: &[&str]) -> Address {
        let mut parts = parts.iter();
        let levels = topic.address.split('/').map(|level| match level.starts_with('{') {
            true => parts.next().copied().unwrap_or_default(),
            false => level,
        });
        Address::new(topic, self.under(&levels.collect::<Vec<_>>().join("/")))
    }

    /// [`Topic::AVAILABILITY`].
    pub fn availability(&self) -> Address {
        self.at(Topic::AVAILABILITY, &[])
    }

    /// [`Topic::INFO`].
    pub fn info(&self) -> Address {
        self.at(Topic::INFO, &[])
    }

    /// [`Topic::STATE`].
    pub fn state(&self) -> Address {
        self.at(Topic::STATE, &[])
    }

    /// [`Topic::STATS`].
    pub fn stats(&self) -> Address {
        self.at(Topic::STATS, &[])
    }

    /// [`Topic::LABEL`].
    pub fn label(&self) -> Address {
        self.at(Topic::LABEL, &[])
    }

    /// [`Topic::PREDICTION`].
    pub fn prediction(&self) -> Address {
        self.at(Topic::PREDICTION, &[])
    }

    /// [`Topic::EVENT`].
    pub fn event(&self) -> Address {
        self.at(Topic::EVENT, &[])
    }

    /// [`Topic::HEAD`].
    pub fn head(&self) -> Address {
        self.at(Topic::HEAD, &[])
    }

    /// [`Topic::HEAD_PART`]: part `n` (from 0) of the head file of `version`.
    pub fn head_part(&self, version: u64, n: u32) -> Address {
        self.at(Topic::HEAD_PART, &[&version.to_string(), &n.to_string()])
    }

    /// [`Topic::JOB`].
    pub fn job(&self, id: &str) -> Address {
        self.at(Topic::JOB, &[id])
    }

    /// [`Topic::OFFLOAD`].
    pub fn offload(&self, job: &str) -> Address {
        self.at(Topic::OFFLOAD, &[job])
    }

    /// [`Topic::REPLY`]: where replies go that named no response topic. `word` is what stood after `cmd/`, which need
    /// not be a command.
    pub fn reply(&self, word: &str) -> Address {
        self.at(Topic::REPLY, &[word])
    }

    /// Where the command `op` is heard.
    pub fn cmd(&self, op: Op) -> String {
        self.under(&format!("cmd/{}", op.as_str()))
    }

    /// The one subscription of the device.
    pub fn cmd_filter(&self) -> String {
        self.under("cmd/+")
    }

    /// The word after `cmd/`, known or not, if `topic` is a command topic of this device.
    pub fn cmd_word<'t>(&self, topic: &'t str) -> Option<&'t str> {
        let word = topic.strip_prefix(self.root.as_str())?.strip_prefix("/cmd/")?;
        (!word.is_empty() && !word.contains('/')).then_some(word)
    }

    /// Whether a reply may go to the MQTT 5 response topic a request named: a plain topic name under
    /// one of `prefixes` (whole levels), never a command topic of this device.
    pub fn allows_response(&self, topic: &str, prefixes: &[String]) -> bool {
        let plain = !topic.is_empty()
            && topic.len() <= RESPONSE_BYTES
            && !topic.starts_with('$')
            && !topic.contains(['+', '#'])
            && !topic.chars().any(char::is_control);
        let own_command = topic
            .strip_prefix(self.root.as_str())
            .is_some_and(|rest| rest == "/cmd" || rest.starts_with("/cmd/"));
        plain
            && !own_command
            && prefixes.iter().any(|prefix| {
                let prefix = prefix.trim_end_matches('/');
                !prefix.is_empty()
                    && topic.strip_prefix(prefix).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
            })
    }
}

/// Whether `text` is a device id: 1 to 64 of `a-z`, `0-9` and `-`.
pub fn is_device_id(text: &str) -> bool {
    (1..=64).contains(&text.len())
        && text.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-')
}

#[cfg(test)]
mod tests;
