//! Labels that all other bursts speak against.

use std::collections::BTreeMap;

use super::held_out::HeldOut;

/// A label that less of its burst has than this is an exception in it.
const MOST: f64 = 0.6;
/// With fewer samples no burst speaks about one of its own.
const MATES: usize = 3;
/// A burst as a whole is called mislabelled among so many bursts at least, of which no more than this part is taken for
/// another class: where many are, the set is hard and its labels may well be right.
const BURSTS: usize = 10;
const EXCEPTIONS: f64 = 0.15;
/// And only if it is at least this much as surely another class as the usual burst is its own.
const SURE: f64 = 0.6;

/// A sample whose label is probably wrong.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Suspect {
    /// Row of the snapshot.
    pub row: u32,
    /// The class that the other bursts say it is.
    pub said: u32,
    /// Calibrated score of the label minus that of `said`, below 0: the natural logarithm of how much likelier `said`
    /// is, negated.
    pub margin: f32,
    /// Whether most of its burst is suspect too: then the wrong button was held.
    pub whole_burst: bool,
}

/// The samples whose labels are suspect, worst first; `labels`, `bursts` and `held_out` are those of one round,
/// `[samples]`.
///
/// Ranked by the margin without their own burst; the samples of a burst that is suspect as a whole stand together, by
/// their mean margin. Listed are those that a head without their burst takes for another
/// class at least as surely as it takes that class' own samples for it (confident learning, Northcutt, Jiang & Chuang
/// 2021), so that a hard set of right labels does not fill the list.
pub fn suspects(labels: &[u32], bursts: &[u64], held_out: &[HeldOut]) -> Vec<Suspect> {
    // By class: summed probability of the own label, and samples.
    let mut own: Vec<(f64, f64)> = Vec::new();
    for (&label, said) in labels.iter().zip(held_out) {
        let at = label as usize;
        own.resize(own.len().max(at + 1), (0.0, 0.0));
        own[at].0 += said.support(label);
        own[at].1 += 1.0;
    }
    let usual = |class: u32| own.get(class as usize).map_or(f64::INFINITY, |(sum, count)| sum / count);
    let mut found: Vec<Suspect> = labels
        .iter()
        .zip(held_out)
        .enumerate()
        .filter(|(_, (label, said))| {
            said.predicted != **label && f64::from(said.confidence) >= usual(said.predicted)
        })
        .map(|(row, (_, said))| Suspect {
            row: row as u32,
            said: said.predicted,
            margin: said.margin,
            whole_burst: false,
        })
        .collect();
    let mut all: BTreeMap<u64, usize> = BTreeMap::new();
    bursts.iter().for_each(|burst| *all.entry(*burst).or_default() += 1);
    let burst = |suspect: &Suspect| bursts.get(suspect.row as usize).copied().unwrap_or_default();
    let mut of_burst: BTreeMap<u64, (f64, usize)> = BTreeMap::new();
    for suspect in &found {
        let sum = of_burst.entry(burst(suspect)).or_default();
        *sum = (sum.0 + f64::from(suspect.margin), sum.1 + 1);
    }
    of_burst.retain(|burst, (_, count)| 2 * *count > all.get(burst).copied().unwrap_or_default());
    let rank = |suspect: &Suspect| {
        let whole = of_burst.get(&burst(suspect));
        whole.map_or(f64::from(suspect.margin), |(sum, count)| sum / *count as f64)
    };
    let order = |a: &Suspect, b: &Suspect| {
        let ranks = rank(a).total_cmp(&rank(b));
        ranks.then(burst(a).cmp(&burst(b))).then(a.margin.total_cmp(&b.margin)).then(a.row.cmp(&b.row))
    };
    found.sort_by(order);
    found.iter_mut().for_each(|suspect| suspect.whole_burst = of_burst.contains_key(&burst(suspect)));
    found
}

/// The samples whose labels are so surely wrong that figures are truer without them, `[samples]`: exceptions in a burst
/// that agrees with what is said of them, and whole bursts among few that are taken for another class.
pub(crate) fn mislabelled(labels: &[u32], bursts: &[u64], held_out: &[HeldOut]) -> Vec<bool> {
    let mut of_burst: BTreeMap<u64, Vec<usize>> = BTreeMap::new();
    for (row, burst) in bursts.iter().enumerate() {
        of_burst.entry(*burst).or_default().push(row);
    }
    let mut wrong = vec![false; labels.len()];
    let mut margins = Vec::new();
    for rows in of_burst.values() {
        let usual = usual_label(rows, labels);
        let alike = |row: &&usize| labels[**row] == usual;
        let share = rows.iter().filter(alike).count() as f64 / rows.len() as f64;
        if share < MOST {
            continue;
        }
        for &row in rows {
            let apart = labels[row] != usual && held_out[row].predicted == usual;
            wrong[row] = apart && rows.len() >= MATES;
        }
        let own: Vec<f64> = rows.iter().filter(alike).map(|&row| f64::from(held_out[row].margin)).collect();
        margins.push((own.iter().sum::<f64>() / own.len() as f64, rows));
    }
    let mut usual: Vec<f64> =
        margins.iter().map(|(margin, _)| *margin).filter(|margin| *margin > 0.0).collect();
    usual.sort_unstable_by(f64::total_cmp);
    let exceptions = margins.len() - usual.len();
    if margins.len() >= BURSTS && exceptions as f64 <= EXCEPTIONS * margins.len() as f64 {
        let middle = usual.get(usual.len() / 2).copied().unwrap_or(f64::INFINITY);
        for (_, rows) in margins.iter().filter(|(margin, _)| *margin < -SURE * middle) {
            rows.iter().for_each(|&row| wrong[row] = true);
        }
    }
    wrong
}

