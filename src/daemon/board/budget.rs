//! Looks at heat, flash and the pace of predictions, and says what follows for rounds. What it means is
//! decided in `control`.

use crate::daemon::effects::Readings;
use graft_control::{Band, BudgetPolicy, Hold, Share, Writes};
use std::time::Duration;

/// Sensors are read this often.
const LOOK_EVERY: Duration = Duration::from_secs(2);
/// Predictions that the pace without a round is judged by.
const WITHOUT: usize = 64;
/// … and beside one.
const BESIDE: usize = 8;
/// What a stored sample may cost in writes, in multiples of its size: the database writes it more than once.
const AMPLIFICATION: u64 = 4;

/// What was seen so far.
#[derive(Debug, Default)]
pub struct Budget {
    without: Vec<f32>,
    beside: Vec<f32>,
    next: usize,
    share: Share,
    looked: Option<Duration>,
    writes: Writes,
    written: Option<u64>,
    sample_bytes: u64,
}

/// The 95th percentile.
fn p95(times: &[f32]) -> Option<f64> {
    let mut sorted = times.to_vec();
    sorted.sort_by(f32::total_cmp);
    sorted.get(sorted.len() * 95 / 100).map(|ms| f64::from(*ms))
}

impl Budget {
    /// One prediction took so long, beside a round or not.
    pub fn predicted(&mut self, ms: f32, beside_round: bool) {
        if beside_round {
            self.beside.push(ms);
        } else if self.without.len() < WITHOUT {
            self.without.push(ms);
        } else if let Some(oldest) = self.without.get_mut(self.next) {
            *oldest = ms;
            self.next = (self.next + 1) % WITHOUT;
        }
    }

    /// A round is held back for the sake of predictions.
    pub fn yields(&self) -> bool {
        self.share != Share::default()
    }

    /// The share of its time that a round has, in percent.
    pub fn share(&self) -> u32 {
        self.share.get()
    }

    /// Judges the share of a running round; without one it is whole again. True: it changed.
    pub fn judge(&mut self, running: bool, slowdown: f64) -> bool {
        let before = self.share;
        if !running {
            self.share = Share::default();
            self.beside.clear();
        } else if self.beside.len() >= BESIDE && self.without.len() >= BESIDE {
            if let (Some(without), Some(beside)) = (p95(&self.without), p95(&self.beside)) {
                self.share = self.share.judged(without, beside, slowdown);
            }
            self.beside.clear();
        }
        self.share != before
    }

    /// Reads the sensors when it is time, and says what holds rounds back now (true) and what no longer does. `holds` are those in force, `sample_bytes` the size of all samples.
    pub fn look(
        &mut self,
        now: Duration,
        readings: impl FnOnce() -> Readings,
        policy: BudgetPolicy,
        holds: &[Hold],
        sample_bytes: u64,
    ) -> Vec<(Hold, bool)> {
        if self.looked.is_some_and(|at| now.saturating_sub(at) < LOOK_EVERY) {
            return Vec::new();
        }
        self.looked = Some(now);
        let readings = readings();
        let mut events = Vec::new();
        let mut judge = |hold: Hold, now: bool| {
            if now != holds.contains(&hold) {
                events.push((hold, now));
            }
        };
        // A sensor that is gone must not hold rounds back for ever.
        let celsius = readings.temperature_c.unwrap_or(f64::NEG_INFINITY);
        judge(Hold::Thermal, policy.heat.holds(holds.contains(&Hold::Thermal), celsius));
        if let Some(written) = readings.written_bytes {
            let since = written.saturating_sub(self.written.unwrap_or(written));
            let samples = sample_bytes.saturating_sub(self.sample_bytes);
            (self.written, self.sample_bytes) = (Some(written), sample_bytes);
            let besides = since.saturating_sub(samples.saturating_mul(AMPLIFICATION));
            let used = self.writes.add(now, besides, policy.write_per_day);
            judge(Hold::Writes, WRITES.holds(holds.contains(&Hold::Writes), used));
        }
        events
    }
}

/// Parts of a day's allowance.
const WRITES: Band = Band { hold: 1.0, release: 0.9 };

