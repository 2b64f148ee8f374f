//! Finds the mode of a density that is truncated by a bound of the prior.

use crate::{InferenceError, Posterior};
use bayesburn_amortizers::Conditions;
use bayesburn_networks::SummaryConfig;
use nalgebra::{Matrix3, Vector3};
use ndarray::{Array1, Array2};

/// Grid points along a parameter.
const PLACES: usize = 256;
/// Grid points that are averaged to decide whether a bound truncates the density.
const WINDOW: usize = 8;
/// The least share of the highest density that counts as belonging to the same mode.
const SAME_MODE: f64 = 0.1;
/// The least density at a bound, relative to the mode, that counts as truncated. With less, the mode is further inside
/// than an estimator's smoothing at the bound reaches.
const CUT: f64 = 0.5;
/// Cells in which densities are averaged: few, so that a flow's unevenness averages out and its error next to a bound
/// has little weight.
const CELLS: usize = 8;
/// Grid points of the fitted density.
const FINE: u32 = 2048;
/// If the fitted mode is within this many standard errors of a bound, the bound is returned.
const ERRORS: f64 = 4.0;

impl<C: SummaryConfig> Posterior<C> {
    /// The mode of the posterior along parameter `d` through `theta`, if a bound of the prior truncates it; `draws`
    /// give the range to search.
    pub(crate) fn mode_at_cut(
        &self,
        conditions: &Conditions,
        draws: &Array2<f32>,
        theta: &Array1<f32>,
        d: usize,
    ) -> Result<Option<f32>, InferenceError> {
        let (least, most) = self.density().support()[d].bounds();
        let mut sorted = draws.column(d).to_vec();
        sorted.sort_by(f32::total_cmp);
        let quantile = |share: f64| f64::from(sorted[(share * (sorted.len() - 1) as f64) as usize]);
        let (from, to) = (quantile(0.01), quantile(0.99));
        let low = (2.0 * from - to).max(f64::from(least));
        let high = (2.0 * to - from).min(f64::from(most));
        let is_bound = [low == f64::from(least), high == f64::from(most)];
        if is_bound == [false; 2] || low >= high {
            return Ok(None);
        }
        let through = |value: f64| {
            let mut row = theta.clone();
            row[d] = value as f32;
            row
        };
        let log_prob = |place: &dyn Fn(usize) -> f64| -> Result<Vec<f64>, InferenceError> {
            let rows = Array2::from_shape_fn((PLACES, theta.len()), |(i, e)| through(place(i))[e]);
            let logs = self.amortizer().log_prob(&rows, conditions)?;
            Ok(logs.iter().map(|&log| f64::from(log)).collect())
        };
        let place = |i: usize| low + (high - low) * (i as f64 + 0.5) / PLACES as f64;
        let mut log_q = log_prob(&place)?;
        if self.amortizer().config().support.is_none() {
            // Density that leaked beyond a bound is reflected back.
            for bound in [low, high].into_iter().zip(is_bound).filter_map(|(bound, is_bound)| is_bound.then_some(bound))
            {
                let folded = log_prob(&|i| 2.0 * bound - place(i))?;
                log_q.iter_mut().zip(folded).for_each(|(log, folded)| {
                    let larger = log.max(folded);
                    *log = larger + ((*log - larger).exp() + (folded - larger).exp()).ln();
                });
            }
        }
        let log_prior = |value: f64| self.density().log_prob(through(value).as_slice().expect("one row"));
        Ok(mode((low, high), is_bound, &log_q, &log_prior).map(|mode| mode as f32))
    }
}

