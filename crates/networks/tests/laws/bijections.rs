//! Checks the laws of bijections on every map of the crate: round trip, log-determinant, independence of rows,
//! gradients, save and load, identity at the start.

use crate::support::{
    assert_gradient_everywhere, gradients, in_f64, largest_error, loaded, map_floats, normal, perturbed, saved, tensor,
    tensor64, values,
};
use bayesburn_networks::{
    ActNorm, ActNormConfig, Activation, AffineConfig, AffineNets, AutoregressiveFlow, AutoregressiveFlowConfig,
    Bijection, ConfigError, CouplingDesign, DenseNetConfig, InterleavedConfig, InvertibleNetwork,
    InvertibleNetworkConfig, ParameterInit, Pass, Permutation, PermutationConfig, SeparateNets, SoftFlowConfig,
    SplineConfig,
};
use burn::{
    module::Module,
    tensor::{Device, Tensor},
};

/// Any map of the crate.
#[derive(Module, Debug)]
#[allow(clippy::large_enum_variant, reason = "a module holds its fields by value")]
enum Map {
    ActNorm(ActNorm),
    Permutation(Permutation),
    Network(InvertibleNetwork),
    Autoregressive(AutoregressiveFlow),
    Chain(Vec<InvertibleNetwork>),
}

impl Bijection for Map {
    fn forward(&self, x: Tensor<2>, condition: Option<Tensor<2>>, pass: &mut Pass) -> (Tensor<2>, Tensor<1>) {
        match self {
            Self::ActNorm(map) => map.forward(x, condition, pass),
            Self::Permutation(map) => map.forward(x, condition, pass),
            Self::Network(map) => map.forward(x, condition, pass),
            Self::Autoregressive(map) => map.forward(x, condition, pass),
            Self::Chain(map) => map.forward(x, condition, pass),
        }
    }

    fn inverse(&self, z: Tensor<2>, condition: Option<Tensor<2>>, pass: &mut Pass) -> Tensor<2> {
        match self {
            Self::ActNorm(map) => map.inverse(z, condition, pass),
            Self::Permutation(map) => map.inverse(z, condition, pass),
            Self::Network(map) => map.inverse(z, condition, pass),
            Self::Autoregressive(map) => map.inverse(z, condition, pass),
            Self::Chain(map) => map.inverse(z, condition, pass),
        }
    }
}

/// What a map is made from.
#[derive(Debug, Clone)]
enum Recipe {
    ActNorm,
    Permutation(PermutationConfig),
    Network(Box<InvertibleNetworkConfig>),
    Autoregressive(AutoregressiveFlowConfig),
    Chain(usize, Box<InvertibleNetworkConfig>),
}

/// One line of the table.
#[derive(Debug, Clone)]
struct Case {
    name: String,
    dim: usize,
    condition_dim: usize,
    recipe: Recipe,
}

/// A small coupling network; small, because the table is long.
fn net() -> DenseNetConfig {
    DenseNetConfig::new().with_units(8).with_activation(Activation::Tanh)
}

fn shared(net: DenseNetConfig) -> CouplingDesign {
    CouplingDesign::Affine(AffineConfig::new().with_nets(AffineNets::Shared(net)))
}

fn separate(scale: DenseNetConfig, translation: DenseNetConfig) -> AffineConfig {
    AffineConfig::new().with_nets(AffineNets::Separate(SeparateNets::new(scale, translation)))
}

