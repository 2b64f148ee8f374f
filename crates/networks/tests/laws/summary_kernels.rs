//! Compares the kernels of summary networks with the same networks as compositions of Burn's operations: values and all
//! gradients, on random shapes, settings and masks, and with other numbers of threads.

use crate::{
    kernels::{CASES, Precision, Ways, activation, one_of},
    support::{gradients, perturbed, values},
};
use bayesburn_core::{DataShape, InputShape};
use bayesburn_networks::{
    AttentionArchitecture, Border, ConvolutionalNetworkConfig, DataTensor, DeepSetArchitecture, DeepSetConfig,
    DenseStageConfig, Direction, InputTensor, ParameterInit, Pass, PlainDeepSetConfig, Pooling, PostNormConfig,
    RecurrentCell, SequenceNetworkConfig, SetTransformerConfig, SummaryConfig, SummaryNetwork, TimeSeriesNetworkConfig,
    TimeSeriesTransformerConfig, TimeStamps,
};
use burn::tensor::{Device, Tensor};
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

/// Random data sets of a network.
struct Sets {
    number: usize,
    /// The axes of a data set before the features.
    axes: Vec<usize>,
    features: usize,
    has_mask: bool,
    /// Whether gradients of the data are wanted, which training does not need.
    wants_data: bool,
}

impl Sets {
    fn shape(&self) -> DataShape {
        let axes = match self.axes[..] {
            [_] => vec![None, Some(self.features)],
            _ => self.axes.iter().chain([&self.features]).map(|n| Some(*n)).collect(),
        };
        DataShape::new(vec![InputShape { name: "data".into(), axes, padded: self.has_mask }])
    }
}

/// Panics unless the kernel of a network computes what the composition does. Without a kernel, it is the composition
/// that is compared with itself: so the fast path must be there.
fn compare<C: SummaryConfig>(config: &C, seed: u64, sets: &Sets) {
    let device = Device::default().autodiff();
    let Sets { number, ref axes, features, has_mask, wants_data } = *sets;
    let rows = axes.iter().product();
    let network = |precision: Precision| {
        let network =
            config.init(&sets.shape(), &mut ParameterInit::new(seed, &device)).expect("a valid configuration");
        precision.of(perturbed(network, seed, 0.1))
    };
    let like: Tensor<2> = Precision::Single.normal(seed, [1, 1], &device);
    assert!(network(Precision::Single).fast_path(&like, &Pass::training(1)).is_some(), "{}: a fast path", C::NAME);
    let ways = Ways::of(seed, |mut pass, precision| {
        let network = network(precision);
        let data: Tensor<3> = precision.normal(seed + 1, [number, rows, features], &device);
        let data = if wants_data { data.require_grad() } else { data };
        let input = InputTensor::of_rows("data", data.clone(), axes);
        let input = match (has_mask, &axes[..]) {
            (true, [n]) => input.with_row_mask(precision.mask(seed, [number, *n], &device)),
            (true, [h, w]) => {
                input.with_row_mask(precision.mask(seed, [number, rows], &device).reshape([number, *h, *w]))
            }
            _ => input,
        };
        let summary = network.forward(&DataTensor::new(vec![input]), &mut pass);
        let weights = precision.normal(seed + 2, [number, network.summary_dim()], &device);
        let all = (summary.clone() * weights).sum().backward();
        let of_data = data.grad(&all).map(values).unwrap_or_default();
        let mut all = gradients(&network, &all);
        all.extend([("data".into(), of_data), ("summaries".into(), values(summary))]);
        all
    });
    assert_eq!(ways.kernel[ways.kernel.len() - 2].1.is_empty(), !wants_data);
    ways.assert_close(seed);
}

/// Sets or series.
fn sets(rng: &mut ChaCha8Rng, seed: u64) -> Sets {
    let [number, n, features] = [rng.random_range(1..70), rng.random_range(1..12), rng.random_range(1..5)];
    Sets { number, axes: vec![n], features, has_mask: seed.is_multiple_of(3), wants_data: seed.is_multiple_of(2) }
}

fn stage(rng: &mut ChaCha8Rng, least: usize) -> DenseStageConfig {
    DenseStageConfig::new()
        .with_num_dense(rng.random_range(least..3))
        .with_units(rng.random_range(1..20))
        .with_activation(activation(rng))
}

fn deep_set(rng: &mut ChaCha8Rng) -> DeepSetConfig {
    let plain = PlainDeepSetConfig::new().with_s1(stage(rng, 0)).with_s2(stage(rng, 0)).with_s3(stage(rng, 1));
    DeepSetConfig::new(rng.random_range(1..12))
        .with_units(rng.random_range(1..20))
        .with_num_equiv(rng.random_range(0..3))
        .with_activation(activation(rng))
        .with_pooling(one_of(rng, &[Pooling::Mean, Pooling::Max]))
        .with_architecture(one_of(rng, &[DeepSetArchitecture::Residual, DeepSetArchitecture::Plain(plain)]))
}

#[test]
fn deep_sets_are_those_of_the_composition() {
    for seed in 0..CASES {
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        let sets = sets(&mut rng, seed);
        compare(&deep_set(&mut rng), seed, &sets);
    }
}

