//! The gate: may a candidate become the active head?

use graft_learn::{Comparison, Evidence, News, Report};

/// What a candidate may cost. Fractions, not points.
#[derive(Clone, Debug, PartialEq)]
pub struct GatePolicy {
    /// Largest loss of accuracy against the active head, on held-out bursts that it was trained on.
    pub max_loss: f64,
    /// Largest loss of recall of one class, on the same bursts.
    pub max_class_loss: f64,
    /// Classes with fewer bursts are not judged one by one, and speak for a first head, never against it.
    pub class_bursts: usize,
}

impl Default for GatePolicy {
    fn default() -> Self {
        Self { max_loss: 0.02, max_class_loss: 0.10, class_bursts: 5 }
    }
}

/// The gate's word, with its reason in plain words.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// The candidate becomes active.
    Promote(String),
    /// The candidate is kept but not used.
    Reject(String),
}

impl Verdict {
    /// Whether the candidate becomes active.
    pub fn promotes(&self) -> bool {
        matches!(self, Self::Promote(_))
    }

    /// The reason in plain words.
    pub fn reason(&self) -> &str {
        match self {
            Self::Promote(reason) | Self::Reject(reason) => reason,
        }
    }
}

fn points(fraction: f64) -> f64 {
    fraction * 100.0
}

/// Judges a candidate by what it did on bursts that it never saw. `comparison` is its paired,
/// burst-level comparison with the active head. Without one the alternative is no head at all, and a first head is
/// promoted; the reason says how good it is (decision 0044).
pub fn judge(
    policy: &GatePolicy,
    report: &Report,
    comparison: Option<&Comparison>,
    classes: &[String],
    pinned: bool,
) -> Verdict {
    let accuracy = report.accuracy.value;
    if !accuracy.is_finite() {
        return Verdict::Reject("its held-out accuracy is not a number".into());
    }
    if pinned {
        return Verdict::Reject("the active head is pinned".into());
    }
    let Some(comparison) = comparison else { return first_head(policy, report, classes) };
    let difference = comparison.difference.value;
    if let Some(reason) = doubts(comparison, classes) {
        return Verdict::Reject(reason);
    }
    let Comparison { known, known_part, other_backbone, .. } = *comparison;
    let (change, most) = match known.filter(|_| difference.is_finite() && !other_backbone) {
        // The more samples are new, the surer is the gain that a few known bursts cannot show.
        Some(known) => (known * known_part * known_part, policy.max_loss),
        None => (difference, policy.max_loss.min(MAX_BACKBONE_LOSS)),
    };
    // What is not a number must not promote.
    if change.is_nan() || change < -most {
        return Verdict::Reject(format!(
            "{:+.1} points against the active head on held-out bursts (at most {:.1} may be lost)",
            points(known.filter(|_| !other_backbone).unwrap_or(difference)),
            points(most)
        ));
    }
    let weight = if other_backbone { 1.0 } else { known_part };
    let worst = comparison
        .classes
        .iter()
        .filter(|c| c.bursts >= policy.class_bursts && c.difference * weight < -policy.max_class_loss)
        .min_by(|a, b| a.difference.total_cmp(&b.difference));
    if let Some(worst) = worst {
        return Verdict::Reject(format!(
            "class {} loses {:.1} points on {} held-out bursts (at most {:.1} may be lost)",
            classes.get(worst.class as usize).map_or("?", String::as_str),
            points(-worst.difference),
            worst.bursts,
            points(policy.max_class_loss)
        ));
    }
    Verdict::Promote(format!("{:+.1} points against the active head on held-out bursts", points(difference)))
}

/// Another backbone costs memory and a change of every embedding: more samples do not speak for it.
const MAX_BACKBONE_LOSS: f64 = 0.01;
/// With more than this part of the active head's samples gone, the candidate has to be better.
const GONE: f64 = 0.2;
/// By so much.
const GONE_GAIN: f64 = 0.08;

