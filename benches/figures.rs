//! Measures what criterion is wrong for: whole runs, peaks of memory, one thread against two.
//!
//! `cargo bench --bench figures -- NAME [--quick]`; without a name it lists them. `--quick` measures once and briefly,
//! to see that everything runs. Where a figure depends on the state of a process (its start, its threads, its peak of
//! memory) each repeat is a process of its own. Linux only: memory is read from `/proc/self/status`.

#![allow(clippy::print_stdout, reason = "a program that measures")]

use bayesburn::{
    core::{Draws, Purpose, stream},
    diagnostics::{Bins, EcdfConfig, RankEcdfs, RankHistograms},
    networks::AnyInferenceConfig,
    prelude::*,
    trainers::{Callback, EpochReport, StepReport},
};
use benchmarks::{Architecture, Setting, median, peak_memory};
use std::{
    env,
    ops::ControlFlow,
    process::Command,
    time::{Duration, Instant},
};

const HELP: &str = "\
cargo bench --bench figures -- NAME [--quick]

    steps ARCHITECTURE BATCH [OBSERVATIONS UNITS]
                     steps per second of online training in its steady state; ARCHITECTURE is default or v1
    scaling          the same for larger batches, sets and networks, on one thread and on two, against the arithmetic
    time-to-loss     seconds from the program's start to a validation loss of -2.10 or less
    startup          seconds from the program's start to the end of the first step
    draws-one        a million draws for one data set: rate, peak memory
    draws-many       one draw for each of a million data sets: rate, peak memory
    simulation       a million data sets on one thread and on two; milliseconds for a batch of 32
    inference        neural posterior estimation on sbi's linear Gaussian example: each density estimator once on \
    2,000 simulations, and
                     two rounds of 500: seconds, corrected negative log-likelihood (exact: -2.786), seconds for \
                     10,000 draws
    diagnostics      10,000 data sets with 1,000 draws of 10 parameters: seconds, peak memory
";

fn main() -> bayesburn::Result<()> {
    // Cargo adds `--bench`.
    let arguments: Vec<String> = env::args().skip(1).filter(|argument| argument != "--bench").collect();
    let quick = arguments.iter().any(|argument| argument == "--quick");
    let names: Vec<&str> = arguments.iter().map(String::as_str).filter(|name| *name != "--quick").collect();
    match names[..] {
        ["steps", architecture, ref sizes @ ..] => {
            println!("{:.1}", setting(architecture, sizes)?.steps_per_second(duration(quick)));
            Ok(())
        }
        ["scaling"] => scaling(quick),
        ["time-to-loss"] => time_to_loss(quick),
        ["train-to-loss", seed] => train_to_loss(number(seed)? as u64),
        ["startup"] => startup(quick),
        ["first-step"] => first_step(),
        ["draws-one"] => draws_one(quick),
        ["draws-many"] => draws_many(quick),
        ["simulation"] => simulation(quick),
        ["simulate", batch] => simulate(number(batch)?, quick),
        ["inference"] => inference(quick),
        ["diagnostics"] => diagnostics(quick),
        _ => {
            print!("{HELP}");
            Ok(())
        }
    }
}

fn number(text: &str) -> bayesburn::Result<usize> {
    text.parse().map_err(|_| bayesburn::Error::message(format!("`{text}` is not a number")))
}

fn duration(quick: bool) -> Duration {
    Duration::from_secs_f64(if quick { 0.3 } else { 3.0 })
}

/// Pairs of runs for a median.
fn repeats(quick: bool) -> usize {
    if quick { 1 } else { 5 }
}

fn setting(architecture: &str, sizes: &[&str]) -> bayesburn::Result<Setting> {
    let architecture = match architecture {
        "default" => Architecture::Default,
        "v1" => Architecture::V1,
        other => return Err(bayesburn::Error::message(format!("an architecture is default or v1, not `{other}`"))),
    };
    let sizes = sizes.iter().map(|size| number(size)).collect::<Result<Vec<_>, _>>()?;
    let setting = Setting::quickstart(architecture, *sizes.first().unwrap_or(&32));
    Ok(match sizes[..] {
        [_, observations, units] => Setting { observations, units, ..setting },
        _ => setting,
    })
}

/// What this program prints as a process of its own, and its seconds from start to end.
fn child(arguments: &[&str], threads: Option<usize>) -> bayesburn::Result<(String, f64)> {
    let mut command = Command::new(env::current_exe()?);
    command.args(arguments);
    if let Some(threads) = threads {
        command.env("RAYON_NUM_THREADS", threads.to_string());
    }
    let start = Instant::now();
    let output = command.output()?;
    let seconds = start.elapsed().as_secs_f64();
    let printed = String::from_utf8_lossy(&output.stdout).trim().to_owned();
    if output.status.success() {
        return Ok((printed, seconds));
    }
    let error = String::from_utf8_lossy(&output.stderr).trim().to_owned();
    Err(bayesburn::Error::message(format!("`{}` failed: {error}", arguments.join(" "))))
}

