use super::*;
use crate::tests::gray_frame;
use crate::{Kind, encode_jpeg};
use graft_base::frame::Rgb;
use std::collections::VecDeque;
use std::sync::Mutex;

/// What a scripted source does at one poll.
#[derive(Clone, Debug)]
enum Act {
    /// Gives a frame.
    Frame,
    /// Gives none for so many milliseconds.
    Quiet(u64),
    /// Does not come back for so many milliseconds, then gives a frame.
    Hang(u64),
    Fail(CameraError),
    Panic,
}

struct Scripted {
    acts: VecDeque<Act>,
    id: u64,
    lossless: bool,
    /// Sources that exist now.
    alive: Arc<AtomicU64>,
}

impl Drop for Scripted {
    fn drop(&mut self) {
        self.alive.fetch_sub(1, Ordering::SeqCst);
    }
}

impl Source for Scripted {
    fn describe(&self) -> String {
        "a scripted camera".into()
    }

    fn poll(&mut self, limit: Duration) -> Result<Option<Frame>, CameraError> {
        match self.acts.pop_front() {
            Some(Act::Frame) => {}
            Some(Act::Quiet(0)) | None => {
                thread::sleep(limit);
                return Ok(None);
            }
            Some(Act::Quiet(length)) => {
                let now = Duration::from_millis(length).min(limit);
                thread::sleep(now);
                self.acts.push_front(Act::Quiet(length.saturating_sub(now.as_millis() as u64)));
                return Ok(None);
            }
            Some(Act::Hang(length)) => thread::sleep(Duration::from_millis(length)),
            Some(Act::Fail(error)) => return Err(error),
            Some(Act::Panic) => std::panic::resume_unwind(Box::new("a source that fails inside")),
        }
        self.id += 1;
        Ok(Some(gray_frame(self.id)))
    }

    fn timeouts(&self) -> Timeouts {
        Timeouts { first: Duration::from_millis(900), between: Duration::from_millis(700) }
    }

    fn lossless(&self) -> bool {
        self.lossless
    }
}

const QUICK: Timing = Timing {
    first: Duration::from_millis(2),
    longest: Duration::from_millis(10),
    good: Duration::from_secs(5),
    tick: Duration::from_millis(2),
    stop_limit: Duration::from_millis(150),
};

/// A supervised camera that plays one script after each opening, the last one for ever.
struct Rig {
    slot: Arc<Slot>,
    stop: Arc<AtomicBool>,
    statuses: Arc<Mutex<Vec<Status>>>,
    opened: Arc<AtomicU64>,
    twice: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Rig {
    fn new(scripts: Vec<Result<Vec<Act>, CameraError>>, lossless: bool) -> Self {
        let opened = Arc::new(AtomicU64::new(0));
        let count = opened.clone();
        let (alive, twice) = (Arc::new(AtomicU64::new(0)), Arc::new(AtomicBool::new(false)));
        let two = twice.clone();
        let open = move || -> Result<Box<dyn Source>, CameraError> {
            let attempt = count.fetch_add(1, Ordering::SeqCst) as usize;
            let acts = scripts[attempt.min(scripts.len() - 1)].clone()?;
            if alive.fetch_add(1, Ordering::SeqCst) > 0 {
                two.store(true, Ordering::SeqCst);
            }
            Ok(Box::new(Scripted { acts: acts.into(), id: 0, lossless, alive: alive.clone() }))
        };
        let slot = Arc::new(Slot::new());
        let stop = Arc::new(AtomicBool::new(false));
        let statuses = Arc::new(Mutex::new(Vec::new()));
        let (a, b, c) = (slot.clone(), stop.clone(), statuses.clone());
        let thread = thread::spawn(move || {
            supervise(Arc::new(open), &a, &b, QUICK, |status| c.lock().unwrap().push(status));
        });
        Self { slot, stop, statuses, opened, twice, thread: Some(thread) }
    }

    /// Waits until the statuses are as wanted; the deadline is a hang guard.
    fn wait_for(&self, what: &str, wanted: impl Fn(&[Status]) -> bool) {
        let deadline = Instant::now() + Duration::from_secs(30);
        while !wanted(&self.statuses.lock().unwrap()) {
            assert!(Instant::now() < deadline, "{what} never came: {:?}", self.statuses.lock().unwrap());
            thread::sleep(Duration::from_millis(2));
        }
    }
}

impl Drop for Rig {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::SeqCst);
        if let Some(thread) = self.thread.take() {
            thread.join().unwrap();
        }
        assert!(self.slot.is_closed());
    }
}

fn open_status() -> Status {
    Status::Open("a scripted camera".into())
}

fn lost(text: &str) -> CameraError {
    CameraError::Lost(text.into())
}

#[test]
fn a_lost_camera_comes_back_and_each_change_is_reported_once() {
    let gone = Err(lost("unplugged"));
    let rig = Rig::new(
        vec![
            Ok(vec![Act::Frame, Act::Frame, Act::Fail(lost("unplugged"))]),
            gone.clone(),
            gone.clone(),
            gone,
            Ok(vec![Act::Frame]),
        ],
        false,
    );
    rig.wait_for("the return", |seen| seen.len() >= 3);
    let seen = rig.statuses.lock().unwrap().clone();
    assert_eq!(seen[..3], [open_status(), Status::Lost("unplugged".into()), open_status()]);
    let mut last = 0;
    while let Some(frame) = rig.slot.take(Duration::ZERO) {
        last = frame.id;
    }
    assert_eq!(last, 3, "ids go on counting after a reopening");
}

