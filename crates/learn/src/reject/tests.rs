use super::super::tests::{Recipe, clusters, features, normal, round};
use super::*;
use crate::problem::Problem;
use crate::{Choice, Method, Options, Snapshot};

/// Chance that an unknown scores above a known.
fn auroc(known: &[f32], unknown: &[f32]) -> f64 {
    let mut all: Vec<(f32, bool)> =
        known.iter().map(|&s| (s, false)).chain(unknown.iter().map(|&s| (s, true))).collect();
    all.sort_by(|a, b| a.0.total_cmp(&b.0));
    let (mut below, mut wins) = (0.0, 0.0);
    for (_, is_unknown) in all {
        if is_unknown { wins += below } else { below += 1.0 }
    }
    wins / (known.len() as f64 * unknown.len() as f64)
}

/// The samples whose class `keep` keeps, relabelled to a dense list.
fn select(snapshot: &Snapshot, keep: &[u32]) -> Snapshot {
    let mut out = Snapshot::new(snapshot.width, keep.len());
    let mut row = vec![0.0; snapshot.width];
    for i in 0..snapshot.len() {
        if let Some(class) = keep.iter().position(|&class| class == snapshot.labels[i]) {
            snapshot.row_f32(i, &mut row);
            out.push(&row, class as u32, snapshot.bursts[i]).unwrap();
        }
    }
    out
}

/// Unknown scores of `known` and `unknown` classes, their AUROC, that of `1 − confidence`, and the false-reject rate.
fn measure(train: &Snapshot, test: &Snapshot, keep: &[u32], classes: u32, choice: Choice) -> (f64, f64, f64) {
    let options = Options { choice, bootstrap: 0, ..Options::default() };
    let head = round(&select(train, keep), &options).unwrap().head;
    let others: Vec<u32> = (0..classes).filter(|class| !keep.contains(class)).collect();
    let scores = |set: &Snapshot| -> Vec<(f32, f32)> {
        let mut row = vec![0.0; set.width];
        (0..set.len())
            .map(|i| {
                set.row_f32(i, &mut row);
                let said = head.predict(&row);
                (said.unknown, 1.0 - said.confidence)
            })
            .collect()
    };
    let (known, unknown) = (scores(&select(test, keep)), scores(&select(test, &others)));
    let (a, b): (Vec<f32>, Vec<f32>) = known.iter().copied().unzip();
    let (c, d): (Vec<f32>, Vec<f32>) = unknown.iter().copied().unzip();
    let rejected = a.iter().filter(|&&score| score > 1.0).count() as f64 / a.len() as f64;
    (auroc(&a, &c), auroc(&b, &d), rejected)
}

#[test]
fn classes_left_out_are_told_from_those_taught() {
    for (file, floor) in [
        ("sign_digits__mobilenetv2_1.0_224_imagenet.npz", [0.8, 0.9, 0.8]),
        ("sign_digits__mcunet-5fps_imagenet.npz", [0.8, 0.9, 0.8]),
    ] {
        let Some((train, test)) = features::pair(file) else { return };
        let kept: [&[u32]; 3] = [&[0, 1, 2, 3, 5, 6, 8, 9], &[1, 3, 4, 6, 9], &[2, 7]];
        for (keep, floor) in kept.into_iter().zip(floor) {
            let (ours, confidence, rejected) = measure(&train, &test, keep, 10, Choice::Auto);
            println!(
                "{file}: {} of 10 classes taught, AUROC {ours:.3} (1 - confidence: {confidence:.3}), known rejected {rejected:.3}",
                keep.len()
            );
            assert!(ours > floor, "{file} {keep:?} {ours}");
            assert!(ours > confidence, "no better than the confidence");
            assert!(rejected < 0.15, "{rejected}");
        }
    }
}

#[test]
fn the_false_reject_rate_is_the_one_asked_for() {
    let recipe = Recipe { width: 96, classes: 5, bursts: 30, per_burst: 4, spread: [0.6, 0.5, 0.5], seed: 1 };
    let train = clusters(recipe);
    let fresh = clusters(Recipe { seed: 2, bursts: 200, ..recipe });
    for rate in [0.02, 0.05, 0.2] {
        for method in [Method::Ridge, Method::Softmax, Method::Imprint] {
            let options = Options {
                choice: Choice::Only(method),
                reject_rate: rate,
                bootstrap: 0,
                ..Options::default()
            };
            let head = round(&train, &options).unwrap().head;
            let mut row = vec![0.0; 96];
            let mut rejected = 0;
            for i in 0..fresh.len() {
                fresh.row_f32(i, &mut row);
                rejected += usize::from(head.predict(&row).is_unknown());
            }
            let found = rejected as f32 / fresh.len() as f32;
            println!("{method}: asked {rate}, found {found:.3}");
            assert!((found - rate).abs() < 0.02 + 0.5 * rate, "{method} {rate} {found}");
            // Far from everything.
            assert!(head.predict(&vec![50.0; 96]).is_unknown());
        }
    }
}

