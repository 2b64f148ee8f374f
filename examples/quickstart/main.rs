//! Amortized posterior estimation from beginning to end: simulate, train, check, infer.
//!
//! The model is the simplest that shows everything: four means with a standard normal prior, and 50 observations around
//! them,
//!
//! ```text
//! μ ~ N(0, I)        x_1, …, x_50 ~ N(μ, I)
//! ```
//!
//! whose exact posterior, N(n·x̄/(n+1), 1/(n+1)) for each mean, tells in the end how good the learned one is. Usually a
//! posterior is computed anew for each data set. Here networks learn the map from *any* data set to its posterior, from
//! simulations alone; afterwards a new data set costs milliseconds.
//!
//! `cargo run --release --example quickstart -- --help` lists the options; results go to `out/quickstart`. The same
//! program has commands for what comes after: `-- diagnose --html out/report.html` judges what was trained, for one;
//! `-- help` lists them.

#![allow(clippy::print_stdout, clippy::print_stderr, reason = "an example talks to its reader")]

mod exact;
mod options;

use bayesburn::{
    diagnostics::{Bins, DiagnosticsSuite, EcdfPlot, EcdfScale, Limit},
    prelude::*,
    trainers::TrainerBuilder,
};
use options::{Architecture, DEFAULT_OUT, HELP, Options};
use std::{fs, path::Path, process::ExitCode, time::Instant};

/// Observations in a data set.
const N: usize = 50;

fn main() -> ExitCode {
    match workflow() {
        // Without a command it is a tour.
        Ok(workflow) => workflow.main_or(tour),
        Err(error) => {
            eprintln!("Error: {error}");
            ExitCode::from(2)
        }
    }
}

/// A prior and a simulator are closures. The generator that they are given makes every simulation reproducible:
/// simulation i of a seed is the same on any number of cores. Joining them makes a pilot run, which finds most
/// mistakes, and tells the shapes.
fn model() -> bayesburn::Result<GenerativeModel> {
    let prior = Prior::from_fn(["mu_1", "mu_2", "mu_3", "mu_4"], |rng, _| [(); 4].map(|()| rng.sample(StandardNormal)));
    let simulator = Simulator::from_fn(|rng, mu, _| {
        Array2::from_shape_fn((N, 4), |(_, d)| mu[d] + rng.sample::<f32, _>(StandardNormal))
    });
    Ok(GenerativeModel::new(prior, simulator)?)
}

/// The observations of a data set are exchangeable, so a permutation-invariant network, a `DeepSet`, reduces them to 10
/// learned summary statistics. Given these, an invertible network of 4 coupling layers turns normal noise into
/// posterior draws.
fn builder(options: &Options) -> bayesburn::Result<TrainerBuilder> {
    let config = match options.architecture {
        Architecture::Default => {
            PosteriorConfig::new(DeepSetConfig::new(10), InvertibleNetworkConfig::new().with_num_coupling_layers(4))
        }
        Architecture::V1 => PosteriorConfig::bayesflow_v1(10, 4),
    };
    Ok(Trainer::builder(model()?, config).seed(options.seed).device(options.device.clone()))
}

/// Simulating is cheap here, so every step gets fresh simulations: online training, in which nothing can be overfitted.
/// The learning rate falls from its initial value to 0 along half a cosine wave. The residual default architecture
/// bears a larger one than the 5e-4 of the v1 architecture.
fn training(options: &Options) -> (Online, TrainingConfig) {
    let rate = if options.architecture == Architecture::V1 { 5e-4 } else { 1e-3 };
    let source = Online::new()
        .with_epochs(options.epochs)
        .with_iterations_per_epoch(options.iterations)
        .with_batch_size(options.batch_size);
    let schedule = Schedule::new().with_initial_rate(rate);
    (source, TrainingConfig::new().with_validation_simulations(200).with_schedule(schedule))
}

/// The same training, with the commands `train`, `resume`, `diagnose`, `sample` and `info`. The suite asks for more
/// than calibration here: what 50 observations tell of a mean is known to be 50/51 of its variance.
fn workflow() -> bayesburn::Result<Workflow<DeepSetConfig>> {
    let options = Options::default();
    let (source, training) = training(&options);
    let suite = DiagnosticsSuite::new().with_title("quickstart").with_limit(Limit::ContractionAtLeast(0.9));
    let workflow =
        Workflow::new("quickstart", builder(&options)?, move |trainer| trainer.train(source, &training).map(drop));
    Ok(workflow.with_folder(DEFAULT_OUT).with_diagnose(Diagnose::new().with_suite(suite)))
}

