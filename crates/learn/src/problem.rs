//! A snapshot made ready for the solvers: bursts in order, classes balanced, embeddings centred and scaled.

use std::ops::Range;

use super::cancel::Proceed;
use super::matmul::fused::{Rows, add_scaled, dot, widen};
use super::objective::Samples;
use super::snapshot::{LearnError, Snapshot};
use graft_simd::Isa;

/// What every solver of a round works on.
///
/// Samples are in *problem order*: by fold, then group, then snapshot order, so that folds and groups are ranges.
/// Classes are *compact*: only those with samples, in the order of the class list.
pub(crate) struct Problem<'a> {
    rows: Rows<'a>,
    width: usize,
    /// Problem order → row of the snapshot.
    pub order: Vec<u32>,
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
    /// The burst of each row of the snapshot.
    of_row: &'a [u64],
    /// Bursts of the snapshot (not split): the number of independent observations.
    pub bursts: usize,
    /// Weighted mean embedding, `[width]`.
    pub centre: Vec<f32>,
    /// One factor for all embeddings: their weighted mean square norm about the centre becomes 1.
    pub scale: f32,
}

impl<'a> Problem<'a> {
    /// # Errors
    /// As [`Snapshot::check`], and [`LearnError::NotEnough`] when fewer than two classes have samples.
    pub(crate) fn new(
        snapshot: &'a Snapshot,
        folds: usize,
        seed: u64,
        proceed: Proceed,
    ) -> Result<Self, LearnError> {
        snapshot.check()?;
        let counts = snapshot.class_samples();
        let present: Vec<usize> = (0..snapshot.classes).filter(|&class| counts[class] > 0).collect();
        if present.len() < 2 {
            return Err(LearnError::NotEnough { samples: snapshot.len(), classes: present.len() });
        }
        let split = split(snapshot, folds, seed);
        let mut order: Vec<u32> = (0..snapshot.len() as u32).collect();
        let group = |i: u32| split.group[i as usize];
        order.sort_by_key(|&i| (split.fold[group(i)], group(i), i));
        let labels: Vec<usize> = order
            .iter()
            .map(|&i| present.binary_search(&(snapshot.labels[i as usize] as usize)).unwrap_or_default())
            .collect();
        let weights: Vec<f64> = order
            .iter()
            .map(|&i| {
                let count = counts[snapshot.labels[i as usize] as usize];
                snapshot.len() as f64 / (present.len() as f64 * count as f64)
            })
            .collect();
        let groups = runs(order.iter().map(|&i| group(i)));
        let folds = runs(order.iter().map(|&i| split.fold[group(i)]));
        let mut problem = Self {
            rows: Rows::Half(&snapshot.embeddings),
            width: snapshot.width,
            order,
            present,
            labels,
            weights,
            groups,
            folds,
            of_row: &snapshot.bursts,
            bursts: distinct(&snapshot.bursts),
            centre: vec![0.0; snapshot.width],
            scale: 1.0,
        };
        let (centre, square) = centre(snapshot, &problem.order, &problem.weights, proceed)?;
        let size: f64 = centre.iter().map(|&c| f64::from(c).powi(2)).sum();
        let scale = (1.0 / square).sqrt() as f32;
        // Identical embeddings have nothing to scale; rounding dust of the centre must not be blown up either.
        if scale.is_finite() && square > 1e-13 * size {
            problem.scale = scale;
        }
        problem.centre = centre;
        Ok(problem)
    }

    /// The same centre and scale with some of the samples only, classes balanced anew; without groups and folds.
    pub(crate) fn only(&self, kept: &[usize]) -> Self {
        let labels: Vec<usize> = kept.iter().map(|&i| self.labels[i]).collect();
        let mut counts = vec![0usize; self.classes()];
        labels.iter().for_each(|&label| counts[label] += 1);
        let known = counts.iter().filter(|&&count| count > 0).count();
        Self {
            rows: self.rows,
            width: self.width,
            order: kept.iter().map(|&i| self.order[i]).collect(),
            present: self.present.clone(),
            weights: labels.iter().map(|&label| kept.len() as f64 / (known * counts[label]) as f64).collect(),
            labels,
            groups: Vec::new(),
            folds: Vec::new(),
            of_row: self.of_row,
            bursts: self.bursts,
            centre: self.centre.clone(),
            scale: self.scale,
        }
    }

