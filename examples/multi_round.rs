//! Inference in two rounds on the linear Gaussian example of sbi's tutorials: the second round simulates where the
//! first posterior of one observation is, so that few simulations go far. The posterior is then good for that
//! observation alone.
//!
//! `cargo run --release --example multi_round` writes figures and `summary.json` to `out/multi_round`. Options:
//! `--rounds R` (2), `--simulations N` in each (500), `--seed S`, `--correction atomic|closed-form|truncated` (atomic;
//! with `truncated` proposals are the prior, cut to where the posterior is), `--resume` (goes on with what an earlier
//! call has done: nothing is simulated twice), `--quick`.

#![allow(clippy::print_stdout, reason = "an example talks to its reader")]

use bayesburn::{diagnostics::pair_plot, inference::Correction, networks::DenseNetConfig, prelude::*};
use lexopt::ValueExt;
use serde_json::json;
use std::{fs, path::Path};

fn main() -> bayesburn::Result<()> {
    let (mut rounds, mut simulations, mut seed, mut correction, mut resume, mut quick) =
        (2, 500, 2023, "atomic".to_owned(), false, false);
    let mut arguments = lexopt::Parser::from_env();
    while let Some(argument) = arguments.next()? {
        match argument {
            lexopt::Arg::Long("rounds") => rounds = arguments.value()?.parse()?,
            lexopt::Arg::Long("simulations") => simulations = arguments.value()?.parse()?,
            lexopt::Arg::Long("seed") => seed = arguments.value()?.parse()?,
            lexopt::Arg::Long("correction") => correction = arguments.value()?.parse()?,
            lexopt::Arg::Long("resume") => resume = true,
            lexopt::Arg::Long("quick") => quick = true,
            other => return Err(bayesburn::Error::message(format!("{}; see the top of the file", other.unexpected()))),
        }
    }
    let out = Path::new("out/multi_round");
    let state = out.join("state");
    if !resume && state.exists() {
        fs::remove_dir_all(&state)?;
    }
    fs::create_dir_all(out)?;

    // ---- The model --------------------------------------------------------------------------------------------------
    let prior = Prior::box_uniform(["theta_1", "theta_2", "theta_3"], &[-2.0; 3], &[2.0; 3])?;
    let simulator = Simulator::from_fn(|rng, theta, _| {
        Array1::from_shape_fn(3, |d| theta[d] + 1.0 + 0.1 * rng.sample::<f32, _>(StandardNormal))
    });
    let model = GenerativeModel::new(prior, simulator)?;
    let x_o = arr1(&[0.0, 0.0, 0.0]);

    // ---- Rounds -----------------------------------------------------------------------------------------------------
    // The first simulates from the prior, the next from the posterior before. A mixture of normals learns a posterior
    // near a normal from few simulations.
    let net = DenseNetConfig::new().with_units(50).with_shortcut(true).with_dropout(0.2);
    let mixture = MixtureConfig::new().with_components(3).with_net(net);
    let training = NpeTraining::new()
        .with_batch_size(100)
        .with_correction(match correction.as_str() {
            "closed-form" => Correction::ClosedForm,
            _ => Correction::Atomic { atoms: 10 },
        })
        .with_max_epochs(if quick { 3 } else { 10_000 });
    let config = NpeConfig::new().with_density_estimator(mixture).with_training(training);
    let builder = Npe::builder(model, config).seed(seed).folder(&state);
    let mut npe = if resume { builder.resume() } else { builder }.build()?;
    let mut reports = Vec::new();
    for round in 1..=rounds {
        npe.simulate(simulations)?;
        let posterior = npe.train()?.with_observation(x_o.clone())?;
        println!("{}", npe.summaries().last().expect("it was just trained"));

        let draws = posterior.sample(10_000, seed)?;
        let (mean, std) = (draws.mean().row(0).to_vec(), draws.std().row(0).to_vec());
        // Of a normal posterior of standard deviation 0.1 around −1, to the normal that has the moments of the draws.
        let kl: f64 = mean
            .iter()
            .zip(&std)
            .map(|(m, s)| (s / 0.1).ln() + (0.01 + (m + 1.0f64).powi(2)) / (2.0 * s * s) - 0.5)
            .sum();
        println!(
            "mean {mean:.3?} (−1), standard deviation {std:.3?} (0.1), divergence from the exact posterior {kl:.3}"
        );
        let figure = pair_plot(draws.names(), draws.data_set(0))?
            .with_limits([(-2.0, 2.0); 3])?
            .with_points("without noise", [-1.0f32; 3])?
            .plot();
        figure.save(out.join(format!("posterior_{round}.png")))?;
        reports.push(json!({ "round": round, "mean": mean, "std": std, "kl": kl }));
        if round == rounds {
            println!("{posterior}");
        } else {
            npe.set_proposal(if correction == "truncated" {
                Proposal::truncated(posterior)?
            } else {
                Proposal::posterior(posterior)?
            });
        }
    }
    let report =
        json!({ "simulations_per_round": simulations, "seed": seed, "correction": correction, "rounds": reports });
    fs::write(out.join("summary.json"), format!("{report:#}\n"))?;
    Ok(())
}
