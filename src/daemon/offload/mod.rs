//! Offload, carried out: what `cmd/offload` asks for, what `control::offload` says is to be done, and what survives a restart.
//! The files of an offer lie in `offload/<job>` of the state folder until the job is over.

pub mod dataset;
mod feed;
mod hosts;

use self::dataset::Gathered;
use super::Daemon;
use super::trainer::Cancel;
use graft_control::offering::worth_offering;
use graft_control::offload::{Action, Event, Offload, Refusal, Stage};
use graft_control::{JobId, Token};
use graft_store::StoreError;
use graft_wire::command;
use graft_wire::messages::{NextStep, Schema1, to_json};
use graft_wire::offload::{Offer, OfferState, Recipe};
use graft_wire::{Code, Error, Reply, timestamp};
use serde::{Deserialize, Serialize};
use serde_json::json;

/// State keys of the store: the job that is offered, and how many samples the last one had.
pub const KEY: &str = "offload";
const OFFERED: &str = "offered_samples";

/// The job as the store remembers it.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Record {
    job: JobId,
    offer: Offer,
    expires_ms: i64,
    claim: Option<Claimed>,
    /// The host has all it asked for.
    fed: bool,
    /// Its result is being fetched.
    taking: bool,
}

/// Where the host of a claim is.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct Claimed {
    host: String,
    url: String,
    token: String,
}

/// The job that is offered.
pub struct Offered {
    machine: Offload,
    record: Record,
    /// The transfer that runs, by its number.
    feed: Option<(u64, Cancel)>,
}

impl Daemon {
    pub(super) fn offload_command(&mut self, token: Token, command: command::Offload) {
        match command {
            command::Offload::Start { recipe } => self.start_offload(token, recipe),
            command::Offload::Cancel { job } => self.cancel_offload(token, job.as_deref()),
            command::Offload::Claim(claim) => {
                let result = self.claim(claim).map(|()| Reply::ok(None));
                self.finish(token, result);
            }
            command::Offload::Progress(progress) => {
                let result = self.host_progress(&progress).map(|()| Reply::ok(None));
                self.finish(token, result);
            }
            command::Offload::Result { job, host, manifest } => {
                self.host_result(token, &job, host, *manifest)
            }
            command::Offload::Release { job, host, outcome, reason } => {
                let result = self.release(&job, host, outcome, reason).map(|()| Reply::ok(None));
                self.finish(token, result);
            }
        }
    }

    /// Whether a job may be offered now.
    fn may_offer(&self) -> Result<(), Error> {
        let unsupported = |message: &str| Err(Error::new(Code::Unsupported, message));
        if self.settings.offload.host_keys.is_empty() {
            return unsupported(
                "no training host is trusted: put its public key into offload.host_keys and restart",
            );
        }
        if self.mqtt.is_none() {
            return unsupported("a job is offered over MQTT, and mqtt.enabled is off");
        }
        let running = self.offload.as_ref().map(|o| o.record.job).or(self.arrival.as_ref().map(|a| a.job));
        if let Some(job) = running {
            return Err(Error::busy(&job.to_string()));
        }
        if self.control.active().is_none() {
            let message = "there is no head yet that a host could improve on: label samples, then train";
            return Err(Error::new(Code::NotEnoughData, message));
        }
        Ok(())
    }

    /// Offers a job; `token` 0 is the daemon itself.
    pub(super) fn start_offload(&mut self, token: Token, recipe: Option<Recipe>) {
        if let Err(error) = self.may_offer() {
            return self.finish(token, Err(error));
        }
        let recipe = recipe.or(self.settings.offload.recipe.parse().ok()).unwrap_or_default();
        let job = self.control.new_job();
        let by = self.pending.get(token).map_or_else(|| "adaptation".to_owned(), |w| w.by.clone());
        self.job_begins(job, "offload", "offer", &by);
        let gathering = dataset::Gathering {
            device: self.topics.device().to_owned(),
            line: self.line.clone(),
            from: self.provenance.clone(),
            head: self.control.active(),
            folder: dataset::folder(&self.settings, job),
        };
        let expires_ms = self.clock.wall_ms() + (self.settings.offload.give_up_h * 3_600_000.0) as i64;
        self.store_then(
            move |store| Ok(gathering.gather(store)),
            move |daemon, gathered| match gathered.map_err(|e| super::samples::store_error(&e)).flatten() {
                Ok(gathered) => daemon.offer(token, job, recipe, gathered, expires_ms),
                Err(error) => {
                    daemon.job_fails(job, error.clone());
                    daemon.finish(token, Err(error));
                }
            },
        );
    }

