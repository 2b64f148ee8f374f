//! Runs a task of the benchmark sbibm with neural posterior estimation, in one round or several, and compares the
//! posterior with the reference.
//!
//! `cargo run --release --example sbibm -- --task two_moons --simulations 10000` trains once and draws for an
//! observation. Options: `--task NAME` (`gaussian_linear`, `gaussian_linear_uniform`, `two_moons`, `slcp`),
//! `--simulations N`, `--rounds R` (1; more are SNPE-C), `--truncated` (rounds by truncated proposals), `--network
//! nsf|affine|interleaved|maf|mixture`, `--layers L`, `--units U`, `--dropout P`, `--batch-size B`, `--learning-rate
//! R`, `--atoms A`, `--unconstrained` (parameters are mapped to the reals), `--quick`, `--device
//! flex|ndarray|cuda[:N]`, `--seed S`, `--observation FILE.npy --reference FILE.npy` (again for each observation: a
//! data vector, and draws of its posterior); without them one observation is simulated, and its exact posterior is the
//! reference where the task has one. It prints C2ST: 0.5 where a classifier cannot tell the draws from the reference, 1
//! where it always can. Results go to `out/sbibm`.

#![allow(clippy::print_stdout, reason = "an example talks to its reader")]

use bayesburn::{
    diagnostics::{c2st, pair_plot},
    inference::Correction,
    networks::{
        AffineConfig, AffineNets, AnyInferenceConfig, DenseNetConfig, InterleavedConfig, default_device, device,
    },
    prelude::*,
    simulation::tasks,
};
use lexopt::ValueExt;
use ndarray::{Array2, ArrayD};
use ndarray_npy::read_npy;
use serde_json::json;
use std::{fs, path::Path, time::Instant};

/// What the command line says.
struct Options {
    task: String,
    simulations: usize,
    rounds: usize,
    truncated: bool,
    network: String,
    layers: usize,
    units: usize,
    dropout: f64,
    batch_size: usize,
    learning_rate: f64,
    atoms: usize,
    unconstrained: bool,
    seed: u64,
    observations: Vec<String>,
    references: Vec<String>,
    max_epochs: usize,
    device: Device,
}

fn options() -> bayesburn::Result<Options> {
    let mut o = Options {
        task: "two_moons".to_owned(),
        simulations: 1000,
        rounds: 1,
        truncated: false,
        network: "nsf".to_owned(),
        layers: 5,
        units: 50,
        dropout: 0.2,
        batch_size: 200,
        learning_rate: 5e-4,
        atoms: 10,
        unconstrained: false,
        seed: 1,
        observations: Vec::new(),
        references: Vec::new(),
        max_epochs: 10_000,
        device: default_device(),
    };
    let mut arguments = lexopt::Parser::from_env();
    while let Some(argument) = arguments.next()? {
        match argument {
            lexopt::Arg::Long("task") => o.task = arguments.value()?.parse()?,
            lexopt::Arg::Long("simulations") => o.simulations = arguments.value()?.parse()?,
            lexopt::Arg::Long("rounds") => o.rounds = arguments.value()?.parse()?,
            lexopt::Arg::Long("truncated") => o.truncated = true,
            lexopt::Arg::Long("network") => o.network = arguments.value()?.parse()?,
            lexopt::Arg::Long("layers") => o.layers = arguments.value()?.parse()?,
            lexopt::Arg::Long("units") => o.units = arguments.value()?.parse()?,
            lexopt::Arg::Long("dropout") => o.dropout = arguments.value()?.parse()?,
            lexopt::Arg::Long("batch-size") => o.batch_size = arguments.value()?.parse()?,
            lexopt::Arg::Long("learning-rate") => o.learning_rate = arguments.value()?.parse()?,
            lexopt::Arg::Long("atoms") => o.atoms = arguments.value()?.parse()?,
            lexopt::Arg::Long("unconstrained") => o.unconstrained = true,
            lexopt::Arg::Long("seed") => o.seed = arguments.value()?.parse()?,
            lexopt::Arg::Long("observation") => o.observations.push(arguments.value()?.parse()?),
            lexopt::Arg::Long("reference") => o.references.push(arguments.value()?.parse()?),
            lexopt::Arg::Long("device") => o.device = device(&arguments.value()?.string()?)?,
            lexopt::Arg::Long("quick") => (o.simulations, o.max_epochs) = (200, 2),
            other => return Err(bayesburn::Error::message(format!("{}; see the top of the file", other.unexpected()))),
        }
    }
    Ok(o)
}

