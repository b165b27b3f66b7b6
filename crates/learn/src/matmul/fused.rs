//! One pass over tall embeddings for few columns: per block of rows the scores, then whatever the caller makes of
//! them, then the gradient, while the block is still in the cache.

use std::marker::PhantomData;
use std::ptr;

use graft_simd::Isa;
use half::f16;

use super::kernels::{AddScaled, Dot, Gather, Scores, Widen};
use super::tiles::{Number, Tall, View, ViewMut};

/// Rows per block: with 1280 numbers in f16 they fit an L1 cache of 32 KiB, and where rows are 4 KiB apart, all in one set of
/// it, twelve ways hold them.
pub(crate) const BLOCK: usize = 12;
/// Strides that are a multiple of this many numbers (4 KiB) put equal columns of all rows into one set of the L1
/// cache; [`stride`] keeps clear of it.
const ALIAS: usize = 1024;

/// A distance between rows of `width` numbers: at least `width`, a multiple of 8, and clear of cache aliasing.
pub(crate) fn stride(width: usize) -> usize {
    let even = width.next_multiple_of(8);
    if even.is_multiple_of(ALIAS) && even > 0 { even + 16 } else { even }
}

/// Tall embeddings as they are stored, `[rows, width]`.
#[derive(Clone, Copy)]
pub(crate) enum Rows<'a> {
    /// Dense.
    Half(&'a [f16]),
    /// Rows [`stride`] apart.
    Single(&'a [f32]),
}

/// Columns `W [columns, width]`, rows [`stride`] apart: weights, or their gradient.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Columns {
    pub values: Vec<f32>,
    pub count: usize,
    pub width: usize,
}

impl Columns {
    pub(crate) fn zero(count: usize, width: usize) -> Self {
        Self { values: vec![0.0; count * stride(width)], count, width }
    }

    pub(crate) fn column(&self, at: usize) -> &[f32] {
        &self.values[at * stride(self.width)..][..self.width]
    }

    pub(crate) fn column_mut(&mut self, at: usize) -> &mut [f32] {
        &mut self.values[at * stride(self.width)..][..self.width]
    }
}

/// For each sample, a row of `rows` by `order`: scores `S = X·Wᵀ` block by block, `turn(first sample, scores [block,
/// columns])` makes residuals of them in place, and `gradient += Rᵀ·X`. `scores` is room for a block of them.
///
/// # Panics
/// When the shapes do not agree, or `order` names a row that is not there.
pub(crate) fn pass(
    isa: Isa,
    rows: Rows,
    order: &[u32],
    weights: &Columns,
    gradient: &mut Columns,
    scores: &mut Vec<f32>,
    turn: &mut dyn FnMut(usize, &mut [f32]),
) {
    let (count, width) = (weights.count, weights.width);
    assert!((gradient.count, gradient.width) == (count, width), "weights and gradient of one shape");
    scores.resize(BLOCK * count, 0.0);
    for first in (0..order.len()).step_by(BLOCK) {
        let block = Block::of(rows, &order[first..], width);
        let scores = &mut scores[..block.count() * count];
        block.scores(isa, weights, scores);
        turn(first, scores);
        block.add_gradient(isa, scores, gradient);
    }
}

/// Scores `X·Wᵀ` of each sample into `out [order, columns]`.
///
/// # Panics
/// As [`pass`].
pub(crate) fn scores(isa: Isa, rows: Rows, order: &[u32], weights: &Columns, out: &mut [f32]) {
    let (count, width) = (weights.count, weights.width);
    assert!(out.len() == order.len() * count, "scores for every sample");
    if count == 0 {
        return;
    }
    for (order, out) in order.chunks(BLOCK).zip(out.chunks_mut(BLOCK * count)) {
        Block::of(rows, order, width).scores(isa, weights, out);
    }
}

/// `out [a, b] = A·Bᵀ` of two sets of columns of one width.
///
/// # Panics
/// When the widths differ.
pub(crate) fn project(isa: Isa, a: &Columns, b: &Columns) -> Vec<f32> {
    assert!(a.width == b.width, "columns of one width");
    let mut out = vec![0.0; a.count * b.count];
    for (first, out) in (0..a.count).step_by(BLOCK).zip(out.chunks_mut(BLOCK * b.count.max(1))) {
        Block::columns(a, first).scores(isa, b, out);
    }
    out
}

/// `to += Fᵀ·B` for `factors F [basis, to]`.
///
/// # Panics
/// When the shapes do not agree.
pub(crate) fn add_combined(isa: Isa, to: &mut Columns, factors: &[f32], basis: &Columns) {
    assert!(to.width == basis.width, "columns of one width");
    for (first, factors) in (0..basis.count).step_by(BLOCK).zip(factors.chunks(BLOCK * to.count.max(1))) {
        Block::columns(basis, first).add_gradient(isa, factors, to);
    }
}

