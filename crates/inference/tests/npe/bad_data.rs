//! Warns of data and proposals that are likely to mislead, and leaves out simulations that are not finite.

use crate::{box_prior, config_of, npe, rng, shifted, short, small};
use bayesburn_inference::{Correction, InferenceError, Npe, NpeTraining, Posterior, Proposal, infer};
use bayesburn_simulation::{GenerativeModel, InvalidSimulations, SimulationError, Simulator};
use ndarray::{Array1, Array2, arr1};
use rand::RngExt;
use rand_distr::StandardNormal;

/// Pairs of θ and x = θ + 1 + noise, of which every tenth x is NaN.
fn pairs(count: usize, index: u64) -> (Array2<f32>, Array2<f32>) {
    let mut rng = rng(100 + index);
    let theta = Array2::from_shape_simple_fn((count, 1), || 4.0 * rng.random::<f32>() - 2.0);
    let x = theta.mapv(|theta| theta + 1.0 + 0.5 * rng.sample::<f32, _>(StandardNormal));
    (theta, x)
}

fn every_tenth_is_nan((theta, mut x): (Array2<f32>, Array2<f32>)) -> (Array2<f32>, Array2<f32>) {
    x.iter_mut().step_by(10).for_each(|x| *x = f32::NAN);
    (theta, x)
}

fn draws(posterior: &Posterior) -> Vec<f32> {
    posterior.sample_for(&arr1(&[0.5]), 50, 1).expect("a sound request").into_values().into_iter().collect()
}

#[test]
fn appended_data_that_are_not_finite_are_left_out_and_counted() {
    let (theta, x) = every_tenth_is_nan(pairs(200, 0));
    let finite: Vec<usize> = (0..200).filter(|row| row % 10 > 0).collect();
    let [mut with, mut without] = [npe(box_prior(1), short(), 1), npe(box_prior(1), short(), 1)];
    with.append(theta.clone(), x.clone()).expect("some are finite");
    without.append(theta.select(ndarray::Axis(0), &finite), x.select(ndarray::Axis(0), &finite)).expect("all are");
    assert_eq!(with.num_simulations(), 180);
    assert_eq!(draws(&with.train().expect("it trains")), draws(&without.train().expect("it trains")));
    assert_eq!((with.summaries()[0].excluded, without.summaries()[0].excluded), (20, 0));
    let text = with.summaries()[0].to_string();
    assert!(text.contains("162 simulations (18 held out, 20 left out as not finite)"), "{text}");
    let error = with.append(theta.clone(), x.mapv(|_| f32::NAN)).expect_err("none is finite");
    assert!(matches!(error, InferenceError::NothingValid { got: 200 }), "{error:?}");
    let error = with.append(theta.mapv(|_| f32::NAN), x).expect_err("parameters must be");
    assert!(error.to_string().contains("NaN"), "{error}");
    // Whatever the model would do with simulations of its own.
    for policy in [InvalidSimulations::Redraw { max_attempts: 5 }, InvalidSimulations::Error] {
        let model = shifted(1, 0.5).with_invalid_simulations(policy);
        let mut npe = npe(model, short(), 1);
        let (theta, x) = every_tenth_is_nan(pairs(200, 0));
        npe.append(theta, x).expect("some are finite");
        npe.train().expect("it trains");
        assert_eq!(npe.summaries()[0].excluded, 20, "{policy:?}");
    }
}

/// One number for each simulation needs no axis of its own.
#[test]
fn data_of_one_number_are_taken_as_vectors() {
    let of = |flat: bool| {
        let ((theta, x), mut npe) = (pairs(200, 0), npe(box_prior(1), short(), 1));
        match flat {
            true => npe.append(theta, x.column(0).to_owned()),
            false => npe.append(theta, x),
        }
        .expect("sound");
        draws(&npe.train().expect("it trains"))
    };
    assert_eq!(of(true), of(false));
}

