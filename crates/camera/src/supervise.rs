//! Keeps one camera open for ever.
//!
//! Two threads: the caller's supervises, a second one owns the source and reads. So a driver that hangs inside a call
//! is noticed too, and a stop is answered at once.

use super::settings::{Kind, Timeouts};
use super::{CameraError, Settings, Slot, Source, open};
use graft_base::frame::Frame;
use graft_control::backoff::Backoff;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

/// What the camera is doing; reported once per change.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Status {
    /// Frames arrive; the text describes the camera and what was negotiated.
    Open(String),
    /// No frames, and why; it is being opened again and again.
    Lost(String),
    /// A recording is over.
    Ended,
}

/// The times of the supervision.
#[derive(Clone, Copy, Debug)]
struct Timing {
    /// Wait before the first reopening.
    first: Duration,
    /// Longest wait between two reopenings.
    longest: Duration,
    /// Frames for this long make the waits short again.
    good: Duration,
    /// How often the supervising thread looks up.
    tick: Duration,
    /// How long a stop waits for the reading thread.
    stop_limit: Duration,
}

impl Default for Timing {
    fn default() -> Self {
        Self {
            first: Duration::from_millis(200),
            longest: Duration::from_secs(30),
            good: Duration::from_secs(5),
            tick: Duration::from_millis(25),
            stop_limit: Duration::from_millis(150),
        }
    }
}

/// Fills `slot` with the frames of the camera until `stop` is set, then closes the slot and returns within 200 ms.
///
/// A camera that cannot be opened, is silent for too long ([`Source::timeouts`]) or goes away is reported as
/// [`Status::Lost`] and opened again with waits that double from 0.2 to 30 s. Frame ids go on counting over a
/// reopening. At the end of a recording it reports [`Status::Ended`] and waits for the stop. A V4L2 device, which costs
/// nothing to ask, is opened again every second.
pub fn run(settings: Settings, slot: Arc<Slot>, stop: Arc<AtomicBool>, on_status: impl FnMut(Status) + Send) {
    let mut timing = Timing::default();
    if settings.source == Kind::V4l2 {
        timing.longest = Duration::from_secs(1);
    }
    supervise(Arc::new(move || open(&settings)), &slot, &stop, timing, on_status);
}

type Open = Arc<dyn Fn() -> Result<Box<dyn Source>, CameraError> + Send + Sync>;

fn supervise(
    open: Open,
    slot: &Arc<Slot>,
    stop: &AtomicBool,
    timing: Timing,
    mut on_status: impl FnMut(Status),
) {
    let mut last: Option<Status> = None;
    let mut report = |status: Status| {
        if last.as_ref() != Some(&status) {
            on_status(status.clone());
            last = Some(status);
        }
    };
    let last_id = Arc::new(AtomicU64::new(0));
    let mut backoff = Backoff::new(timing.first, timing.longest);
    while !stop.load(Ordering::Relaxed) {
        let attempt = Attempt::start(open.clone(), slot.clone(), last_id.clone());
        let (good, why) = attempt.watch(stop, timing, &mut report);
        match why {
            End::Stopped => {
                attempt.finish(Instant::now() + timing.stop_limit, || false);
                break;
            }
            End::Ended => {
                report(Status::Ended);
                attempt.finish(Instant::now() + timing.stop_limit, || stop.load(Ordering::Relaxed));
                pause(stop, slot, Duration::MAX, timing.tick);
                break;
            }
            End::Lost(error) => report(Status::Lost(error.to_string())),
        }
        if good >= timing.good {
            backoff.reset();
        }
        // A reader that hangs in a driver is waited for: two at a time would fight for the camera.
        attempt.finish(Instant::now() + Duration::from_secs(1 << 30), || stop.load(Ordering::Relaxed));
        pause(stop, slot, backoff.wait(fastrand::f64()), timing.tick);
    }
    slot.close();
}

/// Sleeps, but wakes soon after a stop.
fn pause(stop: &AtomicBool, slot: &Slot, length: Duration, tick: Duration) {
    let start = Instant::now();
    while !stop.load(Ordering::Relaxed) && start.elapsed() < length {
        slot.turn();
        thread::sleep(tick.min(length.saturating_sub(start.elapsed())));
    }
}

/// Why an attempt is over.
enum End {
    Stopped,
    Ended,
    Lost(CameraError),
}

enum Event {
    /// Opened; how patient to be from now on.
    Opened(Timeouts),
    /// The first frame is in the slot.
    Delivers(String),
    Failed(CameraError),
}

/// One opening of the camera.
struct Attempt {
    slot: Arc<Slot>,
    events: Receiver<Event>,
    /// Counts signs of life.
    beats: Arc<AtomicU64>,
    /// Counts turns of the reader, with a frame or without.
    turns: Arc<AtomicU64>,
    quit: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
    failed: Option<std::io::Error>,
}

