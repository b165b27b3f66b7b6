//! Drift verdicts where the truth is known (`cargo test drifting -- --nocapture`): how often each is given.

use proptest::prelude::*;

use super::{Recipe, clusters, features, normal, round};
use crate::{Burst, Drift, Head, Options, Reference, Snapshot, Tally};

/// The bursts of a snapshot as a head sees them.
fn seen(head: &Head, snapshot: &Snapshot) -> Vec<Burst> {
    let mut tally = Tally::new(head.classes);
    let mut row = vec![0.0; snapshot.width];
    let mut out = Vec::new();
    for i in 0..snapshot.len() {
        snapshot.row_f32(i, &mut row);
        let said = head.predict(&row);
        tally.add(said.class as u32, said.confidence, said.unknown);
        if i + 1 == snapshot.len() || snapshot.bursts[i + 1] != snapshot.bursts[i] {
            out.extend(tally.take());
        }
    }
    out
}

fn taught(snapshot: &Snapshot) -> Head {
    round(snapshot, &Options { bootstrap: 0, ..Options::default() }).unwrap().head
}

fn usual(head: &Head) -> &Reference {
    head.reject.as_ref().unwrap().usual()
}

/// The samples that `keep` keeps, by class and burst.
fn select(snapshot: &Snapshot, keep: impl Fn(u32, u64) -> bool) -> Snapshot {
    let mut out = Snapshot::new(snapshot.width, snapshot.classes);
    let mut row = vec![0.0; snapshot.width];
    for i in (0..snapshot.len()).filter(|&i| keep(snapshot.labels[i], snapshot.bursts[i])) {
        snapshot.row_f32(i, &mut row);
        out.push(&row, snapshot.labels[i], snapshot.bursts[i]).unwrap();
    }
    out
}

/// The same samples with every embedding moved by one vector: what another background or light does.
fn moved(snapshot: &Snapshot, by: f32, seed: u64) -> Snapshot {
    let mut random = fastrand::Rng::with_seed(seed);
    let step: Vec<f32> = (0..snapshot.width).map(|_| by * normal(&mut random)).collect();
    let mut out = Snapshot::new(snapshot.width, snapshot.classes);
    let mut row = vec![0.0; snapshot.width];
    for i in 0..snapshot.len() {
        snapshot.row_f32(i, &mut row);
        row.iter_mut().zip(&step).for_each(|(value, step)| *value += step);
        out.push(&row, snapshot.labels[i], snapshot.bursts[i]).unwrap();
    }
    out
}

/// Of `windows` windows of 40 bursts drawn from `from`, how many were called the same, a new class, a new place.
fn verdicts(usual: &Reference, from: &[Burst], windows: usize) -> [usize; 3] {
    let mut random = fastrand::Rng::with_seed(1);
    let mut counts = [0; 3];
    for _ in 0..windows {
        let mut window = from.to_vec();
        random.shuffle(&mut window);
        window.truncate(40);
        counts[match usual.assess(&window).unwrap().drift {
            Drift::Same => 0,
            Drift::NewClass => 1,
            Drift::NewPlace => 2,
        }] += 1;
    }
    counts
}

#[test]
fn synthetic_scenes_get_the_verdict_that_is_true() {
    for bursts in [6, 12, 40] {
        let recipe = Recipe { width: 96, classes: 4, bursts, per_burst: 5, spread: [0.5, 0.4, 0.2], seed: 0 };
        let mut totals = [[0; 3]; 3];
        for seed in 0..20 {
            let head = taught(&clusters(Recipe { seed: 2 * seed, ..recipe }));
            let fresh = clusters(Recipe { seed: 2 * seed + 1, bursts: 40, classes: 6, ..recipe });
            let known = select(&fresh, |class, _| class < 4);
            let cases = [seen(&head, &known), seen(&head, &fresh), seen(&head, &moved(&known, 0.5, seed))];
            for (case, total) in cases.iter().zip(&mut totals) {
                let found = verdicts(usual(&head), case, 50);
                total.iter_mut().zip(found).for_each(|(total, found)| *total += found);
            }
        }
        let [same, class, place] = totals;
        println!(
            "{bursts} bursts a class, of 1000 windows called same, new class, new place: nothing new {same:?}, a third of two new classes {class:?}, moved {place:?}"
        );
        assert!(same[0] >= 990, "false verdicts");
        assert!(place[2] >= 950, "a moved scene is missed");
        assert!(class[2] <= 20, "a new class is no new place");
        assert!(bursts < 12 || class[1] >= 500, "a new class is missed");
    }
}

#[test]
fn digits_get_the_verdict_that_is_true() {
    let mut wrong = 0;
    for backbone in ["mobilenetv2_1.0_224_imagenet", "mcunet-5fps_imagenet"] {
        let Some((train, validation)) = features::pair(&format!("sign_digits__{backbone}.npz")) else {
            return;
        };
        for known in [2, 4, 6, 8] {
            let head = taught(&select(&train, |class, _| class < known));
            let old = seen(&head, &select(&validation, |class, _| class < known));
            let new = seen(&head, &select(&validation, |class, _| class >= known));
            let half: Vec<Burst> = old.iter().take(100).chain(new.iter().take(100)).copied().collect();
            let same = verdicts(usual(&head), &old, 200);
            let mixed = verdicts(usual(&head), &half, 200);
            println!(
                "{backbone}, {known} digits taught, of 200 windows same, new class, new place: those {same:?}, half others {mixed:?}, only others {:?}",
                verdicts(usual(&head), &new, 200),
            );
            wrong += same[1] + same[2];
            assert!(mixed[2] <= 10, "{mixed:?}");
        }
    }
    println!("false verdicts: {wrong} of 1600");
    assert!(wrong <= 16);
    for (here, there) in [("hymenoptera", "sign_digits"), ("sign_digits", "hymenoptera")] {
        let of = |set| features::pair(&format!("{set}__mobilenetv2_1.0_224_imagenet.npz"));
        let (Some((train, validation)), Some((other, _))) = (of(here), of(there)) else { return };
        let head = taught(&train);
        let same = verdicts(usual(&head), &seen(&head, &validation), 200);
        let place = verdicts(usual(&head), &seen(&head, &other), 200);
        println!("taught {here}: {same:?}, shown {there}: {place:?}");
        assert!(same[0] >= 198 && place[2] >= 198);
    }
}

