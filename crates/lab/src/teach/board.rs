//! The board in front of the person: the daemon's state machine, rounds, gate and settings, without camera, store and
//! clock.

use super::plan::{Act, Burst, Step};
use super::set::Set;
use super::truth::{Truth, truth};
use graft::config::Settings;
use graft::lab::{ActiveHead, Assignment, ClassCount, Finished, Opponent, run_round};
use graft_control::{
    Action, ClassTally, Control, Event, JobId, JobIds, Origin, RoundFailure, Verdict, Version, Wanted,
};
use graft_learn::{Choice, Estimate, LearnError, Options, Snapshot};
use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

/// From one thing that is shown to the next.
const PAUSE: Duration = Duration::from_secs(5);

/// A stored sample.
#[derive(Clone, Copy, Debug)]
pub struct Sample {
    id: i64,
    /// Of the set.
    pub row: usize,
    /// Index of the class that it was given.
    pub label: usize,
    burst: u64,
}

/// The head in use.
#[derive(Clone, Debug)]
pub struct Serving {
    /// It.
    pub head: ActiveHead,
    held_out: BTreeMap<i64, String>,
    /// What its round said of it.
    pub accuracy: Estimate,
}

/// What the gate did with a candidate while another head served.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Judgement {
    /// It took the active head's place.
    pub promoted: bool,
    /// True accuracy of the candidate minus that of the active head.
    pub better: f64,
}

/// What the board has and did.
pub struct Board<'a> {
    set: &'a Set,
    judges: &'a [usize],
    settings: &'a Settings,
    control: Control,
    jobs: JobIds,
    now: Duration,
    /// By class of the set; `None` where there is no such class here.
    names: Vec<Option<String>>,
    pub samples: Vec<Sample>,
    counted: u64,
    wrong: HashSet<u64>,
    version: Version,
    pub serving: Option<Serving>,
    /// When the first head came, and of how many samples.
    pub first: Option<(Duration, usize)>,
    /// Whether the person had to ask for the first head.
    pub asked: bool,
    pub judgements: Vec<Judgement>,
    /// Bursts that are wrong as a whole among the five most suspect ones of the last round, and all such bursts.
    pub named: Option<(usize, usize)>,
    /// Rounds that gave nothing, and why.
    pub failures: Vec<String>,
}

impl<'a> Board<'a> {
    /// With nothing taught yet, in the mode that adapts.
    pub fn new(set: &'a Set, judges: &'a [usize], settings: &'a Settings) -> Self {
        Self {
            set,
            judges,
            settings,
            control: Control::new(settings.policy(), Wanted::Adapt, None, false),
            jobs: JobIds::new(1),
            now: Duration::ZERO,
            names: vec![None; set.classes.len()],
            samples: Vec::new(),
            counted: 0,
            wrong: HashSet::new(),
            version: 0,
            serving: None,
            first: None,
            asked: false,
            judgements: Vec::new(),
            named: None,
            failures: Vec::new(),
        }
    }

    /// Does what the person does, and waits for a round; where none starts, the person asks for one.
    pub fn step(&mut self, step: &Step) {
        for act in step {
            let changed = self.act(act);
            let samples = Event::Samples { changed, classes: self.tallies() };
            let actions = self.control.handle(self.now, samples, &mut self.jobs);
            self.carry_out(actions);
        }
        self.now += self.settings.policy().round.idle + Duration::from_secs(1);
        let actions = self.control.handle(self.now, Event::Tick, &mut self.jobs);
        if !self.carry_out(actions) {
            let actions = self.control.handle(self.now, Event::Train(0, None), &mut self.jobs);
            let before = self.first.is_some();
            self.carry_out(actions);
            self.asked |= !before && self.first.is_some();
        }
    }

    /// The head in use on what judges.
    pub fn truth(&self) -> Option<Truth> {
        let serving = self.serving.as_ref()?;
        Some(self.truth_of(&serving.head))
    }

    /// Samples of each class as they should be labelled.
    pub fn mix(&self) -> Vec<usize> {
        let mut mix = vec![0; self.set.classes.len()];
        for class in self.samples.iter().filter_map(|sample| self.set.picture(sample.row).class) {
            mix[class] += 1;
        }
        mix
    }

