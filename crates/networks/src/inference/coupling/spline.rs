//! Bends one half by monotone rational-quadratic splines that a network makes of the other half and the condition.

use super::transform_net;
use crate::{ConfigError, DenseNet, DenseNetConfig, ParameterInit, Pass, inference::sum_dimensions};
use bayesburn_core::settings::in_range;
#[cfg(feature = "flex")]
use bayesburn_kernels::{Operands, Spline, SplineTransform};
use burn::{
    config::Config,
    module::Module,
    tensor::{Tensor, activation::softplus},
};

/// Bins and derivatives do not get smaller than this, so that slopes, and with them log-determinants, stay finite in
/// f32.
const SMALLEST: f64 = 1e-4;

/// Configuration of a [`SplineCoupling`].
#[derive(Config, Debug, PartialEq)]
pub struct SplineConfig {
    /// The network.
    #[config(default = "DenseNetConfig::new().with_shortcut(true)")]
    pub net: DenseNetConfig,
    /// Number of bins, at least 2.
    #[config(default = 16)]
    pub bins: usize,
    /// The spline begins on the square [−domain, domain]², above 0; training moves and stretches it.
    #[config(default = 5.0)]
    pub domain: f64,
}

impl SplineConfig {
    pub(super) fn init(
        &self,
        dim: usize,
        d_input: usize,
        init: &mut ParameterInit,
    ) -> Result<SplineCoupling, ConfigError> {
        in_range(self.bins >= 2, "bins", "at least 2", self.bins as f64)?;
        in_range(self.domain > 0.0 && self.domain.is_finite(), "domain", "above 0", self.domain)?;
        // Left and bottom edge, widths, heights, and the derivatives at the inner knots.
        let per_dimension = 2 + 3 * self.bins - 1;
        let net = transform_net(&self.net, d_input, dim * per_dimension, init)?;
        Ok(SplineCoupling { net, bins: self.bins, domain: self.domain })
    }
}

/// Rational-quadratic splines (Gregory & Delbourgo 1982; Durkan et al. 2019) between movable edges, continued on
/// both sides by the line through the two corner knots, so that the map and its derivative are defined everywhere.
#[derive(Module, Debug)]
pub struct SplineCoupling {
    net: DenseNet,
    #[module(skip)]
    bins: usize,
    #[module(skip)]
    domain: f64,
}

/// Splines of B × D numbers: knots and derivatives `[B, D, K + 1]`, and the line beyond them, `[B, D, 1]`.
struct Knots {
    x: Tensor<3>,
    y: Tensor<3>,
    derivative: Tensor<3>,
    slope: Tensor<3>,
}

/// The bin that holds a number, each field `[B, D, 1]`.
struct Bin {
    x: Tensor<3>,
    y: Tensor<3>,
    width: Tensor<3>,
    height: Tensor<3>,
    left_derivative: Tensor<3>,
    right_derivative: Tensor<3>,
}

impl SplineCoupling {
    fn knots(&self, dim: usize, given: Tensor<2>, pass: &mut Pass) -> Knots {
        let (bins, raw) = (self.bins, self.net.forward(given, pass));
        let [rows, _] = raw.dims();
        let raw = raw.reshape([rows as i64, dim as i64, -1]);
        // softplus(raw + offset) is `at_zero` for raw = 0.
        let positive = |from: usize, len: usize, at_zero: f64| {
            softplus(raw.clone().narrow(2, from, len).add_scalar(offset(at_zero)), 1.0).clamp_min(SMALLEST)
        };
        let (widths, heights) = (positive(2, bins, self.bin()), positive(2 + bins, bins, self.bin()));
        let inner = positive(2 + 2 * bins, bins - 1, 1.0);
        let slope = heights.clone().sum_dim(2) / widths.clone().sum_dim(2);
        let knots = |edge: usize, steps: Tensor<3>| {
            let edge = raw.clone().narrow(2, edge, 1).sub_scalar(self.domain);
            Tensor::cat(vec![edge.clone(), edge + steps.cumsum(2)], 2)
        };
        Knots {
            x: knots(0, widths),
            y: knots(1, heights),
            derivative: Tensor::cat(vec![slope.clone(), inner, slope.clone()], 2),
            slope,
        }
    }

    /// The same as a part of a kernel.
    #[cfg(feature = "flex")]
    pub(super) fn kernel(&self, widths: &[usize], pass: &Pass, operands: &mut Operands) -> Option<SplineTransform> {
        let spline = Spline {
            bins: self.bins,
            domain: self.domain as f32,
            bin_offset: offset(self.bin()) as f32,
            derivative_offset: offset(1.0) as f32,
            smallest: SMALLEST as f32,
        };
        Some(SplineTransform { net: self.net.stack(widths, pass, operands)?, spline })
    }

    /// Width and height of each bin before training.
    fn bin(&self) -> f64 {
        2.0 * self.domain / self.bins as f64
    }

