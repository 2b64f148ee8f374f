//! Multiplies matrices on the processor, of the sizes that small networks have.
//!
//! Half of a training step is spent here. A tile of the output, six rows of two vectors, stays in registers while rows
//! of `b` pass where they lie; it begins as the bias, and can end as max(x, 0), so that neither goes through memory
//! once more. Libraries for large matrices copy `b` instead, since its parts are used often enough; here such copies
//! took a tenth of a step, and the products of 16 rows with the transpose of a weight of 128 x 128 ran at half their
//! rate.
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

/// The same where `a` is by columns: all tiles go through this part of `a` and `b`, 16 KB each of 64 numbers.
const DEPTH_OF_COLUMNS: usize = 64;

/// A view of a matrix.
#[derive(Clone, Copy)]
pub(crate) struct Matrix<'a> {
    values: &'a [f32],
    rows: usize,
    columns: usize,
    /// Whether the values are columns one after the other, not rows.
    by_columns: bool,
}

impl<'a> Matrix<'a> {
    /// Rows one after the other.
    pub(crate) fn new(values: &'a [f32], rows: usize, columns: usize) -> Self {
        assert_eq!(values.len(), rows * columns, "values of a {rows} x {columns} matrix");
        Self { values, rows, columns, by_columns: false }
    }

    /// The values as they lie.
    pub(crate) fn values(self) -> &'a [f32] {
        self.values
    }

    pub(crate) fn transposed(self) -> Self {
        Self { values: self.values, rows: self.columns, columns: self.rows, by_columns: !self.by_columns }
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
        let Self { a, b, start, relu } = self;
        assert_eq!(a.columns, b.rows, "inner dimensions of a product");
        assert!(a.columns > 0, "a product has something to add up");
        assert_eq!(out.len(), a.rows * b.columns, "values of a product");
        if let Start::Rows(rows) = start {
            assert_eq!(rows.width, b.columns, "columns of what a product is added to");
        }
        // Where b would be transposed for a few rows of a, it is cheaper to transpose these and the output: (b' a')'.
        let fewer_copies = a.rows * (a.columns + b.columns) < a.columns * b.columns;
        if fewer_copies && b.by_columns && !a.by_columns && !relu && matches!(start, Start::Zero) {
            let mut transposed = Buffer::new(out.len());
            Product::new(b.transposed(), a.transposed()).write(&mut transposed);
            for (i, row) in out.chunks_exact_mut(b.columns).enumerate() {
                for (j, value) in row.iter_mut().enumerate() {
                    *value = transposed[j * a.rows + i];
                }
            }
            return;
        }
        Arch::new().dispatch(Written { product: self, out });
    }
}

/// A product and where it goes.
struct Written<'a, 'o> {
    product: Product<'a>,
    out: &'o mut [f32],
}

