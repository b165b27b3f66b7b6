//! The softmax objective and its gradient, for several problems (the folds of one λ) in one pass over the embeddings.
//!
//! `f(W, b) = Σ w·(logsumexp(z) − z_y) / Σ w + ½·λ‖W‖²`, `z = W·a + b`, the bias not penalised; two classes have one
//! column, `z` being the log-odds of the second. The embeddings stay as they are stored: centring and scaling are
//! done on the weights (`W·s·(x − µ) = sW·x − sW·µ`) and on the gradient, so nothing of `[n, width]` is ever written.

use std::ops::Range;
use std::sync::Mutex;

use super::cancel::Proceed;
use super::matmul::fused::{BLOCK, Columns, Rows, pass, stride, widen};
use super::snapshot::LearnError;
use super::workers::Workers;
use graft_simd::Isa;

/// Multiplications of one piece of work: small enough that a round can be cancelled between any two, also on a board.
const PIECE: usize = 10_000_000;
/// Size of the constant feature behind the bias. Embeddings have a mean square norm of 1, so that a feature of size 1
/// would be the stiffest direction of all: with it L-BFGS took about twice the passes.
pub(crate) const BIAS: f64 = 0.2;

/// What is fitted.
#[derive(Clone, Copy)]
pub(crate) struct Samples<'a> {
    /// Embeddings as stored.
    pub rows: Rows<'a>,
    pub width: usize,
    /// Row of each sample.
    pub order: &'a [u32],
    /// Class of each sample, below `classes`.
    pub labels: &'a [usize],
    /// Weight of each sample.
    pub weights: &'a [f64],
    pub classes: usize,
    /// Subtracted from every embedding, `[width]`.
    pub centre: &'a [f32],
    /// Multiplies it then.
    pub scale: f32,
}

impl Samples<'_> {
    /// Columns of a head: one for two classes, else one a class.
    pub(crate) fn columns(&self) -> usize {
        columns(self.classes)
    }

    /// Centred, scaled embeddings of a range into `out [range, width]`.
    pub(crate) fn centred(&self, range: Range<usize>, out: &mut [f32]) {
        let isa = Isa::detect();
        for (&row, out) in self.order[range].iter().zip(out.chunks_exact_mut(self.width)) {
            let row = row as usize;
            match self.rows {
                Rows::Half(rows) => widen(isa, &rows[row * self.width..(row + 1) * self.width], out),
                Rows::Single(rows) => out.copy_from_slice(&rows[row * stride(self.width)..][..self.width]),
            }
            for (value, centre) in out.iter_mut().zip(self.centre) {
                *value = (*value - centre) * self.scale;
            }
        }
    }

    /// What the centre adds to the score of a column.
    pub(crate) fn shift(&self, column: &[f32]) -> f64 {
        column.iter().zip(self.centre).map(|(&w, &c)| f64::from(w) * f64::from(c)).sum()
    }
}

/// What a problem's own centre adds to the score of a column in units of the centred, scaled embeddings.
pub(crate) fn offset_of(column: &[f64], centre: &[f32]) -> f64 {
    column.iter().zip(centre).map(|(&w, &c)| w * f64::from(c)).sum()
}

/// Columns of a softmax over this many classes.
pub(crate) fn columns(classes: usize) -> usize {
    if classes == 2 { 1 } else { classes }
}

/// Where one problem is evaluated.
#[derive(Clone, Copy)]
pub(crate) struct Point<'p> {
    /// `[columns, width]` weights, then `[columns]` biases in units of [`BIAS`].
    pub x: &'p [f64],
    /// Samples that this problem does not see.
    pub held_out: &'p Range<usize>,
    /// The weighted mean of the centred, scaled embeddings that it sees, `[width]`; empty: zero. The weights apply to
    /// what is left without it. The centre of the whole snapshot tells where the held-out samples lie, and a solver
    /// that starts from zero takes up that hint before the bias has moved.
    pub centre: &'p [f32],
}

