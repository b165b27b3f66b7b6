//! The label that frames agree on.

use graft_wire::messages::NO_LABEL;

/// The label changes only when enough frames in a row agree.
#[derive(Debug, Default)]
pub struct Vote {
    agreed: Option<String>,
    candidate: Option<String>,
    agreeing: usize,
}

impl Vote {
    /// Takes one frame's class; gives the label when it changes.
    pub fn count(&mut self, class: Option<&str>, needed: usize) -> Option<&str> {
        if self.candidate.as_deref() != class {
            self.candidate = class.map(str::to_owned);
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
    pub fn forget(&mut self) -> bool {
        std::mem::take(self).agreed.is_some()
    }

    /// The label as it is published.
    pub fn label(&self) -> &str {
        self.agreed.as_deref().unwrap_or(NO_LABEL)
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
