//! Brings an inference network of one's own, with a loss of its own: flow matching (Lipman et al. 2023). It is trained,
//! drawn from, saved, loaded and registered; it has no density.

use crate::models::{normal_means, training};
use bayesburn::{
    amortizers::AmortizedPosterior,
    networks::{
        Condition, ConditionWidths, ConfigError, DenseNet, DenseNetConfig, InferenceConfig, InferenceNetwork,
        OutputInit, ParameterInit, Pass,
    },
    prelude::*,
    workflow::{
        Diagnose,
        saved::{Registry, Saved, describe},
    },
};
use burn::{config::Config, module::Module, tensor::Tensor};

/// v(θ_t, t, condition), which is trained to be θ − noise at θ_t = (1 − t) noise + t θ.
#[derive(Module, Debug)]
struct VectorField {
    net: DenseNet,
}

#[derive(Config, Debug, PartialEq)]
struct VectorFieldConfig {}

impl InferenceConfig for VectorFieldConfig {
    const NAME: &'static str = "vector field";
    type Network = VectorField;

    fn init(&self, dim: usize, given: ConditionWidths, init: &mut ParameterInit) -> Result<VectorField, ConfigError> {
        let net = DenseNetConfig::new().with_units(64);
        Ok(VectorField { net: net.init(dim + 1 + given.joined(), dim, OutputInit::Glorot, init)? })
    }
}

impl VectorField {
    fn velocity(&self, theta: Tensor<2>, t: Tensor<2>, condition: &Condition, pass: &mut Pass) -> Tensor<2> {
        let condition = condition.joined_for(theta.dims()[0]);
        self.net.forward(Tensor::cat(vec![theta, t, condition], 1), pass)
    }
}

impl InferenceNetwork for VectorField {
    fn loss(&self, theta: &Tensor<2>, condition: &Condition, pass: &mut Pass) -> Option<Tensor<1>> {
        let [rows, dim] = theta.dims();
        let (noise, t) = (pass.normal([rows, dim], theta), pass.uniform([rows, 1], (0.0, 1.0), theta));
        let at = noise.clone() + t.clone() * (theta.clone() - noise.clone());
        let error = self.velocity(at, t, condition, pass) - (theta.clone() - noise);
        Some(error.square().sum_dim(1).reshape([rows]))
    }

    fn sample(&self, noise: Tensor<2>, condition: &Condition, pass: &mut Pass) -> Option<Tensor<2>> {
        const STEPS: usize = 20;
        let [rows, _] = noise.dims();
        Some((0..STEPS).fold(noise, |theta, step| {
            let t = Tensor::full([rows, 1], (step as f32 + 0.5) / STEPS as f32, &theta.device());
            theta.clone() + self.velocity(theta, t, condition, pass) / STEPS as f32
        }))
    }
}

type Posterior = AmortizedPosterior<DeepSetConfig, VectorFieldConfig>;

/// The largest error of a mean in exact posterior standard deviations, √(1/11), over 50 data sets with 1,000 draws
/// each, and the mean ratio of standard deviations.
fn errors(posterior: &Posterior, test: &Configured) -> (f32, f32) {
    let draws = posterior.sample(&test.conditions, 1000, 1).expect("draws");
    let (means, stds) = (draws.values().mean_axis(Axis(1)).expect("some"), draws.values().std_axis(Axis(1), 0.0));
    let exact = test.conditions.sets().sum_axis(Axis(1)) / 11.0;
    let sd = 11_f32.sqrt().recip();
    let largest = (means - exact).iter().fold(0.0, |largest: f32, error| largest.max(error.abs() / sd));
    (largest, stds.mean().expect("some") / sd)
}

#[test]
fn flow_matching_of_ones_own_is_trained_judged_saved_and_loaded() {
    let folder = tempfile::tempdir().expect("a folder");
    // With statistics it begins near the exact posterior.
    let config = PosteriorConfig::from_networks(DeepSetConfig::new(4).with_units(32), VectorFieldConfig::new())
        .with_statistics(Statistics::None);
    let builder = Trainer::builder(normal_means(), config).seed(3).progress(Progress::Hidden);
    let mut trainer = builder.checkpoints(folder.path().join("run")).build().expect("sound");
    let test = trainer.simulate(50, 9).expect("simulates");
    let (error, ratio) = errors(trainer.amortizer(), &test);
    assert!(error > 1.0 && ratio > 1.5, "untrained: {error}, {ratio}");

    let source = Online::new().with_epochs(6).with_iterations_per_epoch(250).with_batch_size(64);
    let history = trainer.train(source, &training().with_validation_simulations(500)).expect("trains");
    let losses: Vec<f32> = history.epochs.iter().filter_map(|epoch| epoch.validation_loss).collect();
    assert!(losses[5] < losses[0], "{losses:?}");
    let (error, ratio) = errors(trainer.amortizer(), &test);
    assert!(error < 0.5 && (0.85..1.15).contains(&ratio), "{error}, {ratio}");
    let message = trainer.amortizer().latent(&test).expect_err("no density").to_string();
    assert!(message.contains("has no density"), "{message}");
    let report = Diagnose::new().with_size(100, 200).trainer(&trainer).expect("judges by draws");
    assert!(report.report().passed(), "{}", report.report());

    let saved = folder.path().join("posterior");
    trainer.amortizer().save(&saved).expect("writable");
    let loaded = Posterior::load(&saved, &Device::default()).expect("loads");
    assert_eq!(errors(&loaded, &test), (error, ratio));
    assert_eq!(loaded.validation_loss(&test).expect("fits"), trainer.amortizer().validation_loss(&test).expect("fits"));
    let message = AmortizedPosterior::<DeepSetConfig>::load(&saved, &Device::default()).expect_err("another network");
    assert!(message.to_string().contains("its inference network is \"vector field\""), "{message}");
    let found = Saved::find(&saved).expect("there");
    assert!(describe(&found, None).expect("words").contains("Inference network: vector field"));
    let message = Registry::new().load(&found, None).map(|_| ()).expect_err("not known").to_string();
    assert!(message.contains("deep set with the inference network vector field"), "{message}");
    let registry = Registry::new().with_inference_network::<DeepSetConfig, VectorFieldConfig>();
    assert_eq!(registry.load(&found, None).expect("known").names().to_vec(), ["mu_1", "mu_2"]);
}