    fn truth_of(&self, head: &ActiveHead) -> Truth {
        let threshold = self.settings.predict.threshold;
        truth(self.set, self.judges, head, &self.names, &self.mix(), threshold)
    }

    fn name_of(&self, class: usize) -> String {
        self.set.classes.get(class).cloned().unwrap_or_default()
    }

    /// Samples that were touched.
    fn act(&mut self, act: &Act) -> usize {
        let touched = self.touch(act);
        let live = self.names.iter().enumerate().filter_map(|(class, name)| {
            Some(ClassCount { id: id_of(class), name: name.clone()?, samples: 0, bursts: 0 })
        });
        let live: Vec<ClassCount> = live.collect();
        if let Some(serving) = &mut self.serving
            && let Some(renamed) = serving.head.renamed(&live)
        {
            serving.head = renamed;
        }
        touched
    }

    fn touch(&mut self, act: &Act) -> usize {
        let of_class = |samples: &[Sample], class: usize| samples.iter().filter(|s| s.label == class).count();
        match act {
            Act::Teach(burst) => self.teach(burst),
            Act::Import(pictures) => self.import(pictures),
            Act::Rename(class) => {
                self.names[*class] = Some(format!("{} renamed", self.name_of(*class)));
                of_class(&self.samples, *class)
            }
            Act::Remove(class) => {
                let touched = of_class(&self.samples, *class);
                self.names[*class] = None;
                self.samples.retain(|sample| sample.label != *class);
                touched
            }
            Act::Forget => {
                let before = self.samples.len();
                let mut at = 0;
                self.samples.retain(|_| {
                    at += 1;
                    at % 2 == 0
                });
                before - self.samples.len()
            }
        }
    }

    fn teach(&mut self, burst: &Burst) -> usize {
        if self.names[burst.label].is_none() {
            self.names[burst.label] = Some(self.name_of(burst.label));
        }
        self.counted += 1;
        // Numbers of new bursts and of known groups never meet.
        let number = burst.known_as.map_or(2 * self.counted, |group| 2 * group + 1);
        if burst.wrong {
            self.wrong.insert(number);
        }
        let before = self.samples.len();
        let mut kept: Option<usize> = None;
        for row in &burst.rows {
            // A capture leaves out what looks like the last frame that it kept.
            let near = |last: usize| self.set.cosine(last, *row) > self.settings.capture.skip_above;
            if self.set.rate.is_some() && kept.is_some_and(near) {
                continue;
            }
            kept = Some(*row);
            let id = self.samples.last().map_or(1, |last| last.id + 1);
            self.samples.push(Sample { id, row: *row, label: burst.label, burst: number });
        }
        let hz = self.settings.capture.hz;
        self.now += Duration::from_secs_f64(burst.rows.len() as f64 / hz);
        if !burst.follows {
            self.now += PAUSE;
        }
        self.samples.len() - before
    }

    /// As an import does it once all pictures are there, whose names tell nothing.
    fn import(&mut self, pictures: &[(usize, usize)]) -> usize {
        let before = self.samples.len();
        for (row, label) in pictures {
            self.teach(&Burst {
                rows: vec![*row],
                label: *label,
                known_as: None,
                wrong: false,
                follows: true,
            });
        }
        let snapshot = self.assignment(Choice::Auto).snapshot;
        for (sample, first) in self.samples.iter_mut().zip(graft_learn::group(&snapshot).first).skip(before) {
            sample.burst = snapshot.bursts[first];
        }
        self.samples.len() - before
    }

    fn tallies(&self) -> Vec<ClassTally> {
        let tally = |class: usize| {
            let own = || self.samples.iter().filter(|sample| sample.label == class);
            let bursts: BTreeSet<u64> = own().map(|sample| sample.burst).collect();
            (own().count(), bursts.len())
        };
        let named = self.names.iter().enumerate().filter_map(|(class, name)| Some((class, name.clone()?)));
        named
            .map(|(class, name)| {
                let (samples, bursts) = tally(class);
                ClassTally { name, samples, bursts }
            })
            .collect()
    }

    /// Whether a round ran.
    fn carry_out(&mut self, actions: Vec<Action>) -> bool {
        let started = actions.into_iter().find_map(|action| match action {
            Action::StartRound(job, choice) => Some((job, choice)),
            _ => None,
        });
        if let Some((job, choice)) = started {
            self.round(job, choice);
        }
        started.is_some()
    }

