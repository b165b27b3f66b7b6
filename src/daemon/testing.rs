//! A daemon without the world: its components on a recorder, and a store, a trainer and an inference thread that work
//! only when the test lets them.

use super::Daemon;
use super::adapt::{self, Adapt, trainer};
use super::board::BoardMonitor;
use super::clock::Now;
use super::commands::Commands;
use super::context::{By, Context};
use super::effects::{Effect, Effects, Recorder};
use super::event::{Beginning, Done, Event, Inbox, Message, Ticket};
use super::frames::{ActiveHead, Observation, Order, SeenFrame};
use super::jobs::Jobs;
use super::kept::Findings;
use super::labels::Labels;
use super::labels::dataset::DatasetView;
use super::offload::Offload;
use super::pair::Pair;
use super::provenance::Provenance;
use super::watch::Watch;
use crate::config::{self, Settings, Sources, Surroundings};
use crate::web::Answer;
use graft_camera::FrameCheck;
use graft_control::{Control, Event as ControlEvent, Hold, JobIds, Wanted};
use graft_store::{Limits, Store};
use graft_wire::messages::BackboneRef;
use graft_wire::{Key, Topics, digest};
use serde_json::Value;
use std::collections::VecDeque;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tempfile::TempDir;
use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};

/// Length of an embedding here.
pub const WIDTH: usize = 8;

/// Settings with these keys, and a state folder of their own.
pub fn settings(folder: &TempDir, set: &[&str]) -> Arc<Settings> {
    let state = format!("store.dir={}", folder.path().display());
    let set = set.iter().map(ToString::to_string).chain(["device.id=d".to_owned(), state]).collect();
    let sources = Sources { file: None, set, surroundings: Surroundings::here() };
    Arc::new(config::load(&sources).unwrap())
}

/// A backbone of which only the name is there.
pub fn backbone() -> Provenance {
    let (_, card) = graft_backbone::tiny();
    Provenance {
        device: "d".into(),
        backbone: BackboneRef { name: card.name.clone(), digest: digest::sha256(b"network") },
        tensor: "features".into(),
        preprocess: digest::sha256(b"preprocess"),
        key: Arc::new(Key::from_seed(&mut [7; 32])),
        embeddings: digest::sha256(b"embeddings").into(),
        width: WIDTH,
        card,
        roi: None,
        file: None,
        row: None,
    }
}

/// Effects into a record, with a broker.
pub fn effects() -> Effects {
    let recorder = Recorder { broker: true, ..Recorder::default() };
    Effects::recorded(recorder, Topics::new("graft", "d").unwrap(), JobIds::new(1))
}

/// A way into the loop, and what comes out of it.
pub fn inbox() -> (Inbox, UnboundedReceiver<Event>) {
    #[expect(clippy::disallowed_methods, reason = "as the loop's own")]
    let (queue, told) = unbounded_channel();
    (Inbox::new(queue), told)
}

/// A clock that the test turns.
#[derive(Clone, Copy)]
pub struct TestClock(Instant);

impl TestClock {
    /// At its start.
    pub fn new() -> Self {
        Self(Instant::now())
    }

    /// So many milliseconds after its start.
    pub fn at(self, ms: u64) -> Now {
        let uptime = Duration::from_millis(ms);
        let wall_ms = 1_800_000_000_000 + ms as i64;
        Now { at: self.0 + uptime, uptime, wall_ms, synced: true }
    }
}

/// The daemon at this moment, with nothing going on.
pub fn context(now: Now, settings: &Arc<Settings>) -> Context {
    Context {
        now,
        settings: Arc::clone(settings),
        backbone: Arc::new(backbone()),
        incoming: None,
        line: "tiny".into(),
        floors: Arc::default(),
        active: None,
        round: None,
        holds: Vec::new(),
        readiness: Control::new(settings.policy(), Wanted::Infer, None, false).readiness(),
        arrival: None,
        offered: None,
    }
}

/// A frame as the inference thread tells of it.
pub fn observation(now: Now, frame: u64, embedding: &[f32], head: Option<&ActiveHead>) -> Observation {
    let embedding: Arc<[f32]> = embedding.into();
    Observation {
        size: [4, 3],
        glance: FrameCheck { black: false, saturated: false, fingerprint: frame },
        kept: true,
        prediction: head.map(|head| (head.clone(), head.predict(&embedding))),
        reused: false,
        infer_ms: 10.0,
        age_ms: 1.0,
        seen: SeenFrame {
            frame,
            taken: now.at,
            wall_ms: now.wall_ms,
            name: None,
            picture: vec![1, frame as u8].into(),
            embedding,
            key: backbone().embeddings,
            sample: None,
            shown: None,
        },
    }
}

/// A whole daemon on a recorder, as it is after a start with nothing in its store.
pub fn daemon(settings: &Arc<Settings>) -> Daemon {
    let mut control = Control::new(settings.policy(), Wanted::Infer, None, false);
    control.handle(Duration::ZERO, ControlEvent::Held(Hold::CameraLost), &mut JobIds::new(1));
    let uptime = Duration::ZERO;
    Daemon {
        settings: Arc::clone(settings),
        commands: Commands::new(vec!["graft".into()]),
        labels: Labels::new(settings, "boot", DatasetView::default()),
        watch: Watch::new("board".into(), "pattern", "boot", None),
        adapt: Adapt::new(control, adapt::at_start::Heads::default(), Findings::default()),
        pair: Pair::new(settings, uptime, "tiny", backbone(), None, super::pair::tasks::Floors::new()),
        offload: Offload::default(),
        jobs: Jobs::default(),
        board: BoardMonitor::new(None),
        effects: effects(),
    }
}

