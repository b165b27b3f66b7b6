//! What adaptation may cost the board: heat, flash, and the pace of predictions.

use std::time::Duration;

/// A limit that does not chatter: reached at one value, over only at a lower one.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Band {
    /// From here on it holds.
    pub hold: f64,
    /// From here down it lets go; below `hold`.
    pub release: f64,
}

impl Band {
    /// Whether it holds now, given whether it did. A value that is no number changes nothing.
    pub fn holds(self, held: bool, value: f64) -> bool {
        if held { value > self.release || value.is_nan() } else { value >= self.hold }
    }
}

/// The limits that people set.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct BudgetPolicy {
    /// Degrees Celsius.
    pub heat: Band,
    /// Bytes written a day besides samples.
    pub write_per_day: u64,
    /// How many times longer a prediction may take while a round runs.
    pub slowdown: f64,
}

/// Bytes written lately, as a bucket that leaks one day's allowance a day.
#[derive(Clone, Copy, Debug, Default)]
pub struct Writes {
    level: f64,
    at: Duration,
}

impl Writes {
    /// Adds bytes; gives the part of a day's allowance that is used up, 1 being all of it.
    pub fn add(&mut self, now: Duration, bytes: u64, per_day: u64) -> f64 {
        let per_day = per_day.max(1) as f64;
        let leaked = per_day * now.saturating_sub(self.at).as_secs_f64() / 86_400.0;
        self.at = now;
        self.level = (self.level - leaked).max(0.0) + bytes as f64;
        self.level / per_day
    }
}

/// The share of its time that a round may work, in percent, so that predictions keep their pace.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Share(u32);

impl Default for Share {
    fn default() -> Self {
        Self(100)
    }
}

impl Share {
    /// A round never gets less: it has to end some day.
    const LEAST: u32 = 10;

    /// The share of this many percent.
    pub fn percent(percent: u32) -> Self {
        Self(percent.clamp(Self::LEAST, 100))
    }

    /// 10 to 100.
    pub fn get(self) -> u32 {
        self.0
    }

    /// Half of it when predictions take `slowdown` times as long as without a round, twice as much when they
    /// are back in the lower half of that margin.
    #[must_use]
    pub fn judged(self, without_ms: f64, with_ms: f64, slowdown: f64) -> Self {
        let ratio = with_ms / without_ms;
        if ratio > slowdown {
            Self::percent(self.0 / 2)
        } else if ratio < 1.0 + (slowdown - 1.0) / 2.0 {
            Self::percent(self.0 * 2)
        } else {
            self
        }
    }

    /// How long to rest after working for so long; at most a second.
    pub fn rest(self, worked: Duration) -> Duration {
        worked.mul_f64(f64::from(100 - self.0) / f64::from(self.0)).min(Duration::from_secs(1))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn heat_holds_at_one_temperature_and_lets_go_at_a_lower_one() {
        let band = Band { hold: 80.0, release: 72.0 };
        let mut held = false;
        let said: Vec<bool> = [70.0, 79.9, 80.0, 75.0, 72.1, f64::NAN, 72.0, 79.0, 81.0]
            .map(|celsius| {
                held = band.holds(held, celsius);
                held
            })
            .to_vec();
        assert_eq!(said, [false, false, true, true, true, true, false, false, true]);
        assert!(!band.holds(false, f64::NAN));
    }

    #[test]
    fn a_day_of_even_writing_at_the_allowance_just_passes() {
        let (mut writes, day) = (Writes::default(), 86_400u64);
        let mut used = 0.0f64;
        for minute in 1..=2 * 1440u64 {
            used = used.max(writes.add(Duration::from_secs(60 * minute), 100_000_000 / 1440, 100_000_000));
        }
        assert!(used < 0.01, "{used}");
        // A burst of a day's worth fills it, and half a day empties it by half.
        let full = writes.add(Duration::from_secs(2 * day + 1), 100_000_000, 100_000_000);
        assert!((full - 1.0).abs() < 0.01, "{full}");
        let half = writes.add(Duration::from_secs(2 * day + 1 + day / 2), 0, 100_000_000);
        assert!((half - 0.5).abs() < 0.01, "{half}");
    }

    #[test]
    fn a_round_slows_down_for_predictions_and_speeds_up_again() {
        let share = Share::default();
        assert_eq!(share.rest(Duration::from_millis(80)), Duration::ZERO);
        let share = share.judged(10.0, 15.1, 1.5);
        assert_eq!(share.get(), 50);
        assert_eq!(share.rest(Duration::from_millis(80)), Duration::from_millis(80));
        let share = share.judged(10.0, 13.0, 1.5);
        assert_eq!(share.get(), 50, "between the two marks nothing changes");
        assert_eq!(share.judged(10.0, 12.0, 1.5).get(), 100);
    }

    proptest! {
        #[test]
        fn a_round_always_gets_some_time(times in proptest::collection::vec((any::<f64>(), any::<f64>()), 0..50),
            slowdown in 1.0f64..10.0) {
            let mut share = Share::default();
            for (without, with) in times {
                share = share.judged(without, with, slowdown);
                prop_assert!((Share::LEAST..=100).contains(&share.get()));
                prop_assert!(share.rest(Duration::from_secs(3600)) <= Duration::from_secs(1));
            }
        }
    }
}
