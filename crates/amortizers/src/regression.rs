//! Predicts parameters from data linearly, so that density estimators learn what is left: the regression adjustment of Beaumont, Zhang & Balding
//! (2002), here in front of a network and not behind a sample.

use burn::{
    module::{Module, Param},
    tensor::{Device, Tensor, TensorData},
};
use nalgebra::{DMatrix, DVector, SymmetricEigen};
use ndarray::Array2;

/// The most rows that are fitted to: some thousand times as many as there are coefficients of a common problem, in about a second.
const MOST_ROWS: usize = 20_000;
/// The most features; with more, nothing is predicted. Of 1,000 the eigenvectors take seconds.
const MOST_FEATURES: usize = 1000;
/// Ridge penalties in units of the number of rows, which standardised features have as their squares' sum.
const PENALTIES: [f64; 7] = [1e-6, 1e-5, 1e-4, 1e-3, 1e-2, 1e-1, 1.0];
/// The least that counts as left over of a standardised parameter. Rounding of f32 is then 10⁻⁴ of it.
const LEAST: f64 = 1e-3;

/// x ↦ x · slopes, kept within bounds: a prediction of standardised parameters `[M, D]` from standardised features
/// `[M, F]`, in units of what it leaves over. Gradients do not reach its constants.
#[derive(Module, Debug)]
pub(crate) struct Regression {
    slopes: Param<Tensor<2>>,
    low: Param<Tensor<1>>,
    high: Param<Tensor<1>>,
    /// Whether the one observation of a data set is among the features, before the direct conditions.
    #[module(skip)]
    of_data: bool,
}

/// A [`Regression`]'s constants.
#[derive(Debug)]
pub(crate) struct Predictor {
    /// `[F, D]`, row by row.
    slopes: Vec<f32>,
    low: Vec<f32>,
    high: Vec<f32>,
}

impl Predictor {
    /// Predicts 0.
    fn none(features: usize, dim: usize) -> Self {
        Self { slopes: vec![0.0; features * dim], low: vec![0.0; dim], high: vec![0.0; dim] }
    }

    /// From features `[M, F]` and parameters `[M, D]`, both standardised as are the parameters' bounds, by ridge regression; and the standard
    /// deviation of what is left of each parameter.
    ///
    /// Each parameter has the penalty of the smallest leave-one-out error, and no prediction if all are larger than its own standard deviation.
    /// The errors are those of the closed form: residuals divided by 1 − h, with h the diagonal of the hat matrix.
    pub(crate) fn fitted(features: &Array2<f32>, parameters: &Array2<f32>, bounds: &[(f64, f64)]) -> (Self, Vec<f32>) {
        let (rows, width, dim) = (features.nrows().min(MOST_ROWS), features.ncols(), parameters.ncols());
        let mut predictor = Self::none(width, dim);
        if width > MOST_FEATURES {
            return (predictor, vec![1.0; dim]);
        }
        // From end to end, since simulations may be in an order.
        let row = |i: usize| i * features.nrows() / rows;
        let x = DMatrix::from_fn(rows, width, |i, j| f64::from(features[[row(i), j]]));
        let eigen = SymmetricEigen::new(x.tr_mul(&x));
        // Features in the directions of the eigenvectors.
        let turned = &x * &eigen.eigenvectors;
        let left = (0..dim).map(|d| {
            let y = DVector::from_fn(rows, |i, _| f64::from(parameters[[row(i), d]]));
            if y.norm_squared() == 0.0 {
                return 1.0; // It does not vary: there is nothing to predict or to scale by.
            }
            let projected = turned.tr_mul(&y);
            let mean_square = |sum: f64| sum / rows as f64;
            let mut best = (mean_square(y.norm_squared()), DVector::zeros(width));
            for penalty in PENALTIES {
                let shrunk = eigen.eigenvalues.map(|value| 1.0 / (value.max(0.0) + penalty * rows as f64));
                let coefficients = projected.component_mul(&shrunk);
                let residuals = &y - &turned * &coefficients;
                let leave_one_out = turned.row_iter().zip(residuals.iter()).map(|(row, residual)| {
                    let h: f64 = row.iter().zip(shrunk.iter()).map(|(x, s)| x * x * s).sum();
                    (residual / (1.0 - h).max(1e-9)).powi(2)
                });
                let error = mean_square(leave_one_out.sum());
                if error < best.0 {
                    best = (error, coefficients);
                }
            }
            let left = best.0.sqrt().max(LEAST);
            let slopes = &eigen.eigenvectors * best.1;
            (0..width).for_each(|f| predictor.slopes[f * dim + d] = (slopes[f] / left) as f32);
            // Where there is no bound, half the range beyond the outermost.
            let beyond = 0.5 * (y.max() - y.min());
            predictor.low[d] = (bounds[d].0.max(y.min() - beyond) / left) as f32;
            predictor.high[d] = (bounds[d].1.min(y.max() + beyond) / left) as f32;
            left as f32
        });
        let left = left.collect();
        (predictor, left)
    }

