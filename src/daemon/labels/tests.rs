use super::*;
use crate::daemon::effects::Effect;
use crate::daemon::testing::{TestClock, context, effects, observation, settings, taken};
use graft_wire::command::{Capture, Command, Op};
use graft_wire::parse;
use serde_json::json;
use std::sync::Arc;

struct Rig {
    labels: Labels,
    settings: Arc<Settings>,
    clock: TestClock,
    fx: Effects,
}

fn rig() -> Rig {
    let settings = settings(&tempfile::tempdir().unwrap(), &[]);
    let labels = Labels::new(&settings, "boot", DatasetView::default());
    Rig { labels, settings, clock: TestClock::new(), fx: effects() }
}

fn asked(token: Token) -> Asked {
    Asked { token, id: None, by: crate::daemon::context::By::Http, if_rev: None }
}

impl Rig {
    fn at(&self, ms: u64) -> Context {
        context(self.clock.at(ms), &self.settings)
    }

    fn tell(&mut self, ms: u64, input: Input) -> Vec<Effect> {
        let cx = self.at(ms);
        self.labels.handle(&cx, input, &mut self.fx);
        taken(&mut self.fx)
    }

    fn frame(&mut self, ms: u64, frame: u64, embedding: &[f32]) -> Vec<Effect> {
        let seen = observation(self.clock.at(ms), frame, embedding, None);
        self.tell(ms, Input::Observed(Box::new(seen)))
    }

    fn label(&mut self, ms: u64, token: Token, body: &str) -> Vec<Effect> {
        let Command::Label(label) = parse(Op::Label, body.as_bytes()).unwrap().command else { panic!() };
        self.tell(ms, Input::Label(asked(token), label))
    }

    fn capture(&mut self, ms: u64, token: Token, body: &str) -> Vec<Effect> {
        let Command::Capture(capture) = parse(Op::Capture, body.as_bytes()).unwrap().command else {
            panic!()
        };
        self.tell(ms, Input::Capture(asked(token), capture))
    }

    /// The error that the newest command is answered with.
    fn error(&mut self) -> Option<Error> {
        while let Some(note) = self.fx.next_note() {
            if let Note::Finish(_, result) = note {
                return result.err();
            }
        }
        None
    }
}

/// The label of the one change that the effects are.
fn change_of(effects: &[Effect]) -> (&NewSample, Option<i64>) {
    let [Effect::Store(StoreTask::Labels(Task::Change(order)))] = effects else { panic!("{effects:?}") };
    let Edit::Label { frame, earlier } = &order.edit else { panic!("{order:?}") };
    (&frame.sample, *earlier)
}

