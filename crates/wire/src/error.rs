//! The one error shape of every answer, over MQTT, HTTP and the command line alike.

use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

/// What went wrong, for programs. The set is part of the interface: codes are added, never renamed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Code {
    /// Not well-formed.
    BadRequest,
    /// A field this command does not have.
    UnknownField,
    /// Not something this device can do.
    Unsupported,
    /// A job of the same kind is running.
    Busy,
    /// The world has changed since.
    Conflict,
    /// The named thing is not there.
    NotFound,
    /// Too late.
    Expired,
    /// Published with the retain flag.
    RetainedCommand,
    /// Not allowed.
    Denied,
    /// Over a limit.
    TooLarge,
    /// Not signed by the pinned key.
    BadSignature,
    /// Not the bytes that were meant.
    DigestMismatch,
    /// Belongs to something else, or is malformed.
    Incompatible,
    /// Too few samples, bursts or classes.
    NotEnoughData,
    /// Training gave figures that are not finite.
    Diverged,
    /// The gate refused the new head.
    Regression,
    /// Too hot.
    Thermal,
    /// No space left, or the quota is used up.
    DiskFull,
    /// No picture.
    Camera,
    /// No training host.
    OffloadUnreachable,
    /// Took too long.
    Timeout,
    /// Cancelled on request.
    Canceled,
    /// A fault of our own.
    Internal,
}

impl Code {
    /// Every code, in the order of the documentation.
    pub const ALL: [Self; 23] = [
        Self::BadRequest,
        Self::UnknownField,
        Self::Unsupported,
        Self::Busy,
        Self::Conflict,
        Self::NotFound,
        Self::Expired,
        Self::RetainedCommand,
        Self::Denied,
        Self::TooLarge,
        Self::BadSignature,
        Self::DigestMismatch,
        Self::Incompatible,
        Self::NotEnoughData,
        Self::Diverged,
        Self::Regression,
        Self::Thermal,
        Self::DiskFull,
        Self::Camera,
        Self::OffloadUnreachable,
        Self::Timeout,
        Self::Canceled,
        Self::Internal,
    ];

