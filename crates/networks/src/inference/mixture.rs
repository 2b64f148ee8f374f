//! Estimates a density as a mixture of normal distributions, of one in the simplest case.

use crate::{
    ConfigError, DenseNet, DenseNetConfig, DensityEstimator, OutputInit, ParameterInit, Pass,
    inference::{check_condition, repeated},
    pass::constant,
};
use bayesburn_core::settings::at_least_one;
use burn::{
    config::Config,
    module::{Module, Param},
    tensor::{Int, Tensor, activation},
};
use std::f64::consts::{SQRT_2, TAU};

/// Which covariances a mixture's components can have.
#[derive(Config, Debug, Copy, PartialEq, Eq)]
pub enum Covariance {
    /// Any.
    Full,
    /// Diagonal: targets are independent within a component.
    Diagonal,
}

/// Configuration of a [`MixtureNetwork`].
///
/// ```
/// use bayesburn_networks::{Covariance, DenseNetConfig, MixtureConfig};
///
/// // A mean and a variance for each parameter, by two hidden layers of 32 units.
/// let gaussian = MixtureConfig::gaussian()
///     .with_covariance(Covariance::Diagonal)
///     .with_net(DenseNetConfig::new().with_units(32));
/// assert_eq!(gaussian.components, 1);
/// ```
#[derive(Config, Debug, PartialEq)]
pub struct MixtureConfig {
    /// K, the number of components, at least 1.
    #[config(default = 10)]
    pub components: usize,
    /// The components' covariances.
    #[config(default = "Covariance::Full")]
    pub covariance: Covariance,
    /// The network that makes weights, means and covariances of the condition.
    #[config(default = "DenseNetConfig::new().with_units(50).with_shortcut(true)")]
    pub net: DenseNetConfig,
}

impl MixtureConfig {
    /// One normal distribution.
    #[must_use]
    pub fn gaussian() -> Self {
        Self::new().with_components(1)
    }

    /// A mixture over `dim` targets given `condition_dim` numbers.
    ///
    /// # Errors
    /// No component or no target; a setting of the network outside its range; nothing to condition on.
    pub fn init(
        &self,
        dim: usize,
        condition_dim: usize,
        init: &mut ParameterInit,
    ) -> Result<MixtureNetwork, ConfigError> {
        at_least_one("components", self.components)?;
        at_least_one("dim", dim)?;
        if condition_dim == 0 {
            return Err(ConfigError::NothingToConditionOn);
        }
        let below_diagonal = match self.covariance {
            Covariance::Full => dim * (dim - 1) / 2,
            Covariance::Diagonal => 0,
        };
        let k = self.components;
        Ok(MixtureNetwork {
            net: self.net.init(condition_dim, k * (1 + 2 * dim + below_diagonal), OutputInit::Zeros, init)?,
            centres: (k > 1).then(|| init.normal([k, dim], APART)),
            components: k,
            covariance: self.covariance,
            dim,
            condition_dim,
        })
    }
}

/// q(θ | c) = Σ_k w_k N(θ; μ_k, (L_kᵀ L_k)⁻¹), where a network makes weights, means and the factors L of the precisions
/// of c (Bishop 1994, *Mixture density networks*, with full covariances).
///
/// L is lower triangular, and its diagonal the exponential of what the network says, softly kept between e⁻⁸ and e⁸.
#[derive(Module, Debug)]
pub struct MixtureNetwork {
    net: DenseNet,
    /// Added to the means, `[K, D]`.
    centres: Option<Param<Tensor<2>>>,
    #[module(skip)]
    components: usize,
    #[module(skip)]
    covariance: Covariance,
    #[module(skip)]
    dim: usize,
    #[module(skip)]
    condition_dim: usize,
}

/// The mixture of each row of a condition. `[M, K]`, `[M, K, D]`, `[M, K, D]` and `[M, K, D (D − 1) / 2]`, the latter
/// row by row of the triangle below the diagonal, and none for diagonal covariances.
#[derive(Debug, Clone)]
pub struct MixtureParameters {
    /// The logarithms of the weights, which add up to 1.
    pub log_weights: Tensor<2>,
    /// The means μ.
    pub means: Tensor<3>,
    /// The logarithms of the diagonal of L.
    pub log_diagonals: Tensor<3>,
    /// What is below the diagonal of L.
    pub below_diagonals: Option<Tensor<3>>,
}

