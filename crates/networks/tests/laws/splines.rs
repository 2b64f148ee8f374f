//! Checks what only splines promise: monotone, smooth at their edges, invertible and finite for any numbers a network
//! makes.

use crate::support::{in_f64, largest_error, map_floats, normal, tensor, tensor64, values};
use bayesburn_networks::{
    ActNormConfig, Bijection, CouplingDesign, DenseNetConfig, InvertibleNetwork, InvertibleNetworkConfig,
    ParameterInit, Pass, PermutationConfig, SplineConfig,
};
use burn::tensor::{Device, Tensor};

const BINS: usize = 16;
const DOMAIN: f64 = 5.0;
/// Left and bottom edge, widths, heights, inner derivatives.
const RAW: usize = 2 + 3 * BINS - 1;

/// A spline of one dimension whose condition is, number by number, what the network would have made of it.
fn spline(device: &Device) -> InvertibleNetwork {
    let net = DenseNetConfig::new().with_num_dense(0);
    let coupling = CouplingDesign::Spline(SplineConfig::new().with_net(net).with_bins(BINS).with_domain(DOMAIN));
    let config = InvertibleNetworkConfig::new()
        .with_num_coupling_layers(1)
        .with_coupling(coupling)
        .with_permutation(PermutationConfig::None)
        .with_act_norm(ActNormConfig::None);
    let network = config.init(1, RAW, &mut ParameterInit::new(0, device)).expect("valid");
    map_floats(network, |_, old| match old.shape().num_dims() {
        2 => (0..RAW * RAW).map(|i| f64::from(i % RAW == i / RAW)).collect(),
        _ => vec![0.0; RAW],
    })
}

/// Random numbers of this size for each of these splines, and the first and last knot of each.
fn random_splines(count: usize, size: f64) -> Vec<(Vec<f64>, [f64; 2])> {
    let raw: Vec<f64> = normal(11, count * RAW).iter().map(|v| size * v).collect();
    raw.chunks(RAW).map(|raw| (raw.to_vec(), edges(raw))).collect()
}

fn edges(raw: &[f64]) -> [f64; 2] {
    let offset = (2.0 * DOMAIN / BINS as f64).exp_m1().ln();
    let widths = raw[2..2 + BINS].iter().map(|v| (v + offset).exp().ln_1p().max(1e-4));
    let left = raw[0] - DOMAIN;
    [left, left + widths.sum::<f64>()]
}

/// z, log-derivative, in f64.
fn evaluate(raw: &[f64], x: &[f64]) -> (Vec<f64>, Vec<f64>) {
    let device = Device::default();
    let (z, log_det) = in_f64(spline(&device)).forward(
        tensor64(x, [x.len(), 1], &device),
        Some(tensor64(&raw.repeat(x.len()), [x.len(), RAW], &device)),
        &mut Pass::inference(0),
    );
    (values(z), values(log_det))
}

#[test]
fn splines_are_monotone_and_their_derivative_is_that_of_the_values() {
    for (raw, [left, right]) in random_splines(20, 1.0) {
        // Across all knots and 10 into each tail.
        let step = (right - left + 20.0) / 4000.0;
        let x: Vec<f64> = (0..=4000).map(|i| left - 10.0 + step * f64::from(i)).collect();
        let (z, log_derivative) = evaluate(&raw, &x);
        assert!(z.windows(2).all(|pair| pair[0] < pair[1]), "not increasing");
        // The mean of the derivative over the grid is the total rise. The trapezoid errs by step² · f‴ / 12, most in
        // narrow bins.
        let rise: f64 = log_derivative.windows(2).map(|d| step * (d[0].exp() + d[1].exp()) / 2.0).sum();
        let error = (rise / (z[4000] - z[0]) - 1.0).abs();
        assert!(error < 2e-3, "the derivatives sum to {rise}, {error:.1e} off");
    }
}

#[test]
fn value_and_slope_are_continuous_at_the_edges_of_the_domain() {
    for (raw, edges) in random_splines(50, 1.0) {
        for edge in edges {
            let gap = 1e-9;
            let (z, log_derivative) = evaluate(&raw, &[edge - gap, edge + gap]);
            // Slopes here are below 100, and their change over the gap below 1e-9 · 1e4.
            assert!((z[1] - z[0]).abs() < 1e-6, "a jump at {edge}: {z:?}");
            assert!((log_derivative[1] - log_derivative[0]).abs() < 1e-4, "a kink at {edge}: {log_derivative:?}");
        }
    }
}

#[test]
fn tails_are_straight_lines() {
    for (raw, [left, right]) in random_splines(20, 1.0) {
        let (z, log_derivative) = evaluate(&raw, &[left - 1e3, left - 1.0, right + 1.0, right + 1e3]);
        let slope = log_derivative[0].exp();
        for i in 1..4 {
            assert!((log_derivative[i] - log_derivative[0]).abs() < 1e-12);
        }
        // One line on both sides: through both corners.
        for (a, b, distance) in [(0, 1, 999.0), (2, 3, 999.0), (1, 2, right - left + 2.0)] {
            assert!(((z[b] - z[a]) / (slope * distance) - 1.0).abs() < 1e-9);
        }
    }
}