    /// The same samples by other numbers, `[n, width]` in problem order, which are centred and scaled already.
    pub(crate) fn by<'b>(&self, rows: Rows<'b>, width: usize) -> Problem<'b> {
        Problem {
            rows,
            width,
            order: (0..self.len() as u32).collect(),
            present: self.present.clone(),
            labels: self.labels.clone(),
            weights: self.weights.clone(),
            groups: self.groups.clone(),
            folds: self.folds.clone(),
            of_row: &[],
            bursts: self.bursts,
            centre: vec![0.0; width],
            scale: 1.0,
        }
    }

    /// The burst of a row of the snapshot.
    pub(crate) fn burst(&self, row: u32) -> u64 {
        self.of_row.get(row as usize).copied().unwrap_or_default()
    }

    /// Part of the snapshot that is left without a fold, by weight, in the mean over the folds.
    pub(crate) fn part(&self) -> f64 {
        1.0 - 1.0 / self.folds.len().max(2) as f64
    }

    /// Samples.
    pub(crate) fn len(&self) -> usize {
        self.order.len()
    }

    /// Embedding width.
    pub(crate) fn width(&self) -> usize {
        self.width
    }

    /// Classes that have samples.
    pub(crate) fn classes(&self) -> usize {
        self.present.len()
    }

    /// Centred, scaled embeddings of a range of problem order into `out [range, width]`.
    pub(crate) fn rows(&self, range: Range<usize>, out: &mut [f32]) {
        self.samples().centred(range, out);
    }

    /// What softmax fits.
    pub(crate) fn samples(&self) -> Samples<'_> {
        Samples {
            rows: self.rows,
            width: self.width,
            order: &self.order,
            labels: &self.labels,
            weights: &self.weights,
            classes: self.classes(),
            centre: &self.centre,
            scale: self.scale,
        }
    }
}

/// The weighted mean embedding `[width]` of some rows, and their weighted mean square distance to it.
pub(crate) fn centre(
    snapshot: &Snapshot,
    order: &[u32],
    weights: &[f64],
    proceed: Proceed,
) -> Result<(Vec<f32>, f64), LearnError> {
    /// Rows whose sum is still exact enough in f32.
    const ROWS: usize = 256;
    let width = snapshot.width;
    let isa = Isa::detect();
    let total: f64 = weights.iter().sum();
    let (mut row, mut sum) = (vec![0.0f32; width], vec![0.0f32; width]);
    let mut mean = vec![0.0f64; width];
    for (order, weights) in order.chunks(ROWS).zip(weights.chunks(ROWS)) {
        proceed()?;
        sum.fill(0.0);
        for (&i, &weight) in order.iter().zip(weights) {
            widen(isa, snapshot.row(i as usize), &mut row);
            add_scaled(isa, &mut sum, weight as f32, &row);
        }
        mean.iter_mut().zip(&sum).for_each(|(mean, &sum)| *mean += f64::from(sum));
    }
    let mean: Vec<f32> = mean.iter().map(|&sum| (sum / total) as f32).collect();
    let mut square = 0.0;
    for (order, weights) in order.chunks(ROWS).zip(weights.chunks(ROWS)) {
        proceed()?;
        for (&i, &weight) in order.iter().zip(weights) {
            widen(isa, snapshot.row(i as usize), &mut row);
            add_scaled(isa, &mut row, -1.0, &mean);
            square += weight * f64::from(dot(isa, &row, &row));
        }
    }
    Ok((mean, square / total))
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
    let folds = folds.clamp(2, 64);
    let mut classes: Vec<Vec<usize>> = vec![Vec::new(); distinct.len()];
    for (i, &label) in snapshot.labels.iter().enumerate() {
        let of_group = &mut classes[group[i]];
        if !of_group.contains(&(label as usize)) {
            of_group.push(label as usize);
        }
    }
    Split { fold: deal(&classes, snapshot.classes, folds, seed), group }
}

/// Deals groups, each with its classes, to folds so that every fold holds about as many groups of each class: what is
/// trained without a fold is then balanced as the whole is, and its figures are those of a smaller set of the same kind.
/// Groups are dealt in the order of their bursts: a new burst leaves all others where they are, but for sets with fewer
/// bursts of any class than folds, which have as many folds as that.
fn deal(groups: &[Vec<usize>], classes: usize, folds: usize, seed: u64) -> Vec<usize> {
    let mut of_class = vec![0usize; classes];
    groups.iter().flatten().for_each(|&class| of_class[class] += 1);
    let folds = of_class.iter().copied().max().unwrap_or_default().clamp(2, folds);
    let mut dealt = vec![vec![0usize; folds]; classes];
    let mut sizes = vec![0usize; folds];
    groups
        .iter()
        .map(|own| {
            // The first fold in a turn of each class, so that classes of one burst do not all lie in one fold.
            let turn = own.first().map_or(0, |&class| mix(class as u64 ^ mix(seed)) as usize % folds);
            let load = |fold: usize| own.iter().map(|&class| dealt[class][fold]).sum::<usize>();
            let fold = (0..folds)
                .map(|at| (turn + at) % folds)
                .min_by_key(|&fold| (load(fold), sizes[fold]))
                .unwrap_or_default();
            own.iter().for_each(|&class| dealt[class][fold] += 1);
            sizes[fold] += 1;
            fold
        })
        .collect()
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
