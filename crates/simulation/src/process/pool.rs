//! Keeps worker processes from batch to batch, and starts those that are missing.

use super::{
    ProcessSimulator,
    output::Report,
    run::{Jobs, Run},
    worker::{GRACE, Worker},
};
use crate::{ProcessError, rows::Drawn};
use std::{
    io,
    sync::{
        Mutex, PoisonError,
        mpsc::{Receiver, SyncSender, sync_channel},
    },
    time::Instant,
};

/// How many reports of workers may wait. Bounded, because a worker may write without being asked; while a batch runs,
/// someone reads.
const REPORTS: usize = 256;

/// The worker processes of a simulator, which all of its clones share: one batch at a time.
#[derive(Debug)]
pub(crate) struct ProcessPool {
    settings: ProcessSimulator,
    workers: Mutex<Workers>,
}

impl ProcessPool {
    /// No worker runs before the first batch.
    pub(crate) fn new(settings: ProcessSimulator) -> Self {
        let (sender, reports) = sync_channel(REPORTS);
        let workers = Workers { live: Vec::new(), reports, sender, started: 0, asked: 0 };
        Self { settings, workers: Mutex::new(workers) }
    }

    /// The data of each simulation of a batch, in order, or the error that it was answered with, where that counts as a
    /// panic.
    pub(crate) fn simulate(&self, jobs: &Jobs<'_>) -> Result<Vec<Result<Drawn, String>>, ProcessError> {
        self.settings.check()?;
        let mut workers = self.workers.lock().unwrap_or_else(PoisonError::into_inner);
        workers.live.retain_mut(|worker| !worker.has_exited());
        let data = Run::new(&self.settings, &mut workers, jobs).finish();
        // After an error some are still at simulations of this batch.
        workers.live.retain(|worker| worker.pending.is_empty() && !worker.is_over);
        data
    }
}

impl ProcessSimulator {
    fn check(&self) -> Result<(), ProcessError> {
        let problem = if self.workers == 0 {
            "0 workers: ask `ProcessSimulator::workers` for at least 1"
        } else if self.time_limit.is_zero() {
            "a time limit of 0: give `ProcessSimulator::time_limit` more than the longest simulation takes"
        } else {
            return Ok(());
        };
        Err(ProcessError::Settings { program: self.command_line(), problem })
    }
}

/// The running workers, and the channel of their events.
#[derive(Debug)]
pub(super) struct Workers {
    pub(super) live: Vec<Worker>,
    pub(super) reports: Receiver<Report>,
    sender: SyncSender<Report>,
    /// How many have been started.
    started: u64,
    /// How many requests have been sent: the next one's id, never used twice.
    pub(super) asked: u64,
}

impl Workers {
    /// Starts workers until there are so many.
    pub(super) fn start(&mut self, settings: &ProcessSimulator, count: usize) -> Result<(), ProcessError> {
        while self.live.len() < count {
            let worker = Worker::start(settings, self.started, self.sender.clone());
            self.live.push(worker.map_err(|source| not_started(settings, source))?);
            self.started += 1;
        }
        Ok(())
    }
}

impl Drop for Workers {
    fn drop(&mut self) {
        // All are told before the first is waited for.
        self.live.iter_mut().for_each(Worker::close);
        let until = Instant::now() + GRACE;
        for worker in &mut self.live {
            worker.end(until);
        }
    }
}

fn not_started(settings: &ProcessSimulator, source: io::Error) -> ProcessError {
    let remedy = match (&settings.current_dir, source.kind()) {
        (Some(folder), _) if !folder.is_dir() => {
            format!("`ProcessSimulator::current_dir` must be a folder, and {} is none", folder.display())
        }
        (_, io::ErrorKind::NotFound) => {
            "check the path, or that the name is in a folder of PATH; of a script, also the interpreter on its first \
             line"
                .into()
        }
        (_, io::ErrorKind::PermissionDenied) => {
            "make the file executable, or run its interpreter with the file as argument".into()
        }
        (_, io::ErrorKind::WouldBlock) => {
            "the system lets you run no more processes or threads (`ulimit -u`, or the limits of a container): take \
             fewer `ProcessSimulator::workers`, or raise the limit"
                .into()
        }
        _ => "a script needs `#!` and its interpreter on the first line, or the interpreter as program and the script \
             as argument; if it is no script, check that the system can run it"
            .into(),
    };
    ProcessError::NotStarted { program: settings.command_line(), remedy, source }
}
