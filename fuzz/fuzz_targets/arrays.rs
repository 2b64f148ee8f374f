//! Files of observed data, draws and parameters. The first byte says of which format; the rest is the file.
#![no_main]

use bayesburn_io::{
    Heading, Missing, TableOptions, read_array, read_arrays, read_draws, read_draws_and_truths, read_observations,
    read_parameters,
};
use libfuzzer_sys::fuzz_target;
use std::{fs, path::PathBuf, sync::LazyLock};

static FOLDER: LazyLock<tempfile::TempDir> = LazyLock::new(|| tempfile::tempdir_in("/dev/shm").expect("memory"));

fuzz_target!(|data: &[u8]| {
    let Some((format, content)) = data.split_first() else { return };
    let name = ["a.npy", "a.npz", "a.csv", "a.safetensors"][*format as usize % 4];
    let path: PathBuf = FOLDER.path().join(name);
    fs::write(&path, content).expect("written");
    let plain = TableOptions::new();
    let known = plain.clone().with_columns(["a", "b"]).with_others(1).with_missing(Missing::Nan);
    for options in [&plain, &known, &plain.clone().with_heading(Heading::Present)] {
        let _ = (read_array(&path, options), read_observations(&path, options), read_draws(&path, options));
        let _ = read_draws_and_truths(&path, &path, options);
        let _ = read_parameters(&path, &["a".to_owned(), "b".to_owned()].into(), options);
    }
    let _ = (read_arrays(&path), read_array(FOLDER.path().join(format!("{name}:a")), &plain));
});
