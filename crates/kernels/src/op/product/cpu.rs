//! Multiplies matrices on the processor, of the sizes that small networks have.
//!
//! Half of a training step is spent here. A tile of the output, six rows of two vectors, stays in registers while rows
//! of `b` pass where they lie; it begins as the bias, and can end as max(x, 0), so that neither goes through memory
//! once more. Libraries for large matrices copy `a` and `b` instead, since their parts are used often enough. Here
//! copies of `b` took a tenth of a step, and the products of 16 rows with the transpose of a weight of 128 x 128 ran at
//! half their rate. With copies of `a`, products with 32 columns ran at 84 GFLOP/s on one core, and run at 105 without.
//!
//! Each number of the output is one sum, added up from its start in one order by fused multiply-adds, however many rows
//! and columns there are beside it: rows do not depend on how many are computed together.

use crate::{memory::Buffer, source::Source};
use pulp::{Arch, Simd, WithSimd};
use std::ops::Range;

/// Rows of a tile. With two vectors a row, 12 sums are in flight: more than the 8 to 10 that two units with a latency
/// of 4 to 5 need, and they fit into 16 registers beside what is multiplied.
const TILE: usize = 6;

/// Rows of `a`, if it is by rows, that meet all of `b` before the next ones do: 12 KB of 64 numbers each.
const ROWS: usize = 48;

/// The largest part of a sum that is added up at once: 16 KB of two vectors of 8, which meet many tiles.
const DEPTH: usize = 256;

/// The same where `a` is by columns: all tiles go through this part of `a` and `b`, 32 KB each of 64 numbers.
const DEPTH_OF_COLUMNS: usize = 128;

/// A view of a matrix.
#[derive(Clone, Copy)]
pub(crate) struct Matrix<'a> {
    values: &'a [f32],
    rows: usize,
    columns: usize,
    /// Whether the values are columns, not rows.
    by_columns: bool,
    /// From one row, or column, to the next.
    stride: usize,
}

impl<'a> Matrix<'a> {
    /// Rows one after the other.
    pub(crate) fn new(values: &'a [f32], rows: usize, columns: usize) -> Self {
        assert_eq!(values.len(), rows * columns, "values of a {rows} x {columns} matrix");
        Self { values, rows, columns, by_columns: false, stride: columns }
    }

    /// Rows that begin `stride` numbers after each other. They may overlap, and the values may go on behind them.
    pub(crate) fn strided(values: &'a [f32], rows: usize, columns: usize, stride: usize) -> Self {
        let end = if rows == 0 { 0 } else { (rows - 1) * stride + columns };
        assert!(end <= values.len(), "values of a {rows} x {columns} matrix with rows {stride} apart");
        Self { values, rows, columns, by_columns: false, stride }
    }

    pub(crate) fn transposed(self) -> Self {
        Self { rows: self.columns, columns: self.rows, by_columns: !self.by_columns, ..self }
    }

    /// Some of the rows of a matrix that is not transposed.
    pub(crate) fn rows(values: &'a [f32], first: usize, rows: usize, columns: usize) -> Self {
        Self::new(&values[first * columns..(first + rows) * columns], rows, columns)
    }
}

/// What a product, or a sum, is added to.
#[derive(Clone, Copy)]
pub(crate) enum Start<'a> {
    /// Nothing. What is in the output is not read, and may be anything.
    Zero,
    /// What is in the output.
    There,
    /// What each row sees of these.
    Rows(Source<'a>),
}

/// start + a b or, with `relu`, max(start + a b, 0), rows one after the other.
pub(crate) struct Product<'a> {
    pub(crate) a: Matrix<'a>,
    pub(crate) b: Matrix<'a>,
    pub(crate) start: Start<'a>,
    pub(crate) relu: bool,
}

impl<'a> Product<'a> {
    /// a b.
    pub(crate) fn new(a: Matrix<'a>, b: Matrix<'a>) -> Self {
        Self { a, b, start: Start::Zero, relu: false }
    }

    pub(crate) fn write(self, out: &mut [f32]) {
        let (rows, columns) = (self.a.rows, self.b.columns);
        assert_eq!(out.len(), rows * columns, "values of a product");
        self.write_strided(out, columns);
    }

    /// Into rows that begin `stride` numbers after each other.
    pub(crate) fn write_strided(self, out: &mut [f32], stride: usize) {
        let Self { a, b, start, relu } = self;
        assert_eq!(a.columns, b.rows, "inner dimensions of a product");
        assert!(a.columns > 0, "a product has something to add up");
        assert!(!a.by_columns || a.stride == a.rows, "columns of a first factor lie one after the other");
        if let Start::Rows(rows) = start {
            assert_eq!(rows.width, b.columns, "columns of what a product is added to");
        }
        // Where b would be transposed for a few rows of a, it is cheaper to transpose these and the output: (b' a')'.
        let fewer_copies = a.rows * (a.columns + b.columns) < a.columns * b.columns;
        if fewer_copies && b.by_columns && !a.by_columns && !relu && matches!(start, Start::Zero) {
            let mut transposed = Buffer::new(a.rows * b.columns);
            Product::new(b.transposed(), a.transposed()).write(&mut transposed);
            for (i, row) in out.chunks_mut(stride).take(a.rows).enumerate() {
                for (j, value) in row[..b.columns].iter_mut().enumerate() {
                    *value = transposed[j * a.rows + i];
                }
            }
            return;
        }
        Arch::new().dispatch(Written { product: self, out, stride });
    }
}

