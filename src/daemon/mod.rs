//! The daemon: the only room that knows every other one. Threads for camera, inference, training and
//! the store; one loop on the main thread that waits in one place and acts in one place.
//!
//! ```text
//! camera ─slot─▶ inference ─observations─▶ loop ◀─ mqtt, web, store, trainer
//! ```

mod arrival;
mod backbones;
mod budget;
mod burst;
mod clock;
mod commands;
mod drift;
mod files;
mod findings;
mod gpio;
mod hands;
mod heads;
mod heartbeat;
mod inference;
mod jobs;
mod metrics;
mod offload;
mod pair;
mod picture;
mod predictions;
mod proof;
mod provenance;
mod publish;
mod reembed;
mod reload;
mod ring;
mod rounds;
mod samples;
mod start;
mod state;
mod statistics;
mod trainer;
mod transfer;
mod trial;
mod upkeep;
mod views;
mod worker;

pub use budget::Budget;
pub use clock::Clock;
pub use hands::Hands;
pub use pair::load_backbone;
pub use start::{StartError, run};
pub use trainer::nice;

use crate::board::Board;
use crate::config::Settings;
use crate::web;
use graft_camera::{self as camera, Slot};
use graft_control::probation::Probation;
use graft_control::{Action, Answer, Control, Event, JobStep};
use graft_mqtt as mqtt;
use graft_store::{Store, StoreError};
use graft_wire::Topics;
use graft_wire::messages::{CameraFacts, HeadState};
use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::time::{Duration, Instant};
use tokio::sync::{broadcast, mpsc};

/// Everything that the loop can be told.
pub enum Input {
    /// The camera opened, was lost, or ended.
    Camera(camera::Status),
    /// The broker's side.
    Mqtt(mqtt::Report),
    /// The command socket's side.
    Web(web::Request),
    /// A task of another thread is done; this is what follows.
    Continue(Box<dyn FnOnce(&mut Daemon) + Send>),
}

/// The loop's state. Nothing of it is shared.
pub struct Daemon {
    settings: Settings,
    clock: clock::Clock,
    topics: Topics,
    response_prefixes: Vec<String>,
    provenance: provenance::Provenance,
    /// The name of the configured backbone: what a host made of it is of the same line.
    line: String,
    /// A backbone that takes the active one's place once its head is stored.
    incoming: Option<pair::Incoming>,
    /// The backbone that is on its way.
    arrival: Option<arrival::Arrival>,
    /// The last version taken on, by key and line.
    floors: std::collections::BTreeMap<String, u64>,
    probation: Option<Probation>,
    usual: backbones::Usual,
    /// Why the active pair has to go as soon as nothing else runs.
    rollback_due: Option<String>,
    offload: Option<offload::Offered>,
    feeds: u64,
    control: Control,
    queue: VecDeque<Event>,
    handling: bool,
    inbox: mpsc::UnboundedSender<Input>,
    store: worker::Worker<Store>,
    trainer: worker::Worker<()>,
    orders: std::sync::mpsc::Sender<inference::Order>,
    turns: Arc<AtomicU64>,
    failures: Arc<AtomicU64>,
    board: Board,
    tally: metrics::Tally,
    budget: budget::Budget,
    heartbeat: heartbeat::Heartbeat,
    lamp: gpio::Lamp,
    /// Since when the active head is on trial.
    trial: Option<Duration>,
    slot: Arc<Slot>,
    mqtt: Option<mqtt::Handle>,
    watchers: broadcast::Sender<String>,
    pulse: state::Pulse,
    vote: predictions::Vote,
    last_prediction: Option<Instant>,
    maintained: Option<Instant>,
    state_changed: bool,
    camera: Option<CameraFacts>,
    newest_frame: Option<(u64, Instant)>,
    ring: ring::Ring,
    bursts: burst::Bursts,
    recording: Option<burst::Recording>,
    last_class: Option<String>,
    dataset: samples::DatasetView,
    active: Option<inference::ActiveHead>,
    head_state: Option<HeadState>,
    training: Option<rounds::Training>,
    transfer_cancel: trainer::Cancel,
    pending: commands::Pending,
    persist_error: Option<graft_wire::Error>,
    jobs: jobs::Jobs,
    findings: findings::Findings,
    scene: drift::Scene,
}

