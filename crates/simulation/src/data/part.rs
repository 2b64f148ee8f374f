//! Names the arrays of stored simulations, checks that they fit each other, and holds those of one file.

use super::{DataError, column::Column};
use bayesburn_core::{PanickedSimulation, ParameterNames, SimulationId, Simulations};
use ndarray::{ArrayD, ArrayViewD, Ix2, IxDyn};

/// What an array is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Role {
    Parameters,
    SimData,
    SimDataMask,
    PriorBatchableContext,
    SimBatchableContext,
    PriorNonBatchableContext,
    SimNonBatchableContext,
}

impl Role {
    pub(crate) const ALL: [Self; 7] = [
        Self::Parameters,
        Self::SimData,
        Self::SimDataMask,
        Self::PriorBatchableContext,
        Self::SimBatchableContext,
        Self::PriorNonBatchableContext,
        Self::SimNonBatchableContext,
    ];

    /// The array's name in files; the same as the field of [`Simulations`].
    pub(crate) fn name(self) -> &'static str {
        self.names()[0]
    }

    /// The name, followed by those that other programs give it.
    fn names(self) -> &'static [&'static str] {
        match self {
            Self::Parameters => &["parameters", "prior_draws", "theta"],
            Self::SimData => &["sim_data", "x"],
            Self::SimDataMask => &["sim_data_mask"],
            Self::PriorBatchableContext => &["prior_batchable_context"],
            Self::SimBatchableContext => &["sim_batchable_context"],
            Self::PriorNonBatchableContext => &["prior_non_batchable_context"],
            Self::SimNonBatchableContext => &["sim_non_batchable_context"],
        }
    }

    pub(crate) fn named(name: &str, origin: &str) -> Result<Self, DataError> {
        Self::ALL.into_iter().find(|role| role.names().contains(&name)).ok_or_else(|| DataError::UnknownArray {
            origin: origin.to_owned(),
            name: name.to_owned(),
            known: Self::ALL.iter().flat_map(|role| role.names()).copied().collect::<Vec<_>>().join(", "),
        })
    }

    /// Whether the array is shared by all rows.
    fn is_shared(self) -> bool {
        matches!(self, Self::PriorNonBatchableContext | Self::SimNonBatchableContext)
    }
}

/// The arrays of a batch that are there.
pub(crate) fn arrays(simulations: &Simulations) -> Vec<(Role, ArrayViewD<'_, f32>)> {
    fn view(array: &Option<ArrayD<f32>>) -> Option<ArrayViewD<'_, f32>> {
        array.as_ref().map(|array| array.view())
    }
    let s = simulations;
    let all = [
        (Role::Parameters, Some(s.parameters.view().into_dyn())),
        (Role::SimData, Some(s.sim_data.view())),
        (Role::SimDataMask, view(&s.sim_data_mask)),
        (Role::PriorBatchableContext, view(&s.prior_batchable_context)),
        (Role::SimBatchableContext, view(&s.sim_batchable_context)),
        (Role::PriorNonBatchableContext, view(&s.prior_non_batchable_context)),
        (Role::SimNonBatchableContext, view(&s.sim_non_batchable_context)),
    ];
    all.into_iter().filter_map(|(role, array)| Some((role, array?))).collect()
}

/// Whether arrays of these shapes are simulations: parameters and data are there, each array once, with as many rows each, and as many
/// names as parameters.
pub(crate) fn check(origin: &str, names: Option<usize>, shapes: &[(Role, &[usize])]) -> Result<(), DataError> {
    let origin = || origin.to_owned();
    for role in Role::ALL {
        if shapes.iter().filter(|(other, _)| *other == role).count() > 1 {
            return Err(DataError::DuplicateArray { origin: origin(), name: role.name() });
        }
    }
    let shape = |role: Role| shapes.iter().find(|(other, _)| *other == role).map(|(_, shape)| *shape);
    let needed =
        |role: Role| shape(role).ok_or_else(|| DataError::MissingArray { origin: origin(), name: role.name() });
    let (parameters, sim_data) = (needed(Role::Parameters)?, needed(Role::SimData)?);
    for &(role, got) in shapes {
        let expected = match role {
            Role::Parameters if got.len() != 2 => Some("[B, D], D parameters of B simulations"),
            Role::SimData if got.len() < 2 => {
                Some("[B, ...], with an axis for the B simulations and at least one more")
            }
            Role::SimDataMask if got != sim_data => Some("of the shape of `sim_data`"),
            _ if got.is_empty() && !role.is_shared() => Some("[B, ...], with an axis for the B simulations"),
            _ if got.iter().skip(usize::from(!role.is_shared())).any(|&n| n == 0) => {
                Some("without axes of length 0, but for that of the simulations")
            }
            _ => None,
        };
        if let Some(expected) = expected {
            return Err(DataError::Axes { origin: origin(), name: role.name(), expected, got: got.to_vec() });
        }
        if !role.is_shared() && got[0] != parameters[0] {
            let (name, expected, got) = (role.name(), parameters[0], got[0]);
            return Err(DataError::Rows { origin: origin(), name, expected, got });
        }
    }
    match names {
        Some(got) if got != parameters[1] => Err(DataError::Names { origin: origin(), expected: parameters[1], got }),
        _ => Ok(()),
    }
}

/// The simulations of one file, folder of `.npy` files or batch, all of equal shapes and shared context.
#[derive(Debug)]
pub(crate) struct Part {
    /// For messages.
    pub(crate) origin: String,
    /// What the file says; `None` if it has no names.
    pub(crate) names: Option<ParameterNames>,
    /// The arrays with one row for each simulation.
    columns: Vec<(Role, Column)>,
    shared: Vec<(Role, ArrayD<f32>)>,
    pub(crate) invalid: Vec<SimulationId>,
    pub(crate) panicked: Vec<PanickedSimulation>,
}

