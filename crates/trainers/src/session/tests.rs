//! Checks that weights lost on a device are neither saved nor trained on.

use super::Session;
use crate::{
    Online, Progress, RunContext, Source, Trainer, TrainerError, TrainingConfig,
    stepper::{Next, Outcome, Stepper, Updater, choose},
};
use bayesburn_amortizers::{AmortizedPosterior, AmortizerError, Configured, PosteriorConfig};
use bayesburn_networks::{DeepSetConfig, InvertibleNetworkConfig, Pass};
use bayesburn_simulation::{GenerativeModel, Prior, Simulator};
use ndarray::Array2;
use rand::RngExt;
use rand_distr::StandardNormal;
use std::path::Path;

/// Takes steps, and cannot return their weights, as after an error of a GPU.
struct Broken(Box<dyn Stepper<AmortizedPosterior>>);

impl Stepper<AmortizedPosterior> for Broken {
    fn gradients(
        &mut self,
        amortizer: &AmortizedPosterior,
        batch: &Configured,
        pass: &mut Pass,
    ) -> Result<(), AmortizerError> {
        self.0.gradients(amortizer, batch, pass)
    }

    fn update(
        &mut self,
        amortizer: &mut AmortizedPosterior,
        updater: &mut Updater,
        rate: f64,
        next: Next<'_>,
    ) -> Result<Outcome, AmortizerError> {
        self.0.update(amortizer, updater, rate, next)
    }

    fn put_back(&self, _: &mut AmortizedPosterior, _: &mut Updater) -> Result<(), TrainerError> {
        Err(TrainerError::Source("the device is gone".to_owned()))
    }
}

fn trainer(folder: &Path) -> Trainer {
    let prior = Prior::from_fn(["mu"], |rng, _| [rng.sample(StandardNormal)]);
    let simulator = Simulator::from_fn(|rng, mu, _| {
        Array2::from_shape_fn((5, 1), |_| mu[0] + rng.sample::<f32, _>(StandardNormal))
    });
    let model = GenerativeModel::new(prior, simulator).expect("it simulates");
    let networks = PosteriorConfig::new(
        DeepSetConfig::new(2).with_units(8),
        InvertibleNetworkConfig::new().with_num_coupling_layers(2),
    );
    let builder = Trainer::builder(model, networks).seed(3).progress(Progress::Hidden);
    builder.checkpoints(folder).resume().build().expect("valid networks")
}

/// After steps whose weights are lost, the amortizer has those from before. Under the number of steps taken they would
/// be another training's.
#[test]
fn weights_that_are_lost_are_not_saved_and_not_trained_on() {
    let folder = tempfile::tempdir().expect("a folder");
    let config = TrainingConfig::new().with_validation_simulations(8);
    let source = || Online::new().with_epochs(2).with_iterations_per_epoch(3).with_batch_size(8);
    let mut trainer = trainer(folder.path());
    trainer.train(source(), &config).expect("it trains");

    let mut second = source();
    trainer.enter_run(second.config(), false).expect("the run before is complete");
    let context = RunContext {
        model: trainer.model.clone(),
        seed: 1,
        trainer_seed: 3,
        parameter_names: trainer.parameter_names.clone(),
        folder: None,
        prefetch: 0,
        progress: Progress::Hidden,
    };
    let mut session = Session::new(&mut trainer, &config, &[3, 3]).expect("two epochs");
    let stepper = choose(&session.trainer.amortizer, &session.updater, None, &config);
    session.stepper = Some(Box::new(Broken(stepper)));
    let error = session.train(&mut second, &context).expect_err("the device is gone").to_string();
    assert!(error.contains("the device is gone"), "{error}");
    assert_eq!(trainer.history().steps.len(), 6 + 3, "the steps were taken");
    let again = trainer.train(source(), &config).expect_err("on which weights?");
    assert!(matches!(again, TrainerError::WeightsLost), "{again}");
    drop(trainer);

    let mut resumed = self::trainer(folder.path());
    assert_eq!(resumed.history().steps.len(), 6, "the newest checkpoint is the one from before the steps");
    resumed.train(source(), &config).expect("the first run is complete");
    resumed.train(source(), &config).expect("and the second begins");
}