/// The couplings of the table. A new design or option is one line here, and inherits every law.
fn designs() -> Vec<(&'static str, CouplingDesign)> {
    let relu = || net().with_activation(Activation::Relu);
    let elu = || net().with_activation(Activation::Elu).with_num_dense(1);
    let unclamped = AffineConfig::new().with_nets(AffineNets::Shared(net())).with_soft_clamping(None);
    let spline = |net| SplineConfig::new().with_net(net);
    let interleaved = InterleavedConfig::new().with_affine(separate(net(), net())).with_spline(spline(net()));
    vec![
        ("affine, shared", shared(net())),
        ("affine, separate, relu and elu", CouplingDesign::Affine(separate(relu(), elu()))),
        ("affine, not clamped", CouplingDesign::Affine(unclamped)),
        ("affine, linear", shared(net().with_num_dense(0))),
        ("affine, residual, silu", shared(net().with_residual(true).with_activation(Activation::Silu))),
        ("affine, shortcut", shared(net().with_shortcut(true))),
        ("affine, dropout, gelu", shared(net().with_dropout(0.5).with_activation(Activation::Gelu))),
        (SPECTRAL, shared(net().with_spectral_norm(true).with_activation(Activation::Softplus))),
        ("spline", CouplingDesign::Spline(spline(net()))),
        ("spline, 2 bins", CouplingDesign::Spline(spline(net()).with_bins(2).with_domain(1.5))),
        ("spline, residual", CouplingDesign::Spline(spline(net().with_residual(true)))),
        ("interleaved", CouplingDesign::Interleaved(interleaved)),
    ]
}

const SPECTRAL: &str = "affine, spectral norm, softplus";

/// Every map × D × condition × permutation × activation normalisation.
fn table() -> Vec<Case> {
    use PermutationConfig::{Fixed, Learnable};
    let mut cases = Vec::new();
    for dim in [1, 2, 3, 4, 7] {
        let mut add = |name: String, condition_dim: usize, recipe: Recipe| {
            cases.push(Case { name: format!("{name}, D = {dim}, C = {condition_dim}"), dim, condition_dim, recipe });
        };
        add("activation normalisation".into(), 0, Recipe::ActNorm);
        if dim > 1 {
            add("fixed permutation".into(), 0, Recipe::Permutation(Fixed));
            add("learnable permutation".into(), 0, Recipe::Permutation(Learnable));
        }
        for (num_dense, permutation, activation) in [
            (1, Fixed, Activation::Relu),
            (2, Learnable, Activation::Tanh),
            (3, PermutationConfig::None, Activation::Elu),
        ] {
            let flow = AutoregressiveFlowConfig::new().with_num_layers(2).with_units(9).with_num_dense(num_dense);
            let flow = flow.with_permutation(permutation).with_activation(activation);
            add(format!("autoregressive, {num_dense} dense, {permutation:?}"), 3, Recipe::Autoregressive(flow));
        }
        let link = InvertibleNetworkConfig::new().with_num_coupling_layers(1).with_coupling(shared(net()));
        add("chain of three".into(), 3, Recipe::Chain(3, Box::new(link)));
        for (design, coupling) in designs() {
            for (permutation, act_norm, soft_flow) in [
                (Fixed, true, false),
                (Fixed, false, false),
                (Learnable, true, false),
                (Learnable, false, false),
                (PermutationConfig::None, true, false),
                (PermutationConfig::None, false, false),
                (Fixed, true, true),
            ] {
                for condition_dim in [0, 3] {
                    if dim == 1 && condition_dim == 0 && !soft_flow {
                        continue;
                    }
                    let config = InvertibleNetworkConfig::new()
                        .with_num_coupling_layers(2)
                        .with_coupling(coupling.clone())
                        .with_permutation(permutation)
                        .with_act_norm(if act_norm { ActNormConfig::Identity } else { ActNormConfig::None })
                        .with_soft_flow(soft_flow.then(SoftFlowConfig::new));
                    let name =
                        format!("{design}, permutation {permutation:?}, act_norm {act_norm}, soft_flow {soft_flow}");
                    add(name, condition_dim, Recipe::Network(Box::new(config)));
                }
            }
        }
    }
    cases
}

