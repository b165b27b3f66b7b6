//! Closed forms against doing it again without the burst.

use proptest::prelude::*;

use super::{Recipe, clusters};
use crate::cholesky::{factor, solve};
use crate::coordinates::Coordinates;
use crate::linear::Linear;
use crate::objective::Samples;
use crate::problem::Problem;
use crate::reduced::Reduced;
use crate::ridge::{CONSTANT, Ridge};
use crate::softmax::{Precision, Task, fit, held_out};
use crate::{Alone, Snapshot, Statistics};

/// Scores of `part` by a ridge solved, by the textbook, on every other sample.
fn refit(problem: &Problem, lambda: f64, part: &std::ops::Range<usize>) -> Vec<f64> {
    let (n, d, k) = (problem.len(), problem.width() + 1, problem.classes());
    let mut single = vec![0.0f32; n * problem.width()];
    problem.rows(0..n, &mut single);
    let rows: Vec<Vec<f64>> = single
        .chunks_exact(problem.width())
        .map(|row| row.iter().map(|&v| f64::from(v)).chain([CONSTANT.sqrt()]).collect())
        .collect();
    let mut matrix = vec![0.0; d * d];
    let mut right = vec![0.0; d * k];
    for (i, row) in rows.iter().enumerate().filter(|(i, _)| !part.contains(i)) {
        let w = problem.weights[i];
        for a in 0..d {
            for b in 0..d {
                matrix[a * d + b] += w * row[a] * row[b];
            }
            for class in 0..k {
                let target = f64::from(u8::from(problem.labels[i] == class)) - 1.0 / k as f64;
                right[a * k + class] += w * row[a] * target;
            }
        }
    }
    for a in 0..d {
        matrix[a * d + a] += lambda * n as f64;
    }
    factor(&mut matrix, d, 0.0, &mut || Ok(())).unwrap();
    solve(&matrix, d, &mut right, k);
    let scores = part.clone().flat_map(|i| {
        let row = &rows[i];
        (0..k).map(|class| (0..d).map(|a| row[a] * right[a * k + class]).sum()).collect::<Vec<f64>>()
    });
    scores.collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]
    #[test]
    fn leave_one_burst_out_equals_a_refit(
        width in 1usize..40, classes in 2usize..5, bursts in 1usize..5, per_burst in 1usize..7,
        exponent in -4.0f64..1.0, seed in any::<u64>(),
    ) {
        let recipe = Recipe { width, classes, bursts, per_burst, spread: [1.0, 0.7, 0.3], seed };
        let mut snapshot = clusters(recipe);
        // Unequal classes, and a burst that two classes share.
        snapshot.embeddings.truncate((snapshot.len() - 1) * width);
        snapshot.labels.pop();
        snapshot.bursts.pop();
        if snapshot.len() < 2 || snapshot.class_samples().iter().filter(|&&c| c > 0).count() < 2 {
            return Ok(());
        }
        snapshot.bursts[0] = *snapshot.bursts.last().unwrap();
        let problem = Problem::new(&snapshot, 3, 1, &mut || Ok(())).unwrap();
        let mut ridge = Ridge::new(&problem, &mut || Ok(())).unwrap();
        let lambda = 10f64.powf(exponent);
        ridge.solve(lambda, &mut || Ok(())).unwrap();
        for parts in [&problem.groups, &problem.folds] {
            let scores = ridge.held_out(parts, &mut || Ok(())).unwrap();
            for part in parts {
                let wanted = refit(&problem, lambda, part);
                let k = problem.classes();
                for (found, wanted) in scores[part.start * k..part.end * k].iter().zip(&wanted) {
                    prop_assert!((found - wanted).abs() < 1e-6 * (1.0 + wanted.abs()), "{found} {wanted}");
                }
            }
        }
    }

    #[test]
    fn merged_sums_equal_the_sums_of_all(
        width in 1usize..20, of_first in prop::collection::vec(any::<bool>(), 36), seed in any::<u64>(),
    ) {
        let recipe = Recipe { width, classes: 3, bursts: 4, per_burst: 3, spread: [3.0, 1.0, 1.0], seed };
        let pool = clusters(recipe);
        // One board may not know the last class.
        let (mut first, mut second) = (Snapshot::new(width, 2), Snapshot::new(width, 3));
        let mut row = vec![0.0; width];
        for i in 0..pool.len() {
            pool.row_f32(i, &mut row);
            let label = pool.labels[i];
            if of_first[i % of_first.len()] && label < 2 { &mut first } else { &mut second }.push(&row, label, 0).unwrap();
        }
        prop_assume!(!first.is_empty() && !second.is_empty());
        let all = Statistics::of(&pool).unwrap();
        let mut sums = Statistics::of(&first).unwrap();
        sums.merge(&Statistics::of(&second).unwrap()).unwrap();
        prop_assert_eq!(sums.counts(), all.counts());
        let (a, b) = (sums.raw(), all.raw());
        let size = b.iter().fold(1.0f64, |size, v| size.max(v.abs()));
        for (a, b) in a.iter().zip(&b) {
            prop_assert!((a - b).abs() <= 1e-9 * size, "{a} {b}");
        }
    }
}

