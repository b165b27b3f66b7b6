//! How long to wait before the next attempt to connect.

use std::time::Duration;

const FIRST: Duration = Duration::from_millis(500);
/// A connection that lasted this long was a good one.
const GOOD: Duration = Duration::from_secs(10);
/// After another client took our session, we leave it alone at least this long.
const TAKEN_OVER: Duration = Duration::from_secs(5);
/// Two clients with one id throw each other out in turns: only a long peace counts.
const PEACE: Duration = Duration::from_secs(60);

/// Exponential backoff with jitter, from half a second to the configured longest.
pub(super) struct Pause {
    first: Duration,
    next: Duration,
    longest: Duration,
    quarrel: bool,
}

impl Pause {
    pub fn new(longest: Duration) -> Self {
        Self { first: FIRST, next: FIRST, longest, quarrel: false }
    }

    /// Short pauses for tests that break many connections.
    #[cfg(test)]
    pub fn short() -> Self {
        let first = Duration::from_millis(20);
        Self { first, next: first, longest: Duration::from_millis(100), quarrel: false }
    }

    /// The pause after a connection that was in use for `lasted` (`None`: it never was).
    pub fn after(&mut self, lasted: Option<Duration>, taken_over: bool) -> Duration {
        let peace = if self.quarrel || taken_over { PEACE } else { GOOD };
        if lasted.is_some_and(|lasted| lasted >= peace) {
            self.next = self.first;
            self.quarrel = false;
        }
        self.quarrel |= taken_over;
        if taken_over {
            self.next = self.next.max(TAKEN_OVER);
        }
        let pause = self.next.min(self.longest);
        self.next = pause.saturating_mul(2).min(self.longest);
        // Boards that lost the broker together shall not come back together.
        pause.mul_f64(0.5 + 0.5 * fastrand::f64())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const S: fn(u64) -> Duration = Duration::from_secs;

    #[test]
    fn pauses_double_up_to_the_longest_and_are_spread() {
        let mut pause = Pause::new(S(8));
        for expected_ms in [500, 1000, 2000, 4000, 8000, 8000] {
            let found = pause.after(None, false).as_millis();
            assert!((expected_ms / 2..=expected_ms).contains(&found), "{found} of {expected_ms}");
        }
        let spread: std::collections::HashSet<_> = (0..8).map(|_| pause.after(None, false)).collect();
        assert!(spread.len() > 1);
    }

    #[test]
    fn a_good_connection_starts_again_small_but_a_short_one_does_not() {
        let mut pause = Pause::new(S(60));
        for _ in 0..10 {
            pause.after(Some(S(1)), false);
        }
        assert!(pause.after(Some(S(1)), false) >= S(30));
        assert!(pause.after(Some(S(10)), false) <= FIRST);
    }

    #[test]
    fn takeovers_slow_down_until_there_is_peace() {
        let mut pause = Pause::new(S(60));
        assert!(pause.after(Some(S(3600)), true) >= TAKEN_OVER / 2);
        for _ in 0..8 {
            pause.after(Some(S(20)), true);
        }
        assert!(pause.after(Some(S(20)), true) >= S(30));
        assert!(pause.after(Some(S(20)), false) >= S(30));
        assert!(pause.after(Some(S(61)), false) <= FIRST);
    }
}
