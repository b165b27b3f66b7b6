//! What would help most: nothing, more labels, or other weights in the backbone.
//!
//! The rule of transfer learning, that similar data needs a new head only and different data earlier layers as well, as
//! a measured verdict. What a head can reach on a frozen backbone is told by its learning curve; how similar the data
//! are to what the backbone was trained on, by how much of what the head tells apart the class means alone tell apart:
//! a network gathers the classes that it was trained for, and those like them, about their means (Papyan, Han & Donoho
//! 2020; Galanti, György & Hutter 2022), and leaves others to be told apart by directions that have to be fitted.

use super::calibration::largest;
use super::evaluation::{Estimate, Evidence, Report};
use super::imprint;
use super::problem::Problem;
use super::softmax;

/// With fewer bursts of a class than this no figure about it means anything.
const LEAST_BURSTS: usize = 5;
/// From this similarity on, the data are like those of the backbone.
const SIMILAR: f64 = 0.92;
/// Classes named at most.
const NAMED: usize = 3;

/// What to do next.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Next {
    /// The accuracy that is wanted is reached.
    HeadIsEnough,
    /// More bursts of these classes, the neediest first; indexes in the class list.
    MoreLabels(Vec<u32>),
    /// Train earlier layers too, on a host: more labels would not do.
    FineTune,
}

impl Next {
    /// The word used in messages.
    pub fn as_str(&self) -> &'static str {
        match self {
            Self::HeadIsEnough => "head_is_enough",
            Self::MoreLabels(_) => "more_labels",
            Self::FineTune => "fine_tune",
        }
    }
}

/// What would help most, and why.
#[derive(Clone, Debug, PartialEq)]
pub struct Advice {
    /// What to do.
    pub next: Next,
    /// The accuracy that is wanted, 0…1.
    pub target: f64,
    /// The accuracy to be expected with twice the bursts; none where there is no learning curve.
    pub doubled: Option<Estimate>,
    /// How much of what the head tells apart, above chance, the class means alone tell apart: about 1 for data like
    /// those the backbone was trained on.
    pub similarity: f64,
}

/// Weighs the evidence. `report` is the chosen head's.
pub(crate) fn advise(report: &Report, doubled: Option<Estimate>, similarity: f64, target: f64) -> Advice {
    let most = report.class_bursts.iter().copied().max().unwrap_or_default();
    let short = |class: usize| {
        let bursts = report.class_bursts[class];
        bursts < LEAST_BURSTS || (2 * bursts < most && poor(report, class, target))
    };
    let next = if (0..report.recall.len()).any(short) {
        Next::MoreLabels(neediest(report, short))
    } else if report.evidence != Evidence::Enough {
        Next::MoreLabels(neediest(report, |class| report.class_samples[class] > 0))
    } else if report.accuracy.value >= target {
        Next::HeadIsEnough
    } else {
        let labels_may_do = match doubled {
            None => true,
            Some(doubled) if doubled.low >= target => true,
            Some(doubled) => doubled.high >= target && similarity >= SIMILAR,
        };
        if labels_may_do {
            Next::MoreLabels(neediest(report, |class| poor(report, class, target)))
        } else {
            Next::FineTune
        }
    };
    Advice { next, target, doubled, similarity }
}

/// Whether a class is told less well than wanted.
fn poor(report: &Report, class: usize, target: f64) -> bool {
    report.recall[class].is_none_or(|recall| recall < target)
}

/// Some classes, the fewest bursts and then the worst recall first.
fn neediest(report: &Report, which: impl Fn(usize) -> bool) -> Vec<u32> {
    let mut classes: Vec<usize> = (0..report.recall.len()).filter(|&class| which(class)).collect();
    let few = |class: usize| report.class_bursts[class].min(LEAST_BURSTS);
    let recall = |class: usize| report.recall[class].unwrap_or_default();
    classes.sort_by(|&a, &b| few(a).cmp(&few(b)).then(recall(a).total_cmp(&recall(b))).then(a.cmp(&b)));
    classes.truncate(NAMED);
    classes.into_iter().map(|class| class as u32).collect()
}

