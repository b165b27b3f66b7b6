//! Holds recordings and drawn scenes to their frame rate.

use std::thread;
use std::time::{Duration, Instant};

/// Says when the next frame is due.
#[derive(Debug)]
pub(super) struct Pace {
    period: Option<Duration>,
    due: Option<Instant>,
}

impl Pace {
    /// `fps` frames per second; 0 means at once, always.
    pub fn new(fps: f64) -> Self {
        let period = (fps.is_finite() && fps > 0.0)
            .then(|| Duration::try_from_secs_f64(1.0 / fps).unwrap_or(Duration::from_secs(3600)));
        Self { period, due: None }
    }

    /// Whether frames are given as fast as they are taken.
    pub fn lossless(&self) -> bool {
        self.period.is_none()
    }

    /// The time from one frame to the next; zero when lossless.
    pub fn period(&self) -> Duration {
        self.period.unwrap_or_default()
    }

    /// Sleeps until the next frame is due, but at most `limit`. True: it is due now.
    pub fn wait(&mut self, limit: Duration) -> bool {
        let Some(period) = self.period else { return true };
        let now = Instant::now();
        let due = *self.due.get_or_insert(now);
        if due > now {
            let rest = due - now;
            thread::sleep(rest.min(limit));
            if rest > limit {
                return false;
            }
        }
        // A reader that fell behind does not hurry to catch up: the next frame is a period from now.
        let next = due + period;
        self.due = Some(if next < now { now + period } else { next });
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_frame_is_due_at_once_and_the_second_is_not() {
        let mut pace = Pace::new(0.001);
        assert!(pace.wait(Duration::ZERO));
        assert!(!pace.wait(Duration::ZERO));
        assert!(!pace.lossless());
    }

    #[test]
    fn zero_means_at_once() {
        let mut pace = Pace::new(0.0);
        assert!((0..100).all(|_| pace.wait(Duration::ZERO)));
        assert!(pace.lossless());
    }

    #[test]
    fn frames_come_when_they_are_due() {
        let mut pace = Pace::new(200.0);
        let frames = (0..1000).filter(|_| pace.wait(Duration::from_millis(50))).take(5).count();
        assert_eq!(frames, 5);
    }
}
