//! Predicts parameters from data linearly, so that density estimators learn what is left: the regression adjustment of
//! Beaumont, Zhang & Balding (2002), here in front of a network and not behind a sample.

#[cfg(feature = "flex")]
use crate::networks::to_vec;
use bayesburn_networks::DataTensor;
use burn::{
    module::{Module, Param},
    tensor::{Device, Tensor, TensorData},
};
use nalgebra::{DMatrix, DVector, SymmetricEigen};
use ndarray::Array2;

/// The most features there may be. Of 1,000 the eigenvectors take seconds.
pub(crate) const MOST_FEATURES: usize = 1000;
/// The most rows that are fitted to: some thousand times as many as there are coefficients of a common problem.
const MOST_ROWS: usize = 20_000;
/// The most numbers that features may be, in f64 32 MB.
const MOST_NUMBERS: usize = 1 << 22;
/// Ridge penalties in units of the number of rows, which standardised features have as their squares' sum.
const PENALTIES: [f64; 7] = [1e-6, 1e-5, 1e-4, 1e-3, 1e-2, 1e-1, 1.0];
/// The least that counts as left over of a standardised parameter. Rounding of f32 is then 10⁻² of it. Steps of an
/// optimizer move means by about as much, so that an estimator whose unit is far wider than the posterior comes out
/// too wide: with 10⁻³ by 6% for a posterior of 10⁻⁵.
const LEAST: f64 = 1e-5;

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
    of_data: bool,
}

/// Which rows, of so many of so many features, are fitted to. From end to end, since simulations may be in an order.
pub(crate) fn fitted_rows(rows: usize, features: usize) -> impl Iterator<Item = usize> {
    let fitted = rows.min(MOST_ROWS).min((MOST_NUMBERS / features.max(1)).max(1));
    (0..fitted).map(move |i| i * rows / fitted)
}

/// How much worse −ln q becomes of one parameter, if a network takes the residuals of rows that were fitted to, 1 − h
/// times what is left of others, for the truth.
fn cost_of_overfitting(h: f64) -> f64 {
    let kept = (1.0 - h).max(1e-9);
    kept.ln() + 0.5 / (kept * kept) - 0.5
}

impl Predictor {
    /// Predicts 0.
    fn none(features: usize, dim: usize, of_data: bool) -> Self {
        Self { slopes: vec![0.0; features * dim], low: vec![0.0; dim], high: vec![0.0; dim], of_data }
    }

    /// From features `[M, F]` and parameters `[M, D]`, both standardised as are the parameters' bounds, by ridge
    /// regression; and the standard deviation of what is left of each parameter: 1 of those that do not vary.
    ///
    /// Each parameter has the penalty of the smallest leave-one-out error, and no prediction if all are larger than its
    /// own standard deviation. The errors are those of the closed form: residuals divided by 1 − h, with h the diagonal
    /// of the hat matrix. As the network may be trained on the rows that are fitted to, whose residuals are too small,
    /// an error counts by its logarithm, plus what that may cost.
    pub(crate) fn fitted(
        of_data: bool,
        features: &Array2<f32>,
        parameters: &Array2<f32>,
        varies: &[bool],
        bounds: &[(f64, f64)],
    ) -> (Self, Vec<f32>) {
        let (rows, width, dim) = (features.nrows(), features.ncols(), parameters.ncols());
        let x = DMatrix::from_fn(rows, width, |i, j| f64::from(features[[i, j]]));
        let y = DMatrix::from_fn(rows, dim, |i, d| f64::from(parameters[[i, d]]));
        let eigen = SymmetricEigen::new(x.transpose() * &x);
        // Features in the directions of the eigenvectors.
        let turned = x * &eigen.eigenvectors;
        let squares = turned.map(|value| value * value);
        let projected = turned.tr_mul(&y);
        let root_mean_square = |squares: f64| (squares / rows as f64).sqrt();
        let mut best: Vec<(f64, f64, DVector<f64>)> = y
            .column_iter()
            .map(|y| {
                let alone = root_mean_square(y.norm_squared());
                (alone.ln(), alone, DVector::zeros(width))
            })
            .collect();
        for penalty in PENALTIES {
            let shrunk = eigen.eigenvalues.map(|value| 1.0 / (value.max(0.0) + penalty * rows as f64));
            let h = &squares * &shrunk;
            let cost = cost_of_overfitting(h.mean());
            let coefficients = DMatrix::from_diagonal(&shrunk) * &projected;
            let residuals = &y - &turned * &coefficients;
            for (d, best) in best.iter_mut().enumerate() {
                let left_out = residuals.column(d).zip_map(&h, |residual, h| residual / (1.0 - h).max(1e-9));
                let left = root_mean_square(left_out.norm_squared());
                if left.ln() + cost < best.0 {
                    *best = (left.ln() + cost, left, coefficients.column(d).into_owned());
                }
            }
        }
        let mut predictor = Self::none(width, dim, of_data);
        let left = best.iter().enumerate().map(|(d, (_, left, coefficients))| {
            if !varies[d] {
                return 1.0;
            }
            let left = left.max(LEAST);
            let slopes = &eigen.eigenvectors * coefficients;
            (0..width).for_each(|f| predictor.slopes[f * dim + d] = (slopes[f] / left) as f32);
            // Within bounds, and at most half the range beyond the outermost.
            let y = y.column(d);
            let beyond = 0.5 * (y.max() - y.min());
            predictor.low[d] = (bounds[d].0.max(y.min() - beyond) / left) as f32;
            predictor.high[d] = (bounds[d].1.min(y.max() + beyond) / left) as f32;
            left as f32
        });
        let left = left.collect();
        (predictor, left)
    }

