//! Offload, carried out: what `cmd/offload` asks for, what `graft_control::offload` decides, and what survives a restart.
//! The files of an offer lie in `offload/<job>` of the state folder until the job is over.

pub mod dataset;
pub mod feed;
mod hosts;
mod input;
mod offered;
mod source;
pub mod tasks;

pub use self::input::Input;

use self::dataset::{Gathered, Gathering};
use self::feed::Feed;
use self::offered::Offered;
use self::tasks::{Done, LeftBehind, NewOffer, Task};
use super::background::Background;
use super::cancel::Cancel;
use super::context::{Asked, By, Context};
use super::effects::Effects;
use super::event::{JobChange, Note};
use super::kept::{Fact, OfferRecord};
use super::pair::tasks::{Received, Source};
use super::store_thread::StoreTask;
use crate::offload::PushError;
use graft_control::offering::worth_offering;
use graft_control::offload::{Action, Event, Refusal};
use graft_control::{Asker, JobId, Token};
use graft_store::StoreError;
use graft_wire::command::{self, Progress};
use graft_wire::offload::Recipe;
use graft_wire::{BackboneManifest, Code, Error, Reply};
use serde_json::Value;
use std::sync::Arc;

/// The job that is offered, if there is one.
#[derive(Debug, Default)]
pub struct Offload {
    offered: Option<Offered>,
    /// Transfers so far.
    feeds: u64,
}

impl Offload {
    /// The job that is offered.
    pub fn job(&self) -> Option<JobId> {
        self.offered.as_ref().map(|offered| offered.job)
    }

    /// The offer, as `graft offload status` shows it.
    pub fn offer_json(&self) -> Value {
        self.offered.as_ref().map_or(Value::Null, Offered::json)
    }

    /// The one way in.
    pub fn handle(&mut self, cx: &Context, input: Input, fx: &mut Effects) {
        match input {
            Input::Begin => fx.store(StoreTask::Offload(Box::new(Task::Resume))),
            Input::Command(asked, command) => self.command(cx, asked, command, fx),
            Input::RoundJudged { advised, samples } => self.offer_by_itself(cx, advised, samples, fx),
            Input::Result(taken) => {
                let event = if taken { Event::Taken } else { Event::NotTaken };
                // Only a host's word can be refused.
                let _ = self.event(cx, event, fx);
            }
            Input::Received { token, job, result } => {
                if result.is_err() {
                    let _ = self.event(cx, Event::NotTaken, fx);
                }
                fx.finish(token, result.map(|()| Reply::accepted(None, job.to_string())));
            }
            Input::Connected => drop(self.event(cx, Event::Connected, fx)),
            Input::Tick => self.tick(cx, fx),
            Input::Stop => {
                if let Some(offered) = &mut self.offered {
                    offered.stop_feed();
                }
            }
            Input::Done(done) => self.done(cx, done, fx),
        }
    }

    fn command(&mut self, cx: &Context, asked: Asked, command: command::Offload, fx: &mut Effects) {
        let token = asked.token;
        let result = match command {
            command::Offload::Start { recipe } => {
                return self.start(cx, Asker::Command(token), asked.by, recipe, fx);
            }
            command::Offload::Cancel { job } => return self.cancel(cx, token, job.as_deref(), fx),
            command::Offload::Result { job, host, manifest } => {
                return self.result(cx, token, &job, host, *manifest, fx);
            }
            command::Offload::Claim(claim) => self
                .offer_of(&claim.job.clone())
                .and_then(|offered| hosts::claim(offered, cx, claim, fx))
                .and_then(|event| self.event(cx, event, fx)),
            command::Offload::Progress(progress) => self.progress(cx, progress, fx),
            command::Offload::Release { job, host, outcome, reason } => {
                self.release(cx, &job, hosts::release(host, outcome, reason), fx)
            }
        };
        fx.finish(token, result.map(|()| Reply::ok(None)));
    }

