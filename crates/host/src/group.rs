//! Groups of boards: which backbone each is assigned, and how far its boards are with it.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// The backbone that a group is assigned: `groups/<group>.json`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Assignment {
    /// The line of backbones.
    pub(crate) line: String,
    /// The version in it, which was made for this group.
    pub(crate) version: u64,
    /// Bearer token that opens its files.
    pub(crate) token: String,
}

/// How far the boards of a group are with one version: `groups/<group>.state.json`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Progress {
    /// The version that was assigned.
    pub version: u64,
    /// By device id.
    pub devices: BTreeMap<String, Member>,
}

/// How far one board of a group is.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Member {
    /// How often the board was sent the backbone.
    pub sent: u32,
    /// How far it is.
    #[serde(rename = "is")]
    pub state: MemberState,
    /// The job on the board in which it judges the backbone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub job: Option<String>,
    /// Why it refused, or could not take it on yet.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

/// How far a board is with the backbone of its group.
#[derive(strum::IntoStaticStr)]
#[strum(serialize_all = "snake_case")]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum MemberState {
    /// Sent, no answer yet.
    #[default]
    Sent,
    /// The board judges it in a job.
    Accepted,
    /// The board runs it.
    Applied,
    /// The board does not want it.
    Refused,
}

impl MemberState {
    /// The word in `graft host status`.
    pub fn as_str(self) -> &'static str {
        self.into()
    }
}
