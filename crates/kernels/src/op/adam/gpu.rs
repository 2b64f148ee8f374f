//! Takes steps of Adam on a GPU.

use super::Adam;
use crate::gpu::{Gpu, Numbers};
use cubecl::prelude::*;

/// How far a step goes.
#[derive(Debug, Clone, Copy)]
pub(crate) struct AdamStep {
    pub(crate) adam: Adam,
    pub(crate) rate: f32,
    /// The largest norm of the gradients together.
    pub(crate) max_norm: f32,
    /// The number of the step, from 1.
    pub(crate) time: usize,
}

/// What a step changes, and its gradients.
#[derive(Debug)]
pub(crate) struct AdamArrays {
    pub(crate) values: Numbers,
    pub(crate) gradients: Numbers,
    /// Averages of gradients, and of their squares.
    pub(crate) first: Numbers,
    pub(crate) second: Numbers,
}

/// The numbers of a step, and its constants.
#[derive(CubeType, CubeLaunch, Clone, Copy)]
struct Step {
    numbers: usize,
    beta_1: f32,
    beta_2: f32,
    epsilon: f32,
    rate: f32,
    keep: f32,
    max_norm: f32,
}

impl Gpu {
    /// Takes a step, unless the sum of losses or that of all gradients' squares, the two numbers of `results`, is not
    /// finite.
    pub(crate) fn adam(&self, arrays: &AdamArrays, results: &Numbers, step: AdamStep) {
        let AdamStep { adam, rate, max_norm, time } = step;
        let Adam { beta_1, beta_2, epsilon, weight_decay } = adam;
        let correction_2 = (1.0 - beta_2.powi(time as i32)).sqrt();
        let AdamArrays { values, gradients, first, second } = arrays;
        let (count, dim) = self.each(values.len);
        let step = StepLaunch {
            numbers: values.len,
            beta_1,
            beta_2,
            epsilon: epsilon * correction_2,
            rate: rate * correction_2 / (1.0 - beta_1.powi(time as i32)),
            keep: 1.0 - rate * weight_decay,
            max_norm,
        };
        let [first, second] = [first.arg(), second.arg()];
        let (values, gradients) = (values.arg(), gradients.arg());
        adam_step::launch(&self.client, count, dim, values, gradients, first, second, results.arg(), step);
    }
}

#[cube(launch)]
fn adam_step(
    values: &mut [f32],
    gradients: &[f32],
    first: &mut [f32],
    second: &mut [f32],
    results: &[f32],
    step: Step,
) {
    let at = ABSOLUTE_POS;
    // False of what is no number.
    let is_finite = results[0].abs() <= f32::MAX && results[1] <= f32::MAX;
    if at < step.numbers && is_finite {
        let norm = results[1].sqrt();
        let mut factor = 1.0f32;
        if norm > step.max_norm {
            factor = step.max_norm / norm;
        }
        let g = gradients[at] * factor;
        let m = step.beta_1 * first[at] + (1.0f32 - step.beta_1) * g;
        let v = step.beta_2 * second[at] + (1.0f32 - step.beta_2) * g * g;
        first[at] = m;
        second[at] = v;
        values[at] = step.keep * values[at] - step.rate * m / (v.sqrt() + step.epsilon);
    }
}
