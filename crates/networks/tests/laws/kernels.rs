//! Kernels against the same networks as compositions of Burn's operations: values, gradients and draws, on random
//! shapes and settings; and that nothing depends on threads.

use crate::support::{gradients, in_f64, normal, perturbed, tensor, tensor64, values};
use bayesburn_core::DataShape;
use bayesburn_networks::{
    ActNormConfig, Activation, AffineConfig, AffineNets, Bijection, CouplingDesign, DeepSetConfig, DenseNetConfig,
    InterleavedConfig, InvertibleNetwork, InvertibleNetworkConfig, ParameterInit, Pass, PermutationConfig,
    SeparateNets, SplineConfig, SummaryConfig, SummaryNetwork,
};
use burn::{
    module::Module,
    tensor::{Device, Tensor},
};
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

pub(crate) const CASES: u64 = 60;

/// Of the largest number of a tensor, or of a tenth of the largest of all tensors: what a bias gets is a sum over rows
/// that may cancel.
pub(crate) const TOLERANCE: f64 = 1e-5;

pub(crate) fn one_of<T: Clone>(rng: &mut ChaCha8Rng, choices: &[T]) -> T {
    choices[rng.random_range(0..choices.len())].clone()
}

pub(crate) fn activation(rng: &mut ChaCha8Rng) -> Activation {
    use Activation::{Elu, Mish, Relu, Silu, Softplus, Tanh};
    one_of(rng, &[Relu, Silu, Elu, Tanh, Softplus, Mish])
}

fn dense(rng: &mut ChaCha8Rng) -> DenseNetConfig {
    DenseNetConfig::new()
        .with_units(rng.random_range(1..40))
        .with_num_dense(rng.random_range(0..4))
        .with_activation(activation(rng))
        .with_residual(rng.random())
        .with_shortcut(rng.random())
}

fn flow(rng: &mut ChaCha8Rng) -> InvertibleNetworkConfig {
    let nets = match rng.random_range(0..2) {
        0 => AffineNets::Shared(dense(rng)),
        _ => AffineNets::Separate(SeparateNets::new(dense(rng), dense(rng))),
    };
    let affine = AffineConfig::new().with_nets(nets).with_soft_clamping(one_of(rng, &[None, Some(1.9)]));
    let spline = SplineConfig::new().with_net(dense(rng)).with_bins(rng.random_range(2..9)).with_domain(2.0);
    let coupling = match rng.random_range(0..3) {
        0 => CouplingDesign::Affine(affine),
        1 => CouplingDesign::Spline(spline),
        _ => CouplingDesign::Interleaved(InterleavedConfig::new().with_affine(affine).with_spline(spline)),
    };
    InvertibleNetworkConfig::new()
        .with_num_coupling_layers(rng.random_range(1..5))
        .with_coupling(coupling)
        .with_permutation(one_of(rng, &[PermutationConfig::Fixed, PermutationConfig::None]))
        .with_act_norm(one_of(rng, &[ActNormConfig::Identity, ActNormConfig::None]))
}

/// A random network, targets `[B, D]`, and a condition `[M, C]` where M divides B.
struct FlowCase {
    network: InvertibleNetwork,
    targets: Tensor<2>,
    condition: Option<Tensor<2>>,
}

fn flow_case(seed: u64, device: &Device, precision: Precision) -> FlowCase {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    let (dim, repeat, sets) = (rng.random_range(1..8), one_of(&mut rng, &[1, 1, 2, 5]), rng.random_range(1..60));
    let condition_dim = rng.random_range(usize::from(dim == 1)..6);
    let config = flow(&mut rng);
    let config = if seed % 3 == 1 { config.with_dropout(0.2) } else { config };
    let network =
        config.init(dim, condition_dim, &mut ParameterInit::new(seed, device)).expect("a valid configuration");
    let rows = if condition_dim > 0 { sets * repeat } else { sets };
    let network = perturbed(network, seed, 0.1);
    FlowCase {
        network: precision.of(network),
        targets: precision.normal(seed + 1, [rows, dim], device),
        condition: (condition_dim > 0).then(|| precision.normal(seed + 2, [sets, condition_dim], device)),
    }
}

#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Precision {
    Single,
    Double,
    /// Inputs as far off as roundings put what is inside a network in f32, each time differently.
    DoubleWithNoise(u64),
}

impl Precision {
    pub(crate) fn of<M: Module>(self, network: M) -> M {
        if self == Self::Single { network } else { in_f64(network) }
    }

    /// Standard normal numbers that f32 has.
    pub(crate) fn normal<const R: usize>(self, seed: u64, shape: [usize; R], device: &Device) -> Tensor<R> {
        let mut values: Vec<f64> =
            normal(seed, shape.iter().product()).into_iter().map(|v| f64::from(v as f32)).collect();
        if let Self::DoubleWithNoise(number) = self {
            let noise = normal(seed + 1000 * number, values.len());
            values.iter_mut().zip(noise).for_each(|(value, noise)| *value *= 1.0 + 3e-7 * noise);
        }
        if self == Self::Single { tensor(&values, shape, device) } else { tensor64(&values, shape, device) }
    }
}

impl Precision {
    /// 1 or 0 for each of N rows, of which at least one of each set is 1.
    pub(crate) fn mask(self, seed: u64, [sets, n]: [usize; 2], device: &Device) -> Tensor<2> {
        let mut rng = ChaCha8Rng::seed_from_u64(2000 + seed);
        let of_set = |rng: &mut ChaCha8Rng| -> Vec<f64> {
            let kept = rng.random_range(0..n);
            (0..n).map(|row| f64::from(u8::from(row == kept || rng.random_bool(0.5)))).collect()
        };
        let mask: Vec<f64> = (0..sets).flat_map(|_| of_set(&mut rng)).collect();
        if self == Self::Single { tensor(&mask, [sets, n], device) } else { tensor64(&mask, [sets, n], device) }
    }
}

