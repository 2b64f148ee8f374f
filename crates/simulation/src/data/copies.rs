//! Finds duplicate simulations, so that copies are either all trained on or all held out.

use super::{
    DataError, Dataset,
    inputs::push_data,
    part::{Part, Role},
};
use std::collections::HashMap;

/// The duplicate rows of a [`Dataset`]: rows with bitwise equal parameters, data and mask.
///
/// ```
/// use bayesburn_core::Simulations;
/// use bayesburn_simulation::Dataset;
/// use ndarray::array;
///
/// let theta = array![[1.0], [2.0], [1.0], [3.0]];
/// let simulations = Simulations::new(["mu".to_owned()].into(), theta.clone(), theta.into_dyn())?;
/// let copies = Dataset::from_simulations(simulations)?.copies()?;
/// assert_eq!((copies.len(), copies.first_of(2), copies.first_of(3)), (1, 0, 3));
/// assert_eq!(copies.split(&[3, 2, 1, 0], 2).0, [3, 1]); // rows 0 and 2 stay together
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Copies {
    /// For each duplicate row, the first row that equals it.
    first: HashMap<usize, usize>,
    len: usize,
    parameters_recur: bool,
}

impl Copies {
    /// The number of rows that equal an earlier one.
    #[must_use]
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether all rows differ.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Whether more than a tenth of the distinct rows share their parameters with another row, as with integer
    /// parameters, or parameters that were simulated several times. Equal rows may then be independent simulations.
    #[must_use]
    pub fn parameters_recur(&self) -> bool {
        self.parameters_recur
    }

    /// The first row that equals this one; possibly the row itself.
    #[must_use]
    pub fn first_of(&self, row: usize) -> usize {
        self.first.get(&row).copied().unwrap_or(row)
    }

    /// Splits ordered rows into a first part of at most `most` rows and the others, keeping equal rows together.
    /// Without copies the first part has `most` rows; with copies it may be smaller by up to a hundredth of all rows.
    /// Rows with more copies than that go to the second part, unless all rows have.
    #[must_use]
    pub fn split(&self, order: &[usize], most: usize) -> (Vec<usize>, Vec<usize>) {
        let mut sizes: HashMap<usize, usize> = HashMap::new();
        for &row in order {
            *sizes.entry(self.first_of(row)).or_default() += 1;
        }
        let few = (order.len() / 100).max(1);
        let some_are_few = sizes.values().any(|&size| size <= few);
        let (mut taken, mut open, mut is_first) = (0, true, HashMap::new());
        for &row in order {
            let first = self.first_of(row);
            is_first.entry(first).or_insert_with(|| {
                let size = sizes[&first];
                let candidate = size <= few || !some_are_few;
                open &= !candidate || taken + size <= most;
                let takes = open && candidate;
                taken += if takes { size } else { 0 };
                takes
            });
        }
        order.iter().partition(|row| is_first[&self.first_of(**row)])
    }
}

