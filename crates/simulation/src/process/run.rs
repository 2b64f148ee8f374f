//! Runs one batch on the workers: shares out requests, collects answers, and deals with workers that fail.

use super::{
    FailedProcess, ProcessSimulator, WorkerFailure, WorkerFault,
    answer::{Answer, shortened},
    output::{Event, Report},
    pool::Workers,
    request::{Request, write_array},
    worker::{Pending, Worker},
};
use crate::{ProcessError, Quantity, context::DrawnContext, rows::Drawn, stack::Batch};
use bayesburn_core::{Purpose, stream};
use ndarray::{Array2, Axis};
use rand::Rng;
use std::{
    collections::VecDeque,
    sync::atomic::Ordering,
    time::{Duration, Instant},
};

/// The most work, in seconds, that a worker has ahead: enough to keep it busy while the threads between it and the
/// batch sleep and wake.
const AHEAD_SECONDS: f64 = 0.02;

/// The amount of work, in seconds, below which it is distributed in one round. Workers finish a batch at times that
/// differ by at most this.
const ROUND_SECONDS: f64 = 0.005;

/// The least number of requests of a worker (one in progress and one waiting) and the largest.
const WINDOW: (usize, usize) = (2, 256);

/// How often it is checked whether workers have exited, where their output does not tell. A check takes 0.5 µs for each
/// worker, and waking up for it some more: under a thousandth of a core.
const CHECK_EVERY: Duration = Duration::from_millis(20);

/// How long the output of a worker that has exited is read, where a process outside of its group keeps it open.
const DRAIN: Duration = Duration::from_secs(1);

/// A round that takes longer than it waits by this was held up, and with a time limit of less than four seconds, one
/// that takes longer by a quarter of the limit.
const HELD_UP: Duration = Duration::from_secs(1);

/// What to simulate.
pub(crate) struct Jobs<'a> {
    batch: &'a Batch<'a>,
    /// That of the attempt.
    seed: u64,
    purpose: Purpose,
    parameters: &'a Array2<f32>,
    context: &'a DrawnContext,
    non_batchable_context: Option<Vec<u8>>,
}

impl<'a> Jobs<'a> {
    /// The simulations of a batch, whose seeds are of this purpose.
    pub(crate) fn new(
        batch: &'a Batch<'a>,
        purpose: Purpose,
        parameters: &'a Array2<f32>,
        context: &'a DrawnContext,
    ) -> Self {
        let non_batchable_context = context.non_batchable.as_ref().map(|context| {
            let mut json = Vec::new();
            write_array(&mut json, context.view());
            json
        });
        Self { batch, seed: batch.attempt_seed(), purpose, parameters, context, non_batchable_context }
    }

    fn index(&self, row: usize) -> u64 {
        self.batch.index(row)
    }

    fn request(&self, row: usize, id: u64) -> Request<'_> {
        Request {
            id,
            // 53 bits: the integers that a double represents exactly.
            seed: stream(self.seed, self.purpose, self.index(row)).next_u64() >> 11,
            parameters: self.parameters.row(row),
            batchable_context: self.context.batchable.as_ref().map(|context| context.index_axis(Axis(0), row)),
            non_batchable_context: self.non_batchable_context.as_deref(),
        }
    }
}

/// A batch in progress.
pub(super) struct Run<'a> {
    settings: &'a ProcessSimulator,
    workers: &'a mut Workers,
    jobs: &'a Jobs<'a>,
    /// Rows that no worker has.
    queue: VecDeque<usize>,
    /// Data, or the message of a simulation that counts as panicked.
    data: Vec<Option<Result<Drawn, String>>>,
    /// How many rows have no data.
    missing: usize,
    /// How many workers failed at each row.
    failures: Vec<u32>,
    /// When the last round ended.
    heard: Instant,
    /// When it was last checked whether workers have exited.
    checked: Instant,
}

impl<'a> Run<'a> {
    pub(super) fn new(settings: &'a ProcessSimulator, workers: &'a mut Workers, jobs: &'a Jobs<'a>) -> Self {
        let len = jobs.parameters.nrows();
        workers.live.iter_mut().for_each(|worker| worker.last_row = None);
        Self {
            settings,
            workers,
            jobs,
            queue: (0..len).collect(),
            data: vec![None; len],
            missing: len,
            failures: vec![0; len],
            heard: Instant::now(),
            checked: Instant::now(),
        }
    }

