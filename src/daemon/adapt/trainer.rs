//! The trainer thread: snapshot → round → outcome. Niced, one round at a time, cancelled between
//! two steps.

use crate::daemon::cancel::Cancel;
use crate::daemon::frames::ActiveHead;
use graft_control::{JobId, RoundOutcome, Share};
use graft_learn::{self as learn, Comparison, LearnError, Options, Pairs, Progress, Round, Snapshot};
use graft_simd::{ThreadPool, Waiting};
use graft_store::{HeldOut, Labelled};
use std::collections::{BTreeMap, HashMap, HashSet};
use std::ops::ControlFlow;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use std::time::Instant;

/// What one round works on.
#[derive(Clone, Debug)]
pub struct Assignment {
    /// The immutable set of samples.
    pub snapshot: Snapshot,
    /// The store's ids, one a sample.
    pub ids: Vec<i64>,
    /// The class list, in label order.
    pub classes: Vec<String>,
    /// The store's id of each class.
    pub class_ids: Vec<i64>,
    /// The head to compare with.
    pub opponent: Option<Opponent>,
    /// Which heads to train, and how.
    pub options: Options,
    /// On how many threads.
    pub threads: usize,
}

/// The active head, as a candidate meets it.
#[derive(Clone, Debug)]
pub struct Opponent {
    /// The head.
    pub head: ActiveHead,
    /// Its classes for samples that it was trained on, each from a head that had not seen the sample's burst; by the names
    /// that they have now, empty for one that was removed.
    pub held_out: BTreeMap<i64, String>,
    /// The samples as its backbone embeds them, where that is another one.
    pub embedded: Option<Labelled>,
    /// Bursts (by number) that the candidate's backbone was trained on: they say nothing about it.
    pub taught: Arc<HashSet<u64>>,
}

/// A finished round, with what the store keeps of it.
#[derive(Clone, Debug)]
pub struct Finished {
    /// The round.
    pub round: Round,
    /// What the gate looks at.
    pub outcome: RoundOutcome,
    /// The class list of the candidate.
    pub classes: Vec<String>,
    /// The store's id of each class.
    pub class_ids: Vec<i64>,
    /// The candidate's class for each sample, from a head that never saw its burst.
    pub held_out: Vec<HeldOut>,
    /// The samples of the snapshot, and their classes in the list.
    pub ids: Vec<i64>,
    /// See [`Finished::ids`].
    pub labels: Vec<u32>,
    /// How long it took.
    pub millis: u64,
}

/// Runs one round on the calling thread.
pub fn run(
    assignment: &Assignment,
    cancel: &AtomicBool,
    report: &mut dyn FnMut(Progress),
) -> Result<Finished, LearnError> {
    let begun = Instant::now();
    let round = learn::train(
        &assignment.snapshot,
        &assignment.options,
        &round_threads(assignment.threads),
        &mut |progress| {
            if cancel.load(Ordering::Relaxed) {
                return ControlFlow::Break(());
            }
            report(progress);
            ControlFlow::Continue(())
        },
    )?;
    let predicted = |index: usize| round.held_out.get(index).map_or(0, |h| h.predicted);
    let held_out = assignment
        .ids
        .iter()
        .enumerate()
        .filter_map(|(at, id)| {
            Some(HeldOut { sample: *id, class: assignment.classes.get(predicted(at) as usize)?.clone() })
        })
        .collect();
    let comparison = assignment.opponent.as_ref().map(|opponent| compare(assignment, &round, opponent));
    let outcome = RoundOutcome {
        classes: assignment.classes.clone(),
        report: round.report.clone(),
        comparison,
        advice: round.advice.clone(),
    };
    let millis = begun.elapsed().as_millis() as u64;
    Ok(Finished {
        round,
        outcome,
        classes: assignment.classes.clone(),
        class_ids: assignment.class_ids.clone(),
        held_out,
        ids: assignment.ids.clone(),
        labels: assignment.snapshot.labels.clone(),
        millis,
    })
}

/// The threads of a round; the caller's alone where the system gives no more. They take over its niceness.
pub fn round_threads(count: usize) -> ThreadPool {
    ThreadPool::new(count, "train", Waiting::Parked, |_| ()).unwrap_or_else(|error| {
        tracing::warn!(%error, count, "the round has one thread: the system gives no more");
        ThreadPool::default()
    })
}

