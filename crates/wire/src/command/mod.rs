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
pub(crate) mod rules;
#[cfg(test)]
mod tests;
mod train;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use strum::{EnumDiscriminants, EnumString, IntoStaticStr, VariantArray};

pub use backbone::Backbone;
pub use capture::Capture;
pub use config::Config;
pub use dataset::Dataset;
pub use head::Head;
pub use job::Job;
pub use label::{Chosen, Label};
pub use mode::Mode;
pub use offload::{Offload, Outcome, Progress};
pub use read::{MAX_BYTES, parse, peek_id};
pub use rules::is_job_id;
pub use train::{Method, Train};

use super::timestamp;

/// One command. What it is on the wire: `{"action": …}` with the fields of the action, on the topic of its [`Op`].
#[derive(Clone, Debug, PartialEq, EnumDiscriminants, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[strum_discriminants(
    name(Op),
    doc = "The groups of commands, one topic `cmd/<op>` each, in the order of the documentation.",
    derive(EnumString, Hash, IntoStaticStr, Ord, PartialOrd, VariantArray),
    strum(serialize_all = "snake_case")
)]
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

impl Op {
    /// Every op, in the order of the documentation.
    pub const ALL: &[Self] = Self::VARIANTS;

    /// The word in the topic.
    pub fn as_str(self) -> &'static str {
        self.into()
    }

    /// The op of a word.
    pub fn parse(word: &str) -> Option<Self> {
        word.parse().ok()
    }
}

impl Command {
    /// The op it belongs to.
    pub fn op(&self) -> Op {
        self.into()
    }

    /// The body without envelope fields: always an object with `action`.
    pub fn to_value(&self) -> Value {
        // These types hold nothing that JSON cannot say. serde writes {op: action} or {op: {action: fields}}.
        let value = serde_json::to_value(self).unwrap_or_default();
        let action = value.as_object().and_then(|ops| ops.values().next());
        let mut body = Map::new();
        match action {
            Some(Value::Object(actions)) => {
                for (action, fields) in actions {
                    body.insert("action".into(), action.as_str().into());
                    body.extend(fields.as_object().cloned().unwrap_or_default());
                }
            }
            Some(action) => {
                body.insert("action".into(), action.clone());
            }
            None => {}
        }
        Value::Object(body)
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

impl From<Command> for Envelope {
    fn from(command: Command) -> Self {
        Self::bare(command)
    }
}

impl Envelope {
    /// A command with no id, no expiry and no condition.
    pub fn bare(command: Command) -> Self {
        Self { id: None, expires_ms: None, if_rev: None, command }
    }

    /// The same with an idempotency key.
    pub fn named(id: impl Into<String>, command: Command) -> Self {
        Self { id: Some(id.into()), ..Self::bare(command) }
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
