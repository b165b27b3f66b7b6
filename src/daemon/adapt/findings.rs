//! What a round found beside its head: advice, learning curve, suspect labels. The latest round's are kept over restarts.

use super::trainer::Finished;
use crate::daemon::kept::{Findings, Suspect};
use graft_learn::{Estimate, Next};
use graft_wire::messages::{AdviceState, CurveState, Interval, NextStep};
use graft_wire::timestamp;

/// Suspects kept.
const SUSPECTS: usize = 200;

/// Those of a round that has ended.
pub fn of(finished: &Finished, now_ms: i64) -> Findings {
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
    Findings {
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

fn interval(estimate: &Estimate) -> Interval {
    Interval { value: estimate.value, low: estimate.low, high: estimate.high }
}
