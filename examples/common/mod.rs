//! Reads options, trains, and compares with the exact posterior, for all examples in which that is known.

#![allow(dead_code, reason = "no example uses all of it")]

pub(crate) mod figures;
pub(crate) mod grid;

use bayesburn::{
    Error, Result,
    diagnostics::{DiagnosticsSuite, Diagonal, OffDiagonal, SuiteInput, pair_plot},
    networks::{InferenceConfig, SummaryConfig},
    prelude::*,
};
use figures::{Panel, save};
use grid::{Comparison, Exact};
use serde_json::{Value, json};
use std::{
    fs,
    num::NonZero,
    path::{Path, PathBuf},
    time::Instant,
};

/// The options of the command line.
pub(crate) struct Options {
    pub(crate) quick: bool,
    /// The folder for results.
    pub(crate) out: PathBuf,
    pub(crate) seed: u64,
    /// Steps of training; `None` for the example's own number.
    steps: Option<NonZero<usize>>,
    start: Instant,
}

impl Options {
    /// `--quick`, `--out FOLDER`, `--seed N` and `--steps N`.
    pub(crate) fn read(example: &str) -> Result<Self> {
        use lexopt::{Arg::Long, ValueExt};
        let mut options = Self {
            quick: false,
            out: PathBuf::from("out").join(example),
            seed: 2023,
            steps: None,
            start: Instant::now(),
        };
        let mut arguments = lexopt::Parser::from_env();
        while let Some(argument) = arguments.next()? {
            match argument {
                Long("quick") => options.quick = true,
                Long("out") => options.out = arguments.value()?.into(),
                Long("seed") => options.seed = arguments.value()?.parse()?,
                Long("steps") => options.steps = Some(arguments.value()?.parse()?),
                other => return Err(Error::message(format!("{}; see the top of the file", other.unexpected()))),
            }
        }
        fs::create_dir_all(&options.out).map_err(|error| {
            Error::message(format!("cannot write to {}: {error}; choose another --out", options.out.display()))
        })?;
        Ok(options)
    }

    /// The number of training steps: by default the given one, or 20 with `--quick`.
    pub(crate) fn steps(&self, steps: usize) -> usize {
        self.steps.map_or(if self.quick { 20 } else { steps }, NonZero::get)
    }
}

/// A trained posterior and the time its training took.
pub(crate) struct Trained<C: SummaryConfig, I: InferenceConfig> {
    pub(crate) trainer: Trainer<AmortizedPosterior<C, I>>,
    pub(crate) train_s: f64,
}

/// Trains a posterior for a number of steps with 32 fresh simulations each, and a learning rate that decays to 0.
pub(crate) fn train<C: SummaryConfig, I: InferenceConfig>(
    model: GenerativeModel,
    config: PosteriorConfig<C, I>,
    (steps, rate): (usize, f64),
    options: &Options,
) -> Result<Trained<C, I>> {
    let epochs = steps.div_ceil(500);
    let mut trainer = Trainer::builder(model, config).seed(options.seed).build()?;
    let parameters = trainer.amortizer().num_trainable_parameters();
    println!("Training {parameters} parameters for {steps} steps.");
    let source = Online::new().with_epochs(epochs).with_iterations_per_epoch(steps / epochs).with_batch_size(32);
    let schedule = Schedule::new().with_initial_rate(rate).with_warmup_steps(steps / 20);
    let training = TrainingConfig::new().with_schedule(schedule).with_validation_simulations(500);
    let start = Instant::now();
    let losses = trainer.train(source, &training)?.validation_losses();
    let train_s = start.elapsed().as_secs_f64();
    for (steps, loss) in losses {
        println!("    validation loss after {steps:>6} steps: {loss:.3}");
    }
    Ok(Trained { trainer, train_s })
}

/// A learned posterior compared with the exact one.
pub(crate) struct Judgement {
    pub(crate) comparison: Comparison,
    pub(crate) exact: Exact,
    pub(crate) draws: Draws,
    pub(crate) test: Configured,
    pub(crate) suite_passed: bool,
    /// Whether the exact posterior passes the suite. It does not if simulator and likelihood disagree.
    pub(crate) exact_suite_passed: bool,
    pub(crate) val_loss: f64,
    train_s: f64,
}

