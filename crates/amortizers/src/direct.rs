//! Computes the training loss and its gradients without Burn's graph.

use crate::{
    AmortizedPosterior, AmortizerError, Conditions, Configured,
    derived::Derived,
    regression::{Predictor, Regression},
    standardize::Standardizer,
    targets::{Support, Targets},
    widths::Widths,
};
use bayesburn_core::Interval;
use bayesburn_kernels::{Batch, DensityPart, Input, Plan};
use bayesburn_networks::{
    InferenceConfig, InferenceNetwork, Pass, SummaryConfig, SummaryNetwork, parameter_values, with_parameters,
};
use burn::{
    module::{Module, ParamId},
    tensor::Tensor,
};
use ndarray::{Array, Array2, Dimension};
#[cfg(feature = "gpu")]
use rayon::prelude::*;
use std::ops::Range;

/// [`AmortizedPosterior::loss`] as a function of all parameters in one array.
///
/// Between the first and the last step of a stretch of training, parameters and gradients stay in two arrays: there is
/// no tensor to make and no graph to walk. The posterior's standardisation is that of when this was made.
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
/// let (direct, mut parameters) = posterior.direct_loss().expect("kernels have what these networks are made of");
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
    pub(crate) plan: Plan,
    widths: Widths,
    derived: Derived,
    support: Option<Vec<Interval>>,
    /// N, if the summary network takes data sets of one size alone.
    num_observations: Option<usize>,
    /// Layers whose units are dropped, each with its probability and number of units.
    dropped: Vec<(f64, usize)>,
    /// Means and standard deviations.
    parameters: Option<[Vec<f32>; 2]>,
    data: Option<[Vec<f32>; 2]>,
    direct: Option<[Vec<f32>; 2]>,
    regression: Option<Predictor>,
}

impl<C: SummaryConfig, I: InferenceConfig> AmortizedPosterior<C, I> {
    /// The training loss without Burn's graph, and the parameters' present values. `None` where kernels do not have all
    /// of it: on devices that are neither Burn Flex nor a GPU, for networks without a `fast_path` (of the library's
    /// density estimators, all but the invertible network), frozen parameters, dropout in a set network, SoftFlow, a
    /// summary loss, and what else runs as Burn's own operations.
    #[must_use]
    pub fn direct_loss(&self) -> Option<(DirectLoss, Vec<f32>)> {
        if self.config.summary_loss.is_some() {
            return None;
        }
        self.direct(&Pass::training(0))
    }

    /// The same for the networks as they are in this pass, without a summary loss.
    pub(crate) fn direct(&self, pass: &Pass) -> Option<(DirectLoss, Vec<f32>)> {
        let networks = &self.networks;
        // What is computed later is on the device of these.
        let targets = Tensor::zeros([1, self.widths.names.len()], &self.device);
        let summary = networks.summary.fast_path(&targets, pass)?;
        let constants = |standardizer: &Option<Standardizer>| standardizer.as_ref().map(Standardizer::constants);
        let parameters = constants(&networks.parameters);
        let sum_log_std = parameters.iter().flat_map(|[_, std]| std).map(|&std| f64::from(std).ln()).sum();
        let loss = networks.inference.fast_path(&targets, sum_log_std, pass)?;
        if !(summary.operands.trains_all() && loss.operands.trains_all()) {
            return None;
        }
        let dropped = loss.operands.dropped().to_vec();
        let plan = Plan::new(Some(summary), loss);
        let mut by_id = parameter_values(networks);
        let values = plan.parameters().flat_map(|(id, ..)| by_id.remove(&id).expect("a trained parameter")).collect();
        let (data, direct) = (constants(&networks.data), constants(&networks.direct));
        let (widths, support) = (self.widths.clone(), self.config.support.clone());
        let regression = networks.regression.as_ref().map(Regression::constants);
        let num_observations = self.config.summary.num_observations();
        let derived = networks.derived.clone();
        let direct_loss = DirectLoss {
            plan,
            widths,
            derived,
            support,
            num_observations,
            dropped,
            parameters,
            data,
            direct,
            regression,
        };
        Some((direct_loss, values))
    }

