//! What was taken together, where nobody said so: by how alike pictures are that follow each other.
//!
//! Pictures of one folder mostly lie in the order in which they were taken. How much of the likeness of two neighbours is
//! left between pictures that lie `k` apart tells how long a scene, a person or a thing stayed. Pictures of one class are
//! compared without what they have in common as a class.

use half::slice::HalfFloatSliceExt;

use super::dot::dot;
use super::snapshot::Snapshot;

/// Farthest neighbours that are compared.
const FARTHEST: usize = 64;
/// Neighbours less alike than this tell nothing, nor do those that are less alike than so many standard errors.
const NOISE: f64 = 0.03;
const ERRORS: f64 = 3.0;
/// Likeness is over where so much of that of the nearest neighbours is left, or half of the noise.
const LEFT: f64 = 0.25;
/// Pictures of one class as alike as this are copies of each other, wherever they lie, if pictures of two classes hardly
/// ever are: in an embedding of few numbers, much is alike.
const COPIES: f32 = 0.7;
/// More alike than pictures of two classes by this.
const MARGIN: f32 = 0.05;
/// Pictures of one class, and of another one, that tell how alike those are.
const COMPARED: (usize, usize) = (64, 256);
/// Pictures of one class that others are compared with.
const LEADERS: usize = 512;
/// Bursts that a class should keep where it has the pictures: fewer are no evidence.
const FEW: usize = 4;

/// Why pictures were taken for one burst.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Likeness {
    /// They are not alike: each is a burst of its own.
    None,
    /// So many follow each other until nothing alike is left.
    Neighbours(usize),
    /// Copies lie in no order.
    Copies,
}

/// Groups of pictures.
#[derive(Clone, Debug, PartialEq)]
pub struct Grouping {
    /// Per sample, the first sample of its burst.
    pub first: Vec<usize>,
    /// Why.
    pub why: Likeness,
    /// Mean cosine of two neighbours of one class, −1…1, without what the class has in common.
    pub alike: f64,
}

/// Groups the samples of a snapshot, which stand in the order of their files. Samples of one burst stay together; in doubt
/// bursts are rather too large than too small. A broken snapshot gives one burst a sample.
pub fn group(snapshot: &Snapshot) -> Grouping {
    let mut grouping = Grouping { first: (0..snapshot.len()).collect(), why: Likeness::None, alike: 0.0 };
    if snapshot.check().is_err() {
        return grouping;
    }
    let classes = classes(snapshot);
    let curve = curve(snapshot, &classes);
    grouping.alike = curve.first().map_or(0.0, Mean::value);
    let length = length(&curve);
    if length > 1 {
        grouping.why = Likeness::Neighbours(length);
        classes.iter().for_each(|rows| blocks(rows, length, &mut grouping.first));
    } else {
        let least = f32::max(COPIES, across(snapshot, &classes) + MARGIN);
        for rows in classes.iter().filter(|_| least < 1.0) {
            copies(snapshot, rows, least, &mut grouping.first);
        }
        if grouping.first.iter().enumerate().any(|(at, first)| at != *first) {
            grouping.why = Likeness::Copies;
        }
    }
    join(&snapshot.bursts, &mut grouping.first);
    grouping
}

/// Rows of each class.
fn classes(snapshot: &Snapshot) -> Vec<Vec<usize>> {
    let mut classes = vec![Vec::new(); snapshot.classes];
    for (row, label) in snapshot.labels.iter().enumerate() {
        classes[*label as usize].push(row);
    }
    classes
}

/// Rows of one class as unit vectors about their mean.
struct Centred<'a> {
    snapshot: &'a Snapshot,
    mean: Vec<f32>,
}

impl<'a> Centred<'a> {
    fn new(snapshot: &'a Snapshot, rows: &[usize]) -> Self {
        let mut sum = vec![0.0f64; snapshot.width];
        for row in rows {
            sum.iter_mut().zip(snapshot.row(*row)).for_each(|(sum, value)| *sum += f64::from(value.to_f32()));
        }
        let count = rows.len().max(1) as f64;
        Self { snapshot, mean: sum.iter().map(|sum| (sum / count) as f32).collect() }
    }

