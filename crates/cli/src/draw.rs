//! Draws from posteriors, and evaluates them.

use crate::{
    Outcome, Result,
    arguments::{LogProb, Sample},
    model::Found,
    output::{noted, say, warn},
};
use bayesburn_io::{check_draws_names, check_draws_path, read_parameters, write_draws, write_values};
use serde_json::json;
use std::time::Instant;

pub(crate) fn sample(options: &Sample, json: bool) -> Result<Outcome> {
    check_draws_path(&options.out)?;
    let model = Found::new(&options.posterior.posterior)?.load(&options.compute.device)?;
    check_draws_names(&options.out, model.names())?;
    let start = Instant::now();
    let (draws, acceptance) = model.sample(&options.observed, options.draws, options.seed)?;
    let seconds = start.elapsed().as_secs_f64();
    draws.warnings().iter().for_each(|warning| warn(warning));
    write_draws(&options.out, &draws)?;
    let (mean, std) = (draws.mean(), draws.std());
    let rates: Option<Vec<f64>> = acceptance.map(|all| all.iter().map(|acceptance| acceptance.rate()).collect());
    let (data_sets, per_data_set) = (draws.num_data_sets(), draws.num_draws());
    if json {
        let rows = |array: &ndarray::Array2<f64>| array.outer_iter().map(|row| row.to_vec()).collect::<Vec<_>>();
        let result = json!({
            "out": options.out, "data_sets": data_sets, "draws": per_data_set, "parameters": draws.names().to_vec(),
            "mean": rows(&mean), "std": rows(&std), "acceptance": rates, "warnings": draws.warnings(), "seconds": seconds,
        });
        say(format_args!("{result}\n"))?;
        return Ok(Outcome::Passed);
    }
    if data_sets == 1 {
        say(format_args!("{:<20} {:>12} {:>12}\n", "parameter", "mean", "sd"))?;
        for (i, name) in draws.names().iter().enumerate() {
            say(format_args!("{name:<20} {:>12.5} {:>12.5}\n", mean[[0, i]], std[[0, i]]))?;
        }
    }
    if let Some(least) = rates.and_then(|rates| rates.into_iter().reduce(f64::min)) {
        say(format_args!("Inside the prior's support: {:.1}% of what was drawn, at least\n", 100.0 * least))?;
    }
    say(format_args!("{data_sets} x {per_data_set} draws in {seconds:.2} s: {}\n", options.out.display()))?;
    Ok(Outcome::Passed)
}

pub(crate) fn log_prob(options: &LogProb, json: bool) -> Result<Outcome> {
    let model = Found::new(&options.posterior.posterior)?.load(&options.compute.device)?;
    let tables = options.observed.tables.options();
    let parameters = noted(read_parameters(&options.parameters, model.names(), &tables)?);
    let log_prob = model.log_prob(&parameters, &options.observed)?;
    if let Some(out) = &options.out {
        write_values(out, "log_prob", &log_prob)?;
    }
    if json {
        // −∞, outside of the prior's support, is null.
        say(format_args!("{}\n", json!({ "log_prob": log_prob.to_vec(), "out": options.out })))?;
    } else if let Some(out) = &options.out {
        say(format_args!("{} log densities: {}\n", log_prob.len(), out.display()))?;
    } else {
        let lines: String = log_prob.iter().map(|value| format!("{value}\n")).collect();
        say(lines)?;
    }
    Ok(Outcome::Passed)
}
