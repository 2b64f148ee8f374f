//! `bayesburn`: draws from trained posteriors, evaluates, judges and exports them, without the program that trained
//! them.

mod arguments;
mod diagnose;
mod draw;
mod export;
mod info;
mod output;

use arguments::{Arguments, Command};
use bayesburn_workflow::commands::{Outcome, exit_code};
use clap::{CommandFactory, Parser};
use output::print;
use std::{error::Error, process::ExitCode};

/// Whatever keeps a command from running; the message says what to do.
type Result<T> = std::result::Result<T, Box<dyn Error>>;

fn main() -> ExitCode {
    // Prints help, versions and errors of a command line, and exits with 0 or 2.
    let Arguments { command, json } = Arguments::parse();
    exit_code(match command {
        Command::Info(options) => info::run(&options, json),
        Command::Sample(options) => draw::sample(&options, json),
        Command::LogProb(options) => draw::log_prob(&options, json),
        Command::Diagnose(options) => diagnose::run(&options, json),
        Command::Report(options) => diagnose::report(&options, json),
        Command::Export(options) => export::run(&options, json),
        Command::Completions { shell } => {
            let mut script = Vec::new();
            clap_complete::generate(shell, &mut Arguments::command(), "bayesburn", &mut script);
            print(String::from_utf8_lossy(&script)).map(|()| Outcome::Passed)
        }
    })
}
