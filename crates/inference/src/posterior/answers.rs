//! Evaluates a posterior: draws, densities, predictions, and advice if it is wrong.

use super::Posterior;
use crate::{
    Acceptance, InferenceError, Sampled,
    rejection::{acceptance, sample},
    space::scales,
};
use bayesburn_core::{Draws, Interval, Simulations};
use bayesburn_networks::SummaryConfig;
use bayesburn_simulation::GenerativeModel;
use ndarray::{Array, Array1, Array2, Dimension};

const FOR_ANOTHER: &str = "the posterior was trained in rounds for one observation and is asked about another: train \
     one in a single round, from the prior, which is good for any";

impl<C: SummaryConfig> Posterior<C> {
    /// Advice on the space of the parameters, in case the posterior turns out to be wrong.
    #[must_use]
    pub fn advice(&self) -> Vec<String> {
        let scales = scales(&self.prior);
        let own = |d: usize| self.amortizer.config().support.as_ref().is_none_or(|s| s[d] == Interval::Real);
        let logarithms = scales.support.iter().flatten().enumerate();
        let logarithms = logarithms.filter(|(d, log)| **log != Interval::Real && own(*d));
        let over_decades = logarithms.map(|(d, _)| self.prior.names()[d].clone()).chain(scales.unresolved);
        let over_decades: Vec<String> = over_decades.filter(|_| !self.is_tight()).collect();
        let mut advice = Vec::new();
        if !over_decades.is_empty() {
            advice.push(format!(
                "inferring the logarithm of {}, of which the prior spans decades",
                over_decades.join(", ")
            ));
        }
        if self.usual_leakage.is_some_and(|usual| usual.least_inside < 0.8) {
            advice.push(
                "`NpeConfig::with_space(ParameterSpace::Unconstrained)`, from which nothing leaks: the prior's bounds \
                 cut some of the posteriors; compare `corrected_validation_loss` of both spaces"
                    .to_owned(),
            );
        }
        advice
    }

    /// Draws for the default observation, `[1, num_draws, D]`. Another call with the same seed gives the same draws.
    ///
    /// # Errors
    /// No default observation; as [`Posterior::sample_for`].
    pub fn sample(&self, num_draws: usize, seed: u64) -> Result<Draws, InferenceError> {
        self.sample_for(self.own()?, num_draws, seed)
    }

    /// Draws for one observation or M of them, `[M, num_draws, D]`, inside the prior's support.
    ///
    /// Draw l for observation m does not depend on the number of draws or on later observations. [`Draws::warnings`]
    /// reports observations unlike the simulations.
    ///
    /// The latent variables of an observation depend only on the seed and the observation's number. A call numbers its
    /// observations from 0, so their draws are independent, but another call with the same seed reuses the same latent
    /// variables. Calibration checks need independent draws for different observations: with separate calls and one
    /// seed, they would reject exact posteriors. Draw for all observations in one call, or for one at a time with its
    /// number by [`Posterior::sample_numbered`].
    ///
    /// # Errors
    /// Zero draws; an observation with another shape or with non-finite values; too few draws within the limits of
    /// [`RejectionConfig`](crate::RejectionConfig).
    pub fn sample_for<D: Dimension>(
        &self,
        x: &Array<f32, D>,
        num_draws: usize,
        seed: u64,
    ) -> Result<Draws, InferenceError> {
        self.sample_with_report(x, num_draws, seed)?.into_draws()
    }

    /// As [`Posterior::sample_for`], with observations numbered `first`, `first` + 1, …: for observations that come one
    /// at a time, such as `posterior.sample_numbered(&x, m, 99, seed)` for number m. The draws are the same as in one
    /// call for all observations.
    ///
    /// # Errors
    /// As [`Posterior::sample_for`]; a number of 2³² or more.
    pub fn sample_numbered<D: Dimension>(
        &self,
        x: &Array<f32, D>,
        first: usize,
        num_draws: usize,
        seed: u64,
    ) -> Result<Draws, InferenceError> {
        self.sampled((x, first), num_draws, seed)?.into_draws()
    }

    /// As [`Posterior::sample_for`], with numbers of tries and acceptance rates. With
    /// [`WhenUnfinished::Partial`](crate::WhenUnfinished::Partial), there may be fewer draws.
    ///
    /// # Errors
    /// As [`Posterior::sample_for`].
    pub fn sample_with_report<D: Dimension>(
        &self,
        x: &Array<f32, D>,
        num_draws: usize,
        seed: u64,
    ) -> Result<Sampled, InferenceError> {
        self.sampled((x, 0), num_draws, seed)
    }

