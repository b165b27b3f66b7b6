//! However the spread of the embeddings falls off, and whatever number of samples there is, a round gives finite numbers
//! and learns what can be learned.

use half::f16;
use proptest::prelude::*;

use super::robustness::sound;
use super::{features, normal, round};
use crate::{Choice, Options, Round, Snapshot, evaluate};

const CLASSES: u32 = 4;
/// Frames of a burst.
const FRAMES: usize = 6;

/// How embeddings spread about their class.
#[derive(Clone, Copy, Debug)]
enum Spread {
    /// Axes whose lengths fall by this power of ten to the last.
    Falling(i32),
    /// The same, mixed until no number is an axis, about a centre: as a fixed camera sees a scene.
    Mixed(i32),
    /// Along so many axes only.
    Deficient(usize),
    /// Two numbers of three are always zero.
    Dead,
    /// One number is thousands of times larger than the others.
    Huge,
    /// One sample is.
    Outlier,
    /// Each sample comes eight times.
    Duplicates,
    /// All samples of a class are the same.
    Constant,
}

const SPREADS: [Spread; 12] = [
    Spread::Falling(0),
    Spread::Falling(-3),
    Spread::Falling(-8),
    Spread::Mixed(-2),
    Spread::Mixed(-4),
    Spread::Mixed(-12),
    Spread::Deficient(5),
    Spread::Dead,
    Spread::Huge,
    Spread::Outlier,
    Spread::Duplicates,
    Spread::Constant,
];

/// Classes apart by several of their longest spreads, so that any head with sense tells them.
fn separable(spread: Spread, n: usize, width: usize, seed: u64) -> Snapshot {
    let mut random = fastrand::Rng::with_seed(seed);
    let lengths: Vec<f32> = (0..width)
        .map(|at| match spread {
            Spread::Falling(power) | Spread::Mixed(power) => {
                10f32.powf(power as f32 * at as f32 / width as f32)
            }
            Spread::Deficient(rank) => f32::from(u8::from(at < rank)),
            Spread::Constant => 0.0,
            _ => 1.0,
        })
        .collect();
    let mirrors: Vec<Vec<f32>> = (0..3).map(|_| (0..width).map(|_| normal(&mut random)).collect()).collect();
    let mut snapshot = Snapshot::new(width, CLASSES as usize);
    let mut last = vec![0.0; width];
    for at in 0..n {
        let burst = at / FRAMES;
        let class = burst as u32 % CLASSES;
        let mut row: Vec<f32> = lengths.iter().map(|length| length * normal(&mut random)).collect();
        row[class as usize % width] += 2.0 * (width as f32).sqrt().min(12.0);
        match spread {
            Spread::Mixed(_) => {
                // Reflections keep all lengths and angles.
                for mirror in &mirrors {
                    let dot = |a: &[f32], b: &[f32]| a.iter().zip(b).map(|(a, b)| a * b).sum::<f32>();
                    let along = 2.0 * dot(&row, mirror) / dot(mirror, mirror);
                    row.iter_mut().zip(mirror).for_each(|(value, mirror)| *value -= along * mirror);
                }
                row.iter_mut().for_each(|value| *value += 3.0);
            }
            Spread::Dead => {
                row.iter_mut()
                    .enumerate()
                    .for_each(|(at, v)| *v *= f32::from(u8::from(at < 4 || at % 3 == 0)));
            }
            Spread::Huge => row[width - 1] *= 3000.0,
            Spread::Outlier if at == n / 2 => row.iter_mut().for_each(|value| *value *= 100.0),
            Spread::Duplicates if at % FRAMES > 0 => row.clone_from(&last),
            _ => {}
        }
        last.clone_from(&row);
        snapshot.push(&row, class, burst as u64).unwrap();
    }
    snapshot
}

