//! Multiplies mixtures of normals by exponentials of quadratic functions: what posteriors under another proposal are
//! in closed form.

use crate::{MixtureParameters, log_sum_exp};
use burn::tensor::{Device, Tensor, TensorData};

/// exp(a + bᵀ t − ½ tᵀ A t) as a function of t = θ − centre: a normal distribution, or the ratio of two.
#[derive(Debug, Clone, PartialEq)]
pub struct QuadraticTerm {
    /// Where t is 0, `[D]`.
    pub centre: Vec<f64>,
    /// A, `[D, D]`, row by row; symmetric.
    pub precision: Vec<f64>,
    /// b, `[D]`.
    pub shift: Vec<f64>,
    /// a.
    pub log_factor: f64,
}

/// A sum of L [`QuadraticTerm`]s on a device.
///
/// Products are taken around the centre of each term: there, squares of distances are of the size of the result.
/// Around 0 the squares of means that are 10⁴ standard deviations away are 10⁸, of which f32 leaves nothing.
#[derive(Debug, Clone)]
pub struct QuadraticSum {
    dim: usize,
    /// Centres as a sum of two f32, for each dimension `[1, 1, L]`.
    centres: Vec<[Tensor<3>; 2]>,
    /// A_ij for j ≤ i, each `[1, 1, L]`.
    precision: Vec<Tensor<3>>,
    shift: Vec<Tensor<3>>,
    log_factor: Tensor<3>,
}

/// The place of (i, j), j ≤ i, in a lower triangle.
fn at(i: usize, j: usize) -> usize {
    i * (i + 1) / 2 + j
}

fn sum(terms: impl Iterator<Item = Tensor<3>>) -> Tensor<3> {
    terms.reduce(|sum, term| sum + term).expect("one term at least")
}

impl QuadraticSum {
    /// Of these terms.
    ///
    /// # Panics
    /// Without a term, or if terms differ in the number of dimensions.
    #[must_use]
    pub fn new(terms: &[QuadraticTerm], device: &Device) -> Self {
        let dim = terms.first().expect("one term at least").centre.len();
        for QuadraticTerm { centre, precision, shift, .. } in terms {
            assert_eq!(
                (centre.len(), precision.len(), shift.len()),
                (dim, dim * dim, dim),
                "terms of {dim} dimensions"
            );
        }
        let tensor = |of: &dyn Fn(&QuadraticTerm) -> f64| {
            let values: Vec<f32> = terms.iter().map(|term| of(term) as f32).collect();
            Tensor::<3>::from_data(TensorData::new(values, [1, 1, terms.len()]), device)
        };
        let rest = |value: f64| value - f64::from(value as f32);
        Self {
            dim,
            centres: (0..dim).map(|i| [tensor(&|t| t.centre[i]), tensor(&|t| rest(t.centre[i]))]).collect(),
            precision: (0..dim)
                .flat_map(|i| (0..=i).map(move |j| (i, j)))
                .map(|(i, j)| tensor(&|t| t.precision[i * dim + j]))
                .collect(),
            shift: (0..dim).map(|i| tensor(&|t| t.shift[i])).collect(),
            log_factor: tensor(&|t| t.log_factor),
        }
    }
}

impl MixtureParameters {
    /// ln ∫ of the product of each row's mixture with the sum of terms, `[M]`, up to a constant.
    ///
    /// With the component N(μ_k, (L_kᵀ L_k)⁻¹) and the term l of centre c_l, let δ = μ_k − c_l, P = L_kᵀ L_k + A_l
    /// and η = L_kᵀ L_k δ + b_l. The logarithm of their integral is ln w_k + ln|L_k| − ½ ‖L_k δ‖² + a_l − ½ ln|P| + ½
    /// ηᵀ P⁻¹ η (Greenberg et al. 2019, appendix A.1).
    ///
    /// # Panics
    /// If terms have another number of dimensions.
    #[must_use]
    pub fn log_integral_of_product(&self, terms: &QuadraticSum) -> Tensor<1> {
        let [rows, k, dim] = self.means.dims();
        assert_eq!(dim, terms.dim, "terms of as many dimensions");
        let column = |tensor: &Tensor<3>, i: usize| tensor.clone().narrow(2, i, 1);
        // L_ij for j ≤ i, each [M, K, 1].
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
        // [M, K, L], as all that follows.
        let delta: Vec<_> = terms
            .centres
            .iter()
            .enumerate()
            .map(|(i, [centre, rest])| (column(&self.means, i) - centre.clone()) - rest.clone())
            .collect();
        let l_delta: Vec<_> =
            (0..dim).map(|r| sum((0..=r).map(|c| factor[at(r, c)].clone() * delta[c].clone()))).collect();
        let eta =
            |i: usize| sum((i..dim).map(|r| factor[at(r, i)].clone() * l_delta[r].clone())) + terms.shift[i].clone();
        let precision = |i: usize, j: usize| {
            sum((i..dim).map(|r| factor[at(r, i)].clone() * factor[at(r, j)].clone()))
                + terms.precision[at(i, j)].clone()
        };
        let half_square = sum(l_delta.iter().map(|l| l.clone().square())).mul_scalar(0.5);
        let half_log_det = self.log_diagonals.clone().sum_dim(2);
        let log_weights = self.log_weights.clone().reshape([rows, k, 1]);
        let mut log = (log_weights + half_log_det + terms.log_factor.clone()) - half_square;

        // Cholesky's factor C of each P, row by row, and y = C⁻¹ η: ln|P| = 2 Σ ln C_ii, and ηᵀ P⁻¹ η = ‖y‖².
        let mut cholesky: Vec<Tensor<3>> = Vec::with_capacity(factor.len());
        let mut solved: Vec<Tensor<3>> = Vec::with_capacity(dim);
        for i in 0..dim {
            for j in 0..=i {
                let inner = (0..j).map(|c| cholesky[at(i, c)].clone() * cholesky[at(j, c)].clone());
                let entry = inner.fold(precision(i, j), |left, term| left - term);
                cholesky.push(if i == j {
                    // Dividing by a normal may leave none; then the loss is large and finite.
                    let own = sum((i..dim).map(|r| factor[at(r, i)].clone().square()));
                    let least = own.mul_scalar(1e-6).expand(entry.dims());
                    entry.max_pair(least).sqrt()
                } else {
                    entry / cholesky[at(j, j)].clone()
                });
            }
            let inner = (0..i).map(|c| cholesky[at(i, c)].clone() * solved[c].clone());
            let rest = inner.fold(eta(i), |left, term| left - term);
            let diagonal = cholesky[at(i, i)].clone();
            let y = rest / diagonal.clone();
            log = log - diagonal.log() + y.clone().square().mul_scalar(0.5);
            solved.push(y);
        }
        let [_, _, l] = log.dims();
        log_sum_exp(log.reshape([rows, k * l]))
    }
}
