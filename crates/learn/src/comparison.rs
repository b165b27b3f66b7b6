//! Candidate against active head on the same samples, burst by burst.

use std::collections::BTreeMap;

use super::evaluation::{Estimate, percentiles};

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

/// Compares two heads by their predictions on the same samples; a prediction outside the class list (such as
/// `u32::MAX` for a class the other head does not know) counts as wrong. Slices of different lengths are compared
/// over the shortest.
///
/// Few bursts: where fewer than five bursts differ at all, the interval is widened to what five bursts of
/// `±1/bursts` would give, so that "no difference seen" on three bursts is not read as "no difference".
pub fn compare(
    labels: &[u32],
    bursts: &[u64],
    candidate: &[u32],
    active: &[u32],
    classes: usize,
    bootstrap: usize,
    seed: u64,
) -> Comparison {
    let samples = labels.len().min(bursts.len()).min(candidate.len()).min(active.len());
    let mut of_burst: BTreeMap<u64, (f64, f64)> = BTreeMap::new();
    let mut of_class: BTreeMap<u32, (f64, f64, Vec<u64>)> = BTreeMap::new();
    for i in 0..samples {
        let right = |said: u32| f64::from(u8::from(said == labels[i]));
        let gain = right(candidate[i]) - right(active[i]);
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
