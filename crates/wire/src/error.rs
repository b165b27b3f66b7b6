//! The one error shape of every answer, over MQTT, HTTP and the command line alike.

use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use strum::{EnumString, IntoStaticStr};

/// The table of the exit codes: each row once.
macro_rules! exits {
    ($($exit:ident = $code:literal, $meaning:literal;)*) => {
        /// How the command line ends, for scripts.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, IntoStaticStr)]
        #[strum(serialize_all = "snake_case")]
        #[repr(u8)]
        pub enum Exit {
            $(#[doc = $meaning] $exit = $code,)*
        }

        impl Exit {
            /// Every exit code, rising.
            pub const ALL: &[Self] = &[$(Self::$exit),*];

            /// The number.
            pub const fn code(self) -> u8 {
                self as u8
            }

            /// What it means, in some words.
            pub const fn meaning(self) -> &'static str {
                match self {
                    $(Self::$exit => $meaning,)*
                }
            }
        }
    };
}

exits! {
    Done = 0, "done";
    Failed = 1, "failed";
    UsageError = 2, "usage error";
    NoDaemon = 3, "no daemon at the socket";
    Changed = 4, "busy, or the state has changed meanwhile";
    NotFound = 5, "no such sample, class, head, job or file";
    NotEnough = 6, "not enough samples";
    NotVerified = 7, "a signature, digest or head does not verify";
    Unavailable = 69, "camera or broker not available";
    Io = 74, "file cannot be read or written, or disk full";
    TryAgain = 75, "not now, try again";
    Denied = 77, "denied";
    Config = 78, "configuration is wrong";
}

/// What belongs to a code.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Row {
    /// Exit code of the command line.
    pub exit: Exit,
    /// HTTP status.
    pub http: u16,
    /// Whether the same request may well succeed later without being changed.
    pub retryable: bool,
    /// What the code means: a sentence for people.
    pub meaning: &'static str,
    /// What to do about it: a sentence for people.
    pub remedy: &'static str,
}