/// Medians of the number that a child prints, on one thread and on two, in alternation; and of the ratio in each pair.
fn on_one_and_two_threads(arguments: &[&str], quick: bool) -> bayesburn::Result<[f64; 3]> {
    let mut arguments = arguments.to_vec();
    if quick {
        arguments.push("--quick");
    }
    let mut columns = [const { Vec::new() }; 3];
    for _ in 0..repeats(quick) {
        let mut pair = [0.0; 2];
        for (threads, number) in (1..).zip(&mut pair) {
            let (printed, _) = child(&arguments, Some(threads))?;
            *number = printed.parse().map_err(|_| bayesburn::Error::message(format!("`{printed}` is not a number")))?;
        }
        columns[0].push(pair[0]);
        columns[1].push(pair[1]);
        columns[2].push(pair[1] / pair[0]);
    }
    Ok(columns.map(|column| median(&column)))
}

fn scaling(quick: bool) -> bayesburn::Result<()> {
    println!(
        "| architecture | batch | observations | units | MFLOP a step | steps/s on 1 thread | on 2 threads | 2 over 1 \
         | GFLOP/s on 2 | time over first row | arithmetic over first row |"
    );
    println!("|---|---|---|---|---|---|---|---|---|---|---|");
    let rows: [(&str, &[[&str; 3]]); 2] = [
        (
            "default",
            &[
                ["32", "50", "64"],
                ["256", "50", "64"],
                ["1024", "50", "64"],
                ["32", "500", "64"],
                ["32", "50", "128"],
                ["32", "50", "256"],
            ],
        ),
        ("v1", &[["32", "50", "64"], ["256", "50", "64"], ["1024", "50", "64"], ["32", "500", "64"]]),
    ];
    for (architecture, rows) in rows {
        let mut first = None;
        for sizes @ [batch, observations, units] in rows {
            let flops = setting(architecture, sizes)?.flops();
            let [one, two, ratio] =
                on_one_and_two_threads(&["steps", architecture, batch, observations, units], quick)?;
            let (first_two, first_flops) = *first.get_or_insert((two, flops));
            println!(
                "| {architecture} | {batch} | {observations} | {units} | {:.0} | {one:.1} | {two:.1} | {ratio:.2} | \
                 {:.0} | {:.2} | {:.2} |",
                flops / 1e6,
                two * flops / 1e9,
                first_two / two,
                flops / first_flops
            );
        }
    }
    Ok(())
}

/// Ends a training at a validation loss.
struct Goal(f32);

impl Callback for Goal {
    fn on_epoch(&mut self, epoch: &EpochReport<'_>) -> ControlFlow<String> {
        match epoch.summary.validation_loss {
            Some(loss) if loss <= self.0 => ControlFlow::Break("reached".into()),
            _ => ControlFlow::Continue(()),
        }
    }
}

/// An online training of at most 600 steps that ends at the goal. The learning rate, from twice the quickstart's, falls
/// to zero along these steps. Statistics of the data reach the goal before the first step: most of the time is that of
/// the program's start, of the pilot simulations and of 2,000 that validate after the first 10 steps.
fn train_to_loss(seed: u64) -> bayesburn::Result<()> {
    let setting = Setting::quickstart(Architecture::Default, 32);
    let mut trainer = Trainer::builder(setting.model(), setting.networks())
        .seed(seed)
        .callback(Goal(-2.10))
        .progress(Progress::Hidden)
        .build()?;
    let source = Online::new().with_epochs(60).with_iterations_per_epoch(10);
    let training =
        TrainingConfig::new().with_validation_simulations(2000).with_schedule(Schedule::new().with_initial_rate(2e-3));
    trainer.train(source, &training)?;
    let epochs = &trainer.history().epochs;
    let (steps, loss) = epochs.last().and_then(|epoch| Some((epoch.steps, epoch.validation_loss?))).unwrap_or_default();
    let reached = if trainer.stop_reason() == Some("reached") { "" } else { ", which is NOT the goal" };
    println!("{steps} steps, validation loss {loss:.3}{reached}");
    Ok(())
}

fn time_to_loss(quick: bool) -> bayesburn::Result<()> {
    let mut times = Vec::new();
    // The plan was chosen on seeds 1 to 4.
    for seed in (11..).take(repeats(quick)) {
        let (printed, seconds) = child(&["train-to-loss", &seed.to_string()], None)?;
        println!("seed {seed}: {seconds:.2} s, {printed}");
        times.push(seconds);
    }
    println!("median {:.2} s", median(&times));
    Ok(())
}