/// Numbers far beyond what a trained network makes: bins of the smallest width beside wide ones, steep beside flat.
fn extreme_splines() -> Vec<Vec<f64>> {
    let mut raws: Vec<Vec<f64>> = random_splines(20, 8.0).into_iter().map(|(raw, _)| raw).collect();
    for value in [0.0, 20.0, -20.0] {
        raws.push(vec![value; RAW]);
    }
    raws.push((0..RAW).map(|i| if i % 2 == 0 { 20.0 } else { -20.0 }).collect());
    // Flat and wide: no width, and large heights; the reverse.
    raws.push((0..RAW).map(|i| if i < 2 + BINS { -20.0 } else { 20.0 }).collect());
    raws.push((0..RAW).map(|i| if i < 2 + BINS { 20.0 } else { -20.0 }).collect());
    raws
}

#[test]
fn inverse_is_accurate_in_f32_for_extreme_splines() {
    let device = Device::default();
    let network = spline(&device);
    for raw in extreme_splines() {
        let [left, right] = edges(&raw);
        let mut x: Vec<f64> = (0..=200).map(|i| left + (right - left) * f64::from(i) / 200.0).collect();
        x.extend([-1e3, -20.0, -5.0, 0.0, 5.0, 20.0, 1e3]);
        let condition: Tensor<2> = tensor(&raw.repeat(x.len()), [x.len(), RAW], &device);
        let x = tensor(&x, [x.len(), 1], &device);
        let pass = &mut Pass::inference(0);
        let z = network.forward(x.clone(), Some(condition.clone()), pass).0;
        let back = network.inverse(z.clone(), Some(condition.clone()), pass);
        let (again, log_derivative) = network.forward(back.clone(), Some(condition), pass);
        let [x, z, back, again] = [x, z, back, again].map(values);
        for (i, log_derivative) in values(log_derivative).iter().enumerate() {
            // Where the map is flat, x cannot be told from its rounded z, nor, where steep, z from its rounded x: one
            // of the two must come back to 1e-4.
            let x_error = (back[i] - x[i]).abs() / (1.0 + x[i].abs());
            let z_error = (again[i] - z[i]).abs() / (1.0 + z[i].abs());
            let error = x_error.min(z_error);
            assert!(error < 1e-4, "x = {}: off by {x_error:.1e}, z by {z_error:.1e}, ln slope {log_derivative}", x[i]);
        }
    }
}

#[test]
fn inverse_is_accurate_in_f32_for_bent_splines() {
    let device = Device::default();
    let network = spline(&device);
    for (raw, [left, right]) in random_splines(50, 1.0) {
        let mut x: Vec<f64> = (0..=200).map(|i| left + (right - left) * f64::from(i) / 200.0).collect();
        x.extend([-1e3, -20.0, -5.0, 0.0, 5.0, 20.0, 1e3]);
        let condition: Tensor<2> = tensor(&raw.repeat(x.len()), [x.len(), RAW], &device);
        let z = network.forward(tensor(&x, [x.len(), 1], &device), Some(condition.clone()), &mut Pass::inference(0)).0;
        let back = values(network.inverse(z, Some(condition), &mut Pass::inference(0)));
        let error = largest_error(&back, &x);
        assert!(error < 1e-4, "off by {error:.1e}");
    }
}

#[test]
fn outputs_and_gradients_are_finite_for_extreme_splines() {
    let device = Device::default().autodiff();
    let network = spline(&device);
    for raw in extreme_splines() {
        let [left, right] = edges(&raw);
        let at = [0.0, 5.0, -5.0, 1e3, -1e3, left, right, left + 1e-6, right - 1e-6];
        let rows = at.len();
        let condition = tensor::<2>(&raw.repeat(rows), [rows, RAW], &device).require_grad();
        let x = tensor::<2>(&at, [rows, 1], &device).require_grad();
        for what in ["z", "log_det", "inverse"] {
            let (at, given, pass) = (x.clone(), Some(condition.clone()), &mut Pass::inference(0));
            let result = match what {
                "z" => network.forward(at, given, pass).0,
                "log_det" => network.forward(at, given, pass).1.reshape([rows, 1]),
                _ => network.inverse(at, given, pass),
            };
            assert!(values(result.clone()).iter().all(|v| v.is_finite()), "{what} of {raw:?}: {result}");
            let gradients = result.sum().backward();
            for (of, gradient) in [("the input", x.grad(&gradients)), ("the spline", condition.grad(&gradients))] {
                let Some(gradient) = gradient else { continue };
                assert!(
                    values(gradient).iter().all(|v| v.is_finite()),
                    "the gradient of {what} with respect to {of} for {raw:?}"
                );
            }
        }
    }
}
