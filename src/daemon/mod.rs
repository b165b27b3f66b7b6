//! The daemon: the only room that knows every other one. Threads for camera, inference, training and
//! the store; one loop on the main thread that waits in one place ([`event_loop`]) and dispatches in one place, here.
//!
//! ```text
//! camera ─slot─▶ inference ─observations─▶ loop ◀─ mqtt, web, store, trainer
//!                                           │
//!                      Event ─▶ components ─┴▶ Effects
//! ```
//!
//! Each component owns its state, hears what concerns it by `handle`, acts by [`effects::Effects`] alone, and tells the
//! others by [`event::Note`]s, which are dispatched here once it is done.

mod access;
mod adapt;
mod background;
mod board;
mod cancel;
mod clock;
mod commands;
mod configuration;
mod context;
mod effects;
mod event;
mod event_loop;
mod frames;
mod inference;
mod jobs;
mod kept;
mod labels;
mod offload;
mod outbox;
mod pair;
mod picture;
mod provenance;
#[cfg(test)]
mod replay_tests;
mod start;
mod store_error;
mod store_thread;
#[cfg(test)]
mod testing;
mod views;
mod watch;
mod worker;

pub use adapt::trainer::{Assignment, Finished, Opponent, Pace, nice, round_threads, run as run_round};
pub use board::budget::Budget;
pub use clock::Clock;
pub use event_loop::run;
pub use frames::ActiveHead;
pub use pair::configured::load_backbone;
pub use start::StartError;

use self::adapt::Adapt;
use self::board::BoardMonitor;
use self::clock::Now;
use self::commands::Commands;
use self::context::{Asked, Context};
use self::effects::{Effect, Effects, Service};
use self::event::{Beginning, Done, Event, JobChange, Note};
use self::frames::Observation;
use self::jobs::Jobs;
use self::labels::Labels;
use self::offload::Offload;
use self::pair::Pair;
use self::views::Components;
use self::watch::{Parts, Watch};
use crate::config::Settings;
use graft_camera as camera;
use graft_control::JobStep;
use graft_wire::command::Command;
use graft_wire::messages::NextStep;
use std::sync::Arc;

/// The components, and what they share: settings and effects.
struct Daemon {
    settings: Arc<Settings>,
    commands: Commands,
    labels: Labels,
    watch: Watch,
    adapt: Adapt,
    pair: Pair,
    offload: Offload,
    jobs: Jobs,
    board: BoardMonitor,
    effects: Effects,
}

/// Passes something to a component.
macro_rules! to {
    ($daemon:ident . $component:ident, $cx:expr, $input:expr) => {
        $daemon.$component.handle($cx, $input, &mut $daemon.effects)
    };
}

/// The components that the state is made of.
macro_rules! parts {
    ($daemon:ident) => {
        Parts { adapt: &$daemon.adapt, labels: &$daemon.labels, board: &$daemon.board }
    };
}

impl Daemon {
    /// Takes an event, then everything that the components tell each other because of it.
    fn handle(&mut self, now: Now, event: Event) {
        self.dispatch(&self.context(now), event);
        while let Some(note) = self.effects.next_note() {
            self.route(&self.context(now), note);
        }
    }

    /// The daemon at this moment.
    fn context(&self, now: Now) -> Context {
        let control = self.adapt.control();
        Context {
            now,
            settings: Arc::clone(&self.settings),
            backbone: Arc::clone(self.pair.backbone()),
            incoming: self.pair.incoming().cloned(),
            line: Arc::clone(self.pair.line()),
            floors: Arc::clone(self.pair.floors()),
            active: control.active(),
            round: control.job(),
            holds: control.holds(),
            readiness: control.readiness(),
            arrival: self.pair.arrival(),
            offered: self.offload.job(),
        }
    }

    /// One line for people.
    fn status_line(&self) -> String {
        watch::status_line(&parts!(self), &self.effects.readings())
    }

