//! Trains without Burn's graph and with it, side by side: the same losses, and the posterior is never left with weights
//! from before.

use crate::models::{direct_networks, normal_means, short_run, small_networks, training};
use bayesburn::{
    amortizers::Standardization,
    prelude::*,
    trainers::{AfterLimit, Callback, EpochReport, NonFiniteSteps, StepReport},
};
use std::{
    ops::ControlFlow,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

fn trainer(networks: PosteriorConfig, seed: u64) -> Trainer {
    let builder = Trainer::builder(normal_means(), networks).seed(seed).progress(Progress::Hidden);
    builder.build().expect("valid networks")
}

#[test]
fn the_networks_of_these_tests_train_as_they_say() {
    assert!(trainer(direct_networks(), 1).amortizer().direct_loss().is_some());
    assert!(trainer(small_networks(), 1).amortizer().direct_loss().is_none());
}

#[test]
fn losses_are_those_of_steps_by_the_graph() {
    let losses =
        |mut trainer: Trainer| trainer.train(short_run(), &training()).expect("training succeeds").train_losses();
    let by_graph = Trainer::builder(normal_means(), direct_networks())
        .seed(1)
        .loss(|posterior, batch, pass| posterior.loss(batch, pass))
        .progress(Progress::Hidden)
        .build()
        .expect("valid networks");
    let by_graph = losses(by_graph);
    let agree = |other: Vec<f32>| {
        assert_eq!(other.len(), 18);
        by_graph.iter().zip(other).all(|(a, b)| (a - b).abs() < 1e-4 * a.abs().max(1.0))
    };
    assert!(agree(losses(trainer(direct_networks(), 1))));
    assert!(!agree(losses(trainer(direct_networks(), 2))), "another seed has other losses");
}

/// Data near the largest number, from one step on.
#[test]
fn too_many_bad_steps_lead_back_to_the_weights_before_them() {
    let bad = Arc::new(AtomicBool::new(false));
    let seen = bad.clone();
    let prior = Prior::from_fn(["mu"], |rng, _| [rng.sample(StandardNormal)]);
    let simulator = Simulator::from_fn(move |_, mu, _| {
        Array2::from_elem((5, 1), if seen.load(Ordering::SeqCst) { f32::MAX } else { mu[0] })
    });
    let model = GenerativeModel::new(prior, simulator).expect("the pilot run succeeds");
    struct Break(Arc<AtomicBool>);
    impl Callback for Break {
        fn on_step(&mut self, report: &StepReport) -> ControlFlow<String> {
            self.0.store((12..14).contains(&report.steps), Ordering::SeqCst);
            if report.steps == 14 { ControlFlow::Break("seen enough".into()) } else { ControlFlow::Continue(()) }
        }
    }
    let networks = direct_networks().with_standardization(Standardization::None);
    let mut trainer = Trainer::builder(model, networks)
        .prefetch(0)
        .callback(Break(bad))
        .progress(Progress::Hidden)
        .build()
        .expect("the pilot is finite");
    let test = trainer.simulate(50, 1).expect("simulates");
    let nll = |trainer: &Trainer| trainer.amortizer().negative_log_prob(&test).expect("the pilot widths");
    let before = nll(&trainer);
    // Steps 13 and 14 are bad; the first leads back to where the epoch began.
    let after_limit = AfterLimit::RollBack { rate_factor: 0.5, times: 2 };
    let steps = NonFiniteSteps::new().with_limit(0).with_after_limit(after_limit);
    let config = TrainingConfig::new().with_non_finite_steps(steps);
    let source = Online::new().with_epochs(1).with_iterations_per_epoch(20).with_batch_size(8);
    let history = trainer.train(source, &config).expect("it ends by the callback");
    assert_eq!(history.steps.iter().filter(|step| step.loss.is_none()).count(), 2);
    assert_eq!(history.train_losses().len(), 12);
    assert_eq!(nll(&trainer), before);
    // The twin: without bad steps the weights have changed.
    trainer.train(short_run(), &config).expect("training succeeds");
    assert_ne!(nll(&trainer), before);
}

/// Panics at one step.
struct Panic(usize);

impl Callback for Panic {
    fn on_step(&mut self, report: &StepReport) -> ControlFlow<String> {
        assert_ne!(report.steps, self.0, "a mistake in a callback");
        ControlFlow::Continue(())
    }
}

#[test]
fn after_a_panic_the_weights_are_those_of_the_last_step() {
    let builder = || Trainer::builder(normal_means(), direct_networks()).seed(1).progress(Progress::Hidden);
    let mut panics = builder().callback(Panic(4)).build().expect("valid networks");
    let test = panics.simulate(50, 1).expect("simulates");
    let nll = |trainer: &Trainer| trainer.amortizer().negative_log_prob(&test).expect("the pilot widths");
    let before = nll(&panics);
    assert!(catch_unwind(AssertUnwindSafe(|| panics.train(short_run(), &training()).map(|_| ()))).is_err());
    assert_eq!(panics.history().steps.len(), 4);
    struct Stop;
    impl Callback for Stop {
        fn on_step(&mut self, report: &StepReport) -> ControlFlow<String> {
            if report.steps == 4 { ControlFlow::Break("enough".into()) } else { ControlFlow::Continue(()) }
        }
    }
    let mut stops = builder().callback(Stop).build().expect("valid networks");
    stops.train(short_run(), &training()).expect("it ends by the callback");
    assert_eq!(nll(&panics), nll(&stops));
    assert_ne!(nll(&panics), before);
}

#[test]
fn a_run_ends_whose_callback_panicked_after_the_last_epoch() {
    /// Panics at the end of an epoch, once.
    struct PanicOnce(bool);
    impl Callback for PanicOnce {
        fn on_epoch(&mut self, report: &EpochReport<'_>) -> ControlFlow<String> {
            assert!(report.epoch != 1 || std::mem::replace(&mut self.0, true), "a mistake in a callback");
            ControlFlow::Continue(())
        }
    }
    let source = || Online::new().with_epochs(2).with_iterations_per_epoch(4).with_batch_size(8);
    for average in [None, Some(0.9)] {
        let config = TrainingConfig::new().with_weight_average(average);
        let builder = || Trainer::builder(normal_means(), direct_networks()).seed(1).progress(Progress::Hidden);
        let mut panics = builder().callback(PanicOnce(false)).build().expect("valid networks");
        assert!(catch_unwind(AssertUnwindSafe(|| panics.train(source(), &config).map(|_| ()))).is_err());
        panics.train(source(), &config).expect("the run only has to end");
        assert_eq!((panics.history().steps.len(), panics.history().epochs.len()), (8, 2));
        let mut whole = builder().build().expect("valid networks");
        whole.train(source(), &config).expect("it trains");
        let test = whole.simulate(50, 1).expect("simulates");
        let nll = |trainer: &Trainer| trainer.amortizer().negative_log_prob(&test).expect("the pilot widths");
        assert_eq!(nll(&panics), nll(&whole), "average: {average:?}");
    }
}
