//! A step of Adam for all parameters at once, and the norm of all gradients together.

use crate::{
    blocks::on_each,
    operation::{Operands, slices},
    vector::vectorised,
};
use std::{
    ops::Range,
    sync::{Mutex, PoisonError},
};

/// Numbers in a piece of work for one thread: some 20 µs.
const PIECE: usize = 1 << 15;

/// The constants of Adam (Kingma & Ba 2015, algorithm 1) or AdamW (Loshchilov & Hutter 2019, algorithm 2).
#[derive(Debug, Clone, Copy)]
pub struct Adam {
    /// β₁.
    pub beta_1: f32,
    /// β₂.
    pub beta_2: f32,
    /// ε.
    pub epsilon: f32,
    /// λ: each parameter is first multiplied by 1 − rate · λ. 0 for Adam.
    pub weight_decay: f32,
}

/// What Adam keeps of a parameter's gradients.
#[derive(Debug, Clone, Default)]
pub struct Moments {
    /// The number of steps.
    pub time: usize,
    /// Averages of gradients; may be empty before the first step.
    pub first: Vec<f32>,
    /// Averages of squared gradients; may be empty before the first step.
    pub second: Vec<f32>,
}

impl Adam {
    /// The parameters after a step, given their gradients, which are first multiplied by `factor`.
    ///
    /// # Panics
    /// If the numbers of parameters, gradients and moments, or their lengths, differ; or a tensor is not one of Burn Flex in f32 without
    /// autodiff.
    pub fn step(
        &self,
        rate: f32,
        factor: f32,
        parameters: &Operands,
        gradients: &Operands,
        moments: &mut [Moments],
    ) -> Vec<Vec<f32>> {
        let (parameters, gradients) = (parameters.on_cpu(), gradients.on_cpu());
        let (parameters, gradients) = (slices(&parameters), slices(&gradients));
        assert_eq!((parameters.len(), parameters.len()), (gradients.len(), moments.len()), "gradients and moments");
        let moments: Vec<Mutex<&mut Moments>> = moments.iter_mut().map(Mutex::new).collect();
        let update = |i: usize| {
            let mut moments = moments[i].lock().unwrap_or_else(PoisonError::into_inner);
            self.update(rate, factor, parameters[i], gradients[i], &mut moments)
        };
        let parts = on_each(&pieces(&parameters), |piece| piece.map(update).collect::<Vec<_>>());
        parts.into_iter().flatten().collect()
    }

    fn update(&self, rate: f32, factor: f32, parameter: &[f32], gradient: &[f32], moments: &mut Moments) -> Vec<f32> {
        let Self { beta_1, beta_2, epsilon, weight_decay } = *self;
        let Moments { time, first, second } = moments;
        *time += 1;
        first.resize(parameter.len(), 0.0);
        second.resize(parameter.len(), 0.0);
        assert_eq!(parameter.len(), gradient.len(), "numbers of a gradient");
        let steps = *time as i32;
        let correction_2 = (1.0 - beta_2.powi(steps)).sqrt();
        let (scaled_rate, epsilon) = (rate * correction_2 / (1.0 - beta_1.powi(steps)), epsilon * correction_2);
        let (rest_1, rest_2, keep) = (1.0 - beta_1, 1.0 - beta_2, 1.0 - rate * weight_decay);
        vectorised(|| {
            let moments = first.iter_mut().zip(second);
            let updated = parameter.iter().zip(gradient).zip(moments).map(|((p, g), (m, v))| {
                let g = factor * g;
                *m = beta_1 * *m + rest_1 * g;
                *v = beta_2 * *v + rest_2 * g * g;
                keep * p - scaled_rate * *m / (v.sqrt() + epsilon)
            });
            updated.collect()
        })
    }
}

