//! Tests amortized posteriors as a user meets them: configuring, sampling, densities, losses and files.

mod configuring;
mod density;
#[cfg(feature = "flex")]
mod direct;
mod files;
mod losses;
mod own_inference_network;
mod regression;
mod sampling;
#[cfg(feature = "flex")]
mod several_inputs;
mod standardization;
mod statistics;
mod support;
mod training_range;

use bayesburn_amortizers::{AmortizedPosterior, Conditions, Configured, PosteriorConfig};
use bayesburn_core::{DataShape, Purpose, StreamRng, stream};
use bayesburn_networks::{
    AffineConfig, AffineNets, AnyInferenceConfig, ConfigError, CouplingDesign, DataTensor, DeepSetConfig,
    DenseNetConfig, InterleavedConfig, InvertibleNetworkConfig, ParameterInit, Pass, SplineConfig, SummaryConfig,
    SummaryNetwork,
};
use burn::{
    config::Config,
    module::{Module, ModuleMapper, Param},
    tensor::{Device, Tensor, TensorData},
};
use ndarray::{Array2, Array3};
use rand::RngExt;
use rand_distr::StandardNormal;

fn device() -> Device {
    Device::default()
}

fn rng(index: u64) -> StreamRng {
    stream(2023, const { Purpose::new("posterior tests") }, index)
}

fn normals(rng: &mut StreamRng, shape: (usize, usize, usize)) -> Array3<f32> {
    Array3::from_shape_fn(shape, |_| rng.sample(StandardNormal))
}

/// M data sets of N observations of two features.
fn data_sets(m: usize, n: usize, index: u64) -> Conditions {
    Conditions::new(normals(&mut rng(index), (m, n, 2)).mapv(|v| 4.0 * v - 1.0))
}

/// 64 simulations of `dim` parameters with mean 3 and standard deviation 10: log-determinants of the standardisation
/// matter.
fn pilot(dim: usize) -> Configured {
    let parameters = Array2::from_shape_simple_fn((64, dim), {
        let mut rng = rng(1);
        move || 3.0 + 10.0 * rng.sample::<f32, _>(StandardNormal)
    });
    Configured::new(parameters, data_sets(64, 5, 2)).expect("the pilot is sound")
}

fn dense() -> DenseNetConfig {
    DenseNetConfig::new().with_units(8)
}

fn affine() -> AffineConfig {
    AffineConfig::new().with_nets(AffineNets::Shared(dense()))
}

fn spline() -> SplineConfig {
    SplineConfig::new().with_net(dense()).with_bins(6)
}

fn designs() -> [CouplingDesign; 3] {
    [
        CouplingDesign::Affine(affine()),
        CouplingDesign::Spline(spline()),
        CouplingDesign::Interleaved(InterleavedConfig::new().with_affine(affine()).with_spline(spline())),
    ]
}

fn config_of(design: CouplingDesign) -> PosteriorConfig {
    let inference = InvertibleNetworkConfig::new().with_num_coupling_layers(2).with_coupling(design);
    PosteriorConfig::new(DeepSetConfig::new(2).with_units(4).with_num_equiv(1), inference)
}

/// The same with another invertible network.
fn with_inference<C: SummaryConfig>(
    mut config: PosteriorConfig<C>,
    change: impl FnOnce(InvertibleNetworkConfig) -> InvertibleNetworkConfig,
) -> PosteriorConfig<C> {
    let AnyInferenceConfig::Invertible(inference) = config.inference else { panic!("not an invertible network") };
    config.inference = change(inference).into();
    config
}

fn config() -> PosteriorConfig {
    config_of(CouplingDesign::Affine(affine()))
}

fn inference() -> InvertibleNetworkConfig {
    let AnyInferenceConfig::Invertible(inference) = config().inference else { panic!("not an invertible network") };
    inference
}

