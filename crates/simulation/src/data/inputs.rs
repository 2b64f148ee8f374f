//! Holds the stored inputs of simulated data, with their masks, and gathers rows of them.

use super::{
    DataError,
    column::Column,
    part::{Key, Part, Role},
};
use bayesburn_core::{Data, InvalidData};
use ndarray::{ArrayD, IxDyn};

/// One input of the data of a part.
#[derive(Debug)]
pub(crate) struct InputColumns {
    /// `None` for that of data with one input, which has no name.
    pub(crate) name: Option<String>,
    pub(crate) values: Column,
    /// The mask of values.
    pub(crate) there: Option<Column>,
    /// The mask of rows; without one all exist.
    pub(crate) rows: Option<Column>,
}

impl InputColumns {
    /// Of arrays of the data, which were checked to have values for each mask; in the order of the values.
    pub(crate) fn of(arrays: Vec<(Key, Column)>) -> Vec<Self> {
        let (values, mut masks): (Vec<_>, Vec<_>) = arrays.into_iter().partition(|(key, _)| key.role == Role::SimData);
        let mut mask = |role: Role, input: &Option<String>| {
            let place = masks.iter().position(|(key, _)| key.role == role && key.input == *input)?;
            Some(masks.swap_remove(place).1)
        };
        let input = |(key, values): (Key, Column)| {
            let [there, rows] = [Role::SimDataMask, Role::SimDataRows].map(|role| mask(role, &key.input));
            Self { name: key.input, values, there, rows }
        };
        values.into_iter().map(input).collect()
    }

    /// Rows of the input, which are all of this one part.
    fn select(&self, rows: &[usize]) -> Result<Data, InvalidData> {
        let of = |column: &Column| gathered(rows.iter().map(|row| (column, *row)));
        let data = Data::new(of(&self.values));
        let data = match &self.there {
            Some(there) => data.with_value_mask(of(there))?,
            None => data,
        };
        match &self.rows {
            Some(mask) => data.with_row_mask(of(mask)),
            None => Ok(data),
        }
    }
}

/// Rows of columns of one shape, one after the other.
pub(crate) fn gathered<'a>(rows: impl ExactSizeIterator<Item = (&'a Column, usize)>) -> ArrayD<f32> {
    let count = rows.len();
    let (mut values, mut shape) = (Vec::new(), vec![count]);
    for (i, (column, row)) in rows.enumerate() {
        if i == 0 {
            values.reserve_exact(count * column.row_len());
            shape.extend(column.row_shape());
        }
        column.push_row(row, &mut values);
    }
    ArrayD::from_shape_vec(IxDyn(&shape), values).expect("rows of one shape")
}

/// The data of rows of parts of one group, in this order.
pub(crate) fn gather_data(rows: &[(&Part, usize)]) -> Result<Data, DataError> {
    let first = rows[0].0;
    let input = |i: usize| -> Result<Data, DataError> {
        let of = |part: &'_ Part| -> *const InputColumns { &part.inputs()[i] };
        let like = &first.inputs()[i];
        let is_like = |other: &InputColumns| {
            other.rows.is_none() && other.there.is_none() && other.values.row_shape() == like.values.row_shape()
        };
        if rows.iter().all(|(part, _)| is_like(&part.inputs()[i])) {
            return Ok(Data::new(gathered(rows.iter().map(|(part, row)| (&part.inputs()[i].values, *row)))));
        }
        let of_part = |rows: &[(&Part, usize)]| {
            let numbers: Vec<usize> = rows.iter().map(|(_, row)| *row).collect();
            rows[0].0.inputs()[i].select(&numbers).map_err(rows[0].0.invalid_data())
        };
        let parts = rows.chunk_by(|(a, _), (b, _)| std::ptr::eq(of(a), of(b))).map(of_part);
        Data::join(&parts.collect::<Result<Vec<_>, _>>()?).map_err(first.invalid_data())
    };
    let inputs = first.inputs().iter().enumerate();
    let named = inputs.map(|(i, of)| Ok((of.name.clone(), input(i)?))).collect::<Result<Vec<_>, DataError>>()?;
    if let [(None, _)] = &named[..] {
        return Ok(named.into_iter().next().expect("there is one").1);
    }
    let named = named.into_iter().map(|(name, data)| (name.unwrap_or_default(), data));
    Data::named(named).map_err(first.invalid_data())
}

/// Adds the values and masks of a row to `out`, without padding at its end: the same for equal rows, whatever else
/// their files hold.
pub(crate) fn push_data(part: &Part, row: usize, out: &mut Vec<f32>) {
    for input in part.inputs() {
        match input.select(&[row]) {
            Ok(data) if input.rows.is_some() => {
                out.extend(data.iter());
                out.extend(data.value_mask().into_iter().flatten());
                out.extend(data.row_mask().into_iter().flatten());
            }
            // Without a mask of rows as they are.
            _ => {
                input.values.push_row(row, out);
                input.there.iter().for_each(|there| there.push_row(row, out));
            }
        }
    }
}

/// Adds the values of a row to `out`, without padding at its end.
pub(crate) fn push_values(part: &Part, row: usize, out: &mut Vec<f32>) {
    for input in part.inputs() {
        match input.select(&[row]) {
            Ok(data) if input.rows.is_some() => out.extend(data.iter()),
            _ => input.values.push_row(row, out),
        }
    }
}
