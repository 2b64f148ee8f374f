//! Stacks the values that a function returns for each simulation, and pads data sets of different lengths.

use bayesburn_core::{Data, InvalidData};
use ndarray::{Array2, ArrayD, IxDyn};
use rayon::prelude::*;

/// The values that a simulator returns for one simulation: one array, or several named inputs.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Drawn {
    One(ArrayD<f32>),
    Named(Vec<(String, ArrayD<f32>)>),
}

impl Drawn {
    /// The arrays with their names, of which one array has none.
    pub(crate) fn inputs(&self) -> impl Iterator<Item = (&str, &ArrayD<f32>)> + Clone {
        let (one, named) = match self {
            Self::One(array) => (Some(("", array)), &[][..]),
            Self::Named(inputs) => (None, &inputs[..]),
        };
        one.into_iter().chain(named.iter().map(|(name, array)| (&**name, array)))
    }
}

/// Draws of neighbours, up to the first that does not fit.
#[derive(Debug, Default)]
pub(crate) struct Part {
    pub(crate) first: usize,
    /// The inputs of the draws that did not panic; empty while all panicked.
    inputs: Vec<Rows>,
    pub(crate) invalid: Vec<usize>,
    pub(crate) panicked: Vec<(usize, String)>,
    /// The row that does not fit, and why.
    pub(crate) misfit: Option<(usize, Misfit)>,
}

/// A draw that does not fit those before it.
#[derive(Debug, PartialEq)]
pub(crate) enum Misfit {
    /// It is of another shape.
    Shape { expected: Vec<usize>, got: Vec<usize> },
    /// It has other inputs.
    Inputs { expected: Vec<String>, got: Vec<String> },
}

/// The draws of one input, one after the other.
#[derive(Debug)]
struct Rows {
    name: String,
    /// Of the first draw.
    shape: Vec<usize>,
    values: Vec<f32>,
    /// The length of the first axis of each draw; empty while all equal the first.
    lengths: Vec<usize>,
    count: usize,
}

impl Rows {
    /// Whether a draw of this shape can follow; the first of several axes may differ, if it `may_vary`.
    fn takes(&self, shape: &[usize], may_vary: bool) -> bool {
        self.shape == shape
            || may_vary && shape.len() > 1 && shape.len() == self.shape.len() && shape[1..] == self.shape[1..]
    }

    fn push(&mut self, value: &ArrayD<f32>) {
        let length = value.shape().first().copied().unwrap_or(1);
        if self.lengths.is_empty() && self.shape.first().is_some_and(|first| *first != length) {
            self.lengths = vec![self.shape[0]; self.count];
        }
        if !self.lengths.is_empty() {
            self.lengths.push(length);
        }
        self.count += 1;
        match value.as_slice() {
            Some(values) => self.values.extend_from_slice(values),
            None => self.values.extend(value.iter()),
        }
    }

    fn length(&self, draw: usize) -> usize {
        if self.lengths.is_empty() { self.shape[0] } else { self.lengths[draw] }
    }
}

impl Part {
    /// Without draws; the first will be that of this row.
    pub(crate) fn from(first: usize) -> Self {
        Self { first, ..Self::default() }
    }

    /// Takes the draw of a row, one of `more` that come in this part. Whether there was one that did not fit.
    pub(crate) fn push(&mut self, row: usize, drawn: &Drawn, may_vary: bool, more: usize) -> bool {
        if self.inputs.is_empty() {
            let rows = drawn.inputs().map(|(name, value)| Rows {
                name: name.to_owned(),
                shape: value.shape().to_vec(),
                values: Vec::with_capacity(value.len() * more),
                lengths: Vec::new(),
                count: 0,
            });
            self.inputs = rows.collect();
        }
        if let Some(misfit) = self.misfit(drawn.inputs().map(|(name, value)| (name, value.shape())), may_vary) {
            self.misfit = Some((row, misfit));
            return true;
        }
        self.inputs.iter_mut().zip(drawn.inputs()).for_each(|(rows, (_, value))| rows.push(value));
        false
    }

    /// Why inputs of these names and shapes cannot follow.
    fn misfit<'a>(
        &self,
        others: impl Iterator<Item = (&'a str, &'a [usize])> + Clone,
        may_vary: bool,
    ) -> Option<Misfit> {
        if !self.inputs.iter().map(|rows| &*rows.name).eq(others.clone().map(|(name, _)| name)) {
            let expected = self.inputs.iter().map(|rows| rows.name.clone()).collect();
            return Some(Misfit::Inputs { expected, got: others.map(|(name, _)| name.to_owned()).collect() });
        }
        let (rows, (_, got)) = self.inputs.iter().zip(others).find(|(rows, (_, got))| !rows.takes(got, may_vary))?;
        Some(Misfit::Shape { expected: rows.shape.clone(), got: got.to_vec() })
    }

    /// Writes the rows of an input, `len` values each; NaN for those that have panicked.
    fn write(&self, input: usize, len: usize, slot: &mut [f32]) {
        let values = self.inputs.get(input).map_or(&[][..], |rows| &rows.values);
        if self.panicked.is_empty() {
            return slot.copy_from_slice(values);
        }
        slot.fill(f32::NAN);
        let rows = slot.chunks_mut(len).zip(self.first..).filter(|(_, row)| !self.has_panicked(*row));
        rows.zip(values.chunks(len)).for_each(|((slot, _), values)| slot.copy_from_slice(values));
    }

    fn has_panicked(&self, row: usize) -> bool {
        self.panicked.iter().any(|(other, _)| *other == row)
    }
}

