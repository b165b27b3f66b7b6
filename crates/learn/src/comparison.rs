//! Candidate against active head on the same samples, burst by burst.

use std::collections::{BTreeMap, BTreeSet};

use super::evaluation::{Estimate, grown, percentiles};

/// A burst contradicts its label where at least this part of it looks like something else to both heads.
const CONTRADICTS: f64 = 0.8;
/// Two classes are swapped where at least this part of the new samples of either looks like the other.
const SWAPPED: f64 = 0.6;
/// Bursts of a class that the active head was trained on, at least, before it can contradict a new one.
const KNOWN: usize = 2;

/// How a candidate compares with the active head on the same samples.
#[derive(Clone, Debug, PartialEq)]
pub struct Comparison {
    /// Samples compared.
    pub samples: usize,
    /// Bursts they come from.
    pub bursts: usize,
    /// Accuracy of the candidate minus that of the active head, −1…1.
    pub difference: Estimate,
    /// The same over the bursts that the active head was trained on, where each head was judged by folds; none without such
    /// bursts.
    pub known: Option<f64>,
    /// Part of the samples that is of such bursts, 0…1.
    pub known_part: f64,
    /// What the samples that the active head was not trained on say of their labels.
    pub news: News,
    /// Samples of the active head that are no longer there and that no new ones make up for, as a part of all that it was
    /// trained on, 0…1.
    pub gone: f64,
    /// The heads are of different backbones.
    pub other_backbone: bool,
    /// The classes that have samples of bursts that the active head was trained on, over those bursts.
    pub classes: Vec<ClassDifference>,
}

/// What samples that the active head was not trained on say of their labels. Classes are indexes in the class list.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum News {
    /// Nothing odd; or there are none.
    #[default]
    Plain,
    /// All are of this class, and the active head says it of all of them.
    Known(u32),
    /// Each new burst looks like something else than its label to both heads: the label of the first, and what it looks
    /// like.
    Contradicted {
        /// The label.
        label: u32,
        /// What the active head says, mostly.
        said: u32,
    },
    /// The new bursts of either class look like the other one.
    Swapped(u32, u32),
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
    /// See [`Comparison::gone`].
    pub gone: f64,
    /// See [`Comparison::other_backbone`].
    pub other_backbone: bool,
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
    let mut of_class: BTreeMap<u32, (f64, f64, BTreeSet<u64>)> = BTreeMap::new();
    let mut known = (0.0, 0.0);
    for i in 0..samples {
        let gain = wrong(active[i], i) - wrong(candidate[i], i) * if itself[i] { rest } else { 1.0 };
        add(of_burst.entry(bursts[i]).or_default(), gain);
        if !itself[i] {
            add(&mut known, gain);
            let (sum, all, in_bursts) = of_class.entry(labels[i]).or_default();
            (*sum, *all) = (*sum + gain, *all + 1.0);
            in_bursts.insert(bursts[i]);
        }
    }
    let of_burst: Vec<(f64, f64)> = of_burst.into_values().collect();
    let bursts_of = |class: u32| of_class.get(&class).map_or(0, |(_, _, bursts)| bursts.len());
    Comparison {
        samples,
        bursts: of_burst.len(),
        difference: interval(&of_burst, bootstrap, seed),
        known: (known.1 > 0.0).then(|| known.0 / known.1),
        known_part: known.1 / samples.max(1) as f64,
        news: news(pairs, samples, &bursts_of),
        gone: pairs.gone,
        other_backbone: pairs.other_backbone,
        classes: of_class
            .iter()
            .filter(|(class, _)| (**class as usize) < classes)
            .map(|(class, (gain, all, bursts))| ClassDifference {
                class: *class,
                bursts: bursts.len(),
                difference: gain / all,
            })
            .collect(),
    }
}

fn add(sum: &mut (f64, f64), gain: f64) {
    *sum = (sum.0 + gain, sum.1 + 1.0);
}

/// `bursts_of`: bursts of a class that the active head was trained on.
fn news(pairs: &Pairs, samples: usize, bursts_of: &dyn Fn(u32) -> usize) -> News {
    let Pairs { labels, bursts, candidate, active, itself, .. } = *pairs;
    let mut new: BTreeMap<(u64, u32), Vec<usize>> = BTreeMap::new();
    for at in (0..samples).filter(|&at| itself[at]) {
        new.entry((bursts[at], labels[at])).or_default().push(at);
    }
    let part = |rows: &[usize], is: &dyn Fn(usize) -> bool| {
        rows.iter().filter(|row| is(**row)).count() as f64 / rows.len() as f64
    };
    let Some((&(_, first), rows)) = new.first_key_value() else { return News::Plain };
    let known = new.keys().all(|(_, label)| bursts_of(*label) >= KNOWN);
    let contradicts = |((_, label), rows): (&(u64, u32), &Vec<usize>)| {
        part(rows, &|at| active[at] != *label) >= CONTRADICTS
            && part(rows, &|at| candidate[at] != *label) >= CONTRADICTS
    };
    if known && new.iter().all(contradicts) {
        let mut said: BTreeMap<u32, usize> = BTreeMap::new();
        rows.iter().for_each(|at| *said.entry(active[*at]).or_default() += 1);
        let said = said.into_iter().max_by_key(|(_, count)| *count).map_or(first, |(said, _)| said);
        return News::Contradicted { label: first, said };
    }
    let mut of_class: BTreeMap<u32, Vec<usize>> = BTreeMap::new();
    for ((_, label), rows) in new.iter().filter(|((_, label), _)| bursts_of(*label) > 0) {
        of_class.entry(*label).or_default().extend(rows);
    }
    let looks = |like: u32, rows: &[usize]| part(rows, &|at| active[at] == like) >= SWAPPED;
    for (one, rows) in &of_class {
        let mut others = of_class.range(one + 1..);
        if let Some((other, _)) = others.find(|(other, of)| looks(**other, rows) && looks(*one, of)) {
            return News::Swapped(*one, *other);
        }
    }
    let right = new.iter().all(|((_, label), rows)| rows.iter().all(|at| active[*at] == *label));
    if known && of_class.len() == 1 && right { News::Known(first) } else { News::Plain }
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
