//! Commands: what may be asked of a device, the same over MQTT, HTTP and the command line.

mod backbone;
mod capture;
mod config;
mod dataset;
mod head;
mod job;
mod label;
mod mode;
mod offload;
mod read;
#[cfg(test)]
mod tests;
mod train;

use serde_json::Value;

pub use backbone::Backbone;
pub use capture::Capture;
pub use config::Config;
pub use dataset::Dataset;
pub use head::Head;
pub use job::{Job, is_job_id};
pub use label::Label;
pub use mode::Mode;
pub use offload::{Offload, Outcome, Progress};
pub use read::{MAX_BYTES, parse, peek_id};
pub use train::{Method, Train};

use super::fields::Fields;
use super::{Error, timestamp};

/// The groups of commands, one topic `cmd/<op>` each.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Op {
    /// What the device is wanted to do.
    Mode,
    /// Keep frames as samples.
    Capture,
    /// The class of frames and samples.
    Label,
    /// The samples as a whole.
    Dataset,
    /// One round, now.
    Train,
    /// Which head is active.
    Head,
    /// Fine-tuning on a host.
    Offload,
    /// Which backbone is active.
    Backbone,
    /// Settings that may change while it runs.
    Config,
    /// Jobs and their messages.
    Job,
}

/// The actions of an op, each with the names of its own fields.
pub type Actions = &'static [(&'static str, &'static [&'static str])];

impl Op {
    /// Every op, in the order of the documentation.
    pub const ALL: [Self; 10] = [
        Self::Mode,
        Self::Capture,
        Self::Label,
        Self::Dataset,
        Self::Train,
        Self::Head,
        Self::Offload,
        Self::Backbone,
        Self::Config,
        Self::Job,
    ];

    /// The word in the topic.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Mode => "mode",
            Self::Capture => "capture",
            Self::Label => "label",
            Self::Dataset => "dataset",
            Self::Train => "train",
            Self::Head => "head",
            Self::Offload => "offload",
            Self::Backbone => "backbone",
            Self::Config => "config",
            Self::Job => "job",
        }
    }

    /// The op of a word.
    pub fn parse(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|op| op.as_str() == word)
    }

    /// The actions of the op and their fields.
    pub fn actions(self) -> Actions {
        match self {
            Self::Mode => Mode::ACTIONS,
            Self::Capture => Capture::ACTIONS,
            Self::Label => Label::ACTIONS,
            Self::Dataset => Dataset::ACTIONS,
            Self::Train => Train::ACTIONS,
            Self::Head => Head::ACTIONS,
            Self::Offload => Offload::ACTIONS,
            Self::Backbone => Backbone::ACTIONS,
            Self::Config => Config::ACTIONS,
            Self::Job => Job::ACTIONS,
        }
    }
}

/// One command, checked.
#[derive(Clone, Debug, PartialEq)]
pub enum Command {
    /// What the device is wanted to do.
    Mode(Mode),
    /// Keep frames as samples.
    Capture(Capture),
    /// The class of frames and samples.
    Label(Label),
    /// The samples as a whole.
    Dataset(Dataset),
    /// One round, now.
    Train(Train),
    /// Which head is active.
    Head(Head),
    /// Fine-tuning on a host.
    Offload(Offload),
    /// Which backbone is active.
    Backbone(Backbone),
    /// Settings that may change while it runs.
    Config(Config),
    /// Jobs and their messages.
    Job(Job),
}

impl Command {
    /// The op it belongs to.
    pub fn op(&self) -> Op {
        match self {
            Self::Mode(_) => Op::Mode,
            Self::Capture(_) => Op::Capture,
            Self::Label(_) => Op::Label,
            Self::Dataset(_) => Op::Dataset,
            Self::Train(_) => Op::Train,
            Self::Head(_) => Op::Head,
            Self::Offload(_) => Op::Offload,
            Self::Backbone(_) => Op::Backbone,
            Self::Config(_) => Op::Config,
            Self::Job(_) => Op::Job,
        }
    }

    /// The body without envelope fields: always an object with `action`.
    pub fn to_value(&self) -> Value {
        let value = match self {
            Self::Mode(c) => serde_json::to_value(c),
            Self::Capture(c) => serde_json::to_value(c),
            Self::Label(c) => serde_json::to_value(c),
            Self::Dataset(c) => serde_json::to_value(c),
            Self::Train(c) => serde_json::to_value(c),
            Self::Head(c) => serde_json::to_value(c),
            Self::Offload(c) => serde_json::to_value(c),
            Self::Backbone(c) => serde_json::to_value(c),
            Self::Config(c) => serde_json::to_value(c),
            Self::Job(c) => serde_json::to_value(c),
        };
        // These types hold nothing that JSON cannot say.
        value.unwrap_or_default()
    }

    fn read(op: Op, action: &str, fields: &mut Fields) -> Result<Self, Error> {
        Ok(match op {
            Op::Mode => Self::Mode(Mode::read(action)),
            Op::Capture => Self::Capture(Capture::read(action, fields)?),
            Op::Label => Self::Label(Label::read(action, fields)?),
            Op::Dataset => Self::Dataset(Dataset::read(action, fields)?),
            Op::Train => Self::Train(Train::read(action, fields)?),
            Op::Head => Self::Head(Head::read(action, fields)?),
            Op::Offload => Self::Offload(Offload::read(action, fields)?),
            Op::Backbone => Self::Backbone(Backbone::read(action, fields)?),
            Op::Config => Self::Config(Config::read(action, fields)?),
            Op::Job => Self::Job(Job::read(action, fields)?),
        })
    }
}

/// A command with what belongs to any command.
#[derive(Clone, Debug, PartialEq)]
pub struct Envelope {
    /// Idempotency key and the name under which the reply comes back: 1 to 128 printable characters.
    pub id: Option<String>,
    /// Not to be carried out after this time, in milliseconds since 1970.
    pub expires_ms: Option<i64>,
    /// Only to be carried out if the data set (or, for `head`, the active version) is at this revision.
    pub if_rev: Option<i64>,
    /// What to do.
    pub command: Command,
}

impl Envelope {
    /// A command with no id, no expiry and no condition.
    pub fn bare(command: Command) -> Self {
        Self { id: None, expires_ms: None, if_rev: None, command }
    }

    /// As a JSON object that [`parse`] reads back to the same command.
    pub fn to_value(&self) -> Value {
        let mut value = self.command.to_value();
        if let Value::Object(map) = &mut value {
            if let Some(id) = &self.id {
                map.insert("id".into(), id.as_str().into());
            }
            if let Some(ms) = self.expires_ms {
                map.insert("expires".into(), timestamp::rfc3339(ms).into());
            }
            if let Some(rev) = self.if_rev {
                map.insert("if_rev".into(), rev.into());
            }
        }
        value
    }

    /// Whether its time is over at `now_ms`. To be asked only while the clock can be trusted.
    pub fn expired(&self, now_ms: i64) -> bool {
        self.expires_ms.is_some_and(|end| now_ms > end)
    }
}