#[test]
fn what_is_seen_now_may_be_labelled_for_two_seconds() {
    let mut rig = rig();
    assert!(rig.label(0, 1, r#"{"action":"set","class":"ok"}"#).is_empty());
    assert_eq!(rig.error().unwrap().code, Code::Camera);
    rig.frame(1000, 1, &[1.0]);
    let effects = rig.label(3000, 2, r#"{"action":"set","class":"ok"}"#);
    assert_eq!(change_of(&effects).0.frame, 1);
    assert!(
        rig.label(3001, 3, r#"{"action":"set","class":"ok"}"#).is_empty(),
        "it is no longer what is seen"
    );
    assert_eq!(rig.error().unwrap().code, Code::Camera);
    // By its number it may be older.
    let effects = rig.label(9000, 4, r#"{"action":"set","class":"ok","frame":1}"#);
    assert_eq!(change_of(&effects).0.class, "ok");
    assert!(rig.label(9000, 5, r#"{"action":"set","class":"ok","frame":2}"#).is_empty());
    assert_eq!(rig.error().unwrap().code, Code::NotFound);
}

#[test]
fn a_second_label_of_a_frame_corrects_the_first() {
    let mut rig = rig();
    rig.frame(0, 7, &[1.0]);
    let first = rig.label(10, 1, r#"{"action":"set","class":"ok"}"#);
    assert_eq!(change_of(&first).1, None);
    let changed = Changed {
        reply: "{}".into(),
        data: json!({"frame": 7, "sample": 41}),
        touched: 1,
        event: None,
        view: Ok(DatasetView::default()),
    };
    rig.tell(20, Input::Done(Done::Changed(1, Box::new(Ok(changed)))));
    let second = rig.label(30, 2, r#"{"action":"set","class":"bad"}"#);
    assert_eq!(change_of(&second).1, Some(41));
}

#[test]
fn a_lost_camera_leaves_nothing_to_label() {
    let mut rig = rig();
    rig.frame(0, 1, &[1.0]);
    rig.tell(10, Input::Camera(camera::Status::Lost("unplugged".into())));
    assert!(rig.label(20, 1, r#"{"action":"set","class":"ok"}"#).is_empty());
    assert_eq!(rig.error().unwrap().code, Code::Camera);
    assert!(rig.label(20, 2, r#"{"action":"set","class":"ok","frame":1}"#).is_empty());
    assert_eq!(rig.error().unwrap().code, Code::Camera);
}

#[test]
fn a_capture_keeps_what_differs_until_it_is_stopped_or_refused() {
    let mut rig = rig();
    rig.frame(0, 1, &[1.0, 0.0]);
    let begun = rig.capture(10, 1, r#"{"action":"start","class":"ok","hz":4}"#);
    assert!(matches!(&begun[..], [Effect::Store(StoreTask::Labels(Task::Change(_)))]), "{begun:?}");
    assert!(rig.labels.records());
    let kept = rig.frame(250, 2, &[1.0, 0.0]);
    assert!(
        matches!(&kept[..], [Effect::Store(StoreTask::Labels(Task::Keep(frame, _)))] if frame.sample.class == "ok")
    );
    assert_eq!(rig.frame(500, 3, &[1.0, 0.001]).len(), 1, "a near-copy after one step");
    assert_eq!(rig.frame(750, 4, &[1.0, 0.001]).len(), 1, "and after two");
    assert!(rig.frame(1000, 5, &[1.0, 0.001]).is_empty(), "but not after three");
    assert_eq!(rig.frame(1250, 6, &[0.0, 1.0]).len(), 1);
    assert!(rig.capture(1260, 2, r#"{"action":"start","class":"bad"}"#).is_empty());
    assert_eq!(rig.error().unwrap().code, Code::Busy);
    let ended = rig.tell(1270, Input::Capture(asked(3), Capture::Stop));
    let [Effect::Store(StoreTask::Labels(Task::EndCapture(end)))] = &ended[..] else { panic!("{ended:?}") };
    assert_eq!((&end.facts["kept"], &end.facts["skipped"], end.token), (&json!(4), &json!(1), Some(3)));
    assert_eq!(end.facts["seconds"], 1.0);
    assert!(!rig.labels.records());
    // One whose beginning the store refuses does not run.
    rig.capture(1280, 4, r#"{"action":"start","class":"ok"}"#);
    let refused = Err(StoreError::Conflict("another revision".into()));
    rig.tell(1290, Input::Done(Done::Changed(4, Box::new(refused))));
    assert!(!rig.labels.records());
}

#[test]
fn a_full_disk_holds_rounds_back_until_a_sample_is_stored() {
    let mut rig = rig();
    let full = StoreError::Io { kind: graft_store::IoKind::Failed, message: "no".into() };
    rig.tell(0, Input::Done(Done::Kept(Err(full))));
    assert!(matches!(rig.fx.next_note(), Some(Note::Hold(Hold::DiskLow, true))));
    let mut cx = rig.at(10);
    cx.holds = vec![Hold::DiskLow];
    let changed = Changed {
        reply: "{}".into(),
        data: json!({}),
        touched: 1,
        event: None,
        view: Ok(DatasetView::default()),
    };
    let done = Done::Changed(1, Box::new(Ok(changed)));
    rig.labels.handle(&cx, Input::Done(done), &mut rig.fx);
    assert!(matches!(rig.fx.next_note(), Some(Note::Hold(Hold::DiskLow, false))));
}