#[test]
fn bursts_too_wide_for_a_closed_form_are_left_out_by_solving_anew() {
    let recipe = Recipe { width: 7, classes: 2, bursts: 2, per_burst: 300, spread: [1.0, 0.7, 0.7], seed: 3 };
    let problem = clusters(recipe);
    let problem = Problem::new(&problem, 3, 1, &mut || Ok(())).unwrap();
    let mut ridge = Ridge::new(&problem, &mut || Ok(())).unwrap();
    ridge.solve(0.1, &mut || Ok(())).unwrap();
    // Wide, narrow and wide again: what one way destroys, the other needs.
    for parts in [vec![0..300, 300..310], vec![310..320, 600..1200], vec![5..9, 700..703]] {
        let scores = ridge.held_out(&parts, &mut || Ok(())).unwrap();
        for part in parts {
            let wanted = refit(&problem, 0.1, &part);
            for (found, wanted) in scores[part.start * 2..part.end * 2].iter().zip(&wanted) {
                assert!((found - wanted).abs() < 1e-9 * (1.0 + wanted.abs()), "{part:?} {found} {wanted}");
            }
        }
    }
}

/// In leading directions as well, leaving a burst out is exact, and a head says the same of an embedding as of its
/// coordinates.
#[test]
fn leading_directions_are_a_problem_like_any_other() {
    let recipe =
        Recipe { width: 430, classes: 3, bursts: 40, per_burst: 5, spread: [0.6, 0.7, 0.4], seed: 6 };
    let snapshot = clusters(recipe);
    let problem = Problem::new(&snapshot, 3, 1, &mut || Ok(())).unwrap();
    let coordinates = Coordinates::of(&problem, &mut Vec::new(), &mut || Ok(())).unwrap().unwrap();
    let few = coordinates.problem(&problem);
    assert!(!coordinates.are_all() && 2 * few.width() < problem.width());
    let mut ridge = Ridge::new(&few, &mut || Ok(())).unwrap();
    ridge.solve(1e-2, &mut || Ok(())).unwrap();
    let scores = ridge.held_out(&few.groups, &mut || Ok(())).unwrap();
    for part in few.groups.iter().take(3) {
        let wanted = refit(&few, 1e-2, part);
        for (found, wanted) in scores[part.start * 3..part.end * 3].iter().zip(&wanted) {
            assert!((found - wanted).abs() < 1e-6 * (1.0 + wanted.abs()), "{found} {wanted}");
        }
    }
    let mut head = ridge.linear();
    let all = 0..problem.len();
    let by_few = held_out(&few.samples(), std::slice::from_ref(&all), std::slice::from_ref(&head));
    coordinates.expand(&problem, &mut head);
    let by_all = held_out(&problem.samples(), std::slice::from_ref(&all), &[head]);
    for (few, all) in by_few.iter().zip(&by_all) {
        assert!((few - all).abs() < 2e-3, "{few} {all}");
    }
}

