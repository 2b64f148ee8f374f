//! Wires the networks of an amortized posterior together, on tensors.

use crate::{Conditions, Configured, SummaryLoss, mmd::squared_mmd, standardize::Standardizer};
use bayesburn_networks::{Bijection, InvertibleNetwork, Pass, SummaryNetwork};
use burn::{
    module::Module,
    tensor::{Device, Tensor, TensorData},
};
use ndarray::{Array, Dimension};
use std::f64::consts::TAU;

/// The summary network, the inference network and the standardisation constants: all that training changes and checkpoints
/// hold.
#[derive(Module, Debug)]
pub struct PosteriorNetworks<S: Module> {
    pub(crate) summary: S,
    pub(crate) inference: InvertibleNetwork,
    pub(crate) parameters: Option<Standardizer>,
    pub(crate) data: Option<Standardizer>,
    pub(crate) direct: Option<Standardizer>,
}

impl<S: SummaryNetwork> PosteriorNetworks<S> {
    /// Summaries of the data beside the direct conditions, and the summaries alone.
    pub(crate) fn condition(
        &self,
        conditions: &Conditions,
        device: &Device,
        pass: &mut Pass,
    ) -> (Tensor<2>, Tensor<2>) {
        let data = tensor::<3, _>(&conditions.summary_conditions, device);
        let data = standardized(self.data.as_ref(), data);
        let summary = self.summary.forward(data, pass);
        let condition = match &conditions.direct_conditions {
            Some(direct) => {
                let direct = standardized(self.direct.as_ref(), tensor::<2, _>(direct, device));
                Tensor::cat(vec![summary.clone(), direct], 1)
            }
            None => summary.clone(),
        };
        (condition, summary)
    }

    /// Latents z `[B, D]` and log q(θ | condition) `[B]`: ln N(z; 0, I) + ln|det ∂z/∂θ|.
    pub(crate) fn latent_and_log_prob(
        &self,
        parameters: Tensor<2>,
        condition: Tensor<2>,
        pass: &mut Pass,
    ) -> (Tensor<2>, Tensor<1>) {
        let [rows, dim] = parameters.dims();
        let targets = standardized(self.parameters.as_ref(), parameters);
        let (z, log_det) = self.inference.forward(targets, Some(condition), pass);
        let log_normal = z.clone().square().sum_dim(1).reshape([rows]).mul_scalar(-0.5);
        let log_prob = (log_normal + log_det).sub_scalar(0.5 * dim as f64 * TAU.ln());
        let log_prob = match &self.parameters {
            Some(standardizer) => log_prob - standardizer.sum_log_std(),
            None => log_prob,
        };
        (z, log_prob)
    }

    /// The mean over the batch of −log q(θ | x) (Radev et al. 2020), plus the summary loss; `[1]`.
    ///
    /// Its minimum over all networks is reached at the true posterior. With the standardisation's constants included it is
    /// the negative log-likelihood in the parameters' own units.
    pub(crate) fn loss(
        &self,
        batch: &Configured,
        summary_loss: Option<SummaryLoss>,
        device: &Device,
        pass: &mut Pass,
    ) -> Tensor<1> {
        let (condition, summary) = self.condition(&batch.conditions, device, pass);
        let (_, log_prob) = self.latent_and_log_prob(tensor::<2, _>(&batch.parameters, device), condition, pass);
        let loss = log_prob.mean().neg();
        match summary_loss {
            None => loss,
            Some(SummaryLoss::Mmd { weight }) => {
                let normal = pass.normal(summary.dims(), &summary);
                loss + squared_mmd(summary, normal).mul_scalar(weight)
            }
        }
    }

    /// Latents `[rows, D]` to parameters.
    pub(crate) fn parameters(&self, z: Tensor<2>, condition: Tensor<2>, pass: &mut Pass) -> Tensor<2> {
        let targets = self.inference.inverse(z, Some(condition), pass);
        match &self.parameters {
            Some(standardizer) => standardizer.inverse(targets),
            None => targets,
        }
    }
}

fn standardized<const R: usize>(standardizer: Option<&Standardizer>, x: Tensor<R>) -> Tensor<R> {
    match standardizer {
        Some(standardizer) => standardizer.forward(x),
        None => x,
    }
}

/// An array as a tensor.
pub(crate) fn tensor<const R: usize, D: Dimension>(array: &Array<f32, D>, device: &Device) -> Tensor<R> {
    let values: Vec<f32> = array.iter().copied().collect();
    Tensor::from_data(TensorData::new(values, array.shape()), device)
}