/// How far apart components begin, in standard deviations of the targets. Those that begin alike stay alike: they have
/// the same gradients. At 1 they begin as one wide density: on the linear Gaussian example, from 1,000 simulations, the
/// divergence of 10 components from the exact posterior was then 0.069, and 0.023 at 0.1; on the posteriors of the sine
/// example, which have three modes, both come to the same.
const APART: f32 = 0.1;

/// Bound of the logarithm of L's diagonal. Targets are standardised, so that this is far from any posterior, and e⁸
/// squared is still far from what f32 holds.
const LARGEST_LOG: f64 = 8.0;

impl MixtureNetwork {
    /// The mixture that each row of the condition `[M, C]` gives.
    ///
    /// # Panics
    /// If C is not the width that the network was made for.
    pub fn parameters(&self, condition: Tensor<2>, pass: &mut Pass) -> MixtureParameters {
        let (k, dim) = (self.components, self.dim);
        let [rows, width] = condition.dims();
        assert_eq!(width, self.condition_dim, "a condition of width {width} for a network of {}", self.condition_dim);
        let out = self.net.forward(condition, pass);
        let log_weights = activation::log_softmax(out.clone().narrow(1, 0, k), 1);
        let means = out.clone().narrow(1, k, k * dim).reshape([rows, k, dim]);
        let means = match &self.centres {
            Some(centres) => means + centres.val().unsqueeze::<3>(),
            None => means,
        };
        let raw = out.clone().narrow(1, k + k * dim, k * dim).reshape([rows, k, dim]);
        let log_diagonals = raw.div_scalar(LARGEST_LOG).tanh().mul_scalar(LARGEST_LOG);
        let start = k + 2 * k * dim;
        let below = dim * (dim - 1) / 2;
        let below_diagonals = (self.covariance == Covariance::Full && below > 0)
            .then(|| out.narrow(1, start, k * below).reshape([rows, k, below]));
        MixtureParameters { log_weights, means, log_diagonals, below_diagonals }
    }
}

/// ln Σ exp of each row, `[B, K]` to `[B]`, without overflow.
#[must_use]
pub fn log_sum_exp(logs: Tensor<2>) -> Tensor<1> {
    let [rows, _] = logs.dims();
    let largest = logs.clone().without_autodiff().max_dim(1);
    ((logs - largest.clone()).exp().sum_dim(1).log() + largest).reshape([rows])
}

/// Row i of the triangle below the diagonal begins here, and is i long.
fn row_start(i: usize) -> usize {
    i * i.saturating_sub(1) / 2
}

impl MixtureParameters {
    /// The mixtures of these rows.
    #[must_use]
    pub fn select(&self, rows: Tensor<1, Int>) -> Self {
        Self {
            log_weights: self.log_weights.clone().select(0, rows.clone()),
            means: self.means.clone().select(0, rows.clone()),
            log_diagonals: self.log_diagonals.clone().select(0, rows.clone()),
            below_diagonals: self.below_diagonals.as_ref().map(|below| below.clone().select(0, rows)),
        }
    }