/// Sums over the samples at one point.
pub(crate) struct Sums {
    pub loss: f64,
    /// `Σ w·(1 − Σ p²)` over the classes, which is the trace of a sample's curvature.
    pub bend: f64,
    /// As [`Point::x`].
    pub gradient: Vec<f64>,
}

/// What one piece of work found.
struct Part {
    gradient: Columns,
    scores: Vec<f32>,
    losses: Vec<f64>,
    bends: Vec<f64>,
    bias: Vec<f64>,
}

/// Loss and gradient of several problems, without penalty; `proceed` is asked between pieces of work. The result does
/// not depend on the number of workers: pieces are cut by the sizes alone and summed in order.
pub(crate) fn evaluate(
    samples: &Samples,
    points: &[Point],
    workers: &dyn Workers,
    proceed: Proceed,
) -> Result<Vec<Sums>, LearnError> {
    let (width, own) = (samples.width, samples.columns());
    let columns = own * points.len();
    let isa = Isa::detect();
    let mut weights = Columns::zero(columns, width);
    let mut offsets = vec![0.0f32; columns];
    for (at, offset) in offsets.iter_mut().enumerate() {
        let (x, column) = (points[at / own].x, at % own);
        let to = weights.column_mut(at);
        for (to, &from) in to.iter_mut().zip(&x[column * width..(column + 1) * width]) {
            *to = from as f32 * samples.scale;
        }
        let own_centre = offset_of(&x[column * width..(column + 1) * width], points[at / own].centre);
        *offset = (BIAS * x[own * width + column] - samples.shift(to) - own_centre) as f32;
    }
    let n = samples.order.len();
    let piece = (PIECE / (width * columns).max(1)).clamp(BLOCK, n.max(BLOCK));
    let pieces = n.div_ceil(piece);
    let slots: Vec<Mutex<Part>> = (0..workers.count().clamp(1, pieces.max(1)))
        .map(|_| {
            Mutex::new(Part {
                gradient: Columns::zero(columns, width),
                scores: Vec::new(),
                losses: vec![0.0; points.len()],
                bias: vec![0.0; columns],
                bends: vec![0.0; points.len()],
            })
        })
        .collect();
    let mut losses = vec![0.0f64; points.len()];
    let mut bends = vec![0.0f64; points.len()];
    let mut bias = vec![0.0f64; columns];
    let mut gradient = vec![0.0f64; columns * width];
    let mut first = 0;
    while first < pieces {
        proceed()?;
        let wave = slots.len().min(pieces - first);
        let range = |slot: usize| (first + slot) * piece..((first + slot + 1) * piece).min(n);
        workers.each(wave, &|slot| {
            let mut part = slots[slot].lock().unwrap_or_else(|broken| broken.into_inner());
            part.run(isa, samples, range(slot), &weights, &offsets, points);
        });
        for slot in &slots[..wave] {
            let part = slot.lock().unwrap_or_else(|broken| broken.into_inner());
            losses.iter_mut().zip(&part.losses).for_each(|(sum, value)| *sum += value);
            bends.iter_mut().zip(&part.bends).for_each(|(sum, value)| *sum += value);
            bias.iter_mut().zip(&part.bias).for_each(|(sum, value)| *sum += value);
            for (column, to) in gradient.chunks_exact_mut(width).enumerate() {
                let from = part.gradient.column(column);
                to.iter_mut().zip(from).for_each(|(sum, &value)| *sum += f64::from(value));
            }
        }
        first += wave;
    }
    let scale = f64::from(samples.scale);
    let ends = losses.into_iter().enumerate().map(|(at, loss)| {
        let bias = &bias[at * own..(at + 1) * own];
        let mut g = Vec::with_capacity(points[at].x.len());
        for (from, &sum) in gradient[at * own * width..].chunks_exact(width).zip(bias) {
            let centred = from.iter().zip(samples.centre);
            let start = g.len();
            g.extend(centred.map(|(&from, &centre)| scale * (from - f64::from(centre) * sum)));
            let own = g[start..].iter_mut().zip(points[at].centre);
            own.for_each(|(g, &centre)| *g -= f64::from(centre) * sum);
        }
        g.extend(bias.iter().map(|sum| BIAS * sum));
        Sums { loss, bend: bends[at], gradient: g }
    });
    Ok(ends.collect())
}

