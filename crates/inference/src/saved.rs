//! Saves posteriors, and loads them in other programs.

use crate::{InferenceError, Posterior, configurator::PairsConfigurator, rejection::UsualLeakage};
use bayesburn_amortizers::{AmortizedPosterior, AmortizerError, Configurator, DefaultConfigurator};
use bayesburn_core::{
    FileError, Interval,
    files::{VerifyError, current, is_sealed, operation, replace_folder_atomically, verify},
    layout::{AMORTIZER, ESTIMATOR, INFERENCE, TRAINING_RANGE, WEIGHTS},
};
use bayesburn_networks::SummaryConfig;
use bayesburn_simulation::Prior;
use burn::tensor::Device;
use ndarray::ArrayD;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::{ffi::OsStr, io, path::Path, sync::Arc};

/// Version of the description. A change that old code cannot read raises it. The first files had none, and are read as
/// version 1.
const FORMAT_VERSION: u64 = 1;

fn first_version() -> u64 {
    1
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Saved {
    #[serde(default = "first_version")]
    format_version: u64,
    names: Vec<String>,
    /// The prior's support.
    support: Vec<Interval>,
    /// Whether the prior's density is above 0 everywhere in the product of these intervals.
    is_product_of_intervals: bool,
    data_shape: Vec<usize>,
    masked: bool,
    rounds: usize,
    /// Missing values are null, here and below.
    observation: Option<Vec<Option<f32>>>,
    trained_for: Option<Vec<Option<f32>>>,
    /// Not in files of earlier versions.
    #[serde(default)]
    usual_leakage: Option<UsualLeakage>,
    #[serde(default)]
    warnings: Vec<String>,
}

impl Saved {
    fn read(folder: &Path) -> Result<Self, InferenceError> {
        let path = folder.join(INFERENCE);
        if !path.is_file() {
            return Err(InferenceError::NoPosterior { folder: folder.to_owned() });
        }
        // Those of earlier versions had no seal but that of the networks.
        if is_sealed(folder) {
            verify(folder).map_err(|error| match error {
                VerifyError::Damaged(reason) => AmortizerError::Damaged { folder: folder.to_owned(), reason }.into(),
                VerifyError::Unreadable(error) => InferenceError::from(error),
            })?;
        }
        let read = FileError::read(&path);
        let text = operation::read_to_string(&path).map_err(&read)?;
        let saved: Value = serde_json::from_str(&text).map_err(|error| read(io::Error::other(error)))?;
        // First of all: what a newer version may have changed cannot be read by this one.
        if let Some(version) = saved["format_version"].as_u64().filter(|version| *version > FORMAT_VERSION) {
            return Err(read(io::Error::other(format!(
                "its `format_version` is {version}, and this version reads up to {FORMAT_VERSION}: use the version of \
                 bayesburn that wrote it, or a newer one"
            )))
            .into());
        }
        Ok(serde_json::from_value(saved).map_err(|error| read(io::Error::other(error)))?)
    }
}

impl<C: SummaryConfig> Posterior<C> {
    /// Saves the posterior into a folder, sealed by checksums. A new folder is written beside it and takes its place
    /// when it is complete, so that a posterior saved there before is replaced as a whole or not at all. (In a folder
    /// with other folders, in a mount point, or beside which nothing can be written, files are replaced one by one; if
    /// that is cut short, the folder is found damaged.) Other files in the folder are kept. The prior and your own
    /// configurator are functions and are not saved.
    ///
    /// # Errors
    /// A folder or file that cannot be written.
    pub fn save(&self, folder: impl AsRef<Path>) -> Result<(), InferenceError> {
        let folder = folder.as_ref();
        let error = |error| FileError::write(folder)(error).into();
        // An amortizer of its own would be found first.
        let obsolete =
            |name: &OsStr| [AMORTIZER, WEIGHTS, TRAINING_RANGE].iter().any(|of_amortizer| name == *of_amortizer);
        replace_folder_atomically(folder, obsolete, error, |folder| self.save_unsealed(folder))
    }

    /// Writes the posterior into a new folder, which the caller seals.
    pub(crate) fn save_unsealed(&self, folder: &Path) -> Result<(), InferenceError> {
        self.amortizer().save(folder.join(ESTIMATOR))?;
        let numbers = |x: &ArrayD<f32>| x.iter().map(|&x| (!x.is_nan()).then_some(x)).collect();
        let saved = Saved {
            format_version: FORMAT_VERSION,
            names: self.prior().names().to_vec(),
            support: self.density().support().to_vec(),
            is_product_of_intervals: self.density().is_product_of_intervals(),
            data_shape: self.data_shape().to_vec(),
            masked: self.is_masked(),
            rounds: self.rounds(),
            observation: self.observation().map(numbers),
            trained_for: self.trained_for().map(numbers),
            usual_leakage: self.usual_leakage(),
            warnings: self.warnings().to_vec(),
        };
        let (path, text) = (folder.join(INFERENCE), serde_json::to_string_pretty(&saved).expect("plain data"));
        Ok(operation::write(&path, text).map_err(FileError::write(&path))?)
    }

    /// Loads a posterior that [`Posterior::save`] wrote, given the prior of its inference. If the inference had its own
    /// configurator, set it again by [`Posterior::with_configurator`].
    ///
    /// ```
    /// use bayesburn_inference::{NpeConfig, NpeTraining, Posterior, infer};
    /// use bayesburn_simulation::{Prior, Simulator};
    /// use burn::tensor::Device;
    /// use ndarray::arr1;
    ///
    /// # let folder = tempfile::tempdir()?;
    /// # let folder = folder.path();
    /// let prior = Prior::box_uniform(["x"], &[-2.0], &[2.0])?;
    /// let simulator = Simulator::from_fn(|_, theta, _| arr1(&[theta[0]]));
    /// # let config = NpeConfig::new().with_training(NpeTraining::new().with_max_epochs(1));
    /// # let _ = stringify! {
    /// let config = NpeConfig::new();
    /// # };
    /// let trained = infer(simulator, prior.clone(), config, 100, 2023)?;
    /// trained.save(folder)?;
    ///
    /// // In another program:
    /// let posterior: Posterior = Posterior::load(folder, prior, &Device::flex())?;
    /// assert_eq!(posterior.sample_for(&arr1(&[0.5]), 10, 1)?, trained.sample_for(&arr1(&[0.5]), 10, 1)?);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// A folder without a posterior, or with other networks; files that have changed since; a prior without a density,
    /// with other names or with another support.
    pub fn load(folder: impl AsRef<Path>, prior: Prior, device: &Device) -> Result<Self, InferenceError> {
        let folder = &current(folder.as_ref());
        let saved = Saved::read(folder)?;
        let density = prior.density().ok_or_else(|| InferenceError::Prior { reason: "it is a function".to_owned() })?;
        let (names, support) = (prior.names().to_vec(), density.support());
        if names != saved.names || support != saved.support {
            let reason = format!(
                "it is of {:?} with supports {:?}, and the prior of {names:?} with supports {support:?}",
                saved.names, saved.support
            );
            return Err(InferenceError::OtherPrior { folder: folder.to_owned(), reason });
        }
        Self::of_saved(saved, folder, prior, device)
    }

    /// Loads a posterior without its prior. To draw and evaluate, the prior's support is enough, which is saved.
    /// [`Posterior::prior`] then returns a placeholder that cannot be drawn from. If the inference had its own
    /// configurator, set it again by [`Posterior::with_configurator`].
    ///
    /// # Errors
    /// As [`Posterior::load`]; a prior whose parameters bound one another, so that its support is not a product of
    /// intervals.
    pub fn load_without_prior(folder: impl AsRef<Path>, device: &Device) -> Result<Self, InferenceError> {
        let folder = &current(folder.as_ref());
        let saved = Saved::read(folder)?;
        if !saved.is_product_of_intervals {
            let reason = "its prior's parameters bound one another, in a way that only the prior knows".to_owned();
            return Err(InferenceError::OtherPrior { folder: folder.to_owned(), reason });
        }
        let d = saved.names.len();
        let prior = Prior::from_fn(saved.names.clone(), move |_, _| vec![f32::NAN; d]);
        let prior = prior.with_log_prob(saved.support.clone(), |_| 0.0)?;
        Self::of_saved(saved, folder, prior, device)
    }

    /// This posterior with the networks of one that was saved.
    pub(crate) fn with_networks_of(mut self, folder: &Path, device: &Device) -> Result<Self, InferenceError> {
        self.set_amortizer(AmortizedPosterior::load(folder.join(ESTIMATOR), device)?);
        Ok(self)
    }

    fn of_saved(saved: Saved, folder: &Path, prior: Prior, device: &Device) -> Result<Self, InferenceError> {
        let path = folder.join(INFERENCE);
        let read = FileError::read(&path);
        let amortizer = AmortizedPosterior::load(folder.join(ESTIMATOR), device)?;
        let configurator = configurator::<C>(&amortizer, Arc::new(DefaultConfigurator));
        let data = (saved.data_shape, saved.masked);
        let shape = data.0.clone();
        let array = |values: Option<Vec<Option<f32>>>| {
            let values = values.map(|values| values.into_iter().map(|value| value.unwrap_or(f32::NAN)).collect());
            let array = values.map(|values| ArrayD::from_shape_vec(shape.clone(), values)).transpose();
            array.map_err(|error| read(io::Error::other(error)))
        };
        let posterior = Self::new(amortizer, prior, configurator, data, saved.rounds);
        let posterior = posterior.with_trained_for(array(saved.trained_for)?).with_usual_leakage(saved.usual_leakage);
        let posterior = posterior.with_warnings(saved.warnings);
        match array(saved.observation)? {
            Some(x) => posterior.with_observation(x),
            None => Ok(posterior),
        }
    }

    /// Sets the configurator for observations, if the inference had its own.
    #[must_use]
    pub fn with_configurator(mut self, configurator: impl Configurator) -> Self {
        let configurator = self::configurator::<C>(self.amortizer(), Arc::new(configurator));
        self.set_configurator(configurator);
        self
    }
}

/// As the inference's: data are vectors to a network that takes one observation.
fn configurator<C: SummaryConfig>(
    amortizer: &AmortizedPosterior<C>,
    inner: Arc<dyn Configurator>,
) -> Arc<dyn Configurator> {
    let flatten = amortizer.config().summary.num_observations() == Some(1);
    Arc::new(PairsConfigurator::new(inner, flatten))
}
