//! Matrix products on borrowed slices through `matrixmultiply`: Gram matrices, factors, wide heads.
//!
//! [`Matrix`] and [`MatrixMut`] are bounds-checked views; every product goes through [`multiply`].

use std::ops::{AddAssign, Range};

/// A read-only view `[rows, columns]` of a slice.
#[derive(Clone, Copy)]
pub(crate) struct Matrix<'a, T> {
    values: &'a [T],
    rows: usize,
    columns: usize,
    row_stride: usize,
    column_stride: usize,
}

/// A writable row-major view `[rows, columns]` of a slice.
pub(crate) struct MatrixMut<'a, T> {
    values: &'a mut [T],
    rows: usize,
    columns: usize,
    row_stride: usize,
}

/// Elements from the first to just past the last of a view; what its slice must at least hold.
fn extent(rows: usize, columns: usize, row_stride: usize, column_stride: usize) -> usize {
    if rows == 0 || columns == 0 {
        return 0;
    }
    let last = (rows - 1)
        .checked_mul(row_stride)
        .and_then(|row| (columns - 1).checked_mul(column_stride).and_then(|column| row.checked_add(column)));
    last.and_then(|last| last.checked_add(1)).expect("a matrix view that fits the address space")
}

impl<'a, T> Matrix<'a, T> {
    /// A dense row-major matrix.
    pub(crate) fn new(values: &'a [T], rows: usize, columns: usize) -> Self {
        Self::strided(values, rows, columns, columns)
    }

    /// A row-major matrix whose rows start every `row_stride` elements.
    pub(crate) fn strided(values: &'a [T], rows: usize, columns: usize, row_stride: usize) -> Self {
        assert!(extent(rows, columns, row_stride, 1) <= values.len(), "matrix view past its slice");
        Self { values, rows, columns, row_stride, column_stride: 1 }
    }

    /// The transpose, without copying.
    pub(crate) fn transposed(self) -> Self {
        Self {
            rows: self.columns,
            columns: self.rows,
            row_stride: self.column_stride,
            column_stride: self.row_stride,
            ..self
        }
    }

    /// Some rows and columns of it.
    fn part(self, rows: Range<usize>, columns: Range<usize>) -> Self {
        let from = rows.start * self.row_stride + columns.start * self.column_stride;
        let values = &self.values[from.min(self.values.len())..];
        Self { values, rows: rows.len(), columns: columns.len(), ..self }
    }

    /// The same matrix with its rows in one piece each, in `room` if they are not: `matrixmultiply` is slow to pack
    /// others, and would do so again for every piece.
    pub(crate) fn row_major<'b>(self, room: &'b mut Vec<T>) -> Matrix<'b, T>
    where
        'a: 'b,
        T: Copy + Default,
    {
        /// What fits the L1 cache twice.
        const TILE: usize = 16;
        if self.column_stride == 1 {
            return self;
        }
        room.resize(self.rows * self.columns, T::default());
        for top in (0..self.rows).step_by(TILE) {
            for left in (0..self.columns).step_by(TILE) {
                for row in top..(top + TILE).min(self.rows) {
                    for column in left..(left + TILE).min(self.columns) {
                        room[row * self.columns + column] =
                            self.values[row * self.row_stride + column * self.column_stride];
                    }
                }
            }
        }
        Matrix::new(room, self.rows, self.columns)
    }
}

impl<'a, T> MatrixMut<'a, T> {
    /// A dense row-major matrix.
    pub(crate) fn new(values: &'a mut [T], rows: usize, columns: usize) -> Self {
        Self::strided(values, rows, columns, columns)
    }

    /// A row-major matrix whose rows start every `row_stride` elements and do not overlap.
    pub(crate) fn strided(values: &'a mut [T], rows: usize, columns: usize, row_stride: usize) -> Self {
        assert!(rows <= 1 || row_stride >= columns, "rows of a writable matrix must not overlap");
        assert!(extent(rows, columns, row_stride, 1) <= values.len(), "matrix view past its slice");
        Self { values, rows, columns, row_stride }
    }

    /// Some rows and columns of it.
    fn part(&mut self, rows: Range<usize>, columns: Range<usize>) -> MatrixMut<'_, T> {
        let from = (rows.start * self.row_stride + columns.start).min(self.values.len());
        let values = &mut self.values[from..];
        MatrixMut { values, rows: rows.len(), columns: columns.len(), row_stride: self.row_stride }
    }
}

/// The two element types that the kernels know.
pub(crate) trait Real: Copy + Default + Send + Sync + 'static {
    /// Multiplications of one piece of work: a few milliseconds on a small board.
    const PIECE: usize;

    /// `C ← alpha·A·B + beta·C` on shapes and bounds that [`multiply`] has checked.
    fn kernel(alpha: Self, a: Matrix<Self>, b: Matrix<Self>, beta: Self, c: MatrixMut<Self>);
}