impl Part {
    fn run(
        &mut self,
        isa: Isa,
        samples: &Samples,
        range: Range<usize>,
        weights: &Columns,
        offsets: &[f32],
        points: &[Point],
    ) {
        let Self { gradient, scores, losses, bends, bias } = self;
        gradient.values.fill(0.0);
        losses.fill(0.0);
        bias.fill(0.0);
        bends.fill(0.0);
        let own = samples.columns();
        let order = &samples.order[range.clone()];
        pass(isa, samples.rows, order, weights, gradient, scores, &mut |first, scores| {
            for (at, scores) in scores.chunks_exact_mut(weights.count).enumerate() {
                let i = range.start + first + at;
                let (weight, label) = (samples.weights[i], samples.labels[i]);
                for (problem, point) in points.iter().enumerate() {
                    let columns = problem * own..(problem + 1) * own;
                    let scores = &mut scores[columns.clone()];
                    if point.held_out.contains(&i) {
                        scores.fill(0.0);
                        continue;
                    }
                    scores
                        .iter_mut()
                        .zip(&offsets[columns.clone()])
                        .for_each(|(score, offset)| *score += offset);
                    let (loss, bend) = residual(scores, label, weight as f32);
                    losses[problem] += weight * loss;
                    bends[problem] += weight * bend;
                    for (sum, &r) in bias[columns].iter_mut().zip(scores.iter()) {
                        *sum += f64::from(r);
                    }
                }
            }
        });
    }
}

/// Turns scores into `weight·(probability − one-hot)` in place; returns the cross-entropy and `1 − Σ p²`.
pub(crate) fn residual(scores: &mut [f32], label: usize, weight: f32) -> (f64, f64) {
    if let [score] = scores {
        // Two classes: the score is the log-odds of the second.
        let against = if label == 1 { -*score } else { *score };
        let small = exp(-against.abs());
        let (sure, rest) = (1.0 / (1.0 + small), small / (1.0 + small));
        let wrong = if against > 0.0 { sure } else { rest };
        *score = weight * if label == 1 { -wrong } else { wrong };
        // `0·z` lets NaN through, which a comparison would swallow.
        let loss = f64::from(if against > 0.0 { against } else { 0.0 * against }) + ln_1p(f64::from(small));
        return (loss, f64::from(2.0 * sure * rest));
    }
    let larger = |a: f32, b: f32| if b > a { b } else { a };
    let largest = fold(scores, f32::NEG_INFINITY, |score| score, larger);
    let own = f64::from(scores[label] - largest);
    scores.iter_mut().for_each(|score| *score = exp(*score - largest));
    let sum = fold(scores, 0.0, |e| e, |a, b| a + b);
    let share = 1.0 / sum;
    scores.iter_mut().for_each(|score| *score *= share);
    let square = fold(scores, 0.0, |p| p * p, |a, b| a + b);
    scores.iter_mut().for_each(|score| *score *= weight);
    scores[label] -= weight;
    (f64::from(sum).ln() - own, f64::from(1.0 - square))
}

/// Joins `f` of all values in four strands, which the processor works on at once; `start` joined to anything changes nothing.
#[inline(always)]
fn fold(values: &[f32], start: f32, f: impl Fn(f32) -> f32, join: impl Fn(f32, f32) -> f32) -> f32 {
    let (fours, rest) = values.as_chunks::<4>();
    let mut strands = [start; 4];
    for four in fours {
        for at in 0..4 {
            strands[at] = join(strands[at], f(four[at]));
        }
    }
    strands.iter_mut().zip(rest).for_each(|(strand, &value)| *strand = join(*strand, f(value)));
    join(join(strands[0], strands[1]), join(strands[2], strands[3]))
}

