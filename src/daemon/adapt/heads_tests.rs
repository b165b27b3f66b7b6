use super::*;
use crate::daemon::effects::Effect;
use crate::daemon::testing::{Session, TestClock, context, effects, settings, taken};
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

/// A session in which frames of kind 0 were taught as `ok` and of kind 1 as `bad`, two bursts each.
fn taught(folder: &tempfile::TempDir) -> Session {
    let settings = settings(folder, &["learn.bootstrap=100", "predict.max_hz=10", "learn.reject_rate=0.001"]);
    let mut session = Session::begin(folder, &settings);
    for burst in 0..4 {
        let (kind, class) = (burst % 2, ["ok", "bad"][burst % 2]);
        session.frame(kind);
        session.request("capture", &format!(r#"{{"action":"start","class":"{class}","max":6}}"#));
        for _ in 0..8 {
            session.frame(kind);
        }
    }
    trains(&mut session, r"first head: 100.0 %");
    session
}

fn trains(session: &mut Session, told: &str) {
    let from = session.effects.len();
    session.request("train", r#"{"action":"start"}"#);
    assert!(session.did(from, told), "{:#?}", &session.effects[from..]);
}

/// What is predicted of four frames of this kind: whether each of these parts is told.
fn predicted(session: &mut Session, kind: usize, parts: [&str; 3]) -> [bool; 3] {
    let from = session.effects.len();
    for _ in 0..4 {
        session.frame(kind);
    }
    parts.map(|part| session.did(from, part))
}

const FINE: &str = r#"\"label\":\"fine\""#;
const OK: &str = r#"\"class\":\"ok\""#;
const BAD: &str = r#"\"class\":\"bad\""#;
const UNKNOWN: &str = r#"\"label\":null,\"why\":\"unknown\""#;

fn edits(session: &mut Session, op: &str, body: &str) {
    let asked = session.request(op, body);
    assert_eq!(session.answer(asked).unwrap()["status"], "ok", "{:?}", session.answer(asked));
}

#[test]
fn a_renamed_class_has_its_new_name_at_once_in_the_gate_and_after_a_restart() {
    let folder = tempfile::tempdir().unwrap();
    let mut session = taught(&folder);
    assert_eq!(predicted(&mut session, 0, [OK, BAD, FINE]), [true, true, false]);
    edits(&mut session, "dataset", r#"{"action":"rename_class","class":"ok","to":"fine"}"#);
    assert_eq!(predicted(&mut session, 0, [OK, BAD, FINE]), [false, true, true]);
    // Names are no answers: the head is as good as it was.
    trains(&mut session, "+0.0 points against the active head");
    assert_eq!(predicted(&mut session, 0, [OK, BAD, FINE]), [false, true, true]);
    // A head that was taught the old name comes back with the new one.
    edits(&mut session, "head", r#"{"action":"apply","version":1}"#);
    assert_eq!(predicted(&mut session, 0, [OK, BAD, FINE]), [false, true, true]);
    edits(&mut session, "dataset", r#"{"action":"rename_class","class":"fine","to":"good"}"#);
    let here = crate::daemon::testing::backbone();
    let start = super::super::at_start::heads(session.store(), &here, Default::default(), 0).unwrap();
    assert_eq!(start.loaded.unwrap().0.names(), ["good", "bad"]);
}

#[test]
fn a_removed_class_is_never_said_again_and_comes_back_with_undo() {
    let folder = tempfile::tempdir().unwrap();
    let mut session = taught(&folder);
    assert_eq!(predicted(&mut session, 1, [OK, BAD, UNKNOWN]), [true, true, false]);
    edits(&mut session, "dataset", r#"{"action":"remove_class","class":"bad","dry_run":false}"#);
    assert_eq!(predicted(&mut session, 1, [OK, BAD, UNKNOWN]), [true, false, true]);
    // Another class of the same name is another class.
    edits(&mut session, "dataset", r#"{"action":"add_class","class":"bad"}"#);
    assert_eq!(predicted(&mut session, 1, [OK, BAD, UNKNOWN]), [true, false, true]);
    edits(&mut session, "head", r#"{"action":"apply","version":1}"#);
    assert_eq!(predicted(&mut session, 1, [OK, BAD, UNKNOWN]), [true, false, true]);
    edits(&mut session, "label", "undo");
    edits(&mut session, "label", "undo");
    assert_eq!(predicted(&mut session, 1, [OK, BAD, UNKNOWN]), [true, true, false]);
}
