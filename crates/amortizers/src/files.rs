//! Saves a posterior to a folder and loads it: a readable configuration, weights as safetensors, and a seal of checksums.

use crate::{
    AmortizedPosterior, AmortizerError, Difference, PosteriorConfig, TrainingRange, evaluator::Kept,
    training_range::Familiar, widths::Widths,
};
use bayesburn_core::{
    FileError,
    files::{seal, verify},
};
use bayesburn_networks::{ParameterInit, SummaryConfig, SummaryNetwork, number_parameters, orders_are_permutations};
use burn::tensor::Device;
use burn_store::{ModuleSnapshot, SafetensorsStore};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::{fs, io, path::Path, sync::OnceLock};

/// Version of the folder's layout; a change that old code cannot read raises it.
const FORMAT_VERSION: u32 = 5;
const CONFIG_FILE: &str = "posterior.json";
const WEIGHTS_FILE: &str = "weights.safetensors";
/// What the simulations were like; posteriors of earlier versions have none.
const RANGE_FILE: &str = "training_range.json";

#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct SavedRange {
    range: TrainingRange,
    familiar: Option<Familiar>,
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(bound = "", deny_unknown_fields)]
struct Saved<C: SummaryConfig> {
    format_version: u32,
    /// [`SummaryConfig::NAME`].
    summary_network: String,
    config: PosteriorConfig<C>,
    widths: Widths,
}

impl<C: SummaryConfig> AmortizedPosterior<C> {
    /// Saves configuration and weights into a folder, which is made if need be, and seals it by checksums. Files of an earlier save are
    /// replaced. The seal is of every file that is there: choose a folder for the posterior alone.
    ///
    /// # Errors
    /// A folder or file that cannot be written; a folder that holds other folders, which have no seal.
    pub fn save(&self, folder: impl AsRef<Path>) -> Result<(), AmortizerError> {
        let folder = folder.as_ref();
        let io = FileError::write(folder);
        fs::create_dir_all(folder).and_then(|()| holds_files_alone(folder)).map_err(&io)?;
        fs::write(folder.join(CONFIG_FILE), format!("{:#}\n", self.description())).map_err(&io)?;
        self.write_weights(folder.join(WEIGHTS_FILE))?;
        if let Some(range) = self.range.clone() {
            let saved = SavedRange { range, familiar: self.familiar()?.cloned() };
            let text = serde_json::to_string_pretty(&saved).expect("plain data");
            fs::write(folder.join(RANGE_FILE), text).map_err(&io)?;
        }
        Ok(seal(folder).map_err(io)?)
    }

    /// Writes the weights alone, as safetensors, to a file.
    ///
    /// # Errors
    /// A file that cannot be written.
    pub fn write_weights(&self, path: impl AsRef<Path>) -> Result<(), AmortizerError> {
        let path = path.as_ref().to_owned();
        // The store's own metadata comes in a random order, and the same weights shall be the same bytes.
        let mut store = SafetensorsStore::from_file(&path).clear_metadata().overwrite(true);
        let saved = self.networks.save_into(&mut store);
        Ok(saved.map_err(|error| FileError::write(&path)(io::Error::other(error)))?)
    }

    /// Loads a posterior that [`AmortizedPosterior::save`] or a trainer's checkpoint wrote. Files know no device: it is chosen here.
    ///
    /// # Errors
    /// A folder without a posterior; files that were changed, cut short, added or taken away since; another version; another type of
    /// summary network.
    pub fn load(folder: impl AsRef<Path>, device: &Device) -> Result<Self, AmortizerError> {
        let path = folder.as_ref().join(CONFIG_FILE);
        // A path that is mistyped is not a damaged posterior.
        if !path.is_file() {
            return Err(AmortizerError::NoPosterior { folder: folder.as_ref().to_owned() });
        }
        verify(folder.as_ref())
            .map_err(|reason| AmortizerError::Damaged { folder: folder.as_ref().to_owned(), reason })?;
        let description = Self::saved_description(&folder)?;
        let wrong = |reason: String| AmortizerError::SavedConfig { path: path.clone(), reason };
        // First of all: what another version may have changed cannot be read by this one.
        let version = &description["format_version"];
        if *version != FORMAT_VERSION {
            return Err(wrong(format!("its `format_version` is {version}, and this code reads {FORMAT_VERSION}")));
        }
        let name = &description["summary_network"];
        if *name != C::NAME {
            return Err(wrong(format!(
                "its summary network is {name}, and this program asks for \"{}\": load it with the configuration type that it was made from",
                C::NAME
            )));
        }
        let saved: Saved<C> = serde_json::from_value(description.clone()).map_err(|error| wrong(error.to_string()))?;
        if 2 * saved.widths.masked > saved.widths.features {
            return Err(wrong("`widths.masked` is more than half of `widths.features`".to_owned()));
        }
        saved.widths.check_feature_names().map_err(|error| wrong(error.to_string()))?;
        let weights = folder.as_ref().join(WEIGHTS_FILE);
        let bytes = fs::metadata(&weights).map_err(FileError::read(&weights))?.len();
        let numbers = usize::try_from(bytes / 4).unwrap_or(usize::MAX);
        let too_large = || AmortizerError::Weights {
            path: weights.clone(),
            reason: format!("it has fewer numbers than the networks that `{CONFIG_FILE}` describes"),
        };
        let init = ParameterInit::new(0, &device.clone().autodiff());
        let posterior = init
            .within(numbers, |init| Self::untrained_by(saved.config, saved.widths, init, device))
            .map_err(|_| too_large())??;
        // A network's configuration ignores keys it does not know; written again, they are missing.
        if let Some(Difference { key, saved, now }) = Difference::first(&description, &posterior.description()) {
            return Err(wrong(match (saved, now) {
                (Some(saved), Some(now)) => format!("`{key}` is {saved}, which this version reads as {now}"),
                (Some(_), None) => format!("this version does not know the setting `{key}`"),
                (None, _) => format!("the setting `{key}` is missing"),
            }));
        }
        posterior.load_weights(folder)
    }

