//! Keeps the manifest of a store: what was simulated, and which shard holds it.

use super::DataError;
use crate::Shapes;
use bayesburn_core::{files, layout::SHARD};
use serde::{Deserialize, Serialize};
use std::{fs, io::Write, path::Path};

/// The name of the manifest's file.
pub(crate) use bayesburn_core::layout::MANIFEST;

/// The format that is written and read here.
const VERSION: u64 = 1;

/// The file `manifest.json`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Manifest {
    pub(crate) format_version: u64,
    pub(crate) parameter_names: Vec<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) feature_names: Option<Vec<String>>,
    pub(crate) seed: u64,
    pub(crate) simulations_per_shard: usize,
    pub(crate) shapes: StoredShapes,
    pub(crate) shards: Vec<Shard>,
}

/// The shapes of the model's pilot run, without the batch axis; see [`Shapes`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct StoredShapes {
    parameters: Vec<usize>,
    sim_data: Vec<usize>,
    /// Of each input, if they have names.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    inputs: Vec<(String, Vec<usize>)>,
    prior_batchable_context: Option<Vec<usize>>,
    prior_non_batchable_context: Option<Vec<usize>>,
    sim_batchable_context: Option<Vec<usize>>,
    sim_non_batchable_context: Option<Vec<usize>>,
}

/// One file of a store.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Shard {
    pub(crate) file: String,
    /// The number of its first simulation.
    pub(crate) first: u64,
    /// How many simulations were made; fewer rows are there if the model drops those that are not finite.
    pub(crate) attempted: usize,
    pub(crate) rows: usize,
    /// How many attempts were not finite.
    pub(crate) invalid: usize,
    pub(crate) bytes: u64,
    pub(crate) crc32: u32,
}

impl Manifest {
    /// That of a store without shards.
    pub(crate) fn new(
        (parameter_names, feature_names): (&[String], Option<&[String]>),
        seed: u64,
        simulations_per_shard: usize,
        shapes: &Shapes,
    ) -> Self {
        Self {
            format_version: VERSION,
            parameter_names: parameter_names.to_vec(),
            feature_names: feature_names.map(<[String]>::to_vec),
            seed,
            simulations_per_shard,
            shapes: StoredShapes {
                parameters: shapes.parameters.clone(),
                sim_data: shapes.data.clone(),
                inputs: shapes.inputs.clone(),
                prior_batchable_context: shapes.prior_batchable_context.clone(),
                prior_non_batchable_context: shapes.prior_non_batchable_context.clone(),
                sim_batchable_context: shapes.sim_batchable_context.clone(),
                sim_non_batchable_context: shapes.sim_non_batchable_context.clone(),
            },
            shards: Vec::new(),
        }
    }

    pub(crate) fn read(folder: &Path) -> Result<Self, DataError> {
        let path = folder.join(MANIFEST);
        let no_manifest = |message: String| DataError::Manifest { path: path.clone(), message };
        let text = files::operation::read_to_string(&path).map_err(DataError::read(&path))?;
        let value: serde_json::Value = serde_json::from_str(&text).map_err(|error| no_manifest(error.to_string()))?;
        // Before anything else: another version may have other keys.
        let got = value.get("format_version").and_then(serde_json::Value::as_u64);
        let got = got.ok_or_else(|| no_manifest("it has no `format_version`".to_owned()))?;
        if got != VERSION {
            return Err(DataError::Version { path, expected: VERSION, got });
        }
        let manifest: Self = serde_json::from_value(value).map_err(|error| no_manifest(error.to_string()))?;
        let mut next = 0;
        for (i, shard) in manifest.shards.iter().enumerate() {
            if shard.file != shard_name(i) || shard.first != next {
                return Err(no_manifest(format!("shard {i} is `{}` from simulation {}", shard.file, shard.first)));
            }
            next = manifest.next(i + 1);
        }
        Ok(manifest)
    }

    pub(crate) fn write(&self, folder: &Path) -> Result<(), DataError> {
        let path = folder.join(MANIFEST);
        files::write_atomically(&path, |file| {
            serde_json::to_writer_pretty(&mut *file, self)?;
            file.write_all(b"\n")
        })
        .map_err(DataError::write(&path))
    }

    /// Which setting differs from that of a store, with the store's value and the other.
    pub(crate) fn difference(&self, other: &Self) -> Option<(&'static str, String, String)> {
        let words = |a: &dyn std::fmt::Debug, b: &dyn std::fmt::Debug| (format!("{a:?}"), format!("{b:?}"));
        let (setting, (stored, given)) = if self.parameter_names != other.parameter_names {
            ("parameter_names", words(&self.parameter_names, &other.parameter_names))
        } else if self.seed != other.seed {
            ("seed", words(&self.seed, &other.seed))
        } else if self.shapes != other.shapes {
            ("shapes", words(&self.shapes, &other.shapes))
        } else if self.simulations_per_shard != other.simulations_per_shard {
            ("simulations_per_shard", words(&self.simulations_per_shard, &other.simulations_per_shard))
        } else {
            return None;
        };
        Some((setting, stored, given))
    }

    /// The number of the first simulation after the first `shards` shards.
    pub(crate) fn next(&self, shards: usize) -> u64 {
        self.shards[..shards].last().map_or(0, |last| last.first.saturating_add(last.attempted as u64))
    }
}

impl Shard {
    /// Whether the file is there and as long as it was written.
    pub(crate) fn check_length(&self, path: &Path) -> Result<(), DataError> {
        match fs::metadata(path) {
            Ok(metadata) if metadata.len() == self.bytes => Ok(()),
            Ok(metadata) => {
                let message = format!("{} bytes, and {} in {MANIFEST}", metadata.len(), self.bytes);
                Err(DataError::Damaged { path: path.to_owned(), message })
            }
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                Err(DataError::Missing { path: path.to_owned() })
            }
            Err(error) => Err(DataError::read(path)(error)),
        }
    }

    /// Whether the file's bytes are those that were written.
    pub(crate) fn verify(&self, path: &Path) -> Result<(), DataError> {
        self.check_length(path)?;
        let (got, _) = files::crc32(path).map_err(DataError::read(path))?;
        let changed = || DataError::Changed { path: path.to_owned(), expected: self.crc32, got };
        (got == self.crc32).then_some(()).ok_or_else(changed)
    }
}

pub(crate) fn shard_name(index: usize) -> String {
    SHARD.name(index)
}
