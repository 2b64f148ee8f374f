//! Computes spline transforms and their gradients on a GPU: a thread for each row.

#![allow(clippy::too_many_arguments, reason = "each array of a kernel is an argument")]

use super::{Spline, SplineTransform};
use crate::{
    gpu::Rows,
    op::{
        activation::gpu::{sigmoid, softplus},
        coupling::gpu::{CouplingTape, GradTo, Half, HalfSizes, To, give},
        dense::gpu::{Seen, WantedOwn},
    },
    plan::gpu::{GpuGradients, GpuPass},
};
use cubecl::prelude::*;

/// What the forward kernel is compiled for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
struct How {
    bins: usize,
    /// Whether the next networks see the result.
    gives: bool,
    inverts: bool,
}

impl Spline {
    fn reading(&self) -> ReadingLaunch {
        let Self { domain, bin_offset, derivative_offset, smallest, .. } = *self;
        ReadingLaunch { domain, bin_offset, derivative_offset, smallest }
    }
}

impl SplineTransform {
    pub(crate) fn apply_on_gpu(&self, pass: GpuPass<'_>, given: Rows, half: Half<'_>, to: To<'_>) -> CouplingTape {
        let gpu = pass.gpu;
        let net = self.net.forward_on_gpu(pass, Seen::Own(given), false);
        let [condition, log_det, out, next] = to.args();
        let (count, threads) = gpu.each_row(half.rows.rows);
        splines::launch(
            &gpu.client,
            count,
            threads,
            net.output().values.arg(),
            half.rows.values.arg(),
            condition,
            log_det,
            out,
            next,
            half.sizes(to),
            self.spline.reading(),
            How { bins: self.spline.bins, gives: to.next.is_some(), inverts: to.log_det.is_none() },
        );
        CouplingTape { net, translation: None }
    }

    pub(crate) fn backward_on_gpu(
        &self,
        pass: GpuPass<'_>,
        tape: &CouplingTape,
        half: Half<'_>,
        grad: GradTo<'_>,
        gradients: &GpuGradients,
    ) -> Rows {
        let (gpu, raw) = (pass.gpu, tape.net.output());
        let grad_raw = gpu.rows(raw.rows, raw.width);
        let [grad_out, grad_log_det, grad_next, grad_half] = grad.args();
        let (count, threads) = gpu.each_row(half.rows.rows);
        splines_backward::launch(
            &gpu.client,
            count,
            threads,
            raw.values.arg(),
            half.rows.values.arg(),
            grad_out,
            grad_log_det,
            grad_next,
            grad_half,
            grad_raw.values.arg(),
            half.grad_sizes(),
            self.spline.reading(),
            grad.next_width(),
            self.spline.bins,
            grad.next.is_some(),
        );
        self.net.backward_on_gpu(pass, &tape.net, grad_raw, WantedOwn::ALONE, gradients).asked_for()
    }
}

/// How the numbers of a dimension are read.
#[derive(CubeType, CubeLaunch, Clone, Copy)]
struct Reading {
    domain: f32,
    bin_offset: f32,
    derivative_offset: f32,
    smallest: f32,
}

/// A number's bin: its place, its left and bottom corner, its size, and the derivatives at its knots. Beyond the edges
/// the corner is the spline's.
#[derive(CubeType, Clone, Copy)]
struct Bin {
    inside: bool,
    k: usize,
    x: f32,
    y: f32,
    width: f32,
    height: f32,
    left: f32,
    right: f32,
    /// Σ heights / Σ widths.
    slope: f32,
    /// Σ widths.
    total: f32,
}

#[cube]
fn positive(raw: f32, offset: f32, smallest: f32) -> f32 {
    let mut size = softplus(raw + offset);
    if size < smallest {
        size = smallest;
    }
    size
}

/// The derivative of [`positive`].
#[cube]
fn slope_of_positive(raw: f32, offset: f32, smallest: f32) -> f32 {
    let mut slope = 0.0f32;
    if softplus(raw + offset) > smallest {
        slope = sigmoid(raw + offset);
    }
    slope
}