    pub(super) fn finish(mut self) -> Result<Vec<Result<Drawn, String>>, ProcessError> {
        while self.missing > 0 {
            let busy = self.workers.live.iter().filter(|worker| !worker.pending.is_empty()).count();
            self.workers.start(self.settings, self.settings.workers.min(busy + self.queue.len()))?;
            self.share_out();
            let wait = self.listen()?;
            self.discount_pause(wait);
            self.check_exits()?;
            self.check_time()?;
        }
        Ok(self.data.into_iter().flatten().collect())
    }

    /// Fills the windows of the workers that are down to half of theirs, in turns, so that the last requests are shared
    /// evenly.
    fn share_out(&mut self) {
        // Half of the rest is distributed evenly now, the other half later to those that finish first.
        let fair = self.queue.len().div_ceil(2 * self.workers.live.len().max(1));
        let mut orders: Vec<Order> = self.workers.live.iter().map(|worker| Order::of(worker, fair)).collect();
        let mut is_shared = true;
        while std::mem::take(&mut is_shared) {
            for (order, worker) in orders.iter_mut().zip(&mut self.workers.live).filter(|(o, _)| o.count < o.wanted) {
                let Some(row) = self.queue.pop_front() else { break };
                let id = self.workers.asked;
                self.workers.asked += 1;
                self.jobs.request(row, id).write(&mut order.lines);
                if worker.pending.is_empty() {
                    worker.since = Instant::now();
                }
                worker.pending.push_back(Pending { id, row });
                worker.last_row = Some(row);
                order.count += 1;
                is_shared = true;
            }
        }
        for (order, worker) in orders.into_iter().zip(&self.workers.live).filter(|(order, _)| order.count > 0) {
            worker.send(order.lines, order.count);
        }
    }

    /// Waits for a report, the next time limit or the next check, then handles all waiting reports. Returns how long it
    /// waited at most.
    fn listen(&mut self) -> Result<Duration, ProcessError> {
        let at_work = self.workers.live.iter().filter(|worker| worker.is_at_work());
        let left = at_work.map(|worker| self.settings.time_limit.saturating_sub(worker.since.elapsed())).min();
        let wait = left.map_or(CHECK_EVERY, |left| left.min(CHECK_EVERY));
        if let Ok(report) = self.workers.reports.recv_timeout(wait) {
            self.hear(report)?;
        }
        while let Ok(report) = self.workers.reports.try_recv() {
            self.hear(report)?;
        }
        Ok(wait)
    }

    /// Does not count time against the workers in which this program was held up: stopped, or swapped out. What they
    /// wrote in that time is read only from now on, so each has at least a quarter of its limit left.
    fn discount_pause(&mut self, wait: Duration) {
        let now = Instant::now();
        let held_up = now.duration_since(std::mem::replace(&mut self.heard, now)).saturating_sub(wait);
        let quarter = self.settings.time_limit / 4;
        if held_up < quarter.clamp(CHECK_EVERY, HELD_UP) {
            return;
        }
        for worker in &mut self.workers.live {
            let counted = now.duration_since(worker.since).saturating_sub(held_up);
            worker.since = now - counted.min(self.settings.time_limit - quarter);
        }
    }

    /// Ends workers that have exited. Processes that they started may hold their output open: those of their group are
    /// killed, so that the output ends as soon as what is in the pipe has been read.
    fn check_exits(&mut self) -> Result<(), ProcessError> {
        let now = Instant::now();
        if now.duration_since(self.checked) < CHECK_EVERY {
            return Ok(());
        }
        self.checked = now;
        for worker in self.workers.live.iter_mut().filter(|worker| !worker.is_over) {
            if worker.has_exited() {
                worker.end(now);
                worker.is_over = true;
                worker.since = now;
            }
        }
        let is_drained = |worker: &Worker| worker.is_over && now.duration_since(worker.since) >= DRAIN;
        while let Some(i) = self.workers.live.iter().position(is_drained) {
            self.replace_ended(i)?;
        }
        Ok(())
    }

    fn hear(&mut self, (number, event): Report) -> Result<(), ProcessError> {
        let Some(i) = self.workers.live.iter().position(|worker| worker.number == number) else { return Ok(()) };
        match event {
            Event::Ended => self.replace_ended(i),
            Event::Lines(lines) => {
                let worker = &mut self.workers.live[i];
                worker.since = Instant::now();
                for line in lines {
                    if let Err((row, fault)) = self.take(i, line) {
                        // What it wrote after that is forgotten with it.
                        return self.replace(i, row, fault);
                    }
                }
                Ok(())
            }
        }
    }

