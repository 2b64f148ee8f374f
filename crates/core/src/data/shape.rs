//! Describes the shapes of data without the data.

use crate::Data;
use serde::{Deserialize, Serialize};
use std::fmt;

/// The shapes of data sets, input by input. Networks are built for such a shape.
///
/// ```
/// use bayesburn_core::Data;
/// use ndarray::Array3;
///
/// let shape = Data::new(Array3::<f32>::zeros((500, 50, 4))).shape();
/// assert_eq!(shape.to_string(), "[N, 4]");
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DataShape {
    inputs: Vec<InputShape>,
}

/// The shape of one data set of an input.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct InputShape {
    /// The input's name.
    pub name: String,
    /// The length of each axis but that of the data sets; `None` where it may vary. The last is the number of features,
    /// and never varies; the first of sets and series `[N, F]` always may.
    pub axes: Vec<Option<usize>>,
    /// Whether rows may be padding, so that the input may come with a mask of rows.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub padded: bool,
}

impl DataShape {
    /// The shape of sets or series `[N, features]` with any N and no padding, in one unnamed input.
    #[must_use]
    pub fn of_sets(features: usize) -> Self {
        Self {
            inputs: vec![InputShape {
                name: super::UNNAMED.to_owned(),
                axes: vec![None, Some(features)],
                padded: false,
            }],
        }
    }

    /// A shape of these inputs.
    #[must_use]
    pub fn new(inputs: Vec<InputShape>) -> Self {
        Self { inputs }
    }

    pub(super) fn of(data: &Data) -> Self {
        let inputs = data.inputs().iter().map(|input| {
            let axes: Vec<usize> = input.values().shape()[1..].to_vec();
            let varies = |axis: usize| {
                axes.len() == 2 && axis == 0 || input.row_mask().is_some_and(|mask| axis + 1 < mask.ndim())
            };
            InputShape {
                name: input.name().to_owned(),
                axes: axes.iter().enumerate().map(|(axis, n)| (!varies(axis)).then_some(*n)).collect(),
                padded: input.row_mask().is_some(),
            }
        });
        Self { inputs: inputs.collect() }
    }

    /// The inputs, in their order.
    #[must_use]
    pub fn inputs(&self) -> &[InputShape] {
        &self.inputs
    }

    /// The input of this name.
    #[must_use]
    pub fn input(&self, name: &str) -> Option<&InputShape> {
        self.inputs.iter().find(|input| input.name == name)
    }

    /// The only input; `None` if there are several.
    #[must_use]
    pub fn only(&self) -> Option<&InputShape> {
        self.inputs.first().filter(|_| self.inputs.len() == 1)
    }

    /// Whether an input has a name.
    #[must_use]
    pub fn is_named(&self) -> bool {
        self.only().is_none_or(|only| only.name != super::UNNAMED)
    }

    /// Whether some input may have padding.
    #[must_use]
    pub fn is_padded(&self) -> bool {
        self.inputs.iter().any(|input| input.padded)
    }

    /// Extends the shape to cover another one with the same inputs and ranks: axes whose lengths differ become
    /// variable.
    ///
    /// # Panics
    /// If the inputs or their ranks differ.
    pub fn extend(&mut self, other: &Self) {
        assert_eq!(self.inputs.len(), other.inputs.len(), "the same inputs");
        for (input, other) in self.inputs.iter_mut().zip(&other.inputs) {
            assert_eq!(input.axes.len(), other.axes.len(), "inputs of one rank");
            input.padded |= other.padded;
            let last = input.axes.len() - 1;
            for (axis, other) in input.axes[..last].iter_mut().zip(&other.axes) {
                if axis != other {
                    *axis = None;
                }
            }
        }
    }
}

impl InputShape {
    /// The number of features, the last axis.
    ///
    /// # Panics
    /// If there is no axis.
    #[must_use]
    pub fn features(&self) -> usize {
        self.axes.last().copied().flatten().expect("the last axis is of a known length")
    }

    /// How many axes a data set has.
    #[must_use]
    pub fn rank(&self) -> usize {
        self.axes.len()
    }

    /// The name of an axis of unknown length.
    fn axis(&self, axis: usize) -> &'static str {
        match (self.rank(), axis) {
            (2, 0) | (3, 1) => "N",
            (3, 0) => "G",
            _ => "_",
        }
    }
}

impl fmt::Display for InputShape {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let lengths = self.axes.iter().enumerate();
        let lengths = lengths.map(|(i, n)| n.map_or_else(|| self.axis(i).to_owned(), |n| n.to_string()));
        write!(f, "[{}]", lengths.collect::<Vec<_>>().join(", "))
    }
}

impl fmt::Display for DataShape {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let (Some(only), false) = (self.only(), self.is_named()) {
            return write!(f, "{only}");
        }
        let inputs: Vec<String> = self.inputs.iter().map(|input| format!("{} {input}", input.name)).collect();
        write!(f, "{}", inputs.join(", "))
    }
}
