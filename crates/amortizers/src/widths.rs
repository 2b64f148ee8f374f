//! Checks that arrays have the widths that a posterior was made for.

use crate::{
    AmortizerError, Conditions, Configured,
    derived::{Derived, DerivedOf},
};
use bayesburn_core::{DataShape, InputShape};
use bayesburn_networks::FixedStatistics;
use ndarray::ArrayView2;
use serde::{Deserialize, Serialize};

/// The widths that a posterior was made for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Widths {
    pub(crate) names: Vec<String>,
    /// F, the features of an observation, of all inputs together.
    pub(crate) features: usize,
    /// C, the number of direct conditions.
    pub(crate) direct: usize,
    /// How many features are followed by as many columns of a mask: 0 for missing values.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub(crate) masked: usize,
    /// Whether data sets may be of different lengths within a batch.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub(crate) padded: bool,
    /// The inputs, if they are not one of sets without a name.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) inputs: Vec<InputWidths>,
    /// The fixed statistics of each input that go beside the summaries; of earlier versions, none.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) statistics: Vec<FixedStatistics>,
    /// The names of the simulator's features.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) feature_names: Option<Vec<String>>,
}

/// The shape of one input.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct InputWidths {
    pub(crate) shape: InputShape,
    /// As [`Widths::masked`].
    #[serde(default, skip_serializing_if = "is_zero")]
    pub(crate) masked: usize,
}

fn is_zero(number: &usize) -> bool {
    *number == 0
}

impl Widths {
    /// Of pilot simulations, of which there is at least one batch.
    pub(crate) fn new(names: Vec<String>, pilot: &[Configured]) -> Result<Self, AmortizerError> {
        let first = &pilot[0].conditions;
        let mut shape = first.data.shape();
        for batch in pilot {
            let other = batch.conditions.data.shape();
            let rank = |shape: &DataShape| -> Vec<_> {
                shape.inputs().iter().map(|input| (input.name.clone(), input.rank(), input.features())).collect()
            };
            if rank(&shape).iter().map(|(.., features)| features).sum::<usize>() == 0
                || batch.conditions.masked != first.masked
            {
                return Err(AmortizerError::RawData);
            }
            match (rank(&shape), rank(&other)) {
                (a, b) if a == b => shape.extend(&other),
                // Widths of sets are told apart by the check of each batch.
                (a, b) if a.len() == 1 && b.len() == 1 && a[0].1 == b[0].1 => {}
                _ => return Err(AmortizerError::DataShape { expected: shape.to_string(), got: other.to_string() }),
            }
        }
        let is_plain = !shape.is_named() && shape.inputs()[0].rank() == 2;
        let (features, padded) = (shape.inputs().iter().map(InputShape::features).sum(), shape.is_padded());
        let inputs = shape.inputs().iter().zip(&first.masked);
        let inputs = inputs.map(|(shape, &masked)| InputWidths { shape: shape.clone(), masked });
        Ok(Self {
            names,
            features,
            direct: first.direct_conditions.as_ref().map_or(0, |direct| direct.ncols()),
            masked: if is_plain { first.masked[0] } else { 0 },
            padded: is_plain && padded,
            inputs: if is_plain { Vec::new() } else { inputs.collect() },
            statistics: Vec::new(),
            feature_names: None,
        })
    }

    /// Whether data are one input of sets, of one length in each batch.
    pub(crate) fn is_plain(&self) -> bool {
        self.inputs.is_empty() && !self.padded
    }

    /// The shapes of the data.
    pub(crate) fn shape(&self) -> DataShape {
        if !self.inputs.is_empty() {
            return DataShape::new(self.inputs.iter().map(|input| input.shape.clone()).collect());
        }
        let sets = DataShape::of_sets(self.features).inputs()[0].clone();
        DataShape::new(vec![InputShape { padded: self.padded, ..sets }])
    }

    /// Of each input, how many features are followed by as many columns of a mask.
    pub(crate) fn masked(&self) -> Vec<usize> {
        match &self.inputs[..] {
            [] => vec![self.masked],
            inputs => inputs.iter().map(|input| input.masked).collect(),
        }
    }

