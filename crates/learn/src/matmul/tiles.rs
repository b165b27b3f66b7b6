//! The two products of a pass as register tiles, written once for every kind of register.
//!
//! At most twelve accumulators, so that with operands they fit the sixteen registers of AVX2; of NEON's thirty-two
//! the rest lets loads run ahead, of AVX-512's it holds twelve more. Plain loops and no closures: a closure would not inherit the CPU features.

#![allow(clippy::needless_range_loop, reason = "indices of registers, in step over several arrays")]

use graft_simd::{Instructions, Lanes};
use half::f16;

/// A stored number that a register of f32 can be read from.
pub(super) trait Number: Copy {
    /// Reads `L::WIDTH` numbers.
    ///
    /// # Safety
    /// As [`Lanes::load`].
    unsafe fn load<L: Lanes>(from: *const Self) -> L;

    fn single(self) -> f32;
}

impl Number for f32 {
    #[inline(always)]
    unsafe fn load<L: Lanes>(from: *const Self) -> L {
        // SAFETY: the caller's promise.
        unsafe { L::load(from) }
    }

    #[inline(always)]
    fn single(self) -> f32 {
        self
    }
}

impl Number for f16 {
    #[inline(always)]
    unsafe fn load<L: Lanes>(from: *const Self) -> L {
        // SAFETY: the caller's promise; an f16 is its 16 bits.
        unsafe { L::load_half(from.cast()) }
    }

    #[inline(always)]
    fn single(self) -> f32 {
        self.to_f32()
    }
}

/// Whether tiles have 24 sums: AVX-512 has 32 registers. So has NEON, for which nobody has measured it (decision 0030).
const fn many<L: Lanes>() -> bool {
    matches!(L::INSTRUCTIONS, Instructions::Avx512)
}

/// A row-major matrix behind a pointer.
#[derive(Clone, Copy)]
pub(super) struct View {
    pub values: *const f32,
    pub rows: usize,
    pub stride: usize,
}

/// The same, to be written.
#[derive(Clone, Copy)]
pub(super) struct ViewMut {
    pub values: *mut f32,
    pub stride: usize,
}

/// Rows `[count, width]`, each behind its own pointer; `ahead` are as many that will be read soon.
#[derive(Clone, Copy)]
pub(super) struct Tall<N> {
    pub rows: *const *const N,
    pub ahead: *const *const N,
    pub count: usize,
}

/// Bytes of a cache line.
const LINE: usize = 64;
/// Numbers of a row that are worked on together: a block's strip and a tile's columns stay in the L1 cache.
const STRIP: usize = 512;

/// `out [x.count, w.rows] = X·Wᵀ` for `X [x.count, width]`, `W [w.rows, width]`.
///
/// # Safety
/// The CPU has the features of `L`, and each view is valid for its rows of `width` (`out`: of `w.rows`) numbers,
/// `stride` apart; `out` overlaps no other.
#[inline(always)]
pub(super) unsafe fn scores<L: Lanes, N: Number>(x: Tall<N>, w: View, width: usize, out: ViewMut) {
    // With one tile of columns nothing is read twice.
    let strip = if w.rows <= 4 { width.max(1) } else { STRIP };
    let mut start = 0;
    while start == 0 || start < width {
        let part = Part { start, end: (start + strip).min(width) };
        let mut column = 0;
        while column < w.rows {
            let left = w.rows - column;
            // 10 columns go as 4 + 3 + 3, five as 3 + 2: no tile is left with a single column that others could share.
            let columns = match left {
                1..=3 => left,
                5 | 6 | 9 => 3,
                _ => 4,
            };
            // SAFETY: `column + columns ≤ w.rows` and `end ≤ width`; the rest is the caller's promise.
            unsafe {
                let tile = View { values: w.values.add(column * w.stride), rows: columns, stride: w.stride };
                let to = ViewMut { values: out.values.add(column), stride: out.stride };
                match (columns, const { many::<L>() }) {
                    (1, _) => rows_of::<L, N, 6, 1>(x, tile, part, to),
                    (2, _) => rows_of::<L, N, 6, 2>(x, tile, part, to),
                    (3, false) => rows_of::<L, N, 3, 3>(x, tile, part, to),
                    (_, false) => rows_of::<L, N, 3, 4>(x, tile, part, to),
                    (3, true) => rows_of::<L, N, 6, 3>(x, tile, part, to),
                    (_, true) => rows_of::<L, N, 6, 4>(x, tile, part, to),
                }
            }
            column += columns;
        }
        start += strip;
    }
}

/// A strip of the width.
#[derive(Clone, Copy)]
struct Part {
    start: usize,
    end: usize,
}