/// √Σ x² over all of these tensors together, summed in f64.
///
/// # Panics
/// If a tensor is not one of Burn Flex in f32 without autodiff.
pub fn global_norm(tensors: &Operands) -> f64 {
    let tensors = tensors.on_cpu();
    let slices = slices(&tensors);
    let sums = on_each(&pieces(&slices), |piece| slices[piece].iter().copied().map(sum_of_squares).sum::<f64>());
    sums.iter().sum::<f64>().sqrt()
}

fn sum_of_squares(values: &[f32]) -> f64 {
    let square = |&x: &f32| f64::from(x) * f64::from(x);
    vectorised(|| {
        // Eight sums side by side, which the processor can take in one.
        let (eights, rest) = values.as_chunks::<8>();
        let mut sums = [0.0; 8];
        for eight in eights {
            sums.iter_mut().zip(eight).for_each(|(sum, x)| *sum += square(x));
        }
        sums.iter().sum::<f64>() + rest.iter().map(square).sum::<f64>()
    })
}

/// Neighbours that have enough numbers together.
fn pieces(slices: &[&[f32]]) -> Vec<Range<usize>> {
    let (mut pieces, mut start, mut numbers) = (Vec::new(), 0, 0);
    for (i, slice) in slices.iter().enumerate() {
        numbers += slice.len();
        if numbers >= PIECE || i + 1 == slices.len() {
            pieces.push(start..i + 1);
            (start, numbers) = (i + 1, 0);
        }
    }
    pieces
}

#[cfg(test)]
mod tests {
    use super::*;
    use burn::tensor::{Device, Tensor};

    /// Three steps of AdamW on two parameters by the paper's formulas in f64.
    #[test]
    fn steps_are_those_of_the_paper() {
        let device = Device::flex();
        let adam = Adam { beta_1: 0.9, beta_2: 0.999, epsilon: 1e-7, weight_decay: 0.01 };
        let (rate, factor) = (0.1, 0.5);
        let mut moments = vec![Moments::default(); 2];
        let mut values = vec![vec![1.0f32, -2.0, 0.5], vec![3.0]];
        let mut expected: Vec<Vec<[f64; 3]>> =
            values.iter().map(|p| p.iter().map(|&p| [f64::from(p), 0.0, 0.0]).collect()).collect();
        for time in 1..4 {
            let gradients = [vec![0.3f32 * time as f32, -1.0, 0.0], vec![1e-3]];
            let operands = |values: &[Vec<f32>]| {
                let mut operands = Operands::default();
                values.iter().for_each(|v| {
                    operands.push(Tensor::<1>::from_floats(v.as_slice(), &device));
                });
                operands
            };
            values = adam.step(rate, factor, &operands(&values), &operands(&gradients), &mut moments);
            for (p, g) in expected.iter_mut().flatten().zip(gradients.iter().flatten()) {
                let g = f64::from(factor * g);
                *p = [p[0], 0.9 * p[1] + 0.1 * g, 0.999 * p[2] + 0.001 * g * g];
                let first = p[1] / (1.0 - 0.9f64.powi(time));
                let second = p[2] / (1.0 - 0.999f64.powi(time));
                p[0] = p[0] * (1.0 - 0.1 * 0.01) - 0.1 * first / (second.sqrt() + 1e-7);
            }
        }
        for (got, expected) in values.iter().flatten().zip(expected.iter().flatten()) {
            assert!((f64::from(*got) - expected[0]).abs() < 1e-5, "{got} against {}", expected[0]);
        }
        assert_eq!(moments[1].time, 3);
    }

    #[test]
    fn the_norm_is_that_of_all_tensors_together() {
        let mut operands = Operands::default();
        let device = Device::flex();
        operands.push(Tensor::<2>::from_floats([[3.0; 10], [0.0; 10]], &device));
        operands.push(Tensor::<1>::from_floats([4.0], &device));
        assert!((global_norm(&operands) - (9.0 * 10.0 + 16.0f64).sqrt()).abs() < 1e-12);
    }
}
