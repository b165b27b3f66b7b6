//! `graft offload`: fine-tuning of the backbone on a training host.

use super::Common;
use super::client::word;
use super::train::figures;
use anyhow::Result;
use clap::Subcommand;
use graft_wire::Command;
use graft_wire::command::Offload;
use graft_wire::offload::Recipe;
use serde_json::Value;

/// Have a training host fine-tune the backbone on this board's samples
#[derive(Subcommand, Clone, Debug)]
pub enum OffloadCommand {
    /// Offer the samples and the backbone to the hosts whose keys are in offload.host_keys
    Start {
        /// auto, head, partial:K, gradual, full or scratch, with +frozen or +live where batch normalisation is to be
        /// put back [default: as configured]
        #[arg(long, value_name = "RECIPE")]
        recipe: Option<Recipe>,
        /// Wait until the result was judged
        #[arg(long)]
        wait: bool,
    },
    /// Cancel the offload job
    Cancel {
        /// The job [default: the one there is]
        job: Option<String>,
    },
    /// Show its progress
    Status,
}

pub fn run(command: &OffloadCommand, common: &Common) -> Result<()> {
    let Some(sent) = request(command) else {
        return common.output().show(&common.get::<Value>("/v1/offload")?, status);
    };
    match command {
        OffloadCommand::Start { wait, .. } => {
            let job = common.job(&sent, *wait)?;
            common.output().show(&job, |job| if *wait { figures(job) } else { format!("job {}", job.id) })
        }
        _ => common.send(&sent, |_| "cancelled".to_owned()),
    }
}

/// The command that is sent; `status` only looks.
pub(super) fn request(command: &OffloadCommand) -> Option<Command> {
    let sent = match command.clone() {
        OffloadCommand::Start { recipe, .. } => Offload::Start { recipe },
        OffloadCommand::Cancel { job } => Offload::Cancel { job },
        OffloadCommand::Status => return None,
    };
    Some(Command::Offload(sent))
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
