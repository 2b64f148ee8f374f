//! Takes steps of Adam on the processor, and the norm of all gradients together.

use super::{Adam, Moments, Updated};
use crate::{blocks::on_each, vector::vectorised};
use std::{
    ops::Range,
    sync::{Mutex, PoisonError},
};

/// Numbers in a piece of work for one thread: some 20 µs.
const PIECE: usize = 1 << 15;

impl Adam {
    /// Takes a step with these parameters, given their gradients, which are first multiplied by `factor`.
    ///
    /// # Panics
    /// If a parameter and its gradient or moments differ in length.
    pub fn step(&self, rate: f32, factor: f32, parameters: Vec<Updated<'_>>) {
        let pieces = pieces(parameters.iter().map(|updated| updated.parameter.len()));
        let parameters: Vec<_> = parameters.into_iter().map(Mutex::new).collect();
        on_each(&pieces, |piece| {
            for updated in &parameters[piece] {
                self.update(rate, factor, &mut updated.lock().unwrap_or_else(PoisonError::into_inner));
            }
        });
    }

    fn update(&self, rate: f32, factor: f32, updated: &mut Updated<'_>) {
        let Self { beta_1, beta_2, epsilon, weight_decay } = *self;
        let Updated { parameter, gradient, moments } = updated;
        let Moments { time, first, second } = &mut **moments;
        *time += 1;
        first.resize(parameter.len(), 0.0);
        second.resize(parameter.len(), 0.0);
        assert_eq!(parameter.len(), gradient.len(), "numbers of a gradient");
        let steps = *time as i32;
        let correction_2 = (1.0 - beta_2.powi(steps)).sqrt();
        let (scaled_rate, epsilon) = (rate * correction_2 / (1.0 - beta_1.powi(steps)), epsilon * correction_2);
        let (rest_1, rest_2, keep) = (1.0 - beta_1, 1.0 - beta_2, 1.0 - rate * weight_decay);
        vectorised!({
            let moments = first.iter_mut().zip(second);
            for ((p, g), (m, v)) in parameter.iter_mut().zip(*gradient).zip(moments) {
                let g = factor * g;
                *m = beta_1 * *m + rest_1 * g;
                *v = beta_2 * *v + rest_2 * g * g;
                *p = keep * *p - scaled_rate * *m / (v.sqrt() + epsilon);
            }
        });
    }
}

/// √Σ x² over all of these together, summed in f64.
#[must_use]
pub fn global_norm(slices: &[&[f32]]) -> f64 {
    let pieces = pieces(slices.iter().map(|slice| slice.len()));
    let sums = on_each(&pieces, |piece| slices[piece].iter().copied().map(sum_of_squares).sum::<f64>());
    sums.iter().sum::<f64>().sqrt()
}

pub(crate) fn sum_of_squares(values: &[f32]) -> f64 {
    vectorised!({
        // Eight sums side by side, which the processor can take in one.
        let (eights, rest) = values.as_chunks::<8>();
        let mut sums = [0.0; 8];
        for eight in eights {
            for (sum, &x) in sums.iter_mut().zip(eight) {
                *sum += f64::from(x) * f64::from(x);
            }
        }
        sums.iter().sum::<f64>() + rest.iter().map(|&x| f64::from(x) * f64::from(x)).sum::<f64>()
    })
}

/// Neighbours that have enough numbers together.
fn pieces(lens: impl ExactSizeIterator<Item = usize>) -> Vec<Range<usize>> {
    let (mut pieces, mut start, mut numbers, count) = (Vec::new(), 0, 0, lens.len());
    for (i, len) in lens.enumerate() {
        numbers += len;
        if numbers >= PIECE || i + 1 == count {
            pieces.push(start..i + 1);
            (start, numbers) = (i + 1, 0);
        }
    }
    pieces
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Three steps of AdamW on two parameters by the paper's formulas in f64.
    #[test]
    fn steps_are_those_of_the_paper() {
        let adam = Adam { beta_1: 0.9, beta_2: 0.999, epsilon: 1e-7, weight_decay: 0.01 };
        let (rate, factor) = (0.1, 0.5);
        let mut moments = vec![Moments::default(); 2];
        let mut values = [vec![1.0f32, -2.0, 0.5], vec![3.0]];
        let mut expected: Vec<Vec<[f64; 3]>> =
            values.iter().map(|p| p.iter().map(|&p| [f64::from(p), 0.0, 0.0]).collect()).collect();
        for time in 1..4 {
            let gradients = [vec![0.3f32 * time as f32, -1.0, 0.0], vec![1e-3]];
            let updated = values.iter_mut().zip(&gradients).zip(&mut moments);
            let updated = updated.map(|((parameter, gradient), moments)| Updated { parameter, gradient, moments });
            adam.step(rate, factor, updated.collect());
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
    fn the_norm_is_that_of_all_together() {
        assert!((global_norm(&[&[3.0; 10], &[0.0; 10], &[4.0]]) - (9.0 * 10.0 + 16.0f64).sqrt()).abs() < 1e-12);
    }
}
