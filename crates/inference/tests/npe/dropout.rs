//! Checks that trainings with dropout are finished without, wherever they are interrupted.

use crate::{builder, config_of, shifted, small};
use bayesburn_amortizers::{Configurator, DefaultConfigurator};
use bayesburn_core::Simulations;
use bayesburn_inference::{InferenceError, Npe, NpeTraining, TrainingSummary};
use bayesburn_networks::{AnyInferenceConfig, MixtureConfig};
use bayesburn_trainers::TrainerError;
use ndarray::arr1;
use std::{
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
};
use tracing::{
    Event, Metadata, Subscriber,
    span::{Attributes, Id, Record},
};

fn dropping(dropout: f64) -> MixtureConfig {
    let AnyInferenceConfig::Mixture(config) = AnyInferenceConfig::from(small()).with_dropout(dropout) else {
        panic!("not a mixture")
    };
    config
}

/// When a training is interrupted.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Interrupt {
    /// When this batch is configured.
    Batch(usize),
    /// When this run is over, before its last checkpoint.
    EndOfRun(usize),
}

/// Raises a flag when the trainer reports that a run is over, as a signal handler might at that moment.
struct AtEndOfRun(Arc<AtomicBool>, Interrupt, AtomicUsize);

impl Subscriber for AtEndOfRun {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        metadata.target().starts_with("bayesburn_trainers")
    }

    fn event(&self, event: &Event<'_>) {
        if event.metadata().fields().field("reason").is_some() {
            let run = self.2.fetch_add(1, Ordering::SeqCst);
            self.0.fetch_or(self.1 == Interrupt::EndOfRun(run), Ordering::SeqCst);
        }
    }

    fn new_span(&self, _: &Attributes<'_>) -> Id {
        Id::from_u64(1)
    }

    fn record(&self, _: &Id, _: &Record<'_>) {}

    fn record_follows_from(&self, _: &Id, _: &Id) {}

    fn enter(&self, _: &Id) {}

    fn exit(&self, _: &Id) {}
}

/// After an interruption it goes on, or a program that resumes does.
fn program(
    folder: &Path,
    dropout: f64,
    interrupt: Option<Interrupt>,
    goes_on: bool,
) -> Result<(Vec<u32>, TrainingSummary), InferenceError> {
    let (flag, batches) = (Arc::new(AtomicBool::new(false)), AtomicUsize::new(0));
    let raised = flag.clone();
    let configurator = move |simulations: &Simulations| {
        let batch = batches.fetch_add(1, Ordering::SeqCst);
        raised.fetch_or(interrupt == Some(Interrupt::Batch(batch)), Ordering::SeqCst);
        DefaultConfigurator.configure(simulations)
    };
    let subscriber = interrupt.map(|interrupt| AtEndOfRun(flag.clone(), interrupt, AtomicUsize::new(0)));
    let _guard = subscriber.map(tracing::subscriber::set_default);
    let training = NpeTraining::new().with_batch_size(50).with_max_epochs(3);
    let builder = builder(shifted(1, 0.3), config_of(dropping(dropout), training), 3);
    let mut npe: Npe = builder.configurator(configurator).folder(folder).resume().stop_on(flag).build()?;
    npe.simulate(300)?;
    let mut posterior = npe.train();
    if let (Some(Interrupt::EndOfRun(run)), Err(error)) = (interrupt, &posterior) {
        let InferenceError::Trainer(TrainerError::Interrupted { steps, .. }) = error else { panic!("{error}") };
        assert_eq!(*steps, STEPS * (run + 1), "it is not left for the next run");
    }
    if goes_on {
        assert!(posterior.is_err(), "{interrupt:?}");
        posterior = npe.train();
    }
    let draws = posterior?.sample_for(&arr1(&[0.5]), 100, 9)?;
    Ok((draws.values().iter().map(|value| value.to_bits()).collect(), npe.summaries()[0].clone()))
}

fn folder() -> tempfile::TempDir {
    tempfile::tempdir().expect("a temporary folder")
}

#[test]
fn the_summary_tells_the_epochs_without_dropout() {
    let of = |dropout| program(folder().path(), dropout, None, false).expect("it trains").1;
    let (with, without) = (of(0.2), of(0.0));
    assert_eq!((with.epochs, with.epochs_without_dropout), (6, 3));
    assert!(with.best_epoch > 3 && with.to_string().contains("the last 3 epochs without dropout"), "{with}");
    assert_eq!((without.epochs, without.epochs_without_dropout), (3, 0));
    assert!(!without.to_string().contains("dropout"), "{without}");
}

/// Of each of both runs, of 270 pairs in batches of 50 for three epochs.
const STEPS: usize = 15;

/// 270 pairs in batches of 50 are 6 batches an epoch, and those held out one more: 21 for each of both runs, after the
/// pilot.
#[test]
fn trainings_with_dropout_resume_to_the_bit_in_both_of_their_runs() {
    let expected = program(folder().path(), 0.2, None, false).expect("it trains");
    let batches = [5, 12, 26, 33].map(Interrupt::Batch);
    for interrupt in batches.into_iter().chain([0, 1].map(Interrupt::EndOfRun)) {
        let here = folder();
        assert!(program(here.path(), 0.2, Some(interrupt), true).expect("it goes on") == expected, "{interrupt:?}");
        let there = folder();
        let interrupted = program(there.path(), 0.2, Some(interrupt), false).map(|_| ()).expect_err("interrupted");
        assert!(matches!(interrupted, InferenceError::Trainer(TrainerError::Interrupted { .. })), "{interrupted}");
        assert!(program(there.path(), 0.2, None, false).expect("it resumes") == expected, "{interrupt:?}");
    }
}
