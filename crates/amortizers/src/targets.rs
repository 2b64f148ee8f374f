//! Maps parameters to what the inference network has as targets, and back: the reals, if parameters lie in intervals.

use crate::AmortizerError;
use bayesburn_core::Interval;
use ndarray::{Array1, Array2};
use std::borrow::Cow;

/// Parameters `[B, D]` as real numbers.
pub(crate) struct Targets<'a> {
    pub(crate) values: Cow<'a, Array2<f32>>,
    /// ln|det ∂targets/∂θ| of each row, where it is not 0 for all.
    pub(crate) log_derivatives: Option<Array1<f32>>,
}

/// Where each parameter can lie; without intervals, anywhere.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Support<'a>(pub(crate) Option<&'a [Interval]>);

impl Support<'_> {
    /// The targets that parameters stand for. What lies outside of its interval is taken for the bound.
    pub(crate) fn targets<'a>(&self, parameters: &'a Array2<f32>) -> Targets<'a> {
        let Some(intervals) = self.0 else {
            return Targets { values: Cow::Borrowed(parameters), log_derivatives: None };
        };
        let mut values = parameters.clone();
        let mut log_derivatives = Array1::zeros(parameters.nrows());
        for (mut row, log_derivative) in values.outer_iter_mut().zip(&mut log_derivatives) {
            let mut sum = 0.0;
            for (value, interval) in row.iter_mut().zip(intervals) {
                sum += interval.log_derivative(*value);
                *value = interval.to_real(*value) as f32;
            }
            *log_derivative = sum as f32;
        }
        Targets { values: Cow::Owned(values), log_derivatives: Some(log_derivatives) }
    }

    /// The parameters that rows of targets stand for.
    pub(crate) fn parameters(&self, mut targets: Vec<f32>) -> Vec<f32> {
        if let Some(intervals) = self.0 {
            for row in targets.chunks_exact_mut(intervals.len()) {
                row.iter_mut().zip(intervals).for_each(|(value, to)| *value = to.from_real(f64::from(*value)));
            }
        }
        targets
    }

    /// Whether a row of parameters lies where the density is not 0 by construction.
    pub(crate) fn contains<'a>(&self, row: impl IntoIterator<Item = &'a f32>) -> bool {
        self.0.is_none_or(|intervals| intervals.iter().zip(row).all(|(interval, &value)| interval.contains(value)))
    }

    /// An error for the first parameter that is outside of its interval.
    pub(crate) fn check(&self, names: &[String], parameters: &Array2<f32>) -> Result<(), AmortizerError> {
        let Some(intervals) = self.0 else { return Ok(()) };
        for (simulation, row) in parameters.outer_iter().enumerate() {
            for ((&value, &interval), name) in row.iter().zip(intervals).zip(names) {
                if !interval.contains(value) {
                    return Err(AmortizerError::OutsideSupport { name: name.clone(), value, interval, simulation });
                }
            }
        }
        Ok(())
    }
}
