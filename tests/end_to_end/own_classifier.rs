//! Brings an amortizer of one's own: which of two models are data from? It is trained, killed, resumed to the bit,
//! saved and loaded.

use crate::resume::{MODE, folder_of_process, survives_kills};
use bayesburn::{
    amortizers::{AmortizerConfig, AmortizerError, Pilot},
    networks::{DeepSet, OutputInit, ParameterInit, Pass, SummaryConfig, SummaryNetwork},
    prelude::*,
    trainers::TrainedPart,
    workflow::saved::{Saved, describe},
};
use burn::{
    module::Module,
    nn::Linear,
    tensor::{Tensor, TensorData, activation::log_sigmoid},
};
use serde::{Deserialize, Serialize};

#[derive(Debug, Clone)]
struct Classifier(ClassifierConfig, ClassifierNetworks, Device);

#[derive(Debug, Clone, Serialize, Deserialize)]
struct ClassifierConfig {
    summary: DeepSetConfig,
    features: usize,
}

#[derive(Debug, Module)]
struct ClassifierNetworks {
    summary: DeepSet,
    head: Linear,
}

impl AmortizerConfig for ClassifierConfig {
    type Amortizer = Classifier;

    fn init(self, _: &Pilot<'_>, seed: u64, device: &Device) -> Result<Classifier, AmortizerError> {
        Classifier::untrained(self, &mut ParameterInit::new(seed, &device.clone().autodiff()))
    }
}

impl Amortizer for Classifier {
    const KIND: &'static str = "classifier of two models";
    type Description = ClassifierConfig;
    type Networks = ClassifierNetworks;

    fn description(&self) -> ClassifierConfig {
        self.0.clone()
    }

    fn untrained(config: ClassifierConfig, init: &mut ParameterInit) -> Result<Self, AmortizerError> {
        let summary = config.summary.init(&DataShape::of_sets(config.features), init)?;
        let head = init.linear(summary.summary_dim(), 1, OutputInit::Glorot);
        Ok(Self(config, ClassifierNetworks { summary, head }, init.device().clone()))
    }

    fn networks(&self) -> &ClassifierNetworks {
        &self.1
    }

    fn set_networks(&mut self, networks: ClassifierNetworks) {
        self.1 = networks;
    }

    /// The cross-entropy: −ln σ(±logit) of the model that the data are from, 0 or 1.
    fn loss(&self, batch: &Configured, pass: &mut Pass) -> Result<Tensor<1>, AmortizerError> {
        let data = batch.conditions.to_tensor(&self.2);
        let logits = self.1.head.forward(self.1.summary.forward(&data, pass));
        let signs: Vec<f32> = batch.parameters.iter().map(|model| 2.0 * model - 1.0).collect();
        Ok(log_sigmoid(logits * Tensor::from_data(TensorData::new(signs, [batch.len(), 1]), &self.2)).mean().neg())
    }
}

#[test]
fn classifier_process() {
    let Some(folder) = folder_of_process("classifier") else { return };
    // 10 observations with a standard deviation of 1 or 3.
    let prior = Prior::from_fn(["model"], |rng, _| [f32::from(u8::from(rng.random::<bool>()))]);
    let simulator = Simulator::from_fn(|rng, model, _| {
        Array2::from_shape_fn((10, 1), |_| (1.0 + 2.0 * model[0]) * rng.sample::<f32, _>(StandardNormal))
    });
    let model = GenerativeModel::new(prior, simulator).expect("simulates");
    let config = ClassifierConfig { summary: DeepSetConfig::new(4).with_units(16), features: 1 };
    let builder = Trainer::builder(model, config).seed(7).progress(Progress::Hidden);
    let mut trainer = builder.checkpoints(&folder).resume().build().expect("its own folder");
    let source = Online::new().with_epochs(20).with_iterations_per_epoch(20).with_batch_size(16);
    let training = TrainingConfig::new().with_validation_simulations(200).with_weight_average(Some(0.5));
    // Nothing says which parameters are the summary network's: a part cannot be trained, and is not taken for all.
    let part = training.clone().with_trained_part(TrainedPart::Summary);
    let refused = trainer.train(source.clone(), &part).expect_err("no parts").to_string();
    assert!(refused.contains("`trained_part` is Summary"), "{refused}");
    trainer.train(source, &training).expect("trains");
    let test = trainer.simulate(200, 3).expect("simulates");
    let loss = trainer.amortizer().validation_loss(&test).expect("fits");
    assert!(loss < 0.3, "{loss} against ln 2 for guesses");
    let best = Classifier::load(folder.join("step-00000400"), &Device::default()).expect("a checkpoint");
    assert_eq!(best.validation_loss(&test).expect("fits"), loss);
    let words = describe(&Saved::find(&folder).expect("there"), None).expect("what `bayesburn info` says");
    assert!(words.contains("Kind: classifier of two models"), "{words}");
    std::fs::write(folder.join("done"), MODE).expect("writable");
}

#[test]
fn a_classifier_of_ones_own_survives_kills() {
    survives_kills("own_classifier::classifier_process", "classifier", "step-00000400/weights.safetensors");
}