    fn start(&mut self, cx: &Context, asker: Asker, by: By, recipe: Option<Recipe>, fx: &mut Effects) {
        if let Err(error) = offered::may_offer(cx, self.job(), fx) {
            return finish(asker, Err(error), fx);
        }
        let offload = &cx.settings.offload;
        let recipe = recipe.or(offload.recipe.parse().ok()).unwrap_or_default();
        let job = fx.job_ids().take();
        fx.tell(Note::Job(job, JobChange::Begins { op: "offload", step: "offer", by }));
        let gathering = Gathering {
            device: fx.topics().device().to_owned(),
            line: cx.line.to_string(),
            from: Arc::clone(&cx.backbone),
            head: cx.active,
            folder: dataset::folder(&cx.settings, job),
        };
        let expires_ms = cx.now.wall_ms + (offload.give_up_h * 3_600_000.0) as i64;
        let offer = NewOffer { asker, job, recipe, expires_ms };
        fx.store(StoreTask::Offload(Box::new(Task::Gather(offer, gathering))));
    }

    /// Offers a job where the last round says that fine-tuning would help, and people allow it.
    fn offer_by_itself(&self, cx: &Context, advised: bool, samples: u64, fx: &mut Effects) {
        if !advised || !cx.settings.offload.automatic {
            return;
        }
        if let Err(error) = offered::may_offer(cx, self.job(), fx) {
            return tracing::info!("fine-tuning would help, but nothing is offered: {}", error.message);
        }
        fx.store(StoreTask::Offload(Box::new(Task::LastOffered(samples))));
    }

    /// The files of a new job are there: it is offered.
    fn gathered(
        &mut self,
        cx: &Context,
        new: NewOffer,
        gathered: Result<Box<Gathered>, Error>,
        fx: &mut Effects,
    ) {
        let (asker, job) = (new.asker, new.job);
        let record = match gathered {
            Ok(gathered) => new.record(*gathered),
            Err(error) => {
                fx.tell(Note::Job(job, JobChange::Fails(error.clone())));
                return finish(asker, Err(error), fx);
            }
        };
        fx.keep(Fact::OfferedSamples(record.offer.dataset.samples));
        self.begin(cx, record, fx);
        finish(asker, Ok(Reply::accepted(None, job.to_string())), fx);
    }

    /// Begins, or begins again after a restart.
    fn begin(&mut self, cx: &Context, record: OfferRecord, fx: &mut Effects) {
        let job = record.job;
        fx.tell(Note::Job(job, JobChange::Resumes { op: "offload", step: "offer" }));
        let (offered, actions) = Offered::begin(record, cx.now.uptime);
        self.offered = Some(offered);
        self.act(cx, actions, fx);
    }

    /// Tells the machine, and does what it says.
    fn event(&mut self, cx: &Context, event: Event, fx: &mut Effects) -> Result<(), Error> {
        let Some(offered) = &mut self.offered else { return Ok(()) };
        let actions = offered.machine.handle(cx.now.uptime, event).map_err(|refusal| match refusal {
            Refusal::Taken(host) => {
                Error::new(Code::Conflict, format!("host {host} has this job")).with("host", host)
            }
            Refusal::NotYours => hosts::not_yours(),
        })?;
        self.act(cx, actions, fx);
        Ok(())
    }

    fn act(&mut self, cx: &Context, actions: Vec<Action>, fx: &mut Effects) {
        for action in actions {
            match action {
                Action::Publish => self.publish(fx),
                Action::Feed => self.feed(cx, fx),
                Action::Stop => {
                    if let Some(offered) = &mut self.offered {
                        offered.stop_feed();
                    }
                }
                Action::Take => self.take(fx),
                Action::End => self.end_offer(fx),
            }
        }
    }

    /// Puts the offer on disk, then publishes it.
    fn publish(&mut self, fx: &mut Effects) {
        let Some(offered) = &mut self.offered else { return };
        if offered.machine.host().is_none() {
            offered.claim = None;
        }
        let record = Box::new(offered.record());
        let step = if record.claim.is_some() { "claimed" } else { "offered" };
        fx.tell(Note::Job(record.job, JobChange::Step(step)));
        let topic = fx.topics().offload(&record.offer.job);
        fx.store(StoreTask::Offload(Box::new(Task::Keep { record, topic })));
    }