impl Case {
    /// The map as its configuration makes it.
    fn fresh(&self, seed: u64, device: &Device) -> Map {
        let mut init = ParameterInit::new(seed, device);
        match &self.recipe {
            Recipe::ActNorm => Map::ActNorm(ActNorm::new(self.dim, &mut init)),
            Recipe::Permutation(config) => {
                Map::Permutation(config.init(self.dim, &mut init).expect("more than one dimension"))
            }
            Recipe::Autoregressive(config) => Map::Autoregressive(
                config.init(self.dim, self.condition_dim, &mut init).expect("a valid configuration"),
            ),
            Recipe::Chain(links, config) => {
                let link = |_| config.init(self.dim, self.condition_dim, &mut init).expect("a valid configuration");
                Map::Chain((0..*links).map(link).collect())
            }
            Recipe::Network(config) => {
                Map::Network(config.init(self.dim, self.condition_dim, &mut init).expect("a valid configuration"))
            }
        }
    }

    /// The map after "training": noise on every parameter bends it. Of the two orders of two dimensions, this seed
    /// draws the other one than seed 1.
    fn bent(&self, device: &Device) -> Map {
        perturbed(self.fresh(5, device), 2, 0.15)
    }

    /// Targets and a condition, row by row: the bulk, numbers near the first knots and edges of a spline, and its
    /// tails.
    fn inputs(&self) -> (Vec<f64>, Vec<f64>) {
        let mut targets = normal(3, BULK * self.dim).iter().map(|v| 2.0 * v).collect::<Vec<_>>();
        for row in [[4.999, 0.0], [-5.001, 0.626], [20.0, -20.0], [-20.0, 0.1]] {
            targets.extend(row.iter().cycle().take(self.dim));
        }
        (targets, normal(4, ROWS * self.condition_dim))
    }

    /// The inputs as tensors in f64.
    fn inputs64(&self, device: &Device) -> (Tensor<2>, Option<Tensor<2>>) {
        let (targets, condition) = self.inputs();
        (tensor64(&targets, [ROWS, self.dim], device), self.condition64(&condition, ROWS, device))
    }

    fn condition64(&self, condition: &[f64], rows: usize, device: &Device) -> Option<Tensor<2>> {
        (self.condition_dim > 0).then(|| tensor64(condition, [rows, self.condition_dim], device))
    }
}

const BULK: usize = 4;
const ROWS: usize = BULK + 4;

fn pass() -> Pass {
    Pass::inference(0)
}

#[test]
fn inverse_undoes_forward_and_forward_undoes_inverse() {
    let device = Device::default();
    for case in table() {
        let map = in_f64(case.bent(&device));
        let (x, condition) = case.inputs64(&device);
        let there = map.forward(x.clone(), condition.clone(), &mut pass()).0;
        let and_back = map.inverse(there.clone(), condition.clone(), &mut pass());
        let back = map.inverse(x.clone(), condition.clone(), &mut pass());
        let and_there = map.forward(back, condition, &mut pass()).0;
        let x = values(x);
        assert!(
            largest_error(&values(there), &x) > 1e-3 || case.dim == 1,
            "{}: the identity proves nothing",
            case.name
        );
        for (direction, result) in [("inverse(forward(x))", and_back), ("forward(inverse(z))", and_there)] {
            let error = largest_error(&values(result), &x);
            // Rounding in f64, 1e-16, grows with the product of the layers' steepest slopes; a wrong formula errs by
            // 1e-2 or more.
            assert!(error < 1e-9, "{}: {direction} is off by {error:.1e}", case.name);
        }
    }
}

