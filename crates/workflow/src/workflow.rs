//! Runs a training program by commands.

use crate::{
    Command, CommonOptions, Diagnose, DiagnoseOptions, Outcome, SampleOptions, WorkflowError,
    commands::{drawn_summary, exit_code, say},
    memory::check_size,
    saved::{Saved, describe},
};
use bayesburn_amortizers::{AmortizedPosterior, Amortizer, AmortizerError, PosteriorConfig, description};
use bayesburn_core::{Data, FileError, Given, layout::CHECKPOINTS, one_line};
use bayesburn_diagnostics::DiagnosticsSuite;
use bayesburn_io::{
    IoError, Missing, TableOptions, check_draws_names, read_array, read_data, read_observations, write_draws,
};
use bayesburn_networks::{AnyInferenceConfig, InferenceConfig, SummaryConfig, device};
use bayesburn_simulation::InvalidSimulations;
use bayesburn_trainers::{Callback, EpochReport, EpochSummary, Trainer, TrainerBuilder, TrainerError};
use ndarray::{ArrayD, arr1};
use std::{
    error::Error,
    fmt,
    io::{self, IsTerminal, Write},
    ops::ControlFlow,
    path::{Path, PathBuf},
    process::ExitCode,
};

/// A trainer of posteriors.
type Posteriors<C, I> = Trainer<AmortizedPosterior<C, I>>;
type Train<C, I> = Box<dyn FnOnce(&mut Posteriors<C, I>) -> Result<(), TrainerError>>;
/// A trainer, its training, and the folder of its checkpoints.
type Opened<C, I> = (Posteriors<C, I>, Train<C, I>, PathBuf);

/// A trainer and its training, with the commands `train`, `resume`, `diagnose`, `sample` and `info`. The crate's own
/// page has an example.
///
/// Checkpoints are in `checkpoints` in the workflow's folder, `out/<name>` unless another is given. A program with a
/// command line of its own is [`Workflow::main_or`].
pub struct Workflow<C: SummaryConfig, I: InferenceConfig = AnyInferenceConfig> {
    name: String,
    builder: TrainerBuilder<PosteriorConfig<C, I>>,
    train: Train<C, I>,
    folder: PathBuf,
    diagnose: Diagnose,
}

impl<C: SummaryConfig, I: InferenceConfig> fmt::Debug for Workflow<C, I> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Workflow").field("name", &self.name).field("folder", &self.folder).finish_non_exhaustive()
    }
}

impl<C: SummaryConfig, I: InferenceConfig> Workflow<C, I> {
    /// A trainer, but for its checkpoints, and how it is trained: a function that calls [`Trainer::train`] once or
    /// more. `resume` calls it as well; runs that were complete return at once.
    pub fn new(
        name: impl Into<String>,
        builder: TrainerBuilder<PosteriorConfig<C, I>>,
        train: impl FnOnce(&mut Posteriors<C, I>) -> Result<(), TrainerError> + 'static,
    ) -> Self {
        let name = name.into();
        let diagnose = Diagnose::new().with_suite(DiagnosticsSuite::new().with_title(name.as_str()));
        Self { folder: Path::new("out").join(&name), name, builder, train: Box::new(train), diagnose }
    }

    /// Another folder for checkpoints and results.
    #[must_use]
    pub fn with_folder(self, folder: impl Into<PathBuf>) -> Self {
        Self { folder: folder.into(), ..self }
    }

    /// How `diagnose` judges, where its options say nothing else.
    #[must_use]
    pub fn with_diagnose(self, diagnose: Diagnose) -> Self {
        Self { diagnose, ..self }
    }

    /// Runs the command of the program's command line, prints its results, and returns the exit code for `main`.
    /// Without a command it prints the help.
    #[must_use]
    pub fn main(self) -> ExitCode {
        let name = self.name.clone();
        self.main_or(move || match std::env::args().nth(1).as_deref() {
            None | Some("--help" | "-h") => say_help(&mut io::stdout(), &name, None),
            Some(other) => Err(WorkflowError::Usage { reason: format!("`{other}` is not a command") }),
        })
    }