impl<C: SummaryConfig, I: InferenceConfig> Trained<C, I> {
    /// Compares the posterior with the exact one on 1,000 data sets with 1,000 draws each, and runs the suite.
    /// `exact` computes exact posteriors from data, true parameters and the number of draws.
    pub(crate) fn judge(
        &self,
        exact: impl Fn(&Data, &Array2<f32>, usize) -> Result<Exact>,
        options: &Options,
    ) -> Result<Judgement> {
        let (data_sets, num_draws) = if options.quick { (40, 100) } else { (1000, 1000) };
        let test = self.trainer.simulate(data_sets, options.seed + 1)?;
        let exact = exact(&test.conditions.data, &test.parameters, num_draws)?;
        let draws = self.trainer.amortizer().sample(&test.conditions, num_draws, options.seed)?;
        let of_exact = DiagnosticsSuite::new().run(&SuiteInput::new(&exact.draws, &test.parameters)?)?;
        let diagnosis = Diagnose::new().with_size(data_sets, num_draws).trainer(&self.trainer)?;
        println!("{}", diagnosis.report());
        let judgement = Judgement {
            comparison: Comparison::new(&draws, &exact),
            val_loss: self.trainer.amortizer().negative_log_prob(&test)?.into(),
            suite_passed: diagnosis.report().passed(),
            exact_suite_passed: of_exact.passed(),
            train_s: self.train_s,
            exact,
            draws,
            test,
        };
        let Judgement { comparison, exact, exact_suite_passed, val_loss, .. } = &judgement;
        println!("                                      learned      exact");
        println!("loss                                  {val_loss:>7.3}    {:>7.3}", exact.loss);
        println!("error of the mean, in posterior sds   {:>7.3}    {:>7.3}", comparison.mean_error_in_sd, 0.0);
        println!("posterior sd over exact sd            {:>7.3}    {:>7.3}", comparison.sd_ratio, 1.0);
        println!("suite passed                          {:>7}    {exact_suite_passed:>7}\n", judgement.suite_passed);
        Ok(judgement)
    }
}

impl Judgement {
    /// The numbers for `summary.json`.
    pub(crate) fn to_json(&self) -> Value {
        json!({
            "train_s": self.train_s,
            "val_loss": self.val_loss,
            "exact_loss": self.exact.loss,
            "mean_error_in_sd": self.comparison.mean_error_in_sd,
            "sd_ratio": self.comparison.sd_ratio,
            "suite_passed": self.suite_passed,
            "exact_suite_passed": self.exact_suite_passed,
        })
    }

    /// Plots learned against exact means and standard deviations of all data sets.
    pub(crate) fn save_comparison(&self, path: &Path) -> Result<()> {
        let quantities = [("mean", &self.exact.mean, self.draws.mean()), ("sd", &self.exact.sd, self.draws.std())];
        let names = self.draws.names();
        let mut panels = Vec::new();
        for (quantity, exact, learned) in quantities {
            for (d, name) in names.iter().enumerate() {
                let pairs = exact.column(d).iter().copied().zip(learned.column(d).iter().copied()).collect();
                panels.push(Panel::against(format!("posterior {quantity} of {name}"), pairs));
            }
        }
        save(path, names.len(), (330.0, 310.0), panels)
    }

    /// Writes `comparison.png` and `posterior.png`, the latter with both posteriors of the first data set.
    pub(crate) fn save_figures(&self, options: &Options) -> Result<()> {
        self.save_comparison(&options.out.join("comparison.png"))?;
        pair_plot(self.draws.names(), self.exact.draws.data_set(0))?
            .named("exact")?
            .with("learned", self.draws.data_set(0))?
            .with_points("truth", self.test.parameters.row(0))?
            .with_diagonal(Diagonal::Density)
            .with_off_diagonal(OffDiagonal::Contour)
            .plot()
            .save(options.out.join("posterior.png"))?;
        Ok(())
    }

    /// Writes `summary.json` with further numbers. Unless `--quick` was given, fails if the posterior is not close to
    /// the exact one or a suite did not pass.
    pub(crate) fn finish(&self, options: &Options, further: Value) -> Result<()> {
        let mut summary = self.to_json();
        summary["wall_s"] = options.start.elapsed().as_secs_f64().into();
        if let (Value::Object(summary), Value::Object(further)) = (&mut summary, further) {
            summary.extend(further);
        }
        fs::write(options.out.join("summary.json"), format!("{summary:#}\n"))?;
        println!("Figures and summary.json are in {}.", options.out.display());
        let good = self.comparison.is_close() && self.suite_passed && self.exact_suite_passed;
        match options.quick || good {
            true => Ok(()),
            false => Err(Error::message("the learned posterior is not the exact one: see the numbers above")),
        }
    }
}