/// A product and where it goes.
struct Written<'a, 'o> {
    product: Product<'a>,
    out: &'o mut [f32],
    stride: usize,
}

impl WithSimd for Written<'_, '_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let Product { a, b, start, relu } = self.product;
        let (columns, width) = (b.columns, 2 * S::F32_LANES);
        let (depth, row_block) = if a.by_columns { (DEPTH_OF_COLUMNS, a.rows) } else { (DEPTH, ROWS) };
        let in_place = if b.by_columns || b.stride != columns { 0 } else { columns / width * width };
        for first in (0..a.columns).step_by(depth) {
            let terms = first..(first + depth).min(a.columns);
            let packed = packed(b, terms.clone(), in_place, width);
            let (start, relu) = (if first == 0 { start } else { Start::There }, relu && terms.end == a.columns);
            for rows in (0..a.rows).step_by(row_block).map(|row| row..(row + row_block).min(a.rows)) {
                for column in (0..columns).step_by(width) {
                    let b = if column < in_place {
                        Panel { values: &b.values[terms.start * columns..], stride: columns, from: column }
                    } else {
                        Panel { values: &packed[(column - in_place) * terms.len()..], stride: width, from: 0 }
                    };
                    let end = (column + width).min(columns);
                    let (terms, columns) = (terms.clone(), column..end);
                    let tile = Tile { a, b, terms, columns, stride: self.stride, start, relu };
                    match (a.by_columns, end - column > S::F32_LANES) {
                        (false, false) => tile.rows::<S, 1, false>(simd, rows.clone(), self.out),
                        (false, true) => tile.rows::<S, 2, false>(simd, rows.clone(), self.out),
                        (true, false) => tile.rows::<S, 1, true>(simd, rows.clone(), self.out),
                        (true, true) => tile.rows::<S, 2, true>(simd, rows.clone(), self.out),
                    }
                }
            }
        }
    }
}

/// The columns of b from `first` on, of these rows, in panels of `width` columns, the last of which ends with zeros.
#[inline(always)]
fn packed(b: Matrix<'_>, rows: Range<usize>, first: usize, width: usize) -> Buffer {
    let panels = (b.columns - first).div_ceil(width);
    let mut packed = Buffer::new(panels * rows.len() * width);
    if panels == 0 {
        return packed;
    }
    for (panel, values) in packed.chunks_exact_mut(rows.len() * width).enumerate() {
        let from = first + panel * width;
        let columns = width.min(b.columns - from);
        if columns < width {
            values.fill(0.0);
        }
        if b.by_columns {
            for j in 0..columns {
                let column = &b.values[(from + j) * b.stride..][rows.clone()];
                for (row, value) in values.chunks_exact_mut(width).zip(column) {
                    row[j] = *value;
                }
            }
        } else {
            for (values, row) in values.chunks_exact_mut(width).zip(rows.clone()) {
                values[..columns].copy_from_slice(&b.values[row * b.stride + from..][..columns]);
            }
        }
    }
    packed
}

/// The columns of b that a tile meets, row after row.
struct Panel<'a> {
    values: &'a [f32],
    stride: usize,
    /// Where the columns begin in a row.
    from: usize,
}

/// A part of all sums of some columns of the output. Its functions have the order of a as a constant C, whether it is
/// by columns: with both orders in one function the sums do not stay in registers.
struct Tile<'a> {
    a: Matrix<'a>,
    b: Panel<'a>,
    /// The columns of a and rows of b.
    terms: Range<usize>,
    columns: Range<usize>,
    /// From one row of the output to the next.
    stride: usize,
    start: Start<'a>,
    relu: bool,
}

