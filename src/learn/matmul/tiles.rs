//! The two products of a pass as register tiles, written once for every kind of register.
//!
//! At most twelve accumulators, so that with operands they fit the sixteen registers of AVX2; of NEON's thirty-two
//! the rest lets loads run ahead. Plain loops and no closures: a closure would not inherit the CPU features.

#![allow(clippy::needless_range_loop, reason = "indices of registers, in step over several arrays")]

use std::hint::black_box;

use super::lanes::Lanes;

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

/// `out [x.rows, w.rows] = X·Wᵀ` for `X [x.rows, width]`, `W [w.rows, width]`.
///
/// # Safety
/// The CPU has the features of `L`, and each view is valid for its rows of `width` (`out`: of `w.rows`) numbers,
/// `stride` apart; `out` overlaps no other.
#[inline(always)]
pub(super) unsafe fn scores<L: Lanes>(x: View, w: View, width: usize, out: ViewMut) {
    let mut column = 0;
    while column < w.rows {
        let left = w.rows - column;
        // 10 columns go as 4 + 3 + 3, five as 3 + 2: no tile is left with a single column that others could share.
        let columns = match left {
            1..=3 => left,
            5 | 6 | 9 => 3,
            _ => 4,
        };
        let tile =
            View { values: unsafe { w.values.add(column * w.stride) }, rows: columns, stride: w.stride };
        let to = ViewMut { values: unsafe { out.values.add(column) }, stride: out.stride };
        // SAFETY: `column + columns ≤ w.rows`; the rest is the caller's promise.
        unsafe {
            match columns {
                1 => rows_of::<L, 6, 1>(x, tile, width, to),
                2 => rows_of::<L, 4, 2>(x, tile, width, to),
                3 => rows_of::<L, 4, 3>(x, tile, width, to),
                _ => rows_of::<L, 3, 4>(x, tile, width, to),
            }
        }
        column += columns;
    }
}

/// All rows against `C` columns, `R` rows at a time.
#[inline(always)]
unsafe fn rows_of<L: Lanes, const R: usize, const C: usize>(x: View, w: View, width: usize, out: ViewMut) {
    let mut row = 0;
    // SAFETY: `row + R ≤ x.rows` (or one row below `x.rows`), the caller's promise for all rows.
    unsafe {
        while row + R <= x.rows {
            dots::<L, R, C>(
                x.values.add(row * x.stride),
                x.stride,
                w,
                width,
                out.values.add(row * out.stride),
                out,
            );
            row += R;
        }
        while row < x.rows {
            dots::<L, 1, C>(
                x.values.add(row * x.stride),
                x.stride,
                w,
                width,
                out.values.add(row * out.stride),
                out,
            );
            row += 1;
        }
    }
}

/// `R × C` dot products.
#[inline(always)]
unsafe fn dots<L: Lanes, const R: usize, const C: usize>(
    x: *const f32,
    x_stride: usize,
    w: View,
    width: usize,
    to: *mut f32,
    out: ViewMut,
) {
    let whole = width - width % L::COUNT;
    let mut rows = [x; R];
    for r in 1..R {
        rows[r] = rows[r - 1].wrapping_add(x_stride);
    }
    let mut columns = [w.values; C];
    for c in 1..C {
        columns[c] = columns[c - 1].wrapping_add(w.stride);
    }
    // SAFETY: offsets stay below `width` in each row; the caller's promise.
    unsafe {
        let mut sums = [[L::splat(0.0); C]; R];
        let mut at = 0usize;
        while at < whole {
            let mut own = [L::splat(0.0); R];
            for r in 0..R {
                own[r] = L::load(rows[r].wrapping_add(at));
            }
            for c in 0..C {
                let column = L::load(columns[c].wrapping_add(at));
                for r in 0..R {
                    sums[r][c] = sums[r][c].add_product(own[r], column);
                }
            }
            at = at.wrapping_add(L::COUNT);
        }
        for r in 0..R {
            for c in 0..C {
                let mut sum = sums[r][c].sum();
                for tail in whole..width {
                    sum += *rows[r].wrapping_add(tail) * *columns[c].wrapping_add(tail);
                }
                *to.wrapping_add(r * out.stride + c) = sum;
            }
        }
    }
}

