//! Checks what depends on the pass: dropout, SoftFlow's noise; and what bounds a network, spectral normalisation.

use crate::support::{gradients, largest_error, map_floats, normal, tensor, values};
use bayesburn_core::DataShape;
use bayesburn_networks::{
    ActNormConfig, Activation, AffineConfig, AffineNets, Bijection, CouplingDesign, DeepSet, DeepSetArchitecture,
    DeepSetConfig, DenseNet, DenseNetConfig, InvertibleNetworkConfig, OutputInit, ParameterInit, Pass,
    PermutationConfig, PlainDeepSetConfig, Pooling, SetTransformerConfig, SoftFlowConfig, SummaryConfig,
    SummaryNetwork, TimeSeriesTransformerConfig,
};
use burn::{
    linalg,
    tensor::{Device, Tensor},
};

const UNITS: usize = 500;
const ROWS: usize = 400;
const DROPOUT: f64 = 0.3;

/// A network that sums its hidden units, each of which is 1 for an input of 1.
fn sum_of_units(mc_dropout: bool, device: &Device) -> DenseNet {
    let config = DenseNetConfig::new().with_units(UNITS).with_num_dense(1).with_dropout(DROPOUT);
    let config = config.with_mc_dropout(mc_dropout);
    let net = config.init(1, 1, OutputInit::Glorot, &mut ParameterInit::new(0, device)).expect("valid");
    map_floats(net, |_, old| vec![if old.shape().num_dims() == 2 { 1.0 } else { 0.0 }; old.num_elements()])
}

fn run(net: &DenseNet, mut pass: Pass) -> Vec<f64> {
    values(net.forward(Tensor::ones([ROWS, 1], &Device::default()), &mut pass))
}

#[test]
fn dropout_is_off_at_inference() {
    let net = sum_of_units(false, &Device::default());
    assert_eq!(run(&net, Pass::inference(1)), vec![UNITS as f64; ROWS]);
}

#[test]
fn dropout_in_training_keeps_the_mean() {
    let net = sum_of_units(false, &Device::default());
    let sums = run(&net, Pass::training(1));
    assert_ne!(sums, run(&net, Pass::training(2)));
    assert_eq!(sums, run(&net, Pass::training(1)));
    // Each unit is 0 or 1 / (1 − p): mean 1, variance p / (1 − p). n = 200,000 units, |z| < 4: alpha = 6e-5. Without
    // the factor 1 / (1 − p) the mean is 0.7, 200 standard errors away.
    let variance = DROPOUT / (1.0 - DROPOUT);
    let mean = sums.iter().sum::<f64>() / (ROWS * UNITS) as f64;
    assert!((mean - 1.0).abs() < 4.0 * (variance / (ROWS * UNITS) as f64).sqrt(), "mean {mean}");
    // The variance over rows, if units are dropped independently; its standard error is √(2 / 400) of it.
    let spread = sums.iter().map(|s| (s / UNITS as f64 - mean).powi(2)).sum::<f64>() / ROWS as f64;
    let ratio = spread / (variance / UNITS as f64);
    assert!((ratio - 1.0).abs() < 4.0 * (2.0 / ROWS as f64).sqrt(), "variance {ratio} of the expected one");
}

#[test]
fn monte_carlo_dropout_is_on_at_inference_and_the_seed_reproduces_it() {
    let net = sum_of_units(true, &Device::default());
    let sums = run(&net, Pass::inference(1));
    assert!(sums.iter().any(|s| *s != UNITS as f64));
    assert_eq!(sums, run(&net, Pass::inference(1)));
    assert_ne!(sums, run(&net, Pass::inference(2)));
}

