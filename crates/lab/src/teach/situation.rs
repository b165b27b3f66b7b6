//! The situations that people teach in, by name.

use super::draw::Draw;
use super::plan::{
    Act, Burst, Plan, Step, bursts, mislabel_bursts, mislabel_pictures, more, more_of, steady,
};

/// A way to teach.
#[derive(Clone, Copy, Debug)]
pub struct Situation {
    /// As on the command line and in the table.
    pub name: &'static str,
    /// What it is, for people.
    pub about: &'static str,
    /// Bursts of each class, where the set has as many; [`Situation::exact`] ones are left out otherwise.
    bursts: usize,
    /// Whether it is nothing with fewer bursts.
    exact: bool,
    plan: fn(&mut Draw, usize) -> Option<Vec<Step>>,
    judges: Judges,
}

/// What the head is judged on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Judges {
    /// Groups that were never shown.
    NeverShown,
    /// The same in the light that came in the end.
    OtherLight,
}

/// Fewer bursts of the usual class are no base for a situation.
const LEAST: usize = 2;
/// Samples of the large classes for each of the small one.
const IMBALANCE: usize = 20;

const fn situation(
    name: &'static str,
    about: &'static str,
    bursts: usize,
    plan: fn(&mut Draw, usize) -> Option<Vec<Step>>,
) -> Situation {
    Situation { name, about, bursts, exact: false, plan, judges: Judges::NeverShown }
}

/// With exactly so many bursts.
const fn plain(name: &'static str, about: &'static str, bursts: usize) -> Situation {
    Situation { exact: true, ..situation(name, about, bursts, steady) }
}

/// All of them, in the order of the table.
pub const SITUATIONS: [Situation; 24] = [
    plain("bursts-2", "two bursts of each class", 2),
    plain("bursts-3", "three bursts of each class", 3),
    plain("bursts-5", "five bursts of each class", 5),
    plain("bursts-10", "ten bursts of each class", 10),
    situation("short-bursts", "bursts of two pictures", 5, short_bursts),
    situation("long-bursts", "three groups shown as one burst", 3, long_bursts),
    situation("class-at-rest", "one class at rest: a burst keeps one picture", 3, at_rest),
    situation("imbalance-20", "20 samples of each other class for one of the smallest", 10, imbalance),
    situation("wrong-10", "every tenth label wrong", 5, |draw, n| wrong_pictures(draw, n, 0.1)),
    situation("wrong-20", "every fifth label wrong", 5, |draw, n| wrong_pictures(draw, n, 0.2)),
    situation("wrong-bursts-10", "every tenth burst wrong as a whole", 5, |draw, n| {
        wrong_bursts(draw, n, 0.1)
    }),
    situation("wrong-bursts-20", "every fifth burst wrong as a whole", 5, |draw, n| {
        wrong_bursts(draw, n, 0.2)
    }),
    situation("wrong-button", "after a good head, a burst under the label of another class", 5, wrong_button),
    situation("swapped", "after a good head, two classes swapped", 5, swapped),
    situation("one-burst-class", "one class has a single burst", 5, one_burst_class),
    situation("one-burst-each", "one burst of each class", 1, steady),
    Situation {
        judges: Judges::OtherLight,
        ..situation("other-light", "after a good head, bursts in another light", 5, other_light)
    },
    situation("class-late", "one class comes later", 5, class_late),
    situation("renamed", "a class gets another name", 5, |draw, n| after_change(draw, n, Act::Rename)),
    situation("removed", "a class is removed", 5, |draw, n| after_change(draw, n, Act::Remove)),
    situation("labels-late", "each label is set a second late", 3, labels_late),
    situation("ungrouped", "pictures that were taken in bursts, imported as if they were not", 10, ungrouped),
    situation("copies", "after a good head, the same burst again and again", 5, copies),
    situation("half-deleted", "half of the samples deleted", 5, |draw, n| {
        after_change(draw, n, |_| Act::Forget)
    }),
];