impl Tile<'_> {
    /// In these rows; V vectors hold a row's columns.
    #[inline(always)]
    fn rows<S: Simd, const V: usize, const C: bool>(&self, simd: S, rows: Range<usize>, out: &mut [f32]) {
        let mut row = rows.start;
        while row + TILE <= rows.end {
            self.compute::<S, TILE, V, C>(simd, row, out);
            row += TILE;
        }
        match rows.end - row {
            1 => self.compute::<S, 1, V, C>(simd, row, out),
            2 => self.compute::<S, 2, V, C>(simd, row, out),
            3 => self.compute::<S, 3, V, C>(simd, row, out),
            4 => self.compute::<S, 4, V, C>(simd, row, out),
            5 => self.compute::<S, 5, V, C>(simd, row, out),
            _ => {}
        }
    }

    #[inline(always)]
    fn compute<S: Simd, const R: usize, const V: usize, const C: bool>(&self, simd: S, row: usize, out: &mut [f32]) {
        let Self { columns, stride, .. } = self;
        let place = |r: usize| (row + r) * stride + columns.start..(row + r) * stride + columns.end;
        // Loops, where functions of arrays would do: these are not always inlined, and then not compiled for the
        // processor.
        let mut sums = [[simd.splat_f32s(0.0); V]; R];
        for (r, sums) in sums.iter_mut().enumerate() {
            match self.start {
                Start::Zero => {}
                Start::There => load::<S, V>(simd, &out[place(r)], sums),
                Start::Rows(rows) => load::<S, V>(simd, &rows.row(row + r)[columns.clone()], sums),
            }
        }
        sums = self.added::<S, R, V, C>(simd, row, sums);
        for (r, sums) in sums.iter_mut().enumerate() {
            if self.relu {
                for sum in &mut *sums {
                    // In this order x86 keeps what is no number.
                    *sum = simd.max_f32s(simd.splat_f32s(0.0), *sum);
                }
            }
            store::<S, V>(simd, sums, &mut out[place(r)]);
        }
    }

    /// The sums with these terms. By value: they stay in registers if nothing else sees where they are.
    #[inline(always)]
    fn added<S: Simd, const R: usize, const V: usize, const C: bool>(
        &self,
        simd: S,
        row: usize,
        mut sums: [[S::f32s; V]; R],
    ) -> [[S::f32s; V]; R] {
        let Self { a, b, terms, .. } = self;
        let width = V * S::F32_LANES;
        // Parts of one length, so that what is read of them is compared with it once and not for each term.
        let rows_of_b = b.values.chunks_exact(b.stride);
        let columns_of_b = b.from..b.from + width;
        if C {
            let rows_of_a = a.values[terms.start * a.stride..terms.end * a.stride].chunks_exact(a.stride);
            for (a, b) in rows_of_a.zip(rows_of_b) {
                let (a, (b, _)) = (&a[row..row + R], S::as_simd_f32s(&b[columns_of_b.clone()]));
                for r in 0..R {
                    let a = simd.splat_f32s(a[r]);
                    for v in 0..V {
                        sums[r][v] = multiply_add(simd, a, b[v], sums[r][v]);
                    }
                }
            }
        } else {
            let mut rows: [&[f32]; R] = [&[]; R];
            for (r, terms_of_a) in rows.iter_mut().enumerate() {
                *terms_of_a = &a.values[(row + r) * a.stride + terms.start..][..terms.len()];
            }
            for (term, b) in (0..terms.len()).zip(rows_of_b) {
                let (b, _) = S::as_simd_f32s(&b[columns_of_b.clone()]);
                for r in 0..R {
                    let a = simd.splat_f32s(rows[r][term]);
                    for v in 0..V {
                        sums[r][v] = multiply_add(simd, a, b[v], sums[r][v]);
                    }
                }
            }
        }
        sums
    }
}

/// a b + c, rounded once where the processor can.
#[inline(always)]
fn multiply_add<S: Simd>(simd: S, a: S::f32s, b: S::f32s, c: S::f32s) -> S::f32s {
    if S::IS_SCALAR {
        // Without the instruction a fused multiply-add is a function of some hundred operations.
        simd.add_f32s(simd.mul_f32s(a, b), c)
    } else {
        simd.mul_add_e_f32s(a, b, c)
    }
}

/// As many numbers as there are, then zeros.
#[inline(always)]
fn load<S: Simd, const V: usize>(simd: S, values: &[f32], sums: &mut [S::f32s; V]) {
    let (whole, rest) = S::as_simd_f32s(values);
    for (v, sum) in sums.iter_mut().enumerate() {
        *sum = match whole.get(v) {
            Some(whole) => *whole,
            None => simd.partial_load_f32s(rest),
        };
    }
}

#[inline(always)]
fn store<S: Simd, const V: usize>(simd: S, sums: &[S::f32s; V], out: &mut [f32]) {
    let (whole, rest) = S::as_mut_simd_f32s(out);
    for (v, sum) in sums.iter().enumerate() {
        match whole.get_mut(v) {
            Some(whole) => *whole = *sum,
            None => simd.partial_store_f32s(rest, *sum),
        }
    }
}

/// The transpose of a matrix of so many columns.
pub(crate) fn transpose(values: &[f32], transposed: &mut [f32], columns: usize) {
    let rows = values.len() / columns;
    for (i, row) in values.chunks_exact(columns).enumerate() {
        for (j, value) in row.iter().enumerate() {
            transposed[j * rows + i] = *value;
        }
    }
}
