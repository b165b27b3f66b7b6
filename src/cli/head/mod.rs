//! `graft head`: which head is active, and which there were.

mod export;
mod verify;

use super::client::word;
use super::output::{percent, table};
use super::{Common, train};
use anyhow::Result;
use clap::Subcommand;
use graft_wire::Command;
use graft_wire::command::Head;
use serde_json::Value;
use {export::ExportArgs, verify::VerifyArgs};

/// Look at heads, go back to one, take one out, check one
#[derive(Subcommand, Clone, Debug)]
pub enum HeadCommand {
    /// List heads, newest first
    List {
        /// Maximum rows
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
    if let Some(sent) = request(command) {
        return common.send(&sent, |data| match command {
            HeadCommand::Apply { version, .. } => {
                format!("head {version} is active again, as version {}", word(data, "/version"))
            }
            HeadCommand::Rollback { .. } => {
                format!("rolled back; active is version {}", word(data, "/version"))
            }
            HeadCommand::Pin { off: true } => "not pinned any more".to_owned(),
            HeadCommand::Pin { off: false } => "pinned".to_owned(),
            _ => "published".to_owned(),
        });
    }
    match command {
        HeadCommand::List { limit } => {
            let mut heads: Value = common.get("/v1/heads")?;
            if let Some(rows) = heads.get_mut("heads").and_then(Value::as_array_mut) {
                rows.truncate(*limit);
            }
            common.output().show(&heads, list)
        }
        HeadCommand::Show { version } => {
            let version = version.map_or_else(|| common.active_head(), Ok)?;
            let head: Value = common.get(&format!("/v1/heads/{version}"))?;
            common.output().show(&head, show)
        }
        HeadCommand::Verify(args) => verify::verify(args, common.output()),
        HeadCommand::Export(args) => export::export(args, common),
        // Sent above.
        _ => Ok(()),
    }
}

/// The command that is sent; the ones that only look send none.
pub(super) fn request(command: &HeadCommand) -> Option<Command> {
    let sent = match command.clone() {
        HeadCommand::Apply { version, digest } => Head::Apply { version, digest },
        HeadCommand::Rollback { to } => Head::Rollback { to },
        HeadCommand::Pin { off } => Head::Pin { on: !off },
        HeadCommand::Publish => Head::Publish,
        HeadCommand::List { .. }
        | HeadCommand::Show { .. }
        | HeadCommand::Verify(_)
        | HeadCommand::Export(_) => return None,
    };
    Some(Command::Head(sent))
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

/// What a head is, then the figures of its round; everything else is in `--json`.
fn show(head: &Value) -> String {
    let part = |pointer| word(head, pointer);
    let active = if head.get("active") == Some(&Value::Bool(true)) { ", active" } else { "" };
    let classes = head.get("classes").and_then(Value::as_array).cloned().unwrap_or_default();
    let classes: Vec<&str> = classes.iter().filter_map(Value::as_str).collect();
    let mut rows = vec![
        vec!["head".to_owned(), format!("{}{active}, {}", part("/version"), part("/method"))],
        vec!["classes".to_owned(), classes.join(", ")],
        vec!["gate".to_owned(), part("/gate")],
        vec!["created".to_owned(), part("/created")],
        vec!["backbone".to_owned(), part("/manifest/backbone/name")],
        vec!["file".to_owned(), format!("{} bytes, {}", part("/bytes"), part("/digest"))],
    ];
    if head.get("restored_from").is_some_and(Value::is_u64) {
        rows.insert(1, vec!["restored".to_owned(), format!("from version {}", part("/restored_from"))]);
    }
    let metrics = head.get("metrics").cloned().unwrap_or_default();
    let known = table(&["", ""], rows);
    format!("{}\n{}", known.trim_start_matches('\n'), train::measured(&metrics))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_head_is_shown_with_its_figures() {
        let interval = json!({"value": 0.95, "low": 0.9, "high": 0.99});
        let head = json!({"version": 3, "active": true, "method": "softmax", "classes": ["ok", "bad"],
            "gate": "+2.0 points", "created": "2026-03-01T12:00:00Z", "bytes": 51000, "digest": "sha256:ab",
            "restored_from": null, "manifest": {"backbone": {"name": "tiny"}},
            "metrics": {"accuracy": interval, "balanced_accuracy": interval, "ece": 0.02, "majority": 0.5,
                "classes": {"ok": {"recall": 0.9, "samples": 40, "bursts": 4},
                    "bad": {"recall": 1.0, "samples": 20, "bursts": 2}},
                "class_names": ["ok", "bad"], "confusion": [[36, 4], [0, 20]]}});
        let text = show(&head);
        for part in
            ["3, active, softmax", "ok, bad", "tiny", "95.0 %  90.0 % to 99.0 %", "ok            36  4"]
        {
            assert!(text.contains(part), "{part}: {text}");
        }
        assert!(!text.contains(['{', '"']), "{text}");
    }
}
