//! Whether a round starts by itself, and what it waits for otherwise: the one place that decides it, so that what people
//! are told is what the machine does.

use std::fmt;
use std::time::Duration;

use super::{ClassTally, Hold, JobId, RoundPolicy, Wanted};

/// What decides, beside the samples, whether a round starts by itself.
#[derive(Clone, Debug, PartialEq)]
pub struct Readiness {
    /// When a round may start.
    pub round: RoundPolicy,
    /// What people want.
    pub wanted: Wanted,
    /// What holds adaptation back, sorted.
    pub holds: Vec<Hold>,
    /// The round that runs.
    pub running: Option<JobId>,
    /// A capture runs.
    pub labelling: bool,
    /// A trained head serves.
    pub has_head: bool,
    /// Samples that changed since the last round began.
    pub changed: usize,
}

/// What keeps a round from starting by itself. Its text is one sentence with the remedy.
#[derive(Clone, Debug, PartialEq)]
pub enum WaitsFor {
    /// A round runs.
    Running(JobId),
    /// No class has samples.
    Labels,
    /// Only this class has samples.
    SecondClass(String),
    /// Fewer than two classes have as much as the settings ask for; one that has too little.
    MoreOf {
        /// What it has.
        class: ClassTally,
        /// What is asked for.
        samples: usize,
        /// What is asked for.
        bursts: usize,
    },
    /// Adaptation is switched off.
    Start,
    /// A person paused it.
    Resume,
    /// The board is too hot.
    Cooling,
    /// There is no room for a head.
    Space,
    /// The flash has had its share of writes.
    Writes,
    /// A capture runs.
    EndOfCapture,
    /// No label has changed since the last round.
    NewLabels {
        /// A trained head serves.
        has_head: bool,
    },
    /// Fewer samples have changed than the settings ask for.
    NewSamples {
        /// Samples that changed.
        changed: usize,
        /// What is asked for.
        needed: usize,
    },
    /// Somebody labelled a moment ago.
    Pause(Duration),
}

impl fmt::Display for WaitsFor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Running(job) => write!(f, "round {job} is running"),
            Self::Labels => f.write_str("nothing is labelled: capture one burst of each of two classes"),
            Self::SecondClass(class) => {
                write!(f, "only {class} has samples: capture one burst of a second class")
            }
            Self::MoreOf { class: ClassTally { name, samples: has, bursts: from }, samples, bursts } => write!(
                f,
                "two classes with {bursts} bursts and {samples} samples each are needed, {name} has \
                 {from} and {has}: capture more of it, or lower learn.min_bursts_per_class and \
                 learn.min_samples_per_class"
            ),
            Self::Start => f.write_str("learning is off: `graft start` switches it on"),
            Self::Resume => f.write_str("learning is paused: `graft start` resumes it"),
            Self::Cooling => {
                f.write_str("the board is too hot: training goes on once it is below budget.resume_c")
            }
            Self::Space => f.write_str(
                "the disk or store.quota is full: delete samples, free space, or raise store.quota",
            ),
            Self::Writes => f.write_str(
                "the flash has taken budget.write_per_day: `graft train` trains now, or raise the budget",
            ),
            Self::EndOfCapture => f.write_str("a capture is running: a round starts after its end"),
            Self::NewLabels { has_head: true } => {
                f.write_str("no label has changed since the last round: capture another burst to teach more")
            }
            Self::NewLabels { has_head: false } => f.write_str(
                "the last round gave no head and no label has changed since: capture another burst of each class",
            ),
            Self::NewSamples { changed, needed } => write!(
                f,
                "{changed} of {needed} new samples are there (learn.new_samples): label more, or `graft train`"
            ),
            Self::Pause(left) => {
                write!(f, "a round starts when no label has changed for {:.0} s more", left.as_secs_f64().ceil())
            }
        }
    }
}

impl Readiness {
    /// The same after `touched` more samples have changed.
    #[must_use]
    pub fn after(self, touched: usize) -> Self {
        Self { changed: self.changed.saturating_add(touched), ..self }
    }

    /// What keeps a round from starting by itself, the first thing to be done first; `None`: it starts. These are the
    /// classes; nobody has labelled for as long as `quiet`.
    pub fn waits_for(&self, classes: &[ClassTally], quiet: Duration) -> Option<WaitsFor> {
        let lacks = self.running.map(WaitsFor::Running).or_else(|| self.lacks(classes));
        lacks.or_else(|| self.held()).or_else(|| self.too_soon(quiet))
    }

    /// What the samples lack.
    fn lacks(&self, classes: &[ClassTally]) -> Option<WaitsFor> {
        let RoundPolicy { min_samples: samples, min_bursts: bursts, .. } = self.round;
        let mut taught = classes.iter().filter(|class| class.samples > 0);
        match (taught.next(), taught.next()) {
            (None, _) => return Some(WaitsFor::Labels),
            (Some(only), None) => return Some(WaitsFor::SecondClass(only.name.clone())),
            _ => {}
        }
        let ready = |class: &&ClassTally| class.samples >= samples && class.bursts >= bursts;
        if classes.iter().filter(ready).count() >= 2 {
            return None;
        }
        let class = classes.iter().find(|class| class.samples > 0 && !ready(class))?.clone();
        Some(WaitsFor::MoreOf { class, samples, bursts })
    }

    /// What people or the board hold back.
    fn held(&self) -> Option<WaitsFor> {
        match self.wanted {
            Wanted::Infer => return Some(WaitsFor::Start),
            Wanted::Pause => return Some(WaitsFor::Resume),
            Wanted::Adapt => {}
        }
        self.holds.iter().find_map(|hold| match hold {
            // Its snapshot is on disk.
            Hold::CameraLost => None,
            Hold::DiskLow => Some(WaitsFor::Space),
            Hold::Thermal => Some(WaitsFor::Cooling),
            Hold::Writes => Some(WaitsFor::Writes),
            Hold::User => Some(WaitsFor::Resume),
        })
    }

    fn too_soon(&self, quiet: Duration) -> Option<WaitsFor> {
        let changed = self.changed;
        let needed = if self.has_head { self.round.new_samples.max(1) } else { 1 };
        if self.labelling {
            Some(WaitsFor::EndOfCapture)
        } else if changed == 0 {
            Some(WaitsFor::NewLabels { has_head: self.has_head })
        } else if changed < needed {
            Some(WaitsFor::NewSamples { changed, needed })
        } else {
            let left = self.round.idle.saturating_sub(quiet);
            (!left.is_zero()).then_some(WaitsFor::Pause(left))
        }
    }
}

#[cfg(test)]
#[path = "readiness_tests.rs"]
mod tests;
