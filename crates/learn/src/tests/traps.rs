//! The traps that are known (docs/design/learning.md), each shown and each avoided.

use std::collections::BTreeMap;
use std::ops::Range;

use super::{Recipe, clusters, round};
use crate::candidates;
use crate::coordinates::Coordinates;
use crate::problem::Problem;
use crate::ridge::Ridge;
use crate::{Alone, Choice, Method, Options, Snapshot, evaluate};

fn only(method: Method) -> Options {
    Options { choice: Choice::Only(method), ..Options::default() }
}

/// Every sample a burst of its own: what a split by frames believes.
fn by_frames(snapshot: &Snapshot) -> Snapshot {
    Snapshot { bursts: (0..snapshot.len() as u64).collect(), ..snapshot.clone() }
}

/// Fraction of rows whose largest score is the label's.
fn right(scores: &[f64], labels: &[usize], classes: usize) -> f64 {
    let hits = scores
        .chunks_exact(classes)
        .zip(labels)
        .filter(|(row, label)| row.iter().enumerate().all(|(k, s)| k == **label || *s < row[**label]))
        .count();
    hits as f64 / labels.len() as f64
}

#[test]
fn leave_one_out_in_f32_with_fewer_samples_than_dimensions_sees_what_it_must_not() {
    // Pure noise: nothing can be learned, an honest figure is chance.
    let recipe =
        Recipe { width: 300, classes: 2, bursts: 60, per_burst: 1, spread: [0.0, 0.0, 1.0], seed: 3 };
    let snapshot = clusters(recipe);
    let problem = Problem::new(&snapshot, 5, 0, &mut || Ok(())).unwrap();
    let (n, d) = (problem.len(), problem.width());
    let lambda = 1e-9;
    let mut rows = vec![0.0f32; n * d];
    problem.rows(0..n, &mut rows);
    // The trap: fitted values and leverages in f32, then (y − ŷ)/(1 − h), guarded against a zero denominator.
    let mut gram = vec![0.0f32; n * n];
    for i in 0..n {
        for j in 0..n {
            gram[i * n + j] =
                rows[i * d..(i + 1) * d].iter().zip(&rows[j * d..(j + 1) * d]).map(|(a, b)| a * b).sum();
        }
    }
    let mut shifted = gram.clone();
    (0..n).for_each(|i| shifted[i * n + i] += lambda * n as f32);
    let factor = cholesky_f32(&mut shifted, n);
    let signs: Vec<f32> = problem.labels.iter().map(|&label| label as f32 * 2.0 - 1.0).collect();
    let alpha = solve_f32(factor, n, &signs);
    let mut trapped = Vec::new();
    for (row, sign) in gram.chunks_exact(n).zip(&signs) {
        let at = trapped.len() / 2;
        let leverage = solve_f32(factor, n, row)[at];
        let fitted: f32 = row.iter().zip(&alpha).map(|(a, b)| a * b).sum();
        let score = sign - (sign - fitted) / (1.0 - leverage).max(1e-3);
        trapped.push(f64::from(-score));
        trapped.push(f64::from(score));
    }
    let mut ridge = Ridge::new(&problem, &mut || Ok(())).unwrap();
    ridge.solve(f64::from(lambda), &mut || Ok(())).unwrap();
    let honest = ridge.held_out(&problem.groups, &mut || Ok(())).unwrap();
    let (trapped, honest) = (right(&trapped, &problem.labels, 2), right(&honest, &problem.labels, 2));
    println!("f32 leave-one-out on noise: {trapped:.3}, ours: {honest:.3}");
    assert!((0.3..0.7).contains(&honest), "noise was learned: {honest}");
    assert!(trapped > 0.9, "the f32 formula is no trap any more: {trapped} {honest}");
}

#[test]
fn noise_is_not_learned_in_leading_directions_either() {
    // Directions that knew the labels of what is held out would tell it.
    let recipe =
        Recipe { width: 450, classes: 2, bursts: 300, per_burst: 1, spread: [0.0, 0.0, 1.0], seed: 3 };
    let snapshot = clusters(recipe);
    let problem = Problem::new(&snapshot, 5, 0, &mut || Ok(())).unwrap();
    let few = Coordinates::of(&problem, &mut Vec::new(), &mut || Ok(())).unwrap().unwrap();
    assert!(!few.are_all());
    for tried in round(&snapshot, &Options::default()).unwrap().candidates {
        let accuracy = tried.report.accuracy.value;
        println!("{} on noise: {accuracy:.3}", tried.method);
        assert!((0.42..0.58).contains(&accuracy), "{} learned noise: {accuracy}", tried.method);
    }
}

