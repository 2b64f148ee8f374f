//! The command line: what clap reads, and what `--help` says.

use bayesburn_io::{Heading, TableOptions};
use bayesburn_networks::device;
use burn::tensor::Device;
use clap::{Args, Parser, Subcommand, ValueEnum};
use clap_complete::Shell;
use std::path::PathBuf;

const EXAMPLES: &str = "\
Examples:
  bayesburn info out/quickstart
  bayesburn sample out/quickstart --data observed.npy --out draws.nc
  bayesburn diagnose --draws draws.npz --truths truths.csv --html report.html

Exit codes: 0 if all is well, 1 if a posterior was judged and failed, 2 if a command could not run.";

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
    /// Print what a machine reads: JSON, on standard output.
    #[arg(long, global = true)]
    pub(crate) json: bool,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Say what a posterior is: its parameters, data, networks and training.
    Info(Posterior),
    /// Draw from the posterior of observed data.
    #[command(after_help = OF_SAMPLE)]
    Sample(Sample),
    /// Evaluate the posterior's log density.
    #[command(after_help = OF_LOG_PROB)]
    LogProb(LogProb),
    /// Judge draws of any tool by the parameters that the data were simulated of.
    #[command(after_help = OF_DIAGNOSE)]
    Diagnose(Diagnose),
    /// Show a report that was saved as JSON, in other formats.
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
    /// A folder: a saved posterior, a checkpoint, or one that holds checkpoints or an inference's posteriors, of which the newest is taken.
    pub(crate) posterior: PathBuf,
}

#[derive(Debug, Args)]
pub(crate) struct Observed {
    /// Observed data as .npy, .npz, .safetensors or .csv, whose columns are found by their headings; of an archive with several arrays,
    /// FILE:NAME. For a network that pools
    /// observations [N, F], or [M, N, F] for M data sets; for others one data set as it was simulated, or M of them along a first axis.
    /// May be left out for a posterior with an observation of its own.
    #[arg(long, value_name = "FILE")]
    pub(crate) data: Option<PathBuf>,
    /// What the network is told beside the data, [C] or [M, C]. Not needed for the number of observations alone, which the data tell. A
    /// configurator of the training program's own is not known here: give data and this as it makes them.
    #[arg(long, value_name = "FILE")]
    pub(crate) direct: Option<PathBuf>,
    /// Take data of a number of observations that networks trained on one number alone never saw. The posterior may then be wrong.
    #[arg(long)]
    pub(crate) any_num_observations: bool,
    #[command(flatten)]
    pub(crate) tables: Tables,
}