/// See [`Advice::similarity`]; `balanced` is the balanced accuracy of the head.
pub(crate) fn similarity(problem: &Problem, balanced: f64) -> f64 {
    let classes = problem.classes();
    let mut right = vec![0.0; classes];
    let mut all = vec![0.0; classes];
    let scores =
        softmax::held_out(&problem.samples(), &problem.folds, &imprint::without(problem, &problem.folds));
    for (row, &label) in scores.chunks_exact(classes).zip(&problem.labels) {
        right[label] += f64::from(u8::from(largest(row) == label));
        all[label] += 1.0;
    }
    let means = right.iter().zip(&all).map(|(right, all)| right / all).sum::<f64>() / classes as f64;
    let chance = 1.0 / classes as f64;
    if balanced > chance { ((means - chance) / (balanced - chance)).clamp(0.0, 1.0) } else { 0.0 }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn exactly(value: f64) -> Estimate {
        Estimate { value, low: value - 0.01, high: value + 0.01 }
    }

    fn report(accuracy: f64, recall: &[f64], bursts: &[usize]) -> Report {
        Report {
            samples: 1000,
            bursts: bursts.iter().sum(),
            accuracy: exactly(accuracy),
            balanced_accuracy: exactly(accuracy),
            recall: recall.iter().map(|&recall| Some(recall)).collect(),
            class_samples: bursts.to_vec(),
            class_bursts: bursts.to_vec(),
            confusion: Vec::new(),
            ece: 0.0,
            majority: 0.5,
            left_out: 0,
            evidence: Evidence::Enough,
        }
    }

    #[test]
    fn each_case_gets_its_advice() {
        let next = |accuracy, recall: &[f64], bursts: &[usize], doubled: f64, similarity| {
            advise(&report(accuracy, recall, bursts), Some(exactly(doubled)), similarity, 0.95).next
        };
        assert_eq!(next(0.96, &[0.95, 0.97], &[40, 40], 0.97, 0.5), Next::HeadIsEnough);
        assert_eq!(next(0.90, &[0.88, 0.92], &[40, 40], 0.92, 1.0), Next::FineTune);
        assert_eq!(next(0.93, &[0.96, 0.90], &[40, 40], 0.97, 0.5), Next::MoreLabels(vec![1]));
        // The target lies within the interval: the likeness of the data decides.
        assert_eq!(next(0.93, &[0.94, 0.90], &[40, 40], 0.945, 0.97), Next::MoreLabels(vec![1, 0]));
        assert_eq!(next(0.93, &[0.94, 0.90], &[40, 40], 0.945, 0.8), Next::FineTune);
        // A class with few bursts comes first, however good the whole is.
        assert_eq!(next(0.97, &[0.99, 0.6, 0.97], &[40, 12, 40], 0.97, 1.0), Next::MoreLabels(vec![1]));
        assert_eq!(next(0.99, &[0.99, 1.0, 1.0], &[40, 4, 2], 0.99, 1.0), Next::MoreLabels(vec![2, 1]));
        assert_eq!(next(0.99, &[0.99, 1.0], &[40, 12], 0.99, 1.0), Next::HeadIsEnough);
    }

    proptest! {
        #[test]
        fn advice_never_names_a_class_that_is_well_and_a_better_head_never_asks_for_more(
            accuracy in 0.0f64..1.0, better in 0.0f64..0.5, doubled in 0.0f64..1.0, similarity in 0.0f64..1.0,
            bursts in prop::collection::vec(0usize..60, 2..6), target in 0.5f64..1.0
        ) {
            let recall = vec![accuracy; bursts.len()];
            let of = |accuracy: f64| {
                let doubled = exactly(doubled.max(accuracy));
                advise(&report(accuracy, &recall, &bursts), Some(doubled), similarity, target).next
            };
            let now = of(accuracy);
            if let Next::MoreLabels(classes) = &now {
                prop_assert!(classes.len() <= NAMED);
                for &class in classes {
                    prop_assert!(accuracy < target || bursts[class as usize] < LEAST_BURSTS);
                }
            }
            if now == Next::HeadIsEnough {
                prop_assert_eq!(of((accuracy + better).min(1.0)), Next::HeadIsEnough);
            }
        }
    }
}
