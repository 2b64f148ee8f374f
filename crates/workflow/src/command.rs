//! Reads the commands of a workflow from a command line.

use crate::WorkflowError;
use bayesburn_io::{Heading, check_draws_path};
use lexopt::{
    Arg::{Long, Short, Value},
    ValueExt,
};
use std::{ffi::OsString, path::PathBuf};

/// What `help` prints after the name of the program.
pub const HELP: &str = "\
Commands:
    train                 trains from the beginning; refuses where something was trained before
        --force           sets what was trained before aside, in checkpoints.before
    resume                goes on from the newest checkpoint
    diagnose              judges the posterior by simulated data sets; trains first what was not trained to its end
        --data-sets M     data sets                                          [1000]
        --draws L         posterior draws for each                           [1000]
        --seed S          seed of data sets, draws and checks                [0]
        --alpha P         the most that an exact posterior fails             [0.01]
        --baseline FILE   a report as .json that this one is compared with
        --drift X         how much worse than the baseline it may be         [0.05]
        --html FILE  --markdown FILE  --json FILE  --junit FILE.xml          writes the report
    sample                draws from the posterior of observed data
        --data FILE       [N, F] or [M, N, F] as .npy, .npz or .safetensors, or .csv with a row for each of N observations; N is 1 for data
                          that are one vector; columns of a .csv are found by their headings, if the model's features have names
        --header yes|no   what a first row of numbers is, in each .csv: a heading or data; an error, if it is in doubt
        --batchable-context FILE      the simulator's context, [M, ...]
        --non-batchable-context FILE  the same, shared by all data sets; not needed if it is N alone
        --any-num-observations        takes data of a number of observations that the networks never saw
        --draws L         draws for each data set                            [1000]
        --seed S          seed of the draws                                  [0]
        --out FILE        .npz, .safetensors or .nc (NetCDF, for ArviZ) with an array for each parameter, .csv with a column for each, or
                          .npy [M, L, D]
    info                  what the model, the networks and the training are
    help                  this text
Options of all commands:
    --folder FOLDER       where checkpoints and results are
    --device DEVICE       where networks are computed: flex, ndarray or cuda[:N]

`diagnose` leaves with 0 if everything passed, 1 if something failed, and 2 if it could not run; other commands with 0 or 2.
";

/// One command.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub enum Command {
    /// Train from the beginning.
    Train {
        /// Whether to set aside what was trained before.
        force: bool,
    },
    /// Go on from the newest checkpoint.
    Resume,
    /// Judge the posterior.
    Diagnose(DiagnoseOptions),
    /// Draw from the posterior of observed data.
    Sample(SampleOptions),
    /// Describe model, networks and training.
    Info,
    /// List the commands.
    Help,
}

/// Options of `diagnose`; where one is not set, the workflow's own holds.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct DiagnoseOptions {
    /// M, the number of data sets.
    pub data_sets: Option<usize>,
    /// L, the number of draws for each.
    pub draws: Option<usize>,
    /// The seed of data sets, draws and checks.
    pub seed: Option<u64>,
    /// The suite's false-alarm rate.
    pub alpha: Option<f64>,
    /// A report, saved as JSON, to compare with.
    pub baseline: Option<PathBuf>,
    /// By how much numbers may be worse than the baseline's.
    pub drift: Option<f64>,
    /// Where reports go; the format is that of the path.
    pub reports: Vec<PathBuf>,
}

/// Options of `sample`.
#[derive(Debug, Clone, PartialEq)]
pub struct SampleOptions {
    /// The observed data.
    pub data: PathBuf,
    /// The simulator's batchable context.
    pub batchable_context: Option<PathBuf>,
    /// The simulator's non-batchable context. The number of observations, if that is it, is taken from data `[M, N, F]`.
    pub non_batchable_context: Option<PathBuf>,
    /// What a first row of numbers is, in tables.
    pub heading: Heading,
    /// Whether data of a number of observations are taken that networks trained on one number alone never saw.
    pub any_num_observations: bool,
    /// L, the number of draws for each data set.
    pub draws: usize,
    /// The seed of the draws.
    pub seed: u64,
    /// Where the draws go.
    pub out: PathBuf,
}

/// Options of all commands; where one is not set, the workflow's own holds.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct CommonOptions {
    /// Where checkpoints and results are.
    pub folder: Option<PathBuf>,
    /// The name of the device that networks are computed on, see [`device`](bayesburn_networks::device).
    pub device: Option<String>,
}