    /// What data and direct conditions predict, of as many rows.
    #[cfg(feature = "flex")]
    pub(crate) fn predict(&self, data: &[f32], direct: &[f32], rows: usize) -> Vec<f32> {
        let dim = self.low.len();
        let [data, direct] = [if self.of_data { data } else { &[] }, direct].map(|of| (of, of.len() / rows));
        let mut all = vec![0.0; rows * dim];
        for (m, predicted) in all.chunks_exact_mut(dim).enumerate() {
            let [data, direct] = [data, direct].map(|(of, width)| &of[m * width..(m + 1) * width]);
            for (x, slopes) in data.iter().chain(direct).zip(self.slopes.chunks_exact(dim)) {
                for (predicted, slope) in predicted.iter_mut().zip(slopes) {
                    *predicted += x * slope;
                }
            }
            for (predicted, (&low, &high)) in predicted.iter_mut().zip(self.low.iter().zip(&self.high)) {
                *predicted = predicted.max(low).min(high);
            }
        }
        all
    }
}

impl Regression {
    /// Predicts 0, until it is fitted or loaded.
    pub(crate) fn none(features: usize, dim: usize, of_data: bool, device: &Device) -> Self {
        Self::new(Predictor::none(features, dim, of_data), device)
    }

    pub(crate) fn new(predictor: Predictor, device: &Device) -> Self {
        let Predictor { slopes, low, high, of_data } = predictor;
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

    /// F.
    pub(crate) fn num_features(&self) -> usize {
        self.slopes.dims()[0]
    }

    /// Whether data are among the features.
    pub(crate) fn is_of_data(&self) -> bool {
        self.of_data
    }

    /// The features `[M, F]` of data `[M, N, ..]`, of which N is 1 if they are among them, and direct conditions.
    pub(crate) fn features(&self, data: &DataTensor, direct: Option<Tensor<2>>) -> Tensor<2> {
        let data = self.of_data.then(|| data.only().values::<3>().flatten(1, 2));
        Tensor::cat(data.into_iter().chain(direct).collect(), 1)
    }

    /// A prediction for each data set, `[M, D]`.
    pub(crate) fn predict(&self, data: &DataTensor, direct: Option<Tensor<2>>) -> Tensor<2> {
        let predicted = self.features(data, direct).matmul(self.slopes.val());
        predicted.max_pair(self.low.val().unsqueeze()).min_pair(self.high.val().unsqueeze())
    }

    #[cfg(feature = "flex")]
    pub(crate) fn constants(&self) -> Predictor {
        let bound = |bound: &Param<Tensor<1>>| to_vec(bound.val());
        let (low, high) = (bound(&self.low), bound(&self.high));
        Predictor { slopes: to_vec(self.slopes.val()), low, high, of_data: self.of_data }
    }
}