    /// One row; zero where it is the mean itself.
    fn row(&self, row: usize) -> Vec<f32> {
        let mut out = vec![0.0f32; self.snapshot.width];
        self.snapshot.row(row).convert_to_f32_slice(&mut out);
        out.iter_mut().zip(&self.mean).for_each(|(value, mean)| *value -= mean);
        let norm = out.iter().map(|value| f64::from(*value) * f64::from(*value)).sum::<f64>().sqrt();
        let scale = if norm > 0.0 { (1.0 / norm) as f32 } else { 0.0 };
        out.iter_mut().for_each(|value| *value *= scale);
        out
    }
}

/// A mean that knows its error.
#[derive(Clone, Copy, Default)]
struct Mean {
    count: f64,
    sum: f64,
    squares: f64,
}

impl Mean {
    fn add(&mut self, value: f64) {
        self.count += 1.0;
        self.sum += value;
        self.squares += value * value;
    }

    fn value(&self) -> f64 {
        self.sum / self.count.max(1.0)
    }

    fn error(&self) -> f64 {
        let spread = (self.squares / self.count.max(1.0) - self.value() * self.value()).max(0.0);
        (spread / (self.count - 1.0).max(1.0)).sqrt()
    }
}

/// Mean cosine between rows of one class that lie 1, 2, … apart.
fn curve(snapshot: &Snapshot, classes: &[Vec<usize>]) -> Vec<Mean> {
    let mut sums = vec![Mean::default(); FARTHEST];
    for rows in classes.iter().filter(|rows| rows.len() > 2) {
        let centred = Centred::new(snapshot, rows);
        let mut before: Vec<Vec<f32>> = Vec::new();
        for (at, row) in rows.iter().enumerate() {
            let this = centred.row(*row);
            for (back, mean) in sums.iter_mut().take(at).enumerate() {
                mean.add(f64::from(dot(&this, &before[(at - 1 - back) % FARTHEST])));
            }
            match before.get_mut(at % FARTHEST) {
                Some(place) => *place = this,
                None => before.push(this),
            }
        }
    }
    sums.retain(|mean| mean.count > 0.0);
    sums
}

/// How many pictures follow each other until nothing alike is left; 1: they never are.
fn length(curve: &[Mean]) -> usize {
    match curve.first() {
        // Of few pairs an error is not known either.
        Some(next) if next.count > 3.0 && next.value() > f64::max(NOISE, ERRORS * next.error()) => {
            let over = f64::max(LEFT * next.value(), NOISE / 2.0);
            1 + curve.iter().take_while(|alike| alike.value() > over).count()
        }
        _ => 1,
    }
}

/// Cuts the rows of a class into runs. Two that touch share what lies at their border, so that they are made twice as long
/// as the likeness lasts, where enough of them are left.
fn blocks(rows: &[usize], length: usize, first: &mut [usize]) {
    let long = (2 * length).min(rows.len() / FEW).max(length);
    for block in rows.chunks(long) {
        block.iter().for_each(|row| first[*row] = block[0]);
    }
}

/// How alike a picture and the nearest one of another class are, at most, but for one in twenty.
fn across(snapshot: &Snapshot, classes: &[Vec<usize>]) -> f32 {
    let full: Vec<&Vec<usize>> = classes.iter().filter(|rows| rows.len() > 2).collect();
    let some = |rows: &[usize], most: usize| -> Vec<Vec<f32>> {
        let centred = Centred::new(snapshot, rows);
        rows.iter().step_by(rows.len().div_ceil(most)).map(|row| centred.row(*row)).collect()
    };
    let mut nearest = Vec::new();
    for (at, rows) in full.iter().enumerate().filter(|_| full.len() > 1) {
        let others = some(full[(at + 1) % full.len()], COMPARED.1);
        let best = |this: Vec<f32>| others.iter().map(|other| dot(&this, other)).fold(-1.0, f32::max);
        nearest.extend(some(rows, COMPARED.0).into_iter().map(best));
    }
    nearest.sort_by(f32::total_cmp);
    nearest.get(nearest.len() * 19 / 20).copied().unwrap_or(-1.0)
}

/// Joins copies of one class, which may lie anywhere.
fn copies(snapshot: &Snapshot, rows: &[usize], least: f32, first: &mut [usize]) {
    if rows.len() < 3 {
        return;
    }
    let centred = Centred::new(snapshot, rows);
    let mut leaders: Vec<(usize, Vec<f32>)> = Vec::new();
    for row in rows {
        let this = centred.row(*row);
        let alike = leaders.iter().map(|(leader, values)| (dot(&this, values), *leader));
        match alike.max_by(|a, b| a.0.total_cmp(&b.0)).filter(|(alike, _)| *alike > least) {
            Some((_, leader)) => first[*row] = leader,
            None if leaders.len() < LEADERS => leaders.push((*row, this)),
            None => {}
        }
    }
}

