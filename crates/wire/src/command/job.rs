//! `cmd/job`: jobs and their retained messages.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::rules::{As, JobId};

/// What to do about a job.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
#[schemars(rename = "JobCommand", tag = "action")]
pub enum Job {
    /// Remove the message of an ended job from the broker.
    Clear {
        /// The job.
        #[serde(with = "As::<JobId>")]
        job: String,
    },
    /// Cancel a running job.
    Cancel {
        /// The job.
        #[serde(with = "As::<JobId>")]
        job: String,
    },
}
