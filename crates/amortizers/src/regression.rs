//! Predicts parameters from data linearly, so that density estimators learn what is left: the regression adjustment of
//! Beaumont, Zhang & Balding (2002), here in front of a network and not behind a sample.

#[cfg(feature = "flex")]
use crate::networks::to_vec;
use crate::selection::{joined, selected};
use bayesburn_networks::DataTensor;
use burn::{
    module::{Module, Param},
    tensor::{Device, Tensor, TensorData},
};
use nalgebra::{DMatrix, DVector, DVectorView, SymmetricEigen};
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

/// The most that statistics may leave of a parameter's standard deviation if they are to predict it. Where a network is
/// to find far more than they tell, it first has to learn the prediction's error: two bounds of heavy-tailed sets, of
/// which means and variances leave 0.85, had a loss of −0.11 after 1,000 steps with the prediction, and −0.65 without.
/// Bounds of exponential sets, of which they leave 0.3 to 0.4, had 0.38 and 0.21 then, but −0.87 and −0.76 after 4,000;
/// and means of two observations, of which they leave 0.58 and nothing is to be found, 3.479 and 3.498 (exact: 3.476).
const MOST_LEFT: f64 = 0.7;

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

/// A ridge regression of one parameter, or none: slopes of 0.
#[derive(Debug)]
struct Ridge {
    /// ln of what is left, and what overfitting may cost.
    cost: f64,
    /// The standard deviation of leave-one-out errors.
    left: f64,
    slopes: DVector<f64>,
}

impl Ridge {
    /// Of each column of y `[M, D]` on x `[M, F]`, whose Gram matrix is xᵀx, with the penalty of the least cost.
    /// Leave-one-out errors are those of the closed form: residuals divided by 1 − h, with h the diagonal of the hat
    /// matrix.
    fn fitted(x: &DMatrix<f64>, gram: DMatrix<f64>, y: &DMatrix<f64>) -> Vec<Self> {
        let (rows, width) = x.shape();
        let root_mean_square = |squares: f64| (squares / rows as f64).sqrt();
        let none = |y: DVectorView<'_, f64>| {
            let left = root_mean_square(y.norm_squared());
            Self { cost: left.ln(), left, slopes: DVector::zeros(width) }
        };
        let mut best: Vec<Self> = y.column_iter().map(none).collect();
        if width == 0 {
            // Parameters keep the scale that they have without a regression.
            best.iter_mut().for_each(|best| best.left = 1.0);
            return best;
        }
        let eigen = SymmetricEigen::new(gram);
        // Features in the directions of the eigenvectors.
        let turned = x * &eigen.eigenvectors;
        let squares = turned.map(|value| value * value);
        let projected = turned.tr_mul(y);
        for penalty in PENALTIES {
            let shrunk = eigen.eigenvalues.map(|value| 1.0 / (value.max(0.0) + penalty * rows as f64));
            let h = &squares * &shrunk;
            let overfitting = cost_of_overfitting(h.mean());
            let coefficients = DMatrix::from_diagonal(&shrunk) * &projected;
            let residuals = y - &turned * &coefficients;
            for (d, best) in best.iter_mut().enumerate() {
                let left_out = residuals.column(d).zip_map(&h, |residual, h| residual / (1.0 - h).max(1e-9));
                let left = root_mean_square(left_out.norm_squared());
                if left.ln() + overfitting < best.cost {
                    let slopes = coefficients.column(d).into_owned();
                    *best = Self { cost: left.ln() + overfitting, left, slopes };
                }
            }
        }
        best.iter_mut().for_each(|best| best.slopes = &eigen.eigenvectors * &best.slopes);
        best
    }

    /// Gives slopes of 0 to all of `width` features but these, which were regressed on.
    fn spread(&mut self, features: impl IntoIterator<Item = usize>, width: usize) {
        let mut slopes = DVector::zeros(width);
        features.into_iter().zip(&self.slopes).for_each(|(feature, slope)| slopes[feature] = *slope);
        self.slopes = slopes;
    }
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
    /// own standard deviation. As the network may be trained on the rows that are fitted to, whose residuals are too
    /// small, an error counts by its logarithm, plus what that may cost. The last features are `statistics`, most of
    /// which may tell nothing of a parameter: those that are selected compete with all.
    pub(crate) fn fitted(
        (of_data, statistics): (bool, usize),
        features: &Array2<f32>,
        parameters: &Array2<f32>,
        varies: &[bool],
        bounds: &[(f64, f64)],
    ) -> (Self, Vec<f32>) {
        let (rows, width, dim) = (features.nrows(), features.ncols(), parameters.ncols());
        let x = DMatrix::from_fn(rows, width, |i, j| f64::from(features[[i, j]]));
        let y = DMatrix::from_fn(rows, dim, |i, d| f64::from(parameters[[i, d]]));
        let always = width - statistics;
        let gram = x.tr_mul(&x);
        let of_always = gram.view((0, 0), (always, always)).into_owned();
        let mut best = Ridge::fitted(&x.columns(0, always).into_owned(), of_always, &y);
        best.iter_mut().for_each(|best| best.spread(0..always, width));
        if statistics > 0 {
            let of_all = Ridge::fitted(&x, gram.clone(), &y);
            for (d, (best, of_all)) in best.iter_mut().zip(of_all).enumerate() {
                let y = y.columns(d, 1).into_owned();
                let selected = selected(&joined(&gram, &x, &y), rows, always);
                let of_these = gram.select_rows(&selected).select_columns(&selected);
                let mut of_selected = Ridge::fitted(&x.select_columns(&selected), of_these, &y).remove(0);
                of_selected.spread(selected, width);
                let least = if of_selected.cost < of_all.cost { of_selected } else { of_all };
                if least.cost < best.cost && least.left < MOST_LEFT * best.left {
                    *best = least;
                }
            }
        }
        let mut predictor = Self::none(width, dim, of_data);
        let left = best.iter().enumerate().map(|(d, Ridge { left, slopes, .. })| {
            if !varies[d] {
                return 1.0;
            }
            let left = left.max(LEAST);
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
