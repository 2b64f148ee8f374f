//! Multiplies mixtures of normals, and divides by a normal: what posteriors under another proposal are in closed form.

use crate::{MixtureParameters, log_sum_exp};
use burn::tensor::{Device, Int, Tensor, TensorData};

/// Normal distributions as they multiply: for each of `[M, K]`, the lower triangle of the precision P row by row, P μ, and the logarithm of the
/// weight beside (|P| / (2π)^D)^½ exp(−½ μᵀ P μ).
#[derive(Debug, Clone)]
pub struct NaturalMixture {
    dim: usize,
    /// P_ij for j ≤ i, each `[M, K]`.
    precision: Vec<Tensor<2>>,
    /// (P μ)_i.
    shift: Vec<Tensor<2>>,
    /// ln w + ½ ln|P| − ½ μᵀ P μ.
    log_factor: Tensor<2>,
}

/// The place of (i, j), j ≤ i, in a lower triangle.
fn at(i: usize, j: usize) -> usize {
    i * (i + 1) / 2 + j
}

impl MixtureParameters {
    /// The same in the form that multiplies.
    #[must_use]
    pub fn natural(&self) -> NaturalMixture {
        let [rows, k, dim] = self.means.dims();
        let column = |tensor: &Tensor<3>, i: usize| tensor.clone().narrow(2, i, 1).reshape([rows, k]);
        // L_ij for j ≤ i.
        let mut factor = Vec::with_capacity(dim * (dim + 1) / 2);
        for i in 0..dim {
            for j in 0..i {
                factor.push(match &self.below_diagonals {
                    Some(below) => column(below, i * (i - 1) / 2 + j),
                    None => column(&self.means, i).zeros_like(),
                });
            }
            factor.push(column(&self.log_diagonals, i).exp());
        }
        let means: Vec<_> = (0..dim).map(|i| column(&self.means, i)).collect();
        // P = Lᵀ L, and L μ.
        let product = |i: usize, j: usize| {
            let terms = (i..dim).map(|r| factor[at(r, i)].clone() * factor[at(r, j)].clone());
            terms.reduce(|sum, term| sum + term).expect("one term at least")
        };
        let precision: Vec<_> =
            (0..dim).flat_map(|i| (0..=i).map(move |j| (i, j))).map(|(i, j)| product(i, j)).collect();
        let l_mu = |r: usize| {
            let terms = (0..=r).map(|c| factor[at(r, c)].clone() * means[c].clone());
            terms.reduce(|sum, term| sum + term).expect("one term at least")
        };
        let l_mu: Vec<_> = (0..dim).map(l_mu).collect();
        let shift = |i: usize| {
            let terms = (i..dim).map(|r| factor[at(r, i)].clone() * l_mu[r].clone());
            terms.reduce(|sum, term| sum + term).expect("one term at least")
        };
        let square = l_mu.iter().map(|l| l.clone().square()).reduce(|sum, term| sum + term).expect("a dimension");
        let half_log_det = self.log_diagonals.clone().sum_dim(2).reshape([rows, k]);
        NaturalMixture {
            dim,
            precision,
            shift: (0..dim).map(shift).collect(),
            log_factor: self.log_weights.clone() + half_log_det - square.mul_scalar(0.5),
        }
    }
}

impl NaturalMixture {
    /// One normal distribution, of this mean `[D]`, precision `[D, D]`, row by row, and logarithm of the precision's determinant.
    ///
    /// # Panics
    /// If there are not D² numbers of the precision.
    #[must_use]
    pub fn normal(mean: &[f64], precision: &[f64], log_det: f64, device: &Device) -> Self {
        let dim = mean.len();
        assert_eq!(precision.len(), dim * dim, "the precision of {dim} dimensions");
        let number = |value: f64| Tensor::<2>::from_data(TensorData::new(vec![value as f32], [1, 1]), device);
        let shift: Vec<f64> = (0..dim).map(|i| (0..dim).map(|j| precision[i * dim + j] * mean[j]).sum()).collect();
        let square: f64 = mean.iter().zip(&shift).map(|(m, s)| m * s).sum();
        let triangle = (0..dim).flat_map(|i| (0..=i).map(move |j| (i, j)));
        Self {
            dim,
            precision: triangle.map(|(i, j)| number(precision[i * dim + j])).collect(),
            shift: shift.into_iter().map(number).collect(),
            log_factor: number(0.5 * (log_det - square)),
        }
    }

