//! Computes the training loss and its gradients without Burn's graph.

use crate::{
    AmortizedPosterior, AmortizerError, Configured,
    posterior::Widths,
    regression::{Predictor, Regression},
    standardize::Standardizer,
    targets::{Support, Targets},
};
use bayesburn_core::Interval;
use bayesburn_kernels::{DensityBatch, DensityLoss, DensityPart, Operands};
#[cfg(feature = "cuda")]
use bayesburn_kernels::{GpuFailure, GpuStep, GpuTraining};
use bayesburn_networks::{
    InferenceNetwork, Pass, SummaryConfig, SummaryKernel, SummaryNetwork, parameter_values, with_parameters,
};
#[cfg(feature = "cuda")]
use burn::tensor::Device;
use burn::{module::ParamId, tensor::Tensor};
use ndarray::{Array, Dimension};
use std::ops::Range;

/// [`AmortizedPosterior::loss`] as a function of all parameters in one array.
///
/// Between the first and the last step of a stretch of training, parameters and gradients stay in two arrays: there is no tensor to make and
/// no graph to walk. The posterior's standardisation is that of when this was made.
///
/// ```
/// use bayesburn_amortizers::{AmortizedPosterior, Conditions, Configured, DensityPart, PosteriorConfig};
/// use bayesburn_networks::{DeepSetConfig, InvertibleNetworkConfig, Pass};
/// use burn::tensor::Device;
/// use ndarray::{Array2, Array3};
///
/// let config = PosteriorConfig::new(DeepSetConfig::new(10), InvertibleNetworkConfig::new());
/// let batch = Configured::new(Array2::from_elem((8, 1), 0.5), Conditions::new(Array3::zeros((8, 50, 1))))?;
/// let mut posterior = AmortizedPosterior::new(config, ["mu"], &[batch.clone()], 2023, &Device::flex())?;
///
/// let (mut direct, mut parameters) = posterior.direct_loss().expect("kernels have what these networks are made of");
/// let mut gradients = vec![0.0; parameters.len()];
/// let all = [DensityPart::Summary, DensityPart::Inference];
/// let (before, norm) = direct.with_gradients(&batch, &parameters, &all, &mut gradients, &mut Pass::training(1))?;
/// parameters.iter_mut().zip(&gradients).for_each(|(p, g)| *p -= 0.01 / norm as f32 * g);
/// let (after, _) = direct.with_gradients(&batch, &parameters, &all, &mut gradients, &mut Pass::training(1))?;
/// assert!(after < before);
/// posterior.set_parameters(&direct, &parameters);
/// # Ok::<(), bayesburn_amortizers::AmortizerError>(())
/// ```
#[derive(Debug)]
pub struct DirectLoss {
    density: DensityLoss,
    widths: Widths,
    support: Option<Vec<Interval>>,
    /// Whether data are the summaries, so that for the kernel they are conditions that are given directly.
    is_identity: bool,
    /// Layers whose units are dropped, each with its probability and number of units.
    dropped: Vec<(f64, usize)>,
    /// Means and standard deviations.
    parameters: Option<[Vec<f32>; 2]>,
    data: Option<[Vec<f32>; 2]>,
    direct: Option<[Vec<f32>; 2]>,
    regression: Option<Predictor>,
}

