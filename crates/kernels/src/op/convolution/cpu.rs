//! Computes convolutions and their gradients on the processor: windows are copied side by side, then multiplied.

use super::{Convolution, Windows};
use crate::{
    gradients::Gradients,
    memory::Buffer,
    op::{
        Arrays,
        chain::cpu::{RowOperation, RowTape, Rows},
        product::{Matrix, Product, Start},
    },
    source::Source,
    vector::sum_rows,
};
use std::ops::Range;

/// The most numbers of windows that are copied at once: 256 KB, which stay in the second cache until they are
/// multiplied.
const MOST_COPIED: usize = 1 << 16;

/// The geometry of a convolution of data sets of one size.
struct Geometry {
    sets: usize,
    /// The rows of a data set.
    axes: [usize; 2],
    /// The windows of a data set.
    windows: [usize; 2],
    kernel: [usize; 2],
    /// From one window to the next.
    stride: [usize; 2],
    /// Rows of a window before its own row.
    before: [usize; 2],
    /// Numbers of a row.
    width: usize,
}

impl Convolution {
    fn geometry(&self, x: Rows<'_>) -> Geometry {
        let kernel = self.kernel;
        let (windows, stride, before) = match self.windows {
            Windows::Around => (x.axes, [1, 1], kernel.map(|k| (k - 1) / 2)),
            Windows::Before => (x.axes, [1, 1], kernel.map(|k| k - 1)),
            Windows::Apart => ([0, 1].map(|axis| x.axes[axis].div_ceil(kernel[axis])), kernel, [0, 0]),
        };
        Geometry { sets: x.sets, axes: x.axes, windows, kernel, stride, before, width: x.width }
    }

    /// Whether each window is the row itself.
    fn is_of_single_rows(&self) -> bool {
        self.kernel == [1, 1]
    }
}

impl Geometry {
    /// Numbers of a window.
    fn columns(&self) -> usize {
        self.kernel[0] * self.kernel[1] * self.width
    }

    /// Windows of all data sets.
    fn all(&self) -> usize {
        self.sets * self.windows[0] * self.windows[1]
    }

    /// Windows in parts of which the copies are small.
    fn parts(&self) -> impl Iterator<Item = Range<usize>> + use<> {
        let (all, at_once) = (self.all(), (MOST_COPIED / self.columns()).max(1));
        (0..all).step_by(at_once).map(move |first| first..(first + at_once).min(all))
    }

    /// Calls `f` with each run of numbers that windows have of x: where it is in x and where in the copy. The rest of
    /// the copy is outside of the data set.
    #[inline(always)]
    fn for_each_run(&self, windows: Range<usize>, mut f: impl FnMut(Range<usize>, Range<usize>)) {
        let [height, columns] = self.axes;
        let in_set = self.windows[0] * self.windows[1];
        for (place, window) in windows.enumerate() {
            let (set, within) = (window / in_set, window % in_set);
            let at = [within / self.windows[1], within % self.windows[1]];
            // Columns of the window that are in the data set.
            let left = at[1] * self.stride[1];
            let skipped = self.before[1].saturating_sub(left);
            let end = self.kernel[1].min((columns + self.before[1]).saturating_sub(left));
            if skipped >= end {
                continue;
            }
            let first_column = left + skipped - self.before[1];
            for k in 0..self.kernel[0] {
                let row = at[0] * self.stride[0] + k;
                if row < self.before[0] || row - self.before[0] >= height {
                    continue;
                }
                let from = ((set * height + row - self.before[0]) * columns + first_column) * self.width;
                let to = place * self.columns() + (k * self.kernel[1] + skipped) * self.width;
                let len = (end - skipped) * self.width;
                f(from..from + len, to..to + len);
            }
        }
    }

    /// The numbers of windows side by side.
    fn gather(&self, x: &[f32], windows: Range<usize>) -> Buffer {
        let mut copy = Buffer::zeros(windows.len() * self.columns());
        self.for_each_run(windows, |from, to| copy[to].copy_from_slice(&x[from]));
        copy
    }

    /// Adds the gradients of windows to those of rows.
    fn scatter(&self, grad_copy: &[f32], windows: Range<usize>, grad_x: &mut [f32]) {
        self.for_each_run(windows, |from, to| {
            for (sum, grad) in grad_x[from].iter_mut().zip(&grad_copy[to]) {
                *sum += grad;
            }
        });
    }

