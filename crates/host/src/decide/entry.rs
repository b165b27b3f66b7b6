//! One job: what is under way for it, and what its board is told.

use std::time::Duration;

use super::event::{EngineEnd, EngineFigures, HostAction, HostEvent, JobEnd, Now, Task};
use super::policy::Policy;
use crate::job::{Job, Phase};
use graft_wire::command::{Offload, Outcome, Progress};
use graft_wire::offload::{Offer, OfferState};
use graft_wire::timestamp::parse_rfc3339;

/// A claim without an answer is repeated.
const CLAIM_EVERY: Duration = Duration::from_secs(20);
/// Milliseconds for which a claim is good.
const CLAIM_GOOD_MS: i64 = 300_000;
/// Progress that renews the lease of a minute: four times in it.
const HEARTBEAT_EVERY: Duration = Duration::from_secs(15);
/// The engine's figures are sent at most this often.
const FIGURES_EVERY: Duration = Duration::from_secs(2);
/// Results and releases are repeated until the board clears or changes its offer.
const REPEAT_EVERY: Duration = Duration::from_secs(30);
/// An engine that says nothing for this long hangs.
const SILENCE: Duration = Duration::from_secs(900);
/// The engine may fail this often.
const ATTEMPTS: u32 = 3;
/// Without a free device the engine is tried again after this.
const DEVICE_AGAIN: Duration = Duration::from_secs(15);
/// A record that could not be written is written again after this.
const RECORD_AGAIN: Duration = Duration::from_secs(2);
/// A store that did not answer is asked again after this.
const CHECK_AGAIN: Duration = Duration::from_secs(30);
/// Longest reason that a board takes, in characters.
const REASON_CHARS: usize = 1000;

/// What a job needs of the outside while it takes an event.
pub(super) struct Turn<'a> {
    pub(super) now: Now,
    pub(super) policy: &'a Policy,
    /// Number of the last task.
    pub(super) tasks: &'a mut u64,
    /// A training device on which no engine runs.
    pub(super) free_device: Option<String>,
    pub(super) actions: &'a mut Vec<HostAction>,
}

impl Turn<'_> {
    fn task(&mut self, job: &Job) -> Task {
        *self.tasks += 1;
        Task { job: job.name(), number: *self.tasks }
    }
}

/// What is under way for a job.
#[derive(Clone, Debug)]
enum Work {
    Idle,
    /// Nothing until then.
    Waiting(Duration),
    /// The missing files are counted; `again`: more came meanwhile.
    Checking {
        task: Task,
        again: bool,
    },
    /// The job folder is written.
    Preparing(Task),
    /// The engine runs, or is being started; `heard` is when it last said something.
    Training {
        task: Task,
        device: String,
        heard: Duration,
        figures: EngineFigures,
    },
    Verifying(Task),
    Signing(Task),
    /// The changed job is being written; afterwards nothing happens for `pause`.
    Recording {
        task: Task,
        job: Box<Job>,
        pause: Duration,
    },
    /// It could not be written, and is written again at `at`.
    Unrecorded {
        job: Box<Job>,
        pause: Duration,
        at: Duration,
    },
}

/// A job as it is on disk, with what is under way for it.
#[derive(Clone, Debug)]
pub(super) struct Entry {
    pub(super) job: Job,
    work: Work,
    /// Its files were counted since the host's start and since the last one came.
    checked: bool,
    claimed: Option<Duration>,
    heartbeat: Option<Duration>,
    figures_sent: Option<Duration>,
    /// When its result or release was last sent.
    answered: Option<Duration>,
}

impl Entry {
    pub(super) fn new(job: Job) -> Self {
        Self {
            job,
            work: Work::Idle,
            checked: false,
            claimed: None,
            heartbeat: None,
            figures_sent: None,
            answered: None,
        }
    }

    /// The device that its engine occupies.
    pub(super) fn device(&self) -> Option<&String> {
        match &self.work {
            Work::Training { device, .. } => Some(device),
            _ => None,
        }
    }

    /// The task of its engine.
    pub(super) fn engine(&self) -> Option<&Task> {
        match &self.work {
            Work::Training { task, .. } => Some(task),
            _ => None,
        }
    }

    /// Whether it waits for an answer to this task.
    pub(super) fn waits_for(&self, answered: &Task) -> bool {
        match &self.work {
            Work::Checking { task, .. }
            | Work::Training { task, .. }
            | Work::Recording { task, .. }
            | Work::Preparing(task)
            | Work::Verifying(task)
            | Work::Signing(task) => task == answered,
            Work::Idle | Work::Waiting(_) | Work::Unrecorded { .. } => false,
        }
    }

    /// Why the job is over, going by its offer.
    pub(super) fn end(&self, offer: &Offer, now: Now, host: &str) -> Option<JobEnd> {
        let claimed = offer.state == OfferState::Claimed;
        match () {
            () if parse_rfc3339(&offer.expires).is_some_and(|end| now.wall_ms > end) => {
                Some(JobEnd::OfferExpired)
            }
            () if offer.dataset.digest != self.job.offer.dataset.digest => Some(JobEnd::OfferChanged),
            () if claimed && offer.host.as_deref() != Some(host) => Some(JobEnd::OtherHost),
            () if !claimed && matches!(self.job.phase, Phase::Released { outcome: Outcome::Retry, .. }) => {
                Some(JobEnd::OfferedAgain)
            }
            () => None,
        }
    }

