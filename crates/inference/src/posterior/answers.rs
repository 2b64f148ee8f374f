//! Asks a posterior: draws, densities, predictions, and what to change where it is wrong.

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
    /// What to try with the space of the parameters, if the posterior turns out to be wrong.
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

    /// Draws for the observation set, `[1, num_draws, D]`. Another call with the same seed gives the same draws.
    ///
    /// # Errors
    /// No observation set; as [`Posterior::sample_for`].
    pub fn sample(&self, num_draws: usize, seed: u64) -> Result<Draws, InferenceError> {
        self.sample_for(self.own()?, num_draws, seed)
    }

    /// Draws for one observation or M of them, `[M, num_draws, D]`, inside the prior's support.
    ///
    /// Draw l for observation m is the same for any number of draws above l and any observations after m. Observations
    /// unlike the simulations are warned of: see [`Draws::warnings`].
    ///
    /// The latent numbers of an observation depend on the seed and on the observation's number alone. A call numbers
    /// its observations from 0, so their draws are independent, but another call with the same seed uses the same
    /// latent numbers again. Checks of calibration need independent draws for different observations: with one call for
    /// each observation and one seed, they reject exact posteriors. Draw for all observations in one call, or for one
    /// at a time by its number with [`Posterior::sample_numbered`].
    ///
    /// # Errors
    /// Zero draws; an observation of another shape or with values that are not finite; draws that were not found within
    /// the limits of [`RejectionConfig`](crate::RejectionConfig).
    pub fn sample_for<D: Dimension>(
        &self,
        x: &Array<f32, D>,
        num_draws: usize,
        seed: u64,
    ) -> Result<Draws, InferenceError> {
        self.sample_with_report(x, num_draws, seed)?.into_draws()
    }

    /// As [`Posterior::sample_for`], with observations numbered `first`, `first` + 1, …: for observations that come one
    /// at a time, such as `posterior.sample_numbered(&x, m, 99, seed)` for number m. Draws are those that one call for
    /// all observations gives to the ones with these numbers.
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

    /// As [`Posterior::sample_for`], with tries and acceptance, and as many draws as were found if the configuration
    /// says so.
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

    /// Where the first observation has the number `first`.
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
            // Later rounds have simulated around it, however far from those of the prior it is.
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

    /// The share of the density that is inside the prior's support, for each observation, from as many draws as
    /// [`Posterior::with_leakage_draws`] has.
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

    /// ln p(θ | x) of rows of parameters `[K, D]` at the observation set, `[K]`.
    ///
    /// # Errors
    /// No observation set; as [`Posterior::log_prob_for`].
    pub fn log_prob(&self, parameters: &Array2<f32>) -> Result<Array1<f32>, InferenceError> {
        self.log_prob_for(parameters, self.own()?)
    }

    /// ln p(θ | x), `[M]`, of M rows of parameters for M observations, or for one: −∞ outside of the prior's support,
    /// and normalised inside, by what share of draws is there.
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
            // Of no draw inside it is only known that there are fewer.
            acceptance.iter().map(|a| -(a.rate().max(0.5 / a.tried as f64).ln()) as f32).collect()
        };
        for (row, (log_prob, theta)) in log_prob.iter_mut().zip(parameters.outer_iter()).enumerate() {
            let correction = corrections[if corrections.len() == 1 { 0 } else { row }];
            *log_prob = if inside(&theta.to_vec()) { *log_prob + correction } else { f32::NEG_INFINITY };
        }
        Ok(log_prob)
    }

    /// ln q(θ | x) of the density estimator itself, `[M]`: as [`Posterior::log_prob_for`], but not corrected for
    /// leakage. It is normalised over the estimator's own support, and not set to −∞ outside of the prior's.
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

    /// Data that the model yields for parameters drawn from the posterior of one observation: posterior predictions,
    /// `num_draws` of them. Those that are not finite are redrawn or masked if the model says so, by
    /// [`GenerativeModel::predict`], and left out else, as [`Npe`](crate::Npe) does; [`Simulations::invalid`] lists
    /// them.
    ///
    /// # Errors
    /// As [`Posterior::sample_for`]; more than one observation; simulations that fail, or none of which is finite.
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
