//! Checks estimates against the exact posterior: N(x − 1, 0.1²), cut to the box.

use crate::{config, model, moments, npe, prior, short, simulator, zeros};
use bayesburn_amortizers::PosteriorConfig;
use bayesburn_inference::{Correction, NpeConfig, NpeTraining, ParameterSpace, Posterior, Proposal, infer};
use bayesburn_networks::{
    AutoregressiveFlowConfig, Covariance, DeepSetConfig, IdentityConfig, InferenceConfig, InvertibleNetworkConfig,
    MixtureConfig,
};
use bayesburn_simulation::{GenerativeModel, Prior, Simulator};
use ndarray::{Array1, Array2, arr1};
use rand::RngExt;
use rand_distr::StandardNormal;

/// The largest error of a mean, and the standard deviation that is furthest from 0.1 as a multiple of it, less 1, for the observation 0.
fn errors(posterior: &Posterior, dim: usize) -> (f64, f64) {
    let draws = posterior.sample_for(&zeros(dim), 10_000, 1).expect("draws").data_set(0).to_owned();
    let (means, stds) = moments(&draws);
    let of_means = means.iter().map(|mean| (mean + 1.0).abs()).fold(0.0, f64::max);
    let further = |a: f64, b: f64| if b.abs() > a.abs() { b } else { a };
    (of_means, stds.iter().map(|std| std / 0.1 - 1.0).fold(0.0, further))
}

/// 2,000 simulations. Over three seeds errors of means were 0.014 to 0.027 and of standard deviations 6% to 24%, and the mean negative
/// log-density −2.63 to −2.65 as estimated (the best without bounds is −2.651) and −2.71 to −2.74 corrected (exact: −2.786). The bounds
/// leave room for roundings of other processors.
#[test]
fn one_round_finds_the_posterior_of_any_observation() {
    let mut npe = npe(3, config(), 1);
    npe.simulate(2000).expect("simulations");
    let posterior = npe.train().expect("a training");
    let (mean, std) = errors(&posterior, 3);
    assert!(mean < 0.04 && std.abs() < 0.3, "{mean} {std}");
    // Near a corner of the box most of the density leaks.
    let corner = posterior.sample_for(&arr1(&[3.0, 3.0, 3.0]), 2000, 2).expect("draws");
    assert!(corner.values().iter().all(|theta| theta.abs() <= 2.0));
    let fresh = model(3).simulate(2000, 99).expect("simulations");
    let nll = |log_prob: Array1<f32>| -f64::from(log_prob.mean().expect("some"));
    let estimated = nll(posterior.unnormalised_log_prob_for(&fresh.parameters, &fresh.sim_data).expect("inside"));
    let corrected = posterior.clone().with_leakage_draws(1024);
    let corrected = nll(corrected.log_prob_for(&fresh.parameters, &fresh.sim_data).expect("inside"));
    assert!(estimated < -2.58 && corrected < -2.68 && corrected > -2.84, "{estimated} {corrected}");
    let map = posterior.map_for(&zeros(3), 1).expect("a mode");
    assert!(map.parameters.iter().all(|theta| (theta + 1.0).abs() < 0.06), "{map:?}");
    let text = posterior.to_string();
    assert!(text.contains("theta_1, theta_2, theta_3") && text.contains("mixture"), "{text}");
    let summary = npe.summaries()[0].to_string();
    assert!(summary.contains("Round 1") && summary.contains("1800 simulations (200 held out)"), "{summary}");
}

/// Two rounds of 500 in one dimension, by each correction. The twin takes the second round's parameters for draws from the prior: its
/// posterior is that under the proposal, N(−1, 0.1²) squared, whose standard deviation is 0.07.
#[test]
fn further_rounds_keep_the_posterior_under_the_prior() {
    let rounds = |correction: Correction, truncated: bool, forget: bool| {
        let training = NpeTraining::new().with_batch_size(25).with_correction(correction);
        let mut npe = npe(1, config().with_training(training), 3);
        npe.simulate(500).expect("simulations");
        let first = npe.train().expect("a training").with_observation(zeros(1)).expect("an observation");
        if forget {
            let theta = first.sample(5000, 5).expect("draws").data_set(0).to_owned();
            let data = model(1).simulate_given(&theta, 7, 0, bayesburn_simulation::Progress::Hidden).expect("data");
            npe.append(theta, data.sim_data).expect("pairs");
        } else {
            let proposal = if truncated { Proposal::truncated(first) } else { Proposal::posterior(first) };
            npe.set_proposal(proposal.expect("an observation"));
            npe.simulate(500).expect("simulations");
        }
        errors(&npe.train().expect("a training"), 1)
    };
    let atoms = Correction::Atomic { atoms: 10 };
    for (correction, truncated) in [
        (atoms, false),
        (Correction::AtomicCombined { atoms: 10 }, false),
        (Correction::ClosedForm, false),
        (atoms, true),
    ] {
        let (mean, std) = rounds(correction, truncated, false);
        // Atoms are noisy: seeds gave up to 26% too much.
        let too_wide = if truncated || correction == Correction::ClosedForm { 0.2 } else { 0.4 };
        assert!(mean < 0.03 && std > -0.15 && std < too_wide, "{correction:?}, truncated {truncated}: {mean} {std}");
    }
    let (_, std) = rounds(atoms, false, true);
    assert!(std < -0.05, "the twin: {std}");
}

