//! Splits data sets by a number that they share with others, such as how many observations they have.

use super::{Check, CheckKind, Detectable, Metrics, input::SuiteInput, metrics::nans_as_null};
use ndarray::Array2;
use serde::{Deserialize, Serialize};

/// Groups of one number at most, and about how many data sets each has at least (half as many where values are equal):
/// fewer would show gross faults alone.
const MOST_STRATA: usize = 5;
const DATA_SETS_EACH: usize = 40;

/// A number that data sets share with others: what a verdict is over.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Context {
    pub(super) name: String,
    /// `[M]`
    pub(super) values: Vec<f32>,
}

/// The range of a shared context, such as the number of observations N, over which a report judges.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct ContextRange {
    /// What: `N`, for one.
    pub name: String,
    /// The smallest value.
    pub least: f32,
    /// The largest value.
    pub most: f32,
    /// How many values there were.
    pub distinct: usize,
}

/// The verdict on the data sets with a context in some range.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Stratum {
    /// The range in words: `N from 5 to 14`.
    pub label: String,
    /// How many data sets have such a context.
    pub num_data_sets: usize,
    /// Whether all checks of these data sets passed.
    pub passed: bool,
    /// The bias of each parameter, as in [`ParameterMetrics::bias`](super::ParameterMetrics::bias).
    #[serde(with = "nans_as_null")]
    pub bias: Vec<f64>,
    /// The width of each parameter, as in [`ParameterMetrics::width`](super::ParameterMetrics::width).
    #[serde(with = "nans_as_null")]
    pub width: Vec<f64>,
    /// Which deviations so many data sets would have shown.
    pub detectable: Detectable,
}

/// Data sets that are judged by themselves, too.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Part {
    pub(super) label: String,
    pub(super) data_sets: Vec<usize>,
}

impl Context {
    /// From where to where it is.
    pub(super) fn range(&self) -> ContextRange {
        let sorted = self.sorted();
        let value = |place: usize| self.values[sorted[place]];
        let steps = (1..sorted.len()).filter(|&i| value(i) != value(i - 1)).count();
        ContextRange { name: self.name.clone(), least: value(0), most: value(sorted.len() - 1), distinct: steps + 1 }
    }

    /// Groups of about equal size, by value; equal values stay together. None if there would be but one.
    pub(super) fn parts(&self) -> Vec<Part> {
        let (sorted, m) = (self.sorted(), self.values.len());
        let count = (m / DATA_SETS_EACH).clamp(1, MOST_STRATA);
        let mut groups: Vec<(usize, Vec<usize>)> = Vec::new();
        let mut start = 0;
        for run in sorted.chunk_by(|&a, &b| self.values[a] == self.values[b]) {
            // By the middle of the places that the value has.
            let number = (2 * start + run.len()) * count / (2 * m);
            start += run.len();
            match groups.last_mut() {
                Some((last, group)) if *last == number || group.len() < DATA_SETS_EACH / 2 => {
                    *last = number;
                    group.extend_from_slice(run);
                }
                _ => groups.push((number, run.to_vec())),
            }
        }
        if let [.., (_, before), (_, last)] = &mut groups[..]
            && last.len() < DATA_SETS_EACH / 2
        {
            before.append(last);
            groups.pop();
        }
        if groups.len() < 2 {
            return Vec::new();
        }
        groups.into_iter().map(|(_, data_sets)| Part { label: self.label(&data_sets), data_sets }).collect()
    }

    /// Of data sets in the order of their values.
    fn label(&self, data_sets: &[usize]) -> String {
        let [least, most] = [data_sets.first(), data_sets.last()].map(|place| place.map_or(0.0, |&i| self.values[i]));
        let name = &self.name;
        if least == most {
            format!("{name} = {}", short(least))
        } else {
            format!("{name} from {} to {}", short(least), short(most))
        }
    }

    fn sorted(&self) -> Vec<usize> {
        let mut places: Vec<usize> = (0..self.values.len()).collect();
        places.sort_by(|&a, &b| self.values[a].total_cmp(&self.values[b]));
        places
    }
}

/// A whole number as it is, any other with four digits.
pub(super) fn short(value: f32) -> String {
    let size = f64::from(value.abs()).log10().floor();
    match value.fract() == 0.0 {
        true => value.to_string(),
        false if (-4.0..4.0).contains(&size) => format!("{value:.*}", (3.0 - size) as usize),
        false => format!("{value:.3e}"),
    }
}

/// The verdict on each part, by the checks of it.
pub(super) fn strata(input: &SuiteInput<'_>, parts: &[Part], z_scores: &Array2<f64>, checks: &[Check]) -> Vec<Stratum> {
    let level = |kind: CheckKind| checks.iter().find(|check| check.kind == kind).map_or(1.0, |check| check.alpha);
    let (bias, width) = (level(CheckKind::ContextBias), level(CheckKind::ContextWidth));
    let of = |part: &Part| {
        let numbers: Vec<_> = (0..z_scores.ncols())
            .map(|i| Metrics::bias_and_width(part.data_sets.iter().map(|&data_set| z_scores[[data_set, i]])))
            .collect();
        Stratum {
            label: part.label.clone(),
            num_data_sets: part.data_sets.len(),
            passed: checks.iter().all(|check| check.passed || check.stratum.as_ref() != Some(&part.label)),
            bias: numbers.iter().map(|numbers| numbers.0).collect(),
            width: numbers.iter().map(|numbers| numbers.1).collect(),
            detectable: Detectable::new(part.data_sets.len(), input.draws.num_draws(), bias, width),
        }
    };
    parts.iter().map(of).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parts(values: impl IntoIterator<Item = u16>) -> Vec<(String, usize)> {
        let context = Context { name: "N".to_owned(), values: values.into_iter().map(f32::from).collect() };
        context.parts().into_iter().map(|part| (part.label, part.data_sets.len())).collect()
    }

    #[test]
    fn parts_are_of_about_equal_size_and_keep_equal_values_together() {
        let even = parts((0..1000).map(|i| 5 + i * 7 % 50));
        let expected = ["N from 5 to 14", "N from 15 to 24", "N from 25 to 34", "N from 35 to 44", "N from 45 to 54"];
        assert_eq!(even, expected.map(|label| (label.to_owned(), 200)));
        let rare = parts((0..1000).map(|i| if i % 10 == 0 { 3 } else { 8 }));
        assert_eq!(rare, [("N = 3".to_owned(), 100), ("N = 8".to_owned(), 900)]);
        // Too few for a verdict of their own go with their neighbours.
        let few = parts((0..1000).map(|i| {
            if i < 10 {
                1
            } else if i < 990 {
                2
            } else {
                3
            }
        }));
        assert_eq!(few, []);
        let first = parts((0..200).map(|i| if i < 5 { 1 } else { 2 + i % 2 }));
        assert_eq!(first.iter().map(|part| part.1).sum::<usize>(), 200);
        assert_eq!(first.len(), 2, "{first:?}");
        assert_eq!(parts(0..79), [], "no two groups of 40");
        assert_eq!(parts((0..500).map(|_| 7)), []);
    }

    #[test]
    fn ranges_count_values() {
        let context = Context { name: "N".to_owned(), values: vec![4.0, 2.0, 9.0, 2.0] };
        let range = context.range();
        assert_eq!((range.least, range.most, range.distinct), (2.0, 9.0, 3));
        assert_eq!([100.0, 0.123_456, 1234.56, -2.5e-7].map(short), ["100", "0.1235", "1235", "-2.500e-7"]);
    }
}
