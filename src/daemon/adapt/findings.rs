//! What a round found beside its head: advice, learning curve, suspect labels. The latest round's are kept over restarts.

use super::trainer::Finished;
use crate::daemon::kept::{Findings, Suspect};
use graft_control::{is_judged, missing};
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
    // What no other burst of its class can speak for is not suspect.
    let alone = |label: u32| round.report.class_bursts.get(label as usize).is_some_and(|bursts| *bursts < 2);
    let suspects = round.suspects.iter().filter_map(|suspect| {
        let row = suspect.row as usize;
        let label = finished.labels.get(row).copied().filter(|label| !alone(*label))?;
        Some(Suspect {
            sample: *finished.ids.get(row)?,
            class: name(label)?,
            said: name(suspect.said)?,
            margin: suspect.margin,
        })
    });
    let mut suspects: Vec<Suspect> = suspects.collect();
    let told = missing(&round.report, classes).is_none();
    let advice = is_judged(&round.report).then(|| AdviceState {
        next,
        classes: named.iter().filter_map(|&class| name(class)).collect(),
        target: advice.target,
        accuracy: told.then(|| interval(&round.report.accuracy)),
        doubled: advice.doubled.as_ref().map(interval),
        similarity: advice.similarity,
        curve: round.curve.iter().map(point).collect(),
        suspects: suspects.len() as u64,
        ts: timestamp::rfc3339(now_ms),
    });
    suspects.truncate(SUSPECTS);
    Findings { advice, suspects }
}

fn interval(estimate: &Estimate) -> Interval {
    Interval { value: estimate.value, low: estimate.low, high: estimate.high }
}