/// Part of the frames called unknown, mean over rounds: of new bursts of the classes taught, of a class never taught,
/// of noise three times the size of the embeddings.
fn rejected(recipe: Recipe, rounds: u64) -> [f64; 3] {
    let mut sums = [[0.0; 2]; 3];
    let size = 3.0 * recipe.spread.iter().map(|spread| spread * spread).sum::<f32>().sqrt();
    let mut row = vec![0.0; recipe.width];
    for seed in 0..rounds {
        let train = clusters(Recipe { seed: 2 * seed, ..recipe });
        let head = round(&train, &Options { bootstrap: 0, ..Options::default() }).unwrap().head;
        let fresh =
            clusters(Recipe { seed: 2 * seed + 1, classes: recipe.classes + 2, bursts: 20, ..recipe });
        let mut random = fastrand::Rng::with_seed(seed);
        let mut count = |kind: usize, row: &[f32]| {
            sums[kind][0] += f64::from(u8::from(head.predict(row).is_unknown()));
            sums[kind][1] += 1.0;
        };
        for i in 0..fresh.len() {
            fresh.row_f32(i, &mut row);
            count(usize::from(fresh.labels[i] as usize >= recipe.classes), &row);
            row.iter_mut().for_each(|value| *value = size * normal(&mut random));
            count(2, &row);
        }
    }
    sums.map(|[part, all]| part / all)
}

#[test]
fn false_rejects_of_new_bursts_are_few_where_bursts_are_few_and_unlike() {
    let few = Recipe { width: 192, classes: 4, bursts: 4, per_burst: 6, spread: [0.5, 0.5, 0.1], seed: 0 };
    for (bursts, rounds, allowed) in [(2, 20, 0.0..=0.1), (4, 20, 0.0..=0.1), (40, 20, 0.02..=0.08)] {
        let [known, untaught, noise] = rejected(Recipe { bursts, ..few }, rounds);
        println!(
            "{bursts} bursts a class: known rejected {known:.3}, untaught class {untaught:.3}, noise {noise:.3}"
        );
        assert!(allowed.contains(&known), "{bursts}: {known}");
        assert!(untaught > 0.6 && noise > 0.9, "{bursts}: {untaught} {noise}");
    }
}

#[test]
fn the_threshold_counts_bursts_and_not_frames() {
    // One frame a burst: the plain conformal quantile, the ⌈(n + 1)(1 − rate)⌉-th smallest.
    for (groups, rate) in [(19, 0.05), (20, 0.05), (99, 0.05), (100, 0.2), (40, 0.1)] {
        let mut values: Vec<(f64, f64)> = (1..=groups).rev().map(|value| (f64::from(value), 1.0)).collect();
        let wanted = (f64::from(groups + 1) * (1.0 - rate) - 1e-9).ceil();
        assert_eq!(fit::quantiles(&mut values, groups as usize, rate).1, wanted, "{groups} {rate}");
    }
    // Copies of a frame change nothing.
    let copies = |many: usize| -> Vec<(f64, f64)> {
        let of = |group: usize| if group == 38 { many } else { 1 + group % 3 };
        (0..40).flat_map(|group| vec![(group as f64, 1.0 / of(group) as f64); of(group)]).collect()
    };
    assert_eq!(fit::quantiles(&mut copies(1), 40, 0.05), fit::quantiles(&mut copies(1000), 40, 0.05));
    // Too few bursts for the rate: further out than any of them, the further the fewer.
    let beyond = |groups: usize| {
        let mut values: Vec<(f64, f64)> = (0..groups).map(|at| (at as f64 / groups as f64, 1.0)).collect();
        fit::quantiles(&mut values, groups, 0.05).1
    };
    assert!(beyond(16) > 1.0 && beyond(8) > beyond(16));
}

#[test]
fn no_sample_is_judged_by_its_own_burst() {
    let recipe = Recipe { width: 5, classes: 3, bursts: 3, per_burst: 4, spread: [1.0, 0.5, 0.5], seed: 1 };
    let mut snapshot = clusters(Recipe { classes: 4, ..recipe });
    // A class of one sample: without its burst nothing is known of it.
    let keep: Vec<usize> = (0..snapshot.len()).filter(|&i| snapshot.labels[i] < 3 || i % 12 == 0).collect();
    snapshot.labels = keep.iter().map(|&i| snapshot.labels[i]).collect();
    snapshot.bursts = keep.iter().map(|&i| snapshot.bursts[i]).collect();
    snapshot.embeddings = keep.iter().flat_map(|&i| snapshot.embeddings[5 * i..5 * i + 5].to_vec()).collect();
    let problem = Problem::new(&snapshot, 5, 0, &mut || Ok(())).unwrap();
    let mut lent = stored().0;
    let mut random = fastrand::Rng::with_seed(1);
    let scores: Vec<f32> = problem
        .labels
        .iter()
        .flat_map(|&label| (0..4).map(|at| f32::from(u8::from(at == label))).collect::<Vec<f32>>())
        .map(|score| score + 0.1 * normal(&mut random))
        .collect();
    let plain = fit::relative_apart(&problem, &scores, &mut lent, &mut || Ok(())).unwrap();
    for (i, value) in plain.iter().enumerate() {
        assert_eq!(value.is_none(), problem.labels[i] == 3);
    }
    // Only frames of the burst itself move: its own spread must not grow along.
    let group = problem.groups.iter().find(|group| problem.labels[group.start] == 0).unwrap().clone();
    let far = |much: f32| {
        let mut moved = scores.clone();
        moved[4 * group.start..4 * group.end].iter_mut().step_by(4).for_each(|score| *score -= much);
        fit::relative_apart(&problem, &moved, &mut lent.clone(), &mut || Ok(())).unwrap()[group.start]
            .unwrap()
    };
    assert!(far(100.0) > 50.0 * far(10.0), "{} {}", far(100.0), far(10.0));
    for folds in [2, 3, 7] {
        let fold = fit::deal(&problem, folds);
        assert!(problem.groups.iter().all(|group| group.clone().all(|i| fold[i] == fold[group.start])));
        for class in 0..3 {
            let mut own = (0..problem.len()).filter(|&i| problem.labels[i] == class).map(|i| fold[i]);
            let first = own.next();
            assert!(own.any(|other| Some(other) != first), "class {class} whole in one of {folds}");
        }
    }
}