    /// Puts the values of all parameters into the networks, which `direct` was made of.
    ///
    /// # Panics
    /// If there are not as many as `direct` has, or it was made of other networks.
    pub fn set_parameters(&mut self, direct: &DirectLoss, values: &[f32]) {
        self.set_networks(direct.put(self.networks.clone(), values));
    }
}

impl DirectLoss {
    /// All parameters in their order: identity, part, and where their values are.
    pub fn parameters(&self) -> impl Iterator<Item = (ParamId, DensityPart, Range<usize>)> {
        self.plan.parameters()
    }

    /// The networks that this was made of, with these values of all parameters.
    ///
    /// # Panics
    /// If there are not as many values as parameters, or the networks are others.
    #[must_use]
    pub fn put<M: Module>(&self, networks: M, values: &[f32]) -> M {
        let numbers = self.parameters().map(|(_, _, range)| range.len()).sum::<usize>();
        assert_eq!(values.len(), numbers, "values of all parameters");
        with_parameters(networks, self.parameters().map(|(id, _, range)| (id, values[range].to_vec())).collect())
    }

    /// The loss of a batch, and the norm of the gradients of all parameters of these parts together. The gradients go
    /// where the parameters' values are; those of other parts stay as they are. The pass draws what is dropped.
    ///
    /// # Errors
    /// As [`AmortizedPosterior::loss`].
    ///
    /// # Panics
    /// If there are not as many values or gradients as parameters.
    pub fn with_gradients(
        &self,
        batch: &Configured,
        values: &[f32],
        trained: &[DensityPart],
        gradients: &mut [f32],
        pass: &mut Pass,
    ) -> Result<(f32, f64), AmortizerError> {
        let (batch, of_map) = self.arrays(batch, pass)?;
        let (loss, norm) = self.plan.with_gradients(&batch, values, trained, gradients);
        Ok(((loss - of_map) as f32, norm))
    }

    /// What a batch is for the kernels, and what the map to the reals takes off its loss.
    pub(crate) fn arrays(&self, batch: &Configured, pass: &mut Pass) -> Result<(Batch, f64), AmortizerError> {
        batch.check()?;
        self.widths.check_parameters(batch.parameters.view())?;
        self.widths.check_conditions(&batch.conditions)?;
        let support = Support(self.support.as_deref());
        support.check(&self.widths.names, &batch.parameters)?;
        Widths::check_num_observations(self.num_observations, &batch.conditions)?;
        let sets = batch.len();
        let KernelInputs { inputs, direct, predicted } = self.given(&batch.conditions);
        let Targets { values: targets, log_derivatives } = support.targets(&batch.parameters);
        let targets = self.standardized_targets(&targets, &predicted);
        let weights = batch.weights.as_ref().map(|weights| weights.to_vec());
        // What the map to the reals adds to ln q, whatever the networks. Another loss has no such term.
        let log_derivatives = log_derivatives.filter(|_| self.plan.is_of_density());
        let of_map = log_derivatives.map_or(0.0, |log_derivatives| {
            let weight = |m: usize| weights.as_ref().map_or(1.0, |weights| f64::from(weights[m]));
            log_derivatives.iter().enumerate().map(|(m, &ld)| weight(m) * f64::from(ld)).sum::<f64>() / sets as f64
        });
        let dropout = pass.dropout_masks(&self.dropped, sets);
        Ok((Batch { inputs, direct, targets, weights, dropout }, of_map))
    }

    /// What data sets are for the kernels.
    pub(crate) fn given(&self, conditions: &Conditions) -> KernelInputs {
        let mut first = 0;
        let inputs = conditions.data.inputs().iter().zip(self.widths.masked()).map(|(input, masked)| {
            let features = first..first + input.features();
            first = features.end;
            let constants = self.data.as_ref().map(|all| all.each_ref().map(|of| &of[features.clone()]));
            standardized_input(input, constants, masked)
        });
        let inputs: Vec<Input> = inputs.collect();
        let direct = self.derived.standardized(conditions, self.data.as_ref(), self.direct.as_ref());
        let direct = direct.map(|direct| direct.into_iter().collect::<Vec<f32>>()).unwrap_or_default();
        // The data are features of a regression only if they are one input of one observation.
        let predict = |predictor: &Predictor| predictor.predict(&inputs[0].values, &direct, conditions.len());
        let predicted = self.regression.as_ref().map(predict).unwrap_or_default();
        KernelInputs { inputs, direct, predicted }
    }