impl Situation {
    /// The one of this name.
    pub fn named(name: &str) -> Option<&'static Self> {
        SITUATIONS.iter().find(|situation| situation.name == name)
    }

    /// What happens in this draw; `None`: the set has not what it takes.
    pub fn plan(&self, mut draw: Draw) -> Option<Plan> {
        let usual = draw.usual();
        if draw.set.classes.len() < 2 || usual < LEAST.min(self.bursts) || (self.exact && usual < self.bursts)
        {
            return None;
        }
        let bursts = self.bursts.min(usual);
        let steps = (self.plan)(&mut draw, bursts)?;
        let mut judges = draw.never_shown();
        if self.judges == Judges::OtherLight {
            let dark = |row: &usize| draw.set.in_the_dark(*row);
            judges = match draw.set.dark {
                true => judges.iter().filter_map(dark).collect(),
                false => judges.into_iter().filter(|row| *row >= draw.set.pictures.len() / 2).collect(),
            };
        }
        Some(Plan { steps, judges, bursts })
    }
}

fn classes(draw: &Draw) -> usize {
    draw.set.classes.len()
}

/// Which class is the odd one.
fn any_class(draw: &mut Draw) -> usize {
    draw.random.usize(..draw.set.classes.len())
}

fn short_bursts(draw: &mut Draw, n: usize) -> Option<Vec<Step>> {
    let mut steps = steady(draw, n)?;
    let long = bursts(&mut steps).filter(|burst| burst.rows.len() > 2).count();
    bursts(&mut steps).for_each(|burst| burst.rows.truncate(2));
    (long > 0).then_some(steps)
}

fn long_bursts(draw: &mut Draw, n: usize) -> Option<Vec<Step>> {
    if draw.usual() < 3 * n || draw.set.groups_cross_classes() {
        return None;
    }
    let mut step = Step::new();
    for class in 0..classes(draw) {
        for _ in 0..n {
            let mut rows = Vec::new();
            (0..3).filter_map(|_| draw.next(class)).for_each(|shown| rows.extend(shown.rows));
            step.push(Act::Teach(Burst { rows, label: class, known_as: None, wrong: false, follows: false }));
        }
    }
    Some(vec![step])
}

/// A capture of a scene at rest keeps its first frame: the others are near-copies.
fn at_rest(draw: &mut Draw, n: usize) -> Option<Vec<Step>> {
    let odd = any_class(draw);
    let mut steps = steady(draw, n)?;
    bursts(&mut steps).filter(|burst| burst.label == odd).for_each(|burst| burst.rows.truncate(1));
    Some(steps)
}

fn imbalance(draw: &mut Draw, n: usize) -> Option<Vec<Step>> {
    let odd = any_class(draw);
    let mut steps = Vec::new();
    let mut others = 0;
    for class in (0..classes(draw)).filter(|class| *class != odd) {
        steps.push(more_of(draw, class, n));
    }
    bursts(&mut steps).for_each(|burst| others += burst.rows.len());
    let most = (others / (classes(draw) - 1) / IMBALANCE).max(1);
    let mut small = vec![more_of(draw, odd, if most > 1 { 2 } else { 1 })];
    let each = most.div_ceil(bursts(&mut small).count().max(1));
    bursts(&mut small).for_each(|burst| burst.rows.truncate(each));
    steps.append(&mut small);
    Some(vec![steps.concat()])
}

fn wrong_pictures(draw: &mut Draw, n: usize, share: f64) -> Option<Vec<Step>> {
    let mut steps = steady(draw, n)?;
    mislabel_pictures(&mut steps, share, classes(draw), &mut draw.random);
    Some(steps)
}

fn wrong_bursts(draw: &mut Draw, n: usize, share: f64) -> Option<Vec<Step>> {
    let mut steps = vec![more(draw, n)];
    mislabel_bursts(&mut steps, share, classes(draw), &mut draw.random);
    Some(steps)
}

fn wrong_button(draw: &mut Draw, n: usize) -> Option<Vec<Step>> {
    let odd = any_class(draw);
    let other = (odd + draw.random.usize(1..classes(draw))) % classes(draw);
    let mut steps = vec![more(draw, n.saturating_sub(1).max(1))];
    let mut last = vec![more_of(draw, odd, 1)];
    for burst in bursts(&mut last) {
        (burst.label, burst.wrong, burst.known_as) = (other, true, None);
    }
    steps.append(&mut last);
    (bursts(&mut steps[1..]).count() == 1).then_some(steps)
}