/// Ends a training after a step.
struct AfterOne;

impl Callback for AfterOne {
    fn on_step(&mut self, _step: &StepReport) -> ControlFlow<String> {
        ControlFlow::Break("one step".into())
    }
}

fn first_step() -> bayesburn::Result<()> {
    let setting = Setting::quickstart(Architecture::Default, 32);
    let mut trainer =
        Trainer::builder(setting.model(), setting.networks()).callback(AfterOne).progress(Progress::Hidden).build()?;
    trainer.train(Online::new(), &TrainingConfig::new())?;
    Ok(())
}

fn startup(quick: bool) -> bayesburn::Result<()> {
    let times = (0..if quick { 1 } else { 21 })
        .map(|_| Ok(child(&["first-step"], None)?.1))
        .collect::<bayesburn::Result<Vec<_>>>()?;
    println!("{:.3} s from the start of the program to the end of its first step", median(&times));
    Ok(())
}

/// Memory is of the whole process; `what` takes most of it.
fn report(what: &str, count: usize, seconds: f64) {
    println!(
        "{what}: {count} in {seconds:.2} s, {:.0} a second, peak memory {:.0} MB",
        count as f64 / seconds,
        peak_memory()
    );
}

fn draws_one(quick: bool) -> bayesburn::Result<()> {
    let num_draws = if quick { 100_000 } else { 1_000_000 };
    let trainer = Setting::quickstart(Architecture::Default, 32).trainer();
    let start = Instant::now();
    let draws = trainer.amortizer().sample(&Conditions::one(Array2::zeros((50, 4))), num_draws, 1)?;
    report("draws for one data set", draws.values().dim().1, start.elapsed().as_secs_f64());
    Ok(())
}

/// The data sets of a million draws are 800 MB, so they come in batches, and only draws stay.
fn draws_many(quick: bool) -> bayesburn::Result<()> {
    const BATCH: usize = 10_000;
    let data_sets = if quick { 100_000 } else { 1_000_000 };
    let trainer = Setting::quickstart(Architecture::Default, 32).trainer();
    let model = Setting::quickstart(Architecture::Default, 32).model();
    let (start, mut sampling) = (Instant::now(), Duration::ZERO);
    let mut draws: Vec<f32> = Vec::with_capacity(4 * data_sets);
    for first in (0..data_sets).step_by(BATCH) {
        let data = trainer.configure(&model.simulate_from(1, first as u64, BATCH)?)?;
        let start = Instant::now();
        // A seed for each batch: data sets are numbered from 0 in each call, and must not share their noise.
        draws.extend(trainer.amortizer().sample(&data.conditions, 1, first as u64)?.values());
        sampling += start.elapsed();
    }
    report("a draw for each data set, with simulations", draws.len() / 4, start.elapsed().as_secs_f64());
    report("a draw for each data set, without", draws.len() / 4, sampling.as_secs_f64());
    Ok(())
}

/// Prints data sets per second.
fn simulate(batch: usize, quick: bool) -> bayesburn::Result<()> {
    let data_sets = if quick { 100_000 } else { 1_000_000 };
    let model = Setting::quickstart(Architecture::Default, 32).model();
    model.simulate(batch, 2)?;
    let start = Instant::now();
    for first in (0..data_sets).step_by(batch) {
        model.simulate_from(1, first as u64, batch)?;
    }
    println!("{:.0}", data_sets as f64 / start.elapsed().as_secs_f64());
    Ok(())
}

fn simulation(quick: bool) -> bayesburn::Result<()> {
    for batch in ["10000", "32"] {
        let [one, two, ratio] = on_one_and_two_threads(&["simulate", batch], quick)?;
        let ms = |rate: f64| batch.parse::<f64>().map_or(f64::NAN, |batch| batch * 1e3 / rate);
        println!(
            "batches of {batch}: {one:.0} data sets/s on 1 thread, {two:.0} on 2, ratio {ratio:.2}; {:.3} and {:.3} \
             ms a batch",
            ms(one),
            ms(two)
        );
    }
    Ok(())
}

/// Three parameters, uniform in a box, and data that are the parameters plus 1 and some noise: as
/// `peers/sbi_linear_gaussian.py`.
fn linear_gaussian() -> bayesburn::Result<GenerativeModel> {
    let prior = Prior::box_uniform(["theta_1", "theta_2", "theta_3"], &[-2.0; 3], &[2.0; 3])?;
    let simulator = Simulator::from_fn(|rng, theta, _| {
        Array1::from_shape_fn(3, |d| theta[d] + 1.0 + 0.1 * rng.sample::<f32, _>(StandardNormal))
    });
    Ok(GenerativeModel::new(prior, simulator)?)
}