/// The label that most of these rows have; ties go to the lower class.
fn usual_label(rows: &[usize], labels: &[u32]) -> u32 {
    let mut counts: BTreeMap<u32, usize> = BTreeMap::new();
    rows.iter().for_each(|&row| *counts.entry(labels[row]).or_default() += 1);
    counts
        .into_iter()
        .max_by_key(|&(label, count)| (count, std::cmp::Reverse(label)))
        .map_or(0, |(label, _)| label)
}

impl HeldOut {
    /// Calibrated probability of the label, 0…1.
    fn support(&self, label: u32) -> f64 {
        let confidence = f64::from(self.confidence);
        if self.predicted == label { confidence } else { confidence * f64::from(self.margin).exp() }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn said(predicted: u32, confidence: f32, margin: f32) -> HeldOut {
        HeldOut { predicted, confidence, margin }
    }

    #[test]
    fn the_surest_contradictions_come_first_and_hard_samples_are_left_out() {
        let labels = [0, 0, 1, 1, 1, 0];
        let held_out = [
            said(0, 0.9, 2.0),
            said(1, 0.7, -3.0),
            said(1, 0.8, 1.5),
            said(1, 0.9, 2.0),
            said(0, 0.99, -5.0),
            // Less sure of class 1 than its own samples are.
            said(1, 0.51, -0.1),
        ];
        let bursts = [0, 1, 2, 3, 4, 5];
        let rows: Vec<(u32, u32)> =
            suspects(&labels, &bursts, &held_out).iter().map(|found| (found.row, found.said)).collect();
        assert_eq!(rows, [(4, 0), (1, 1)]);
        assert_eq!(suspects(&[], &[], &[]), []);
    }

    #[test]
    fn a_burst_that_is_suspect_as_a_whole_stands_together() {
        // Bursts of two: all of the second is suspect, and one sample of the third, which is the worst of all.
        let labels = [0, 0, 0, 0, 1, 1];
        let held_out = [
            said(0, 0.9, 2.0),
            said(0, 0.9, 2.0),
            said(1, 0.95, -4.0),
            said(1, 0.99, -2.0),
            said(0, 0.99, -2.5),
            said(1, 0.9, 2.0),
        ];
        let found = suspects(&labels, &[7, 7, 3, 3, 5, 5], &held_out);
        let rows: Vec<(u32, bool)> = found.iter().map(|found| (found.row, found.whole_burst)).collect();
        assert_eq!(rows, [(2, true), (3, true), (4, false)]);
    }

    #[test]
    fn judging_leaves_out_what_is_surely_mislabelled_and_nothing_of_a_hard_set() {
        let right = said(0, 0.9, 2.0);
        let against = said(0, 0.9, -2.0);
        // Twelve bursts of four: one frame of the first is labelled otherwise, the last is as a whole.
        let bursts: Vec<u64> = (0..48).map(|at| at / 4).collect();
        let mut labels = vec![0; 48];
        let mut held_out = vec![right; 48];
        labels[1] = 1;
        held_out[1] = against;
        for at in 44..48 {
            labels[at] = 1;
            held_out[at] = against;
        }
        let rows = |held_out: &[HeldOut], labels: &[u32]| -> Vec<usize> {
            let wrong = mislabelled(labels, &bursts, held_out);
            (0..48).filter(|&at| wrong[at]).collect()
        };
        assert_eq!(rows(&held_out, &labels), [1, 44, 45, 46, 47]);
        // Not as sure as usual.
        held_out[44..].iter_mut().for_each(|said| said.margin = -0.9);
        assert_eq!(rows(&held_out, &labels), [1]);
        // A third of the bursts is taken for another class.
        held_out[28..].fill(against);
        labels[28..].fill(1);
        assert_eq!(rows(&held_out, &labels), [1]);
    }

    proptest! {
        #[test]
        fn only_contradicted_labels_are_listed_in_order(
            rows in prop::collection::vec((0u32..4, 0u32..4, 0.25f32..1.0, -9.0f32..9.0), 0..60)
        ) {
            let labels: Vec<u32> = rows.iter().map(|row| row.0).collect();
            let held_out: Vec<HeldOut> = rows
                .iter()
                .map(|&(label, predicted, confidence, margin)| {
                    let margin = if predicted == label { margin.abs() } else { -margin.abs() };
                    said(predicted, confidence, margin)
                })
                .collect();
            let bursts: Vec<u64> = (0..labels.len() as u64).collect();
            let found = suspects(&labels, &bursts, &held_out);
            prop_assert!(found.windows(2).all(|two| two[0].margin <= two[1].margin));
            for suspect in &found {
                prop_assert!(suspect.said != labels[suspect.row as usize] && suspect.margin <= 0.0);
            }
            let mut once: Vec<u32> = found.iter().map(|suspect| suspect.row).collect();
            once.sort_unstable();
            once.dedup();
            prop_assert_eq!(once.len(), found.len());
        }
    }
}
