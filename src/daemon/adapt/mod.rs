//! Adaptation: the state machine of `control`, its rounds, and the heads that come of them.

pub mod at_start;
pub mod draft;
mod findings;
mod heads;
mod rounds;
pub mod tasks;
pub mod trainer;

use self::heads::Heads;
use self::rounds::Rounds;
use self::tasks::{Done, Task};
use super::context::{Asked, By, Context};
use super::effects::Effects;
use super::event::Note;
use super::frames::{ActiveHead, Installed};
use super::kept::Findings;
use super::labels::dataset;
use super::store_error::store_error;
use super::store_thread::StoreTask;
use graft_control::{
    Action, Answer, Asker, Control, Event, Hold, JobId, RoundFailure, Token, Version, Wanted,
};
use graft_learn::{Choice, Method};
use graft_store::ClassCount;
use graft_wire::messages::{EventType, HeadState};
use graft_wire::{Code, Error, Reply, command};
use std::collections::VecDeque;

/// What adaptation is told.
#[derive(Clone, Debug)]
pub enum Input {
    /// The loop turns for the first time: the stored head goes into use, and what the start did with it is told.
    Begin {
        /// It was taken back, and why.
        taken_back: Option<String>,
    },
    /// `cmd/mode`.
    Mode(Asked, command::Mode),
    /// `cmd/train`.
    Train(Asked, command::Train),
    /// `cmd/head`.
    Head(Asked, command::Head),
    /// The samples are others now.
    Samples {
        /// How many were touched.
        touched: usize,
        /// The classes.
        classes: Vec<ClassCount>,
    },
    /// A capture runs (true), or has ended.
    Labelling(bool),
    /// Something holds adaptation back, or no longer does.
    Hold(Hold, bool),
    /// The settings are others now.
    Settings,
    /// A backbone is ready to be judged under this job.
    Judge(JobId),
    /// That is to end.
    CancelJudging(JobId),
    /// A head is to be made active again.
    Restore(Asker, Version),
    /// The inference thread uses a head.
    Installed(Installed),
    /// Time passed.
    Tick,
    /// The daemon stops in order.
    Stop,
    /// Background work is done.
    Done(Done),
}

/// Adaptation.
#[derive(Debug)]
pub struct Adapt {
    control: Control,
    queue: VecDeque<Event>,
    handling: bool,
    rounds: Rounds,
    heads: Heads,
    findings: Findings,
    /// Why the last fact that a command wants kept is not on disk.
    persist_error: Option<Error>,
    /// Who sent the command that is being carried out.
    asked_by: Option<By>,
}

impl Adapt {
    /// As the start found it.
    pub fn new(control: Control, start: at_start::Heads, findings: Findings) -> Self {
        Self {
            control,
            queue: VecDeque::new(),
            handling: false,
            rounds: Rounds::default(),
            heads: Heads::new(start.loaded, start.probation),
            findings,
            persist_error: None,
            asked_by: None,
        }
    }

    /// The state machine, to look at.
    pub fn control(&self) -> &Control {
        &self.control
    }

    /// The head in use.
    pub fn active(&self) -> Option<&ActiveHead> {
        self.heads.active()
    }

    /// What is said of the active head.
    pub fn head_state(&self) -> Option<&HeadState> {
        self.heads.state()
    }

    /// What the latest round found beside its head.
    pub fn findings(&self) -> &Findings {
        &self.findings
    }

