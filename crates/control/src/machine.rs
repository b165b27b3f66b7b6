use super::{
    Action, Answer, Asker, ClassTally, Event, Hold, JobId, JobIds, JobStep, Origin, Policy, Readiness,
    RoundFailure, RoundOutcome, State, Token, Verdict, Version, WaitsFor, Wanted, judge,
};
use graft_learn::Choice;
use std::collections::BTreeSet;
use std::time::Duration;

/// The round that runs, or whose head is being stored.
#[derive(Clone, Debug)]
struct Running {
    job: JobId,
    /// Set when somebody asked for its end; its head, should it still come, is dropped.
    canceled: bool,
    /// The samples that made it worthwhile.
    changed: usize,
    /// The gate's word once the trainer is done.
    verdict: Option<Verdict>,
}

/// The machine. Time is a [`Duration`] since the daemon's start and never goes back.
#[derive(Clone, Debug)]
pub struct Control {
    policy: Policy,
    wanted: Wanted,
    holds: BTreeSet<Hold>,
    running: Option<Running>,
    /// A backbone that waits to be judged.
    to_judge: Option<JobId>,
    active: Option<Version>,
    pinned: bool,
    tallies: Vec<ClassTally>,
    /// Samples changed since the last round began.
    changed: usize,
    last_change: Duration,
    /// A capture runs.
    labelling: bool,
}

impl Control {
    /// A machine in the state that the store remembers.
    pub fn new(policy: Policy, wanted: Wanted, active: Option<Version>, pinned: bool) -> Self {
        let holds = if wanted == Wanted::Pause { BTreeSet::from([Hold::User]) } else { BTreeSet::new() };
        Self {
            policy,
            wanted,
            holds,
            running: None,
            to_judge: None,
            active,
            pinned,
            tallies: Vec::new(),
            changed: 0,
            last_change: Duration::ZERO,
            labelling: false,
        }
    }

    /// What people want.
    pub fn wanted(&self) -> Wanted {
        self.wanted
    }

    /// The active head.
    pub fn active(&self) -> Option<Version> {
        self.active
    }

    /// Whether the active head is pinned.
    pub fn pinned(&self) -> bool {
        self.pinned
    }

    /// The running round's job.
    pub fn job(&self) -> Option<JobId> {
        self.running.as_ref().map(|r| r.job)
    }

    /// What holds adaptation back, sorted.
    pub fn holds(&self) -> Vec<Hold> {
        self.holds.iter().copied().collect()
    }

    /// Samples changed since the last round began.
    pub fn changed(&self) -> usize {
        self.changed
    }

    /// Where the machine stands.
    pub fn state(&self) -> State {
        if let Some(running) = &self.running {
            return State::Training { job: running.job };
        }
        match self.wanted {
            Wanted::Infer => State::Idle,
            _ if !self.holds.is_empty() => State::Suspended { holds: self.holds() },
            _ => State::Collecting,
        }
    }

    /// What decides, beside the samples, whether a round starts by itself.
    pub fn readiness(&self) -> Readiness {
        Readiness {
            round: self.policy.round,
            wanted: self.wanted,
            holds: self.holds(),
            running: self.job(),
            labelling: self.labelling,
            has_head: self.active.is_some(),
            changed: self.changed,
        }
    }

    /// What keeps a round from starting by itself; `None`: it starts.
    pub fn waits_for(&self, now: Duration) -> Option<WaitsFor> {
        self.readiness().waits_for(&self.tallies, now.saturating_sub(self.last_change))
    }

    /// Replaces the policies; they hold from the next event on.
    pub fn set_policy(&mut self, policy: Policy) {
        self.policy = policy;
    }

