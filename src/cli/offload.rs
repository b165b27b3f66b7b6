//! `graft offload`: fine-tuning of the backbone on a training host.

use super::Common;
use super::client::{body, word};
use super::train::figures;
use anyhow::Result;
use clap::Subcommand;
use graft_wire::Op;
use serde_json::{Value, json};

/// Have a training host fine-tune the backbone on this board's samples
#[derive(Subcommand, Clone, Debug)]
pub enum OffloadCommand {
    /// Offer the samples and the backbone to the hosts whose keys are in offload.host_keys
    Start {
        /// auto, head, partial:K, gradual, full or scratch, with +frozen or +live where batch normalisation is to be
        /// put back [default: as configured]
        #[arg(long, value_name = "RECIPE")]
        recipe: Option<String>,
        /// Wait until the result was judged
        #[arg(long)]
        wait: bool,
    },
    /// Cancel it, wherever it is
    Cancel {
        /// The job [default: the one there is]
        job: Option<String>,
    },
    /// Show how far it is
    Status,
}

pub fn run(command: &OffloadCommand, common: &Common) -> Result<()> {
    match command {
        OffloadCommand::Start { wait, .. } => {
            let job = common.job(Op::Offload, &request(command), *wait)?;
            common.output().show(&job, |job| if *wait { figures(job) } else { format!("job {}", job.id) })
        }
        OffloadCommand::Cancel { .. } => {
            common.send(Op::Offload, &request(command), |_| "cancelled".to_owned())
        }
        OffloadCommand::Status => common.output().show(&common.get::<Value>("/v1/offload")?, status),
    }
}

pub(super) fn request(command: &OffloadCommand) -> Value {
    match command {
        OffloadCommand::Start { recipe, .. } => body("start", &[("recipe", json!(recipe))]),
        OffloadCommand::Cancel { job } => body("cancel", &[("job", json!(job))]),
        OffloadCommand::Status => Value::Null,
    }
}

fn status(data: &Value) -> String {
    let part = |pointer: &str| word(data, pointer);
    let Some(job) = data.get("job").filter(|job| !job.is_null()) else {
        let keys = data.get("host_keys").and_then(Value::as_u64).unwrap_or(0);
        return format!("nothing is offered; {keys} host key(s) are trusted");
    };
    let mut text = format!("job {}: {}, {}", word(job, "/id"), word(job, "/status"), word(job, "/step"));
    if data.pointer("/offered/offer").is_some() {
        text.push_str(&format!(
            "\n{} to {}: {} samples of {} classes, {} bytes in all, recipe {}, until {}",
            part("/offered/offer/state"),
            data.pointer("/offered/offer/host").and_then(Value::as_str).unwrap_or("any host"),
            part("/offered/offer/dataset/samples"),
            part("/offered/offer/dataset/classes"),
            part("/offered/offer/dataset/bytes"),
            part("/offered/offer/recipe"),
            part("/offered/offer/expires"),
        ));
    }
    text
}
