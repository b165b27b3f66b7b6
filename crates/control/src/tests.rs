use super::*;
use graft_learn::{Advice, ClassDifference, Estimate, Evidence, News, Next};
use proptest::prelude::*;
use std::collections::BTreeMap;

fn estimate(value: f64) -> Estimate {
    Estimate { value, low: value, high: value }
}

pub(super) fn report(accuracy: f64) -> Report {
    Report {
        samples: 40,
        bursts: 8,
        accuracy: estimate(accuracy),
        balanced_accuracy: estimate(accuracy),
        recall: vec![Some(accuracy); 2],
        class_samples: vec![20, 20],
        class_bursts: vec![4, 4],
        confusion: vec![vec![20, 0], vec![0, 20]],
        ece: 0.0,
        majority: 0.5,
        left_out: 0,
        evidence: Evidence::Enough,
    }
}

pub(super) fn comparison(difference: f64, classes: Vec<ClassDifference>) -> Comparison {
    Comparison {
        samples: 40,
        bursts: 8,
        difference: estimate(difference),
        known: Some(difference),
        known_part: 1.0,
        news: News::Plain,
        gone: 0.0,
        other_backbone: false,
        classes,
    }
}

fn outcome(accuracy: f64, difference: Option<f64>) -> Box<RoundOutcome> {
    Box::new(RoundOutcome {
        classes: vec!["a".into(), "b".into()],
        report: report(accuracy),
        comparison: difference.map(|d| comparison(d, Vec::new())),
        advice: Advice { next: Next::FineTune, target: 0.95, doubled: None, similarity: 1.0 },
    })
}

fn policy() -> Policy {
    Policy {
        round: RoundPolicy {
            new_samples: 4,
            idle: Duration::from_secs(2),
            min_samples: 3,
            min_bursts: 2,
            choice: Choice::Auto,
        },
        gate: GatePolicy::default(),
    }
}

fn tally(name: &str, samples: usize, bursts: usize) -> ClassTally {
    ClassTally { name: name.into(), samples, bursts }
}

fn enough() -> Event {
    Event::Samples { changed: 8, classes: vec![tally("a", 4, 2), tally("b", 4, 2)] }
}

