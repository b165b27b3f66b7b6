//! One pass over tall embeddings for few columns: per block of rows the scores, then whatever the caller makes of
//! them, then the gradient, while the block is still in the cache.

use half::f16;

#[cfg(target_arch = "x86_64")]
use super::avx2;
use super::lanes::{Lanes, Portable};
#[cfg(target_arch = "aarch64")]
use super::neon;
use super::tiles;
use super::tiles::{View, ViewMut};

/// Rows per block at most: with the widest embeddings it still fits half a small L2 cache.
pub(crate) const BLOCK: usize = 24;
/// Rows per block for one or two columns, which are bound by memory: the block fits the L1 cache.
const SHORT: usize = 6;
/// Strides that are a multiple of this many numbers (4 KiB) put equal columns of all rows into one set of the L1
/// cache; [`stride`] keeps clear of it.
const ALIAS: usize = 1024;

/// Which instructions the kernels use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Isa {
    /// Any CPU.
    Portable,
    /// AVX2, FMA and F16C.
    #[cfg(target_arch = "x86_64")]
    Avx2,
    /// NEON.
    #[cfg(target_arch = "aarch64")]
    Neon,
}

impl Isa {
    /// The best that this CPU can run.
    pub(crate) fn detect() -> Self {
        #[cfg(target_arch = "x86_64")]
        if avx2::available() {
            return Self::Avx2;
        }
        #[cfg(target_arch = "aarch64")]
        return Self::Neon;
        #[cfg(not(target_arch = "aarch64"))]
        Self::Portable
    }

    /// All that this CPU can run.
    #[cfg(test)]
    pub(crate) fn all() -> Vec<Self> {
        let mut all = vec![Self::Portable];
        all.extend((Self::detect() != Self::Portable).then(Self::detect));
        all
    }

    /// The word for it.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Portable => "portable",
            #[cfg(target_arch = "x86_64")]
            Self::Avx2 => "avx2+fma+f16c",
            #[cfg(target_arch = "aarch64")]
            Self::Neon => "neon",
        }
    }
}

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
    #[cfg_attr(not(test), expect(dead_code, reason = "used by the tests alone so far"))]
    Single(&'a [f32]),
}

