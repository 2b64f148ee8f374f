//! Computes convolutions and their gradients on the processor: products with the rows of windows where they lie.
//!
//! Each data set is copied into a frame of zeros or, if windows are periodic, of its other ends. There, the windows along
//! a line are the rows of a matrix that overlap, so that nothing is copied side by side: one product for each line of
//! the output and each line of the kernel.

use super::{Convolution, Windows};
use crate::{
    gradients::Gradients,
    memory::Buffer,
    op::{
        Arrays,
        chain::cpu::{RowOperation, RowTape, Rows},
        product::{Matrix, Product, Start, transpose},
    },
    source::Source,
    vector::sum_rows,
};
use std::ops::Range;

/// The geometry of a convolution of data sets of one size. A series is an image of one line.
struct Geometry {
    is_periodic: bool,
    /// The rows of a data set, as lines and columns.
    axes: [usize; 2],
    /// The windows of a data set.
    windows: [usize; 2],
    kernel: [usize; 2],
    /// From one window to the next.
    stride: [usize; 2],
    /// Rows of a window before its own row.
    before: [usize; 2],
    /// Numbers of a row, and of a row of the output.
    width: usize,
    units: usize,
}

/// A data set with zeros, or its other ends, around it.
struct Frame {
    values: Buffer,
    /// Columns of a line.
    columns: usize,
    /// Numbers of a row.
    width: usize,
    /// Where the data set begins.
    first: [usize; 2],
    /// Its lines and columns.
    axes: [usize; 2],
}

impl Frame {
    fn new([lines, columns]: [usize; 2], width: usize, first: [usize; 2], axes: [usize; 2]) -> Self {
        Self { values: Buffer::zeros(lines * columns * width), columns, width, first, axes }
    }

    /// Where a line of the data set is, and where in the frame.
    fn lines(&self) -> impl Iterator<Item = (Range<usize>, Range<usize>)> + use<> {
        let (len, [down, right], columns, width) = (self.axes[1] * self.width, self.first, self.columns, self.width);
        (0..self.axes[0]).map(move |line| {
            let place = ((line + down) * columns + right) * width;
            (line * len..(line + 1) * len, place..place + len)
        })
    }

    /// Copies a data set, with 0 for rows that are not there.
    fn fill(&mut self, set: &[f32], mask: Option<&[f32]>) {
        for (from, to) in self.lines() {
            let there = mask.map(|mask| &mask[from.start / self.width..from.end / self.width]);
            let line = &mut self.values[to];
            line.copy_from_slice(&set[from]);
            if let Some(there) = there {
                zero_where_not_there(line, there, self.width);
            }
        }
    }

    /// Continues the data set on all sides from its other ends.
    fn continue_periodically(&mut self) {
        let ([height, width], [down, right]) = (self.axes, self.first);
        let inside = |place: usize, first: usize, len: usize| (place + len - first % len) % len + first;
        for line in down..down + height {
            for column in (0..self.columns).filter(|column| !(right..right + width).contains(column)) {
                let [from, to] = [inside(column, right, width), column].map(|c| (line * self.columns + c) * self.width);
                self.values.copy_within(from..from + self.width, to);
            }
        }
        let len = self.columns * self.width;
        for line in (0..self.values.len() / len).filter(|line| !(down..down + height).contains(line)) {
            let from = inside(line, down, height) * len;
            self.values.copy_within(from..from + len, line * len);
        }
    }

    /// Copies the data set out.
    fn read(&self, set: &mut [f32]) {
        self.lines().for_each(|(to, from)| set[to].copy_from_slice(&self.values[from]));
    }

    /// So many windows of `len` columns, that begin at this line and column, `stride` columns after each other.
    fn windows(&self, [line, column]: [usize; 2], windows: usize, len: usize, stride: usize) -> Matrix<'_> {
        let first = (line * self.columns + column) * self.width;
        Matrix::strided(&self.values[first..], windows, len * self.width, stride * self.width)
    }
}

impl Convolution {
    fn geometry(&self, x: Rows<'_>) -> Geometry {
        let is_series = x.axes[1] == 1 && self.kernel[1] == 1;
        let along = |[lines, columns]: [usize; 2]| if is_series { [columns, lines] } else { [lines, columns] };
        let (axes, kernel) = (along(x.axes), along(self.kernel));
        let (windows, stride, before) = match self.windows {
            Windows::Around | Windows::Periodic => (axes, [1, 1], kernel.map(|k| (k - 1) / 2)),
            Windows::Before => (axes, [1, 1], kernel.map(|k| k - 1)),
            Windows::Apart => ([0, 1].map(|axis| axes[axis].div_ceil(kernel[axis])), kernel, [0, 0]),
        };
        let is_periodic = self.windows == Windows::Periodic;
        Geometry { is_periodic, axes, windows, kernel, stride, before, width: x.width, units: self.linear.units }
    }

