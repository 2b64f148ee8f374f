//! Names the arrays of stored simulations, checks that they fit each other, and holds those of one file.

use super::{
    DataError,
    column::Column,
    inputs::{InputColumns, gather_data, gathered},
};
use bayesburn_core::{Data, PanickedSimulation, ParameterNames, SimulationId, Simulations};
use ndarray::{Array1, ArrayD, CowArray, Ix2, IxDyn};
use std::fmt;

/// The role of an array.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Role {
    Parameters,
    SimData,
    SimDataMask,
    SimDataRows,
    PriorBatchableContext,
    SimBatchableContext,
    PriorNonBatchableContext,
    SimNonBatchableContext,
    Proposals,
}

/// The role of an array and, if the data have several inputs, the name of its input.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Key {
    pub(crate) role: Role,
    pub(crate) input: Option<String>,
}

impl From<Role> for Key {
    fn from(role: Role) -> Self {
        Self { role, input: None }
    }
}

/// The array's name in files.
impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.input {
            None => f.write_str(self.role.name()),
            Some(input) => write!(f, "{}.{input}", self.role.name()),
        }
    }
}

impl Key {
    pub(crate) fn named(name: &str, origin: &str) -> Result<Self, DataError> {
        let by_name = |name: &str| Role::ALL.into_iter().find(|role| role.names().contains(&name));
        if let Some(role) = by_name(name) {
            return Ok(role.into());
        }
        let of_input = name.split_once('.').and_then(|(name, input)| Some((by_name(name)?, input)));
        match of_input.filter(|(role, _)| role.is_of_data()) {
            Some((role, input)) => Ok(Self { role, input: Some(input.to_owned()) }),
            None => Err(DataError::UnknownArray {
                origin: origin.to_owned(),
                name: name.to_owned(),
                known: Role::ALL.iter().flat_map(|role| role.names()).copied().collect::<Vec<_>>().join(", "),
            }),
        }
    }
}

impl Role {
    pub(crate) const ALL: [Self; 9] = [
        Self::Parameters,
        Self::SimData,
        Self::SimDataMask,
        Self::SimDataRows,
        Self::PriorBatchableContext,
        Self::SimBatchableContext,
        Self::PriorNonBatchableContext,
        Self::SimNonBatchableContext,
        Self::Proposals,
    ];

    /// The array's name in files.
    pub(crate) fn name(self) -> &'static str {
        self.names()[0]
    }

    /// The name, followed by those that other programs give it.
    fn names(self) -> &'static [&'static str] {
        match self {
            Self::Parameters => &["parameters", "prior_draws", "theta"],
            Self::SimData => &["sim_data", "x", "data"],
            Self::SimDataMask => &["sim_data_mask", "data_mask"],
            Self::SimDataRows => &["sim_data_rows", "data_rows"],
            Self::PriorBatchableContext => &["prior_batchable_context"],
            Self::SimBatchableContext => &["sim_batchable_context"],
            Self::PriorNonBatchableContext => &["prior_non_batchable_context"],
            Self::SimNonBatchableContext => &["sim_non_batchable_context"],
            Self::Proposals => &["proposals"],
        }
    }

    /// Whether the array is shared by all rows.
    fn is_shared(self) -> bool {
        matches!(self, Self::PriorNonBatchableContext | Self::SimNonBatchableContext)
    }

    /// Whether the array is one of an input of the data.
    fn is_of_data(self) -> bool {
        matches!(self, Self::SimData | Self::SimDataMask | Self::SimDataRows)
    }
}

/// Numbers of proposals as files hold them.
fn numbers(proposals: &Option<Array1<u32>>) -> Option<ArrayD<f32>> {
    proposals.as_ref().map(|proposals| proposals.mapv(|number| number as f32).into_dyn())
}

/// The arrays that a batch has.
pub(crate) fn arrays(simulations: &Simulations) -> Vec<(Key, CowArray<'_, f32, IxDyn>)> {
    let s = simulations;
    let mut all = vec![(Role::Parameters.into(), s.parameters.view().into_dyn().into())];
    for input in s.data.inputs() {
        let name = s.data.is_named().then(|| input.name().to_owned());
        let of_input = [
            (Role::SimData, Some(input.values())),
            (Role::SimDataMask, input.value_mask()),
            (Role::SimDataRows, input.row_mask()),
        ];
        let of_input = of_input.into_iter().filter_map(|(role, array)| Some((role, array?)));
        all.extend(of_input.map(|(role, array)| (Key { role, input: name.clone() }, array.view().into())));
    }
    let contexts = [
        (Role::PriorBatchableContext, &s.prior_batchable_context),
        (Role::SimBatchableContext, &s.sim_batchable_context),
        (Role::PriorNonBatchableContext, &s.prior_non_batchable_context),
        (Role::SimNonBatchableContext, &s.sim_non_batchable_context),
    ];
    all.extend(contexts.into_iter().filter_map(|(role, array)| Some((role.into(), array.as_ref()?.view().into()))));
    all.extend(numbers(&s.proposals).map(|proposals| (Role::Proposals.into(), proposals.into())));
    all
}

