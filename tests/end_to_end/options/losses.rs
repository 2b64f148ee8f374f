//! Changes what a step does: weights of simulations, dropout, micro-batches, frozen parts, a loss of one's own.

use super::{builder, loss, trained};
use crate::models::{direct_networks, normal_means, short_run, small_networks, training};
use bayesburn::{amortizers::DefaultConfigurator, networks::AnyInferenceConfig, prelude::*, trainers::TrainedPart};
use burn::{
    module::{Module, ModuleVisitor, Param},
    tensor::Tensor,
};

/// Kernels that are 0 for nearly all simulations, by steps without a graph and by Burn's: batches of no weight change
/// nothing but what Adam has kept.
#[test]
fn batches_without_a_weight_are_taken() {
    let configurator = |simulations: &Simulations| {
        let configured = DefaultConfigurator.configure(simulations)?;
        let means = configured.conditions.sets().mean_axis(Axis(1)).expect("10 observations");
        let weights = means.column(0).mapv(|mean| if (mean - 0.5).abs() < 0.05 { 20.0 } else { 0.0 });
        configured.with_weights(weights)
    };
    for networks in [direct_networks(), small_networks()] {
        let builder = Trainer::builder(normal_means(), networks).seed(5).progress(Progress::Hidden);
        let mut trainer = builder.configurator(configurator).build().expect("some of the pilot have a weight");
        let config = training().with_validation_simulations(200);
        trainer.train(short_run(), &config).expect("training succeeds");
        let steps = &trainer.history().steps;
        assert_eq!(steps.iter().filter(|step| step.loss.is_none()).count(), 0);
        let of_nothing = steps.iter().filter(|step| step.loss == Some(0.0)).count();
        assert!((9..18).contains(&of_nothing), "{of_nothing} of 18");
        assert!(loss_of(&trainer).is_finite());
    }
    let nothing = |simulations: &Simulations| {
        DefaultConfigurator.configure(simulations)?.with_weights(Array1::zeros(simulations.len()))
    };
    let error = builder().configurator(nothing).build().expect_err("no weight").to_string();
    assert!(error.contains("all 512 pilot simulations are 0"), "{error}");
}

/// That of the last validation.
fn loss_of(trainer: &Trainer) -> f32 {
    trainer.history().epochs.last().and_then(|epoch| epoch.validation_loss).unwrap_or(f32::NAN)
}

/// Untrained, so that draws go wherever they can. The twins: a configurator of one's own, which may have made anything
/// of parameters, and a configuration that asks for none of it.
#[test]
fn draws_stay_inside_a_prior_with_a_density() {
    let prior = || {
        Prior::independent([
            ("rate", Univariate::log_normal(0.0, 1.0).expect("sound")),
            ("share", Univariate::uniform(0.0, 1.0).expect("sound")),
            ("mean", Univariate::normal(0.0, 1.0).expect("sound")),
        ])
    };
    let trainer = |own: bool, real: bool| {
        let simulator =
            Simulator::from_fn(|rng, theta, _| Array2::from_shape_fn((5, 3), |(_, d)| theta[d] + rng.random::<f32>()));
        let model = GenerativeModel::new(prior(), simulator).expect("it simulates");
        let networks = PosteriorConfig::new(
            DeepSetConfig::new(4).with_units(16),
            InvertibleNetworkConfig::new().with_num_coupling_layers(1),
        );
        let networks = if real { networks.with_support([Interval::Real; 3]) } else { networks };
        let builder = Trainer::builder(model, networks).seed(1).progress(Progress::Hidden);
        let builder = if own { builder.configurator(DefaultConfigurator) } else { builder };
        builder.build().expect("valid networks")
    };
    let inside = |trainer: &Trainer| {
        let draws = trainer.amortizer().sample(&Conditions::one(Array2::zeros((5, 3))), 1000, 1).expect("it draws");
        draws.data_set(0).outer_iter().all(|theta| theta[0] > 0.0 && (0.0..=1.0).contains(&theta[1]))
    };
    let within = trainer(false, false);
    assert_eq!(within.amortizer().config().support.as_deref(), prior().density().map(|density| density.support()));
    assert!(inside(&within) && !inside(&trainer(true, false)) && !inside(&trainer(false, true)));
    let outside = arr2(&[[-1.0, 0.5, 0.0]]);
    let log_prob = within.amortizer().log_prob(&outside, &Conditions::one(Array2::zeros((5, 3)))).expect("a density");
    assert_eq!(log_prob[0], f32::NEG_INFINITY);
}