#[cfg(test)]
mod tests {
    use super::*;
    use crate::board::Board;
    use std::fs;

    const POLICY: BudgetPolicy =
        BudgetPolicy { heat: Band { hold: 80.0, release: 72.0 }, write_per_day: 1_000_000, slowdown: 1.5 };

    fn readings(board: &Board) -> Readings {
        let (temperature_c, written_bytes) = (board.temperature_c(), board.written_bytes());
        Readings { temperature_c, written_bytes, ..Readings::default() }
    }

    fn tree() -> (tempfile::TempDir, Board) {
        let dir = tempfile::tempdir().unwrap();
        for folder in ["sys/class/thermal/thermal_zone0", "proc/self"] {
            fs::create_dir_all(dir.path().join(folder)).unwrap();
        }
        let board = Board::below(dir.path());
        (dir, board)
    }

    #[test]
    fn a_hot_board_holds_rounds_until_it_has_cooled_down() {
        let (dir, board) = tree();
        let zone = dir.path().join("sys/class/thermal/thermal_zone0/temp");
        let (mut budget, mut holds, mut seen) = (Budget::default(), Vec::new(), Vec::new());
        for (second, milli) in [(0, "60000"), (2, "80500"), (4, "76000"), (6, "71900"), (8, "76000")] {
            fs::write(&zone, milli).unwrap();
            let events = budget.look(Duration::from_secs(second), || readings(&board), POLICY, &holds, 0);
            for event in events {
                holds = if event.1 { vec![Hold::Thermal] } else { Vec::new() };
                seen.push((second, event));
            }
        }
        assert_eq!(seen, [(2, (Hold::Thermal, true)), (6, (Hold::Thermal, false))]);
        fs::write(&zone, "90000").unwrap();
        let at = Duration::from_secs;
        assert!(budget.look(at(9), || readings(&board), POLICY, &[], 0).is_empty(), "not so often");
        assert_eq!(budget.look(at(10), || readings(&board), POLICY, &[], 0).len(), 1);
        fs::remove_file(&zone).unwrap();
        let released = budget.look(at(12), || readings(&board), POLICY, &[Hold::Thermal], 0);
        assert_eq!(released, [(Hold::Thermal, false)]);
    }

    #[test]
    fn writing_much_holds_rounds_and_samples_do_not_count() {
        let (dir, board) = tree();
        let io = dir.path().join("proc/self/io");
        let mut budget = Budget::default();
        let mut look = |second: u64, written: u64, samples: u64, holds: &[Hold]| {
            fs::write(&io, format!("read_bytes: 7\nwrite_bytes: {written}\n")).unwrap();
            budget.look(Duration::from_secs(second), || readings(&board), POLICY, holds, samples)
        };
        assert!(look(0, 50_000_000, 0, &[]).is_empty(), "what was before the start does not count");
        assert!(look(10, 54_000_000, 1_000_000, &[]).is_empty(), "four times a sample's size is free");
        let held = look(20, 55_100_000, 1_000_000, &[]);
        assert_eq!(held, [(Hold::Writes, true)]);
        assert!(look(30, 55_100_000, 1_000_000, &[Hold::Writes]).is_empty());
        let released = look(20 + 86_400 / 4, 55_100_000, 1_000_000, &[Hold::Writes]);
        assert_eq!(released, [(Hold::Writes, false)]);
    }

    #[test]
    fn a_round_that_slows_predictions_is_given_less_time() {
        let mut budget = Budget::default();
        (0..100).for_each(|_| budget.predicted(10.0, false));
        assert!(!budget.judge(true, 1.5));
        (0..BESIDE).for_each(|_| budget.predicted(30.0, true));
        assert!(budget.judge(true, 1.5) && budget.yields());
        assert_eq!(budget.share(), 50);
        (0..BESIDE).for_each(|_| budget.predicted(10.0, true));
        assert!(budget.judge(true, 1.5) && !budget.yields());
        (0..BESIDE).for_each(|_| budget.predicted(30.0, true));
        budget.judge(true, 1.5);
        assert!(budget.judge(false, 1.5), "the next round starts whole");
        assert_eq!(budget.share(), 100);
    }
}
