//! The proof of life behind the watchdog: all five loops have moved since the last sign of life. A loop that has
//! nothing to do is given an empty task, so that standing still always means being stuck.

use super::Daemon;
use graft_base::systemd;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

/// Names of the loops, in the order of their counters.
const LOOPS: [&str; 5] = ["camera", "inference", "store", "train", "mqtt"];

/// What the counters were at the last sign of life. `None`: there is no such loop.
type Counters = [Option<u64>; LOOPS.len()];

/// When to look, and what was seen.
pub struct Heartbeat {
    every: Option<Duration>,
    looked: Instant,
    fed: Instant,
    seen: Counters,
}

impl Heartbeat {
    /// For a watchdog that bites after twice `half` without a sign of life; `None`: there is none.
    pub fn new(half: Option<Duration>) -> Self {
        // Four looks a half: a loop that is slow for one look still makes it.
        let now = Instant::now();
        Self { every: half.map(|half| half / 4), looked: now, fed: now, seen: [None; LOOPS.len()] }
    }

    /// Whether it is time to look.
    fn is_due(&mut self) -> bool {
        let due = self.every.is_some_and(|every| self.looked.elapsed() >= every);
        if due {
            self.looked = Instant::now();
        }
        due
    }

    /// The loops that have not moved since the last sign of life. None: this is the next one.
    fn stuck(&mut self, counters: Counters) -> Vec<&'static str> {
        let stands = |at: &usize| counters[*at].is_some() && counters[*at] == self.seen[*at];
        let stuck: Vec<&str> = (0..LOOPS.len()).filter(stands).map(|at| LOOPS[at]).collect();
        if stuck.is_empty() {
            self.seen = counters;
            self.fed = Instant::now();
        }
        stuck
    }
}

impl Daemon {
    /// At every tick: tells the watchdog that all is well, if it is.
    pub(super) fn beat(&mut self) {
        if !self.heartbeat.is_due() {
            return;
        }
        let mqtt = self.mqtt.as_ref();
        let stuck = self.heartbeat.stuck([
            Some(self.slot.turns()),
            Some(self.turns.load(Ordering::Relaxed)),
            Some(self.store.turns().load(Ordering::Relaxed)),
            Some(self.trainer.turns().load(Ordering::Relaxed)),
            mqtt.map(graft_mqtt::Handle::turns),
        ]);
        if stuck.is_empty() {
            systemd::alive();
        } else if self.heartbeat.every.is_some_and(|every| self.heartbeat.fed.elapsed() > 4 * every) {
            let loops = stuck.join(", ");
            tracing::error!(loops, "a loop does not move; the watchdog will restart graft unless it does");
        }
        if let Some(mqtt) = mqtt {
            mqtt.poke();
        }
        self.store.tell(|_| {});
        self.trainer.tell(|()| {});
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_loop_that_stands_still_is_enough_and_is_named() {
        let mut heartbeat = Heartbeat::new(Some(Duration::ZERO));
        assert!(heartbeat.is_due());
        let mut counters = [Some(1), Some(1), Some(1), Some(1), None];
        assert!(heartbeat.stuck(counters).is_empty());
        for at in 0..LOOPS.len() - 1 {
            let before = counters;
            counters = counters.map(|count| count.map(|count| count + 1));
            counters[at] = before[at];
            assert_eq!(heartbeat.stuck(counters), [LOOPS[at]]);
            // The others' progress is not forgotten, so the last one completes it.
            counters[at] = counters[at].map(|count| count + 1);
            assert!(heartbeat.stuck(counters).is_empty());
        }
        assert!(!Heartbeat::new(None).is_due());
    }
}
