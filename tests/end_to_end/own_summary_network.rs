//! Brings a summary network of one's own for series of different lengths: a recurrence that padding leaves as it is. It
//! is trained, saved and loaded.

use crate::models::{direct_networks, training};
use bayesburn::{
    amortizers::AmortizedPosterior,
    networks::{ConfigError, DataTensor, OutputInit, ParameterInit, Pass, SummaryConfig, SummaryNetwork},
    prelude::*,
};
use burn::{config::Config, module::Module, nn::Linear, tensor::Tensor};

/// h ← tanh([x, h] W + b) along a series.
#[derive(Module, Debug)]
struct Recurrence {
    step: Linear,
}

#[derive(Config, Debug, PartialEq)]
struct RecurrenceConfig {}

const UNITS: usize = 8;

impl SummaryConfig for RecurrenceConfig {
    const NAME: &'static str = "recurrence";
    type Network = Recurrence;

    fn init(&self, shape: &DataShape, init: &mut ParameterInit) -> Result<Recurrence, ConfigError> {
        let features = shape.only().map_or(0, |series| series.features());
        Ok(Recurrence { step: init.linear(features + UNITS, UNITS, OutputInit::Glorot) })
    }
}

impl SummaryNetwork for Recurrence {
    fn summary_dim(&self) -> usize {
        UNITS
    }

    fn forward(&self, data: &DataTensor, _: &mut Pass) -> Tensor<2> {
        let (series, mask) = data.only().sets();
        let [sets, length, features] = series.dims();
        (0..length).fold(Tensor::zeros([sets, UNITS], &series.device()), |h: Tensor<2>, t| {
            let x = series.clone().narrow(1, t, 1).reshape([sets, features]);
            let next = self.step.forward(Tensor::cat(vec![x, h.clone()], 1)).tanh();
            match &mask {
                Some(mask) => h.clone() + (next - h) * mask.clone().narrow(1, t, 1).reshape([sets, 1]),
                None => next,
            }
        })
    }
}

/// x_t = φ x_{t−1} + noise, 5 to 30 times.
fn autoregression() -> GenerativeModel {
    let prior = Prior::from_fn(["phi"], |rng, _| [rng.random_range(-0.9..0.9_f32)]);
    let simulator = Simulator::from_fn(|rng, phi, _| {
        let (length, mut x) = (rng.random_range(5..=30), 0.0);
        Array2::from_shape_simple_fn((length, 1), || {
            x = phi[0] * x + rng.sample::<f32, _>(StandardNormal);
            x
        })
    });
    GenerativeModel::new(prior, simulator).expect("the pilot run succeeds")
}

#[test]
fn a_recurrence_of_ones_own_learns_from_padded_series() {
    let config = PosteriorConfig::new(RecurrenceConfig::new(), direct_networks().inference);
    let mut trainer =
        Trainer::builder(autoregression(), config).seed(1).progress(Progress::Hidden).build().expect("sound");
    let test = trainer.simulate(300, 5).expect("simulates");
    let before = trainer.amortizer().validation_loss(&test).expect("fits");
    let source = Online::new().with_epochs(6).with_iterations_per_epoch(150).with_batch_size(32);
    let fast = training().with_schedule(Schedule::new().with_initial_rate(5e-3));
    trainer.train(source, &fast).expect("trains");
    let (posterior, folder) = (trainer.amortizer(), tempfile::tempdir().expect("a folder"));
    let after = posterior.validation_loss(&test).expect("fits");
    assert!(after < before - 0.3, "{after} after {before}");

    // Alone, a data set is not padded. The order of sums is another, so that f32 differs in its last bits.
    let draws = posterior.sample(&test.conditions, 50, 3).expect("draws");
    for m in 0..5 {
        let alone = posterior.sample_numbered(&test.conditions.select(&[m]), m, 50, 3).expect("draws");
        let difference = (&alone.data_set(0) - &draws.data_set(m)).fold(0.0, |most: f32, x| most.max(x.abs()));
        assert!(difference < 1e-4, "{m}: {difference}");
    }
    posterior.save(folder.path()).expect("writable");
    let loaded: AmortizedPosterior<RecurrenceConfig> =
        Amortizer::load(folder.path(), &Device::default()).expect("loads");
    assert_eq!(loaded.sample(&test.conditions, 50, 3).expect("draws"), draws);
}
