//! The gate: may a candidate become the active head?

use graft_learn::{Comparison, Report};

/// What a candidate may cost. Fractions, not points.
#[derive(Clone, Debug, PartialEq)]
pub struct GatePolicy {
    /// Largest loss of accuracy against the active head, paired over held-out bursts.
    pub max_loss: f64,
    /// Largest loss of recall of one class.
    pub max_class_loss: f64,
    /// Classes with fewer bursts are not judged one by one.
    pub class_bursts: usize,
}

impl Default for GatePolicy {
    fn default() -> Self {
        Self { max_loss: 0.01, max_class_loss: 0.10, class_bursts: 5 }
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
/// burst-level comparison with the active head; a first head has to beat the majority class.
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
    let Some(comparison) = comparison else {
        return if accuracy > report.majority {
            Verdict::Promote(format!(
                "first head: {:.1} % on held-out bursts, the largest class alone gives {:.1} %",
                points(accuracy),
                points(report.majority)
            ))
        } else {
            Verdict::Reject(format!(
                "{:.1} % on held-out bursts does not beat always saying the largest class ({:.1} %)",
                points(accuracy),
                points(report.majority)
            ))
        };
    };
    let difference = comparison.difference.value;
    // A comparison that is not a number must not promote.
    if difference.is_nan() || difference < -policy.max_loss {
        return Verdict::Reject(format!(
            "{:+.1} points against the active head on held-out bursts (at most {:.1} may be lost)",
            points(difference),
            points(policy.max_loss)
        ));
    }
    let worst = comparison
        .classes
        .iter()
        .filter(|c| c.bursts >= policy.class_bursts && c.difference < -policy.max_class_loss)
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
