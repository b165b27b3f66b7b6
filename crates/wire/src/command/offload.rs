//! `cmd/offload`: fine-tuning on a host. Operators start and cancel it; hosts claim it and report.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Actions, is_job_id};
use crate::backbone_manifest::BackboneManifest;
use crate::error::Error;
use crate::fields::{Fields, required};
use crate::offload::{Claim, Recipe};
use crate::topic::is_device_id;

/// What to do about offload.
#[derive(Clone, Debug, PartialEq, Serialize, JsonSchema)]
#[serde(tag = "action", rename_all = "snake_case")]
#[schemars(rename = "OffloadCommand")]
pub enum Offload {
    /// Offer the samples and the backbone to a host. A job; what comes back still has to pass the gate.
    Start {
        /// What is to be trained; absent: as configured (`offload.recipe`).
        #[serde(skip_serializing_if = "Option::is_none")]
        recipe: Option<Recipe>,
    },
    /// Cancel it, wherever it is.
    Cancel {
        /// The job; absent: the one there is.
        #[serde(skip_serializing_if = "Option::is_none")]
        #[schemars(regex(pattern = "^[A-Za-z0-9-]{1,64}$"))]
        job: Option<String>,
    },
    /// By a host: it takes the job. The first claim that is signed by a pinned key wins, others get `conflict`.
    Claim(Claim),
    /// By the host that has the job: it is at work. Renews its lease for a minute.
    Progress(Progress),
    /// By the host that has the job: it is done, and the files wait at the address of its claim.
    Result {
        /// The job.
        #[schemars(regex(pattern = "^[A-Za-z0-9-]{1,64}$"))]
        job: String,
        /// The host.
        #[schemars(regex(pattern = "^[a-z0-9-]{1,64}$"))]
        host: String,
        /// What it made, signed.
        manifest: Box<BackboneManifest>,
    },
    /// By the host that has the job: it gives it back.
    Release {
        /// The job.
        #[schemars(regex(pattern = "^[A-Za-z0-9-]{1,64}$"))]
        job: String,
        /// The host.
        #[schemars(regex(pattern = "^[a-z0-9-]{1,64}$"))]
        host: String,
        /// How it ended.
        outcome: Outcome,
        /// Why, for people.
        #[serde(skip_serializing_if = "Option::is_none")]
        #[schemars(length(min = 1, max = 1000))]
        reason: Option<String>,
    },
}

/// How far a host is with a job.
#[derive(Clone, Debug, Default, PartialEq, Serialize, JsonSchema)]
#[schemars(inline)]
pub struct Progress {
    /// The job.
    #[schemars(regex(pattern = "^[A-Za-z0-9-]{1,64}$"))]
    pub job: String,
    /// The host.
    #[schemars(regex(pattern = "^[a-z0-9-]{1,64}$"))]
    pub host: String,
    /// What it is doing, in a word: `waiting`, `receiving`, `verifying`, or a stage of the training engine.
    #[schemars(length(min = 1, max = 64))]
    pub stage: String,
    /// So many steps are done.
    pub step: u64,
    /// Of so many; 0 while that is not known.
    pub steps: u64,
    /// Passes over the samples so far.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub epoch: Option<u64>,
    /// Training loss.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub loss: Option<f64>,
    /// Share of held-out samples that are right.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0.0, max = 1.0))]
    pub val_accuracy: Option<f64>,
    /// Seconds to go.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub eta_s: Option<f64>,
}

/// How a job ended that a host gives back.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// It may do better later, or with another host: to be offered again.
    Retry,
    /// Nothing that was trained is better than what the board has.
    NoImprovement,
    /// It cannot be done.
    Failed,
}

impl Outcome {
    /// Every outcome.
    pub const ALL: [Self; 3] = [Self::Retry, Self::NoImprovement, Self::Failed];

    /// The word for it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Retry => "retry",
            Self::NoImprovement => "no_improvement",
            Self::Failed => "failed",
        }
    }
}

impl Offload {
    pub(super) const ACTIONS: Actions = &[
        ("start", &["recipe"]),
        ("cancel", &["job"]),
        ("claim", &["job", "host", "url", "token", "until", "key_id", "sig"]),
        ("progress", &["job", "host", "stage", "step", "steps", "epoch", "loss", "val_accuracy", "eta_s"]),
        ("result", &["job", "host", "manifest"]),
        ("release", &["job", "host", "outcome", "reason"]),
    ];

    pub(super) fn read(action: &str, fields: &mut Fields) -> Result<Self, Error> {
        Ok(match action {
            "start" => Self::Start { recipe: recipe(fields)? },
            "cancel" => Self::Cancel { job: job(fields)? },
            "claim" => {
                let claim = Claim {
                    job: required("job", job(fields)?)?,
                    host: host(fields)?,
                    url: required("url", fields.text("url", 2048)?)?,
                    token: required("token", fields.text("token", 128)?)?,
                    until: required("until", fields.text("until", 64)?)?,
                    key_id: required("key_id", fields.text("key_id", 16)?)?,
                    sig: required("sig", fields.text("sig", 128)?)?,
                };
                claim.check()?;
                Self::Claim(claim)
            }
            "progress" => Self::Progress(Progress {
                job: required("job", job(fields)?)?,
                host: host(fields)?,
                stage: required("stage", fields.text("stage", 64)?)?,
                step: required("step", count(fields, "step")?)?,
                steps: required("steps", count(fields, "steps")?)?,
                epoch: count(fields, "epoch")?,
                loss: fields.number("loss", f64::MIN..=f64::MAX)?,
                val_accuracy: fields.number("val_accuracy", 0.0..=1.0)?,
                eta_s: fields.number("eta_s", 0.0..=f64::MAX)?,
            }),
            "result" => Self::Result {
                job: required("job", job(fields)?)?,
                host: host(fields)?,
                manifest: Box::new(fields.manifest("manifest")?),
            },
            _ => Self::Release {
                job: required("job", job(fields)?)?,
                host: host(fields)?,
                outcome: outcome(fields)?,
                reason: fields.text("reason", 1000)?,
            },
        })
    }
}

fn job(fields: &mut Fields) -> Result<Option<String>, Error> {
    let job = fields.text("job", 64)?;
    match job.as_deref().is_none_or(is_job_id) {
        true => Ok(job),
        false => Err(Error::bad_request("/job", "a job id takes 1 to 64 letters, digits and '-'")),
    }
}

fn host(fields: &mut Fields) -> Result<String, Error> {
    let host = required("host", fields.text("host", 64)?)?;
    match is_device_id(&host) {
        true => Ok(host),
        false => Err(Error::bad_request("/host", "a host id takes 1 to 64 of a-z, 0-9 and '-'")),
    }
}

fn count(fields: &mut Fields, name: &str) -> Result<Option<u64>, Error> {
    Ok(fields.whole(name, 0..=i64::MAX)?.map(i64::unsigned_abs))
}

fn recipe(fields: &mut Fields) -> Result<Option<Recipe>, Error> {
    let word = fields.text("recipe", 32)?;
    word.map(|word| word.parse().map_err(|why: String| Error::bad_request("/recipe", why))).transpose()
}

fn outcome(fields: &mut Fields) -> Result<Outcome, Error> {
    let word = required("outcome", fields.text("outcome", 32)?)?;
    Outcome::ALL.into_iter().find(|outcome| outcome.as_str() == word).ok_or_else(|| {
        let message = format!("there is no outcome {word:?}; it takes: retry, no_improvement, failed");
        Error::bad_request("/outcome", message)
    })
}
