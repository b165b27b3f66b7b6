//! Which burst a label belongs to, and what a recording keeps.

use serde_json::{Value, json};
use std::time::{Duration, Instant};

/// Names bursts: labels of one class that follow each other closely share one.
pub struct Bursts {
    prefix: String,
    count: u64,
    gap: Duration,
    last: Option<(String, Instant, String)>,
}

impl Bursts {
    /// `prefix` is new at each start of the daemon, so that names never come twice.
    pub fn new(prefix: String, gap: Duration) -> Self {
        Self { prefix, count: 0, gap, last: None }
    }

    /// A burst that nothing else belongs to yet.
    pub fn fresh(&mut self) -> String {
        self.count += 1;
        format!("{}-{}", self.prefix, self.count)
    }

    /// Closes the open burst: what comes next belongs to another.
    pub fn seal(&mut self) {
        self.last = None;
    }

    /// The burst of a frame taken at `taken` and labelled `class`.
    pub fn of(&mut self, class: &str, taken: Instant) -> String {
        let near = |a: Instant, b: Instant| {
            a.saturating_duration_since(b) <= self.gap && b.saturating_duration_since(a) <= self.gap
        };
        let name = match &self.last {
            Some((last, at, name)) if last == class && near(*at, taken) => name.clone(),
            _ => self.fresh(),
        };
        self.last = Some((class.to_owned(), taken, name.clone()));
        name
    }
}

/// A running recording: frames of one class, thinned out, until enough, too late, or told to stop.
pub struct Recording {
    /// The class that every kept frame gets.
    pub class: String,
    /// The burst that they all belong to.
    pub burst: String,
    /// Who asked for it.
    pub by: String,
    /// The command that began it.
    pub token: u64,
    every: Duration,
    most: u32,
    until: Option<Instant>,
    kept: u32,
    skipped: u32,
    /// When the first frame was kept, and the last one.
    kept_at: Option<(Instant, Instant)>,
    last_taken: Option<Instant>,
    last_embedding: Vec<f32>,
    skip_above: f32,
}

impl Recording {
    /// Keeps `hz` frames a second, `most` in all. Frames whose embedding's cosine to the last kept one is above
    /// `skip_above` are near-copies: of a scene at rest those after 0, 1, 2, 4, 8 … steps of `1 / hz` are kept, so that
    /// half a second gives three, a minute nine, and every burst has some from all over its time (decision 0036).
    pub fn new(
        token: u64,
        class: String,
        burst: String,
        by: String,
        hz: f64,
        most: u32,
        skip_above: f32,
    ) -> Self {
        Self {
            class,
            burst,
            by,
            token,
            every: Duration::from_secs_f64(1.0 / hz.max(0.01)),
            most,
            until: None,
            kept: 0,
            skipped: 0,
            kept_at: None,
            last_taken: None,
            last_embedding: Vec::new(),
            skip_above,
        }
    }

    /// Ends it at this moment too; `None`: at none.
    pub fn until(self, until: Option<Instant>) -> Self {
        Self { until, ..self }
    }

    /// Whether this frame is to be kept.
    pub fn wants(&mut self, taken: Instant, embedding: &[f32]) -> bool {
        // A tenth of slack, or a 4 Hz recording of a 4 fps camera would miss every other frame.
        let due = self
            .last_taken
            .is_none_or(|last| taken.saturating_duration_since(last) >= self.every.mul_f64(0.9));
        if !due || self.full() || self.over(taken) {
            return false;
        }
        self.last_taken = Some(taken);
        let first = self.kept_at.map_or(taken, |(first, _)| first);
        let too_soon = self.kept_at.is_some_and(|(first, last)| {
            taken.saturating_duration_since(last) + self.every.mul_f64(0.1)
                < last.saturating_duration_since(first)
        });
        if too_soon && cosine(&self.last_embedding, embedding) > self.skip_above {
            self.skipped += 1;
            return false;
        }
        self.last_embedding = embedding.to_vec();
        self.kept_at = Some((first, taken));
        self.kept += 1;
        true
    }

    /// Whether it has all it wanted.
    pub fn full(&self) -> bool {
        self.kept >= self.most
    }

    /// Whether its time is over at `now`. Frames do not tell: near-copies are not kept, and a camera may
    /// give none.
    pub fn over(&self, now: Instant) -> bool {
        self.until.is_some_and(|until| now >= until)
    }