    /// ln q of targets `[B, D]`, each row of the mixture for B / M of them: the log-density `[B]` and, of a single
    /// component, L (θ − μ).
    #[must_use]
    pub fn log_prob(self, targets: Tensor<2>) -> (Option<Tensor<2>>, Tensor<1>) {
        let [rows, dim] = targets.dims();
        let [given, k] = self.log_weights.dims();
        let each = rows / given;
        // [M, 1, K, ..] beside [M, B / M, 1, D].
        let difference = targets.reshape([given, each, 1, dim]) - self.means.reshape([given, 1, k, dim]);
        let log_diagonals = self.log_diagonals.reshape([given, 1, k, dim]);
        let mut z = difference.clone() * log_diagonals.clone().exp();
        if let Some(below) = self.below_diagonals {
            let [_, _, width] = below.dims();
            let below = below.reshape([given, 1, k, width]);
            let mut columns = vec![z.clone().narrow(3, 0, 1)];
            for i in 1..dim {
                let factors = below.clone().narrow(3, row_start(i), i);
                let mixed = (difference.clone().narrow(3, 0, i) * factors).sum_dim(3);
                columns.push(z.clone().narrow(3, i, 1) + mixed);
            }
            z = Tensor::cat(columns, 3);
        }
        let log_normals = z.clone().square().sum_dim(3).mul_scalar(-0.5) + log_diagonals.sum_dim(3);
        let log_normals = log_normals.sub_scalar(0.5 * dim as f64 * TAU.ln());
        let logs = (log_normals.reshape([given, each, k]) + self.log_weights.reshape([given, 1, k])).reshape([rows, k]);
        if k == 1 {
            return (Some(z.reshape([rows, dim])), logs.reshape([rows]));
        }
        (None, log_sum_exp(logs))
    }
}

impl DensityEstimator for MixtureNetwork {
    fn evaluate(&self, targets: Tensor<2>, condition: Tensor<2>, pass: &mut Pass) -> (Option<Tensor<2>>, Tensor<1>) {
        let [rows, dim] = targets.dims();
        assert_eq!(dim, self.dim, "targets of {dim} dimensions for a mixture of {}", self.dim);
        check_condition(condition.dims(), self.condition_dim, rows);
        self.parameters(condition, pass).log_prob(targets)
    }

    /// One more than targets where a component is to be chosen.
    fn noise_dim(&self, dim: usize) -> usize {
        dim + usize::from(self.components > 1)
    }

    /// μ_k + L_k⁻¹ z, where Φ of the last noise chooses the component k.
    fn draw(&self, noise: Tensor<2>, condition: Tensor<2>, pass: &mut Pass) -> Tensor<2> {
        let [rows, width] = noise.dims();
        let (k, dim) = (self.components, self.dim);
        assert_eq!(width, self.noise_dim(dim), "noise of width {width} for a mixture of {dim} dimensions");
        check_condition(condition.dims(), self.condition_dim, rows);
        let mixture = self.parameters(condition, pass);
        // What belongs to the chosen component of each draw.
        let chosen = (k > 1).then(|| {
            let weights = repeated(mixture.log_weights.exp(), rows);
            let upper: Vec<f32> = (0..k * k).map(|i| if i / k <= i % k { 1.0 } else { 0.0 }).collect();
            let cumulative = weights.clone().matmul(constant(upper, [k, k], &weights));
            let share = noise.clone().narrow(1, dim, 1).div_scalar(SQRT_2).erf().add_scalar(1.0).mul_scalar(0.5);
            cumulative.lower(share).int().sum_dim(1).clamp_max(k as i64 - 1)
        });
        let of_chosen = |values: Tensor<3>| {
            let [given, _, width] = values.dims();
            let values = repeated(values.reshape([given, k * width]), rows);
            match &chosen {
                None => values,
                Some(chosen) => {
                    let places = chosen.clone().reshape([rows, 1, 1]).expand([rows, 1, width]);
                    values.reshape([rows, k, width]).gather(1, places).reshape([rows, width])
                }
            }
        };
        let means = of_chosen(mixture.means);
        let scales = of_chosen(mixture.log_diagonals).neg().exp();
        let z = noise.narrow(1, 0, dim);
        let Some(below) = mixture.below_diagonals.map(of_chosen) else { return means + z * scales };
        let mut differences = z.clone().narrow(1, 0, 1) * scales.clone().narrow(1, 0, 1);
        for i in 1..dim {
            let mixed = (differences.clone() * below.clone().narrow(1, row_start(i), i)).sum_dim(1);
            let next = (z.clone().narrow(1, i, 1) - mixed) * scales.clone().narrow(1, i, 1);
            differences = Tensor::cat(vec![differences, next], 1);
        }
        means + differences
    }
}