fn at(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

/// A machine with the numbers of its jobs.
struct Tested(Control, JobIds);

impl Tested {
    fn new(policy: Policy, wanted: Wanted, active: Option<Version>, pinned: bool, next: JobId) -> Self {
        Self(Control::new(policy, wanted, active, pinned), JobIds::new(next))
    }

    fn handle(&mut self, now: Duration, event: Event) -> Vec<Action> {
        self.0.handle(now, event, &mut self.1)
    }
}

impl std::ops::Deref for Tested {
    type Target = Control;

    fn deref(&self) -> &Control {
        &self.0
    }
}

/// A transcript: what goes in, what comes out, one line each.
fn transcript(control: &mut Tested, events: Vec<(u64, Event)>) -> String {
    let mut text = String::new();
    for (second, event) in events {
        let shown = match &event {
            Event::RoundFinished(job, _) => format!("RoundFinished({job})"),
            other => format!("{other:?}"),
        };
        let actions = control.handle(at(second), event);
        text += &format!("{second:>3} s  {shown}\n");
        for action in actions {
            text += &format!("         -> {action:?}\n");
        }
    }
    text
}

#[test]
fn the_first_round_from_start_to_publication() {
    let mut control = Tested::new(policy(), Wanted::Infer, None, false, 1);
    let origin = Origin::Round(1);
    let text = transcript(
        &mut control,
        vec![
            (0, enough()),
            (5, Event::Tick),
            (6, Event::Mode(100, Wanted::Adapt)),
            (7, Event::RoundFinished(1, outcome(0.9, None))),
            (8, Event::Stored(origin, 1)),
            (9, Event::Installed(origin, 1)),
        ],
    );
    let expected = r#"  0 s  Samples { changed: 8, classes: [ClassTally { name: "a", samples: 4, bursts: 2 }, ClassTally { name: "b", samples: 4, bursts: 2 }] }
  5 s  Tick
  6 s  Mode(100, Adapt)
         -> Persist(Adapt)
         -> Reply(Command(100), Done)
         -> StartRound(1, Auto)
         -> Job(1, Started)
  7 s  RoundFinished(1)
         -> Store { job: 1, verdict: Promote("first head: 90.0 % balanced accuracy on held-out bursts against chance (50.0 %)") }
  8 s  Stored(Round(1), 1)
         -> Install(Round(1), 1)
         -> Job(1, Promoted(1, "first head: 90.0 % balanced accuracy on held-out bursts against chance (50.0 %)"))
  9 s  Installed(Round(1), 1)
         -> Publish(1)
"#;
    assert_eq!(text, expected);
    assert_eq!(control.state(), State::Collecting);
}

#[test]
fn a_worse_candidate_is_kept_but_not_used() {
    let mut control = Tested::new(policy(), Wanted::Infer, Some(3), false, 7);
    let text = transcript(
        &mut control,
        vec![
            (0, Event::Train(1, None)),
            (1, Event::RoundFinished(7, outcome(0.8, Some(-0.03)))),
            (2, Event::Stored(Origin::Round(7), 4)),
        ],
    );
    let expected = r#"  0 s  Train(1, None)
         -> StartRound(7, Auto)
         -> Job(7, Started)
         -> Reply(Command(1), Accepted(7))
  1 s  RoundFinished(7)
         -> Store { job: 7, verdict: Reject("-3.0 points against the active head on held-out bursts (at most 2.0 may be lost)") }
  2 s  Stored(Round(7), 4)
         -> Job(7, Rejected(4, "-3.0 points against the active head on held-out bursts (at most 2.0 may be lost)"))
"#;
    assert_eq!(text, expected);
    assert_eq!(control.active(), Some(3));
    assert_eq!(control.state(), State::Idle);
}

#[test]
fn stop_cancels_and_a_late_head_is_dropped() {
    let mut control = Tested::new(policy(), Wanted::Adapt, None, false, 1);
    control.handle(at(0), enough());
    assert_eq!(
        control.handle(at(3), Event::Tick),
        [Action::StartRound(1, Choice::Auto), Action::Job(1, JobStep::Started)]
    );
    let actions = control.handle(at(3), Event::Mode(5, Wanted::Infer));
    assert_eq!(
        actions,
        [
            Action::CancelRound(1),
            Action::Persist(Wanted::Infer),
            Action::Reply(Asker::Command(5), Answer::Done)
        ]
    );
    let actions = control.handle(at(4), Event::RoundFinished(1, outcome(1.0, None)));
    assert_eq!(actions, [Action::Job(1, JobStep::Failed(RoundFailure::Canceled))]);
    assert_eq!(control.active(), None);
}

#[test]
fn pause_holds_and_start_resumes() {
    let mut control = Tested::new(policy(), Wanted::Pause, None, false, 1);
    assert_eq!(control.state(), State::Suspended { holds: vec![Hold::User] });
    control.handle(at(0), enough());
    assert!(control.handle(at(9), Event::Tick).is_empty());
    let actions = control.handle(at(10), Event::Mode(1, Wanted::Adapt));
    assert!(actions.contains(&Action::StartRound(1, Choice::Auto)));
}

#[test]
fn a_lost_camera_is_shown_and_does_not_end_a_round() {
    let mut control = Tested::new(policy(), Wanted::Adapt, None, false, 1);
    assert!(control.handle(at(0), Event::Held(Hold::CameraLost)).is_empty());
    assert_eq!(control.state(), State::Suspended { holds: vec![Hold::CameraLost] });
    control.handle(at(0), Event::Train(1, None));
    assert!(control.handle(at(1), Event::Held(Hold::CameraLost)).is_empty());
    assert_eq!(control.handle(at(1), Event::Held(Hold::Thermal)), [Action::CancelRound(1)]);
}

#[test]
fn a_round_waits_for_the_end_of_a_capture() {
    let mut control = Tested::new(policy(), Wanted::Adapt, None, false, 1);
    control.handle(at(0), enough());
    control.handle(at(1), Event::Labelling(true));
    assert!(control.handle(at(60), Event::Tick).is_empty(), "near-copies leave the samples as they are");
    assert!(control.handle(at(61), Event::Labelling(false)).is_empty(), "then the pause");
    assert_eq!(control.handle(at(63), Event::Tick).len(), 2);
}

#[test]
fn a_backbone_is_judged_when_the_round_before_it_has_ended() {
    let mut control = Tested::new(policy(), Wanted::Infer, Some(3), false, 1);
    let text = transcript(
        &mut control,
        vec![
            (0, Event::Train(1, None)),
            (1, Event::Judge(9)),
            (2, Event::Cancel(Asker::Command(2), None)),
            (3, Event::RoundFailed(1, RoundFailure::Canceled)),
            (4, Event::Train(3, None)),
            (5, Event::RoundFinished(9, outcome(0.95, Some(0.1)))),
            (6, Event::Stored(Origin::Round(9), 4)),
            (6, Event::Judge(10)),
            (7, Event::Installed(Origin::Round(9), 4)),
            (7, Event::RoundFailed(10, RoundFailure::Failed("x".into()))),
            (8, Event::Held(Hold::Thermal)),
            (8, Event::Judge(11)),
            (9, Event::Cancel(Asker::Command(4), Some(11))),
            (9, Event::Released(Hold::Thermal)),
        ],
    );
    let expected = r#"  0 s  Train(1, None)
         -> StartRound(1, Auto)
         -> Job(1, Started)
         -> Reply(Command(1), Accepted(1))
  1 s  Judge(9)
  2 s  Cancel(Command(2), None)
         -> CancelRound(1)
         -> Reply(Command(2), Accepted(1))
  3 s  RoundFailed(1, Canceled)
         -> Job(1, Failed(Canceled))
         -> StartRound(9, Auto)
         -> Job(9, Started)
  4 s  Train(3, None)
         -> Reply(Command(3), Busy(9))
  5 s  RoundFinished(9)
         -> Store { job: 9, verdict: Promote("+10.0 points against the active head on held-out bursts") }
  6 s  Stored(Round(9), 4)
         -> Install(Round(9), 4)
         -> Job(9, Promoted(4, "+10.0 points against the active head on held-out bursts"))
  6 s  Judge(10)
  7 s  Installed(Round(9), 4)
         -> Publish(4)
         -> StartRound(10, Auto)
         -> Job(10, Started)
  7 s  RoundFailed(10, Failed("x"))
         -> Job(10, Failed(Failed("x")))
  8 s  Held(Thermal)
  8 s  Judge(11)
  9 s  Cancel(Command(4), Some(11))
         -> Job(11, Failed(Canceled))
         -> Reply(Command(4), Accepted(11))
  9 s  Released(Thermal)
"#;
    assert_eq!(text, expected);
}

/// A stand-in for the daemon: it carries actions out late and in any order that the world allows.
#[derive(Default)]
struct World {
    round: Option<JobId>,
    storing: Vec<Origin>,
    installing: Vec<(Origin, Version)>,
    installed: Vec<Version>,
    stored: Vec<Version>,
    next_version: Version,
    replies: BTreeMap<Token, usize>,
    wanted: Option<Wanted>,
}

impl World {
    fn carry_out(&mut self, actions: Vec<Action>) {
        for action in actions {
            match action {
                Action::StartRound(job, _) => {
                    assert!(self.round.is_none(), "two rounds at once");
                    self.round = Some(job);
                }
                Action::CancelRound(job) => assert_eq!(self.round, Some(job)),
                Action::Store { job, .. } => self.storing.push(Origin::Round(job)),
                Action::RestoreHead(token, version) => self.storing.push(Origin::Restore(token, version)),
                Action::Install(origin, version) => {
                    assert!(self.stored.contains(&version), "installed before it was stored");
                    self.installing.push((origin, version));
                }
                Action::Publish(version) => {
                    assert!(self.installed.contains(&version), "published before it was installed");
                }
                Action::Reply(Asker::Command(token), _) => *self.replies.entry(token).or_default() += 1,
                Action::Reply(Asker::Daemon, _) => panic!("nobody asked"),
                Action::Persist(wanted) => self.wanted = Some(wanted),
                Action::PersistPin(_) | Action::Job(..) => {}
            }
        }
    }
}

proptest! {
    /// Whatever happens in whatever order: one reply a token, one round at a time, a head stored,
    /// then installed, then published, and no round of its own while adaptation is not wanted.
    #[test]
    fn promises_hold_over_any_history(choices in proptest::collection::vec((0u8..17, any::<u8>()), 1..120)) {
        let mut control = Tested::new(policy(), Wanted::Infer, None, false, 1);
        let mut world = World::default();
        let mut token = 0;
        let mut waiting = Vec::new();
        let mut trials = std::collections::BTreeSet::new();
        for (second, (choice, x)) in choices.into_iter().enumerate() {
            token += 1;
            let command = choice <= 6;
            let event = match choice {
                0 => Event::Mode(token, Wanted::Adapt),
                1 => Event::Mode(token, if x % 2 == 0 { Wanted::Infer } else { Wanted::Pause }),
                2 => Event::Train(token, None),
                3 => Event::Cancel(Asker::Command(token), if x % 2 == 0 { None } else { Some(u64::from(x % 8)) }),
                4 => Event::Restore(Asker::Command(token), u64::from(x % 4)),
                5 => Event::Pin(token, x % 2 == 0),
                6 => Event::Publish(token),
                7 => enough(),
                8 | 9 => match world.round.take() {
                    Some(job) if x % 3 > 0 => Event::RoundFinished(job, outcome(f64::from(x) / 255.0, None)),
                    Some(job) => Event::RoundFailed(job, RoundFailure::Failed("x".into())),
                    None => Event::RoundFinished(u64::from(x), outcome(1.0, None)),
                },
                10 | 11 => match world.storing.pop() {
                    Some(origin) if x % 4 > 0 => {
                        world.next_version += 1;
                        world.stored.push(world.next_version);
                        Event::Stored(origin, world.next_version)
                    }
                    Some(origin) => Event::StoreFailed(origin, "disk".into()),
                    None => Event::Tick,
                },
                12 => match world.installing.pop() {
                    Some((origin, _)) if x % 5 == 0 => Event::InstallFailed(origin, "disk".into()),
                    Some((origin, version)) => {
                        world.installed.push(version);
                        Event::Installed(origin, version)
                    }
                    None => Event::Tick,
                },
                13 => Event::Held(Hold::CameraLost),
                14 => Event::Released(Hold::CameraLost),
                15 => {
                    trials.insert(1000 + token);
                    Event::Judge(1000 + token)
                }
                _ => Event::Tick,
            };
            if command {
                waiting.push(token);
            }
            let wanted_before = control.wanted();
            let is_train = matches!(event, Event::Train(..));
            let actions = control.handle(at(second as u64 * 3), event);
            let starts = actions.iter().any(|a| matches!(a, Action::StartRound(job, _) if !trials.contains(job)));
            prop_assert!(!starts || is_train || control.wanted() == Wanted::Adapt, "{:?}", wanted_before);
            world.carry_out(actions);
        }
        // What was still under way ends, so that every command gets its answer.
        while let Some(origin) = world.storing.pop() {
            world.next_version += 1;
            world.stored.push(world.next_version);
            let actions = control.handle(at(10_000), Event::Stored(origin, world.next_version));
            world.carry_out(actions);
        }
        while let Some((origin, version)) = world.installing.pop() {
            world.installed.push(version);
            let actions = control.handle(at(10_000), Event::Installed(origin, version));
            world.carry_out(actions);
        }
        for token in waiting {
            prop_assert_eq!(world.replies.get(&token), Some(&1), "token {}", token);
        }
    }
}
