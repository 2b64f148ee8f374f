//! The same trainings and inferences on a GPU and on the processor. Where there is no GPU, or the tests were built
//! without CUDA, each says so and passes: `cargo test --release --features cuda --test end_to_end gpu -- --nocapture`.
//! With the feature `cubecl-cpu` they run the GPU's kernels on CubeCL's processor where there is no GPU; with `cuda`
//! beside it, Burn is to be told so by `BURN_DEVICE=cpu`.

#![allow(clippy::print_stderr, reason = "a test that is skipped says why")]

use crate::models::normal_means;
use bayesburn::{
    core::{Interval, Purpose, stream},
    networks::{
        ActNormConfig, Activation, AffineConfig, AffineNets, DenseNetConfig, IdentityConfig, InterleavedConfig,
        SeparateNets, SummaryConfig, device,
    },
    prelude::*,
    trainers::Optimizer,
};
use burn::optim::AdamConfig;
use std::path::Path;

/// The GPU; `None`, and a message why, where there is none.
fn gpu(test: &str) -> Option<Device> {
    #[cfg(feature = "cubecl-cpu")]
    if nvidia().is_none() {
        eprintln!("{test} runs on CubeCL's processor");
        return Some(Device::cpu());
    }
    nvidia().or_else(|| {
        eprintln!("{test} is skipped: {}", device("cuda").expect_err("there is none"));
        None
    })
}

fn nvidia() -> Option<Device> {
    device("cuda").ok()
}

fn default_networks() -> PosteriorConfig<DeepSetConfig> {
    PosteriorConfig::new(DeepSetConfig::new(10), InvertibleNetworkConfig::new().with_num_coupling_layers(4))
}

/// Networks, and whether a GPU has kernels for them: those of Burn's operations have products in TF32, with 10 bits.
fn networks() -> Vec<(&'static str, PosteriorConfig<DeepSetConfig>, bool)> {
    let spline = PosteriorConfig::new(DeepSetConfig::new(10), InvertibleNetworkConfig::neural_spline_flow());
    let mixture = PosteriorConfig::new(DeepSetConfig::new(10), MixtureConfig::new());
    vec![
        ("default", default_networks(), true),
        ("v1", PosteriorConfig::bayesflow_v1(10, 4), true),
        ("spline", spline, true),
        ("mixture", mixture, false),
    ]
}

/// Two posteriors of the same weights, which are not those of the beginning, where much is 0.
fn posteriors<C: SummaryConfig + Clone>(
    config: &PosteriorConfig<C>,
    pilot: &Configured,
    devices: [&Device; 2],
) -> [AmortizedPosterior<C>; 2] {
    devices.map(|device| {
        let names = (0..pilot.parameters.ncols()).map(|d| format!("theta_{d}"));
        let mut posterior =
            AmortizedPosterior::new(config.clone(), names, std::slice::from_ref(pilot), 7, device).expect("sound");
        let (loss, mut values) = posterior.direct_loss().expect("kernels have these networks");
        let mut rng = stream(3, const { Purpose::new("other weights") }, 0);
        values.iter_mut().for_each(|value| *value += 0.03 * rng.sample::<f32, _>(StandardNormal));
        posterior.set_parameters(&loss, &values);
        posterior
    })
}

/// What posteriors say of some data sets: summaries, draws, densities, latents and the loss.
fn answers<C: SummaryConfig>(posterior: &AmortizedPosterior<C>, data: &Configured) -> Vec<(&'static str, Vec<f32>)> {
    let conditions = &data.conditions;
    let draws = posterior.sample(conditions, 40, 1).expect("it draws");
    let first = conditions.select(&[0]);
    // More than one stream of noise has, so that each draw is given a condition of its own.
    let many = posterior.sample(&first, 1100, 1).expect("it draws");
    let at_first = posterior.log_prob(&draws.values().index_axis(Axis(0), 0).to_owned(), &first).expect("densities");
    let (z, log_q) = posterior.latent(data).expect("latents");
    vec![
        ("summaries", posterior.summaries(conditions).expect("summaries").into_raw_vec_and_offset().0),
        ("draws", draws.into_values().into_raw_vec_and_offset().0),
        ("many draws", many.into_values().into_raw_vec_and_offset().0),
        ("ln q of draws", at_first.to_vec()),
        ("latents", z.into_raw_vec_and_offset().0),
        ("ln q", log_q.to_vec()),
        ("loss", vec![posterior.negative_log_prob(data).expect("a loss")]),
    ]
}