/// The table of the codes: each row once, in the order of the documentation.
macro_rules! codes {
    ($($code:ident: exit $exit:ident, http $http:literal, $again:ident,
       $meaning:literal, $remedy:literal;)*) => {
        /// What went wrong, for programs. The set is part of the interface: codes are added, never renamed.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, EnumString, IntoStaticStr)]
        #[derive(Serialize, Deserialize, JsonSchema)]
        #[serde(rename_all = "snake_case")]
        #[strum(serialize_all = "snake_case")]
        pub enum Code {
            $(#[doc = $meaning] $code,)*
        }

        impl Code {
            /// Every code, in the order of the documentation.
            pub const ALL: &[Self] = &[$(Self::$code),*];

            /// What belongs to it.
            pub const fn row(self) -> Row {
                match self {
                    $(Self::$code => Row {
                        exit: Exit::$exit,
                        http: $http,
                        retryable: codes!(@$again),
                        meaning: $meaning,
                        remedy: $remedy,
                    },)*
                }
            }
        }
    };
    (@retryable) => { true };
    (@final) => { false };
}

codes! {
    BadRequest: exit UsageError, http 400, final,
        "The request is not well-formed: no JSON, a missing field, a wrong type or value, an unknown \
         action.",
        "Correct the place that `detail.pointer` names; the message says what is expected.";
    UnknownField: exit UsageError, http 400, final,
        "A field that this command does not have. Nothing was applied.",
        "Correct the name; `detail.nearest` is the likely one.";
    Unsupported: exit Failed, http 501, final,
        "This device or version cannot do that.",
        "See `ops` in the `info` topic for what it can do.";
    Busy: exit Changed, http 409, retryable,
        "A job of the same kind is running; `detail.job` names it.",
        "Wait for that job to end, or cancel it with the `job` command.";
    Conflict: exit Changed, http 409, final,
        "The world has changed since the request was written: `if_rev` is not the present revision, or \
         the thing already exists.",
        "Read the present state (`detail.rev`), decide again, send again.";
    NotFound: exit NotFound, http 404, final,
        "The named sample, frame, class, head, job or file is not there. Frames are kept for 30 seconds \
         only.",
        "Check the name or number with the matching `list` command or the `state` topic.";
    Expired: exit TryAgain, http 410, final,
        "The command arrived after its `expires` time and was not carried out.",
        "Send it again with a later time; check the clocks of both sides.";
    RetainedCommand: exit UsageError, http 400, final,
        "The command was published with the retain flag and was ignored: it would fire again at every \
         reconnect.",
        "Publish it without retain, and clear the retained one with a zero-length retained message.";
    Denied: exit Denied, http 403, final,
        "The sender may not do that, or the device may not write there.",
        "Use an allowed account, path or response topic.";
    TooLarge: exit Failed, http 413, final,
        "A payload, file or head is over its limit; the limits stand in the `info` topic.",
        "Send less, or raise the limit in the configuration.";
    BadSignature: exit NotVerified, http 422, final,
        "The signature does not fit the manifest, or the key is not a trusted one.",
        "Fetch the manifest again; check the pinned key against `public_key` in the `info` topic.";
    DigestMismatch: exit NotVerified, http 422, final,
        "The bytes are not those the digest speaks of.",
        "Fetch them again; if it stays so, the publisher or the store is damaged.";
    Incompatible: exit NotVerified, http 422, final,
        "The head belongs to another device, backbone, preprocessing or version, or is malformed.",
        "Use a head made for this backbone, or train one here.";
    NotEnoughData: exit NotEnough, http 422, final,
        "There are too few samples, bursts or classes for that; `detail` says how many are needed.",
        "Capture more bursts of the classes named.";
    Diverged: exit Failed, http 422, final,
        "Training gave figures that are not finite.",
        "Look for broken samples; report the case with the exported data set.";
    Regression: exit Failed, http 422, final,
        "The new head is worse than the active one by more than the gate allows; the active one stays.",
        "Label more of what it confuses; the comparison is in the event's `data`.";
    Thermal: exit TryAgain, http 503, retryable,
        "The board is too hot for training.",
        "Wait, cool the board, or lower the budget in the configuration.";
    DiskFull: exit Io, http 507, retryable,
        "The quota is used up or the disk is nearly full; nothing was stored.",
        "Export and delete samples, or raise the quota.";
    Camera: exit Unavailable, http 503, retryable,
        "There is no picture from the camera.",
        "Check cable, power and `graft status`; the device keeps trying by itself.";
    OffloadUnreachable: exit Unavailable, http 502, retryable,
        "The training host cannot be reached.",
        "Check its address and the network; the offer is repeated.";
    Timeout: exit TryAgain, http 504, retryable,
        "It took longer than allowed and was given up.",
        "Send it again; with the same `id` it is done at most once.";
    Canceled: exit Failed, http 409, final,
        "It was cancelled on request, or cut off by a restart of the device.",
        "Start it again if it is still wanted.";
    Internal: exit Failed, http 500, final,
        "A fault of this software or of the machine it runs on.",
        "See the log of the device (`journalctl -u graft`) and report it.";
}

impl Code {
    /// The code as it is written on the wire.
    pub fn as_str(self) -> &'static str {
        self.into()
    }

    /// Whether the same request may well succeed later without being changed.
    pub fn retryable(self) -> bool {
        self.row().retryable
    }
}

impl fmt::Display for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// The HTTP status of an error.
pub fn http_status(code: Code) -> u16 {
    code.row().http
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

    /// There is no `what`, such as `sample 12`.
    pub fn not_found(what: impl fmt::Display) -> Self {
        Self::new(Code::NotFound, format!("there is no {what}"))
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
        for &code in Code::ALL {
            assert_eq!(serde_json::to_value(code).unwrap(), Value::from(code.as_str()));
            assert_eq!(code.as_str().parse(), Ok(code));
            let row = code.row();
            assert!(row.meaning.ends_with('.') && row.remedy.ends_with('.'), "{code}");
            assert!((400..600).contains(&row.http) && row.exit != Exit::Done, "{code}");
        }
        let mut words: Vec<_> = Code::ALL.iter().map(|c| c.as_str()).collect();
        words.sort_unstable();
        words.dedup();
        assert_eq!(words.len(), Code::ALL.len());
    }

    #[test]
    fn errors_survive_json() {
        let error = Error::busy("r-7").with("since", 3);
        let text = serde_json::to_string(&error).unwrap();
        assert_eq!(serde_json::from_str::<Error>(&text).unwrap(), error);
        assert!(error.retryable && !Error::internal("x").retryable);
    }
}
