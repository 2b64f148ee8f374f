//! Reads descriptions of earlier versions.
//!
//! A later version reads what this one writes: each version of the format has a step to the next one here, and files of
//! it under `tests/golden`, which a test loads. Weights keep their names and shapes; where a layout changes, the step
//! is here too.

use super::{FORMAT_VERSION, KIND, VERSION};
use serde_json::{Value, json};
use std::{
    ffi::OsStr,
    path::{Path, PathBuf},
};

/// The first version that is read.
const OLDEST: u64 = 5;
/// What versions before 6, which knew posteriors alone, called the file.
const OF_POSTERIOR: &str = "posterior.json";

/// The description that an earlier version wrote into a folder, if there is one.
pub(super) fn old_description(folder: &Path) -> Option<PathBuf> {
    Some(folder.join(OF_POSTERIOR)).filter(|path| path.is_file())
}

/// Whether a file has the name of such a description.
pub(super) fn is_old_description(name: &OsStr) -> bool {
    name == OF_POSTERIOR
}

/// A description as this version writes it; the reason where it cannot be read.
pub(super) fn to_present(mut saved: Value) -> Result<Value, String> {
    let Some(version) = saved[VERSION].as_u64() else {
        return Err(format!("its `{VERSION}` is {}, and a number is needed", saved[VERSION]));
    };
    if version > FORMAT_VERSION {
        return Err(format!(
            "its `{VERSION}` is {version}, and this version reads up to {FORMAT_VERSION}: use the version of \
             bayesburn that wrote it, or a newer one"
        ));
    }
    if version < OLDEST {
        return Err(format!(
            "its `{VERSION}` is {version}, and this version reads {OLDEST} to {FORMAT_VERSION}: train again, or load \
             it by the version of bayesburn that wrote it"
        ));
    }
    if version == 5 {
        // Of posteriors alone, and without their kind.
        saved[KIND] = json!("posterior");
    }
    if saved[KIND] == "posterior"
        && let Some(config) = saved.get_mut("config").and_then(Value::as_object_mut)
    {
        // Before there were statistics, posteriors had none.
        config.entry("statistics").or_insert_with(|| json!("None"));
    }
    saved[VERSION] = json!(FORMAT_VERSION);
    Ok(saved)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn version_5_is_a_posterior() {
        let migrated = to_present(json!({"format_version": 5, "config": {}})).expect("it is read");
        let expected = json!({"format_version": FORMAT_VERSION, "kind": "posterior", "config": {"statistics": "None"}});
        assert_eq!(migrated, expected);
        assert_eq!(to_present(migrated.clone()).expect("the present version"), migrated);
    }

    #[test]
    fn posteriors_from_before_there_were_statistics_have_none() {
        let saved = |kind: &str, config: Value| json!({"format_version": 6, "kind": kind, "config": config});
        let config = |kind, config| to_present(saved(kind, config)).expect("it is read")["config"].clone();
        assert_eq!(config("posterior", json!({"summary": {}})), json!({"summary": {}, "statistics": "None"}));
        let automatic = json!({"statistics": "Automatic"});
        assert_eq!(config("posterior", automatic.clone()), automatic);
        assert_eq!(config("classifier", json!({})), json!({}));
    }

    #[test]
    fn versions_that_are_newer_older_or_none_are_refused_with_what_to_do() {
        let message = |saved: Value| to_present(saved).expect_err("refused");
        assert!(message(json!({"format_version": 999})).contains("a newer one"));
        assert!(message(json!({"format_version": 4})).contains("train again"));
        assert!(message(json!({"format_version": "six"})).contains("\"six\""));
        assert!(message(json!({})).contains("null"));
    }
}