impl Daemon {
    /// The only place that acts on what came in.
    fn handle(&mut self, input: Input) {
        match input {
            Input::Camera(status) => self.camera_says(status),
            Input::Mqtt(report) => self.mqtt_says(report),
            Input::Web(web::Request::Command { op, body, reply, .. }) => self.http_command(&op, &body, reply),
            Input::Web(web::Request::View { view, reply }) => self.view(view, reply),
            Input::Continue(then) => then(self),
        }
    }

    /// Passes an event to the state machine and carries out what it says. An event that comes up while
    /// another one is being carried out waits for its turn.
    fn control(&mut self, event: Event) {
        self.queue.push_back(event);
        if self.handling {
            return;
        }
        self.handling = true;
        while let Some(event) = self.queue.pop_front() {
            let actions = self.control.handle(self.clock.now(), event);
            for action in actions {
                self.state_changed = true;
                self.act(action);
            }
        }
        self.handling = false;
    }

    fn act(&mut self, action: Action) {
        match action {
            Action::Persist(wanted) => self.persist("wanted", wanted.as_str().to_owned()),
            Action::PersistPin(on) => self.persist_pin(on),
            Action::StartRound(job, choice) => self.start_round(job, choice),
            Action::CancelRound(job) => {
                if let Some(training) = self.training.as_ref().filter(|t| t.job == job) {
                    training.cancel.now();
                }
            }
            Action::Store { job, verdict } => self.store_candidate(job, verdict),
            Action::RestoreHead(token, version) => self.restore_head(token, version),
            Action::Install(origin, version) => self.install_head(origin, version),
            Action::Publish(version) => {
                self.publish_head(version);
                // What the round advised can be followed now that its head is in use.
                self.offer_by_itself();
            }
            Action::Reply(token, Answer::Done) => self.reply_after_store(token, Answer::Done),
            Action::Reply(token, answer) => {
                self.restore_answered(token, &answer);
                self.control_answer(token, answer);
            }
            Action::Job(job, step) => {
                let rejected = matches!(step, JobStep::Rejected(..));
                if !self.trial_step(job, &step) {
                    self.round_job(job, step);
                }
                if rejected {
                    self.offer_by_itself();
                }
            }
        }
    }

    /// Gives the store's thread a task; what follows runs here, in the loop.
    fn store_then<R: Send + 'static>(
        &self,
        task: impl FnOnce(&mut Store) -> Result<R, StoreError> + Send + 'static,
        then: impl FnOnce(&mut Daemon, Result<R, StoreError>) + Send + 'static,
    ) {
        let inbox = self.inbox.clone();
        self.store.tell(move |store| {
            let result = task(store);
            // The loop is gone only when the daemon ends.
            let _ = inbox.send(Input::Continue(Box::new(move |daemon| then(daemon, result))));
        });
    }

    /// As [`Daemon::store_then`], for what nobody waits for.
    fn store_or_warn(
        &self,
        what: &'static str,
        task: impl FnOnce(&mut Store) -> Result<(), StoreError> + Send + 'static,
    ) {
        self.store_then(task, move |_, stored| {
            if let Err(error) = stored {
                tracing::warn!(%error, "{what} could not be stored");
            }
        });
    }

    fn mqtt_says(&mut self, report: mqtt::Report) {
        match report {
            mqtt::Report::Connected { max_packet_out, .. } => {
                tracing::info!(max_packet_out, "connected to the broker");
                self.connected();
            }
            mqtt::Report::Disconnected { reason } => tracing::warn!(reason, "no connection to the broker"),
            mqtt::Report::Command(incoming) => self.mqtt_command(incoming),
            mqtt::Report::Acked(token) => self.delivered(token, None),
            mqtt::Report::Refused { token, reason } => self.delivered(token, Some(reason)),
        }
    }
}
