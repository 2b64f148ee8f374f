//! Checks fixed statistics beside the summaries, through what a posterior shows of them.

use crate::{config, device, mean_config, normals, perturbed, rng, untrained};
use bayesburn_amortizers::{
    AmortizedPosterior, Conditions, Configured, PosteriorConfig, Standardization, Statistics, description,
};
use bayesburn_core::{Data, DataShape, InputShape, files::seal};
use bayesburn_networks::{
    ConfigError, DataTensor, FixedStatistics, MixtureConfig, ParameterInit, Pass, SummaryConfig, SummaryNetwork,
};
use burn::{config::Config, module::Module, tensor::Tensor};
use ndarray::{Array2, Array3, Axis, s};
use serde_json::{Value, json};
use std::{fs, path::Path};
use tempfile::tempdir;

/// A network of which the summary is always 1: what is known of the data is what statistics tell.
#[derive(Config, Debug, PartialEq)]
struct BlindConfig {
    statistics: FixedStatistics,
}

#[derive(Module, Debug)]
struct Blind {}

impl SummaryConfig for BlindConfig {
    const NAME: &'static str = "blind";

    type Network = Blind;

    fn statistics(&self, _: &InputShape) -> FixedStatistics {
        self.statistics
    }

    fn init(&self, _: &DataShape, _: &mut ParameterInit) -> Result<Blind, ConfigError> {
        Ok(Blind {})
    }
}

impl SummaryNetwork for Blind {
    fn summary_dim(&self) -> usize {
        1
    }

    fn forward(&self, data: &DataTensor, _: &mut Pass) -> Tensor<2> {
        let input = &data.inputs()[0];
        let device = if input.shape().len() == 2 { input.values::<2>().device() } else { input.values::<3>().device() };
        Tensor::ones([input.shape()[0], 1], &device)
    }
}

fn blind(statistics: FixedStatistics) -> PosteriorConfig<BlindConfig> {
    PosteriorConfig::new(BlindConfig::new(statistics), MixtureConfig::gaussian())
}

const N: usize = 50;

/// What a data set of noise is made of, given a standard normal parameter.
type Model = fn(f32, Array2<f32>) -> Array2<f32>;

/// One parameter, standard normal, and 2,000 data sets of two features.
fn simulated(model: Model, index: u64) -> Configured {
    let theta = normals(&mut rng(index), (2000, 1, 1)).index_axis_move(Axis(2), 0);
    let noise = normals(&mut rng(100 + index), (2000, N, 2));
    let mut data = Array3::zeros((2000, N, 2));
    for ((theta, noise), mut data) in theta.iter().zip(noise.outer_iter()).zip(data.outer_iter_mut()) {
        data.assign(&model(*theta, noise.to_owned()));
    }
    Configured::new(theta, Conditions::new(data)).expect("sound")
}

/// −ln q of fresh simulations, before any training.
fn loss(config: PosteriorConfig<BlindConfig>, model: Model) -> f32 {
    let posterior = untrained(config, &simulated(model, 1), 1);
    posterior.negative_log_prob(&simulated(model, 2)).expect("sound")
}

fn shift(theta: f32, noise: Array2<f32>) -> Array2<f32> {
    noise + theta
}

fn scale(theta: f32, noise: Array2<f32>) -> Array2<f32> {
    noise * theta.exp()
}

fn correlation(theta: f32, mut noise: Array2<f32>) -> Array2<f32> {
    let rho = (0.5 * theta).tanh();
    noise.outer_iter_mut().for_each(|mut row| row[1] = rho * row[0] + (1.0 - rho * rho).sqrt() * row[1]);
    noise
}

/// A stationary AR(1) of variance 1.
fn persistence(theta: f32, mut noise: Array2<f32>) -> Array2<f32> {
    let phi = (0.5 * theta).tanh();
    for t in 1..noise.nrows() {
        for d in 0..2 {
            noise[[t, d]] = phi * noise[[t - 1, d]] + (1.0 - phi * phi).sqrt() * noise[[t, d]];
        }
    }
    noise
}

/// The standard normal prior has 1.419. Exact posteriors have standard deviations of 0.1 for a mean and 0.1 / √2 for a
/// logarithm of a scale, by 100 numbers; of about 2 / √(n − 3) for twice Fisher's z of 50 pairs, less for ours by the
/// prior; and of a little above 2 / √100 for that of 100 pairs of neighbours.
#[test]
fn what_statistics_tell_is_known_before_training() {
    let of_normal = |std: f32| 0.5 * (std::f32::consts::TAU * std::f32::consts::E).ln() + std.ln();
    let cases: [(Model, FixedStatistics, f32); 4] = [
        (shift, FixedStatistics::OfSets, of_normal(0.1)),
        (scale, FixedStatistics::OfSets, of_normal(0.0707)),
        (correlation, FixedStatistics::OfSets, of_normal(0.27)),
        (persistence, FixedStatistics::OfSeries, of_normal(0.22)),
    ];
    for (i, (model, statistics, exact)) in cases.into_iter().enumerate() {
        let with = loss(blind(statistics), model);
        assert!((with - exact).abs() < 0.1, "{i}: {with} against {exact}");
        // The twins: without them nothing is known, and without the regression they wait for the training.
        for without in [
            blind(statistics).with_statistics(Statistics::None),
            blind(FixedStatistics::None),
            blind(statistics).with_standardization(Standardization::Moments),
        ] {
            assert!((loss(without, model) - 1.419).abs() < 0.05, "{i}");
        }
    }
    // Sets do not know persistence.
    assert!(loss(blind(FixedStatistics::OfSets), persistence) > 1.2);
}

