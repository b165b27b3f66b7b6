//! The frames of the last half minute, so that a label can name one that has passed.

use crate::daemon::frames::{FRESH, SeenFrame};
use std::collections::VecDeque;
use std::time::{Duration, Instant};

/// Why there is no such frame.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Missing {
    /// Nothing was seen for too long: what was last seen is stale.
    NoFreshFrame,
    /// It passed, or has not come yet; the frames that are kept.
    NotKept {
        /// The oldest one.
        oldest: u64,
        /// The newest one.
        newest: u64,
    },
}

/// Keeps frames for a while. Bounded by age and by count.
pub struct Ring {
    seen: VecDeque<SeenFrame>,
    keep: Duration,
    most: usize,
}

impl Ring {
    /// Keeps at most `most` frames, none older than `keep`.
    pub fn new(keep: Duration, most: usize) -> Self {
        Self { seen: VecDeque::new(), keep, most: most.max(1) }
    }

    /// Adds the newest frame and forgets what is too old.
    pub fn push(&mut self, seen: SeenFrame) {
        let now = seen.taken;
        self.seen.push_back(seen);
        while self.seen.len() > self.most
            || self.seen.front().is_some_and(|s| now.saturating_duration_since(s.taken) > self.keep)
        {
            self.seen.pop_front();
        }
    }

    /// The named frame; without a name the newest, if it is fresh.
    pub fn find(&self, now: Instant, frame: Option<u64>) -> Result<&SeenFrame, Missing> {
        let newest = self.seen.back().ok_or(Missing::NoFreshFrame)?;
        match frame {
            None if now.saturating_duration_since(newest.taken) > FRESH => Err(Missing::NoFreshFrame),
            None => Ok(newest),
            Some(frame) => self.seen.iter().rev().find(|s| s.frame == frame).ok_or(Missing::NotKept {
                oldest: self.seen.front().map_or(0, |s| s.frame),
                newest: newest.frame,
            }),
        }
    }

    /// The frames that are kept, oldest first.
    pub fn iter(&self) -> impl Iterator<Item = &SeenFrame> {
        self.seen.iter()
    }

    /// Notes that this frame has become a sample.
    pub fn labelled(&mut self, frame: u64, sample: i64) {
        if let Some(seen) = self.seen.iter_mut().rev().find(|s| s.frame == frame) {
            seen.sample = Some(sample);
        }
    }

    /// Forgets everything: the camera or the backbone is another one.
    pub fn clear(&mut self) {
        self.seen.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::daemon::picture::Picture;
    use std::sync::Arc;

    fn seen(frame: u64, taken: Instant) -> SeenFrame {
        SeenFrame {
            frame,
            taken,
            wall_ms: 0,
            name: None,
            picture: Picture::default(),
            embedding: Arc::from([]),
            key: "k".into(),
            sample: None,
            shown: None,
        }
    }

    #[test]
    fn keeps_by_age_and_count_and_never_serves_stale_frames() {
        let start = Instant::now();
        let mut ring = Ring::new(Duration::from_secs(10), 4);
        assert_eq!(ring.find(start, None).err(), Some(Missing::NoFreshFrame));
        for n in 1..=6 {
            ring.push(seen(n, start + Duration::from_secs(n)));
        }
        let now = start + Duration::from_secs(6);
        assert_eq!(ring.find(now, None).map(|s| s.frame), Ok(6));
        assert_eq!(ring.find(now, Some(3)).map(|s| s.frame), Ok(3));
        assert_eq!(ring.find(now, Some(2)).err(), Some(Missing::NotKept { oldest: 3, newest: 6 }));
        assert_eq!(ring.find(now + Duration::from_secs(3), None).err(), Some(Missing::NoFreshFrame));
        ring.push(seen(7, start + Duration::from_secs(60)));
        assert_eq!(ring.find(now, Some(6)).err(), Some(Missing::NotKept { oldest: 7, newest: 7 }));
    }
}
