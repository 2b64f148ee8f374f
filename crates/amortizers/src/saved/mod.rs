//! Saves amortizers to folders and loads them: a readable description, weights as safetensors, and a seal of checksums.

mod migrate;

use crate::{Amortizer, AmortizerError, Difference};
use bayesburn_core::{
    FileError,
    files::{VerifyError, current, operation, read_seal, replace_folder_atomically, verify},
    layout::TRAINING_RANGE,
};
use bayesburn_networks::{ParameterInit, check_device, number_parameters, orders_are_permutations};
use burn::{module::Module, tensor::Device};
use burn_store::{ModuleSnapshot, SafetensorsStore};
use serde_json::{Value, json};
use std::{
    ffi::OsStr,
    fs, io,
    path::{Path, PathBuf},
};

/// Version of the folder's layout. A change that old code cannot read raises it, and `migrate` reads the versions
/// before.
const FORMAT_VERSION: u64 = 6;
pub(crate) use bayesburn_core::layout::{AMORTIZER as DESCRIPTION_FILE, WEIGHTS as WEIGHTS_FILE};
const VERSION: &str = "format_version";
const KIND: &str = "kind";

/// See [`Amortizer::save`].
pub(crate) fn save<A: Amortizer>(amortizer: &A, folder: &Path) -> Result<(), AmortizerError> {
    let io = FileError::write(folder);
    holds_files_alone(folder).map_err(&io)?;
    // What this amortizer may not have, and would read as its own.
    let obsolete = |name: &OsStr| name == TRAINING_RANGE || migrate::is_old_description(name);
    let error = |error| io(error).into();
    replace_folder_atomically(folder, obsolete, error, |folder| write(amortizer, folder))
}

/// Writes an amortizer into a new folder, which the caller seals.
pub(crate) fn write<A: Amortizer>(amortizer: &A, folder: &Path) -> Result<(), AmortizerError> {
    let path = folder.join(DESCRIPTION_FILE);
    operation::write(&path, format!("{:#}\n", description(amortizer))).map_err(FileError::write(&path))?;
    amortizer.write_weights(folder.join(WEIGHTS_FILE))?;
    amortizer.save_beside(folder)
}

/// See [`Amortizer::load`].
pub(crate) fn load<A: Amortizer>(folder: &Path, device: &Device) -> Result<A, AmortizerError> {
    let folder = current(folder);
    // Another process may replace the folder between two of its files.
    for _ in 0..3 {
        let before = read_seal(&folder);
        let loaded = load_once(&folder, device);
        if read_seal(&folder) == before {
            return loaded;
        }
    }
    load_once(&folder, device)
}

fn load_once<A: Amortizer>(folder: &Path, device: &Device) -> Result<A, AmortizerError> {
    // A path that is mistyped is not a damaged amortizer.
    if !is_saved_amortizer(folder) {
        return Err(AmortizerError::NoAmortizer { folder: folder.to_owned() });
    }
    verify(folder).map_err(|error| match error {
        VerifyError::Damaged(reason) => AmortizerError::Damaged { folder: folder.to_owned(), reason },
        VerifyError::Unreadable(error) => error.into(),
    })?;
    let (path, saved) = read(folder)?;
    let wrong = |reason: String| AmortizerError::SavedConfig { path: path.clone(), reason };
    let kind = &saved[KIND];
    if *kind != A::KIND {
        let reason = format!(
            "it is of kind {kind}, and this program asks for \"{}\": load it as the type that was saved, or use the \
             program that saved it",
            A::KIND
        );
        return Err(wrong(reason));
    }
    A::check_saved(&saved).map_err(wrong)?;
    let description = serde_json::from_value(own(saved.clone())).map_err(|error| wrong(error.to_string()))?;
    let weights = folder.join(WEIGHTS_FILE);
    let bytes = fs::metadata(&weights).map_err(FileError::read(&weights))?.len();
    let numbers = usize::try_from(bytes / 4).unwrap_or(usize::MAX);
    let too_large = || AmortizerError::Weights {
        path: weights.clone(),
        reason: format!("it has fewer numbers than the networks that `{}` describes", file_name(&path)),
    };
    check_device(device)?;
    let init = ParameterInit::new(0, &device.clone().autodiff());
    let amortizer = init.within(numbers, |init| A::untrained(description, init)).map_err(|_| too_large())??;
    // A network's configuration ignores keys it does not know; written again, they are missing.
    if let Some(Difference { key, saved, now }) = Difference::first(&saved, &self::description(&amortizer)) {
        return Err(wrong(match (saved, now) {
            (Some(saved), Some(now)) => format!("`{key}` is {saved}, which this version reads as {now}"),
            (Some(_), None) => format!("this version does not know the setting `{key}`"),
            (None, _) => format!("the setting `{key}` is missing"),
        }));
    }
    amortizer.load_weights(folder)
}