/// Medians over seeds. Seconds of training are without simulations, as the peer's.
fn inference(quick: bool) -> bayesburn::Result<()> {
    let model = linear_gaussian()?;
    let fresh = model.simulate(if quick { 100 } else { 10_000 }, 1000)?;
    let observed = arr1(&[0.0; 3]);
    let estimators: [(&str, AnyInferenceConfig); 5] = [
        ("one normal", MixtureConfig::gaussian().into()),
        ("mixture of normals", MixtureConfig::new().into()),
        ("masked autoregressive flow", AutoregressiveFlowConfig::new().into()),
        ("affine couplings", InvertibleNetworkConfig::new().into()),
        ("neural spline flow, the default", InvertibleNetworkConfig::neural_spline_flow().with_dropout(0.2).into()),
    ];
    let training = NpeTraining::new().with_max_epochs(if quick { 2 } else { 10_000 });
    println!("| density estimator | epochs | training, s | negative log-likelihood, corrected | 10,000 draws, s |");
    println!("|---|---|---|---|---|");
    for (name, estimator) in estimators {
        let config = NpeConfig::new().with_density_estimator(estimator).with_training(training.clone());
        let mut columns = [const { Vec::new() }; 4];
        for seed in (1..).take(repeats(quick)) {
            let mut npe = Npe::builder(model.clone(), config.clone()).seed(seed).build()?;
            npe.simulate(2000)?;
            let start = Instant::now();
            let posterior = npe.train()?;
            let trained = start.elapsed().as_secs_f64();
            let start = Instant::now();
            posterior.sample_for(&observed, 10_000, seed)?;
            let sampled = start.elapsed().as_secs_f64();
            let epochs = npe.summaries().last().map_or(0, |summary| summary.epochs);
            // 100 draws for each of 10,000 observations put the mean off by less than 0.001.
            let log_prob = posterior.with_leakage_draws(100).log_prob_for(&fresh.parameters, &fresh.observations())?;
            let nll = -log_prob.mean().map_or(f64::NAN, f64::from);
            for (column, value) in columns.iter_mut().zip([epochs as f64, trained, nll, sampled]) {
                column.push(value);
            }
        }
        let [epochs, trained, nll, sampled] = columns.map(|column| median(&column));
        println!("| {name} | {epochs} | {trained:.2} | {nll:.3} | {sampled:.3} |");
    }
    let mut times = Vec::new();
    for seed in (1..).take(repeats(quick)) {
        let config = NpeConfig::new().with_training(training.clone());
        let mut npe = Npe::builder(model.clone(), config).seed(seed).build()?;
        let start = Instant::now();
        for _ in 0..2 {
            npe.simulate(500)?;
            let posterior = npe.train()?.with_observation(observed.clone())?;
            npe.set_proposal(Proposal::posterior(posterior)?);
        }
        times.push(start.elapsed().as_secs_f64());
    }
    println!("two rounds of 500 by SNPE-C, the default estimator: {:.2} s", median(&times));
    Ok(())
}

/// Draws that need no network: normal ones, which are as good.
fn diagnostics(quick: bool) -> bayesburn::Result<()> {
    let (data_sets, num_draws, parameters) = if quick { (1000, 100, 10) } else { (10_000, 1000, 10) };
    let mut rng = stream(1, Purpose::new("diagnostics figure"), 0);
    let truths = Array2::from_shape_simple_fn((data_sets, parameters), || rng.sample::<f32, _>(StandardNormal));
    let values = Array3::from_shape_simple_fn((data_sets, num_draws, parameters), || rng.sample(StandardNormal));
    let draws = Draws::new((0..parameters).map(|d| format!("theta_{d}")).collect(), values)?;
    let before = peak_memory();
    let mut totals = Vec::new();
    for _ in 0..repeats(quick) {
        let start = Instant::now();
        let ranks = diagnostics::sbc_ranks(&draws, &truths)?;
        let ranked = start.elapsed().as_secs_f64();
        RankHistograms::new(&ranks, Bins::Auto)?;
        let binned = start.elapsed().as_secs_f64();
        RankEcdfs::new(&ranks, EcdfConfig::new())?;
        let total = start.elapsed().as_secs_f64();
        println!(
            "{total:.2} s: ranks {ranked:.2}, histograms {:.2}, ECDFs in their bands {:.2}",
            binned - ranked,
            total - binned
        );
        totals.push(total);
    }
    println!("median {:.2} s; peak memory {:.0} MB, {before:.0} MB before", median(&totals), peak_memory());
    Ok(())
}