    /// Offers a job where the last round says that fine-tuning would help, and people allow it.
    pub(super) fn offer_by_itself(&mut self) {
        let advised = self.findings.advice.as_ref().is_some_and(|advice| advice.next == NextStep::FineTune);
        if !advised || !self.settings.offload.automatic {
            return;
        }
        if let Err(error) = self.may_offer() {
            return tracing::info!("fine-tuning would help, but nothing is offered: {}", error.message);
        }
        let samples = self.dataset.samples() as u64;
        self.store_then(
            |store| Ok(store.get_state(OFFERED)?.and_then(|samples| samples.parse().ok())),
            move |daemon, last| match last {
                Ok(last) if worth_offering(samples, last) => daemon.start_offload(0, None),
                Ok(_) => {}
                Err(error) => tracing::warn!(%error, "it cannot be told whether a job was offered before"),
            },
        );
    }

    fn offer(&mut self, token: Token, job: JobId, recipe: Recipe, gathered: Gathered, expires_ms: i64) {
        let offer = Offer {
            schema: Schema1,
            job: job.to_string(),
            recipe,
            backbone: gathered.backbone,
            dataset: gathered.dataset,
            state: OfferState::Offered,
            host: None,
            expires: timestamp::rfc3339(expires_ms),
        };
        let record = Record { job, offer, expires_ms, claim: None, fed: false, taking: false };
        self.persist_quietly(OFFERED, record.offer.dataset.samples.to_string());
        self.begin_offload(record);
        self.finish(token, Ok(Reply::accepted(None, job.to_string())));
    }

    /// Begins, or begins again after a restart.
    pub(super) fn begin_offload(&mut self, record: Record) {
        let stage = match &record.claim {
            Some(claim) if record.taking => Stage::Taking { host: claim.host.clone() },
            Some(claim) => Stage::Claimed { host: claim.host.clone(), fed: record.fed },
            None => Stage::Offered,
        };
        if !self.jobs.runs(&record.offer.job) {
            self.job_begins(record.job, "offload", "offer", "restart");
        }
        let (machine, actions) = Offload::new(stage, self.clock.now());
        self.offload = Some(Offered { machine, record, feed: None });
        self.act_offload(actions);
    }

    /// Tells the machine, and does what it says.
    fn offload_event(&mut self, event: Event) -> Result<(), Error> {
        let now = self.clock.now();
        let Some(offered) = &mut self.offload else { return Ok(()) };
        let actions = offered.machine.handle(now, event).map_err(|refusal| match refusal {
            Refusal::Taken(host) => {
                Error::new(Code::Conflict, format!("host {host} has this job")).with("host", host)
            }
            Refusal::NotYours => {
                Error::new(Code::Conflict, "this host does not have the job: claim it first")
            }
        })?;
        self.act_offload(actions);
        Ok(())
    }

    fn act_offload(&mut self, actions: Vec<Action>) {
        for action in actions {
            match action {
                Action::Publish => self.publish_offer(),
                Action::Feed => self.feed(),
                Action::Stop => {
                    if let Some((_, cancel)) = self.offload.as_mut().and_then(|o| o.feed.take()) {
                        cancel.now();
                    }
                }
                // The arrival of the backbone does that.
                Action::Take => {}
                Action::End => self.end_offer(),
            }
        }
    }

    fn publish_offer(&mut self) {
        let Some(Offered { machine, record, .. }) = &mut self.offload else { return };
        let host = machine.host().map(str::to_owned);
        (record.fed, record.taking) = match machine.stage() {
            Stage::Claimed { fed, .. } => (*fed, false),
            Stage::Taking { .. } => (true, true),
            Stage::Offered => (false, false),
        };
        if host.is_none() {
            record.claim = None;
        }
        record.offer.state = if host.is_some() { OfferState::Claimed } else { OfferState::Offered };
        record.offer.host = host;
        let (job, step) = (record.job, if record.claim.is_some() { "claimed" } else { "offered" });
        let (kept, payload) = (to_json(record), to_json(&record.offer));
        let topic = self.topics.offload(&job.to_string());
        self.job_changed(job, |message| message.step = Some(step.to_owned()));
        self.store_then(
            move |store| store.put_state(KEY, &kept),
            move |daemon, stored| match stored {
                // On disk, then said: a host that was told yes is remembered.
                Ok(()) => daemon.say(topic, payload),
                Err(error) => tracing::warn!(%error, "the offer could not be stored: it is not published"),
            },
        );
    }

