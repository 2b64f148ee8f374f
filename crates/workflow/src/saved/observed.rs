//! Reads observed data as a saved posterior takes them.

use super::SavedError;
use crate::commands::Tables;
use bayesburn_amortizers::{AmortizedPosterior, Conditions};
use bayesburn_core::{Data, DataShape, Input, InvalidData};
use bayesburn_inference::Posterior;
use bayesburn_io::{Missing, Noted, TableOptions, read_array, read_data};
use bayesburn_networks::{InferenceConfig, SummaryConfig};
use clap::Args;
use ndarray::{Array3, ArrayD, Axis, Ix1, Ix2, Ix3, concatenate, s};
use std::path::{Path, PathBuf};

/// What a posterior is conditioned on, in files.
#[derive(Debug, Clone, PartialEq, Eq, Default, Args)]
pub struct ObservedOptions {
    /// Observed data as .npy, .npz, .safetensors or .csv, whose columns are found by their headings; of an archive with
    /// several arrays, FILE:NAME. For a network that pools observations [N, F], or [M, N, F] for M data sets; for
    /// others one data set as it was simulated, or M of them along a first axis. May be left out for a posterior with
    /// an observation of its own.
    #[arg(long, value_name = "FILE")]
    pub data: Option<PathBuf>,
    /// What the network is given beside the data, `[C]` or `[M, C]`. Not needed for the number of observations alone,
    /// which is that of the data. A configurator of the training program's own is not known here: give data and this as
    /// it makes them.
    #[arg(long, value_name = "FILE")]
    pub direct: Option<PathBuf>,
    /// Take data of a number of observations that the networks were never trained on. The posterior may then be wrong.
    #[arg(long)]
    pub any_num_observations: bool,
    /// How tables are read.
    #[command(flatten)]
    pub tables: Tables,
}

/// The value of a file. What is to be said of how it was read is added to the remarks.
fn noted<T>(read: Noted<T>, remarks: &mut Vec<String>) -> T {
    remarks.extend(read.notes.iter().map(|note| format!("Note: {note}")));
    read.value
}

/// What becomes of missing values.
fn missing(may_be: bool) -> Missing {
    if may_be { Missing::Nan } else { Missing::Refuse }
}

/// The observation given, or the posterior's own.
pub(super) fn observation<C: SummaryConfig>(
    posterior: &Posterior<C>,
    observed: &ObservedOptions,
    remarks: &mut Vec<String>,
) -> Result<ArrayD<f32>, SavedError> {
    if observed.direct.is_some() {
        return Err(SavedError::observed("--direct is not for this posterior: its networks see the data alone"));
    }
    match (&observed.data, posterior.observation()) {
        (Some(path), _) => {
            let options = observed.tables.options();
            let options = TableOptions { columns: posterior.amortizer().feature_names().map(<[_]>::to_vec), ..options };
            Ok(noted(read_array(path, &options.with_missing(missing(posterior.is_masked())))?, remarks))
        }
        (None, Some(own)) => Ok(own.clone()),
        (None, None) => {
            Err(SavedError::observed("the posterior has no observation of its own: give one by --data FILE"))
        }
    }
}

/// The conditions of this posterior, of its widths.
pub(super) fn conditions_for<C: SummaryConfig, I: InferenceConfig>(
    posterior: &AmortizedPosterior<C, I>,
    observed: &ObservedOptions,
    remarks: &mut Vec<String>,
) -> Result<Conditions, SavedError> {
    let [features, direct] = posterior.condition_widths();
    let masked = posterior.num_masked_features();
    let names = posterior.feature_names().map(<[_]>::to_vec);
    let others = names.as_ref().map_or(0, |names| (features - masked).saturating_sub(names.len()));
    let options = TableOptions { columns: names, ..observed.tables.options() };
    let options = options.with_others(others).with_missing(missing(masked > 0));
    let are_vectors = posterior.config().summary.num_observations() == Some(1);
    let shape = posterior.data_shape();
    let is_plain = !shape.is_named() && !shape.is_padded() && shape.only().is_some_and(|only| only.rank() == 2);
    let conditions = match is_plain {
        true => beside_mask(conditions(observed, are_vectors, &options, remarks)?, masked, features),
        false => conditions_of_shape(observed, &shape, masked > 0, &options, remarks)?,
    };
    let (got, got_direct) = (
        conditions.data.inputs().iter().map(Input::features).sum::<usize>(),
        conditions.direct_conditions.as_ref().map_or(0, |direct| direct.ncols()),
    );
    let name = |path: &Option<PathBuf>| path.as_ref().map(|path| path.display().to_string()).unwrap_or_default();
    if got != features {
        let data = name(&observed.data);
        let reason = format!("{data}: {got} numbers for each observation, but the posterior takes {features}");
        return Err(SavedError::observed(reason));
    }
    let range = posterior.training_range();
    match (&observed.direct, got_direct == direct) {
        (_, true) => Ok(conditions),
        // The data tell it.
        (None, _) if direct == 1 && range.is_some_and(|range| range.direct_of_num_observations() == Some(0)) => {
            Ok(conditions.with_num_observations())
        }
        (None, _) => Err(SavedError::observed(format!(
            "the posterior takes {direct} direct conditions beside the data: give them by --direct FILE, with \
             {direct} numbers for \
             each data set"
        ))),
        (path, _) => {
            let reason = format!("{}: {got_direct} numbers, but the posterior takes {direct}", name(path));
            Err(SavedError::observed(reason))
        }
    }
}