fn swapped(draw: &mut Draw, n: usize) -> Option<Vec<Step>> {
    let odd = any_class(draw);
    let other = (odd + draw.random.usize(1..classes(draw))) % classes(draw);
    let mut steps = vec![more(draw, n.div_ceil(2)), more(draw, n - n.div_ceil(2))];
    for burst in bursts(&mut steps[1..]).filter(|burst| burst.label == odd || burst.label == other) {
        burst.label = if burst.label == odd { other } else { odd };
        (burst.wrong, burst.known_as) = (true, None);
    }
    Some(steps)
}

fn one_burst_class(draw: &mut Draw, n: usize) -> Option<Vec<Step>> {
    let odd = any_class(draw);
    let mut step = Step::new();
    for class in 0..classes(draw) {
        step.extend(more_of(draw, class, if class == odd { 1 } else { n }));
    }
    Some(vec![step])
}

fn other_light(draw: &mut Draw, n: usize) -> Option<Vec<Step>> {
    let set = draw.set;
    if set.dark {
        let mut steps = vec![more(draw, n.div_ceil(2))];
        for _ in 0..(n - n.div_ceil(2)).max(1) {
            let mut dark = vec![more(draw, 1)];
            for burst in bursts(&mut dark) {
                burst.rows.iter_mut().for_each(|row| *row = set.in_the_dark(*row).unwrap_or(*row));
            }
            steps.append(&mut dark);
        }
        return Some(steps);
    }
    // The second half of a day: one burst of each class is shown, the others judge.
    set.rate?;
    let later = draw.first_half_only();
    if !draw.gives(1, 2) || later.iter().any(|later| later.len() < 2) {
        return None;
    }
    let steps = [more(draw, n), Step::new()];
    let mut later: Vec<_> = later.into_iter().filter_map(|mut later| later.pop()).collect();
    later.iter().for_each(|shown| draw.show(shown));
    let dark = later.drain(..).map(|shown| Act::Teach(Burst::of(set, shown))).collect();
    Some(vec![steps.concat(), dark])
}

fn class_late(draw: &mut Draw, n: usize) -> Option<Vec<Step>> {
    if classes(draw) < 3 {
        return None;
    }
    let odd = any_class(draw);
    let mut first = Step::new();
    for class in (0..classes(draw)).filter(|class| *class != odd) {
        first.extend(more_of(draw, class, n));
    }
    let mut steps = vec![first];
    for _ in 0..n.min(3) {
        steps.push(more_of(draw, odd, 1));
    }
    Some(steps)
}

/// A good head, the change, and one more burst of each class.
fn after_change(draw: &mut Draw, n: usize, change: fn(usize) -> Act) -> Option<Vec<Step>> {
    let odd = any_class(draw);
    let act = change(odd);
    if act == Act::Remove(odd) && classes(draw) < 3 {
        return None;
    }
    let before = more(draw, n.saturating_sub(1).max(1));
    let mut after = more(draw, 1);
    if act == Act::Remove(odd) {
        after.retain(|act| !matches!(act, Act::Teach(burst) if burst.label == odd));
    }
    Some(vec![before, vec![act], after])
}

/// Stream: a frame gets the class of what was seen a second before it.
fn labels_late(draw: &mut Draw, n: usize) -> Option<Vec<Step>> {
    let set = draw.set;
    let late = set.rate?.round() as usize;
    let mut steps = steady(draw, n)?;
    for burst in bursts(&mut steps) {
        let last = set.pictures.len() - 1;
        burst.rows.iter_mut().for_each(|row| *row = (*row + late).min(last));
        burst.rows.dedup();
    }
    Some(steps)
}

fn ungrouped(draw: &mut Draw, n: usize) -> Option<Vec<Step>> {
    let mut steps = vec![more(draw, n)];
    let mut pictures: Vec<(usize, usize)> = bursts(&mut steps)
        .flat_map(|burst| burst.rows.iter().map(|row| (*row, burst.label)).collect::<Vec<_>>())
        .collect();
    pictures.sort_unstable();
    Some(vec![vec![Act::Import(pictures)]])
}

fn copies(draw: &mut Draw, n: usize) -> Option<Vec<Step>> {
    let odd = any_class(draw);
    let first = more(draw, n.saturating_sub(1).max(1));
    let once = more_of(draw, odd, 1);
    (!once.is_empty()).then(|| vec![first, once.clone(), std::iter::repeat_n(once, 4).flatten().collect()])
}
