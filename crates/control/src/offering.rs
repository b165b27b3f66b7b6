//! What a board offers to a host, and when it does so by itself. PURE, like its parent.

use std::collections::{BTreeMap, BTreeSet};

/// Whether a board may offer a job by itself: so many samples now, so many at its last offer. It asks again only when half as
/// many have come on top: with few new samples a host would find what it found before.
pub fn worth_offering(samples: u64, last: Option<u64>) -> bool {
    last.is_none_or(|last| samples.saturating_mul(2) >= last.saturating_mul(3))
}

/// One sample as the split sees it: its burst and its class.
pub type Placed<'a> = (&'a str, &'a str);

/// Bursts whose number is below this are held out: one in four.
const HELD_OUT: u64 = u64::MAX / 4;

/// The bursts that the host may judge by but not train on: those whose `number` (see `store::burst_number`) is small, so that a
/// burst stays on its side for ever, and of each class at least the smallest one. A burst that is the last of a class to
/// train on is never held out.
pub fn held_out(samples: &[Placed<'_>], number: impl Fn(&str) -> u64) -> BTreeSet<String> {
    let mut of_class: BTreeMap<&str, BTreeSet<(u64, &str)>> = BTreeMap::new();
    for (burst, class) in samples {
        of_class.entry(class).or_default().insert((number(burst), burst));
    }
    let mut held: BTreeSet<&str> = BTreeSet::new();
    for bursts in of_class.values() {
        for (at, (number, burst)) in bursts.iter().enumerate() {
            let last = |of: &BTreeSet<(u64, &str)>| {
                of.iter().any(|(_, b)| b == burst) && of.iter().all(|(_, b)| b == burst || held.contains(b))
            };
            if (at == 0 || *number < HELD_OUT) && !of_class.values().any(last) {
                held.insert(burst);
            }
        }
    }
    held.into_iter().map(str::to_owned).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn an_offer_is_repeated_when_half_as_much_has_come() {
        for (samples, last, worth) in [
            (10, None, true),
            (100, Some(100), false),
            (149, Some(100), false),
            (150, Some(100), true),
            (5, Some(0), true),
        ] {
            assert_eq!(worth_offering(samples, last), worth, "{samples} {last:?}");
        }
    }

    #[test]
    fn some_bursts_are_held_out_and_never_the_last_one() {
        let samples: Vec<(String, String)> =
            (0..8).map(|n| (format!("b{n}"), "x".to_owned())).chain([("c0".into(), "y".into())]).collect();
        let placed: Vec<Placed> = samples.iter().map(|(b, c)| (b.as_str(), c.as_str())).collect();
        let number = |b: &str| if b == "b3" || b == "b5" { 7 } else { u64::MAX - 8 + b.len() as u64 };
        assert_eq!(held_out(&placed, number), BTreeSet::from(["b3".to_owned(), "b5".to_owned()]));
        let least = |b: &str| u64::MAX - b.bytes().map(u64::from).sum::<u64>();
        assert_eq!(held_out(&placed, least), BTreeSet::from(["b7".to_owned()]), "one at least");
    }

    proptest! {
        /// Every class that has two bursts keeps one to train on and one to judge by, unless another class shares them.
        #[test]
        fn every_class_keeps_something_to_train_on(samples in proptest::collection::vec((0u8..12, 0u8..4), 1..60)) {
            let named: Vec<(String, String)> =
                samples.iter().map(|(b, c)| (format!("b{b}"), format!("c{c}"))).collect();
            let placed: Vec<Placed> = named.iter().map(|(b, c)| (b.as_str(), c.as_str())).collect();
            let held = held_out(&placed, |b| b.bytes().map(|x| u64::from(x).wrapping_mul(2_654_435_761)).sum());
            for (_, class) in &placed {
                let left = placed.iter().filter(|(b, c)| c == class && !held.contains(*b)).count();
                prop_assert!(left > 0, "nothing of {} to train on", class);
            }
        }
    }
}