#[test]
fn a_head_from_sums_is_the_ridge_of_the_samples() {
    for (per_burst, width) in [(2, 60), (9, 20)] {
        let recipe = Recipe { width, classes: 3, bursts: 4, per_burst, spread: [1.0, 0.5, 0.5], seed: 4 };
        let snapshot = clusters(recipe);
        let problem = Problem::new(&snapshot, 3, 1, &mut || Ok(())).unwrap();
        let mut ridge = Ridge::new(&problem, &mut || Ok(())).unwrap();
        let sums = Statistics::of(&snapshot).unwrap();
        for lambda in [1e-4, 1e-2, 1.0] {
            ridge.solve(lambda, &mut || Ok(())).unwrap();
            let (weight, bias) = ridge.linear().unfold(&problem);
            let head = sums.ridge(lambda).unwrap();
            let size = weight.iter().fold(0.0f32, |size, w| size.max(w.abs()));
            for (a, b) in head.weight.iter().zip(&weight) {
                assert!((a - b).abs() < 2e-5 * size, "{a} {b}");
            }
            for (a, b) in head.bias.iter().zip(&bias) {
                assert!((a - b).abs() < 1e-4 * (1.0 + b.abs()), "{a} {b}");
            }
        }
    }
}

#[test]
fn what_does_not_fit_the_sums_is_refused_and_changes_nothing() {
    let mut sums = Statistics::new(2, 2);
    let before = sums.clone();
    assert!(sums.merge(&Statistics::new(3, 2)).is_err());
    assert!(sums.ridge(1.0).is_err());
    assert!(sums.placed(&[0, 2], 2).is_err());
    assert_eq!(sums, before);
}

/// Fits on some samples in few coordinates say the same of all as fits on the embeddings.
#[test]
fn fewer_coordinates_change_no_score() {
    let recipe = Recipe { width: 90, classes: 3, bursts: 5, per_burst: 2, spread: [0.6, 0.7, 0.4], seed: 6 };
    let snapshot = clusters(recipe);
    let problem = Problem::new(&snapshot, 3, 1, &mut || Ok(())).unwrap();
    let full = problem.samples();
    let reduced = Reduced::of(&full, 3, &mut || Ok(())).unwrap().unwrap();
    let scores = |samples: &Samples, expanded: bool| {
        let tasks = problem
            .folds
            .iter()
            .map(|fold| Task { held_out: fold.clone(), start: Linear::zero(samples.width, samples.classes) });
        let precision = Precision { gap: 1e-10, steps: 1000 };
        let mut heads = fit(samples, None, 1e-2, tasks.collect(), precision, &Alone, &mut || Ok(())).unwrap();
        if expanded {
            heads.iter_mut().for_each(|head| head.weight = reduced.expand(&full, &head.weight));
            return held_out(&full, &problem.folds, &heads);
        }
        held_out(samples, &problem.folds, &heads)
    };
    let few = reduced.samples(&full);
    let all = scores(&full, false);
    for few in [scores(&few, false), scores(&few, true)] {
        for (few, all) in few.iter().zip(&all) {
            assert!((few - all).abs() < 1e-3 * (1.0 + all.abs()), "{few} {all}");
        }
    }
    let wide = Recipe { width: 40, ..recipe };
    let snapshot = clusters(wide);
    let problem = Problem::new(&snapshot, 3, 1, &mut || Ok(())).unwrap();
    assert!(Reduced::of(&problem.samples(), 3, &mut || Ok(())).unwrap().is_none());
}
