//! Hostile and odd snapshots: an error or a finite head, never a panic.

use std::ops::ControlFlow;

use half::f16;
use proptest::prelude::*;

use super::{Recipe, clusters, round};
use crate::{Alone, Choice, LearnError, Method, Options, Round, Snapshot, evaluate, train};

fn quick() -> Options {
    Options { bootstrap: 20, ..Options::default() }
}

/// Every number of a round is one, and its head can be used.
pub(super) fn sound(round: &Round, snapshot: &Snapshot) {
    round.head.check().unwrap();
    assert_eq!(round.held_out.len(), snapshot.len());
    for held_out in &round.held_out {
        assert!((held_out.predicted as usize) < snapshot.classes);
        assert!((0.0..=1.0 + 1e-6).contains(&held_out.confidence), "{held_out:?}");
        assert!(!held_out.margin.is_nan());
    }
    let counts = snapshot.class_samples();
    let mut row = vec![0.0; snapshot.width];
    for i in 0..snapshot.len().min(20) {
        snapshot.row_f32(i, &mut row);
        let said = round.head.predict(&row);
        assert!(said.probabilities.iter().all(|p| p.is_finite()) && said.unknown.is_finite(), "{said:?}");
        assert!(counts[said.class] > 0, "class {} has no samples and was predicted", said.class);
    }
    for candidate in &round.candidates {
        let report = &candidate.report;
        for estimate in [report.accuracy, report.balanced_accuracy] {
            assert!(estimate.low <= estimate.value && estimate.value <= estimate.high, "{estimate:?}");
            assert!((0.0..=1.0).contains(&estimate.low) && (0.0..=1.0).contains(&estimate.high));
        }
        assert!(report.ece.is_finite());
    }
}

fn number() -> impl Strategy<Value = f32> {
    prop_oneof![
        4 => -2.0f32..2.0,
        1 => Just(0.0f32),
        1 => prop::sample::select(vec![65504.0f32, -65504.0, 6e-8, -6e-8, 1.0]),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]
    #[test]
    fn any_snapshot_gives_a_sound_round_or_an_error(
        width in 1usize..9, classes in 1usize..7,
        samples in prop::collection::vec((0u32..7, 0u64..6, prop::collection::vec(number(), 8)), 0..24),
        constant in any::<bool>(), folds in 0usize..9,
    ) {
        let mut snapshot = Snapshot::new(width, classes);
        for (label, burst, values) in &samples {
            let row: Vec<f32> =
                values[..width].iter().enumerate().map(|(at, v)| if constant && at == 0 { 7.0 } else { *v }).collect();
            snapshot.push(&row, label % classes as u32, *burst).unwrap();
        }
        let known = snapshot.class_samples().into_iter().filter(|&count| count > 0).count();
        match round(&snapshot, &Options { folds, ..quick() }) {
            Ok(round) => {
                prop_assert!(known >= 2);
                sound(&round, &snapshot);
            }
            Err(error) => prop_assert!(matches!(error, LearnError::NotEnough { .. }) && known < 2, "{error}"),
        }
    }
}

#[test]
fn extremes_train_without_a_fault() {
    let mut all = vec![
        // Many classes, one sample each, classes without samples between them.
        clusters(Recipe {
            width: 12,
            classes: 200,
            bursts: 1,
            per_burst: 1,
            spread: [1.0, 0.1, 0.1],
            seed: 1,
        }),
        // One dimension.
        clusters(Recipe { width: 1, classes: 2, bursts: 3, per_burst: 2, spread: [3.0, 0.1, 0.1], seed: 1 }),
        // Wide, two samples.
        clusters(Recipe {
            width: 900,
            classes: 2,
            bursts: 1,
            per_burst: 1,
            spread: [1.0, 0.1, 0.1],
            seed: 1,
        }),
        // All embeddings the same, and all zero.
        clusters(Recipe { width: 5, classes: 3, bursts: 2, per_burst: 2, spread: [0.0; 3], seed: 1 }),
        // One long burst a class, more samples than dimensions.
        clusters(Recipe {
            width: 4,
            classes: 2,
            bursts: 1,
            per_burst: 300,
            spread: [0.5, 0.1, 0.5],
            seed: 1,
        }),
    ];
    let mut same = all[3].clone();
    same.embeddings.fill(f16::from_f32(3.0));
    all.push(same);
    let mut huge =
        clusters(Recipe { width: 40, classes: 2, bursts: 5, per_burst: 2, spread: [1.0; 3], seed: 2 });
    huge.embeddings.iter_mut().for_each(|v| *v = if v.to_f32() > 0.0 { f16::MAX } else { f16::MIN });
    all.push(huge);
    for snapshot in &all {
        for choice in Method::ALL.map(Choice::Only).into_iter().chain([Choice::Auto]) {
            sound(&round(snapshot, &Options { choice, ..quick() }).unwrap(), snapshot);
        }
    }
}

