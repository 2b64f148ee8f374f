//! Checks the training loss against the negative log-likelihood, sample weights against losses of rows and subsets, and
//! the summary loss against what it measures.

use crate::{config, config_of, designs, mean_config, normals, perturbed, pilot, rng, untrained};
use bayesburn_amortizers::{AmortizedPosterior, Conditions, Configured, Standardization, SummaryLoss};
use bayesburn_networks::{Pass, SummaryConfig, num_trainable_parameters};
use burn::{
    module::{Module, ModuleVisitor, Param},
    optim::{GradientsParams, SgdConfig},
    tensor::{Gradients, Tensor},
};
use ndarray::{Array1, Array2, Axis};

fn loss<C: SummaryConfig>(posterior: &AmortizedPosterior<C>, batch: &Configured) -> f32 {
    posterior.loss(batch, &mut Pass::training(1)).expect("the batch is sound").into_scalar()
}

/// The gradient of each trainable parameter, one after the other.
fn gradient(posterior: &AmortizedPosterior, loss: Tensor<1>) -> Vec<f32> {
    struct Collected<'a>(&'a Gradients, Vec<f32>);
    impl ModuleVisitor for Collected<'_> {
        fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
            if let Some(gradient) = param.val().grad(self.0) {
                self.1.extend(gradient.into_data().iter::<f32>());
            }
        }
    }
    let gradients = loss.backward();
    let mut collected = Collected(&gradients, Vec::new());
    posterior.networks().visit(&mut collected);
    assert_eq!(collected.1.len(), posterior.num_trainable_parameters());
    collected.1
}

/// The largest |a − b| over the largest |b|.
fn relative(a: &[f32], b: &[f32]) -> f32 {
    let largest = |values: &mut dyn Iterator<Item = f32>| values.fold(0f32, |m, v| m.max(v.abs()));
    assert_eq!(a.len(), b.len());
    largest(&mut a.iter().zip(b).map(|(a, b)| a - b)) / largest(&mut b.iter().copied())
}

#[test]
fn the_loss_is_the_negative_log_likelihood() {
    for dim in [1, 2, 3] {
        for design in designs() {
            for standardization in [Standardization::All, Standardization::None] {
                let config = config_of(design.clone()).with_standardization(standardization);
                let posterior = perturbed(config, &pilot(dim), 4);
                let nll = posterior.negative_log_prob(&pilot(dim)).expect("the batch is sound");
                let loss = loss(&posterior, &pilot(dim));
                assert!((loss - nll).abs() < 1e-5 * nll.abs(), "{loss} against {nll}");
            }
        }
    }
}

/// Weights 0, 0.5, 1, 1.5 and 2 in turn: sums and means over the 64 simulations are known in closed form.
fn weights() -> Array1<f32> {
    Array1::from_shape_fn(64, |row| 0.5 * (row % 5) as f32)
}

fn weighted(batch: Configured, weights: Array1<f32>) -> Configured {
    batch.with_weights(weights).expect("one weight for each simulation")
}

#[test]
fn a_weight_is_a_factor_of_its_simulations_loss() {
    for design in designs() {
        let posterior = perturbed(config_of(design), &pilot(2), 4);
        let batch = weighted(pilot(2), weights());
        let log_prob = posterior.log_prob(&batch.parameters, &batch.conditions).expect("the batch is sound");
        let by_hand = -(&log_prob * &weights()).sum() / 64.0;
        let nll = posterior.negative_log_prob(&batch).expect("the batch is sound");
        assert!((nll - by_hand).abs() < 1e-5 * by_hand.abs(), "{nll} against {by_hand}");
        let loss = loss(&posterior, &batch);
        assert!((loss - by_hand).abs() < 1e-5 * by_hand.abs(), "{loss} against {by_hand}");
        // The densities themselves know no weights.
        assert_eq!(posterior.latent(&batch).expect("the batch is sound").1, log_prob);
    }
}