    /// [`Workflow::main`] of a program that does something else without a command, with options of its own. Where
    /// standard error is no terminal, a training writes a line for each epoch there.
    #[must_use]
    pub fn main_or<E: Into<Box<dyn Error>>>(mut self, without: impl FnOnce() -> Result<(), E>) -> ExitCode {
        if !io::stderr().is_terminal() {
            self.builder = self.builder.callback(EpochLines);
        }
        let outcome = match Command::from_env() {
            Ok(None) => without().map(|()| Outcome::Passed).map_err(Into::into),
            Ok(Some((command, common))) => {
                self.run(&command, &common, &mut io::stdout()).map_err(Box::<dyn Error>::from)
            }
            Err(error) => Err(error.into()),
        };
        exit_code(outcome)
    }

    /// Runs a command, and writes what it has to say.
    ///
    /// # Errors
    /// What training, simulating, drawing and judging report; a checkpoint that is needed and not there, or there and
    /// not wanted; files that can't be read or written; a device that is not there.
    pub fn run(
        mut self,
        command: &Command,
        common: &CommonOptions,
        out: &mut impl Write,
    ) -> Result<Outcome, WorkflowError> {
        if let Some(folder) = &common.folder {
            self.folder = folder.clone();
        }
        if let Some(name) = &common.device.device {
            self.builder = self.builder.device(device(name)?);
        }
        match command {
            Command::Help { command } => say_help(out, &self.name, command.as_deref())?,
            Command::Train { force } => self.train(*force, out)?,
            Command::Resume => {
                // What ended before its first checkpoint goes on from its beginning.
                self.check_begun()?;
                let (mut trainer, train, folder) = self.open(out)?;
                train(&mut trainer)?;
                say_trained(out, &trainer, &folder)?;
            }
            Command::Diagnose(options) => return self.diagnose(options, out),
            Command::Sample(options) => self.sample(options, out)?,
            Command::Info => self.info(out)?,
        }
        Ok(Outcome::Passed)
    }

    fn checkpoints(&self) -> PathBuf {
        self.folder.join(CHECKPOINTS)
    }

    /// The trainer of the newest checkpoint; new, if there is none.
    fn open(self, out: &mut impl Write) -> Result<Opened<C, I>, WorkflowError> {
        let checkpoints = self.checkpoints();
        let trainer = self.builder.checkpoints(&checkpoints).resume().build()?;
        for damaged in trainer.damaged_checkpoints() {
            let (folder, reason) = (damaged.folder.display(), &damaged.reason);
            say(out, format_args!("Warning: a damaged checkpoint was set aside, {folder} ({reason}).\n"))?;
        }
        Ok((trainer, self.train, checkpoints))
    }

    /// An error for a training that was not begun. No folder is made.
    fn check_begun(&self) -> Result<(), WorkflowError> {
        let folder = self.checkpoints();
        if folder.exists() { Ok(()) } else { Err(WorkflowError::Untrained { folder }) }
    }

    /// The trainer of the newest checkpoint, and the folder of its checkpoints, which stays as it is: another process
    /// may be training there.
    fn trained(self, out: &mut impl Write) -> Result<(Posteriors<C, I>, PathBuf), WorkflowError> {
        self.check_begun()?;
        let folder = self.checkpoints();
        let trainer = self.builder.checkpoints(&folder).read_only().build()?;
        for damaged in trainer.damaged_checkpoints() {
            let (folder, reason) = (damaged.folder.display(), &damaged.reason);
            let text = format_args!("Warning: the checkpoint {folder} is damaged ({reason}); using an older one.\n");
            say(out, text)?;
        }
        match trainer.history().steps.is_empty() {
            true => Err(WorkflowError::Untrained { folder }),
            false => Ok((trainer, folder)),
        }
    }

    fn train(self, force: bool, out: &mut impl Write) -> Result<(), WorkflowError> {
        let checkpoints = self.checkpoints();
        let builder = self.builder.checkpoints(&checkpoints);
        // Moved and not deleted: what took hours is worth more than its space.
        let builder = if force { builder.set_aside() } else { builder };
        let mut trainer = builder.build().map_err(|error| match error {
            TrainerError::FolderInUse { folder } => WorkflowError::Trained { folder },
            other => other.into(),
        })?;
        if let Some(before) = trainer.set_aside() {
            say(out, format_args!("The earlier training was moved to {}.\n", before.display()))?;
        }
        (self.train)(&mut trainer)?;
        say_trained(out, &trainer, &checkpoints)
    }