#[test]
fn classes_without_samples_are_never_predicted() {
    let mut snapshot =
        clusters(Recipe { width: 8, classes: 3, bursts: 4, per_burst: 3, spread: [1.0, 0.3, 0.3], seed: 1 });
    snapshot.classes = 6;
    snapshot.labels.iter_mut().for_each(|label| *label *= 2);
    let round = round(&snapshot, &quick()).unwrap();
    sound(&round, &snapshot);
    assert_eq!(round.head.classes, 6);
    assert_eq!(round.report.recall[1], None);
    assert!(round.head.predict(&[1e4; 8]).class.is_multiple_of(2));
    assert!(round.head.predict(&[-1e4; 8]).probabilities[1] < 1e-6);
}

#[test]
fn broken_snapshots_are_refused_with_what_to_do() {
    let good = clusters(Recipe { width: 4, classes: 2, bursts: 2, per_burst: 2, spread: [1.0; 3], seed: 1 });
    let spoilt = |spoil: &dyn Fn(&mut Snapshot)| {
        let mut snapshot = good.clone();
        spoil(&mut snapshot);
        round(&snapshot, &quick()).unwrap_err()
    };
    assert_eq!(spoilt(&|s| s.embeddings[9] = f16::NAN), LearnError::NonFinite { row: 2 });
    assert_eq!(spoilt(&|s| s.embeddings[3] = f16::INFINITY), LearnError::NonFinite { row: 0 });
    assert!(matches!(spoilt(&|s| s.labels[1] = 2), LearnError::Shape { .. }));
    assert!(matches!(spoilt(&|s| s.width = 5), LearnError::Shape { .. }));
    assert!(matches!(spoilt(&|s| s.width = 0), LearnError::Shape { .. }));
    assert!(matches!(spoilt(&|s| s.width = usize::MAX), LearnError::Shape { .. }));
    assert!(matches!(spoilt(&|s| s.bursts.truncate(3)), LearnError::Shape { .. }));
    let one = spoilt(&|s| s.labels.fill(1));
    assert_eq!(one, LearnError::NotEnough { samples: 8, classes: 1 });
    assert!(one.to_string().contains("capture a burst of another class"), "{one}");
}

#[test]
fn a_round_can_be_cancelled_at_every_step() {
    let snapshot =
        clusters(Recipe { width: 16, classes: 3, bursts: 4, per_burst: 3, spread: [1.0, 0.5, 0.5], seed: 1 });
    let mut steps = 0;
    train(&snapshot, &quick(), &Alone, &mut |_| {
        steps += 1;
        ControlFlow::Continue(())
    })
    .unwrap();
    assert!(steps > 20, "{steps} chances to stop");
    for stop in 0..steps {
        let mut left = stop;
        let end = train(&snapshot, &quick(), &Alone, &mut |progress| {
            assert!(progress.done <= progress.total);
            left -= 1;
            if left < 0 { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        });
        assert_eq!(end.unwrap_err(), LearnError::Cancelled);
    }
}

#[test]
fn two_rounds_agree_bit_for_bit() {
    for (width, per_burst) in [(200, 2), (20, 12)] {
        let recipe = Recipe { width, classes: 4, bursts: 5, per_burst, spread: [1.0, 0.7, 0.3], seed: 1 };
        let snapshot = clusters(recipe);
        let first = round(&snapshot, &Options::default()).unwrap();
        let second = std::thread::scope(|scope| {
            scope.spawn(|| round(&snapshot, &Options::default()).unwrap()).join().unwrap()
        });
        let bits = |round: &Round| -> Vec<u32> {
            round.head.weight.iter().chain(&round.head.bias).map(|value| value.to_bits()).collect()
        };
        assert_eq!(bits(&first), bits(&second));
        assert_eq!(first, second);
        assert_eq!(evaluate(&first.head, &snapshot), evaluate(&second.head, &snapshot));
    }
}
