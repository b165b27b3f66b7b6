//! `graft job`: rounds, imports and exports that run in the background.

use super::Common;
use super::client::{body, word};
use super::train::figures;
use crate::web::client::encode;
use anyhow::Result;
use clap::Subcommand;
use graft_wire::Op;
use graft_wire::messages::JobMessage;
use serde_json::{Value, json};

/// Look at a job, wait for it, or cancel it
#[derive(Subcommand, Clone, Debug)]
pub enum JobCommand {
    /// Show how far a job is
    Show {
        /// The job
        job: String,
        /// Wait for its end
        #[arg(long)]
        wait: bool,
    },
    /// Cancel a running job
    Cancel {
        /// The job
        job: String,
    },
    /// Forget an ended job
    Clear {
        /// The job
        job: String,
    },
}

pub fn run(command: &JobCommand, common: &Common) -> Result<()> {
    match command {
        JobCommand::Show { job, wait } => {
            let job: JobMessage = if *wait {
                common.wait(job, common.output())?
            } else {
                common.get(&format!("/v1/jobs/{}", encode(job)))?
            };
            common.output().show(&json!(job), |value| {
                let line = format!(
                    "job {} ({}): {} {}",
                    job.id,
                    job.op,
                    word(value, "/status"),
                    word(value, "/step")
                );
                if job.metrics.is_empty() { line } else { format!("{line}\n\n{}", figures(&job)) }
            })
        }
        JobCommand::Cancel { job } => {
            common.send(Op::Job, &request(command), |_| format!("job {job} cancelled"))
        }
        JobCommand::Clear { job } => {
            common.send(Op::Job, &request(command), |_| format!("job {job} forgotten"))
        }
    }
}

pub(super) fn request(command: &JobCommand) -> Value {
    match command {
        JobCommand::Cancel { job } => body("cancel", &[("job", json!(job))]),
        JobCommand::Show { job, .. } | JobCommand::Clear { job } => body("clear", &[("job", json!(job))]),
    }
}