/// The names of all commands.
const NAMES: [&str; 6] = ["train", "resume", "diagnose", "sample", "info", "help"];

impl Command {
    /// The command, and the options that all have, of a command line without the program's name; `None` if its first word is no command, so that a
    /// program may have a command line of its own.
    ///
    /// # Errors
    /// Unknown options, missing or unreadable values.
    ///
    /// ```
    /// use bayesburn_workflow::{Command, CommonOptions};
    ///
    /// assert_eq!(Command::read(["train", "--force"])?, Some((Command::Train { force: true }, CommonOptions::default())));
    /// assert_eq!(Command::read(["--epochs", "3"])?, None);
    /// let error = Command::read(["diagnose", "--dats", "3"]).unwrap_err();
    /// assert!(error.to_string().contains("--dats"));
    /// # Ok::<(), bayesburn_workflow::WorkflowError>(())
    /// ```
    pub fn read(
        arguments: impl IntoIterator<Item = impl Into<OsString>>,
    ) -> Result<Option<(Self, CommonOptions)>, WorkflowError> {
        let arguments: Vec<OsString> = arguments.into_iter().map(Into::into).collect();
        let name = arguments.first().and_then(|first| first.to_str()).unwrap_or_default().to_owned();
        if !NAMES.contains(&name.as_str()) {
            return Ok(None);
        }
        read(&name, lexopt::Parser::from_args(arguments.into_iter().skip(1)))
            .map(Some)
            .map_err(|error| WorkflowError::Usage { reason: error.to_string() })
    }

    /// [`Command::read`] of the program's own command line.
    ///
    /// # Errors
    /// As [`Command::read`].
    pub fn from_env() -> Result<Option<(Self, CommonOptions)>, WorkflowError> {
        Self::read(std::env::args_os().skip(1))
    }
}