    /// Takes one line of a worker, or says at which row it failed.
    fn take(&mut self, i: usize, line: Result<Answer, WorkerFault>) -> Result<(), (Option<usize>, WorkerFault)> {
        let worker = &mut self.workers.live[i];
        let suspect = worker.pending.front().map(|pending| pending.row).or(worker.last_row);
        let answer = line.map_err(|nonsense| (suspect, nonsense))?;
        let at = worker.pending.iter().position(|pending| pending.id == answer.id);
        let (at, row) =
            at.map(|at| (at, worker.pending[at].row)).ok_or((suspect, WorkerFault::UnknownId { id: answer.id }))?;
        self.data[row] = Some(match answer.data {
            Ok(data) => Ok(data),
            Err(WorkerFault::Reported { message }) if self.jobs.batch.may_panic(Quantity::SimData) => Err(message),
            Err(fault) => return Err((Some(row), fault)),
        });
        self.missing -= 1;
        worker.pending.remove(at);
        Ok(())
    }

    fn check_time(&mut self) -> Result<(), ProcessError> {
        let limit = self.settings.time_limit;
        let is_late = |worker: &Worker| worker.is_at_work() && worker.since.elapsed() >= limit;
        while let Some(i) = self.workers.live.iter().position(is_late) {
            let row = self.workers.live[i].pending.front().map(|pending| pending.row);
            self.replace(i, row, WorkerFault::TimedOut { limit })?;
        }
        Ok(())
    }

    /// Replaces a worker whose output has ended.
    fn replace_ended(&mut self, i: usize) -> Result<(), ProcessError> {
        let worker = &mut self.workers.live[i];
        let status = worker.end(Instant::now() + Duration::from_secs(1));
        let row = worker.pending.front().map(|pending| pending.row);
        let answered = worker.pace.answered.load(Ordering::Relaxed);
        self.replace(i, row, WorkerFault::Exited { status, answered })
    }

    /// Kills a worker that failed at a row and, if a retry is left, returns its requests to the queue.
    fn replace(&mut self, i: usize, row: Option<usize>, fault: WorkerFault) -> Result<(), ProcessError> {
        let mut worker = self.workers.live.swap_remove(i);
        worker.end(Instant::now());
        for pending in worker.pending.iter().rev() {
            self.queue.push_front(pending.row);
        }
        if let Some(row) = row {
            self.failures[row] += 1;
            let may_retry = match self.settings.on_failure {
                WorkerFailure::Error => false,
                WorkerFailure::Replace { max_retries } => fault.may_pass() && self.failures[row] <= max_retries,
            };
            if !may_retry {
                return Err(self.error(row, fault, worker.stderr()));
            }
        }
        // Without a row, the worker failed while it had no request.
        let index = row.map(|row| self.jobs.index(row));
        tracing::warn!(index, %fault, stderr = worker.stderr(), "a worker process of the simulator is replaced");
        Ok(())
    }

    fn error(&self, row: usize, fault: WorkerFault, stderr: String) -> ProcessError {
        let mut request = Vec::new();
        self.jobs.request(row, row as u64).write(&mut request);
        let Batch { seed, first, len, independent, .. } = *self.jobs.batch;
        let index = self.jobs.index(row);
        let (first, num_simulations) = if independent { (index, 1) } else { (first, len) };
        ProcessError::Failed(Box::new(FailedProcess {
            program: self.settings.command_line(),
            index,
            seed,
            first,
            num_simulations,
            fault,
            attempts: self.failures[row],
            stderr,
            request: shortened(&request),
        }))
    }
}

/// The requests that a worker is to get.
struct Order {
    wanted: usize,
    count: usize,
    lines: Vec<u8>,
}

impl Order {
    fn of(worker: &Worker, fair: usize) -> Self {
        let requests = |time: f64| worker.pace.seconds().map_or(0, |seconds| (time / seconds) as usize);
        let window = fair.max(requests(ROUND_SECONDS)).min(requests(AHEAD_SECONDS)).clamp(WINDOW.0, WINDOW.1);
        // Half a window at a time, so that a fast worker is not sent its requests one by one.
        let takes_more = !worker.is_over && worker.pending.len() <= window / 2;
        let wanted = if takes_more { window - worker.pending.len() } else { 0 };
        Self { wanted, count: 0, lines: Vec::new() }
    }
}
