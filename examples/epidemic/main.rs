//! Infers reproduction number, duration and detection of an epidemic from 60 daily counts of reported cases.
//!
//! The model is stochastic and has steps of a day. Each person of a population P is susceptible (S), infectious (I) or
//! recovered (SIR):
//!
//! ```text
//! infected  ~ Binomial(S, 1 − exp(−R₀ I / (duration P)))
//! recovered ~ Binomial(I, 1 − exp(−1 / duration))
//! reported  ~ NegativeBinomial(mean: detection · infected, shape: 10)
//! ```
//!
//! Simulation is easy, but the likelihood is a sum over all unseen courses of the epidemic. There is no exact posterior
//! to compare with, and this is the usual case: the suite of checks tells whether the learned posterior is calibrated,
//! and the predictive check whether the model fits the observed data.
//!
//! **Data.** Counts range from 0 to thousands, so a configurator gives the networks ln(1 + count); everywhere else data
//! stay counts. `--data FILE` reads your own, a table with one column, `cases`, and 60 rows. Without it, the example
//! simulates an epidemic and marks its parameters in the figures.
//!
//! **Network.** A recurrent network reads the series day by day and learns how fast cases grow and when they peak. Its
//! 12 summaries go to an invertible network of 4 coupling layers. The parameters' bounds are built in (`with_support`):
//! no draw has a negative duration or a detection above 1.
//!
//! **Results.** `predictions.png` shows the observed cases in bands of predictions before and after the data are known,
//! `predictive_check.png` compares four statistics of them, `posterior.png` is the posterior, and `report.html` has all
//! calibration checks.
//!
//! `cargo run --release --example epidemic` writes figures, the report and `summary.json` to `out/epidemic`. Options:
//! `--quick` (a few steps, to see that everything runs), `--out FOLDER`, `--seed N`, `--data FILE`.

#![allow(clippy::print_stdout, reason = "an example talks to its reader")]

mod figures;
mod outbreak;

use bayesburn::{
    Error,
    diagnostics::{OffDiagonal, pair_plot, predictive_check},
    io::{TableOptions, read_observations},
    networks::TimeSeriesNetworkConfig,
    prelude::*,
};
use lexopt::{Arg::Long, ValueExt};
use ndarray::ArrayView2;
use outbreak::{DAYS, priors, simulate};
use serde_json::json;
use std::{
    fs,
    path::{Path, PathBuf},
    time::Instant,
};

/// R₀, duration and detection of the simulated epidemic, which is observed unless there is a file.
const TRUTH: [f32; 3] = [2.2, 5.0, 0.35];
/// Statistics of the predictive check.
const STATISTICS: [&str; 4] = ["total", "highest count", "day of half the total", "roughness"];