    /// What is derived from data sets and appended to direct conditions.
    pub(crate) fn derived(&self) -> Derived {
        let (shape, masked) = (self.shape(), self.masked());
        let of_input = |(i, input): (usize, &InputShape)| DerivedOf {
            features: input.features(),
            masked: masked[i],
            padded: input.padded,
            statistics: self.statistics.get(i).copied().unwrap_or(FixedStatistics::None),
        };
        Derived::new(shape.inputs().iter().enumerate().map(of_input).collect())
    }

    /// Whether what a file says fits together.
    pub(crate) fn check_saved(&self) -> Result<(), String> {
        let inputs = self.inputs.iter();
        if inputs.clone().any(|input| input.shape.axes.last().copied().flatten().is_none()) {
            return Err("an input of `widths.inputs` has no number of features".to_owned());
        }
        let fits = |masked: usize, features: usize| 2 * masked <= features;
        if !fits(self.masked, self.features) || !inputs.clone().all(|input| fits(input.masked, input.shape.features()))
        {
            return Err("`widths.masked` is more than half of `widths.features`".to_owned());
        }
        let all: Option<usize> =
            inputs.clone().try_fold(0, |all: usize, input| all.checked_add(input.shape.features()));
        if !self.inputs.is_empty() && (all != Some(self.features) || self.masked > 0 || self.padded) {
            return Err("`widths.inputs` are of other features than `widths.features`".to_owned());
        }
        if ![0, inputs.len().max(1)].contains(&self.statistics.len()) {
            return Err("`widths.statistics` are of another number of inputs".to_owned());
        }
        Ok(())
    }

    pub(crate) fn check_parameters(&self, parameters: ArrayView2<'_, f32>) -> Result<(), AmortizerError> {
        width("the parameters", self.names.len(), parameters.ncols())
    }

    pub(crate) fn check_conditions(&self, conditions: &Conditions) -> Result<(), AmortizerError> {
        let (expected, got) = (self.shape(), conditions.data.shape());
        let other = || AmortizerError::DataShape { expected: expected.to_string(), got: got.to_string() };
        let sets = |shape: &DataShape| shape.only().is_some_and(|only| only.rank() == 2);
        if sets(&expected) && sets(&got) {
            width("the summary conditions", self.features, got.inputs()[0].features())?;
        }
        let any_name = !(expected.is_named() && got.is_named()) && got.inputs().len() == 1;
        let fits = |(a, b): (&InputShape, &InputShape)| {
            let axes = a.axes.iter().zip(&b.axes).all(|(a, b)| a.is_none() || a == b);
            (any_name || a.name == b.name) && a.rank() == b.rank() && axes
        };
        let pairs = expected.inputs().iter().zip(got.inputs());
        if expected.inputs().len() != got.inputs().len() || !pairs.clone().all(fits) {
            // Padding hides the length of an axis.
            let hidden = pairs.clone().any(|(a, b)| b.padded && !a.padded);
            return Err(if hidden { AmortizerError::NotPadded } else { other() });
        }
        if pairs.clone().any(|(a, b)| b.padded && !a.padded) {
            return Err(AmortizerError::NotPadded);
        }
        for (&expected, &got) in self.masked().iter().zip(&conditions.masked) {
            // Of those that an earlier version saved it is not known, and nothing is filled in after standardising.
            if got > 0 && expected > 0 {
                width("the masks of the summary conditions", expected, got)?;
            }
        }
        let direct = conditions.direct_conditions.as_ref().map_or(0, |direct| direct.ncols());
        width("the direct conditions", self.direct, direct)
    }

    /// Whether data sets are of N observations, if the summary network takes only such.
    pub(crate) fn check_num_observations(n: Option<usize>, conditions: &Conditions) -> Result<(), AmortizerError> {
        let [fewest, most] = conditions.range_of_observations();
        match n {
            Some(expected) if [fewest, most] != [expected; 2] => {
                let got = if fewest == expected { most } else { fewest };
                Err(AmortizerError::Observations { expected, got })
            }
            _ => Ok(()),
        }
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
