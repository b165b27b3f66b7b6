//! From observations to what is said about them: predictions, and the label that frames agree on.

use super::Daemon;
use super::inference::{ActiveHead, Observation};
use graft_control::Hold;
use graft_learn::Prediction;
use graft_mqtt::Publication;
use graft_wire::messages::{self, NO_LABEL, PredictionMessage, TopClass, to_json};
use graft_wire::timestamp;

/// Classes named in a prediction.
const TOP: usize = 5;

/// The label changes only when enough frames in a row agree.
#[derive(Default)]
pub struct Vote {
    agreed: Option<String>,
    candidate: Option<String>,
    agreeing: usize,
}

impl Vote {
    /// Takes one frame's word; gives the label when it changes.
    fn count(&mut self, said: Option<&str>, needed: usize) -> Option<&str> {
        if self.candidate.as_deref() != said {
            self.candidate = said.map(str::to_owned);
            self.agreeing = 0;
        }
        self.agreeing += 1;
        if self.agreeing < needed || self.agreed == self.candidate {
            return None;
        }
        self.agreed.clone_from(&self.candidate);
        Some(self.label())
    }

    /// Takes no earlier frame into account any more; whether a label was agreed.
    fn forget(&mut self) -> bool {
        std::mem::take(self).agreed.is_some()
    }

    /// The label as it is published.
    pub fn label(&self) -> &str {
        self.agreed.as_deref().unwrap_or(NO_LABEL)
    }
}

/// What a prediction comes to: a class, or none where the frame is unlike all of them.
fn word<'a>(active: &'a ActiveHead, prediction: &Prediction) -> Option<&'a str> {
    if prediction.is_unknown() { None } else { active.classes.get(prediction.class).map(String::as_str) }
}

/// The most probable classes, best first.
fn top(active: &ActiveHead, prediction: &Prediction) -> Vec<TopClass> {
    let mut scored: Vec<(&String, f32)> =
        active.classes.iter().zip(prediction.probabilities.iter().copied()).collect();
    scored.sort_by(|a, b| b.1.total_cmp(&a.1));
    scored.into_iter().take(TOP).map(|(class, score)| TopClass { class: class.clone(), score }).collect()
}

impl Daemon {
    /// A frame came out of the inference thread.
    pub(super) fn observed(&mut self, observation: Observation) {
        self.pulse.frame(observation.infer_ms);
        self.tally.frames += 1;
        self.tally.infer.observe(f64::from(observation.infer_ms) / 1e3);
        self.tally.age.observe(f64::from(observation.age_ms) / 1e3);
        if observation.reused {
            self.tally.reused += 1;
        } else {
            // What cost no backbone says nothing about how fast it is.
            self.budget.predicted(observation.infer_ms, self.control.job().is_some());
        }
        self.newest_frame = Some((observation.seen.frame, observation.seen.taken));
        if let Some((active, prediction)) = &observation.prediction {
            let lost = self.control.holds().contains(&Hold::CameraLost);
            let sure = prediction.confidence >= self.settings.predict.threshold;
            if !observation.reused {
                self.watch_frame(word(active, prediction).is_none(), observation.infer_ms);
            }
            let said = word(active, prediction).filter(|_| sure && active.version > 0);
            // Frames from before the loss may still be on their way: they say nothing of what is there now.
            if !lost && self.vote.count(said, self.settings.predict.vote).is_some() {
                self.say_label();
            }
        }
        self.scene_sees(&observation);
        // A prediction names a frame that can be labelled.
        if observation.kept {
            self.say_prediction(&observation);
            self.record(&observation.seen);
            self.ring.push(observation.seen);
        }
    }

    fn say_label(&self) {
        let label = self.vote.label();
        self.watch("label", &serde_json::Value::from(label).to_string());
        self.retain(self.topics.label(), label.to_owned());
    }

    /// Nothing is seen any more: takes the label back. `reasons` of `state` says why.
    pub(super) fn label_lost(&mut self) {
        if self.vote.forget() {
            self.say_label();
        }
    }

    fn say_prediction(&mut self, observation: &Observation) {
        let hz = self.settings.predict.max_hz;
        let taken = observation.seen.taken;
        let due = |last| taken.saturating_duration_since(last).as_secs_f64() >= 0.95 / hz;
        if hz <= 0.0 || !self.last_prediction.is_none_or(due) {
            return;
        }
        self.last_prediction = Some(taken);
        let said = observation.prediction.as_ref();
        let message = PredictionMessage {
            schema: messages::Schema1,
            ts: timestamp::rfc3339(observation.seen.wall_ms),
            frame: observation.seen.frame,
            label: said.and_then(|(active, p)| word(active, p)).map(str::to_owned),
            score: said.map_or(0.0, |(_, p)| p.confidence),
            top: said.map_or_else(Vec::new, |(active, p)| top(active, p)),
            unknown: said.and_then(|(active, p)| active.head.reject.as_ref().map(|_| p.unknown)),
            head: said.map_or(0, |(active, _)| active.version),
            infer_ms: Some(f64::from(observation.infer_ms)),
            age_ms: Some(taken.elapsed().as_secs_f64() * 1e3),
            reused: observation.reused,
            file: observation.seen.name.as_deref().map(str::to_owned),
        };
        let payload = to_json(&message);
        self.watch("prediction", &payload);
        if let Some(mqtt) = &self.mqtt {
            mqtt.publish(Publication {
                topic: self.topics.prediction(),
                payload: payload.into(),
                expiry_s: Some(10),
                ..Publication::default()
            });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_label_changes_only_when_enough_frames_agree() {
        let mut vote = Vote::default();
        let said = ["a", "a", "b", "a", "a", "a", "a", "", "", "", "b", "b", "b"];
        let mut count = |s: &str| vote.count(Some(s).filter(|s| !s.is_empty()), 3).map(str::to_owned);
        let heard: Vec<Option<String>> = said.iter().map(|s| count(s)).collect();
        let expected =
            [None, None, None, None, None, Some("a"), None, None, None, Some("none"), None, None, Some("b")];
        assert_eq!(heard, expected.map(|e| e.map(str::to_owned)));
        assert_eq!(vote.label(), "b");
        assert!(vote.forget() && vote.label() == NO_LABEL);
        assert!(!vote.forget(), "there is nothing to take back");
        assert_eq!(vote.count(Some("b"), 2), None, "frames of before do not count");
        assert_eq!(vote.count(Some("b"), 2), Some("b"), "told again");
    }
}
