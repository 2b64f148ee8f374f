//! Wires the networks of an amortized posterior together, on tensors.

use crate::{
    AmortizerError, Conditions, SummaryLoss, derived::Derived, encoded::Encoded, mmd::squared_mmd,
    regression::Regression, standardize::Standardizer, targets::Targets,
};
use bayesburn_core::Input;
use bayesburn_networks::{
    AnyInferenceNetwork, Condition, DataTensor, Evaluation, InferenceNetwork, InputTensor, Pass, SummaryNetwork,
    repeated,
};
use burn::{
    module::Module,
    tensor::{Device, Tensor, TensorData},
};
use ndarray::{Array, Array1, Array2, Dimension};
use std::borrow::Cow;

/// The summary network, the inference network and the standardisation constants: all that training changes and
/// checkpoints hold.
#[derive(Module, Debug)]
pub struct PosteriorNetworks<S: Module, N: Module = AnyInferenceNetwork> {
    pub(crate) summary: S,
    pub(crate) inference: N,
    pub(crate) parameters: Option<Standardizer>,
    pub(crate) data: Option<Standardizer>,
    pub(crate) direct: Option<Standardizer>,
    /// Taken off standardised parameters.
    pub(crate) regression: Option<Regression>,
    /// How many features of each input are followed by as many columns of a mask.
    #[module(skip)]
    pub(crate) masked: Vec<usize>,
    /// What is appended to direct conditions.
    #[module(skip)]
    pub(crate) derived: Derived,
}

impl<S: Module, N: Module> PosteriorNetworks<S, N> {
    /// The summary network: data to summaries.
    #[must_use]
    pub fn summary(&self) -> &S {
        &self.summary
    }

    /// The inference network: it learns the distribution of parameters given summaries and direct conditions.
    ///
    /// A step that gives the optimizer the gradients of one part leaves the other as it is:
    ///
    /// ```
    /// use bayesburn_amortizers::{AmortizedPosterior, Conditions, Configured, PosteriorConfig};
    /// use bayesburn_networks::{DeepSetConfig, InvertibleNetworkConfig, Pass};
    /// use burn::{optim::{AdamConfig, GradientsParams}, tensor::Device};
    /// use ndarray::{Array2, Array3};
    ///
    /// let config = PosteriorConfig::new(DeepSetConfig::new(10), InvertibleNetworkConfig::new());
    /// let batch = Configured::new(Array2::from_elem((8, 1), 0.5), Conditions::new(Array3::zeros((8, 50, 1))))?;
    /// let mut posterior = AmortizedPosterior::new(config, ["mu"], &[batch.clone()], 2023, &Device::default())?;
    ///
    /// let mut optimizer = AdamConfig::new().init();
    /// let mut gradients = posterior.loss(&batch, &mut Pass::training(1))?.backward();
    /// let networks = posterior.networks().clone();
    /// let of_inference = GradientsParams::from_module(&mut gradients, networks.inference());
    /// posterior.set_networks(optimizer.step(1e-3, networks, of_inference)); // the summary network is frozen
    /// # Ok::<(), bayesburn_amortizers::AmortizerError>(())
    /// ```
    #[must_use]
    pub fn inference(&self) -> &N {
        &self.inference
    }
}

impl<S: SummaryNetwork, N: InferenceNetwork> PosteriorNetworks<S, N> {
    /// What the inference network is conditioned on, and what is predicted of parameters.
    pub(crate) fn encode(&self, conditions: &Conditions, device: &Device, pass: &mut Pass) -> Encoded {
        let (data, direct) = self.standardized_conditions(conditions, device);
        let summaries = self.summary.forward(&data, pass);
        let predicted = self.regression.as_ref().map(|regression| regression.predict(&data, direct.clone()));
        Encoded { condition: Condition::new(summaries).with_direct(direct), predicted }
    }

    /// Data and direct conditions `[M, C]`, standardised.
    pub(crate) fn standardized_conditions(
        &self,
        conditions: &Conditions,
        device: &Device,
    ) -> (DataTensor, Option<Tensor<2>>) {
        let mut first = 0;
        let inputs = conditions.data.inputs();
        let tensors = inputs.iter().zip(&self.masked).map(|(input, &masked)| {
            let data = self.standardized_input(input, (first, masked), inputs.len() == 1, device);
            first += input.features();
            data
        });
        let data = DataTensor::new(tensors.collect());
        (data, self.standardized_direct(conditions).map(|direct| tensor::<2, _>(&direct, device)))
    }

    /// Direct conditions `[M, C]` and what is appended to them, standardised.
    fn standardized_direct(&self, conditions: &Conditions) -> Option<Array2<f32>> {
        // Constants are read from the device only if there is something to standardise.
        let direct = self.direct.as_ref().map(Standardizer::constants);
        let data = self.data.as_ref().filter(|_| direct.is_some()).map(Standardizer::constants);
        self.derived.standardized(conditions, data.as_ref(), direct.as_ref())
    }