    pub(super) fn forward(&self, x: Tensor<2>, given: Tensor<2>, pass: &mut Pass) -> (Tensor<2>, Tensor<1>) {
        let [rows, dim] = x.dims();
        let knots = self.knots(dim, given, pass);
        let x = x.reshape([rows, dim, 1]);
        let outside = knots.outside(&knots.x, &x);
        let line =
            knots.y.clone().narrow(2, 0, 1) + (x.clone() - knots.x.clone().narrow(2, 0, 1)) * knots.slope.clone();
        // Numbers outside are moved to the left edge: their branch of the gradient is masked, but must not be NaN.
        let inside_x = x.clone().mask_where(outside.clone(), knots.x.clone().narrow(2, 0, 1));
        let bin = knots.bin(&knots.x, &inside_x);
        let position = (inside_x - bin.x.clone()) / bin.width.clone();
        let (y, log_derivative) = bin.evaluate(position);
        let y = y.mask_where(outside.clone(), line).reshape([rows, dim]);
        let log_det = log_derivative.mask_where(outside, knots.slope.log()).reshape([rows, dim]);
        (y, sum_dimensions(log_det))
    }

    pub(super) fn inverse(&self, y: Tensor<2>, given: Tensor<2>, pass: &mut Pass) -> Tensor<2> {
        let [rows, dim] = y.dims();
        let knots = self.knots(dim, given, pass);
        let y = y.reshape([rows, dim, 1]);
        let outside = knots.outside(&knots.y, &y);
        let line =
            knots.x.clone().narrow(2, 0, 1) + (y.clone() - knots.y.clone().narrow(2, 0, 1)) / knots.slope.clone();
        let inside_y = y.clone().mask_where(outside.clone(), knots.y.clone().narrow(2, 0, 1));
        let bin = knots.bin(&knots.y, &inside_y);
        let x = bin.x.clone() + bin.position_of(inside_y) * bin.width.clone();
        x.mask_where(outside, line).reshape([rows, dim])
    }
}

/// ln(exp(a) − 1), whose softplus is a, written so that it does not overflow.
fn offset(a: f64) -> f64 {
    a + (-(-a).exp()).ln_1p()
}

impl Knots {
    /// Whether a number lies beyond the first or last of these edges.
    fn outside(&self, edges: &Tensor<3>, at: &Tensor<3>) -> Tensor<3, burn::tensor::Bool> {
        let [_, _, n] = edges.dims();
        let below = at.clone().lower(edges.clone().narrow(2, 0, 1));
        below.bool_or(at.clone().greater(edges.clone().narrow(2, n - 1, 1)))
    }

    /// The bin that holds each number, which must not lie outside: the last whose left edge is not above it.
    fn bin(&self, edges: &Tensor<3>, at: &Tensor<3>) -> Bin {
        let [rows, dim, n] = edges.dims();
        let inner = edges.clone().narrow(2, 1, n - 2);
        let index = at.clone().expand([rows, dim, n - 2]).greater(inner).int().sum_dim(2);
        let left = |values: &Tensor<3>| values.clone().narrow(2, 0, n - 1).gather(2, index.clone());
        let right = |values: &Tensor<3>| values.clone().narrow(2, 1, n - 1).gather(2, index.clone());
        let (x, y) = (left(&self.x), left(&self.y));
        Bin {
            width: right(&self.x) - x.clone(),
            height: right(&self.y) - y.clone(),
            left_derivative: left(&self.derivative),
            right_derivative: right(&self.derivative),
            x,
            y,
        }
    }
}

impl Bin {
    /// y and ln(dy/dx) at ξ = (x − x_k) / width.
    fn evaluate(self, xi: Tensor<3>) -> (Tensor<3>, Tensor<3>) {
        let s = self.height.clone() / self.width.clone();
        let rest = xi.clone().neg().add_scalar(1.0);
        let both = xi.clone() * rest.clone();
        let bend = self.left_derivative.clone() + self.right_derivative.clone() - s.clone().mul_scalar(2.0);
        let denominator = s.clone() + bend * both.clone();
        let numerator = s.clone() * xi.clone().square() + self.left_derivative.clone() * both.clone();
        let y = self.y + self.height * numerator / denominator.clone();
        let slope = self.right_derivative * xi.square()
            + s.clone().mul_scalar(2.0) * both
            + self.left_derivative * rest.square();
        (y, (s.square() * slope).log() - denominator.log().mul_scalar(2.0))
    }

    /// ξ of a given y: the root in [0, 1] of the quadratic, in the form that does not cancel.
    fn position_of(&self, y: Tensor<3>) -> Tensor<3> {
        let s = self.height.clone() / self.width.clone();
        let above = y - self.y.clone();
        let bend = self.left_derivative.clone() + self.right_derivative.clone() - s.clone().mul_scalar(2.0);
        let a = self.height.clone() * (s.clone() - self.left_derivative.clone()) + above.clone() * bend.clone();
        let b = self.height.clone() * self.left_derivative.clone() - above.clone() * bend;
        let c = (s * above).neg();
        let discriminant = (b.clone().square() - (a * c.clone()).mul_scalar(4.0)).clamp_min(0.0);
        c.mul_scalar(2.0) / (b.neg() - discriminant.sqrt())
    }
}
