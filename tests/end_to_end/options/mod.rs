//! Turns each option of a training, and looks at what it changes.

mod averages;
mod losses;
mod sources;
mod stopping;

use crate::models::{normal_means, short_run, small_networks};
use bayesburn::{
    prelude::*,
    trainers::{Decay, TrainerBuilder, Validation},
};

fn builder() -> TrainerBuilder {
    builder_of(small_networks())
}

fn builder_of(networks: PosteriorConfig) -> TrainerBuilder {
    Trainer::builder(normal_means(), networks).seed(5).progress(Progress::Hidden)
}

fn trained(config: &TrainingConfig) -> Trainer {
    let mut trainer = builder().build().expect("valid networks");
    trainer.train(short_run(), config).expect("training succeeds");
    trainer
}

/// A validation loss on 100 simulations of a seed of its own.
fn loss(trainer: &Trainer) -> f32 {
    let test = trainer.simulate(100, 77).expect("simulates");
    trainer.amortizer().negative_log_prob(&test).expect("the pilot widths")
}

/// A rate so large that the loss soon grows, on few simulations.
fn overfitting() -> (Offline, TrainingConfig) {
    let data = Dataset::from_simulations(normal_means().simulate(64, 3).expect("simulates")).expect("sound");
    let source = Offline::new(data).with_epochs(60).with_batch_size(8).with_validation(Validation::Fraction(0.25));
    let schedule = Schedule::new().with_initial_rate(1e-2).with_decay(Decay::Constant);
    (source, TrainingConfig::new().with_schedule(schedule))
}
