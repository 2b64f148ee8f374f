//! Reads a worker's output on a separate thread, in portions, so that it costs the batch little time.

use super::{
    WorkerFault,
    answer::{Answer, read_answer},
    pipe::Pipe,
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

/// The longest line that is accepted as an answer. 1 GiB is 50 million numbers of 20 characters.
const MAX_LINE: u64 = 1 << 30;

/// How many bytes of answers may wait in a pipe: half of the 64 kB at which Linux lets the worker wait.
const MAX_WAITING: usize = 1 << 15;

/// With fewer pending answers than this the thread does not sleep, since the end of the batch waits for them.
const FEWEST_PENDING: usize = 8;

/// The longest sleep: a fifth of the work that a worker has ahead.
const LONGEST_NAP: Duration = Duration::from_millis(4);

/// The shortest sleep: on Linux a thread wakes 50 µs late.
const SHORTEST_NAP: Duration = Duration::from_micros(100);

/// An event of a worker, with the worker's number.
pub(super) type Report = (u64, Event);

/// An event of a worker.
#[derive(Debug)]
pub(super) enum Event {
    /// Lines that it wrote.
    Lines(Vec<Result<Answer, WorkerFault>>),
    /// Its standard output ended.
    Ended,
}

/// The speed of a worker, shared by the batch and the reading thread.
#[derive(Debug, Default)]
pub(super) struct Pace {
    /// How many requests it was sent.
    pub(super) sent: AtomicUsize,
    /// How many lines it wrote.
    pub(super) answered: AtomicUsize,
    /// Its recent time per answer; 0 if unknown.
    nanoseconds: AtomicU64,
}

impl Pace {
    /// The worker's recent time per answer.
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
    stdout: BufReader<Pipe<ChildStdout>>,
    pace: Arc<Pace>,
    /// The time of the last lines, if the worker had more requests then.
    busy_since: Option<Instant>,
}

impl Output {
    pub(super) fn new(stdout: Pipe<ChildStdout>, pace: Arc<Pace>) -> Self {
        Self { stdout: BufReader::with_capacity(1 << 16, stdout), pace, busy_since: None }
    }

    /// Reports all lines, until the output ends or a line is not an answer.
    pub(super) fn read(mut self, number: u64, reports: &SyncSender<Report>) {
        let (mut line, mut read) = (Vec::new(), Vec::new());
        loop {
            line.clear();
            let end = (&mut self.stdout).take(MAX_LINE).read_until(b'\n', &mut line);
            let is_whole = line.ends_with(b"\n") || line.len() as u64 == MAX_LINE;
            if end.is_err() || !is_whole {
                // An incomplete last line of a dying worker is ignored: its exit tells more.
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

    /// Updates the worker's speed.
    fn observe(&mut self, lines: usize) {
        self.pace.answered.fetch_add(lines, Ordering::Relaxed);
        let is_busy = self.pace.pending() > 0;
        if let Some(since) = self.busy_since {
            let took = since.elapsed().as_nanos() as u64 / lines as u64;
            let before = self.pace.nanoseconds.load(Ordering::Relaxed);
            let now = match (before, is_busy) {
                (0, _) => took,
                (_, true) => before.midpoint(took),
                // The worker was idle for part of the time.
                (_, false) => before.min(took),
            };
            self.pace.nanoseconds.store(now.max(1), Ordering::Relaxed);
        }
        self.busy_since = is_busy.then(Instant::now);
    }

    /// Sleeps while the worker processes the first half of its pending requests, so that several answers wake this
    /// thread and the batch's thread only once. With simulations of 150 µs on two cores, this process then takes 10 µs
    /// per simulation instead of 30.
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