/// The identity up to standardisation, as every posterior begins.
fn untrained<C: SummaryConfig>(config: PosteriorConfig<C>, pilot: &Configured, seed: u64) -> AmortizedPosterior<C> {
    let names = (0..pilot.parameters.ncols()).map(|i| format!("p{i}"));
    AmortizedPosterior::new(config, names, std::slice::from_ref(pilot), seed, &device()).expect("the pilot is sound")
}

/// Far from the identity: normal noise on every trainable weight, as if trained.
fn perturbed<C: SummaryConfig>(config: PosteriorConfig<C>, pilot: &Configured, seed: u64) -> AmortizedPosterior<C> {
    perturbed_by(0.3, config, pilot, seed)
}

fn perturbed_by<C: SummaryConfig>(
    size: f32,
    config: PosteriorConfig<C>,
    pilot: &Configured,
    seed: u64,
) -> AmortizedPosterior<C> {
    let mut posterior = untrained(config, pilot, seed);
    let networks = posterior.networks().clone().map(&mut Perturb(size, rng(1000 + seed)));
    posterior.set_networks(networks);
    posterior
}

struct Perturb(f32, StreamRng);

impl ModuleMapper for Perturb {
    fn map_float<const D: usize>(&mut self, param: Param<Tensor<D>>) -> Param<Tensor<D>> {
        if !param.is_require_grad() {
            return param; // the constants of the standardisation
        }
        param.map(|old| {
            let noise: Vec<f32> =
                (0..old.shape().num_elements()).map(|_| self.0 * self.1.sample::<f32, _>(StandardNormal)).collect();
            let noise = Tensor::from_data(TensorData::new(noise, old.shape()), &old.device());
            (old.detach() + noise).detach().set_require_grad(true)
        })
    }
}

/// The mean of each feature: a second summary network, as the trait's doc tells to implement it.
#[derive(Config, Debug, PartialEq)]
struct MeanConfig {}

#[derive(Module, Debug)]
struct Mean {
    #[module(skip)]
    features: usize,
}

impl SummaryConfig for MeanConfig {
    const NAME: &'static str = "mean";

    type Network = Mean;

    fn init(&self, shape: &DataShape, _: &mut ParameterInit) -> Result<Mean, ConfigError> {
        Ok(Mean { features: shape.inputs()[0].features() })
    }
}

impl SummaryNetwork for Mean {
    fn summary_dim(&self) -> usize {
        self.features
    }

    fn forward(&self, data: &DataTensor, _: &mut Pass) -> Tensor<2> {
        let data = data.only().values::<3>();
        let [rows, _, features] = data.dims();
        data.mean_dim(1).reshape([rows, features])
    }
}

fn mean_config() -> PosteriorConfig<MeanConfig> {
    PosteriorConfig::new(MeanConfig::new(), config().inference)
}

/// The Kolmogorov-Smirnov distance of a sample to a distribution function, times √n. Under the distribution it exceeds
/// 1.95 with probability 1e-3.
fn kolmogorov_smirnov(mut sample: Vec<f32>, cdf: impl Fn(f64) -> f64) -> f64 {
    sample.sort_by(f32::total_cmp);
    let n = sample.len() as f64;
    let distance = sample.iter().enumerate().map(|(i, &x)| {
        let p = cdf(f64::from(x));
        (p - i as f64 / n).abs().max((p - (i + 1) as f64 / n).abs())
    });
    distance.fold(0.0, f64::max) * n.sqrt()
}

const KS_BOUND: f64 = 1.95;

/// The distribution function of a density on an even grid, by trapezoids and linear interpolation.
fn cdf_of(start: f64, step: f64, density: &[f64]) -> impl Fn(f64) -> f64 + use<> {
    let mut sums = vec![0.0];
    for pair in density.windows(2) {
        sums.push(sums[sums.len() - 1] + step * (pair[0] + pair[1]) / 2.0);
    }
    move |x| {
        let position = ((x - start) / step).clamp(0.0, (sums.len() - 1) as f64);
        let left = (position as usize).min(sums.len() - 2);
        sums[left] + (position - left as f64) * (sums[left + 1] - sums[left])
    }
}