/// Cholesky in place, in f32.
fn cholesky_f32(a: &mut [f32], n: usize) -> &[f32] {
    for i in 0..n {
        for j in 0..=i {
            let sum: f32 = (0..j).map(|k| a[i * n + k] * a[j * n + k]).sum();
            a[i * n + j] = if i == j {
                (a[i * n + i] - sum).max(1e-7).sqrt()
            } else {
                (a[i * n + j] - sum) / a[j * n + j]
            };
        }
    }
    a
}

fn solve_f32(l: &[f32], n: usize, b: &[f32]) -> Vec<f32> {
    let mut x = b.to_vec();
    for i in 0..n {
        let sum: f32 = (0..i).map(|k| l[i * n + k] * x[k]).sum();
        x[i] = (x[i] - sum) / l[i * n + i];
    }
    for i in (0..n).rev() {
        let sum: f32 = (i + 1..n).map(|k| l[k * n + i] * x[k]).sum();
        x[i] = (x[i] - sum) / l[i * n + i];
    }
    x
}

#[test]
fn frames_of_one_burst_are_near_copies_and_flatter_a_split_by_frames() {
    let mut recipe =
        Recipe { width: 64, classes: 5, bursts: 4, per_burst: 10, spread: [0.5, 1.0, 0.1], seed: 1 };
    let snapshot = clusters(recipe);
    recipe = Recipe { seed: 2, bursts: 40, per_burst: 2, ..recipe };
    let fresh = clusters(recipe);
    let options = only(Method::Ridge);
    let by_burst = round(&snapshot, &options).unwrap();
    let by_frame = round(&by_frames(&snapshot), &options).unwrap();
    let truth = evaluate(&by_burst.head, &fresh).accuracy.value;
    let (frames, bursts) = (by_frame.report.accuracy, by_burst.report.accuracy);
    println!("by frames {:.3}, by bursts {:.3}, truth {truth:.3}", frames.value, bursts.value);
    assert!(frames.value > 0.99, "{}", frames.value);
    assert!(truth < 0.95, "{truth}");
    assert!((bursts.value - truth).abs() < 0.15, "{} {truth}", bursts.value);
    assert!(bursts.low <= truth && truth <= bursts.high, "{bursts:?} {truth}");
    assert!(frames.low > truth, "the interval of a split by frames is just as blind");
}

#[test]
fn a_large_class_does_not_swallow_a_small_one() {
    let recipe =
        Recipe { width: 32, classes: 2, bursts: 100, per_burst: 1, spread: [0.35, 0.0, 1.0], seed: 5 };
    let all = clusters(recipe);
    let mut snapshot = Snapshot::new(32, 2);
    let mut row = vec![0.0; 32];
    for i in 0..108 {
        all.row_f32(i, &mut row);
        snapshot.push(&row, all.labels[i], i as u64).unwrap();
    }
    let fresh = clusters(Recipe { seed: 6, bursts: 300, ..recipe });
    for method in [Method::Ridge, Method::Softmax, Method::Blend] {
        let round = round(&snapshot, &only(method)).unwrap();
        let report = evaluate(&round.head, &fresh);
        let small = report.recall[1].unwrap();
        println!("{method}: recall {:.3} of 100 samples, {small:.3} of 8", report.recall[0].unwrap());
        assert!(small > 0.55, "{method} {small}");
        assert!(report.accuracy.value > 0.75, "{method} {}", report.accuracy.value);
    }
}

#[test]
fn raw_scores_are_not_probabilities_and_the_temperature_makes_them_so() {
    let recipe =
        Recipe { width: 64, classes: 4, bursts: 50, per_burst: 1, spread: [0.45, 0.0, 1.0], seed: 8 };
    let snapshot = clusters(recipe);
    let fresh = clusters(Recipe { seed: 9, bursts: 250, ..recipe });
    for method in [Method::Ridge, Method::Softmax, Method::Blend] {
        let round = round(&snapshot, &only(method)).unwrap();
        let calibrated = evaluate(&round.head, &fresh).ece;
        let mut raw = round.head.clone();
        raw.temperature = 1.0;
        let uncalibrated = evaluate(&raw, &fresh).ece;
        println!(
            "{method}: ECE {uncalibrated:.3} raw, {calibrated:.3} calibrated, {:.3} told",
            round.report.ece
        );
        assert!(calibrated < 0.06, "{method} {calibrated}");
        assert!(method != Method::Ridge || uncalibrated > 0.2, "{uncalibrated}");
    }
}

