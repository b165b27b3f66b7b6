//! The world: the daemon's threads, channels and connections.

use super::effect::{Counters, Effect, Readings, Room, Service};
use crate::board::{self, Board};
use crate::daemon::access::Access;
use crate::daemon::adapt::tasks as adapt;
use crate::daemon::adapt::trainer::{self, Pace, RoundOrder};
use crate::daemon::background::Background;
use crate::daemon::board::gpio::Lamp;
use crate::daemon::context::By;
use crate::daemon::event::{Done, Event, Inbox, Message, Ticket};
use crate::daemon::frames::Order;
use crate::daemon::pair::files;
use crate::daemon::store_thread::{StoreClient, StoreOrder, StoreTask};
use crate::daemon::worker::Worker;
use crate::web::{self, Answer};
use bytes::Bytes;
use graft_base::systemd;
use graft_camera::Slot;
use graft_mqtt as mqtt;
use graft_store::Store;
use std::collections::HashMap;
use std::panic::AssertUnwindSafe;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::sync::mpsc;
use std::time::{Duration, Instant};
use tokio::sync::{broadcast, oneshot};

/// Progress of a round is told at most this often.
const PROGRESS_EVERY: Duration = Duration::from_millis(500);

/// What the start hands over.
pub struct LiveParts {
    /// Tells the loop.
    pub inbox: Inbox,
    /// The inference thread.
    pub orders: mpsc::Sender<Order>,
    /// The newest frame.
    pub slot: Arc<Slot>,
    /// Turns of the inference thread.
    pub inference_turns: Arc<AtomicU64>,
    /// Frames that it could not use.
    pub inference_failures: Arc<AtomicU64>,
    /// The board's sensors.
    pub board: Board,
    /// The lamp.
    pub lamp: Lamp,
    /// The state folder.
    pub state: PathBuf,
    /// The camera's whole picture, for those who look.
    pub preview: Arc<web::Preview>,
}

/// See [`super::Effects`].
pub struct Live {
    parts: LiveParts,
    store: Worker<StoreOrder>,
    trainer: Worker<TrainerOrder>,
    round_share: Arc<AtomicU32>,
    mqtt: Option<mqtt::Handle>,
    watchers: broadcast::Sender<String>,
    requests: HashMap<Ticket, oneshot::Sender<Answer>>,
    acknowledgements: HashMap<Ticket, mqtt::Ack>,
    tickets: u64,
}

/// What the trainer's thread is told.
#[derive(Debug)]
enum TrainerOrder {
    /// Give way to inference.
    Nice(i32),
    /// Carry out a round.
    Round(Box<RoundOrder>),
    /// Show that it moves.
    Nothing,
}

impl Live {
    /// Starts the threads of the store and, with this niceness, of the trainer.
    ///
    /// # Errors
    /// The system gives no thread.
    pub fn new(parts: LiveParts, mut store: Store, nice: i32) -> std::io::Result<Self> {
        let round_share = Arc::new(AtomicU32::new(100));
        let trainer_turns = Arc::<AtomicU64>::default();
        let inbox = parts.inbox.clone();
        let carry_out = move |order: StoreOrder| order.carry_out(&mut store, &inbox);
        let store = Worker::spawn("store", Arc::default(), carry_out)?;
        let (inbox, share, turns) =
            (parts.inbox.clone(), Arc::clone(&round_share), Arc::clone(&trainer_turns));
        let train = move |order| match order {
            TrainerOrder::Nice(increment) => trainer::nice(increment),
            TrainerOrder::Round(round) => train(*round, &inbox, Pace::new(turns.clone(), share.clone())),
            TrainerOrder::Nothing => {}
        };
        let trainer = Worker::spawn("train", trainer_turns, train)?;
        trainer.tell(TrainerOrder::Nice(nice));
        Ok(Self {
            parts,
            store,
            trainer,
            round_share,
            mqtt: None,
            watchers: broadcast::channel(256).0,
            requests: HashMap::new(),
            acknowledgements: HashMap::new(),
            tickets: 0,
        })
    }

