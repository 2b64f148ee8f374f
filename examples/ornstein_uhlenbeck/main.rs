//! Infers mean, rate and standard deviation of an Ornstein–Uhlenbeck process from 20 to 200 observations at irregular
//! times, with gaps.
//!
//! The process returns to its mean μ at the rate κ and fluctuates around it with the standard deviation s:
//!
//! ```text
//! x(t + Δ) | x(t) ~ N(μ + (x(t) − μ) e^−κΔ, s² (1 − e^−2κΔ))
//! μ ~ N(0, 1)        ln κ ~ N(−0.7, 0.5²)        ln s ~ N(0, 0.3²)
//! ```
//!
//! The likelihood is a product of these normal densities. Given κ and s, the posterior of μ is normal; over κ and s,
//! the example sums on a grid. This is the exact posterior that the learned one is compared with.
//!
//! **Why a deep set.** The process has no memory beyond its last value, so the likelihood is a sum over observations,
//! each with the one before and the time between. A row of the data has these three features, and then the order of
//! rows means nothing. Series of different lengths are padded within a batch, and the padding changes nothing. A
//! recurrent network (`TimeSeriesNetwork`) can take the same rows, or rows without the previous observation, which it
//! has to remember; for a process with hidden states it would be the right one, but here it has more to learn.
//!
//! **Without fixed statistics.** Means and correlations ignore the intervals, so the network finds much more than they
//! tell, and finds it later with them: after 2,500 steps the loss is −1.43 with them and −1.48 without. So this example
//! turns them off.
//!
//! **Results.** In `comparison.png`, posterior means and standard deviations lie on the diagonal; `posterior.png` shows
//! both posteriors for one series, and `series.png` some data.
//!
//! `cargo run --release --example ornstein_uhlenbeck` writes figures and `summary.json` to `out/ornstein_uhlenbeck`.
//! Options: `--quick` (a few steps, to see that everything runs), `--out FOLDER`, `--seed N`, `--steps N`.

#![allow(clippy::print_stdout, reason = "an example talks to its reader")]

#[path = "../common/mod.rs"]
mod common;
mod process;

use bayesburn::prelude::*;
use common::{
    Options,
    figures::{BLUE, GREY, Panel, save},
    train,
};
use process::{PRIORS, exact, series, simulate};
use serde_json::json;

fn main() -> bayesburn::Result<()> {
    let options = Options::read("ornstein_uhlenbeck")?;
    let mut priors = Vec::new();
    for (name, mean, sd) in PRIORS {
        priors.push((name, Univariate::normal(mean, sd)?));
    }
    let simulator =
        Simulator::from_fn(|rng, theta, _| simulate(rng, theta)).with_feature_names(["log_interval", "previous", "x"]);
    let model = GenerativeModel::new(Prior::independent(priors), simulator)?;

    let flow = InvertibleNetworkConfig::new().with_num_coupling_layers(4);
    let config = PosteriorConfig::new(DeepSetConfig::new(12), flow).with_statistics(Statistics::None);
    let trained = train(model, config, (options.steps(14_000), 2e-3), &options)?;
    let judgement = trained.judge(exact, &options)?;
    judgement.save_figures(&options)?;
    save_series(&judgement.test.conditions.data, &options)?;
    judgement.finish(&options, json!({}))
}

/// The first three series.
fn save_series(data: &Data, options: &Options) -> bayesburn::Result<()> {
    let panel = |m: usize| {
        let mut time = 0.0;
        let points: Vec<_> = series(data, m)
            .into_iter()
            .enumerate()
            .map(|(row, [log_interval, _, x])| {
                time += if row == 0 { 0.0 } else { log_interval.exp() };
                (time, x)
            })
            .collect();
        let highest = 1.1 * points.iter().fold(1.0_f64, |highest, (_, x)| highest.max(x.abs()));
        let panel = Panel::new(format!("series {}", m + 1), (0.0, 1.02 * time), (-highest, highest));
        panel.labels("time", "x").line(points.clone(), GREY).dots(points, 2.0, BLUE)
    };
    save(&options.out.join("series.png"), 3, (360.0, 280.0), [0, 1, 2].map(panel).into())
}