impl Attempt {
    fn start(open: Open, slot: Arc<Slot>, last_id: Arc<AtomicU64>) -> Self {
        let (sender, events) = channel();
        let beats = Arc::new(AtomicU64::new(0));
        let quit = Arc::new(AtomicBool::new(false));
        let turns = Arc::new(AtomicU64::new(0));
        let reader = Reader {
            slot: slot.clone(),
            last_id,
            beats: beats.clone(),
            turns: turns.clone(),
            quit: quit.clone(),
            events: sender,
        };
        match thread::Builder::new().name("camera".into()).spawn(move || reader.read(&*open)) {
            Ok(thread) => Self { slot, events, beats, turns, quit, thread: Some(thread), failed: None },
            Err(error) => Self { slot, events, beats, turns, quit, thread: None, failed: Some(error) },
        }
    }

    /// Follows the attempt to its end. Also says for how long frames came.
    fn watch(&self, stop: &AtomicBool, timing: Timing, report: &mut impl FnMut(Status)) -> (Duration, End) {
        let start = Instant::now();
        let mut timeouts = Timeouts::default();
        let mut delivers_since: Option<Instant> = None;
        let (mut seen, mut alive) = (0, start);
        let mut turned = 0;
        loop {
            // This loop and the reader's: only both together are progress.
            let turns = self.turns.load(Ordering::Relaxed);
            if turns != turned {
                turned = turns;
                self.slot.turn();
            }
            let good = delivers_since.map_or(Duration::ZERO, |since| since.elapsed());
            if stop.load(Ordering::Relaxed) {
                return (good, End::Stopped);
            }
            match self.events.recv_timeout(timing.tick) {
                Ok(Event::Opened(wanted)) => timeouts = wanted,
                Ok(Event::Delivers(text)) => {
                    delivers_since = Some(Instant::now());
                    report(Status::Open(text));
                }
                Ok(Event::Failed(CameraError::Ended)) => return (good, End::Ended),
                Ok(Event::Failed(error)) => return (good, End::Lost(error)),
                Err(RecvTimeoutError::Disconnected) => {
                    let text = match &self.failed {
                        Some(error) => format!("the camera thread could not be started: {error}"),
                        None => "the camera thread failed inside; this is a bug, please report it".into(),
                    };
                    return (good, End::Lost(CameraError::Lost(text)));
                }
                Err(RecvTimeoutError::Timeout) => {}
            }
            let beats = self.beats.load(Ordering::Relaxed);
            if beats != seen {
                (seen, alive) = (beats, Instant::now());
            }
            let limit = if delivers_since.is_some() { timeouts.between } else { timeouts.first };
            if alive.elapsed() > limit {
                return (good, End::Lost(CameraError::TimedOut));
            }
        }
    }

    /// Tells the reader to quit and waits for it until the deadline, or until `leave` says so.
    fn finish(mut self, deadline: Instant, leave: impl Fn() -> bool) {
        self.quit.store(true, Ordering::Relaxed);
        let Some(thread) = self.thread.take() else { return };
        while !thread.is_finished() && Instant::now() < deadline && !leave() {
            thread::sleep(Duration::from_millis(2));
        }
        if thread.is_finished() {
            // A panic inside was already reported as a loss.
            let _ = thread.join();
        }
    }
}

struct Reader {
    slot: Arc<Slot>,
    last_id: Arc<AtomicU64>,
    beats: Arc<AtomicU64>,
    turns: Arc<AtomicU64>,
    quit: Arc<AtomicBool>,
    events: Sender<Event>,
}

/// Longest time inside one poll of a source.
const POLL: Duration = Duration::from_millis(50);

impl Reader {
    fn read(self, open: &dyn Fn() -> Result<Box<dyn Source>, CameraError>) {
        // A send fails only when nobody listens any more, and then the answer does not matter.
        let send = |event| drop(self.events.send(event));
        let mut source = match open() {
            Ok(source) => source,
            Err(error) => return send(Event::Failed(error)),
        };
        send(Event::Opened(source.timeouts()));
        let base = self.last_id.load(Ordering::Relaxed);
        let mut delivers = false;
        let mut broken = 0u64;
        loop {
            self.turns.fetch_add(1, Ordering::Relaxed);
            let polled = source.poll(POLL);
            if self.quit.load(Ordering::Relaxed) {
                // A frame that comes out of a hanging call is stale.
                return;
            }
            match polled {
                Ok(Some(mut frame)) => {
                    frame.id = frame.id.saturating_add(base);
                    self.last_id.store(frame.id, Ordering::Relaxed);
                    self.beats.fetch_add(1, Ordering::Relaxed);
                    self.put(frame, source.lossless());
                    if !delivers {
                        delivers = true;
                        send(Event::Delivers(source.describe()));
                    }
                }
                Ok(None) => {}
                Err(CameraError::Broken(text)) => {
                    broken += 1;
                    if broken.is_power_of_two() {
                        tracing::warn!(broken, "camera frame skipped: {text}");
                    }
                }
                Err(error) => return send(Event::Failed(error)),
            }
        }
    }

    fn put(&self, frame: Frame, lossless: bool) {
        if !lossless {
            return self.slot.put(frame);
        }
        let mut waiting = Some(frame);
        while let Some(frame) = waiting.take() {
            if self.quit.load(Ordering::Relaxed) {
                return;
            }
            waiting = self.slot.put_wait(frame, POLL);
            self.beats.fetch_add(1, Ordering::Relaxed);
            self.turns.fetch_add(1, Ordering::Relaxed);
        }
    }
}

#[cfg(test)]
#[path = "supervise_tests.rs"]
mod tests;