/// All rows against `C` columns, `R` rows at a time.
#[inline(always)]
unsafe fn rows_of<L: Lanes, N: Number, const R: usize, const C: usize>(
    x: Tall<N>,
    w: View,
    part: Part,
    out: ViewMut,
) {
    let mut row = 0;
    // SAFETY: `row + R ≤ x.count` (or one row below `x.count`), the caller's promise for all rows.
    unsafe {
        while row + R <= x.count {
            dots::<L, N, R, C>(x.rows.add(row), w, part, out.values.add(row * out.stride), out.stride);
            row += R;
        }
        while row < x.count {
            dots::<L, N, 1, C>(x.rows.add(row), w, part, out.values.add(row * out.stride), out.stride);
            row += 1;
        }
    }
}

/// `R × C` dot products over a part of the width, added to those of the parts before it.
#[inline(always)]
unsafe fn dots<L: Lanes, N: Number, const R: usize, const C: usize>(
    x: *const *const N,
    w: View,
    part: Part,
    to: *mut f32,
    stride: usize,
) {
    let whole = part.end - (part.end - part.start) % L::WIDTH;
    // SAFETY: offsets stay below `part.end` in each row; the caller's promise.
    unsafe {
        let mut rows = [*x; R];
        for r in 1..R {
            rows[r] = *x.wrapping_add(r);
        }
        let mut columns = [w.values; C];
        for c in 1..C {
            columns[c] = columns[c - 1].wrapping_add(w.stride);
        }
        let mut sums = [[L::splat(0.0); C]; R];
        let mut at = part.start;
        while at < whole {
            // The shorter side stays in registers, so that with twelve sums nothing is spilled.
            if R < C {
                let mut own = [L::splat(0.0); R];
                for r in 0..R {
                    own[r] = N::load(rows[r].wrapping_add(at));
                }
                for c in 0..C {
                    let column = L::load(columns[c].wrapping_add(at));
                    for r in 0..R {
                        sums[r][c] = sums[r][c].add_product(own[r], column);
                    }
                }
            } else {
                let mut column = [L::splat(0.0); C];
                for c in 0..C {
                    column[c] = L::load(columns[c].wrapping_add(at));
                }
                for r in 0..R {
                    let own = N::load(rows[r].wrapping_add(at));
                    for c in 0..C {
                        sums[r][c] = sums[r][c].add_product(own, column[c]);
                    }
                }
            }
            at = at.wrapping_add(L::WIDTH);
        }
        for r in 0..R {
            for c in 0..C {
                let mut sum = sums[r][c].sum();
                for tail in whole..part.end {
                    sum += (*rows[r].wrapping_add(tail)).single() * *columns[c].wrapping_add(tail);
                }
                let to = to.wrapping_add(r * stride + c);
                *to = if part.start == 0 { sum } else { *to + sum };
            }
        }
    }
}

/// `out [columns, width] += Rᵀ·X` for `X [x.count, width]`, `R [x.count, columns]`; `r.rows` counts the *columns* of R. The
/// rows ahead are asked from memory meanwhile, a cache line at a time: asked for all at once they would hold up the work.
///
/// # Safety
/// As [`scores`].
#[inline(always)]
pub(super) unsafe fn gather<L: Lanes, N: Number>(x: Tall<N>, r: View, width: usize, out: ViewMut) {
    let mut column = 0;
    while column < r.rows {
        let left = r.rows - column;
        let columns = match left {
            1..=3 => left,
            5 | 10 => 5,
            6 | 9 => 3,
            7 | 8 | 4 => 4,
            _ => 5,
        };
        // SAFETY: `column + columns ≤ r.rows`; the rest is the caller's promise.
        unsafe {
            let own = View { values: r.values.add(column), rows: columns, stride: r.stride };
            let to = ViewMut { values: out.values.add(column * out.stride), stride: out.stride };
            match (columns, const { many::<L>() }) {
                (1, _) => strips::<L, N, 1, 8>(x, own, width, to, column == 0),
                (2, false) => strips::<L, N, 2, 6>(x, own, width, to, column == 0),
                (3, false) => strips::<L, N, 3, 4>(x, own, width, to, column == 0),
                (4, false) => strips::<L, N, 4, 3>(x, own, width, to, column == 0),
                (_, false) => strips::<L, N, 5, 2>(x, own, width, to, column == 0),
                (2, true) => strips::<L, N, 2, 8>(x, own, width, to, column == 0),
                (3, true) => strips::<L, N, 3, 6>(x, own, width, to, column == 0),
                (4, true) => strips::<L, N, 4, 4>(x, own, width, to, column == 0),
                (_, true) => strips::<L, N, 5, 4>(x, own, width, to, column == 0),
            }
        }
        column += columns;
    }
}