    /// The broker's session is there from now on.
    pub fn connect(&mut self, session: mqtt::Handle) {
        self.mqtt = Some(session);
    }

    /// What stands behind the listeners, whose requests go there.
    pub fn backend(&self, requests: tokio::sync::mpsc::Sender<web::Request>) -> web::Backend {
        let (preview, state) = (Arc::clone(&self.parts.preview), self.parts.state.clone());
        web::Backend { requests, watch: self.watchers.clone(), preview, state }
    }

    /// The newest frame.
    pub fn slot(&self) -> &Arc<Slot> {
        &self.parts.slot
    }

    /// Ends the inference thread, and gives the broker's session to be closed.
    pub fn stop(&mut self) -> Option<mqtt::Handle> {
        self.parts.slot.close();
        let _ = self.parts.orders.send(Order::Stop);
        self.mqtt.take()
    }

    /// Whether the threads of store and trainer still run.
    pub fn alive(&self) -> bool {
        self.store.alive() && self.trainer.alive()
    }

    /// A request of the command socket as an event: its answer has a ticket from now on.
    pub fn request(&mut self, request: web::Request) -> Event {
        let ticket = self.ticket();
        let (event, reply) = match request {
            web::Request::Command { op, body, by, reply } => {
                let by = by.map_or(By::Http, By::Cli);
                (Event::Request { op, body, by, ticket }, reply)
            }
            web::Request::View { view, reply } => (Event::View(view, ticket), reply),
        };
        self.requests.insert(ticket, reply);
        event
    }

    /// What the broker's session says as an event: the acknowledgement of a message has a ticket from now on.
    pub fn report(&mut self, report: mqtt::Report) -> Event {
        match report {
            mqtt::Report::Connected { max_packet_out, .. } => Event::Connected { max_packet_out },
            mqtt::Report::Disconnected { reason } => Event::Disconnected(reason),
            mqtt::Report::Acked(token) => Event::Delivered { token, refused: None },
            mqtt::Report::Refused { token, reason } => Event::Delivered { token, refused: Some(reason) },
            mqtt::Report::Command(incoming) => {
                let ticket = self.ticket();
                let mqtt::Incoming { topic, payload, retain, response_topic, correlation, expiry_s, ack } =
                    incoming;
                self.acknowledgements.insert(ticket, ack);
                Event::Message(Message {
                    topic,
                    payload,
                    retain,
                    response_topic,
                    correlation,
                    expiry_s,
                    ticket,
                })
            }
        }
    }

    fn ticket(&mut self) -> Ticket {
        self.tickets += 1;
        Ticket(self.tickets)
    }

    pub(super) fn has_broker(&self) -> bool {
        self.mqtt.is_some()
    }

    pub(super) fn counters(&self) -> Counters {
        let turns = |count: &AtomicU64| Some(count.load(Ordering::Relaxed));
        Counters {
            received: self.parts.slot.received(),
            dropped: self.parts.slot.drops(),
            failed: self.parts.inference_failures.load(Ordering::Relaxed),
            mqtt: self.mqtt.as_ref().map(mqtt::Handle::stats),
            turns: [
                Some(self.parts.slot.turns()),
                turns(&self.parts.inference_turns),
                Some(self.store.turns()),
                Some(self.trainer.turns()),
                self.mqtt.as_ref().map(mqtt::Handle::turns),
            ],
        }
    }

    pub(super) fn readings(&self) -> Readings {
        Readings {
            temperature_c: self.parts.board.temperature_c(),
            throttle: self.parts.board.throttle(),
            rss_bytes: self.parts.board.rss_bytes(),
            written_bytes: self.parts.board.written_bytes(),
            disk_free_bytes: board::free_bytes(&self.parts.state),
            cpu_time: Some(board::cpu_time()),
        }
    }

    pub(super) fn room(&self) -> Room {
        Room { free: board::free_bytes(&self.parts.state), used: files::used(&self.parts.state) }
    }

