//! Checks the laws of summary networks: rows are independent, padding and gaps change nothing, gradients, save and
//! load; for sets, the order does not matter and the size may vary.

use crate::support::{
    assert_gradient_everywhere, gradients, in_f64, largest_error, loaded, normal, perturbed, saved, tensor64, values,
};
use bayesburn_core::{DataShape, InputShape};
use bayesburn_networks::{
    Activation, AttentionArchitecture, ConfigError, DataTensor, DeepSetArchitecture, DeepSetConfig, DenseStageConfig,
    IdentityConfig, InputTensor, OutputInit, ParameterInit, Pass, PlainDeepSetConfig, Pooling, PostNormConfig,
    SetTransformerConfig, SummaryConfig, SummaryNetwork, TimeSeriesTransformerConfig, TimeStamps,
};
use burn::{
    config::Config,
    module::Module,
    nn::Linear,
    tensor::{Device, Int, Tensor},
};

const B: usize = 5;
const N: usize = 11;
const F: usize = 3;

/// A second summary network, with nothing but the public traits: a linear layer of the first two moments.
#[derive(Module, Debug)]
struct Moments {
    linear: Linear,
    #[module(skip)]
    summary_dim: usize,
}

#[derive(Config, Debug, PartialEq)]
struct MomentsConfig {
    summary_dim: usize,
}

impl SummaryConfig for MomentsConfig {
    const NAME: &'static str = "moments";

    type Network = Moments;

    fn init(&self, shape: &DataShape, init: &mut ParameterInit) -> Result<Moments, ConfigError> {
        let features = shape.inputs()[0].features();
        let linear = init.linear(2 * features, self.summary_dim, OutputInit::Glorot);
        Ok(Moments { linear, summary_dim: self.summary_dim })
    }
}

impl SummaryNetwork for Moments {
    fn summary_dim(&self) -> usize {
        self.summary_dim
    }

    fn forward(&self, data: &DataTensor, _pass: &mut Pass) -> Tensor<2> {
        let (data, mask) = data.only().sets();
        let [rows, _, features] = data.dims();
        let mask = mask.unwrap_or_else(|| data.clone().narrow(2, 0, 1).ones_like());
        let mean = |of: Tensor<3>| (of * mask.clone()).sum_dim(1) / mask.clone().sum_dim(1);
        let moments = Tensor::cat(vec![mean(data.clone()), mean(data.square())], 2);
        self.linear.forward(moments.reshape([rows, 2 * features]))
    }
}

/// Applies a law to every summary network of sets and of series.
fn for_all(law: &impl Law) {
    for_sets(law);
    for_series(law);
}

/// Applies a law to every network of series. A new one is one line here, and inherits every law but those of sets.
fn for_series(law: &impl Law) {
    let small = TimeSeriesTransformerConfig::new(4).with_width(8).with_num_heads(2);
    law.check("time series transformer", &small);
    law.check("time series transformer, dropout", &small.clone().with_dropout(0.2));
    law.check("time series transformer, times of a feature", &with_times(small));
}

fn with_times(config: TimeSeriesTransformerConfig) -> TimeSeriesTransformerConfig {
    config.with_times(TimeStamps::Feature(1)).with_num_blocks(1)
}

/// Applies a law to every network of sets. A new one is one line here, and inherits every law.
fn for_sets(law: &impl Law) {
    for_distributions(law);
    deep_sets(Pooling::Sum, law);
}