/// A reference of one class with `n` bursts, evenly spread.
fn even(n: usize) -> Reference {
    let values: Vec<f32> = (0..n).map(|at| (at as f32 + 0.5) / n as f32).collect();
    Reference::from_lists(1, &[0], &[n], &values, &values).unwrap()
}

proptest! {
    #[test]
    fn a_window_of_the_usual_bursts_is_the_same_and_order_does_not_matter(
        ranks in prop::collection::vec(0.0f32..0.95, 8..40), seed in any::<u64>()
    ) {
        let mut window: Vec<Burst> =
            ranks.iter().map(|&rank| Burst { class: 0, confidence: rank, unknown: rank }).collect();
        let first = even(40).assess(&window).unwrap();
        fastrand::Rng::with_seed(seed).shuffle(&mut window);
        let second = even(40).assess(&window).unwrap();
        prop_assert!((first.p - second.p).abs() < 1e-12 && first.drift == second.drift);
        prop_assert!((0.0..=1.0).contains(&first.p) && (0.0..=1.0).contains(&first.as_ever));
    }

    #[test]
    fn less_typical_bursts_never_look_more_the_same(
        ranks in prop::collection::vec(0.0f32..1.0, 8..40), more in 0.0f32..3.0
    ) {
        let window = |by: f32| -> Vec<Burst> {
            ranks.iter().map(|&r| Burst { class: 0, confidence: r - by, unknown: r + by }).collect()
        };
        let (before, after) = (even(30).assess(&window(0.0)).unwrap(), even(30).assess(&window(more)).unwrap());
        prop_assert!(after.p <= before.p + 1e-12 && after.as_ever <= before.as_ever);
    }
}

#[test]
fn few_bursts_give_no_verdict_and_all_strange_ones_the_new_place() {
    let strange = [Burst { class: 0, confidence: 0.0, unknown: 4.0 }; 8];
    assert_eq!(even(30).assess(&strange[..7]), None);
    let found = even(30).assess(&strange).unwrap();
    assert_eq!((found.drift, found.unknown, found.class), (Drift::NewPlace, 8, Some(0)));
    assert!(found.as_ever < 1e-9 && found.p < 1e-3);
    // A class that the head never saw proves nothing by itself.
    assert_eq!(Reference::default().assess(&strange).unwrap().drift, Drift::Same);
}

#[test]
fn a_tally_is_the_majority_of_its_frames() {
    let mut tally = Tally::new(2);
    assert_eq!(tally.take(), None);
    for (class, confidence, unknown) in [(1, 0.75, 0.5), (0, 0.25, f32::MAX), (1, 0.25, 0.0), (7, 1.0, 9.0)] {
        tally.add(class, confidence, unknown);
    }
    let burst = tally.take().unwrap();
    assert_eq!((burst.class, burst.confidence), (1, 0.5));
    assert!((burst.unknown - 5.5 / 3.0).abs() < 1e-6, "{}", burst.unknown);
    assert_eq!(tally.take(), None);
}

/// The stream of a fixed camera: every second piece of a second is taught, the others are watched.
#[test]
fn the_bottle_stream_gets_the_verdict_that_is_true() {
    let (Some((first, second)), Some((digits, _))) =
        (features::bottle(), features::pair("sign_digits__mobilenetv2_1.0_224_imagenet.npz"))
    else {
        return;
    };
    // Pieces of three looks, a fifth of a second apart.
    let mut stream = first.clone();
    let mut row = vec![0.0; stream.width];
    for i in 0..second.len() {
        second.row_f32(i, &mut row);
        stream.push(&row, second.labels[i], second.bursts[i]).unwrap();
    }
    let mut piece = (0, 0);
    for i in 0..stream.len() {
        let new = i == 0 || piece.1 == 3 || stream.labels[i] != stream.labels[i - 1];
        piece = if new { (piece.0 + 1, 1) } else { (piece.0, piece.1 + 1) };
        stream.bursts[i] = piece.0;
    }
    let watched = select(&stream, |_, burst| burst % 2 == 1);
    let names = ["full", "hand", "missing"];
    for left_out in [None, Some(0), Some(1), Some(2)] {
        let head = taught(&select(&stream, |class, burst| burst % 2 == 0 && Some(class) != left_out));
        let found = usual(&head).assess(&seen(&head, &watched)).unwrap();
        println!("bottle without {:?}: {found:?}", left_out.map(|class| names[class as usize]));
        let elsewhere = usual(&head).assess(&seen(&head, &digits)[..40]).unwrap();
        println!("  then hand signs: {elsewhere:?}");
        assert_eq!(elsewhere.drift, Drift::NewPlace);
        // Forty seconds are too short to tell a class that was not taught; what was taught stays the same.
        assert!(left_out.is_some() || found.drift == Drift::Same);
        assert_ne!(found.drift, Drift::NewPlace);
    }
}
