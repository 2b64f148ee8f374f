//! Proposes parameters for the next round.

use crate::{InferenceError, Posterior};
use bayesburn_core::{Purpose, settings::inside_unit_interval, stream};
use bayesburn_networks::{IdentityConfig, SummaryConfig};
use bayesburn_simulation::Prior;
use ndarray::{Array1, Array2, ArrayD, Axis, concatenate};
use rand::Rng;

/// The distribution of the next simulations' parameters.
#[derive(Debug, Clone, Default)]
#[allow(clippy::large_enum_variant, reason = "an inference has one")]
pub enum Proposal<C: SummaryConfig = IdentityConfig> {
    /// The prior; the posterior stays amortized.
    #[default]
    Prior,
    /// A posterior at its observation. Simulations concentrate where it has its probability, and the loss corrects for
    /// that ([`Correction`](crate::Correction); SNPE-C; Greenberg et al. 2019).
    Posterior(Posterior<C>),
    /// The prior, truncated to the region where a posterior at its observation has density (TSNPE; Deistler et al.
    /// 2022). The loss needs no correction, so that trainings are as fast as in a first round, several times faster
    /// than with a correction. But if the posterior covers a very small part of the prior, drawing takes long.
    Truncated(TruncatedPrior<C>),
}

impl<C: SummaryConfig> Proposal<C> {
    /// The posterior at its observation.
    ///
    /// # Errors
    /// A posterior without an observation.
    pub fn posterior(posterior: Posterior<C>) -> Result<Self, InferenceError> {
        if posterior.observation().is_none() {
            return Err(InferenceError::NoObservation);
        }
        Ok(Self::Posterior(posterior))
    }

    /// The prior, truncated to the region where the posterior's density is at least the 10⁻⁴ quantile of the density of
    /// its own draws.
    ///
    /// # Errors
    /// A posterior without an observation.
    pub fn truncated(posterior: Posterior<C>) -> Result<Self, InferenceError> {
        Ok(Self::Truncated(TruncatedPrior::new(posterior, 1e-4)?))
    }

    /// `[num_draws, D]`.
    pub(crate) fn sample(&self, prior: &Prior, num_draws: usize, seed: u64) -> Result<Array2<f32>, InferenceError> {
        match self {
            Self::Prior => Ok(prior.sample(num_draws, seed)?),
            Self::Posterior(posterior) => Ok(posterior.sample(num_draws, seed)?.data_set(0).to_owned()),
            Self::Truncated(truncated) => truncated.sample(num_draws, seed),
        }
    }

    /// The posterior that the proposal uses; `None` for the prior.
    pub(crate) fn posterior_behind(&self) -> Option<&Posterior<C>> {
        match self {
            Self::Prior => None,
            Self::Posterior(posterior) | Self::Truncated(TruncatedPrior { posterior, .. }) => Some(posterior),
        }
    }

    /// Whether the loss needs no correction for parameters from here.
    pub(crate) fn keeps_the_prior(&self) -> bool {
        !matches!(self, Self::Posterior(_))
    }

    pub(crate) fn name(&self) -> &'static str {
        match self {
            Self::Prior => "prior",
            Self::Posterior(_) => "posterior",
            Self::Truncated(_) => "truncated prior",
        }
    }
}

/// The prior, truncated to a region of high posterior density.
#[derive(Debug, Clone)]
pub struct TruncatedPrior<C: SummaryConfig = IdentityConfig> {
    posterior: Posterior<C>,
    threshold: f32,
}

/// Number of draws for the quantile that is the threshold.
const QUANTILE_DRAWS: usize = 100_000;
/// The largest number of draws from the prior for each accepted one.
const MOST_TRIES: usize = 100_000;

impl<C: SummaryConfig> TruncatedPrior<C> {
    /// Truncates the prior to the region where the posterior's density is at least the `tail` quantile of the density
    /// of its own draws.
    ///
    /// # Errors
    /// A posterior without an observation; a tail that is not above 0 and below 1.
    pub fn new(posterior: Posterior<C>, tail: f64) -> Result<Self, InferenceError> {
        inside_unit_interval("tail", tail)?;
        let draws = posterior.sample(QUANTILE_DRAWS, 0)?;
        let mut logs = Self::log_probs(&posterior, &draws.data_set(0).to_owned())?.to_vec();
        logs.sort_by(f32::total_cmp);
        let threshold = logs[(tail * logs.len() as f64) as usize];
        Ok(Self { posterior, threshold })
    }

    /// The observation whose posterior it is.
    pub(crate) fn observation(&self) -> &ArrayD<f32> {
        self.posterior.observation().expect("checked when this was made")
    }

    fn log_probs(posterior: &Posterior<C>, theta: &Array2<f32>) -> Result<Array1<f32>, InferenceError> {
        let x = posterior.observation().ok_or(InferenceError::NoObservation)?;
        posterior.uncorrected_log_prob_for(theta, x)
    }

    /// Whether each row of parameters `[M, D]` is in the region.
    ///
    /// # Errors
    /// Rows of another width; values that are not finite.
    pub fn contains(&self, theta: &Array2<f32>) -> Result<Vec<bool>, InferenceError> {
        Ok(Self::log_probs(&self.posterior, theta)?.iter().map(|&log| log >= self.threshold).collect())
    }

    /// Draws from the truncated prior, `[num_draws, D]`, by rejection from the prior.
    ///
    /// # Errors
    /// Fewer than one in 100,000 draws from the prior are in the region.
    pub fn sample(&self, num_draws: usize, seed: u64) -> Result<Array2<f32>, InferenceError> {
        let (mut found, mut accepted, mut tried) = (Vec::new(), 0, 0);
        for batch in 0.. {
            let rate = if tried == 0 { 1.0 } else { (accepted as f64 / tried as f64).max(1e-6) };
            let size = (1.1 * (num_draws - accepted) as f64 / rate).clamp(1024.0, 100_000.0) as usize;
            let seed = stream(seed, const { Purpose::new("truncated prior") }, batch).next_u64();
            let theta = self.posterior.prior().sample(size, seed)?;
            let inside = self.contains(&theta)?;
            let rows: Vec<usize> = (0..size).filter(|&row| inside[row]).take(num_draws - accepted).collect();
            accepted += rows.len();
            tried += size;
            found.push(theta.select(Axis(0), &rows));
            if accepted == num_draws {
                break;
            }
            if tried >= num_draws.saturating_mul(MOST_TRIES) {
                return Err(InferenceError::Truncated { accepted, wanted: num_draws, tried });
            }
        }
        let views: Vec<_> = found.iter().map(|theta| theta.view()).collect();
        Ok(concatenate(Axis(0), &views).expect("rows of one width"))
    }
}