/// All of the width for `C` columns, `V` registers at a time.
#[inline(always)]
unsafe fn strips<L: Lanes, N: Number, const C: usize, const V: usize>(
    x: Tall<N>,
    r: View,
    width: usize,
    out: ViewMut,
    ahead: bool,
) {
    let mut at = 0;
    // SAFETY: `at + V·WIDTH ≤ width`; the caller's promise for all of the width.
    unsafe {
        while at + V * L::WIDTH <= width {
            strip::<L, N, C, V>(x, r, at, out, ahead);
            at += V * L::WIDTH;
        }
        while at + L::WIDTH <= width {
            strip::<L, N, C, 1>(x, r, at, out, ahead);
            at += L::WIDTH;
        }
        for tail in at..width {
            for c in 0..C {
                let to = out.values.add(c * out.stride + tail);
                for row in 0..x.count {
                    let own = (*(*x.rows.add(row)).add(tail)).single();
                    *to += *r.values.add(row * r.stride + c) * own;
                }
            }
        }
    }
}

/// `C` columns × `V` registers over all rows.
#[inline(always)]
unsafe fn strip<L: Lanes, N: Number, const C: usize, const V: usize>(
    x: Tall<N>,
    r: View,
    at: usize,
    out: ViewMut,
    ahead: bool,
) {
    let mut columns = [out.values.wrapping_add(at); C];
    for c in 1..C {
        columns[c] = columns[c - 1].wrapping_add(out.stride);
    }
    // SAFETY: the caller's promise.
    unsafe {
        let mut sums = [[L::splat(0.0); V]; C];
        for c in 0..C {
            for v in 0..V {
                sums[c][v] = L::load(columns[c].wrapping_add(v * L::WIDTH));
            }
        }
        let mut factors = r.values;
        let (mut row, end) = (x.rows, x.rows.wrapping_add(x.count));
        let (mut later, line, length) = (x.ahead, LINE / size_of::<N>(), V * L::WIDTH);
        // Shorter than a line, and none starts here: another strip has asked for it.
        let asks = ahead && at.next_multiple_of(line) < at + length;
        while row < end {
            let own = (*row).wrapping_add(at);
            if asks {
                for part in 1..=length.div_ceil(line) {
                    L::prefetch((*later).wrapping_add(at + (part * line).min(length) - 1));
                }
                later = later.wrapping_add(1);
            }
            if V < C {
                let mut rows = [L::splat(0.0); V];
                for v in 0..V {
                    rows[v] = N::load(own.wrapping_add(v * L::WIDTH));
                }
                for c in 0..C {
                    let factor = L::splat(*factors.wrapping_add(c));
                    for v in 0..V {
                        sums[c][v] = sums[c][v].add_product(rows[v], factor);
                    }
                }
            } else {
                let mut factor = [L::splat(0.0); C];
                for c in 0..C {
                    factor[c] = L::splat(*factors.wrapping_add(c));
                }
                for v in 0..V {
                    let row = N::load(own.wrapping_add(v * L::WIDTH));
                    for c in 0..C {
                        sums[c][v] = sums[c][v].add_product(row, factor[c]);
                    }
                }
            }
            row = row.wrapping_add(1);
            factors = factors.wrapping_add(r.stride);
        }
        for c in 0..C {
            for v in 0..V {
                sums[c][v].store(columns[c].wrapping_add(v * L::WIDTH));
            }
        }
    }
}

/// `Σ a·b`.
///
/// # Safety
/// The CPU has the features of `L`, and both are valid for `count` numbers.
#[inline(always)]
pub(super) unsafe fn dot<L: Lanes>(a: *const f32, b: *const f32, count: usize) -> f32 {
    let strip = 4 * L::WIDTH;
    let whole = count - count % strip;
    // SAFETY: offsets stay below `count`.
    unsafe {
        let mut sums = [L::splat(0.0); 4];
        let mut at = 0usize;
        while at < whole {
            for lane in 0..4usize {
                let from = at.wrapping_add(lane * L::WIDTH);
                sums[lane] =
                    sums[lane].add_product(L::load(a.wrapping_add(from)), L::load(b.wrapping_add(from)));
            }
            at = at.wrapping_add(strip);
        }
        let [first, second, third, fourth] = sums;
        let mut sum = (first.sum() + second.sum()) + (third.sum() + fourth.sum());
        for tail in whole..count {
            sum += *a.wrapping_add(tail) * *b.wrapping_add(tail);
        }
        sum
    }
}

/// `to += factor·from`.
///
/// # Safety
/// As [`dot`]; `to` is valid for writes and does not overlap `from`.
#[inline(always)]
pub(super) unsafe fn add_scaled<L: Lanes>(to: *mut f32, factor: f32, from: *const f32, count: usize) {
    let whole = count - count % L::WIDTH;
    // SAFETY: offsets stay below `count`.
    unsafe {
        let wide = L::splat(factor);
        let mut at = 0usize;
        while at < whole {
            let own = to.wrapping_add(at);
            L::load(own).add_product(wide, L::load(from.wrapping_add(at))).store(own);
            at = at.wrapping_add(L::WIDTH);
        }
        for tail in whole..count {
            *to.wrapping_add(tail) += factor * *from.wrapping_add(tail);
        }
    }
}