/// Checks that arrays of these shapes form simulations: parameters and data are present, each array occurs once, all
/// have the same number of rows, and there are as many names as parameters.
pub(crate) fn check(origin: &str, names: Option<usize>, shapes: &[(Key, &[usize])]) -> Result<(), DataError> {
    // Of which of several inputs, since roles have one name.
    let of = |key: &Key| match &key.input {
        None => origin.to_owned(),
        Some(input) => format!("the input `{input}` of {origin}"),
    };
    for (i, (key, _)) in shapes.iter().enumerate() {
        let again = shapes[..i].iter().any(|(other, _)| other == key);
        let unnamed = |key: &Key| key.role.is_of_data() && key.input.is_none();
        let beside_named = unnamed(key) && shapes.iter().any(|(other, _)| other.input.is_some());
        if again || beside_named {
            return Err(DataError::DuplicateArray { origin: of(key), name: key.role.name() });
        }
    }
    let needed = |key: &Key| {
        let found = shapes.iter().find(|(other, _)| other == key).map(|(_, shape)| *shape);
        found.ok_or_else(|| DataError::MissingArray { origin: of(key), name: key.role.name() })
    };
    let parameters = needed(&Role::Parameters.into())?;
    if shapes.iter().all(|(key, _)| key.role != Role::SimData) {
        needed(&Role::SimData.into())?;
    }
    for (key, got) in shapes {
        let (role, got) = (key.role, *got);
        let values = match role.is_of_data() {
            true => needed(&Key { role: Role::SimData, input: key.input.clone() })?,
            false => &[],
        };
        let expected = match role {
            Role::Parameters if got.len() != 2 => Some("[B, D], D parameters of B simulations"),
            Role::SimData if got.len() < 2 => {
                Some("[B, ...], with an axis for the B simulations and at least one more")
            }
            Role::SimDataMask if got != values => Some("of the shape of `sim_data`"),
            Role::SimDataRows if !((2..values.len()).contains(&got.len()) && got == &values[..got.len()]) => {
                Some("[B, N], of the shape of the first axes of `sim_data`")
            }
            _ if got.is_empty() && !role.is_shared() => Some("[B, ...], with an axis for the B simulations"),
            _ if got.iter().skip(usize::from(!role.is_shared())).any(|&n| n == 0) => {
                Some("without axes of length 0, but for that of the simulations")
            }
            _ => None,
        };
        if let Some(expected) = expected {
            return Err(DataError::Axes { origin: of(key), name: role.name(), expected, got: got.to_vec() });
        }
        if !role.is_shared() && got[0] != parameters[0] {
            let (name, expected, got) = (role.name(), parameters[0], got[0]);
            return Err(DataError::Rows { origin: of(key), name, expected, got });
        }
    }
    match names {
        Some(got) if got != parameters[1] => {
            Err(DataError::Names { origin: origin.to_owned(), expected: parameters[1], got })
        }
        _ => Ok(()),
    }
}

/// The simulations of one file, folder of `.npy` files or batch, all of equal shapes and shared context.
#[derive(Debug)]
pub(crate) struct Part {
    /// For messages.
    pub(crate) origin: String,
    /// The names in the file; `None` if it has none.
    pub(crate) names: Option<ParameterNames>,
    /// The arrays with one row for each simulation, but for those of the data.
    columns: Vec<(Role, Column)>,
    inputs: Vec<InputColumns>,
    shared: Vec<(Role, ArrayD<f32>)>,
    pub(crate) invalid: Vec<SimulationId>,
    pub(crate) panicked: Vec<PanickedSimulation>,
}

