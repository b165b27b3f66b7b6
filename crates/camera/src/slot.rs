//! The slot of one frame between the camera thread and the inference thread.

use graft_base::frame::Frame;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// A frame that was taken longer ago than this is dropped: a newer one is on its way.
const STALE: Duration = Duration::from_millis(200);
/// After so many of them in a row the camera's frames are taken to come that late by themselves.
const STALE_RUN: u32 = 5;

/// Holds at most one frame, the newest. A frame that nobody took in time is dropped and counted.
#[derive(Debug, Default)]
pub struct Slot {
    inside: Mutex<Inside>,
    filled: Condvar,
    emptied: Condvar,
    turns: AtomicU64,
}

#[derive(Debug, Default)]
struct Inside {
    frame: Option<Frame>,
    received: u64,
    drops: u64,
    closed: bool,
    /// The frame is of a source that does not wait for us.
    live: bool,
    /// Stale frames in a row.
    stale: u32,
}

impl Inside {
    /// Whether the frame is to be dropped for its age.
    fn is_stale(&mut self, frame: &Frame) -> bool {
        let old = self.live && frame.taken.elapsed() > STALE;
        self.stale = if old { self.stale.saturating_add(1) } else { 0 };
        old && self.stale <= STALE_RUN
    }
}

impl Slot {
    /// An empty slot.
    pub fn new() -> Self {
        Self::default()
    }

    /// The camera's loop has turned, with a frame or without.
    pub(super) fn turn(&self) {
        self.turns.fetch_add(1, Ordering::Relaxed);
    }

    /// Turns of the camera's loop so far: they go on as long as nothing hangs in a driver.
    pub fn turns(&self) -> u64 {
        self.turns.load(Ordering::Relaxed)
    }

    /// Puts the newest frame in and drops the one that was there. Does nothing once closed.
    pub fn put(&self, frame: Frame) {
        let mut inside = self.lock();
        if inside.closed {
            return;
        }
        inside.received += 1;
        inside.live = true;
        if inside.frame.replace(frame).is_some() {
            inside.drops += 1;
        }
        drop(inside);
        self.filled.notify_one();
    }

    /// Waits at most `timeout` for the slot to be empty, then puts the frame in, so that nothing is dropped.
    /// Returns the frame when the slot stayed full; swallows it once closed.
    pub fn put_wait(&self, frame: Frame, timeout: Duration) -> Option<Frame> {
        let full = |inside: &mut Inside| inside.frame.is_some() && !inside.closed;
        let (mut inside, _) = self
            .emptied
            .wait_timeout_while(self.lock(), timeout, full)
            .unwrap_or_else(PoisonError::into_inner);
        if inside.closed {
            return None;
        }
        if inside.frame.is_some() {
            return Some(frame);
        }
        inside.received += 1;
        inside.live = false;
        inside.frame = Some(frame);
        drop(inside);
        self.filled.notify_one();
        None
    }

    /// Takes the frame, waiting for it at most `timeout`. None: no fresh one came, or the slot is closed and empty.
    pub fn take(&self, timeout: Duration) -> Option<Frame> {
        let empty = |inside: &mut Inside| inside.frame.is_none() && !inside.closed;
        let begun = Instant::now();
        let mut inside = self.lock();
        loop {
            let rest = timeout.saturating_sub(begun.elapsed());
            let waited = self.filled.wait_timeout_while(inside, rest, empty);
            (inside, _) = waited.unwrap_or_else(PoisonError::into_inner);
            let frame = inside.frame.take()?;
            if !inside.is_stale(&frame) {
                drop(inside);
                self.emptied.notify_one();
                return Some(frame);
            }
            inside.drops += 1;
        }
    }

    /// The frame that was just taken is not looked at either, because it came too soon.
    pub fn pass_over(&self) {
        self.lock().drops += 1;
    }

    /// Frames that nobody looked at: replaced before they were taken, too old, or passed over.
    pub fn drops(&self) -> u64 {
        self.lock().drops
    }

    /// Frames that were put in.
    pub fn received(&self) -> u64 {
        self.lock().received
    }

    /// Wakes everybody who waits; later frames are ignored, a frame that is inside can still be taken.
    pub fn close(&self) {
        self.lock().closed = true;
        self.filled.notify_all();
        self.emptied.notify_all();
    }

    /// Whether [`Slot::close`] was called.
    #[cfg(test)]
    pub fn is_closed(&self) -> bool {
        self.lock().closed
    }

