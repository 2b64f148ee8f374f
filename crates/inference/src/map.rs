//! Climbs to the most probable parameters.

use crate::{InferenceError, Posterior};
use bayesburn_networks::SummaryConfig;
use bayesburn_simulation::Density;
use ndarray::{Array, Array1, Array2, Axis, Dimension};

/// The parameters of the highest density found, and that density.
#[derive(Debug, Clone, PartialEq)]
pub struct MapEstimate {
    /// θ, `[D]`.
    pub parameters: Array1<f32>,
    /// ln q(θ | x) of the estimator, without the correction for what leaks, which is the same for all θ.
    pub log_prob: f32,
}

/// Draws of which the best are climbed from.
const DRAWS: usize = 4096;
const STARTS: usize = 64;
const STEPS: usize = 300;

impl<C: SummaryConfig> Posterior<C> {
    /// The most probable parameters for one observation: Adam on the density's gradients, from the best 64 of 4,096 draws, inside the
    /// prior's support. Of several modes it is the highest that draws come near to.
    ///
    /// # Errors
    /// As [`Posterior::sample_for`]; more than one observation.
    pub fn map_for<D: Dimension>(&self, x: &Array<f32, D>, seed: u64) -> Result<MapEstimate, InferenceError> {
        let draws = self.sample_for(x, DRAWS, seed)?;
        if draws.num_data_sets() != 1 {
            return Err(InferenceError::Observation { expected: self.data_shape().to_vec(), got: x.shape().to_vec() });
        }
        let conditions = self.conditions(x)?;
        // Steps are in units of the draws' own spread.
        let scale: Array1<f32> = draws.std().row(0).mapv(|std| std as f32);
        let draws = draws.data_set(0).to_owned();
        let logs = self.amortizer().log_prob(&draws, &conditions)?;
        let mut order: Vec<usize> = (0..DRAWS).collect();
        order.sort_by(|&a, &b| logs[b].total_cmp(&logs[a]));
        let mut theta = draws.select(Axis(0), &order[..STARTS]);
        let mut best = (theta.row(0).to_owned(), f32::NEG_INFINITY);
        let (mut first, mut second) = (Array2::<f32>::zeros(theta.dim()), Array2::<f32>::zeros(theta.dim()));
        let density = self.prior().density().expect("an inference has checked that there is one");
        for step in 1..=STEPS {
            let (logs, gradient) = self.amortizer().log_prob_and_gradient(&theta, &conditions)?;
            for (row, &log) in theta.outer_iter().zip(&logs) {
                if log > best.1 && density.contains(&row.to_vec()) {
                    best = (row.to_owned(), log);
                }
            }
            let scaled = gradient * &scale;
            first = 0.9 * first + 0.1 * &scaled;
            second = 0.999 * second + 0.001 * (&scaled * &scaled);
            let rate = 0.1 * (1.0 - step as f32 / STEPS as f32);
            let (c1, c2) = (1.0 - 0.9f32.powi(step as i32), 1.0 - 0.999f32.powi(step as i32));
            let move_by = (&first / c1) / ((&second / c2).mapv(f32::sqrt) + 1e-8) * rate * &scale;
            theta += &move_by;
            keep_inside(&mut theta, density);
        }
        // With gradients, products may be of less precision.
        let (parameters, _) = best;
        let log_prob = self.amortizer().log_prob(&parameters.clone().insert_axis(Axis(0)), &conditions)?[0];
        Ok(MapEstimate { parameters, log_prob })
    }

    /// The most probable parameters for the observation set.
    ///
    /// # Errors
    /// No observation set; as [`Posterior::map_for`].
    pub fn map(&self, seed: u64) -> Result<MapEstimate, InferenceError> {
        let x = self.observation().ok_or(InferenceError::NoObservation)?.clone();
        self.map_for(&x, seed)
    }
}

/// Each parameter that has left its interval goes back to the bound.
fn keep_inside(theta: &mut Array2<f32>, density: &Density) {
    for mut row in theta.outer_iter_mut() {
        for (value, interval) in row.iter_mut().zip(density.support()) {
            let (low, high) = interval.bounds();
            *value = value.clamp(low, high);
        }
    }
}
