//! What a person does in front of the board, step by step.

use super::draw::{Draw, Shown};
use super::set::Set;
use std::collections::HashMap;

/// A capture or some presses: pictures that get one label.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Burst {
    /// Rows of the set.
    pub rows: Vec<usize>,
    /// The label that they get.
    pub label: usize,
    /// Their burst as the board is told, where that is no new one: bursts of one name are held out together.
    pub known_as: Option<u64>,
    /// Labelled wrongly as a whole.
    pub wrong: bool,
    /// Shown with what came before, without a pause.
    pub follows: bool,
}

/// One thing that a person does.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Act {
    /// Labels pictures.
    Teach(Burst),
    /// Imports pictures, rows of the set with their labels, in the order of their files and without bursts.
    Import(Vec<(usize, usize)>),
    /// Gives a class another name.
    Rename(usize),
    /// Removes a class with its samples.
    Remove(usize),
    /// Deletes half of the samples.
    Forget,
}

/// A round may follow each step.
pub type Step = Vec<Act>;

/// What is done, and what judges afterwards.
#[derive(Clone, Debug)]
pub struct Plan {
    /// In order.
    pub steps: Vec<Step>,
    /// Rows of the set.
    pub judges: Vec<usize>,
    /// Bursts of each class that were shown, where they have as many.
    pub bursts: usize,
}

/// Numbers of bursts after which a person looks whether it is good enough.
const LOOKS: [usize; 4] = [2, 3, 5, 10];

impl Burst {
    /// As it should be.
    pub fn of(set: &Set, shown: Shown) -> Self {
        // Hands of one person stay together, whatever they sign.
        let known_as = set.groups_cross_classes().then_some(shown.group);
        Self { rows: shown.rows, label: shown.class, known_as, wrong: false, follows: false }
    }
}

/// Bursts of every class, one class after the other, in the steps of a person who tries in between.
pub fn steady(draw: &mut Draw, bursts: usize) -> Option<Vec<Step>> {
    let mut steps = Vec::new();
    let mut have = 0;
    for look in LOOKS.into_iter().filter(|look| *look < bursts).chain([bursts]) {
        steps.push(more(draw, look - have));
        have = look;
    }
    Some(steps)
}

/// So many more bursts of every class, where there are as many.
pub fn more(draw: &mut Draw, bursts: usize) -> Step {
    let classes = 0..draw.set.classes.len();
    classes.flat_map(|class| more_of(draw, class, bursts)).collect()
}

/// So many more bursts of one class, where there are as many.
pub fn more_of(draw: &mut Draw, class: usize, bursts: usize) -> Step {
    let set = draw.set;
    (0..bursts).filter_map(|_| Some(Act::Teach(Burst::of(set, draw.next(class)?)))).collect()
}

/// The bursts of all steps.
pub fn bursts(steps: &mut [Step]) -> impl Iterator<Item = &mut Burst> {
    steps.iter_mut().flatten().filter_map(|act| match act {
        Act::Teach(burst) => Some(burst),
        _ => None,
    })
}

/// Gives a share of the pictures another label, each by itself: such a burst falls apart, as labels set one by one do.
pub fn mislabel_pictures(steps: &mut [Step], share: f64, classes: usize, random: &mut fastrand::Rng) {
    let rows: Vec<usize> = bursts(steps).flat_map(|burst| burst.rows.clone()).collect();
    let mut wrong = rows.clone();
    random.shuffle(&mut wrong);
    wrong.truncate((share * rows.len() as f64).round() as usize);
    let wrong: HashMap<usize, usize> = wrong.into_iter().map(|row| (row, random.usize(1..classes))).collect();
    for step in steps {
        let mut out = Step::new();
        for act in step.drain(..) {
            let Act::Teach(mut burst) = act else {
                out.push(act);
                continue;
            };
            let turned: Vec<usize> = burst.rows.extract_if(.., |row| wrong.contains_key(row)).collect();
            let label = burst.label;
            let single = |row: usize| {
                let label = (label + wrong.get(&row).copied().unwrap_or(1)) % classes;
                Act::Teach(Burst { rows: vec![row], label, known_as: None, wrong: false, follows: true })
            };
            if !burst.rows.is_empty() {
                out.push(Act::Teach(burst));
            }
            out.extend(turned.into_iter().map(single));
        }
        *step = out;
    }
}

/// Gives a share of the bursts, at least one, another label.
pub fn mislabel_bursts(steps: &mut [Step], share: f64, classes: usize, random: &mut fastrand::Rng) {
    let mut all: Vec<&mut Burst> = bursts(steps).collect();
    let count = ((share * all.len() as f64).round() as usize).max(1);
    random.shuffle(&mut all);
    for burst in all.into_iter().take(count) {
        burst.label = (burst.label + random.usize(1..classes)) % classes;
        (burst.wrong, burst.known_as) = (true, None);
    }
}