fn main() -> bayesburn::Result<()> {
    let begin = Instant::now();
    let (mut quick, mut seed, mut out, mut file) = (false, 2023, PathBuf::from("out/epidemic"), None);
    let mut arguments = lexopt::Parser::from_env();
    while let Some(argument) = arguments.next()? {
        match argument {
            Long("quick") => quick = true,
            Long("seed") => seed = arguments.value()?.parse()?,
            Long("out") => out = arguments.value()?.into(),
            Long("data") => file = Some(PathBuf::from(arguments.value()?)),
            other => return Err(Error::message(format!("{}; see the top of the file", other.unexpected()))),
        }
    }
    fs::create_dir_all(&out)?;

    // ---- The model --------------------------------------------------------------------------------------------------
    let simulator = Simulator::from_fn(|rng, theta, _| simulate(rng, theta)).with_feature_names(["cases"]);
    let model = GenerativeModel::new(Prior::independent(priors()?), simulator)?;
    let observed = match &file {
        Some(path) => read(path)?,
        None => model.simulate_given(&arr2(&[TRUTH]), 1, 0)?.data.values().iter().copied().collect(),
    };
    let observed = Array2::from_shape_vec((DAYS, 1), observed).expect("60 days");

    // ---- Train ------------------------------------------------------------------------------------------------------
    let log_counts = |simulations: &Simulations| {
        let data = Data::new(simulations.data.values().mapv(f32::ln_1p));
        Configured::new(simulations.parameters.clone(), Conditions::from(data))
    };
    let summary = TimeSeriesNetworkConfig::new(12).with_units(64).with_skip_steps(None);
    let flow = InvertibleNetworkConfig::new().with_num_coupling_layers(4);
    let support = priors()?.map(|(_, prior)| prior.support());
    let config = PosteriorConfig::new(summary, flow).with_support(support);
    let mut trainer = Trainer::builder(model.clone(), config).configurator(log_counts).seed(seed).build()?;
    let (epochs, iterations) = if quick { (1, 20) } else { (8, 500) };
    let source = Online::new().with_epochs(epochs).with_iterations_per_epoch(iterations).with_batch_size(32);
    let schedule = Schedule::new().with_initial_rate(2e-3).with_warmup_steps(epochs * iterations / 20);
    let training = TrainingConfig::new().with_schedule(schedule).with_validation_simulations(1000);
    let start = Instant::now();
    trainer.train(source, &training)?;
    let train_s = start.elapsed().as_secs_f64();
    let amortizer = trainer.amortizer();

    // ---- Is it calibrated? ------------------------------------------------------------------------------------------
    let (data_sets, num_draws) = if quick { (50, 100) } else { (1000, 1000) };
    let diagnosis = Diagnose::new().with_size(data_sets, num_draws).trainer(&trainer)?;
    println!("{}", diagnosis.report());
    diagnosis.save(out.join("report.html"))?;
    let val_loss = amortizer.negative_log_prob(&trainer.simulate(if quick { 100 } else { 4000 }, seed + 1)?)?;

    // ---- The posterior of one epidemic ------------------------------------------------------------------------------
    let draws = amortizer.sample(&Conditions::one(observed.mapv(f32::ln_1p)), 1000, seed)?;
    draws.warnings().iter().for_each(|warning| println!("Warning: {warning}"));
    for ((name, mean), sd) in draws.names().iter().zip(draws.mean().row(0)).zip(draws.std().row(0)) {
        println!("{name:<10} {mean:>6.2} ± {sd:.2}");
    }
    let prior_draws = model.prior().sample(1000, seed)?;
    let mut pairs = pair_plot(draws.names(), draws.data_set(0))?.named("posterior")?.with("prior", &prior_draws)?;
    if file.is_none() {
        pairs = pairs.with_points("truth", TRUTH)?;
    }
    pairs.with_off_diagonal(OffDiagonal::Contour).plot().save(out.join("posterior.png"))?;

    // ---- Does the model predict such data? --------------------------------------------------------------------------
    let by_posterior = predict(&model, &draws.data_set(0).to_owned(), seed)?;
    let by_prior = predict(&model, &prior_draws, seed)?;
    let sets = [("Predictions of the prior", &by_prior), ("Predictions of the posterior", &by_posterior)];
    figures::predictions(&out.join("predictions.png"), &observed, sets)?;
    let check = predictive_check(STATISTICS, observed.view(), by_posterior.insert_axis(Axis(2)).view(), statistics)?;
    check.plot().save(out.join("predictive_check.png"))?;
    let p_values = check.observed.map(|observed| observed.p_values).unwrap_or_default();
    println!("Two-sided predictive p-values of {}: {p_values:.2?}", STATISTICS.join(", "));

    let summary = json!({
        "wall_s": begin.elapsed().as_secs_f64(), "train_s": train_s, "val_loss": val_loss,
        "suite_passed": diagnosis.report().passed(), "predictive_p_values": p_values,
    });
    fs::write(out.join("summary.json"), format!("{summary:#}\n"))?;
    println!("Figures, report.html and summary.json are in {}.", out.display());
    match quick || diagnosis.report().passed() {
        true => Ok(()),
        false => Err(Error::message("the posterior is not calibrated: see the report")),
    }
}

/// The counts of a table with the column `cases`.
fn read(path: &Path) -> bayesburn::Result<Vec<f32>> {
    let read = read_observations(path, &TableOptions::new().with_columns(["cases"]))?;
    read.notes.iter().for_each(|note| println!("{note}"));
    match read.value.dim() {
        (1, DAYS, 1) if read.value.iter().all(|cases| *cases >= 0.0) => Ok(read.value.into_iter().collect()),
        (1, DAYS, 1) => Err(Error::message(format!("{} has a negative count: give cases per day", path.display()))),
        (_, days, _) => Err(Error::message(format!("{} has {days} days: the model is of {DAYS}", path.display()))),
    }
}

/// Reported cases `[L, 60]`, one epidemic for each draw of parameters.
fn predict(model: &GenerativeModel, draws: &Array2<f32>, seed: u64) -> bayesburn::Result<Array2<f32>> {
    let data = model.predict(draws, seed, 0)?.data;
    Ok(Array2::from_shape_fn((draws.nrows(), DAYS), |(l, day)| data.values()[[l, day, 0]]))
}

/// The [`STATISTICS`] of cases `[60, 1]`. Roughness is the mean squared relative difference of a day from the mean of
/// its two neighbours.
fn statistics(cases: ArrayView2<'_, f32>) -> Vec<f64> {
    let cases: Vec<f64> = cases.iter().map(|cases| f64::from(*cases)).collect();
    let total: f64 = cases.iter().sum();
    let mut sum = 0.0;
    let half = cases
        .iter()
        .position(|cases| {
            sum += cases;
            2.0 * sum >= total
        })
        .unwrap_or(0);
    let rough = |days: &[f64]| ((days[1] - 0.5 * (days[0] + days[2])) / (1.0 + 0.5 * (days[0] + days[2]))).powi(2);
    let roughness = cases.windows(3).map(rough).sum::<f64>() / (DAYS - 2) as f64;
    vec![total, cases.iter().copied().fold(0.0, f64::max), half as f64 + 1.0, roughness]
}
