//! Checks the laws of density estimators on every estimator of the crate: normalisation, draws that have the density,
//! rows that do not influence one another, gradients, save and load.

use crate::support::{
    assert_gradient_everywhere, gradients, in_f64, largest_error, loaded, map_floats, normal, perturbed, saved, tensor,
    tensor64, values,
};
use bayesburn_networks::{
    AnyInferenceConfig, AnyInferenceNetwork, AutoregressiveFlowConfig, Condition, ConditionWidths, ConfigError,
    Covariance, DenseNetConfig, DensityEstimator, InferenceConfig, InferenceNetwork, InvertibleNetworkConfig,
    MixtureConfig, MixtureNetwork, MixtureParameters, ParameterInit, Pass, QuadraticSum, QuadraticTerm,
};
use burn::tensor::{Device, Tensor, TensorData};

/// The table: a new estimator or option is one line here, and inherits every law.
fn table() -> Vec<(&'static str, AnyInferenceConfig)> {
    let net = || DenseNetConfig::new().with_units(8).with_shortcut(true);
    let mixture = |components, covariance| {
        MixtureConfig::new().with_components(components).with_covariance(covariance).with_net(net()).into()
    };
    vec![
        ("gaussian, diagonal", mixture(1, Covariance::Diagonal)),
        ("gaussian, full", mixture(1, Covariance::Full)),
        ("mixture, diagonal", mixture(3, Covariance::Diagonal)),
        ("mixture, full", mixture(4, Covariance::Full)),
        ("autoregressive", AutoregressiveFlowConfig::new().with_num_layers(3).with_units(10).into()),
        ("affine couplings", InvertibleNetworkConfig::new().with_num_coupling_layers(3).into()),
        ("neural spline flow", InvertibleNetworkConfig::neural_spline_flow().with_num_coupling_layers(2).into()),
    ]
}

const CONDITION: usize = 2;
const WIDTHS: ConditionWidths = ConditionWidths { summaries: CONDITION, direct: 0 };

fn fresh(config: &AnyInferenceConfig, dim: usize, seed: u64, device: &Device) -> AnyInferenceNetwork {
    config.init(dim, WIDTHS, &mut ParameterInit::new(seed, device)).expect("a valid configuration")
}

/// As if trained. More noise than this makes densities of several narrow peaks, which a grid misses.
fn bent(config: &AnyInferenceConfig, dim: usize, device: &Device) -> AnyInferenceNetwork {
    perturbed(fresh(config, dim, 5, device), 2, 0.1)
}

fn condition(rows: usize, device: &Device) -> Tensor<2> {
    tensor(&normal(4, CONDITION * rows), [rows, CONDITION], device)
}

fn pass() -> Pass {
    Pass::inference(0)
}

fn evaluate(network: &AnyInferenceNetwork, targets: Tensor<2>, condition: Tensor<2>) -> (Option<Tensor<2>>, Tensor<1>) {
    let evaluation = network.density(targets, &Condition::new(condition), &mut pass()).expect("a density");
    (evaluation.latents, evaluation.log_prob)
}

fn draw(network: &AnyInferenceNetwork, noise: Tensor<2>, condition: Tensor<2>) -> Tensor<2> {
    network.sample(noise, &Condition::new(condition), &mut pass()).expect("draws")
}

/// exp(ln q) of rows of targets, all at one condition.
fn density(network: &AnyInferenceNetwork, targets: &[f64], dim: usize, device: &Device) -> Vec<f64> {
    let rows = targets.len() / dim;
    let (_, log_prob) = evaluate(network, tensor(targets, [rows, dim], device), condition(1, device));
    values(log_prob).into_iter().map(f64::exp).collect()
}

const LOW: f64 = -12.0;
const HIGH: f64 = 12.0;

/// The middles of intervals from [`LOW`] to [`HIGH`], and their width.
fn grid(steps: usize) -> (Vec<f64>, f64) {
    let width = (HIGH - LOW) / steps as f64;
    ((0..steps).map(|i| LOW + width * (i as f64 + 0.5)).collect(), width)
}

