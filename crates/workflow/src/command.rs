//! Reads the commands of a workflow from a command line.

use crate::{
    WorkflowError,
    commands::{DeviceOption, Drawing, EXIT_CODES, Judging, Reports, Tables, ending},
};
use clap::{Args, CommandFactory, Parser, Subcommand, error::ErrorKind};
use std::{ffi::OsString, path::PathBuf};

/// One command.
#[derive(Debug, Clone, PartialEq, Subcommand)]
#[non_exhaustive]
pub enum Command {
    /// Train from the beginning; refuse where something was trained before.
    Train {
        /// Train anew. The earlier training is moved to checkpoints.before-N.
        #[arg(long)]
        force: bool,
    },
    /// Continue the training from its newest checkpoint.
    Resume,
    /// Judge the posterior by simulated data sets; first complete its training.
    Diagnose(DiagnoseOptions),
    /// Draw from the posterior of observed data.
    Sample(SampleOptions),
    /// Describe the model, the networks and the training.
    Info,
    /// Print this help, or that of a command.
    Help {
        /// The command.
        command: Option<String>,
    },
}

/// Options of `diagnose`; where one is not set, the workflow's own holds.
#[derive(Debug, Clone, PartialEq, Default, Args)]
pub struct DiagnoseOptions {
    /// Data sets [default: 1000].
    #[arg(long, value_name = "M")]
    pub data_sets: Option<usize>,
    /// Posterior draws for each data set [default: 1000].
    #[arg(long, value_name = "L")]
    pub draws: Option<usize>,
    /// False-alarm rate, seed and baseline.
    #[command(flatten)]
    pub judging: Judging,
    /// Where reports are written.
    #[command(flatten)]
    pub reports: Reports,
    /// Write the report as JSON, for a baseline or another program.
    #[arg(long, value_name = "FILE.json", value_parser = ending("json"))]
    pub json: Option<PathBuf>,
}

/// Options of `sample`.
#[derive(Debug, Clone, PartialEq, Args)]
pub struct SampleOptions {
    /// Observed data: [N, F] or [M, N, F] as .npy, .npz or .safetensors, or .csv with a row for each of N observations;
    /// N is 1 for data that are one vector. Columns of a .csv are found by their headings, if the model's features have
    /// names.
    #[arg(long, value_name = "FILE")]
    pub data: PathBuf,
    /// The simulator's batchable context, [M, ...].
    #[arg(long, value_name = "FILE")]
    pub batchable_context: Option<PathBuf>,
    /// The simulator's non-batchable context, shared by all data sets. Not needed if it is the number of observations
    /// alone.
    #[arg(long, value_name = "FILE")]
    pub non_batchable_context: Option<PathBuf>,
    /// Take data of a number of observations that the networks were never trained on. The posterior may then be wrong.
    #[arg(long)]
    pub any_num_observations: bool,
    /// How tables are read.
    #[command(flatten)]
    pub tables: Tables,
    /// Draws, their seed, and where they go.
    #[command(flatten)]
    pub drawing: Drawing,
}

/// Options of all commands; where one is not set, the workflow's own holds.
#[derive(Debug, Clone, PartialEq, Eq, Default, Args)]
pub struct CommonOptions {
    /// Where checkpoints and results are.
    #[arg(long, value_name = "FOLDER", global = true)]
    pub folder: Option<PathBuf>,
    /// Where networks are computed, see [`device`](bayesburn_networks::device).
    #[command(flatten)]
    pub device: DeviceOption,
}

#[derive(Debug, Parser)]
#[command(no_binary_name = true, disable_help_subcommand = true, disable_version_flag = true, after_help = EXIT_CODES)]
struct Line {
    #[command(flatten)]
    common: CommonOptions,
    #[command(subcommand)]
    command: Command,
}

