//! A snapshot made ready for the solvers: bursts in order, classes balanced, embeddings centred and scaled.

use std::ops::Range;

use super::snapshot::{LearnError, Snapshot};

/// Numbers of centred f32 embeddings that are kept between passes, twice (row by row and turned), 64 MiB in all;
/// past it rows are converted from f16 each time.
const CACHED: usize = 8 << 20;

/// What every solver of a round works on.
///
/// Samples are in *problem order*: by fold, then group, then snapshot order, so that folds and groups are ranges.
/// Classes are *compact*: only those with samples, in the order of the class list.
pub(crate) struct Problem<'a> {
    snapshot: &'a Snapshot,
    /// Problem order → row of the snapshot.
    pub order: Vec<usize>,
    /// Compact class → class of the list.
    pub present: Vec<usize>,
    /// Compact label per sample.
    pub labels: Vec<usize>,
    /// Weight per sample, `n / (classes · samples of its class)`; the mean is 1.
    pub weights: Vec<f64>,
    /// Units of leave-one-burst-out.
    pub groups: Vec<Range<usize>>,
    /// Folds of whole groups; none is empty.
    pub folds: Vec<Range<usize>>,
    /// Bursts of the snapshot (not split): the number of independent observations.
    pub bursts: usize,
    /// Weighted mean embedding, `[width]`.
    pub centre: Vec<f32>,
    /// One factor for all embeddings: their weighted mean square norm about the centre becomes 1.
    pub scale: f32,
    cache: Option<Cache>,
}

/// All centred, scaled embeddings in both layouts.
struct Cache {
    /// `[n, width]`.
    rows: Vec<f32>,
    /// `[width, n]`.
    turned: Vec<f32>,
}

/// A block of centred, scaled embeddings in both layouts: a product packs whichever it reads in order.
pub(crate) struct Block<'b> {
    /// Samples, in problem order.
    pub range: Range<usize>,
    /// `[range, width]`.
    pub rows: &'b [f32],
    /// `[width, range]`, rows `stride` apart.
    pub turned: &'b [f32],
    pub stride: usize,
}

impl<'a> Problem<'a> {
    /// # Errors
    /// As [`Snapshot::check`], and [`LearnError::NotEnough`] when fewer than two classes have samples.
    pub(crate) fn new(snapshot: &'a Snapshot, folds: usize, seed: u64) -> Result<Self, LearnError> {
        snapshot.check()?;
        let counts = snapshot.class_samples();
        let present: Vec<usize> = (0..snapshot.classes).filter(|&class| counts[class] > 0).collect();
        if present.len() < 2 {
            return Err(LearnError::NotEnough { samples: snapshot.len(), classes: present.len() });
        }
        let split = split(snapshot, folds, seed);
        let mut order: Vec<usize> = (0..snapshot.len()).collect();
        order.sort_by_key(|&i| (split.fold[split.group[i]], split.group[i], i));
        let labels: Vec<usize> = order
            .iter()
            .map(|&i| present.binary_search(&(snapshot.labels[i] as usize)).unwrap_or_default())
            .collect();
        let weights: Vec<f64> = order
            .iter()
            .map(|&i| {
                let count = counts[snapshot.labels[i] as usize];
                snapshot.len() as f64 / (present.len() as f64 * count as f64)
            })
            .collect();
        let groups = runs(order.iter().map(|&i| split.group[i]));
        let folds = runs(order.iter().map(|&i| split.fold[split.group[i]]));
        let mut problem = Self {
            snapshot,
            order,
            present,
            labels,
            weights,
            groups,
            folds,
            bursts: distinct(&snapshot.bursts),
            centre: vec![0.0; snapshot.width],
            scale: 1.0,
            cache: None,
        };
        problem.standardise();
        Ok(problem)
    }

    /// Samples.
    pub(crate) fn len(&self) -> usize {
        self.order.len()
    }

    /// Embedding width.
    pub(crate) fn width(&self) -> usize {
        self.snapshot.width
    }

    /// Classes that have samples.
    pub(crate) fn classes(&self) -> usize {
        self.present.len()
    }

    /// Centred, scaled embeddings of a range of problem order into `out [range, width]`.
    pub(crate) fn rows(&self, range: Range<usize>, out: &mut [f32]) {
        let width = self.width();
        if let Some(cache) = &self.cache {
            out.copy_from_slice(&cache.rows[range.start * width..range.end * width]);
            return;
        }
        for (row, out) in range.zip(out.chunks_exact_mut(width)) {
            self.snapshot.row_f32(self.order[row], out);
            for (value, centre) in out.iter_mut().zip(&self.centre) {
                *value = (*value - centre) * self.scale;
            }
        }
    }

    /// Calls `visit` with every sample, in blocks of at most `block`.
    pub(crate) fn blocks(&self, block: usize, mut visit: impl FnMut(Block)) {
        let (n, width) = (self.len(), self.width());
        let size = if self.cache.is_some() { 0 } else { block.min(n) * width };
        let (mut rows, mut turned) = (vec![0.0; size], vec![0.0; size]);
        for start in (0..n).step_by(block) {
            let range = start..(start + block).min(n);
            match &self.cache {
                Some(cache) => visit(Block {
                    rows: &cache.rows[start * width..range.end * width],
                    turned: &cache.turned[start..],
                    stride: n,
                    range,
                }),
                None => {
                    let rows = &mut rows[..range.len() * width];
                    self.rows(range.clone(), rows);
                    turn(rows, width, &mut turned);
                    visit(Block { rows, turned: &turned, stride: range.len(), range });
                }
            }
        }
    }

