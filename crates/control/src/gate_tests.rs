use super::super::tests::{comparison, report};
use super::*;
use graft_learn::{ClassDifference, News};

#[test]
fn the_gate() {
    let names = ["a".to_owned(), "b".to_owned()];
    let gate = GatePolicy::default();
    let loss = |class, bursts, difference| ClassDifference { class, bursts, difference };
    let verdict = |accuracy, c: Option<Comparison>, pinned| {
        let verdict = judge(&gate, &report(accuracy), c.as_ref(), &names, pinned);
        format!("{} {}", if verdict.promotes() { "promote:" } else { "reject:" }, verdict.reason())
    };
    for (got, expected) in [
        (verdict(f64::NAN, None, false), "reject: its held-out accuracy is not a number"),
        (verdict(0.9, Some(comparison(0.3, vec![])), true), "reject: the active head is pinned"),
        (
            verdict(0.9, Some(comparison(-0.02, vec![])), false),
            "promote: -2.0 points against the active head on held-out bursts",
        ),
        (
            verdict(0.9, Some(comparison(-0.03, vec![])), false),
            "reject: -3.0 points against the active head on held-out bursts (at most 2.0 may be lost)",
        ),
        // What new bursts are worth does not make up for a loss on known ones.
        (
            verdict(0.9, Some(Comparison { known: Some(-0.06), ..comparison(0.2, vec![]) }), false),
            "reject: -6.0 points against the active head on held-out bursts (at most 2.0 may be lost)",
        ),
        // But where most samples are new, a few known bursts do not speak against the head.
        (
            verdict(
                0.9,
                Some(Comparison { known: Some(-0.06), known_part: 0.5, ..comparison(0.2, vec![]) }),
                false,
            ),
            "promote: +20.0 points against the active head on held-out bursts",
        ),
        // More samples do not speak for another backbone.
        (
            verdict(0.9, Some(Comparison { other_backbone: true, ..comparison(-0.02, vec![]) }), false),
            "reject: -2.0 points against the active head on held-out bursts (at most 1.0 may be lost)",
        ),
        (
            verdict(0.9, Some(comparison(f64::NAN, vec![])), false),
            "reject: NaN points against the active head on held-out bursts (at most 1.0 may be lost)",
        ),
        (
            verdict(0.9, Some(comparison(0.02, vec![loss(0, 9, 0.3), loss(1, 5, -0.2)])), false),
            "reject: class b loses 20.0 points on 5 held-out bursts (at most 10.0 may be lost)",
        ),
        (
            verdict(0.9, Some(comparison(0.02, vec![loss(1, 4, -0.2)])), false),
            "promote: +2.0 points against the active head on held-out bursts",
        ),
    ] {
        assert_eq!(got, expected);
    }
}

#[test]
fn the_gate_doubts_new_labels_that_nothing_else_speaks_for() {
    let names = ["a".to_owned(), "b".to_owned()];
    let verdict = |gain: f64, news, gone| {
        let comparison = Comparison { news, gone, ..comparison(gain, vec![]) };
        let verdict = judge(&GatePolicy::default(), &report(0.9), Some(&comparison), &names, false);
        format!("{} {}", if verdict.promotes() { "promote:" } else { "reject:" }, verdict.reason())
    };
    for (got, expected) in [
        (
            verdict(0.1, News::Contradicted { label: 1, said: 0 }, 0.0),
            "reject: the new samples of b look like a to every head that did not see them: correct their label, or \
             capture another burst that shows the same",
        ),
        (
            verdict(0.1, News::Swapped(0, 1), 0.0),
            "reject: the new samples of a look like b, and those of b like a: correct their labels, or capture more \
             of both",
        ),
        (
            verdict(0.0, News::Known(0), 0.0),
            "reject: the active head is right on all new samples of a, and the new head is no better: capture what \
             it gets wrong, or other classes",
        ),
        (
            verdict(0.01, News::Known(0), 0.0),
            "promote: +1.0 points against the active head on held-out bursts",
        ),
        (
            verdict(0.05, News::Plain, 0.5),
            "reject: 50 % of what the active head learned from was deleted, and the new head is not clearly better \
             (+5.0 points): capture more",
        ),
        (verdict(0.09, News::Plain, 0.5), "promote: +9.0 points against the active head on held-out bursts"),
        (verdict(-0.02, News::Plain, 0.2), "promote: -2.0 points against the active head on held-out bursts"),
    ] {
        assert_eq!(got, expected);
    }
}