    /// The code as it is written on the wire.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::BadRequest => "bad_request",
            Self::UnknownField => "unknown_field",
            Self::Unsupported => "unsupported",
            Self::Busy => "busy",
            Self::Conflict => "conflict",
            Self::NotFound => "not_found",
            Self::Expired => "expired",
            Self::RetainedCommand => "retained_command",
            Self::Denied => "denied",
            Self::TooLarge => "too_large",
            Self::BadSignature => "bad_signature",
            Self::DigestMismatch => "digest_mismatch",
            Self::Incompatible => "incompatible",
            Self::NotEnoughData => "not_enough_data",
            Self::Diverged => "diverged",
            Self::Regression => "regression",
            Self::Thermal => "thermal",
            Self::DiskFull => "disk_full",
            Self::Camera => "camera",
            Self::OffloadUnreachable => "offload_unreachable",
            Self::Timeout => "timeout",
            Self::Canceled => "canceled",
            Self::Internal => "internal",
        }
    }

    /// Whether the same request may well succeed later without being changed.
    pub fn retryable(self) -> bool {
        matches!(
            self,
            Self::Busy
                | Self::Thermal
                | Self::DiskFull
                | Self::Camera
                | Self::OffloadUnreachable
                | Self::Timeout
        )
    }

    /// What the code means, and what to do about it: two sentences for people.
    pub fn explain(self) -> (&'static str, &'static str) {
        match self {
            Self::BadRequest => (
                "The request is not well-formed: no JSON, a missing field, a wrong type or value, an unknown action.",
                "Correct the place that `detail.pointer` names; the message says what is expected.",
            ),
            Self::UnknownField => (
                "A field that this command does not have. Nothing was applied.",
                "Correct the name; `detail.nearest` is the likely one.",
            ),
            Self::Unsupported => (
                "This device or version cannot do that.",
                "See `ops` in the `info` topic for what it can do.",
            ),
            Self::Busy => (
                "A job of the same kind is running; `detail.job` names it.",
                "Wait for that job to end, or cancel it with the `job` command.",
            ),
            Self::Conflict => (
                "The world has changed since the request was written: `if_rev` is not the present revision, \
                 or the thing already exists.",
                "Read the present state (`detail.rev`), decide again, send again.",
            ),
            Self::NotFound => (
                "The named sample, frame, class, head, job or file is not there. Frames are kept for 30 seconds only.",
                "Check the name or number with the matching `list` command or the `state` topic.",
            ),
            Self::Expired => (
                "The command arrived after its `expires` time and was not carried out.",
                "Send it again with a later time; check the clocks of both sides.",
            ),
            Self::RetainedCommand => (
                "The command was published with the retain flag and was ignored: it would fire again at every reconnect.",
                "Publish it without retain, and clear the retained one with a zero-length retained message.",
            ),
            Self::Denied => (
                "The sender may not do that, or the device may not write there.",
                "Use an allowed account, path or response topic.",
            ),
            Self::TooLarge => (
                "A payload, file or head is over its limit; the limits stand in the `info` topic.",
                "Send less, or raise the limit in the configuration.",
            ),
            Self::BadSignature => (
                "The signature does not fit the manifest, or the key is not a trusted one.",
                "Fetch the manifest again; check the pinned key against `public_key` in the `info` topic.",
            ),
            Self::DigestMismatch => (
                "The bytes are not those the digest speaks of.",
                "Fetch them again; if it stays so, the publisher or the store is damaged.",
            ),
            Self::Incompatible => (
                "The head belongs to another device, backbone, preprocessing or version, or is malformed.",
                "Use a head made for this backbone, or train one here.",
            ),
            Self::NotEnoughData => (
                "There are too few samples, bursts or classes for that; `detail` says how many are needed.",
                "Capture more bursts of the classes named.",
            ),
            Self::Diverged => (
                "Training gave figures that are not finite.",
                "Look for broken samples; report the case with the exported data set.",
            ),
            Self::Regression => (
                "The new head is worse than the active one by more than the gate allows; the active one stays.",
                "Label more of what it confuses; the comparison is in the event's `data`.",
            ),
            Self::Thermal => (
                "The board is too hot for training.",
                "Wait, cool the board, or lower the budget in the configuration.",
            ),
            Self::DiskFull => (
                "The quota is used up or the disk is nearly full; nothing was stored.",
                "Export and delete samples, or raise the quota.",
            ),
            Self::Camera => (
                "There is no picture from the camera.",
                "Check cable, power and `graft status`; the device keeps trying by itself.",
            ),
            Self::OffloadUnreachable => (
                "The training host cannot be reached.",
                "Check its address and the network; the offer is repeated.",
            ),
            Self::Timeout => (
                "It took longer than allowed and was given up.",
                "Send it again; with the same `id` it is done at most once.",
            ),
            Self::Canceled => ("It was cancelled on request.", "Start it again if it is still wanted."),
            Self::Internal => (
                "A fault of this software or of the machine it runs on.",
                "See the log of the device (`journalctl -u graft`) and report it.",
            ),
        }
    }
}

impl fmt::Display for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// The exit code of the command line for an error of the daemon.
pub fn exit_code(code: Code) -> u8 {
    match code {
        Code::BadRequest | Code::UnknownField | Code::RetainedCommand => 2,
        Code::Busy | Code::Conflict => 4,
        Code::NotFound => 5,
        Code::NotEnoughData => 6,
        Code::BadSignature | Code::DigestMismatch | Code::Incompatible => 7,
        Code::Camera | Code::OffloadUnreachable => 69,
        Code::DiskFull => 74,
        Code::Thermal | Code::Timeout | Code::Expired => 75,
        Code::Denied => 77,
        Code::Unsupported
        | Code::TooLarge
        | Code::Diverged
        | Code::Regression
        | Code::Canceled
        | Code::Internal => 1,
    }
}

