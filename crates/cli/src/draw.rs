//! Draws from posteriors, and evaluates them.

use crate::{
    Result,
    arguments::{LogProb, Sample},
    output::{noted, print, print_json, remarked, warn},
};
use bayesburn_io::{check_draws_names, read_parameters, write_draws, write_values};
use bayesburn_workflow::{
    commands::{Outcome, drawn_summary},
    saved::{Registry, Sampled, Saved},
};
use serde_json::json;
use std::time::Instant;

pub(crate) fn sample(options: &Sample, json: bool) -> Result<Outcome> {
    let drawing = &options.drawing;
    let saved = Saved::find(&options.posterior.posterior)?;
    let posterior = Registry::new().load(&saved, options.device.device.as_deref())?;
    check_draws_names(&drawing.out, posterior.names())?;
    let start = Instant::now();
    let Sampled { draws, acceptance } =
        remarked(|remarks| posterior.sample(&options.observed, drawing.draws, drawing.seed, remarks))?;
    let seconds = start.elapsed().as_secs_f64();
    draws.warnings().iter().for_each(|warning| warn(warning));
    write_draws(&drawing.out, &draws)?;
    let rates: Option<Vec<f64>> = acceptance.map(|all| all.iter().map(|acceptance| acceptance.rate()).collect());
    let (data_sets, per_data_set) = (draws.num_data_sets(), draws.num_draws());
    if json {
        let (mean, std) = (draws.mean(), draws.std());
        let rows = |array: &ndarray::Array2<f64>| array.outer_iter().map(|row| row.to_vec()).collect::<Vec<_>>();
        let result = json!({
            "out": drawing.out, "data_sets": data_sets, "draws": per_data_set, "parameters": draws.names().to_vec(),
            "mean": rows(&mean), "std": rows(&std), "acceptance": rates, "warnings": draws.warnings(),
            "seconds": seconds,
        });
        print_json(result)?;
        return Ok(Outcome::Passed);
    }
    print(drawn_summary(&draws))?;
    if let Some(least) = rates.and_then(|rates| rates.into_iter().reduce(f64::min)) {
        print(format_args!("Inside the prior's support: {:.1}% of what was drawn, at least\n", 100.0 * least))?;
    }
    print(format_args!("{data_sets} x {per_data_set} draws in {seconds:.2} s: {}\n", drawing.out.display()))?;
    Ok(Outcome::Passed)
}

pub(crate) fn log_prob(options: &LogProb, json: bool) -> Result<Outcome> {
    let saved = Saved::find(&options.posterior.posterior)?;
    let posterior = Registry::new().load(&saved, options.device.device.as_deref())?;
    let tables = options.observed.tables.options();
    let parameters = noted(read_parameters(&options.parameters, posterior.names(), &tables)?);
    let log_prob = remarked(|remarks| posterior.log_prob(&parameters, &options.observed, remarks))?;
    if let Some(out) = &options.out {
        write_values(out, "log_prob", &log_prob)?;
    }
    if json {
        // −∞, outside of the prior's support, is null.
        print_json(json!({ "log_prob": log_prob.to_vec(), "out": options.out }))?;
    } else if let Some(out) = &options.out {
        print(format_args!("{} log densities: {}\n", log_prob.len(), out.display()))?;
    } else {
        let lines: String = log_prob.iter().map(|value| format!("{value}\n")).collect();
        print(lines)?;
    }
    Ok(Outcome::Passed)
}
