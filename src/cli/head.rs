//! `graft head`: which head is active, and which there were.

use super::client::{body, word};
use super::head_export::{ExportArgs, export};
use super::head_verify::{VerifyArgs, verify};
use super::output::{percent, table};
use super::{Common, NotFound};
use anyhow::Result;
use clap::Subcommand;
use graft_wire::Op;
use serde_json::{Value, json};

/// Look at heads, go back to one, take one out, check one
#[derive(Subcommand, Clone, Debug)]
pub enum HeadCommand {
    /// List heads, newest first
    List {
        /// At most so many
        #[arg(long, value_name = "N", default_value_t = 10)]
        limit: usize,
    },
    /// Show everything about a head
    Show {
        /// Its version [default: the active one]
        version: Option<u64>,
    },
    /// Make a stored head active, whatever the gate says; it gets a new version
    Apply {
        /// The stored version
        version: u64,
        /// Its digest, to be sure which one is meant
        #[arg(long, value_name = "sha256:…")]
        digest: Option<String>,
    },
    /// Go back to an earlier head; it gets a new version
    Rollback {
        /// The version to go back to [default: the one before the active one]
        #[arg(long, value_name = "VERSION")]
        to: Option<u64>,
    },
    /// Keep the active head whatever rounds bring
    Pin {
        /// Let go of it again
        #[arg(long)]
        off: bool,
    },
    /// Publish the active head again
    Publish,
    Verify(VerifyArgs),
    Export(ExportArgs),
}

pub fn run(command: &HeadCommand, common: &Common) -> Result<()> {
    match command {
        HeadCommand::List { limit } => {
            let mut heads: Value = common.get("/v1/heads")?;
            if let Some(rows) = heads.get_mut("heads").and_then(Value::as_array_mut) {
                rows.truncate(*limit);
            }
            common.output().show(&heads, list)
        }
        HeadCommand::Show { version } => {
            let version = version.map_or_else(|| active(common), Ok)?;
            let head: Value = common.get(&format!("/v1/heads/{version}"))?;
            common.output().show(&head, show)
        }
        HeadCommand::Verify(args) => verify(args, common.output()),
        HeadCommand::Export(args) => export(args, common),
        HeadCommand::Apply { version, .. } => common.send(Op::Head, &request(command), |data| {
            format!("head {version} is active again, as version {}", word(data, "/version"))
        }),
        HeadCommand::Rollback { .. } => common.send(Op::Head, &request(command), |data| {
            format!("rolled back; active is version {}", word(data, "/version"))
        }),
        HeadCommand::Pin { off } => common.send(Op::Head, &request(command), |_| {
            if *off { "not pinned any more".to_owned() } else { "pinned".to_owned() }
        }),
        HeadCommand::Publish => common.send(Op::Head, &request(command), |_| "published".to_owned()),
    }
}

pub(super) fn active(common: &Common) -> Result<u64> {
    let heads: Value = common.get("/v1/heads")?;
    let none = || NotFound("there is no head yet; label some bursts, then `graft train`".to_owned());
    Ok(heads.get("active").and_then(Value::as_u64).ok_or_else(none)?)
}

/// The command's body; the ones that only look have none.
pub(super) fn request(command: &HeadCommand) -> Value {
    match command {
        HeadCommand::Apply { version, digest } => {
            body("apply", &[("version", json!(version)), ("digest", json!(digest))])
        }
        HeadCommand::Rollback { to } => body("rollback", &[("to", json!(to))]),
        HeadCommand::Pin { off } => body("pin", &[("on", json!(!off))]),
        _ => body("publish", &[]),
    }
}

fn list(data: &Value) -> String {
    let heads = data.get("heads").and_then(Value::as_array).cloned().unwrap_or_default();
    let row = |head: &Value| {
        let accuracy = head.pointer("/accuracy/value").and_then(Value::as_f64);
        let active = head.get("active") == Some(&Value::Bool(true));
        let mark = if active { "active" } else { "" };
        let part = |pointer| word(head, pointer);
        vec![
            part("/version"),
            mark.to_owned(),
            part("/method"),
            accuracy.map_or("-".to_owned(), percent),
            part("/restored_from"),
            part("/created"),
            part("/gate"),
        ]
    };
    table(&["version", "", "method", "accuracy", "restored", "created", "gate"], heads.iter().map(row))
}

fn show(head: &Value) -> String {
    let Some(fields) = head.as_object() else { return head.to_string() };
    let row = |(name, value): (&String, &Value)| {
        let text = match value {
            Value::String(text) => text.clone(),
            Value::Array(list) if list.iter().all(Value::is_string) => {
                list.iter().filter_map(Value::as_str).collect::<Vec<_>>().join(", ")
            }
            other => other.to_string(),
        };
        vec![name.clone(), text]
    };
    table(&["what", "value"], fields.iter().map(row))
}
