//! Runs a user's program as simulator: what to start, how many processes, and how to handle failures.

mod answer;
mod error;
mod fault;
mod leader;
mod output;
mod pipe;
mod pool;
mod request;
mod run;
mod worker;

pub use error::ProcessError;
pub use fault::{FailedProcess, WorkerFault};
pub(crate) use pool::ProcessPool;
pub(crate) use run::Jobs;

use std::{ffi::OsString, path::PathBuf, thread::available_parallelism, time::Duration};

/// A simulator that is a program, in any language: a pool of worker processes that read requests and write answers,
/// line by line.
///
/// ```no_run
/// use bayesburn_simulation::{GenerativeModel, Prior, ProcessSimulator, Simulator};
/// use rand::RngExt;
/// use rand_distr::StandardNormal;
///
/// let prior = Prior::from_fn(["mu"], |rng, _| [rng.sample(StandardNormal)]);
/// let process = ProcessSimulator::new("python3").args(["simulator.py"]).workers(2);
/// let model = GenerativeModel::new(prior, Simulator::from_process(process))?;
/// # Ok::<(), bayesburn_simulation::SimulationError>(())
/// ```
///
/// # Protocol
/// A worker reads one request a line from its standard input, and writes one answer a line to its standard output. This
/// is a whole worker, `simulator.py`:
///
/// ```python
/// import json, random, sys
///
/// for line in sys.stdin:
///     request = json.loads(line)
///     rng = random.Random(request["seed"])
///     [mu] = request["parameters"]
///     data = [[rng.gauss(mu, 1.0)] for _ in range(20)]
///     print(json.dumps({"id": request["id"], "data": data}), flush=True)
/// ```
///
/// **Request**: a JSON object on one line. Context keys are absent if the simulator has no such context:
///
/// ```json
/// {"id":12,"seed":6052389176544321,"parameters":[0.25,-1.0],"batchable_context":[0.5,1.5],"non_batchable_context":[20.0]}
/// ```
///
/// | key | what it is |
/// |---|---|
/// | `id` | an integer, which the answer repeats |
/// | `seed` | the seed for all randomness of this simulation: an integer below 2⁵³, exact in every JSON reader |
/// | `parameters` | θ as a list of numbers, in the order of the prior's names |
/// | `batchable_context` | the [context](crate::ContextGenerator) of this simulation, as nested lists |
/// | `non_batchable_context` | the context that the batch shares, as nested lists; `[20.0]` for 20 observations |
///
/// For a generator with seeds of 32 bits, take `seed` modulo 2³². Numbers have a point or an exponent, except `id` and
/// `seed`. A non-finite number is sent as `null`.
///
/// **Answer**: a JSON object on one line, with either data or an error:
///
/// ```json
/// {"id":12,"data":[[0.31,-0.7],[0.02,-1.3]]}
/// {"id":12,"error":"the solver did not converge"}
/// ```
///
/// The nesting of `data` is its shape, usually observations × features. A single number is a list of one; lists of
/// unequal length are an error. The number of observations may differ between answers, as for
/// [`Simulator::from_fn`](crate::Simulator::from_fn). Several inputs are an object:
/// `"data":{"series":[[0.31],[0.02]],"age":40}`. `NaN`, `Infinity`, `-Infinity` (as Python writes them), `nan` and
/// `inf` are read as such, and `null` as NaN. Data are read in single precision, so 9 significant digits are enough.
/// Other keys are an error. Blank lines are skipped.
///
/// A worker
/// - flushes its output after each answer;
/// - is sent the next requests before it has answered the first, and may answer in any order;
/// - writes nothing else to standard output. Standard error is free: its last 4 kB become part of the error when a
///   worker fails;
/// - takes randomness from the seed of the request alone, so that simulation i is the same for any number of workers;
/// - ends when its standard input is closed, which also happens when the training is killed.
///
/// # Processes
/// Workers start when the first batch needs them, so the pilot run of
/// [`GenerativeModel::new`](crate::GenerativeModel::new) finds a program that cannot be started. They live until the
/// last clone of the [`Simulator`](crate::Simulator) is dropped; then their standard input is closed, and those that
/// have not ended after two seconds are killed. On Unix each worker leads a process group of its own: Ctrl-C reaches
/// the training and not its workers. A worker is the process that was started: when it ends, whether by itself or
/// killed, the processes that it started are killed too, unless they left its group.
///
/// After a failed batch, workers that still have requests are killed, and the next batch starts new ones. So answers of
/// one batch never reach another.
#[derive(Debug, Clone)]
pub struct ProcessSimulator {
    program: OsString,
    args: Vec<OsString>,
    envs: Vec<(OsString, OsString)>,
    current_dir: Option<PathBuf>,
    workers: usize,
    time_limit: Duration,
    on_failure: WorkerFailure,
}