/// The parts of a batch, in their order, as one.
pub(crate) struct Parts {
    parts: Vec<Part>,
    rows: usize,
    /// How many rows a part has, but for the last.
    together: usize,
}

impl Parts {
    /// `rows` in all, `together` in each part; or the row that does not fit, and why.
    pub(crate) fn new(parts: Vec<Part>, rows: usize, together: usize, may_vary: bool) -> Result<Self, (usize, Misfit)> {
        let parts = Self { parts, rows, together };
        if let Some(first) = parts.parts.iter().find(|part| !part.inputs.is_empty()) {
            for part in &parts.parts {
                let inputs = part.inputs.iter().map(|rows| (&*rows.name, &*rows.shape));
                let misfit = if part.inputs.is_empty() { None } else { first.misfit(inputs, may_vary) };
                if let Some(misfit) = misfit {
                    return Err((part.first, misfit));
                }
                if let Some((row, Misfit::Shape { got, .. })) = &part.misfit {
                    let expected = first.inputs.iter().find(|rows| !rows.takes(got, may_vary));
                    let expected = expected.map_or_else(Vec::new, |rows| rows.shape.clone());
                    return Err((*row, Misfit::Shape { expected, got: got.clone() }));
                }
                if part.misfit.is_some() {
                    break;
                }
            }
        }
        match parts.parts.iter().position(|part| part.misfit.is_some()) {
            Some(part) => Err(parts.parts.into_iter().nth(part).and_then(|part| part.misfit).expect("it was there")),
            None => Ok(parts),
        }
    }

    /// The rows that are not finite, and those that have panicked with their messages.
    pub(crate) fn failures(&mut self) -> (Vec<usize>, Vec<(usize, String)>) {
        let invalid = self.parts.iter().flat_map(|part| part.invalid.iter().copied()).collect();
        let panicked = self.parts.iter().flat_map(|part| part.panicked.iter().cloned()).collect();
        (invalid, panicked)
    }

    fn num_inputs(&self) -> usize {
        self.parts.iter().map(|part| part.inputs.len()).max().unwrap_or(0)
    }

    /// The first draws of an input, if not all have panicked.
    fn template(&self, input: usize) -> Option<&Rows> {
        self.parts.iter().find_map(|part| part.inputs.get(input))
    }

    /// An input whose draws are of one shape, `[rows, ...]`. If all have panicked, that is not known: `[rows, 0]`.
    pub(crate) fn array(&self, input: usize) -> ArrayD<f32> {
        let shape = self.template(input).map_or_else(|| vec![0], |rows| rows.shape.clone());
        let len: usize = shape.iter().product();
        let mut values = vec![0.0; self.rows * len];
        // Of no length where all rows have panicked, but pieces have one.
        let pieces = values.par_chunks_mut((self.together * len).max(1));
        pieces.zip(&self.parts).for_each(|(slot, part)| part.write(input, len, slot));
        let values = ArrayD::from_shape_vec(IxDyn(&[&[self.rows], &shape[..]].concat()), values);
        values.expect("as many values as rows of this shape have")
    }

    /// The draws as data.
    pub(crate) fn data(&self) -> Result<Data, InvalidData> {
        let input = |i: usize| match self.template(i) {
            Some(rows) if self.varies(i, rows.shape.first().copied()) => self.padded(i, &rows.shape[1..]),
            _ => Ok(Data::new(self.array(i))),
        };
        match self.template(0) {
            Some(rows) if !rows.name.is_empty() => {
                let names = (0..self.num_inputs()).filter_map(|i| Some((i, self.template(i)?.name.clone())));
                Data::named(names.map(|(i, name)| Ok((name, input(i)?))).collect::<Result<Vec<_>, InvalidData>>()?)
            }
            _ => input(0),
        }
    }

    /// Whether the draws of an input have different lengths.
    fn varies(&self, input: usize, length: Option<usize>) -> bool {
        let mut inputs = self.parts.iter().filter_map(|part| part.inputs.get(input));
        inputs.any(|rows| !rows.lengths.is_empty() || rows.shape.first().copied() != length)
    }

    /// An input of draws `[N, ...]` of different lengths N. Those that have panicked have the length 1, of NaN.
    fn padded(&self, input: usize, inner: &[usize]) -> Result<Data, InvalidData> {
        let width: usize = inner.iter().product();
        let mut rows: Vec<(usize, Option<&[f32]>)> = Vec::with_capacity(self.rows);
        for part in &self.parts {
            let end = (part.first + self.together).min(self.rows);
            let (mut draw, mut at) = (0, 0);
            for row in part.first..end {
                match part.inputs.get(input).filter(|_| !part.has_panicked(row)) {
                    Some(drawn) => {
                        let length = drawn.length(draw);
                        rows.push((length, Some(&drawn.values[at..at + length * width])));
                        (draw, at) = (draw + 1, at + length * width);
                    }
                    None => rows.push((1, None)),
                }
            }
        }
        let longest = rows.iter().map(|(length, _)| *length).max().unwrap_or(1);
        let mut values = vec![0.0; self.rows * longest * width];
        let mut mask = Array2::zeros((self.rows, longest));
        for (i, (length, drawn)) in rows.iter().enumerate() {
            let slot = &mut values[i * longest * width..][..length * width];
            match drawn {
                Some(drawn) => slot.copy_from_slice(drawn),
                None => slot.fill(f32::NAN),
            }
            mask.row_mut(i).iter_mut().take(*length).for_each(|exists| *exists = 1.0);
        }
        let shape = [&[self.rows, longest], inner].concat();
        Data::new(ArrayD::from_shape_vec(IxDyn(&shape), values).expect("padded rows")).with_row_mask(mask)
    }
}