/// Over a square of 24 by 24 standard deviations of the standardised targets.
#[test]
fn densities_integrate_to_one() {
    let device = Device::default();
    for (name, config) in table() {
        let (points, width) = grid(4000);
        let sum = density(&bent(&config, 1, &device), &points, 1, &device).iter().sum::<f64>() * width;
        assert!((sum - 1.0).abs() < 1e-3, "{name}: {sum} in one dimension");

        let (points, width) = grid(400);
        let plane: Vec<f64> = points.iter().flat_map(|&x| points.iter().flat_map(move |&y| [x, y])).collect();
        let sum = density(&bent(&config, 2, &device), &plane, 2, &device).iter().sum::<f64>() * width * width;
        assert!((sum - 1.0).abs() < 5e-3, "{name}: {sum} in two dimensions");
    }
}

/// Draws of one network, sorted, margin by margin.
fn draws(network: &AnyInferenceNetwork, dim: usize, count: usize, device: &Device) -> Vec<Vec<f64>> {
    let width = network.num_normals(dim);
    let noise = tensor(&normal(9, count * width), [count, width], device);
    let all = values(draw(network, noise, condition(1, device)));
    let margin = |d: usize| {
        let mut column: Vec<f64> = all.iter().skip(d).step_by(dim).copied().collect();
        column.sort_by(f64::total_cmp);
        column
    };
    (0..dim).map(margin).collect()
}

/// Whether the largest distance of a margin's empirical distribution to its density, on a plane, is below the
/// Kolmogorov-Smirnov bound for n = 20,000 and alpha 1e-4 for each margin, 2.23 / √n; 1e-3 is the quadrature's.
fn agree(of_draws: &AnyInferenceNetwork, of_density: &AnyInferenceNetwork, device: &Device) -> bool {
    const N: usize = 20_000;
    let (points, width) = grid(400);
    let plane: Vec<f64> = points.iter().flat_map(|&x| points.iter().flat_map(move |&y| [x, y])).collect();
    let density = density(of_density, &plane, 2, device);
    draws(of_draws, 2, N, device).into_iter().enumerate().all(|(d, margin)| {
        let mut below = 0.0;
        points.iter().enumerate().all(|(i, point)| {
            let other = |j: usize| if d == 0 { density[i * points.len() + j] } else { density[j * points.len() + i] };
            below += (0..points.len()).map(other).sum::<f64>() * width * width;
            let drawn = margin.partition_point(|&x| x <= point + 0.5 * width) as f64 / N as f64;
            (drawn - below).abs() < 2.23 / (N as f64).sqrt() + 1e-3
        })
    })
}

/// The twin is the density of another network.
#[test]
fn draws_have_the_density() {
    let device = Device::default();
    for (name, config) in table() {
        let network = bent(&config, 2, &device);
        assert!(agree(&network, &network, &device), "{name}");
        let other = perturbed(fresh(&config, 2, 5, &device), 3, 0.1);
        assert!(!agree(&network, &other, &device), "{name}: the twin");
    }
}

/// In one dimension the probability integral transform of a draw is that of its place in the sorted sample.
#[test]
fn draws_have_the_density_in_one_dimension() {
    const N: usize = 20_000;
    let device = Device::default();
    for (name, config) in table() {
        let network = bent(&config, 1, &device);
        let sample = draws(&network, 1, N, &device).remove(0);
        let (points, width) = grid(4000);
        let mut below = 0.0;
        for (point, density) in points.iter().zip(density(&network, &points, 1, &device)) {
            below += density * width;
            let drawn = sample.partition_point(|&x| x <= point + 0.5 * width) as f64 / N as f64;
            assert!((drawn - below).abs() < 2.23 / (N as f64).sqrt() + 1e-3, "{name} at {point}: {drawn}, {below}");
        }
    }
}

const ROWS: usize = 6;

