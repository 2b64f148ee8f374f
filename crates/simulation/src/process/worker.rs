//! Starts a worker process, writes to it and reads from it on separate threads, and ends it.

use super::{
    ProcessSimulator,
    leader::Leader,
    output::{Output, Pace, Report},
    pipe::Pipe,
};
use bayesburn_core::printable;
use std::{
    collections::VecDeque,
    io::{self, Read, Write},
    process::{ChildStderr, ChildStdin, Command, Stdio},
    sync::{
        Arc, Mutex, PoisonError,
        atomic::Ordering,
        mpsc::{Receiver, Sender, SyncSender, channel},
    },
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

/// How long a worker whose standard input is closed may take to end before it is killed.
pub(super) const GRACE: Duration = Duration::from_secs(2);

/// How much of its standard error is kept.
const STDERR_BYTES: usize = 4096;

/// A request that has no answer yet.
#[derive(Debug, Clone, Copy)]
pub(super) struct Pending {
    pub(super) id: u64,
    pub(super) row: usize,
}

/// A running worker process.
#[derive(Debug)]
pub(super) struct Worker {
    /// A unique number, so that late events of a dead worker are not attributed to its successor.
    pub(super) number: u64,
    /// The oldest first.
    pub(super) pending: VecDeque<Pending>,
    /// The last row of this batch that it was sent.
    pub(super) last_row: Option<usize>,
    /// Since when it could work at the oldest; if it has exited, since when its output is read to the end.
    pub(super) since: Instant,
    /// Whether it was seen to have exited. Then it gets no more requests.
    pub(super) is_over: bool,
    pub(super) pace: Arc<Pace>,
    leader: Leader,
    /// Lines for its standard input, which is closed when this is dropped.
    lines: Option<Sender<Vec<u8>>>,
    stderr: Arc<Mutex<Vec<u8>>>,
    stderr_thread: JoinHandle<()>,
    /// The owner of the pipes: when it is dropped, the threads end.
    _owner: Arc<()>,
}

impl Worker {
    /// Starts a process and its three threads. If one of them cannot be started, the process is killed and those that
    /// were started end, since what owns them is dropped.
    pub(super) fn start(settings: &ProcessSimulator, number: u64, reports: SyncSender<Report>) -> io::Result<Self> {
        let mut command = Command::new(&settings.program);
        command.args(&settings.args).envs(settings.envs.iter().cloned());
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        if let Some(folder) = &settings.current_dir {
            command.current_dir(folder);
        }
        let owner = Arc::new(());
        let mut leader = Leader::start(&mut command)?;
        let (stdin, stdout, errors) = leader.pipes()?;
        let (stdin, stdout) = (Pipe::new(stdin, &owner)?, Pipe::new(stdout, &owner)?);
        let errors = Pipe::new(errors, &owner)?;
        let (lines, to_write) = channel();
        let stderr = Arc::new(Mutex::new(Vec::new()));
        let tail = stderr.clone();
        let pace = Arc::new(Pace::default());
        let known = pace.clone();
        let on_thread = |what: &str| thread::Builder::new().name(format!("simulator {number} {what}"));
        // Three threads, so that a full pipe in one direction never holds up another.
        on_thread("stdin").spawn(move || write_lines(stdin, &to_write))?;
        on_thread("stdout").spawn(move || Output::new(stdout, known).read(number, &reports))?;
        let stderr_thread = on_thread("stderr").spawn(move || keep_tail(errors, &tail))?;
        Ok(Self {
            number,
            pending: VecDeque::new(),
            last_row: None,
            since: Instant::now(),
            is_over: false,
            pace,
            leader,
            lines: Some(lines),
            stderr,
            stderr_thread,
            _owner: owner,
        })
    }

    /// Passes lines to the writing thread, which writes as fast as the worker reads. A worker that no longer reads is
    /// detected by the time limit.
    pub(super) fn send(&self, lines: Vec<u8>, count: usize) {
        self.pace.sent.fetch_add(count, Ordering::Relaxed);
        if let Some(sender) = &self.lines {
            let _ = sender.send(lines);
        }
    }

    /// Closes its standard input, upon which a worker should end.
    pub(super) fn close(&mut self) {
        self.lines = None;
    }

    /// Whether an answer is expected of it.
    pub(super) fn is_at_work(&self) -> bool {
        !self.is_over && !self.pending.is_empty()
    }

    pub(super) fn has_exited(&mut self) -> bool {
        self.leader.has_exited()
    }

    /// Waits until a deadline for it to end, and kills it if it does not. In either case, processes of its group are
    /// killed. Returns its exit status in words.
    pub(super) fn end(&mut self, until: Instant) -> String {
        while !self.has_exited() {
            if Instant::now() >= until {
                self.leader.kill();
                return "killed after it closed its standard output".into();
            }
            thread::sleep(Duration::from_millis(1));
        }
        self.leader.kill().to_owned()
    }

    /// The end of what it wrote to standard error, safe to print; complete once the process has ended.
    pub(super) fn stderr(&self) -> String {
        // The thread reads on for a moment, or for as long as a process that the worker left behind holds the pipe.
        let until = Instant::now() + Duration::from_millis(200);
        while !self.stderr_thread.is_finished() && Instant::now() < until {
            thread::sleep(Duration::from_millis(1));
        }
        let tail = self.stderr.lock().unwrap_or_else(PoisonError::into_inner);
        // Some programs end lines as Windows does.
        printable(String::from_utf8_lossy(&tail).replace("\r\n", "\n").trim()).into_owned()
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        self.close();
        self.end(Instant::now() + if self.pending.is_empty() { GRACE } else { Duration::ZERO });
    }
}

fn write_lines(mut stdin: Pipe<ChildStdin>, lines: &Receiver<Vec<u8>>) {
    while let Ok(lines) = lines.recv() {
        if stdin.write_all(&lines).is_err() {
            return;
        }
    }
}

fn keep_tail(mut stderr: Pipe<ChildStderr>, tail: &Mutex<Vec<u8>>) {
    let mut buffer = [0; STDERR_BYTES];
    while let Ok(len @ 1..) = stderr.read(&mut buffer) {
        let mut tail = tail.lock().unwrap_or_else(PoisonError::into_inner);
        tail.extend_from_slice(&buffer[..len]);
        let excess = tail.len().saturating_sub(STDERR_BYTES);
        tail.drain(..excess);
    }
}
