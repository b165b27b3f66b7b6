//! `cmd/offload`: fine-tuning on a host. Operators start and cancel it; hosts claim it and report.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use strum::IntoStaticStr;

use super::rules::{As, Count, HostId, JobId, Tenths, Text};
use crate::backbone_manifest::BackboneManifest;
use crate::offload::{Claim, Recipe};

/// What to do about offload.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
#[schemars(rename = "OffloadCommand", tag = "action")]
pub enum Offload {
    /// Offer the samples and the backbone to a host. A job; what comes back still has to pass the gate.
    Start {
        /// What is to be trained; absent: as configured (`offload.recipe`).
        #[serde(skip_serializing_if = "Option::is_none")]
        recipe: Option<Recipe>,
    },
    /// Cancel the offload job.
    Cancel {
        /// The job; absent: the one there is.
        #[serde(default, skip_serializing_if = "Option::is_none", with = "As::<JobId>")]
        job: Option<String>,
    },
    /// By a host: it takes the job. The first claim that is signed by a pinned key wins, others get `conflict`.
    Claim(Claim),
    /// By the host that has the job: it is at work. Renews its lease for a minute.
    Progress(Progress),
    /// By the host that has the job: it is done, and the files wait at the address of its claim.
    Result {
        /// The job.
        #[serde(with = "As::<JobId>")]
        job: String,
        /// The host.
        #[serde(with = "As::<HostId>")]
        host: String,
        /// What it made, signed.
        manifest: Box<BackboneManifest>,
    },
    /// By the host that has the job: it gives it back.
    Release {
        /// The job.
        #[serde(with = "As::<JobId>")]
        job: String,
        /// The host.
        #[serde(with = "As::<HostId>")]
        host: String,
        /// How it ended.
        outcome: Outcome,
        /// Why, for people.
        #[serde(default, skip_serializing_if = "Option::is_none", with = "As::<Text<1000>>")]
        reason: Option<String>,
    },
}

/// How far a host is with a job.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(inline)]
pub struct Progress {
    /// The job.
    #[serde(with = "As::<JobId>")]
    pub job: String,
    /// The host.
    #[serde(with = "As::<HostId>")]
    pub host: String,
    /// What it is doing, in a word: `waiting`, `receiving`, `verifying`, or a stage of the training engine.
    #[serde(with = "As::<Text<64>>")]
    pub stage: String,
    /// So many steps are done.
    #[serde(with = "As::<Count<u64>>")]
    pub step: u64,
    /// Of so many; 0 while that is not known.
    #[serde(with = "As::<Count<u64>>")]
    pub steps: u64,
    /// Passes over the samples so far.
    #[serde(default, skip_serializing_if = "Option::is_none", with = "As::<Count<u64>>")]
    pub epoch: Option<u64>,
    /// Training loss.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub loss: Option<f64>,
    /// Share of held-out samples that are right.
    #[serde(default, skip_serializing_if = "Option::is_none", with = "As::<Tenths<0, 10>>")]
    pub val_accuracy: Option<f64>,
    /// Seconds to go.
    #[serde(default, skip_serializing_if = "Option::is_none", with = "As::<Tenths<0, { i64::MAX }>>")]
    pub eta_s: Option<f64>,
}

/// How a job ended that a host gives back.
#[derive(Clone, Copy, Debug, PartialEq, Eq, IntoStaticStr, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
#[strum(serialize_all = "snake_case")]
pub enum Outcome {
    /// It may do better later, or with another host: to be offered again.
    Retry,
    /// Nothing that was trained is better than what the board has.
    NoImprovement,
    /// It cannot be done.
    Failed,
}

impl Outcome {
    /// The word for it.
    pub fn as_str(self) -> &'static str {
        self.into()
    }
}