impl Part {
    pub(crate) fn new(
        origin: String,
        names: Option<ParameterNames>,
        arrays: Vec<(Key, Column)>,
        (invalid, panicked): (Vec<SimulationId>, Vec<PanickedSimulation>),
    ) -> Result<Self, DataError> {
        let of_one_number = |role| matches!(role, Role::Parameters | Role::SimData | Role::SimDataMask);
        let shaped = |(key, column): (Key, Column)| match of_one_number(key.role) {
            true => (key, column.with_values()),
            false => (key, column),
        };
        let arrays: Vec<(Key, Column)> = arrays.into_iter().map(shaped).collect();
        let shapes: Vec<_> = arrays.iter().map(|(key, column)| (key.clone(), column.shape())).collect();
        check(&origin, names.as_ref().map(|names| names.len()), &shapes)?;
        let mut part =
            Self { origin, names, columns: Vec::new(), inputs: Vec::new(), shared: Vec::new(), invalid, panicked };
        let (of_data, others): (Vec<_>, Vec<_>) = arrays.into_iter().partition(|(key, _)| key.role.is_of_data());
        for (key, column) in others {
            match key.role.is_shared() {
                true => part.shared.push((key.role, column.to_array()?)),
                false => part.columns.push((key.role, column)),
            }
        }
        part.columns.sort_by_key(|(role, _)| *role as usize);
        part.shared.sort_by_key(|(role, _)| *role as usize);
        part.inputs = InputColumns::of(of_data);
        // Names are the same in all rows.
        if let Some(named) = part.inputs.iter().filter_map(|input| input.name.as_deref()).next() {
            let empty = || Data::new(ArrayD::<f32>::zeros(IxDyn(&[0, 1])));
            let names = part.inputs.iter().map(|input| input.name.as_deref().unwrap_or(named));
            Data::named(names.map(|name| (name, empty()))).map_err(part.invalid_data())?;
        }
        Ok(part)
    }

    /// An error of its data.
    pub(crate) fn invalid_data(&self) -> impl Fn(bayesburn_core::InvalidData) -> DataError + use<> {
        let origin = self.origin.clone();
        move |source| DataError::InvalidData { origin: origin.clone(), source }
    }

    pub(crate) fn from_simulations(origin: String, simulations: Simulations) -> Result<Self, DataError> {
        let s = simulations;
        let mut all: Vec<(Key, ArrayD<f32>)> = vec![(Role::Parameters.into(), s.parameters.into_dyn())];
        let is_named = s.data.is_named();
        for input in s.data.into_inputs() {
            let (name, values, [rows, there]) = input.into_parts();
            let key = |role| Key { role, input: is_named.then(|| name.clone()) };
            all.push((key(Role::SimData), values));
            all.extend(there.map(|there| (key(Role::SimDataMask), there)));
            all.extend(rows.map(|rows| (key(Role::SimDataRows), rows)));
        }
        let contexts = [
            (Role::PriorBatchableContext, s.prior_batchable_context),
            (Role::SimBatchableContext, s.sim_batchable_context),
            (Role::PriorNonBatchableContext, s.prior_non_batchable_context),
            (Role::SimNonBatchableContext, s.sim_non_batchable_context),
        ];
        all.extend(contexts.into_iter().filter_map(|(role, array)| Some((role.into(), array?))));
        all.extend(numbers(&s.proposals).map(|proposals| (Role::Proposals.into(), proposals)));
        let arrays = all.into_iter().map(|(key, array)| (key, Column::in_memory(array))).collect();
        Self::new(origin, Some(s.parameter_names), arrays, (s.invalid, s.panicked))
    }

    pub(crate) fn rows(&self) -> usize {
        self.columns[0].1.shape()[0]
    }

    /// The lengths of the last axes of the data, of all inputs together.
    pub(crate) fn num_features(&self) -> usize {
        self.inputs.iter().map(|input| input.values.shape().last().copied().unwrap_or(1)).sum()
    }

    pub(crate) fn num_parameters(&self) -> usize {
        self.columns[0].1.row_len()
    }

    pub(crate) fn column(&self, role: Role) -> Option<&Column> {
        self.columns.iter().find(|(other, _)| *other == role).map(|(_, column)| column)
    }

    pub(crate) fn inputs(&self) -> &[InputColumns] {
        &self.inputs
    }

    pub(crate) fn shared(&self, role: Role) -> Option<&ArrayD<f32>> {
        self.shared.iter().find(|(other, _)| *other == role).map(|(_, array)| array)
    }

    /// Whether some row is padding.
    pub(crate) fn is_padded(&self) -> bool {
        self.inputs.iter().any(|input| input.rows.is_some())
    }