    pub(super) fn carry_out(&mut self, effect: Effect) {
        match effect {
            Effect::Store(task) => self.store.tell(StoreOrder::Task(task)),
            Effect::Train(order) => self.trainer.tell(TrainerOrder::Round(order)),
            Effect::RoundShare(percent) => self.round_share.store(percent, Ordering::Relaxed),
            Effect::Start(work) => self.start(work),
            Effect::Lamp(lit) => self.parts.lamp.set(lit),
            Effect::Service(Service::Ready(line)) => systemd::ready(&line),
            Effect::Service(Service::Status(line)) => systemd::status(&line),
            Effect::Service(Service::Alive) => systemd::alive(),
            Effect::Service(Service::Reloading) => systemd::reloading(),
            Effect::TellRepeats => crate::log::tell_repeats(),
            Effect::Nudge => {
                if let Some(mqtt) = &self.mqtt {
                    mqtt.poke();
                }
                self.store.tell(StoreOrder::Task(StoreTask::Nothing));
                self.trainer.tell(TrainerOrder::Nothing);
            }
            // The thread is gone only when the daemon ends.
            Effect::Order(order) => drop(self.parts.orders.send(order)),
            // Nobody watching is no error.
            Effect::Watch(line) => drop(self.watchers.send(line)),
            Effect::Answer(ticket, answer) => {
                if let Some(reply) = self.requests.remove(&ticket) {
                    // The client may have gone.
                    let _ = reply.send(answer);
                }
            }
            Effect::AnswerCrop(ticket, picture) => {
                if let Some(reply) = self.requests.remove(&ticket) {
                    tokio::task::spawn_blocking(move || {
                        let body = Bytes::copy_from_slice(picture.wait());
                        let _ = reply.send(Answer::bytes("image/jpeg", body));
                    });
                }
            }
            Effect::Publish(_) | Effect::Clear(_) | Effect::Sequence { .. } | Effect::Acknowledge(_) => {
                self.send_to_broker(effect)
            }
        }
    }

    fn send_to_broker(&mut self, effect: Effect) {
        let Some(mqtt) = &self.mqtt else { return };
        match effect {
            Effect::Publish(publication) => mqtt.publish(publication),
            Effect::Clear(address) => mqtt.clear(address),
            Effect::Sequence { stages, token } => mqtt.sequence(stages, Some(token)),
            Effect::Acknowledge(ticket) => {
                if let Some(ack) = self.acknowledgements.remove(&ticket) {
                    mqtt.ack(ack);
                }
            }
            _ => {}
        }
    }

    fn start(&self, work: Background) {
        let access = Access {
            store: StoreClient::new(self.store.sender()),
            orders: self.parts.orders.clone(),
            inbox: self.parts.inbox.clone(),
        };
        let again = work.clone();
        let thread = std::thread::Builder::new().name(work.name().into());
        if let Err(error) = thread.spawn(move || work.run(&access))
            && let Some(done) = again.failed(&error)
        {
            self.parts.inbox.done(done);
        }
    }
}

/// One round on the trainer's thread. A fault in it must not end the thread, and with it every later round.
fn train(order: RoundOrder, inbox: &Inbox, mut pace: Pace) {
    let RoundOrder { job, assignment, cancel } = order;
    let mut told: Option<Instant> = None;
    let mut report = |progress: graft_learn::Progress| {
        pace.step();
        if told.is_none_or(|at| at.elapsed() >= PROGRESS_EVERY) {
            told = Some(Instant::now());
            inbox.progress(job, progress.phase, progress.done, progress.total);
        }
    };
    let run = AssertUnwindSafe(|| trainer::run(&assignment, cancel.flag(), &mut report));
    let result = match std::panic::catch_unwind(run) {
        Ok(result) => result.map_err(Some),
        Err(_) => Err(None),
    };
    inbox.done(Done::Adapt(adapt::Done::Round(job, Box::new(result))));
}