/// Place and numbers of each tensor.
pub(crate) type Tensors = Vec<(String, Vec<f64>)>;

/// What a network and its gradients are by the kernel, by Burn's operations in f32, and by these in f64, which kernels
/// do not work in: once as it is, and some times with noise.
pub(crate) struct Ways {
    pub(crate) kernel: Tensors,
    composition: Tensors,
    exact: Tensors,
    noisy: Vec<Tensors>,
}

impl Ways {
    pub(crate) fn of(seed: u64, result: impl Fn(Pass, Precision) -> Tensors) -> Self {
        let pass = || Pass::training(seed);
        Self {
            kernel: result(pass(), Precision::Single),
            composition: result(pass().without_kernels(), Precision::Single),
            exact: result(pass(), Precision::Double),
            noisy: (1..4).map(|number| result(pass(), Precision::DoubleWithNoise(number))).collect(),
        }
    }

    /// Panics unless the kernel's tensors are within the tolerance of the exact ones or, where roundings alone put
    /// results further off (deep chains of splines; numbers at a knot, where second derivatives jump), within five
    /// times what they do to the composition or to the exact ones.
    #[track_caller]
    pub(crate) fn assert_close(&self, case: u64) {
        let largest = |values: &[f64]| values.iter().fold(1e-3, |most: f64, v| most.max(v.abs()));
        let largest_of_all = self.exact.iter().map(|(_, values)| largest(values)).fold(0.0, f64::max);
        for (i, (place, exact)) in self.exact.iter().enumerate() {
            let scale = largest(exact).max(0.1 * largest_of_all);
            let off = |tensors: &Tensors| {
                assert_eq!(tensors[i].1.len(), exact.len(), "case {case}, {place}");
                let off = tensors[i].1.iter().zip(exact).map(|(a, b)| (a - b).abs());
                off.fold(0.0, |most: f64, off| if off <= most { most } else { off }) / scale
            };
            let of_kernel = off(&self.kernel);
            let by_rounding = self.noisy.iter().map(off).fold(off(&self.composition), f64::max);
            // Not `>`, which NaN would pass.
            let close = of_kernel <= TOLERANCE.max(5.0 * by_rounding) && by_rounding < 1e-3;
            assert!(close, "case {case}, {place}: off by {of_kernel:.1e} by the kernel, {by_rounding:.1e} by rounding");
        }
    }
}

#[test]
fn flows_and_their_gradients_are_those_of_the_composition() {
    let device = Device::default().autodiff();
    for seed in 0..CASES {
        let ways = Ways::of(seed, |mut pass, precision| {
            let FlowCase { network, targets, condition } = flow_case(seed, &device, precision);
            let [rows, dim] = targets.dims();
            let targets = targets.require_grad();
            let condition = condition.map(Tensor::require_grad);
            let (z, log_det) = network.forward(targets.clone(), condition.clone(), &mut pass);
            let both = Tensor::cat(vec![z, log_det.reshape([rows, 1])], 1);
            let all = (both.clone() * precision.normal(seed + 3, [rows, dim + 1], &device)).sum().backward();
            let of_targets = values(targets.grad(&all).expect("a gradient"));
            let of_condition = condition.and_then(|condition| condition.grad(&all)).map(values).unwrap_or_default();
            let mut all = gradients(&network, &all);
            all.extend([("condition".into(), of_condition), ("targets".into(), of_targets)]);
            all.push(("output".into(), values(both)));
            all
        });
        ways.assert_close(seed);
    }
}

#[test]
fn inverse_flows_are_those_of_the_composition() {
    let device = Device::default();
    for seed in 0..CASES {
        let ways = Ways::of(seed, |mut pass, precision| {
            let FlowCase { network, targets, condition } = flow_case(seed, &device, precision);
            vec![("targets".into(), values(network.inverse(targets, condition, &mut pass)))]
        });
        ways.assert_close(seed);
    }
}

/// Numbers, and all gradients, of a step with 100 data sets: bit for bit the same on all cores and on one thread.
#[test]
fn results_do_not_depend_on_threads() {
    let device = Device::default().autodiff();
    let mut init = ParameterInit::new(1, &device);
    let summary = DeepSetConfig::new(6).init(&DataShape::of_sets(2), &mut init).expect("valid");
    let flow = InvertibleNetworkConfig::new().with_num_coupling_layers(3).init(4, 6, &mut init).expect("valid");
    let (summary, flow) = (perturbed(summary, 2, 0.1), perturbed(flow, 3, 0.1));
    let step = || {
        let data: Tensor<3> = tensor(&normal(4, 100 * 20 * 2), [100, 20, 2], &device);
        let targets: Tensor<2> = tensor(&normal(5, 100 * 4), [100, 4], &device);
        let mut pass = Pass::training(1);
        let condition = summary.forward(&data.into(), &mut pass);
        let (z, log_det) = flow.forward(targets, Some(condition), &mut pass);
        let all = (z.clone().square().sum() - log_det.clone().sum()).backward();
        (values(z), values(log_det), gradients(&summary, &all), gradients(&flow, &all))
    };
    let on_all_cores = step();
    for threads in [1, 2, 3] {
        // Inside a pool the kernels work on the thread that calls them.
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().expect("threads");
        assert!(on_all_cores == pool.install(step), "{threads} threads");
    }
}