    /// Sends the host what it lacks, on a thread of its own.
    fn feed(&mut self, cx: &Context, fx: &mut Effects) {
        let Some(offered) = &mut self.offered else { return };
        let Some(claim) = offered.claim.clone() else { return };
        self.feeds += 1;
        let (number, cancel) = (self.feeds, Cancel::default());
        offered.feed = Some((number, cancel.clone()));
        fx.start(Background::Feed(Box::new(Feed {
            number,
            job: offered.job,
            claim,
            settings: Arc::clone(&cx.settings),
            from: Arc::clone(&cx.backbone),
            cancel,
        })));
    }

    /// Has the result fetched that the host told of.
    fn take(&mut self, fx: &mut Effects) {
        let Some(offered) = &mut self.offered else { return };
        let (Some((token, manifest)), Some(claim)) = (offered.result.take(), &offered.claim) else { return };
        let (url, secret) = (claim.url.clone(), claim.token.clone());
        let source = Source { job: offered.job, url, token: secret, own: true };
        fx.tell(Note::Receive(Box::new(Received { token, manifest, source })));
    }

    /// Takes the offer back; the job itself may go on.
    fn end_offer(&mut self, fx: &mut Effects) {
        let Some(mut offered) = self.offered.take() else { return };
        offered.stop_feed();
        let topic = fx.topics().offload(&offered.offer.job);
        fx.store(StoreTask::Offload(Box::new(Task::End { topic })));
    }

    /// Ends the whole job before it has a result.
    fn end_job(&mut self, error: Error, fx: &mut Effects) {
        let Some(job) = self.job() else { return };
        self.end_offer(fx);
        fx.tell(Note::Job(job, JobChange::Fails(error)));
        fx.tell(Note::Tidy);
    }

    fn cancel(&mut self, cx: &Context, token: Token, job: Option<&str>, fx: &mut Effects) {
        let meant = |id: &JobId| job.is_none_or(|job| job == id.to_string());
        let Some(id) = self.job().or(cx.arrival).filter(meant) else {
            let what = job.map_or("offload job".to_owned(), |job| format!("offload job {job}"));
            return fx.finish(token, Err(Error::not_found(what)));
        };
        if cx.arrival == Some(id) {
            fx.tell(Note::CancelArrival(id));
        } else {
            self.end_job(Error::new(Code::Canceled, "cancelled; the active pair stays"), fx);
        }
        fx.finish(token, Ok(Reply::accepted(None, id.to_string())));
    }

    fn tick(&mut self, cx: &Context, fx: &mut Effects) {
        let Some(offered) = &self.offered else { return };
        let over = cx.now.synced && cx.now.wall_ms > offered.expires_ms;
        if over && !offered.is_taking() {
            let hours = cx.settings.offload.give_up_h;
            let message = format!("no host brought it to an end within {hours} h (offload.give_up_h)");
            return self.end_job(Error::new(Code::Timeout, message), fx);
        }
        let _ = self.event(cx, Event::Tick, fx);
    }

    fn done(&mut self, cx: &Context, done: Done, fx: &mut Effects) {
        match done {
            Done::Gathered(new, gathered) => self.gathered(cx, new, gathered, fx),
            Done::LastOffered(samples, Ok(last)) if worth_offering(samples, last) => {
                self.start(cx, Asker::Daemon, By::Adaptation, None, fx);
            }
            Done::LastOffered(_, Ok(_)) => {}
            Done::LastOffered(_, Err(error)) => {
                tracing::warn!(%error, "it cannot be told whether a job was offered before");
            }
            // On disk, then said: a host that was told yes is remembered.
            Done::Kept { topic, payload, result: Ok(()) } => fx.say(topic, payload),
            Done::Kept { result: Err(error), .. } => {
                tracing::warn!(%error, "the offer could not be stored: it is not published");
            }
            Done::Ended { topic } => fx.clear(topic),
            Done::Resumed(found) => self.resumed(cx, found, fx),
            Done::Fed(number, result) => self.fed(cx, number, result, fx),
        }
    }

