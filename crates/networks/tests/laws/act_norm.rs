//! Checks that activation normalisation begins from data: mean 0 and standard deviation 1, in every layer.

use crate::support::{map_floats, normal, tensor, values};
use bayesburn_networks::{
    ActNorm, Bijection, CouplingDesign, InvertibleNetwork, InvertibleNetworkConfig, ParameterInit, Pass,
    PermutationConfig, SplineConfig, num_trainable_parameters,
};
use burn::tensor::{Device, Tensor};

const ROWS: usize = 500;
const DIM: usize = 3;

/// Mean and standard deviation of each column.
fn moments(z: Tensor<2>) -> Vec<(f64, f64)> {
    let [rows, dim] = z.dims();
    let z = values(z);
    (0..dim)
        .map(|d| {
            let column = || z.iter().skip(d).step_by(dim);
            let mean = column().sum::<f64>() / rows as f64;
            let var = column().map(|v| (v - mean).powi(2)).sum::<f64>() / rows as f64;
            (mean, var.sqrt())
        })
        .collect()
}

fn assert_normalised(name: &str, z: Tensor<2>) {
    for (mean, sd) in moments(z) {
        // The mean of numbers near −3 is rounded by 1e-6, and then divided by their standard deviation, 0.1.
        assert!(mean.abs() < 1e-4 && (sd - 1.0).abs() < 1e-4, "{name}: mean {mean}, standard deviation {sd}");
    }
}

/// Columns of means −3, 0 and 40, and standard deviations 0.1, 1 and 10.
fn targets(device: &Device) -> Tensor<2> {
    let values: Vec<f64> =
        normal(31, ROWS * DIM).chunks(DIM).flat_map(|row| [0.1 * row[0] - 3.0, row[1], 10.0 * row[2] + 40.0]).collect();
    tensor(&values, [ROWS, DIM], device)
}

/// The first layers of one network, all but the last of which are bent: what comes out is what the last layer's
/// activation normalisation makes of what reaches it.
fn first_layers(num: usize, coupling: CouplingDesign, device: &Device) -> InvertibleNetwork {
    let config = InvertibleNetworkConfig::new()
        .with_num_coupling_layers(num)
        .with_coupling(coupling)
        .with_permutation(PermutationConfig::None);
    let network = config.init(DIM, 2, &mut ParameterInit::new(1, device)).expect("valid");
    let last = format!("layers.{}", num - 1);
    let mut seed = 0;
    map_floats(network, |place, old| {
        seed += 1;
        let size = if place.contains(&last) || !place.contains("output") { 0.0 } else { 0.05 };
        let noise = normal(seed, old.num_elements());
        old.iter::<f64>().zip(noise).map(|(v, noise)| v + size * noise).collect()
    })
}

#[test]
fn every_layer_normalises_what_reaches_it() {
    for device in [Device::default(), Device::default().autodiff()] {
        let spline = CouplingDesign::Spline(SplineConfig::new());
        for coupling in [InvertibleNetworkConfig::new().coupling, spline] {
            let condition = tensor::<2>(&normal(32, ROWS * 2), [ROWS, 2], &device);
            for num in 1..=3 {
                let network = first_layers(num, coupling.clone(), &device);
                let before = num_trainable_parameters(&network);
                let run = |network: &InvertibleNetwork| {
                    network.forward(targets(&device), Some(condition.clone()), &mut Pass::inference(0)).0
                };
                assert!(
                    moments(run(&network)).iter().any(|(mean, _)| mean.abs() > 1.0),
                    "normal without normalisation"
                );
                let pass = &mut Pass::inference(0);
                let network = network.initialise_act_norm(targets(&device), Some(condition.clone()), pass);
                assert_normalised(&format!("layer {num}"), run(&network));
                assert_eq!(num_trainable_parameters(&network), before);
            }
        }
    }
}

#[test]
fn a_dimension_that_does_not_vary_is_only_shifted() {
    let device = Device::default();
    // Not all of them are numbers of f32, nor are their means over 500 rows the numbers again.
    for constant in [0.0, 1.0, 0.1, -3.7, 1000.1, 123_456.7, 1e-3] {
        let varying = normal(33, ROWS);
        let x: Vec<f64> = varying.iter().flat_map(|v| [*v, constant]).collect();
        let x = tensor(&x, [ROWS, 2], &device);
        let act_norm = ActNorm::new(2, &mut ParameterInit::new(0, &device)).normalising(x.clone());
        let (z, log_det) = act_norm.forward(x, None, &mut Pass::inference(0));
        assert_normalised("the varying one", z.clone().narrow(1, 0, 1));
        let shifted = values(z.narrow(1, 1, 1));
        assert!(shifted.iter().all(|v| v.abs() <= 1e-5 * constant.abs()), "{constant} to {}", shifted[0]);
        // ln of the varying one's scale, about 1 / 1, and of 1.
        let log_det = values(log_det)[0];
        assert!(log_det.abs() < 0.2, "the scale of {constant} is not 1: log_det {log_det}");
    }
}

#[test]
fn trained_parameters_stay_trained() {
    let device = Device::default().autodiff();
    let x = targets(&device);
    let act_norm = ActNorm::new(DIM, &mut ParameterInit::new(0, &device)).normalising(x.clone().require_grad());
    assert_eq!(num_trainable_parameters(&act_norm), 2 * DIM);
    // Targets without autodiff, into a network with it.
    let act_norm = ActNorm::new(DIM, &mut ParameterInit::new(0, &device)).normalising(targets(&Device::default()));
    assert_eq!(num_trainable_parameters(&act_norm), 2 * DIM);
    assert_normalised("both", act_norm.forward(x, None, &mut Pass::inference(0)).0);
}
