//! What the board may be asked for: heat, flash and the pace of predictions against rounds, the watchdog's proof of life,
//! the lamp.

pub mod budget;
pub mod gpio;
mod heartbeat;

use self::budget::Budget;
use self::heartbeat::{Heartbeat, Pulse};
use super::context::Context;
use super::effects::{Effect, Effects, Service};
use super::event::Note;
use super::store_thread::StoreTask;
use graft_wire::messages::EventType;
use std::time::{Duration, Instant};

/// The store is looked after this often.
const MAINTAIN_EVERY: Duration = Duration::from_secs(60);

/// What the board's monitor is told.
#[derive(Clone, Debug)]
pub enum Input {
    /// A frame went through the backbone in so many milliseconds.
    Predicted(f32),
    /// Time passed.
    Tick {
        /// Size of all samples.
        sample_bytes: u64,
        /// A capture runs.
        records: bool,
    },
}

/// Watches the board's resources.
#[derive(Debug)]
pub struct BoardMonitor {
    budget: Budget,
    heartbeat: Heartbeat,
    maintained: Option<Instant>,
    /// The lamp is lit.
    lit: bool,
    /// The share of its time that a round may work, as the trainer knows it.
    share: u32,
}

impl BoardMonitor {
    /// For a watchdog that bites after twice `watchdog` without a sign of life; `None`: there is none.
    pub fn new(watchdog: Option<Duration>) -> Self {
        let budget = Budget::default();
        let share = budget.share();
        Self { budget, heartbeat: Heartbeat::new(watchdog), maintained: None, lit: false, share }
    }

    /// A round is held back for the sake of predictions.
    pub fn yields(&self) -> bool {
        self.budget.yields()
    }

    /// The one way in.
    pub fn handle(&mut self, cx: &Context, input: Input, fx: &mut Effects) {
        match input {
            Input::Predicted(ms) => self.budget.predicted(ms, cx.round.is_some()),
            Input::Tick { sample_bytes, records } => {
                self.maintain(cx, fx);
                self.look(cx, sample_bytes, fx);
                self.beat(cx, fx);
                if self.lit != records {
                    self.lit = records;
                    fx.send(Effect::Lamp(records));
                }
            }
        }
    }

    /// Lets the store purge, checkpoint and look at its space now and then.
    fn maintain(&mut self, cx: &Context, fx: &mut Effects) {
        let since = |at: Instant| cx.now.at.saturating_duration_since(at);
        if self.maintained.is_some_and(|at| since(at) < MAINTAIN_EVERY) {
            return;
        }
        self.maintained = Some(cx.now.at);
        fx.send(Effect::TellRepeats);
        fx.store(StoreTask::Maintain(cx.now.wall_ms));
    }

    fn look(&mut self, cx: &Context, sample_bytes: u64, fx: &mut Effects) {
        let policy = cx.settings.budget.policy();
        if self.budget.judge(cx.round.is_some(), policy.slowdown) {
            fx.changed();
        }
        if self.share != self.budget.share() {
            self.share = self.budget.share();
            fx.send(Effect::RoundShare(self.share));
        }
        let holds = self.budget.look(cx.now.uptime, || fx.readings(), policy, &cx.holds, sample_bytes);
        for (hold, now) in holds {
            fx.changed();
            if now {
                let celsius = fx.readings().temperature_c;
                tracing::warn!(celsius, hold = hold.as_str(), "rounds are held back");
                fx.event(&cx.now, EventType::Throttled, |e| {
                    e.with("reason", hold.as_str()).with("temperature_c", celsius)
                });
            }
            fx.tell(Note::Hold(hold, now));
        }
    }

    /// Tells the watchdog that all is well, if it is.
    fn beat(&mut self, cx: &Context, fx: &mut Effects) {
        match self.heartbeat.look(cx.now.at, || fx.counters().turns) {
            None => return,
            Some(Pulse::Alive) => fx.send(Effect::Service(Service::Alive)),
            Some(Pulse::Stuck { loops, for_long: true }) => {
                tracing::error!(
                    loops,
                    "a loop does not move; the watchdog will restart graft unless it does"
                );
            }
            Some(Pulse::Stuck { .. }) => {}
        }
        fx.send(Effect::Nudge);
    }
}