    /// Draws for observations, of which the first has the number `first`.
    fn sampled<D: Dimension>(
        &self,
        (x, first): (&Array<f32, D>, usize),
        num_draws: usize,
        seed: u64,
    ) -> Result<Sampled, InferenceError> {
        let (conditions, density) = (self.conditions(x)?, self.density());
        let inside = |theta: &[f32]| density.contains(theta);
        let (part, config) = ((&conditions, first), (&self.rejection, self.usual_leakage));
        let sampled = sample(&self.amortizer, part, (num_draws, seed), config, &inside)?;
        let warnings = match &self.trained_for {
            None => self.amortizer.warnings_for(&conditions)?,
            Some(_) if self.is_for_another(x) => vec![FOR_ANOTHER.to_owned()],
            // Later rounds simulated around this observation, even if it is far from simulations of the prior.
            Some(_) => Vec::new(),
        };
        warnings.iter().for_each(|warning| tracing::warn!("{warning}"));
        Ok(sampled.with_warnings(warnings))
    }

    /// Whether this posterior was trained for one observation, and not for this.
    fn is_for_another<D: Dimension>(&self, x: &Array<f32, D>) -> bool {
        let same = |(a, b): (&f32, &f32)| a == b || a.is_nan() && b.is_nan();
        self.trained_for.as_ref().is_some_and(|own| {
            let whole = x.len().is_multiple_of(own.len());
            !whole || !x.iter().zip(own.iter().cycle()).all(same)
        })
    }

    /// For each observation, the fraction of the density inside the prior's support, estimated from as many draws as
    /// [`Posterior::with_leakage_draws`] sets.
    ///
    /// # Errors
    /// An observation of another shape or with values that are not finite.
    pub fn acceptance_for<D: Dimension>(
        &self,
        x: &Array<f32, D>,
        seed: u64,
    ) -> Result<Vec<Acceptance>, InferenceError> {
        let (conditions, density) = (self.conditions(x)?, self.density());
        acceptance(&self.amortizer, &conditions, (0..self.leakage_draws, seed), &|theta| density.contains(theta))
    }

    /// ln p(θ | x) of rows of parameters `[K, D]` for the default observation, `[K]`.
    ///
    /// # Errors
    /// No default observation; as [`Posterior::log_prob_for`].
    pub fn log_prob(&self, parameters: &Array2<f32>) -> Result<Array1<f32>, InferenceError> {
        self.log_prob_for(parameters, self.own()?)
    }

    /// ln p(θ | x), `[M]`, of M rows of parameters for M observations, or for one. It is −∞ outside of the prior's
    /// support, and normalised inside by the fraction of draws there.
    ///
    /// # Errors
    /// Rows of another width, or number; values that are not finite; an observation of another shape.
    pub fn log_prob_for<D: Dimension>(
        &self,
        parameters: &Array2<f32>,
        x: &Array<f32, D>,
    ) -> Result<Array1<f32>, InferenceError> {
        let (conditions, density) = (self.conditions(x)?, self.density());
        let mut log_prob = self.amortizer.log_prob(parameters, &conditions)?;
        let inside = |theta: &[f32]| density.contains(theta);
        let corrections: Vec<f32> = if self.is_tight() {
            vec![0.0; conditions.len()]
        } else {
            let acceptance = acceptance(&self.amortizer, &conditions, (0..self.leakage_draws, 0), &inside)?;
            // Without any draw inside, only an upper bound of the fraction is known.
            acceptance.iter().map(|a| -(a.rate().max(0.5 / a.tried as f64).ln()) as f32).collect()
        };
        for (row, (log_prob, theta)) in log_prob.iter_mut().zip(parameters.outer_iter()).enumerate() {
            let correction = corrections[if corrections.len() == 1 { 0 } else { row }];
            *log_prob = if inside(&theta.to_vec()) { *log_prob + correction } else { f32::NEG_INFINITY };
        }
        Ok(log_prob)
    }

    /// ln q(θ | x) of the density estimator itself, `[M]`: as [`Posterior::log_prob_for`], without leakage correction.
    /// It is normalised over the estimator's own support, and is not −∞ outside of the prior's support.
    ///
    /// # Errors
    /// As [`Posterior::log_prob_for`].
    pub fn uncorrected_log_prob_for<D: Dimension>(
        &self,
        parameters: &Array2<f32>,
        x: &Array<f32, D>,
    ) -> Result<Array1<f32>, InferenceError> {
        Ok(self.amortizer.log_prob(parameters, &self.conditions(x)?)?)
    }

    /// Posterior predictions: simulates data for `num_draws` draws from the posterior of one observation. Non-finite
    /// simulations are redrawn or masked if that is the model's policy (see [`GenerativeModel::predict`]), and
    /// otherwise dropped, as by [`Npe`](crate::Npe). [`Simulations::invalid`] lists them.
    ///
    /// # Errors
    /// As [`Posterior::sample_for`]; more than one observation; simulations that fail; no finite simulation.
    pub fn predict<D: Dimension>(
        &self,
        model: &GenerativeModel,
        x: &Array<f32, D>,
        num_draws: usize,
        seed: u64,
    ) -> Result<Simulations, InferenceError> {
        let draws = self.sample_for(x, num_draws, seed)?;
        if draws.num_data_sets() != 1 {
            return Err(InferenceError::Observation { expected: self.data_shape.clone(), got: x.shape().to_vec() });
        }
        Ok(model.clone().leaving_out_invalid().predict(&draws.data_set(0).to_owned(), seed, 0)?)
    }
}