/// 14 statistics of which one tells something cost what one costs: (1 + 1) / 2 / 512 = 0.002, and not 0.015.
#[test]
fn statistics_that_tell_nothing_add_no_error() {
    let wide = |index: u64| {
        let theta = normals(&mut rng(index), (512, 1, 1)).index_axis_move(Axis(2), 0);
        let mut data = normals(&mut rng(100 + index), (512, N, 4));
        data.outer_iter_mut()
            .zip(&theta)
            .for_each(|(mut set, theta)| set.column_mut(0).iter_mut().for_each(|x| *x += theta));
        Configured::new(theta, Conditions::new(data)).expect("sound")
    };
    let mut gap = 0.0;
    for seed in 1..=8 {
        let posterior = untrained(blind(FixedStatistics::OfSets), &wide(seed), 1);
        let fresh = wide(50 + seed);
        let exact = exact_loss_of_first_mean(&fresh);
        gap += (f64::from(posterior.negative_log_prob(&fresh).expect("sound")) - exact) / 8.0;
    }
    // The standard error of eight gaps is below 0.003.
    assert!(gap < 0.008, "{gap}");
}

/// −ln p(θ | x) of a standard normal θ and N observations around it.
fn exact_loss_of_first_mean(batch: &Configured) -> f64 {
    let variance = 1.0 / (N as f64 + 1.0);
    let sets = batch.conditions.sets();
    let rows = sets.outer_iter().zip(&batch.parameters).map(|(set, theta)| {
        let mean = set.column(0).iter().map(|x| f64::from(*x)).sum::<f64>() * variance;
        0.5 * (f64::from(*theta) - mean).powi(2) / variance + 0.5 * (std::f64::consts::TAU * variance).ln()
    });
    rows.sum::<f64>() / batch.len() as f64
}

fn log_prob<C: SummaryConfig>(posterior: &AmortizedPosterior<C>, batch: &Configured) -> Vec<u32> {
    let log_prob = posterior.log_prob(&batch.parameters, &batch.conditions).expect("sound");
    log_prob.iter().map(|value| value.to_bits()).collect()
}

/// Without statistics, a posterior is what it was before there were any: a network that wants none has the same bits,
/// and so has a folder from then.
#[test]
fn without_statistics_nothing_changes() {
    let batch = simulated(shift, 1);
    let off = perturbed(blind(FixedStatistics::OfSets).with_statistics(Statistics::None), &batch, 1);
    let none = perturbed(blind(FixedStatistics::None), &batch, 1);
    let on = perturbed(blind(FixedStatistics::OfSets), &batch, 1);
    assert_eq!(log_prob(&off, &batch), log_prob(&none, &batch));
    assert_ne!(log_prob(&off, &batch), log_prob(&on, &batch));
    assert_eq!(description(&off)["widths"].get("statistics"), None);

    let folder = tempdir().expect("a temporary folder");
    let posterior = perturbed(config().with_statistics(Statistics::None), &batch, 1);
    posterior.save(folder.path()).expect("writable");
    rewritten(folder.path(), |saved| {
        let config = saved["config"].as_object_mut().expect("the configuration");
        assert_eq!(config.remove("statistics"), Some(json!("None")));
    });
    let loaded: AmortizedPosterior = AmortizedPosterior::load(folder.path(), &device()).expect("a folder from before");
    assert_eq!(log_prob(&posterior, &batch), log_prob(&loaded, &batch));
    assert_eq!(loaded.config().statistics, Statistics::None);
}

/// Changes a saved description, and seals the folder again.
fn rewritten(folder: &Path, change: impl FnOnce(&mut Value)) {
    let path = folder.join("amortizer.json");
    let mut saved: Value = serde_json::from_str(&fs::read_to_string(&path).expect("readable")).expect("JSON");
    change(&mut saved);
    fs::write(&path, format!("{saved:#}\n")).expect("writable");
    seal(folder).expect("writable");
}

