//! Labels that all other bursts speak against.

use super::held_out::HeldOut;

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
}

/// The samples whose labels are suspect, worst first; `labels` and `held_out` are those of one round, `[samples]`.
///
/// Ranked by the margin without their own burst. Listed are those that a head without their burst takes for another
/// class at least as surely as it takes that class' own samples for it (confident learning, Northcutt, Jiang & Chuang
/// 2021), so that a hard set of right labels does not fill the list.
pub fn suspects(labels: &[u32], held_out: &[HeldOut]) -> Vec<Suspect> {
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
        .map(|(row, (_, said))| Suspect { row: row as u32, said: said.predicted, margin: said.margin })
        .collect();
    found.sort_by(|a, b| a.margin.total_cmp(&b.margin).then(a.row.cmp(&b.row)));
    found
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
        let rows: Vec<(u32, u32)> =
            suspects(&labels, &held_out).iter().map(|found| (found.row, found.said)).collect();
        assert_eq!(rows, [(4, 0), (1, 1)]);
        assert_eq!(suspects(&[], &[]), []);
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
            let found = suspects(&labels, &held_out);
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
