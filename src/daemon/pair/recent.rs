//! What the frames of the pair in use are like: what a new pair is measured by.

use graft_control::probation::Baseline;
use std::collections::VecDeque;

/// Frames by which the pair in use is known.
const FRAMES: usize = 512;
/// With fewer nothing is said of it.
const ENOUGH: usize = 20;
/// A frame may take so many times as long with a new backbone.
const SLOWER: f64 = 3.0;

/// The last frames: whether each was called unknown, and how many milliseconds it took.
#[derive(Debug, Default)]
pub struct RecentFrames(VecDeque<(bool, f32)>);

impl RecentFrames {
    /// One more.
    pub fn frame(&mut self, unknown: bool, frame_ms: f32) {
        if self.0.len() == FRAMES {
            self.0.pop_front();
        }
        self.0.push_back((unknown, frame_ms));
    }

    /// What a new pair is measured by; `most_ms` is what people set.
    pub fn baseline(&self, most_ms: Option<f64>) -> Baseline {
        let known = self.0.len() >= ENOUGH;
        let unknown =
            self.0.iter().filter(|(unknown, _)| *unknown).count() as f64 / self.0.len().max(1) as f64;
        let mut times: Vec<f32> = self.0.iter().map(|(_, ms)| *ms).collect();
        times.sort_by(f32::total_cmp);
        let median = times.get(times.len() / 2).map(|ms| f64::from(*ms) * SLOWER);
        Baseline { unknown: known.then_some(unknown), frame_ms: most_ms.or(median.filter(|_| known)) }
    }
}