/// Applies a law to the networks of sets that see how observations are distributed, and not how many there are.
fn for_distributions(law: &impl Law) {
    for pooling in [Pooling::Mean, Pooling::Max, Pooling::Attention] {
        deep_sets(pooling, law);
    }
    let small = || SetTransformerConfig::new(4).with_width(8).with_num_heads(2);
    let v1 = |layer_norm| {
        let blocks = PostNormConfig::new().with_key_width(3).with_units(7).with_layer_norm(layer_norm);
        small().with_architecture(AttentionArchitecture::PostNorm(blocks))
    };
    for (name, config) in [
        ("set transformer", small()),
        ("set transformer, dropout, one seed", small().with_dropout(0.2).with_num_seeds(1)),
        ("set transformer, inducing points", small().with_num_inducing_points(Some(5))),
        ("set transformer, no block", small().with_num_blocks(0)),
        ("set transformer, post-norm", v1(false).with_num_inducing_points(Some(5)).with_num_seeds(1)),
        ("set transformer, post-norm, several seeds", v1(true)),
    ] {
        law.check(name, &config);
    }
    law.check("moments", &MomentsConfig::new(4));
}

fn deep_sets(pooling: Pooling, law: &impl Law) {
    let small = |architecture| DeepSetConfig::new(4).with_units(8).with_architecture(architecture);
    let plain = |s1, s2, s3| {
        // Each stage with a width and an activation of its own.
        let stage = |num, units, activation| {
            DenseStageConfig::new().with_num_dense(num).with_units(units).with_activation(activation)
        };
        let config = PlainDeepSetConfig::new()
            .with_s1(stage(s1, 8, Activation::Relu))
            .with_s2(stage(s2, 6, Activation::Silu))
            .with_s3(stage(s3, 12, Activation::Tanh));
        small(DeepSetArchitecture::Plain(config))
    };
    for (name, config) in [
        ("residual", small(DeepSetArchitecture::Residual)),
        ("residual, silu", small(DeepSetArchitecture::Residual).with_activation(Activation::Silu)),
        ("residual, dropout", small(DeepSetArchitecture::Residual).with_dropout(0.2)),
        ("residual, no equivariant module", small(DeepSetArchitecture::Residual).with_num_equiv(0)),
        ("plain", plain(2, 2, 2)),
        ("plain, one layer", plain(0, 0, 1)),
        ("plain, no layer before the pool", plain(0, 1, 2)),
        ("plain, no equivariant module", plain(1, 0, 1).with_num_equiv(0)),
    ] {
        law.check(&format!("{name}, {pooling:?}"), &config.with_pooling(pooling));
    }
}

trait Law {
    fn check<C: SummaryConfig>(&self, name: &str, config: &C);
}

fn network<C: SummaryConfig>(config: &C, seed: u64, device: &Device) -> C::Network {
    let network = config.init(&DataShape::of_sets(F), &mut ParameterInit::new(seed, device)).expect("valid");
    // Biases begin as 0, where relu has its kink.
    perturbed(network, seed, 0.1)
}

fn data(device: &Device) -> Tensor<3> {
    tensor64(&normal(21, B * N * F), [B, N, F], device)
}

fn run<S: SummaryNetwork>(network: &S, data: Tensor<3>) -> Vec<f64> {
    values(network.forward(&data.into(), &mut Pass::inference(0)))
}

#[test]
fn the_order_of_a_set_does_not_matter() {
    struct Order;
    impl Law for Order {
        fn check<C: SummaryConfig>(&self, name: &str, config: &C) {
            let device = Device::default();
            let network = in_f64(network(config, 1, &device));
            let data = data(&device);
            let order = Tensor::<1, Int>::from_data([7, 2, 10, 0, 5, 1, 9, 3, 8, 6, 4], &device);
            let [there, shuffled] = [data.clone(), data.clone().select(1, order)].map(|data| run(&network, data));
            // Sums in another order differ by rounding in f64; an order that matters changes the first digit.
            let error = largest_error(&shuffled, &there);
            assert!(error < 1e-13, "{name}: off by {error:.1e}");
            let other_rows = run(&network, data.flip([0]));
            assert!(largest_error(&other_rows, &there) > 1e-3, "{name}: constant in its input");
        }
    }
    for_sets(&Order);
}

