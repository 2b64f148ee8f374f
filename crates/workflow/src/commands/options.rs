//! Defines the options that several commands have.

use bayesburn_diagnostics::{DiagnosticsSuite, Limit, Metrics, ReportError};
use bayesburn_io::{Heading, TableOptions, check_draws_path};
use clap::{
    Args, ValueEnum,
    builder::{PathBufValueParser, TypedValueParser},
};
use std::path::PathBuf;

/// How much worse than a baseline a posterior may be, by default: contraction, errors and coverage of 1,000 data sets
/// vary by some 0.02.
const DRIFT: f64 = 0.05;

/// Where networks are computed.
#[derive(Debug, Clone, PartialEq, Eq, Default, Args)]
pub struct DeviceOption {
    /// Where the networks are computed: flex (the processor), ndarray, or cuda or cuda:N (a GPU, if the program was
    /// built with it).
    #[arg(long, value_name = "DEVICE", global = true)]
    pub device: Option<String>,
}

/// How tables are read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Args)]
pub struct Tables {
    /// Whether the first row of each .csv is a heading (yes) or data (no). If left out, this is detected, and an error
    /// where it is in doubt.
    #[arg(long, value_name = "yes|no", value_enum, hide_possible_values = true)]
    pub header: Option<Header>,
}

/// Whether a table has a heading.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Header {
    /// The first row is a heading.
    Yes,
    /// The first row is data.
    No,
}

impl Tables {
    /// The same for a reader of tables.
    #[must_use]
    pub fn options(self) -> TableOptions {
        TableOptions::new().with_heading(match self.header {
            None => Heading::Detect,
            Some(Header::Yes) => Heading::Present,
            Some(Header::No) => Heading::Absent,
        })
    }
}

/// How many draws, from which seed, and where to.
#[derive(Debug, Clone, PartialEq, Eq, Args)]
pub struct Drawing {
    /// Draws for each data set.
    #[arg(long, value_name = "L", default_value_t = 1000)]
    pub draws: usize,
    /// The seed of the draws: the same seed gives the same draws. Runs with one seed use the same random numbers for
    /// other data too: to check calibration, put all data sets into one file, or give each run a seed of its own.
    #[arg(long, value_name = "S", default_value_t = 0)]
    pub seed: u64,
    /// Where draws go: .npz or .safetensors with an array [M, L] for each parameter, .nc (NetCDF) for ArviZ, .csv with
    /// a column for each parameter, or .npy [M, L, D].
    #[arg(long, value_name = "FILE", value_parser = PathBufValueParser::new().try_map(draws_path))]
    pub out: PathBuf,
}

/// What a posterior is judged by.
#[derive(Debug, Clone, PartialEq, Default, Args)]
pub struct Judging {
    /// The probability with which an exact posterior may fail [default: 0.01].
    #[arg(long, value_name = "P", value_parser = probability)]
    pub alpha: Option<f64>,
    /// The seed of everything that is random [default: 0].
    #[arg(long, value_name = "S")]
    pub seed: Option<u64>,
    /// A report, saved as .json, to compare this one with.
    #[arg(long, value_name = "FILE.json")]
    pub baseline: Option<PathBuf>,
    /// How much worse than the baseline the numbers may be [default: 0.05].
    #[arg(long, value_name = "X", value_parser = at_least_zero, requires = "baseline")]
    pub drift: Option<f64>,
}

impl Judging {
    /// The suite with these settings, where they are given, and the baseline.
    ///
    /// # Errors
    /// A baseline that cannot be read, or is not a report.
    pub fn apply(&self, mut suite: DiagnosticsSuite) -> Result<(DiagnosticsSuite, Option<Metrics>), ReportError> {
        if let Some(alpha) = self.alpha {
            suite = suite.with_alpha(alpha);
        }
        if let Some(seed) = self.seed {
            suite = suite.with_seed(seed);
        }
        let baseline = self.baseline.as_ref().map(Metrics::of_saved_report).transpose()?;
        if let Some(baseline) = &baseline {
            let by = self.drift.unwrap_or(DRIFT);
            suite = suite.with_limit(Limit::DriftAtMost { baseline: baseline.clone(), by });
        }
        Ok((suite, baseline))
    }
}

/// Where reports are written.
#[derive(Debug, Clone, PartialEq, Eq, Default, Args)]
pub struct Reports {
    /// Write the report as one HTML page, with figures if the draws are at hand.
    #[arg(long, value_name = "FILE.html", value_parser = ending("html"))]
    pub html: Option<PathBuf>,
    /// Write the report as Markdown, for a pull request.
    #[arg(long, value_name = "FILE.md", value_parser = ending("md"))]
    pub markdown: Option<PathBuf>,
    /// Write the report as JUnit XML, for CI.
    #[arg(long, value_name = "FILE.xml", value_parser = ending("xml"))]
    pub junit: Option<PathBuf>,
}

impl Reports {
    /// The paths that were given.
    pub fn paths(&self) -> impl Iterator<Item = &PathBuf> {
        [&self.html, &self.markdown, &self.junit].into_iter().flatten()
    }
}

/// A path that ends in this.
pub(crate) fn ending(extension: &'static str) -> impl TypedValueParser<Value = PathBuf> {
    PathBufValueParser::new().try_map(move |path: PathBuf| {
        match path.extension().is_some_and(|given| given.eq_ignore_ascii_case(extension)) {
            true => Ok(path),
            false => Err(format!("end the path in .{extension}")),
        }
    })
}

fn draws_path(path: PathBuf) -> Result<PathBuf, bayesburn_io::IoError> {
    check_draws_path(&path).map(|()| path)
}

fn number(text: &str) -> Result<f64, String> {
    text.parse().map_err(|_| "give a number".to_owned())
}

fn probability(text: &str) -> Result<f64, String> {
    let number = number(text)?;
    let holds = number > 0.0 && number < 1.0;
    if holds { Ok(number) } else { Err("give a probability above 0 and below 1, such as 0.01".to_owned()) }
}

fn at_least_zero(text: &str) -> Result<f64, String> {
    let number = number(text)?;
    if number >= 0.0 && number.is_finite() { Ok(number) } else { Err("give a finite number, 0 or larger".to_owned()) }
}
