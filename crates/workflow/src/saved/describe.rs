//! Says what a saved amortizer is, in words and as JSON.

use super::{AnyPosterior, Saved, SavedError};
use bayesburn_core::{one_line, printable};
use bayesburn_trainers::LossHistory;
use serde_json::{Value, json};
use std::fmt::{self, Write as _};

/// What is known of a saved amortizer, as JSON; without its posterior, which only the program that trained it can load,
/// what the files say.
///
/// # Errors
/// A history that cannot be read.
pub fn description(saved: &Saved, posterior: Option<&dyn AnyPosterior>) -> Result<Value, SavedError> {
    let training = saved.history()?.as_ref().map(training);
    let mut info = json!({
        "folder": saved.folder,
        "kind": saved.kind(),
        "format_version": saved.description["format_version"],
        "can_be_used": posterior.is_some(),
        "training": training,
        "inference": saved.inference,
        "posterior": saved.description,
    });
    if let Some(posterior) = posterior {
        info["parameters"] = json!(posterior.names().to_vec());
        info["features"] = json!(posterior.feature_names());
        info["num_trainable_parameters"] = json!(posterior.num_trainable_parameters());
        info["training_range"] = json!(posterior.training_range());
        info["warnings"] = json!(posterior.warnings());
    }
    Ok(info)
}

/// Describes the amortizer in words, with control characters of names escaped.
///
/// # Errors
/// A history that cannot be read.
pub fn describe(saved: &Saved, posterior: Option<&dyn AnyPosterior>) -> Result<String, SavedError> {
    let history = saved.history()?;
    let mut text = String::new();
    // Writing to a string cannot fail.
    _ = match posterior {
        Some(posterior) => words(&mut text, saved, posterior),
        None => words_of_unknown(&mut text, saved),
    };
    if let Some(history) = &history {
        _ = trained(&mut text, history);
    }
    Ok(printable(&text).into_owned())
}

/// Names in one line.
fn listed<'a>(names: impl IntoIterator<Item = &'a str>) -> String {
    names.into_iter().map(one_line).collect::<Vec<_>>().join(", ")
}

fn words(text: &mut String, saved: &Saved, posterior: &dyn AnyPosterior) -> fmt::Result {
    writeln!(text, "Posterior in {}", saved.folder.display())?;
    writeln!(text, "Parameters: {}", listed(posterior.names().iter().map(String::as_str)))?;
    if let Some(names) = posterior.feature_names() {
        writeln!(text, "Features: {}", listed(names.iter().map(String::as_str)))?;
    }
    match &saved.inference {
        Some(inference) => {
            writeln!(text, "Data: an array of shape {}", inference["data_shape"])?;
            let own = if inference["observation"].is_null() { "none of its own" } else { "one of its own" };
            writeln!(text, "Observation: {own}; trained on {} rounds of simulations", inference["rounds"])?;
        }
        None => {
            let widths = &saved.description["widths"];
            match widths["inputs"].as_array() {
                Some(_) => write!(text, "Data: {}", posterior.data_shape())?,
                None => write!(text, "Data: {} features for each observation", widths["features"])?,
            }
            match widths["direct"].as_u64().unwrap_or(0) {
                0 => writeln!(text)?,
                direct => writeln!(text, ", and {direct} direct conditions")?,
            }
        }
    }
    let inference = match (saved.inference_network(), &saved.description["config"]["inference"]) {
        (Some(own), _) => one_line(own).into_owned(),
        (None, Value::Object(kind)) => one_line(kind.keys().next().map_or("", String::as_str)).to_lowercase(),
        (None, other) => other.to_string(),
    };
    let (summary, count) =
        (one_line(saved.summary_network().unwrap_or_default()), posterior.num_trainable_parameters());
    writeln!(text, "Networks: summary {summary}, inference {inference}; {count} trainable parameters")?;
    if let Some(range) = posterior.training_range() {
        let n = range.num_observations();
        let n = if n.start() == n.end() { n.start().to_string() } else { format!("{} to {}", n.start(), n.end()) };
        writeln!(text, "Trained on: data sets of {n} observations")?;
    }
    posterior.warnings().iter().try_for_each(|warning| writeln!(text, "Warning: {}", one_line(warning)))
}

/// Of a kind or a network that this program does not know.
fn words_of_unknown(text: &mut String, saved: &Saved) -> fmt::Result {
    writeln!(text, "Amortizer in {}", saved.folder.display())?;
    writeln!(text, "Kind: {}", one_line(saved.kind()))?;
    writeln!(text, "Format version: {}", saved.description["format_version"])?;
    if let Some(network) = saved.summary_network() {
        writeln!(text, "Summary network: {}", one_line(network))?;
    }
    if let Some(network) = saved.inference_network() {
        writeln!(text, "Inference network: {}", one_line(network))?;
    }
    if let Some(names) = saved.description["widths"]["names"].as_array() {
        writeln!(text, "Parameters: {}", listed(names.iter().filter_map(Value::as_str)))?;
    }
    let known = ["kind", "format_version", "summary_network", "inference_network"];
    for (key, value) in saved.description.as_object().into_iter().flatten() {
        if !known.contains(&key.as_str()) {
            writeln!(text, "{}: {value}", one_line(key))?;
        }
    }
    writeln!(text, "This program does not know it: use the program that trained it to draw from it or to evaluate it.")
}

fn trained(text: &mut String, history: &LossHistory) -> fmt::Result {
    write!(text, "Trained: {} steps in {} epochs", history.steps.len(), history.epochs.len())?;
    if let Some((_, loss)) = history.validation_losses().last() {
        write!(text, ", validation loss {loss:.3}")?;
    }
    writeln!(text)
}

fn training(history: &LossHistory) -> Value {
    let validation = history.validation_losses();
    let best = validation.iter().map(|(_, loss)| *loss).reduce(f32::min);
    json!({
        "steps": history.steps.len(),
        "epochs": history.epochs.len(),
        "last_validation_loss": validation.last().map(|(_, loss)| loss),
        "best_validation_loss": best,
    })
}