/// Affine and spline couplings in turn, without normalisation. Half of what the splines get lies beyond their edges,
/// where they are lines.
fn interleaved() -> InvertibleNetworkConfig {
    let net = || DenseNetConfig::new().with_units(20);
    let affine = AffineConfig::new().with_nets(AffineNets::Separate(SeparateNets::new(net(), net())));
    let spline = SplineConfig::new().with_domain(0.6).with_bins(4).with_net(net());
    let both = InterleavedConfig::new().with_affine(affine).with_spline(spline);
    InvertibleNetworkConfig::new()
        .with_num_coupling_layers(2)
        .with_act_norm(ActNormConfig::None)
        .with_coupling(CouplingDesign::Interleaved(both))
}

/// Normal numbers: parameters, data sets of so many observations of 2 features, and direct conditions. Of the seed 1
/// one sum before max(x, 0) is 0 but for rounding, and its gradients are there on one device and not on the other.
fn simulations(parameters: usize, observations: usize, direct: usize) -> Configured {
    const SETS: usize = 30;
    let mut rng = stream(2, const { Purpose::new("simulations") }, 0);
    let mut normal = || rng.sample::<f32, _>(StandardNormal);
    let mut parameters = Array2::from_shape_simple_fn((SETS, parameters), &mut normal);
    let mut conditions = Conditions::new(Array3::from_shape_simple_fn((SETS, observations, 2), &mut normal));
    if direct > 0 {
        let direct = Array2::from_shape_simple_fn((SETS, direct), &mut normal);
        parameters += &direct.slice_axis(Axis(1), (..1).into());
        conditions = conditions.with_direct(direct);
    }
    Configured::new(parameters, conditions).expect("sound")
}

#[cfg(any(feature = "cuda", feature = "cubecl-cpu"))]
mod gradients {
    use super::*;
    use bayesburn::{
        amortizers::{DensityPart, GpuSteps},
        core::Data,
        networks::{Pass, Pooling},
    };
    use bayesburn_kernels::{Adam, GpuStep};

    /// Gradients of both parts of the networks, and the loss and their norm.
    fn same<C: SummaryConfig + Clone>(name: &str, config: &PosteriorConfig<C>, batch: &Configured, gpu: &Device) {
        let weights = (0..batch.len()).map(|m| 0.5 + (m % 3) as f32).collect();
        let batch = &batch.clone().with_weights(weights).expect("a weight for each");
        let [there, here] = posteriors(config, batch, [gpu, &Device::flex()]);
        let (loss, values) = here.direct_loss().expect("kernels have these networks");
        let mut expected = vec![0.0; values.len()];
        let all = [DensityPart::Summary, DensityPart::Inference];
        let (value, norm) =
            loss.with_gradients(batch, &values, &all, &mut expected, &mut Pass::training(1)).expect("sound");

        let (loss, values) = there.direct_loss().expect("kernels have these networks");
        let zeros = vec![0.0; values.len()];
        let mut steps = GpuSteps::new(loss, gpu, [&values, &zeros, &zeros]).expect("a GPU");
        // The average of gradients is the last of them.
        let adam = Adam { beta_1: 0.0, beta_2: 0.999, epsilon: 1e-7, weight_decay: 0.0 };
        let step = GpuStep { adam, rate: 1e-3, max_norm: f32::INFINITY, times: [1, 1] };
        steps.gradients(batch, [true; 2], &mut Pass::training(1)).expect("it fits");
        let (got, got_norm) = steps.update(&step, || None).expect("it steps");
        let [_, gradients, _] = steps.state().expect("it reads");

        let largest = |values: &[f32]| values.iter().fold(0.0f32, |largest, g| largest.max(g.abs()));
        let mut off = 0.0f32;
        for (.., range) in steps.loss().parameters() {
            let (there, here) = (&gradients[range.clone()], &expected[range]);
            assert!(there.iter().all(|g| g.is_finite()), "{name}: gradients that are finite");
            let difference: Vec<f32> = there.iter().zip(here).map(|(a, b)| a - b).collect();
            off = off.max(largest(&difference) / largest(here).max(0.1 * largest(&expected)));
        }
        eprintln!("{name}: loss {got} and {value}, norm {got_norm} and {norm}, gradients {off:.1e} off");
        assert!(off < 1e-4, "{name}: gradients {off}");
        assert!((got - value).abs() < 1e-5 * value.abs(), "{name}: {got} and {value}");
        assert!((got_norm - norm).abs() < 1e-5 * norm, "{name}: {got_norm} and {norm}");
    }