#[test]
fn statistics_are_saved_with_a_posterior() {
    let batch = simulated(scale, 1);
    let posterior = perturbed(config(), &batch, 1);
    assert_eq!(description(&posterior)["widths"]["statistics"], json!(["OfSets"]));
    let folder = tempdir().expect("a temporary folder");
    posterior.save(folder.path()).expect("writable");
    let loaded: AmortizedPosterior = AmortizedPosterior::load(folder.path(), &device()).expect("just saved");
    assert_eq!(log_prob(&posterior, &batch), log_prob(&loaded, &batch));
    rewritten(folder.path(), |saved| saved["widths"]["statistics"] = json!(["OfSets", "OfSets"]));
    let error = AmortizedPosterior::<bayesburn_networks::DeepSetConfig>::load(folder.path(), &device());
    assert!(error.expect_err("one input").to_string().contains("another number of inputs"));
}

/// As many as for one input, in the order of the inputs; a vector's values are statistics of it.
#[test]
fn each_input_has_its_own() {
    let named = |index: u64| {
        let theta = normals(&mut rng(index), (500, 1, 2)).index_axis_move(Axis(1), 0);
        let noise = normals(&mut rng(100 + index), (500, N, 1));
        let sets = Array3::from_shape_fn((500, N, 1), |(m, n, _)| theta[[m, 0]] + noise[[m, n, 0]]);
        let vectors = Array2::from_shape_fn((500, 3), |(m, i)| theta[[m, 1]] + 0.2 * noise[[m, i, 0]]);
        let data = Data::named([("sets", Data::new(sets)), ("v", Data::new(vectors))]).expect("two inputs");
        Configured::new(theta, Conditions::from(data)).expect("sound")
    };
    let (pilot, fresh) = (named(1), named(2));
    let of_sets = description(&untrained(mean_config(), &simulated(shift, 1), 1));
    assert_eq!(of_sets["widths"]["statistics"], json!(["OfSets"]), "the default of any network of sets");
    // A network that leaves the choice to the shapes.
    let posterior = untrained(PosteriorConfig::new(AnyDataConfig::new(), MixtureConfig::gaussian()), &pilot, 1);
    assert_eq!(description(&posterior)["widths"]["statistics"], json!(["OfSets", "OfVectors"]));
    // Exact: 1 / √51 of the first, and about 0.2 / √3 of the second, whose noise the first tells a little of.
    let loss = posterior.negative_log_prob(&fresh).expect("sound");
    assert!(loss < 2.84 - 1.96 - 2.0, "{loss}");
}

#[derive(Config, Debug, PartialEq)]
struct AnyDataConfig {}

impl SummaryConfig for AnyDataConfig {
    const NAME: &'static str = "any data";

    type Network = Blind;

    fn init(&self, _: &DataShape, _: &mut ParameterInit) -> Result<Blind, ConfigError> {
        Ok(Blind {})
    }
}

/// Statistics of a set do not depend on the order of its rows, nor on the padding of the data sets beside it.
#[test]
fn densities_depend_neither_on_order_nor_on_padding() {
    let sets = |lengths: &[usize]| {
        Conditions::from(
            Data::padded(lengths.iter().map(|n| normals(&mut rng(*n as u64), (1, *n, 2)).remove_axis(Axis(0))))
                .expect("sets"),
        )
    };
    let lengths: Vec<usize> = (0..64).map(|i| 2 + i % 9).collect();
    let batch = Configured::new(crate::pilot(2).parameters, sets(&lengths)).expect("sound");
    let posterior = perturbed(config(), &batch, 1);
    let together = posterior.log_prob(&batch.parameters, &batch.conditions).expect("sound");
    for m in [0, 7, 8] {
        let theta = batch.parameters.slice(s![m..=m, ..]).to_owned();
        let alone = sets(&lengths[m..=m]);
        let turned = Conditions::new(alone.sets().slice(s![.., ..;-1, ..]).to_owned());
        for conditions in [alone, turned] {
            let log_prob = posterior.log_prob(&theta, &conditions).expect("sound")[0];
            assert!((log_prob - together[m]).abs() < 1e-3 * together[m].abs().max(1.0), "{log_prob} {}", together[m]);
        }
    }
}

/// One observation, equal values, and values far from any simulation: densities are finite and draws near the pilot's.
#[test]
fn data_unlike_any_simulation_have_finite_densities() {
    let batch = simulated(shift, 1);
    let posterior = untrained(config(), &batch, 1).with_any_num_observations();
    for data in [Array3::zeros((1, 1, 2)), Array3::from_elem((1, N, 2), 0.5), Array3::from_elem((1, N, 2), 1e30)] {
        let conditions = Conditions::new(data);
        let draws = posterior.sample(&conditions, 100, 1).expect("sound");
        assert!(draws.values().iter().all(|value| value.abs() < 20.0));
        let log_prob = posterior.log_prob(&Array2::zeros((1, 1)), &conditions).expect("sound");
        assert!(log_prob[0].is_finite());
    }
}
