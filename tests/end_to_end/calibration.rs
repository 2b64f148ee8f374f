//! Trains on a model whose posterior is known, and compares.

use crate::models::{normal_means, small_networks};
use bayesburn::prelude::*;
use ndarray::Axis;

/// After 600 steps the posterior of the two means is close to N(n·x̄/(n+1), 1/(n+1)) with n = 10.
///
/// Bounds for so short a run, at a fixed seed: the mean within 0.15 exact sd on average, the sd within 12%. An
/// untrained network, the twin, is off by more than 2 exact sd and a factor of 3.
#[test]
fn a_short_training_comes_close_to_the_exact_posterior() {
    let mut networks = small_networks();
    networks.inference = InvertibleNetworkConfig::new().with_num_coupling_layers(2).into();
    networks.summary = DeepSetConfig::new(4).with_units(32);
    // With statistics it begins where it is to end.
    networks.statistics = Statistics::None;
    let mut trainer =
        Trainer::builder(normal_means(), networks).seed(1).progress(Progress::Hidden).build().expect("valid networks");
    let untrained = errors(&trainer);
    let source = Online::new().with_epochs(1).with_iterations_per_epoch(600).with_batch_size(64);
    let config = TrainingConfig::new().with_schedule(Schedule::new().with_initial_rate(2e-3));
    trainer.train(source, &config).expect("training succeeds");
    let (mean_error, sd_ratio) = errors(&trainer);
    assert!(mean_error < 0.15, "mean off by {mean_error} sd");
    assert!((sd_ratio - 1.0).abs() < 0.12, "sd ratio {sd_ratio}");
    assert!(untrained.0 > 2.0 && untrained.1 > 3.0, "{untrained:?}");
}

/// |mean − exact mean| in exact sd, and sd over exact sd, averaged over 300 data sets.
fn errors(trainer: &Trainer) -> (f64, f64) {
    let test = trainer.simulate(300, 5).expect("the simulator succeeds");
    let draws = trainer.amortizer().sample(&test.conditions, 500, 6).expect("500 draws");
    let exact_mean = test.conditions.sets().mapv(f64::from).sum_axis(Axis(1)) / 11.0;
    let exact_sd = 11f64.sqrt().recip();
    let error = ((draws.mean() - exact_mean) / exact_sd).mapv(f64::abs);
    (error.mean().expect("300 data sets"), (draws.std() / exact_sd).mean().expect("300 data sets"))
}
