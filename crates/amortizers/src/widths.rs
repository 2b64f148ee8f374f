//! Checks that arrays have the widths that a posterior was made for.

use crate::{AmortizerError, Conditions};
use ndarray::ArrayView2;
use serde::{Deserialize, Serialize};

/// The widths that a posterior was made for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Widths {
    pub(crate) names: Vec<String>,
    /// F, the features of an observation.
    pub(crate) features: usize,
    /// C, the number of direct conditions.
    pub(crate) direct: usize,
    /// How many features are followed by as many columns of a mask: 0 for missing values.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub(crate) masked: usize,
    /// The names of the simulator's features.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) feature_names: Option<Vec<String>>,
}

fn is_zero(number: &usize) -> bool {
    *number == 0
}

impl Widths {
    pub(crate) fn check_parameters(&self, parameters: ArrayView2<'_, f32>) -> Result<(), AmortizerError> {
        width("the parameters", self.names.len(), parameters.ncols())
    }

    pub(crate) fn check_conditions(&self, conditions: &Conditions) -> Result<(), AmortizerError> {
        width("the summary conditions", self.features, conditions.summary_conditions.dim().2)?;
        // Of those that an earlier version saved it is not known, and nothing is filled in after standardising.
        if conditions.masked > 0 && self.masked > 0 {
            width("the masks of the summary conditions", self.masked, conditions.masked)?;
        }
        let direct = conditions.direct_conditions.as_ref().map_or(0, |direct| direct.ncols());
        width("the direct conditions", self.direct, direct)
    }

    /// Whether there is room for the mask, in what a file says; the reason where there is not.
    pub(crate) fn check_masked(&self) -> Result<(), String> {
        if 2 * self.masked > self.features {
            return Err("`widths.masked` is more than half of `widths.features`".to_owned());
        }
        Ok(())
    }

    pub(crate) fn check_feature_names(&self) -> Result<(), AmortizerError> {
        let Some(names) = &self.feature_names else { return Ok(()) };
        let fits = |(i, name): (usize, &String)| !name.is_empty() && !names[..i].contains(name);
        match (1..=self.features).contains(&names.len()) && names.iter().enumerate().all(fits) {
            true => Ok(()),
            false => Err(AmortizerError::FeatureNames { names: names.clone(), features: self.features }),
        }
    }
}

fn width(what: &'static str, expected: usize, got: usize) -> Result<(), AmortizerError> {
    if expected == got { Ok(()) } else { Err(AmortizerError::Width { what, expected, got }) }
}
