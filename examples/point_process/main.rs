//! Infers from marked points how much neighbours have in common: information that is in pairs, not in means.
//!
//! A pattern has 12 clusters of 4 points at random places in a square, say stars, and every point has a mark, say its
//! content of metals. A mark is the sum of two normal numbers, one shared by the cluster and one of the point's own:
//!
//! ```text
//! mark = shared + own        ln sd(shared) ~ N(0, 0.4²)        ln sd(own) ~ N(0, 0.4²)
//! ```
//!
//! Single points, and means over points, tell only the sum of both variances. The share of each shows in how similar
//! neighbours are. Given the clusters, this is a one-way analysis of variance, and a sum over a grid gives the exact
//! posterior. The networks see places and marks but not the clusters.
//!
//! **Why a set transformer.** The order of points means nothing, and each point has to be compared with its neighbours.
//! Attention does that: it gives each point the mean mark of the points around it. A deep set has only sums over
//! points. It could find neighbours by squares of many sums of marks times waves, but it learns them slowly. The
//! example trains both networks for the same time and prints both results.
//!
//! **Results.** In `comparison.png`, the set transformer's posterior means and standard deviations lie on the diagonal,
//! in `deep_set.png` those of the deep set do not; `posterior.png` shows the posteriors for one pattern, and
//! `patterns.png` some data.
//!
//! `cargo run --release --example point_process` writes figures and `summary.json` to `out/point_process`. Options:
//! `--quick` (a few steps, to see that everything runs), `--out FOLDER`, `--seed N`, `--steps N`.

#![allow(clippy::print_stdout, reason = "an example talks to its reader")]

#[path = "../common/mod.rs"]
mod common;
mod pattern;

use bayesburn::{
    Error,
    core::{Purpose, stream},
    networks::SetTransformerConfig,
    prelude::*,
};
use common::{
    Options,
    figures::{BLUE, ORANGE, Panel, save},
    grid::{Exact, Grid},
    train,
};
use pattern::Pattern;
use serde_json::json;

/// The standard deviation of either logarithm in the prior; their mean is 0.
const PRIOR_SD: f64 = 0.4;

fn main() -> bayesburn::Result<()> {
    let options = Options::read("point_process")?;
    let prior = Univariate::normal(0.0, PRIOR_SD)?;
    let simulator =
        Simulator::from_fn(|rng, theta, _| Pattern::simulate(rng, [theta[0].into(), theta[1].into()]).encoded());
    let prior = Prior::independent([("log_sd_shared", prior), ("log_sd_own", prior)]);
    let model = GenerativeModel::new(prior, simulator)?;
    save_patterns(&options)?;

    // One block is enough: attention finds the neighbours, and the dense layers after it square their mean.
    let transformer = SetTransformerConfig::new(8).with_width(32).with_num_blocks(1);
    let config = PosteriorConfig::new(transformer, InvertibleNetworkConfig::new().with_num_coupling_layers(4));
    let trained = train(model.clone(), config, (options.steps(24_000), 2e-3), &options)?;
    let judgement = trained.judge(exact, &options)?;
    judgement.save_figures(&options)?;

    // ---- A deep set, for the same time ------------------------------------------------------------------------------
    let flow = InvertibleNetworkConfig::new().with_num_coupling_layers(4);
    let config = PosteriorConfig::new(DeepSetConfig::new(8), flow);
    let trial = options.steps(1000).min(1000);
    let seconds_per_step = train(model.clone(), config.clone(), (trial, 1e-3), &options)?.train_s / trial as f64;
    let steps = (trained.train_s / seconds_per_step).ceil() as usize;
    let deep_set = train(model, config, (steps, 1e-3), &options)?.judge(exact, &options)?;
    deep_set.save_comparison(&options.out.join("deep_set.png"))?;
    println!("After the same time, the set transformer has a loss of {:.3},", judgement.val_loss);
    println!("the deep set one of {:.3}; the exact one is {:.3}.\n", deep_set.val_loss, judgement.exact.loss);
    judgement.finish(&options, json!({ "deep_set": deep_set.to_json() }))?;
    match options.quick || judgement.val_loss < deep_set.val_loss {
        true => Ok(()),
        false => Err(Error::message("the set transformer is not better than the deep set: see the losses above")),
    }
}

/// The exact posteriors of patterns.
fn exact(patterns: &Data, truths: &Array2<f32>, num_draws: usize) -> bayesburn::Result<Exact> {
    // The narrowest posteriors have a standard deviation of 0.1.
    let prior = Univariate::normal(0.0, PRIOR_SD)?;
    let range = [-5.0 * PRIOR_SD, 5.0 * PRIOR_SD];
    let grid = Grid::new([("log_sd_shared", prior, range), ("log_sd_own", prior, range)], 120);
    grid.posteriors(pattern::likelihood, &pattern::statistics(patterns), truths, num_draws)
}

/// Patterns in which a tenth, half and nine tenths of the variance are shared. Marks above 0 are orange, others blue.
fn save_patterns(options: &Options) -> bayesburn::Result<()> {
    let panel = |shared: f64| {
        let rng = &mut stream(options.seed, const { Purpose::new("figure") }, 0);
        let Pattern { points, marks } = Pattern::simulate(rng, [0.5 * shared.ln(), 0.5 * (1.0 - shared).ln()]);
        let of_sign = |sign: f64| {
            let marked = points.iter().zip(&marks).filter(move |(_, mark)| sign * *mark > 0.0);
            marked.map(|(point, _)| (point[0], point[1])).collect::<Vec<_>>()
        };
        let panel = Panel::new(format!("{:.0}% of the variance is shared", 100.0 * shared), (0.0, 1.0), (0.0, 1.0));
        panel.dots(of_sign(1.0), 3.0, ORANGE).dots(of_sign(-1.0), 3.0, BLUE)
    };
    save(&options.out.join("patterns.png"), 3, (340.0, 340.0), [0.1, 0.5, 0.9].map(panel).into())
}
