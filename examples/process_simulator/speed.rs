//! Measures how many simulations a second the script makes alone, and in the pool.

use crate::{WORKERS, prior, process, script};
use bayesburn::prelude::*;
use std::{
    fs::{self, File},
    path::Path,
    process::{Child, Command, Stdio},
    time::Instant,
};

/// Prints the rates of pairs of measurements, each from the start of the processes to the last answer, and the medians.
pub(crate) fn compare(num_simulations: usize, pairs: usize) -> bayesburn::Result<()> {
    let folder = std::env::temp_dir().join(format!("bayesburn-process-simulator-{}", std::process::id()));
    fs::create_dir_all(&folder)?;
    let measured = measure(num_simulations, pairs, &folder);
    fs::remove_dir_all(&folder)?;
    let (alone, pooled, ratios): (Vec<f64>, Vec<f64>, Vec<f64>) = measured?;
    println!("\nSimulations/s of {WORKERS} processes, medians of {pairs} pairs of {num_simulations} simulations:");
    println!("script alone, from files   {:>8.0}", median(alone));
    println!("script in the pool         {:>8.0}", median(pooled));
    println!("pool over alone            {:>8.3}", median(ratios));
    Ok(())
}

fn measure(num: usize, pairs: usize, folder: &Path) -> bayesburn::Result<(Vec<f64>, Vec<f64>, Vec<f64>)> {
    // What the pool sends, in as many files as there are workers.
    let draws = prior().sample(num, 1)?;
    for worker in 0..WORKERS {
        let mut lines = String::new();
        for (id, mu) in draws.outer_iter().enumerate().skip(worker).step_by(WORKERS) {
            let seed = id * 7_919 + (1 << 52); // As long as the pool's.
            lines += &format!("{{\"id\":{id},\"seed\":{seed},\"parameters\":[{:?},{:?}]}}\n", mu[0], mu[1]);
        }
        fs::write(folder.join(worker.to_string()), lines)?;
    }
    let alone = || -> bayesburn::Result<f64> {
        let start = Instant::now();
        let scripts = (0..WORKERS).map(|worker| script_alone(&folder.join(worker.to_string())));
        for mut script in scripts.collect::<std::io::Result<Vec<_>>>()? {
            script.wait()?;
        }
        Ok(num as f64 / start.elapsed().as_secs_f64())
    };
    let pooled = || -> bayesburn::Result<f64> {
        let start = Instant::now();
        GenerativeModel::new(prior(), process().into())?.simulate(num, 1)?;
        Ok(num as f64 / start.elapsed().as_secs_f64())
    };
    let mut rates = (Vec::new(), Vec::new(), Vec::new());
    for _ in 0..pairs {
        let (alone, pooled) = (alone()?, pooled()?);
        rates.0.push(alone);
        rates.1.push(pooled);
        rates.2.push(pooled / alone);
    }
    Ok(rates)
}

/// The script, which reads requests from a file and whose answers nobody reads.
fn script_alone(requests: &Path) -> std::io::Result<Child> {
    Command::new("python3").arg(script()).stdin(File::open(requests)?).stdout(Stdio::null()).spawn()
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}