/// Candidate against active head, both honest: on a burst that the active head was trained on, what
/// it said while that burst was held out counts; on a newer burst, what it says now.
fn compare(assignment: &Assignment, round: &Round, opponent: &Opponent) -> Comparison {
    let (snapshot, active) = (&assignment.snapshot, &opponent.head);
    let of_class: HashMap<&str, u32> =
        assignment.classes.iter().enumerate().map(|(at, name)| (name.as_str(), at as u32)).collect();
    let (seen, rows) = match &opponent.embedded {
        Some(labelled) => {
            (&labelled.snapshot, labelled.ids.iter().enumerate().map(|(at, id)| (*id, at)).collect())
        }
        None => {
            (snapshot, assignment.ids.iter().enumerate().map(|(at, id)| (*id, at)).collect::<HashMap<_, _>>())
        }
    };
    let mut row = vec![0.0f32; seen.width];
    // Its class, and whether the head itself says so.
    let mut active_class = |id: i64| -> Option<(u32, bool)> {
        let folds = opponent.held_out.get(&id);
        let name = match folds {
            Some(name) => Some(name.as_str()),
            None => {
                for (to, from) in row.iter_mut().zip(seen.row(*rows.get(&id)?)) {
                    *to = from.to_f32();
                }
                active.class(active.predict(&row).class)
            }
        };
        // A class that no longer exists is never right.
        Some((name.and_then(|n| of_class.get(n)).copied().unwrap_or(u32::MAX), folds.is_none()))
    };
    let (mut labels, mut bursts, mut candidate) = (Vec::new(), Vec::new(), Vec::new());
    let (mut by_active, mut itself) = (Vec::new(), Vec::new());
    for (at, id) in assignment.ids.iter().enumerate() {
        let burst = snapshot.bursts[at];
        // What only one of them can see is no comparison either, nor is a label that is surely wrong.
        if !opponent.taught.contains(&burst)
            && !round.mislabelled.get(at).copied().unwrap_or_default()
            && let Some((class, said_itself)) = active_class(*id)
        {
            labels.push(snapshot.labels[at]);
            bursts.push(burst);
            candidate.push(round.held_out[at].predicted);
            by_active.push(class);
            itself.push(said_itself);
        }
    }
    let here: HashSet<i64> = assignment.ids.iter().copied().collect();
    let gone = opponent.held_out.keys().filter(|id| !here.contains(id)).count();
    let new = here.iter().filter(|id| !opponent.held_out.contains_key(id)).count();
    let pairs = Pairs {
        labels: &labels,
        bursts: &bursts,
        candidate: &candidate,
        active: &by_active,
        itself: &itself,
        part: round.part,
        gone: gone.saturating_sub(new) as f64 / opponent.held_out.len().max(1) as f64,
        other_backbone: opponent.embedded.is_some(),
        classes: snapshot.classes,
    };
    learn::compare(&pairs, assignment.options.bootstrap, assignment.options.seed)
}

/// A round's pace: a sign of life at every step, and rests where predictions need the processor.
pub struct Pace {
    turns: Arc<AtomicU64>,
    percent: Arc<AtomicU32>,
    since: Instant,
}

impl Pace {
    /// `turns` counts the signs of life, `percent` is the share of time that the round may work.
    pub fn new(turns: Arc<AtomicU64>, percent: Arc<AtomicU32>) -> Self {
        Self { turns, percent, since: Instant::now() }
    }

    /// One step is done.
    pub fn step(&mut self) {
        self.turns.fetch_add(1, Ordering::Relaxed);
        let share = Share::percent(self.percent.load(Ordering::Relaxed));
        std::thread::sleep(share.rest(self.since.elapsed()));
        self.since = Instant::now();
    }
}

/// The trainer's priority: it may have what inference leaves.
pub fn nice(increment: i32) {
    if let Err(error) = rustix::process::nice(increment) {
        // As in the sandbox of the unit: then the budget alone makes it give way.
        tracing::info!(%error, "the trainer keeps the usual priority");
    }
}

/// A round for the trainer's thread.
#[derive(Debug)]
pub struct RoundOrder {
    /// Its job.
    pub job: JobId,
    /// What it works on.
    pub assignment: Assignment,
    /// Ends it early.
    pub cancel: Cancel,
}
