//! Checks the training loss against the negative log-likelihood, and the summary loss against what it measures.

use crate::{config, config_of, designs, mean_config, normals, perturbed, pilot, rng, untrained};
use bayesburn_amortizers::{Conditions, Configured, Standardization, SummaryLoss};
use bayesburn_networks::{Pass, SummaryConfig, num_trainable_parameters};
use burn::{
    module::{Module, ModuleVisitor, Param},
    tensor::{Gradients, Tensor},
};
use ndarray::Array2;

fn loss<C: SummaryConfig>(posterior: &bayesburn_amortizers::AmortizedPosterior<C>, batch: &Configured) -> f32 {
    posterior.loss(batch, &mut Pass::training(1)).expect("the batch is sound").into_scalar()
}

#[test]
fn the_loss_is_the_negative_log_likelihood() {
    for dim in [1, 2, 3] {
        for design in designs() {
            for standardization in [Standardization::All, Standardization::None] {
                let config = config_of(design.clone()).with_standardization(standardization);
                let posterior = perturbed(config, &pilot(dim), 4);
                let nll = posterior.negative_log_likelihood(&pilot(dim)).expect("the batch is sound");
                let loss = loss(&posterior, &pilot(dim));
                assert!((loss - nll).abs() < 1e-5 * nll.abs(), "{loss} against {nll}");
            }
        }
    }
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

/// The summary network passes its one observation on, so that the summaries' distribution is that of the data. With n = 512
/// normal summaries the estimate, which is biased by 2 Σ (1 − E k) / n, is about 0.03.
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
        let nll = |posterior: &bayesburn_amortizers::AmortizedPosterior| {
            posterior.negative_log_likelihood(&pilot(2)).expect("the batch is sound")
        };
        assert_eq!(nll(&with), nll(&plain));
    }
}