#[test]
fn the_size_of_a_set_may_vary() {
    struct Size;
    impl Law for Size {
        fn check<C: SummaryConfig>(&self, name: &str, config: &C) {
            let device = Device::default();
            let network = in_f64(network(config, 1, &device));
            let data = data(&device);
            for n in [1, 2, 100] {
                let set = data.clone().repeat_dim(1, 10).narrow(1, 0, n);
                let summary = network.forward(&set.into(), &mut Pass::inference(0));
                assert_eq!(summary.dims(), [B, network.summary_dim()], "{name}");
                assert!(values(summary).iter().all(|v| v.is_finite()), "{name}");
            }
        }
    }
    for_sets(&Size);
}

/// How the summaries change if each observation is there twice.
struct Twice {
    changes: bool,
}

impl Law for Twice {
    fn check<C: SummaryConfig>(&self, name: &str, config: &C) {
        let device = Device::default();
        let network = in_f64(network(config, 1, &device));
        let [once, twice] = [1, 2].map(|times| run(&network, data(&device).repeat_dim(1, times)));
        let error = largest_error(&twice, &once);
        assert!(if self.changes { error > 1e-3 } else { error < 1e-13 }, "{name}: off by {error:.1e}");
    }
}

#[test]
fn a_set_taken_twice_has_the_same_summary_unless_it_is_summed() {
    for_distributions(&Twice { changes: false });
    deep_sets(Pooling::Sum, &Twice { changes: true });
}

/// Whatever stands in the padding: of data sets of 11, 4, 7, 1 and 9 observations together, and of each by itself.
#[test]
fn padding_changes_nothing() {
    struct Padding;
    impl Law for Padding {
        fn check<C: SummaryConfig>(&self, name: &str, config: &C) {
            let device = Device::default();
            let lengths = [N, 4, 7, 1, 9];
            let network = in_f64(network(config, 1, &device));
            let mask = lengths.iter().flat_map(|n| (0..N).map(move |i| f64::from(i < *n)));
            let mask = tensor64(&mask.collect::<Vec<_>>(), [B, N], &device);
            // Far beyond what is there.
            let padding = mask.clone().equal_elem(0.0).unsqueeze_dim::<3>(2).expand([B, N, F]);
            let padded = data(&device).mask_fill(padding, 1e3);
            let input = InputTensor::new("data", padded).with_row_mask(mask);
            let together = values(network.forward(&DataTensor::new(vec![input]), &mut Pass::inference(0)));
            for (row, together) in together.chunks(network.summary_dim()).enumerate() {
                let alone = run(&network, data(&device).narrow(0, row, 1).narrow(1, 0, lengths[row]));
                // Not bit for bit: sums of as many rows and zeros are in another order.
                let error = largest_error(&alone, together);
                assert!(error < 1e-13, "{name}, row {row}: off by {error:.1e}");
            }
        }
    }
    for_all(&Padding);
}

/// Data sets of which rows in the middle do not exist.
struct Gaps {
    /// Whether a data set with gaps is the data set without these rows.
    closes: bool,
}

impl Law for Gaps {
    fn check<C: SummaryConfig>(&self, name: &str, config: &C) {
        let device = Device::default();
        let network = in_f64(network(config, 1, &device));
        // Of each data set other rows, the first and the last one among them.
        let kept = [vec![0, 1, 4, 7, 10], vec![2, 3, 8], vec![6], (0..N).collect(), vec![0, 10]];
        let mask = kept.iter().flat_map(|rows| (0..N).map(|i| f64::from(u8::from(rows.contains(&i)))));
        let mask = tensor64(&mask.collect::<Vec<_>>(), [B, N], &device);
        let gaps = mask.clone().equal_elem(0.0).unsqueeze_dim::<3>(2).expand([B, N, F]);
        let [zeros, far] = [0.0, 1e3].map(|fill| {
            let input = InputTensor::new("data", data(&device).mask_fill(gaps.clone(), fill));
            let data = DataTensor::new(vec![input.with_row_mask(mask.clone())]);
            values(network.forward(&data, &mut Pass::inference(0)))
        });
        let error = largest_error(&far, &zeros);
        assert!(error < 1e-13, "{name}: what stands in a gap changes a summary by {error:.1e}");
        let whole = run(&network, data(&device));
        assert!(largest_error(&whole, &zeros) > 1e-3, "{name}: as if rows in the gaps existed");
        if !self.closes {
            return;
        }
        for (set, (kept, together)) in kept.iter().zip(zeros.chunks(network.summary_dim())).enumerate() {
            let rows = Tensor::<1, Int>::from_data(&kept[..], &device);
            let alone = run(&network, data(&device).narrow(0, set, 1).select(1, rows));
            let error = largest_error(&alone, together);
            assert!(error < 1e-13, "{name}, data set {set} without its gaps: off by {error:.1e}");
        }
    }
}

