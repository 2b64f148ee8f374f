//! Trains with and without fixed statistics beside the summaries, and resumes.

use crate::models::{direct_networks, normal_means, short_run, training};
use bayesburn::{prelude::*, trainers::TrainerError};
use std::path::Path;

fn trainer(statistics: Statistics, folder: &Path) -> Result<Trainer, TrainerError> {
    let networks = direct_networks().with_statistics(statistics);
    let builder = Trainer::builder(normal_means(), networks).seed(3).checkpoints(folder);
    builder.resume().progress(Progress::Hidden).build()
}

/// The exact loss is ln(2πe / 11) = 0.440 for ten observations and the prior, in two dimensions. The networks know
/// nothing at first: 2.84.
#[test]
fn the_loss_begins_near_the_exact_one() {
    let loss = |statistics| {
        let networks = direct_networks().with_statistics(statistics);
        let builder = Trainer::builder(normal_means(), networks).progress(Progress::Hidden);
        let trainer = builder.seed(3).build().expect("sound networks");
        let fresh = trainer.simulate(4000, 5).expect("simulates");
        trainer.amortizer().negative_log_prob(&fresh).expect("sound")
    };
    let (with, without) = (loss(Statistics::Automatic), loss(Statistics::None));
    assert!((0.40..0.48).contains(&with) && without > 2.7, "{with} and {without}");
}

/// A checkpoint decides what is left to the library: one without statistics, as earlier versions wrote them, is resumed
/// by a program that leaves the choice open, and ends with the same weights. What a program says itself must be what
/// the training began with.
#[test]
fn a_training_without_statistics_is_resumed_without() {
    let draws = |trainer: &Trainer| {
        let test = trainer.simulate(3, 5).expect("simulates");
        trainer.amortizer().sample(&test.conditions, 4, 9).expect("draws")
    };
    let train = |trainer: &mut Trainer| {
        trainer.train(short_run(), &training()).expect("training succeeds");
    };
    let (whole, cut, with) = (tempfile::tempdir(), tempfile::tempdir(), tempfile::tempdir());
    let [whole, cut, with] = [whole, cut, with].map(|folder| folder.expect("a temporary folder"));
    let mut expected = trainer(Statistics::None, whole.path()).expect("an empty folder");
    train(&mut expected);
    let mut begun = trainer(Statistics::None, cut.path()).expect("an empty folder");
    train(&mut begun);
    drop(begun);
    let newest = ["step-00000018", "step-00000012"].map(|name| cut.path().join(name));
    newest.iter().for_each(|step| std::fs::remove_dir_all(step).expect("a checkpoint"));

    let mut resumed = trainer(Statistics::Automatic, cut.path()).expect("a checkpoint without statistics");
    assert_eq!(resumed.history().steps.len(), 6);
    train(&mut resumed);
    assert_eq!(draws(&resumed), draws(&expected));

    train(&mut trainer(Statistics::Automatic, with.path()).expect("an empty folder"));
    let refused = trainer(Statistics::None, with.path()).expect_err("a checkpoint with statistics");
    assert!(refused.to_string().contains("statistics"), "{refused}");
}