    fn diagnose(self, options: &DiagnoseOptions, out: &mut impl Write) -> Result<Outcome, WorkflowError> {
        let (suite, baseline) = options.judging.apply(self.diagnose.suite().clone())?;
        let diagnose = self.diagnose.clone().with_suite(suite);
        let diagnose = diagnose.with_options(options.data_sets, options.draws, options.judging.seed);
        diagnose.check()?;

        let (mut trainer, train, checkpoints) = self.open(out)?;
        if let (Some(baseline), Some(path)) = (baseline, &options.judging.baseline) {
            let (expected, got) = (trainer.amortizer().parameter_names().to_vec(), baseline.parameter_names());
            if expected != got {
                let reason = format!("--baseline {} is of {got:?}, and this posterior of {expected:?}", path.display());
                return Err(WorkflowError::Usage { reason });
            }
        }
        trainer.model().map_or(Ok(()), |model| diagnose.check_size(model))?;
        if trainer.history().steps.is_empty() {
            say(out, format_args!("Nothing is in {} yet: training first.\n", checkpoints.display()))?;
        }
        // What is complete returns at once; what was interrupted goes on. What was trained otherwise, by another number
        // of epochs for one, is judged as it is.
        let before = trainer.history().steps.len();
        match train(&mut trainer) {
            Err(TrainerError::CheckpointMismatch { key, saved, now, .. }) if before > 0 => {
                say(
                    out,
                    format_args!("Judged as it is, trained with {key} = {saved} instead of {now}: {before} steps.\n"),
                )?;
            }
            other => other?,
        }
        if trainer.history().steps.len() > before {
            say_trained(out, &trainer, &checkpoints)?;
        }
        let diagnosis = diagnose.trainer(&trainer)?;
        say(out, format_args!("{}", diagnosis.report()))?;
        for path in options.reports.paths().chain(&options.json) {
            diagnosis.save(path)?;
            say(out, format_args!("Written: {}\n", path.display()))?;
        }
        Ok(if diagnosis.report().passed() { Outcome::Passed } else { Outcome::Failed })
    }

    fn sample(self, options: &SampleOptions, out: &mut impl Write) -> Result<(), WorkflowError> {
        let (trainer, _) = self.trained(out)?;
        let wrong = |reason| IoError::Content { path: options.data.clone(), reason };
        let (tables, drawing) = (options.tables.options(), &options.drawing);
        let of_model = trainer.model().and_then(|model| model.feature_names());
        let columns = of_model.or(trainer.amortizer().feature_names()).map(<[_]>::to_vec);
        let is_masked = trainer.amortizer().num_masked_features() > 0
            || trainer.model().is_some_and(|model| model.invalid_simulations() == InvalidSimulations::Mask);
        let is_padded = trainer.amortizer().data_shape().is_padded();
        let missing = if is_masked || is_padded { Missing::Nan } else { Missing::Refuse };
        let table = TableOptions { columns, missing, ..tables.clone() };
        let shape =
            trainer.model().map_or_else(|| trainer.amortizer().data_shape(), |model| model.shapes().data_shape());
        let are_sets = !shape.is_named() && shape.only().is_some_and(|only| only.rank() <= 2);
        let data = match are_sets && !is_padded {
            true => read_observations(&options.data, &table)?.map(Data::new),
            false => read_data(&options.data, &shape, &table)?,
        };
        let mut notes = data.notes;
        let mut context = |path: &Option<PathBuf>| -> Result<Option<ArrayD<f32>>, IoError> {
            let Some(path) = path else { return Ok(None) };
            let read = read_array(path, &tables)?;
            notes.extend(read.notes);
            Ok(Some(read.value))
        };
        let of_each = context(&options.batchable_context)?;
        let mut shared = context(&options.non_batchable_context)?;
        notes.iter().try_for_each(|note| say(out, format_args!("Note: {}\n", one_line(note))))?;
        let data = data.value;
        if let Some(infinite) = data.iter().find(|value| value.is_infinite()) {
            return Err(wrong(format!("a value is {infinite}: give finite numbers")).into());
        }
        let padded = |data: Data| if is_padded { data.nan_rows_as_padding() } else { Ok(data) };
        let data = padded(data).map_err(|error| wrong(error.to_string()))?;
        let names = trainer.amortizer().parameter_names().clone();
        check_draws_names(&drawing.out, &names)?;
        let data = if is_masked { data.nan_as_missing() } else { data };
        // Of data that are a vector each, such as statistics of N observations, N can't be told.
        let of_sets = trainer.model().filter(|model| model.shapes().data.len() == 2 && !is_padded);
        if of_sets.is_some_and(|model| model.num_observations().is_some()) {
            let n = data.values().shape()[1];
            let given = shared.get_or_insert_with(|| arr1(&[n as f32]).into_dyn());
            if given.first() != Some(&(n as f32)) || given.len() != 1 {
                let path = options.non_batchable_context.clone().unwrap_or_default();
                let reason = format!("{given}, where {} has {n} observations", options.data.display());
                return Err(IoError::Content { path, reason }.into());
            }
        }
        let of_file = |error: AmortizerError| match error {
            AmortizerError::Width { .. } | AmortizerError::UnseenObservations { .. } => {
                WorkflowError::from(wrong(error.to_string()))
            }
            other => other.into(),
        };
        let (of_each, shared) = (of_each.as_ref(), shared.as_ref());
        let given =
            Given { sim_batchable_context: of_each, sim_non_batchable_context: shared, ..Given::new(&names, &data) };
        let conditions = trainer.conditions(&given)?;
        let posterior = trainer.amortizer().clone();
        let size = check_size(drawing.draws, conditions.len(), names.len(), 0);
        size.map_err(|reason| WorkflowError::Usage { reason })?;
        let posterior = if options.any_num_observations { posterior.with_any_num_observations() } else { posterior };
        let draws = posterior.sample(&conditions, drawing.draws, drawing.seed).map_err(of_file)?;
        draws.warnings().iter().try_for_each(|warning| say_warning(out, warning))?;
        write_draws(&drawing.out, &draws)?;
        say(out, drawn_summary(&draws))?;
        let (data_sets, draws) = (draws.num_data_sets(), draws.num_draws());
        Ok(say(out, format_args!("{data_sets} x {draws} draws are in {}.\n", drawing.out.display()))?)
    }

