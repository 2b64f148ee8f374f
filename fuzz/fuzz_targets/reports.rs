//! Reports that were saved as JSON, shown in every format.
#![no_main]

use bayesburn_diagnostics::{Metrics, Report};
use libfuzzer_sys::fuzz_target;
use std::{fs, sync::LazyLock};

static FOLDER: LazyLock<tempfile::TempDir> = LazyLock::new(|| tempfile::tempdir_in("/dev/shm").expect("memory"));

fuzz_target!(|data: &[u8]| {
    let path = FOLDER.path().join("report.json");
    fs::write(&path, data).expect("written");
    let _ = Metrics::of_saved_report(&path);
    if let Ok(report) = Report::load(&path) {
        let _ = (report.to_string(), report.to_html(), report.to_markdown(), report.to_junit(), report.to_json());
    }
});
