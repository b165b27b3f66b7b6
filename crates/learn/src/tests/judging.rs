//! Reports, intervals, comparisons, temperature.

use proptest::prelude::*;

use super::{Recipe, clusters, round};
use crate::calibration::Scored;
use crate::evaluation::{Judged, report, wilson};
use crate::{Head, News, Options, Pairs, Snapshot, compare, evaluate};

fn judged<'a>(
    labels: &'a [u32],
    bursts: &'a [u64],
    predicted: &'a [u32],
    confidence: &'a [f32],
) -> Judged<'a> {
    Judged { labels, bursts, predicted, confidence, classes: 3 }
}

#[test]
fn a_report_counts_what_there_is() {
    let labels = [0, 0, 0, 1, 1, 2];
    let predicted = [0, 0, 1, 1, 1, 0];
    let report = report(&judged(&labels, &[1, 1, 2, 3, 3, 3], &predicted, &[0.9; 6]), None);
    assert_eq!((report.samples, report.bursts), (6, 3));
    assert_eq!(report.confusion, [[2, 1, 0], [0, 2, 0], [1, 0, 0]]);
    assert_eq!(report.class_samples, [3, 2, 1]);
    assert_eq!(report.class_bursts, [2, 1, 1]);
    assert_eq!(report.recall, [Some(2.0 / 3.0), Some(1.0), Some(0.0)]);
    assert!((report.accuracy.value - 4.0 / 6.0).abs() < 1e-12);
    assert!((report.balanced_accuracy.value - (2.0 / 3.0 + 1.0) / 3.0).abs() < 1e-12);
    assert!((report.majority - 0.5).abs() < 1e-12);
    assert!((report.ece - (0.9 - 4.0 / 6.0)).abs() < 1e-6);
}

#[test]
fn ten_of_ten_is_not_certainty_and_copies_are_no_evidence() {
    let ten = |bursts: &[u64]| report(&judged(&[1; 10], bursts, &[1; 10], &[1.0; 10]), None).accuracy;
    let apart = ten(&[0, 1, 2, 3, 4, 5, 6, 7, 8, 9]);
    assert!((apart.value, apart.high) == (1.0, 1.0) && (0.6..0.75).contains(&apart.low), "{apart:?}");
    let together = ten(&[0; 10]);
    assert!(together.low < 0.3, "one burst proves nothing: {together:?}");
    assert_eq!(wilson(0.5, 0.0), (0.0, 1.0));
}

#[test]
fn the_interval_holds_the_truth_about_as_often_as_it_says() {
    let mut random = fastrand::Rng::with_seed(5);
    let (mut held, tries) = (0, 200);
    for _ in 0..tries {
        // 30 bursts of 5 frames that are right or wrong together; 80 % of bursts are right.
        let mut predicted = Vec::new();
        for _ in 0..30 {
            predicted.extend([u32::from(random.f64() >= 0.8); 5]);
        }
        let bursts: Vec<u64> = (0..150).map(|i| i / 5).collect();
        let found = report(&judged(&[0; 150], &bursts, &predicted, &[0.8; 150]), None).accuracy;
        held += u32::from(found.low <= 0.8 && 0.8 <= found.high);
    }
    println!("95 % intervals that held the truth: {held} of {tries}");
    assert!((175..=199).contains(&held), "{held}");
}