    fn info(self, out: &mut impl Write) -> Result<(), WorkflowError> {
        let name = self.name.clone();
        let (trainer, checkpoints) = self.trained(out)?;
        say(out, format_args!("{}\n", one_line(&name)))?;
        if let Some(model) = trainer.model() {
            say(out, format_args!("\nThe model's quantities, B simulations at a time:\n{}\n", model.shapes()))?;
        }
        let folder = trainer.resumed_from().unwrap_or(&checkpoints);
        let saved = Saved::read(folder, description(trainer.amortizer()), trainer.history().clone());
        Ok(say(out, format_args!("\n{}", describe(&saved, Some(trainer.amortizer()))?))?)
    }
}

/// What a log has of a training, where there is no terminal for a bar.
struct EpochLines;

impl<A: Amortizer> Callback<A> for EpochLines {
    fn on_epoch(&mut self, epoch: &EpochReport<'_, A>) -> ControlFlow<String> {
        let loss = |loss: Option<f32>| loss.map_or("none".to_owned(), |loss| format!("{loss:.3}"));
        let EpochSummary { steps, mean_loss, validation_loss, .. } = epoch.summary;
        let validation = validation_loss.map_or(String::new(), |value| format!(", validation loss {value:.3}"));
        let (epoch, loss) = (epoch.epoch + 1, loss(*mean_loss));
        // Whoever reads the log may have gone.
        _ = writeln!(io::stderr(), "Epoch {epoch}: {steps} steps, loss {loss}{validation}");
        ControlFlow::Continue(())
    }
}

fn say_help(out: &mut impl Write, name: &str, command: Option<&str>) -> Result<(), WorkflowError> {
    let program = std::env::args_os().next().map(PathBuf::from);
    let program = program.as_ref().and_then(|program| program.file_stem()).map(|stem| stem.to_string_lossy());
    let help = Command::help(program.as_deref().unwrap_or(name), command)?;
    Ok(say(out, format_args!("{name}\n\n{help}"))?)
}

fn say_trained<C: SummaryConfig, I: InferenceConfig>(
    out: &mut impl Write,
    trainer: &Posteriors<C, I>,
    checkpoints: &Path,
) -> Result<(), WorkflowError> {
    let history = trainer.history();
    let steps = history.steps.len();
    say(out, format_args!("Trained: {steps} steps"))?;
    if let Some((_, loss)) = history.validation_losses().last() {
        say(out, format_args!(", validation loss {loss:.3}"))?;
    }
    say(out, format_args!("; checkpoints are in {}.\n", checkpoints.display()))?;
    let warnings = trainer.amortizer().warnings();
    Ok(warnings.iter().try_for_each(|warning| say_warning(out, warning))?)
}

fn say_warning(out: &mut impl Write, warning: &str) -> Result<(), FileError> {
    say(out, format_args!("Warning: {}\n", one_line(warning)))
}