/// ln x is θ with noise of 0.1, which a network of dropped units tells worse than it does when none is: what it then
/// takes for the noise is too large. n = 1,000, of which half should be in the middle half of the draws, with a
/// standard error of 0.016.
#[test]
fn a_run_without_dropout_mends_what_was_learnt_with_it() {
    let prior = Prior::independent([("theta", Univariate::normal(0.0, 1.0).expect("finite"))]);
    let simulator = Simulator::from_fn(|rng, theta, _| {
        Array1::from_shape_fn(8, |_| (theta[0] + 0.28 * rng.sample::<f32, _>(StandardNormal)).exp())
    });
    let model = GenerativeModel::new(prior, simulator).expect("it simulates");
    let configurator = |simulations: &Simulations| {
        let data =
            simulations.data.values().clone().insert_axis(ndarray::Axis(1)).into_dimensionality().expect("[B, 1, 8]");
        Configured::new(simulations.parameters.clone(), Conditions::new(data))
    };
    let normal = AnyInferenceConfig::from(MixtureConfig::gaussian()).with_dropout(0.3);
    let networks = PosteriorConfig::new(IdentityConfig::new(), normal);
    let builder = Trainer::builder(model, networks).configurator(configurator).seed(1).progress(Progress::Hidden);
    let mut trainer = builder.build().expect("valid networks");
    let test = trainer.simulate(1000, 9).expect("it simulates");
    let mut in_the_middle = |dropout| {
        let source = Online::new().with_epochs(4).with_iterations_per_epoch(150).with_batch_size(100);
        trainer.train(source, &training().with_dropout(dropout)).expect("it trains");
        let draws = trainer.amortizer().sample(&test.conditions, 199, 1).expect("it draws");
        let ranks = diagnostics::sbc_ranks(&draws, &test.parameters).expect("as many");
        ranks.values().iter().filter(|rank| (50..150).contains(*rank)).count() as f64 / 1000.0
    };
    let (with, without) = (in_the_middle(true), in_the_middle(false));
    assert!(with > 0.58, "the twin: {with}");
    assert!((without - 0.5).abs() < 0.06, "{without}");
}

#[test]
fn micro_batches_take_the_step_of_the_whole_batch() {
    // Without dropout: its masks are drawn for each part.
    let run = |micro_batches| {
        let mut trainer = Trainer::builder(normal_means(), small_networks().with_dropout(0.0))
            .seed(5)
            .progress(Progress::Hidden)
            .build()
            .expect("valid");
        // SGD: Adam would blow rounding up where a gradient is almost 0.
        let sgd = bayesburn::trainers::Optimizer::Sgd(burn::optim::SgdConfig::new());
        let config = training().with_micro_batches(micro_batches).with_optimizer(sgd);
        trainer.train(short_run(), &config).expect("training succeeds").train_losses()
    };
    let whole = run(1);
    // 3 parts of 8 simulations are unequal; 100 are as many as there are simulations.
    for parts in [2, 3, 100] {
        for (step, (a, b)) in whole.iter().zip(run(parts)).enumerate() {
            assert!((a - b).abs() < 1e-4 * a.abs().max(1.0), "{parts} parts, step {step}: {a} and {b}");
        }
    }
}

/// The weights of the inference network, to the bit.
fn inference_weights(trainer: &Trainer) -> Vec<Vec<f32>> {
    struct Values(Vec<Vec<f32>>);
    impl ModuleVisitor for Values {
        fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
            self.0.push(param.val().into_data().try_into_vec().expect("f32"));
        }
    }
    let mut values = Values(Vec::new());
    trainer.amortizer().networks().inference().visit(&mut values);
    values.0
}

#[test]
fn a_frozen_part_keeps_its_weights() {
    for networks in [small_networks(), direct_networks()] {
        the_other_part_changes(networks);
    }
}

fn the_other_part_changes(networks: PosteriorConfig) {
    let summaries = |trainer: &Trainer| {
        let test = trainer.simulate(5, 1).expect("simulates");
        trainer.amortizer().summaries(&test.conditions).expect("the pilot widths")
    };
    // Trained for a while first: an inference network at its beginning does not look at the summaries.
    let builder = Trainer::builder(normal_means(), networks).seed(5).progress(Progress::Hidden);
    let mut trainer = builder.build().expect("valid networks");
    trainer.train(short_run(), &training()).expect("training succeeds");
    let (before, loss_before) = (summaries(&trainer), loss(&trainer));
    trainer.train(short_run(), &training().with_trained_part(TrainedPart::Inference)).expect("training succeeds");
    let loss_between = loss(&trainer);
    assert_eq!(summaries(&trainer), before);
    assert_ne!(loss_between, loss_before);
    let frozen = inference_weights(&trainer);
    trainer.train(short_run(), &training().with_trained_part(TrainedPart::Summary)).expect("training succeeds");
    assert_ne!(summaries(&trainer), before);
    assert!(inference_weights(&trainer) == frozen, "the inference network changed");
    assert_ne!(loss(&trainer), loss_between);
}

#[test]
fn a_loss_of_ones_own_replaces_the_default() {
    // Twice the default loss, with SGD at half the rate: the same steps.
    let config = |rate| {
        let sgd = bayesburn::trainers::Optimizer::Sgd(burn::optim::SgdConfig::new());
        training().with_optimizer(sgd).with_clip_norm(None).with_schedule(Schedule::new().with_initial_rate(rate))
    };
    let mut twice = builder()
        .loss(|posterior, batch, pass| Ok(posterior.log_prob_of_batch(batch, pass)?.mean().mul_scalar(-2.0)))
        .build()
        .expect("valid networks");
    let losses = twice.train(short_run(), &config(1e-3)).expect("training succeeds").train_losses();
    let default = trained(&config(2e-3)).history().train_losses();
    for (twice, once) in losses.iter().zip(default) {
        assert!((twice - 2.0 * once).abs() < 1e-3 * once.abs(), "{twice} and {once}");
    }
}
