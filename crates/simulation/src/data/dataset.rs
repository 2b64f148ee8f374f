//! Selects batches from rows of stored simulations, in memory or in files.

use super::{
    DataError,
    file::default_names,
    inputs::push_values,
    manifest::{MANIFEST, Manifest, Shard},
    mapping::{MAPS, Maps},
    part::{Part, Role, gather},
    read,
};
use crate::{InvalidSimulations, SimulationError, error::check_feature_names};
use bayesburn_core::{PanickedSimulation, ParameterNames, SimulationId, Simulations};
use std::{
    collections::HashMap,
    fmt, fs,
    ops::Range,
    path::{Path, PathBuf},
    sync::Arc,
};

/// Existing simulations, in memory or in files, for offline training.
///
/// Rows are numbered from 0, over all files or batches in order. A batch can only contain rows of one [`Group`]: rows
/// of equal shapes and equal non-batchable context, such as the number of observations. Without such context there is
/// one group.
///
/// Files are mapped into memory: a row is read when it is selected, so that a data set may be larger than memory. While
/// a data set is open, other programs must not change its files in place: values read would be undefined, and if a file
/// is truncated, reading beyond its end kills the process (SIGBUS on Unix). On Unix it is safe to delete a file, or to
/// replace it by renaming another one to it.
///
/// A process maps 32,768 files at a time, since systems limit the number of maps. Files beyond that are opened for each
/// batch: they must stay where they are, and selecting rows of one that was changed is an error.
///
/// A clone is cheap and shares everything.
#[derive(Clone)]
pub struct Dataset {
    names: ParameterNames,
    feature_names: Option<Arc<[String]>>,
    rows: Arc<Rows>,
    invalid: InvalidSimulations,
}

struct Rows {
    parts: Vec<Arc<Part>>,
    /// The first row of each part.
    starts: Vec<usize>,
    /// The group of each part.
    group_of: Vec<usize>,
    groups: Vec<Group>,
    len: usize,
    /// The files of a store, with their entries in its manifest.
    shards: Vec<(PathBuf, Shard)>,
}

/// Rows that can share a batch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Group {
    ranges: Vec<Range<usize>>,
    len: usize,
}

impl Group {
    /// The number of rows.
    #[must_use]
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether there is no row; always false for the groups of a [`Dataset`].
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// The rows' numbers, ascending.
    pub fn rows(&self) -> impl Iterator<Item = usize> + '_ {
        self.ranges.iter().cloned().flatten()
    }
}

impl Dataset {
    /// One batch in memory.
    ///
    /// # Errors
    /// Arrays that do not fit each other, or no row.
    pub fn from_simulations(simulations: Simulations) -> Result<Self, DataError> {
        Self::from_batches([simulations])
    }

    /// Several batches in memory, with their rows in order. Batches with different shared context may have different
    /// shapes.
    ///
    /// # Errors
    /// Arrays that do not fit each other; batches that differ in more than rows and shared context; no row.
    pub fn from_batches(batches: impl IntoIterator<Item = Simulations>) -> Result<Self, DataError> {
        let part = |(i, batch)| Part::from_simulations(format!("batch {i}"), batch);
        let parts = batches.into_iter().enumerate().map(part).collect::<Result<_, _>>()?;
        Self::new("the batches".to_owned(), parts, Vec::new())
    }

