//! Checks posteriors with inference networks of a user's own: losses of their own, and what they lack.

use crate::{device, normals, pilot, rng};
use bayesburn_amortizers::{
    AmortizedPosterior, Amortizer, AmortizerError, Conditions, Configured, PosteriorConfig, Standardization, Statistics,
};
use bayesburn_core::Interval;
use bayesburn_networks::{
    ActNormConfig, Condition, ConditionWidths, ConfigError, DeepSetConfig, InferenceConfig, InferenceNetwork,
    InvertibleNetwork, InvertibleNetworkConfig, OutputInit, ParameterInit, Pass,
};
use burn::{config::Config, module::Module, nn::Linear, tensor::Tensor};
use ndarray::{Array1, Array2, Axis};

/// How a [`Head`] is trained.
#[derive(Config, Debug, Copy, PartialEq)]
enum Loss {
    /// The squared error of a linear prediction from summaries and direct conditions.
    Squared,
    /// The same times a random number.
    Random,
    /// The mean over the rows, in place of a loss for each.
    OfWrongShape,
    /// None.
    Nothing,
}

#[derive(Config, Debug, PartialEq)]
struct HeadConfig {
    loss: Loss,
}

/// Predicts parameters: a network with a loss alone.
#[derive(Module, Debug)]
struct Head {
    linear: Linear,
    #[module(skip)]
    loss: Loss,
}

impl InferenceConfig for HeadConfig {
    const NAME: &'static str = "head";
    type Network = Head;

    fn init(&self, dim: usize, widths: ConditionWidths, init: &mut ParameterInit) -> Result<Head, ConfigError> {
        assert_eq!(widths, ConditionWidths { summaries: 2, direct: 1 });
        Ok(Head { linear: init.linear(widths.joined(), dim, OutputInit::Glorot), loss: self.loss })
    }
}

impl InferenceNetwork for Head {
    fn loss(&self, targets: &Tensor<2>, condition: &Condition, pass: &mut Pass) -> Option<Tensor<1>> {
        let [rows, _] = targets.dims();
        assert_eq!(condition.direct().expect("given").dims(), [rows, 1]);
        let error = (self.linear.forward(condition.joined_for(rows)) - targets.clone()).square().sum_dim(1);
        match self.loss {
            Loss::Squared => Some(error.reshape([rows])),
            Loss::Random => Some((error.clone() * pass.uniform([rows, 1], (0.0, 1.0), &error)).reshape([rows])),
            Loss::OfWrongShape => Some(error.mean()),
            Loss::Nothing => None,
        }
    }
}

fn batch(m: usize) -> Configured {
    let conditions = Conditions::new(normals(&mut rng(3), (m, 5, 2))).with_direct(Array2::ones((m, 1)));
    let parameters = Array2::from_shape_fn((m, 2), |(m, d)| 0.1 * (m + 1) as f32 + d as f32);
    Configured::new(parameters, conditions).expect("the batch is sound")
}

fn posterior(loss: Loss, support: Option<[Interval; 2]>) -> AmortizedPosterior<DeepSetConfig, HeadConfig> {
    let summary = DeepSetConfig::new(2).with_units(4).with_num_equiv(1);
    let mut config = PosteriorConfig::from_networks(summary, HeadConfig::new(loss)).with_statistics(Statistics::None);
    config.support = support.map(Vec::from);
    AmortizedPosterior::new(config, ["a", "b"], &[batch(16)], 1, &device()).expect("the pilot is sound")
}

fn loss_of(posterior: &AmortizedPosterior<DeepSetConfig, HeadConfig>, batch: &Configured) -> f32 {
    posterior.loss(batch, &mut Pass::training(1)).expect("a loss").into_scalar()
}

#[test]
fn weights_count_in_a_loss_of_ones_own() {
    let (posterior, both) = (posterior(Loss::Squared, None), batch(2));
    let [first, second] = [0, 1].map(|m| loss_of(&posterior, &both.rows(m..m + 1)));
    let weighted = both.clone().with_weights(Array1::from(vec![0.5, 2.0])).expect("weights");
    for (batch, expected) in [(both, 0.5 * (first + second)), (weighted, 0.25 * first + second)] {
        let losses = [loss_of(&posterior, &batch), posterior.validation_loss(&batch).expect("a loss")];
        assert!(losses.iter().all(|loss| (loss - expected).abs() < 1e-5 * expected), "{losses:?}, {expected}");
    }
    // It trains by Burn's graph.
    #[cfg(feature = "flex")]
    assert!(posterior.direct_loss().is_none());
}

