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

    /// Rows of the input, which are all of this one part. The inner error is one of masks that do not fit.
    fn select(&self, rows: &[usize]) -> Result<Result<Data, InvalidData>, DataError> {
        let of = |column: &Column| gathered(rows.iter().map(|row| (column, *row)));
        let data = Data::new(of(&self.values)?);
        let [there, mask] = [&self.there, &self.rows].map(|mask| mask.as_ref().map(of).transpose());
        let (there, mask) = (there?, mask?);
        let data = match there {
            Some(there) => data.with_value_mask(there),
            None => Ok(data),
        };
        Ok(match mask {
            Some(mask) => data.and_then(|data| data.with_row_mask(mask)),
            None => data,
        })
    }
}

/// Rows of columns of one shape, one after the other.
pub(crate) fn gathered<'a>(rows: impl Iterator<Item = (&'a Column, usize)>) -> Result<ArrayD<f32>, DataError> {
    let rows: Vec<_> = rows.collect();
    let (mut values, mut shape) = (Vec::new(), vec![rows.len()]);
    if let Some((first, _)) = rows.first() {
        values.reserve_exact(rows.len() * first.row_len());
        shape.extend(first.row_shape());
    }
    // A file that is not mapped is opened once for neighbours.
    for alike in rows.chunk_by(|(a, _), (b, _)| std::ptr::eq(*a, *b)) {
        alike[0].0.push_rows(alike.iter().map(|(_, row)| *row), &mut values)?;
    }
    Ok(ArrayD::from_shape_vec(IxDyn(&shape), values).expect("rows of one shape"))
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
            return Ok(Data::new(gathered(rows.iter().map(|(part, row)| (&part.inputs()[i].values, *row)))?));
        }
        let of_part = |rows: &[(&Part, usize)]| {
            let numbers: Vec<usize> = rows.iter().map(|(_, row)| *row).collect();
            rows[0].0.inputs()[i].select(&numbers)?.map_err(rows[0].0.invalid_data())
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
pub(crate) fn push_data(part: &Part, row: usize, out: &mut Vec<f32>) -> Result<(), DataError> {
    for input in part.inputs() {
        match input.select(&[row])? {
            Ok(data) if input.rows.is_some() => {
                out.extend(data.iter());
                out.extend(data.value_mask().into_iter().flatten());
                out.extend(data.row_mask().into_iter().flatten());
            }
            // Without a mask of rows as they are.
            _ => {
                input.values.push_row(row, out)?;
                input.there.iter().try_for_each(|there| there.push_row(row, out))?;
            }
        }
    }
    Ok(())
}

/// Adds the values of a row to `out`, without padding at its end.
pub(crate) fn push_values(part: &Part, row: usize, out: &mut Vec<f32>) -> Result<(), DataError> {
    for input in part.inputs() {
        match input.select(&[row])? {
            Ok(data) if input.rows.is_some() => out.extend(data.iter()),
            _ => input.values.push_row(row, out)?,
        }
    }
    Ok(())
}
