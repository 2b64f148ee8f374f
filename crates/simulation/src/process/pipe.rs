//! Reads and writes the pipes of a worker for as long as the worker is kept, although another process may hold their
//! other ends for ever.

use std::{
    io::{self, Read, Write},
    sync::{Arc, Weak},
};

#[cfg(unix)]
use std::os::fd::AsFd as AsHandle;
#[cfg(windows)]
use std::os::windows::io::AsHandle;

/// One pipe of a worker. Threads that wait for it get an error when its owner has been dropped: on Unix within a
/// second, elsewhere when the other end is closed.
#[derive(Debug)]
pub(super) struct Pipe<T> {
    pipe: T,
    owner: Weak<()>,
}

impl<T: AsHandle> Pipe<T> {
    pub(super) fn new(pipe: T, owner: &Arc<()>) -> io::Result<Self> {
        // A pipe is ready to be written when a page fits: a write of more would wait for the rest.
        #[cfg(unix)]
        rustix::io::ioctl_fionbio(&pipe, true)?;
        Ok(Self { pipe, owner: Arc::downgrade(owner) })
    }
}

impl<T: AsHandle + Read> Read for Pipe<T> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        loop {
            wait(&self.pipe, &self.owner, Direction::Read)?;
            match self.pipe.read(buffer) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                read => return read,
            }
        }
    }
}

impl<T: AsHandle + Write> Write for Pipe<T> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        loop {
            wait(&self.pipe, &self.owner, Direction::Write)?;
            match self.pipe.write(bytes) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                written => return written,
            }
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        self.pipe.flush()
    }
}

#[derive(Debug, Clone, Copy)]
enum Direction {
    Read,
    Write,
}

/// Waits until a pipe can be read or written; an error once its owner has been dropped.
///
/// It looks for the owner once a second: a second pipe, on which to wait for that as well, would cost two of the 1,024
/// files that many systems let a program open, for each of maybe 256 workers.
#[cfg(unix)]
fn wait(pipe: &impl AsHandle, owner: &Weak<()>, direction: Direction) -> io::Result<()> {
    use rustix::event::{PollFd, PollFlags, Timespec, poll};
    let flags = match direction {
        Direction::Read => PollFlags::IN,
        Direction::Write => PollFlags::OUT,
    };
    let second = Timespec { tv_sec: 1, tv_nsec: 0 };
    while owner.strong_count() > 0 {
        if rustix::io::retry_on_intr(|| poll(&mut [PollFd::new(pipe, flags)], Some(&second)))? > 0 {
            return Ok(());
        }
    }
    Err(io::ErrorKind::BrokenPipe.into())
}

/// Elsewhere reading and writing wait themselves.
#[cfg(not(unix))]
fn wait(_: &impl AsHandle, _: &Weak<()>, _: Direction) -> io::Result<()> {
    Ok(())
}

#[cfg(all(test, unix))]
mod tests {
    use super::*;
    use std::{thread, time::Duration};

    #[test]
    fn bytes_pass_in_both_directions() {
        let owner = Arc::new(());
        let (output, input) = io::pipe().expect("a pipe");
        let (output, input) = (Pipe::new(output, &owner), Pipe::new(input, &owner));
        let (mut output, mut input) = (output.expect("reads"), input.expect("writes"));
        // Sixteen times what the pipe holds.
        let bytes: Vec<u8> = (0..1 << 20).map(|i: u32| i.to_le_bytes()[1]).collect();
        let expected = bytes.clone();
        let writer = thread::spawn(move || input.write_all(&bytes));
        let mut read = Vec::new();
        output.read_to_end(&mut read).expect("the other end is closed at the end");
        writer.join().expect("no panic").expect("everything is read");
        assert!(read == expected);
    }

    #[test]
    fn those_who_wait_are_told_when_the_worker_is_given_up() {
        let owner = Arc::new(());
        // Both other ends stay open: nothing ever comes, and nothing is ever read.
        let ((empty, _never_written), (_never_read, full)) = (io::pipe().expect("a pipe"), io::pipe().expect("a pipe"));
        let (empty, full) = (Pipe::new(empty, &owner), Pipe::new(full, &owner));
        let (mut empty, mut full) = (empty.expect("reads"), full.expect("writes"));
        let reader = thread::spawn(move || empty.read(&mut [0]));
        let writer = thread::spawn(move || full.write_all(&vec![0; 1 << 20]));
        thread::sleep(Duration::from_millis(50));
        assert!(!reader.is_finished() && !writer.is_finished());
        drop(owner);
        assert!(reader.join().expect("no panic").is_err() && writer.join().expect("no panic").is_err());
    }
}
