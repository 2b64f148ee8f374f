//! Evaluates monotone rational-quadratic splines (Gregory & Delbourgo 1982; Durkan et al. 2019) between movable edges,
//! continued by lines.

use super::Spline;
use crate::{
    memory::Buffer,
    vector::{map, sigmoid, softplus},
};

/// A number's place: the bin that holds it, or beyond the edges.
struct Bin {
    /// The bin's place, and what it looks like.
    inside: Option<(usize, Piece)>,
    /// Its left and bottom corner, or that of the spline.
    x: f32,
    y: f32,
    /// Σ heights / Σ widths.
    slope: f32,
}

/// The numbers of one dimension, in order: edges, widths, heights, inner derivatives.
struct Numbers<'a> {
    edges: [f32; 2],
    widths: &'a [f32],
    heights: &'a [f32],
    derivatives: &'a [f32],
}

/// The numbers that a network makes for each dimension of each row.
#[derive(Clone, Copy)]
pub(crate) struct Curves<'a> {
    pub(crate) raw: &'a [f32],
    /// Of the same, what [`Spline::positive`] makes of them.
    pub(crate) positive: &'a [f32],
}

impl Spline {
    /// Numbers for each dimension.
    fn len(&self) -> usize {
        3 * self.bins + 1
    }

    /// What is added before softplus, number by number. The edges' entries mean nothing.
    fn offsets(&self, len: usize) -> Buffer {
        let mut offsets = Buffer::new(len);
        let Some(first) = offsets.chunks_exact_mut(self.len()).next() else { return offsets };
        first[..2 + 2 * self.bins].fill(self.bin_offset);
        first[2 + 2 * self.bins..].fill(self.derivative_offset);
        let mut done = self.len();
        while done < len {
            let more = done.min(len - done);
            offsets.copy_within(..more, done);
            done += more;
        }
        offsets
    }

    /// Widths, heights and derivatives: softplus of the numbers, not below the smallest.
    pub(crate) fn positive(&self, raw: &[f32]) -> Buffer {
        let mut positive = self.offsets(raw.len());
        let smallest = self.smallest;
        map!(offset in &mut positive, raw in raw => {
            let size = softplus(raw + offset);
            if size < smallest { smallest } else { size }
        });
        positive
    }

    fn numbers<'a>(&self, raw: &[f32], positive: &'a [f32]) -> Numbers<'a> {
        let (widths, rest) = positive[2..].split_at(self.bins);
        let (heights, derivatives) = rest.split_at(self.bins);
        Numbers { edges: [raw[0] - self.domain, raw[1] - self.domain], widths, heights, derivatives }
    }

    /// y, and the logarithms of its derivatives added to each row's `log_det`.
    pub(crate) fn forward(&self, Curves { raw, positive }: Curves<'_>, x: &[f32], log_det: &mut [f32]) -> Buffer {
        let (mut y, dim) = (Buffer::new(x.len()), x.len() / log_det.len());
        let dimensions = raw.chunks_exact(self.len()).zip(positive.chunks_exact(self.len()));
        for (i, ((raw, positive), (&x, y))) in dimensions.zip(x.iter().zip(&mut *y)).enumerate() {
            let numbers = self.numbers(raw, positive);
            let bin = numbers.find(x, true);
            let log_derivative;
            (*y, log_derivative) = match bin.inside {
                None => (bin.y + (x - bin.x) * bin.slope, bin.slope.ln()),
                Some((_, piece)) => piece.evaluate((x - bin.x) / piece.width, bin.y),
            };
            log_det[i / dim] += log_derivative;
        }
        y
    }

    pub(crate) fn inverse(&self, Curves { raw, positive }: Curves<'_>, y: &[f32]) -> Buffer {
        let mut x = Buffer::new(y.len());
        let dimensions = raw.chunks_exact(self.len()).zip(positive.chunks_exact(self.len()));
        for ((raw, positive), (&y, x)) in dimensions.zip(y.iter().zip(&mut *x)) {
            let numbers = self.numbers(raw, positive);
            let bin = numbers.find(y, false);
            *x = match bin.inside {
                None => bin.x + (y - bin.y) / bin.slope,
                Some((_, piece)) => bin.x + piece.position_of(y - bin.y) * piece.width,
            };
        }
        x
    }

    /// Gradients of x and of the network's numbers, from those of y and of each row's log-determinant.
    pub(crate) fn backward(
        &self,
        Curves { raw, positive }: Curves<'_>,
        x: &[f32],
        grad_y: &[f32],
        grad_log_det: &[f32],
    ) -> (Buffer, Buffer) {
        let (mut grad_x, mut grad_raw) = (Buffer::new(x.len()), Buffer::zeros(raw.len()));
        let (dim, len) = (x.len() / grad_log_det.len(), self.len());
        for (i, &x) in x.iter().enumerate() {
            let range = i * len..(i + 1) * len;
            let numbers = self.numbers(&raw[range.clone()], &positive[range.clone()]);
            grad_x[i] = numbers.backward(x, grad_y[i], grad_log_det[i / dim], &mut grad_raw[range]);
        }
        // d softplus = sigmoid, and nothing below the smallest.
        let mut slopes = self.offsets(raw.len());
        map!(offset in &mut slopes, raw in raw => sigmoid(raw + offset));
        let smallest = self.smallest;
        let dimensions = grad_raw.chunks_exact_mut(len).zip(slopes.chunks_exact(len)).zip(positive.chunks_exact(len));
        for ((grad_raw, slopes), positive) in dimensions {
            for ((grad_raw, slope), positive) in grad_raw.iter_mut().zip(slopes).zip(positive).skip(2) {
                *grad_raw = if *positive > smallest { *grad_raw * slope } else { 0.0 };
            }
        }
        (grad_x, grad_raw)
    }
}

