//! Exponential backoff with jitter: the wait before the next attempt at something that failed.

use std::time::Duration;

/// Waits that double from the first to the longest.
#[derive(Clone, Debug)]
pub struct Backoff {
    first: Duration,
    next: Duration,
    longest: Duration,
}

impl Backoff {
    /// Begins with `first`; no wait is longer than `longest`.
    pub fn new(first: Duration, longest: Duration) -> Self {
        Self { first, next: first, longest }
    }

    /// Begins with the first wait again.
    pub fn reset(&mut self) {
        self.next = self.first;
    }

    /// Makes the next wait at least this long, before its jitter and within the longest.
    pub fn raise(&mut self, least: Duration) {
        self.next = self.next.max(least);
    }

    /// The next wait: between half of it (`jitter` 0) and all of it (`jitter` 1). A random `jitter` keeps boards that
    /// lost the same server together from coming back together.
    pub fn wait(&mut self, jitter: f64) -> Duration {
        let wait = self.next.min(self.longest);
        self.next = wait.saturating_mul(2).min(self.longest);
        wait.mul_f64(0.5 + 0.5 * jitter.clamp(0.0, 1.0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: fn(u64) -> Duration = Duration::from_millis;

    #[test]
    fn waits_double_up_to_the_longest() {
        let mut backoff = Backoff::new(MS(200), MS(1500));
        assert_eq!([1.0; 5].map(|jitter| backoff.wait(jitter)), [200, 400, 800, 1500, 1500].map(MS));
        backoff.reset();
        assert_eq!(backoff.wait(1.0), MS(200));
    }

    #[test]
    fn jitter_shortens_a_wait_by_up_to_half() {
        let mut backoff = Backoff::new(MS(1000), MS(1000));
        assert_eq!([0.0, 0.5, 1.0, -1.0, 2.0].map(|j| backoff.wait(j)), [500, 750, 1000, 500, 1000].map(MS));
    }

    #[test]
    fn a_raised_wait_stays_within_the_longest() {
        let mut backoff = Backoff::new(MS(100), MS(3000));
        backoff.raise(MS(1000));
        assert_eq!([1.0; 2].map(|jitter| backoff.wait(jitter)), [1000, 2000].map(MS));
        backoff.raise(MS(9000));
        assert_eq!(backoff.wait(1.0), MS(3000));
    }
}
