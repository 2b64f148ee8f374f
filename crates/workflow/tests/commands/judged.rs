//! Judges posteriors by `Diagnose`: each takes the path that a user's observations take.

use bayesburn_amortizers::{
    AmortizedPosterior, Conditions, Configurator, Configured, DefaultConfigurator, PosteriorConfig,
};
use bayesburn_core::Simulations;
use bayesburn_diagnostics::{DiagnosticsSuite, Report, SuiteInput};
use bayesburn_inference::{Npe, NpeConfig, NpeTraining};
use bayesburn_networks::{DeepSetConfig, IdentityConfig, InvertibleNetworkConfig, MixtureConfig, SummaryConfig};
use bayesburn_simulation::{
    ContextGenerator, GenerativeModel, InvalidSimulations, Prior, Progress, Simulator, Univariate,
};
use bayesburn_trainers::{Online, Schedule, Trainer, TrainingConfig};
use bayesburn_workflow::Diagnose;
use ndarray::{Array2, ArrayD, arr0, arr1};
use rand::RngExt;
use rand_distr::StandardNormal;
use std::{
    collections::BTreeSet,
    sync::{Arc, Mutex},
};

/// θ ~ N(0, 1), two values x ~ N(5 + θ, 0.5²), of which the second is missing where the first is above 5: a posterior
/// that passes. n = 500 data sets of 200 draws, a false-alarm rate of 1%, seed 0. The twin is asked about zeros in
/// place of what is missing, and fails.
#[test]
fn missing_values_are_missing_to_the_judge() {
    let prior = Prior::independent([("theta", Univariate::normal(0.0, 1.0).expect("sound"))]);
    let simulator = Simulator::from_fn(|rng, theta, _| {
        let x = [(); 2].map(|()| theta[0] + 5.0 + 0.5 * rng.sample::<f32, _>(StandardNormal));
        arr1(&[x[0], if x[0] > 5.0 { f32::NAN } else { x[1] }])
    });
    let model = GenerativeModel::new(prior, simulator.on_invalid(InvalidSimulations::Mask)).expect("masked");
    let mut npe =
        Npe::builder(model.clone(), NpeConfig::new()).seed(1).progress(Progress::Hidden).build().expect("sound");
    npe.simulate(5000).expect("it simulates");
    let posterior = npe.train().expect("it trains");
    let diagnosis = Diagnose::new().with_size(500, 200).posterior(&posterior, &model).expect("it runs");
    assert!(diagnosis.report().passed(), "{}", diagnosis.report());

    let test = model.simulate(500, 77).expect("it simulates");
    let passes = |x: &ArrayD<f32>| {
        let draws = posterior.sample_for(x, 200, 3).expect("draws");
        let input = SuiteInput::new(&draws, &test.parameters).expect("sound input");
        DiagnosticsSuite::new().run(&input).expect("it runs").passed()
    };
    assert!(passes(&test.observations()) && !passes(test.data.values()));
}

/// What an inference leaves out, its judge leaves out, and a simulator may return one number.
#[test]
fn models_are_judged_as_they_are_written() {
    let prior = Prior::independent([("theta", Univariate::normal(0.0, 1.0).expect("sound"))]);
    let simulator = Simulator::from_fn(|rng, theta, _| {
        let x = theta[0] + rng.sample::<f32, _>(StandardNormal);
        arr0(if theta[0] > 1.2816 { f32::NAN } else { x })
    });
    let model = GenerativeModel::new(prior, simulator).expect("most are valid");
    let config = NpeConfig::new().with_training(NpeTraining::new().with_max_epochs(2));
    let mut npe = Npe::builder(model.clone(), config).progress(Progress::Hidden).build().expect("sound");
    npe.simulate(200).expect("it simulates");
    let posterior = npe.train().expect("it trains");
    let diagnosis = Diagnose::new().with_size(300, 20).posterior(&posterior, &model).expect("it runs");
    let judged = diagnosis.report().num_data_sets;
    assert!((240..=290).contains(&judged), "a tenth of 300 is left out: {judged}");
}

/// What networks see of simulations, but not the context that a batch shares.
fn without_context(simulations: &Simulations) -> Result<Configured, bayesburn_amortizers::AmortizerError> {
    let configured = DefaultConfigurator.configure(simulations)?;
    Configured::new(configured.parameters, Conditions::new(configured.conditions.sets().to_owned()))
}

fn trained<C: SummaryConfig>(
    model: &GenerativeModel,
    networks: PosteriorConfig<C>,
    configurator: impl Configurator,
    steps: usize,
) -> Trainer<AmortizedPosterior<C>> {
    let builder = Trainer::builder(model.clone(), networks).configurator(configurator);
    let mut trainer = builder.seed(1).progress(Progress::Hidden).build().expect("sound");
    let source = Online::new().with_epochs(1).with_iterations_per_epoch(steps).with_batch_size(64);
    let config = TrainingConfig::new().with_schedule(Schedule::new().with_initial_rate(2e-3));
    trainer.train(source, &config).expect("it trains");
    trainer
}