#[test]
fn a_row_of_the_condition_serves_several_rows_of_targets() {
    let device = Device::default();
    for (name, config) in table() {
        for dim in [1, 3] {
            let network = in_f64(bent(&config, dim, &device));
            let targets = tensor64(&normal(7, ROWS * dim), [ROWS, dim], &device);
            let conditions = normal(8, 2 * CONDITION);
            let few = tensor64(&conditions, [2, CONDITION], &device);
            let each: Vec<f64> =
                (0..ROWS).flat_map(|row| conditions[row / 3 * CONDITION..][..CONDITION].to_vec()).collect();
            let (_, together) = evaluate(&network, targets.clone(), few);
            let together = values(together);
            for row in 0..ROWS {
                let condition = tensor64(&each[row * CONDITION..(row + 1) * CONDITION], [1, CONDITION], &device);
                let (_, alone) = evaluate(&network, targets.clone().narrow(0, row, 1), condition);
                let error = largest_error(&values(alone), &together[row..=row]);
                assert!(error < 1e-9, "{name}, D = {dim}, row {row}: {error:.1e}");
            }
        }
    }
}

/// −Σ ln q, what training minimises.
fn loss(network: &AnyInferenceNetwork, targets: &Tensor<2>, condition: &Tensor<2>) -> Tensor<1> {
    evaluate(network, targets.clone(), condition.clone()).1.sum().neg()
}

/// As for bijections: each parameter moves along its own gradient.
#[test]
fn a_right_gradient_reaches_every_parameter() {
    const STEP: f64 = 1e-6;
    let device = Device::default().autodiff();
    for (name, config) in table() {
        for dim in [1, 3] {
            let network = in_f64(bent(&config, dim, &device));
            let targets = tensor64(&normal(7, ROWS * dim), [ROWS, dim], &device);
            let condition = tensor64(&normal(8, ROWS * CONDITION), [ROWS, CONDITION], &device);
            let found = gradients(&network, &loss(&network, &targets, &condition).backward());
            assert_gradient_everywhere(&format!("{name}, D = {dim}"), &found);
            let length = |g: &[f64]| g.iter().map(|g| g * g).sum::<f64>().sqrt();
            let moved = |step: f64| {
                let mut gradient = found.iter().map(|(_, gradient)| gradient);
                let moved = map_floats(network.clone(), |_, old| {
                    let gradient = gradient.next().expect("one for each parameter");
                    let step = step / length(gradient);
                    old.iter::<f64>().zip(gradient).map(|(v, g)| v + step * g).collect()
                });
                values(loss(&moved, &targets, &condition))[0]
            };
            let expected = found.iter().map(|(_, gradient)| length(gradient)).sum::<f64>();
            let slope = (moved(STEP) - moved(-STEP)) / (2.0 * STEP);
            let error = (slope / expected - 1.0).abs();
            assert!(error < 1e-5, "{name}, D = {dim}: the gradient is {expected}, but the slope {slope}");
        }
    }
}

#[test]
fn a_fresh_object_with_loaded_weights_is_the_same_density() {
    let device = Device::default();
    for (name, config) in table() {
        let network = bent(&config, 3, &device);
        let targets = tensor(&normal(7, ROWS * 3), [ROWS, 3], &device);
        let width = network.num_normals(3);
        let noise = tensor(&normal(6, ROWS * width), [ROWS, width], &device);
        let run = |network: &AnyInferenceNetwork| {
            let condition = condition(ROWS, &device);
            let (_, log_prob) = evaluate(network, targets.clone(), condition.clone());
            [values(log_prob), values(draw(network, noise.clone(), condition))]
        };
        let other = fresh(&config, 3, 1, &device);
        assert_ne!(run(&other), run(&network), "{name}: equal before loading proves nothing");
        assert_eq!(run(&loaded(other, saved(&network))), run(&network), "{name}");
    }
}