#[test]
fn a_comparison_is_paired_by_bursts() {
    let bursts: Vec<u64> = (0..100).map(|i| i / 5).collect();
    let labels: Vec<u32> = (0..100).map(|i| u32::from(i >= 50)).collect();
    let wrong_in = |bad: &[u64]| -> Vec<u32> {
        (0..100).map(|i| if bad.contains(&bursts[i]) { 9 } else { labels[i] }).collect()
    };
    let active = wrong_in(&[0, 1, 2, 3, 4, 5, 12]);
    let candidate = wrong_in(&[0, 13]);
    let pairs = Pairs {
        labels: &labels,
        bursts: &bursts,
        candidate: &candidate,
        active: &active,
        itself: &[false; 100],
        part: 0.8,
        gone: 0.25,
        other_backbone: false,
        classes: 2,
    };
    let found = compare(&pairs, 500, 1);
    assert_eq!((found.known.map(|known| (known * 100.0).round()), found.gone), (Some(25.0), 0.25));
    assert_eq!(found.news, News::Plain);
    assert_eq!((found.samples, found.bursts), (100, 20));
    assert!((found.difference.value - 0.25).abs() < 1e-12);
    assert!(found.difference.low >= 0.0 && found.difference.high <= 0.5, "{:?}", found.difference);
    assert_eq!(found.classes.len(), 2);
    assert_eq!((found.classes[0].class, found.classes[0].bursts), (0, 10));
    assert!((found.classes[0].difference - 0.5).abs() < 1e-12 && found.classes[1].difference.abs() < 1e-12);
    let few = Pairs { labels: &labels[..15], active: &candidate, ..pairs };
    let same = compare(&few, 500, 1).difference;
    assert!(same.value == 0.0 && same.low < -0.1 && same.high > 0.1, "three bursts prove little: {same:?}");
    let nothing = compare(&Pairs { labels: &[], ..pairs }, 500, 1).difference;
    assert_eq!((nothing.value, nothing.low, nothing.high), (0.0, -1.0, 1.0));
    // Where the active head had all of its samples and the candidate's folds had four fifths, a tenth of their errors goes.
    let whole = Pairs { itself: &[true; 100], ..pairs };
    let expected = 0.25 + 0.1 * (1.0 - 0.8f64.sqrt());
    let whole = compare(&whole, 500, 1);
    assert!((whole.difference.value - expected).abs() < 1e-6);
    assert_eq!((whole.known, whole.classes.len()), (None, 0), "the active head was trained on none of them");
}

/// What is said of new bursts, two samples each: label, what the active head says, what the candidate's folds say.
fn news_of(known: usize, new: &[(u32, u32, u32)]) -> News {
    let (mut labels, mut bursts, mut active, mut candidate) = (vec![], vec![], vec![], vec![]);
    let mut itself = Vec::new();
    let old = (0..known).flat_map(|_| [0u32, 1, 2]).map(|class| (class, class, class, false));
    let new = new.iter().map(|&(label, by_active, by_candidate)| (label, by_active, by_candidate, true));
    for (burst, (label, by_active, by_candidate, is_new)) in old.chain(new).enumerate() {
        for _ in 0..2 {
            labels.push(label);
            bursts.push(burst as u64);
            active.push(by_active);
            candidate.push(by_candidate);
            itself.push(is_new);
        }
    }
    let pairs = Pairs {
        labels: &labels,
        bursts: &bursts,
        candidate: &candidate,
        active: &active,
        itself: &itself,
        part: 0.8,
        gone: 0.0,
        other_backbone: false,
        classes: 3,
    };
    compare(&pairs, 50, 1).news
}

#[test]
fn new_bursts_that_every_head_contradicts_are_told_apart_from_hard_ones() {
    let wrong_button = News::Contradicted { label: 1, said: 0 };
    for (known, new, expected) in [
        (4, &[(1, 0, 0)][..], wrong_button),
        // A second burst of the same kind speaks for the first.
        (4, &[(1, 0, 1), (1, 0, 1)], News::Plain),
        // One of several is hard, as some are.
        (4, &[(1, 0, 0), (0, 0, 0), (2, 2, 2)], News::Plain),
        // One burst is no base to contradict from, nor is none.
        (1, &[(1, 0, 0)], News::Plain),
        (0, &[(1, 0, 0)], News::Plain),
        (4, &[(1, 0, 1), (0, 1, 0), (2, 2, 2)], News::Swapped(0, 1)),
        (4, &[(1, 0, 1), (0, 2, 0), (2, 1, 2)], News::Plain),
        (4, &[(2, 2, 2), (2, 2, 0)], News::Known(2)),
        (4, &[(2, 2, 2), (1, 1, 1)], News::Plain),
        (4, &[], News::Plain),
    ] {
        assert_eq!(news_of(known, new), expected, "{new:?} beside {known} known bursts of each class");
    }
}