impl Command {
    /// The command, and the options that all have, of a command line without the program's name; `None` if its first
    /// word is no command, so that a program may have a command line of its own.
    ///
    /// # Errors
    /// Unknown options, missing or unreadable values.
    ///
    /// ```
    /// use bayesburn_workflow::{Command, CommonOptions};
    ///
    /// let train = Command::read(["train", "--force"])?;
    /// assert_eq!(train, Some((Command::Train { force: true }, CommonOptions::default())));
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
        if !Line::command().get_subcommands().any(|command| command.get_name() == name) {
            return Ok(None);
        }
        match Line::try_parse_from(arguments) {
            Ok(Line { command, common }) => Ok(Some((command, common))),
            Err(error) if error.kind() == ErrorKind::DisplayHelp => {
                Ok(Some((Self::Help { command: Some(name) }, CommonOptions::default())))
            }
            Err(error) => Err(WorkflowError::Usage { reason: reason(&error) }),
        }
    }

    /// [`Command::read`] of the program's own command line.
    ///
    /// # Errors
    /// As [`Command::read`].
    pub fn from_env() -> Result<Option<(Self, CommonOptions)>, WorkflowError> {
        Self::read(std::env::args_os().skip(1))
    }

    /// The help of a program's commands, or of one of them.
    ///
    /// # Errors
    /// A command that does not exist.
    pub fn help(program: &str, command: Option<&str>) -> Result<String, WorkflowError> {
        let mut line = Line::command().bin_name(program);
        line.build();
        let Some(name) = command.filter(|name| *name != "help") else { return Ok(line.render_help().to_string()) };
        match line.find_subcommand_mut(name) {
            Some(command) => Ok(command.render_long_help().to_string()),
            None => Err(WorkflowError::Usage { reason: format!("`{name}` is not a command") }),
        }
    }
}

/// What is wrong with a command line, in one line and without usage.
fn reason(error: &clap::Error) -> String {
    let text = error.to_string();
    let what = text.split("\n\nUsage:").next().unwrap_or_default().split("\n\nFor more").next().unwrap_or_default();
    what.trim_start_matches("error:").split_whitespace().collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::commands::Header;

    fn command(line: &str) -> Command {
        Command::read(line.split(' ')).expect("understood").expect("a command").0
    }

    #[test]
    fn the_command_line_is_sound() {
        Line::command().debug_assert();
    }

    #[test]
    fn options_are_read() {
        let Command::Diagnose(options) = command(
            "diagnose --data-sets 50 --draws=20 --seed 3 --alpha 0.05 --junit a/b.xml --html c.html --baseline d.json \
             --drift 0.2",
        ) else {
            panic!("another command");
        };
        assert_eq!((options.data_sets, options.draws, options.judging.seed), (Some(50), Some(20), Some(3)));
        assert_eq!((options.judging.alpha, options.judging.drift), (Some(0.05), Some(0.2)));
        let paths: Vec<_> = options.reports.paths().cloned().collect();
        assert_eq!(paths, [PathBuf::from("c.html"), PathBuf::from("a/b.xml")]);
        let Command::Sample(options) = command("sample --data x.npy --out y.csv --header no") else {
            panic!("another command")
        };
        assert_eq!((options.drawing.draws, options.drawing.seed, options.tables.header), (1000, 0, Some(Header::No)));
        assert_eq!(command("info --help"), Command::Help { command: Some("info".to_owned()) });
        assert_eq!(command("help sample"), Command::Help { command: Some("sample".to_owned()) });
        let line = ["resume", "--folder", "f", "--device", "cuda:1"];
        let (_, common) = Command::read(line).expect("understood").expect("a command");
        assert_eq!((common.folder, common.device.device.as_deref()), (Some("f".into()), Some("cuda:1")));
        assert_eq!(Command::read(["--quick"]).expect("understood"), None);
        assert_eq!(Command::read(Vec::<OsString>::new()).expect("understood"), None);
    }

    #[test]
    fn help_knows_every_command_and_option() {
        let all = Command::help("program", None).expect("there is help");
        for part in ["train", "resume", "diagnose", "sample", "info", "--folder", "--device", "Exit codes"] {
            assert!(all.contains(part), "`{part}` is not in: {all}");
        }
        let diagnose = Command::help("program", Some("diagnose")).expect("there is help");
        for part in ["program diagnose", "--data-sets", "--alpha", "--baseline", "--junit", "--json"] {
            assert!(diagnose.contains(part), "`{part}` is not in: {diagnose}");
        }
        assert!(Command::help("program", Some("trian")).expect_err("no command").to_string().contains("`trian`"));
    }

    #[test]
    fn what_is_not_understood_is_named() {
        for (line, part) in [
            ("train --draws 3", "--draws"),
            ("sample --out y.csv", "--data"),
            ("diagnose --junit report.html", "end the path in .xml"),
            ("diagnose --alpha much", "much"),
            ("diagnose --alpha 2", "below 1"),
            ("diagnose --drift 0.1", "--baseline"),
            ("diagnose --baseline a.json --drift NaN", "0 or larger"),
            ("sample --data x.npy --out y.txt", ".safetensors or .nc"),
            ("sample --header maybe", "yes"),
            ("info now", "now"),
            ("diagnose --data-sets", "data-sets"),
        ] {
            let error = Command::read(line.split(' ')).expect_err(line).to_string();
            assert!(error.contains(part) && error.contains("`help` lists"), "{line}: {error}");
            assert!(!error.contains("Usage") && !error.contains('\n'), "{error}");
        }
    }
}