/// Value and gradient: weights of 0 and 1 are the loss of the subset times its share of the batch.
#[test]
fn weights_of_0_and_1_choose_a_subset() {
    let rows: Vec<usize> = (0..64).filter(|row| row % 3 == 0).collect();
    let share = rows.len() as f32 / 64.0;
    let chosen = Array1::from_shape_fn(64, |row| f32::from(row % 3 == 0));
    for design in designs() {
        let posterior = perturbed(config_of(design), &pilot(2), 4);
        let data = pilot(2).conditions.sets().select(Axis(0), &rows);
        let subset = Configured::new(pilot(2).parameters.select(Axis(0), &rows), Conditions::new(data));
        let subset = subset.expect("as many parameters as data sets");
        let loss = |batch: &Configured| posterior.loss(batch, &mut Pass::training(1)).expect("the batch is sound");
        let (a, b) = (loss(&weighted(pilot(2), chosen.clone())), loss(&subset).mul_scalar(share));
        assert!((a.clone() - b.clone()).into_scalar::<f32>().abs() < 1e-5 * b.clone().into_scalar::<f32>().abs());
        let error = relative(&gradient(&posterior, a), &gradient(&posterior, b));
        assert!(error < 1e-4, "the gradient is off by {error}");
    }
}

#[test]
fn weights_of_1_change_nothing_and_other_means_scale() {
    let posterior = perturbed(config(), &pilot(2), 4);
    let plain = loss(&posterior, &pilot(2));
    assert_eq!(loss(&posterior, &weighted(pilot(2), Array1::ones(64))), plain);
    assert_eq!(loss(&posterior, &weighted(pilot(2), Array1::from_elem(64, 4.0))), 4.0 * plain);
}

/// Also where one part has no weight at all.
#[test]
fn the_losses_of_parts_add_up_by_their_lengths() {
    let posterior = perturbed(config(), &pilot(2), 4);
    let mut weights = weights();
    weights.slice_mut(ndarray::s![..10]).fill(0.0);
    let batch = weighted(pilot(2), weights);
    let loss = |batch: &Configured| posterior.loss(batch, &mut Pass::training(1)).expect("the batch is sound");
    let parts = [0..10, 10..43, 43..64].map(|range| {
        let part = batch.rows(range);
        loss(&part).mul_scalar(part.len() as f32 / 64.0)
    });
    let gradients = parts.each_ref().map(|part| gradient(&posterior, part.clone()));
    let sum: f32 = parts.map(|part| part.into_scalar::<f32>()).iter().sum();
    let whole: f32 = loss(&batch).into_scalar();
    assert!((sum - whole).abs() < 1e-5 * whole.abs(), "{sum} against {whole}");
    let sums: Vec<f32> = (0..gradients[0].len()).map(|i| gradients.iter().map(|g| g[i]).sum()).collect();
    let error = relative(&sums, &gradient(&posterior, loss(&batch)));
    assert!(error < 1e-5, "the gradient is off by {error}");
}

/// The summary loss asks something of the networks, not of a simulation.
#[test]
fn the_summary_loss_has_no_weights() {
    let with = config().with_summary_loss(SummaryLoss::Mmd { weight: 2.0 });
    let (plain, with) = (perturbed(config(), &pilot(2), 4), perturbed(with, &pilot(2), 4));
    let term = |batch: &Configured| loss(&with, batch) - loss(&plain, batch);
    let (unweighted, weighted) = (term(&pilot(2)), term(&weighted(pilot(2), weights())));
    assert!((unweighted - weighted).abs() < 1e-4 * unweighted, "{unweighted} against {weighted}");
}

/// In an inference pass the density is that of `log_prob`, and a loss that is written by hand has the gradient of
/// `loss`.
#[test]
fn a_loss_of_ones_own_is_made_of_log_prob() {
    for design in designs() {
        for summary_loss in [None, Some(SummaryLoss::Mmd { weight: 2.0 })] {
            let mut config = config_of(design.clone());
            config.summary_loss = summary_loss;
            let posterior = perturbed(config, &pilot(2), 4);
            let batch = weighted(pilot(2), weights());
            let expected = posterior.log_prob(&batch.parameters, &batch.conditions).expect("the batch is sound");
            let density = |mut pass: Pass| posterior.log_prob_of_batch(&batch, &mut pass).expect("the batch is sound");
            let got: Vec<f32> = density(Pass::inference(3)).into_data().iter::<f32>().collect();
            let error = relative(&got, &expected.to_vec());
            assert!(error < 1e-5, "off by {error}");
            if summary_loss.is_some() {
                continue; // which the density has no part of
            }
            let weights = Tensor::from_data(weights().to_vec().as_slice(), &crate::device());
            let by_hand = (density(Pass::training(1)) * weights).sum().div_scalar(-64.0);
            let loss = posterior.loss(&batch, &mut Pass::training(1)).expect("the batch is sound");
            let error = relative(&gradient(&posterior, by_hand), &gradient(&posterior, loss));
            assert!(error < 1e-5, "the gradient is off by {error}");
        }
    }
}

