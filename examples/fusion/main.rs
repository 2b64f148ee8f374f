//! Infers the stiffness k and the mass m of a spring from two experiments together: a series and a vector.
//!
//! - Released, the mass oscillates as cos(√(k/m) t). The series of 40 noisy positions depends on the ratio k/m only.
//! - Dropped at known speeds v, it hits with peak forces v √(k m). The vector of 8 noisy log forces depends on the
//!   product k m only.
//!
//! Either input alone leaves k and m unidentified; both together identify them. With normal priors of ln k and ln m and
//! normal noise, the exact posterior is a sum over a grid, also given one input alone. The example prints how uncertain
//! k and m remain, and `alone.png` shows it for one spring.
//!
//! **Why a fusion network.** Each input gets a network of its kind. A frequency depends on all rows and their order, so
//! the series gets a recurrent network. The forces matter only by their mean, so they reach the inference network
//! unchanged.
//!
//! `cargo run --release --example fusion` writes figures and `summary.json` to `out/fusion`. Options: `--quick` (a few
//! steps, to see that everything runs), `--out FOLDER`, `--seed N`, `--steps N`.

#![allow(clippy::print_stdout, reason = "an example talks to its reader")]

#[path = "../common/mod.rs"]
mod common;
mod spring;

use bayesburn::{
    diagnostics::{Diagonal, OffDiagonal, pair_plot},
    networks::{FusionNetworkConfig, TimeSeriesNetworkConfig},
    prelude::*,
};
use common::{
    Options,
    figures::{BLUE, GREY, Panel, save},
    grid::{Exact, Grid},
    train,
};
use serde_json::json;
use spring::{Experiments, TIMES};

/// The standard deviation of ln k and of ln m in the prior; their mean is 0.
const PRIOR_SD: f64 = 0.3;

fn main() -> bayesburn::Result<()> {
    let options = Options::read("fusion")?;
    let prior = Univariate::normal(0.0, PRIOR_SD)?;
    let prior = Prior::independent([("log_stiffness", prior), ("log_mass", prior)]);
    let simulator = Simulator::from_named_fn(|rng, theta, _| {
        let (series, forces) = spring::simulate(rng, [theta[0].into(), theta[1].into()]);
        [("series", series.into_dyn()), ("forces", forces.into_dyn())]
    });
    let model = GenerativeModel::new(prior, simulator)?;

    let summary = FusionNetworkConfig::new()
        .with_network("series", TimeSeriesNetworkConfig::new(8).with_filters(16).with_units(32))
        .with_network("forces", IdentityConfig::new());
    let config = PosteriorConfig::new(summary, InvertibleNetworkConfig::new().with_num_coupling_layers(4));
    let trained = train(model, config, (options.steps(6000), 2e-3), &options)?;
    let judgement = trained.judge(|data, truths, draws| exact(Experiments::Both, data, truths, draws), &options)?;
    judgement.save_figures(&options)?;
    save_series(&judgement.test.conditions.data, &options)?;

    // ---- Either alone -----------------------------------------------------------------------------------------------
    let (data, truths) = (&judgement.test.conditions.data, &judgement.test.parameters);
    let series = exact(Experiments::Series, data, truths, 1000)?;
    let forces = exact(Experiments::Forces, data, truths, 1000)?;
    let unknown = |exact: &Exact| exact.sd.mean().unwrap_or(f64::NAN) / PRIOR_SD;
    let unknown = [&series, &forces, &judgement.exact].map(unknown);
    let [of_series, of_forces, of_both] = unknown;
    println!("exact posterior sd of ln k and ln m, over the prior sd:");
    println!("{of_series:.2} from the series alone, {of_forces:.2} from the forces alone, {of_both:.2} from both\n");
    pair_plot(series.draws.names(), series.draws.data_set(0))?
        .named("series alone, exact")?
        .with("forces alone, exact", forces.draws.data_set(0))?
        .with("both, learned", judgement.draws.data_set(0))?
        .with_points("truth", truths.row(0))?
        .with_diagonal(Diagonal::Density)
        .with_off_diagonal(OffDiagonal::Contour)
        .plot()
        .save(options.out.join("alone.png"))?;
    let further = json!({ "sd_over_prior_sd": { "series": of_series, "forces": of_forces, "both": of_both } });
    judgement.finish(&options, further)
}

/// The exact posteriors given these experiments.
fn exact(by: Experiments, data: &Data, truths: &Array2<f32>, num_draws: usize) -> bayesburn::Result<Exact> {
    // The narrowest posteriors have a standard deviation of 0.03, along ln k − ln m.
    let prior = Univariate::normal(0.0, PRIOR_SD)?;
    let range = [-5.0 * PRIOR_SD, 5.0 * PRIOR_SD];
    let grid = Grid::new([("log_stiffness", prior, range), ("log_mass", prior, range)], 200);
    grid.posteriors(|theta| by.likelihood(theta), &spring::statistics(data), truths, num_draws)
}

/// The series of three springs.
fn save_series(data: &Data, options: &Options) -> bayesburn::Result<()> {
    let series = data.input("series").expect("the simulator names it").values();
    let panel = |m: usize| {
        let rows = series.index_axis(Axis(0), m);
        let points: Vec<_> = rows.iter().enumerate().map(|(i, x)| (spring::time(i), f64::from(*x))).collect();
        let panel = Panel::new(format!("spring {}", m + 1), (0.0, spring::time(TIMES)), (-2.5, 2.5));
        panel.labels("time", "position").line(points.clone(), GREY).dots(points, 2.5, BLUE)
    };
    save(&options.out.join("series.png"), 3, (360.0, 280.0), [0, 1, 2].map(panel).into())
}
