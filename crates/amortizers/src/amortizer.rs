//! Defines what a trainer trains: networks with a loss, of any kind.

use crate::{AmortizerError, Configured, saved};
use bayesburn_core::Interval;
use bayesburn_networks::{ParameterInit, Pass, num_trainable_parameters};
use burn::{
    module::{Module, ParamId},
    tensor::{Device, Tensor},
};
use serde::{Serialize, de::DeserializeOwned};
use serde_json::Value;
use std::{collections::HashSet, fmt, path::Path};

/// Networks that are trained once on simulations, and then answer for any data set: a posterior, a classifier, an
/// estimator.
///
/// A trainer (`bayesburn_trainers::Trainer`) trains any of them. Sources of simulations, schedules, checkpoints, early
/// stopping, averages of weights and resumption are the same for all.
///
/// # To implement this
/// Give the networks, their training loss, and a description: plain data that the networks can be made from again.
/// Saving and loading then work by [`Amortizer::save`] and [`Amortizer::load`]. A configuration makes the amortizer:
/// see [`AmortizerConfig`]. The weights must come from the given [`ParameterInit`] alone, so that a seed reproduces
/// them.
///
/// A trainer gives [`AmortizerConfig::init`] a device without autodiff. Make the weights on
/// `device.clone().autodiff()`, as below, so that the loss has gradients. [`Amortizer::load`] does this itself.
///
/// # What is not shared
/// Standardisation, supports, ln N for data sets of different lengths, the [`TrainingRange`](crate::TrainingRange) and
/// warnings about data belong to [`AmortizedPosterior`](crate::AmortizedPosterior). Another amortizer gets batches as
/// the configurator makes them. `Workflow` and `Diagnose` are for posteriors only; the program `bayesburn` describes
/// any kind (`bayesburn info`), but only draws from posteriors.
///
/// # Format
/// The folder of any kind has the library's format version. It increases if the library changes the layout, and does
/// not count changes of your description. A description must have exactly the settings that this program writes, or
/// loading is an error that names the setting. To add one later and still read old folders, give it
/// `#[serde(default)]` and skip it in serialisation when it has its default; or choose a new [`Amortizer::KIND`].
///
/// # Example
/// ```
/// use bayesburn_amortizers::{Amortizer, AmortizerConfig, AmortizerError, Conditions, Configured, Pilot};
/// use bayesburn_networks::{OutputInit, ParameterInit, Pass};
/// use burn::{module::Module, nn::Linear, tensor::{Device, Tensor, TensorData}};
/// use ndarray::{Array2, Array3};
/// use serde::{Deserialize, Serialize};
///
/// /// Estimates the posterior mean of one parameter from the mean of a data set, by a linear function.
/// #[derive(Debug, Clone)]
/// struct PointEstimator {
///     networks: Linear,
///     device: Device,
/// }
///
/// #[derive(Debug, Clone, Serialize, Deserialize)]
/// struct PointConfig {}
///
/// impl AmortizerConfig for PointConfig {
///     type Amortizer = PointEstimator;
///
///     fn init(self, _: &Pilot<'_>, seed: u64, device: &Device) -> Result<PointEstimator, AmortizerError> {
///         PointEstimator::untrained(self, &mut ParameterInit::new(seed, &device.clone().autodiff()))
///     }
/// }
///
/// impl Amortizer for PointEstimator {
///     const KIND: &'static str = "linear point estimator";
///     type Description = PointConfig;
///     type Networks = Linear;
///
///     fn description(&self) -> PointConfig {
///         PointConfig {}
///     }
///
///     fn untrained(_: PointConfig, init: &mut ParameterInit) -> Result<Self, AmortizerError> {
///         Ok(Self { networks: init.linear(1, 1, OutputInit::Glorot), device: init.device().clone() })
///     }
///
///     fn networks(&self) -> &Linear {
///         &self.networks
///     }
///
///     fn set_networks(&mut self, networks: Linear) {
///         self.networks = networks;
///     }
///
///     /// The squared error.
///     fn loss(&self, batch: &Configured, _: &mut Pass) -> Result<Tensor<1>, AmortizerError> {
///         let rows = batch.len();
///         let column = |values: Vec<f32>| Tensor::<2>::from_data(TensorData::new(values, [rows, 1]), &self.device);
///         let means = batch.conditions.sets().outer_iter().map(|x| x.mean().unwrap_or(0.0)).collect();
///         let estimates = self.networks.forward(column(means));
///         Ok((estimates - column(batch.parameters.iter().copied().collect())).square().mean())
///     }
/// }
///
/// let batch = Configured::new(Array2::ones((8, 1)), Conditions::new(Array3::ones((8, 5, 1))))?;
/// let pilot = Pilot::new(["mu"], std::slice::from_ref(&batch));
/// let estimator = PointConfig {}.init(&pilot, 1, &Device::default())?;
/// let loss = estimator.validation_loss(&batch)?;
/// # let folder = tempfile::tempdir().expect("a folder");
/// # let folder = folder.path();
/// estimator.save(folder)?;
/// assert_eq!(PointEstimator::load(folder, &Device::default())?.validation_loss(&batch)?, loss);
/// # Ok::<(), AmortizerError>(())
/// ```
pub trait Amortizer: Clone + fmt::Debug + Send + Sync + 'static {
    /// What saved amortizers of this type say that they are. Choose a name of your own for a type of your own.
    const KIND: &'static str;

    /// Plain data that the networks are made from: it is saved, and tells one architecture from another. An object in
    /// JSON.
    type Description: Serialize + DeserializeOwned;

    /// All that training changes, and constants beside it.
    type Networks: Module;

    /// What these networks are made from.
    fn description(&self) -> Self::Description;

    /// Networks of this description with initial weights.
    ///
    /// # Errors
    /// A setting outside its range.
    fn untrained(description: Self::Description, init: &mut ParameterInit) -> Result<Self, AmortizerError>;

    /// The networks as they are.
    fn networks(&self) -> &Self::Networks;

    /// Replaces the networks, for example by what they are one optimizer step further.
    fn set_networks(&mut self, networks: Self::Networks);

    /// The training loss of a batch, `[1]`, with gradients.
    ///
    /// # Errors
    /// A batch that does not fit the networks.
    fn loss(&self, batch: &Configured, pass: &mut Pass) -> Result<Tensor<1>, AmortizerError>;

    /// The loss of validation data, the same for the same weights. The training loss without dropout, unless there is a
    /// better measure.
    ///
    /// # Errors
    /// Data that do not fit the networks.
    fn validation_loss(&self, data: &Configured) -> Result<f32, AmortizerError> {
        Ok(self.loss(data, &mut Pass::inference(0))?.into_scalar())
    }

    /// The parameters of the summary network, where that can be trained without the rest, and the rest without it.
    fn summary_parameters(&self) -> Option<HashSet<ParamId>> {
        None
    }

    /// Takes note of a batch that was trained on, for example of the range of its data.
    fn note_trained(&mut self, _batch: &Configured) {}

    /// What to know about the simulations that this was made from.
    fn warnings(&self) -> Vec<String> {
        Vec::new()
    }

    /// The training loss without Burn's graph, and the values of all trained parameters, where kernels have all of it.
    #[doc(hidden)]
    #[cfg(feature = "flex")]
    fn direct_loss(&self) -> Option<(crate::DirectLoss, Vec<f32>)> {
        None
    }

    /// Refuses the description of a saved amortizer before it is read, with the reason.
    ///
    /// # Errors
    /// Why this type cannot be what was saved.
    fn check_saved(_description: &Value) -> Result<(), String> {
        Ok(())
    }

    /// Takes off a description what a program may change between a training and its resumption.
    fn forget_names(_description: &mut Value) {}

    /// Saves files beside description and weights into the folder.
    ///
    /// # Errors
    /// A file that cannot be written.
    fn save_beside(&self, _folder: &Path) -> Result<(), AmortizerError> {
        Ok(())
    }

    /// Takes up what [`Amortizer::save_beside`] saved. Files that earlier versions did not write may be missing.
    ///
    /// # Errors
    /// A file that cannot be read, or is of other networks.
    fn load_beside(&mut self, _folder: &Path) -> Result<(), AmortizerError> {
        Ok(())
    }

    /// Saves description and weights into a folder, sealed by checksums. A new folder is written beside it and takes
    /// its place when it is complete, so that an amortizer saved there before is replaced as a whole or not at all. (In
    /// a mount point, or beside which nothing can be written, files are replaced one by one; if that is cut short, the
    /// folder is found damaged.) Other files in the folder are kept.
    ///
    /// # Errors
    /// A folder or file that cannot be written; a folder that holds other folders: choose one for the amortizer alone.
    fn save(&self, folder: impl AsRef<Path>) -> Result<(), AmortizerError> {
        saved::save(self, folder.as_ref())
    }

    /// Writes description and weights into a folder, without a seal. It is for code that writes more into the folder
    /// and seals it then, as a trainer's checkpoint does; otherwise use [`Amortizer::save`].
    ///
    /// # Errors
    /// A file that cannot be written.
    fn save_unsealed(&self, folder: &Path) -> Result<(), AmortizerError> {
        saved::write(self, folder)
    }

    /// Loads what [`Amortizer::save`] or a trainer's checkpoint wrote. Files know no device: it is chosen here.
    ///
    /// # Errors
    /// A folder without an amortizer; files that were changed, cut short or taken away since; a newer version;
    /// another kind, or other networks than this type's.
    fn load(folder: impl AsRef<Path>, device: &Device) -> Result<Self, AmortizerError> {
        saved::load(folder.as_ref(), device)
    }

    /// Replaces the weights, and what is beside them, by those of a folder. The folder's seal is not looked at;
    /// [`Amortizer::load`] does that.
    ///
    /// # Errors
    /// Weights that are missing, damaged or of another architecture; the error names the first tensor that does not
    /// fit.
    fn load_weights(mut self, folder: impl AsRef<Path>) -> Result<Self, AmortizerError> {
        self = self.read_weights(folder.as_ref().join(saved::WEIGHTS_FILE))?;
        self.load_beside(folder.as_ref())?;
        Ok(self)
    }

    /// Writes the weights alone, as safetensors, to a file.
    ///
    /// # Errors
    /// A file that cannot be written.
    fn write_weights(&self, path: impl AsRef<Path>) -> Result<(), AmortizerError> {
        saved::write_weights(self.networks(), path.as_ref())
    }

    /// Replaces the weights by those of a file that [`Amortizer::write_weights`] wrote.
    ///
    /// # Errors
    /// As [`Amortizer::load_weights`].
    fn read_weights(mut self, path: impl AsRef<Path>) -> Result<Self, AmortizerError> {
        let networks = saved::read_weights(self.networks().clone(), path.as_ref())?;
        self.set_networks(networks);
        Ok(self)
    }

    /// The number of trainable parameters of all networks.
    fn num_trainable_parameters(&self) -> usize {
        num_trainable_parameters(self.networks())
    }
}