    /// The one way in.
    pub fn handle(&mut self, cx: &Context, input: Input, fx: &mut Effects) {
        match input {
            Input::Begin { taken_back } => self.begin(cx, taken_back, fx),
            Input::Mode(asked, mode) => {
                let wanted = match mode {
                    command::Mode::Adapt => Wanted::Adapt,
                    command::Mode::Infer => Wanted::Infer,
                    command::Mode::Pause => Wanted::Pause,
                };
                self.command(cx, asked.by, Event::Mode(asked.token, wanted), fx);
            }
            Input::Train(asked, command::Train::Start { method }) => {
                self.command(cx, asked.by, Event::Train(asked.token, method.map(choice)), fx);
            }
            Input::Train(asked, command::Train::Cancel) => {
                self.command(cx, asked.by, Event::Cancel(Asker::Command(asked.token), None), fx);
            }
            Input::Head(asked, head) => self.head_command(cx, &asked, head, fx),
            Input::Samples { touched, classes } => {
                fx.changed();
                self.heads.classes_are(&classes, fx);
                let classes = dataset::tallies(&classes);
                self.control_event(cx, Event::Samples { changed: touched, classes }, fx);
            }
            Input::Labelling(labelling) => self.control_event(cx, Event::Labelling(labelling), fx),
            Input::Hold(hold, true) => self.control_event(cx, Event::Held(hold), fx),
            Input::Hold(hold, false) => self.control_event(cx, Event::Released(hold), fx),
            Input::Settings => self.control.set_policy(cx.settings.policy()),
            Input::Judge(job) => self.control_event(cx, Event::Judge(job), fx),
            Input::CancelJudging(job) => {
                self.control_event(cx, Event::Cancel(Asker::Daemon, Some(job)), fx);
            }
            Input::Restore(asker, version) => {
                self.control_event(cx, Event::Restore(asker, version), fx);
            }
            Input::Installed(installed) => {
                self.heads.installed(cx, &installed, fx);
                self.control_event(cx, Event::Installed(installed.origin, installed.version), fx);
            }
            Input::Tick => {
                self.control_event(cx, Event::Tick, fx);
                self.heads.tick(cx, fx);
            }
            Input::Stop => {
                self.rounds.cancel(None);
                self.heads.stop(fx);
            }
            Input::Done(done) => self.done(cx, done, fx),
        }
    }

    fn begin(&mut self, cx: &Context, taken_back: Option<String>, fx: &mut Effects) {
        if let Some(active) = self.heads.active().cloned() {
            // Once a start: the session says it again at each connect.
            publish(active.version, fx);
            fx.install(active, None);
        }
        if let Some(reason) = taken_back {
            let version = self.control.active();
            let error = Error::new(Code::Internal, reason);
            fx.event(&cx.now, EventType::RolledBack, |e| e.with("version", version).because(error));
        }
    }

    /// Passes the event of a command to the state machine.
    fn command(&mut self, cx: &Context, by: By, event: Event, fx: &mut Effects) {
        self.asked_by = Some(by);
        self.control_event(cx, event, fx);
        self.asked_by = None;
    }

    /// Passes an event to the state machine and carries out its actions. An event that comes up while
    /// another one is being carried out waits for its turn.
    fn control_event(&mut self, cx: &Context, event: Event, fx: &mut Effects) {
        self.queue.push_back(event);
        if self.handling {
            return;
        }
        self.handling = true;
        while let Some(event) = self.queue.pop_front() {
            for action in self.control.handle(cx.now.uptime, event, fx.job_ids()) {
                fx.changed();
                self.act(cx, action, fx);
            }
        }
        self.handling = false;
    }

    fn act(&mut self, cx: &Context, action: Action, fx: &mut Effects) {
        match action {
            Action::Persist(wanted) => fx.store(StoreTask::Adapt(Task::Persist(wanted))),
            Action::PersistPin(on) => {
                let version = self.control.active().filter(|_| on).map(draft::row_version);
                fx.store(StoreTask::Adapt(Task::Pin(version)));
            }
            Action::StartRound(job, choice) => {
                let by = self.asked_by.unwrap_or(By::Adaptation);
                self.rounds.start(cx, job, choice, by, self.heads.active(), fx);
            }
            Action::CancelRound(job) => self.rounds.cancel(Some(job)),
            Action::Store { job, verdict } => match self.rounds.candidate(cx, job, &verdict) {
                Some((origin, from, draft, findings)) => {
                    self.heads.store(cx, origin, from, draft, fx);
                    if let Some(findings) = findings {
                        self.findings = findings.clone();
                        fx.keep(super::kept::Fact::Findings(findings));
                        fx.changed();
                    }
                    rounds::tell_verdict(cx, job, verdict, fx);
                }
                None => {
                    let origin = graft_control::Origin::Round(job);
                    let error = "the round's head is gone".to_owned();
                    self.control_event(cx, Event::StoreFailed(origin, error), fx);
                }
            },
            Action::RestoreHead(asker, version) => {
                let origin = graft_control::Origin::Restore(asker, version);
                fx.store(StoreTask::Adapt(Task::ReadToRestore(origin, version)));
            }
            Action::Install(origin, version) => {
                fx.store(StoreTask::Adapt(Task::ReadToInstall(origin, version)));
            }
            Action::Publish(version) => {
                publish(version, fx);
                // What the round advised can be followed now that its head is in use.
                fx.tell(Note::RoundJudged);
            }
            // Once everything that was asked of the store before is on disk: its tasks run in order.
            Action::Reply(Asker::Command(token), Answer::Done) => {
                fx.store(StoreTask::Adapt(Task::Settle(token, Answer::Done)));
            }
            Action::Reply(asker, answer) => {
                fx.tell(Note::RestoreAnswered(asker, answer.clone()));
                if let Asker::Command(token) = asker {
                    reply(token, answer, fx);
                }
            }
            Action::Job(job, step) => fx.tell(Note::RoundStep(job, step)),
        }
    }

