//! Which burst a label belongs to, and what a recording keeps.

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
    last_taken: Option<Instant>,
    last_embedding: Vec<f32>,
    skip_above: f32,
}

impl Recording {
    /// Keeps `hz` frames a second, `most` in all; frames whose embedding's cosine to the last kept
    /// one is above `skip_above` are near-duplicates and skipped.
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
        if cosine(&self.last_embedding, embedding) > self.skip_above {
            self.skipped += 1;
            return false;
        }
        self.last_embedding = embedding.to_vec();
        self.kept += 1;
        true
    }

    /// Whether it has all it wanted.
    pub fn full(&self) -> bool {
        self.kept >= self.most
    }

    /// Whether its time is over at `now`. Frames do not tell: near-duplicates are not kept, and a camera may
    /// give none.
    pub fn over(&self, now: Instant) -> bool {
        self.until.is_some_and(|until| now >= until)
    }

    /// Frames kept, near-duplicates skipped.
    pub fn counts(&self) -> (u32, u32) {
        (self.kept, self.skipped)
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
        assert!(!recording.wants(at(260), &[2.0, 0.01]), "near-duplicate");
        assert!(recording.wants(at(520), &[0.0, 1.0]));
        assert!(recording.full());
        assert!(!recording.wants(at(1000), &[1.0, 1.0]));
        assert_eq!(recording.counts(), (2, 1));
    }

    #[test]
    fn a_recording_of_some_seconds_lasts_so_long_whatever_it_keeps() {
        let start = Instant::now();
        let at = |ms| start + Duration::from_millis(ms);
        let mut recording =
            Recording::new(1, "ok".into(), "b".into(), "t".into(), 4.0, u32::MAX, 0.98).until(Some(at(1000)));
        assert!(recording.wants(at(0), &[1.0, 0.0]));
        assert!(!recording.wants(at(500), &[1.0, 0.0]), "a scene at rest");
        assert!(!recording.over(at(999)));
        assert!(recording.over(at(1000)));
        assert!(!recording.wants(at(1000), &[0.0, 1.0]), "too late");
        assert_eq!(recording.counts(), (1, 1));
    }
}
