//! How long to wait before the next attempt to connect.

use std::time::Duration;

use graft_control::backoff::Backoff;

const FIRST: Duration = Duration::from_millis(500);
/// A connection that lasted this long makes the waits short again.
const STABLE: Duration = Duration::from_secs(10);
/// After another client took our session, we leave it alone at least this long.
const TAKEN_OVER: Duration = Duration::from_secs(5);
/// Two clients with one id disconnect each other in turns: after a takeover only a connection of this length counts.
const STABLE_AFTER_TAKEOVER: Duration = Duration::from_secs(60);

/// The waits between connections: they double from half a second to the configured longest.
pub(super) struct ReconnectDelay {
    backoff: Backoff,
    taken_over: bool,
}

impl ReconnectDelay {
    pub fn new(longest: Duration) -> Self {
        Self { backoff: Backoff::new(FIRST, longest), taken_over: false }
    }

    /// Short waits for tests that break many connections.
    #[cfg(test)]
    pub fn short() -> Self {
        let backoff = Backoff::new(Duration::from_millis(20), Duration::from_millis(100));
        Self { backoff, taken_over: false }
    }

    /// The wait after a connection that was in use for `lasted` (`None`: it never was). `jitter` is in 0..1.
    pub fn after(&mut self, lasted: Option<Duration>, taken_over: bool, jitter: f64) -> Duration {
        let stable = if self.taken_over || taken_over { STABLE_AFTER_TAKEOVER } else { STABLE };
        if lasted.is_some_and(|lasted| lasted >= stable) {
            self.backoff.reset();
            self.taken_over = false;
        }
        self.taken_over |= taken_over;
        if taken_over {
            self.backoff.raise(TAKEN_OVER);
        }
        self.backoff.wait(jitter)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const S: fn(u64) -> Duration = Duration::from_secs;

    #[test]
    fn a_stable_connection_makes_waits_short_again_but_a_short_one_does_not() {
        let mut delay = ReconnectDelay::new(S(60));
        for _ in 0..10 {
            delay.after(Some(S(1)), false, 0.5);
        }
        assert_eq!(delay.after(Some(S(1)), false, 1.0), S(60));
        assert_eq!(delay.after(Some(S(10)), false, 1.0), FIRST);
    }

    #[test]
    fn takeovers_slow_down_until_a_connection_lasts() {
        let mut delay = ReconnectDelay::new(S(60));
        assert_eq!(delay.after(Some(S(3600)), true, 1.0), TAKEN_OVER);
        for _ in 0..8 {
            delay.after(Some(S(20)), true, 0.5);
        }
        assert_eq!(delay.after(Some(S(20)), true, 1.0), S(60));
        assert_eq!(delay.after(Some(S(20)), false, 1.0), S(60));
        assert_eq!(delay.after(Some(S(61)), false, 1.0), FIRST);
    }
}
