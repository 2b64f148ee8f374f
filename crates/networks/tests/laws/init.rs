//! Checks that a seed gives the same weights everywhere, and that they have the distribution they should.

use crate::support::{parameters, values};
use bayesburn_core::DataShape;
use bayesburn_networks::{
    DeepSetConfig, InvertibleNetworkConfig, OutputInit, ParameterInit, PermutationConfig, SummaryConfig,
};
use burn::tensor::Device;

fn init(seed: u64) -> ParameterInit {
    ParameterInit::new(seed, &Device::default())
}

#[test]
fn a_seed_determines_every_weight() {
    let weights = |seed| {
        let mut init = init(seed);
        let summary_network = DeepSetConfig::new(10).init(&DataShape::of_sets(4), &mut init).expect("valid");
        let config = InvertibleNetworkConfig::new().with_permutation(PermutationConfig::Learnable);
        let inference_network = config.init(4, 10, &mut init).expect("valid");
        (parameters(&summary_network), parameters(&inference_network))
    };
    assert_eq!(weights(1), weights(1));
    assert_ne!(weights(1), weights(2));
}

#[test]
fn draws_are_pinned() {
    // A change here changes every network that a seed makes: it is value-breaking, and belongs in the changelog.
    let mut init = init(2023);
    let first = |values: Vec<f64>| values.iter().take(4).map(|v| *v as f32).collect::<Vec<_>>();
    assert_eq!(
        first(values(init.linear(4, 8, OutputInit::Glorot).weight.val())),
        [-0.174_547_54, -0.217_973_04, -0.398_215_65, 0.088_140_18]
    );
    assert_eq!(first(values(init.orthogonal(2).val())), [0.728_939_1, 0.684_578_54, 0.684_578_54, -0.728_939_1]);
    assert_eq!(
        init.permutation(6).val().into_data().convert::<i64>().try_to_vec::<i64>().expect("i64"),
        [2, 1, 4, 0, 5, 3]
    );
}

#[test]
fn orthogonal_matrices_are_orthogonal() {
    for n in [1, 2, 7, 40] {
        let w = init(n as u64).orthogonal(n).val();
        let product = values(w.clone().transpose().matmul(w));
        for (i, value) in product.iter().enumerate() {
            let expected = f64::from(i % n == i / n);
            // Each entry is rounded to f32, 6e-8 of at most 1, and so is the product.
            assert!((value - expected).abs() < 1e-6, "n = {n}: {value} at {i}");
        }
    }
}

#[test]
fn orthogonal_matrices_favour_no_direction() {
    // The first entry of a row that is uniform on the circle is cos φ: mean 0, variance 1/2. n = 2000, |z| < 4: alpha =
    // 6e-5.
    let mut init = init(3);
    let draws: Vec<f64> = (0..2000).map(|_| values(init.orthogonal(2).val())[0]).collect();
    let mean = draws.iter().sum::<f64>() / 2000.0;
    let square = draws.iter().map(|v| v * v).sum::<f64>() / 2000.0;
    assert!(mean.abs() < 4.0 * (0.5_f64 / 2000.0).sqrt(), "mean {mean}");
    // cos² φ has variance 1/8.
    assert!((square - 0.5).abs() < 4.0 * (0.125_f64 / 2000.0).sqrt(), "mean square {square}");
}

#[test]
fn glorot_weights_are_uniform_within_their_bound() {
    let (d_input, d_output) = (30, 70);
    let layer = init(4).linear(d_input, d_output, OutputInit::Glorot);
    let bound = (6.0 / (d_input + d_output) as f64).sqrt();
    let weights = values(layer.weight.val());
    let n = weights.len() as f64;
    assert!(weights.iter().all(|w| w.abs() <= bound * (1.0 + 1e-7)));
    // Uniform on ±bound: mean 0, variance bound² / 3; its square has variance 4 bound⁴ / 45. n = 2100, |z| < 4: alpha =
    // 6e-5.
    let mean = weights.iter().sum::<f64>() / n;
    let square = weights.iter().map(|w| w * w).sum::<f64>() / n;
    assert!(mean.abs() < 4.0 * bound / (3.0 * n).sqrt(), "mean {mean}");
    assert!((square - bound.powi(2) / 3.0).abs() < 4.0 * bound.powi(2) * (4.0 / 45.0 / n).sqrt(), "square {square}");
    assert!(values(layer.bias.expect("a bias").val()).iter().all(|b| *b == 0.0));
    assert!(values(init(4).linear(3, 2, OutputInit::Zeros).weight.val()).iter().all(|w| *w == 0.0));
}

#[test]
fn permutations_hold_each_position_once() {
    for n in [1, 2, 7, 40] {
        let mut order: Vec<i64> = init(5).permutation(n).val().into_data().convert::<i64>().try_to_vec().expect("i64");
        order.sort_unstable();
        assert_eq!(order, (0..n as i64).collect::<Vec<_>>());
    }
}