    /// Whether each window is the row itself.
    fn is_of_single_rows(&self) -> bool {
        self.kernel == [1, 1]
    }
}

impl Geometry {
    /// Windows of a data set.
    fn all(&self) -> usize {
        self.windows[0] * self.windows[1]
    }

    /// Lines and columns of all windows together.
    fn reach(&self) -> [usize; 2] {
        [0, 1].map(|axis| (self.windows[axis] - 1) * self.stride[axis] + self.kernel[axis])
    }

    /// For data sets.
    fn frame(&self) -> Frame {
        Frame::new(self.reach(), self.width, self.before, self.axes)
    }

    /// Copies a data set to its frame.
    fn fill(&self, frame: &mut Frame, (set, mask): (&[f32], Option<&[f32]>)) {
        frame.fill(set, mask);
        if self.is_periodic {
            frame.continue_periodically();
        }
    }

    /// The weight of a line of the kernel.
    fn line_of<'a>(&self, weight: &'a [f32], line: usize) -> Matrix<'a> {
        let numbers = self.kernel[1] * self.width;
        Matrix::rows(weight, line * numbers, numbers, self.units)
    }

    /// The output of a data set.
    fn forward(&self, frame: &Frame, weight: &[f32], bias: Start<'_>, out: &mut [f32]) {
        for (y, out) in out.chunks_exact_mut(self.windows[1] * self.units).enumerate() {
            for line in 0..self.kernel[0] {
                let a = self.windows_of(frame, y, line);
                let (b, start) = (self.line_of(weight, line), if line == 0 { bias } else { Start::There });
                Product { a, b, start, relu: false }.write(out);
            }
        }
    }

    /// What a line of the kernel sees of a line of windows.
    fn windows_of<'f>(&self, frame: &'f Frame, y: usize, line: usize) -> Matrix<'f> {
        frame.windows([y * self.stride[0] + line, 0], self.windows[1], self.kernel[1], self.stride[1])
    }

    /// The place of a line of the kernel in the weight.
    fn place(&self, line: usize) -> Range<usize> {
        let len = self.kernel[1] * self.width * self.units;
        line * len..(line + 1) * len
    }

    /// Which windows lie apart and have a row that is there.
    fn any(&self, mask: &[f32]) -> Buffer {
        let [height, width] = self.axes;
        let mut there = Buffer::zeros(mask.len() / (height * width) * self.all());
        for (row, _) in mask.iter().enumerate().filter(|(_, there)| **there != 0.0) {
            let (set, line, column) = (row / (height * width), row / width % height, row % width);
            let [y, x] = [line / self.stride[0], column / self.stride[1]];
            there[(set * self.windows[0] + y) * self.windows[1] + x] = 1.0;
        }
        there
    }
}

/// What a backward pass reads, and which gradients it writes.
struct Wanted<'a> {
    x: Rows<'a>,
    grad_output: &'a [f32],
    weight: &'a [f32],
    /// The gradient of the weight, to which is added.
    grad_weight: Option<&'a mut [f32]>,
    grad_x: Option<&'a mut [f32]>,
}

impl Geometry {
    /// Of windows that overlap: those around or before their rows. The gradient of x is a convolution of that of the
    /// output, back to front.
    fn backward_overlapping(&self, mut wanted: Wanted<'_>) {
        let Self { axes: [height, columns], kernel, width, units, .. } = *self;
        let before = [0, 1].map(|axis| kernel[axis] - 1 - self.before[axis]);
        let back = Self { before, width: units, units: width, ..*self };
        let turned = wanted.grad_x.as_ref().map(|_| {
            let mut turned = Buffer::new(wanted.weight.len());
            let of_places = turned.chunks_exact_mut(width * units).rev().zip(wanted.weight.chunks_exact(width * units));
            of_places.for_each(|(turned, weight)| transpose(weight, turned, units));
            turned
        });
        let (mut x_frame, mut grad_frame) = (self.frame(), back.frame());
        for (set, grad) in wanted.grad_output.chunks_exact(self.all() * units).enumerate() {
            if self.is_periodic {
                grad_frame.values.fill(0.0);
            }
            grad_frame.fill(grad, None);
            if let Some(grad_weight) = &mut wanted.grad_weight {
                self.fill(&mut x_frame, wanted.x.set(set));
                // All windows are one matrix, with those that reach from one line to the next: there the gradient is 0.
                let all = (height - 1) * x_frame.columns + columns;
                let first = (before[0] * x_frame.columns + before[1]) * units;
                let b = Matrix::new(&grad_frame.values[first..first + all * units], all, units);
                for (place, grad_weight) in grad_weight.chunks_exact_mut(width * units).enumerate() {
                    let a = x_frame.windows([place / kernel[1], place % kernel[1]], all, 1, 1).transposed();
                    Product { a, b, start: Start::There, relu: false }.write(grad_weight);
                }
            }
            if let (Some(grad_x), Some(turned)) = (&mut wanted.grad_x, &turned) {
                if self.is_periodic {
                    grad_frame.continue_periodically();
                }
                let len = height * columns * width;
                back.forward(&grad_frame, turned, Start::Zero, &mut grad_x[set * len..(set + 1) * len]);
            }
        }
    }