    /// Tells the board what is due, and goes on with the phase where nothing is under way. `offer` is `None` while it
    /// has not been seen; it goes on all the same.
    pub(super) fn step(&mut self, offer: Option<&Offer>, turn: &mut Turn) {
        match offer.map(|offer| offer.state) {
            Some(OfferState::Claimed) => self.report(turn),
            // The board may offer again what cannot be done.
            Some(OfferState::Offered) if matches!(self.job.phase, Phase::Released { .. }) => return,
            Some(OfferState::Offered) if turn.now.due(&mut self.claimed, CLAIM_EVERY) => {
                let until_ms = turn.now.wall_ms.saturating_add(CLAIM_GOOD_MS);
                turn.actions.push(HostAction::Claim { job: Box::new(self.job.clone()), until_ms });
            }
            Some(OfferState::Offered) | None => {}
        }
        self.go_on(turn);
    }

    /// What the board, whose offer says that this host has the job, is to be told in this phase.
    fn report(&mut self, turn: &mut Turn) {
        let (job, host) = (self.job.offer.job.clone(), turn.policy.host.clone());
        let message = match &self.job.phase {
            Phase::Returned { manifest } => Offload::Result { job, host, manifest: manifest.clone() },
            Phase::Released { outcome, reason } => {
                Offload::Release { job, host, outcome: *outcome, reason: Some(reason.clone()) }
            }
            Phase::Receiving | Phase::Training | Phase::Verifying => {
                if turn.now.due(&mut self.heartbeat, HEARTBEAT_EVERY) {
                    self.send_progress(turn);
                }
                return;
            }
        };
        if turn.now.due(&mut self.answered, REPEAT_EVERY) {
            turn.actions.push(HostAction::Send { device: self.job.device.clone(), message });
        }
    }

    /// Sends progress, with the engine's figures while it runs.
    fn send_progress(&self, turn: &mut Turn) {
        let mut progress = Progress {
            job: self.job.offer.job.clone(),
            host: turn.policy.host.clone(),
            stage: self.job.phase.word().to_owned(),
            ..Progress::default()
        };
        if let Work::Training { figures, .. } = &self.work {
            // What a board would refuse is left out.
            let finite = |figure: Option<f64>| figure.filter(|f| f.is_finite());
            progress.step = figures.step;
            progress.steps = figures.steps;
            progress.epoch = figures.epoch;
            progress.loss = finite(figures.loss);
            progress.val_accuracy = finite(figures.val_accuracy).filter(|a| (0.0..=1.0).contains(a));
            progress.eta_s = finite(figures.eta_s).filter(|s| *s >= 0.0);
            let stage: String = figures.stage.chars().filter(|c| !c.is_control()).take(64).collect();
            if !stage.is_empty() {
                progress.stage = stage;
            }
        }
        let message = Offload::Progress(progress);
        turn.actions.push(HostAction::Send { device: self.job.device.clone(), message });
    }

    /// Begins what the phase asks for, where nothing is under way.
    fn go_on(&mut self, turn: &mut Turn) {
        let uptime = turn.now.uptime;
        match &self.work {
            Work::Waiting(until) if uptime >= *until => self.work = Work::Idle,
            Work::Training { task, heard, .. } if uptime.saturating_sub(*heard) > SILENCE => {
                turn.actions.push(HostAction::StopEngine { task: task.clone() });
                return self.failed("the engine said nothing for a quarter of an hour".into(), turn);
            }
            Work::Unrecorded { job, pause, at } if uptime >= *at => {
                return self.record((**job).clone(), *pause, turn);
            }
            Work::Idle => {}
            _ => return,
        }
        match self.job.phase {
            // Files that came while the host was away are counted at once.
            Phase::Receiving if !self.checked => self.check_files(turn),
            Phase::Training => {
                let task = turn.task(&self.job);
                self.work = Work::Preparing(task.clone());
                turn.actions.push(HostAction::PrepareFolder { task, job: Box::new(self.job.clone()) });
            }
            Phase::Verifying => {
                let task = turn.task(&self.job);
                self.work = Work::Verifying(task.clone());
                turn.actions.push(HostAction::Verify { task, job: Box::new(self.job.clone()) });
            }
            _ => {}
        }
    }

    /// The board may have uploaded the last file.
    pub(super) fn upload_complete(&mut self, turn: &mut Turn) {
        match &mut self.work {
            Work::Checking { again, .. } => *again = true,
            Work::Idle | Work::Waiting(_) if self.job.phase == Phase::Receiving => self.check_files(turn),
            _ => {}
        }
    }

    fn check_files(&mut self, turn: &mut Turn) {
        let task = turn.task(&self.job);
        self.checked = true;
        self.work = Work::Checking { task: task.clone(), again: false };
        turn.actions.push(HostAction::CheckFiles { task, job: Box::new(self.job.clone()) });
    }

