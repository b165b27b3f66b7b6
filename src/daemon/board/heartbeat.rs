//! The proof of life behind the watchdog: all five loops have moved since the last sign of life. A loop that has
//! nothing to do is given an empty task, so that standing still always means being stuck.

use std::time::{Duration, Instant};

/// Names of the loops, in the order of their counters.
const LOOPS: [&str; 5] = ["camera", "inference", "store", "train", "mqtt"];

/// What the counters were at the last sign of life. `None`: there is no such loop.
pub type Counters = [Option<u64>; LOOPS.len()];

/// When to look, and what was seen.
#[derive(Debug)]
pub struct Heartbeat {
    every: Option<Duration>,
    looked: Option<Instant>,
    alive: Option<Instant>,
    seen: Counters,
}

impl Heartbeat {
    /// For a watchdog that bites after twice `half` without a sign of life; `None`: there is none.
    pub fn new(half: Option<Duration>) -> Self {
        // Four looks a half: a loop that is slow for one look still makes it.
        Self { every: half.map(|half| half / 4), looked: None, alive: None, seen: [None; LOOPS.len()] }
    }

    /// Looks when it is time. `None`: it is not.
    pub fn look(&mut self, now: Instant, counters: impl FnOnce() -> Counters) -> Option<Pulse> {
        let every = self.every?;
        let since = |at: Instant| now.saturating_duration_since(at);
        if since(*self.looked.get_or_insert(now)) < every {
            return None;
        }
        self.looked = Some(now);
        let stuck = self.stuck(counters());
        let alive = *self.alive.get_or_insert(now);
        if stuck.is_empty() {
            self.alive = Some(now);
            return Some(Pulse::Alive);
        }
        Some(Pulse::Stuck { loops: stuck.join(", "), for_long: since(alive) > 4 * every })
    }

    /// The loops that have not moved since the last sign of life. None: this is the next one.
    fn stuck(&mut self, counters: Counters) -> Vec<&'static str> {
        let stands = |at: &usize| counters[*at].is_some() && counters[*at] == self.seen[*at];
        let stuck: Vec<&str> = (0..LOOPS.len()).filter(stands).map(|at| LOOPS[at]).collect();
        if stuck.is_empty() {
            self.seen = counters;
        }
        stuck
    }
}

/// What a look brought.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Pulse {
    /// Every loop has moved since the last sign of life.
    Alive,
    /// These have not.
    Stuck {
        /// Their names.
        loops: String,
        /// It has been so for several looks.
        for_long: bool,
    },
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_loop_that_stands_still_is_enough_and_is_named() {
        let mut heartbeat = Heartbeat::new(Some(Duration::ZERO));
        let start = Instant::now();
        assert_eq!(heartbeat.look(start, || [Some(0); LOOPS.len()]), Some(Pulse::Alive));
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
        let same = heartbeat.look(start + Duration::from_secs(1), || counters);
        let loops = "camera, inference, store, train".to_owned();
        assert_eq!(same, Some(Pulse::Stuck { loops, for_long: true }));
        assert_eq!(Heartbeat::new(None).look(start, || counters), None);
    }
}