/// The policy for a worker process that dies, exceeds the time limit, or writes an invalid answer.
///
/// An `error` answer, or data that are not an array of numbers, fail the batch under either policy: simulation i has
/// one seed, so a second attempt would end like the first. With [`Panics::AsInvalid`](crate::Panics::AsInvalid), a
/// simulation answered with an `error` is invalid instead.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum WorkerFailure {
    /// The batch fails with an error that names the simulation.
    #[default]
    Error,
    /// The worker is replaced, and its pending requests are simulated again with the same seeds.
    Replace {
        /// How often a simulation at which a worker failed is retried before the batch fails; 0 is the same as
        /// [`WorkerFailure::Error`].
        max_retries: u32,
    },
}

impl ProcessSimulator {
    /// Workers that run `program`: a path, or a name that is looked up in `PATH`.
    pub fn new(program: impl Into<OsString>) -> Self {
        Self {
            program: program.into(),
            args: Vec::new(),
            envs: Vec::new(),
            current_dir: None,
            workers: available_parallelism().map_or(1, usize::from),
            time_limit: Duration::from_secs(60),
            on_failure: WorkerFailure::Error,
        }
    }

    /// Adds arguments of the program. No shell is involved: nothing needs quotes.
    #[must_use]
    pub fn args(mut self, args: impl IntoIterator<Item = impl Into<OsString>>) -> Self {
        self.args.extend(args.into_iter().map(Into::into));
        self
    }

    /// Adds environment variables to those that the workers inherit.
    #[must_use]
    pub fn envs(mut self, envs: impl IntoIterator<Item = (impl Into<OsString>, impl Into<OsString>)>) -> Self {
        self.envs.extend(envs.into_iter().map(|(name, value)| (name.into(), value.into())));
        self
    }

    /// The working directory of the workers, by default that of this process. If it is set, give the program by name or
    /// by absolute path.
    #[must_use]
    pub fn current_dir(mut self, folder: impl Into<PathBuf>) -> Self {
        self.current_dir = Some(folder.into());
        self
    }

    /// The number of workers, at least 1; by default the number of available cores. A batch never starts more workers
    /// than it has simulations.
    #[must_use]
    pub fn workers(mut self, workers: usize) -> Self {
        self.workers = workers;
        self
    }

    /// The time limit of a worker for one simulation, above 0; by default 60 s. A worker's start counts towards its
    /// first simulation. Time in which this program does not run, for example stopped by Ctrl-Z, does not count.
    #[must_use]
    pub fn time_limit(mut self, limit: Duration) -> Self {
        self.time_limit = limit;
        self
    }

    /// The policy for a worker that fails; by default [`WorkerFailure::Error`].
    #[must_use]
    pub fn on_failure(mut self, on_failure: WorkerFailure) -> Self {
        self.on_failure = on_failure;
        self
    }

    /// Program and arguments as one would type them, for messages.
    fn command_line(&self) -> String {
        let words = std::iter::once(&self.program).chain(&self.args).map(|word| word.to_string_lossy());
        words.collect::<Vec<_>>().join(" ")
    }
}