    fn dispatch(&mut self, cx: &Context, event: Event) {
        match event {
            Event::Begin(beginning) => self.begin(cx, beginning),
            Event::Camera(status) => self.camera(cx, status),
            Event::Observed(observation) => self.observed(cx, observation),
            Event::Connected { max_packet_out } => {
                tracing::info!(max_packet_out, "connected to the broker");
                self.watch.publish_info(cx, &mut self.effects);
                to!(self.offload, cx, offload::Input::Connected);
                self.watch.connected(cx, &parts!(self), &mut self.effects);
            }
            Event::Disconnected(reason) => tracing::warn!(reason, "no connection to the broker"),
            Event::Delivered { token, refused } => {
                outbox::delivered(&cx.now, token, refused, &mut self.effects);
            }
            Event::Message(message) => to!(self.commands, cx, commands::Input::Message(message)),
            Event::Request { op, body, by, ticket } => {
                to!(self.commands, cx, commands::Input::Request { op, body, by, ticket });
            }
            Event::Button(down) => to!(self.commands, cx, commands::Input::Button(down)),
            Event::View(view, ticket) => {
                let (parts, watch) = (parts!(self), &self.watch);
                let components = Components { parts, watch, offload: &self.offload, jobs: &self.jobs };
                views::answer(cx, view, ticket, &components, &mut self.effects);
            }
            Event::Reload => configuration::reload(cx, &mut self.effects),
            Event::Tick => self.tick(cx),
            Event::Stop => {
                to!(self.adapt, cx, adapt::Input::Stop);
                to!(self.labels, cx, labels::Input::Stop);
                to!(self.pair, cx, pair::Input::Stop);
                to!(self.offload, cx, offload::Input::Stop);
            }
            Event::Done(done) => self.done(cx, done),
        }
    }

    fn begin(&mut self, cx: &Context, beginning: Beginning) {
        let Beginning { head_taken_back: taken_back, pair_rolled_back: rolled_back } = beginning;
        outbox::resume(&mut self.effects);
        self.watch.introduce(cx, &mut self.effects);
        to!(self.jobs, cx, jobs::Input::Begin);
        to!(self.adapt, cx, adapt::Input::Begin { taken_back });
        to!(self.pair, cx, pair::Input::Begin { rolled_back });
        to!(self.offload, cx, offload::Input::Begin);
        let status = self.status_line();
        self.effects.send(Effect::Service(Service::Ready(status)));
    }

    fn camera(&mut self, cx: &Context, status: camera::Status) {
        to!(self.labels, cx, labels::Input::Camera(status.clone()));
        to!(self.watch, cx, watch::Input::Camera(status));
    }

    fn observed(&mut self, cx: &Context, observation: Box<Observation>) {
        // What cost no backbone says nothing about how fast it is.
        if !observation.reused {
            let frame_ms = observation.infer_ms;
            to!(self.board, cx, board::Input::Predicted(frame_ms));
            if observation.prediction.is_some() {
                let unknown = observation.class().is_none();
                to!(self.pair, cx, pair::Input::Predicted { unknown, frame_ms });
            }
        }
        to!(self.watch, cx, watch::Input::Observed(observation.clone()));
        if observation.kept {
            to!(self.labels, cx, labels::Input::Observed(observation));
        }
    }

    fn tick(&mut self, cx: &Context) {
        to!(self.adapt, cx, adapt::Input::Tick);
        self.watch.tick(cx, &parts!(self), &mut self.effects);
        to!(self.offload, cx, offload::Input::Tick);
        to!(self.pair, cx, pair::Input::Tick);
        to!(self.labels, cx, labels::Input::Tick);
        to!(self.jobs, cx, jobs::Input::Tick);
        let (sample_bytes, records) = (self.labels.dataset().bytes, self.labels.records());
        to!(self.board, cx, board::Input::Tick { sample_bytes, records });
    }

    fn done(&mut self, cx: &Context, done: Done) {
        match done {
            Done::Progress { job, step, done, total } => {
                let change = JobChange::Progress { step, done, total };
                to!(self.jobs, cx, jobs::Input::Change(job, change));
            }
            Done::Installed(installed) => {
                if let Some(change) = installed.change.clone() {
                    to!(self.pair, cx, pair::Input::Installed(change));
                }
                to!(self.adapt, cx, adapt::Input::Installed(installed));
            }
            Done::Answer(ticket, answer) => self.effects.answer(ticket, answer),
            Done::Outbox(done) => outbox::handle(done, &mut self.effects),
            Done::Commands(done) => to!(self.commands, cx, commands::Input::Done(done)),
            Done::Labels(done) => to!(self.labels, cx, labels::Input::Done(done)),
            Done::Adapt(done) => to!(self.adapt, cx, adapt::Input::Done(done)),
            Done::Pair(done) => to!(self.pair, cx, pair::Input::Done(done)),
            Done::Offload(done) => to!(self.offload, cx, offload::Input::Done(done)),
            Done::Configuration(done) => {
                let status = self.status_line();
                if let Some(settings) = configuration::handle(done, status, &mut self.effects) {
                    self.settings = settings;
                    self.effects.changed();
                    let cx = self.context(cx.now);
                    to!(self.adapt, &cx, adapt::Input::Settings);
                }
            }
        }
    }

