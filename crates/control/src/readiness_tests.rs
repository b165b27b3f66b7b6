use super::*;
use graft_learn::Choice;

fn tally(name: &str, samples: usize, bursts: usize) -> ClassTally {
    ClassTally { name: name.into(), samples, bursts }
}

/// Ready, with the settings as they come.
fn ready() -> Readiness {
    let round = RoundPolicy {
        new_samples: 1,
        idle: Duration::from_secs(10),
        min_samples: 1,
        min_bursts: 1,
        choice: Choice::Auto,
    };
    Readiness {
        round,
        wanted: Wanted::Adapt,
        holds: vec![Hold::CameraLost],
        running: None,
        labelling: false,
        has_head: false,
        changed: 0,
    }
}

const LONG: Duration = Duration::from_secs(60);

#[test]
fn one_burst_of_each_of_two_classes_starts_a_round_whatever_else_is_empty() {
    let classes = [tally("empty", 0, 0), tally("a", 1, 1), tally("b", 1, 1)];
    assert_eq!(ready().after(2).waits_for(&classes, LONG), None);
    // Near-copies are not kept: whatever a burst gave is enough for the first head, however much is asked for later.
    let often = Readiness { round: RoundPolicy { new_samples: 100, ..ready().round }, ..ready() };
    assert_eq!(often.clone().after(2).waits_for(&classes, LONG), None);
    let later = Readiness { has_head: true, ..often };
    assert_eq!(
        later.after(2).waits_for(&classes, LONG),
        Some(WaitsFor::NewSamples { changed: 2, needed: 100 })
    );
}

#[test]
fn what_is_missing_is_one_sentence_with_the_remedy() {
    let both = [tally("a", 4, 1), tally("b", 3, 1)];
    let is = |change: &dyn Fn(&mut Readiness)| {
        let mut readiness = ready();
        change(&mut readiness);
        readiness
    };
    let asks = |readiness: &Readiness, classes: &[ClassTally], changed, quiet| {
        readiness.clone().after(changed).waits_for(classes, quiet).unwrap().to_string()
    };
    let hold = |hold| is(&|on| on.holds.push(hold));
    for (readiness, classes, changed, quiet, text) in [
        (ready(), &both[..0], 0, LONG, "nothing is labelled: capture one burst of each of two classes"),
        (ready(), &both[..1], 4, LONG, "only a has samples: capture one burst of a second class"),
        (
            is(&|on| on.round.min_bursts = 2),
            &both[..],
            7,
            LONG,
            "two classes with 2 bursts and 1 samples each are needed, a has 1 and 4: capture more of it, or lower \
             learn.min_bursts_per_class and learn.min_samples_per_class",
        ),
        (
            is(&|on| on.wanted = Wanted::Infer),
            &both[..],
            7,
            LONG,
            "learning is off: `graft start` switches it on",
        ),
        (
            is(&|on| on.wanted = Wanted::Pause),
            &both[..],
            7,
            LONG,
            "learning is paused: `graft start` resumes it",
        ),
        (
            hold(Hold::Thermal),
            &both[..],
            7,
            LONG,
            "the board is too hot: training goes on once it is below budget.resume_c",
        ),
        (
            hold(Hold::DiskLow),
            &both[..],
            7,
            LONG,
            "the disk or store.quota is full: delete samples, free space, or raise store.quota",
        ),
        (
            hold(Hold::Writes),
            &both[..],
            7,
            LONG,
            "the flash has taken budget.write_per_day: `graft train` trains now, or raise the budget",
        ),
        (is(&|on| on.running = Some(7)), &both[..], 7, LONG, "round 7 is running"),
        (
            is(&|on| on.labelling = true),
            &both[..],
            7,
            LONG,
            "a capture is running: a round starts after its end",
        ),
        (
            ready(),
            &both[..],
            0,
            LONG,
            "the last round gave no head and no label has changed since: capture another burst of each class",
        ),
        (
            ready(),
            &both[..],
            7,
            Duration::from_millis(2500),
            "a round starts when no label has changed for 8 s more",
        ),
    ] {
        assert_eq!(asks(&readiness, classes, changed, quiet), text);
    }
}
