//! Probation: a pair that has just become active is confirmed, or the one before it is restored.
//!
//! Starts are counted, not timed, so that no clock can be wrong: a start counts as failed until the daemon has served
//! for [`ProbationPolicy::settle`] or was stopped in order.

use std::time::Duration;

/// When a pair is trusted.
#[derive(Clone, Debug, PartialEq)]
pub struct ProbationPolicy {
    /// Service without a complaint that confirms a pair.
    pub length: Duration,
    /// Service after which earlier failed starts no longer count.
    pub settle: Duration,
    /// So many starts in a row that ended before that take the pair back.
    pub starts: u32,
    /// A window of service that is judged as one: at least so long,
    pub window: Duration,
    /// and at least so many frames.
    pub frames: u64,
    /// The share of frames called unknown may be this much above the one before.
    pub unknown: f64,
    /// Bad windows in a row that take the pair back.
    pub windows: u32,
}

impl Default for ProbationPolicy {
    fn default() -> Self {
        Self {
            length: Duration::from_secs(600),
            settle: Duration::from_secs(300),
            starts: 3,
            window: Duration::from_secs(30),
            frames: 50,
            unknown: 0.3,
            windows: 2,
        }
    }
}

/// What the pair before was like.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Baseline {
    /// Share of frames that it called unknown; `None`: not known.
    pub unknown: Option<f64>,
    /// Milliseconds a frame may take; `None`: no bound.
    pub frame_ms: Option<f64>,
}

/// What to do with a pair on probation.
#[derive(Clone, Debug, PartialEq)]
pub enum Decision {
    /// Earlier failed starts no longer count: store that.
    Settled,
    /// The pair passed.
    Confirm,
    /// The pair before it comes back, and why.
    RollBack(String),
}

/// The starts of something new, a head or a pair, that is on probation. Time is a [`Duration`] since the daemon's
/// start and never goes back.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StartProbation {
    begun: Duration,
    settle: Duration,
    settled: bool,
}

impl StartProbation {
    /// Counts one more start, to be put on disk before the new thing is touched; `starts` is how many there were in a
    /// row that did not end well.
    ///
    /// # Errors
    /// Why it has to be taken back instead.
    pub fn count(policy: &ProbationPolicy, starts: u32) -> Result<u32, String> {
        if starts >= policy.starts {
            let settle = policy.settle.as_secs();
            return Err(format!("the daemon ended {starts} times within {settle} s of its start"));
        }
        Ok(starts + 1)
    }

    /// Begins, or begins again after a restart.
    pub fn begin(policy: &ProbationPolicy, now: Duration) -> Self {
        Self { begun: now, settle: policy.settle, settled: false }
    }

    /// Since when it has served.
    pub fn begun(&self) -> Duration {
        self.begun
    }

    /// True once: it has served for so long that earlier failed starts no longer count.
    pub fn settles(&mut self, now: Duration) -> bool {
        let settles = !self.settled && now.saturating_sub(self.begun) >= self.settle;
        self.settled |= settles;
        settles
    }
}

/// One pair's probation. Time is a [`Duration`] since the daemon's start and never goes back.
#[derive(Clone, Debug)]
pub struct Probation {
    policy: ProbationPolicy,
    baseline: Baseline,
    starts: StartProbation,
    window: Window,
    /// A window was good.
    good: bool,
    /// So many bad ones in a row.
    bad: u32,
}

#[derive(Clone, Debug, Default)]
struct Window {
    begun: Duration,
    frames: u64,
    unknown: u64,
    frame_ms: f64,
}

impl Probation {
    /// Begins, or begins again after a restart.
    pub fn new(policy: ProbationPolicy, baseline: Baseline, now: Duration) -> Self {
        let window = Window { begun: now, ..Window::default() };
        let starts = StartProbation::begin(&policy, now);
        Self { policy, baseline, starts, window, good: false, bad: 0 }
    }

    /// One frame: whether it was called unknown, and how long it took.
    pub fn frame(&mut self, unknown: bool, frame_ms: f64) {
        self.window.frames += 1;
        self.window.unknown += u64::from(unknown);
        self.window.frame_ms += frame_ms;
    }