    /// Takes the prediction from features off parameters, one row.
    #[cfg(feature = "flex")]
    pub(crate) fn take_off(&self, features: [&[f32]; 2], parameters: &mut [f32]) {
        let dim = parameters.len();
        for (d, parameter) in parameters.iter_mut().enumerate() {
            let of_each = features.into_iter().flatten().zip(self.slopes.iter().skip(d).step_by(dim));
            let predicted: f32 = of_each.map(|(x, slope)| x * slope).sum();
            *parameter -= predicted.clamp(self.low[d], self.high[d]);
        }
    }
}

impl Regression {
    /// Predicts 0, until it is fitted or loaded.
    pub(crate) fn none(features: usize, dim: usize, of_data: bool, device: &Device) -> Self {
        Self::new(Predictor::none(features, dim), of_data, device)
    }

    pub(crate) fn new(predictor: Predictor, of_data: bool, device: &Device) -> Self {
        let Predictor { slopes, low, high } = predictor;
        let dim = low.len();
        let shape = [slopes.len() / dim.max(1), dim];
        let bound =
            |values| Param::<Tensor<1>>::from_data(TensorData::new(values, [dim]), device).set_require_grad(false);
        Self {
            slopes: Param::<Tensor<2>>::from_data(TensorData::new(slopes, shape), device).set_require_grad(false),
            low: bound(low),
            high: bound(high),
            of_data,
        }
    }

    /// D, the number of parameters.
    pub(crate) fn dim(&self) -> usize {
        self.low.dims()[0]
    }

    /// Whether data are among the features.
    pub(crate) fn is_of_data(&self) -> bool {
        self.of_data
    }

    /// The features `[M, F]` of data `[M, N, ..]`, of which N is 1 if they are among them, and direct conditions.
    pub(crate) fn features(&self, data: Tensor<3>, direct: Option<Tensor<2>>) -> Tensor<2> {
        let data = self.of_data.then(|| data.flatten(1, 2));
        Tensor::cat(data.into_iter().chain(direct).collect(), 1)
    }

    /// A prediction for each data set, `[M, D]`.
    pub(crate) fn predict(&self, data: Tensor<3>, direct: Option<Tensor<2>>) -> Tensor<2> {
        let predicted = self.features(data, direct).matmul(self.slopes.val());
        predicted.max_pair(self.low.val().unsqueeze()).min_pair(self.high.val().unsqueeze())
    }

    #[cfg(feature = "flex")]
    pub(crate) fn constants(&self) -> Predictor {
        let bound = |values: &Param<Tensor<1>>| numbers(values.val());
        Predictor { slopes: numbers(self.slopes.val()), low: bound(&self.low), high: bound(&self.high) }
    }
}

#[cfg(feature = "flex")]
fn numbers<const R: usize>(tensor: Tensor<R>) -> Vec<f32> {
    tensor.into_data_as::<f32>().try_into_vec().expect("converted to f32")
}
