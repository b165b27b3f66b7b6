//! How often a head is right on pictures that were never taught.

use super::set::Set;
use graft::lab::ActiveHead;
use serde::Deserialize;

/// Shares, 0…1.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Truth {
    /// Pictures that are named rightly, with the classes in the proportion of the samples that were taught: what the told
    /// accuracy is about.
    pub accuracy: f64,
    /// Mean of the recalls.
    pub balanced: f64,
    /// Pictures whose class would be published: neither below the threshold nor unknown.
    pub shown: f64,
}

/// Judges a head on rows of a set. `names` are the classes by their names now, `mix` the samples that were taught of each;
/// rows of classes that have no name are passed over.
pub fn truth(
    set: &Set,
    rows: &[usize],
    head: &ActiveHead,
    names: &[Option<String>],
    mix: &[usize],
    threshold: f32,
) -> Truth {
    let mut right = vec![(0.0, 0.0); names.len()];
    let (mut shown, mut all) = (0.0, 0.0);
    for row in rows {
        let Some(class) = set.picture(*row).class else { continue };
        let Some(name) = &names[class] else { continue };
        let said = head.predict(set.row(*row));
        right[class].0 += f64::from(u8::from(head.class(said.class) == Some(name)));
        right[class].1 += 1.0;
        shown += f64::from(u8::from(said.confidence >= threshold && !said.is_unknown()));
        all += 1.0;
    }
    let recall = |(right, all): (f64, f64)| (all > 0.0).then(|| right / all);
    let recalls = Recalls(right.into_iter().map(recall).collect());
    Truth { accuracy: recalls.accuracy(mix), balanced: recalls.balanced(), shown: shown / f64::max(all, 1.0) }
}

/// Share of right answers a class; `None` where nothing judges it.
#[derive(Clone, Debug, Deserialize)]
pub struct Recalls(Vec<Option<f64>>);

impl Recalls {
    /// With the classes in these proportions.
    pub fn accuracy(&self, mix: &[usize]) -> f64 {
        let known = || self.0.iter().zip(mix).filter_map(|(recall, count)| Some(((*recall)?, *count as f64)));
        let all: f64 = known().map(|(_, count)| count).sum();
        known().map(|(recall, count)| recall * count).sum::<f64>() / all.max(1.0)
    }

    /// With the classes in equal proportions.
    pub fn balanced(&self) -> f64 {
        mean(self.0.iter().flatten().copied()).unwrap_or(0.0)
    }
}

/// The mean, unless there is nothing.
pub fn mean(values: impl IntoIterator<Item = f64>) -> Option<f64> {
    let (sum, count) = values.into_iter().fold((0.0, 0usize), |(sum, count), value| (sum + value, count + 1));
    (count > 0).then(|| sum / count as f64)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::teach::set::Picture;
    use graft_learn::Head;
    use std::sync::Arc;

    #[test]
    fn classes_count_as_they_were_taught() {
        let picture = |class| Picture { class: Some(class), group: 0, judges: true };
        let set = Set {
            name: "s".into(),
            backbone: "b".into(),
            classes: vec!["a".into(), "b".into()],
            width: 1,
            values: vec![1.0, 1.0, -1.0, 1.0],
            pictures: [0, 0, 1, 1].map(picture).to_vec(),
            dark: false,
            rate: None,
        };
        let head = Head {
            classes: 2,
            width: 1,
            weight: vec![3.0, -3.0],
            bias: vec![0.0, 0.0],
            temperature: 1.0,
            reject: None,
        };
        let classes = ["a", "b"].map(str::to_owned);
        let head = ActiveHead {
            version: 1,
            head: Arc::new(head),
            classes: classes.clone().map(Some).into(),
            ids: [1, 2].into(),
        };
        let names = classes.map(Some);
        let rows = [0, 1, 2, 3];
        // Class a is always right, class b half the time.
        let found = truth(&set, &rows, &head, &names, &[30, 10], 0.5);
        assert_eq!(found, Truth { accuracy: 0.875, balanced: 0.75, shown: 1.0 });
        // A class that was renamed since is never right.
        let renamed = [Some("c".to_owned()), Some("b".to_owned())];
        assert_eq!(truth(&set, &rows, &head, &renamed, &[1, 1], 0.5).balanced, 0.25);
        assert_eq!(truth(&set, &rows, &head, &[None, Some("b".to_owned())], &[5, 1], 0.5).accuracy, 0.5);
    }
}
