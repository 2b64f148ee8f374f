//! Uses a posterior without knowing its networks.

use super::{
    ObservedOptions, SavedError,
    observed::{conditions_for, observation},
};
use crate::memory::check_size;
use bayesburn_amortizers::{AmortizedPosterior, Amortizer, TrainingRange};
use bayesburn_core::{DataShape, Draws, ParameterNames};
use bayesburn_inference::{Acceptance, Posterior};
use bayesburn_networks::{InferenceConfig, SummaryConfig};
use indicatif::ProgressBar;
use ndarray::{Array1, Array2};
use std::time::Duration;

/// Draws between two steps of a progress bar.
const DRAWS_AT_A_TIME: usize = 1 << 18;

/// Draws from a saved posterior.
#[derive(Debug)]
pub struct Sampled {
    /// The draws.
    pub draws: Draws,
    /// For each data set, how many draws were inside the prior's support; none for a posterior that has no prior.
    pub acceptance: Option<Vec<Acceptance>>,
}

/// A posterior, whatever its networks. Remarks are lines about data and posterior for the user, also where a
/// method fails.
pub trait AnyPosterior {
    /// The parameters' names.
    fn names(&self) -> &ParameterNames;

    /// The names of the simulator's features, if they are known.
    fn feature_names(&self) -> Option<&[String]>;

    /// The shapes of the data that its networks take.
    fn data_shape(&self) -> DataShape;

    /// The number of trainable parameters of its networks.
    fn num_trainable_parameters(&self) -> usize;

    /// What it was trained on, if that is known.
    fn training_range(&self) -> Option<&TrainingRange>;

    /// What to know about its simulations.
    fn warnings(&self) -> Vec<String>;

    /// Draws given observed data, with a progress bar on standard error.
    ///
    /// # Errors
    /// Data that are missing or do not fit; more draws than memory holds.
    fn sample(
        &self,
        observed: &ObservedOptions,
        draws: usize,
        seed: u64,
        remarks: &mut Vec<String>,
    ) -> Result<Sampled, SavedError>;

    /// The log density of rows of parameters given observed data.
    ///
    /// # Errors
    /// Data or parameters that are missing or do not fit.
    fn log_prob(
        &self,
        parameters: &Array2<f32>,
        observed: &ObservedOptions,
        remarks: &mut Vec<String>,
    ) -> Result<Array1<f32>, SavedError>;
}

impl<C: SummaryConfig, I: InferenceConfig> AnyPosterior for AmortizedPosterior<C, I> {
    fn names(&self) -> &ParameterNames {
        self.parameter_names()
    }

    fn feature_names(&self) -> Option<&[String]> {
        AmortizedPosterior::feature_names(self)
    }

    fn data_shape(&self) -> DataShape {
        AmortizedPosterior::data_shape(self)
    }

    fn num_trainable_parameters(&self) -> usize {
        Amortizer::num_trainable_parameters(self)
    }

    fn training_range(&self) -> Option<&TrainingRange> {
        AmortizedPosterior::training_range(self)
    }

    fn warnings(&self) -> Vec<String> {
        Amortizer::warnings(self)
    }

    fn sample(
        &self,
        observed: &ObservedOptions,
        draws: usize,
        seed: u64,
        remarks: &mut Vec<String>,
    ) -> Result<Sampled, SavedError> {
        let conditions = conditions_for(self, observed, remarks)?;
        let posterior = taking(self, observed);
        check_size(draws, conditions.len(), self.parameter_names().len(), 0).map_err(SavedError::observed)?;
        let at_a_time = (DRAWS_AT_A_TIME / draws).max(1);
        let data_sets: Vec<usize> = (0..conditions.len()).collect();
        let bar = ProgressBar::new(conditions.len() as u64).with_message("data sets");
        let mut parts = Vec::new();
        for some in data_sets.chunks(at_a_time) {
            parts.push(posterior.sample_part(&conditions.select(some), some, 0..draws, seed)?);
            bar.inc(some.len() as u64);
        }
        bar.finish_and_clear();
        let mut parts = parts.into_iter();
        let first = parts.next().ok_or_else(|| SavedError::observed("no data set: give at least one"))?;
        let draws = first.join(parts)?.with_warnings(posterior.warnings_for(&conditions)?);
        Ok(Sampled { draws, acceptance: None })
    }

    fn log_prob(
        &self,
        parameters: &Array2<f32>,
        observed: &ObservedOptions,
        remarks: &mut Vec<String>,
    ) -> Result<Array1<f32>, SavedError> {
        let conditions = conditions_for(self, observed, remarks)?;
        let posterior = taking(self, observed);
        remarks.extend(posterior.warnings_for(&conditions)?.iter().map(|warning| format!("Warning: {warning}")));
        Ok(AmortizedPosterior::log_prob(&posterior, parameters, &conditions)?)
    }
}

impl<C: SummaryConfig> AnyPosterior for Posterior<C> {
    fn names(&self) -> &ParameterNames {
        self.prior().names()
    }

    fn feature_names(&self) -> Option<&[String]> {
        self.amortizer().feature_names()
    }

    fn data_shape(&self) -> DataShape {
        self.amortizer().data_shape()
    }

    fn num_trainable_parameters(&self) -> usize {
        self.amortizer().num_trainable_parameters()
    }

    fn training_range(&self) -> Option<&TrainingRange> {
        self.amortizer().training_range()
    }

    fn warnings(&self) -> Vec<String> {
        Posterior::warnings(self).to_vec()
    }

    fn sample(
        &self,
        observed: &ObservedOptions,
        draws: usize,
        seed: u64,
        remarks: &mut Vec<String>,
    ) -> Result<Sampled, SavedError> {
        let x = observation(self, observed, remarks)?;
        check_size(draws, self.conditions(&x)?.len(), self.names().len(), 0).map_err(SavedError::observed)?;
        let bar = ProgressBar::new_spinner().with_message("drawing inside the prior's support");
        bar.enable_steady_tick(Duration::from_millis(100));
        let sampled = self.sample_with_report(&x, draws, seed);
        bar.finish_and_clear();
        let sampled = sampled?;
        let acceptance = Some(sampled.acceptance().to_vec());
        Ok(Sampled { draws: sampled.into_draws()?, acceptance })
    }

    fn log_prob(
        &self,
        parameters: &Array2<f32>,
        observed: &ObservedOptions,
        remarks: &mut Vec<String>,
    ) -> Result<Array1<f32>, SavedError> {
        let x = observation(self, observed, remarks)?;
        let warnings = self.amortizer().warnings_for(&self.conditions(&x)?)?;
        remarks.extend(warnings.iter().map(|warning| format!("Warning: {warning}")));
        Ok(self.log_prob_for(parameters, &x)?)
    }
}

/// The posterior, which takes any number of observations if that is asked for.
fn taking<C: SummaryConfig, I: InferenceConfig>(
    posterior: &AmortizedPosterior<C, I>,
    observed: &ObservedOptions,
) -> AmortizedPosterior<C, I> {
    let posterior = posterior.clone();
    if observed.any_num_observations { posterior.with_any_num_observations() } else { posterior }
}