/// Both wirings with every stage that has hidden layers, mean pooling, relu. With weights and data above 0 relu is the
/// identity and every path from input to output goes through units of different masks, so that the mean over masks is
/// the network without dropout; with biases of 0 it is not 0.
fn deep_sets(dropout: f64, device: &Device) -> [(&'static str, DeepSet); 3] {
    let plain = DeepSetArchitecture::Plain(PlainDeepSetConfig::new());
    [
        ("residual", DeepSetConfig::new(2)),
        ("residual, no equivariant module", DeepSetConfig::new(2).with_num_equiv(0)),
        ("plain", DeepSetConfig::new(2).with_architecture(plain).with_num_equiv(1)),
    ]
    .map(|(name, config)| {
        let config = config.with_units(8).with_dropout(dropout);
        let network = config.init(&DataShape::of_sets(3), &mut ParameterInit::new(1, device)).expect("valid");
        (name, map_floats(network, |_, old| old.iter::<f64>().map(f64::abs).collect()))
    })
}

/// 2,000 data sets, all the same.
fn equal_sets(device: &Device) -> Tensor<3> {
    let set: Vec<f64> = normal(51, 5 * 3).into_iter().map(f64::abs).collect();
    tensor(&set, [1, 5, 3], device).repeat_dim(0, 2000)
}

#[test]
fn dropout_of_deep_sets_is_on_in_training_alone() {
    let device = Device::default();
    let data = || equal_sets(&device).narrow(0, 0, 3);
    for ((name, with), (_, without)) in deep_sets(DROPOUT, &device).into_iter().zip(deep_sets(0.0, &device)) {
        let run = |network: &DeepSet, mut pass: Pass| values(network.forward(&data().into(), &mut pass));
        let plain = run(&without, Pass::inference(1));
        assert_eq!(run(&with, Pass::inference(1)), plain, "{name}");
        assert_eq!(run(&with, Pass::inference(2)), plain, "{name}");
        assert_eq!(run(&without, Pass::training(1)), plain, "{name}: no dropout is no noise");
        let trained = run(&with, Pass::training(1));
        assert_eq!(run(&with, Pass::training(1)), trained, "{name}: the seed reproduces it");
        assert_ne!(run(&with, Pass::training(2)), trained, "{name}");
        assert!(trained.iter().zip(&plain).all(|(a, b)| a != b), "{name}: each row is dropped from");
        assert_ne!(trained[..2], trained[2..4], "{name}: equal rows have masks of their own");
    }
}

#[test]
fn dropout_of_transformers_is_on_in_training_alone() {
    fn check<C: SummaryConfig>(name: &str, [with, without]: [C; 2]) {
        let device = Device::default();
        let [with, without] = [with, without]
            .map(|config| config.init(&DataShape::of_sets(3), &mut ParameterInit::new(1, &device)).expect("valid"));
        let run = |network: &C::Network, mut pass: Pass| {
            values(network.forward(&equal_sets(&device).narrow(0, 0, 3).into(), &mut pass))
        };
        let plain = run(&without, Pass::training(1));
        assert_eq!(run(&with, Pass::inference(1)), plain, "{name}");
        assert_eq!(run(&with, Pass::training(1).without_dropout()), plain, "{name}");
        let trained = run(&with, Pass::training(1));
        assert_eq!(run(&with, Pass::training(1)), trained, "{name}: the seed reproduces it");
        assert_ne!(run(&with, Pass::training(2)), trained, "{name}");
        assert!(trained.iter().zip(&plain).all(|(a, b)| a != b), "{name}: each row is dropped from");
        assert_ne!(trained[..2], trained[2..4], "{name}: equal rows have masks of their own");
    }
    let both = [DROPOUT, 0.0];
    check("set transformer", both.map(|dropout| SetTransformerConfig::new(2).with_dropout(dropout)));
    check("set transformer of v1", both.map(|dropout| SetTransformerConfig::bayesflow_v1(2).with_dropout(dropout)));
    check("time series transformer", both.map(|dropout| TimeSeriesTransformerConfig::new(2).with_dropout(dropout)));
    let deep_set = DeepSetConfig::new(2).with_pooling(Pooling::Attention);
    check("deep set with attention", both.map(|dropout| deep_set.clone().with_dropout(dropout)));
}

/// With dropout 0 a network takes nothing from the pass: what comes after it in the pass is what it was.
#[test]
fn no_dropout_draws_nothing() {
    let device = Device::default();
    let like = Tensor::<2>::zeros([1, 1], &device);
    for (dropout, same) in [(0.0, true), (DROPOUT, false)] {
        for (name, network) in deep_sets(dropout, &device) {
            let mut pass = Pass::training(7);
            network.forward(&equal_sets(&device).narrow(0, 0, 3).into(), &mut pass);
            let next = values(pass.normal([1, 4], &like));
            let first = values(Pass::training(7).normal([1, 4], &like));
            assert_eq!(next == first, same, "{name}, dropout {dropout}");
        }
    }
}

#[test]
fn dropout_of_deep_sets_keeps_the_mean_of_a_linear_network() {
    let device = Device::default();
    for (name, network) in deep_sets(DROPOUT, &device) {
        let run = |mut pass: Pass| values(network.forward(&equal_sets(&device).into(), &mut pass));
        let (expected, got) = (run(Pass::inference(1)), run(Pass::training(1)));
        for (s, &expected) in expected[..2].iter().enumerate() {
            let rows: Vec<f64> = got.iter().skip(s).step_by(2).copied().collect();
            let n = rows.len() as f64;
            let mean = rows.iter().sum::<f64>() / n;
            let error = (rows.iter().map(|v| (v - mean).powi(2)).sum::<f64>() / (n - 1.0) / n).sqrt();
            // n = 2,000, 6 means, |z| < 4: alpha = 4e-4. Masks of 0 and 1 would take some 0.3 of a layer's output away.
            let z = (mean - expected) / error;
            assert!(z.abs() < 4.0, "{name}: {mean} in place of {expected}, z = {z}");
            let planted = 0.97 * expected;
            assert!(((mean - planted) / error).abs() > 4.0, "{name}: 3% less would not be seen, z = {z}");
        }
    }
}

/// Other data in the other rows, the same masks: the first row's summary stays, to the bit.
#[test]
fn dropout_leaves_rows_independent() {
    let device = Device::default();
    let sets = |seed| {
        let others = tensor(&normal(seed, 4 * 5 * 3), [4, 5, 3], &device);
        Tensor::cat(vec![equal_sets(&device).narrow(0, 0, 1), others], 0)
    };
    for (name, network) in deep_sets(DROPOUT, &device) {
        let run = |data: Tensor<3>| values(network.forward(&data.into(), &mut Pass::training(1)));
        let (a, b) = (run(sets(52)), run(sets(53)));
        assert_eq!(a[..2], b[..2], "{name}");
        assert_ne!(a[2..], b[2..], "{name}");
    }
}

#[test]
fn soft_flow_blurs_in_training_and_tells_the_network_how_much() {
    let device = Device::default();
    let (min, max, rows) = (0.5, 1.5, 10_000);
    // One linear layer of the noise scale alone: s = 0 and t = scale, so that z = x + scale · noise + scale.
    let nets = AffineNets::Shared(DenseNetConfig::new().with_num_dense(0));
    let config = InvertibleNetworkConfig::new()
        .with_num_coupling_layers(1)
        .with_coupling(CouplingDesign::Affine(AffineConfig::new().with_nets(nets)))
        .with_permutation(PermutationConfig::None)
        .with_act_norm(ActNormConfig::None)
        .with_soft_flow(Some(SoftFlowConfig::new().with_min(min).with_max(max)));
    let network = config.init(1, 0, &mut ParameterInit::new(0, &device)).expect("valid");
    let network = map_floats(network, |_, old| if old.shape().num_dims() == 2 { vec![0.0, 1.0] } else { vec![0.0; 2] });
    let x = || Tensor::zeros([rows, 1], &device);
    let run = |mut pass: Pass| values(network.forward(x(), None, &mut pass).0);

    assert_eq!(run(Pass::inference(1)), vec![min; rows]);
    assert_eq!(values(network.inverse(x(), None, &mut Pass::inference(1))), vec![-min; rows]);

    let z = run(Pass::training(1));
    assert_eq!(z, run(Pass::training(1)));
    assert_ne!(z, run(Pass::training(2)));
    // z = S (1 + ε), S uniform on [0.5, 1.5], ε normal: mean E S = 1; mean square 2 E S² = 13/6, so variance 7/6;
    // fourth moment 10 E S⁴ = 15.125, so the variance of z² is 10.43. n = 10,000, |z| < 4: alpha = 6e-5.
    let n = rows as f64;
    let mean = z.iter().sum::<f64>() / n;
    let square = z.iter().map(|z| z * z).sum::<f64>() / n;
    assert!((mean - 1.0).abs() < 4.0 * (7.0 / 6.0 / n).sqrt(), "mean {mean}");
    assert!((square - 13.0 / 6.0).abs() < 4.0 * (10.43 / n).sqrt(), "mean square {square}");
}

/// A linear network with spectral normalisation, and the matrix that it multiplies by.
fn effective_weight(seed: u64, [d_input, d_output]: [usize; 2], stretch: f64) -> Tensor<2> {
    let device = Device::default();
    let config = DenseNetConfig::new().with_num_dense(0).with_spectral_norm(true);
    let net =
        config.init(d_input, d_output, OutputInit::Glorot, &mut ParameterInit::new(seed, &device)).expect("valid");
    let net = map_floats(net, |_, old| old.iter::<f64>().map(|w| stretch * w).collect());
    net.forward(Tensor::eye(d_input, &device), &mut Pass::inference(0))
}

fn largest_singular_value(w: Tensor<2>) -> f64 {
    values(linalg::svd::<2, 1>(w, 30).1)[0]
}

#[test]
fn spectral_norm_bounds_the_largest_singular_value() {
    for shape in [[128, 128], [12, 128], [128, 4], [1, 5], [5, 1]] {
        for seed in 0..20 {
            let sigma = largest_singular_value(effective_weight(seed, shape, 5.0));
            // 20 power iterations estimate it from below, and by 7% at most for 150 seeds: what remains is 1 or a
            // little more.
            assert!((0.9999..1.08).contains(&sigma), "{shape:?}, seed {seed}: {sigma}");
        }
    }
}

#[test]
fn spectral_norm_leaves_small_weights_alone() {
    for seed in 0..5 {
        let (small, tiny) = (effective_weight(seed, [8, 8], 1e-2), effective_weight(seed, [8, 8], 1e-3));
        let ratio = largest_singular_value(small) / largest_singular_value(tiny);
        assert!((ratio - 10.0).abs() < 1e-4, "{ratio}");
    }
}

#[test]
fn a_zero_output_layer_with_spectral_norm_begins_with_an_ordinary_gradient() {
    let device = Device::default().autodiff();
    let gradient = |spectral_norm| {
        let config = DenseNetConfig::new().with_units(8).with_spectral_norm(spectral_norm);
        let net = config.init(3, 2, OutputInit::Zeros, &mut ParameterInit::new(0, &device)).expect("valid");
        let x = tensor(&normal(41, 30), [10, 3], &device);
        let loss = net.forward(x, &mut Pass::training(0)).add_scalar(1.0).square().sum();
        let found = gradients(&net, &loss.backward());
        let (_, weight) = found.into_iter().find(|(place, _)| place == "output.weight").expect("an output layer");
        weight.iter().map(|g| g * g).sum::<f64>().sqrt()
    };
    let ratio = gradient(true) / gradient(false);
    assert!((0.05..=1.0).contains(&ratio), "{ratio}");
}

#[test]
fn activations_are_what_they_say_and_have_finite_gradients_far_out() {
    type Formula = fn(f64) -> f64;
    let phi = |x: f64| x / 2.0 * (1.0 + erf(x / std::f64::consts::SQRT_2));
    let table: [(Activation, Formula); 7] = [
        (Activation::Relu, |x| x.max(0.0)),
        (Activation::Silu, |x| x / (1.0 + (-x).exp())),
        (Activation::Gelu, phi),
        (Activation::Elu, |x| if x > 0.0 { x } else { x.exp_m1() }),
        (Activation::Tanh, f64::tanh),
        (Activation::Softplus, |x| x.max(0.0) + (-x.abs()).exp().ln_1p()),
        (Activation::Mish, |x| x * (x.max(0.0) + (-x.abs()).exp().ln_1p()).tanh()),
    ];
    let device = Device::default().autodiff();
    let at = [-1e3, -89.0, -2.0, -0.5, 0.0, 0.3, 1.7, 89.0, 1e3];
    for (activation, formula) in table {
        let x = tensor::<2>(&at, [1, at.len()], &device).require_grad();
        let y = activation.apply(x.clone());
        let error = largest_error(&values(y.clone()), &at.map(formula));
        assert!(error < 1e-6, "{activation:?}: off by {error:.1e}");
        let gradient = values(x.grad(&y.sum().backward()).expect("a gradient"));
        assert!(gradient.iter().all(|g| g.is_finite()), "{activation:?}: {gradient:?}");
    }
}

/// The error function by its series, for |x| < 6; beyond, ±1.
fn erf(x: f64) -> f64 {
    if x.abs() > 6.0 {
        return x.signum();
    }
    let (mut term, mut sum) = (x, x);
    for n in 1..200 {
        term *= -x * x / f64::from(n);
        sum += term / f64::from(2 * n + 1);
    }
    sum * std::f64::consts::FRAC_2_SQRT_PI
}