    /// An input whose features begin at `first` of all, `masked` of them followed by a mask.
    fn standardized_input(
        &self,
        input: &Input,
        (first, masked): (usize, usize),
        is_only: bool,
        device: &Device,
    ) -> InputTensor {
        let features = input.features();
        let standardizer = match &self.data {
            Some(standardizer) if !is_only => Some(Cow::Owned(standardizer.part(first, features))),
            standardizer => standardizer.as_ref().map(Cow::Borrowed),
        };
        input_tensor(input, device, |raw| match (&standardizer, masked) {
            (Some(standardizer), 1..) => {
                let data = standardizer.forward(raw.clone());
                // What is missing is the mean, 0.
                let there = raw.narrow(2, masked, masked);
                let values = data.clone().narrow(2, 0, masked) * there;
                Tensor::cat(vec![values, data.narrow(2, masked, features - masked)], 2)
            }
            (standardizer, _) => standardized(standardizer.as_deref(), raw),
        })
    }

    /// Targets `[B, D]` as the inference network has them, given what is predicted of each M-th part of them.
    pub(crate) fn standardized_targets(&self, targets: Tensor<2>, predicted: Option<Tensor<2>>) -> Tensor<2> {
        let targets = standardized(self.parameters.as_ref(), targets);
        let [rows, _] = targets.dims();
        match predicted {
            Some(predicted) => targets - repeated(predicted, rows),
            None => targets,
        }
    }

    /// ln q(θ | condition) `[B]` of targets `[B, D]`, and latents z `[B, D]` of a density that has them. Each of M data
    /// sets has B / M targets. The density is in the targets' own units: those of parameters, if no interval is mapped
    /// to the reals.
    pub(crate) fn evaluate(
        &self,
        targets: Tensor<2>,
        encoded: &Encoded,
        pass: &mut Pass,
    ) -> Result<(Option<Tensor<2>>, Tensor<1>), AmortizerError> {
        self.evaluate_standardized(self.standardized_targets(targets, encoded.predicted.clone()), encoded, pass)
    }

    fn evaluate_standardized(
        &self,
        targets: Tensor<2>,
        encoded: &Encoded,
        pass: &mut Pass,
    ) -> Result<(Option<Tensor<2>>, Tensor<1>), AmortizerError> {
        let [rows, dim] = targets.dims();
        let evaluation = self.inference.density(targets, &encoded.condition, pass);
        let Evaluation { log_prob, latents } = evaluation.ok_or(AmortizerError::NoDensity)?;
        check_shape("log-densities", log_prob.dims(), [rows]);
        latents.iter().for_each(|latents| check_shape("latents", latents.dims(), [rows, dim]));
        let log_prob = match &self.parameters {
            Some(standardizer) => log_prob - standardizer.sum_log_std(),
            None => log_prob,
        };
        Ok((latents, log_prob))
    }

    /// log q(θ | x), `[B]`, of B / M parameter vectors for each data set.
    pub(crate) fn log_prob(
        &self,
        targets: &Targets<'_>,
        encoded: &Encoded,
        device: &Device,
        pass: &mut Pass,
    ) -> Result<Tensor<1>, AmortizerError> {
        let (_, log_prob) = self.evaluate(tensor::<2, _>(&targets.values, device), encoded, pass)?;
        Ok(of_parameters(log_prob, targets, device))
    }

    /// The network's own loss of each row of targets, `[B]`, which are standardised; `None` if its loss is −ln q.
    fn network_losses(&self, targets: &Tensor<2>, encoded: &Encoded, pass: &mut Pass) -> Option<Tensor<1>> {
        let losses = self.inference.loss(targets, &encoded.condition, pass)?;
        check_shape("losses", losses.dims(), [targets.dims()[0]]);
        Some(losses)
    }

    /// The losses of targets: the network's own, with random numbers of `own_pass`, or else ln q as
    /// [`PosteriorNetworks::evaluate`] has it.
    pub(crate) fn losses(
        &self,
        targets: Tensor<2>,
        encoded: &Encoded,
        (own_pass, pass): (&mut Pass, &mut Pass),
    ) -> Result<Losses, AmortizerError> {
        let targets = self.standardized_targets(targets, encoded.predicted.clone());
        match self.network_losses(&targets, encoded, own_pass) {
            Some(losses) => Ok(Losses::Own(to_vec(losses))),
            None => {
                let (_, log_prob) = self.evaluate_standardized(targets, encoded, pass).map_err(needs_loss)?;
                Ok(Losses::LogProb(to_vec(log_prob)))
            }
        }
    }