/// What a pass writes on its way: one block of widened rows and its scores.
#[derive(Default)]
pub(crate) struct Scratch {
    rows: Vec<f32>,
    scores: Vec<f32>,
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
/// columns])` makes residuals of them in place, and `gradient += Rᵀ·X`.
///
/// # Panics
/// When the shapes do not agree, or `order` names a row that is not there.
pub(crate) fn pass(
    isa: Isa,
    rows: Rows,
    order: &[u32],
    weights: &Columns,
    gradient: &mut Columns,
    scratch: &mut Scratch,
    turn: &mut dyn FnMut(usize, &mut [f32]),
) {
    let (count, width) = (weights.count, weights.width);
    assert!((gradient.count, gradient.width) == (count, width), "weights and gradient of one shape");
    let Scratch { rows: widened, scores } = scratch;
    scores.resize(BLOCK * count, 0.0);
    let block = if count <= 2 { SHORT } else { BLOCK };
    for first in (0..order.len()).step_by(block) {
        let size = block.min(order.len() - first);
        gather_rows(isa, rows, &order[first..], size, width, widened);
        let scores = &mut scores[..size * count];
        multiply_scores(isa, widened, size, weights, scores);
        turn(first, scores);
        add_gradient(isa, widened, size, scores, gradient);
    }
}

/// Scores `X·Wᵀ` of each sample into `out [order, columns]`.
///
/// # Panics
/// As [`pass`].
pub(crate) fn scores(
    isa: Isa,
    rows: Rows,
    order: &[u32],
    weights: &Columns,
    scratch: &mut Scratch,
    out: &mut [f32],
) {
    let (count, width) = (weights.count, weights.width);
    assert!(out.len() == order.len() * count, "scores for every sample");
    if count == 0 {
        return;
    }
    for (first, out) in (0..order.len()).step_by(BLOCK).zip(out.chunks_mut(BLOCK * count)) {
        let size = BLOCK.min(order.len() - first);
        gather_rows(isa, rows, &order[first..], size, width, &mut scratch.rows);
        multiply_scores(isa, &scratch.rows, size, weights, out);
    }
}

/// `out [a, b] = A·Bᵀ` of two sets of columns of one width.
///
/// # Panics
/// When the widths differ.
pub(crate) fn project(isa: Isa, a: &Columns, b: &Columns) -> Vec<f32> {
    assert!(a.width == b.width, "columns of one width");
    let mut out = vec![0.0; a.count * b.count];
    multiply_scores(isa, &a.values, a.count, b, &mut out);
    out
}

/// `to += Fᵀ·B` for `factors F [basis, to]`.
///
/// # Panics
/// When the shapes do not agree.
pub(crate) fn add_combined(isa: Isa, to: &mut Columns, factors: &[f32], basis: &Columns) {
    assert!(to.width == basis.width, "columns of one width");
    add_gradient(isa, &basis.values, basis.count, factors, to);
}

/// The first `size` rows of `order` in f32, [`stride`] apart; what comes after them is asked from memory ahead of time.
fn gather_rows(isa: Isa, rows: Rows, order: &[u32], size: usize, width: usize, out: &mut Vec<f32>) {
    let stride = stride(width);
    out.resize(BLOCK * stride, 0.0);
    for at in 0..size {
        let to = &mut out[at * stride..at * stride + width];
        let row = order[at] as usize;
        let next = order.get(at + BLOCK).map_or(row, |&next| next as usize);
        match rows {
            Rows::Single(rows) => to.copy_from_slice(&rows[row * stride..row * stride + width]),
            Rows::Half(rows) => {
                let own = &rows[row * width..(row + 1) * width];
                widen(isa, own, to, &rows[next * width..]);
            }
        }
    }
}

/// Converts f16 to f32, exactly; `next` is what will be converted soon.
///
/// # Panics
/// When the lengths differ.
pub(crate) fn widen(isa: Isa, from: &[f16], to: &mut [f32], next: &[f16]) {
    assert!(from.len() == to.len(), "as many numbers out as in");
    let _ = next;
    match isa {
        Isa::Portable => to.iter_mut().zip(from).for_each(|(to, from)| *to = from.to_f32()),
        #[cfg(target_arch = "x86_64")]
        // SAFETY: `Isa::Avx2` is only made where the CPU has it.
        Isa::Avx2 => unsafe { avx2::widen(from, to, next.as_ptr()) },
        #[cfg(target_arch = "aarch64")]
        Isa::Neon => neon::widen(from, to),
    }
}

/// `Σ a·b` over as many numbers as both have.
pub(crate) fn dot(isa: Isa, a: &[f32], b: &[f32]) -> f32 {
    let count = a.len().min(b.len());
    let (a, b) = (a.as_ptr(), b.as_ptr());
    // SAFETY: both hold `count` numbers, and an `Isa` is only made where the CPU has it.
    unsafe {
        match isa {
            Isa::Portable => tiles::dot::<Portable>(a, b, count),
            #[cfg(target_arch = "x86_64")]
            Isa::Avx2 => avx2::dot(a, b, count),
            #[cfg(target_arch = "aarch64")]
            Isa::Neon => neon::dot(a, b, count),
        }
    }
}

/// `to += factor·from` over as many numbers as both have.
pub(crate) fn add_scaled(isa: Isa, to: &mut [f32], factor: f32, from: &[f32]) {
    let count = to.len().min(from.len());
    let (to, from) = (to.as_mut_ptr(), from.as_ptr());
    // SAFETY: as in `dot`; `to` is a unique borrow.
    unsafe {
        match isa {
            Isa::Portable => tiles::add_scaled::<Portable>(to, factor, from, count),
            #[cfg(target_arch = "x86_64")]
            Isa::Avx2 => avx2::add_scaled(to, factor, from, count),
            #[cfg(target_arch = "aarch64")]
            Isa::Neon => neon::add_scaled(to, factor, from, count),
        }
    }
}

/// [`tiles::spin`], and how many multiplications and additions that were.
pub(crate) fn spin(isa: Isa, rounds: usize) -> (f64, f32) {
    // SAFETY: an `Isa` is only made where the CPU has it.
    let (lanes, sum) = unsafe {
        match isa {
            Isa::Portable => (Portable::COUNT, tiles::spin::<Portable>(rounds)),
            #[cfg(target_arch = "x86_64")]
            Isa::Avx2 => (8, avx2::spin(rounds)),
            #[cfg(target_arch = "aarch64")]
            Isa::Neon => (4, neon::spin(rounds)),
        }
    };
    (2.0 * 12.0 * lanes as f64 * rounds as f64, sum)
}

fn multiply_scores(isa: Isa, x: &[f32], size: usize, weights: &Columns, out: &mut [f32]) {
    let (count, width) = (weights.count, weights.width);
    let stride = stride(width);
    assert!(x.len() >= size * stride && weights.values.len() >= count * stride && out.len() >= size * count);
    let x = View { values: x.as_ptr(), rows: size, stride };
    let w = View { values: weights.values.as_ptr(), rows: count, stride };
    let out = ViewMut { values: out.as_mut_ptr(), stride: count };
    // SAFETY: the lengths were checked, `out` is a unique borrow, and an `Isa` is only made where the CPU has it.
    unsafe {
        match isa {
            Isa::Portable => tiles::scores::<Portable>(x, w, width, out),
            #[cfg(target_arch = "x86_64")]
            Isa::Avx2 => avx2::scores(x, w, width, out),
            #[cfg(target_arch = "aarch64")]
            Isa::Neon => neon::scores(x, w, width, out),
        }
    }
}

fn add_gradient(isa: Isa, x: &[f32], size: usize, residuals: &[f32], gradient: &mut Columns) {
    let (count, width) = (gradient.count, gradient.width);
    let stride = stride(width);
    assert!(x.len() >= size * stride && gradient.values.len() >= count * stride);
    assert!(residuals.len() >= size * count);
    let x = View { values: x.as_ptr(), rows: size, stride };
    let r = View { values: residuals.as_ptr(), rows: count, stride: count };
    let out = ViewMut { values: gradient.values.as_mut_ptr(), stride };
    // SAFETY: as in `multiply_scores`.
    unsafe {
        match isa {
            Isa::Portable => tiles::gather::<Portable>(x, r, width, out),
            #[cfg(target_arch = "x86_64")]
            Isa::Avx2 => avx2::gather(x, r, width, out),
            #[cfg(target_arch = "aarch64")]
            Isa::Neon => neon::gather(x, r, width, out),
        }
    }
}
