//! Amortized inference on the linear Gaussian example of sbi's tutorials: three parameters, uniform in a box, and data
//! that are the parameters plus 1 and some noise. The posterior is learnt once, and then good for any observation.
//!
//! `cargo run --release --example gaussian_amortized` writes figures and `summary.json` to `out/gaussian_amortized`.
//! Options: `--simulations N` (2,000), `--seed S`, `--unconstrained` (parameters are mapped to the reals, so that
//! nothing leaks out of the box), `--device flex|ndarray|cuda[:N]`, `--quick`.

#![allow(clippy::print_stdout, reason = "an example talks to its reader")]

use bayesburn::{
    diagnostics::pair_plot,
    networks::{default_device, device},
    prelude::*,
};
use lexopt::ValueExt;
use serde_json::json;
use std::{fs, path::Path, time::Instant};

fn main() -> bayesburn::Result<()> {
    let (mut simulations, mut seed, mut space, mut quick) = (2000, 2023, ParameterSpace::Bounded, false);
    let mut on = default_device();
    let mut arguments = lexopt::Parser::from_env();
    while let Some(argument) = arguments.next()? {
        match argument {
            lexopt::Arg::Long("simulations") => simulations = arguments.value()?.parse()?,
            lexopt::Arg::Long("seed") => seed = arguments.value()?.parse()?,
            lexopt::Arg::Long("unconstrained") => space = ParameterSpace::Unconstrained,
            lexopt::Arg::Long("device") => on = device(&arguments.value()?.string()?)?,
            lexopt::Arg::Long("quick") => quick = true,
            other => return Err(bayesburn::Error::message(format!("{}; see the top of the file", other.unexpected()))),
        }
    }
    let out = Path::new("out/gaussian_amortized");
    fs::create_dir_all(out)?;

    // ---- The model --------------------------------------------------------------------------------------------------
    let prior = Prior::box_uniform(["theta_1", "theta_2", "theta_3"], &[-2.0; 3], &[2.0; 3])?;
    let simulator = Simulator::from_fn(|rng, theta, _| {
        Array1::from_shape_fn(3, |d| theta[d] + 1.0 + 0.1 * rng.sample::<f32, _>(StandardNormal))
    });
    let model = GenerativeModel::new(prior, simulator)?;

    // ---- Simulate and train -----------------------------------------------------------------------------------------
    let training = NpeTraining::new().with_max_epochs(if quick { 3 } else { 10_000 });
    let config = NpeConfig::new().with_space(space).with_training(training);
    let mut npe = Npe::builder(model.clone(), config).seed(seed).device(on).build()?;
    npe.simulate(simulations)?;
    let start = Instant::now();
    let posterior = npe.train()?;
    let train_s = start.elapsed().as_secs_f64();
    let summary = npe.summaries().last().expect("it was just trained");
    println!("{summary}\n{posterior}\ntrained in {train_s:.1} s");

    // ---- Two observations, one network ------------------------------------------------------------------------------
    let mut moments = Vec::new();
    for (i, x) in [[0.0f32; 3], [2.0; 3]].into_iter().enumerate() {
        let start = Instant::now();
        let draws = posterior.sample_for(&arr1(&x), 10_000, seed)?;
        let sample_s = start.elapsed().as_secs_f64();
        let (mean, std) = (draws.mean().row(0).to_vec(), draws.std().row(0).to_vec());
        println!("x = {x:?}: mean {mean:.3?}, standard deviation {std:.3?}, 10,000 draws in {sample_s:.3} s");
        let figure = pair_plot(draws.names(), draws.data_set(0))?
            .with_limits([(-2.0, 2.0); 3])?
            .with_points("without noise", x.map(|x| x - 1.0))?
            .plot();
        figure.save(out.join(format!("posterior_{}.png", i + 1)))?;
        moments.push(json!({ "x": x, "mean": mean, "std": std, "sample_10000_s": sample_s }));
    }

    // ---- How good is it? --------------------------------------------------------------------------------------------
    // The exact posterior is normal with standard deviation 0.1 around x − 1, cut to the box: its mean negative
    // log-density is −2.786. One normal everywhere leaks out of the box, and cannot be below −2.651.
    let fresh = model.simulate(if quick { 100 } else { 10_000 }, seed + 1)?;
    let nll = |log_prob: Array1<f32>| -f64::from(log_prob.mean().expect("some simulations"));
    let leaking = nll(posterior.uncorrected_log_prob_for(&fresh.parameters, &fresh.observations())?);
    let corrected = posterior.with_leakage_draws(1024).log_prob_for(&fresh.parameters, &fresh.observations())?;
    let corrected = nll(corrected);
    println!("negative log-likelihood {leaking:.3} as estimated, {corrected:.3} inside the box (exact −2.786)");
    let report = json!({
        "simulations": simulations, "seed": seed, "unconstrained": space == ParameterSpace::Unconstrained,
        "epochs": summary.epochs, "best_validation_loss": summary.best_validation_loss, "train_s": train_s,
        "posteriors": moments, "nll": leaking, "nll_corrected": corrected,
    });
    fs::write(out.join("summary.json"), format!("{report:#}\n"))?;
    Ok(())
}