/// What speaks against a candidate of the active head's backbone before its figures do, with the remedy (decision 0044).
fn doubts(comparison: &Comparison, classes: &[String]) -> Option<String> {
    let name = |class: u32| classes.get(class as usize).map_or("something else", String::as_str);
    let gain = comparison.difference.value;
    if comparison.other_backbone {
        return None;
    }
    match comparison.news {
        News::Contradicted { label, said } => Some(format!(
            "the new samples of {} look like {} to every head that did not see them: correct their label, or \
             capture another burst that shows the same",
            name(label),
            name(said)
        )),
        News::Swapped(one, other) => Some(format!(
            "the new samples of {one} look like {other}, and those of {other} like {one}: correct their labels, or \
             capture more of both",
            one = name(one),
            other = name(other)
        )),
        News::Known(class) if gain.is_nan() || gain <= 0.0 => Some(format!(
            "the active head is right on all new samples of {}, and the new head is no better: capture what it \
             gets wrong, or other classes",
            name(class)
        )),
        News::Known(_) | News::Plain if comparison.gone > GONE && (gain.is_nan() || gain <= GONE_GAIN) => {
            Some(format!(
                "{:.0} % of what the active head learned from was deleted, and the new head is not clearly \
                 better ({:+.1} points): capture more",
                points(comparison.gone),
                points(gain)
            ))
        }
        News::Known(_) | News::Plain => None,
    }
}

/// Bursts that a class needs to be judged at all: one is held out, one is left to learn from.
const JUDGED_BURSTS: usize = 2;

/// Whether the figures of this report say anything: two classes can be judged.
pub fn is_judged(report: &Report) -> bool {
    balanced(report, JUDGED_BURSTS).is_some()
}

/// What is missing before figures of this report say anything, with the remedy; `None`: they do. A number without
/// evidence is not told.
pub fn missing(report: &Report, classes: &[String]) -> Option<String> {
    match &report.evidence {
        Evidence::OneBurst(lone) => {
            let lone: Vec<&str> =
                lone.iter().filter_map(|class| classes.get(*class as usize)).map(String::as_str).collect();
            Some(format!("capture a second burst of {}", lone.join(", ")))
        }
        Evidence::Wide => Some(format!(
            "capture more bursts: so far the accuracy is only known to lie between {:.0} % and {:.0} %",
            points(report.accuracy.low),
            points(report.accuracy.high)
        )),
        Evidence::Enough => None,
    }
}

/// Mean recall of the classes with at least so many bursts; `None` with fewer than two such classes.
fn balanced(report: &Report, bursts: usize) -> Option<f64> {
    let recalls = report.recall.iter().zip(&report.class_bursts);
    let recalls: Vec<f64> = recalls.filter_map(|(recall, has)| recall.filter(|_| *has >= bursts)).collect();
    (recalls.len() >= 2).then(|| recalls.iter().sum::<f64>() / recalls.len() as f64)
}

/// Balanced accuracy is compared with chance, because always saying a class that has many samples tells nothing. Only
/// classes with enough bursts speak against the head: leaving one of two bursts out halves what a class was taught. Even
/// then it serves: labels that are partly wrong make held-out figures worse than the head.
fn first_head(policy: &GatePolicy, report: &Report, classes: &[String]) -> Verdict {
    let taught = report.class_samples.iter().filter(|samples| **samples > 0).count();
    let chance = 1.0 / taught.max(1) as f64;
    let figure = |value: f64, what: &str| {
        format!(
            "{:.1} % balanced accuracy on held-out bursts {what} chance ({:.1} %)",
            points(value),
            points(chance)
        )
    };
    let evidence = balanced(report, policy.class_bursts.max(JUDGED_BURSTS));
    if let Some(value) = evidence.filter(|value| *value <= chance) {
        return Verdict::Promote(format!(
            "first head: {}: check its labels, and whether the camera shows the difference",
            figure(value, "is no better than")
        ));
    }
    let few: Vec<&str> = classes
        .iter()
        .zip(report.class_bursts.iter().zip(&report.class_samples))
        .filter(|(_, (bursts, samples))| **bursts < JUDGED_BURSTS && **samples > 0)
        .map(|(class, _)| class.as_str())
        .collect();
    let few = few.join(", ");
    Verdict::Promote(match balanced(report, JUDGED_BURSTS) {
        None => format!("first head, which could not be judged: capture a second burst of {few}"),
        Some(value) if value <= chance => {
            format!(
                "first head: {}, from too few bursts to tell: capture more",
                figure(value, "is not above")
            )
        }
        Some(value) if few.is_empty() => format!("first head: {}", figure(value, "against")),
        Some(value) => {
            let figure = figure(value, "against");
            format!("first head: {figure}; not judged, for want of a second burst: {few}")
        }
    })
}

#[cfg(test)]
#[path = "gate_tests.rs"]
mod tests;
