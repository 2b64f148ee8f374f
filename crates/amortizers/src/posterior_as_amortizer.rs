//! Makes the amortized posterior an amortizer: what trainers train, and folders hold.

use crate::{
    AmortizedPosterior, Amortizer, AmortizerConfig, AmortizerError, Configured, Pilot, PosteriorConfig,
    PosteriorNetworks, Standardization, Statistics, TrainingRange, familiar::Familiar, widths::Widths,
};
use bayesburn_core::{FileError, Interval, files::operation};
use bayesburn_networks::{
    AnyInferenceConfig, InferenceConfig, ParameterInit, Pass, SummaryConfig, SummaryNetwork, parameter_ids,
};
use burn::{
    module::ParamId,
    tensor::{Device, Tensor},
};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use std::{any::TypeId, collections::HashSet, path::Path, sync::OnceLock};

/// What the simulations were like; posteriors of early versions have none.
use bayesburn_core::layout::TRAINING_RANGE as RANGE_FILE;

#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct SavedRange {
    range: TrainingRange,
    familiar: Option<Familiar>,
}

/// What a posterior is made from: the configuration, and the widths that the pilot simulations gave it.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(bound = "", deny_unknown_fields)]
pub struct PosteriorDescription<C: SummaryConfig, I: InferenceConfig = AnyInferenceConfig> {
    /// [`SummaryConfig::NAME`].
    summary_network: String,
    /// [`InferenceConfig::NAME`] of an inference network of one's own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    inference_network: Option<String>,
    config: PosteriorConfig<C, I>,
    widths: Widths,
}

impl<C: SummaryConfig, I: InferenceConfig> AmortizerConfig for PosteriorConfig<C, I> {
    type Amortizer = AmortizedPosterior<C, I>;

    fn needs_moments(&self) -> bool {
        self.standardization != Standardization::None || self.inference.needs_simulations()
    }

    fn resuming(self, saved: &Value) -> Self {
        match saved["config"]["statistics"] == json!(Statistics::None) && self.statistics == Statistics::Automatic {
            true => self.with_statistics(Statistics::None),
            false => self,
        }
    }

    /// Takes the intervals of the prior, where neither a support nor bounds are given.
    fn init(mut self, pilot: &Pilot<'_>, seed: u64, device: &Device) -> Result<Self::Amortizer, AmortizerError> {
        let bounded = pilot.support.as_ref().filter(|of| of.iter().any(|interval| *interval != Interval::Real));
        if (&self.support, &self.bounds) == (&None, &None) {
            self.support = bounded.cloned();
        }
        let posterior = AmortizedPosterior::new(self, &pilot.parameter_names, pilot.simulations, seed, device)?;
        match &pilot.feature_names {
            Some(names) => posterior.with_feature_names(names),
            None => Ok(posterior),
        }
    }
}

/// The name of an inference network that the library does not have.
fn own_name<I: InferenceConfig>() -> Option<String> {
    (TypeId::of::<I>() != TypeId::of::<AnyInferenceConfig>()).then(|| I::NAME.to_owned())
}

impl<C: SummaryConfig, I: InferenceConfig> Amortizer for AmortizedPosterior<C, I> {
    const KIND: &'static str = "posterior";

    type Description = PosteriorDescription<C, I>;
    type Networks = PosteriorNetworks<C::Network, I::Network>;

    fn description(&self) -> PosteriorDescription<C, I> {
        let (config, widths) = (self.config.clone(), self.widths.clone());
        let (summary_network, inference_network) = (C::NAME.to_owned(), own_name::<I>());
        PosteriorDescription { summary_network, inference_network, config, widths }
    }

    fn untrained(description: PosteriorDescription<C, I>, init: &mut ParameterInit) -> Result<Self, AmortizerError> {
        Self::untrained_by(description.config, description.widths, init)
    }

    fn networks(&self) -> &Self::Networks {
        self.networks()
    }

    fn set_networks(&mut self, networks: Self::Networks) {
        self.set_networks(networks);
    }

    fn loss(&self, batch: &Configured, pass: &mut Pass) -> Result<Tensor<1>, AmortizerError> {
        self.loss(batch, pass)
    }

    /// The mean of the inference network's own loss, or of −ln q, without any summary loss.
    fn validation_loss(&self, data: &Configured) -> Result<f32, AmortizerError> {
        self.mean_loss(data)
    }

    fn summary_parameters(&self) -> Option<HashSet<ParamId>> {
        Some(parameter_ids(self.networks.summary()))
    }

    fn note_trained(&mut self, batch: &Configured) {
        self.extend_training_range(batch);
    }

    fn warnings(&self) -> Vec<String> {
        self.warnings()
    }

    #[cfg(feature = "flex")]
    fn direct_loss(&self) -> Option<(crate::DirectLoss, Vec<f32>)> {
        self.direct_loss()
    }

    fn check_saved(description: &Value) -> Result<(), String> {
        let name = &description["summary_network"];
        if *name != C::NAME {
            return Err(format!(
                "its summary network is {name}, and this program asks for \"{}\": load it with the configuration type \
                 that it was made from",
                C::NAME
            ));
        }
        let name = description["inference_network"].as_str();
        if name != own_name::<I>().as_deref() {
            let name = name.unwrap_or(AnyInferenceConfig::NAME);
            return Err(format!(
                "its inference network is \"{name}\", and this program asks for \"{}\": load it with the configuration \
                 type that it was made from",
                I::NAME
            ));
        }
        let description: PosteriorDescription<C, I> =
            serde_json::from_value(crate::saved::own(description.clone())).map_err(|error| error.to_string())?;
        description.widths.check_saved()?;
        description.widths.check_feature_names().map_err(|error| error.to_string())
    }

    fn forget_names(description: &mut Value) {
        if let Some(widths) = description["widths"].as_object_mut() {
            widths.remove("feature_names");
        }
    }

    fn save_beside(&self, folder: &Path) -> Result<(), AmortizerError> {
        let Some(range) = self.range.clone() else { return Ok(()) };
        let saved = SavedRange { range, familiar: self.familiar()?.cloned() };
        let text = serde_json::to_string_pretty(&saved).expect("plain data");
        let path = folder.join(RANGE_FILE);
        Ok(operation::write(&path, text).map_err(FileError::write(&path))?)
    }

    /// Joins the range of what the weights were trained on with the posterior's own.
    fn load_beside(&mut self, folder: &Path) -> Result<(), AmortizerError> {
        let path = folder.join(RANGE_FILE);
        if !path.is_file() {
            return Ok(());
        }
        let text = operation::read_to_string(&path).map_err(FileError::read(&path))?;
        let wrong = |reason: String| AmortizerError::SavedConfig { path: path.clone(), reason };
        let SavedRange { range, familiar } = serde_json::from_str(&text).map_err(|error| wrong(error.to_string()))?;
        let Widths { features, direct, .. } = self.widths;
        let masked = self.num_masked_features();
        let summaries = self.networks.summary.summary_dim();
        if !range.fits(features, masked, direct) || !familiar.iter().all(|familiar| familiar.fits(summaries)) {
            return Err(wrong("it is of other networks".to_owned()));
        }
        match &mut self.range {
            // Simulations are at hand, which tell how far apart data are.
            Some(own) if !self.reference.is_empty() => own.join(&range),
            own => {
                *own = Some(range);
                self.familiar = OnceLock::from(familiar).into();
            }
        }
        Ok(())
    }
}