/// A block of rows ready for the tiles, in f32 or as they are stored.
enum Block<'a> {
    Single(Pointers<'a, f32>),
    Half(Pointers<'a, f16>),
}

/// Rows of one width, and those that come after them: the same ones where none do.
struct Pointers<'a, N> {
    rows: [*const N; BLOCK],
    ahead: [*const N; BLOCK],
    count: usize,
    width: usize,
    borrowed: PhantomData<&'a [N]>,
}

impl<'a, N> Pointers<'a, N> {
    fn of(mut rows: impl Iterator<Item = &'a [N]>, width: usize) -> Self {
        let (now, count) = Self::take(&mut rows, width, [ptr::null(); BLOCK]);
        let (ahead, _) = Self::take(&mut rows, width, now);
        Self { rows: now, ahead, count, width, borrowed: PhantomData }
    }

    fn take(
        rows: &mut impl Iterator<Item = &'a [N]>,
        width: usize,
        mut to: [*const N; BLOCK],
    ) -> ([*const N; BLOCK], usize) {
        let mut count = 0;
        for (to, row) in to.iter_mut().zip(rows) {
            assert!(row.len() == width, "rows of one width");
            *to = row.as_ptr();
            count += 1;
        }
        (to, count)
    }

    fn tall(&self) -> Tall<N> {
        Tall { rows: self.rows.as_ptr(), ahead: self.ahead.as_ptr(), count: self.count }
    }
}

impl<'a> Block<'a> {
    /// The first rows of `order`.
    fn of(rows: Rows<'a>, order: &[u32], width: usize) -> Self {
        match rows {
            Rows::Single(rows) => {
                let stride = stride(width);
                let row = |&at: &u32| &rows[at as usize * stride..][..width];
                Self::Single(Pointers::of(order.iter().map(row), width))
            }
            Rows::Half(rows) => {
                let row = |&at: &u32| &rows[at as usize * width..][..width];
                Self::Half(Pointers::of(order.iter().map(row), width))
            }
        }
    }

    fn columns(columns: &'a Columns, first: usize) -> Self {
        let rows = (first..columns.count).map(|at| columns.column(at));
        Self::Single(Pointers::of(rows, columns.width))
    }

    fn count(&self) -> usize {
        match self {
            Self::Single(rows) => rows.count,
            Self::Half(rows) => rows.count,
        }
    }

    fn scores(&self, isa: Isa, weights: &Columns, out: &mut [f32]) {
        match self {
            Self::Single(rows) => multiply_scores(isa, rows, weights, out),
            Self::Half(rows) => multiply_scores(isa, rows, weights, out),
        }
    }

    fn add_gradient(&self, isa: Isa, residuals: &[f32], gradient: &mut Columns) {
        match self {
            Self::Single(rows) => add_gradient(isa, rows, residuals, gradient),
            Self::Half(rows) => add_gradient(isa, rows, residuals, gradient),
        }
    }
}

/// Converts f16 to f32, exactly.
///
/// # Panics
/// When the lengths differ.
pub(crate) fn widen(isa: Isa, from: &[f16], to: &mut [f32]) {
    assert!(from.len() == to.len(), "as many numbers out as in");
    // SAFETY: the kernel asks for nothing but the instructions.
    unsafe { isa.run(Widen { from, to }) }
}

/// `Σ a·b` over as many numbers as both have.
pub(crate) fn dot(isa: Isa, a: &[f32], b: &[f32]) -> f32 {
    // SAFETY: the kernel asks for nothing but the instructions.
    unsafe { isa.run(Dot(a, b)) }
}

/// `to += factor·from` over as many numbers as both have.
pub(crate) fn add_scaled(isa: Isa, to: &mut [f32], factor: f32, from: &[f32]) {
    // SAFETY: the kernel asks for nothing but the instructions.
    unsafe { isa.run(AddScaled { to, factor, from }) }
}

fn multiply_scores<N: Number>(isa: Isa, x: &Pointers<N>, weights: &Columns, out: &mut [f32]) {
    let (count, width) = (weights.count, weights.width);
    let stride = stride(width);
    assert!(x.width == width && weights.values.len() >= count * stride && out.len() >= x.count * count);
    let w = View { values: weights.values.as_ptr(), rows: count, stride };
    let out = ViewMut { values: out.as_mut_ptr(), stride: count };
    // SAFETY: the lengths were checked, here and in `Pointers::of`, and `out` is a unique borrow.
    unsafe { isa.run(Scores { x: x.tall(), w, width, out }) }
}

fn add_gradient<N: Number>(isa: Isa, x: &Pointers<N>, residuals: &[f32], gradient: &mut Columns) {
    let (count, width) = (gradient.count, gradient.width);
    let stride = stride(width);
    assert!(
        x.width == width && gradient.values.len() >= count * stride && residuals.len() >= x.count * count
    );
    let r = View { values: residuals.as_ptr(), rows: count, stride: count };
    let out = ViewMut { values: gradient.values.as_mut_ptr(), stride };
    // SAFETY: as in `multiply_scores`.
    unsafe { isa.run(Gather { x: x.tall(), r, width, out }) }
}