/// The HTTP status of an error.
pub fn http_status(code: Code) -> u16 {
    match code {
        Code::BadRequest | Code::UnknownField | Code::RetainedCommand => 400,
        Code::Denied => 403,
        Code::NotFound => 404,
        Code::Busy | Code::Conflict | Code::Canceled => 409,
        Code::Expired => 410,
        Code::TooLarge => 413,
        Code::BadSignature
        | Code::DigestMismatch
        | Code::Incompatible
        | Code::NotEnoughData
        | Code::Diverged
        | Code::Regression => 422,
        Code::Internal => 500,
        Code::Unsupported => 501,
        Code::OffloadUnreachable => 502,
        Code::Thermal | Code::Camera => 503,
        Code::Timeout => 504,
        Code::DiskFull => 507,
    }
}

/// An error as it is answered: a code for programs, a sentence for people, and what is needed to act.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema, thiserror::Error)]
#[error("{message}")]
pub struct Error {
    /// What went wrong, for programs.
    pub code: Code,
    /// What went wrong and what to do, for people.
    pub message: String,
    /// Whether the same request may succeed later as it is.
    #[serde(default)]
    pub retryable: bool,
    /// Facts to act on: `pointer`, `nearest`, `job`, `rev`, …
    #[serde(default, skip_serializing_if = "Map::is_empty")]
    pub detail: Map<String, Value>,
}

impl Error {
    /// An error without details; whether it is worth trying again follows from the code.
    pub fn new(code: Code, message: impl Into<String>) -> Self {
        Self { code, message: message.into(), retryable: code.retryable(), detail: Map::new() }
    }

    /// Adds one fact.
    #[must_use]
    pub fn with(mut self, name: &str, value: impl Into<Value>) -> Self {
        self.detail.insert(name.to_owned(), value.into());
        self
    }

    /// A request that is not well-formed at the JSON pointer `pointer`.
    pub fn bad_request(pointer: &str, message: impl Into<String>) -> Self {
        Self::new(Code::BadRequest, message).with("pointer", pointer)
    }

    /// A job of the same kind is running.
    pub fn busy(job: &str) -> Self {
        Self::new(Code::Busy, format!("job {job} is running; wait for it or cancel it")).with("job", job)
    }

    /// `if_rev` did not fit.
    pub fn conflict(wanted: i64, present: i64) -> Self {
        Self::new(
            Code::Conflict,
            format!("if_rev is {wanted}, the present revision is {present}; look again and decide again"),
        )
        .with("rev", present)
    }

    /// A thing that is not there, said as `what`, like `sample 12`.
    pub fn not_found(what: impl fmt::Display) -> Self {
        Self::new(Code::NotFound, format!("{what} is not there"))
    }

    /// A fault of our own.
    pub fn internal(message: impl Into<String>) -> Self {
        Self::new(Code::Internal, message)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_are_written_as_serde_writes_them() {
        for code in Code::ALL {
            assert_eq!(serde_json::to_value(code).unwrap(), Value::from(code.as_str()));
            let (meaning, remedy) = code.explain();
            assert!(meaning.ends_with('.') && remedy.ends_with('.'), "{code}");
            assert!((400..600).contains(&http_status(code)) && exit_code(code) != 0, "{code}");
        }
        let mut words: Vec<_> = Code::ALL.iter().map(|c| c.as_str()).collect();
        words.sort_unstable();
        words.dedup();
        assert_eq!(words.len(), Code::ALL.len());
    }

    #[test]
    fn exit_codes_are_those_of_the_manual() {
        for (code, exit) in [
            (Code::Busy, 4),
            (Code::NotFound, 5),
            (Code::NotEnoughData, 6),
            (Code::BadSignature, 7),
            (Code::Camera, 69),
            (Code::DiskFull, 74),
            (Code::Timeout, 75),
            (Code::Denied, 77),
            (Code::BadRequest, 2),
        ] {
            assert_eq!(exit_code(code), exit);
        }
    }

    #[test]
    fn errors_survive_json() {
        let error = Error::busy("r-7").with("since", 3);
        let text = serde_json::to_string(&error).unwrap();
        assert_eq!(serde_json::from_str::<Error>(&text).unwrap(), error);
        assert!(error.retryable && !Error::internal("x").retryable);
    }
}