#[test]
fn log_det_is_that_of_the_numeric_jacobian() {
    // Central differences err by about (h / w)² where a spline bends within a width w, here 1e-3 and more: 1e-6; and by
    // rounding, 1e-16 |z| / h = 1e-8 for the |z| of up to 100 here, of slopes of 0.01 and more: 1e-6. A term too many
    // or too few errs by 1e-2 or more.
    const STEP: f64 = 1e-6;
    const TOLERANCE: f64 = 1e-5;
    let device = Device::default();
    for case in table() {
        let (map, dim) = (in_f64(case.bent(&device)), case.dim);
        let (x, condition) = case.inputs64(&device);
        let log_det = values(map.forward(x, condition, &mut pass()).1);
        assert_eq!(log_det.len(), ROWS);

        let (x, condition) = case.inputs();
        let (mut steps, mut conditions) = (Vec::new(), Vec::new());
        for row in 0..ROWS {
            for (column, step) in (0..dim).flat_map(|column| [(column, STEP), (column, -STEP)]) {
                let from = steps.len();
                steps.extend_from_slice(&x[row * dim..(row + 1) * dim]);
                steps[from + column] += step;
                conditions.extend_from_slice(&condition[row * case.condition_dim..(row + 1) * case.condition_dim]);
            }
        }
        let rows = 2 * dim * ROWS;
        let condition = case.condition64(&conditions, rows, &device);
        let z = values(map.forward(tensor64(&steps, [rows, dim], &device), condition, &mut pass()).0);
        for (row, (z, log_det)) in z.chunks(2 * dim * dim).zip(&log_det).enumerate() {
            let jacobian = z
                .chunks(2 * dim)
                .map(|pair| (0..dim).map(|i| (pair[i] - pair[dim + i]) / (2.0 * STEP)).collect())
                .collect();
            let error = (ln_abs_det(jacobian) - log_det).abs();
            assert!(error < TOLERANCE, "{}, row {row}: log_det {log_det} is off by {error:.1e}", case.name);
        }
    }
}

/// ln|det| by Gaussian elimination with row pivots.
fn ln_abs_det(mut rows: Vec<Vec<f64>>) -> f64 {
    let mut sum = 0.0;
    for column in 0..rows.len() {
        let largest = (column..rows.len())
            .max_by(|a, b| rows[*a][column].abs().total_cmp(&rows[*b][column].abs()))
            .expect("not empty");
        rows.swap(column, largest);
        let pivot = rows[column].clone();
        sum += pivot[column].abs().ln();
        for row in &mut rows[column + 1..] {
            let factor = row[column] / pivot[column];
            row.iter_mut().zip(&pivot).for_each(|(a, b)| *a -= factor * b);
        }
    }
    sum
}

#[test]
fn rows_do_not_influence_each_other() {
    let device = Device::default();
    for case in table() {
        let map = in_f64(case.bent(&device));
        let (x, condition) = case.inputs64(&device);
        let (z, log_det) = map.forward(x.clone(), condition.clone(), &mut pass());
        let back = map.inverse(x.clone(), condition.clone(), &mut pass());
        for row in [0, ROWS / 2, ROWS - 1] {
            let (x, condition) = (x.clone().narrow(0, row, 1), condition.clone().map(|c| c.narrow(0, row, 1)));
            let (z1, log_det1) = map.forward(x.clone(), condition.clone(), &mut pass());
            let back1 = map.inverse(x, condition, &mut pass());
            for (what, alone, together) in [
                ("forward", values(z1), values(z.clone().narrow(0, row, 1))),
                ("log_det", values(log_det1), values(log_det.clone().narrow(0, row, 1))),
                ("inverse", values(back1), values(back.clone().narrow(0, row, 1))),
            ] {
                // Not bit for bit: products of matrices sum in another order for one row than for many.
                let error = largest_error(&alone, &together);
                assert!(error < 1e-11, "{}, row {row}: {what} differs by {error:.1e} in a batch", case.name);
            }
        }
    }
}

/// −ln of a standard normal density of the targets, up to a constant: what training minimises.
fn loss(map: &Map, x: Tensor<2>, condition: Option<Tensor<2>>) -> Tensor<1> {
    let (z, log_det) = map.forward(x, condition, &mut pass());
    z.square().sum().mul_scalar(0.5) - log_det.sum()
}

