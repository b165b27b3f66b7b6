//! `cmd/job`: jobs and their retained messages.

use schemars::JsonSchema;
use serde::Serialize;

use super::Actions;
use crate::error::Error;
use crate::fields::{Fields, required};

/// What to do about a job.
#[derive(Clone, Debug, PartialEq, Serialize, JsonSchema)]
#[serde(tag = "action", rename_all = "snake_case")]
#[schemars(rename = "JobCommand")]
pub enum Job {
    /// Remove the message of an ended job from the broker.
    Clear {
        /// The job.
        #[schemars(regex(pattern = "^[A-Za-z0-9-]{1,64}$"))]
        job: String,
    },
    /// Cancel a running job.
    Cancel {
        /// The job.
        #[schemars(regex(pattern = "^[A-Za-z0-9-]{1,64}$"))]
        job: String,
    },
}

impl Job {
    pub(super) const ACTIONS: Actions = &[("clear", &["job"]), ("cancel", &["job"])];

    pub(super) fn read(action: &str, fields: &mut Fields) -> Result<Self, Error> {
        let job = required("job", fields.text("job", 64)?)?;
        if !is_job_id(&job) {
            return Err(Error::bad_request("/job", "a job id takes 1 to 64 letters, digits and '-'"));
        }
        Ok(if action == "clear" { Self::Clear { job } } else { Self::Cancel { job } })
    }
}

/// Whether `text` may be the id of a job, which is a level of a topic.
pub fn is_job_id(text: &str) -> bool {
    (1..=64).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-')
}