impl<C: SummaryConfig> AmortizedPosterior<C> {
    /// The training loss without Burn's graph, and the parameters' present values. `None` where kernels do not have all of it: on
    /// devices that are neither Burn Flex nor a GPU, for networks of one's own and density estimators other than the invertible network, frozen parameters, dropout in a set
    /// network, SoftFlow, a summary loss, and what else runs as Burn's own operations.
    #[must_use]
    pub fn direct_loss(&self) -> Option<(DirectLoss, Vec<f32>)> {
        if self.config.summary_loss.is_some() {
            return None;
        }
        let (networks, pass) = (&self.networks, Pass::training(0));
        let Widths { names, features, direct } = &self.widths;
        // What is computed later has the widths of these.
        let data = Tensor::zeros([1, 1, *features], &self.device);
        let targets = Tensor::zeros([1, names.len()], &self.device);
        let condition = Tensor::zeros([1, networks.summary.summary_dim() + direct], &self.device);
        let summary = networks.summary.kernel(&data, &pass)?;
        let InferenceNetwork::Invertible(inference) = &networks.inference else { return None };
        let inference = inference.kernel(&targets, &condition, &pass)?;
        let summary = match summary {
            SummaryKernel::Identity => None,
            SummaryKernel::Set(network, operands) => Some((network, operands)),
        };
        let all_trained = summary.iter().map(|(_, operands)| operands).chain([&inference.1]).all(Operands::trains_all);
        if !all_trained {
            return None;
        }
        let is_identity = summary.is_none();
        let constants = |standardizer: &Option<Standardizer>| standardizer.as_ref().map(Standardizer::constants);
        let parameters = constants(&networks.parameters);
        let sum_log_std = parameters.iter().flat_map(|[_, std]| std).map(|&std| f64::from(std).ln()).sum();
        let dropped = inference.1.dropped().to_vec();
        let density = DensityLoss::new(summary, inference, sum_log_std);
        let mut by_id = parameter_values(networks);
        let values =
            density.parameters().flat_map(|(id, ..)| by_id.remove(&id).expect("a trained parameter")).collect();
        let (data, direct) = (constants(&networks.data), constants(&networks.direct));
        let (widths, support) = (self.widths.clone(), self.config.support.clone());
        let regression = networks.regression.as_ref().map(Regression::constants);
        let loss = DirectLoss { density, widths, support, is_identity, dropped, parameters, data, direct, regression };
        Some((loss, values))
    }

    /// Puts the values of all parameters into the networks, which `direct` was made of.
    ///
    /// # Panics
    /// If there are not as many as `direct` has, or it was made of other networks.
    pub fn set_parameters(&mut self, direct: &DirectLoss, values: &[f32]) {
        let numbers = direct.parameters().map(|(_, _, range)| range.len()).sum::<usize>();
        assert_eq!(values.len(), numbers, "values of all parameters");
        let values = direct.parameters().map(|(id, _, range)| (id, values[range].to_vec())).collect();
        self.networks = with_parameters(self.networks.clone(), values);
    }
}

impl DirectLoss {
    /// All parameters in their order: identity, part, and where their values are.
    pub fn parameters(&self) -> impl Iterator<Item = (ParamId, DensityPart, Range<usize>)> {
        self.density.parameters()
    }

    /// The loss of a batch, and the norm of the gradients of all parameters of these parts together. The gradients go where the
    /// parameters' values are; those of other parts stay as they are. The pass draws what is dropped.
    ///
    /// # Errors
    /// As [`AmortizedPosterior::loss`].
    ///
    /// # Panics
    /// If there are not as many values or gradients as parameters.
    pub fn with_gradients(
        &mut self,
        batch: &Configured,
        values: &[f32],
        trained: &[DensityPart],
        gradients: &mut [f32],
        pass: &mut Pass,
    ) -> Result<(f32, f64), AmortizerError> {
        let arrays = self.arrays(batch, pass)?;
        let (loss, norm) = self.density.with_gradients(&arrays.batch(), values, trained, gradients);
        Ok(((loss - arrays.of_map) as f32, norm))
    }

