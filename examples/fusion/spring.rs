//! Simulates both experiments with a spring, and computes their likelihoods.

use crate::common::grid::Terms;
use bayesburn::prelude::*;

/// Positions in a series.
pub(crate) const TIMES: usize = 40;
/// Standard deviation of the noise of a position, whose amplitude is 1.
const POSITION_NOISE: f64 = 0.5;
/// Speeds of the impacts.
const SPEEDS: [f64; 8] = [0.5, 1.0, 1.5, 2.0, 2.5, 3.0, 3.5, 4.0];
/// Standard deviation of the noise of the logarithm of a force.
const FORCE_NOISE: f64 = 0.1;

/// When the i-th position is measured.
pub(crate) fn time(i: usize) -> f64 {
    0.25 * (i + 1) as f64
}

/// The position without noise.
fn position(i: usize, [log_stiffness, log_mass]: [f64; 2]) -> f64 {
    ((0.5 * (log_stiffness - log_mass)).exp() * time(i)).cos()
}

/// The logarithm of the peak force at speed 1, without noise.
fn log_force([log_stiffness, log_mass]: [f64; 2]) -> f64 {
    0.5 * (log_stiffness + log_mass)
}

/// A series of positions `[TIMES, 1]`, and the logarithms of forces `[8]`.
pub(crate) fn simulate(rng: &mut StreamRng, theta: [f64; 2]) -> (Array2<f32>, Array1<f32>) {
    let series = Array2::from_shape_fn((TIMES, 1), |(i, _)| {
        (position(i, theta) + POSITION_NOISE * rng.sample::<f64, _>(StandardNormal)) as f32
    });
    let force = |speed: f64| speed.ln() + log_force(theta) + FORCE_NOISE * rng.sample::<f64, _>(StandardNormal);
    (series, SPEEDS.into_iter().map(force).map(|value| value as f32).collect())
}

/// The sufficient statistics: the positions, and the mean of ln force − ln speed, `[M, TIMES + 1]`.
pub(crate) fn statistics(data: &Data) -> Array2<f64> {
    let input = |name: &str| data.input(name).expect("the simulator names both").values().mapv(f64::from);
    let (series, forces) = (input("series"), input("forces"));
    let log_speeds = SPEEDS.map(f64::ln).iter().sum::<f64>();
    Array2::from_shape_fn((data.len(), TIMES + 1), |(m, i)| match i < TIMES {
        true => series[[m, i, 0]],
        false => (forces.index_axis(Axis(0), m).sum() - log_speeds) / SPEEDS.len() as f64,
    })
}

/// The experiments that a posterior is given.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Experiments {
    Series,
    Forces,
    Both,
}

impl Experiments {
    /// Normal distributions of known variance: η is the mean divided by the variance, and A half the squared mean
    /// divided by the variance.
    pub(crate) fn likelihood(self, theta: [f64; 2]) -> Terms {
        let series = if self == Self::Forces { 0.0 } else { POSITION_NOISE.powi(-2) };
        let forces = if self == Self::Series { 0.0 } else { SPEEDS.len() as f64 * FORCE_NOISE.powi(-2) };
        let terms = (0..TIMES).map(|i| (position(i, theta), series)).chain([(log_force(theta), forces)]);
        Terms {
            log_normaliser: terms.clone().map(|(mean, precision)| 0.5 * mean * mean * precision).sum(),
            natural: terms.map(|(mean, precision)| mean * precision).collect(),
        }
    }
}
