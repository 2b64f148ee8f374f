//! Rational-quadratic splines, as in [`crate::spline`]: a thread for each row.

use super::{
    Gpu, Numbers, Rows,
    activation::{sigmoid, softplus},
    coupling::{Columns, give},
};
use crate::spline::Spline;
use cubecl::prelude::*;

impl Gpu {
    /// Columns of `u` through the splines that a network's `raw` numbers say: towards latents if there are log-determinants to add to, and
    /// else back.
    pub(super) fn through_splines(
        &self,
        spline: &Spline,
        raw: &Rows,
        u: &Rows,
        Columns { first, dim }: Columns,
        (out, next, log_det): (&Rows, Option<&Rows>, Option<&Numbers>),
        condition: &Rows,
    ) {
        let none = &out.values;
        let (count, threads) = self.each_row(u.rows);
        splines::launch(
            &self.client,
            count,
            threads,
            raw.values.arg(),
            u.values.arg(),
            condition.values.arg(),
            log_det.unwrap_or(none).arg(),
            out.values.arg(),
            next.map_or(none, |next| &next.values).arg(),
            u.rows,
            u.width,
            first,
            dim,
            next.map_or(0, |next| next.width - dim),
            u.rows / condition.rows.max(1),
            spline.domain,
            spline.bin_offset,
            spline.derivative_offset,
            spline.smallest,
            spline.bins,
            next.is_some(),
            log_det.is_none(),
        );
    }

    /// Writes the gradients of the columns of `u` to `of_u`, and returns those of the network's numbers.
    pub(super) fn back_through_splines(
        &self,
        spline: &Spline,
        raw: &Rows,
        u: &Rows,
        Columns { first, dim }: Columns,
        (of_out, of_log_det): (&Rows, &Numbers),
        of_next: Option<&Rows>,
        of_u: &Rows,
    ) -> Rows {
        let of_raw = self.rows(raw.rows, raw.width);
        let (count, threads) = self.each_row(u.rows);
        splines_backward::launch(
            &self.client,
            count,
            threads,
            raw.values.arg(),
            u.values.arg(),
            of_out.values.arg(),
            of_log_det.arg(),
            of_next.unwrap_or(of_u).values.arg(),
            of_u.values.arg(),
            of_raw.values.arg(),
            u.rows,
            u.width,
            first,
            dim,
            of_next.map_or(0, |of| of.width),
            spline.domain,
            spline.bin_offset,
            spline.derivative_offset,
            spline.smallest,
            spline.bins,
            of_next.is_some(),
        );
        of_raw
    }
}

/// How the numbers of a dimension are read.
#[derive(CubeType, Clone, Copy)]
struct Reading {
    domain: f32,
    bin_offset: f32,
    derivative_offset: f32,
    smallest: f32,
}

/// A number's bin: its place, its left and bottom corner, its size, and the derivatives at its knots. Beyond the edges the corner is the
/// spline's.
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