    /// Of windows one after the other: each row is in one.
    fn backward_apart(&self, mut wanted: Wanted<'_>) {
        let (mut x_frame, mut grad_frame) = (self.frame(), self.frame());
        for (set, grad) in wanted.grad_output.chunks_exact(self.all() * self.units).enumerate() {
            let (values, mask) = wanted.x.set(set);
            x_frame.fill(values, mask);
            for (y, grad) in grad.chunks_exact(self.windows[1] * self.units).enumerate() {
                let grad = Matrix::new(grad, self.windows[1], self.units);
                for line in 0..self.kernel[0] {
                    if let Some(grad_weight) = &mut wanted.grad_weight {
                        let a = self.windows_of(&x_frame, y, line).transposed();
                        let product = Product { a, b: grad, start: Start::There, relu: false };
                        product.write(&mut grad_weight[self.place(line)]);
                    }
                    if wanted.grad_x.is_some() {
                        let first = (y * self.stride[0] + line) * grad_frame.columns * self.width;
                        let of_windows = Product::new(grad, self.line_of(wanted.weight, line).transposed());
                        of_windows.write_strided(&mut grad_frame.values[first..], self.stride[1] * self.width);
                    }
                }
            }
            if let Some(grad_x) = &mut wanted.grad_x {
                grad_frame.read(&mut grad_x[set * values.len()..(set + 1) * values.len()]);
            }
        }
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
        let geometry = self.geometry(x);
        let mask = x.mask.map(|mask| match self.windows {
            Windows::Apart => geometry.any(mask),
            Windows::Around | Windows::Periodic | Windows::Before => Buffer::copy_of(mask),
        });
        if self.is_of_single_rows() {
            let masked = masked(x);
            let out = self.linear.rows(masked.as_deref().unwrap_or(x.values), x.width, arrays);
            return RowTape::new(x.sets, x.axes, (out, mask), masked);
        }
        let mut out = Buffer::new(x.sets * geometry.all() * geometry.units);
        let bias = self.linear.bias.map_or(Start::Zero, |bias| Start::Rows(Source::of_all(arrays.operands[bias])));
        let mut frame = geometry.frame();
        for (set, out) in out.chunks_exact_mut(geometry.all() * geometry.units).enumerate() {
            geometry.fill(&mut frame, x.set(set));
            geometry.forward(&frame, arrays.operands[self.linear.weight], bias, out);
        }
        let axes = if geometry.axes == x.axes { geometry.windows } else { [geometry.windows[1], geometry.windows[0]] };
        RowTape::new(x.sets, axes, (out, mask), None::<Buffer>)
    }

    fn backward(
        &self,
        x: Rows<'_>,
        tape: &RowTape,
        grad_output: Buffer,
        wants_x: bool,
        (arrays, gradients): (Arrays<'_>, &mut Gradients<'_>),
    ) -> Option<Buffer> {
        let (geometry, mut grad_x) = (self.geometry(x), None);
        if self.is_of_single_rows() {
            let masked: &Option<Buffer> = tape.inner();
            let values = masked.as_deref().unwrap_or(x.values);
            let wanted = wants_x.then_some(&mut grad_x);
            self.linear.gradients((values, x.width), &grad_output, wanted, (arrays, gradients));
        } else {
            if let Some(grad_bias) = self.linear.bias.and_then(|bias| gradients.of(bias)) {
                sum_rows(&grad_output, grad_bias);
            }
            let mut grad_weight = gradients.of(self.linear.weight);
            if let Some(grad_weight) = &mut grad_weight {
                grad_weight.fill(0.0);
            }
            grad_x = wants_x.then(|| Buffer::new(x.values.len()));
            let (weight, grad_output) = (arrays.operands[self.linear.weight], &*grad_output);
            let wanted = Wanted { x, grad_output, weight, grad_weight, grad_x: grad_x.as_deref_mut() };
            match self.windows {
                Windows::Apart => geometry.backward_apart(wanted),
                Windows::Around | Windows::Periodic | Windows::Before => geometry.backward_overlapping(wanted),
            }
        }
        if let (Some(grad_x), Some(mask)) = (&mut grad_x, x.mask) {
            zero_where_not_there(grad_x, mask, x.width);
        }
        grad_x
    }
}