    /// Passes what one component tells to those that it concerns.
    fn route(&mut self, cx: &Context, note: Note) {
        match note {
            Note::Command(asked, command) => self.command(cx, asked, *command),
            Note::Finish(token, result) => {
                to!(self.commands, cx, commands::Input::Finish(token, *result));
            }
            Note::Answered(token, reply) => {
                to!(self.commands, cx, commands::Input::Answered(token, reply));
            }
            Note::Job(job, change) => to!(self.jobs, cx, jobs::Input::Change(job, change)),
            Note::CancelTransfer(token, job) => {
                to!(self.labels, cx, labels::Input::CancelTransfer(token, job));
            }
            Note::Samples { touched, classes } => {
                to!(self.adapt, cx, adapt::Input::Samples { touched, classes });
            }
            Note::Labelling(labelling) => {
                to!(self.adapt, cx, adapt::Input::Labelling(labelling));
            }
            Note::Hold(hold, on) => to!(self.adapt, cx, adapt::Input::Hold(hold, on)),
            Note::Info => self.watch.publish_info(cx, &mut self.effects),
            Note::RoundStep(job, step) => to!(self.pair, cx, pair::Input::RoundStep(job, step)),
            Note::RoundTold(job, step) => {
                let rejected = matches!(step, JobStep::Rejected(..));
                to!(self.jobs, cx, jobs::Input::Round(job, step));
                if rejected {
                    self.round_judged(cx);
                }
            }
            Note::RoundTook(seconds) => to!(self.watch, cx, watch::Input::RoundTook(seconds)),
            Note::RoundJudged => self.round_judged(cx),
            Note::Use { origin, version, head } => {
                to!(self.pair, cx, pair::Input::Use { origin, version, head });
            }
            Note::UseFailed(origin) => to!(self.pair, cx, pair::Input::UseFailed(origin)),
            Note::RestoreAnswered(asker, answer) => {
                to!(self.pair, cx, pair::Input::RestoreAnswered(asker, answer));
            }
            Note::Judge(job) => to!(self.adapt, cx, adapt::Input::Judge(job)),
            Note::Restore(asker, version) => {
                to!(self.adapt, cx, adapt::Input::Restore(asker, version));
            }
            Note::CancelJudging(job) => to!(self.adapt, cx, adapt::Input::CancelJudging(job)),
            Note::Result(taken) => to!(self.offload, cx, offload::Input::Result(taken)),
            Note::Arrive(row) => to!(self.pair, cx, pair::Input::Arrive(row)),
            Note::Receive(received) => to!(self.pair, cx, pair::Input::Receive(received)),
            Note::Received { token, job, result } => {
                to!(self.offload, cx, offload::Input::Received { token, job, result });
            }
            Note::CancelArrival(job) => to!(self.pair, cx, pair::Input::CancelArrival(job)),
            Note::Tidy => to!(self.pair, cx, pair::Input::Tidy),
        }
    }

    fn round_judged(&mut self, cx: &Context) {
        let advice = self.adapt.findings().advice.as_ref();
        let advised = advice.is_some_and(|advice| advice.next == NextStep::FineTune);
        let samples = self.labels.dataset().samples() as u64;
        to!(self.offload, cx, offload::Input::RoundJudged { advised, samples });
    }

    fn command(&mut self, cx: &Context, asked: Asked, command: Command) {
        match command {
            Command::Mode(mode) => to!(self.adapt, cx, adapt::Input::Mode(asked, mode)),
            Command::Train(train) => to!(self.adapt, cx, adapt::Input::Train(asked, train)),
            Command::Head(head) => to!(self.adapt, cx, adapt::Input::Head(asked, head)),
            Command::Job(job) => to!(self.jobs, cx, jobs::Input::Command(asked, job)),
            Command::Config(config) => {
                configuration::command(cx, &asked, config, &mut self.effects);
            }
            Command::Capture(capture) => {
                to!(self.labels, cx, labels::Input::Capture(asked, capture));
            }
            Command::Label(label) => to!(self.labels, cx, labels::Input::Label(asked, label)),
            Command::Dataset(dataset) => {
                to!(self.labels, cx, labels::Input::Dataset(asked, dataset));
            }
            Command::Offload(offload) => {
                to!(self.offload, cx, offload::Input::Command(asked, offload));
            }
            Command::Backbone(backbone) => to!(self.pair, cx, pair::Input::Command(asked, backbone)),
        }
    }
}