/// Joins the groups of samples that are of one burst.
fn join(bursts: &[u64], first: &mut [usize]) {
    let mut of_burst = std::collections::BTreeMap::new();
    let mut to: Vec<usize> = (0..first.len()).collect();
    let find = |to: &[usize], mut at: usize| {
        while to[at] != at {
            at = to[at];
        }
        at
    };
    for (row, burst) in bursts.iter().enumerate() {
        let own = find(&to, first[row]);
        let other = find(&to, *of_burst.entry(*burst).or_insert(own));
        to[own.max(other)] = own.min(other);
    }
    first.iter_mut().for_each(|first| *first = find(&to, *first));
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Classes far from each other; every `stay` pictures of a class another scene, which differ by `apart`.
    fn pictures(count: usize, stay: usize, apart: f32, shuffled: bool) -> Snapshot {
        let mut random = fastrand::Rng::with_seed(5);
        let width = 48;
        let mut normal = move || (0..4).map(|_| random.f32() - 0.5).sum::<f32>();
        let mut rows = Vec::new();
        for class in 0..2u32 {
            let mut scene = Vec::new();
            for at in 0..count {
                if at % stay == 0 {
                    scene = (0..width).map(|_| apart * normal()).collect();
                }
                let row: Vec<f32> = scene.iter().map(|v| v + normal() + 9.0 * class as f32).collect();
                rows.push((row, class, (class as usize * count + at) as u64));
            }
        }
        if shuffled {
            fastrand::Rng::with_seed(6).shuffle(&mut rows);
        }
        let mut snapshot = Snapshot::new(width, 2);
        rows.iter().for_each(|(row, class, burst)| snapshot.push(row, *class, *burst).unwrap());
        snapshot
    }

    fn groups(grouping: &Grouping) -> usize {
        grouping.first.iter().enumerate().filter(|(at, first)| at == *first).count()
    }

    #[test]
    fn pictures_of_nothing_in_common_are_bursts_of_their_own() {
        let found = group(&pictures(200, 1, 1.0, false));
        assert_eq!((groups(&found), found.why), (400, Likeness::None));
        assert!(found.alike.abs() < NOISE, "{}", found.alike);
        assert_eq!(group(&Snapshot::new(3, 2)).first, [] as [usize; 0]);
    }

    #[test]
    fn scenes_that_stay_are_told_by_their_length() {
        for (stay, apart) in [(6, 1.0), (12, 2.0), (12, 0.5)] {
            let found = group(&pictures(240, stay, apart, false));
            let Likeness::Neighbours(length) = found.why else { panic!("{found:?}") };
            assert!(length >= stay / 2 && length <= 2 * stay, "{length} of {stay}");
            assert!(groups(&found) >= 2 * FEW && groups(&found) <= 480 / length, "{}", groups(&found));
            // Each burst is of one class.
            assert!(found.first.iter().enumerate().all(|(at, first)| at / 240 == first / 240));
        }
    }

    #[test]
    fn copies_in_no_order_are_found_one_by_one() {
        let found = group(&pictures(100, 10, 4.0, true));
        assert_eq!((groups(&found), found.why), (20, Likeness::Copies));
    }

    #[test]
    fn much_is_alike_in_few_numbers_and_no_copy_for_that() {
        let mut random = fastrand::Rng::with_seed(3);
        let mut snapshot = Snapshot::new(3, 2);
        for at in 0..80u64 {
            let row: Vec<f32> = (0..3).map(|_| random.f32()).collect();
            snapshot.push(&row, (at % 2) as u32, at).unwrap();
        }
        assert_eq!((groups(&group(&snapshot)), group(&snapshot).why), (80, Likeness::None));
    }

    #[test]
    fn samples_of_one_burst_stay_together() {
        let mut snapshot = pictures(50, 1, 1.0, false);
        snapshot.bursts[70] = snapshot.bursts[3];
        let found = group(&snapshot);
        assert_eq!((found.first[70], found.first[3], groups(&found)), (3, 3, 99));
    }
}