    /// The engine was started.
    pub(super) fn engine_started(&mut self, turn: &mut Turn) {
        self.send_progress(turn);
    }

    /// The engine said how far it is.
    pub(super) fn engine_progress(&mut self, new: EngineFigures, turn: &mut Turn) {
        if let Work::Training { heard, figures, .. } = &mut self.work {
            (*heard, *figures) = (turn.now.uptime, new);
            if turn.now.due(&mut self.figures_sent, FIGURES_EVERY) {
                self.send_progress(turn);
            }
        }
    }

    /// Takes the answer to its task; true when the job on disk has changed. The event is one for which
    /// [`Entry::waits_for`] holds.
    pub(super) fn answered(&mut self, event: HostEvent, turn: &mut Turn) -> bool {
        let work = std::mem::replace(&mut self.work, Work::Idle);
        match (event, work) {
            (HostEvent::FilesChecked { missing: Ok(Some(0)), .. }, Work::Checking { .. }) => {
                self.enter(Phase::Training, turn);
            }
            (HostEvent::FilesChecked { missing: Ok(_), .. }, Work::Checking { again, .. }) => {
                if again {
                    self.check_files(turn);
                }
            }
            (HostEvent::FilesChecked { missing: Err(_), .. }, Work::Checking { .. }) => {
                self.checked = false;
                self.work = Work::Waiting(turn.now.uptime + CHECK_AGAIN);
            }
            (HostEvent::FolderPrepared { result, .. }, Work::Preparing(_)) => match result {
                Ok(()) => self.train(turn),
                Err(reason) => self.release(Outcome::Retry, reason, turn),
            },
            (HostEvent::EngineEnded { end, .. }, Work::Training { .. }) => match end {
                EngineEnd::Done => self.enter(Phase::Verifying, turn),
                EngineEnd::NoImprovement => {
                    let reason = "nothing that was trained is better than the head alone".to_owned();
                    self.release(Outcome::NoImprovement, reason, turn);
                }
                EngineEnd::BadJob(reason) => self.release(Outcome::Failed, reason, turn),
                EngineEnd::Failed(reason) => self.failed(reason, turn),
            },
            (HostEvent::Verified { result, .. }, Work::Verifying(_)) => match result {
                Ok(manifest) => {
                    let task = turn.task(&self.job);
                    self.work = Work::Signing(task.clone());
                    turn.actions.push(HostAction::Sign { task, manifest });
                }
                Err((outcome, reason)) => self.release(outcome, reason, turn),
            },
            (HostEvent::Signed { result, .. }, Work::Signing(_)) => match result {
                Ok(manifest) => self.enter(Phase::Returned { manifest }, turn),
                Err(reason) => self.release(Outcome::Retry, reason, turn),
            },
            (HostEvent::Recorded { result: Ok(()), .. }, Work::Recording { job, pause, .. }) => {
                self.job = *job;
                if !pause.is_zero() {
                    self.work = Work::Waiting(turn.now.uptime + pause);
                }
                return true;
            }
            (HostEvent::Recorded { result: Err(_), .. }, Work::Recording { job, pause, .. }) => {
                self.work = Work::Unrecorded { job, pause, at: turn.now.uptime + RECORD_AGAIN };
            }
            // An answer of another kind: it still waits.
            (_, work) => self.work = work,
        }
        false
    }

    fn train(&mut self, turn: &mut Turn) {
        let Some(device) = turn.free_device.take() else {
            // Possible after a restart with fewer devices: it waits for its turn.
            self.work = Work::Waiting(turn.now.uptime + DEVICE_AGAIN);
            return;
        };
        let task = turn.task(&self.job);
        let (heard, figures) = (turn.now.uptime, EngineFigures::default());
        self.work = Work::Training { task: task.clone(), device: device.clone(), heard, figures };
        turn.actions.push(HostAction::StartEngine { task, device });
    }

    /// The engine failed: it is started again, and goes on from its checkpoint.
    fn failed(&mut self, reason: String, turn: &mut Turn) {
        let attempts = self.job.attempts + 1;
        if attempts >= ATTEMPTS {
            return self.release(Outcome::Retry, reason, turn);
        }
        let pause = Duration::from_secs(2u64.pow(attempts));
        self.record(Job { attempts, ..self.job.clone() }, pause, turn);
    }

    /// Gives the job back.
    fn release(&mut self, outcome: Outcome, reason: String, turn: &mut Turn) {
        let plain = |c: char| if c.is_control() { ' ' } else { c };
        let reason = reason.chars().map(plain).take(REASON_CHARS).collect();
        self.enter(Phase::Released { outcome, reason }, turn);
    }

    fn enter(&mut self, phase: Phase, turn: &mut Turn) {
        self.record(Job { phase, ..self.job.clone() }, Duration::ZERO, turn);
    }

    fn record(&mut self, job: Job, pause: Duration, turn: &mut Turn) {
        let task = turn.task(&job);
        let job = Box::new(job);
        self.work = Work::Recording { task: task.clone(), job: job.clone(), pause };
        turn.actions.push(HostAction::Record { task, job });
    }
}
