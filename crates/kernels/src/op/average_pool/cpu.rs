//! Computes means over squares of pixels and their gradients on the processor.

use super::AveragePool;
use crate::{
    gradients::Gradients,
    memory::Buffer,
    op::{
        Arrays,
        chain::cpu::{RowOperation, RowTape, Rows},
    },
};

/// For each square of all images, the indices of its pixels that are there.
fn for_each_square(x: Rows<'_>, mut f: impl FnMut(usize, &[usize])) {
    let [height, width] = x.axes;
    let (h, w) = (height.div_ceil(2), width.div_ceil(2));
    for set in 0..x.sets {
        for square in 0..h * w {
            let (top, left) = (square / w * 2, square % w * 2);
            let (mut pixels, mut count) = ([0; 4], 0);
            for row in top..(top + 2).min(height) {
                for column in left..(left + 2).min(width) {
                    let pixel = (set * height + row) * width + column;
                    if x.mask.is_none_or(|mask| mask[pixel] != 0.0) {
                        pixels[count] = pixel;
                        count += 1;
                    }
                }
            }
            f(set * h * w + square, &pixels[..count]);
        }
    }
}

impl RowOperation for AveragePool {
    fn forward(&self, x: Rows<'_>, _: Arrays<'_>) -> RowTape {
        let axes = x.axes.map(|axis| axis.div_ceil(2));
        let squares = x.sets * axes[0] * axes[1];
        let mut out = Buffer::zeros(squares * x.width);
        let mut there = x.mask.map(|_| Buffer::new(squares));
        for_each_square(x, |square, pixels| {
            let mean = &mut out[square * x.width..(square + 1) * x.width];
            let share = 1.0 / pixels.len().max(1) as f32;
            for pixel in pixels {
                for (mean, value) in mean.iter_mut().zip(&x.values[pixel * x.width..]) {
                    *mean += value * share;
                }
            }
            if let Some(there) = &mut there {
                there[square] = if pixels.is_empty() { 0.0 } else { 1.0 };
            }
        });
        RowTape::new(x.sets, axes, (out, there), ())
    }

    fn backward(
        &self,
        x: Rows<'_>,
        _: &RowTape,
        grad_output: Buffer,
        _: bool,
        _: (Arrays<'_>, &mut Gradients<'_>),
    ) -> Option<Buffer> {
        let mut grad_x = Buffer::zeros(x.values.len());
        for_each_square(x, |square, pixels| {
            let grad = &grad_output[square * x.width..(square + 1) * x.width];
            let share = 1.0 / pixels.len().max(1) as f32;
            for pixel in pixels {
                for (grad_x, grad) in grad_x[pixel * x.width..(pixel + 1) * x.width].iter_mut().zip(grad) {
                    *grad_x = grad * share;
                }
            }
        });
        Some(grad_x)
    }
}