    /// The mean over the batch of each simulation's loss times its weight, plus the summary loss, which has no weights;
    /// `[1]`.
    ///
    /// With −log q(θ | x) for the loss (Radev et al. 2020), its minimum over all networks is reached at the true
    /// posterior. With the standardisation's constants included it is then the negative log-likelihood in the
    /// parameters' own units.
    pub(crate) fn loss(
        &self,
        targets: &Targets<'_>,
        (conditions, weights): (&Conditions, Option<&Array1<f32>>),
        summary_loss: Option<SummaryLoss>,
        device: &Device,
        pass: &mut Pass,
    ) -> Result<Tensor<1>, AmortizerError> {
        let encoded = self.encode(conditions, device, pass);
        let values = tensor::<2, _>(&targets.values, device);
        let values = self.standardized_targets(values, encoded.predicted.clone());
        let losses = match self.network_losses(&values, &encoded, pass) {
            Some(own) => own,
            None => {
                let (_, log_prob) = self.evaluate_standardized(values, &encoded, pass).map_err(needs_loss)?;
                of_parameters(log_prob, targets, device).neg()
            }
        };
        let weighted = match weights {
            Some(weights) => losses * tensor::<1, _>(weights, device),
            None => losses,
        };
        let loss = weighted.mean();
        Ok(match summary_loss {
            None => loss,
            Some(SummaryLoss::Mmd { weight }) => {
                let summaries = encoded.condition.summaries().clone();
                let normal = pass.normal(summaries.dims(), &summaries);
                loss + squared_mmd(summaries, normal).mul_scalar(weight)
            }
        })
    }

    /// Noise `[rows, K]` to targets `[rows, dim]`.
    pub(crate) fn draw(
        &self,
        noise: Tensor<2>,
        dim: usize,
        encoded: &Encoded,
        pass: &mut Pass,
    ) -> Result<Tensor<2>, AmortizerError> {
        let [rows, _] = noise.dims();
        let targets = self.inference.sample(noise, &encoded.condition, pass).ok_or(AmortizerError::NoDraws)?;
        check_shape("draws", targets.dims(), [rows, dim]);
        let targets = match &encoded.predicted {
            Some(predicted) => targets + repeated(predicted.clone(), rows),
            None => targets,
        };
        Ok(match &self.parameters {
            Some(standardizer) => standardizer.inverse(targets),
            None => targets,
        })
    }
}

/// Losses, or log-densities whose negatives are.
#[derive(Debug)]
pub(crate) enum Losses {
    /// Of the inference network's own loss.
    Own(Vec<f32>),
    /// ln q of targets.
    LogProb(Vec<f32>),
}

/// Panics unless an inference network gave an array of the right shape.
fn check_shape<const R: usize>(what: &str, got: [usize; R], expected: [usize; R]) {
    assert!(got == expected, "the inference network's {what} have the shape {got:?}, and {expected:?} is needed");
}

/// What is wrong if a network has no density, where it is to be trained.
fn needs_loss(error: AmortizerError) -> AmortizerError {
    match error {
        AmortizerError::NoDensity => AmortizerError::NoLoss,
        other => other,
    }
}

/// The log density of parameters, of that of the targets that they are mapped to.
fn of_parameters(log_prob: Tensor<1>, targets: &Targets<'_>, device: &Device) -> Tensor<1> {
    match &targets.log_derivatives {
        Some(log_derivatives) => log_prob + tensor::<1, _>(log_derivatives, device),
        None => log_prob,
    }
}

impl Conditions {
    /// The data as tensors, as they are: what a summary network takes, of an amortizer of one's own.
    #[must_use]
    pub fn to_tensor(&self, device: &Device) -> DataTensor {
        DataTensor::new(self.data.inputs().iter().map(|input| input_tensor(input, device, |raw| raw)).collect())
    }
}

/// An input with its mask, of which `of` makes something else of the rows `[M, rows, F]`; padding is 0.
fn input_tensor(input: &Input, device: &Device, of: impl FnOnce(Tensor<3>) -> Tensor<3>) -> InputTensor {
    let shape = input.values().shape();
    let (sets, features, axes) = (shape[0], input.features(), &shape[1..shape.len() - 1]);
    let values: Vec<f32> = input.values().iter().copied().collect();
    let rows = axes.iter().product();
    let data = of(Tensor::<3>::from_data(TensorData::new(values, [sets, rows, features]), device));
    let Some(mask) = input.row_mask() else { return InputTensor::of_rows(input.name(), data, axes) };
    let places: usize = mask.shape()[1..].iter().product();
    let exists: Vec<f32> = mask.iter().copied().collect();
    let exists = Tensor::<2>::from_data(TensorData::new(exists, [sets, places]), device);
    let of_rows = exists.clone().unsqueeze_dim::<3>(2).repeat_dim(2, rows / places).reshape([sets, rows, 1]);
    let data = InputTensor::of_rows(input.name(), data * of_rows, axes);
    match mask.ndim() {
        2 => data.with_row_mask(exists),
        _ => data.with_row_mask(exists.reshape([sets, mask.shape()[1], places / mask.shape()[1]])),
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

/// The numbers of a tensor, one row after the other.
pub(crate) fn to_vec<const R: usize>(tensor: Tensor<R>) -> Vec<f32> {
    tensor.into_data_as::<f32>().try_into_vec().expect("converted to f32")
}
