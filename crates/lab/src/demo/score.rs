//! How often the head was right, by appearance: frames of one appearance are near-copies of each other.

use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::fmt;

/// Predictions against the truth.
#[derive(Clone, Debug, Default)]
pub struct Score {
    right: u32,
    unknown: u32,
    all: u32,
    appearances: BTreeMap<u64, (u32, u32)>,
}

impl Score {
    /// Counts one prediction; `None` is "like none of the classes".
    pub fn count(&mut self, appearance: u64, truth: &str, said: Option<&str>) {
        let right = said == Some(truth);
        self.unknown += u32::from(said.is_none());
        self.all += 1;
        self.right += u32::from(right);
        let (all, good) = self.appearances.entry(appearance).or_default();
        *all += 1;
        *good += u32::from(right);
    }

    /// Appearances that were looked at.
    pub fn appearances(&self) -> usize {
        self.appearances.len()
    }

    /// Whether this appearance was looked at.
    pub fn has(&self, appearance: u64) -> bool {
        self.appearances.contains_key(&appearance)
    }

    /// The fraction that was right.
    pub fn fraction(&self) -> f64 {
        f64::from(self.right) / f64::from(self.all.max(1))
    }

    /// 90 % interval of the fraction by Wilson's formula, with appearances as the unit: what one of
    /// them shows says nothing new about the next frame of the same one.
    pub fn interval(&self) -> (f64, f64) {
        let n = self.appearances.len().max(1) as f64;
        let shares = self.appearances.values().map(|(all, good)| f64::from(*good) / f64::from((*all).max(1)));
        let p = shares.sum::<f64>() / n;
        let z = 1.645;
        let middle = (p + z * z / (2.0 * n)) / (1.0 + z * z / n);
        let half = z / (1.0 + z * z / n) * (p * (1.0 - p) / n + z * z / (4.0 * n * n)).sqrt();
        (middle - half, middle + half)
    }

    /// For `--json`.
    pub fn to_json(&self) -> Value {
        let (low, high) = self.interval();
        json!({"right": self.right, "unknown": self.unknown, "predictions": self.all, "appearances": self.appearances.len(),
            "accuracy": self.fraction(), "low": low, "high": high})
    }
}

impl fmt::Display for Score {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{:.0} % ({} of {} predictions, {} objects",
            100.0 * self.fraction(),
            self.right,
            self.all,
            self.appearances.len()
        )?;
        match self.unknown {
            0 => f.write_str(")"),
            n => write!(f, "; {n} called unknown)"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn many_frames_of_few_objects_stay_uncertain() {
        let mut score = Score::default();
        for appearance in 0..8 {
            for _ in 0..100 {
                score.count(appearance, "a", (appearance != 3).then_some("a"));
            }
        }
        let (low, high) = score.interval();
        assert!(low < 0.65 && high > 0.95, "{low} {high}");
        assert_eq!(score.to_string(), "88 % (700 of 800 predictions, 8 objects; 100 called unknown)");
    }
}