/// The mode of a density that is truncated at one of its ends, or `None` if it is truncated at neither. `log_q` is
/// given at the midpoints of equal intervals between the ends.
///
/// A quadratic function is fitted to ln q − ln p, a log-likelihood, averaged over cells where q is high and weighted by
/// q; ln p is added again. The residuals give the standard error of the mode. If only one bound truncates the density,
/// and it is within [`ERRORS`] standard errors of the mode, it is returned as the mode.
fn mode((low, high): (f64, f64), is_bound: [bool; 2], log_q: &[f64], log_prior: &dyn Fn(f64) -> f64) -> Option<f64> {
    let count = log_q.len();
    let width = (high - low) / count as f64;
    let largest = log_q.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    let density: Vec<f64> = log_q.iter().map(|log| (log - largest).exp()).collect();
    let mean = |part: &[f64]| part.iter().sum::<f64>() / part.len() as f64;
    // Averages over several grid points, since a single one may be in a dent.
    let windows: Vec<f64> = density.chunks(WINDOW).map(mean).collect();
    let highest = windows.iter().copied().fold(0.0, f64::max);
    let peak = windows.iter().position(|window| *window == highest)?;
    let is_low = |window: &usize| windows[*window] < SAME_MODE * highest;
    let first = (0..peak).rev().find(is_low).map_or(0, |window| WINDOW * (window + 1));
    let end = (peak..windows.len()).find(is_low).map_or(count, |window| WINDOW * window);
    let cut = [
        is_bound[0] && first == 0 && windows[0] > CUT * highest,
        is_bound[1] && end == count && windows[windows.len() - 1] > CUT * highest,
    ];
    if cut == [false; 2] || end - first < CELLS {
        return None;
    }
    // The mode is between −1 and 1.
    let value = |u: f64| low + width * (first as f64 + 0.5 * (u + 1.0) * (end - first) as f64);
    let basis = |u: f64| Vector3::new(1.0, u, u * u);
    let middle_of = |i: usize| low + width * (i as f64 + 0.5);
    let reference = log_prior(middle_of(WINDOW * peak + WINDOW / 2));
    let cells: Vec<(Vector3<f64>, f64, f64)> = (0..CELLS)
        .filter_map(|cell| {
            let edge = |cell: usize| first + (end - first) * cell / CELLS;
            let places = edge(cell)..edge(cell + 1);
            let prior: Vec<f64> = places.clone().map(|i| (log_prior(middle_of(i)) - reference).exp()).collect();
            let middle = (places.start + places.end - 2 * first) as f64 / (end - first) as f64 - 1.0;
            let weight = mean(&density[places]);
            let log_likelihood = weight.ln() - mean(&prior).ln();
            log_likelihood.is_finite().then_some((basis(middle), log_likelihood, weight))
        })
        .collect();
    let total: f64 = cells.iter().map(|(.., weight)| weight).sum::<f64>() / cells.len() as f64;
    let (mut normal, mut right) = (Matrix3::zeros(), Vector3::zeros());
    for (basis, log_likelihood, weight) in &cells {
        normal += weight / total * basis * basis.transpose();
        right += weight / total * *log_likelihood * basis;
    }
    let inverse = normal.try_inverse()?;
    let fit = inverse * right;
    let squares = cells.iter().map(|(basis, log, weight)| weight / total * (log - fit.dot(basis)).powi(2));
    let covariance = inverse * (squares.sum::<f64>() / cells.len().saturating_sub(3).max(1) as f64);
    let log_posterior = |u: f64| log_prior(value(u)) + fit.dot(&basis(u));
    let fine = (0..=FINE).map(|i| 2.0 * f64::from(i) / f64::from(FINE) - 1.0);
    let mode = fine.max_by(|a, b| log_posterior(*a).total_cmp(&log_posterior(*b)))?;
    // By the delta method: the standard error of the slope at the mode, over the curvature.
    let step = 0.05;
    let at = mode.clamp(step - 1.0, 1.0 - step);
    let curvature = 2.0 * log_posterior(at) - log_posterior(at - step) - log_posterior(at + step);
    let slope = Vector3::new(0.0, 1.0, 2.0 * mode);
    let error = slope.dot(&(covariance * slope)).max(0.0).sqrt() * step * step / curvature.max(f64::MIN_POSITIVE);
    match cut {
        [true, false] if mode + 1.0 <= ERRORS * error => Some(low),
        [false, true] if 1.0 - mode <= ERRORS * error => Some(high),
        _ if mode == -1.0 => cut[0].then_some(low),
        _ if mode == 1.0 => cut[1].then_some(high),
        _ => Some(value(mode)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Of the density exp(`log_prob`) on 256 places between 0 and 1.
    fn found(log_prob: impl Fn(f64) -> f64, log_prior: impl Fn(f64) -> f64) -> Option<f64> {
        let log_q: Vec<f64> = (0..256).map(|i| log_prob((f64::from(i) + 0.5) / 256.0)).collect();
        mode((0.0, 1.0), [true; 2], &log_q, &|value| {
            if (0.0..=1.0).contains(&value) { log_prior(value) } else { f64::NEG_INFINITY }
        })
    }

    /// Normals of means outside and inside, dented beside both bounds by a half, and by a wave of 5%.
    #[test]
    fn modes_of_cut_normals_are_where_they_are() {
        for (mean, std, expected) in
            [(-0.5, 0.5, 0.0), (1.2, 0.4, 1.0), (0.5, 0.8, 0.5), (0.35, 0.6, 0.35), (-0.1, 0.3, 0.0)]
        {
            let dented = |value: f64| {
                let dent = (-value / 0.02).exp() + (-(1.0 - value) / 0.02).exp();
                -0.5 * ((value - mean) / std).powi(2) - 0.7 * dent + 0.05 * (25.0 * value).sin()
            };
            let got = found(dented, |_| -700.0).expect("it is cut");
            assert!(
                (got - expected).abs() < if expected.fract() == 0.0 { 1e-9 } else { 0.08 },
                "{mean}: {got}, not {expected}"
            );
        }
        assert_eq!(found(|value| -0.5 * ((value - 0.5) / 0.1).powi(2), |_| 0.0), None, "not cut");
    }

    /// θ^(k − 1) e^(−λ θ), with the prior θ^(k − 1).
    #[test]
    fn what_the_prior_is_at_a_bound_is_known() {
        let found =
            |k: f64, rate: f64| found(|value| (k - 1.0) * value.ln() - rate * value, |value| (k - 1.0) * value.ln());
        assert_eq!(found(0.5, 1.0), Some(0.0));
        let inside = found(1.1, 0.5).expect("it is cut");
        assert!((inside - 0.2).abs() < 0.02, "{inside}");
    }
}