/// z of a density that is a map to a standard normal: draws of z as noise come back.
#[test]
fn latents_are_the_noise_that_draws_are_made_from() {
    let device = Device::default();
    for (name, config) in table() {
        let network = in_f64(bent(&config, 3, &device));
        let noise = normal(6, ROWS * 3);
        let condition = tensor64(&normal(8, ROWS * CONDITION), [ROWS, CONDITION], &device);
        if network.num_normals(3) > 3 {
            let targets = tensor64(&noise, [ROWS, 3], &device);
            assert!(evaluate(&network, targets, condition).0.is_none(), "{name}: a mixture has no latents");
            continue;
        }
        let drawn = draw(&network, tensor64(&noise, [ROWS, 3], &device), condition.clone());
        let latents = evaluate(&network, drawn, condition).0.expect("a map has latents");
        assert!(largest_error(&values(latents), &noise) < 1e-9, "{name}");
    }
}

/// By hand: weights 1/4 and 3/4, means −1 and 2, standard deviations 1/2 and 1.
#[test]
fn a_mixture_has_the_density_of_the_formula() {
    let device = Device::default();
    let config = MixtureConfig::new().with_components(2).with_net(DenseNetConfig::new().with_units(4));
    let network = config.init(1, CONDITION, &mut ParameterInit::new(1, &device)).expect("a valid configuration");
    // The last layer's bias says all, since its weights are 0: two logits, two means, two logarithms of 1 / σ before
    // their bound.
    let bound = |log: f64| 8.0 * (log / 8.0).atanh();
    let bias = [0.25_f64.ln(), 0.75_f64.ln(), -1.0, 2.0, bound(2.0_f64.ln()), bound(0.0)];
    let network = map_floats(in_f64(network), |place, old| match place {
        "net.output.bias" => bias.to_vec(),
        "centres" => vec![0.0; 2],
        _ => old.iter::<f64>().collect(),
    });
    let points = [-1.5, 0.0, 2.5];
    let condition = tensor64(&normal(8, CONDITION), [1, CONDITION], &device);
    let (_, log_prob) = network.evaluate(tensor64(&points, [3, 1], &device), condition, &mut pass());
    let normal_density =
        |x: f64, mean: f64, std: f64| (-0.5 * ((x - mean) / std).powi(2)).exp() / (std * std::f64::consts::TAU.sqrt());
    let expected: Vec<f64> = points
        .iter()
        .map(|&x| (0.25 * normal_density(x, -1.0, 0.5) + 0.75 * normal_density(x, 2.0, 1.0)).ln())
        .collect();
    assert!(largest_error(&values(log_prob), &expected) < 1e-9);
}

/// Weight, mean, precision and ln|precision| of each component of a mixture of one row, in two dimensions.
fn components(mixture: &MixtureParameters) -> Vec<(f64, [f64; 2], [f64; 4], f64)> {
    let [_, k, _] = mixture.means.dims();
    let (weights, means) = (values(mixture.log_weights.clone()), values(mixture.means.clone()));
    let logs = values(mixture.log_diagonals.clone());
    let below = mixture.below_diagonals.clone().map_or(vec![0.0; k], values);
    let component = |c: usize| {
        let (a, b, d) = (logs[2 * c].exp(), below[c], logs[2 * c + 1].exp());
        // Lᵀ L with L = [a 0; b d].
        let precision = [a * a + b * b, b * d, b * d, d * d];
        (weights[c], [means[2 * c], means[2 * c + 1]], precision, 2.0 * (a * d).ln())
    };
    (0..k).map(component).collect()
}

/// The ratio of a mixture and a normal distribution around the means of the mixture, as terms.
fn ratio(mixture: &MixtureParameters, divisor: Option<&MixtureParameters>) -> Vec<QuadraticTerm> {
    let divisor = divisor.map(|divisor| components(divisor).remove(0));
    let term = |(log_weight, mean, mut precision, log_det): (f64, [f64; 2], [f64; 4], f64)| {
        let (mut shift, mut log_factor) = ([0.0; 2], log_weight + 0.5 * log_det);
        if let Some((_, centre, of_divisor, log_det)) = divisor {
            let from = [mean[0] - centre[0], mean[1] - centre[1]];
            shift = [0, 1].map(|i| of_divisor[2 * i] * from[0] + of_divisor[2 * i + 1] * from[1]);
            log_factor += 0.5 * (from[0] * shift[0] + from[1] * shift[1]) - 0.5 * log_det;
            precision.iter_mut().zip(of_divisor).for_each(|(p, of_divisor)| *p -= of_divisor);
        }
        QuadraticTerm { centre: mean.to_vec(), precision: precision.to_vec(), shift: shift.to_vec(), log_factor }
    };
    components(mixture).into_iter().map(term).collect()
}

