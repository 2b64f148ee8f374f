//! The command line: what clap reads, and what `--help` says.

use bayesburn_io::{IoError, check_values_path};
use bayesburn_workflow::{
    commands::{DeviceOption, Drawing, Judging, Reports, Tables},
    saved::ObservedOptions,
};
use clap::{
    Args, Parser, Subcommand,
    builder::{PathBufValueParser, TypedValueParser},
};
use clap_complete::Shell;
use std::path::PathBuf;

const EXAMPLES: &str = "\
Examples:
  bayesburn info out/quickstart
  bayesburn sample out/quickstart --data observed.npy --out draws.nc
  bayesburn diagnose --draws draws.npz --truths truths.csv --html report.html

Exit codes: 0 if a command ran, 1 if a posterior was judged and failed, 2 if a command could not run.";

const OF_SAMPLE: &str = "\
Examples:
  bayesburn sample out/quickstart --data observed.csv --out draws.csv
  bayesburn sample posterior/ --data many.npz:x --draws 5000 --seed 7 --out draws.npz
  python -c \"import arviz; print(arviz.summary(arviz.from_netcdf('draws.nc')))\"";

const OF_LOG_PROB: &str = "\
Examples:
  bayesburn log-prob out/quickstart --data observed.npy --parameters theta.csv
  bayesburn log-prob posterior/ --data many.npy --parameters theta.npy --out log_prob.npy";

const OF_DIAGNOSE: &str = "\
Examples:
  bayesburn diagnose --draws draws.npz --truths truths.npz --junit out/junit.xml --html out/report.html
  bayesburn diagnose --draws draws.npy --truths truths.npy --data observed.npy --contraction-at-least 0.5
  bayesburn diagnose --draws draws.npz --truths truths.npz --json > baseline.json
  bayesburn diagnose --draws new.npz --truths truths.npz --baseline baseline.json --drift 0.05";

const OF_REPORT: &str = "\
Examples:
  bayesburn report out/report.json
  bayesburn report out/report.json --markdown summary.md --junit junit.xml";

const OF_EXPORT: &str = "\
Examples:
  bayesburn export out/quickstart --out weights.npz
  python -c \"import numpy; print({k: v.shape for k, v in numpy.load('weights.npz').items()})\"";

const OF_COMPLETIONS: &str = "\
Examples:
  bayesburn completions bash > ~/.local/share/bash-completion/completions/bayesburn
  bayesburn completions zsh > ~/.zfunc/_bayesburn";

/// Works with trained posteriors, without the program that trained them.
#[derive(Debug, Parser)]
#[command(name = "bayesburn", version, after_help = EXAMPLES, arg_required_else_help = true)]
pub(crate) struct Arguments {
    #[command(subcommand)]
    pub(crate) command: Command,
    /// Print JSON on standard output, for other programs.
    #[arg(long, global = true)]
    pub(crate) json: bool,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Describe a saved amortizer: its kind, parameters, data, networks and training.
    Info(Posterior),
    /// Draw from the posterior of observed data.
    #[command(after_help = OF_SAMPLE)]
    Sample(Sample),
    /// Evaluate the posterior's log density.
    #[command(after_help = OF_LOG_PROB)]
    LogProb(LogProb),
    /// Judge draws of any tool, given the parameters that simulated the data.
    #[command(after_help = OF_DIAGNOSE)]
    Diagnose(Diagnose),
    /// Show a report that was saved as JSON, or write it in other formats.
    #[command(after_help = OF_REPORT)]
    Report(Report),
    /// Write the weights for other programs.
    #[command(after_help = OF_EXPORT)]
    Export(Export),
    /// Print the completions of a shell.
    #[command(after_help = OF_COMPLETIONS)]
    Completions {
        /// Which shell.
        shell: Shell,
    },
}

#[derive(Debug, Args)]
pub(crate) struct Posterior {
    /// A folder: a saved posterior, a checkpoint, or one that holds checkpoints or an inference's posteriors, of which
    /// the newest is taken.
    pub(crate) posterior: PathBuf,
}