/// After a few epochs, in both spaces: by quadrature over the box, of 2,000 points or 400 squared; and draws have the distribution of the
/// density, by the Kolmogorov-Smirnov distance of n = 20,000 (alpha 1e-4: 2.23 / √n, and 2e-3 for leakage and grid).
#[test]
fn densities_are_normalised_in_the_box_and_those_of_the_draws() {
    let estimators: [(&str, InferenceConfig); 5] = [
        ("gaussian", MixtureConfig::gaussian().with_covariance(Covariance::Diagonal).into()),
        ("mixture", MixtureConfig::new().with_components(3).into()),
        ("autoregressive", AutoregressiveFlowConfig::new().with_num_layers(2).into()),
        ("affine", InvertibleNetworkConfig::new().with_num_coupling_layers(2).into()),
        ("spline", InvertibleNetworkConfig::neural_spline_flow().with_num_coupling_layers(2).into()),
    ];
    for (name, estimator) in estimators {
        for space in [ParameterSpace::Bounded, ParameterSpace::Unconstrained] {
            for dim in [1, 2] {
                let networks = PosteriorConfig::new(IdentityConfig::new(), estimator.clone());
                let training = NpeTraining::new().with_max_epochs(8).with_batch_size(50).with_learning_rate(2e-3);
                let config = NpeConfig::new().with_networks(networks).with_space(space).with_training(training);
                let mut npe = npe(dim, config, 4);
                npe.simulate(500).expect("simulations");
                // An observation whose posterior is at a bound.
                let x = Array1::from_elem(dim, 2.9);
                let posterior = npe.train().expect("a training").with_observation(x).expect("an observation");
                let posterior = posterior.with_leakage_draws(100_000);
                let steps: usize = if dim == 1 { 2000 } else { 400 };
                let width = 4.0 / steps as f64;
                let point = |i: usize| (-2.0 + width * (i as f64 + 0.5)) as f32;
                let theta = Array2::from_shape_fn((steps.pow(dim as u32), dim), |(row, d)| {
                    point([row % steps, row / steps][d])
                });
                let density = posterior.log_prob(&theta).expect("inside").mapv(|log| f64::from(log).exp());
                let sum = density.sum() * width.powi(dim as i32);
                assert!((sum - 1.0).abs() < 0.01, "{name}, {space:?}, {dim} dimensions: {sum}");

                const N: usize = 20_000;
                let draws = posterior.sample(N, 3).expect("draws");
                let mut first: Vec<f32> = draws.data_set(0).column(0).to_vec();
                first.sort_by(f32::total_cmp);
                let mut below = 0.0;
                for i in 0..steps {
                    below += density.iter().skip(i).step_by(steps).sum::<f64>() * width.powi(dim as i32) / sum;
                    let edge = point(i) + 0.5 * width as f32;
                    let drawn = first.partition_point(|&theta| theta <= edge) as f64 / N as f64;
                    let bound = 2.23 / (N as f64).sqrt() + 2e-3;
                    assert!((drawn - below).abs() < bound, "{name}, {space:?}, {dim}: {drawn} and {below} at {edge}");
                }
                assert!(posterior.log_prob(&Array2::from_elem((1, dim), 2.5)).expect("finite")[0] == f32::NEG_INFINITY);
            }
        }
    }
}

/// A summary network is trained jointly: the mean of 10 observations has a tenth of the noise's variance.
#[test]
fn a_summary_network_is_trained_jointly() {
    let prior = Prior::box_uniform(["mu"], &[-2.0], &[2.0]).expect("a box");
    let simulator = Simulator::from_fn(|rng, mu, _| {
        Array2::from_shape_fn((10, 1), |_| mu[0] + 0.5 * rng.sample::<f32, _>(StandardNormal))
    });
    let networks = PosteriorConfig::new(DeepSetConfig::new(4), MixtureConfig::gaussian());
    let training = NpeTraining::new().with_stop_after_epochs(10);
    let config = NpeConfig::new().with_networks(networks).with_training(training);
    let posterior = infer(simulator.clone(), prior.clone(), config, 2000, 1).expect("an inference");
    let observed = Array2::from_elem((10, 1), 0.5);
    let draws = posterior.sample_for(&observed, 5000, 1).expect("draws").data_set(0).to_owned();
    let (mean, std) = moments(&draws);
    assert!((mean[0] - 0.5).abs() < 0.1 && (std[0] / (0.5 / 10f64.sqrt()) - 1.0).abs() < 0.35, "{mean:?} {std:?}");
    let model = GenerativeModel::new(prior, simulator).expect("a model");
    let predicted = posterior.predict(&model, &observed, 50, 1).expect("predictions");
    assert_eq!(predicted.sim_data.shape(), [50, 10, 1]);
}

#[test]
fn pairs_from_elsewhere_are_as_good_as_simulated_ones() {
    let mut simulated = npe(2, short(), 5);
    simulated.simulate(300).expect("simulations");
    let pairs = simulated.simulations().next().expect("one call").clone();
    let mut appended = bayesburn_inference::Npe::builder(prior(2), short()).seed(5).build().expect("valid settings");
    appended.append(pairs.parameters, pairs.sim_data).expect("pairs");
    let draws = |posterior: Posterior| posterior.sample_for(&zeros(2), 100, 1).expect("draws");
    assert_eq!(draws(simulated.train().expect("a training")), draws(appended.train().expect("a training")));
    // Whatever the number of threads.
    let on = |threads| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().expect("threads");
        pool.install(|| draws(infer(simulator(), prior(2), short(), 300, 5).expect("an inference")))
    };
    assert_eq!(on(1), on(3));
}
