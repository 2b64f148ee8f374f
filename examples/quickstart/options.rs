//! Reads the command line of the quickstart.

use bayesburn::{
    Error, Result,
    networks::{default_device, device},
    prelude::Device,
};
use std::path::PathBuf;

pub(crate) const HELP: &str = "\
Trains an amortized posterior for the means of a 4-dimensional normal model, and checks it.

    cargo run --release --example quickstart -- [OPTIONS]
    cargo run --release --example quickstart -- help        lists commands: train, resume, diagnose, sample, info

    --epochs N           epochs of training            [3; 10 for the v1 architecture]
    --iterations N       steps in each epoch           [1000]
    --batch-size N       simulations in each step      [32]
    --seed N             seed of everything random     [2023]
    --out FOLDER         where results go              [out/quickstart]
    --device DEVICE      where networks are computed: flex, ndarray or cuda[:N], as the program was built [flex]
    --resume             go on from the newest checkpoint in that folder
    --architecture A     default, or v1: BayesFlow v1, layer for layer
    --quick              a few steps and data sets, to see that everything runs
    --help               this text
";

/// What a new run of the example may replace without being asked.
pub(crate) const DEFAULT_OUT: &str = "out/quickstart";

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Architecture {
    Default,
    V1,
}

#[derive(Debug)]
pub(crate) struct Options {
    pub(crate) epochs: usize,
    pub(crate) iterations: usize,
    pub(crate) batch_size: usize,
    pub(crate) seed: u64,
    pub(crate) out: PathBuf,
    pub(crate) device: Device,
    pub(crate) resume: bool,
    pub(crate) architecture: Architecture,
    pub(crate) quick: bool,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            epochs: 3,
            iterations: 1000,
            batch_size: 32,
            seed: 2023,
            out: DEFAULT_OUT.into(),
            device: default_device(),
            resume: false,
            architecture: Architecture::Default,
            quick: false,
        }
    }
}

impl Options {
    /// The options of this command line; `None` if it asks for help.
    pub(crate) fn read() -> Result<Option<Self>> {
        use lexopt::{Arg::Long, ValueExt};
        let (mut epochs, mut iterations) = (None, None);
        let mut options = Self::default();
        let mut arguments = lexopt::Parser::from_env();
        while let Some(argument) = arguments.next()? {
            match argument {
                Long("epochs") => epochs = Some(arguments.value()?.parse()?),
                Long("iterations") => iterations = Some(arguments.value()?.parse()?),
                Long("batch-size") => options.batch_size = arguments.value()?.parse()?,
                Long("seed") => options.seed = arguments.value()?.parse()?,
                Long("out") => options.out = arguments.value()?.into(),
                Long("device") => options.device = device(&arguments.value()?.string()?)?,
                Long("resume") => options.resume = true,
                Long("quick") => options.quick = true,
                Long("architecture") => {
                    options.architecture = match arguments.value()?.string()?.as_str() {
                        "default" => Architecture::Default,
                        "v1" => Architecture::V1,
                        other => return Err(Error::message(format!("--architecture is default or v1, not `{other}`"))),
                    }
                }
                Long("help") => return Ok(None),
                _ => return Err(Error::message(format!("{}; --help lists the options", argument.unexpected()))),
            }
        }
        let full = if options.architecture == Architecture::V1 { 10 } else { options.epochs };
        options.epochs = epochs.unwrap_or(if options.quick { 2 } else { full });
        options.iterations = iterations.unwrap_or(if options.quick { 25 } else { options.iterations });
        Ok(Some(options))
    }
}