    /// What a batch is for the kernels.
    fn arrays(&self, batch: &Configured, pass: &mut Pass) -> Result<Arrays, AmortizerError> {
        batch.check_part()?;
        self.widths.check_parameters(batch.parameters.view())?;
        self.widths.check_conditions(&batch.conditions)?;
        let support = Support(self.support.as_deref());
        support.check(&self.widths.names, &batch.parameters)?;
        let conditions = &batch.conditions;
        let (sets, observations, features) = conditions.summary_conditions.dim();
        let mut data = standardized(&conditions.summary_conditions, self.data.as_ref());
        let Targets { values: targets, log_derivatives } = support.targets(&batch.parameters);
        let mut targets = standardized(&targets, self.parameters.as_ref());
        let direct = conditions.direct_conditions.as_ref();
        let mut direct = direct.map(|direct| standardized(direct, self.direct.as_ref())).unwrap_or_default();
        if let Some(predictor) = &self.regression {
            predictor.take_off(&data, &direct, &mut targets);
        }
        if self.is_identity {
            if observations != 1 {
                return Err(AmortizerError::Observations { expected: 1, got: observations });
            }
            let given = direct.len() / sets;
            let rows =
                (0..sets).map(|m| [&data[m * features..(m + 1) * features], &direct[m * given..(m + 1) * given]]);
            direct = rows.flatten().flatten().copied().collect();
            data.clear();
        }
        let weights = batch.weights.as_ref().map(|weights| weights.to_vec());
        // What the map to the reals adds to ln q, whatever the networks.
        let of_map = log_derivatives.map_or(0.0, |log_derivatives| {
            let weight = |m: usize| weights.as_ref().map_or(1.0, |weights| f64::from(weights[m]));
            log_derivatives.iter().enumerate().map(|(m, &ld)| weight(m) * f64::from(ld)).sum::<f64>() / sets as f64
        });
        let masks = pass.dropout_masks(&self.dropped, sets);
        Ok(Arrays { data, observations, direct, targets, weights, masks, of_map })
    }
}

/// A batch's numbers, standardised.
struct Arrays {
    data: Vec<f32>,
    observations: usize,
    direct: Vec<f32>,
    targets: Vec<f32>,
    weights: Option<Vec<f32>>,
    masks: Vec<f32>,
    /// What the map to the reals takes off the loss.
    of_map: f64,
}

impl Arrays {
    fn batch(&self) -> DensityBatch<'_> {
        DensityBatch {
            data: &self.data,
            observations: self.observations,
            direct: &self.direct,
            targets: &self.targets,
            weights: self.weights.as_deref(),
            masks: &self.masks,
        }
    }
}

/// Training steps that a GPU takes by itself: [`DirectLoss`] and Adam, whose numbers stay there.
#[cfg(feature = "cuda")]
#[derive(Debug)]
pub struct GpuSteps {
    loss: DirectLoss,
    training: GpuTraining,
}

#[cfg(feature = "cuda")]
impl GpuSteps {
    /// On this device, from these parameters and Adam's averages of their gradients and of the squares of these. `None` if the device is no
    /// GPU, or there are no kernels for these networks.
    #[must_use]
    pub fn new(loss: DirectLoss, device: &Device, state: [&[f32]; 3]) -> Option<Self> {
        let training = GpuTraining::new(device, &loss.density, state)?;
        Some(Self { loss, training })
    }

    /// The loss whose steps these are.
    #[must_use]
    pub fn loss(&self) -> &DirectLoss {
        &self.loss
    }

    /// Takes a step; returns the loss before it and the norm of the gradients. If one of them is not finite, nothing has changed.
    ///
    /// # Errors
    /// As [`DirectLoss::with_gradients`]; a GPU that fails.
    pub fn step(&mut self, batch: &Configured, pass: &mut Pass, step: &GpuStep) -> Result<(f32, f64), AmortizerError> {
        let arrays = self.loss.arrays(batch, pass)?;
        let (loss, norm) = self.training.step(&arrays.batch(), step).map_err(failed)?;
        Ok(((loss - arrays.of_map) as f32, norm))
    }

    /// The parameters as they are now, and the averages.
    ///
    /// # Errors
    /// A GPU that fails.
    pub fn state(&self) -> Result<[Vec<f32>; 3], AmortizerError> {
        self.training.state().map_err(failed)
    }
}

#[cfg(feature = "cuda")]
fn failed(failure: GpuFailure) -> AmortizerError {
    AmortizerError::Gpu { reason: failure.to_string() }
}

/// (x − mean) / std of the last axis.
fn standardized<D: Dimension>(array: &Array<f32, D>, constants: Option<&[Vec<f32>; 2]>) -> Vec<f32> {
    let mut values: Vec<f32> = match array.as_slice() {
        Some(values) => values.to_vec(),
        None => array.iter().copied().collect(),
    };
    if let Some([mean, std]) = constants {
        for row in values.chunks_exact_mut(mean.len()) {
            for ((value, mean), std) in row.iter_mut().zip(mean).zip(std) {
                *value = (*value - mean) / std;
            }
        }
    }
    values
}
