//! Checks the loss without Burn's graph against the one by Burn's own operations: values, every gradient, parts, and
//! what has none.

use crate::{
    affine, config, config_of, dense, designs, inference, mean_config, normals, perturbed, pilot, rng, untrained,
};
use bayesburn_amortizers::{
    AmortizedPosterior, Conditions, Configured, DensityPart, PosteriorConfig, Standardization, Statistics, SummaryLoss,
};
use bayesburn_core::{Data, Interval};
use bayesburn_networks::{
    ActNormConfig, AffineNets, AutoregressiveFlowConfig, CouplingDesign, DeepSetConfig, IdentityConfig,
    InvertibleNetworkConfig, MixtureConfig, Pass, PermutationConfig, Pooling, SeparateNets, SoftFlowConfig,
    SummaryConfig,
};
use burn::{
    module::{Module, ModuleMapper, ModuleVisitor, Param, ParamId},
    tensor::{Gradients, Tensor},
};
use ndarray::{Array1, Array2};
use rand::RngExt;
use rand_distr::StandardNormal;
use std::collections::HashMap;

const ALL: [DensityPart; 2] = [DensityPart::Summary, DensityPart::Inference];

/// M simulations of N observations, some with weights and direct conditions.
fn batch(m: usize, n: usize, dim: usize, direct: usize, weighted: bool, index: u64) -> Configured {
    let mut rng = rng(index);
    let mut conditions = Conditions::new(normals(&mut rng, (m, n, 2)).mapv(|v| 4.0 * v - 1.0));
    if direct > 0 {
        conditions = conditions.with_direct(Array2::from_shape_simple_fn((m, direct), || rng.random_range(-2.0..5.0)));
    }
    let parameters = Array2::from_shape_simple_fn((m, dim), || 3.0 + 10.0 * rng.sample::<f32, _>(StandardNormal));
    let batch = Configured::new(parameters, conditions).expect("the batch is sound");
    if !weighted {
        return batch;
    }
    let weights = Array1::from_shape_simple_fn(m, || rng.random_range(0.0..2.0));
    batch.with_weights(weights).expect("the weights are sound")
}

/// The loss and each parameter's gradient by Burn's own operations.
pub(crate) fn by_graph<C: SummaryConfig>(
    posterior: &AmortizedPosterior<C>,
    batch: &Configured,
) -> (f32, HashMap<ParamId, Vec<f32>>) {
    struct Collected<'a>(&'a Gradients, HashMap<ParamId, Vec<f32>>);
    impl ModuleVisitor for Collected<'_> {
        fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
            if let Some(gradient) = param.val().grad(self.0) {
                self.1.insert(param.id, gradient.into_data().iter::<f32>().collect());
            }
        }
    }
    let loss = posterior.loss(batch, &mut Pass::training(1).without_kernels()).expect("the batch is sound");
    let value = loss.clone().into_scalar();
    let gradients = loss.backward();
    let mut collected = Collected(&gradients, HashMap::new());
    posterior.networks().visit(&mut collected);
    (value, collected.1)
}

/// Whether each |a − b| is at most 2e-5 of the largest number of its own parameter or of a tenth of the largest of all:
/// both are f32, and sums over a batch may cancel.
pub(crate) fn agree(direct: &HashMap<ParamId, Vec<f32>>, graph: &HashMap<ParamId, Vec<f32>>) -> bool {
    let largest = |values: &[f32]| values.iter().fold(0f32, |most, value| most.max(value.abs()));
    let of_all = graph.values().map(|values| largest(values)).fold(0.0, f32::max);
    graph.len() == direct.len()
        && graph.iter().all(|(id, expected)| {
            let scale = largest(expected).max(0.1 * of_all);
            direct[id].len() == expected.len()
                && direct[id].iter().zip(expected).all(|(a, b)| (a - b).abs() <= 2e-5 * scale)
        })
}

/// Normal noise on every parameter, little enough that networks of many layers or units do not multiply rounding
/// errors.
fn near_start<C: SummaryConfig>(config: PosteriorConfig<C>, pilot: &Configured, index: u64) -> AmortizedPosterior<C> {
    let mut posterior = untrained(config, pilot, index);
    let (direct, mut values) = posterior.direct_loss().expect("kernels have these networks");
    let mut rng = rng(1000 + index);
    values.iter_mut().for_each(|value| *value += 0.05 * rng.sample::<f32, _>(StandardNormal));
    posterior.set_parameters(&direct, &values);
    posterior
}

