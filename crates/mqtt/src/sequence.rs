//! Publications that belong together in stages, and what of them stays at the broker.

use super::Publication;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Part {
    Todo,
    Sent,
    Done,
}

/// Stages of publications: each stage waits until everything of the one before is acknowledged.
#[derive(Debug)]
pub(super) struct Sequence {
    pub id: u64,
    pub token: Option<u64>,
    /// Repeats something that was complete before, because the broker may have lost it.
    pub repeat: bool,
    pub stages: Vec<Vec<Publication>>,
    stage: usize,
    parts: Vec<Part>,
}

impl Sequence {
    pub fn new(id: u64, token: Option<u64>, repeat: bool, mut stages: Vec<Vec<Publication>>) -> Self {
        stages.retain(|stage| !stage.is_empty());
        for publication in stages.iter_mut().flatten() {
            publication.qos1 = true;
            publication.token = None;
        }
        let mut sequence = Self { id, token, repeat, stages, stage: 0, parts: Vec::new() };
        sequence.restart();
        sequence
    }

    /// Back to the first stage.
    pub fn restart(&mut self) {
        self.stage = 0;
        self.parts = vec![Part::Todo; self.stages.first().map_or(0, Vec::len)];
    }

    pub fn is_finished(&self) -> bool {
        self.stage >= self.stages.len()
    }

    /// The next publication that may be sent, and its place in the stage.
    pub fn next(&self) -> Option<(usize, &Publication)> {
        let index = self.parts.iter().position(|part| *part == Part::Todo)?;
        Some((index, self.stages.get(self.stage)?.get(index)?))
    }

    pub fn sent(&mut self, index: usize) {
        if let Some(part) = self.parts.get_mut(index) {
            *part = Part::Sent;
        }
    }

    /// One publication of the current stage was acknowledged.
    pub fn done(&mut self, index: usize) {
        if let Some(part) = self.parts.get_mut(index) {
            *part = Part::Done;
        }
        self.advance();
    }

    /// Leaves out what was not sent yet on `topic`, because something newer is there.
    pub fn forget(&mut self, topic: &str) {
        for stage in self.stages.iter_mut().skip(self.stage + 1) {
            stage.retain(|publication| publication.topic != topic);
        }
        if let Some(stage) = self.stages.get(self.stage) {
            for (part, publication) in self.parts.iter_mut().zip(stage) {
                if *part == Part::Todo && publication.topic == topic {
                    *part = Part::Done;
                }
            }
        }
        self.advance();
    }

    fn advance(&mut self) {
        while !self.is_finished() && self.parts.iter().all(|part| *part == Part::Done) {
            self.stage += 1;
            self.parts = vec![Part::Todo; self.stages.get(self.stage).map_or(0, Vec::len)];
        }
    }
}

/// The retained publications of finished sequences, in the order in which they are published again at a connect.
#[derive(Debug, Default)]
pub(super) struct RetainedSequences {
    kept: Vec<(u64, Vec<Vec<Publication>>)>,
}

impl RetainedSequences {
    /// Keeps the retained publications of a finished sequence; older ones on the same topics are forgotten.
    pub fn add(&mut self, id: u64, mut stages: Vec<Vec<Publication>>) {
        for publication in stages.iter().flatten() {
            self.forget(&publication.topic);
        }
        for stage in &mut stages {
            stage.retain(|publication| publication.retain && !publication.payload.is_empty());
        }
        self.kept.push((id, stages));
        self.drop_empty();
    }

    pub fn forget(&mut self, topic: &str) {
        for stage in self.kept.iter_mut().flat_map(|(_, stages)| stages) {
            stage.retain(|publication| publication.topic != topic);
        }
        self.drop_empty();
    }

    pub fn remove(&mut self, id: u64) {
        self.kept.retain(|(kept, _)| *kept != id);
    }

    /// All of it, as sequences to be published again.
    pub fn repeats(&self) -> Vec<Sequence> {
        self.kept.iter().map(|(id, stages)| Sequence::new(*id, None, true, stages.clone())).collect()
    }

    fn drop_empty(&mut self) {
        self.kept.retain(|(_, stages)| stages.iter().any(|stage| !stage.is_empty()));
    }
}
