use super::*;
use crate::daemon::effects::Effect;
use crate::daemon::testing::{TestClock, context, effects, settings, taken};
use graft_control::Asker;

fn installed(origin: Origin) -> Installed {
    Installed { origin, version: 2, change: None }
}

#[test]
fn a_head_of_a_round_is_on_probation_for_a_while_and_a_restored_one_is_not() {
    let settings = settings(&tempfile::tempdir().unwrap(), &[]);
    let (clock, mut fx, mut heads) = (TestClock::new(), effects(), Heads::default());
    let at = |ms| context(clock.at(ms), &settings);
    let stops = |heads: &Heads, fx: &mut Effects| {
        heads.stop(fx);
        let effects = taken(fx);
        matches!(effects[..], [Effect::Store(StoreTask::Adapt(Task::ForgiveStarts))])
    };
    assert!(!stops(&heads, &mut fx));
    heads.installed(&at(1000), &installed(Origin::Round(1)), &mut fx);
    taken(&mut fx);
    assert!(stops(&heads, &mut fx), "an ordered stop is no failed start");
    heads.tick(&at(300_999), &mut fx);
    assert!(taken(&mut fx).is_empty());
    heads.tick(&at(301_000), &mut fx);
    let ended = taken(&mut fx);
    assert!(matches!(ended[..], [Effect::Store(StoreTask::Adapt(Task::EndProbation))]), "{ended:?}");
    assert!(!stops(&heads, &mut fx));
    heads.installed(&at(400_000), &installed(Origin::Round(2)), &mut fx);
    heads.installed(&at(400_001), &installed(Origin::Restore(Asker::Command(1), 1)), &mut fx);
    taken(&mut fx);
    assert!(!stops(&heads, &mut fx));
}
