//! One network for data sets of any size: the number of observations N is drawn anew for each batch of the training, or
//! for each simulation.
//!
//! The model is that of the quickstart, four means with a standard normal prior and observations x ~ N(μ, I). Summaries
//! that are means over observations do not tell how many there were, and so how narrow the posterior must be: the
//! inference network is told.
//!
//! - Without an option, N is *non-batchable context*: it sets the shape of the data, so a batch shares it, and the
//!   configurator makes it a *direct condition*. All data sets of a batch are of one length, which is fastest.
//! - With `--each`, the simulator returns another number of observations in each simulation, as simulators do that end
//!   when something happens. They are padded to the longest of their batch, with a mask that the summary network pools
//!   by; and the posterior tells its inference network ln N by itself.
//!
//! `cargo run --release --example varying_n` prints the learned posteriors at N = 5, 20 and 100 beside the exact ones,
//! N(N·x̄/(N+1), 1/(N+1)), and writes them to `out/varying_n/summary.json`, or `out/varying_n_each`. With `--quick` it
//! only shows that everything runs.

#![allow(clippy::print_stdout, reason = "an example talks to its reader")]

use bayesburn::{amortizers::DefaultConfigurator, core::Purpose, prelude::*};
use ndarray::Axis;
use serde_json::json;
use std::{fs, path::Path, time::Instant};

fn main() -> bayesburn::Result<()> {
    let start = Instant::now();
    let (mut quick, mut each) = (false, false);
    for option in std::env::args().skip(1) {
        match option.as_str() {
            "--quick" => quick = true,
            "--each" => each = true,
            other => {
                let message = format!("unknown option `{other}`: there are only --quick and --each");
                return Err(bayesburn::Error::message(message));
            }
        }
    }

    let names = ["mu_1", "mu_2", "mu_3", "mu_4"];
    let prior = Prior::from_fn(names, |rng, _| [(); 4].map(|()| rng.sample(StandardNormal)));
    let simulator = match each {
        true => Simulator::from_fn(|rng, mu, _| {
            let n = rng.random_range(5..=100);
            observations(rng, mu, n)
        }),
        false => Simulator::from_fn(|rng, mu, context| observations(rng, mu, context.num_observations()))
            .with_context(ContextGenerator::num_observations(5..=100)),
    };
    let model = GenerativeModel::new(prior, simulator)?;

    // The default configurator passes N itself. The posterior's log-sd, which affine coupling layers set, falls
    // linearly in ln N: told that instead, the networks need not learn a logarithm.
    let configurator = move |simulations: &Simulations| {
        let configured = DefaultConfigurator.configure(simulations)?;
        Configured::new(
            configured.parameters,
            if each { configured.conditions } else { with_log_n(configured.conditions) },
        )
    };
    let config =
        PosteriorConfig::new(DeepSetConfig::new(10), InvertibleNetworkConfig::new().with_num_coupling_layers(4));
    let mut trainer = Trainer::builder(model, config).configurator(configurator).seed(2023).build()?;
    let source = Online::new()
        .with_epochs(if quick { 1 } else { 5 })
        .with_iterations_per_epoch(if quick { 20 } else { 1000 })
        .with_batch_size(64);
    let before = start.elapsed().as_secs_f64();
    let training = TrainingConfig::new().with_schedule(Schedule::new().with_initial_rate(1e-3));
    let val_loss = trainer.train(source, &training)?.validation_losses().last().map(|(_, loss)| *loss);
    let train_s = start.elapsed().as_secs_f64() - before;
    let mut results = Vec::new();

    println!("Averages over 200 data sets and 4 means, in units of the exact posterior sd:");
    println!("  N   exact sd   learned sd   |learned mean - exact mean|");
    for n in [5_u8, 20, 100] {
        let data = simulate(200, n.into());
        let conditions = Conditions::new(data.clone());
        let conditions = if each { conditions } else { with_log_n(conditions) };
        let draws = trainer.amortizer().sample(&conditions, 1000, 1)?;

        let n = f64::from(n);
        let exact_sd = 1.0 / (n + 1.0).sqrt();
        let exact_mean = data.mapv(f64::from).sum_axis(Axis(1)) / (n + 1.0);
        let error = ((draws.mean() - exact_mean) / exact_sd).mapv(f64::abs).mean().unwrap_or(f64::NAN);
        let ratio = (draws.std() / exact_sd).mean().unwrap_or(f64::NAN);
        println!("{n:>3}   {exact_sd:>8.4}   {ratio:>10.3}   {error:>9.3}");
        results.push((n, error, ratio));
    }
    let each_n: Vec<_> = results
        .iter()
        .map(|(n, error, ratio)| json!({ "n": n, "mean_error_in_sd": error, "sd_ratio": ratio }))
        .collect();
    let wall_s = start.elapsed().as_secs_f64();
    let summary = json!({ "wall_s": wall_s, "train_s": train_s, "val_loss": val_loss, "posteriors": each_n });
    let out = Path::new("out").join(if each { "varying_n_each" } else { "varying_n" });
    fs::create_dir_all(&out)?;
    fs::write(out.join("summary.json"), format!("{summary:#}\n"))?;
    let close = |(_, error, ratio): &(f64, f64, f64)| *error < 0.1 && (ratio - 1.0).abs() < 0.1;
    match quick || results.iter().all(close) {
        true => Ok(()),
        false => {
            Err(bayesburn::Error::message("the learned posterior is more than a tenth of a standard deviation off"))
        }
    }
}

/// So many observations around the means.
fn observations(rng: &mut StreamRng, mu: &[f32], n: usize) -> Array2<f32> {
    Array2::from_shape_fn((n, 4), |(_, d)| mu[d] + rng.sample::<f32, _>(StandardNormal))
}

/// The conditions with ln N as direct condition, for data `[M, N, 4]`.
fn with_log_n(conditions: Conditions) -> Conditions {
    let (data_sets, n, _) = conditions.sets().dim();
    conditions.with_direct(Array2::from_elem((data_sets, 1), (n as f32).ln()))
}

/// Data sets of a given size, `[num, n, 4]`, each with its own μ from the prior.
fn simulate(num: usize, n: usize) -> Array3<f32> {
    let mut rng = bayesburn::core::stream(7, const { Purpose::new("varying_n test") }, n as u64);
    let mu = Array2::from_shape_simple_fn((num, 4), || rng.sample::<f32, _>(StandardNormal));
    Array3::from_shape_simple_fn((num, n, 4), || rng.sample::<f32, _>(StandardNormal)) + mu.insert_axis(Axis(1))
}