    /// Targets less what is predicted, of each row for as many as follow one another.
    pub(crate) fn standardized_targets(&self, targets: &Array2<f32>, predicted: &[f32]) -> Vec<f32> {
        let mut targets = standardized(targets, constants(&self.parameters));
        for (row, predicted) in with_predicted(&mut targets, predicted, self.widths.names.len()) {
            row.iter_mut().zip(predicted).for_each(|(target, predicted)| *target -= predicted);
        }
        targets
    }

    /// The inverse of [`DirectLoss::standardized_targets`].
    #[cfg(feature = "gpu")]
    pub(crate) fn to_parameters(&self, targets: &mut [f32], predicted: &[f32]) {
        for (row, predicted) in with_predicted(targets, predicted, self.widths.names.len()) {
            row.iter_mut().zip(predicted).for_each(|(target, predicted)| *target += predicted);
        }
        if let Some([mean, std]) = &self.parameters {
            // Millions of draws come at once.
            targets.par_chunks_mut(4096 * mean.len()).for_each(|rows| {
                for row in rows.chunks_exact_mut(mean.len()) {
                    for ((target, mean), std) in row.iter_mut().zip(mean).zip(std) {
                        *target = *target * std + mean;
                    }
                }
            });
        }
    }
}

/// Rows of targets, each with what is predicted of it; none if nothing is.
fn with_predicted<'a>(
    targets: &'a mut [f32],
    predicted: &'a [f32],
    dim: usize,
) -> impl Iterator<Item = (&'a mut [f32], &'a [f32])> {
    let repeat = targets.len() / predicted.len().max(1);
    let predicted = predicted.chunks_exact(dim).flat_map(move |row| std::iter::repeat_n(row, repeat));
    targets.chunks_exact_mut(dim).zip(predicted)
}

/// Data sets' numbers, standardised.
pub(crate) struct KernelInputs {
    pub(crate) inputs: Vec<Input>,
    /// What the condition has beside summaries.
    pub(crate) direct: Vec<f32>,
    /// What is predicted of parameters; nothing without a regression.
    pub(crate) predicted: Vec<f32>,
}

/// Means and standard deviations as slices.
fn constants(of: &Option<[Vec<f32>; 2]>) -> Option<[&[f32]; 2]> {
    of.as_ref().map(|of| of.each_ref().map(Vec::as_slice))
}

/// An input, of which the first `masked` features are followed by a mask of values.
fn standardized_input(input: &bayesburn_core::Input, constants: Option<[&[f32]; 2]>, masked: usize) -> Input {
    let features = input.features();
    let mut values = standardized(input.values(), constants);
    if constants.is_some() && masked > 0 {
        for (row, raw) in values.chunks_exact_mut(features).zip(input.values().rows()) {
            // What is missing is the mean, 0.
            row.iter_mut().zip(raw.iter().skip(masked)).take(masked).for_each(|(value, there)| *value *= there);
        }
    }
    let mask: Option<Vec<f32>> = input.row_mask().map(|mask| mask.iter().copied().collect());
    if let Some(mask) = &mask {
        // Padding is 0.
        let numbers = values.len() / mask.len().max(1);
        for (row, exists) in values.chunks_exact_mut(numbers.max(1)).zip(mask) {
            row.iter_mut().for_each(|x| *x *= exists);
        }
    }
    Input { values, shape: input.values().shape()[1..].to_vec(), mask }
}

/// (x − mean) / std of the last axis.
fn standardized<D: Dimension>(array: &Array<f32, D>, constants: Option<[&[f32]; 2]>) -> Vec<f32> {
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
