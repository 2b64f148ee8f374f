//! Tests what each policy does with simulations that are not finite.

mod failures;
mod policies;
mod replays;

use bayesburn_core::{Data, Simulations, StreamRng};
use bayesburn_simulation::{ContextGenerator, GenerativeModel, InvalidSimulations, Prior, Simulator};
use ndarray::{Array1, Array2, Array3, arr1};
use rand::RngExt;
use rand_distr::StandardNormal;

const REDRAW: InvalidSimulations = InvalidSimulations::Redraw { max_attempts: 100 };
const OTHERS: [InvalidSimulations; 3] = [REDRAW, InvalidSimulations::Drop, InvalidSimulations::Mask];

/// The 90% point of a standard normal.
const CUT: f32 = 1.2816;

/// Two observations of two features; NaN and infinity in one of them where θ is in the upper tenth of its prior.
fn observe(rng: &mut StreamRng, theta: f32) -> Array2<f32> {
    let mut x = Array2::from_shape_fn((2, 2), |_| theta + rng.sample::<f32, _>(StandardNormal));
    if theta > CUT {
        x[[0, 1]] = f32::NAN;
        x[[1, 0]] = f32::INFINITY;
    }
    x
}

fn normal(rng: &mut StreamRng) -> f32 {
    rng.sample(StandardNormal)
}

/// θ, and a parameter without effect.
fn one_prior() -> Prior {
    Prior::from_fn(["theta", "nu"], |rng, _| [normal(rng), normal(rng)])
}

fn whole_prior() -> Prior {
    Prior::from_batch_fn(["theta", "nu"], |rng, batch, _| Array2::from_shape_fn((batch, 2), |_| normal(rng)))
}

fn one_simulator() -> Simulator {
    Simulator::from_fn(|rng, theta, _| observe(rng, theta[0]))
}

fn whole_simulator() -> Simulator {
    Simulator::from_batch_fn(|rng, theta, _| {
        let rows: Vec<_> =
            theta.column(0).iter().map(|&theta| observe(rng, theta).into_raw_vec_and_offset().0).collect();
        Array3::from_shape_vec((theta.nrows(), 2, 2), rows.concat()).expect("4 values for each")
    })
}

/// Batchable context of one value.
fn own() -> ContextGenerator {
    ContextGenerator::new().with_batchable(|rng| arr1(&[normal(rng)]))
}

fn shared() -> ContextGenerator {
    own().with_non_batchable(|rng| arr1(&[rng.random_range(3..=9) as f32]))
}

/// As many observations as the context says.
fn n_observations() -> Simulator {
    Simulator::from_fn(|rng, theta, context| {
        let mut x = Array1::from_shape_fn(context.num_observations(), |_| theta[0] + normal(rng));
        x[1] = if theta[0] > CUT { f32::NEG_INFINITY } else { x[1] };
        x
    })
    .with_context(shared())
}

/// Every way in which simulations can depend on their batch, and whether they do not; a tenth is not finite in all.
fn models(policy: InvalidSimulations) -> Vec<(GenerativeModel, bool)> {
    [
        (one_prior(), one_simulator(), true),
        (one_prior().with_context(own()), one_simulator().with_context(own()), true),
        (one_prior().with_context(shared()), n_observations(), false),
        (whole_prior().with_context(shared()), one_simulator().with_context(own()), false),
        (one_prior().with_context(own()), whole_simulator().with_context(shared()), false),
        (whole_prior(), whole_simulator(), false),
        (whole_prior().with_context(own()), n_observations(), false),
    ]
    .map(|(prior, simulator, independent)| (model(prior, simulator, policy), independent))
    .into()
}

fn model(prior: Prior, simulator: Simulator, policy: InvalidSimulations) -> GenerativeModel {
    GenerativeModel::new(prior, simulator.on_invalid(policy)).expect("the policy lets the pilot run pass")
}

fn tenth(policy: InvalidSimulations) -> GenerativeModel {
    model(one_prior(), one_simulator(), policy)
}

fn simulate(model: &GenerativeModel, n: usize, seed: u64) -> Simulations {
    model.simulate(n, seed).expect("the policy lets it pass")
}

fn is_finite(simulations: &Simulations) -> bool {
    simulations.data.values().iter().all(|x| x.is_finite())
}

/// One row of a batch, as `replay` yields it.
fn row(simulations: &Simulations, row: usize) -> Simulations {
    let row = simulations.select(&[row]);
    Simulations { data: Data::new(row.data.values().clone()), ..row }
}