fn network(o: &Options) -> bayesburn::Result<AnyInferenceConfig> {
    let net = DenseNetConfig::new().with_units(o.units).with_shortcut(true);
    let affine = || AffineConfig::new().with_nets(AffineNets::Shared(net.clone()));
    let spline = || SplineConfig::new().with_bins(10).with_net(net.clone());
    let couplings = |design| InvertibleNetworkConfig::new().with_num_coupling_layers(o.layers).with_coupling(design);
    let network: AnyInferenceConfig = match o.network.as_str() {
        "nsf" => couplings(CouplingDesign::Spline(spline())).into(),
        "affine" => couplings(CouplingDesign::Affine(affine())).into(),
        "interleaved" => {
            let both = InterleavedConfig::new().with_affine(affine()).with_spline(spline());
            couplings(CouplingDesign::Interleaved(both)).into()
        }
        "maf" => AutoregressiveFlowConfig::new().with_num_layers(o.layers).with_units(o.units).into(),
        "mixture" => MixtureConfig::new().with_net(net.clone()).into(),
        other => return Err(bayesburn::Error::message(format!("`{other}` is no network; see the top of the file"))),
    };
    Ok(network.with_dropout(o.dropout))
}

/// What is inferred from, and draws of the posterior to compare with, if there are any.
struct Observed {
    x: Array1<f32>,
    reference: Option<Array2<f32>>,
}

fn observed(o: &Options, task: &tasks::Task) -> bayesburn::Result<Vec<Observed>> {
    if o.observations.is_empty() {
        let simulated = task.model().simulate(1, o.seed + 1000)?;
        let x: Array1<f32> = simulated.data.values().iter().copied().collect();
        let exact =
            task.has_exact_posterior().then(|| task.exact_posterior(&x.to_vec(), 10_000, o.seed)).transpose()?;
        return Ok(vec![Observed { x, reference: exact.map(|draws| draws.data_set(0).to_owned()) }]);
    }
    let mut all = Vec::new();
    for (i, path) in o.observations.iter().enumerate() {
        let x: ArrayD<f32> = read_npy(path)?;
        let reference = o.references.get(i).map(read_npy).transpose()?;
        all.push(Observed { x: x.iter().copied().collect(), reference });
    }
    Ok(all)
}

fn main() -> bayesburn::Result<()> {
    let o = options()?;
    let task = tasks::by_name(&o.task)?;
    let out = Path::new("out/sbibm");
    fs::create_dir_all(out)?;
    let space = if o.unconstrained { ParameterSpace::Unconstrained } else { ParameterSpace::Bounded };
    let training = NpeTraining::new()
        .with_batch_size(o.batch_size)
        .with_learning_rate(o.learning_rate)
        .with_max_epochs(o.max_epochs)
        .with_correction(Correction::Atomic { atoms: o.atoms });
    let config = NpeConfig::new().with_density_estimator(network(&o)?).with_space(space).with_training(training);

    let per_round = o.simulations / o.rounds;
    let mut amortized: Option<Posterior> = None;
    let mut scores = Vec::new();
    for (number, Observed { x, reference }) in observed(&o, &task)?.into_iter().enumerate() {
        let start = Instant::now();
        // Of one round the posterior is good for all observations.
        let posterior = match amortized.take() {
            Some(posterior) => posterior.with_observation(x)?,
            None => {
                let builder = Npe::builder(task.model().clone(), config.clone()).device(o.device.clone());
                let mut npe = builder.seed(o.seed + number as u64).build()?;
                let mut round = 1;
                loop {
                    npe.simulate(per_round)?;
                    let posterior = npe.train()?.with_observation(x.clone())?;
                    println!("{}", npe.summaries().last().expect("just trained"));
                    if round == o.rounds {
                        break posterior;
                    }
                    round += 1;
                    npe.set_proposal(if o.truncated {
                        Proposal::truncated(posterior)?
                    } else {
                        Proposal::posterior(posterior)?
                    });
                }
            }
        };
        let trained_s = start.elapsed().as_secs_f64();
        let sampled = posterior.sample_with_report(posterior.observation().expect("set"), 10_000, o.seed)?;
        let rate = sampled.acceptance()[0].rate();
        let draws = sampled.into_draws()?;
        let mut figure = pair_plot(draws.names(), draws.data_set(0))?.named("estimate")?;
        let mut line =
            format!("{} observation {}: trained in {trained_s:.1} s, {:.1}% inside", o.task, number + 1, 100.0 * rate);
        if let Some(reference) = &reference {
            let score = c2st(reference, &draws.data_set(0).to_owned(), o.seed)?.score;
            line += &format!(", C2ST {score:.3}");
            scores.push(score);
            figure = figure.with("reference", reference)?;
        }
        println!("{line}");
        figure.plot().save(out.join(format!("{}_{}.png", o.task, number + 1)))?;
        amortized = (o.rounds == 1).then_some(posterior);
    }
    let mean = scores.iter().sum::<f64>() / scores.len() as f64;
    if !scores.is_empty() {
        println!("{} with {} simulations in {} rounds: mean C2ST {mean:.3}", o.task, o.simulations, o.rounds);
    }
    let report = json!({
        "task": o.task, "simulations": o.simulations, "rounds": o.rounds, "network": o.network, "seed": o.seed,
        "c2st": scores, "mean_c2st": if scores.is_empty() { None } else { Some(mean) },
    });
    fs::write(out.join("summary.json"), format!("{report:#}\n"))?;
    Ok(())
}