    /// Which windows are there: those with a row that is.
    fn any(&self, mask: &[f32]) -> Buffer {
        let of_rows = Geometry { width: 1, ..*self };
        let rows = of_rows.gather(mask, 0..of_rows.all());
        let mut there = Buffer::new(of_rows.all());
        for (there, rows) in there.iter_mut().zip(rows.chunks_exact(of_rows.columns())) {
            *there = rows.iter().fold(0.0, |most, row| if *row > most { *row } else { most });
        }
        there
    }
}

/// The rows of x, 0 where they are not there.
fn masked(x: Rows<'_>) -> Option<Buffer> {
    let mask = x.mask?;
    let mut values = Buffer::copy_of(x.values);
    zero_where_not_there(&mut values, mask, x.width);
    Some(values)
}

fn zero_where_not_there(values: &mut [f32], mask: &[f32], width: usize) {
    for (row, there) in values.chunks_exact_mut(width).zip(mask) {
        if *there == 0.0 {
            row.fill(0.0);
        }
    }
}

impl RowOperation for Convolution {
    fn forward(&self, x: Rows<'_>, arrays: Arrays<'_>) -> RowTape {
        let (geometry, units) = (self.geometry(x), self.linear.units);
        let masked = masked(x);
        let values = masked.as_deref().unwrap_or(x.values);
        let mask = x.mask.map(|mask| match self.windows {
            Windows::Apart => geometry.any(mask),
            Windows::Around | Windows::Before => Buffer::copy_of(mask),
        });
        if self.is_of_single_rows() {
            let out = self.linear.rows(values, x.width, arrays);
            return RowTape::new(x.sets, x.axes, (out, mask), masked);
        }
        let mut out = Buffer::new(geometry.all() * units);
        let start = self.linear.bias.map_or(Start::Zero, |bias| Start::Rows(Source::of_all(arrays.operands[bias])));
        let b = Matrix::new(arrays.operands[self.linear.weight], geometry.columns(), units);
        for windows in geometry.parts() {
            let copy = geometry.gather(values, windows.clone());
            let a = Matrix::new(&copy, windows.len(), geometry.columns());
            Product { a, b, start, relu: false }.write(&mut out[windows.start * units..windows.end * units]);
        }
        RowTape::new(x.sets, geometry.windows, (out, mask), masked)
    }

    fn backward(
        &self,
        x: Rows<'_>,
        tape: &RowTape,
        grad_output: Buffer,
        wants_x: bool,
        (arrays, gradients): (Arrays<'_>, &mut Gradients<'_>),
    ) -> Option<Buffer> {
        let (geometry, units) = (self.geometry(x), self.linear.units);
        let masked: &Option<Buffer> = tape.inner();
        let values = masked.as_deref().unwrap_or(x.values);
        let mut grad_x = None;
        if self.is_of_single_rows() {
            let wanted = wants_x.then_some(&mut grad_x);
            self.linear.gradients((values, x.width), &grad_output, wanted, (arrays, gradients));
        } else {
            let columns = geometry.columns();
            let weight = Matrix::new(arrays.operands[self.linear.weight], columns, units).transposed();
            if let Some(grad_bias) = self.linear.bias.and_then(|bias| gradients.of(bias)) {
                sum_rows(&grad_output, grad_bias);
            }
            let mut sum = wants_x.then(|| Buffer::zeros(x.values.len()));
            let mut grad_weight = gradients.of(self.linear.weight);
            for windows in geometry.parts() {
                let grad = &grad_output[windows.start * units..windows.end * units];
                let grad = Matrix::new(grad, windows.len(), units);
                if let Some(grad_weight) = &mut grad_weight {
                    let copy = geometry.gather(values, windows.clone());
                    let a = Matrix::new(&copy, windows.len(), columns).transposed();
                    let start = if windows.start == 0 { Start::Zero } else { Start::There };
                    Product { a, b: grad, start, relu: false }.write(grad_weight);
                }
                if let Some(sum) = &mut sum {
                    let mut grad_copy = Buffer::new(windows.len() * columns);
                    Product::new(grad, weight).write(&mut grad_copy);
                    geometry.scatter(&grad_copy, windows, sum);
                }
            }
            grad_x = sum;
        }
        if let (Some(grad_x), Some(mask)) = (&mut grad_x, x.mask) {
            zero_where_not_there(grad_x, mask, x.width);
        }
        grad_x
    }
}