fn read(name: &str, mut parser: lexopt::Parser) -> Result<(Command, CommonOptions), lexopt::Error> {
    let (mut common, mut force, mut diagnose) = (CommonOptions::default(), false, DiagnoseOptions::default());
    let (mut data, mut out, mut draws, mut seed) = (None, None, None, None);
    let (mut batchable_context, mut non_batchable_context, mut heading) = (None, None, Heading::Detect);
    let mut any_num_observations = false;
    while let Some(argument) = parser.next()? {
        match (name, argument) {
            (_, Long("folder")) => common.folder = Some(PathBuf::from(parser.value()?)),
            (_, Long("device")) => common.device = Some(parser.value()?.string()?),
            (_, Long("help") | Short('h')) => return Ok((Command::Help, CommonOptions::default())),
            ("train", Long("force")) => force = true,
            ("diagnose", Long("data-sets")) => diagnose.data_sets = Some(parser.value()?.parse()?),
            ("diagnose", Long("alpha")) => diagnose.alpha = Some(parser.value()?.parse()?),
            ("diagnose", Long("baseline")) => diagnose.baseline = Some(parser.value()?.into()),
            ("diagnose", Long("drift")) => diagnose.drift = Some(parser.value()?.parse()?),
            ("diagnose", Long(format @ ("html" | "markdown" | "json" | "junit"))) => {
                let extension = match format {
                    "markdown" => "md",
                    "junit" => "xml",
                    same => same,
                };
                let (option, extension) = (format!("--{format}"), extension.to_owned());
                let path = PathBuf::from(parser.value()?);
                if path.extension().is_none_or(|given| !given.eq_ignore_ascii_case(&extension)) {
                    let reason = format!("{option} {}: end the path in .{extension}", path.display());
                    return Err(lexopt::Error::Custom(reason.into()));
                }
                diagnose.reports.push(path);
            }
            ("diagnose" | "sample", Long("draws")) => draws = Some(parser.value()?.parse()?),
            ("diagnose" | "sample", Long("seed")) => seed = Some(parser.value()?.parse()?),
            ("sample", Long("data")) => data = Some(PathBuf::from(parser.value()?)),
            ("sample", Long("batchable-context")) => batchable_context = Some(PathBuf::from(parser.value()?)),
            ("sample", Long("non-batchable-context")) => non_batchable_context = Some(PathBuf::from(parser.value()?)),
            ("sample", Long("any-num-observations")) => any_num_observations = true,
            ("sample", Long("header")) => {
                heading = match parser.value()?.string()?.as_str() {
                    "yes" => Heading::Present,
                    "no" => Heading::Absent,
                    other => return Err(lexopt::Error::Custom(format!("--header {other}: give yes or no").into())),
                }
            }
            ("sample", Long("out")) => out = Some(PathBuf::from(parser.value()?)),
            (_, Value(value)) => return Err(lexopt::Error::UnexpectedArgument(value)),
            (_, argument) => return Err(argument.unexpected()),
        }
    }
    let needed = |option: &'static str, value: Option<PathBuf>| {
        value.ok_or_else(|| lexopt::Error::Custom(format!("`sample` needs {option} FILE").into()))
    };
    if diagnose.alpha.is_some_and(|alpha| !(alpha > 0.0 && alpha < 1.0)) {
        return Err(lexopt::Error::Custom("--alpha is a probability above 0 and below 1, such as 0.01".into()));
    }
    if diagnose.drift.is_some_and(|drift| !(drift >= 0.0 && drift.is_finite())) {
        return Err(lexopt::Error::Custom("--drift is a number from 0 on".into()));
    }
    if diagnose.drift.is_some() && diagnose.baseline.is_none() {
        return Err(lexopt::Error::Custom("--drift needs --baseline FILE".into()));
    }
    if let Some(Err(error)) = out.as_ref().map(check_draws_path) {
        return Err(lexopt::Error::Custom(format!("--out {error}").into()));
    }
    let command = match name {
        "train" => Command::Train { force },
        "resume" => Command::Resume,
        "diagnose" => Command::Diagnose(DiagnoseOptions { draws, seed, ..diagnose }),
        "sample" => Command::Sample(SampleOptions {
            data: needed("--data", data)?,
            batchable_context,
            non_batchable_context,
            heading,
            any_num_observations,
            draws: draws.unwrap_or(1000),
            seed: seed.unwrap_or(0),
            out: needed("--out", out)?,
        }),
        "info" => Command::Info,
        _ => Command::Help,
    };
    Ok((command, common))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn command(line: &str) -> Command {
        Command::read(line.split(' ')).expect("understood").expect("a command").0
    }

    #[test]
    fn options_are_read() {
        let Command::Diagnose(options) = command(
            "diagnose --data-sets 50 --draws=20 --seed 3 --alpha 0.05 --junit a/b.xml --html c.html --baseline d.json --drift 0.2",
        ) else {
            panic!("another command");
        };
        assert_eq!((options.data_sets, options.draws, options.seed), (Some(50), Some(20), Some(3)));
        assert_eq!((options.alpha, options.drift), (Some(0.05), Some(0.2)));
        assert_eq!(options.reports, [PathBuf::from("a/b.xml"), PathBuf::from("c.html")]);
        let Command::Sample(options) = command("sample --data x.npy --out y.csv") else { panic!("another command") };
        assert_eq!((options.draws, options.seed, options.heading), (1000, 0, Heading::Detect));
        assert_eq!(command("info --help"), Command::Help);
        let line = ["resume", "--folder", "f", "--device", "cuda:1"];
        let (_, common) = Command::read(line).expect("understood").expect("a command");
        assert_eq!(common, CommonOptions { folder: Some("f".into()), device: Some("cuda:1".into()) });
        assert_eq!(Command::read(["--quick"]).expect("understood"), None);
        assert_eq!(Command::read(Vec::<OsString>::new()).expect("understood"), None);
    }

    #[test]
    fn what_is_not_understood_is_named() {
        for (line, part) in [
            ("train --draws 3", "--draws"),
            ("sample --out y.csv", "needs --data"),
            ("diagnose --junit report.html", "end the path in .xml"),
            ("diagnose --alpha much", "much"),
            ("diagnose --alpha 2", "below 1"),
            ("diagnose --drift 0.1", "--baseline"),
            ("diagnose --baseline a.json --drift NaN", "from 0 on"),
            ("sample --data x.npy --out y.txt", ".safetensors or .nc"),
            ("sample --header maybe", "yes or no"),
            ("info now", "now"),
            ("diagnose --data-sets", "data-sets"),
        ] {
            let error = Command::read(line.split(' ')).expect_err(line).to_string();
            assert!(error.contains(part) && error.contains("`help` lists"), "{line}: {error}");
        }
    }
}
