use super::*;
use crate::daemon::testing::{TestClock, backbone, context, effects, settings, taken};

/// A pair on probation beside one that called a tenth of the frames unknown.
fn on_probation(settings: &Arc<Settings>) -> Pair {
    let on = PairProbation { starts: 1, unknown: Some(0.1), frame_ms: Some(50.0) };
    let row = Provenance { row: Some(3), ..backbone() };
    Pair::new(settings, Duration::ZERO, "tiny", row, Some(&on), Floors::new())
}

fn frames(pair: &mut Pair, cx: &Context, unknown: usize, fx: &mut Effects) {
    for n in 0..100 {
        let predicted = Input::Predicted { unknown: n < unknown, frame_ms: 10.0 };
        pair.handle(cx, predicted, fx);
    }
    pair.handle(cx, Input::Tick, fx);
}

fn task(effects: &[Effect]) -> Option<&Task> {
    match effects {
        [] => None,
        [Effect::Store(StoreTask::Pair(task))] => Some(task),
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_pair_that_does_worse_twice_goes_and_the_one_before_it_is_loaded_once_no_round_runs() {
    let settings = settings(&tempfile::tempdir().unwrap(), &[]);
    let (clock, mut fx, mut pair) = (TestClock::new(), effects(), on_probation(&settings));
    let at = |ms| context(clock.at(ms), &settings);
    frames(&mut pair, &at(30_000), 60, &mut fx);
    frames(&mut pair, &at(60_000), 60, &mut fx);
    assert!(taken(&mut fx).is_empty(), "it is due, not done");
    let busy = Context { round: Some(4), ..at(60_250) };
    pair.handle(&busy, Input::Tick, &mut fx);
    assert!(taken(&mut fx).is_empty(), "a round runs");
    pair.handle(&at(60_500), Input::Tick, &mut fx);
    let effects = taken(&mut fx);
    let Some(Task::LoadPrevious { asker: Asker::Daemon, reason, .. }) = task(&effects) else {
        panic!("{effects:?}")
    };
    assert!(reason.contains("60 %"), "{reason}");
    // The state machine was busy all the same: it is tried again.
    pair.handle(&at(61_000), Input::RestoreAnswered(Asker::Daemon, Answer::Busy(4)), &mut fx);
    pair.handle(&at(61_250), Input::Tick, &mut fx);
    assert!(taken(&mut fx).is_empty(), "nothing was incoming");
}

#[test]
fn a_pair_that_serves_well_settles_and_is_confirmed() {
    let settings = settings(&tempfile::tempdir().unwrap(), &["offload.probation_s=600"]);
    let (clock, mut fx, mut pair) = (TestClock::new(), effects(), on_probation(&settings));
    let at = |ms| context(clock.at(ms), &settings);
    frames(&mut pair, &at(300_000), 5, &mut fx);
    assert!(matches!(task(&taken(&mut fx)), Some(Task::ForgiveStarts)));
    frames(&mut pair, &at(599_000), 5, &mut fx);
    assert!(taken(&mut fx).is_empty());
    frames(&mut pair, &at(630_000), 5, &mut fx);
    assert!(matches!(task(&taken(&mut fx)), Some(Task::Confirm { row: 3, .. })));
    pair.handle(&at(631_000), Input::Stop, &mut fx);
    assert!(taken(&mut fx).is_empty(), "nothing is on probation any more");
}