impl Dataset {
    /// Finds the duplicate rows. It reads the parameters of all rows, and the data of rows with equal parameters.
    ///
    /// # Errors
    /// A file that cannot be read.
    pub fn copies(&self) -> Result<Copies, DataError> {
        let mut values = Vec::new();
        let mut bits = |row: usize, of_data: bool| -> Result<Vec<u32>, DataError> {
            let (part, row): (&Part, usize) = self.locate(row);
            values.clear();
            match part.column(Role::Parameters) {
                Some(parameters) if !of_data => parameters.push_row(row, &mut values)?,
                _ => push_data(part, row, &mut values)?,
            }
            Ok(values.iter().map(|value| value.to_bits()).collect())
        };
        // Eight bytes for each row.
        let mut hashes: Vec<(u32, u32)> = (0..self.len())
            .map(|row| {
                let parameters: Vec<u8> = bits(row, false)?.into_iter().flat_map(u32::to_le_bytes).collect();
                Ok((crc32fast::hash(&parameters), row as u32))
            })
            .collect::<Result<_, DataError>>()?;
        hashes.sort_unstable();
        let (mut copies, mut sharing) = (Copies::default(), 0);
        for alike in hashes.chunk_by(|a, b| a.0 == b.0).filter(|alike| alike.len() > 1) {
            let mut of_parameters: HashMap<Vec<u32>, Vec<usize>> = HashMap::new();
            for &(_, row) in alike {
                of_parameters.entry(bits(row as usize, false)?).or_default().push(row as usize);
            }
            for rows in of_parameters.into_values().filter(|rows| rows.len() > 1) {
                let mut firsts: HashMap<Vec<u32>, usize> = HashMap::new();
                for &row in &rows {
                    let first = *firsts.entry(bits(row, true)?).or_insert(row);
                    if first != row {
                        copies.first.extend([(first, first), (row, first)]);
                        copies.len += 1;
                    }
                }
                sharing += if firsts.len() > 1 { firsts.len() } else { 0 };
            }
        }
        copies.parameters_recur = 10 * sharing > self.len() - copies.len;
        Ok(copies)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use bayesburn_core::Simulations;
    use ndarray::Array2;

    /// Of so many different rows, each so many times, one after the other.
    fn data(different: usize, times: usize, parameters: impl Fn(usize) -> f32) -> Dataset {
        let theta = Array2::from_shape_fn((different * times, 1), |(row, _)| parameters(row % different));
        let x = Array2::from_shape_fn((different * times, 2), |(row, _)| (row % different) as f32).into_dyn();
        let simulations = Simulations::new(["mu".to_owned()].into(), theta, x).expect("sound");
        Dataset::from_simulations(simulations).expect("sound")
    }

    #[test]
    fn equal_rows_are_found_and_others_are_not() {
        let copies = data(100, 3, |row| row as f32).copies().expect("in memory");
        assert_eq!((copies.len(), copies.first_of(250), copies.parameters_recur()), (200, 50, false));
        let none = data(300, 1, |row| row as f32).copies().expect("in memory");
        assert_eq!((none.len(), none.first_of(250)), (0, 250));
        // Parameters of few values, with data of their own.
        let whole = data(100, 3, |row| (row % 7) as f32).copies().expect("in memory");
        assert!(whole.len() == 200 && whole.parameters_recur());
    }

    #[test]
    fn equal_rows_stay_together() {
        let split = |different: usize, times: usize, most: usize| {
            let copies = data(different, times, |row| row as f32).copies().expect("in memory");
            // Copies far from one another.
            let rows = different * times;
            let order: Vec<usize> = (0..rows).map(|i| i * 7 % rows).collect();
            let (first, others) = copies.split(&order, most);
            assert_eq!(first.len() + others.len(), rows);
            assert!(first.iter().all(|a| others.iter().all(|b| copies.first_of(*a) != copies.first_of(*b))));
            first.len()
        };
        assert_eq!(split(1000, 1, 100), 100);
        assert_eq!(split(500, 10, 500), 500);
        assert_eq!(split(10, 100, 100), 100);
        assert_eq!([split(3, 100, 30), split(1, 500, 50)], [0, 0], "less than one of them");
    }

    /// One simulation that is there 500 times does not keep others from being held out.
    #[test]
    fn what_is_there_too_often_is_left_out_of_the_first_part() {
        let theta = Array2::from_shape_fn((1000, 1), |(row, _)| row.saturating_sub(499) as f32);
        let simulations = Simulations::new(["mu".to_owned()].into(), theta.clone(), theta.into_dyn()).expect("sound");
        let copies = Dataset::from_simulations(simulations).expect("sound").copies().expect("in memory");
        let (first, _) = copies.split(&(0..1000).collect::<Vec<_>>(), 100);
        assert_eq!((first.len(), first[0]), (100, 500));
    }
}
