use super::*;
use crate::daemon::effects::Effect;
use crate::daemon::kept::ClaimRecord;
use crate::daemon::testing::{TestClock, context, effects, settings, taken};
use graft_store::{BackboneRow, Stage};
use graft_wire::messages::Schema1;
use graft_wire::offload::{Offer, OfferState, OfferedBackbone, OfferedDataset};

/// A job whose result was being fetched when the daemon ended.
fn record() -> OfferRecord {
    let digest = || "sha256:0".to_owned();
    let backbone =
        OfferedBackbone { name: "tiny".into(), digest: digest(), size: 1, tensor: "features".into() };
    let dataset = OfferedDataset { rev: 1, digest: digest(), samples: 4, classes: 2, bytes: 4 };
    let offer = Offer {
        schema: Schema1,
        job: "5".into(),
        recipe: Recipe::default(),
        backbone,
        dataset,
        state: OfferState::Offered,
        host: None,
        expires: String::new(),
    };
    let (host, url, token) = ("h".to_owned(), "http://h".to_owned(), "secret".to_owned());
    let claim = Some(ClaimRecord { host, url, token });
    OfferRecord { job: 5, offer, expires_ms: i64::MAX, claim, fed: true, taking: true }
}

fn arriving() -> BackboneRow {
    BackboneRow {
        id: 1,
        version: 1,
        digest: String::new(),
        manifest: String::new(),
        origin: String::new(),
        stage: Stage::Pending,
        reason: String::new(),
        created_ms: 0,
        changed_ms: 0,
    }
}

/// The offers that are kept, as (fed, taking), and whether the host is shown.
fn kept(effects: &[Effect]) -> Vec<(bool, bool)> {
    let record = |effect: &Effect| match effect {
        Effect::Store(StoreTask::Offload(task)) => match &**task {
            Task::Keep { record, .. } => {
                assert_eq!(record.offer.host.as_deref(), Some("h"));
                assert_eq!(record.offer.state, OfferState::Claimed);
                Some((record.fed, record.taking))
            }
            _ => None,
        },
        _ => None,
    };
    effects.iter().filter_map(record).collect()
}

#[test]
fn a_result_that_was_not_taken_on_is_waited_for_again() {
    let settings = settings(&tempfile::tempdir().unwrap(), &[]);
    let cx = context(TestClock::new().at(1000), &settings);
    let resumed = |arriving| {
        let (mut offload, mut fx) = (Offload::default(), effects());
        let left = LeftBehind { offer: Some(record()), arriving };
        offload.handle(&cx, Input::Done(Done::Resumed(Ok(Box::new(left)))), &mut fx);
        assert_eq!(offload.job(), Some(5));
        (offload, fx)
    };
    // The daemon ended before the backbone was known to the store.
    let (_, mut fx) = resumed(None);
    assert_eq!(kept(&taken(&mut fx)), [(true, false)]);
    // It was known: its arrival goes on, and ends without the files.
    let (mut offload, mut fx) = resumed(Some(arriving()));
    assert_eq!(kept(&taken(&mut fx)), [(true, true)]);
    let notes: Vec<Note> = std::iter::from_fn(|| fx.next_note()).collect();
    assert!(notes.iter().any(|note| matches!(note, Note::Arrive(row) if row.id == 1)), "{notes:?}");
    offload.handle(&cx, Input::Result(false), &mut fx);
    assert_eq!(kept(&taken(&mut fx)), [(true, false)]);
    // With them the offer is over.
    let (mut offload, mut fx) = resumed(Some(arriving()));
    taken(&mut fx);
    offload.handle(&cx, Input::Result(true), &mut fx);
    assert_eq!(offload.job(), None);
    assert!(format!("{:?}", taken(&mut fx)).contains("End"));
}