    /// What the last start left behind goes on.
    fn resumed(&mut self, cx: &Context, found: Result<Box<LeftBehind>, StoreError>, fx: &mut Effects) {
        let LeftBehind { offer, arriving } = match found {
            Ok(found) => *found,
            Err(error) => return tracing::error!(%error, "what was offered cannot be read"),
        };
        if let Some(offer) = offer {
            // A result that was not taken on before the daemon ended will be told again.
            let taking = offer.taking && arriving.is_some();
            self.begin(cx, OfferRecord { taking, ..offer }, fx);
        }
        match arriving {
            Some(row) => fx.tell(Note::Arrive(Box::new(row))),
            None => fx.tell(Note::Tidy),
        }
    }

    /// A transfer has ended.
    fn fed(&mut self, cx: &Context, number: u64, result: Result<(), PushError>, fx: &mut Effects) {
        let Some(offered) = &mut self.offered else { return };
        // Of a claim that is over.
        if offered.feed.take_if(|(running, _)| *running == number).is_none() {
            return;
        }
        let host = offered.machine.host().unwrap_or_default().to_owned();
        let event = match result {
            Ok(()) => Event::Fed,
            Err(PushError::Gone(why)) => return self.end_job(Error::new(Code::NotFound, why), fx),
            Err(PushError::Refused(why)) => {
                tracing::warn!(host, why, "the host refuses what it was sent: the job is offered again");
                Event::Release(host)
            }
            Err(error) => {
                tracing::warn!(host, %error, "sending to the host broke off; it is tried again");
                Event::Broke
            }
        };
        let _ = self.event(cx, event, fx);
    }

    fn offer_of(&mut self, job: &str) -> Result<&mut Offered, Error> {
        let offered = self.offered.as_mut().filter(|offered| offered.offer.job == job);
        offered.ok_or_else(|| Error::not_found(format_args!("an offer of job {job}")))
    }

    fn progress(&mut self, cx: &Context, progress: Progress, fx: &mut Effects) -> Result<(), Error> {
        let job = self.offer_of(&progress.job)?.job;
        self.event(cx, Event::Progress(progress.host.clone()), fx)?;
        fx.tell(Note::Job(job, JobChange::Host(Box::new(progress))));
        Ok(())
    }

    fn result(
        &mut self,
        cx: &Context,
        token: Token,
        job: &str,
        host: String,
        manifest: BackboneManifest,
        fx: &mut Effects,
    ) {
        let told = self
            .offer_of(job)
            .and_then(|offered| hosts::result(offered, cx, token, &host, manifest, fx))
            .and_then(|new| self.event(cx, Event::Result(host), fx).map(|()| new));
        match told {
            // Whoever takes the result on tells what came of it.
            Ok(true) => {}
            Ok(false) => fx.finish(token, Ok(Reply::accepted(None, job))),
            Err(error) => fx.finish(token, Err(error)),
        }
    }

    fn release(
        &mut self,
        cx: &Context,
        job: &str,
        (event, error): (Event, Option<Error>),
        fx: &mut Effects,
    ) -> Result<(), Error> {
        let id = self.offer_of(job)?.job;
        self.event(cx, event, fx)?;
        if let Some(error) = error {
            fx.tell(Note::Job(id, JobChange::Fails(error)));
            fx.tell(Note::Tidy);
        }
        Ok(())
    }
}

/// Answers a command; what the daemon itself asked for needs no answer.
fn finish(asker: Asker, result: Result<Reply, Error>, fx: &mut Effects) {
    if let Asker::Command(token) = asker {
        fx.finish(token, result);
    }
}

#[cfg(test)]
mod tests;