    fn standardise(&mut self) {
        let width = self.width();
        let mut row = vec![0.0f32; width];
        let mut mean = vec![0.0f64; width];
        for (&i, &weight) in self.order.iter().zip(&self.weights) {
            self.snapshot.row_f32(i, &mut row);
            for (mean, &value) in mean.iter_mut().zip(&row) {
                *mean += weight * f64::from(value);
            }
        }
        let total: f64 = self.weights.iter().sum();
        self.centre = mean.iter().map(|&sum| (sum / total) as f32).collect();
        let mut square = 0.0;
        for (&i, &weight) in self.order.iter().zip(&self.weights) {
            self.snapshot.row_f32(i, &mut row);
            let norm: f64 = row.iter().zip(&self.centre).map(|(&v, &c)| f64::from(v - c).powi(2)).sum();
            square += weight * norm;
        }
        let scale = (total / square).sqrt();
        // Identical embeddings have nothing to scale; rounding dust of the centre must not be blown up either.
        let size: f64 = self.centre.iter().map(|&c| f64::from(c).powi(2)).sum();
        if scale.is_finite() && square / total > 1e-13 * size {
            self.scale = scale as f32;
        }
        if self.len().saturating_mul(width) <= CACHED {
            let mut rows = vec![0.0; self.len() * width];
            self.rows(0..self.len(), &mut rows);
            let mut turned = vec![0.0; rows.len()];
            turn(&rows, width, &mut turned);
            self.cache = Some(Cache { rows, turned });
        }
    }
}

/// Transposes `rows [n, width]` into the front of `out`, in tiles that stay in the cache.
fn turn(rows: &[f32], width: usize, out: &mut [f32]) {
    const TILE: usize = 16;
    let n = rows.len() / width;
    for first in (0..n).step_by(TILE) {
        for column in (0..width).step_by(TILE) {
            for row in first..(first + TILE).min(n) {
                for at in column..(column + TILE).min(width) {
                    out[at * n + row] = rows[row * width + at];
                }
            }
        }
    }
}

/// Which group each sample is in, and which fold each group is in.
struct Split {
    group: Vec<usize>,
    fold: Vec<usize>,
}

/// A group is a burst. Where a class has all its samples in one burst, leaving that burst out would leave a head
/// that does not know the class and say nothing about it; its samples are then split into an earlier and a later
/// half, the most distant parts the burst has. This is optimistic, and visible: the class is reported with one burst.
fn split(snapshot: &Snapshot, folds: usize, seed: u64) -> Split {
    let n = snapshot.len();
    let mut of_class: Vec<Vec<usize>> = vec![Vec::new(); snapshot.classes];
    for (i, &label) in snapshot.labels.iter().enumerate() {
        of_class[label as usize].push(i);
    }
    let mut keys: Vec<(u64, u64)> = snapshot.bursts.iter().map(|&burst| (burst, 0)).collect();
    for (class, samples) in of_class.iter().enumerate() {
        let lone =
            samples.len() > 1 && samples.iter().all(|&i| snapshot.bursts[i] == snapshot.bursts[samples[0]]);
        if lone {
            for (at, &i) in samples.iter().enumerate() {
                keys[i].1 = 1 + 2 * class as u64 + u64::from(2 * at >= samples.len());
            }
        }
    }
    let mut distinct = keys.clone();
    distinct.sort_unstable();
    distinct.dedup();
    let group: Vec<usize> = (0..n).map(|i| distinct.binary_search(&keys[i]).unwrap_or_default()).collect();
    let folds = folds.clamp(2, 64) as u64;
    let hashes: Vec<u64> = distinct.iter().map(|&(burst, part)| mix(burst ^ mix(part ^ mix(seed)))).collect();
    let mut fold: Vec<usize> = hashes.iter().map(|hash| (hash % folds) as usize).collect();
    // No fold may hold every group of a class: the group with the largest hash moves on to the next fold. A burst of
    // several classes can be moved more than once; the rounds are bounded, a class left whole is merely unseen there.
    for _ in 0..4 {
        let mut moved = false;
        for samples in &of_class {
            let mut groups: Vec<usize> = samples.iter().map(|&i| group[i]).collect();
            groups.sort_unstable();
            groups.dedup();
            if groups.len() < 2 || groups.iter().any(|&g| fold[g] != fold[groups[0]]) {
                continue;
            }
            if let Some(&last) = groups.iter().max_by_key(|&&g| (hashes[g], g)) {
                fold[last] = (fold[last] + 1) % folds as usize;
                moved = true;
            }
        }
        if !moved {
            break;
        }
    }
    Split { group, fold }
}

/// How many different values there are.
fn distinct(values: &[u64]) -> usize {
    let mut values = values.to_vec();
    values.sort_unstable();
    values.dedup();
    values.len()
}

/// Ranges of equal neighbours.
fn runs(keys: impl Iterator<Item = usize>) -> Vec<Range<usize>> {
    let mut out: Vec<Range<usize>> = Vec::new();
    let mut last = None;
    for (at, key) in keys.enumerate() {
        match out.last_mut() {
            Some(range) if last == Some(key) => range.end = at + 1,
            _ => out.push(at..at + 1),
        }
        last = Some(key);
    }
    out
}

/// The finaliser of splitmix64: a fixed, well-mixed hash that never changes between versions.
pub(crate) fn mix(value: u64) -> u64 {
    let mut z = value.wrapping_add(0x9e37_79b9_7f4a_7c15);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}
