//! Four ways to train on the same model: online, with experience replay, in rounds, and offline from disk.
//!
//! Which one fits depends on what a simulation costs. Here it costs next to nothing, so online training is as good as
//! any in time; counted in simulations the others need a fraction, which is what decides when a simulation takes
//! seconds.
//!
//! `cargo run --release --example training_modes` writes `losses.png` and `summary.json` to `out/training_modes`; `--
//! --quick` trains for a few steps, to see that everything runs.

#![allow(clippy::print_stdout, reason = "an example talks to its reader")]

use bayesburn::{
    diagnostics::Cost,
    prelude::*,
    trainers::{Callback, EpochReport, Source, Validation},
};
use std::{
    fs,
    ops::ControlFlow,
    path::Path,
    sync::{Arc, Mutex},
    time::Instant,
};

/// What a training came to after an epoch.
#[derive(Debug, Clone, Copy)]
struct Point {
    steps: usize,
    seconds: f64,
    loss: f64,
}

/// Notes time and validation loss after each epoch: a callback sees every step and epoch, and could stop the training.
struct Clock {
    start: Instant,
    points: Arc<Mutex<Vec<Point>>>,
}

impl Callback for Clock {
    fn on_epoch(&mut self, epoch: &EpochReport<'_>) -> ControlFlow<String> {
        if let (Some(loss), Ok(mut points)) = (epoch.summary.validation_loss, self.points.lock()) {
            let seconds = self.start.elapsed().as_secs_f64();
            points.push(Point { steps: epoch.summary.steps, seconds, loss: f64::from(loss) });
        }
        ControlFlow::Continue(())
    }
}

/// One mode's training.
struct Outcome {
    name: &'static str,
    points: Vec<Point>,
    /// Simulations made until each point.
    simulations: Vec<usize>,
    val_nll: f32,
}

fn main() -> bayesburn::Result<()> {
    let quick = std::env::args().any(|argument| argument == "--quick");
    let out = Path::new("out/training_modes");
    fs::create_dir_all(out)?;

    // μ ~ N(0, I) in 4 dimensions, 50 observations x ~ N(μ, I).
    let prior = Prior::from_fn(["mu_1", "mu_2", "mu_3", "mu_4"], |rng, _| [(); 4].map(|()| rng.sample(StandardNormal)));
    let simulator = Simulator::from_fn(|rng, mu, _| {
        Array2::from_shape_fn((50, 4), |(_, d)| mu[d] + rng.sample::<f32, _>(StandardNormal))
    });
    let model = GenerativeModel::new(prior, simulator)?;
    let scale = if quick { 100 } else { 1 };

    // ---- Online: every step simulates -------------------------------------------------------------------------------
    let online = Online::new().with_epochs(10).with_iterations_per_epoch(200 / scale);
    let online = train("online", &model, false, |_| Ok(online), |steps| 32 * steps)?;

    // ---- Experience replay: every fourth step simulates -------------------------------------------------------------
    let replay = Replay::new().with_epochs(12).with_iterations_per_epoch(240_usize.div_ceil(scale));
    let replay = train("replay", &model, false, |_| Ok(replay), |steps| 32 * steps.div_ceil(4))?;

    // ---- Rounds: each adds simulations to those before --------------------------------------------------------------
    let (per_round, epochs) = (4000 / scale, 3);
    let rounds = Rounds::new().with_rounds(4).with_simulations_per_round(per_round).with_epochs_per_round(epochs);
    let ends: Vec<usize> = rounds
        .epochs()?
        .iter()
        .scan(0, |end, steps| {
            *end += steps;
            Some(*end)
        })
        .collect();
    let round_of = |steps: usize| ends.iter().filter(|end| **end < steps).count() / epochs;
    let rounds = train("rounds", &model, false, |_| Ok(rounds), |steps| per_round * (round_of(steps) + 1))?;

    // ---- Offline: simulated beforehand, to disk ---------------------------------------------------------------------
    // A fixed set can be overfitted, so this training is regularised, and ends with the best weights.
    let num = 16_000 / scale;
    let folder = out.join("simulations");
    if folder.exists() {
        fs::remove_dir_all(&folder)?;
    }
    let offline = |model: &GenerativeModel| -> bayesburn::Result<Offline> {
        let data = model.presimulate(&folder, &Presimulation::new(num, 1))?;
        Ok(Offline::new(data).with_epochs(8).with_validation(Validation::None))
    };
    let offline = train("offline", &model, true, offline, |_| num)?;

    // ---- Side by side -----------------------------------------------------------------------------------------------
    // The best loss possible on average: the entropy of the exact posterior, N(·, 1/51) for each mean.
    let best = 2.0 * (std::f64::consts::TAU.ln() + 1.0 - 51f64.ln());
    let outcomes = [online, replay, rounds, offline];
    println!("\n            simulations   steps   seconds   negative log-likelihood (best {best:.3})");
    for outcome in &outcomes {
        let (simulations, last) = (outcome.simulations.last(), outcome.points.last());
        let (steps, seconds) = last.map_or((0, 0.0), |point| (point.steps, point.seconds));
        println!(
            "{:<10}  {:>11}  {steps:>6}  {seconds:>8.1}   {:.3}",
            outcome.name,
            simulations.unwrap_or(&0),
            outcome.val_nll
        );
    }
    figure(&outcomes, best, &out.join("losses.png"))?;
    let modes: serde_json::Map<String, serde_json::Value> = outcomes
        .iter()
        .map(|outcome| {
            let last = outcome.points.last();
            let summary = serde_json::json!({
                "val_nll": outcome.val_nll,
                "simulations": outcome.simulations.last(),
                "steps": last.map(|point| point.steps),
                "seconds": last.map(|point| point.seconds),
                "validation_losses": outcome.points.iter().map(|point| point.loss).collect::<Vec<_>>(),
            });
            (outcome.name.to_owned(), summary)
        })
        .collect();
    let summary = serde_json::json!({ "best_nll": best, "modes": modes });
    fs::write(out.join("summary.json"), format!("{summary:#}\n"))?;
    println!("\nlosses.png and summary.json are in {}.", out.display());
    Ok(())
}