#[test]
fn time_series_networks_are_those_of_the_composition() {
    for seed in 0..CASES {
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        let sets = sets(&mut rng, seed);
        let config = TimeSeriesNetworkConfig::new(rng.random_range(1..8))
            .with_filters(rng.random_range(1..12))
            .with_units(rng.random_range(1..12))
            .with_kernel_size(rng.random_range(1..6))
            .with_activation(activation(&mut rng))
            .with_cell(one_of(&mut rng, &[RecurrentCell::Gru, RecurrentCell::Lstm]))
            .with_direction(one_of(&mut rng, &[Direction::Forward, Direction::Both]))
            .with_skip_steps(one_of(&mut rng, &[None, Some(1), Some(3), Some(20)]));
        compare(&config, seed, &sets);
    }
}

#[test]
fn set_transformers_are_those_of_the_composition() {
    for seed in 0..CASES {
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        let sets = sets(&mut rng, seed);
        let heads = rng.random_range(1..4);
        let post_norm = PostNormConfig::new().with_key_width(rng.random_range(1..6)).with_units(7);
        let post_norm = AttentionArchitecture::PostNorm(post_norm.with_layer_norm(sets.features > 1 && rng.random()));
        let config = SetTransformerConfig::new(rng.random_range(2..8))
            .with_num_blocks(rng.random_range(0..3))
            .with_width(heads * rng.random_range(1..6))
            .with_num_heads(heads)
            .with_num_inducing_points(one_of(&mut rng, &[None, Some(1), Some(3)]))
            .with_num_seeds(rng.random_range(1..4))
            .with_architecture(one_of(&mut rng, &[AttentionArchitecture::PreNorm, post_norm]));
        compare(&config, seed, &sets);
    }
}

#[test]
fn sequence_networks_are_those_of_the_composition() {
    for seed in 0..CASES {
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        let sets = sets(&mut rng, seed);
        let config = SequenceNetworkConfig::new(rng.random_range(1..8))
            .with_num_layers(rng.random_range(0..3))
            .with_kernel_sizes(one_of(&mut rng, &[vec![1], vec![1, 2], vec![3, 1, 5]]))
            .with_filters(rng.random_range(1..8))
            .with_units(rng.random_range(1..12))
            .with_activation(activation(&mut rng))
            .with_cell(one_of(&mut rng, &[RecurrentCell::Gru, RecurrentCell::Lstm]));
        compare(&config, seed, &sets);
    }
}

#[test]
fn convolutional_networks_are_those_of_the_composition() {
    for seed in 0..CASES / 3 {
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        let axes = vec![rng.random_range(4..9), rng.random_range(4..9)];
        let (number, features) = (rng.random_range(1..40), rng.random_range(1..4));
        let sets =
            Sets { number, axes, features, has_mask: seed.is_multiple_of(3), wants_data: seed.is_multiple_of(2) };
        let filters = (0..rng.random_range(1..3)).map(|_| rng.random_range(3..8)).collect();
        let border = one_of(&mut rng, &[Border::Zeros, Border::Periodic]);
        let config = ConvolutionalNetworkConfig::new(rng.random_range(1..8))
            .with_filters(filters)
            .with_blocks(rng.random_range(1..3))
            .with_activation(activation(&mut rng))
            .with_border(if sets.has_mask { Border::Zeros } else { border })
            .with_normalized(rng.random());
        compare(&config, seed, &sets);
    }
}

#[test]
fn time_series_transformers_are_those_of_the_composition() {
    for seed in 0..CASES {
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        let sets = sets(&mut rng, seed);
        let heads = rng.random_range(1..4);
        let times = one_of(&mut rng, &[TimeStamps::Index, TimeStamps::Feature(sets.features - 1)]);
        let config = TimeSeriesTransformerConfig::new(rng.random_range(1..8))
            .with_times(times)
            .with_num_blocks(rng.random_range(1..3))
            // Not 1 unit, which normalisation makes its sign.
            .with_width(heads * rng.random_range(3..7))
            .with_num_heads(heads);
        compare(&config, seed, &sets);
    }
}

/// Summaries and all gradients of 100 data sets: bit for bit the same on all cores and on one thread.
fn same_bits_on_any_threads<C: SummaryConfig>(config: &C) {
    let device = Device::default().autodiff();
    let sets = Sets { number: 100, axes: vec![9], features: 2, has_mask: true, wants_data: false };
    let network = config.init(&sets.shape(), &mut ParameterInit::new(1, &device)).expect("a valid configuration");
    let network = perturbed(network, 2, 0.1);
    let step = || {
        let data: Tensor<3> = Precision::Single.normal(4, [100, 9, 2], &device);
        let input = InputTensor::new("data", data).with_row_mask(Precision::Single.mask(5, [100, 9], &device));
        let summaries = network.forward(&DataTensor::new(vec![input]), &mut Pass::training(1));
        let all = summaries.clone().square().sum().backward();
        (values(summaries), gradients(&network, &all))
    };
    let on_all_cores = step();
    for threads in [1, 2, 3] {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().expect("threads");
        assert!(on_all_cores == pool.install(step), "{}: {threads} threads", C::NAME);
    }
}

#[test]
fn results_do_not_depend_on_threads() {
    same_bits_on_any_threads(&DeepSetConfig::new(6));
    same_bits_on_any_threads(&SequenceNetworkConfig::new(6).with_filters(5).with_units(7));
    same_bits_on_any_threads(&SetTransformerConfig::new(6));
    same_bits_on_any_threads(&TimeSeriesTransformerConfig::new(6));
    same_bits_on_any_threads(&TimeSeriesNetworkConfig::new(6).with_filters(5).with_units(7));
}