type Tensor = (String, Vec<usize>, Vec<f32>);

fn stored() -> (Reject, Vec<Tensor>) {
    let recipe = Recipe { width: 6, classes: 3, bursts: 5, per_burst: 2, spread: [1.0, 0.5, 0.5], seed: 1 };
    let reject = round(&clusters(recipe), &Options::default()).unwrap().head.reject.unwrap();
    let tensors =
        reject.tensors().into_iter().map(|(name, shape, values)| (name.to_owned(), shape, values)).collect();
    (reject, tensors)
}

#[test]
fn distances_behind_the_threshold_leave_the_own_burst_out() {
    let recipe = Recipe { width: 5, classes: 3, bursts: 3, per_burst: 4, spread: [1.0, 0.5, 0.5], seed: 1 };
    let snapshot = clusters(recipe);
    let problem = Problem::new(&snapshot, 5, 0, &mut || Ok(())).unwrap();
    let mut rows = vec![0.0f32; problem.len() * 5];
    problem.rows(0..problem.len(), &mut rows);
    let found = fit::nearest_means(&problem, &mut || Ok(())).unwrap();
    for group in &problem.groups {
        for i in group.clone() {
            let distance = |class: usize| {
                let others: Vec<usize> = (0..problem.len())
                    .filter(|j| !group.contains(j) && problem.labels[*j] == class)
                    .collect();
                let square = (0..5).map(|at| {
                    let mean = others.iter().map(|j| rows[j * 5 + at]).sum::<f32>() / others.len() as f32;
                    f64::from(rows[i * 5 + at] - mean).powi(2)
                });
                square.sum::<f64>().sqrt()
            };
            let wanted = (0..3).map(distance).fold(f64::INFINITY, f64::min);
            assert!((found[i] - wanted).abs() < 1e-3, "{} {wanted}", found[i]);
        }
    }
}

#[test]
fn tensors_come_back_as_they_went() {
    let (reject, tensors) = stored();
    assert_eq!(Reject::from_tensors(&tensors, 6, 3).unwrap(), reject);
    assert!(Reject::from_tensors(&tensors, 7, 3).is_err());
    assert!(Reject::from_tensors(&tensors, 6, 2).is_err());
}

#[test]
fn spoilt_tensors_are_refused() {
    let (_, tensors) = stored();
    for at in 0..tensors.len() {
        let spoil = |change: &dyn Fn(&mut Tensor)| {
            let mut spoilt = tensors.clone();
            change(&mut spoilt[at]);
            Reject::from_tensors(&spoilt, 6, 3).unwrap_err()
        };
        spoil(&|tensor| tensor.0.push('x'));
        spoil(&|tensor| tensor.2[0] = f32::NAN);
        spoil(&|tensor| drop(tensor.2.split_off(1)));
        spoil(&|tensor| tensor.1[0] = usize::MAX);
    }
}

#[test]
fn too_few_samples_give_no_unknown_score() {
    let recipe = Recipe { width: 6, classes: 3, bursts: 2, per_burst: 2, spread: [1.0, 0.5, 0.5], seed: 1 };
    assert_eq!(round(&clusters(recipe), &Options::default()).unwrap().head.reject, None);
}

#[test]
fn what_is_stored_stays_small() {
    let recipe =
        Recipe { width: 1280, classes: 10, bursts: 3, per_burst: 1, spread: [1.0, 0.5, 0.5], seed: 1 };
    let options = Options { choice: Choice::Only(Method::Ridge), ..Options::default() };
    let reject = round(&clusters(recipe), &options).unwrap().head.reject.unwrap();
    let bytes: usize = reject.tensors().iter().map(|(_, _, values)| 4 * values.len()).sum();
    assert!(bytes < 60_000, "{bytes}");
}
