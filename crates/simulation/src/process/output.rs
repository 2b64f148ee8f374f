//! Reads what a worker writes, on a thread of its own, in portions that cost the batch little.

use super::{
    WorkerFault,
    answer::{Answer, read_answer},
};
use std::{
    io::{BufRead, BufReader, Read},
    process::ChildStdout,
    sync::{
        Arc,
        atomic::{AtomicU64, AtomicUsize, Ordering},
        mpsc::SyncSender,
    },
    thread,
    time::{Duration, Instant},
};

/// A longer line is no answer. 1 GiB is 50 million numbers of 20 characters.
const MAX_LINE: u64 = 1 << 30;

/// How many bytes of answers may wait in a pipe: half of the 64 kB at which Linux lets the worker wait.
const MAX_WAITING: usize = 1 << 15;

/// With fewer answers to come there is no nap: the end of a batch waits for them.
const FEWEST_PENDING: usize = 8;

/// A nap is no longer than this: a fifth of the work that a worker is sent ahead.
const LONGEST_NAP: Duration = Duration::from_millis(4);

/// A shorter nap is not worth it: a thread wakes 50 µs late on Linux.
const SHORTEST_NAP: Duration = Duration::from_micros(100);

/// What a worker has been heard of, with the number of the worker.
pub(super) type Report = (u64, Event);

/// What a worker has been heard of.
#[derive(Debug)]
pub(super) enum Event {
    /// Lines that it wrote.
    Lines(Vec<Result<Answer, WorkerFault>>),
    /// Its standard output ended.
    Ended,
}

/// How fast a worker is; the batch and the thread that reads share it.
#[derive(Debug, Default)]
pub(super) struct Pace {
    /// How many requests it was sent.
    pub(super) sent: AtomicUsize,
    /// How many lines it wrote.
    pub(super) answered: AtomicUsize,
    /// How long it takes for an answer, lately; 0 if that is not known yet.
    nanoseconds: AtomicU64,
}

impl Pace {
    /// How long the worker takes for an answer, lately.
    pub(super) fn seconds(&self) -> Option<f64> {
        let nanoseconds = self.nanoseconds.load(Ordering::Relaxed);
        (nanoseconds > 0).then_some(nanoseconds as f64 * 1e-9)
    }

    fn pending(&self) -> usize {
        self.sent.load(Ordering::Relaxed).saturating_sub(self.answered.load(Ordering::Relaxed))
    }
}

/// The standard output of a worker.
pub(super) struct Output {
    stdout: BufReader<ChildStdout>,
    pace: Arc<Pace>,
    /// When the last lines came, if the worker had more to do then.
    busy_since: Option<Instant>,
}

impl Output {
    pub(super) fn new(stdout: ChildStdout, pace: Arc<Pace>) -> Self {
        Self { stdout: BufReader::with_capacity(1 << 16, stdout), pace, busy_since: None }
    }

    /// Reports all lines, until they end or one is no answer.
    pub(super) fn read(mut self, number: u64, reports: &SyncSender<Report>) {
        let (mut line, mut read) = (Vec::new(), Vec::new());
        loop {
            line.clear();
            let end = (&mut self.stdout).take(MAX_LINE).read_until(b'\n', &mut line);
            let is_whole = line.ends_with(b"\n") || line.len() as u64 == MAX_LINE;
            if end.is_err() || !is_whole {
                // What a dying worker wrote of a last line says less than its end.
                let _ = reports.send((number, Event::Lines(read)));
                let _ = reports.send((number, Event::Ended));
                return;
            }
            if !line.trim_ascii().is_empty() {
                read.push(read_answer(&line));
            }
            let is_last = matches!(read.last(), Some(Err(_)));
            // Lines that came together are reported together.
            if !read.is_empty() && (is_last || !self.stdout.buffer().contains(&b'\n')) {
                self.observe(read.len());
                let closed = reports.send((number, Event::Lines(std::mem::take(&mut read)))).is_err();
                if closed || is_last {
                    return;
                }
                self.nap(line.len());
            }
        }
    }

    /// Learns how fast the worker is.
    fn observe(&mut self, lines: usize) {
        self.pace.answered.fetch_add(lines, Ordering::Relaxed);
        let is_busy = self.pace.pending() > 0;
        if let Some(since) = self.busy_since {
            let took = since.elapsed().as_nanos() as u64 / lines as u64;
            let before = self.pace.nanoseconds.load(Ordering::Relaxed);
            let now = match (before, is_busy) {
                (0, _) => took,
                (_, true) => before.midpoint(took),
                // Part of the time it had nothing to do.
                (_, false) => before.min(took),
            };
            self.pace.nanoseconds.store(now.max(1), Ordering::Relaxed);
        }
        self.busy_since = is_busy.then(Instant::now);
    }

    /// Sleeps while the worker is at the first half of what it still has to do, so that several answers wake this
    /// thread and the batch's once. Where workers of 150 µs a simulation take both of two cores, this process takes 10
    /// µs of them instead of 30.
    fn nap(&self, line_bytes: usize) {
        let pending = self.pace.pending();
        if pending < FEWEST_PENDING {
            return;
        }
        let answers = (pending / 2).min(MAX_WAITING / line_bytes);
        let nap = Duration::from_secs_f64(answers as f64 * self.pace.seconds().unwrap_or(0.0)).min(LONGEST_NAP);
        if nap >= SHORTEST_NAP {
            thread::sleep(nap);
        }
    }
}