/// Data as they are observed, with a mask behind the features that may be missing; as they are, if the mask is there.
fn beside_mask(conditions: Conditions, masked: usize, features: usize) -> Conditions {
    let data = conditions.sets();
    if masked == 0 || data.dim().2 + masked != features {
        return conditions;
    }
    let mut with_mask = Conditions::with_missing(data.slice(s![.., .., ..masked]).to_owned());
    let contexts = data.slice(s![.., .., masked..]);
    let parts = concatenate(Axis(2), &[with_mask.sets(), contexts]).expect("of the same data sets");
    with_mask.data = Data::new(parts);
    with_mask.direct_conditions = conditions.direct_conditions;
    with_mask
}

/// The conditions of a posterior of other data than sets of one length: of several inputs by their names, of images, or
/// padded. NaN is a missing value, where values may be missing, and a row of NaN is padding, where there may be
/// padding.
fn conditions_of_shape(
    observed: &ObservedOptions,
    shape: &DataShape,
    may_miss: bool,
    options: &TableOptions,
    remarks: &mut Vec<String>,
) -> Result<Conditions, SavedError> {
    let path = observed.data.as_ref().ok_or_else(no_data)?;
    let options = options.clone().with_missing(missing(may_miss || shape.is_padded()));
    let data = noted(read_data(path, shape, &options)?, remarks);
    let wrong = |error: InvalidData| SavedError::observed(format!("{}: {error}", path.display()));
    let data = if shape.is_padded() { data.nan_rows_as_padding().map_err(wrong)? } else { data };
    let data = if may_miss { data.nan_as_missing() } else { data };
    with_direct(Conditions::from(data), observed, remarks)
}

fn no_data() -> SavedError {
    SavedError::observed("the posterior needs observed data: give them by --data FILE")
}

/// An array of another shape than is expected.
fn wrong_shape(path: &Path, shape: &[usize], expected: &str) -> SavedError {
    SavedError::observed(format!("{}: an array of shape {shape:?}, but {expected} is needed", path.display()))
}

/// The conditions of a posterior that is used as it was trained. Vectors are of networks that take one observation.
fn conditions(
    observed: &ObservedOptions,
    are_vectors: bool,
    options: &TableOptions,
    remarks: &mut Vec<String>,
) -> Result<Conditions, SavedError> {
    let path = observed.data.as_ref().ok_or_else(no_data)?;
    let array = noted(read_array(path, options)?, remarks);
    let shape = array.shape().to_vec();
    let data: Option<Array3<f32>> = match (array.ndim(), are_vectors) {
        (1, true) => array.into_dimensionality::<Ix1>().ok().map(|x| x.insert_axis(Axis(0)).insert_axis(Axis(0))),
        (2, true) => array.into_dimensionality::<Ix2>().ok().map(|x| x.insert_axis(Axis(1))),
        (2, false) => array.into_dimensionality::<Ix2>().ok().map(|x| x.insert_axis(Axis(0))),
        _ => array.into_dimensionality::<Ix3>().ok(),
    };
    let expected = if are_vectors { "[F], or [M, F] for M data sets" } else { "[N, F], or [M, N, F] for M data sets" };
    let data = data.ok_or_else(|| wrong_shape(path, &shape, expected))?;
    with_direct(Conditions::new(data), observed, remarks)
}

/// Adds the direct conditions that are given.
fn with_direct(
    conditions: Conditions,
    observed: &ObservedOptions,
    remarks: &mut Vec<String>,
) -> Result<Conditions, SavedError> {
    let m = conditions.len();
    let Some(path) = &observed.direct else { return Ok(conditions) };
    let array = noted(read_array(path, &observed.tables.options())?, remarks);
    let shape = array.shape().to_vec();
    let direct = match array.ndim() {
        1 => array.into_dimensionality::<Ix1>().ok().map(|row| row.broadcast((m, row.len())).map(|a| a.to_owned())),
        _ => array.into_dimensionality::<Ix2>().ok().map(Some),
    };
    let direct = direct.flatten().filter(|direct| direct.nrows() == m);
    let direct = direct.ok_or_else(|| wrong_shape(path, &shape, &format!("[C], or [{m}, C],")))?;
    Ok(conditions.with_direct(direct))
}