/// A round of all methods: none of them fell out or had to be done in another way, and the head knows its samples.
fn learned(snapshot: &Snapshot) -> Round {
    let found = round(snapshot, &Options { bootstrap: 20, ..Options::default() }).unwrap();
    sound(&found, snapshot);
    assert_eq!(found.notes, []);
    assert!(found.candidates.len() >= 3);
    found
}

fn check(spread: Spread, n: usize, width: usize) {
    let snapshot = separable(spread, n, width, 1);
    let found = learned(&snapshot);
    let own = evaluate(&found.head, &snapshot).accuracy.value;
    let held_out = found.report.accuracy.value;
    assert!(own >= 0.98, "{spread:?} {n} x {width}: {own} of the samples it was trained on");
    assert!(held_out >= 0.9, "{spread:?} {n} x {width}: {held_out} held out");
}

#[test]
fn the_513th_sample_changes_nothing() {
    for spread in SPREADS {
        for n in [512, 513] {
            check(spread, n, 448);
        }
    }
}

/// Where a round goes over to another method: fewer samples than half the width, than the width, directions up to half of
/// the width, more directions, every second sample for them.
#[test]
fn every_other_switch_of_method_changes_nothing() {
    let switches =
        [(32, 64), (33, 64), (64, 64), (65, 64), (513, 415), (513, 416), (831, 416), (832, 416), (1041, 432)];
    for spread in [Spread::Falling(0), Spread::Mixed(-4), Spread::Huge, Spread::Constant] {
        for (n, width) in switches {
            check(spread, n, width);
        }
    }
}

proptest! {
    // Emulated processors are fifty times slower.
    #![proptest_config(ProptestConfig::with_cases(if cfg!(target_arch = "x86_64") { 12 } else { 2 }))]
    #[test]
    fn any_spread_is_learned_at_any_number_of_samples(
        spread in prop_oneof![
            3 => prop::sample::select(&SPREADS[..]),
            1 => (-14i32..0).prop_map(Spread::Falling),
            1 => (-14i32..0).prop_map(Spread::Mixed),
            1 => (1usize..300).prop_map(Spread::Deficient),
        ],
        n in 505usize..525, width in prop::sample::select(vec![128usize, 416, 512, 576, 1280]),
    ) {
        check(spread, n, width);
    }
}

#[test]
fn samples_that_are_all_the_same_give_a_finite_head() {
    for n in [510, 513] {
        let mut snapshot = separable(Spread::Constant, n, 448, 1);
        for value in [0.0f32, 1.0, 65504.0] {
            snapshot.embeddings.fill(f16::from_f32(value));
            learned(&snapshot);
            // But for one number of one sample.
            snapshot.embeddings[9] = f16::from_f32(2.0);
            learned(&snapshot);
        }
    }
}

/// The embeddings that ended learning: 535 frames of a fixed camera.
#[test]
fn frames_of_a_fixed_camera_are_learned_beyond_512() {
    let Some(arrays) = features::read_shared("inputs/embeddings/collapse_535x512.npz") else {
        return;
    };
    let (shape, values) = arrays["X"].f32();
    let (labels, width) = (arrays["y"].i64(), shape[1]);
    let classes = labels.iter().max().map_or(0, |last| *last as usize + 1);
    let of = |n: usize| {
        // The file has them class by class.
        let bursts: Vec<u64> = (0..n as u64).map(|at| at / 5).collect();
        features::snapshot(&values[..n * width], width, &labels[..n], &bursts, classes)
    };
    for n in [512, 513, 535] {
        let snapshot = of(n);
        let found = learned(&snapshot);
        let own = evaluate(&found.head, &snapshot).accuracy.value;
        println!("{n}: {} held out, {own} of its own", found.report.accuracy.value);
        assert!(own >= 0.98, "{n}: {own}");
        let ridge = Options { choice: Choice::Only(crate::Method::Ridge), ..Options::default() };
        sound(&round(&snapshot, &ridge).unwrap(), &snapshot);
    }
}
