//! Appends, simulates and trains in the ways that there are, and looks at what is told of it.

use crate::{KS_BOUND, box_prior, builder, config_of, kolmogorov_smirnov, normal_cdf, npe, rng, shifted, short, small};
use bayesburn_amortizers::{Configurator, DefaultConfigurator, PosteriorConfig};
use bayesburn_core::{Draws, Simulations};
use bayesburn_inference::{Npe, NpeConfig, NpeTraining, ParameterSpace, Posterior, Proposal, infer};
use bayesburn_networks::{AutoregressiveFlowConfig, DeepSetConfig, InvertibleNetworkConfig, MixtureConfig};
use bayesburn_simulation::{GenerativeModel, Progress, Simulator};
use ndarray::{Array, Array2, Axis, arr1, s};
use rand::RngExt;
use rand_distr::StandardNormal;
use std::sync::{Arc, Mutex};

fn draws(posterior: &Posterior) -> Draws {
    posterior.sample_for(&arr1(&[0.5, 0.5]), 100, 1).expect("a sound request")
}

#[test]
fn one_call_is_the_same_as_all_of_them() {
    let simulator = Simulator::from_fn(|rng, theta, _| {
        arr1(&[theta[0] + 1.0, theta[1] + 1.0]).mapv(|x: f32| x + 0.5 * rng.sample::<f32, _>(StandardNormal))
    });
    let model = GenerativeModel::new(box_prior(2), simulator.clone()).expect("it simulates");
    let mut npe = npe(model, short(), 5);
    assert!(npe.history().is_none() && npe.amortizer().is_none());
    npe.simulate(200).expect("it simulates");
    assert_eq!(npe.num_simulations(), 200);
    let by_steps = npe.train().expect("it trains");
    let at_once = infer(simulator.clone(), box_prior(2), short(), 200, 5).expect("it infers");
    assert_eq!(draws(&by_steps), draws(&at_once));
    let other = infer(simulator, box_prior(2), short(), 200, 6).expect("it infers");
    assert_ne!(draws(&other), draws(&at_once), "the twin: another seed");
    let epochs = &npe.history().expect("it has trained").epochs;
    assert_eq!((epochs.len(), npe.summaries()[0].epochs), (3, 3));
    assert!(epochs.iter().all(|epoch| epoch.validation_loss.is_some()));
}

/// Whether there is a model or a prior alone, from the prior and from a proposal. The twin's second round is appended
/// as if from the prior.
#[test]
fn pairs_from_elsewhere_are_as_good_as_simulated_ones() {
    let mut simulating = npe(shifted(2, 0.5), short(), 5);
    let [mut appending, mut twin] = [(); 2].map(|()| npe(box_prior(2), short(), 5));
    for round in 1..=2 {
        simulating.simulate(150).expect("it simulates");
        let pairs = simulating.simulations().last().expect("150 pairs").clone();
        for other in [&mut appending, &mut twin] {
            other.append(pairs.parameters.clone(), pairs.data.clone()).expect("sound pairs");
        }
        let [one, other, twins] =
            [&mut simulating, &mut appending, &mut twin].map(|npe| npe.train().expect("it trains"));
        assert_eq!(draws(&one), draws(&other));
        assert_eq!(simulating.summaries(), appending.summaries());
        assert_eq!(draws(&one) == draws(&twins), round == 1, "the twin");
        let posterior = one.with_observation(arr1(&[0.5, 0.5])).expect("two numbers");
        for npe in [&mut simulating, &mut appending] {
            npe.set_proposal(Proposal::posterior(posterior.clone()).expect("it has an observation"));
        }
    }
    assert_eq!(appending.num_simulations(), 300);
}

/// What is validated on tells itself by its number: 20 of 200 pairs, then 10 more of 100, where batches have 50.
#[test]
fn held_out_pairs_stay_held_out() {
    let seen: Arc<Mutex<Vec<Vec<f32>>>> = Arc::default();
    let configurator = {
        let seen = seen.clone();
        move |simulations: &Simulations| {
            seen.lock().expect("no panic").push(simulations.parameters.iter().copied().collect());
            DefaultConfigurator.configure(simulations)
        }
    };
    let mut npe = builder(shifted(1, 0.5), short(), 1).configurator(configurator).build().expect("sound");
    let mut train = |count: usize, held_out: usize| {
        npe.simulate(count).expect("it simulates");
        npe.train().expect("it trains");
        let sets = std::mem::take(&mut *seen.lock().expect("no panic"));
        let (validated, others): (Vec<_>, Vec<_>) = sets.into_iter().partition(|set| set.len() == held_out);
        assert!(!validated.is_empty() && validated.iter().all(|set| *set == validated[0]));
        let overlap = others.concat().iter().any(|theta| validated[0].contains(theta));
        assert!(!overlap, "trained on what is held out");
        validated[0].clone()
    };
    let (first, second) = (train(200, 20), train(100, 30));
    assert!(first.iter().all(|theta| second.contains(theta)), "{first:?} are not in {second:?}");
}