    /// Replaces the weights by those of a folder, and joins the range of what they were trained on with the posterior's own. The folder's seal
    /// is not looked at; [`AmortizedPosterior::load`] does that.
    ///
    /// # Errors
    /// Weights that are missing, damaged or of another architecture; the error names the first tensor that does not fit.
    pub fn load_weights(self, folder: impl AsRef<Path>) -> Result<Self, AmortizerError> {
        let mut posterior = self.read_weights(folder.as_ref().join(WEIGHTS_FILE))?;
        let path = folder.as_ref().join(RANGE_FILE);
        if path.is_file() {
            let text = fs::read_to_string(&path).map_err(FileError::read(&path))?;
            let wrong = |reason: String| AmortizerError::SavedConfig { path: path.clone(), reason };
            let SavedRange { range, familiar } =
                serde_json::from_str(&text).map_err(|error| wrong(error.to_string()))?;
            let Widths { features, masked, direct, .. } = posterior.widths;
            let summaries = posterior.networks.summary.summary_dim();
            if !range.fits(features, masked, direct) || !familiar.iter().all(|familiar| familiar.fits(summaries)) {
                return Err(wrong("it is of other networks".to_owned()));
            }
            match &mut posterior.range {
                // Simulations are at hand, which tell how far apart data are.
                Some(own) if !posterior.reference.is_empty() => own.join(&range),
                own => {
                    *own = Some(range);
                    posterior.familiar = OnceLock::from(familiar).into();
                }
            }
        }
        Ok(posterior)
    }

    /// Replaces the weights by those of a file that [`AmortizedPosterior::write_weights`] wrote.
    ///
    /// # Errors
    /// As [`AmortizedPosterior::load_weights`].
    pub fn read_weights(mut self, path: impl AsRef<Path>) -> Result<Self, AmortizerError> {
        let path = path.as_ref().to_owned();
        if !path.is_file() {
            return Err(FileError::read(&path)(io::ErrorKind::NotFound.into()).into());
        }
        let wrong = |reason: String| AmortizerError::Weights { path: path.clone(), reason };
        let result = self
            .networks
            .load_from(&mut SafetensorsStore::from_file(&path).validate(false).allow_partial(true))
            .map_err(|error| wrong(error.to_string()))?;
        if let Some(error) = result.errors.first() {
            return Err(wrong(error.to_string()));
        }
        if let Some((name, _)) = result.missing.first() {
            return Err(wrong(format!("tensor `{name}` is missing")));
        }
        if let Some(name) = result.unused.first() {
            return Err(wrong(format!("tensor `{name}` is not part of this network")));
        }
        if !orders_are_permutations(&self.networks.inference) {
            return Err(wrong("an order of dimensions does not have each of them once".to_owned()));
        }
        let networks = number_parameters(self.networks);
        Ok(Self { networks, evaluator: Kept::default(), familiar: Default::default(), ..self })
    }

    /// Everything that the posterior was made from: what tells one architecture from another.
    #[must_use]
    pub fn description(&self) -> Value {
        let saved = Saved {
            format_version: FORMAT_VERSION,
            summary_network: C::NAME.to_owned(),
            config: self.config.clone(),
            widths: self.widths.clone(),
        };
        serde_json::to_value(&saved).expect("a configuration is plain data")
    }

    /// The description of the posterior that a folder holds.
    ///
    /// # Errors
    /// A file that is missing or is not JSON.
    pub fn saved_description(folder: impl AsRef<Path>) -> Result<Value, AmortizerError> {
        let path = folder.as_ref().join(CONFIG_FILE);
        let text = fs::read_to_string(&path).map_err(FileError::read(&path))?;
        serde_json::from_str(&text).map_err(|error| AmortizerError::SavedConfig { path, reason: error.to_string() })
    }
}

/// An error unless there is no folder in this one.
fn holds_files_alone(folder: &Path) -> io::Result<()> {
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        if entry.path().is_dir() {
            let name = entry.file_name();
            let reason = format!("it holds the folder `{}`: choose one for the posterior alone", name.display());
            return Err(io::Error::other(reason));
        }
    }
    Ok(())
}