fn tour() -> bayesburn::Result<()> {
    let start = Instant::now();
    let Some(options) = Options::read()? else {
        print!("{HELP}");
        return Ok(());
    };
    let out = &options.out;
    fs::create_dir_all(out).map_err(|error| {
        bayesburn::Error::message(format!("cannot write to {}: {error}; choose another --out", out.display()))
    })?;

    // ---- 1. The generative model ------------------------------------------------------------------------------------
    let model = model()?;
    println!("The model's quantities, B simulations at a time:\n{}\n", model.shapes());

    // Does the prior say what it should?
    let prior_draws = model.prior().sample(2000, options.seed)?;
    diagnostics::prior_pairs(model.parameter_names(), &prior_draws)?.plot().save(out.join("prior.png"))?;

    // ---- 2. Training ------------------------------------------------------------------------------------------------
    let (checkpoints, events) = (out.join("checkpoints"), out.join("tensorboard"));
    if !options.resume && out == Path::new(DEFAULT_OUT) {
        // A new run replaces the last one in the default folder. In a folder of yours the trainer refuses to.
        for old in [&checkpoints, &events] {
            if old.exists() {
                fs::remove_dir_all(old)?;
            }
        }
    }
    // Ctrl-C ends the training after its current step, with a checkpoint that `--resume` goes on from.
    let builder = builder(&options)?.checkpoints(checkpoints).tensorboard(events).stop_on_ctrl_c();
    let mut trainer = if options.resume { builder.resume() } else { builder }.build()?;
    let parameters = trainer.amortizer().num_trainable_parameters();
    println!("Training {parameters} parameters for {} x {} steps.", options.epochs, options.iterations);

    let (source, training) = training(&options);
    let steps_before = trainer.history().steps.len();
    let train_start = Instant::now();
    let history = trainer.train(source, &training)?;
    let train_s = train_start.elapsed().as_secs_f64();
    let steps = history.steps.len();
    let steps_per_s = (steps - steps_before) as f64 / train_s;
    println!("{} steps in {train_s:.1} s, {steps_per_s:.0} steps/s.", steps - steps_before);
    for (steps, loss) in history.validation_losses() {
        println!("    validation loss after {steps:>6} steps: {loss:.3}");
    }

    // ---- 3. Did it converge? ----------------------------------------------------------------------------------------
    history.save_csv(out.join("losses.csv"))?;
    diagnostics::losses(&history.train_losses(), &history.validation_losses())?.plot().save(out.join("losses.png"))?;

    // ---- 4. Is it right? --------------------------------------------------------------------------------------------
    // Data sets that training has not seen, and whose true parameters are known.
    let amortizer = trainer.amortizer();
    let num_test = if options.quick { 100 } else { 500 };
    let test = trainer.simulate(num_test, options.seed)?;

    // In the latent space the true parameters must look like standard normal noise.
    let (z, _) = amortizer.latent(&test)?;
    diagnostics::latent_space(&z)?.plot().save(out.join("latent_space.png"))?;

    // Simulation-based calibration: among draws from a correct posterior the true parameter has a uniform rank. 99
    // draws make 100 possible ranks, which 10 bins share equally.
    let draws = amortizer.sample(&test.conditions, 99, options.seed)?;
    let histograms = diagnostics::sbc_histograms(&draws, &test.parameters, Bins::Count(10))?;
    histograms.plot().save(out.join("sbc_histograms.png"))?;
    // The rank's distribution function needs no bins, and its band holds for the whole curve at once.
    let ecdf = diagnostics::sbc_ecdf(&draws, &test.parameters)?;
    ecdf.plot_with(EcdfPlot::new().with_scale(EcdfScale::Ecdf)).save(out.join("sbc_ecdf.png"))?;
    ecdf.plot().save(out.join("sbc_ecdf_difference.png"))?;

    // More draws for less Monte Carlo error: do the medians find the truths, and how far does the posterior contract?
    let sample_start = Instant::now();
    let draws = amortizer.sample(&test.conditions, 1000, options.seed)?;
    let sample_s = sample_start.elapsed().as_secs_f64();
    println!("{num_test} x 1000 posterior draws in {sample_s:.2} s, shape {:?}.", draws.values().dim());
    diagnostics::recovery(&draws, &test.parameters)?.plot().save(out.join("recovery.png"))?;
    let contraction = diagnostics::z_score_contraction(&draws, &test.parameters)?;
    contraction.plot().save(out.join("z_score_contraction.png"))?;

    // ---- 5. Against the exact posterior -----------------------------------------------------------------------------
    let comparison = exact::compare(&draws, test.conditions.sets());
    let fresh = trainer.simulate(if options.quick { 200 } else { 2000 }, options.seed + 1)?;
    let val_nll = amortizer.negative_log_prob(&fresh)?;
    // Over all data sets the exact posterior's is `exact::nll(4, N)`, -2.188; on 2,000 of them it varies by 0.03.
    println!("\n                              learned      exact");
    println!("negative log-likelihood       {val_nll:>7.3}    {:>7.3}", exact::nll_of(&fresh));
    println!("error of the posterior mean   {:>7.3}    {:>7.3}", comparison.mean_abs_error, 0.0);
    println!("posterior sd over exact sd    {:>7.3}    {:>7.3}", comparison.sd_ratio, 1.0);
    println!("every rank curve in its band  {:>7}", ecdf.all_inside());

    // ---- 6. Inference -----------------------------------------------------------------------------------------------
    // A posterior for data that were really observed: any `[N, 4]` array.
    let observed = Array2::from_shape_fn((N, 4), |(i, d)| d as f32 / 2.0 + (i as f32 * 0.7 + d as f32).sin());
    let posterior = amortizer.sample(&Conditions::one(observed), 1000, options.seed)?;
    println!("\nposterior means of an observed data set: {:.2}", posterior.mean());

    let summary = serde_json::json!({
        "val_nll": val_nll,
        "analytic_nll": exact::nll(4, N),
        "val_nll_exact": exact::nll_of(&fresh),
        "wall_s": start.elapsed().as_secs_f64(),
        "train_s": train_s,
        "steps": steps,
        "steps_per_s": steps_per_s,
        "parameters": parameters,
        "posterior_mean_abs_error": comparison.mean_abs_error,
        "posterior_sd_ratio": comparison.sd_ratio,
        "contraction": contraction.mean_contractions,
        "sbc_ecdf_inside": ecdf.all_inside(),
        "sample_500x1000_s": sample_s * 500.0 / num_test as f64,
    });
    fs::write(out.join("summary.json"), format!("{summary:#}\n"))?;
    println!("Figures and summary.json are in {}.", out.display());
    Ok(())
}