impl Numbers<'_> {
    /// The bin of x or, not `by_x`, of y: the last whose lower edge is not above it.
    fn find(&self, at: f32, by_x: bool) -> Bin {
        let [left, bottom] = self.edges;
        let slope = self.heights.iter().sum::<f32>() / self.widths.iter().sum::<f32>();
        let outside = Bin { inside: None, x: left, y: bottom, slope };
        if at < if by_x { left } else { bottom } {
            return outside;
        }
        let (mut x, mut y, mut width, mut height) = (left, bottom, 0.0, 0.0);
        for (k, sizes) in self.widths.iter().zip(self.heights).enumerate() {
            (width, height) = (width + sizes.0, height + sizes.1);
            let (right, top) = (left + width, bottom + height);
            if at <= if by_x { right } else { top } {
                // The differences of the rounded edges, so that positions lie between 0 and 1 in tiny bins far out too.
                let piece = Piece {
                    width: right - x,
                    height: top - y,
                    left: self.derivative(k, slope),
                    right: self.derivative(k + 1, slope),
                };
                return Bin { inside: Some((k, piece)), x, y, slope };
            }
            (x, y) = (right, top);
        }
        outside
    }

    /// The derivative at a knot; at both ends it is the slope of the lines beyond.
    fn derivative(&self, knot: usize, slope: f32) -> f32 {
        if knot == 0 || knot == self.widths.len() { slope } else { self.derivatives[knot - 1] }
    }

    /// Adds the gradients of edges, widths, heights and derivatives to `grad_numbers`, and returns that of x.
    fn backward(&self, x: f32, grad_y: f32, grad_log: f32, grad_numbers: &mut [f32]) -> f32 {
        let bins = self.widths.len();
        let bin = self.find(x, true);
        let (grad_edges, rest) = grad_numbers.split_at_mut(2);
        let (grad_widths, rest) = rest.split_at_mut(bins);
        let (grad_heights, grad_derivatives) = rest.split_at_mut(bins);
        grad_edges[1] += grad_y;
        let mut grad_slope = 0.0;
        let grad_x = match bin.inside {
            None => {
                grad_slope += grad_y * (x - bin.x) + grad_log / bin.slope;
                grad_y * bin.slope
            }
            Some((k, piece)) => {
                let of = piece.backward((x - bin.x) / piece.width, grad_y, grad_log);
                grad_widths[k] += of.width;
                grad_heights[k] += of.height;
                for (knot, grad_derivative) in [(k, of.left), (k + 1, of.right)] {
                    if knot == 0 || knot == bins {
                        grad_slope += grad_derivative;
                    } else {
                        grad_derivatives[knot - 1] += grad_derivative;
                    }
                }
                // The bin's corner is the sum of all widths and heights before it.
                grad_widths[..k].iter_mut().for_each(|grad_width| *grad_width -= of.x);
                grad_heights[..k].iter_mut().for_each(|grad_height| *grad_height += grad_y);
                of.x
            }
        };
        grad_edges[0] -= grad_x;
        let total: f32 = self.widths.iter().sum();
        grad_heights.iter_mut().for_each(|grad_height| *grad_height += grad_slope / total);
        grad_widths.iter_mut().for_each(|grad_width| *grad_width -= grad_slope * bin.slope / total);
        grad_x
    }
}