#[test]
fn a_set_that_does_not_fit_the_head_is_judged_as_nothing() {
    let head = Head::random(2, 4, 1);
    let mut snapshot = Snapshot::new(5, 2);
    snapshot.push(&[0.0; 5], 1, 0).unwrap();
    let report = evaluate(&head, &snapshot);
    assert_eq!((report.samples, report.accuracy.low, report.accuracy.high), (0, 0.0, 1.0));
    let empty = evaluate(&head, &Snapshot::new(4, 2));
    assert_eq!((empty.samples, empty.accuracy.value), (0, 0.0));
}

#[test]
fn scores_that_are_all_right_do_not_ask_for_certainty() {
    let scores: Vec<f64> = (0..40).map(|i| f64::from(u8::from(i % 2 == 0))).collect();
    let scored = Scored { scores: &scores, labels: &[0; 20], weights: &[1.0; 20], classes: 2 };
    let temperature = scored.temperature(20, &mut || Ok(())).unwrap();
    let confidence = 1.0 / (1.0 + (-1.0 / temperature).exp());
    // Platt's target for 20 of 20 in two classes: 1 − 1/(2·22).
    assert!((confidence - (1.0 - 0.5 / 22.0)).abs() < 1e-3, "{confidence}");
}

proptest! {
    #[test]
    fn the_temperature_undoes_a_scale(scale in 0.01f64..100.0, seed in any::<u64>()) {
        let mut random = fastrand::Rng::with_seed(seed);
        let (mut scores, mut labels) = (Vec::new(), Vec::new());
        for _ in 0..100 {
            let row = [random.f64() * 2.0, random.f64() * 2.0, random.f64() * 2.0];
            // Labels drawn from the softmax itself, so that a temperature of 1 is about right.
            let all: f64 = row.iter().map(|v| (2.0 * v).exp()).sum();
            let mut left = random.f64() * all;
            labels.push(row.iter().position(|v| { left -= (2.0 * v).exp(); left < 0.0 }).unwrap_or(2));
            scores.extend(row);
        }
        let weights = vec![1.0; 100];
        let scored = Scored { scores: &scores, labels: &labels, weights: &weights, classes: 3 };
        let scaled: Vec<f64> = scores.iter().map(|score| score * scale).collect();
        let temperature = Scored { scores: &scaled, ..scored }.temperature(100, &mut || Ok(())).unwrap();
        prop_assert!((temperature / scale / scored.temperature(100, &mut || Ok(())).unwrap() - 1.0).abs() < 1e-3);
        let loss = |temperature: f64| scored.losses(temperature).iter().sum::<f64>() / 100.0;
        let best = loss(scored.temperature(1_000_000, &mut || Ok(())).unwrap());
        for other in [0.1, 0.3, 1.0, 3.0] {
            prop_assert!(best <= loss(other) + 1e-6);
        }
    }
}

/// Embeddings that have nothing to do with their labels, with so few bursts that any leak shows: the centre of all
/// samples tells where the held-out ones lie.
#[test]
fn noise_is_told_as_a_guess_however_few_bursts_there_are() {
    for (classes, bursts) in [(2, 2), (2, 3), (2, 5), (4, 2), (4, 4)] {
        let mut told = 0.0;
        let draws = 40;
        for seed in 0..draws {
            let recipe = Recipe { width: 96, classes, bursts, per_burst: 1, spread: [0.0, 0.0, 1.0], seed };
            told += round(&clusters(recipe), &Options::default()).unwrap().report.accuracy.value;
        }
        let (told, guess) = (told / draws as f64, 1.0 / classes as f64);
        println!("{bursts} bursts of each of {classes} classes: told {told:.3}, a guess is {guess:.3}");
        assert!((told - guess).abs() < 0.13, "{classes} {bursts}: {told}");
    }
}