/// Everything that an amortizer was made from, with its kind and the version of the format: what tells one architecture
/// from another.
///
/// # Panics
/// If the amortizer's description is no object in JSON.
#[must_use]
pub fn description<A: Amortizer>(amortizer: &A) -> Value {
    let mut description = serde_json::to_value(amortizer.description()).expect("a description is plain data");
    let object = description.as_object_mut().expect("a description is an object in JSON");
    object.insert(VERSION.to_owned(), json!(FORMAT_VERSION));
    object.insert(KIND.to_owned(), json!(A::KIND));
    description
}

/// The description of the amortizer that a folder holds, of whatever kind, as this version writes it.
///
/// # Errors
/// A file that is missing or is not JSON, or of a newer version.
pub fn saved_description(folder: impl AsRef<Path>) -> Result<Value, AmortizerError> {
    Ok(read(folder.as_ref())?.1)
}

/// Whether a folder holds the description of an amortizer, of this version or an earlier one.
#[must_use]
pub fn is_saved_amortizer(folder: &Path) -> bool {
    folder.join(DESCRIPTION_FILE).is_file() || migrate::old_description(folder).is_some()
}

/// The file with the description, and what it says, brought to this version.
fn read(folder: &Path) -> Result<(PathBuf, Value), AmortizerError> {
    let new = folder.join(DESCRIPTION_FILE);
    let path = if new.is_file() { new } else { migrate::old_description(folder).unwrap_or(new) };
    let text = operation::read_to_string(&path).map_err(FileError::read(&path))?;
    let wrong = |reason: String| AmortizerError::SavedConfig { path: path.clone(), reason };
    let saved: Value = serde_json::from_str(&text).map_err(|error| wrong(error.to_string()))?;
    // First of all: what another version may have changed cannot be read by this one.
    let saved = migrate::to_present(saved).map_err(wrong)?;
    Ok((path, saved))
}

/// The amortizer's own part of a description.
pub(crate) fn own(mut description: Value) -> Value {
    if let Some(object) = description.as_object_mut() {
        object.remove(VERSION);
        object.remove(KIND);
    }
    description
}

fn file_name(path: &Path) -> String {
    path.file_name().unwrap_or_default().to_string_lossy().into_owned()
}

/// See [`Amortizer::write_weights`].
pub(crate) fn write_weights<M: Module>(networks: &M, path: &Path) -> Result<(), AmortizerError> {
    // The store's own metadata comes in a random order, and the same weights shall be the same bytes.
    let mut store = SafetensorsStore::from_bytes(None).clear_metadata();
    let saved = networks.save_into(&mut store).and_then(|()| store.get_bytes());
    let bytes = saved.map_err(|error| FileError::write(path)(io::Error::other(error)))?;
    Ok(operation::write(path, bytes).map_err(FileError::write(path))?)
}

/// See [`Amortizer::read_weights`].
pub(crate) fn read_weights<M: Module>(mut networks: M, path: &Path) -> Result<M, AmortizerError> {
    let path = path.to_owned();
    if !path.is_file() {
        return Err(FileError::read(&path)(io::ErrorKind::NotFound.into()).into());
    }
    let wrong = |reason: String| AmortizerError::Weights { path: path.clone(), reason };
    let result = networks
        .load_from(&mut SafetensorsStore::from_file(&path).validate(false).allow_partial(true))
        .map_err(|error| wrong(error.to_string()))?;
    if let Some(error) = result.errors.first() {
        return Err(wrong(error.to_string()));
    }
    if let Some((name, _)) = result.missing.first() {
        return Err(wrong(format!("tensor `{name}` is missing")));
    }
    if let Some(name) = result.unused.first() {
        return Err(wrong(format!("tensor `{name}` is not part of this network")));
    }
    if !orders_are_permutations(&networks) {
        return Err(wrong("an order of dimensions does not have each of them once".to_owned()));
    }
    Ok(number_parameters(networks))
}

/// An error unless there is no folder in this one.
fn holds_files_alone(folder: &Path) -> io::Result<()> {
    if !folder.exists() {
        return Ok(());
    }
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        let name = entry.file_name();
        // Hidden ones are what a killed process left.
        if entry.path().is_dir() && !name.to_string_lossy().starts_with('.') {
            let reason = format!("it holds the folder `{}`: choose one for the amortizer alone", name.display());
            return Err(io::Error::other(reason));
        }
    }
    Ok(())
}