/// Two rounds, and a posterior whose correction needs draws. The twin differs by the seed alone.
#[test]
fn results_do_not_depend_on_the_number_of_threads() {
    let on = |threads: usize, seed: u64| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().expect("a pool");
        pool.install(|| {
            let mut npe = npe(shifted(2, 0.5), short(), seed);
            npe.simulate(200).expect("it simulates");
            let x = arr1(&[2.5, 2.5]);
            let posterior = npe.train().expect("it trains").with_observation(x).expect("two numbers");
            npe.set_proposal(Proposal::posterior(posterior).expect("it has an observation"));
            npe.simulate(200).expect("it simulates");
            let posterior = npe.train().expect("it trains");
            let theta = Array2::from_elem((1, 2), 1.5);
            let log_prob = posterior.log_prob_for(&theta, &arr1(&[2.5, 2.5])).expect("a sound request")[0];
            (draws(&posterior), log_prob.to_bits())
        })
    };
    let one = on(1, 5);
    assert_eq!(one, on(2, 5));
    assert_eq!(one, on(3, 5));
    assert_ne!(one, on(1, 6), "the twin");
}

/// Sets of 10 observations, x_i = θ + noise of standard deviation 1/2: the posterior is N(mean x, 1/40), far from the
/// bounds of the prior.
///
/// Trained on 2,000 simulations, n = 400 draws: 1.95 / √n, alpha 1e-3, allows for shifts of a fifth of a standard
/// deviation. The twin's summaries see one observation of ten. Seeds 1 to 8 give distances between 0.57 and 1.46; this
/// is the first.
#[test]
fn a_summary_network_is_trained_along() {
    let simulator = Simulator::from_fn(|rng, theta, _| {
        Array2::from_shape_fn((10, 1), |_| theta[0] + 0.5 * rng.sample::<f32, _>(StandardNormal))
    });
    let model = GenerativeModel::new(box_prior(1), simulator).expect("it simulates");
    let networks = PosteriorConfig::new(DeepSetConfig::new(2).with_units(16).with_num_equiv(1), small());
    let training = NpeTraining::new().with_batch_size(50).with_stop_after_epochs(10);
    let config = NpeConfig::new().with_networks(networks).with_training(training.with_learning_rate(2e-3));
    let mut npe = Npe::builder(model, config).seed(1).progress(Progress::Hidden).build().expect("sound");
    npe.simulate(2000).expect("it simulates");
    let posterior = npe.train().expect("it trains");
    let x = Array2::from_shape_fn((10, 1), {
        let mut rng = rng(3);
        move |_| 0.3 + 0.5 * rng.sample::<f32, _>(StandardNormal)
    });
    let distance = |x: &Array2<f32>| {
        let mean = f64::from(x.mean().expect("ten"));
        let sample = posterior.sample_for(&x.view().to_owned(), 400, 1).expect("a sound request");
        let sample: Vec<f32> = sample.into_values().into_iter().collect();
        (sample, move |theta: f64| normal_cdf((theta - mean) * 40_f64.sqrt()))
    };
    let (sample, cdf) = distance(&x);
    assert!(kolmogorov_smirnov(sample.clone(), cdf) < KS_BOUND);
    let mut first = x.clone();
    first.fill(x[[0, 0]]);
    let (twin, _) = distance(&first);
    assert!(kolmogorov_smirnov(twin, cdf) > KS_BOUND, "the twin");
    // Several sets at once, and the order within one.
    let mut reversed = x.clone();
    reversed.invert_axis(Axis(0));
    let both = ndarray::stack![Axis(0), x, reversed];
    let two = posterior.amortizer().summaries(&posterior.conditions(&both).expect("two sets")).expect("sound");
    let difference = (&two.slice(s![0, ..]) - &two.slice(s![1, ..])).mapv(f32::abs);
    assert!(difference.iter().all(|difference| *difference < 1e-4), "{two}");
}