    /// Takes one event and says what is to be done, in order. A round that starts takes a number of `jobs`.
    pub fn handle(&mut self, now: Duration, event: Event, jobs: &mut JobIds) -> Vec<Action> {
        let mut actions = Vec::new();
        match event {
            Event::Mode(token, wanted) => self.set_wanted(token, wanted, &mut actions),
            Event::Train(token, choice) => self.train(token, choice, jobs, &mut actions),
            Event::Cancel(asker, job) => self.cancel(asker, job, &mut actions),
            Event::Restore(asker, version) => match &self.running {
                Some(running) => actions.push(Action::Reply(asker, Answer::Busy(running.job))),
                None => actions.push(Action::RestoreHead(asker, version)),
            },
            Event::Pin(token, true) if self.active.is_none() => {
                actions.push(reply(token, no_head()));
            }
            Event::Pin(token, on) => {
                self.pinned = on;
                actions.extend([Action::PersistPin(on), reply(token, Answer::Done)]);
            }
            Event::Publish(token) => match self.active {
                Some(version) => {
                    actions.extend([Action::Publish(version), reply(token, Answer::Active(version))]);
                }
                None => actions.push(reply(token, no_head())),
            },
            Event::Judge(job) => self.to_judge = Some(job),
            Event::Samples { changed, classes } => {
                self.changed = self.changed.saturating_add(changed);
                self.tallies = classes;
                self.last_change = now;
            }
            Event::Labelling(labelling) => {
                self.labelling = labelling;
                self.last_change = now;
            }
            Event::RoundFinished(job, outcome) => self.finished(job, &outcome, &mut actions),
            Event::RoundFailed(job, failure) => self.failed(job, failure, &mut actions),
            Event::Stored(origin, version) => self.stored(origin, version, &mut actions),
            Event::StoreFailed(origin, reason) => self.store_failed(origin, reason, &mut actions),
            Event::Installed(origin, version) => self.installed(origin, version, &mut actions),
            Event::InstallFailed(origin, reason) => {
                self.ends(origin);
                if let Origin::Restore(asker, _) = origin {
                    actions.push(Action::Reply(asker, Answer::Failed(reason)));
                }
            }
            Event::Held(hold) => {
                self.holds.insert(hold);
                // A lost camera does not disturb a round: its snapshot is on disk.
                if hold != Hold::CameraLost && self.stop_round(&mut actions) {
                    // Its samples are still to be learned from, once nothing holds any more.
                    self.changed += self.running.as_ref().map_or(0, |running| running.changed);
                }
            }
            Event::Released(hold) => {
                self.holds.remove(&hold);
            }
            Event::Tick => {}
        }
        self.start_if_due(now, jobs, &mut actions);
        actions
    }

    fn set_wanted(&mut self, token: Token, wanted: Wanted, actions: &mut Vec<Action>) {
        self.wanted = wanted;
        if wanted == Wanted::Pause {
            self.holds.insert(Hold::User);
        } else {
            self.holds.remove(&Hold::User);
        }
        if wanted != Wanted::Adapt {
            self.stop_round(actions);
        }
        actions.extend([Action::Persist(wanted), reply(token, Answer::Done)]);
    }

    fn train(&mut self, token: Token, choice: Option<Choice>, jobs: &mut JobIds, actions: &mut Vec<Action>) {
        if let Some(running) = &self.running {
            actions.push(reply(token, Answer::Busy(running.job)));
            return;
        }
        if self.holds.contains(&Hold::Thermal) {
            actions.push(reply(token, Answer::TooHot));
            return;
        }
        let job = jobs.take();
        self.begin(job, choice.unwrap_or(self.policy.round.choice), actions);
        actions.push(reply(token, Answer::Accepted(job)));
    }

    fn cancel(&mut self, asker: Asker, job: Option<JobId>, actions: &mut Vec<Action>) {
        if let Some(waiting) = self.to_judge.take_if(|waiting| job == Some(*waiting)) {
            let failed = Action::Job(waiting, JobStep::Failed(RoundFailure::Canceled));
            return actions.extend([failed, Action::Reply(asker, Answer::Accepted(waiting))]);
        }
        let answer = match (&self.running, job) {
            (Some(running), wanted) if wanted.is_none_or(|j| j == running.job) => {
                // After the gate's decision the head is being stored.
                if running.verdict.is_some() {
                    Answer::Busy(running.job)
                } else {
                    Answer::Accepted(running.job)
                }
            }
            (_, Some(job)) => Answer::NotFound(format!("job {job} does not run")),
            (_, None) => Answer::NotFound("no round runs".into()),
        };
        if matches!(answer, Answer::Accepted(_)) {
            self.stop_round(actions);
        }
        actions.push(Action::Reply(asker, answer));
    }