/// Two measurements, of which either fails in a third of all simulations. The posterior of both is narrower by √2 than
/// that of one: within 20%, or it would not be told from 1. Of 4,000 draws each has a standard error of 1%; the rest is
/// for the estimator.
#[test]
fn missing_values_may_be_masked_and_then_observations_may_lack_them() {
    let simulator = Simulator::from_fn(|rng, theta, _| {
        Array1::from_shape_fn(2, |_| match rng.random_bool(1.0 / 3.0) {
            true => f32::NAN,
            false => theta[0] + 0.4 * rng.sample::<f32, _>(StandardNormal),
        })
    });
    let model = GenerativeModel::new(box_prior(1), simulator.on_invalid(InvalidSimulations::Mask)).expect("masked");
    let training = NpeTraining::new().with_batch_size(100).with_learning_rate(2e-3);
    let mut npe = npe(model, config_of(small(), training), 1);
    npe.simulate(3000).expect("it simulates");
    let posterior = npe.train().expect("it trains");
    assert_eq!(npe.summaries()[0].excluded, 0);
    let std = |x: [f32; 2]| posterior.sample_for(&arr1(&x), 4000, 1).expect("a sound observation").std()[[0, 0]];
    let (both, first, second) = (std([0.1, 0.1]), std([0.1, f32::NAN]), std([f32::NAN, 0.1]));
    for one in [first, second] {
        assert!((one / both / 2f64.sqrt() - 1.0).abs() < 0.2, "{one} and {both}");
    }
    let error = posterior.sample_for(&arr1(&[0.1, f32::INFINITY]), 1, 1).expect_err("infinity is not missing");
    assert!(error.to_string().contains("position [1]"), "{error}");
}

/// As by `Npe`, and in the model's pilot run too, of which both simulations fail here.
#[test]
fn inference_in_one_call_leaves_out_what_is_not_finite() {
    let simulator = Simulator::from_fn(|rng, theta, _| {
        let x = theta[0] + 0.5 * rng.sample::<f32, _>(StandardNormal);
        arr1(&[if rng.random_bool(0.7) { f32::NAN } else { x }])
    });
    let posterior = infer(simulator, box_prior(1), short(), 500, 1).expect("some are finite");
    let summary = posterior.summary().expect("just trained");
    // 350 of 500, with a standard error of 10.
    assert!((300..400).contains(&summary.excluded), "{summary}");
}

#[test]
fn few_held_out_simulations_are_warned_of_by_the_posterior_too() {
    let warned = |count| {
        let mut npe = npe(shifted(1, 0.5), short(), 1);
        npe.simulate(count).expect("it simulates");
        npe.train().expect("it trains").to_string().contains("Warning: only 10 simulations are held out")
    };
    assert!(warned(100) && !warned(200));
}

/// Data are NaN for θ above `limit`.
fn sometimes_nan(limit: f32) -> GenerativeModel {
    nan_above(limit).expect("it simulates")
}

fn nan_above(limit: f32) -> Result<GenerativeModel, SimulationError> {
    let simulator = Simulator::from_fn(move |rng, theta, _| {
        let x = theta[0] + 1.0 + 0.5 * rng.sample::<f32, _>(StandardNormal);
        arr1(&[if theta[0] > limit { f32::NAN } else { x }])
    });
    GenerativeModel::new(box_prior(1), simulator.on_invalid(InvalidSimulations::Drop))
}

/// Of n = 400 simulations a quarter is expected to be invalid, with a standard deviation of 8.7; 4 are allowed (alpha
/// 6e-5).
#[test]
fn simulations_that_are_not_finite_are_left_out_and_counted() {
    let mut npe = npe(sometimes_nan(1.0), short(), 1);
    npe.simulate(400).expect("some are finite");
    npe.train().expect("it trains");
    let summary = &npe.summaries()[0];
    assert!((65..=135).contains(&summary.excluded), "{summary}");
    assert_eq!(summary.excluded + npe.num_simulations(), 400);
    assert!(npe.simulations().all(|part| part.parameters.iter().all(|theta| *theta <= 1.0)));
}