pub(crate) fn by_direct<C: SummaryConfig>(
    posterior: &AmortizedPosterior<C>,
    batch: &Configured,
) -> (f32, f64, HashMap<ParamId, Vec<f32>>) {
    let (direct, values) = posterior.direct_loss().expect("kernels have these networks");
    assert_eq!(values.len(), posterior.num_trainable_parameters());
    let mut gradients = vec![f32::NAN; values.len()];
    let (loss, norm) = direct
        .with_gradients(batch, &values, &ALL, &mut gradients, &mut Pass::training(1))
        .expect("the batch is sound");
    let gradients = direct.parameters().map(|(id, _, place)| (id, gradients[place].to_vec())).collect();
    (loss, norm, gradients)
}

fn configs() -> Vec<PosteriorConfig> {
    let mut configs: Vec<PosteriorConfig> = designs().into_iter().map(config_of).collect();
    let separate = affine().with_nets(AffineNets::Separate(SeparateNets::new(dense(), dense().with_shortcut(true))));
    let inference = InvertibleNetworkConfig::new()
        .with_num_coupling_layers(3)
        .with_coupling(CouplingDesign::Affine(separate))
        .with_permutation(PermutationConfig::None)
        .with_act_norm(ActNormConfig::None);
    configs.push(PosteriorConfig::new(DeepSetConfig::bayesflow_v1(3).with_pooling(Pooling::Max), inference));
    // More operands than a node of Burn's graph may have.
    configs.push(PosteriorConfig::new(
        DeepSetConfig::new(2).with_units(4),
        InvertibleNetworkConfig::new().with_num_coupling_layers(24).with_coupling(CouplingDesign::Affine(affine())),
    ));
    configs
}

#[test]
fn the_loss_and_its_gradients_are_those_of_the_graph() {
    let configs = || configs().into_iter().enumerate();
    let all =
        [Statistics::None, Statistics::Automatic].into_iter().flat_map(|of| configs().map(move |config| (of, config)));
    for (statistics, (i, config)) in all {
        let config = config.with_statistics(statistics);
        let first = if statistics == Statistics::None { 100 } else { 150 };
        for (j, (m, n, dim)) in [(1, 1, 1), (7, 5, 2), (33, 3, 3), (150, 4, 2), (20, 300, 2)].into_iter().enumerate() {
            let index = (first + 10 * i + j) as u64;
            let (direct, weighted) = (j % 3, j % 2 == 1);
            let pilot = batch(64, n, dim, direct, false, 500 + index);
            let posterior = near_start(config.clone(), &pilot, index);
            let batch = batch(m, n, dim, direct, weighted, index);
            let (loss, norm, gradients) = by_direct(&posterior, &batch);
            let (expected, graph) = by_graph(&posterior, &batch);
            assert!((loss - expected).abs() <= 1e-5 * expected.abs().max(1.0), "{i} {j}: {loss} against {expected}");
            assert!(agree(&gradients, &graph), "{i} {j}");
            let squares: f64 = graph.values().flatten().map(|&g| f64::from(g) * f64::from(g)).sum();
            assert!(
                (norm - squares.sqrt()).abs() <= 1e-4 * squares.sqrt(),
                "{i} {j}: {norm} against {}",
                squares.sqrt()
            );
            // The twin: the gradients of one simulation fewer are others.
            if m > 1 {
                let (_, other) = by_graph(&posterior, &batch.rows(0..m - 1));
                assert!(!agree(&gradients, &other), "{i} {j}");
            }
        }
    }
}

/// Data of one observation are the condition, beside what is given directly; and parameters may be mapped to the reals.
#[test]
fn the_loss_without_a_summary_network_and_with_a_support_is_that_of_the_graph() {
    for (i, supported) in [false, true].into_iter().enumerate() {
        for (j, (m, direct)) in [(1, 0), (40, 0), (33, 2)].into_iter().enumerate() {
            let index = (2000 + 10 * i + j) as u64;
            // Data and direct conditions predict parameters, so that the regression is one.
            let bounded = |mut batch: Configured| {
                let given = batch.conditions.direct_conditions.clone();
                for (m, mut row) in batch.parameters.outer_iter_mut().enumerate() {
                    row += 5.0 * batch.conditions.sets()[[m, 0, 1]];
                    row += given.as_ref().map_or(0.0, |given| 5.0 * given[[m, 0]]);
                }
                batch.parameters.mapv_inplace(|value| 4.0 / (1.0 + (-0.1 * value).exp()));
                batch
            };
            // Masks of dropped units are drawn by both ways alike.
            let mut config = PosteriorConfig::new(IdentityConfig::new(), inference().with_dropout(0.2 * j as f64));
            if supported {
                config = config.with_support([Interval::Between(0.0, 4.0), Interval::Above(-1.0)]);
            }
            let pilot = bounded(batch(64, 1, 2, direct, false, 500 + index));
            let posterior = near_start(config.clone(), &pilot, index);
            let without = untrained(config.with_standardization(Standardization::Moments), &pilot, index);
            let stds = [&posterior, &without].map(|posterior| posterior.parameter_standardization().1);
            assert!(stds[0].iter().zip(&stds[1]).all(|(left, all)| left < &(0.95 * all)), "{i} {j}: no regression");
            let batch = bounded(batch(m, 1, 2, direct, j == 2, index));
            let (loss, _, gradients) = by_direct(&posterior, &batch);
            let (expected, graph) = by_graph(&posterior, &batch);
            assert!((loss - expected).abs() <= 1e-5 * expected.abs().max(1.0), "{i} {j}: {loss} against {expected}");
            assert!(agree(&gradients, &graph), "{i} {j}");
            if let Some(support) = &posterior.config().support {
                let of_row = |row: ndarray::ArrayView1<'_, f32>| -> f64 {
                    support.iter().zip(row).map(|(interval, &value)| interval.log_derivative(value)).sum()
                };
                let of_map = batch.parameters.outer_iter().map(of_row).sum::<f64>() / m as f64;
                assert!(of_map.abs() > 1e-2, "{i} {j}: the loss without it would pass");
            }
        }
    }
}

