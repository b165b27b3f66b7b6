//! The only way out of the daemon: channels, store, broker, trainer and inference orders are held here and nowhere else.
//! In a test a recorder takes their place.

mod effect;
mod live;

pub use self::effect::{Counters, Effect, Readings, Room, Service};
pub use self::live::{Live, LiveParts};

use super::adapt::trainer::RoundOrder;
use super::background::Background;
use super::clock::Now;
use super::event::{Note, Ticket};
use super::frames::{ActiveHead, Installed, Order};
use super::kept::Fact;
use super::outbox::tasks::Task as OutboxTask;
use super::store_thread::StoreTask;
use crate::web::Answer;
use graft_control::{JobIds, Token};
use graft_mqtt::Publication;
use graft_wire::messages::{Event, EventType, to_json};
use graft_wire::{Error, Reply, Topics, timestamp};
use std::collections::VecDeque;

/// What a component may do.
pub struct Effects {
    topics: Topics,
    job_ids: JobIds,
    notes: VecDeque<Note>,
    /// What `state` says has changed since that was asked last.
    changed: bool,
    out: Out,
}

enum Out {
    Live(Box<Live>),
    #[cfg(test)]
    Recorder(Recorder),
}

/// Takes the place of the world in a test.
#[cfg(test)]
#[derive(Debug, Default)]
pub struct Recorder {
    /// What was done, in order.
    pub effects: Vec<Effect>,
    /// Whether there is a broker.
    pub broker: bool,
    /// What [`Effects::counters`] gives.
    pub counters: Counters,
    /// What [`Effects::readings`] gives.
    pub readings: Readings,
    /// What [`Effects::room`] gives.
    pub room: Room,
}

impl Effects {
    /// On the world. `next_job` is a job id that was never used.
    pub fn live(live: Live, topics: Topics, job_ids: JobIds) -> Self {
        Self::new(Out::Live(Box::new(live)), topics, job_ids)
    }

    /// Into a record.
    #[cfg(test)]
    pub fn recorded(recorder: Recorder, topics: Topics, job_ids: JobIds) -> Self {
        Self::new(Out::Recorder(recorder), topics, job_ids)
    }

    fn new(out: Out, topics: Topics, job_ids: JobIds) -> Self {
        Self { topics, job_ids, notes: VecDeque::new(), changed: true, out }
    }

    /// The recorder.
    #[cfg(test)]
    pub fn recorder(&mut self) -> Option<&mut Recorder> {
        match &mut self.out {
            #[cfg(test)]
            Out::Recorder(recorder) => Some(recorder),
            Out::Live(_) => None,
        }
    }

    /// The world, but in a test.
    pub fn world(&mut self) -> Option<&mut Live> {
        match &mut self.out {
            Out::Live(live) => Some(live),
            #[cfg(test)]
            Out::Recorder(_) => None,
        }
    }

    /// The topics of this device.
    pub fn topics(&self) -> &Topics {
        &self.topics
    }

    /// Gives each job its number.
    pub fn job_ids(&mut self) -> &mut JobIds {
        &mut self.job_ids
    }

    /// Whether MQTT is on.
    pub fn has_broker(&self) -> bool {
        match &self.out {
            Out::Live(live) => live.has_broker(),
            #[cfg(test)]
            Out::Recorder(recorder) => recorder.broker,
        }
    }

    /// Figures of threads and connections.
    pub fn counters(&self) -> Counters {
        match &self.out {
            Out::Live(live) => live.counters(),
            #[cfg(test)]
            Out::Recorder(recorder) => recorder.counters.clone(),
        }
    }

    /// What the sensors say.
    pub fn readings(&self) -> Readings {
        match &self.out {
            Out::Live(live) => live.readings(),
            #[cfg(test)]
            Out::Recorder(recorder) => recorder.readings.clone(),
        }
    }

    /// Room for the files of backbones.
    pub fn room(&self) -> Room {
        match &self.out {
            Out::Live(live) => live.room(),
            #[cfg(test)]
            Out::Recorder(recorder) => recorder.room,
        }
    }

    /// Does it.
    pub fn send(&mut self, effect: Effect) {
        match &mut self.out {
            Out::Live(live) => live.carry_out(effect),
            #[cfg(test)]
            Out::Recorder(recorder) => recorder.effects.push(effect),
        }
    }

    /// Tells the other components, once this one is done.
    pub fn tell(&mut self, note: Note) {
        self.notes.push_back(note);
    }

    /// The oldest thing told.
    pub fn next_note(&mut self) -> Option<Note> {
        self.notes.pop_front()
    }

    /// What `state` says is another thing now.
    pub fn changed(&mut self) {
        self.changed = true;
    }

    /// Whether `state` has changed.
    pub fn has_changed(&self) -> bool {
        self.changed
    }

    /// `state` is being told.
    pub fn told(&mut self) {
        self.changed = false;
    }

    /// Answers a command: the reply is remembered first.
    pub fn finish(&mut self, token: Token, result: Result<Reply, Error>) {
        self.tell(Note::Finish(token, Box::new(result)));
    }

    /// Gives the store's thread a task.
    pub fn store(&mut self, task: StoreTask) {
        self.send(Effect::Store(task));
    }

    /// Keeps a small fact that no command waits for.
    pub fn keep(&mut self, fact: Fact) {
        self.store(StoreTask::Keep(fact));
    }

    /// Hands a round to the trainer.
    pub fn train(&mut self, order: RoundOrder) {
        self.send(Effect::Train(Box::new(order)));
    }

    /// Uses a head from the next frame on.
    pub fn install(&mut self, head: ActiveHead, then: Option<Installed>) {
        self.send(Effect::Order(Order::Install { head, then }));
    }

    /// Starts work on a thread of its own.
    pub fn start(&mut self, work: Background) {
        self.send(Effect::Start(work));
    }

    /// Answers over HTTP.
    pub fn answer(&mut self, ticket: Ticket, answer: Answer) {
        self.send(Effect::Answer(ticket, answer));
    }

    /// Publishes a topic that the broker keeps.
    pub fn retain(&mut self, topic: String, payload: String) {
        if self.has_broker() {
            self.send(Effect::Retain { topic, payload });
        }
    }

    /// Clears a topic that the broker keeps.
    pub fn clear(&mut self, topic: String) {
        if self.has_broker() {
            self.send(Effect::Clear(topic));
        }
    }

    /// Sends one message to the broker.
    pub fn publish(&mut self, publication: Publication) {
        if self.has_broker() {
            self.send(Effect::Publish(publication));
        }
    }

    /// Sends messages to the broker in stages.
    pub fn sequence(&mut self, stages: Vec<Vec<Publication>>, token: u64) {
        if self.has_broker() {
            self.send(Effect::Sequence { stages, token });
        }
    }

    /// One line to everyone who watches over HTTP.
    pub fn watch(&mut self, kind: &str, payload: &str) {
        self.send(Effect::Watch(format!("{{\"type\":\"{kind}\",\"data\":{payload}}}")));
    }

    /// Tells of something that happened: on disk first, so that it survives a broker that is away.
    pub fn event(&mut self, now: &Now, kind: EventType, fill: impl FnOnce(Event) -> Event) {
        let name = to_json(&kind);
        let event = fill(Event::new(timestamp::rfc3339(now.wall_ms), kind));
        let payload = to_json(&event);
        tracing::info!(event = %payload, "event {}", name.trim_matches('"'));
        self.watch("event", &payload);
        if self.has_broker() {
            let topic = self.topics.event();
            self.store(StoreTask::Outbox(OutboxTask::Push { topic, payload }));
        }
    }
}