/// So few are finite, 0.75%, that in a third of the parts of 150 on disk there is none.
#[test]
fn a_part_on_disk_may_have_none_that_is_finite() {
    let mut by_memory = npe(sometimes_nan(-1.97), short(), 1);
    by_memory.simulate(3000).expect("some are finite");
    by_memory.train().expect("it trains");
    let folder = tempfile::tempdir().expect("a temporary folder");
    for _ in 0..2 {
        let builder = crate::builder(sometimes_nan(-1.97), short(), 1).folder(folder.path()).resume();
        let mut by_disk = builder.build().expect("a sound inference");
        by_disk.simulate(3000).expect("some are finite");
        by_disk.train().expect("it trains");
        assert_eq!(by_disk.summaries(), by_memory.summaries());
    }
    let error = nan_above(-3.0).expect_err("none is finite");
    assert!(matches!(error, SimulationError::NoneValid { tried: 1022, .. }), "{error}");
}

fn proposing(model: GenerativeModel, x: f32, proposal: fn(Posterior) -> Result<Proposal, InferenceError>) -> Npe {
    let mut npe = npe(model, short(), 1);
    npe.simulate(400).expect("it simulates");
    let posterior = npe.train().expect("it trains").with_observation(arr1(&[x])).expect("one number");
    npe.set_proposal(proposal(posterior).expect("it has an observation"));
    npe
}

#[test]
fn under_a_posterior_proposal_they_are_an_error() {
    let mut npe = proposing(sometimes_nan(1.0), 1.0, Proposal::posterior);
    let error = npe.simulate(400).expect_err("leaving out biases");
    assert!(matches!(error, InferenceError::InvalidUnderProposal { got: 400, .. }), "{error:?}");
    let text = error.to_string();
    assert!(text.contains("`Proposal::truncated`") && text.contains("`Simulator::on_invalid`"), "{text}");
    let (theta, x) = every_tenth_is_nan(pairs(200, 1));
    let error = npe.append(theta, x).expect_err("appended ones too");
    assert!(matches!(error, InferenceError::InvalidUnderProposal { invalid: 20, got: 200 }), "{error:?}");
    // What is appended here has none.
    let (theta, x) = pairs(200, 2);
    npe.append(theta, x).expect("all are finite");
    npe.train().expect("it trains");
    let mut truncated = proposing(sometimes_nan(1.0), 1.0, Proposal::truncated);
    truncated.simulate(400).expect("the prior, cut, stays the prior");
    truncated.train().expect("it trains");
    assert!(truncated.summaries()[1].excluded > truncated.summaries()[0].excluded);
}

#[test]
fn a_constant_number_in_the_data_is_warned_of() {
    let with = |constant: bool| {
        let simulator = Simulator::from_fn(move |rng, theta, _| {
            let noise = 0.5 * rng.sample::<f32, _>(StandardNormal);
            arr1(&[theta[0] + noise, if constant { 7.0 } else { noise }])
        });
        let model = GenerativeModel::new(box_prior(1), simulator).expect("it simulates");
        let mut npe = npe(model, short(), 1);
        npe.simulate(200).expect("it simulates");
        let posterior = npe.train().expect("it trains");
        let draws = posterior.sample_for(&arr1(&[0.5, 7.0]), 100, 1).expect("a sound request");
        assert!(draws.values().iter().all(|theta| theta.is_finite()));
        npe.summaries()[0].clone()
    };
    let summary = with(true);
    assert_eq!(summary.warnings.len(), 1, "{summary}");
    for part in ["the same in all simulations: data column 1", "leave it out"] {
        assert!(summary.warnings[0].contains(part) && summary.to_string().contains(part), "{summary}");
    }
    assert_eq!(with(false).warnings, Vec::<String>::new());
}

