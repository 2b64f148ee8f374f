//! Trains a posterior with each summary network of the library: without Burn's graph, interrupted and resumed to the
//! same bits, saved, and loaded by the registry.

use crate::models::{direct_networks, training};
use bayesburn::{
    amortizers::Amortizer,
    networks::{
        ConvolutionalNetworkConfig, DenseSummaryConfig, FusionNetworkConfig, HierarchicalNetworkConfig,
        SequenceNetworkConfig, SetTransformerConfig, SplitNetworkConfig, SummaryConfig, TimeSeriesNetworkConfig,
        TimeSeriesTransformerConfig, TimeStamps,
    },
    prelude::*,
    trainers::{Callback, StepReport},
    workflow::saved::{Registry, Saved},
};
use ndarray::ArrayD;
use std::{
    ops::ControlFlow,
    panic::{AssertUnwindSafe, catch_unwind},
};

/// Data sets around θ, made by a function of its generator.
fn model(
    data: impl Fn(&mut StreamRng, &[f32]) -> Vec<(&'static str, ArrayD<f32>)> + Send + Sync + 'static,
) -> GenerativeModel {
    let prior = Prior::from_fn(["mu_1", "mu_2"], |rng, _| [(); 2].map(|()| rng.sample(StandardNormal)));
    let simulator = Simulator::from_named_fn(move |rng, theta, _| data(rng, theta));
    GenerativeModel::new(prior, simulator).expect("the pilot run succeeds")
}

/// Observations around θ, of which the rows are of different lengths.
fn rows(rng: &mut StreamRng, theta: &[f32]) -> ArrayD<f32> {
    let n = rng.random_range(3..=9);
    Array2::from_shape_fn((n, 2), |(_, d)| theta[d] + rng.sample::<f32, _>(StandardNormal)).into_dyn()
}

/// Ends a training as a killed process would, except that its checkpoints are whole.
struct StopAt(usize);

impl<A: Amortizer> Callback<A> for StopAt {
    fn on_step(&mut self, report: &StepReport) -> ControlFlow<String> {
        assert!(report.steps < self.0, "stopped by the test");
        ControlFlow::Continue(())
    }
}

/// Whether the steps of a network need Burn's graph.
#[derive(Clone, Copy, PartialEq, Debug)]
enum Steps {
    ByKernels,
    ByGraph,
}

fn check<C: SummaryConfig>(model: &GenerativeModel, config: C, steps: Steps) {
    let networks = PosteriorConfig::new(config, direct_networks().inference);
    let folder = tempfile::tempdir().expect("a temporary folder");
    let builder = |name: &str| {
        let builder = Trainer::builder(model.clone(), networks.clone()).seed(3).progress(Progress::Hidden);
        builder.checkpoints(folder.path().join(name)).resume()
    };
    let source = || Online::new().with_epochs(3).with_iterations_per_epoch(4).with_batch_size(8);

    let mut whole = builder("whole").build().unwrap_or_else(|error| panic!("{}: {error}", C::NAME));
    let by_kernels = whole.amortizer().direct_loss().is_some();
    assert_eq!(by_kernels, cfg!(feature = "flex") && steps == Steps::ByKernels, "{}", C::NAME);
    whole.train(source(), &training()).expect("training succeeds");

    let mut stopped = builder("stopped").callback(StopAt(7)).build().expect("valid networks");
    let run = AssertUnwindSafe(|| stopped.train(source(), &training()).map(|_| ()));
    assert!(catch_unwind(run).is_err(), "the callback panics");
    drop(stopped);
    let mut resumed = builder("stopped").build().expect("a checkpoint of this run");
    assert_eq!(resumed.history().steps.len(), 4, "{}: the steps of the first epoch", C::NAME);
    resumed.train(source(), &training()).expect("training succeeds");
    assert_eq!(resumed.history().validation_losses(), whole.history().validation_losses(), "{}", C::NAME);

    let test = whole.simulate(10, 1).expect("simulates");
    let draws =
        |trainer: &Trainer<AmortizedPosterior<C>>| trainer.amortizer().sample(&test.conditions, 20, 5).expect("draws");
    let expected = draws(&whole);
    assert_eq!(draws(&resumed), expected, "{}", C::NAME);

    let place = folder.path().join("saved");
    whole.amortizer().save(&place).expect("writable");
    let saved = Saved::find(&place).expect("a saved posterior");
    assert!(Registry::new().load(&saved, None).is_ok(), "{}", C::NAME);
    let loaded = AmortizedPosterior::<C>::load(&place, &Device::default()).expect("a saved posterior");
    assert_eq!(loaded.sample(&test.conditions, 20, 5).expect("draws"), expected, "{}", C::NAME);
}

#[test]
fn networks_of_sets_and_series_train_and_resume() {
    let model = model(|rng, theta| vec![("rows", rows(rng, theta))]);
    let small = SetTransformerConfig::new(4).with_width(16).with_num_heads(2);
    check(&model, small, Steps::ByKernels);
    check(&model, SetTransformerConfig::bayesflow_v1(4), Steps::ByKernels);
    check(&model, TimeSeriesNetworkConfig::new(4).with_filters(6).with_units(8), Steps::ByKernels);
    check(&model, SequenceNetworkConfig::new(4).with_filters(6).with_units(8), Steps::ByKernels);
    let transformer = TimeSeriesTransformerConfig::new(4).with_width(16).with_num_heads(2);
    check(&model, transformer.with_times(TimeStamps::Feature(1)), Steps::ByKernels);
}

#[test]
fn networks_of_images_train_and_resume() {
    let model = model(|rng, theta| {
        let image = Array3::from_shape_fn((9, 8, 2), |(_, _, d)| theta[d] + rng.sample::<f32, _>(StandardNormal));
        vec![("image", image.into_dyn())]
    });
    check(&model, ConvolutionalNetworkConfig::new(4).with_filters(vec![4, 6]), Steps::ByKernels);
}

#[test]
fn networks_made_of_others_train_and_resume() {
    let two = model(|rng, theta| {
        let vector = arr1(&[theta[0] + rng.sample::<f32, _>(StandardNormal), 1.0]).into_dyn();
        vec![("rows", rows(rng, theta)), ("vector", vector)]
    });
    let fusion = FusionNetworkConfig::new()
        .with_network("rows", TimeSeriesNetworkConfig::new(4).with_filters(6).with_units(8))
        .with_network("vector", DenseSummaryConfig::new(3));
    check(&two, fusion, Steps::ByGraph);

    let groups = model(|rng, theta| {
        let groups = Array3::from_shape_fn((3, 5, 2), |(_, _, d)| theta[d] + rng.sample::<f32, _>(StandardNormal));
        vec![("groups", groups.into_dyn())]
    });
    let networks = [DeepSetConfig::new(5).with_units(8), DeepSetConfig::new(4).with_units(8)];
    check(&groups, HierarchicalNetworkConfig::new(networks.map(Into::into).to_vec()), Steps::ByGraph);

    let split = model(|rng, theta| {
        let rows = Array2::from_shape_fn((6, 3), |(row, d)| match d {
            2 => (row % 2) as f32,
            d => theta[d] + rng.sample::<f32, _>(StandardNormal),
        });
        vec![("rows", rows.into_dyn())]
    });
    let networks = [DeepSetConfig::new(3).with_units(8)];
    check(&split, SplitNetworkConfig::new(2, networks.map(Into::into).to_vec()), Steps::ByGraph);
}
