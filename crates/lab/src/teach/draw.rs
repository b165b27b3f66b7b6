//! What one imagined person shows: groups of a set in an order drawn by a seed, some left over to judge with.

use super::set::Set;
use std::collections::{BTreeMap, HashSet};

/// Frames a second that are captured: the default of `capture.hz`.
const CAPTURE_HZ: f64 = 4.0;

/// Pictures of one class that are shown together.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Shown {
    /// Rows of the set.
    pub rows: Vec<usize>,
    /// Their class.
    pub class: usize,
    /// Their group.
    pub group: u64,
}

/// Hands out groups, each once.
pub struct Draw<'a> {
    /// What is drawn from.
    pub set: &'a Set,
    /// For everything else that is drawn.
    pub random: fastrand::Rng,
    /// Per class, the next one last.
    left: Vec<Vec<Shown>>,
    /// Groups of each class that nobody may take: what judges where the set has no pictures for that.
    reserve: Vec<usize>,
    shown: HashSet<u64>,
}

impl<'a> Draw<'a> {
    /// The same set and seed give the same order.
    pub fn new(set: &'a Set, seed: u64) -> Self {
        let mut random = fastrand::Rng::with_seed(seed.wrapping_mul(0x9E37_79B9).wrapping_add(1));
        let mut groups: BTreeMap<(u64, usize), Vec<usize>> = BTreeMap::new();
        let every = set.rate.map_or(1, |rate| (rate / CAPTURE_HZ).round().max(1.0) as usize);
        for (row, picture) in set.pictures.iter().enumerate().step_by(every) {
            if let Some(class) = picture.class.filter(|_| !picture.judges) {
                groups.entry((picture.group, class)).or_default().push(row);
            }
        }
        let mut order: Vec<u64> = groups.keys().map(|(group, _)| *group).collect();
        order.dedup();
        random.shuffle(&mut order);
        let mut left = vec![Vec::new(); set.classes.len()];
        for group in order {
            for (class, left) in left.iter_mut().enumerate() {
                if let Some(rows) = groups.remove(&(group, class)) {
                    left.push(Shown { rows, class, group });
                }
            }
        }
        let judged = set.pictures.iter().any(|picture| picture.judges);
        let reserve = left.iter().map(|left| if judged { 0 } else { (left.len() / 4).max(1) }).collect();
        Self { set, random, left, reserve, shown: HashSet::new() }
    }

    /// Groups of a class that may still be shown.
    pub fn available(&self, class: usize) -> usize {
        self.left[class].len().saturating_sub(self.reserve[class])
    }

    /// Groups that at least half of the classes can still show.
    pub fn usual(&self) -> usize {
        let mut counts: Vec<usize> = (0..self.left.len()).map(|class| self.available(class)).collect();
        counts.sort_unstable();
        counts.get(counts.len().saturating_sub(1) / 2).copied().unwrap_or(0)
    }

    /// Whether every class can show `least`, and half of them `usual`.
    pub fn gives(&self, least: usize, usual: usize) -> bool {
        self.usual() >= usual && (0..self.left.len()).all(|class| self.available(class) >= least)
    }

    /// The next group of a class.
    pub fn next(&mut self, class: usize) -> Option<Shown> {
        if self.available(class) == 0 {
            return None;
        }
        let shown = self.left[class].pop()?;
        self.shown.insert(shown.group);
        Some(shown)
    }

    /// Takes the groups out that lie in the second half of a stream.
    pub fn first_half_only(&mut self) -> Vec<Vec<Shown>> {
        let half = self.set.pictures.len() / 2;
        let late = |shown: &mut Shown| shown.rows.first().is_some_and(|row| *row >= half);
        self.reserve.fill(0);
        self.left.iter_mut().map(|left| left.extract_if(.., late).collect()).collect()
    }

    /// Counts as shown.
    pub fn show(&mut self, shown: &Shown) {
        self.shown.insert(shown.group);
    }

    /// Rows that judge: those kept back for it, else all of groups that were not shown.
    pub fn never_shown(&self) -> Vec<usize> {
        let judged = self.set.pictures.iter().any(|picture| picture.judges);
        let fits = |row: &usize| {
            let picture = &self.set.pictures[*row];
            picture.class.is_some()
                && if judged { picture.judges } else { !self.shown.contains(&picture.group) }
        };
        (0..self.set.pictures.len()).filter(fits).collect()
    }
}