    fn head_command(&mut self, cx: &Context, asked: &Asked, head: command::Head, fx: &mut Effects) {
        let (version, digest) = match head {
            command::Head::Publish => {
                return self.command(cx, asked.by, Event::Publish(asked.token), fx);
            }
            command::Head::Pin { on } => {
                return self.command(cx, asked.by, Event::Pin(asked.token, on), fx);
            }
            command::Head::Apply { version, digest } => (Some(version), digest),
            command::Head::Rollback { to } => (to, None),
        };
        fx.store(StoreTask::Adapt(Task::Find { token: asked.token, version, digest }));
    }

    fn done(&mut self, cx: &Context, done: Done, fx: &mut Effects) {
        match done {
            Done::Persisted(error) => self.persist_error = error.map(|e| store_error(&e)),
            Done::Settled(token, answer) => match self.persist_error.take() {
                Some(error) => fx.finish(token, Err(error)),
                None => reply(token, answer, fx),
            },
            Done::Snapshot(job, choice, data) => match *data {
                Ok(data) => self.rounds.train(cx, job, choice, data, fx),
                Err(error) => {
                    let failure = RoundFailure::Failed(error.to_string());
                    self.control_event(cx, Event::RoundFailed(job, failure), fx);
                }
            },
            Done::Round(job, result) => {
                let event = self.rounds.ended(cx, job, *result, fx);
                self.control_event(cx, event, fx);
            }
            Done::Stored(origin, Ok(version)) => {
                self.control_event(cx, Event::Stored(origin, version), fx);
            }
            Done::Stored(origin, Err(error)) => {
                self.control_event(cx, Event::StoreFailed(origin, error.to_string()), fx);
            }
            Done::ToRestore(origin, version, read) => {
                if let Some(event) = self.heads.restore(cx, origin, version, read, fx) {
                    self.control_event(cx, event, fx);
                }
            }
            Done::ToInstall(origin, version, file) => {
                if let Some(event) = self.heads.install(cx, origin, version, file, fx) {
                    self.control_event(cx, event, fx);
                }
            }
            Done::ToPublish(version, read) => heads::publish(version, read, fx),
            Done::Found { token, digest, found } => match heads::checked(cx, digest.as_deref(), found) {
                Ok(version) => {
                    self.control_event(cx, Event::Restore(Asker::Command(token), version), fx);
                }
                Err(error) => fx.finish(token, Err(error)),
            },
        }
    }
}

/// Has a stored head read, then published.
fn publish(version: Version, fx: &mut Effects) {
    if fx.has_broker() {
        fx.store(StoreTask::Adapt(Task::ReadToPublish(version)));
    }
}

/// Answers a command with what the state machine says.
fn reply(token: Token, answer: Answer, fx: &mut Effects) {
    let result = match answer {
        Answer::Done => Ok(Reply::ok(None)),
        Answer::Accepted(job) => Ok(Reply::accepted(None, job.to_string())),
        Answer::Active(version) => Ok(Reply::with(None, serde_json::json!({ "version": version }))),
        Answer::Busy(job) => Err(Error::busy(&job.to_string())),
        Answer::TooHot => {
            let message =
                "the board is too hot to train; wait until it has cooled down, or see budget.pause_c";
            Err(Error { retryable: true, ..Error::new(Code::Thermal, message) })
        }
        Answer::NotFound(what) => Err(Error::new(Code::NotFound, what)),
        Answer::Failed(why) => Err(Error::internal(why)),
    };
    fx.finish(token, result);
}

/// The method that a command names.
fn choice(method: command::Method) -> Choice {
    match method {
        command::Method::Auto => Choice::Auto,
        command::Method::Imprint => Choice::Only(Method::Imprint),
        command::Method::Ridge => Choice::Only(Method::Ridge),
        command::Method::Softmax => Choice::Only(Method::Softmax),
    }
}