    /// Checks that another part fits into the same data set: it has the same parameters and the same arrays.
    pub(crate) fn check_alike(&self, other: &Self) -> Result<(), DataError> {
        let differ = |quantity, expected: String, got: String| {
            Err(DataError::Differs { origin: other.origin.clone(), quantity, expected, got })
        };
        if self.names != other.names {
            return differ("parameter_names", format!("{:?}", self.names), format!("{:?}", other.names));
        }
        let inputs = |part: &Self| part.inputs.iter().map(|input| input.name.clone()).collect::<Vec<_>>();
        if inputs(self) != inputs(other) {
            return differ("sim_data", format!("of the inputs {:?}", inputs(self)), format!("of {:?}", inputs(other)));
        }
        let (expected, got) = (self.roles(), other.roles());
        if let Some(role) = got.iter().find(|role| !expected.contains(role)) {
            return differ(role.name(), "missing".to_owned(), "there".to_owned());
        }
        if let Some(role) = expected.iter().find(|role| !got.contains(role)) {
            return differ(role.name(), "there".to_owned(), "missing".to_owned());
        }
        Ok(())
    }

    /// Whether rows of another part, which has the same arrays, can be in one batch with rows of this; lengths may
    /// differ, if rows of the data set are padded.
    pub(crate) fn check_same_shapes(&self, other: &Self, padded: bool) -> Result<(), DataError> {
        let columns = self.columns.iter().zip(&other.columns);
        let columns = columns.map(|((role, a), (_, b))| (*role, a, b, false));
        let inputs = self.inputs.iter().zip(&other.inputs);
        let inputs = inputs.map(|(a, b)| (Role::SimData, &a.values, &b.values, padded));
        let fits = |a: &[usize], b: &[usize], padded: bool| {
            a == b || padded && a.len() > 1 && a.len() == b.len() && a.last() == b.last()
        };
        let mut pairs = columns.chain(inputs);
        match pairs.find(|(_, a, b, padded)| !fits(a.row_shape(), b.row_shape(), *padded)) {
            Some((role, expected, got, _)) => Err(DataError::Differs {
                origin: other.origin.clone(),
                quantity: role.name(),
                expected: format!("of shape {:?}", expected.row_shape()),
                got: format!("of shape {:?}", got.row_shape()),
            }),
            None => Ok(()),
        }
    }

    /// The roles whose arrays are in all parts of a data set, or in none.
    fn roles(&self) -> Vec<Role> {
        let masks = self.inputs.iter().filter(|input| input.there.is_some()).map(|_| Role::SimDataMask);
        let own = self.columns.iter().map(|(role, _)| *role);
        own.chain(masks).chain(self.shared.iter().map(|(role, _)| *role)).collect()
    }

    /// The shared context to the bit: axes, then shape, then values.
    pub(crate) fn shared_bits(&self) -> Vec<u64> {
        let bits = |array: &ArrayD<f32>| {
            let shape = array.shape().iter().map(|&n| n as u64);
            let values = array.iter().map(|v| u64::from(v.to_bits()));
            [array.ndim() as u64].into_iter().chain(shape).chain(values).collect::<Vec<_>>()
        };
        self.shared.iter().flat_map(|(_, array)| bits(array)).collect()
    }
}

/// Rows of parts of one group, in this order, as one batch.
pub(crate) fn gather(names: ParameterNames, rows: &[(&Part, usize)]) -> Result<Simulations, DataError> {
    let first = rows[0].0;
    let column = |role: Role| {
        first.column(role)?;
        Some(gathered(rows.iter().map(|(part, row)| (part.column(role).expect("parts have the same arrays"), *row))))
    };
    let parameters = column(Role::Parameters).expect("parameters are always there")?;
    Ok(Simulations {
        parameter_names: names,
        parameters: parameters.into_dimensionality::<Ix2>().expect("checked to have two axes"),
        data: gather_data(rows)?,
        prior_batchable_context: column(Role::PriorBatchableContext).transpose()?,
        prior_non_batchable_context: first.shared(Role::PriorNonBatchableContext).cloned(),
        sim_batchable_context: column(Role::SimBatchableContext).transpose()?,
        sim_non_batchable_context: first.shared(Role::SimNonBatchableContext).cloned(),
        proposals: column(Role::Proposals)
            .transpose()?
            .map(|proposals| proposals.iter().map(|&number| number as u32).collect()),
        invalid: Vec::new(),
        panicked: Vec::new(),
    })
}