/// The same mixture in f32.
fn in_f32(mixture: MixtureParameters, device: &Device) -> MixtureParameters {
    fn rounded<const R: usize>(tensor: Tensor<R>, device: &Device) -> Tensor<R> {
        let shape = tensor.dims();
        let numbers: Vec<f32> = values(tensor).into_iter().map(|value| value as f32).collect();
        Tensor::from_data(TensorData::new(numbers, shape), device)
    }
    MixtureParameters {
        log_weights: rounded(mixture.log_weights, device),
        means: rounded(mixture.means, device),
        log_diagonals: rounded(mixture.log_diagonals, device),
        below_diagonals: mixture.below_diagonals.map(|below| rounded(below, device)),
    }
}

/// ∫ q(θ | c) q'(θ) / N(θ) dθ by quadrature in two dimensions, against the closed form; both up to one constant, so
/// that differences between conditions are compared. The twin forgets the divisor.
#[test]
fn products_of_mixtures_have_the_integral_of_the_closed_form() {
    let device = Device::default();
    for covariance in [Covariance::Full, Covariance::Diagonal] {
        let net = DenseNetConfig::new().with_units(8);
        let of = |components| {
            MixtureConfig::new().with_components(components).with_covariance(covariance).with_net(net.clone())
        };
        let make = |components, seed| {
            let network = of(components).init(2, CONDITION, &mut ParameterInit::new(seed, &device)).expect("valid");
            in_f64(perturbed(network, seed, 0.15))
        };
        let (network, other, divisor) = (make(3, 5), make(2, 6), make(1, 7));
        let conditions = tensor64(&normal(8, 3 * CONDITION), [3, CONDITION], &device);
        // Far enough from one another that the divisor matters.
        let conditions = conditions.mul_scalar(3.0);
        let one = tensor64(&normal(9, CONDITION), [1, CONDITION], &device);
        // A wide divisor: the product has to be a normal.
        let mut wide = divisor.parameters(one.clone(), &mut pass());
        wide.log_diagonals = wide.log_diagonals - 0.5;
        let (mixture, other_mixture) = (
            in_f32(network.parameters(conditions.clone(), &mut pass()), &device),
            other.parameters(one.clone(), &mut pass()),
        );
        let integral = |divisor: Option<&MixtureParameters>| {
            mixture.log_integral_of_product(&QuadraticSum::new(&ratio(&other_mixture, divisor), &device))
        };
        let (divided, plain) = (integral(Some(&wide)), integral(None));

        let (points, _) = grid(400);
        let plane: Vec<f64> = points.iter().flat_map(|&x| points.iter().flat_map(move |&y| [x, y])).collect();
        let targets = tensor64(&plane, [plane.len() / 2, 2], &device);
        let logs = |network: &MixtureNetwork, c: Tensor<2>| values(network.evaluate(targets.clone(), c, &mut pass()).1);
        let (of_other, of_divisor) = (logs(&other, one.clone()), values(wide.log_prob(targets.clone()).1));
        let quadrature = |divide: bool| -> Vec<f64> {
            let row = |row: usize| {
                let of_row = logs(&network, conditions.clone().narrow(0, row, 1));
                let term = |i: usize| (of_row[i] + of_other[i] - if divide { of_divisor[i] } else { 0.0 }).exp();
                (0..of_row.len()).map(term).sum::<f64>().ln()
            };
            (0..3).map(row).collect()
        };
        let differences = |logs: Vec<f64>| [logs[1] - logs[0], logs[2] - logs[0]];
        let (divided, plain) = (differences(values(divided)), differences(values(plain)));
        let (exact, exact_plain) = (differences(quadrature(true)), differences(quadrature(false)));
        assert!(largest_error(&divided, &exact) < 1e-3, "{divided:?}, by quadrature {exact:?}");
        assert!(largest_error(&plain, &exact_plain) < 1e-3, "{plain:?}, by quadrature {exact_plain:?}");
        assert!(largest_error(&plain, &exact) > 1e-2, "the twin");
    }
}

