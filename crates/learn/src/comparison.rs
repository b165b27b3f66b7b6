//! Candidate against active head on the same samples, burst by burst.

use std::collections::BTreeMap;

use super::evaluation::{Estimate, grown, percentiles};

/// How a candidate compares with the active head on the same samples.
#[derive(Clone, Debug, PartialEq)]
pub struct Comparison {
    /// Samples compared.
    pub samples: usize,
    /// Bursts they come from.
    pub bursts: usize,
    /// Accuracy of the candidate minus that of the active head, −1…1.
    pub difference: Estimate,
    /// The classes that have samples.
    pub classes: Vec<ClassDifference>,
}

/// The same for one class.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct ClassDifference {
    /// Index in the class list.
    pub class: u32,
    /// Bursts that have samples of the class.
    pub bursts: usize,
    /// Recall of the candidate minus that of the active head, −1…1.
    pub difference: f64,
}

/// What two heads said of the same samples; slices of different lengths are compared over the shortest.
#[derive(Clone, Copy, Debug)]
pub struct Pairs<'a> {
    /// `[samples]`
    pub labels: &'a [u32],
    /// `[samples]`
    pub bursts: &'a [u64],
    /// By heads of the candidate's folds. A class outside the list (such as `u32::MAX` for one that the other head does not
    /// know) is wrong.
    pub candidate: &'a [u32],
    /// By the active head, or by those of its folds for samples that it was trained on.
    pub active: &'a [u32],
    /// Whether the active head itself said so. The heads of the candidate's folds saw a part of its bursts only, so there
    /// the candidate is expected to do better than they did.
    pub itself: &'a [bool],
    /// That part, see [`super::Round::part`].
    pub part: f64,
    /// Classes of the list.
    pub classes: usize,
}

/// Compares two heads by their predictions on the same samples.
///
/// Few bursts: where fewer than five bursts differ at all, the interval is widened to what five bursts of
/// `±1/bursts` would give, so that "no difference seen" on three bursts is not read as "no difference".
pub fn compare(pairs: &Pairs, bootstrap: usize, seed: u64) -> Comparison {
    let Pairs { labels, bursts, candidate, active, itself, classes, .. } = *pairs;
    let samples = labels.len().min(bursts.len()).min(candidate.len()).min(active.len()).min(itself.len());
    let wrong = |said: u32, at: usize| f64::from(u8::from(said != labels[at]));
    let (mut errors, mut all) = (0.0, 0.0);
    for at in (0..samples).filter(|&at| itself[at]) {
        errors += wrong(candidate[at], at);
        all += 1.0;
    }
    let error = errors / f64::max(all, 1.0);
    let rest = if error > 0.0 { grown(error, pairs.part, classes) / error } else { 1.0 };
    let mut of_burst: BTreeMap<u64, (f64, f64)> = BTreeMap::new();
    let mut of_class: BTreeMap<u32, (f64, f64, Vec<u64>)> = BTreeMap::new();
    for i in 0..samples {
        let gain = wrong(active[i], i) - wrong(candidate[i], i) * if itself[i] { rest } else { 1.0 };
        let burst = of_burst.entry(bursts[i]).or_default();
        burst.0 += gain;
        burst.1 += 1.0;
        if (labels[i] as usize) < classes {
            let class = of_class.entry(labels[i]).or_default();
            class.0 += gain;
            class.1 += 1.0;
            class.2.push(bursts[i]);
        }
    }
    let of_burst: Vec<(f64, f64)> = of_burst.into_values().collect();
    Comparison {
        samples,
        bursts: of_burst.len(),
        difference: interval(&of_burst, bootstrap, seed),
        classes: of_class
            .into_iter()
            .map(|(class, (gain, all, mut bursts))| {
                bursts.sort_unstable();
                bursts.dedup();
                ClassDifference { class, bursts: bursts.len(), difference: gain / all }
            })
            .collect(),
    }
}

fn interval(bursts: &[(f64, f64)], bootstrap: usize, seed: u64) -> Estimate {
    let ratio = |gain: f64, all: f64| if all > 0.0 { gain / all } else { 0.0 };
    let total = bursts.iter().fold((0.0, 0.0), |sum, burst| (sum.0 + burst.0, sum.1 + burst.1));
    let value = ratio(total.0, total.1);
    if bursts.is_empty() {
        return Estimate { value: 0.0, low: -1.0, high: 1.0 };
    }
    let mut random = fastrand::Rng::with_seed(seed);
    let mut draws: Vec<f64> = (0..bootstrap)
        .map(|_| {
            let mut sum = (0.0, 0.0);
            for _ in 0..bursts.len() {
                let burst = bursts[random.usize(..bursts.len())];
                sum = (sum.0 + burst.0, sum.1 + burst.1);
            }
            ratio(sum.0, sum.1)
        })
        .collect();
    let (mut low, mut high) = percentiles(&mut draws).unwrap_or((value, value));
    if bursts.iter().filter(|burst| burst.0 != 0.0).count() < 5 {
        let floor = 3.0 / (bursts.len() as f64 + 3.0);
        (low, high) = (low.min(value - floor), high.max(value + floor));
    }
    Estimate { value, low: low.max(-1.0).min(value), high: high.min(1.0).max(value) }
}