impl Part {
    pub(crate) fn new(
        origin: String,
        names: Option<ParameterNames>,
        arrays: Vec<(Role, Column)>,
        (invalid, panicked): (Vec<SimulationId>, Vec<PanickedSimulation>),
    ) -> Result<Self, DataError> {
        let of_one_number = |role| matches!(role, Role::Parameters | Role::SimData | Role::SimDataMask);
        let shaped = |(role, column): (Role, Column)| match of_one_number(role) {
            true => (role, column.with_values()),
            false => (role, column),
        };
        let mut arrays: Vec<(Role, Column)> = arrays.into_iter().map(shaped).collect();
        let shapes: Vec<_> = arrays.iter().map(|(role, column)| (*role, column.shape())).collect();
        check(&origin, names.as_ref().map(|names| names.len()), &shapes)?;
        arrays.sort_by_key(|(role, _)| *role as usize);
        let (shared, columns): (Vec<_>, Vec<_>) = arrays.into_iter().partition(|(role, _)| role.is_shared());
        let shared = shared.into_iter().map(|(role, column)| (role, column.to_array())).collect();
        Ok(Self { origin, names, columns, shared, invalid, panicked })
    }

    pub(crate) fn from_simulations(origin: String, simulations: Simulations) -> Result<Self, DataError> {
        let s = simulations;
        let arrays = [
            (Role::Parameters, Some(s.parameters.into_dyn())),
            (Role::SimData, Some(s.sim_data)),
            (Role::SimDataMask, s.sim_data_mask),
            (Role::PriorBatchableContext, s.prior_batchable_context),
            (Role::SimBatchableContext, s.sim_batchable_context),
            (Role::PriorNonBatchableContext, s.prior_non_batchable_context),
            (Role::SimNonBatchableContext, s.sim_non_batchable_context),
        ];
        let arrays = arrays.into_iter().filter_map(|(role, array)| Some((role, Column::in_memory(array?)))).collect();
        Self::new(origin, Some(s.parameter_names), arrays, (s.invalid, s.panicked))
    }

    pub(crate) fn rows(&self) -> usize {
        self.columns[0].1.shape()[0]
    }

    pub(crate) fn sim_data_shape(&self) -> &[usize] {
        self.column(Role::SimData).map_or(&[], Column::shape)
    }

    pub(crate) fn num_parameters(&self) -> usize {
        self.columns[0].1.row_len()
    }

    pub(crate) fn column(&self, role: Role) -> Option<&Column> {
        self.columns.iter().find(|(other, _)| *other == role).map(|(_, column)| column)
    }

    pub(crate) fn shared(&self, role: Role) -> Option<&ArrayD<f32>> {
        self.shared.iter().find(|(other, _)| *other == role).map(|(_, array)| array)
    }

    /// Whether another part can be of the same data set: the same parameters and the same arrays.
    pub(crate) fn check_alike(&self, other: &Self) -> Result<(), DataError> {
        let differ = |quantity, expected: String, got: String| {
            Err(DataError::Differs { origin: other.origin.clone(), quantity, expected, got })
        };
        if self.names != other.names {
            return differ("parameter_names", format!("{:?}", self.names), format!("{:?}", other.names));
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

    /// Whether rows of another part, which has the same arrays, can be in one batch with rows of this.
    pub(crate) fn check_same_shapes(&self, other: &Self) -> Result<(), DataError> {
        let mut pairs = self.columns.iter().zip(&other.columns);
        match pairs.find(|((_, expected), (_, got))| expected.row_shape() != got.row_shape()) {
            Some(((role, expected), (_, got))) => Err(DataError::Differs {
                origin: other.origin.clone(),
                quantity: role.name(),
                expected: format!("of shape {:?}", expected.row_shape()),
                got: format!("of shape {:?}", got.row_shape()),
            }),
            None => Ok(()),
        }
    }

    fn roles(&self) -> Vec<Role> {
        let shared = self.shared.iter().map(|(role, _)| *role);
        self.columns.iter().map(|(role, _)| *role).chain(shared).collect()
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
pub(crate) fn gather(names: ParameterNames, rows: &[(&Part, usize)]) -> Simulations {
    let first = rows[0].0;
    let column = |role: Role| {
        let column = first.column(role)?;
        let mut values = Vec::with_capacity(rows.len() * column.row_len());
        for (part, row) in rows {
            part.column(role).expect("parts have the same arrays").push_row(*row, &mut values);
        }
        let shape = [&[rows.len()], column.row_shape()].concat();
        Some(ArrayD::from_shape_vec(IxDyn(&shape), values).expect("rows of one shape"))
    };
    let parameters = column(Role::Parameters).expect("parameters are always there");
    Simulations {
        parameter_names: names,
        parameters: parameters.into_dimensionality::<Ix2>().expect("checked to have two axes"),
        sim_data: column(Role::SimData).expect("data are always there"),
        sim_data_mask: column(Role::SimDataMask),
        prior_batchable_context: column(Role::PriorBatchableContext),
        prior_non_batchable_context: first.shared(Role::PriorNonBatchableContext).cloned(),
        sim_batchable_context: column(Role::SimBatchableContext),
        sim_non_batchable_context: first.shared(Role::SimNonBatchableContext).cloned(),
        invalid: Vec::new(),
        panicked: Vec::new(),
    }
}