/// What an [`Amortizer`] is made from: settings, to which pilot simulations add widths and constants of
/// standardisation.
pub trait AmortizerConfig: Clone + fmt::Debug + Send + 'static {
    /// What it makes.
    type Amortizer: Amortizer;

    /// Whether moments of the simulations are needed, for which a trainer draws some hundred of them, and not one batch
    /// for widths.
    fn needs_moments(&self) -> bool {
        true
    }

    /// The configuration with which a training goes on whose checkpoint has this description: settings that are left
    /// to the library are what they were when the training began. A checkpoint of an earlier version is then resumed
    /// whatever was left to that version.
    #[must_use]
    fn resuming(self, saved: &Value) -> Self {
        let _ = saved;
        self
    }

    /// The amortizer with initial weights of this seed.
    ///
    /// # Errors
    /// A setting outside its range; pilot simulations that do not fit it.
    fn init(self, pilot: &Pilot<'_>, seed: u64, device: &Device) -> Result<Self::Amortizer, AmortizerError>;
}

/// What an amortizer is told of the simulations before training.
#[derive(Debug, Clone)]
pub struct Pilot<'a> {
    /// The parameters' names.
    pub parameter_names: Vec<String>,
    /// The names of the features of the simulator's data, if they are known.
    pub feature_names: Option<Vec<String>>,
    /// Where the prior has a density, if that is known: an interval for each parameter.
    pub support: Option<Vec<Interval>>,
    /// Batches of simulations; those that differ in non-batchable context are each there.
    pub simulations: &'a [Configured],
}

impl<'a> Pilot<'a> {
    /// Simulations of these parameters.
    #[must_use]
    pub fn new(parameter_names: impl IntoIterator<Item = impl Into<String>>, simulations: &'a [Configured]) -> Self {
        let parameter_names = parameter_names.into_iter().map(Into::into).collect();
        Self { parameter_names, feature_names: None, support: None, simulations }
    }
}