/// The bin of x or, not `by_x`, of y: the last whose lower edge is not above it. The dimension's numbers begin at
/// `first`.
#[cube]
fn find(raw: &[f32], first: usize, at: f32, reading: &Reading, #[comptime] bins: usize, #[comptime] by_x: bool) -> Bin {
    let widths = first + 2;
    let heights = widths + bins;
    let derivatives = heights + bins;
    let left = raw[first] - reading.domain;
    let bottom = raw[first + 1] - reading.domain;
    let mut total = 0.0f32;
    let mut rise = 0.0f32;
    for k in 0..bins {
        total += positive(raw[widths + k], reading.bin_offset, reading.smallest);
        rise += positive(raw[heights + k], reading.bin_offset, reading.smallest);
    }
    let slope = rise / total;

    let mut edge = left;
    if comptime!(!by_x) {
        edge = bottom;
    }
    let mut inside = false;
    let mut bin = 0usize.runtime();
    let mut x = left;
    let mut y = bottom;
    let mut width = 1.0f32;
    let mut height = 1.0f32;
    if at >= edge {
        let mut so_far = 0.0f32;
        let mut risen = 0.0f32;
        for k in 0..bins {
            if !inside {
                so_far += positive(raw[widths + k], reading.bin_offset, reading.smallest);
                risen += positive(raw[heights + k], reading.bin_offset, reading.smallest);
                let right = left + so_far;
                let top = bottom + risen;
                let mut upper = right;
                if comptime!(!by_x) {
                    upper = top;
                }
                if at <= upper {
                    inside = true;
                    bin = k;
                    // The differences of the rounded edges, so that positions lie between 0 and 1 in tiny bins far out
                    // too.
                    width = right - x;
                    height = top - y;
                } else {
                    x = right;
                    y = top;
                }
            }
        }
    }
    let mut at_left = slope;
    let mut at_right = slope;
    if inside {
        if bin > 0 {
            at_left = positive(raw[derivatives + bin - 1], reading.derivative_offset, reading.smallest);
        }
        if bin + 1 < bins {
            at_right = positive(raw[derivatives + bin], reading.derivative_offset, reading.smallest);
        }
    } else {
        x = left;
        y = bottom;
    }
    Bin { inside, k: bin, x, y, width, height, left: at_left, right: at_right, slope, total }
}

#[cube(launch)]
fn splines(
    raw: &[f32],
    u: &[f32],
    condition: &[f32],
    log_det: &mut [f32],
    out: &mut [f32],
    next: &mut [f32],
    sizes: HalfSizes,
    reading: Reading,
    #[comptime] how: How,
) {
    let r = ABSOLUTE_POS;
    if r < sizes.rows {
        let (width, first, dim) = (sizes.width, sizes.first, sizes.dim);
        let condition_width = sizes.condition_width;
        let len = comptime!(3 * how.bins + 1);
        let mut sum = 0.0f32;
        for i in 0..dim {
            let at = u[r * width + first + i];
            let bin = find(raw, (r * dim + i) * len, at, &reading, comptime!(how.bins), comptime!(!how.inverts));
            let s = bin.height / bin.width;
            let bend = bin.left + bin.right - 2.0f32 * s;
            // Outside, the line.
            let mut y = bin.y + (at - bin.x) * bin.slope;
            if comptime!(how.inverts) {
                let above = at - bin.y;
                y = bin.x + above / bin.slope;
                if bin.inside {
                    // ξ is the root in [0, 1] of the quadratic, in the form that does not cancel.
                    let a = bin.height * (s - bin.left) + above * bend;
                    let b = bin.height * bin.left - above * bend;
                    let c = -s * above;
                    let mut discriminant = b * b - 4.0f32 * a * c;
                    if discriminant < 0.0 {
                        discriminant = 0.0f32;
                    }
                    y = bin.x + 2.0f32 * c / (-b - discriminant.sqrt()) * bin.width;
                }
            } else {
                let mut log_derivative = bin.slope.ln();
                if bin.inside {
                    let xi = (at - bin.x) / bin.width;
                    let rest = 1.0f32 - xi;
                    let q = xi * rest;
                    let denominator = s + bend * q;
                    let numerator = s * xi * xi + bin.left * q;
                    let rise = bin.right * xi * xi + 2.0f32 * s * q + bin.left * rest * rest;
                    y = bin.y + bin.height * numerator / denominator;
                    log_derivative = (s * s * rise).ln() - 2.0f32 * denominator.ln();
                }
                sum += log_derivative;
            }
            out[r * width + first + i] = y;
            if comptime!(how.gives) {
                next[r * (dim + condition_width) + i] = y;
            }
        }
        if comptime!(how.gives) {
            give(condition, next, r, dim, condition_width, sizes.repeat);
        }
        if comptime!(!how.inverts) {
            log_det[r] += sum;
        }
    }
}