    fn round(&mut self, job: JobId, choice: Choice) {
        let assignment = self.assignment(choice);
        let result = run_round(&assignment, &AtomicBool::new(false), &mut |_| {});
        let event = match &result {
            Ok(finished) => {
                self.now += Duration::from_millis(finished.millis);
                Event::RoundFinished(job, Box::new(finished.outcome.clone()))
            }
            Err(error) => {
                self.failures.push(error.to_string());
                let failure = match error {
                    LearnError::NotEnough { .. } => RoundFailure::NotEnough(error.to_string()),
                    error => RoundFailure::Failed(error.to_string()),
                };
                Event::RoundFailed(job, failure)
            }
        };
        let actions = self.control.handle(self.now, event, &mut self.jobs);
        let verdict = actions.into_iter().find_map(|action| match action {
            Action::Store { verdict, .. } => Some(verdict),
            _ => None,
        });
        if let Some((verdict, finished)) = verdict.zip(result.ok()) {
            self.store(Origin::Round(job), &verdict, finished, &assignment.snapshot);
        }
    }

    fn assignment(&self, choice: Choice) -> Assignment {
        let mut number = vec![0; self.names.len()];
        let (mut classes, mut class_ids) = (Vec::new(), Vec::new());
        for (at, name) in self.names.iter().enumerate() {
            if let Some(name) = name {
                number[at] = classes.len() as u32;
                classes.push(name.clone());
                class_ids.push(id_of(at));
            }
        }
        let mut snapshot = Snapshot::new(self.set.width, classes.len());
        for sample in &self.samples {
            snapshot.embeddings.extend(self.set.stored(sample.row));
            snapshot.labels.push(number[sample.label]);
            snapshot.bursts.push(sample.burst);
        }
        let opponent = self.serving.as_ref().map(|serving| Opponent {
            head: serving.head.clone(),
            held_out: serving.held_out.clone(),
            embedded: None,
            taught: Arc::default(),
        });
        Assignment {
            snapshot,
            ids: self.samples.iter().map(|sample| sample.id).collect(),
            classes,
            class_ids,
            opponent,
            options: Options { choice, ..self.settings.learn.options() },
            threads: 1,
        }
    }

    fn store(&mut self, origin: Origin, verdict: &Verdict, finished: Finished, snapshot: &Snapshot) {
        self.version += 1;
        let candidate = ActiveHead {
            version: self.version,
            head: Arc::new(finished.round.head),
            classes: finished.classes.into_iter().map(Some).collect(),
            ids: finished.class_ids.into(),
        };
        if let Some(serving) = &self.serving {
            let better = self.truth_of(&candidate).accuracy - self.truth_of(&serving.head).accuracy;
            self.judgements.push(Judgement { promoted: verdict.promotes(), better });
        }
        let suspects = finished.round.suspects.iter();
        self.count_suspects(
            suspects.filter_map(|suspect| snapshot.bursts.get(suspect.row as usize).copied()),
        );
        let stored = Event::Stored(origin, self.version);
        let actions = self.control.handle(self.now, stored, &mut self.jobs);
        if !actions.iter().any(|action| matches!(action, Action::Install(..))) {
            return;
        }
        self.serving = Some(Serving {
            head: candidate,
            held_out: finished.held_out.into_iter().map(|held| (held.sample, held.class)).collect(),
            accuracy: finished.round.report.accuracy,
        });
        self.first.get_or_insert((self.now, self.samples.len()));
        self.control.handle(self.now, Event::Installed(origin, self.version), &mut self.jobs);
    }

    fn count_suspects(&mut self, bursts: impl Iterator<Item = u64>) {
        let mut first = Vec::new();
        for burst in bursts {
            if !first.contains(&burst) && first.len() < 5 {
                first.push(burst);
            }
        }
        let found = first.iter().filter(|burst| self.wrong.contains(burst)).count();
        self.named = (!self.wrong.is_empty()).then_some((found, self.wrong.len()));
    }
}

/// The id that the store would give a class.
fn id_of(class: usize) -> i64 {
    class as i64 + 1
}