/// Trains in one mode; only the source differs, and whether the training is regularised.
fn train<S: Source>(
    name: &'static str,
    model: &GenerativeModel,
    regularised: bool,
    source: impl FnOnce(&GenerativeModel) -> bayesburn::Result<S>,
    simulations: impl Fn(usize) -> usize,
) -> bayesburn::Result<Outcome> {
    println!("{name}");
    let networks =
        PosteriorConfig::new(DeepSetConfig::new(10), InvertibleNetworkConfig::new().with_num_coupling_layers(4));
    let points = Arc::new(Mutex::new(Vec::new()));
    let start = Instant::now();
    let mut trainer = Trainer::builder(model.clone(), networks)
        .seed(2023)
        .callback(Clock { start, points: points.clone() })
        .build()?;
    let config = if regularised { TrainingConfig::regularised() } else { TrainingConfig::new() };
    let config = config.with_validation_simulations(500).with_schedule(Schedule::new().with_initial_rate(1e-3));
    trainer.train(source(model)?, &config)?;

    let val_nll = trainer.amortizer().negative_log_prob(&trainer.simulate(2000, 7)?)?;
    let points = points.lock().map(|points| points.clone()).unwrap_or_default();
    let simulations = points.iter().map(|point| simulations(point.steps)).collect();
    Ok(Outcome { name, points, simulations, val_nll })
}

/// Validation loss against simulations, and against time.
fn figure(outcomes: &[Outcome], best: f64, path: &Path) -> bayesburn::Result<()> {
    let curves = |cost: &dyn Fn(&Outcome, usize) -> f64| -> Vec<(&str, Vec<(f64, f64)>)> {
        let of = |outcome: &Outcome| {
            outcome.points.iter().enumerate().map(|(i, point)| (cost(outcome, i), point.loss)).collect()
        };
        outcomes.iter().map(|outcome| (outcome.name, of(outcome))).collect()
    };
    diagnostics::compare_losses(Cost::Simulations, curves(&|outcome, i| outcome.simulations[i] as f64))?
        .with_panel(Cost::Seconds, curves(&|outcome, i| outcome.points[i].seconds))?
        .with_best_possible(best)?
        .plot()
        .save(path)?;
    Ok(())
}