#[test]
fn weights_that_cannot_be_are_refused() {
    let posterior = untrained(config(), &pilot(2), 1);
    let refused = |change: &dyn Fn(&mut Array1<f32>)| {
        let mut weights = weights();
        change(&mut weights);
        let error = pilot(2).with_weights(weights.clone()).expect_err("the weights are wrong");
        // As a field that was set by hand, they are found by what uses them.
        let batch = Configured { weights: Some(weights), ..pilot(2) };
        let nll = posterior.negative_log_prob(&batch).expect_err("the weights are wrong");
        assert_eq!(nll.to_string(), error.to_string());
        (error, posterior.loss(&batch, &mut Pass::training(1)))
    };
    let set = |value: f32| move |weights: &mut Array1<f32>| weights[7] = value;
    for (change, expected) in [
        (&set(f32::NAN) as &dyn Fn(&mut Array1<f32>), "the weight of data set 7 holds NaN"),
        (&set(f32::INFINITY), "the weight of data set 7 holds inf"),
        (&set(-0.5), "the weight of data set 7 is -0.5: make all weights at least 0"),
        (&|weights| *weights = Array1::ones(63), "the array of weights has 63 rows for 64 data sets"),
    ] {
        let (error, loss) = refused(change);
        assert!(error.to_string().contains(expected), "`{expected}` is not in: {error}");
        assert_eq!(loss.expect_err("the weights are wrong").to_string(), error.to_string());
    }
}

/// As a narrow kernel makes them: nothing is added to the loss or its gradient. Of a whole pilot it is a mistake.
#[test]
fn weights_may_all_be_zero_in_a_batch_and_not_in_the_pilot() {
    let posterior = untrained(config(), &pilot(2), 1);
    let batch = pilot(2).with_weights(Array1::zeros(64)).expect("a batch may have no weight");
    assert_eq!(posterior.negative_log_prob(&batch).expect("no weight"), 0.0);
    let loss = posterior.loss(&batch, &mut Pass::training(1)).expect("no weight");
    assert_eq!(loss.clone().into_scalar::<f32>(), 0.0);
    assert!(gradient(&posterior, loss).iter().all(|value| *value == 0.0));
    let new = |pilot: &[Configured]| AmortizedPosterior::new(config(), ["a", "b"], pilot, 1, &crate::device());
    let error = new(&[batch.clone(), batch.clone()]).expect_err("no weight").to_string();
    assert!(error.contains("the weights of all 128 pilot simulations are 0: widen the kernel"), "{error}");
    new(&[batch, pilot(2)]).expect("some weight");
}

/// How many numbers the gradient reaches.
struct Reached<'a>(&'a Gradients, usize);

impl ModuleVisitor for Reached<'_> {
    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
        if param.val().grad(self.0).is_some() {
            self.1 += param.shape().num_elements();
        }
    }
}

#[test]
fn the_gradient_reaches_every_trainable_parameter_and_no_constant() {
    for design in designs() {
        let posterior = perturbed(config_of(design), &pilot(3), 4);
        let gradients = posterior.loss(&pilot(3), &mut Pass::training(1)).expect("the batch is sound").backward();
        let mut reached = Reached(&gradients, 0);
        posterior.networks().visit(&mut reached);
        assert_eq!(reached.1, posterior.num_trainable_parameters());
        assert_eq!(reached.1, num_trainable_parameters(posterior.networks()));
    }
}

/// One step with the gradients of one part alone: that part changes, to the last parameter, and the other does not.
#[test]
fn each_part_of_the_networks_can_be_trained_alone() {
    struct Values(Vec<Vec<f32>>);
    impl ModuleVisitor for Values {
        fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
            self.0.push(param.val().into_data().iter::<f32>().collect());
        }
    }
    fn values(module: &impl Module) -> Vec<Vec<f32>> {
        let mut values = Values(Vec::new());
        module.visit(&mut values);
        values.0
    }
    for inference_alone in [true, false] {
        let posterior = perturbed(config(), &pilot(2), 4);
        let before = posterior.networks().clone();
        let mut gradients = posterior.loss(&pilot(2), &mut Pass::training(1)).expect("sound").backward();
        let gradients = match inference_alone {
            true => GradientsParams::from_module(&mut gradients, before.inference()),
            false => GradientsParams::from_module(&mut gradients, before.summary()),
        };
        let after = SgdConfig::new().init().step(1e-2, before.clone(), gradients);
        let changed = |before: Vec<Vec<f32>>, after: Vec<Vec<f32>>| {
            before.iter().zip(&after).map(|(b, a)| b != a).collect::<Vec<_>>()
        };
        let summary = changed(values(before.summary()), values(after.summary()));
        let inference = changed(values(before.inference()), values(after.inference()));
        assert!(summary.iter().all(|&changed| changed != inference_alone), "{summary:?}");
        assert!(inference.iter().all(|&changed| changed == inference_alone), "{inference:?}");
    }
}

