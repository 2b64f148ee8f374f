//! Says what a posterior is.

use crate::{Outcome, Result, arguments::Posterior, model::Found, output::say};
use bayesburn_networks::default_device;
use bayesburn_trainers::LossHistory;
use serde_json::{Value, json};

const HISTORY: &str = "history.json";

pub(crate) fn run(options: &Posterior, json: bool) -> Result<Outcome> {
    let found = Found::new(&options.posterior)?;
    let model = found.load(&default_device())?;
    let path = found.folder.join(HISTORY);
    let history = if path.is_file() { Some(LossHistory::load(&path)?) } else { None };
    let training = history.as_ref().map(|history| {
        let validation = history.validation_losses();
        let best = validation.iter().map(|(_, loss)| *loss).reduce(f32::min);
        json!({
            "steps": history.steps.len(),
            "epochs": history.epochs.len(),
            "last_validation_loss": validation.last().map(|(_, loss)| loss),
            "best_validation_loss": best,
        })
    });
    if json {
        let info = json!({
            "folder": found.folder,
            "parameters": model.names().to_vec(),
            "features": model.feature_names(),
            "num_trainable_parameters": model.num_trainable_parameters(),
            "training": training,
            "training_range": model.training_range(),
            "warnings": model.warnings(),
            "inference": found.inference,
            "posterior": found.description,
        });
        say(format_args!("{info:#}\n"))?;
        return Ok(Outcome::Passed);
    }
    say(format_args!("Posterior in {}\n", found.folder.display()))?;
    say(format_args!("Parameters: {}\n", model.names().join(", ")))?;
    if let Some(names) = model.feature_names() {
        say(format_args!("Features: {}\n", names.join(", ")))?;
    }
    let widths = &found.description["widths"];
    match &found.inference {
        Some(inference) => {
            say(format_args!("Data: an array of shape {}\n", inference["data_shape"]))?;
            let own = if inference["observation"].is_null() { "none of its own" } else { "one of its own" };
            say(format_args!("Observation: {own}; trained on {} rounds of simulations\n", inference["rounds"]))?;
        }
        None => {
            say(format_args!("Data: {} features for each observation", widths["features"]))?;
            let direct = widths["direct"].as_u64().unwrap_or(0);
            say(if direct > 0 { format!(", and {direct} direct conditions\n") } else { "\n".to_owned() })?;
        }
    }
    let config = &found.description["config"];
    let estimator = match &config["inference"] {
        Value::Object(kind) => kind.keys().next().cloned().unwrap_or_default().to_lowercase(),
        other => other.to_string(),
    };
    let summary = found.summary_network().unwrap_or_default();
    let count = model.num_trainable_parameters();
    say(format_args!("Networks: summary {summary}, inference {estimator}; {count} trainable parameters\n"))?;
    if let Some(range) = model.training_range() {
        let n = range.num_observations();
        let n = if n.start() == n.end() { n.start().to_string() } else { format!("{} to {}", n.start(), n.end()) };
        say(format_args!("Trained on: data sets of {n} observations\n"))?;
    }
    for warning in model.warnings() {
        say(format_args!("Warning: {warning}\n"))?;
    }
    if let Some(training) = training {
        say(format_args!("Trained: {} steps in {} epochs", training["steps"], training["epochs"]))?;
        if let Some(loss) = training["last_validation_loss"].as_f64() {
            say(format_args!(", validation loss {loss:.3}"))?;
        }
        say("\n")?;
    }
    Ok(Outcome::Passed)
}