    fn affine(net: DenseNetConfig) -> InvertibleNetworkConfig {
        let coupling = CouplingDesign::Affine(AffineConfig::new().with_nets(AffineNets::Shared(net)));
        InvertibleNetworkConfig::new().with_num_coupling_layers(2).with_coupling(coupling)
    }

    #[test]
    fn a_gpu_has_the_processors_gradients() {
        let Some(gpu) = gpu("a_gpu_has_the_processors_gradients") else { return };
        let sets = |set: DeepSetConfig, flow: InvertibleNetworkConfig| PosteriorConfig::new(set.with_units(24), flow);
        let net = || DenseNetConfig::new().with_units(20);
        let set = || DeepSetConfig::new(5);

        for (name, config, by_kernels) in networks() {
            if by_kernels {
                same(name, &config, &simulations(4, 7, 0), &gpu);
            }
        }
        let max = set().with_pooling(Pooling::Max).with_activation(Activation::Silu);
        same("max, silu, D 3, direct", &sets(max, affine(net())), &simulations(3, 7, 2), &gpu);
        let elu = set().with_activation(Activation::Elu);
        same("elu, D 1", &sets(elu, affine(net().with_activation(Activation::Elu))), &simulations(1, 7, 1), &gpu);
        for pooling in [Pooling::Mean, Pooling::Max] {
            let mut padded = simulations(4, 7, 0);
            let mask = Array2::from_shape_fn(
                (padded.len(), 7),
                |(m, n)| if n == m % 7 || (m + n) % 3 == 0 { 1.0 } else { 0.0 },
            );
            let values = padded.conditions.data.values().clone();
            padded.conditions.data = Data::new(values).with_row_mask(mask).expect("a mask of its rows");
            same("padded sets", &sets(set().with_pooling(pooling), affine(net())), &padded, &gpu);
        }
        let softplus = affine(net().with_activation(Activation::Softplus)).with_dropout(0.2);
        same("softplus, dropout", &sets(set(), softplus), &simulations(4, 7, 1), &gpu);
        let residual = net().with_residual(true).with_num_dense(3).with_activation(Activation::Tanh);
        let residual = PosteriorConfig::new(IdentityConfig::new(), affine(residual.with_shortcut(true)));
        same("vectors, residual, tanh, D 5", &residual, &simulations(5, 1, 3), &gpu);
        same("interleaved, D 3", &sets(set(), interleaved()), &simulations(3, 7, 0), &gpu);
        same("interleaved, D 1", &sets(set(), interleaved()), &simulations(1, 7, 0), &gpu);
    }
}