/// In all networks, and in training alone.
#[test]
fn dropout_blurs_the_training_loss_alone() {
    for design in designs() {
        let [plain, with] = [0.0, 0.25].map(|p| perturbed(config_of(design.clone()).with_dropout(p), &pilot(2), 4));
        assert_eq!(plain.config(), &config_of(design.clone()), "0 is the default");
        let nll = |posterior: &AmortizedPosterior| posterior.negative_log_prob(&pilot(2)).expect("sound");
        assert_eq!(nll(&with), nll(&plain));
        let losses = |posterior: &AmortizedPosterior| {
            [1, 2].map(|seed| -> f32 {
                posterior.loss(&pilot(2), &mut Pass::training(seed)).expect("sound").into_scalar()
            })
        };
        let ([a, b], [c, d]) = (losses(&plain), losses(&with));
        assert!(a == b && c != d && a != c, "{a}, {b}, {c}, {d}");
        let mut summary_alone = config_of(design.clone()).with_dropout(0.25);
        summary_alone.inference = summary_alone.inference.with_dropout(0.0);
        assert_ne!(losses(&perturbed(summary_alone, &pilot(2), 4)), losses(&with), "dropout of the inference network");
        let mut inference_alone = config_of(design).with_dropout(0.25);
        inference_alone.summary.dropout = 0.0;
        assert_ne!(losses(&perturbed(inference_alone, &pilot(2), 4)), losses(&with), "dropout of the summary network");
    }
}

/// The summary network passes its one observation on, so that the summaries' distribution is that of the data. With n =
/// 512 normal summaries the estimate, which is biased by 2 Σ (1 − E k) / n, is about 0.03.
#[test]
fn the_summary_loss_is_small_for_normal_summaries_alone() {
    let with = |weight| {
        mean_config().with_standardization(Standardization::None).with_summary_loss(SummaryLoss::Mmd { weight })
    };
    let batch = |shift: f32, scale: f32| {
        let data = normals(&mut rng(8), (512, 1, 2)).mapv(|v| shift + scale * v);
        Configured::new(Array2::zeros((512, 2)), Conditions::new(data)).expect("the batch is sound")
    };
    let plain = untrained(mean_config().with_standardization(Standardization::None), &pilot(2), 1);
    let term = |weight, batch: &Configured| loss(&untrained(with(weight), &pilot(2), 1), batch) - loss(&plain, batch);
    let normal = term(1.0, &batch(0.0, 1.0));
    assert!((0.0..0.1).contains(&normal), "{normal}");
    for (shift, scale) in [(3.0, 1.0), (-3.0, 1.0), (0.0, 5.0), (0.0, 0.1)] {
        let other = term(1.0, &batch(shift, scale));
        assert!(other > 0.5, "N({shift}, {scale}²): {other}");
        let thrice = term(3.0, &batch(shift, scale));
        assert!((thrice - 3.0 * other).abs() < 1e-4 * thrice, "the weight is a factor: {thrice}, {other}");
    }
}

#[test]
fn the_summary_loss_only_adds_and_is_no_part_of_the_likelihood() {
    let (plain, with) = (config(), config().with_summary_loss(SummaryLoss::Mmd { weight: 2.0 }));
    for seed in 1..5 {
        let (plain, with) = (perturbed(plain.clone(), &pilot(2), seed), perturbed(with.clone(), &pilot(2), seed));
        assert!(loss(&with, &pilot(2)) > loss(&plain, &pilot(2)));
        let nll = |posterior: &AmortizedPosterior| posterior.negative_log_prob(&pilot(2)).expect("the batch is sound");
        assert_eq!(nll(&with), nll(&plain));
    }
}
