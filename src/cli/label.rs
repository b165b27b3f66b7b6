//! `graft label`: give, change and take back the class of frames and samples.

use super::Common;
use super::client::{body, word};
use anyhow::Result;
use clap::Subcommand;
use graft_wire::Op;
use serde_json::{Value, json};

/// Give, change or take back the class of frames and samples
#[derive(Subcommand, Clone, Debug)]
pub enum LabelCommand {
    /// Store a frame as a sample of a class
    Set {
        /// The class; made if it is new
        class: String,
        /// The frame, by its number in the predictions [default: the newest]
        #[arg(long, value_name = "N")]
        frame: Option<u64>,
        /// The burst it belongs to [default: that of labels just before it, else a new one]
        #[arg(long, value_name = "NAME")]
        burst: Option<String>,
    },
    /// Give a stored sample another class
    Relabel {
        /// The sample, by its number in `dataset ls`
        sample: i64,
        /// Its new class; made if it is new
        class: String,
    },
    /// Delete a stored sample
    Delete {
        /// The sample, by its number in `dataset ls`
        sample: i64,
    },
    /// Take back the last change of the data set; again for the one before
    Undo,
}

pub fn run(command: &LabelCommand, common: &Common) -> Result<()> {
    common.send(Op::Label, &request(command), |data| match command {
        LabelCommand::Set { .. } => {
            let part = |pointer| word(data, pointer);
            format!("sample {}: {}, burst {}", part("/sample"), part("/class"), part("/burst"))
        }
        _ => word(data, "/text"),
    })
}

pub(super) fn request(command: &LabelCommand) -> Value {
    match command {
        LabelCommand::Set { class, frame, burst } => {
            body("set", &[("class", json!(class)), ("frame", json!(frame)), ("burst", json!(burst))])
        }
        LabelCommand::Relabel { sample, class } => {
            body("relabel", &[("sample", json!(sample)), ("class", json!(class))])
        }
        LabelCommand::Delete { sample } => body("delete", &[("sample", json!(sample))]),
        LabelCommand::Undo => body("undo", &[]),
    }
}
