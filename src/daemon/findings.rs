//! What a round found beside its head: advice, learning curve, suspect labels. The latest round's are kept over restarts.

use super::Daemon;
use super::samples::store_error;
use super::trainer::Finished;
use super::views::sample_json;
use graft_control::Token;
use graft_learn::{Estimate, Next};
use graft_store::{Store, StoreError};
use graft_wire::messages::{AdviceState, CurveState, Interval, NextStep};
use graft_wire::{Reply, timestamp};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

/// Key of the latest round's findings in the store.
const KEY: &str = "findings";
/// Suspects kept.
const SUSPECTS: usize = 200;

/// As they are stored.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Findings {
    /// What would help most.
    pub advice: Option<AdviceState>,
    /// Labels that are probably wrong, worst first.
    pub suspects: Vec<Suspect>,
}

/// A sample whose label is probably wrong.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Suspect {
    /// Its id.
    pub sample: i64,
    /// The class it had.
    pub class: String,
    /// The class that the other bursts say it is.
    pub said: String,
    /// Negated logarithm of how much likelier that is.
    pub margin: f32,
}

impl Findings {
    /// Those of a round that has ended.
    pub fn of(finished: &Finished, now_ms: i64) -> Self {
        let (round, classes) = (&finished.round, &finished.classes);
        let name = |class: u32| classes.get(class as usize).cloned();
        let advice = &round.advice;
        let (next, named) = match &advice.next {
            Next::HeadIsEnough => (NextStep::HeadIsEnough, [].as_slice()),
            Next::MoreLabels(classes) => (NextStep::MoreLabels, classes.as_slice()),
            Next::FineTune => (NextStep::FineTune, [].as_slice()),
        };
        let point = |point: &graft_learn::CurvePoint| CurveState {
            samples: point.samples as u64,
            bursts: point.bursts as u64,
            accuracy: interval(&point.accuracy),
        };
        let suspects = round.suspects.iter().take(SUSPECTS).filter_map(|suspect| {
            let row = suspect.row as usize;
            Some(Suspect {
                sample: *finished.ids.get(row)?,
                class: name(*finished.labels.get(row)?)?,
                said: name(suspect.said)?,
                margin: suspect.margin,
            })
        });
        Self {
            advice: Some(AdviceState {
                next,
                classes: named.iter().filter_map(|&class| name(class)).collect(),
                target: advice.target,
                accuracy: interval(&round.report.accuracy),
                doubled: advice.doubled.as_ref().map(interval),
                similarity: advice.similarity,
                curve: round.curve.iter().map(point).collect(),
                suspects: round.suspects.len() as u64,
                ts: timestamp::rfc3339(now_ms),
            }),
            suspects: suspects.collect(),
        }
    }

    /// Those that an earlier start left.
    pub fn read(store: &mut Store) -> Result<Self, StoreError> {
        let text = store.get_state(KEY)?;
        // What cannot be read is of another version; the next round brings it anew.
        Ok(text.and_then(|text| serde_json::from_str(&text).ok()).unwrap_or_default())
    }
}

fn interval(estimate: &Estimate) -> Interval {
    Interval { value: estimate.value, low: estimate.low, high: estimate.high }
}

/// The suspects that nobody has looked at since: still there, still of that class.
fn suspects(store: &mut Store, limit: usize) -> Result<Value, StoreError> {
    let mut rows = Vec::new();
    for suspect in Findings::read(store)?.suspects {
        if rows.len() == limit {
            break;
        }
        let row = match store.sample(suspect.sample) {
            Ok(row) if row.class == suspect.class => row,
            Ok(_) | Err(StoreError::NotFound(_)) => continue,
            Err(error) => return Err(error),
        };
        let mut row = sample_json(&row);
        row["said"] = suspect.said.into();
        row["margin"] = suspect.margin.into();
        rows.push(row);
    }
    Ok(json!({"suspects": rows, "rev": store.rev()?}))
}

impl Daemon {
    /// Those of the latest round, from now on.
    pub(super) fn keep_findings(&mut self, findings: Findings) {
        self.persist_quietly(KEY, json!(findings).to_string());
        self.findings = findings;
        self.state_changed = true;
    }

    pub(super) fn list_suspects(&self, token: Token, limit: u32) {
        self.store_then(
            move |store| suspects(store, limit as usize),
            move |daemon, rows| {
                let reply = rows.map(|rows| Reply::with(None, rows)).map_err(|e| store_error(&e));
                daemon.finish(token, reply);
            },
        );
    }

    /// Keeps a small fact that no command waits for.
    pub(super) fn persist_quietly(&self, key: &'static str, value: String) {
        self.store_then(
            move |store| store.put_state(key, &value),
            move |_, stored| {
                if let Err(error) = stored {
                    tracing::warn!(key, %error, "a fact could not be stored");
                }
            },
        );
    }
}
