//! Checks that a resumed training has the same model or data as before.

use crate::{Origin, TrainerError};
use bayesburn_core::Simulations;
use serde::{Deserialize, Serialize};
use std::path::Path;

/// Simulations that identify a model, and numbers of their data at most, spread evenly.
const SIMULATIONS: usize = 4;
const NUMBERS: usize = 64;
/// Relative differences up to this may come from another machine's rounding.
const ROUNDING: f32 = 1e-4;

/// The identity of a model or data set in a checkpoint. Functions and large files cannot be compared directly.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub(crate) enum Identity {
    /// The fingerprint of a data set, its number of rows in it.
    Data(String),
    /// The first pilot simulations of a model; numbers that are not finite are `None`.
    Model {
        parameter_names: Vec<String>,
        /// `[K, D]`, flat.
        parameters: Vec<Option<f32>>,
        /// Of one simulation.
        data_shape: Vec<usize>,
        data: Vec<Option<f32>>,
    },
}

/// A difference: its name, the saved value and the present one.
type Difference = (&'static str, String, String);

impl Identity {
    /// `pilot` makes the first pilot simulations.
    pub(crate) fn of(
        origin: &Origin,
        pilot: impl Fn() -> Result<Simulations, TrainerError>,
    ) -> Result<Self, TrainerError> {
        Ok(match origin {
            Origin::Data(data) => Self::Data(data.fingerprint()),
            Origin::Model(_) => Self::of_simulations(&pilot()?),
        })
    }

    fn of_simulations(pilot: &Simulations) -> Self {
        let rows: Vec<usize> = (0..pilot.len().min(SIMULATIONS)).collect();
        let first = pilot.select(&rows);
        let finite = |value: &f32| value.is_finite().then_some(*value);
        let data: Vec<_> = first.data.iter().map(finite).collect();
        let kept = data.len().min(NUMBERS);
        Self::Model {
            parameter_names: first.parameter_names.to_vec(),
            parameters: first.parameters.iter().map(finite).collect(),
            data_shape: first.data.values().shape()[1..].to_vec(),
            data: (0..kept).map(|i| data[i * data.len() / kept]).collect(),
        }
    }

    /// Returns an error if the identity `now` differs from the saved one, `self`. `again` computes `now` once more: if
    /// its data differ from the first time, the simulator is not reproducible, and nothing can be concluded.
    pub(crate) fn check(
        &self,
        now: &Self,
        folder: &Path,
        again: impl FnOnce() -> Result<Self, TrainerError>,
    ) -> Result<(), TrainerError> {
        let Some((what, saved, got)) = self.difference(now) else { return Ok(()) };
        if what == DATA && now.difference(&again()?).is_some_and(|(what, ..)| what == DATA) {
            tracing::warn!(
                "the simulator is not reproducible, so it cannot be compared with the one that the training began with"
            );
            return Ok(());
        }
        Err(TrainerError::OtherOrigin { folder: folder.to_owned(), what, saved, now: got })
    }

    fn difference(&self, now: &Self) -> Option<Difference> {
        match (self, now) {
            (Self::Data(saved), Self::Data(now)) => {
                (saved != now).then(|| ("the data set", saved.clone(), now.clone()))
            }
            (
                Self::Model { parameter_names: names, parameters: theta, data_shape: shape, data: x },
                Self::Model { parameter_names, parameters, data_shape, data },
            ) => {
                if names != parameter_names {
                    return Some(("the parameters", format!("{names:?}"), format!("{parameter_names:?}")));
                }
                let simulations = theta.len() / names.len().max(1);
                if !same(theta, parameters, simulations) {
                    return Some((
                        "the first pilot simulations' parameters",
                        text(theta, parameters),
                        text(parameters, theta),
                    ));
                }
                if shape != data_shape {
                    return Some(("the shape of the data", format!("{shape:?}"), format!("{data_shape:?}")));
                }
                (!same(x, data, simulations)).then(|| (DATA, text(x, data), text(data, x)))
            }
            // A model before and files now, or the other way round: they cannot be compared.
            _ => None,
        }
    }
}

const DATA: &str = "the first pilot simulations' data";

/// Whether no parameter or value differs in more than half of the simulations. Single values may differ by rounding,
/// where numbers nearly cancel.
fn same(a: &[Option<f32>], b: &[Option<f32>], simulations: usize) -> bool {
    let columns = a.len() / simulations.max(1);
    let differ = |column: usize| {
        let differs = (column..a.len()).step_by(columns.max(1)).filter(|&i| !agree(a[i], b[i]));
        2 * differs.count() > simulations
    };
    a.len() == b.len() && !(0..columns).any(differ)
}

fn agree(a: Option<f32>, b: Option<f32>) -> bool {
    match (a, b) {
        (Some(a), Some(b)) => (a - b).abs() <= ROUNDING * a.abs().max(b.abs()),
        (a, b) => a == b,
    }
}

/// The first numbers from where two lists differ.
fn text(values: &[Option<f32>], other: &[Option<f32>]) -> String {
    let place = values.iter().zip(other).position(|(a, b)| !agree(*a, *b)).unwrap_or_default();
    let number = |value: &Option<f32>| value.map_or("not finite".to_owned(), |value| value.to_string());
    let numbers: Vec<String> = values.iter().skip(place).take(4).map(number).collect();
    format!("[{}, …]", numbers.join(", "))
}