    /// These rows.
    #[must_use]
    pub fn select(&self, rows: Tensor<1, Int>) -> Self {
        let all = |tensors: &[Tensor<2>]| tensors.iter().map(|tensor| tensor.clone().select(0, rows.clone())).collect();
        Self {
            dim: self.dim,
            precision: all(&self.precision),
            shift: all(&self.shift),
            log_factor: self.log_factor.clone().select(0, rows.clone()),
        }
    }

    /// The same without gradients.
    #[must_use]
    pub fn detach(self) -> Self {
        let all = |tensors: Vec<Tensor<2>>| tensors.into_iter().map(Tensor::detach).collect();
        Self {
            dim: self.dim,
            precision: all(self.precision),
            shift: all(self.shift),
            log_factor: self.log_factor.detach(),
        }
    }

    /// ln ∫ of the product of each row with one row of `other`, divided by a normal if there is one; `[M]`, up to a constant.
    ///
    /// With components k and l it is Σ_kl of weights whose logarithms are those of both components, minus the divisor's, minus ½ ln|P_kl| plus
    /// ½ η_klᵀ P_kl⁻¹ η_kl, where P_kl and η_kl are sums of precisions and of P μ (Greenberg et al. 2019, appendix A.1).
    ///
    /// # Panics
    /// If `other` has several rows, or another number of dimensions.
    #[must_use]
    pub fn log_integral_of_product(&self, other: &Self, divisor: Option<&Self>) -> Tensor<1> {
        let [rows, k] = self.log_factor.dims();
        let [one, l] = other.log_factor.dims();
        assert_eq!((one, self.dim), (1, other.dim), "one row of as many dimensions");
        let pairs = |a: &Tensor<2>, b: &Tensor<2>| -> Tensor<3> {
            a.clone().reshape([rows, k, 1]).expand([rows, k, l]) + b.clone().reshape([1, 1, l]).expand([rows, k, l])
        };
        let minus = |sum: Tensor<3>, of: Option<&Tensor<2>>| match of {
            Some(of) => sum - of.clone().reshape([1, 1, 1]).expand([rows, k, l]),
            None => sum,
        };
        let precision: Vec<Tensor<3>> = (0..self.precision.len())
            .map(|i| minus(pairs(&self.precision[i], &other.precision[i]), divisor.map(|d| &d.precision[i])))
            .collect();
        let shift: Vec<Tensor<3>> = (0..self.dim)
            .map(|i| minus(pairs(&self.shift[i], &other.shift[i]), divisor.map(|d| &d.shift[i])))
            .collect();
        let log_factor = minus(pairs(&self.log_factor, &other.log_factor), divisor.map(|d| &d.log_factor));

        // Cholesky's factor C of each P_kl, row by row, and y = C⁻¹ η: ln|P| = 2 Σ ln C_ii, and ηᵀ P⁻¹ η = ‖y‖².
        let mut factor: Vec<Tensor<3>> = Vec::with_capacity(precision.len());
        let mut solved: Vec<Tensor<3>> = Vec::with_capacity(self.dim);
        let mut log = log_factor;
        for i in 0..self.dim {
            for j in 0..=i {
                let inner = (0..j).map(|c| factor[at(i, c)].clone() * factor[at(j, c)].clone());
                let entry = inner.fold(precision[at(i, j)].clone(), |left, term| left - term);
                factor.push(if i == j {
                    // Dividing by a normal may leave none; then the loss is large and finite.
                    entry.clamp_min(1e-6).sqrt()
                } else {
                    entry / factor[at(j, j)].clone()
                });
            }
            let inner = (0..i).map(|c| factor[at(i, c)].clone() * solved[c].clone());
            let rest = inner.fold(shift[i].clone(), |left, term| left - term);
            let diagonal = factor[at(i, i)].clone();
            let y = rest / diagonal.clone();
            log = log - diagonal.log() + y.clone().square().mul_scalar(0.5);
            solved.push(y);
        }
        log_sum_exp(log.reshape([rows, k * l]))
    }
}