#[test]
fn silence_is_a_loss() {
    let rig = Rig::new(vec![Ok(vec![Act::Frame, Act::Quiet(60_000)]), Ok(vec![Act::Frame])], false);
    rig.wait_for("the return", |seen| seen.len() >= 3);
    let seen = rig.statuses.lock().unwrap().clone();
    assert_eq!(seen[..3], [open_status(), Status::Lost(CameraError::TimedOut.to_string()), open_status()]);
}

#[test]
fn silence_from_the_start_is_a_loss_too() {
    let rig = Rig::new(vec![Ok(vec![Act::Quiet(60_000)]), Ok(vec![Act::Frame])], false);
    rig.wait_for("the return", |seen| {
        seen == [Status::Lost(CameraError::TimedOut.to_string()), open_status()]
    });
}

#[test]
fn a_hanging_driver_is_noticed_and_its_late_frame_is_not_used() {
    let rig = Rig::new(vec![Ok(vec![Act::Frame, Act::Hang(2000)]), Ok(vec![Act::Frame])], false);
    rig.wait_for("the loss", |seen| seen.len() >= 2);
    assert_eq!(rig.statuses.lock().unwrap()[1], Status::Lost(CameraError::TimedOut.to_string()));
    rig.wait_for("the return", |seen| seen.len() >= 3);
    assert!(!rig.twice.load(Ordering::SeqCst), "no second opening while the first one hangs");
    assert_eq!(rig.slot.received(), 2, "the frame of the hanging call was thrown away");
}

#[test]
fn a_stop_is_answered_while_the_driver_hangs() {
    let mut rig = Rig::new(vec![Ok(vec![Act::Frame, Act::Hang(20_000)])], false);
    rig.wait_for("the opening", |seen| !seen.is_empty());
    rig.stop.store(true, Ordering::SeqCst);
    let stopped = Instant::now();
    rig.thread.take().unwrap().join().unwrap();
    // Far below the 20 s of the hanging call, far above what a busy machine needs.
    assert!(stopped.elapsed() < Duration::from_secs(10));
}

#[test]
fn an_end_is_reported_once_and_waits_for_the_stop() {
    let rig = Rig::new(vec![Ok(vec![Act::Frame, Act::Fail(CameraError::Ended)])], false);
    rig.wait_for("the end", |seen| seen.contains(&Status::Ended));
    assert_eq!(*rig.statuses.lock().unwrap(), [open_status(), Status::Ended]);
    assert_eq!(rig.opened.load(Ordering::SeqCst), 1);
    assert!(!rig.slot.is_closed());
}

#[test]
fn a_source_that_fails_inside_is_a_loss_and_a_broken_frame_is_not() {
    let broken = Act::Fail(CameraError::Broken("half a frame".into()));
    let rig = Rig::new(
        vec![Ok(vec![Act::Frame, Act::Panic]), Ok(vec![Act::Frame, broken.clone(), broken, Act::Frame])],
        false,
    );
    rig.wait_for("the return", |seen| seen.len() >= 3);
    assert!(matches!(&rig.statuses.lock().unwrap()[1], Status::Lost(text) if text.contains("bug")));
    let deadline = Instant::now() + Duration::from_secs(30);
    while rig.slot.received() < 3 && Instant::now() < deadline {
        thread::sleep(Duration::from_millis(2));
    }
    assert!(rig.slot.received() >= 3, "frames go on after a broken one");
}

#[test]
fn nothing_is_dropped_from_a_lossless_source() {
    let acts = std::iter::repeat_n(Act::Frame, 50).chain([Act::Fail(CameraError::Ended)]).collect();
    let rig = Rig::new(vec![Ok(acts)], true);
    for id in 1..=50 {
        if id == 10 {
            // Longer than the source's timeouts: a slow consumer is no loss.
            thread::sleep(Duration::from_millis(1100));
        }
        assert_eq!(rig.slot.take(Duration::from_secs(30)).unwrap().id, id);
    }
    rig.wait_for("the end", |seen| seen == [open_status(), Status::Ended]);
    assert_eq!(rig.slot.drops(), 0);
}

/// The whole path with a real source.
#[test]
fn a_folder_is_played_to_its_end() {
    let dir = tempfile::TempDir::new().unwrap();
    for name in ["a.jpg", "b.jpg", "c.jpg"] {
        std::fs::write(dir.path().join(name), encode_jpeg(&Rgb::black(8, 8), 80)).unwrap();
    }
    let path = dir.path().to_str().unwrap().to_string();
    let settings = Settings { source: Kind::Directory, path, fps: Some(0.0), ..Default::default() };
    let (slot, stop) = (Arc::new(Slot::new()), Arc::new(AtomicBool::new(false)));
    let statuses = Arc::new(Mutex::new(Vec::new()));
    let (a, b, c) = (slot.clone(), stop.clone(), statuses.clone());
    let thread = thread::spawn(move || run(settings, a, b, |status| c.lock().unwrap().push(status)));
    let names: Vec<String> =
        (0..3).map(|_| slot.take(Duration::from_secs(30)).unwrap().name.unwrap().to_string()).collect();
    assert_eq!(names, ["a.jpg", "b.jpg", "c.jpg"]);
    let deadline = Instant::now() + Duration::from_secs(30);
    while statuses.lock().unwrap().last() != Some(&Status::Ended) && Instant::now() < deadline {
        thread::sleep(Duration::from_millis(2));
    }
    stop.store(true, Ordering::SeqCst);
    thread.join().unwrap();
    assert!(matches!(statuses.lock().unwrap()[..], [Status::Open(_), Status::Ended]));
}