#[test]
fn a_gpu_infers_as_the_processor_does() {
    let Some(gpu) = gpu("a_gpu_infers_as_the_processor_does") else { return };
    let (of_sets, with_direct, of_vectors) = (simulations(2, 10, 0), simulations(2, 10, 3), simulations(2, 1, 3));

    let same = |name: &str, answers: [Vec<(&'static str, Vec<f32>)>; 2]| {
        let [there, here] = answers;
        for ((what, there), (_, here)) in there.iter().zip(&here) {
            let off = largest_difference(there, here);
            eprintln!("{name}: {what} {off:.1e} off");
            assert!(off < 1e-4, "{name}: {what} {off}");
        }
    };
    let devices = [&gpu, &Device::flex()];
    for (name, config, by_kernels) in networks() {
        if by_kernels {
            same(name, posteriors(&config, &of_sets, devices).map(|posterior| answers(&posterior, &of_sets)));
        }
    }
    // More rows than a GPU is given at a time.
    if nvidia().is_some() {
        let first = of_sets.conditions.select(&[0]);
        let draws = posteriors(&default_networks(), &of_sets, devices).map(|posterior| {
            let draws = posterior.sample(&first, 300_000, 1).expect("it draws");
            vec![("300,000 draws", draws.into_values().into_raw_vec_and_offset().0)]
        });
        same("default", draws);
    }
    let config = default_networks();
    same("direct", posteriors(&config, &with_direct, devices).map(|posterior| answers(&posterior, &with_direct)));
    for parameters in [1, 3] {
        let data = simulations(parameters, 10, 0);
        let config = PosteriorConfig::new(DeepSetConfig::new(5).with_units(24), interleaved());
        let of_both = posteriors(&config, &data, devices).map(|posterior| answers(&posterior, &data));
        same(&format!("interleaved, D {parameters}"), of_both);
    }
    // Vectors go straight to the flow, and a regression predicts parameters, which lie in intervals.
    let config = PosteriorConfig::new(IdentityConfig::new(), InvertibleNetworkConfig::neural_spline_flow())
        .with_support([Interval::between(-6.0, 6.0).expect("sound"); 2]);
    same("vectors", posteriors(&config, &of_vectors, devices).map(|posterior| answers(&posterior, &of_vectors)));
}

/// Each thread has work of its own shape, so that memory goes from one to the other.
#[test]
fn a_gpu_answers_several_threads_at_once() {
    const THREADS: usize = 4;
    let Some(gpu) = gpu("a_gpu_answers_several_threads_at_once") else { return };
    let data = simulations(2, 10, 0);
    let [posterior, _] = posteriors(&default_networks(), &data, [&gpu, &Device::flex()]);
    let ask = |thread: usize| {
        let sets: Vec<usize> = (0..3 + 2 * thread).collect();
        posterior.sample(&data.conditions.select(&sets), 50 + 25 * thread, thread as u64).expect("it draws")
    };
    let repeats = if nvidia().is_some() { 100 } else { 3 };
    let expected: Vec<Draws> = (0..THREADS).map(ask).collect();
    std::thread::scope(|scope| {
        let ask = &ask;
        for (thread, expected) in expected.iter().enumerate() {
            scope.spawn(move || (0..repeats).for_each(|_| assert!(ask(thread) == *expected, "thread {thread}")));
        }
    });
}

fn trainer(networks: PosteriorConfig<DeepSetConfig>, device: &Device, folder: Option<&Path>) -> Trainer {
    let builder = Trainer::builder(normal_means(), networks).seed(5).progress(Progress::Hidden).device(device.clone());
    match folder {
        Some(folder) => builder.checkpoints(folder).resume(),
        None => builder,
    }
    .build()
    .expect("sound")
}

fn source(epochs: usize, steps: usize) -> Online {
    Online::new().with_epochs(epochs).with_iterations_per_epoch(steps).with_batch_size(64)
}

fn config() -> TrainingConfig {
    let schedule = Schedule::new().with_initial_rate(1e-3);
    TrainingConfig::new()
        .with_optimizer(Optimizer::Adam(AdamConfig::new()))
        .with_schedule(schedule)
        .with_validation_simulations(100)
}

fn losses(trainer: &Trainer) -> Vec<f32> {
    trainer.history().steps.iter().map(|step| step.loss.expect("finite")).collect()
}

fn largest_difference(a: &[f32], b: &[f32]) -> f32 {
    assert_eq!(a.len(), b.len());
    assert!(a.iter().chain(b).all(|value| value.is_finite()), "numbers that are finite");
    a.iter().zip(b).map(|(a, b)| (a - b).abs() / b.abs().max(1.0)).fold(0.0, f32::max)
}

#[test]
fn a_gpu_trains_as_the_processor_does() {
    let Some(gpu) = gpu("a_gpu_trains_as_the_processor_does") else { return };
    for (name, networks, by_kernels) in networks() {
        // Burn's own operations take minutes on CubeCL's processor.
        if !by_kernels && nvidia().is_none() {
            continue;
        }
        // Units without a kink. With the default max(x, 0) a sum that is 0 but for rounding, in the 11th step, has its
        // unit's gradients on one device alone: the weights of that unit were 1e-4 apart, all others 2e-8, and losses
        // in the end 6e-4.
        let networks = match name {
            "spline" => {
                let net = DenseNetConfig::new().with_units(50).with_shortcut(true).with_activation(Activation::Silu);
                let coupling = CouplingDesign::Spline(SplineConfig::new().with_net(net));
                let set = DeepSetConfig::new(10).with_activation(Activation::Silu);
                PosteriorConfig::new(set, InvertibleNetworkConfig::new().with_coupling(coupling))
            }
            _ => networks,
        };
        let run = |device: &Device| {
            let mut trainer = trainer(networks.clone(), device, None);
            trainer.train(source(2, 20), &config()).expect("it trains");
            trainer
        };
        let (there, here) = (run(&gpu), run(&Device::flex()));
        let off = largest_difference(&losses(&there), &losses(&here));
        let validation = |trainer: &Trainer| trainer.history().validation_losses()[1].1;
        let (v, w) = (validation(&there), validation(&here));
        eprintln!("{name}: losses {off:.1e} off, validation {v} and {w}");
        assert!(off < if by_kernels { 2e-4 } else { 3e-2 }, "{name}: {off}");
        assert!((v - w).abs() < 3e-2, "{name}: {v} and {w}");
    }
}

#[test]
fn a_gpu_repeats_a_run_to_the_bit() {
    let Some(gpu) = gpu("a_gpu_repeats_a_run_to_the_bit") else { return };
    let run = || {
        let mut trainer = trainer(default_networks(), &gpu, None);
        trainer.train(source(1, 20), &config()).expect("it trains");
        losses(&trainer)
    };
    assert_eq!(run(), run());
}

#[test]
fn a_checkpoint_goes_on_on_the_other_device() {
    let Some(gpu) = gpu("a_checkpoint_goes_on_on_the_other_device") else { return };
    let here = Device::flex();
    for [first, second] in [[&gpu, &here], [&here, &gpu], [&gpu, &gpu]] {
        let folder = tempfile::tempdir().expect("a folder");
        // As if the process had ended after its first run.
        let mut begun = {
            let builder = Trainer::builder(normal_means(), default_networks()).seed(5).progress(Progress::Hidden);
            builder.device(first.clone()).checkpoints(folder.path()).build().expect("sound")
        };
        begun.train(source(1, 15), &config()).expect("it trains");
        begun.train(source(1, 15), &config()).expect("it trains");
        let expected = losses(&begun);
        drop(begun);
        let whole = folder.path().join("step-00000030");
        assert!(whole.is_dir(), "the last checkpoint");
        std::fs::remove_dir_all(&whole).expect("deleted");
        let mut resumed = trainer(default_networks(), second, Some(folder.path()));
        resumed.train(source(1, 15), &config()).expect("it goes on");
        resumed.train(source(1, 15), &config()).expect("it goes on");
        let off = largest_difference(&losses(&resumed), &expected);
        eprintln!("{first:?} to {second:?}: {off:.1e} off");
        assert!(off < 2e-4, "{first:?} to {second:?}: {off}");
    }
}

/// 5 million rows of 2,048 units are 40 GB for each layer.
#[test]
fn memory_that_is_not_there_is_an_error() {
    let Some(gpu) = nvidia() else { return eprintln!("memory_that_is_not_there_is_an_error is skipped without a GPU") };
    let networks = PosteriorConfig::new(
        DeepSetConfig::new(4).with_units(2048),
        InvertibleNetworkConfig::new().with_num_coupling_layers(1),
    );
    let mut trainer = trainer(networks, &gpu, None);
    let source = Online::new().with_epochs(1).with_iterations_per_epoch(1).with_batch_size(500_000);
    let error = trainer.train(source, &TrainingConfig::new()).map(|_| ()).expect_err("out of memory").to_string();
    assert!(error.contains("the GPU failed") && error.contains("smaller batches"), "{error}");
    eprintln!("{error}");
}
