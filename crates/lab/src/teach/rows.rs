//! The figures of a situation over its draws.

use super::board::Board;
use super::draw::Draw;
use super::plan::Plan;
use super::set::Set;
use super::situation::Situation;
use super::truth::{Truth, mean};
use graft::config::Settings;
use graft_learn::Estimate;
use serde::Serialize;
use std::time::Duration;

/// As far as a told accuracy may be from the truth.
const NEAR: f64 = 0.05;
/// A point.
const POINT: f64 = 0.01;

/// What came of one draw.
#[derive(Clone, Debug)]
pub struct Taught {
    /// What was done.
    pub plan: Plan,
    /// The samples at the end: row of the set and label.
    pub samples: Vec<(usize, usize)>,
    /// Of each class, as they should be labelled.
    pub mix: Vec<usize>,
    /// Of the head that serves at the end.
    pub truth: Option<Truth>,
    told: Option<Estimate>,
    first: Option<(Duration, usize)>,
    asked: bool,
    /// Rounds beside an active head: promoted, and how much better in truth.
    judgements: Vec<(bool, f64)>,
    named: Option<(usize, usize)>,
    failures: Vec<String>,
}

/// One draw of a situation; `None`: the set has not what it takes.
pub fn teach(set: &Set, situation: &Situation, settings: &Settings, seed: u64) -> Option<Taught> {
    let plan = situation.plan(Draw::new(set, seed))?;
    let mut board = Board::new(set, &plan.judges, settings);
    plan.steps.iter().for_each(|step| board.step(step));
    let truth = board.truth();
    Some(Taught {
        truth,
        told: board.serving.as_ref().map(|serving| serving.accuracy),
        first: board.first,
        asked: board.asked,
        judgements: board.judgements.iter().map(|judged| (judged.promoted, judged.better)).collect(),
        named: board.named,
        failures: std::mem::take(&mut board.failures),
        mix: board.mix(),
        samples: board.samples.iter().map(|sample| (sample.row, sample.label)).collect(),
        plan,
    })
}

/// A row of the table. Shares are 0…1; `None` where there is nothing to say. Its keys are a contract: keep them.
#[derive(Clone, Debug, Serialize)]
pub struct Row {
    pub set: String,
    pub backbone: String,
    pub situation: &'static str,
    /// Of each class, where it has as many.
    pub bursts: usize,
    pub draws: usize,
    /// Draws that end without a head of a round.
    pub no_head: f64,
    /// Draws whose first head came only after somebody asked for a round.
    pub asked: f64,
    /// Accuracy of the serving head on pictures never taught, the classes as they were taught.
    pub truth: Option<f64>,
    /// Mean of its recalls.
    pub truth_balanced: Option<f64>,
    /// What the board says of it.
    pub told: Option<f64>,
    /// Draws where these two are within five points.
    pub within5: Option<f64>,
    /// Draws whose interval holds the truth.
    pub covered: Option<f64>,
    /// Of the interval.
    pub width: Option<f64>,
    /// Pictures whose class would be published.
    pub shown: Option<f64>,
    /// Rounds beside an active head.
    pub rounds: usize,
    /// Of these promoted though worse by a point.
    pub promoted_worse: Option<f64>,
    /// Of these kept back though better by a point.
    pub kept_better: Option<f64>,
    /// The worst that a promotion did; 0 where none was worse.
    pub worst: Option<f64>,
    /// Bursts wrong as a whole among the five most suspect ones, of all (of five at most).
    pub named: Option<f64>,
    /// Until the first head, of the person's time.
    pub seconds: Option<f64>,
    /// Samples of the first head.
    pub labels: Option<f64>,
    /// Why rounds gave nothing.
    pub failures: Vec<String>,
}

fn share(of: impl IntoIterator<Item = bool>) -> Option<f64> {
    mean(of.into_iter().map(|yes| f64::from(u8::from(yes))))
}

impl Row {
    /// One draw of which nothing is known.
    pub fn empty(set: &str, backbone: &str, situation: &'static str) -> Self {
        Self {
            set: set.to_owned(),
            backbone: backbone.to_owned(),
            situation,
            bursts: 0,
            draws: 1,
            no_head: 1.0,
            asked: 0.0,
            truth: None,
            truth_balanced: None,
            told: None,
            within5: None,
            covered: None,
            width: None,
            shown: None,
            rounds: 0,
            promoted_worse: None,
            kept_better: None,
            worst: None,
            named: None,
            seconds: None,
            labels: None,
            failures: Vec::new(),
        }
    }

    /// Over all draws, at least one.
    pub fn of(set: &Set, situation: &Situation, draws: &[Taught]) -> Option<Self> {
        let bursts = draws.first()?.plan.bursts;
        let judged = || draws.iter().filter_map(|draw| Some((draw.truth?, draw.told?)));
        let rounds = || draws.iter().flat_map(|draw| &draw.judgements);
        let holds = |(truth, told): (Truth, Estimate)| {
            told.low <= truth.accuracy + 1e-9 && truth.accuracy <= told.high + 1e-9
        };
        let promoted = rounds().filter(|(promoted, _)| *promoted).map(|(_, better)| *better);
        let mut failures: Vec<String> = draws.iter().flat_map(|draw| draw.failures.clone()).collect();
        failures.sort();
        failures.dedup();
        Some(Self {
            set: set.name.clone(),
            backbone: set.backbone.clone(),
            situation: situation.name,
            bursts,
            draws: draws.len(),
            no_head: share(draws.iter().map(|draw| draw.truth.is_none()))?,
            asked: share(draws.iter().map(|draw| draw.asked))?,
            truth: mean(judged().map(|(truth, _)| truth.accuracy)),
            truth_balanced: mean(judged().map(|(truth, _)| truth.balanced)),
            told: mean(judged().map(|(_, told)| told.value)),
            within5: share(judged().map(|(truth, told)| (truth.accuracy - told.value).abs() <= NEAR + 1e-9)),
            covered: share(judged().map(holds)),
            width: mean(judged().map(|(_, told)| told.high - told.low)),
            shown: mean(judged().map(|(truth, _)| truth.shown)),
            rounds: rounds().count(),
            promoted_worse: share(rounds().map(|(promoted, better)| *promoted && *better <= -POINT)),
            kept_better: share(rounds().map(|(promoted, better)| !promoted && *better >= POINT)),
            worst: promoted.reduce(f64::min).map(|worst| worst.min(0.0)),
            named: mean(draws.iter().filter_map(|draw| {
                let (found, all) = draw.named?;
                Some(found as f64 / all.min(5) as f64)
            })),
            seconds: mean(draws.iter().filter_map(|draw| Some(draw.first?.0.as_secs_f64()))),
            labels: mean(draws.iter().filter_map(|draw| Some(draw.first?.1 as f64))),
            failures,
        })
    }
}
