//! Finds the most probable parameters (MAP) by gradient ascent.

use crate::{InferenceError, Posterior};
use bayesburn_amortizers::Conditions;
use bayesburn_core::Interval;
use bayesburn_networks::SummaryConfig;
use ndarray::{Array, Array1, Array2, Axis, Dimension};

/// The most probable parameters found, and their density.
#[derive(Debug, Clone, PartialEq)]
pub struct MapEstimate {
    /// θ, `[D]`.
    pub parameters: Array1<f32>,
    /// ln q(θ | x) of the estimator, without the leakage correction, which does not depend on θ. Also at a bound it is
    /// the estimator's density, which smooths the truncation there; in the unconstrained space it is the density at the
    /// outermost draws.
    pub log_prob: f32,
}

/// Number of draws, of which the best are starting points.
const DRAWS: usize = 4096;
const STARTS: usize = 64;
const STEPS: usize = 300;
/// Tail fraction of the draws, on either side, that the ascent does not enter if parameters are mapped to the reals.
/// There the density is that of the estimator's tails, and multiplied by the map's derivative it is arbitrary near a
/// bound.
const TAIL: f64 = 1e-3;
/// Largest number of alternations between parameters at bounds and the others.
const SWEEPS: usize = 4;

impl<C: SummaryConfig> Posterior<C> {
    /// The most probable parameters for one observation, inside the prior's support. Adam ascends the density from the
    /// best 64 of 4,096 draws. Of several modes, it finds the highest one near any draws.
    ///
    /// If a bound of the prior truncates the density and the posterior is highest on the bound, an estimator, being
    /// smooth, is highest next to it. In this case the mode is computed from the prior's known density times a
    /// likelihood extrapolated to the bound: a quadratic fit of ln q(θ | x) − ln p(θ) along that parameter. If the
    /// fitted mode cannot be distinguished from the bound, the result is the bound.
    ///
    /// # Errors
    /// As [`Posterior::sample_for`]; more than one observation.
    pub fn map_for<D: Dimension>(&self, x: &Array<f32, D>, seed: u64) -> Result<MapEstimate, InferenceError> {
        let draws = self.sample_for(x, DRAWS, seed)?;
        if draws.num_data_sets() != 1 {
            return Err(InferenceError::Observation { expected: self.data_shape().to_vec(), got: x.shape().to_vec() });
        }
        let conditions = self.conditions(x)?;
        let draws = draws.data_set(0).to_owned();
        let climb = Climb::new(self, &conditions, &draws);
        let logs = self.amortizer().log_prob(&draws, &conditions)?;
        let mut order: Vec<usize> = (0..DRAWS).collect();
        order.sort_by(|&a, &b| logs[b].total_cmp(&logs[a]));
        let mut theta = climb.from(&draws.select(Axis(0), &order[..STARTS]), &[])?;
        let mut cut: Vec<usize> = Vec::new();
        for _ in 0..SWEEPS {
            let mut moved = false;
            for d in 0..theta.len() {
                let Some(mode) = self.mode_at_cut(&conditions, &draws, &climb.inside(&theta), d)? else { continue };
                if !cut.contains(&d) {
                    cut.push(d);
                }
                let spread = draws.column(d).mapv(f64::from).std(0.0);
                moved |= f64::from((mode - theta[d]).abs()) > 1e-3 * spread;
                theta[d] = mode;
            }
            if !moved || cut.len() == theta.len() {
                break;
            }
            let others = climb.from(&climb.inside(&theta).insert_axis(Axis(0)), &cut)?;
            (0..theta.len()).filter(|d| !cut.contains(d)).for_each(|d| theta[d] = others[d]);
        }
        // With gradients, matrix products may have less precision.
        let log_prob = self.amortizer().log_prob(&climb.inside(&theta).insert_axis(Axis(0)), &conditions)?[0];
        Ok(MapEstimate { parameters: theta, log_prob })
    }

    /// The most probable parameters for the default observation.
    ///
    /// # Errors
    /// No default observation; as [`Posterior::map_for`].
    pub fn map(&self, seed: u64) -> Result<MapEstimate, InferenceError> {
        let x = self.observation().ok_or(InferenceError::NoObservation)?.clone();
        self.map_for(&x, seed)
    }
}