/// The bin of x or, not `by_x`, of y: the last whose lower edge is not above it. The dimension's numbers begin at `first`.
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
                    // The differences of the rounded edges, so that positions lie between 0 and 1 in tiny bins far out too.
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
    rows: usize,
    width: usize,
    first: usize,
    dim: usize,
    condition_width: usize,
    repeat: usize,
    domain: f32,
    bin_offset: f32,
    derivative_offset: f32,
    smallest: f32,
    #[comptime] bins: usize,
    #[comptime] gives: bool,
    #[comptime] inverts: bool,
) {
    let r = ABSOLUTE_POS;
    if r < rows {
        let reading = Reading { domain, bin_offset, derivative_offset, smallest };
        let len = comptime!(3 * bins + 1);
        let mut sum = 0.0f32;
        for i in 0..dim {
            let at = u[r * width + first + i];
            let bin = find(raw, (r * dim + i) * len, at, &reading, bins, comptime!(!inverts));
            let s = bin.height / bin.width;
            let bend = bin.left + bin.right - 2.0f32 * s;
            // Outside, the line.
            let mut y = bin.y + (at - bin.x) * bin.slope;
            if comptime!(inverts) {
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
            if comptime!(gives) {
                next[r * (dim + condition_width) + i] = y;
            }
        }
        if comptime!(gives) {
            give(condition, next, r, dim, condition_width, repeat);
        }
        if comptime!(!inverts) {
            log_det[r] += sum;
        }
    }
}

#[cube(launch)]
fn splines_backward(
    raw: &[f32],
    u: &[f32],
    of_out: &[f32],
    of_log_det: &[f32],
    of_next: &[f32],
    of_u: &mut [f32],
    of_raw: &mut [f32],
    rows: usize,
    width: usize,
    first: usize,
    dim: usize,
    next_width: usize,
    domain: f32,
    bin_offset: f32,
    derivative_offset: f32,
    smallest: f32,
    #[comptime] bins: usize,
    #[comptime] adds: bool,
) {
    let r = ABSOLUTE_POS;
    if r < rows {
        let reading = Reading { domain, bin_offset, derivative_offset, smallest };
        let len = comptime!(3 * bins + 1);
        let of_log = of_log_det[r];
        for i in 0..dim {
            let from = (r * dim + i) * len;
            let x = u[r * width + first + i];
            let mut of_y = of_out[r * width + first + i];
            if comptime!(adds) {
                of_y += of_next[r * next_width + i];
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
            let of_numerator = of_y * bin.height / denominator;
            let of_denominator = -of_numerator * ratio - 2.0f32 * of_log / denominator;
            let of_rise = of_log / rise;
            let of_bend = of_denominator * q;
            let of_q = of_denominator * bend + of_numerator * bin.left + of_rise * 2.0f32 * s;
            let of_s =
                2.0f32 * of_log / s + of_denominator - 2.0f32 * of_bend + of_numerator * xi * xi + of_rise * 2.0f32 * q;
            let of_xi = of_numerator * 2.0f32 * s * xi
                + of_rise * 2.0f32 * (bin.right * xi - bin.left * rest)
                + of_q * (rest - xi);

            // What the bin's own numbers have, and what all before it have.
            let mut of_width = -(of_s * s + of_xi * xi) / bin.width;
            let mut of_height = of_y * ratio + of_s / bin.width;
            let mut of_left = of_numerator * q + of_rise * rest * rest + of_bend;
            let mut of_right = of_rise * xi * xi + of_bend;
            let mut of_x = of_xi / bin.width;
            let mut of_slope = 0.0f32;
            let mut before = bin.k;
            if bin.inside {
                if bin.k == 0 {
                    of_slope += of_left;
                }
                if bin.k + 1 == bins {
                    of_slope += of_right;
                }
            } else {
                of_width = 0.0f32;
                of_height = 0.0f32;
                of_left = 0.0f32;
                of_right = 0.0f32;
                of_x = of_y * bin.slope;
                of_slope = of_y * (x - bin.x) + of_log / bin.slope;
                before = 0usize.runtime();
            }
            let of_all_heights = of_slope / bin.total;
            let of_all_widths = -of_slope * bin.slope / bin.total;

            of_u[r * width + first + i] = of_x;
            of_raw[from] = -of_x;
            of_raw[from + 1] = of_y;
            let widths = from + 2;
            let heights = widths + bins;
            let derivatives = heights + bins;
            for k in 0..bins {
                let mut of_w = of_all_widths;
                let mut of_h = of_all_heights;
                if k < before {
                    of_w -= of_x;
                    of_h += of_y;
                }
                if k == bin.k {
                    of_w += of_width;
                    of_h += of_height;
                }
                of_raw[widths + k] = of_w * slope_of_positive(raw[widths + k], bin_offset, smallest);
                of_raw[heights + k] = of_h * slope_of_positive(raw[heights + k], bin_offset, smallest);
            }
            for k in 0..comptime!(bins - 1) {
                let mut of = 0.0f32;
                if k + 1 == bin.k {
                    of += of_left;
                }
                if k == bin.k {
                    of += of_right;
                }
                of_raw[derivatives + k] = of * slope_of_positive(raw[derivatives + k], derivative_offset, smallest);
            }
        }
    }
}