    /// Concatenates data sets without copying. Rows are in order; the policy and the feature names are those of the
    /// first.
    ///
    /// # Errors
    /// No data set; data sets that differ in more than rows and shared context.
    pub fn join<'a>(datasets: impl IntoIterator<Item = &'a Dataset>) -> Result<Self, DataError> {
        let datasets: Vec<&Dataset> = datasets.into_iter().collect();
        let parts = datasets.iter().flat_map(|data| data.rows.parts.iter().cloned()).collect();
        let shards = datasets.iter().flat_map(|data| data.rows.shards.iter().cloned()).collect();
        let joined = Self::of_parts("the data sets".to_owned(), parts, shards)?;
        let Some(first) = datasets.first() else { return Ok(joined) };
        for (i, data) in datasets.iter().enumerate() {
            let differ = |quantity, expected, got| DataError::Differs {
                origin: format!("data set {i}"),
                quantity,
                expected,
                got,
            };
            if data.names != first.names {
                return Err(differ("parameter_names", format!("{:?}", first.names), format!("{:?}", data.names)));
            }
            if data.feature_names != first.feature_names {
                let (expected, got) = (format!("{:?}", first.feature_names()), format!("{:?}", data.feature_names()));
                return Err(differ("feature_names", expected, got));
            }
        }
        let (names, feature_names) = (first.names.clone(), first.feature_names.clone());
        Ok(Self { names, feature_names, invalid: first.invalid, ..joined })
    }

    /// Opens stored simulations:
    ///
    /// - a folder that [`presimulate`](crate::GenerativeModel::presimulate) wrote;
    /// - a `.safetensors` file, of [`save_simulations`](crate::save_simulations) or of another program, which may have
    ///   the parameters' names as a JSON list under the metadata key `parameter_names`;
    /// - a folder with `parameters.npy` and `sim_data.npy`;
    /// - a `.npz` file, compressed or not.
    ///
    /// `.safetensors` files and `.npy` files in row-major order are mapped; `.npy` files in Fortran order and `.npz`
    /// files are read into memory whole.
    ///
    /// # Shapes
    /// | array | also called | shape |
    /// |---|---|---|
    /// | `parameters` | `prior_draws`, `theta` | `[B, D]`, or `[B]` of one parameter |
    /// | `sim_data` | `x`, `data` | `[B, ...]`; `[B]`, one number each, is `[B, 1]` |
    /// | `sim_data_mask` | `data_mask` | that of `sim_data`: 0 for each value that is missing |
    /// | `sim_data_rows` | `data_rows` | `[B, N]` of `[B, N, features]`: 0 for each row that is padding |
    /// | `sim_data.NAME`, `sim_data_mask.NAME`, `sim_data_rows.NAME` | | the same, of several inputs |
    /// | `prior_batchable_context`, `sim_batchable_context` | | `[B, ...]` |
    /// | `prior_non_batchable_context`, `sim_non_batchable_context` | | any, shared by all rows of the file |
    ///
    /// Elements are f16, bf16, f32, f64, integers of 8 to 64 bits, or bool (as 0 and 1). They become
    /// f32 when they are read: f64 and long integers are rounded, and f64 beyond 3.4e38 are infinite. NaN and
    /// infinities are passed on as they are. Parameters without names are called `theta_1`, `theta_2` and so on, see
    /// [`with_parameter_names`](Self::with_parameter_names).
    ///
    /// # Errors
    /// Nothing to open; arrays that are unknown, missing, of other types, or do not fit each other; shards that are
    /// missing, truncated, or differ in shape although their shared context is the same; no row.
    ///
    /// ```
    /// use bayesburn_simulation::Dataset;
    /// use ndarray::{Array2, Array3};
    ///
    /// let folder = tempfile::tempdir()?;
    /// ndarray_npy::write_npy(folder.path().join("parameters.npy"), &Array2::<f64>::ones((100, 2)))?;
    /// ndarray_npy::write_npy(folder.path().join("sim_data.npy"), &Array3::<i32>::zeros((100, 50, 1)))?;
    /// let data = Dataset::open(folder.path())?.with_parameter_names(["mu", "sigma"])?;
    /// assert_eq!(data.len(), 100);
    /// assert_eq!(data.select(&[7, 3, 7])?.data.values().shape(), [3, 50, 1]);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn open(path: impl AsRef<Path>) -> Result<Self, DataError> {
        Self::open_within(path.as_ref(), &MAPS)
    }

    /// [`Dataset::open`] with a budget of maps.
    pub(crate) fn open_within(path: &Path, maps: &'static Maps) -> Result<Self, DataError> {
        let metadata = fs::metadata(path).map_err(DataError::read(path))?;
        let extension = path.extension().unwrap_or_default().to_string_lossy().to_lowercase();
        let part = match extension.as_str() {
            _ if metadata.is_dir() => {
                if path.join(MANIFEST).exists() {
                    return Self::open_store(path, maps);
                }
                let names = names_in(path)?;
                if !names.iter().any(|name| name.ends_with(".npy")) {
                    let found = if names.is_empty() { "nothing".to_owned() } else { names.join(", ") };
                    return Err(DataError::NoData { path: path.to_owned(), found });
                }
                read::npy_folder(path, maps)?
            }
            "safetensors" => read::safetensors(path, maps)?,
            "npz" => read::npz(path)?,
            _ => return Err(DataError::FileType { path: path.to_owned() }),
        };
        Self::new(read::origin(path), vec![part], Vec::new())
    }

    fn open_store(folder: &Path, maps: &'static Maps) -> Result<Self, DataError> {
        let manifest = Manifest::read(folder)?;
        let names: ParameterNames = manifest.parameter_names.into();
        let mut parts = Vec::with_capacity(manifest.shards.len());
        let mut shards = Vec::with_capacity(manifest.shards.len());
        for shard in manifest.shards {
            let path = folder.join(&shard.file);
            shard.check_length(&path)?;
            let part = read::safetensors(&path, maps)?;
            if part.rows() != shard.rows || part.names.as_ref() != Some(&names) {
                let (rows, got) = (part.rows(), &part.names);
                let message = format!("{rows} rows of {got:?}, and {} of {names:?} in {MANIFEST}", shard.rows);
                return Err(DataError::Damaged { path, message });
            }
            parts.push(part);
            shards.push((path, shard));
        }
        let data = Self::new(read::origin(folder), parts, shards)?;
        match manifest.feature_names {
            Some(names) => data.with_feature_names(names),
            None => Ok(data),
        }
    }

    fn new(origin: String, parts: Vec<Part>, shards: Vec<(PathBuf, Shard)>) -> Result<Self, DataError> {
        Self::of_parts(origin, parts.into_iter().map(Arc::new).collect(), shards)
    }

    fn of_parts(origin: String, parts: Vec<Arc<Part>>, shards: Vec<(PathBuf, Shard)>) -> Result<Self, DataError> {
        let (mut starts, mut group_of, mut groups, mut len) = (Vec::new(), Vec::new(), Vec::<Group>::new(), 0);
        // For each shared context, its group and the first part that has it.
        let mut known: HashMap<Vec<u64>, (usize, &Part)> = HashMap::new();
        let padded = parts.iter().any(|part| part.is_padded());
        for part in &parts {
            parts[0].check_alike(part)?;
            let (group, like) = *known.entry(part.shared_bits()).or_insert_with(|| {
                groups.push(Group { ranges: Vec::new(), len: 0 });
                (groups.len() - 1, part)
            });
            like.check_same_shapes(part, padded)?;
            let rows = len..len + part.rows();
            starts.push(len);
            group_of.push(group);
            len = rows.end;
            let group = &mut groups[group];
            group.len += rows.len();
            match group.ranges.last_mut() {
                Some(last) if last.end == rows.start => last.end = rows.end,
                _ if rows.is_empty() => {}
                _ => group.ranges.push(rows),
            }
        }
        if len == 0 {
            return Err(DataError::NoRows { origin });
        }
        let names = parts[0].names.clone().unwrap_or_else(|| default_names(parts[0].num_parameters()));
        check_names(&names)?;
        let rows = Arc::new(Rows { parts, starts, group_of, groups, len, shards });
        Ok(Self { names, feature_names: None, rows, invalid: InvalidSimulations::Error })
    }

    /// Renames the parameters, in the order of their axis.
    ///
    /// # Errors
    /// Another number of names than of parameters; a name used twice.
    pub fn with_parameter_names(
        mut self,
        names: impl IntoIterator<Item = impl Into<String>>,
    ) -> Result<Self, DataError> {
        let names: ParameterNames = names.into_iter().map(Into::into).collect();
        let (expected, got) = (self.names.len(), names.len());
        if got != expected {
            return Err(DataError::Names { origin: "the data set".to_owned(), expected, got });
        }
        check_names(&names)?;
        self.names = names;
        Ok(self)
    }

    /// Names the features, in the order of the last axis of the data, as
    /// [`Simulator::with_feature_names`](crate::Simulator::with_feature_names) does.
    ///
    /// # Errors
    /// Another number of names than of features; a name that is empty or used twice.
    pub fn with_feature_names(mut self, names: impl IntoIterator<Item = impl Into<String>>) -> Result<Self, DataError> {
        let names: Arc<[String]> = names.into_iter().map(Into::into).collect();
        for part in &self.rows.parts {
            check_feature_names(&names, part.num_features())?;
        }
        self.feature_names = Some(names);
        Ok(self)
    }

    /// Sets the policy for selected rows whose data are not finite; by default they are an error.
    /// [`Simulations::invalid`] lists them by row number.
    ///
    /// # Errors
    /// [`InvalidSimulations::Redraw`]: existing simulations cannot be redrawn.
    pub fn on_invalid(mut self, invalid: InvalidSimulations) -> Result<Self, DataError> {
        if matches!(invalid, InvalidSimulations::Redraw { .. }) {
            return Err(SimulationError::CannotRedraw.into());
        }
        self.invalid = invalid;
        Ok(self)
    }

    /// A fingerprint: the number of rows, the policy for invalid ones, and a CRC-32 of the parameters and data of up to
    /// 64 evenly spread rows. A resumed training compares it to detect changed data. If a file cannot be read,
    /// the error takes the place of the CRC-32.
    #[must_use]
    pub fn fingerprint(&self) -> String {
        let spread = self.len().min(64);
        let crc32 = || -> Result<u32, DataError> {
            let mut hasher = crc32fast::Hasher::new();
            for row in (0..spread).map(|i| i * self.len() / spread) {
                let ((part, row), mut values) = (self.locate(row), Vec::new());
                part.column(Role::Parameters).iter().try_for_each(|theta| theta.push_row(row, &mut values))?;
                push_values(part, row, &mut values)?;
                values.iter().for_each(|value| hasher.update(&value.to_le_bytes()));
            }
            Ok(hasher.finalize())
        };
        let crc32 = crc32().map_or_else(|error| error.to_string(), |crc32| format!("CRC-32 {crc32:08x}"));
        format!("{} rows, invalid: {:?}, {crc32}", self.len(), self.invalid)
    }

    /// The simulations among [`Dataset::invalid`] that panicked, with their messages.
    pub fn panicked(&self) -> impl Iterator<Item = &PanickedSimulation> {
        self.rows.parts.iter().flat_map(|part| &part.panicked)
    }

    /// The simulations that were not finite when the data were simulated, and so were redrawn, dropped or masked.
    pub fn invalid(&self) -> impl Iterator<Item = SimulationId> + '_ {
        self.rows.parts.iter().flat_map(|part| part.invalid.iter().copied())
    }

    /// The number of rows, one for each simulation.
    #[must_use]
    pub fn len(&self) -> usize {
        self.rows.len
    }

    /// Whether there is no row; always false, since a data set without rows cannot be opened.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.rows.len == 0
    }

    /// The parameters' names, D of them.
    #[must_use]
    pub fn parameter_names(&self) -> &ParameterNames {
        &self.names
    }

    /// The names of the features, if they were given: those of [`Dataset::with_feature_names`], or of the model that
    /// [`presimulate`](crate::GenerativeModel::presimulate) was called on.
    #[must_use]
    pub fn feature_names(&self) -> Option<&[String]> {
        self.feature_names.as_deref()
    }

    /// The groups of rows that can share a batch; every row is in exactly one. Without non-batchable context there is
    /// one group.
    #[must_use]
    pub fn groups(&self) -> &[Group] {
        &self.rows.groups
    }

    /// The rows with these numbers as one batch, in this order; a row may occur more than once.
    ///
    /// # Errors
    /// No row; a row that does not exist; rows of different groups; non-finite values, unless
    /// [`on_invalid`](Self::on_invalid) set another policy.
    pub fn select(&self, rows: &[usize]) -> Result<Simulations, DataError> {
        let Rows { parts, starts, group_of, len, .. } = &*self.rows;
        let mut located = Vec::with_capacity(rows.len());
        let mut group = None;
        for &row in rows {
            if row >= *len {
                return Err(DataError::RowOutOfRange { row, len: *len });
            }
            // The last part that begins at or before the row; parts without rows begin where the next one does.
            let part = starts.partition_point(|&start| start <= row) - 1;
            if *group.get_or_insert(group_of[part]) != group_of[part] {
                return Err(DataError::MixedGroups { first: rows[0], other: row });
            }
            located.push((&*parts[part], row - starts[part]));
        }
        if located.is_empty() {
            return Err(DataError::NothingSelected);
        }
        let numbers: Vec<u64> = rows.iter().map(|row| *row as u64).collect();
        Ok(self.invalid.apply(gather(self.names.clone(), &located)?, &numbers)?)
    }

    /// The part that a row is in, and its number there.
    pub(super) fn locate(&self, row: usize) -> (&Part, usize) {
        // The last part that begins at or before the row; parts without rows begin where the next one does.
        let part = self.rows.starts.partition_point(|&start| start <= row) - 1;
        (&self.rows.parts[part], row - self.rows.starts[part])
    }

    /// Reads every file of a store that `presimulate` wrote and compares its CRC-32 with the manifest's. Data in memory
    /// and files of other programs have no checksum and always pass.
    ///
    /// # Errors
    /// The first file that is missing or was changed.
    pub fn verify(&self) -> Result<(), DataError> {
        self.rows.shards.iter().try_for_each(|(path, shard)| shard.verify(path))
    }
}

impl fmt::Debug for Dataset {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Dataset")
            .field("parameter_names", &self.names)
            .field("len", &self.rows.len)
            .field("groups", &self.rows.groups.len())
            .finish_non_exhaustive()
    }
}

/// The names of what is in a folder, without hidden files, in order.
fn names_in(folder: &Path) -> Result<Vec<String>, DataError> {
    let mut names = Vec::new();
    for entry in fs::read_dir(folder).map_err(DataError::read(folder))? {
        names.push(entry.map_err(DataError::read(folder))?.file_name().to_string_lossy().into_owned());
    }
    names.retain(|name| !name.starts_with('.'));
    names.sort();
    Ok(names)
}

fn check_names(names: &ParameterNames) -> Result<(), DataError> {
    match names.iter().enumerate().find(|(i, name)| names[..*i].contains(name)) {
        Some((_, name)) => Err(DataError::DuplicateName { name: name.clone() }),
        None => Ok(()),
    }
}