    /// Whether there was one to stop.
    fn stop_round(&mut self, actions: &mut Vec<Action>) -> bool {
        if let Some(running) = &mut self.running
            && !running.canceled
            && running.verdict.is_none()
        {
            running.canceled = true;
            actions.push(Action::CancelRound(running.job));
            return true;
        }
        false
    }

    fn begin(&mut self, job: JobId, choice: Choice, actions: &mut Vec<Action>) {
        let changed = std::mem::take(&mut self.changed);
        self.running = Some(Running { job, canceled: false, changed, verdict: None });
        actions.extend([Action::StartRound(job, choice), Action::Job(job, JobStep::Started)]);
    }

    fn running_job(&self, job: JobId) -> bool {
        self.job() == Some(job)
    }

    fn finished(&mut self, job: JobId, outcome: &RoundOutcome, actions: &mut Vec<Action>) {
        let Some(running) = self.running.as_mut().filter(|r| r.job == job && r.verdict.is_none()) else {
            return;
        };
        if running.canceled {
            self.failed(job, RoundFailure::Canceled, actions);
            return;
        }
        let verdict = judge(
            &self.policy.gate,
            &outcome.report,
            outcome.comparison.as_ref(),
            &outcome.classes,
            self.pinned,
        );
        running.verdict = Some(verdict.clone());
        actions.push(Action::Store { job, verdict });
    }

    fn failed(&mut self, job: JobId, failure: RoundFailure, actions: &mut Vec<Action>) {
        if self.running_job(job) {
            self.running = None;
            actions.push(Action::Job(job, JobStep::Failed(failure)));
        }
    }

    fn stored(&mut self, origin: Origin, version: Version, actions: &mut Vec<Action>) {
        match origin {
            Origin::Round(job) if self.running_job(job) => {
                // It runs until its head is in use: nothing else may change heads meanwhile.
                match self.running.as_ref().and_then(|r| r.verdict.clone()) {
                    Some(Verdict::Promote(reason)) => actions.extend([
                        Action::Install(origin, version),
                        Action::Job(job, JobStep::Promoted(version, reason)),
                    ]),
                    Some(Verdict::Reject(reason)) => {
                        self.ends(origin);
                        actions.push(Action::Job(job, JobStep::Rejected(version, reason)));
                    }
                    None => {}
                }
            }
            Origin::Round(_) => {}
            Origin::Restore(..) => actions.push(Action::Install(origin, version)),
        }
    }

    fn store_failed(&mut self, origin: Origin, reason: String, actions: &mut Vec<Action>) {
        match origin {
            Origin::Round(job) => self.failed(job, RoundFailure::Failed(reason), actions),
            Origin::Restore(asker, _) => actions.push(Action::Reply(asker, Answer::Failed(reason))),
        }
    }

    fn installed(&mut self, origin: Origin, version: Version, actions: &mut Vec<Action>) {
        self.ends(origin);
        self.active = Some(version);
        actions.push(Action::Publish(version));
        if let Origin::Restore(asker, _) = origin {
            actions.push(Action::Reply(asker, Answer::Active(version)));
        }
    }

    fn ends(&mut self, origin: Origin) {
        if matches!(origin, Origin::Round(job) if self.running_job(job)) {
            self.running = None;
        }
    }

    fn start_if_due(&mut self, now: Duration, jobs: &mut JobIds, actions: &mut Vec<Action>) {
        let choice = self.policy.round.choice;
        // A person's pause holds adaptation back, not the judging of a backbone that was asked for.
        let held = self.holds.iter().any(|hold| *hold != Hold::CameraLost && *hold != Hold::User);
        if self.running.is_none()
            && !held
            && let Some(job) = self.to_judge.take()
        {
            return self.begin(job, choice, actions);
        }
        if self.waits_for(now).is_none() {
            self.begin(jobs.take(), choice, actions);
        }
    }
}

fn reply(token: Token, answer: Answer) -> Action {
    Action::Reply(Asker::Command(token), answer)
}

fn no_head() -> Answer {
    Answer::NotFound("there is no head yet: label samples, then train".into())
}
