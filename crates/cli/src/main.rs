//! `bayesburn`: draws from trained posteriors, evaluates, judges and exports them, without the program that trained them.

mod arguments;
mod diagnose;
mod draw;
mod export;
mod info;
mod model;
mod output;

use arguments::{Arguments, Command};
use bayesburn_core::with_causes;
use clap::{CommandFactory, Parser};
use output::say;
use std::{error::Error, process::ExitCode};

/// Whatever keeps a command from running; the message says what to do.
type Result<T> = std::result::Result<T, Box<dyn Error>>;

/// What a command came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Outcome {
    /// It is done, and what was judged passed.
    Passed,
    /// A posterior was judged, and failed.
    Failed,
}

#[allow(clippy::print_stderr, reason = "the program talks to its user")]
fn main() -> ExitCode {
    // Prints help, versions and what is wrong with a command line, and leaves with 0 or 2.
    let Arguments { command, json } = Arguments::parse();
    let outcome = match command {
        Command::Info(options) => info::run(&options, json),
        Command::Sample(options) => draw::sample(&options, json),
        Command::LogProb(options) => draw::log_prob(&options, json),
        Command::Diagnose(options) => diagnose::run(&options, json),
        Command::Report(options) => diagnose::report(&options, json),
        Command::Export(options) => export::run(&options, json),
        Command::Completions { shell } => {
            let mut script = Vec::new();
            clap_complete::generate(shell, &mut Arguments::command(), "bayesburn", &mut script);
            say(String::from_utf8_lossy(&script)).map(|()| Outcome::Passed)
        }
    };
    match outcome {
        Ok(Outcome::Passed) => ExitCode::SUCCESS,
        Ok(Outcome::Failed) => ExitCode::from(1),
        Err(error) => {
            eprintln!("Error: {}", with_causes(&*error));
            ExitCode::from(2)
        }
    }
}