/// Data of any shape are one vector for a network that takes vectors, and an observation has the simulator's shape.
#[test]
fn data_with_several_axes_are_one_vector() {
    let simulator = |shape: Vec<usize>| {
        Simulator::from_fn(move |rng, theta, _| {
            Array::from_shape_fn(shape.clone(), |_| theta[0] + rng.sample::<f32, _>(StandardNormal))
        })
    };
    let (matrix, vector) = (simulator(vec![2, 3]), simulator(vec![6]));
    let matrix = infer(matrix, box_prior(1), short(), 100, 1).expect("it infers");
    let vector = infer(vector, box_prior(1), short(), 100, 1).expect("it infers");
    let x = Array2::from_shape_fn((2, 3), |(i, j)| (i + j) as f32 / 4.0);
    let flat = x.to_shape(6).expect("six").into_owned();
    assert_eq!(matrix.sample_for(&x, 50, 1).expect("2 × 3"), vector.sample_for(&flat, 50, 1).expect("6"));
    assert!(matrix.sample_for(&flat, 50, 1).is_err());
}

#[test]
fn a_summary_says_what_a_training_came_to() {
    let mut npe = npe(shifted(1, 0.5), short(), 1);
    npe.simulate(200).expect("it simulates");
    npe.train().expect("it trains");
    npe.simulate(100).expect("it simulates");
    npe.train().expect("it trains");
    let [first, second] = npe.summaries() else { panic!("two trainings") };
    assert_eq!((first.round, first.trained, first.held_out, first.excluded, first.epochs), (1, 180, 20, 0, 3));
    assert_eq!((second.trained, second.held_out), (270, 30));
    assert!((1..=3).contains(&first.best_epoch) && first.warnings.is_empty());
    let text = first.to_string();
    let loss = format!("best validation loss {:.4} in epoch {}", first.best_validation_loss, first.best_epoch);
    for part in ["Round 1: 3 epochs of 180 simulations (20 held out)", &loss, "stopped: all epochs are done"] {
        assert!(text.contains(part), "`{part}` is not in: {text}");
    }
    let mut patient = builder(shifted(1, 0.5), config_of(small(), NpeTraining::new().with_stop_after_epochs(1)), 1);
    patient = patient.progress(Progress::Hidden);
    let mut npe = patient.build().expect("sound");
    npe.simulate(50).expect("it simulates");
    npe.train().expect("it trains");
    assert!(npe.summaries()[0].to_string().contains("stopped: no improvement for 1 epochs"));
    assert_eq!(npe.summaries()[0].best_epoch + 1, npe.summaries()[0].epochs);
}

#[test]
fn a_posterior_says_what_it_is() {
    let of = |config: NpeConfig| infer_one(config).to_string();
    let text = of(short());
    for part in ["p(θ | x) of theta_0 (amortized)", "no observation of its own", "a mixture of normal", "corrected"] {
        assert!(text.contains(part), "`{part}` is not in: {text}");
    }
    assert!(of(config_of(MixtureConfig::gaussian(), training())).contains("with a normal distribution"));
    assert!(of(config_of(AutoregressiveFlowConfig::new(), training())).contains("an autoregressive flow"));
    let flow = config_of(InvertibleNetworkConfig::new(), training()).with_space(ParameterSpace::Unconstrained);
    let text = of(flow);
    assert!(text.contains("an invertible network; parameters are mapped to the reals"), "{text}");
    let mut npe = npe(shifted(1, 0.5), short(), 1);
    npe.simulate(100).expect("it simulates");
    let posterior = npe.train().expect("it trains").with_observation(arr1(&[0.25])).expect("one number");
    assert!(posterior.to_string().contains("at x = [0.25]"));
    npe.set_proposal(Proposal::truncated(posterior).expect("it has an observation"));
    npe.simulate(100).expect("it simulates");
    let posterior = npe.train().expect("it trains");
    assert!(posterior.to_string().contains("(2 rounds)") && posterior.rounds() == 2, "{posterior}");
}

fn training() -> NpeTraining {
    NpeTraining::new().with_max_epochs(1)
}

fn infer_one(config: NpeConfig) -> Posterior {
    let mut npe = npe(shifted(1, 0.5), config, 1);
    npe.simulate(100).expect("it simulates");
    npe.train().expect("it trains")
}

#[test]
fn predictions_are_simulations_of_the_posterior() {
    let posterior = infer_one(short());
    let x = arr1(&[0.5]);
    let predicted = posterior.predict(&shifted(1, 0.5), &x, 30, 4).expect("it simulates");
    assert_eq!(predicted.data.values().shape(), [30, 1]);
    assert_eq!(predicted.parameters, posterior.sample_for(&x, 30, 4).expect("a sound request").data_set(0));
    let two = ndarray::array![[0.5], [0.6]];
    assert!(posterior.predict(&shifted(1, 0.5), &two, 30, 4).is_err(), "one observation at a time");
}