/// Maximises a density in the coordinates in which it was estimated.
struct Climb<'a, C: SummaryConfig> {
    posterior: &'a Posterior<C>,
    conditions: &'a Conditions,
    /// How each parameter is mapped.
    maps: Vec<Interval>,
    /// The range of each coordinate, and the draws' standard deviation as unit of steps.
    ranges: Vec<(f32, f32)>,
    scale: Array1<f32>,
}

impl<'a, C: SummaryConfig> Climb<'a, C> {
    fn new(posterior: &'a Posterior<C>, conditions: &'a Conditions, draws: &Array2<f32>) -> Self {
        let dim = draws.ncols();
        let mapped = posterior.amortizer().config().support.clone();
        let support = posterior.density().support();
        let maps = mapped.unwrap_or_else(|| vec![Interval::Real; dim]);
        let coordinates = mapped_by(&maps, draws);
        let range = |d: usize| match maps[d] {
            Interval::Real => support[d].bounds(),
            _ => {
                let mut sorted = coordinates.column(d).to_vec();
                sorted.sort_by(f32::total_cmp);
                let tail = (TAIL * sorted.len() as f64) as usize;
                (sorted[tail], sorted[sorted.len() - 1 - tail])
            }
        };
        let ranges = (0..dim).map(range).collect();
        let scale = coordinates.mapv(f64::from).std_axis(Axis(0), 0.0).mapv(|std| std as f32);
        Self { posterior, conditions, maps, ranges, scale }
    }

    fn parameters(&self, coordinates: &Array2<f32>) -> Array2<f32> {
        Array2::from_shape_fn(coordinates.dim(), |(row, d)| self.maps[d].from_real(f64::from(coordinates[[row, d]])))
    }

    /// Parameters, moved to the nearest ones that the ascent may reach.
    fn inside(&self, theta: &Array1<f32>) -> Array1<f32> {
        let mut coordinates = mapped_by(&self.maps, &theta.clone().insert_axis(Axis(0)));
        self.keep_inside(&mut coordinates);
        self.parameters(&coordinates).row(0).to_owned()
    }

    fn keep_inside(&self, coordinates: &mut Array2<f32>) {
        for mut row in coordinates.outer_iter_mut() {
            for (value, &(low, high)) in row.iter_mut().zip(&self.ranges) {
                *value = value.clamp(low, high);
            }
        }
    }

    /// The best parameters on the paths from these starting points, `[S, D]`, with some parameters fixed.
    fn from(&self, starts: &Array2<f32>, fixed: &[usize]) -> Result<Array1<f32>, InferenceError> {
        let (amortizer, density) = (self.posterior.amortizer(), self.posterior.density());
        let mut z = mapped_by(&self.maps, starts);
        self.keep_inside(&mut z);
        let mut best = (starts.row(0).to_owned(), f32::NEG_INFINITY);
        let (mut first, mut second) = (Array2::<f32>::zeros(z.dim()), Array2::<f32>::zeros(z.dim()));
        for step in 1..=STEPS {
            let theta = self.parameters(&z);
            let (logs, mut gradient) = amortizer.log_prob_and_gradient(&theta, self.conditions)?;
            for (row, &log) in theta.outer_iter().zip(&logs) {
                if log > best.1 && density.contains(&row.to_vec()) {
                    best = (row.to_owned(), log);
                }
            }
            for ((row, d), slope) in gradient.indexed_iter_mut() {
                let by_coordinate = (-self.maps[d].log_derivative(theta[[row, d]])).exp();
                let slope_of_coordinate = f64::from(*slope) * by_coordinate;
                *slope = if fixed.contains(&d) { 0.0 } else { slope_of_coordinate as f32 * self.scale[d] };
            }
            first = 0.9 * first + 0.1 * &gradient;
            second = 0.999 * second + 0.001 * (&gradient * &gradient);
            let rate = 0.1 * (1.0 - step as f32 / STEPS as f32);
            let (c1, c2) = (1.0 - 0.9f32.powi(step as i32), 1.0 - 0.999f32.powi(step as i32));
            z += &((&first / c1) / ((&second / c2).mapv(f32::sqrt) + 1e-8) * rate * &self.scale);
            self.keep_inside(&mut z);
        }
        Ok(best.0)
    }
}

fn mapped_by(maps: &[Interval], theta: &Array2<f32>) -> Array2<f32> {
    Array2::from_shape_fn(theta.dim(), |(row, d)| maps[d].to_real(theta[[row, d]]) as f32)
}
