//! Checks shapes, sizes and finiteness once, before any statistic is computed.

use crate::{Extent, InputError, InputValue, Result};
use bayesburn_core::{Draws, SettingError, settings::in_range};
use ndarray::{Array2, ArrayView2, ArrayView3, Axis};
use rayon::prelude::*;

/// Refuses draws `[M, L, D]` and truths `[M, D]` that do not belong together, are empty or are not finite.
pub(crate) fn check_draws_and_truths(draws: &Draws, truths: &Array2<f32>) -> Result<(), InputError> {
    let (m, l, d) = draws.values().dim();
    if truths.dim() != (m, d) {
        return Err(InputError::Truths { expected: [m, d], got: truths.dim().into() });
    }
    at_least(Extent::DataSets, 1, m)?;
    at_least(Extent::Draws, 1, l)?;
    at_least(Extent::Parameters, 1, d)?;
    check_finite(InputValue::Truth, truths.view())?;
    check_finite_draws(draws.values())
}

/// Refuses `got < needed`.
pub(crate) fn at_least(extent: Extent, needed: usize, got: usize) -> Result<(), InputError> {
    if got < needed { Err(InputError::TooFew { extent, needed, got }) } else { Ok(()) }
}

/// Refuses a NaN or an infinity in `[M, D]`, and names the first.
pub(crate) fn check_finite(input: InputValue, values: ArrayView2<'_, f32>) -> Result<(), InputError> {
    match values.indexed_iter().find(|(_, x)| !x.is_finite()) {
        None => Ok(()),
        Some(((data_set, parameter), &value)) => Err(InputError::NonFinite { input, data_set, parameter, value }),
    }
}

/// Refuses a NaN or an infinity in draws `[M, L, D]`, and names the first.
pub(crate) fn check_finite_draws(values: ArrayView3<'_, f32>) -> Result<(), InputError> {
    let first_bad = (0..values.dim().0).into_par_iter().find_map_first(|data_set| {
        let draws = values.index_axis(Axis(0), data_set);
        // No early exit: a fold over all values vectorises, and good draws are the rule.
        let finite = draws.iter().fold(true, |finite, x| finite & x.is_finite());
        if finite {
            return None;
        }
        let ((draw, parameter), &value) = draws.indexed_iter().find(|(_, x)| !x.is_finite())?;
        Some(InputError::NonFinite { input: InputValue::Draw(draw), data_set, parameter, value })
    });
    first_bad.map_or(Ok(()), Err)
}

/// Refuses a confidence outside (0, 1); NaN is outside.
pub(crate) fn check_confidence(confidence: f64) -> Result<(), SettingError> {
    in_range(confidence > 0.0 && confidence < 1.0, "confidence", "above 0 and below 1, such as 0.95", confidence)
}

/// Refuses a false-alarm rate outside (0, 1); NaN is outside.
pub(crate) fn check_alpha(alpha: f64) -> Result<(), SettingError> {
    in_range(alpha > 0.0 && alpha < 1.0, "alpha", "a false-alarm rate above 0 and below 1, such as 0.01", alpha)
}

#[cfg(test)]
mod tests {
    use super::*;
    use ndarray::Array3;

    fn draws(m: usize, l: usize, d: usize) -> Draws {
        Draws::new((0..d).map(|i| format!("p{i}")).collect(), Array3::zeros((m, l, d))).expect("names fit")
    }

    #[test]
    fn every_refusal_says_expected_got_and_remedy() {
        let say = |draws: &Draws, truths: &Array2<f32>| {
            check_draws_and_truths(draws, truths).expect_err("must be refused").to_string()
        };
        let shape = say(&draws(3, 5, 2), &Array2::zeros((2, 3)));
        assert!(shape.contains("[3, 2]") && shape.contains("[2, 3]") && shape.contains("same order"), "{shape}");
        let empty = say(&draws(3, 0, 2), &Array2::zeros((3, 2)));
        assert!(empty.contains("0 draws") && empty.contains("at least 1"), "{empty}");
        assert!(say(&draws(0, 4, 2), &Array2::zeros((0, 2))).contains("0 data sets"));
        let mut truths = Array2::zeros((3, 2));
        truths[[2, 1]] = f32::NAN;
        assert!(say(&draws(3, 5, 2), &truths).contains("the truth is NaN for data set 2, parameter 1"));
    }

    #[test]
    fn the_first_bad_draw_is_named() {
        let names = draws(1, 1, 2).names().clone();
        let mut values = Array3::zeros((4, 6, 2));
        values[[3, 5, 0]] = f32::INFINITY;
        values[[1, 4, 1]] = f32::NAN;
        let bad = Draws::new(names, values).expect("two names");
        let error = check_draws_and_truths(&bad, &Array2::zeros((4, 2))).expect_err("a NaN").to_string();
        assert!(error.contains("draw 4 is NaN for data set 1, parameter 1"), "{error}");
    }

    #[test]
    fn confidence_is_strictly_between_zero_and_one() {
        assert!(check_confidence(0.95).is_ok());
        for bad in [0.0, 1.0, -0.1, 1.5, f64::NAN] {
            assert!(check_confidence(bad).is_err(), "{bad}");
        }
    }
}