impl WithSimd for Written<'_, '_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let Product { a, b, start, relu } = self.product;
        let (columns, width) = (b.columns, 2 * S::F32_LANES);
        let (depth, row_block) = if a.by_columns { (DEPTH_OF_COLUMNS, a.rows) } else { (DEPTH, ROWS) };
        let in_place = if b.by_columns { 0 } else { columns / width * width };
        for first in (0..a.columns).step_by(depth) {
            let terms = first..(first + depth).min(a.columns);
            let packed = packed(b, terms.clone(), in_place, width);
            let (start, relu) = (if first == 0 { start } else { Start::There }, relu && terms.end == a.columns);
            for rows in (0..a.rows).step_by(row_block).map(|row| row..(row + row_block).min(a.rows)) {
                let a = Tiles::new(a, terms.clone(), rows.clone());
                for column in (0..columns).step_by(width) {
                    let b = if column < in_place {
                        Panel {
                            values: &b.values[terms.start * columns..terms.end * columns],
                            stride: columns,
                            from: column,
                        }
                    } else {
                        let place = (column - in_place) * terms.len();
                        Panel { values: &packed[place..place + terms.len() * width], stride: width, from: 0 }
                    };
                    let end = (column + width).min(columns);
                    let tile = Tile { a: &a, b, columns: column..end, all_columns: columns, start, relu };
                    if end - column > S::F32_LANES {
                        tile.rows::<S, 2>(simd, rows.clone(), self.out);
                    } else {
                        tile.rows::<S, 1>(simd, rows.clone(), self.out);
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
            for (j, column) in b.values.chunks_exact(b.rows).skip(from).take(columns).enumerate() {
                for (row, value) in values.chunks_exact_mut(width).zip(&column[rows.clone()]) {
                    row[j] = *value;
                }
            }
        } else {
            let rows = b.values[rows.start * b.columns..].chunks_exact(b.columns);
            for (values, row) in values.chunks_exact_mut(width).zip(rows) {
                values[..columns].copy_from_slice(&row[from..from + columns]);
            }
        }
    }
    packed
}

/// Some rows of a, tile by tile, in each of which the numbers of one column lie side by side.
enum Tiles<'a> {
    /// As they do where a is by columns.
    Columns { values: &'a [f32], stride: usize },
    /// Copied, one tile after the other.
    Packed { values: Buffer, first_row: usize, terms: usize },
}

impl<'a> Tiles<'a> {
    #[inline(always)]
    fn new(a: Matrix<'a>, terms: Range<usize>, rows: Range<usize>) -> Self {
        if a.by_columns {
            return Self::Columns { values: &a.values[terms.start * a.rows..terms.end * a.rows], stride: a.rows };
        }
        let mut values = Buffer::new(rows.len() * terms.len());
        let tiles = values.chunks_mut(TILE * terms.len());
        for (tile, rows) in tiles.zip(a.values[rows.start * a.columns..rows.end * a.columns].chunks(TILE * a.columns)) {
            let height = tile.len() / terms.len();
            if height == TILE {
                let (tile, _) = tile.as_chunks_mut::<TILE>();
                let mut row: [&[f32]; TILE] = [&[]; TILE];
                for r in 0..TILE {
                    row[r] = &rows[r * a.columns..][..a.columns][terms.clone()];
                }
                for (term, tile) in tile.iter_mut().enumerate() {
                    for r in 0..TILE {
                        tile[r] = row[r][term];
                    }
                }
            } else {
                for (r, row) in rows.chunks_exact(a.columns).enumerate() {
                    for (tile, value) in tile.chunks_exact_mut(height).zip(&row[terms.clone()]) {
                        tile[r] = *value;
                    }
                }
            }
        }
        Self::Packed { values, first_row: rows.start, terms: terms.len() }
    }

    /// The R rows from this one on.
    #[inline(always)]
    fn tile<const R: usize>(&self, row: usize) -> Panel<'_> {
        match self {
            Self::Columns { values, stride } => Panel { values, stride: *stride, from: row },
            Self::Packed { values, first_row, terms } => {
                let first = (row - first_row) * terms;
                Panel { values: &values[first..first + R * terms], stride: R, from: 0 }
            }
        }
    }
}

/// Rows of `stride` numbers, of which some from `from` on are meant.
struct Panel<'a> {
    values: &'a [f32],
    stride: usize,
    from: usize,
}

/// A part of all sums of some columns of the output.
struct Tile<'a> {
    a: &'a Tiles<'a>,
    b: Panel<'a>,
    columns: Range<usize>,
    all_columns: usize,
    start: Start<'a>,
    relu: bool,
}

impl Tile<'_> {
    /// In these rows; V vectors hold a row's columns.
    #[inline(always)]
    fn rows<S: Simd, const V: usize>(&self, simd: S, rows: Range<usize>, out: &mut [f32]) {
        let mut row = rows.start;
        while row + TILE <= rows.end {
            self.compute::<S, TILE, V>(simd, row, out);
            row += TILE;
        }
        match rows.end - row {
            1 => self.compute::<S, 1, V>(simd, row, out),
            2 => self.compute::<S, 2, V>(simd, row, out),
            3 => self.compute::<S, 3, V>(simd, row, out),
            4 => self.compute::<S, 4, V>(simd, row, out),
            5 => self.compute::<S, 5, V>(simd, row, out),
            _ => {}
        }
    }

    #[inline(always)]
    fn compute<S: Simd, const R: usize, const V: usize>(&self, simd: S, row: usize, out: &mut [f32]) {
        let Self { columns, all_columns, .. } = self;
        let place = |r: usize| (row + r) * all_columns + columns.start..(row + r) * all_columns + columns.end;
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
        sums = self.added::<S, R, V>(simd, row, sums);
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
    fn added<S: Simd, const R: usize, const V: usize>(
        &self,
        simd: S,
        row: usize,
        mut sums: [[S::f32s; V]; R],
    ) -> [[S::f32s; V]; R] {
        let (a, b) = (self.a.tile::<R>(row), &self.b);
        let columns_of_b = b.from..b.from + V * S::F32_LANES;
        let rows_of_a = a.from..a.from + R;
        for (a, b) in a.values.chunks_exact(a.stride).zip(b.values.chunks_exact(b.stride)) {
            let a = &a[rows_of_a.clone()];
            let (b, _) = S::as_simd_f32s(&b[columns_of_b.clone()]);
            for r in 0..R {
                let a = simd.splat_f32s(a[r]);
                for v in 0..V {
                    sums[r][v] = multiply_add(simd, a, b[v], sums[r][v]);
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