#[test]
fn a_right_gradient_reaches_every_parameter() {
    // As for the Jacobian: h² f‴ / 6, and rounding, 1e-16 · loss / h.
    const STEP: f64 = 1e-6;
    let device = Device::default().autodiff();
    for case in table() {
        if matches!(case.recipe, Recipe::Permutation(PermutationConfig::Fixed)) {
            continue;
        }
        let map = in_f64(case.bent(&device));
        let (x, condition) = case.inputs64(&device);
        let found = gradients(&map, &loss(&map, x.clone(), condition.clone()).backward());
        assert_gradient_everywhere(&case.name, &found);
        if case.name.starts_with(SPECTRAL) {
            // Its gradient takes the singular vectors as found, though the power iteration has not quite converged.
            continue;
        }
        // Every parameter moves along its own gradient by the same length, so that no error cancels another: the loss
        // changes by the sum of the lengths.
        let length = |g: &[f64]| g.iter().map(|g| g * g).sum::<f64>().sqrt();
        let moved = |step: f64| {
            let mut gradient = found.iter().map(|(_, gradient)| gradient);
            let moved = map_floats(map.clone(), |_, old| {
                let gradient = gradient.next().expect("one for each parameter");
                let step = step / length(gradient);
                old.iter::<f64>().zip(gradient).map(|(v, g)| v + step * g).collect()
            });
            values(loss(&moved, x.clone(), condition.clone()))[0]
        };
        let expected = found.iter().map(|(_, gradient)| length(gradient)).sum::<f64>();
        let slope = (moved(STEP) - moved(-STEP)) / (2.0 * STEP);
        let error = (slope / expected - 1.0).abs();
        assert!(error < 1e-5, "{}: the gradient is {expected}, but the slope {slope}", case.name);
    }
}

#[test]
fn a_fresh_object_with_loaded_weights_is_the_same_map() {
    let device = Device::default();
    for case in table() {
        let map = case.bent(&device);
        let (x, condition) = case.inputs();
        let x = tensor(&x, [ROWS, case.dim], &device);
        let condition = (case.condition_dim > 0).then(|| tensor(&condition, [ROWS, case.condition_dim], &device));
        let run = |map: &Map| {
            let (z, log_det) = map.forward(x.clone(), condition.clone(), &mut pass());
            [values(z), values(log_det), values(map.inverse(x.clone(), condition.clone(), &mut pass()))]
        };
        let fresh = case.fresh(1, &device);
        assert_ne!(run(&fresh), run(&map), "{}: equal before loading proves nothing", case.name);
        assert_eq!(run(&loaded(fresh, saved(&map))), run(&map), "{}", case.name);
    }
}

#[test]
fn couplings_begin_as_the_identity() {
    let device = Device::default();
    for case in table() {
        let Recipe::Network(config) = &case.recipe else { continue };
        if config.permutation != PermutationConfig::None {
            continue;
        }
        let map = case.fresh(1, &device);
        let (x, condition) = case.inputs();
        let x = tensor(&x, [ROWS, case.dim], &device);
        let condition = (case.condition_dim > 0).then(|| tensor(&condition, [ROWS, case.condition_dim], &device));
        let (z, log_det) = map.forward(x.clone(), condition.clone(), &mut pass());
        let back = map.inverse(x.clone(), condition, &mut pass());
        // x · exp(0) + 0 is exact; a spline's knots and slopes round in f32, 16 sums of 6e-8, times 4 couplings.
        let tolerance = if matches!(config.coupling, CouplingDesign::Affine(_)) { 0.0 } else { 1e-5 };
        for (what, result, expected) in [
            ("forward", values(z), values(x.clone())),
            ("inverse", values(back), values(x)),
            ("log_det", values(log_det), vec![0.0; ROWS]),
        ] {
            let error = largest_error(&result, &expected);
            assert!(error <= tolerance, "{}: {what} is off by {error:.1e}", case.name);
        }
    }
}

#[test]
fn one_dimension_needs_a_condition() {
    let mut init = ParameterInit::new(0, &Device::default());
    for (name, coupling) in designs() {
        let config = InvertibleNetworkConfig::new().with_coupling(coupling);
        assert_eq!(config.init(1, 0, &mut init).err(), Some(ConfigError::NothingToConditionOn), "{name}");
    }
}
