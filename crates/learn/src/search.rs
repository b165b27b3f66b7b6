//! The search for λ on held-out losses.

use std::ops::Range;

use super::snapshot::LearnError;

/// Where λ may lie, and how much better another one must be.
pub(crate) struct Bounds {
    pub low: f64,
    pub high: f64,
    /// Standard errors.
    pub care: f64,
    /// Nats per sample; less is not worth another λ however sure it is.
    pub worth: f64,
}

/// Walks from `start` by decades, first to weaker λ, then, where none was better, to stronger ones. Another λ has to
/// earn its place: it is taken only where it lowers the held-out loss by more than `care` standard errors of the paired
/// difference over groups and by more than `worth`. Where a decade changes little the next one is looked at too.
///
/// `losses` gives the loss of every sample at a λ; `groups` are ranges of those.
pub(crate) fn search(
    groups: &[Range<usize>],
    start: f64,
    bounds: &Bounds,
    losses: &mut dyn FnMut(f64) -> Result<Vec<f64>, LearnError>,
) -> Result<f64, LearnError> {
    let mut best = start.clamp(bounds.low, bounds.high);
    let mut held = losses(best)?;
    for factor in [0.1, 10.0] {
        let (from, mut next, mut little) = (best, best * factor, false);
        while (bounds.low * 0.99..=bounds.high * 1.01).contains(&next) {
            let found = losses(next)?;
            let (gain, error) = gain(groups, &held, &found);
            if gain > (bounds.care * error).max(bounds.worth * found.len() as f64) {
                (best, held, little) = (next, found, false);
            } else if little || gain <= 0.0 || gain.is_nan() {
                break;
            } else {
                little = true;
            }
            next *= factor;
        }
        if best != from {
            break;
        }
    }
    Ok(best)
}

/// How much lower the second losses are, summed over groups, and the standard error of that sum.
pub(crate) fn gain(groups: &[Range<usize>], before: &[f64], after: &[f64]) -> (f64, f64) {
    let (mut sum, mut square) = (0.0, 0.0);
    for group in groups {
        let difference: f64 = group.clone().map(|i| before[i] - after[i]).sum();
        sum += difference;
        square += difference * difference;
    }
    let count = groups.len().max(1) as f64;
    (sum, (square - sum * sum / count).max(0.0).sqrt())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Two groups of one sample, with losses as functions of the decade.
    fn walk(start: f64, care: f64, losses: impl Fn(f64) -> [f64; 2]) -> f64 {
        let bounds = Bounds { low: 1e-6, high: 1e2, care, worth: 0.0 };
        search(&[0..1, 1..2], start, &bounds, &mut |lambda| Ok(losses(lambda.log10().round()).to_vec()))
            .unwrap()
    }

    #[test]
    fn the_bottom_is_found_from_either_side() {
        for bottom in [-5.0, -2.0, 0.0, 2.0] {
            for start in [1e-6, 1e-2, 1e2] {
                let found = walk(start, 0.0, |at| [(at - bottom).powi(2); 2]);
                assert_eq!(found.log10().round(), bottom);
            }
        }
    }

    #[test]
    fn another_lambda_must_be_clearly_better() {
        // The groups disagree about the step, so its sign is noise.
        assert_eq!(walk(1e-2, 1.0, |at| [at, -0.9 * at]), 1e-2);
        assert_eq!(walk(1e-2, 1.0, |at| [-at, 0.9 * at]), 1e-2);
        assert_eq!(walk(1e-2, 0.0, |at| [at, -0.9 * at]).log10().round(), -6.0);
        // They agree.
        assert_eq!(walk(1e-2, 1.0, |at| [at, 0.9 * at]).log10().round(), -6.0);
        assert_eq!(walk(1e-2, 1.0, |at| [-at, -0.9 * at]).log10().round(), 2.0);
    }

    #[test]
    fn one_decade_that_changes_little_does_not_hide_the_next() {
        let bounds = Bounds { low: 1e-6, high: 1e2, care: 1.0, worth: 0.1 };
        let losses = |lambda: f64| vec![if lambda < 2e-4 { 0.0 } else { 1.0 + 0.01 * lambda.log10() }; 2];
        let found = search(&[0..1, 1..2], 1e-2, &bounds, &mut |lambda| Ok(losses(lambda))).unwrap();
        assert!((0.9e-4..1.1e-4).contains(&found), "{found}");
    }

    #[test]
    fn a_gain_that_is_not_worth_it_is_left() {
        let bounds = Bounds { low: 1e-6, high: 1e-2, care: 1.0, worth: 0.1 };
        let steps = |size: f64| {
            search(&[0..1, 1..2], 1e-2, &bounds, &mut |lambda| Ok(vec![size * lambda.log10(); 2])).unwrap()
        };
        assert_eq!(steps(0.05), 1e-2);
        assert!(steps(0.2) < 2e-6);
    }

    #[test]
    fn a_loss_that_is_not_a_number_ends_the_walk() {
        assert_eq!(walk(1e-2, 1.0, |_| [f64::NAN; 2]), 1e-2);
    }
}