#[cube(launch)]
fn splines_backward(
    raw: &[f32],
    u: &[f32],
    grad_out: &[f32],
    grad_log_det: &[f32],
    grad_next: &[f32],
    grad_u: &mut [f32],
    grad_raw: &mut [f32],
    sizes: HalfSizes,
    reading: Reading,
    next_width: usize,
    #[comptime] bins: usize,
    #[comptime] adds: bool,
) {
    let r = ABSOLUTE_POS;
    if r < sizes.rows {
        let (width, first, dim) = (sizes.width, sizes.first, sizes.dim);
        let (bin_offset, smallest) = (reading.bin_offset, reading.smallest);
        let derivative_offset = reading.derivative_offset;
        let len = comptime!(3 * bins + 1);
        let grad_log = grad_log_det[r];
        for i in 0..dim {
            let from = (r * dim + i) * len;
            let x = u[r * width + first + i];
            let mut grad_y = grad_out[r * width + first + i];
            if comptime!(adds) {
                grad_y += grad_next[r * next_width + i];
            }
            let bin = find(raw, from, x, &reading, bins, true);

            let s = bin.height / bin.width;
            let bend = bin.left + bin.right - 2.0f32 * s;
            let xi = (x - bin.x) / bin.width;
            let rest = 1.0f32 - xi;
            let q = xi * rest;
            let denominator = s + bend * q;
            let numerator = s * xi * xi + bin.left * q;
            let rise = bin.right * xi * xi + 2.0f32 * s * q + bin.left * rest * rest;
            let ratio = numerator / denominator;
            let grad_numerator = grad_y * bin.height / denominator;
            let grad_denominator = -grad_numerator * ratio - 2.0f32 * grad_log / denominator;
            let grad_rise = grad_log / rise;
            let grad_bend = grad_denominator * q;
            let grad_q = grad_denominator * bend + grad_numerator * bin.left + grad_rise * 2.0f32 * s;
            let grad_s = 2.0f32 * grad_log / s + grad_denominator - 2.0f32 * grad_bend
                + grad_numerator * xi * xi
                + grad_rise * 2.0f32 * q;
            let grad_xi = grad_numerator * 2.0f32 * s * xi
                + grad_rise * 2.0f32 * (bin.right * xi - bin.left * rest)
                + grad_q * (rest - xi);

            // What the bin's own numbers have, and what all before it have.
            let mut grad_width = -(grad_s * s + grad_xi * xi) / bin.width;
            let mut grad_height = grad_y * ratio + grad_s / bin.width;
            let mut grad_left = grad_numerator * q + grad_rise * rest * rest + grad_bend;
            let mut grad_right = grad_rise * xi * xi + grad_bend;
            let mut grad_x = grad_xi / bin.width;
            let mut grad_slope = 0.0f32;
            let mut before = bin.k;
            if bin.inside {
                if bin.k == 0 {
                    grad_slope += grad_left;
                }
                if bin.k + 1 == bins {
                    grad_slope += grad_right;
                }
            } else {
                grad_width = 0.0f32;
                grad_height = 0.0f32;
                grad_left = 0.0f32;
                grad_right = 0.0f32;
                grad_x = grad_y * bin.slope;
                grad_slope = grad_y * (x - bin.x) + grad_log / bin.slope;
                before = 0usize.runtime();
            }
            let grad_all_heights = grad_slope / bin.total;
            let grad_all_widths = -grad_slope * bin.slope / bin.total;

            grad_u[r * width + first + i] = grad_x;
            grad_raw[from] = -grad_x;
            grad_raw[from + 1] = grad_y;
            let widths = from + 2;
            let heights = widths + bins;
            let derivatives = heights + bins;
            for k in 0..bins {
                let mut grad_w = grad_all_widths;
                let mut grad_h = grad_all_heights;
                if k < before {
                    grad_w -= grad_x;
                    grad_h += grad_y;
                }
                if k == bin.k {
                    grad_w += grad_width;
                    grad_h += grad_height;
                }
                grad_raw[widths + k] = grad_w * slope_of_positive(raw[widths + k], bin_offset, smallest);
                grad_raw[heights + k] = grad_h * slope_of_positive(raw[heights + k], bin_offset, smallest);
            }
            for k in 0..comptime!(bins - 1) {
                let mut grad = 0.0f32;
                if k + 1 == bin.k {
                    grad += grad_left;
                }
                if k == bin.k {
                    grad += grad_right;
                }
                grad_raw[derivatives + k] = grad * slope_of_positive(raw[derivatives + k], derivative_offset, smallest);
            }
        }
    }
}