#[test]
fn gaps_change_nothing() {
    for_sets(&Gaps { closes: true });
    for_series(&Gaps { closes: false });
    let small = TimeSeriesTransformerConfig::new(4).with_width(8).with_num_heads(2);
    Gaps { closes: true }.check("time series transformer, times of a feature", &with_times(small));
}

/// The shapes that a network does not take are errors with what it takes.
#[test]
fn data_of_other_shapes_are_refused() {
    let init = &mut ParameterInit::new(1, &Device::default());
    let axes = vec![Some(8), Some(8), Some(1)];
    let image = DataShape::new(vec![InputShape { name: "image".to_owned(), axes, padded: false }]);
    let error = DeepSetConfig::new(4).init(&image, init).expect_err("no sets").to_string();
    assert!(error.contains("one input of sets [N, F]") && error.contains("image [8, 8, 1]"), "{error}");
    let error = SetTransformerConfig::new(4).init(&image, init).expect_err("no sets").to_string();
    assert!(error.contains("one input of sets [N, F]") && error.contains("image [8, 8, 1]"), "{error}");
    let error = TimeSeriesTransformerConfig::new(4).init(&image, init).expect_err("no series").to_string();
    assert!(error.contains("one input of series [N, F]") && error.contains("image [8, 8, 1]"), "{error}");
    assert!(
        IdentityConfig::new().init(&image, init).is_err()
            && IdentityConfig::new().init(&DataShape::of_sets(3), init).is_ok()
    );
}

#[test]
fn data_sets_do_not_influence_each_other() {
    struct Rows;
    impl Law for Rows {
        fn check<C: SummaryConfig>(&self, name: &str, config: &C) {
            let device = Device::default();
            let network = in_f64(network(config, 1, &device));
            let data = data(&device);
            let together = run(&network, data.clone());
            for (row, together) in together.chunks(network.summary_dim()).enumerate() {
                let alone = run(&network, data.clone().narrow(0, row, 1));
                // Not bit for bit: products of matrices sum in another order for other shapes.
                let error = largest_error(&alone, together);
                assert!(error < 1e-13, "{name}, row {row}: off by {error:.1e}");
            }
        }
    }
    for_all(&Rows);
}

#[test]
fn a_gradient_reaches_every_parameter() {
    struct Gradient;
    impl Law for Gradient {
        fn check<C: SummaryConfig>(&self, name: &str, config: &C) {
            let device = Device::default().autodiff();
            let network = in_f64(network(config, 1, &device));
            let loss = network.forward(&data(&device).into(), &mut Pass::training(0)).square().sum();
            assert_gradient_everywhere(name, &gradients(&network, &loss.backward()));
        }
    }
    for_all(&Gradient);
}

#[test]
fn a_fresh_object_with_loaded_weights_is_the_same_network() {
    struct Load;
    impl Law for Load {
        fn check<C: SummaryConfig>(&self, name: &str, config: &C) {
            let device = Device::default();
            let data = data(&device).cast(burn::tensor::DType::F32);
            let [original, fresh] = [1, 2].map(|seed| network(config, seed, &device));
            let expected = run(&original, data.clone());
            assert_ne!(run(&fresh, data.clone()), expected, "{name}: equal before loading proves nothing");
            assert_eq!(run(&loaded(fresh, saved(&original)), data), expected, "{name}");
        }
    }
    for_all(&Load);
}