    /// Takes the offer back; the job itself may go on.
    fn end_offer(&mut self) {
        let Some(offered) = self.offload.take() else { return };
        if let Some((_, cancel)) = offered.feed {
            cancel.now();
        }
        let topic = self.topics.offload(&offered.record.offer.job);
        self.store_then(
            |store| store.drop_state(KEY),
            move |daemon, stored| {
                if let Err(error) = stored {
                    tracing::warn!(%error, "the end of an offer could not be stored");
                }
                if let Some(mqtt) = &daemon.mqtt {
                    mqtt.clear(topic);
                }
            },
        );
    }

    /// Ends the whole job before it has a result.
    fn end_offload(&mut self, error: Error) {
        let Some(job) = self.offload.as_ref().map(|o| o.record.job) else { return };
        self.end_offer();
        self.job_fails(job, error);
        self.arrival_over();
    }

    fn cancel_offload(&mut self, token: Token, job: Option<&str>) {
        let offered = self.offload.as_ref().map(|o| (o.record.job, o.record.taking));
        let arriving = self.arrival.as_ref().map(|arrival| arrival.job);
        let meant = |id: JobId| job.is_none_or(|job| job == id.to_string());
        let Some(id) = offered.map(|o| o.0).or(arriving).filter(|id| meant(*id)) else {
            let what = job.map_or("an offloaded job".to_owned(), |job| format!("an offloaded job {job}"));
            return self.finish(token, Err(Error::not_found(what)));
        };
        if !self.cancel_arrival(id) {
            self.end_offload(Error::new(Code::Canceled, "cancelled; the active pair stays"));
        }
        self.finish(token, Ok(Reply::accepted(None, id.to_string())));
    }

    /// The result is here, or of no use: the offer is over.
    pub(super) fn result_taken(&mut self) {
        // Only a host's word can be refused.
        let _ = self.offload_event(Event::Taken);
    }

    /// The result could not be fetched: the host keeps the job, and will say so again.
    pub(super) fn result_not_taken(&mut self) {
        let _ = self.offload_event(Event::NotTaken);
    }

    /// The broker is there again.
    pub(super) fn offload_connected(&mut self) {
        let _ = self.offload_event(Event::Connected);
    }

    /// Time passed.
    pub(super) fn offload_tick(&mut self) {
        let Some(offered) = &self.offload else { return };
        let over = self.clock.synced() && self.clock.wall_ms() > offered.record.expires_ms;
        if over && !offered.record.taking {
            let hours = self.settings.offload.give_up_h;
            let message = format!("no host brought it to an end within {hours} h (offload.give_up_h)");
            return self.end_offload(Error::new(Code::Timeout, message));
        }
        let _ = self.offload_event(Event::Tick);
    }

    /// The job that is offered.
    pub(super) fn offered_job(&self) -> Option<JobId> {
        self.offload.as_ref().map(|offered| offered.record.job)
    }

    /// For `graft offload status`.
    pub(super) fn offload_view(&self) -> serde_json::Value {
        let offered = self.offload.as_ref().map(|o| json!({"offer": o.record.offer, "fed": o.record.fed}));
        let arriving = self.arrival.as_ref().map(|a| a.job.to_string());
        let job = self.offload.as_ref().map(|o| o.record.offer.job.clone()).or(arriving);
        let job = job.and_then(|job| self.jobs.get(&job).cloned());
        json!({"offered": offered, "job": job, "host_keys": self.settings.offload.host_keys.len(),
            "automatic": self.settings.offload.automatic})
    }

    /// What the last start left behind.
    pub(super) fn resume_offload(&mut self) {
        self.store_then(
            |store| {
                let record = store.get_state(KEY)?;
                let pending =
                    store.backbones(1000)?.into_iter().find(|row| row.stage == graft_store::Stage::Pending);
                Ok::<_, StoreError>((record, pending))
            },
            |daemon, found| match found {
                Ok((record, pending)) => {
                    match record.map(|text| serde_json::from_str::<Record>(&text)) {
                        Some(Ok(record)) => daemon.begin_offload(record),
                        Some(Err(error)) => {
                            tracing::error!(%error, "the offered job cannot be read: it is given up")
                        }
                        None => {}
                    }
                    match pending {
                        Some(row) => daemon.arrive(&row),
                        None => daemon.arrival_over(),
                    }
                }
                Err(error) => tracing::error!(%error, "what was offered cannot be read"),
            },
        );
    }
}
