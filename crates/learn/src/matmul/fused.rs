//! One pass over tall embeddings for few columns: per block of rows the scores, then whatever the caller makes of
//! them, then the gradient, while the block is still in the cache.

use std::marker::PhantomData;
use std::ptr;

use half::f16;

use super::lanes::{Lanes, Number, Portable};
#[cfg(target_arch = "aarch64")]
use super::neon;
use super::tiles;
use super::tiles::{Tall, View, ViewMut};
#[cfg(target_arch = "x86_64")]
use super::{avx2, avx512};

/// Rows per block: with 1280 numbers in f16 they fit an L1 cache of 32 KiB, and where rows are 4 KiB apart, all in one set of
/// it, twelve ways hold them.
pub(crate) const BLOCK: usize = 12;
/// Strides that are a multiple of this many numbers (4 KiB) put equal columns of all rows into one set of the L1
/// cache; [`stride`] keeps clear of it.
const ALIAS: usize = 1024;

/// Which instructions the kernels use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Isa {
    /// Any CPU.
    #[cfg_attr(target_arch = "aarch64", allow(dead_code, reason = "every aarch64 CPU has NEON"))]
    Portable,
    /// AVX2, FMA and F16C.
    #[cfg(target_arch = "x86_64")]
    Avx2,
    /// AVX-512F.
    #[cfg(target_arch = "x86_64")]
    Avx512,
    /// NEON.
    #[cfg(target_arch = "aarch64")]
    Neon,
}

impl Isa {
    /// The best that this CPU can run.
    pub(crate) fn detect() -> Self {
        #[cfg(target_arch = "x86_64")]
        if avx512::available() {
            return Self::Avx512;
        } else if avx2::available() {
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
        #[cfg(target_arch = "x86_64")]
        all.extend(avx2::available().then_some(Self::Avx2));
        all.extend((!all.contains(&Self::detect())).then(Self::detect));
        all
    }

    /// The word for it.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Portable => "portable",
            #[cfg(target_arch = "x86_64")]
            Self::Avx2 => "avx2+fma+f16c",
            #[cfg(target_arch = "x86_64")]
            Self::Avx512 => "avx512f",
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
    match isa {
        Isa::Portable => to.iter_mut().zip(from).for_each(|(to, from)| *to = from.to_f32()),
        #[cfg(target_arch = "x86_64")]
        // SAFETY: both are only made where the CPU has AVX2 and F16C.
        Isa::Avx2 | Isa::Avx512 => unsafe { avx2::widen(from, to) },
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
            #[cfg(target_arch = "x86_64")]
            Isa::Avx512 => avx512::dot(a, b, count),
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
            #[cfg(target_arch = "x86_64")]
            Isa::Avx512 => avx512::add_scaled(to, factor, from, count),
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
            #[cfg(target_arch = "x86_64")]
            Isa::Avx512 => (16, avx512::spin(rounds)),
            #[cfg(target_arch = "aarch64")]
            Isa::Neon => (4, neon::spin(rounds)),
        }
    };
    (2.0 * 12.0 * lanes as f64 * rounds as f64, sum)
}

fn multiply_scores<N: Number>(isa: Isa, x: &Pointers<N>, weights: &Columns, out: &mut [f32]) {
    let (count, width) = (weights.count, weights.width);
    let stride = stride(width);
    assert!(x.width == width && weights.values.len() >= count * stride && out.len() >= x.count * count);
    let w = View { values: weights.values.as_ptr(), rows: count, stride };
    let out = ViewMut { values: out.as_mut_ptr(), stride: count };
    // SAFETY: the lengths were checked, here and in `Pointers::of`, `out` is a unique borrow, and an `Isa` is only made
    // where the CPU has it.
    unsafe {
        match isa {
            Isa::Portable => tiles::scores::<Portable, N>(x.tall(), w, width, out),
            #[cfg(target_arch = "x86_64")]
            Isa::Avx2 => avx2::scores(x.tall(), w, width, out),
            #[cfg(target_arch = "x86_64")]
            Isa::Avx512 => avx512::scores(x.tall(), w, width, out),
            #[cfg(target_arch = "aarch64")]
            Isa::Neon => neon::scores(x.tall(), w, width, out),
        }
    }
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
    unsafe {
        match isa {
            Isa::Portable => tiles::gather::<Portable, N>(x.tall(), r, width, out),
            #[cfg(target_arch = "x86_64")]
            Isa::Avx2 => avx2::gather(x.tall(), r, width, out),
            #[cfg(target_arch = "x86_64")]
            Isa::Avx512 => avx512::gather(x.tall(), r, width, out),
            #[cfg(target_arch = "aarch64")]
            Isa::Neon => neon::gather(x.tall(), r, width, out),
        }
    }
}