/// `ln(1 + e)` for `0 ≤ e ≤ 1`, by `2·artanh(e/(2 + e))`: an argument below ⅓, so eight terms are enough for 10⁻⁹.
#[inline(always)]
fn ln_1p(e: f64) -> f64 {
    let s = e / (2.0 + e);
    let q = s * s;
    let tail = 1.0 / 11.0 + q * (1.0 / 13.0 + q / 15.0);
    2.0 * s * (1.0 + q * (1.0 / 3.0 + q * (1.0 / 5.0 + q * (1.0 / 7.0 + q * (1.0 / 9.0 + q * tail)))))
}

/// `eˣ` for `x ≤ 0` to one unit in the last place or two; 0 below −87. Without branches, so that it vectorises, and
/// the same on every CPU. Reduction to `2ᵏ·eʳ`, `|r| ≤ ln2/2`, then the Taylor polynomial of degree 7.
#[inline(always)]
fn exp(x: f32) -> f32 {
    // Adding 1.5·2²³ rounds to the nearest integer and leaves it in the low bits.
    const ROUND: f32 = 12_582_912.0;
    let low = if x < -87.0 { -87.0 } else { x };
    let shifted = low * std::f32::consts::LOG2_E + ROUND;
    let k = shifted - ROUND;
    // ln 2 in two parts: the first is exact in few bits, so that `k·HIGH` is exact.
    let r = low - k * 0.693_359_4 + k * 2.121_944_4e-4;
    let tail = 1.0 / 120.0 + r * (1.0 / 720.0 + r * (1.0 / 5040.0));
    let p = 1.0 + r * (1.0 + r * (0.5 + r * (1.0 / 6.0 + r * (1.0 / 24.0 + r * tail))));
    let two = f32::from_bits((shifted.to_bits() << 23).wrapping_add(0x3f80_0000));
    p * two
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn exp_is_exact_to_two_units_and_lets_nan_through() {
        for at in 0..=870_000 {
            let x = -(at as f32) * 1e-4;
            let (got, want) = (exp(x), f64::from(x).exp());
            assert!((f64::from(got) - want).abs() <= 2.4e-7 * want, "{x} {got} {want}");
        }
        assert!(exp(-1e30) < 2e-38 && exp(f32::NEG_INFINITY) < 2e-38 && exp(f32::NAN).is_nan());
        assert_eq!(exp(0.0), 1.0);
    }

    #[test]
    fn ln_1p_is_good_to_nine_digits() {
        for at in 0..=1000 {
            let e = f64::from(at) * 1e-3;
            assert!((ln_1p(e) - e.ln_1p()).abs() <= 2e-9 * e.ln_1p(), "{e}");
        }
    }

    #[test]
    fn the_residual_of_two_classes_is_that_of_two_columns() {
        for score in [-90.0f32, -3.0, -0.1, 0.0, 0.5, 20.0, 100.0] {
            for label in 0..2 {
                let (mut one, mut two) = ([score], [0.0, score]);
                let (a, b) = (residual(&mut one, label, 1.5), residual(&mut two, label, 1.5));
                assert!((a.0 - b.0).abs() < 1e-6 * (1.0 + b.0.abs()), "{score} {label} {a:?} {b:?}");
                assert!((a.1 - b.1).abs() < 1e-6, "{score} {label} {a:?} {b:?}");
                assert!((one[0] - two[1]).abs() < 1e-6, "{score} {label} {one:?} {two:?}");
            }
        }
        assert!(residual(&mut [f32::NAN], 0, 1.0).0.is_nan());
    }
}