#[derive(Debug, Args)]
pub(crate) struct Sample {
    #[command(flatten)]
    pub(crate) posterior: Posterior,
    #[command(flatten)]
    pub(crate) observed: ObservedOptions,
    #[command(flatten)]
    pub(crate) device: DeviceOption,
    #[command(flatten)]
    pub(crate) drawing: Drawing,
}

#[derive(Debug, Args)]
pub(crate) struct LogProb {
    #[command(flatten)]
    pub(crate) posterior: Posterior,
    #[command(flatten)]
    pub(crate) observed: ObservedOptions,
    #[command(flatten)]
    pub(crate) device: DeviceOption,
    /// Parameters: a row for each data set, or any number of rows for one data set; columns by name, or in the
    /// posterior's order.
    #[arg(long, value_name = "FILE")]
    pub(crate) parameters: PathBuf,
    /// Where the log densities go, .npy or .csv; standard output if left out.
    #[arg(long, value_name = "FILE", value_parser = PathBufValueParser::new().try_map(values_path))]
    pub(crate) out: Option<PathBuf>,
}

#[derive(Debug, Args)]
pub(crate) struct Diagnose {
    /// Posterior draws [M, L, D] of M simulated data sets, 20 or more: .npy, or with names .npz, .safetensors, or .csv
    /// with the columns data_set and those of the parameters.
    #[arg(long, value_name = "FILE")]
    pub(crate) draws: PathBuf,
    /// The parameters that simulated them, [M, D].
    #[arg(long, value_name = "FILE")]
    pub(crate) truths: PathBuf,
    /// The data sets, [M, F] or [M, N, F]. Without them, draws of the prior pass as well.
    #[arg(long, value_name = "FILE")]
    pub(crate) data: Option<PathBuf>,
    /// The posterior's log density of the truths, [M].
    #[arg(long, value_name = "FILE")]
    pub(crate) log_prob: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) tables: Tables,
    /// The title of the report.
    #[arg(long, value_name = "TEXT", default_value = "Calibration")]
    pub(crate) title: String,
    #[command(flatten)]
    pub(crate) judging: Judging,
    /// Each parameter's contraction is at least this.
    #[arg(long, value_name = "X", value_parser = finite)]
    pub(crate) contraction_at_least: Option<f64>,
    /// Each parameter's root mean squared error, as a share of that of prior draws, is at most this.
    #[arg(long, value_name = "X", value_parser = finite)]
    pub(crate) nrmse_at_most: Option<f64>,
    /// Each parameter's bias, in posterior standard deviations, is at most this.
    #[arg(long, value_name = "X", value_parser = finite)]
    pub(crate) bias_at_most: Option<f64>,
    /// Each parameter's calibration error is at most this.
    #[arg(long, value_name = "X", value_parser = finite)]
    pub(crate) calibration_error_at_most: Option<f64>,
    /// The mean of -ln q of the true parameters is at most this.
    #[arg(long, value_name = "X", value_parser = finite, requires = "log_prob", allow_negative_numbers = true)]
    pub(crate) nll_at_most: Option<f64>,
    #[command(flatten)]
    pub(crate) reports: Reports,
}

#[derive(Debug, Args)]
pub(crate) struct Report {
    /// A report as JSON.
    pub(crate) report: PathBuf,
    #[command(flatten)]
    pub(crate) reports: Reports,
}

#[derive(Debug, Args)]
pub(crate) struct Export {
    #[command(flatten)]
    pub(crate) posterior: Posterior,
    /// Where the weights go, .npz or .safetensors; a description of the networks goes beside them, as .json. Existing
    /// files are replaced.
    #[arg(long, value_name = "FILE")]
    pub(crate) out: PathBuf,
}

/// A path that log densities can be written to.
fn values_path(path: PathBuf) -> Result<PathBuf, IoError> {
    check_values_path(&path).map(|()| path)
}

/// A number that a limit can be.
fn finite(text: &str) -> Result<f64, String> {
    let number: f64 = text.parse().map_err(|_| "give a number".to_owned())?;
    if number.is_finite() { Ok(number) } else { Err("give a finite number".to_owned()) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn the_command_line_is_sound() {
        Arguments::command().debug_assert();
    }
}