#[derive(Debug, Args)]
pub(crate) struct Tables {
    /// What a first row of numbers is, in each .csv: a heading (yes) or data (no). If left out, what it looks like, and an error where that is
    /// in doubt.
    #[arg(long, value_name = "yes|no", value_enum, hide_possible_values = true)]
    pub(crate) header: Option<Header>,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
pub(crate) enum Header {
    Yes,
    No,
}

impl Tables {
    /// How tables are read of which nothing else is known.
    pub(crate) fn options(&self) -> TableOptions {
        TableOptions::new().with_heading(match self.header {
            None => Heading::Detect,
            Some(Header::Yes) => Heading::Present,
            Some(Header::No) => Heading::Absent,
        })
    }
}

#[derive(Debug, Args)]
pub(crate) struct Compute {
    /// Where the networks are computed: flex, the processor, or cuda or cuda:N, a GPU, if this program was built with it.
    #[arg(long, value_name = "DEVICE", default_value = "flex", value_parser = device)]
    pub(crate) device: Device,
}

#[derive(Debug, Args)]
pub(crate) struct Sample {
    #[command(flatten)]
    pub(crate) posterior: Posterior,
    #[command(flatten)]
    pub(crate) observed: Observed,
    #[command(flatten)]
    pub(crate) compute: Compute,
    /// Draws for each data set.
    #[arg(long, value_name = "L", default_value_t = 1000)]
    pub(crate) draws: usize,
    /// The seed of the draws: the same seed gives the same draws. Runs with the same seed use the same random numbers for other data too: to
    /// check calibration, put all data sets into one file, or give each run a seed of its own.
    #[arg(long, value_name = "S", default_value_t = 0)]
    pub(crate) seed: u64,
    /// Where draws go: .npz or .safetensors with an array [M, L] for each parameter, .nc for ArviZ, .csv with a column for each, or .npy
    /// [M, L, D].
    #[arg(long, value_name = "FILE")]
    pub(crate) out: PathBuf,
}

#[derive(Debug, Args)]
pub(crate) struct LogProb {
    #[command(flatten)]
    pub(crate) posterior: Posterior,
    #[command(flatten)]
    pub(crate) observed: Observed,
    #[command(flatten)]
    pub(crate) compute: Compute,
    /// Parameters: a row for each data set, or any number of rows for one data set; columns by name, or in the posterior's order.
    #[arg(long, value_name = "FILE")]
    pub(crate) parameters: PathBuf,
    /// Where the log densities go, .npy or .csv; standard output if left out.
    #[arg(long, value_name = "FILE")]
    pub(crate) out: Option<PathBuf>,
}

#[derive(Debug, Args)]
pub(crate) struct Reports {
    /// Write the report as one HTML page, with figures where draws are at hand.
    #[arg(long, value_name = "FILE.html")]
    pub(crate) html: Option<PathBuf>,
    /// Write the report as Markdown, for a pull request.
    #[arg(long, value_name = "FILE.md")]
    pub(crate) markdown: Option<PathBuf>,
    /// Write the report as JUnit XML, for CI.
    #[arg(long, value_name = "FILE.xml")]
    pub(crate) junit: Option<PathBuf>,
}

#[derive(Debug, Args)]
pub(crate) struct Diagnose {
    /// Posterior draws [M, L, D] of M simulated data sets, 20 or more: .npy, or with names .npz, .safetensors, or .csv with the columns
    /// data_set and those of the parameters.
    #[arg(long, value_name = "FILE")]
    pub(crate) draws: PathBuf,
    /// The parameters of which they were simulated, [M, D].
    #[arg(long, value_name = "FILE")]
    pub(crate) truths: PathBuf,
    /// The data sets, [M, F] or [M, N, F]: without them draws of the prior pass as well.
    #[arg(long, value_name = "FILE")]
    pub(crate) data: Option<PathBuf>,
    /// The posterior's log density of the truths, [M].
    #[arg(long, value_name = "FILE")]
    pub(crate) log_prob: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) tables: Tables,
    /// What the report is called.
    #[arg(long, value_name = "TEXT", default_value = "Calibration")]
    pub(crate) title: String,
    /// The most that an exact posterior fails.
    #[arg(long, value_name = "P", default_value_t = 0.01)]
    pub(crate) alpha: f64,
    /// The seed of what the checks have of chance.
    #[arg(long, value_name = "S", default_value_t = 0)]
    pub(crate) seed: u64,
    /// A report as JSON that this one is compared with.
    #[arg(long, value_name = "FILE.json")]
    pub(crate) baseline: Option<PathBuf>,
    /// How much worse than the baseline it may be.
    #[arg(long, value_name = "X", default_value_t = 0.05, requires = "baseline")]
    pub(crate) drift: f64,
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
    /// The mean of -ln q of the truths is at most this.
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
    /// Where the weights go, .npz or .safetensors; what the networks are goes beside, as .json. Files that are there are replaced.
    #[arg(long, value_name = "FILE")]
    pub(crate) out: PathBuf,
}

/// A number that a limit can be.
fn finite(text: &str) -> Result<f64, String> {
    let number: f64 = text.parse().map_err(|_| "no number".to_owned())?;
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