/// One bin of a spline: its size and the derivatives at its two knots. With s = height / width, ξ the position in `[0,
/// 1]`, q = ξ(1 − ξ) and r = left + right − 2s: y = y_k + height (s ξ² + left q) / (s + r q).
struct Piece {
    width: f32,
    height: f32,
    left: f32,
    right: f32,
}

/// Gradients of a bin's numbers, and of x.
struct GradPiece {
    width: f32,
    height: f32,
    left: f32,
    right: f32,
    x: f32,
}

impl Piece {
    /// y and ln(dy/dx) at ξ.
    fn evaluate(&self, xi: f32, y: f32) -> (f32, f32) {
        let s = self.height / self.width;
        let q = xi * (1.0 - xi);
        let denominator = s + (self.left + self.right - 2.0 * s) * q;
        let numerator = s * xi * xi + self.left * q;
        let rise = self.right * xi * xi + 2.0 * s * q + self.left * (1.0 - xi) * (1.0 - xi);
        (y + self.height * numerator / denominator, (s * s * rise).ln() - 2.0 * denominator.ln())
    }

    /// ξ of what y is above the bin's corner: the root in [0, 1] of the quadratic, in the form that does not cancel.
    fn position_of(&self, above: f32) -> f32 {
        let s = self.height / self.width;
        let bend = self.left + self.right - 2.0 * s;
        let a = self.height * (s - self.left) + above * bend;
        let b = self.height * self.left - above * bend;
        let c = -s * above;
        let discriminant = (b * b - 4.0 * a * c).max(0.0);
        2.0 * c / (-b - discriminant.sqrt())
    }

    fn backward(&self, xi: f32, grad_y: f32, grad_log: f32) -> GradPiece {
        let s = self.height / self.width;
        let rest = 1.0 - xi;
        let q = xi * rest;
        let bend = self.left + self.right - 2.0 * s;
        let denominator = s + bend * q;
        let numerator = s * xi * xi + self.left * q;
        let rise = self.right * xi * xi + 2.0 * s * q + self.left * rest * rest;

        let ratio = numerator / denominator;
        let grad_numerator = grad_y * self.height / denominator;
        let grad_denominator = -grad_numerator * ratio - 2.0 * grad_log / denominator;
        let grad_rise = grad_log / rise;
        let grad_bend = grad_denominator * q;
        let grad_q = grad_denominator * bend + grad_numerator * self.left + grad_rise * 2.0 * s;
        let grad_s =
            2.0 * grad_log / s + grad_denominator - 2.0 * grad_bend + grad_numerator * xi * xi + grad_rise * 2.0 * q;
        let grad_xi = grad_numerator * 2.0 * s * xi
            + grad_rise * 2.0 * (self.right * xi - self.left * rest)
            + grad_q * (rest - xi);
        GradPiece {
            width: -(grad_s * s + grad_xi * xi) / self.width,
            height: grad_y * ratio + grad_s / self.width,
            left: grad_numerator * q + grad_rise * rest * rest + grad_bend,
            right: grad_rise * xi * xi + grad_bend,
            x: grad_xi / self.width,
        }
    }
}