fn judge<C: SummaryConfig>(trainer: &Trainer<AmortizedPosterior<C>>) -> Report {
    let diagnosis = Diagnose::new().with_size(1000, 100).trainer(trainer).expect("it runs");
    diagnosis.report().clone()
}

/// θ ~ N(0, 1) and x ~ N(θ + c, 1/4), with a shift c that a batch shares. Told c, the posterior N(4 (x − c) / 5, 1/5)
/// is in reach of a normal density, and passes (1,000 data sets at a false-alarm rate of 1%, seed 0). The twin is not
/// told c: its posteriors are right on average over c, too high for large c, and too low for small ones.
#[test]
fn context_that_a_batch_shares_is_judged_over_all_of_it() {
    let prior = Prior::from_fn(["theta"], |rng, _| [rng.sample(StandardNormal)]);
    let simulator = Simulator::from_fn(|rng, theta, context| {
        arr1(&[theta[0] + context.non_batchable()[[0]] + 0.5 * rng.sample::<f32, _>(StandardNormal)])
    });
    let shift = ContextGenerator::new().with_non_batchable(|rng| arr1(&[rng.sample::<f32, _>(StandardNormal)]));
    let model = GenerativeModel::new(prior, simulator.with_context(shift)).expect("the pilot run succeeds");
    let networks = || PosteriorConfig::new(IdentityConfig::new(), MixtureConfig::gaussian());
    let told = judge(&trained(&model, networks(), DefaultConfigurator, 1500));
    assert!(told.passed(), "{told}");
    assert_eq!((told.contexts[0].distinct, told.strata.len(), told.num_data_sets), (200, 5, 1000));
    assert!(told.to_string().contains("The verdict is over the context from -"), "{told}");

    let untold = judge(&trained(&model, networks(), without_context, 1500));
    let (low, high) = (&untold.strata[0], &untold.strata[4]);
    assert!(!untold.passed() && !low.passed && !high.passed, "{untold}");
    // By the posterior's standard deviation at least; the one of all together is right.
    assert!(low.bias[0] < -0.5 && high.bias[0] > 0.5 && untold.metrics.parameters[0].bias.abs() < 0.2, "{untold}");
    let text = untold.to_string();
    assert!(text.contains(&format!("{}: `theta`: posteriors are too low", low.label)), "{text}");
    assert!(text.contains("Check that the networks are given the context"), "{text}");
}

/// Data sets of 5 to 24 observations, and networks that are not told how many: one verdict for ranges of N, of data of
/// all shapes.
#[test]
fn numbers_of_observations_are_judged_over_all_of_them() {
    let prior = Prior::from_fn(["mu"], |rng, _| [rng.sample(StandardNormal)]);
    let simulator = Simulator::from_fn(|rng, mu, context| {
        Array2::from_shape_fn((context.num_observations(), 1), |_| mu[0] + rng.sample::<f32, _>(StandardNormal))
    });
    let simulator = simulator.with_context(ContextGenerator::num_observations(1..=24));
    let model = GenerativeModel::new(prior, simulator).expect("the pilot run succeeds");
    let networks = PosteriorConfig::new(
        DeepSetConfig::new(2).with_units(16),
        InvertibleNetworkConfig::new().with_num_coupling_layers(1),
    );
    let trainer = trained(&model, networks, without_context, 400);
    let seen = Arc::new(Mutex::new(BTreeSet::new()));
    let sizes = seen.clone();
    let diagnose = Diagnose::new().with_size(1000, 100).with_quantity("mean", move |_, x| {
        let n = x.sets().dim().1;
        sizes.lock().expect("no panic").insert(n);
        f64::from(x.sets().sum()) / n as f64
    });
    let diagnosis = diagnose.trainer(&trainer).expect("it runs");
    let report = diagnosis.report();
    assert_eq!(seen.lock().expect("no panic").len(), 24, "every N");
    let range = &report.contexts[0];
    assert_eq!((range.name.as_str(), range.least, range.most, range.distinct), ("N", 1.0, 24.0, 24));
    assert!(report.strata.len() == 5 && report.strata[0].label == "N = 1", "{report}");
    assert!(!report.strata[0].passed, "posteriors that are not told N are too narrow where it is small: {report}");
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("report.html");
    diagnosis.save(&path).expect("written");
    assert!(std::fs::read_to_string(path).expect("written").contains("N = 1"));

    // By hand, batch after batch.
    let batches = trainer.simulate_over_contexts(100, 3).expect("it simulates");
    assert_eq!(batches.iter().map(Configured::len).sum::<usize>(), 100);
    let sizes: BTreeSet<usize> = batches.iter().map(|batch| batch.conditions.sets().dim().1).collect();
    assert!(sizes.len() > 5, "{sizes:?}");
}