#[test]
fn a_class_with_one_burst_is_still_judged() {
    let recipe = Recipe { width: 16, classes: 3, bursts: 1, per_burst: 10, spread: [2.0, 0.3, 0.3], seed: 1 };
    let round = round(&clusters(recipe), &Options::default()).unwrap();
    // Left out whole, no class could ever be right, and a first head could not pass a gate.
    assert!(round.report.accuracy.value > 0.9, "{}", round.report.accuracy.value);
    assert_eq!(round.report.class_bursts, [1, 1, 1]);
    assert!(round.report.accuracy.low < 0.6, "three bursts prove little: {:?}", round.report.accuracy);
}

#[test]
fn folds_never_take_the_whole_of_a_class_and_do_not_move_when_samples_come() {
    for seed in 0..50 {
        let recipe = Recipe { width: 3, classes: 6, bursts: 2, per_burst: 3, spread: [1.0; 3], seed };
        let snapshot = clusters(recipe);
        let problem = Problem::new(&snapshot, 5, seed, &mut || Ok(())).unwrap();
        for fold in &problem.folds {
            for class in 0..6 {
                let own = problem.labels[fold.clone()].iter().filter(|&&label| label == class).count();
                assert!(own < 6, "fold {fold:?} holds all of class {class}");
            }
        }
        let starts: Vec<usize> = problem.groups.iter().map(|group| group.start).collect();
        assert!(problem.folds.iter().all(|fold| starts.contains(&fold.start)), "a fold splits a burst");
    }
    let fold_of = |snapshot: &Snapshot| -> BTreeMap<u64, usize> {
        let problem = Problem::new(snapshot, 5, 7, &mut || Ok(())).unwrap();
        let of_fold =
            |(at, fold): (usize, &Range<usize>)| fold.clone().map(move |i| (i, at)).collect::<Vec<_>>();
        let folds = problem.folds.iter().enumerate().flat_map(of_fold);
        folds.map(|(i, at)| (problem.burst(problem.order[i]), at)).collect()
    };
    let mut snapshot =
        clusters(Recipe { width: 3, classes: 4, bursts: 6, per_burst: 2, spread: [1.0; 3], seed: 1 });
    let before = fold_of(&snapshot);
    snapshot.push(&[1.0, 2.0, 3.0], 2, 900).unwrap();
    let after = fold_of(&snapshot);
    assert!(before.iter().all(|(burst, fold)| after[burst] == *fold), "{before:?} {after:?}");
}

#[test]
fn every_fold_holds_as_many_bursts_of_each_class_as_the_others() {
    for (bursts, folds) in [(2, 2), (3, 3), (5, 5), (10, 5), (12, 5)] {
        let recipe = Recipe { width: 3, classes: 4, bursts, per_burst: 2, spread: [1.0; 3], seed: 1 };
        let snapshot = clusters(recipe);
        let problem = Problem::new(&snapshot, 5, 7, &mut || Ok(())).unwrap();
        assert_eq!(problem.folds.len(), folds, "{bursts} bursts");
        for class in 0..4 {
            let own = |fold: &Range<usize>| fold.clone().filter(|&i| problem.labels[i] == class).count() / 2;
            let counts: Vec<usize> = problem.folds.iter().map(own).collect();
            assert!(counts.iter().all(|count| count.abs_diff(bursts / folds) <= 1), "{counts:?}");
        }
    }
}

#[test]
fn the_blend_is_the_mean_of_two_calibrated_heads() {
    let recipe = Recipe { width: 10, classes: 3, bursts: 6, per_burst: 2, spread: [1.0, 0.5, 0.5], seed: 3 };
    let snapshot = clusters(recipe);
    let problem = Problem::new(&snapshot, 5, 0, &mut || Ok(())).unwrap();
    let mut step = |_: &'static str, _: usize| Ok(());
    let ridge = candidates::ridge(&problem, &mut step).unwrap();
    let softmax = candidates::softmax(&problem, &Alone, &mut step).unwrap();
    let blend = candidates::blend(&problem, &ridge, &softmax, &mut || Ok(())).unwrap();
    for at in 0..blend.linear.weight.len() {
        let mean = 0.5 * ridge.linear.weight[at] / ridge.temperature
            + 0.5 * softmax.linear.weight[at] / softmax.temperature;
        assert!((blend.linear.weight[at] - mean).abs() < 1e-12 * (1.0 + mean.abs()));
    }
}