macro_rules! real {
    ($type:ty, $gemm:path, $piece:literal) => {
        impl Real for $type {
            const PIECE: usize = $piece;

            fn kernel(alpha: Self, a: Matrix<Self>, b: Matrix<Self>, beta: Self, c: MatrixMut<Self>) {
                // SAFETY: the views were bounds-checked when they were made (`extent`), `multiply` has checked
                // that the shapes agree, rows of `c` do not overlap, and `c` is a unique borrow, so it aliases
                // neither `a` nor `b`. Strides are slice lengths and so fit `isize`.
                #[allow(unsafe_code)]
                unsafe {
                    $gemm(
                        a.rows,
                        a.columns,
                        b.columns,
                        alpha,
                        a.values.as_ptr(),
                        a.row_stride as isize,
                        a.column_stride as isize,
                        b.values.as_ptr(),
                        b.row_stride as isize,
                        b.column_stride as isize,
                        beta,
                        c.values.as_mut_ptr(),
                        c.row_stride as isize,
                        1,
                    );
                }
            }
        }
    };
}
real!(f32, matrixmultiply::sgemm, 8_000_000);
real!(f64, matrixmultiply::dgemm, 4_000_000);

/// `C ← alpha·A·B + beta·C`. With `beta` zero, `C` is written without being read.
///
/// # Panics
/// When the shapes do not agree: `A [m, k]`, `B [k, n]`, `C [m, n]`.
pub(crate) fn multiply<T: Real>(alpha: T, a: Matrix<T>, b: Matrix<T>, beta: T, c: MatrixMut<T>) {
    assert!(
        a.columns == b.rows && c.rows == a.rows && c.columns == b.columns,
        "shapes [{}, {}]·[{}, {}] → [{}, {}] do not agree",
        a.rows,
        a.columns,
        b.rows,
        b.columns,
        c.rows,
        c.columns
    );
    if c.rows == 0 || c.columns == 0 {
        return;
    }
    T::kernel(alpha, a, b, beta, c);
}

/// Rows and columns of `B` that are worked on together: what `matrixmultiply` packs for each piece.
const DEPTH: usize = 256;
const PANEL: usize = 256;

/// [`multiply`] in pieces of [`Real::PIECE`] multiplications; `proceed` is asked before each, and its error ends the work.
///
/// # Errors
/// That of `proceed`; `c` is then partly done.
pub(crate) fn multiply_in_pieces<T: Real + From<u8>, E>(
    alpha: T,
    a: Matrix<T>,
    b: Matrix<T>,
    beta: T,
    mut c: MatrixMut<T>,
    proceed: &mut dyn FnMut() -> Result<(), E>,
) -> Result<(), E> {
    assert!(c.rows == a.rows && c.columns == b.columns && b.rows == a.columns, "shapes that agree");
    let mut copy = Vec::new();
    for left in (0..b.columns).step_by(PANEL) {
        let width = PANEL.min(b.columns - left);
        let mut inner = 0;
        while inner == 0 || inner < a.columns {
            let depth = DEPTH.min(a.columns - inner);
            let right = b.part(inner..inner + depth, left..left + width).row_major(&mut copy);
            let beta = if inner == 0 { beta } else { T::from(1u8) };
            let step = (T::PIECE / (depth * width).max(1)).clamp(8, a.rows.max(8));
            for start in (0..a.rows).step_by(step) {
                proceed()?;
                let end = (start + step).min(a.rows);
                let own = a.part(start..end, inner..inner + depth);
                multiply(alpha, own, right, beta, c.part(start..end, left..left + width));
            }
            inner += DEPTH;
        }
    }
    Ok(())
}

/// Adds `alpha·A·Aᵀ`, `a [n, k]`, to the lower triangle of `g [n, n]`, whose rows start every `stride` elements. What lies
/// above its diagonal stays as it is.
///
/// Works in block columns so that only about half of the full product is computed.
///
/// # Errors
/// As [`multiply_in_pieces`].
pub(crate) fn add_gram_lower<T: Real + From<u8> + AddAssign, E>(
    alpha: T,
    a: Matrix<T>,
    g: &mut [T],
    stride: usize,
    proceed: &mut dyn FnMut() -> Result<(), E>,
) -> Result<(), E> {
    const BLOCK: usize = 96;
    let n = a.rows;
    let part = |start: usize, rows: usize| {
        let from = (start * a.row_stride).min(a.values.len());
        Matrix { values: &a.values[from..], rows, ..a }
    };
    let mut square = vec![T::default(); BLOCK.min(n).pow(2)];
    for start in (0..n).step_by(BLOCK) {
        let width = BLOCK.min(n - start);
        let end = start + width;
        let own = part(start, width);
        let on_diagonal = MatrixMut::new(&mut square, width, width);
        multiply_in_pieces(alpha, own, own.transposed(), T::default(), on_diagonal, proceed)?;
        for (row, sums) in square.chunks_exact(width).take(width).enumerate() {
            let to = (start + row) * stride + start;
            g[to..=to + row].iter_mut().zip(sums).for_each(|(to, sum)| *to += *sum);
        }
        if end < n {
            let below = MatrixMut::strided(&mut g[end * stride + start..], n - end, width, stride);
            multiply_in_pieces(alpha, part(end, n - end), own.transposed(), T::from(1u8), below, proceed)?;
        }
    }
    Ok(())
}

/// Copies the lower triangle of `g [n, n]` onto the upper one.
pub(crate) fn mirror_lower(g: &mut [f64], n: usize) {
    for row in 1..n {
        for column in 0..row {
            g[column * n + row] = g[row * n + column];
        }
    }
}