    /// The time between its first frame and its last one: what the kept frames stand for.
    pub fn seen(&self) -> Duration {
        let span = self.kept_at.zip(self.last_taken);
        span.map_or(Duration::ZERO, |((first, _), last)| last.saturating_duration_since(first))
    }

    /// Frames kept, near-copies skipped.
    pub fn counts(&self) -> (u32, u32) {
        (self.kept, self.skipped)
    }

    /// How it went so far.
    pub fn facts(&self) -> Value {
        let (kept, skipped) = self.counts();
        let seconds = (self.seen().as_secs_f64() * 10.0).round() / 10.0;
        json!({"class": self.class, "burst": self.burst, "kept": kept, "skipped": skipped, "seconds": seconds})
    }
}

/// Cosine of the angle between two vectors; 0 where one is empty, zero or of another length.
pub fn cosine(a: &[f32], b: &[f32]) -> f32 {
    if a.len() != b.len() {
        return 0.0;
    }
    let dot = |x: &[f32], y: &[f32]| x.iter().zip(y).map(|(p, q)| p * q).sum::<f32>();
    let norms = dot(a, a).sqrt() * dot(b, b).sqrt();
    if norms > 0.0 { dot(a, b) / norms } else { 0.0 }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_of_one_class_close_together_share_a_burst() {
        let start = Instant::now();
        let at = |s| start + Duration::from_secs(s);
        let mut bursts = Bursts::new("b".into(), Duration::from_secs(5));
        assert_eq!(bursts.of("ok", at(0)), "b-1");
        assert_eq!(bursts.of("ok", at(4)), "b-1");
        assert_eq!(bursts.of("bad", at(5)), "b-2");
        assert_eq!(bursts.of("ok", at(6)), "b-3");
        assert_eq!(bursts.of("ok", at(12)), "b-4");
        assert_eq!(bursts.of("ok", at(8)), "b-4", "a frame just before belongs too");
    }

    #[test]
    fn a_recording_thins_skips_and_ends() {
        let start = Instant::now();
        let mut recording = Recording::new(1, "ok".into(), "b".into(), "t".into(), 4.0, 2, 0.98);
        let at = |ms| start + Duration::from_millis(ms);
        assert!(recording.wants(at(0), &[1.0, 0.0]));
        assert!(!recording.wants(at(100), &[0.0, 1.0]), "too soon");
        assert!(recording.wants(at(260), &[0.0, 1.0]));
        assert!(recording.full());
        assert!(!recording.wants(at(1000), &[1.0, 1.0]));
        assert_eq!(recording.counts(), (2, 0));
    }

    #[test]
    fn a_recording_of_some_seconds_lasts_so_long_whatever_it_keeps() {
        let start = Instant::now();
        let at = |ms| start + Duration::from_millis(ms);
        let mut recording =
            Recording::new(1, "ok".into(), "b".into(), "t".into(), 4.0, u32::MAX, 0.98).until(Some(at(1000)));
        assert!(recording.wants(at(0), &[1.0, 0.0]));
        assert!(!recording.over(at(999)));
        assert!(recording.over(at(1000)));
        assert!(!recording.wants(at(1000), &[0.0, 1.0]), "too late");
        assert_eq!(recording.counts(), (1, 0));
    }

    /// The quarters of a second at which frames are kept of a scene that changes at these.
    fn kept_of(quarters: u64, changes: &[u64]) -> (Vec<u64>, Recording) {
        let start = Instant::now();
        let mut recording = Recording::new(1, "ok".into(), "b".into(), "t".into(), 4.0, u32::MAX, 0.98);
        let mut look = 0.0f32;
        let mut kept = Vec::new();
        for quarter in 0..quarters {
            look += f32::from(u8::from(changes.contains(&quarter)));
            let embedding = [look.cos(), look.sin()];
            if recording.wants(start + Duration::from_millis(250 * quarter), &embedding) {
                kept.push(quarter);
            }
        }
        (kept, recording)
    }

    #[test]
    fn of_a_scene_at_rest_a_few_frames_of_all_its_time_are_kept() {
        let (kept, recording) = kept_of(21, &[]);
        assert_eq!(kept, [0, 1, 2, 4, 8, 16]);
        assert_eq!((recording.counts(), recording.seen()), ((6, 15), Duration::from_secs(5)));
        assert_eq!(kept_of(3, &[]).0.len(), 3, "half a second");
        assert_eq!(kept_of(240, &[]).0.len(), 9, "a minute");
        assert_eq!(kept_of(21, &[7, 20]).0, [0, 1, 2, 4, 7, 14, 20], "what changes is kept as ever");
    }
}