/// The first posterior is of one observation, and the second round appends simulations of which that is so wrong that
/// the new posterior lies elsewhere: as if the first had been trained on a simulator with a mistake.
#[test]
fn a_proposal_that_does_not_cover_the_posterior_is_warned_of() {
    let uncovered = |shift: f32| {
        let training = NpeTraining::new().with_batch_size(50).with_learning_rate(5e-3).with_max_epochs(60);
        let mut npe = npe(box_prior(1), config_of(small(), training), 1);
        let (theta, x) = pairs(300, 3);
        npe.append(theta, x).expect("all are finite");
        let posterior = npe.train().expect("it trains").with_observation(arr1(&[0.0])).expect("one number");
        npe.set_proposal(Proposal::truncated(posterior).expect("it has an observation"));
        let (theta, x) = pairs(3000, 4);
        npe.append(theta, x - Array1::from_elem(1, shift)).expect("all are finite");
        npe.train().expect("it trains");
        npe.summaries()[1].clone()
    };
    let summary = uncovered(2.5);
    let [warning] = &summary.warnings[..] else { panic!("one warning: {summary}") };
    for part in ["% of the posterior of the observation", "the proposal of round 2", "simulate another round"] {
        assert!(warning.contains(part) && summary.to_string().contains(part), "`{part}` is not in: {summary}");
    }
    assert_eq!(uncovered(0.0).warnings, Vec::<String>::new());
}

/// All simulations of two rounds have parameters below 0, and the second's data say, by a mistake, that the
/// observation's are above. The warning names it, and the third round, which covers everything, remembers it. The
/// twin's second round has no mistake.
#[test]
fn a_posterior_where_no_round_has_simulations_is_warned_of_and_remembered() {
    let rounds = |shift: f32| {
        let training = NpeTraining::new().with_batch_size(50).with_learning_rate(5e-3).with_max_epochs(60);
        let training = training.with_correction(Correction::Atomic { atoms: 5 });
        let mut npe = npe(box_prior(1), config_of(small(), training), 1);
        let below = |count, index| {
            let (theta, x) = pairs(count, index);
            let moved = theta.mapv(|theta| -theta.abs());
            (moved.clone(), x - theta + moved)
        };
        let x = arr1(&[0.2f32]);
        let (theta, data) = below(300, 3);
        npe.append(theta, data).expect("all are finite");
        let mut next = |proposal: fn(Posterior) -> Proposal, theta: Array2<f32>, data: Array2<f32>| {
            let posterior = npe.train().expect("it trains").with_observation(x.clone()).expect("one number");
            npe.set_proposal(proposal(posterior));
            npe.append(theta, data).expect("all are finite");
            let posterior = npe.train().expect("it trains");
            (npe.summaries().last().expect("just trained").clone(), posterior.to_string())
        };
        let (theta, data) = below(3000, 4);
        let second =
            next(|posterior| Proposal::posterior(posterior).expect("it has an observation"), theta, data - shift);
        let (theta, data) = pairs(6000, 5);
        (second, next(|_| Proposal::Prior, theta, data))
    };
    let ((second, text), (third, third_text)) = rounds(2.5);
    // The pairs are those of no proposal, which is warned of too.
    let strayed = |warning: &&String| warning.contains("% of the posterior of the observation");
    let warning = second.warnings.iter().find(strayed).expect("it strays");
    for part in ["hardly any simulations of any round", "`Proposal::truncated`"] {
        assert!(warning.contains(part) && text.contains(part), "`{part}` is not in: {second}");
    }
    assert!(third.warnings.iter().any(|warning| warning.contains("posterior of round 2")), "{third}");
    assert!(third_text.contains("posterior of round 2"), "{third_text}");
    let ((second, _), (third, _)) = rounds(0.0);
    let about = |warning: &&String| warning.contains("posterior of");
    assert!(![&second, &third].iter().any(|summary| summary.warnings.iter().any(|w| about(&w))), "{second}\n{third}");
}
