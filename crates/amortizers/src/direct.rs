//! Computes the training loss and its gradients without Burn's graph.

use crate::{AmortizedPosterior, AmortizerError, Configured, posterior::Widths, standardize::Standardizer};
use bayesburn_kernels::{DensityBatch, DensityLoss, DensityPart};
use bayesburn_networks::{Pass, SummaryConfig, SummaryNetwork, with_parameters};
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
/// use bayesburn_networks::{DeepSetConfig, InvertibleNetworkConfig};
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
/// let (before, norm) = direct.with_gradients(&batch, &parameters, &all, &mut gradients)?;
/// parameters.iter_mut().zip(&gradients).for_each(|(p, g)| *p -= 0.01 / norm as f32 * g);
/// let (after, _) = direct.with_gradients(&batch, &parameters, &all, &mut gradients)?;
/// assert!(after < before);
/// posterior.set_parameters(&direct, &parameters);
/// # Ok::<(), bayesburn_amortizers::AmortizerError>(())
/// ```
#[derive(Debug)]
pub struct DirectLoss {
    density: DensityLoss,
    widths: Widths,
    /// Means and standard deviations.
    parameters: Option<[Vec<f32>; 2]>,
    data: Option<[Vec<f32>; 2]>,
    direct: Option<[Vec<f32>; 2]>,
}

impl<C: SummaryConfig> AmortizedPosterior<C> {
    /// The training loss without Burn's graph, and the parameters' present values. `None` where kernels do not have all of it: on other
    /// devices, for networks of one's own, frozen parameters, dropout, SoftFlow, a summary loss, and what else runs as Burn's own operations.
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
        let inference = networks.inference.kernel(&targets, &condition, &pass)?;
        if !summary.1.trains_all() || !inference.1.trains_all() {
            return None;
        }
        let constants = |standardizer: &Option<Standardizer>| standardizer.as_ref().map(Standardizer::constants);
        let parameters = constants(&networks.parameters);
        let sum_log_std = parameters.iter().flat_map(|[_, std]| std).map(|&std| f64::from(std).ln()).sum();
        let (density, values) = DensityLoss::new(summary, inference, sum_log_std);
        let (data, direct) = (constants(&networks.data), constants(&networks.direct));
        Some((DirectLoss { density, widths: self.widths.clone(), parameters, data, direct }, values))
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
    /// parameters' values are; those of other parts stay as they are.
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
    ) -> Result<(f32, f64), AmortizerError> {
        batch.check_part()?;
        self.widths.check(batch)?;
        let conditions = &batch.conditions;
        let data = standardized(&conditions.summary_conditions, self.data.as_ref());
        let targets = standardized(&batch.parameters, self.parameters.as_ref());
        let direct = conditions.direct_conditions.as_ref();
        let direct = direct.map(|direct| standardized(direct, self.direct.as_ref())).unwrap_or_default();
        let weights = batch.weights.as_ref().map(|weights| weights.to_vec());
        let batch = DensityBatch {
            data: &data,
            observations: conditions.summary_conditions.dim().1,
            direct: &direct,
            targets: &targets,
            weights: weights.as_deref(),
        };
        let (loss, norm) = self.density.with_gradients(&batch, values, trained, gradients);
        Ok((loss as f32, norm))
    }
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