/// Beside a set network, from direct conditions alone; and predictions that are kept within bounds.
#[test]
fn the_loss_with_predictions_from_direct_conditions_is_that_of_the_graph() {
    let saturated = |m: usize, index: u64| {
        let mut batch = batch(m, 5, 2, 2, false, index);
        let direct = batch.conditions.direct_conditions.clone().expect("two of them");
        for ((m, d), value) in batch.parameters.indexed_iter_mut() {
            *value = 4.0 / (1.0 + (-4.0 * direct[[m, d]] - 0.01 * *value).exp());
        }
        batch
    };
    let bounds = [Interval::Between(0.0, 4.0), Interval::Between(0.0, 4.0)];
    let (pilot, batch) = (saturated(200, 1), saturated(40, 2));
    let mut losses = Vec::new();
    for config in [config(), config().with_bounds(bounds)] {
        let posterior = near_start(config, &pilot, 1);
        let (loss, _, gradients) = by_direct(&posterior, &batch);
        let (expected, graph) = by_graph(&posterior, &batch);
        assert!((loss - expected).abs() <= 1e-5 * expected.abs().max(1.0), "{loss} against {expected}");
        assert!(agree(&gradients, &graph));
        losses.push(loss);
    }
    assert!((losses[0] - losses[1]).abs() > 1e-3, "no prediction was beyond a bound: {losses:?}");
    let without = untrained(config().with_standardization(Standardization::Moments), &pilot, 1);
    let stds = [&untrained(config(), &pilot, 1), &without].map(|posterior| posterior.parameter_standardization().1);
    assert!(stds[0].iter().zip(&stds[1]).all(|(left, all)| left < &(0.9 * all)), "{stds:?}: no regression");
}

/// The same bits as when the other part is trained too, and what belongs to that part stays.
#[test]
fn one_part_can_be_trained_alone() {
    let posterior = perturbed(config(), &pilot(2), 1);
    let (direct, values) = posterior.direct_loss().expect("kernels have these networks");
    let mut all = vec![0.0; values.len()];
    direct.with_gradients(&pilot(2), &values, &ALL, &mut all, &mut Pass::training(1)).expect("the batch is sound");
    for part in ALL {
        let mut gradients = vec![7.0; values.len()];
        let (_, norm) = direct
            .with_gradients(&pilot(2), &values, &[part], &mut gradients, &mut Pass::training(1))
            .expect("the batch is sound");
        let mut squares = 0.0;
        for (_, of, place) in direct.parameters() {
            if of == part {
                assert_eq!(gradients[place.clone()], all[place.clone()]);
                squares += all[place].iter().map(|&g| f64::from(g) * f64::from(g)).sum::<f64>();
            } else {
                assert!(gradients[place].iter().all(|&g| g == 7.0));
            }
        }
        assert!((norm - squares.sqrt()).abs() < 1e-9 * norm);
    }
}

/// On all cores, and on the one thread that calls inside a pool.
#[test]
fn results_do_not_depend_on_threads() {
    let posterior = perturbed(config(), &pilot(2), 1);
    let batch = batch(150, 6, 2, 0, true, 3);
    let step = || {
        let (loss, norm, gradients) = by_direct(&posterior, &batch);
        (loss.to_bits(), norm.to_bits(), gradients)
    };
    let on_all_cores = step();
    for threads in [1, 2, 3] {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().expect("threads");
        assert!(on_all_cores == pool.install(step), "{threads} threads");
    }
}