    fn lock(&self) -> MutexGuard<'_, Inside> {
        // Every critical section leaves the fields consistent, so a poisoned lock is still good.
        self.inside.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tests::gray_frame;
    use proptest::prelude::*;
    use std::sync::Arc;
    use std::thread;

    const LONG: Duration = Duration::from_secs(30);

    #[test]
    fn the_newest_frame_wins_and_drops_are_counted() {
        let slot = Slot::new();
        for id in 1..=5 {
            slot.put(gray_frame(id));
        }
        assert_eq!(slot.take(Duration::ZERO).unwrap().id, 5);
        assert!(slot.take(Duration::ZERO).is_none());
        assert_eq!((slot.received(), slot.drops()), (5, 4));
    }

    #[test]
    fn take_wakes_when_a_frame_comes() {
        let slot = Arc::new(Slot::new());
        let other = slot.clone();
        let taker = thread::spawn(move || other.take(LONG).map(|frame| frame.id));
        slot.put(gray_frame(9));
        assert_eq!(taker.join().unwrap(), Some(9));
    }

    #[test]
    fn close_wakes_takers_and_waiting_putters() {
        let slot = Arc::new(Slot::new());
        let other = slot.clone();
        let taker = thread::spawn(move || other.take(LONG).is_none());
        slot.close();
        assert!(taker.join().unwrap());

        let slot = Arc::new(Slot::new());
        slot.put(gray_frame(1));
        let other = slot.clone();
        let putter = thread::spawn(move || other.put_wait(gray_frame(2), LONG).is_none());
        slot.close();
        assert!(putter.join().unwrap());
        assert_eq!(slot.take(LONG).unwrap().id, 1, "what was inside can still be taken");
        assert!(slot.take(LONG).is_none());
        slot.put(gray_frame(3));
        assert!(slot.take(Duration::ZERO).is_none());
        assert!(slot.is_closed());
    }

    #[test]
    fn put_wait_drops_nothing() {
        let slot = Arc::new(Slot::new());
        let other = slot.clone();
        let putter = thread::spawn(move || {
            for id in 1..=200 {
                assert!(other.put_wait(gray_frame(id), LONG).is_none());
            }
            other.close();
        });
        let mut seen = Vec::new();
        while let Some(frame) = slot.take(LONG) {
            seen.push(frame.id);
        }
        putter.join().unwrap();
        assert_eq!(seen, (1..=200).collect::<Vec<_>>());
        assert_eq!(slot.drops(), 0);
        let full = Slot::new();
        full.put(gray_frame(1));
        assert_eq!(full.put_wait(gray_frame(2), Duration::from_millis(1)).unwrap().id, 2);
    }

    #[test]
    fn old_frames_are_dropped_unless_the_camera_gives_no_others() {
        let slot = Slot::new();
        let old = |id| Frame { taken: Instant::now().checked_sub(2 * STALE).unwrap(), ..gray_frame(id) };
        let take = |frame| {
            slot.put(frame);
            slot.take(Duration::ZERO).is_some()
        };
        assert!(!take(old(1)));
        assert!(take(gray_frame(2)));
        for id in 3..3 + u64::from(STALE_RUN) {
            assert!(!take(old(id)));
        }
        assert!(take(old(20)) && take(old(21)));
        assert!(take(gray_frame(22)));
        assert!(!take(old(23)));
        assert_eq!(slot.drops(), 2 + u64::from(STALE_RUN));
        // A source that waits for us loses nothing.
        assert!(slot.put_wait(old(24), Duration::ZERO).is_none());
        assert!(slot.take(Duration::ZERO).is_some());
    }

    proptest! {
        /// Whatever the order of puts and takes: received = taken + dropped + inside, ids never go back.
        #[test]
        fn frames_are_conserved(puts in proptest::collection::vec(any::<bool>(), 0..200)) {
            let slot = Slot::new();
            let (mut id, mut taken, mut last) = (0, 0, 0);
            for put in puts {
                if put {
                    id += 1;
                    slot.put(gray_frame(id));
                } else if let Some(frame) = slot.take(Duration::ZERO) {
                    prop_assert!(frame.id > last);
                    prop_assert_eq!(frame.id, id);
                    last = frame.id;
                    taken += 1;
                }
            }
            let inside = u64::from(slot.take(Duration::ZERO).is_some());
            prop_assert_eq!(slot.received(), taken + slot.drops() + inside);
        }
    }
}