/// Recalls and bursts of each class, and what the gate says of such a first head.
#[test]
fn a_first_head_serves_and_its_reason_says_how_good_it_is() {
    let say = |classes: &[(f64, usize)]| {
        let mut report = report(classes[0].0);
        report.recall = classes.iter().map(|(recall, _)| Some(*recall)).collect();
        report.class_bursts = classes.iter().map(|(_, bursts)| *bursts).collect();
        report.class_samples = vec![3; classes.len()];
        // Always saying the largest class would be right this often.
        report.majority = 0.925;
        let names: Vec<String> =
            ["a", "b", "c"].iter().take(classes.len()).map(ToString::to_string).collect();
        let verdict = judge(&GatePolicy::default(), &report, None, &names, false);
        assert_eq!(is_judged(&report), classes.iter().filter(|(_, bursts)| *bursts > 1).count() > 1);
        format!("{} {}", if verdict.promotes() { "promote:" } else { "reject:" }, verdict.reason())
    };
    for (classes, expected) in [
        (
            &[(0.9, 6), (0.99, 6)][..],
            "promote: first head: 94.5 % balanced accuracy on held-out bursts against chance (50.0 %)",
        ),
        (
            &[(1.0, 6), (0.0, 6)],
            "promote: first head: 50.0 % balanced accuracy on held-out bursts is no better than chance (50.0 %): check \
             its labels, and whether the camera shows the difference",
        ),
        (
            &[(0.0, 2), (0.0, 2)],
            "promote: first head: 0.0 % balanced accuracy on held-out bursts is not above chance (50.0 %), from too \
             few bursts to tell: capture more",
        ),
        (
            &[(0.0, 1), (0.0, 1)],
            "promote: first head, which could not be judged: capture a second burst of a, b",
        ),
        (
            &[(1.0, 9), (0.0, 1)],
            "promote: first head, which could not be judged: capture a second burst of b",
        ),
        (
            &[(0.9, 2), (0.9, 2), (0.0, 1)],
            "promote: first head: 90.0 % balanced accuracy on held-out bursts against chance (33.3 %); not judged, \
             for want of a second burst: c",
        ),
    ] {
        assert_eq!(say(classes), expected);
    }
}

#[test]
fn a_figure_without_evidence_says_what_is_missing() {
    let names = ["full".to_owned(), "empty".to_owned()];
    let with = |evidence, bursts: [usize; 2]| {
        let mut report = report(0.8);
        report.recall = vec![Some(0.8); 2];
        report.class_bursts = bursts.to_vec();
        report.class_samples = vec![4, 4];
        (report.accuracy.low, report.accuracy.high) = (0.46, 0.97);
        missing(&Report { evidence, ..report }, &names)
    };
    assert_eq!(with(Evidence::Enough, [9, 9]), None);
    let second = with(Evidence::OneBurst(vec![1]), [3, 1]);
    assert_eq!(second.as_deref(), Some("capture a second burst of empty"));
    let both = with(Evidence::OneBurst(vec![0, 1]), [1, 1]);
    assert_eq!(both.as_deref(), Some("capture a second burst of full, empty"));
    let more = with(Evidence::Wide, [3, 3]);
    let said = "capture more bursts: so far the accuracy is only known to lie between 46 % and 97 %";
    assert_eq!(more.as_deref(), Some(said));
}