/// The same numbers at each epoch, and other numbers for other simulations, however the data are cut into parts.
#[test]
fn random_numbers_of_a_validation_loss_are_those_of_its_data() {
    let (random, squared, all) = (posterior(Loss::Random, None), posterior(Loss::Squared, None), batch(8));
    let part = |posterior: &AmortizedPosterior<DeepSetConfig, HeadConfig>, rows: std::ops::Range<usize>| {
        posterior.validation_loss(&all.rows(rows)).expect("a loss")
    };
    assert_eq!(part(&random, 0..4), part(&random, 0..4));
    let factors = [0..4, 4..8].map(|rows| part(&random, rows.clone()) / part(&squared, rows));
    assert!(factors.iter().all(|factor| (0.0..1.0).contains(factor)) && factors[0] != factors[1], "{factors:?}");
}

#[test]
fn a_validation_loss_outside_of_the_support_is_an_error() {
    let posterior = posterior(Loss::Squared, Some([Interval::Above(0.0), Interval::Real]));
    let mut outside = batch(3);
    assert!(posterior.validation_loss(&outside).expect("inside").is_finite());
    outside.parameters[[1, 0]] = -1.0;
    let error = posterior.validation_loss(&outside).expect_err("outside");
    assert!(matches!(error, AmortizerError::OutsideSupport { simulation: 1, .. }), "{error}");
}

#[test]
fn what_a_network_lacks_is_an_error_where_it_is_asked_for() {
    let (nothing, batch) = (posterior(Loss::Nothing, None), batch(3));
    let error = nothing.loss(&batch, &mut Pass::training(1)).expect_err("no loss");
    assert!(matches!(error, AmortizerError::NoLoss), "{error}");
    assert!(matches!(nothing.validation_loss(&batch).expect_err("no loss"), AmortizerError::NoLoss));
    let with_loss = posterior(Loss::Squared, None);
    let error = with_loss.log_prob(&batch.parameters, &batch.conditions).expect_err("no density");
    assert!(matches!(error, AmortizerError::NoDensity), "{error}");
    let error = with_loss.sample(&batch.conditions, 5, 1).expect_err("no draws");
    assert!(matches!(error, AmortizerError::NoDraws), "{error}");
}

#[test]
#[should_panic(expected = "the inference network's losses have the shape [1], and [3] is needed")]
fn a_loss_of_the_wrong_shape_is_not_taken_for_one_of_each_row() {
    let _ = posterior(Loss::OfWrongShape, None).loss(&batch(3), &mut Pass::training(1));
}

/// A density estimator of the library as a user's own network.
#[derive(Config, Debug, PartialEq)]
struct FlowConfig {}

fn flow() -> InvertibleNetworkConfig {
    InvertibleNetworkConfig::new().with_num_coupling_layers(2).with_act_norm(ActNormConfig::FromData)
}

impl InferenceConfig for FlowConfig {
    const NAME: &'static str = "flow";
    type Network = InvertibleNetwork;

    fn init(
        &self,
        dim: usize,
        widths: ConditionWidths,
        init: &mut ParameterInit,
    ) -> Result<Self::Network, ConfigError> {
        flow().init(dim, widths.joined(), init)
    }

    fn needs_simulations(&self) -> bool {
        true
    }
}

/// To the bit, with its normalisation fitted to simulations and with kernels.
#[test]
fn a_flow_as_ones_own_network_is_the_posterior_of_the_librarys_flow() {
    let (batch, summary) = (pilot(2), DeepSetConfig::new(2).with_units(4).with_num_equiv(1));
    let names = (0..batch.parameters.len_of(Axis(1))).map(|i| format!("p{i}"));
    let own = PosteriorConfig::from_networks(summary.clone(), FlowConfig::new());
    let own = own.with_standardization(Standardization::None);
    let own = AmortizedPosterior::new(own, names.clone(), std::slice::from_ref(&batch), 1, &device()).expect("sound");
    let ours = PosteriorConfig::new(summary, flow()).with_standardization(Standardization::None);
    let ours = AmortizedPosterior::new(ours, names, std::slice::from_ref(&batch), 1, &device()).expect("sound");
    let log_prob = |of: Result<Array1<f32>, AmortizerError>| of.expect("a density");
    assert_eq!(
        log_prob(own.log_prob(&batch.parameters, &batch.conditions)),
        log_prob(ours.log_prob(&batch.parameters, &batch.conditions))
    );
    #[cfg(feature = "flex")]
    assert_eq!(own.direct_loss().expect("kernels").1, ours.direct_loss().expect("kernels").1);
}