/// What the effects were since that was asked last.
pub fn taken(effects: &mut Effects) -> Vec<Effect> {
    std::mem::take(&mut effects.recorder().unwrap().effects)
}

/// A daemon whose store, trainer and inference thread answer at once, and which writes down all that it is told and does.
pub struct Session {
    daemon: Daemon,
    store: Store,
    head: Option<ActiveHead>,
    clock: TestClock,
    ms: u64,
    frames: u64,
    tickets: u64,
    /// What it was told, and when.
    pub events: Vec<(Now, Event)>,
    /// What it did.
    pub effects: Vec<String>,
    /// Answers to requests.
    pub answers: Vec<(Ticket, Value)>,
}

impl Session {
    /// After its start.
    pub fn begin(folder: &TempDir, settings: &Arc<Settings>) -> Self {
        let limits = Limits { quota_bytes: 1 << 30, free_floor_bytes: 0 };
        let mut session = Self {
            daemon: daemon(settings),
            store: Store::open(folder.path(), limits).unwrap().0,
            head: None,
            clock: TestClock::new(),
            ms: 0,
            frames: 0,
            tickets: 0,
            events: Vec::new(),
            effects: Vec::new(),
            answers: Vec::new(),
        };
        session.tell(Event::Begin(Beginning::default()));
        session
    }

    /// What is stored.
    pub fn store(&mut self) -> &mut Store {
        &mut self.store
    }

    /// The time.
    pub fn now(&self) -> Now {
        self.clock.at(self.ms)
    }

    /// Time passes.
    pub fn wait(&mut self, ms: u64) {
        self.ms += ms;
    }

    /// Tells it, and everything that follows.
    pub fn tell(&mut self, event: Event) {
        let mut queue = VecDeque::from([event]);
        while let Some(event) = queue.pop_front() {
            let now = self.now();
            self.events.push((now, event.clone()));
            self.daemon.handle(now, event);
            for effect in taken(&mut self.daemon.effects) {
                self.effects.push(format!("{effect:?}"));
                queue.extend(self.carry_out(effect).map(Event::Done));
            }
        }
    }

    fn carry_out(&mut self, effect: Effect) -> Option<Done> {
        match effect {
            Effect::Store(task) => task.run(&mut self.store, &mut |_, _, _, _| {}),
            Effect::Order(Order::Install { head, then }) => {
                self.head = Some(head);
                then.map(Done::Installed)
            }
            Effect::Train(order) => {
                let done = trainer::run(&order.assignment, order.cancel.flag(), &mut |_| {});
                let done = Box::new(done.map_err(Some));
                Some(Done::Adapt(adapt::tasks::Done::Round(order.job, done)))
            }
            Effect::Answer(ticket, Answer { body, .. }) => {
                self.answers.push((ticket, serde_json::from_slice(&body).unwrap()));
                None
            }
            _ => None,
        }
    }

    /// A quarter of a second, then a frame of this kind; its number.
    pub fn frame(&mut self, kind: usize) -> u64 {
        self.wait(250);
        self.frames += 1;
        let mut random = fastrand::Rng::with_seed(self.frames);
        let mut embedding = [0.0; WIDTH];
        embedding.iter_mut().for_each(|value| *value = random.f32());
        embedding[kind] += 1.5;
        let seen = observation(self.now(), self.frames, &embedding, self.head.as_ref());
        self.tell(Event::Observed(Box::new(seen)));
        self.tell(Event::Tick);
        self.frames
    }

    /// A command over HTTP.
    pub fn request(&mut self, op: &str, body: &str) -> Ticket {
        self.tickets += 1;
        let ticket = Ticket(self.tickets);
        let (op, body) = (op.to_owned(), body.as_bytes().to_vec().into());
        self.tell(Event::Request { op, body, by: By::Http, ticket });
        ticket
    }

    /// The same over MQTT.
    pub fn message(&mut self, op: &str, body: &str) -> Ticket {
        self.tickets += 1;
        let ticket = Ticket(self.tickets);
        self.tell(Event::Message(Message {
            topic: format!("graft/d/cmd/{op}"),
            payload: body.as_bytes().to_vec().into(),
            retain: false,
            response_topic: None,
            correlation: None,
            expiry_s: None,
            ticket,
        }));
        ticket
    }

    /// The answer to a request.
    pub fn answer(&self, ticket: Ticket) -> Option<&Value> {
        self.answers.iter().find(|(of, _)| *of == ticket).map(|(_, answer)| answer)
    }

    /// Whether it did something of which this is a part since `from` effects.
    pub fn did(&self, from: usize, part: &str) -> bool {
        self.effects[from..].iter().any(|effect| effect.contains(part))
    }
}

/// What a daemon does that is told only this, in this order, at these times: nothing else answers it.
pub fn replay(settings: &Arc<Settings>, events: &[(Now, Event)]) -> Vec<String> {
    let mut daemon = daemon(settings);
    let mut effects = Vec::new();
    for (now, event) in events {
        daemon.handle(*now, event.clone());
        effects.extend(taken(&mut daemon.effects).iter().map(|effect| format!("{effect:?}")));
    }
    effects
}
