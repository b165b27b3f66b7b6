//! Advice and drift as people read them.

use super::output::percent;
use graft_wire::messages::{AdviceState, CameraFault, DriftState, DriftVerdict, Interval, NextStep};

/// One line: what to do, and why.
pub(super) fn advice(advice: &AdviceState) -> String {
    let range = |i: &Interval| format!("{} ({} to {})", percent(i.value), percent(i.low), percent(i.high));
    let next = match advice.next {
        NextStep::HeadIsEnough => "the head is enough".to_owned(),
        NextStep::MoreLabels => format!("more labels of {}", advice.classes.join(", ")),
        NextStep::FineTune => "fine-tune on a host".to_owned(),
    };
    let doubled = advice.doubled.as_ref().map_or(String::new(), |doubled| {
        format!("; twice the labels would bring {}, similarity {:.2}", range(doubled), advice.similarity)
    });
    let suspects = match advice.suspects {
        0 => String::new(),
        1 => "; 1 suspect label, see `graft dataset suspects`".to_owned(),
        n => format!("; {n} suspect labels, see `graft dataset suspects`"),
    };
    let reached = match &advice.accuracy {
        Some(accuracy) => format!("{} on held-out bursts", percent(accuracy.value)),
        None => "too few bursts to tell an accuracy".to_owned(),
    };
    format!("{next}: {reached}, {} wanted{doubled}{suspects}", percent(advice.target))
}

/// One line: what has become of the scene.
pub(super) fn drift(drift: &DriftState) -> String {
    let verdict = match (drift.verdict, drift.fault) {
        (DriftVerdict::Same, _) => "the scene is as it was taught",
        (DriftVerdict::NewClass, _) => "something new comes along: label it as a class of its own",
        (DriftVerdict::NewPlace, _) => "the scene looks different: label some bursts as it is now",
        (_, Some(CameraFault::Black)) => "the camera shows nothing but black",
        (_, Some(CameraFault::Saturated)) => "the camera shows nothing but white",
        (_, Some(CameraFault::Frozen)) => "the camera gives the same picture again and again",
        _ => "the camera shows nothing that could be judged",
    };
    let since = &drift.since;
    if drift.verdict == DriftVerdict::CameraFault {
        return format!("{verdict}, since {since}");
    }
    let class = drift.class.as_ref().map_or(String::new(), |class| format!(", least sure of {class}"));
    format!(
        "{verdict}: {} of {} bursts unknown, {} as ever{class}, p = {}, since {since}",
        drift.unknown,
        drift.bursts,
        percent(drift.as_ever),
        chance(drift.p)
    )
}

/// A probability for people.
fn chance(p: f64) -> String {
    if p < 0.001 { format!("{p:.0e}") } else { format!("{p:.3}") }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn advice_and_drift_are_told_with_their_evidence() {
        let told = json!({"next": "more_labels", "classes": ["b", "a"], "target": 0.95, "similarity": 0.97, "suspects": 3,
            "accuracy": {"value": 0.9, "low": 0.8, "high": 0.95}, "ts": "2026-03-01T12:00:00Z",
            "doubled": {"value": 0.93, "low": 0.9, "high": 0.96}});
        assert_eq!(
            advice(&serde_json::from_value(told).unwrap()),
            "more labels of b, a: 90.0 % on held-out bursts, 95.0 % wanted; twice the labels would bring 93.0 % \
             (90.0 % to 96.0 %), similarity 0.97; 3 suspect labels, see `graft dataset suspects`"
        );
        let mut told = json!({"verdict": "new_class", "since": "2026-03-01T12:00:00Z", "head": 3, "bursts": 40, "unknown": 9,
            "p": 0.0001, "as_ever": 0.7, "class": "ok"});
        assert_eq!(
            drift(&serde_json::from_value(told.clone()).unwrap()),
            "something new comes along: label it as a class of its own: 9 of 40 bursts unknown, 70.0 % as ever, \
             least sure of ok, p = 1e-4, since 2026-03-01T12:00:00Z"
        );
        (told["verdict"], told["fault"]) = (json!("camera_fault"), json!("frozen"));
        assert_eq!(
            drift(&serde_json::from_value(told).unwrap()),
            "the camera gives the same picture again and again, since 2026-03-01T12:00:00Z"
        );
    }
}