    /// Time passed.
    pub fn tick(&mut self, now: Duration) -> Option<Decision> {
        let served = now.saturating_sub(self.starts.begun());
        let full = self.window.frames >= self.policy.frames;
        if full && now.saturating_sub(self.window.begun) >= self.policy.window {
            let window = std::mem::replace(&mut self.window, Window { begun: now, ..Window::default() });
            match self.complaint(&window) {
                None => (self.good, self.bad) = (true, 0),
                Some(why) => {
                    self.bad += 1;
                    if self.bad >= self.policy.windows {
                        return Some(Decision::RollBack(why));
                    }
                }
            }
        }
        // Without frames there is no evidence: the window goes on.
        if served >= self.policy.length && self.good && self.bad == 0 {
            return Some(Decision::Confirm);
        }
        self.starts.settles(now).then_some(Decision::Settled)
    }

    fn complaint(&self, window: &Window) -> Option<String> {
        let frames = window.frames as f64;
        let (unknown, frame_ms) = (window.unknown as f64 / frames, window.frame_ms / frames);
        if let Some(before) = self.baseline.unknown
            && unknown > before + self.policy.unknown
        {
            let (now, before) = (100.0 * unknown, 100.0 * before);
            return Some(format!("{now:.0} % of the frames are called unknown, {before:.0} % were before"));
        }
        let most = self.baseline.frame_ms.filter(|most| frame_ms > *most)?;
        Some(format!("a frame takes {frame_ms:.0} ms, {most:.0} ms are allowed"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn at(s: u64) -> Duration {
        Duration::from_secs(s)
    }

    fn begun(baseline: Baseline) -> Probation {
        Probation::new(ProbationPolicy::default(), baseline, at(100))
    }

    /// So many frames of which so many are unknown, then the end of the window.
    fn window(p: &mut Probation, end: u64, frames: u64, unknown: u64, ms: f64) -> Option<Decision> {
        (0..frames).for_each(|n| p.frame(n < unknown, ms));
        p.tick(at(end))
    }

    #[test]
    fn quiet_service_settles_then_confirms() {
        let mut p = begun(Baseline::default());
        assert_eq!(p.tick(at(399)), None);
        assert_eq!(p.tick(at(400)), Some(Decision::Settled));
        assert_eq!(p.tick(at(800)), None, "nothing was seen yet");
        assert_eq!(window(&mut p, 801, 50, 50, 1.0), Some(Decision::Confirm));
        let mut p = begun(Baseline::default());
        assert_eq!(window(&mut p, 400, 60, 0, 1.0), Some(Decision::Settled));
        assert_eq!(p.tick(at(699)), None);
        assert_eq!(p.tick(at(700)), Some(Decision::Confirm));
    }

    #[test]
    fn two_bad_windows_in_a_row_take_it_back() {
        let known = Baseline { unknown: Some(0.1), frame_ms: Some(50.0) };
        let mut p = begun(known);
        assert_eq!(window(&mut p, 130, 100, 60, 10.0), None);
        assert_eq!(window(&mut p, 160, 100, 30, 10.0), None, "a good one between");
        assert_eq!(window(&mut p, 190, 100, 60, 10.0), None);
        assert_eq!(window(&mut p, 220, 20, 20, 10.0), None, "too few frames say nothing yet");
        assert!(
            matches!(window(&mut p, 250, 80, 40, 10.0), Some(Decision::RollBack(why)) if why.contains("60 %"))
        );
        let mut p = begun(known);
        assert_eq!(window(&mut p, 130, 100, 0, 60.0), None);
        assert!(
            matches!(window(&mut p, 160, 100, 0, 60.0), Some(Decision::RollBack(why)) if why.contains("60 ms"))
        );
    }

    #[test]
    fn the_third_failed_start_takes_it_back() {
        let policy = ProbationPolicy::default();
        assert_eq!(StartProbation::count(&policy, 2), Ok(3));
        assert!(StartProbation::count(&policy, 3).unwrap_err().contains("3 times"));
    }

    proptest! {
        /// Whatever the frames are: it is never confirmed early, nor after a bad window, and settles at most once.
        #[test]
        fn nothing_is_confirmed_that_has_not_served(steps in proptest::collection::vec((1u64..90, 0u64..120, 0u64..120), 1..40)) {
            let mut p = begun(Baseline { unknown: Some(0.0), frame_ms: None });
            let (mut now, mut settled) = (100, 0);
            for (pause, frames, unknown) in steps {
                now += pause;
                match window(&mut p, now, frames, unknown.min(frames), 1.0) {
                    Some(Decision::Confirm) => { prop_assert!(now >= 700 && p.bad == 0 && p.good); break; }
                    Some(Decision::RollBack(_)) => { prop_assert!(p.bad >= 2); break; }
                    Some(Decision::Settled) => { settled += 1; prop_assert!(now >= 400); }
                    None => {}
                }
            }
            prop_assert!(settled <= 1);
        }
    }
}