/// Two normals of standard deviation s beside one another, 1,000 away from 0, in f32: value and gradient by ln(1 / s)
/// of the logarithm of their product's integral, −ln(2 s²) / 2 − d² / (4 s²) + constant. The largest error of n = 50
/// distances d in a range of ±3 s. The twin is taken around 0, as 1,000 / s standard deviations away.
#[test]
fn products_of_normals_far_from_0_are_as_exact_as_near_it() {
    let device = Device::default().autodiff();
    let error = |s: f64, centred: bool| {
        let at = 1000.0;
        // exp(log_factor + P c t − P t² / 2) around 0, the same function.
        let term = match centred {
            true => QuadraticTerm { centre: vec![at], precision: vec![s.powi(-2)], shift: vec![0.0], log_factor: 0.0 },
            false => QuadraticTerm {
                centre: vec![0.0],
                precision: vec![s.powi(-2)],
                shift: vec![at * s.powi(-2)],
                log_factor: -0.5 * (at / s).powi(2),
            },
        };
        let sum = QuadraticSum::new(&[term], &device);
        let of = |i: i32| {
            let mean = (at + 3.0 * s * f64::from(i) / 25.0) as f32;
            let number = |value: f32| Tensor::<3>::from_data(TensorData::new(vec![value], [1, 1, 1]), &device);
            let log_diagonals = number((-s.ln()) as f32).require_grad();
            let mixture = MixtureParameters {
                log_weights: Tensor::zeros([1, 1], &device),
                means: number(mean),
                log_diagonals: log_diagonals.clone(),
                below_diagonals: None,
            };
            let value = mixture.log_integral_of_product(&sum);
            let gradients = value.clone().sum().backward();
            let gradient = log_diagonals.grad(&gradients).expect("it depends on it");
            let square = ((f64::from(mean) - at) / s).powi(2);
            let (exact, slope) = (-0.25 * square - 0.5 * 2.0_f64.ln(), 0.5 - 0.25 * square);
            (values(value)[0] - exact).abs().max((values(gradient)[0] - slope).abs())
        };
        (-25..25).map(of).fold(0.0, f64::max)
    };
    for s in [0.1, 0.01] {
        assert!(error(s, true) < 1e-3, "{s}: {}", error(s, true));
        assert!(error(s, false) > 0.1, "the twin, {s}: {}", error(s, false));
    }
}

#[test]
fn settings_outside_their_range_are_refused() {
    let refused = |config: AnyInferenceConfig| {
        config.init(3, WIDTHS, &mut ParameterInit::new(1, &Device::default())).expect_err("refused").to_string()
    };
    assert!(refused(MixtureConfig::new().with_components(0).into()).contains("`components` is 0"));
    let flow = AutoregressiveFlowConfig::new;
    assert!(refused(flow().with_num_layers(0).into()).contains("`num_layers` is 0"));
    assert!(refused(flow().with_units(2).into()).contains("at least the number of targets"));
    assert!(refused(flow().with_num_dense(0).into()).contains("`num_dense` is 0"));
    assert!(refused(flow().with_dropout(1.0).into()).contains("`dropout` is 1"));
    assert!(refused(flow().with_soft_clamping(0.0).into()).contains("`soft_clamping` is 0"));
    for (name, config) in table() {
        let error = config
            .init(1, ConditionWidths::of_summaries(0), &mut ParameterInit::new(1, &Device::default()))
            .expect_err("no condition");
        assert_eq!(error, ConfigError::NothingToConditionOn, "{name}");
    }
}
