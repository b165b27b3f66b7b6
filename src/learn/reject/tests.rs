use super::super::tests::{Recipe, clusters, features, normal, round};
use super::*;
use crate::learn::problem::Problem;
use crate::learn::{Choice, Method, Options, Snapshot};

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

/// Frames called unknown by a round on few bursts with a strong shift of their own: of new bursts of the classes
/// taught, of a class never taught, of noise three times as large as any embedding.
fn few_bursts(recipe: Recipe, rank: usize) -> [f64; 3] {
    let mut found = [0.0; 3];
    let shifted = |recipe: Recipe| {
        let plain = clusters(Recipe { spread: [recipe.spread[0], 0.0, recipe.spread[2]], ..recipe });
        let mut directions = fastrand::Rng::with_seed(7);
        let directions: Vec<f32> = (0..rank * recipe.width).map(|_| normal(&mut directions)).collect();
        let mut random = fastrand::Rng::with_seed(recipe.seed ^ 0xb0);
        let mut out = Snapshot::new(recipe.width, recipe.classes);
        let (mut row, mut offset, mut last) = (vec![0.0; recipe.width], vec![0.0f32; recipe.width], None);
        for i in 0..plain.len() {
            if last != Some(plain.bursts[i]) {
                last = Some(plain.bursts[i]);
                offset.fill(0.0);
                for direction in directions.chunks_exact(recipe.width) {
                    let much = recipe.spread[1] / (rank as f32).sqrt() * normal(&mut random);
                    offset.iter_mut().zip(direction).for_each(|(o, d)| *o += much * d);
                }
            }
            plain.row_f32(i, &mut row);
            row.iter_mut().zip(&offset).for_each(|(v, o)| *v += o);
            out.push(&row, plain.labels[i], plain.bursts[i]).unwrap();
        }
        out
    };
    let made = |recipe| if rank == 0 { clusters(recipe) } else { shifted(recipe) };
    let seeds = 24;
    for seed in 0..seeds {
        let train = made(Recipe { seed: 2 * seed, ..recipe });
        let head = round(&train, &Options { bootstrap: 0, ..Options::default() }).unwrap().head;
        let mut random = fastrand::Rng::with_seed(seed);
        let fresh = made(Recipe { seed: 2 * seed + 1, classes: recipe.classes + 2, bursts: 20, ..recipe });
        let mut row = vec![0.0; recipe.width];
        let mut seen = [[0.0f64; 2]; 3];
        let size = (recipe.spread.iter().map(|s| s * s).sum::<f32>()).sqrt();
        for i in 0..fresh.len() {
            fresh.row_f32(i, &mut row);
            let kind = usize::from(fresh.labels[i] as usize >= recipe.classes);
            seen[kind][0] += f64::from(u8::from(head.predict(&row).is_unknown()));
            seen[kind][1] += 1.0;
            row.iter_mut().for_each(|value| *value = 3.0 * size * normal(&mut random));
            seen[2][0] += f64::from(u8::from(head.predict(&row).is_unknown()));
            seen[2][1] += 1.0;
        }
        found.iter_mut().zip(seen).for_each(|(sum, [part, all])| *sum += part / all / seeds as f64);
    }
    found
}

#[test]
#[ignore]
fn explore() {
    for rank in [0, 4] {
    for (bursts, per_burst) in [(2, 6), (3, 6), (4, 6), (6, 6), (15, 6), (40, 6)] {
        for spread in [[0.4, 0.8, 0.1], [0.5, 0.5, 0.1], [1.0, 0.3, 0.1]] {
            let recipe = Recipe { width: 192, classes: 4, bursts, per_burst, spread, seed: 0 };
            let [known, other, noise] = few_bursts(recipe, rank);
            println!("rank {rank} {bursts:>2}x{per_burst:<2} {spread:?}: known {known:.3} untaught {other:.3} noise {noise:.3}");
        }
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
    let problem = Problem::new(&snapshot, 5, 0).unwrap();
    let mut rows = vec![0.0f32; problem.len() * 5];
    problem.rows(0..problem.len(), &mut rows);
    let found = fit::nearest_means(&problem);
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