/// `out [columns, width] += Rᵀ·X` for `X [x.rows, width]`, `R [x.rows, columns]`; `r.rows` counts the *columns* of R.
///
/// # Safety
/// As [`scores`].
#[inline(always)]
pub(super) unsafe fn gather<L: Lanes>(x: View, r: View, width: usize, out: ViewMut) {
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
        let own = View { values: unsafe { r.values.add(column) }, rows: columns, stride: r.stride };
        let to = ViewMut { values: unsafe { out.values.add(column * out.stride) }, stride: out.stride };
        // SAFETY: `column + columns ≤ r.rows`; the rest is the caller's promise.
        unsafe {
            match columns {
                1 => strips::<L, 1, 8>(x, own, width, to),
                2 => strips::<L, 2, 5>(x, own, width, to),
                3 => strips::<L, 3, 4>(x, own, width, to),
                4 => strips::<L, 4, 3>(x, own, width, to),
                _ => strips::<L, 5, 2>(x, own, width, to),
            }
        }
        column += columns;
    }
}

/// All of the width for `C` columns, `V` registers at a time.
#[inline(always)]
unsafe fn strips<L: Lanes, const C: usize, const V: usize>(x: View, r: View, width: usize, out: ViewMut) {
    let mut at = 0;
    // SAFETY: `at + V·COUNT ≤ width`; the caller's promise for all of the width.
    unsafe {
        while at + V * L::COUNT <= width {
            strip::<L, C, V>(x, r, at, out);
            at += V * L::COUNT;
        }
        while at + L::COUNT <= width {
            strip::<L, C, 1>(x, r, at, out);
            at += L::COUNT;
        }
        for tail in at..width {
            for c in 0..C {
                let to = out.values.add(c * out.stride + tail);
                for row in 0..x.rows {
                    *to += *r.values.add(row * r.stride + c) * *x.values.add(row * x.stride + tail);
                }
            }
        }
    }
}

/// `C` columns × `V` registers over all rows.
#[inline(always)]
unsafe fn strip<L: Lanes, const C: usize, const V: usize>(x: View, r: View, at: usize, out: ViewMut) {
    let mut columns = [out.values.wrapping_add(at); C];
    for c in 1..C {
        columns[c] = columns[c - 1].wrapping_add(out.stride);
    }
    // SAFETY: the caller's promise.
    unsafe {
        let mut sums = [[L::splat(0.0); V]; C];
        for c in 0..C {
            for v in 0..V {
                sums[c][v] = L::load(columns[c].wrapping_add(v * L::COUNT));
            }
        }
        let (mut own, mut factors) = (x.values.wrapping_add(at), r.values);
        let end = factors.wrapping_add(x.rows * r.stride);
        while factors < end {
            let mut rows = [L::splat(0.0); V];
            for v in 0..V {
                rows[v] = L::load(own.wrapping_add(v * L::COUNT));
            }
            for c in 0..C {
                let factor = L::splat(*factors.wrapping_add(c));
                for v in 0..V {
                    sums[c][v] = sums[c][v].add_product(rows[v], factor);
                }
            }
            own = own.wrapping_add(x.stride);
            factors = factors.wrapping_add(r.stride);
        }
        for c in 0..C {
            for v in 0..V {
                sums[c][v].store(columns[c].wrapping_add(v * L::COUNT));
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
    let strip = 4 * L::COUNT;
    let whole = count - count % strip;
    // SAFETY: offsets stay below `count`.
    unsafe {
        let mut sums = [L::splat(0.0); 4];
        let mut at = 0usize;
        while at < whole {
            for lane in 0..4usize {
                let from = at.wrapping_add(lane * L::COUNT);
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
    let whole = count - count % L::COUNT;
    // SAFETY: offsets stay below `count`.
    unsafe {
        let wide = L::splat(factor);
        let mut at = 0usize;
        while at < whole {
            let own = to.wrapping_add(at);
            L::load(own).add_product(wide, L::load(from.wrapping_add(at))).store(own);
            at = at.wrapping_add(L::COUNT);
        }
        for tail in whole..count {
            *to.wrapping_add(tail) += factor * *from.wrapping_add(tail);
        }
    }
}

/// `rounds` times twelve independent multiplications and additions a lane, all in registers: what the CPU can do at
/// most. Gives a sum that depends on all.
///
/// # Safety
/// The CPU has the features of `L`.
#[inline(always)]
pub(super) unsafe fn spin<L: Lanes>(rounds: usize) -> f32 {
    // SAFETY: the caller's promise.
    unsafe {
        // Numbers that the compiler does not know, all different, or it would compute one sum or none.
        let (a, b) = (L::splat(black_box(0.999_999)), L::splat(black_box(1e-6)));
        let mut sums = [b; 12];
        for at in 0..12 {
            sums[at] = L::splat(black_box(at as f32));
        }
        for _ in 0..rounds {
            for at in 0..12 {
                sums[at] = b.add_product(sums[at], a);
            }
        }
        let mut total = 0.0;
        for at in 0..12 {
            total += sums[at].sum();
        }
        total
    }
}