#[test]
fn the_number_of_observations_may_change() {
    let posterior = perturbed(config(), &pilot(2), 1);
    let (direct, values) = posterior.direct_loss().expect("kernels have these networks");
    let mut gradients = vec![0.0; values.len()];
    for n in [3, 11, 1] {
        let batch = batch(20, n, 2, 0, false, 3);
        let (loss, _) = direct
            .with_gradients(&batch, &values, &ALL, &mut gradients, &mut Pass::training(1))
            .expect("the batch is sound");
        let expected = by_graph(&posterior, &batch).0;
        assert!((loss - expected).abs() <= 1e-5 * expected.abs().max(1.0), "{n}: {loss} against {expected}");
    }
}

/// Data sets of different lengths, which are padded anywhere; ln N is behind the direct conditions.
#[test]
fn the_loss_of_padded_sets_is_that_of_the_graph() {
    let padded = |m: usize, direct: usize, index: u64| {
        let mut batch = batch(m, 6, 2, direct, true, index);
        let mut rng = rng(1000 + index);
        let mask = Array2::from_shape_fn((m, 6), |(_, n)| f32::from(u8::from(n == 2 || rng.random_bool(0.6))));
        let data = Data::new(batch.conditions.data.values().clone());
        batch.conditions.data = data.with_row_mask(mask).expect("a mask of its rows");
        batch
    };
    for (i, pooling) in [Pooling::Mean, Pooling::Max].into_iter().enumerate() {
        let config =
            PosteriorConfig::new(DeepSetConfig::new(3).with_units(8).with_pooling(pooling), config().inference);
        let posterior = near_start(config, &padded(64, i, 1), i as u64);
        let batch = padded(40, i, 2);
        let (loss, _, gradients) = by_direct(&posterior, &batch);
        let (expected, graph) = by_graph(&posterior, &batch);
        assert!((loss - expected).abs() <= 1e-5 * expected.abs().max(1.0), "{pooling:?}: {loss} against {expected}");
        assert!(agree(&gradients, &graph), "{pooling:?}");
        // The twin: of other lengths it is another loss.
        let (other, ..) = by_direct(&posterior, &{
            let values = batch.conditions.data.values().clone();
            let mut batch = batch.clone();
            batch.conditions.data = Data::new(values);
            batch
        });
        assert!((other - loss).abs() > 1e-3, "{pooling:?}: {other}");
    }
}

#[test]
fn values_can_be_put_back() {
    let posterior = perturbed(config(), &pilot(2), 1);
    let mut other = untrained(config(), &pilot(2), 1);
    let (direct, values) = posterior.direct_loss().expect("kernels have these networks");
    assert_ne!(other.direct_loss().expect("kernels have these networks").1, values);
    let nll = |posterior: &AmortizedPosterior| posterior.negative_log_prob(&pilot(2)).expect("a sound batch");
    assert_ne!(nll(&other), nll(&posterior));
    other.set_parameters(&direct, &values);
    assert_eq!(nll(&other), nll(&posterior));
    assert!(other.direct_loss().expect("the parameters are trained as before").1 == values);
}

#[test]
fn what_kernels_lack_goes_by_the_graph() {
    let none = |config: PosteriorConfig| untrained(config, &pilot(2), 1).direct_loss().is_none();
    let soft = SoftFlowConfig::new();
    let with_soft_flow = InvertibleNetworkConfig::new().with_soft_flow(Some(soft));
    assert!(!none(config()));
    assert!(none(config().with_dropout(0.1)));
    assert!(none(config().with_summary_loss(SummaryLoss::Mmd { weight: 1.0 })));
    assert!(none(PosteriorConfig::new(DeepSetConfig::new(2), with_soft_flow)));
    assert!(none(PosteriorConfig::new(DeepSetConfig::new(2), MixtureConfig::gaussian())));
    assert!(none(PosteriorConfig::new(DeepSetConfig::new(2), AutoregressiveFlowConfig::new())));
    assert!(untrained(mean_config(), &pilot(2), 1).direct_loss().is_none());

    /// Freezes the first parameter it meets.
    struct Freeze(bool);
    impl ModuleMapper for Freeze {
        fn map_float<const D: usize>(&mut self, param: Param<Tensor<D>>) -> Param<Tensor<D>> {
            if std::mem::replace(&mut self.0, true) { param } else { param.set_require_grad(false) }
        }
    }
    let mut frozen = untrained(config(), &pilot(2), 1);
    frozen.set_networks(frozen.networks().clone().map(&mut Freeze(false)));
    assert!(frozen.direct_loss().is_none());
}
