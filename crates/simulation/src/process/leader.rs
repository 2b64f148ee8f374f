//! Owns a worker process and the process group that it leads, so that neither outlives the worker.

use std::{
    io,
    process::{Child, ChildStderr, ChildStdin, ChildStdout, Command},
};

/// A process that leads a group of its own: those that it starts belong to the group, unless they leave it. When this
/// is dropped, the group is killed and the process waited for.
#[derive(Debug)]
pub(super) struct Leader {
    child: Child,
    /// Its exit status in words, once it has been waited for.
    status: Option<String>,
}

impl Leader {
    /// Starts a process.
    pub(super) fn start(command: &mut Command) -> io::Result<Self> {
        #[cfg(unix)]
        std::os::unix::process::CommandExt::process_group(command, 0);
        Ok(Self { child: command.spawn()?, status: None })
    }

    /// Its standard input, output and error, which must be pipes; the first time only.
    pub(super) fn pipes(&mut self) -> io::Result<(ChildStdin, ChildStdout, ChildStderr)> {
        match (self.child.stdin.take(), self.child.stdout.take(), self.child.stderr.take()) {
            (Some(stdin), Some(stdout), Some(stderr)) => Ok((stdin, stdout, stderr)),
            _ => Err(io::Error::other("the process has no pipes")),
        }
    }

    /// Whether it has exited, by itself or killed.
    pub(super) fn has_exited(&mut self) -> bool {
        self.status.is_some() || has_exited(&mut self.child).unwrap_or(true)
    }

    /// Kills the group, and the process if it has not exited, and waits for it. Returns its exit status in words.
    pub(super) fn kill(&mut self) -> &str {
        let Self { child, status } = self;
        status.get_or_insert_with(|| {
            // An error: the system waited for it, as for all children of a program that ignores SIGCHLD. Its number may
            // be another process's.
            if has_exited(child).is_ok() {
                // Before the process is waited for, after which the number may be another group's.
                kill_group(child);
                let _ = child.kill();
            }
            child.wait().map_or_else(|_| "exit status unknown".into(), |status| status.to_string())
        })
    }
}

impl Drop for Leader {
    fn drop(&mut self) {
        self.kill();
    }
}

/// Whether a process has exited; an error if someone else has waited for it. Takes 0.5 µs. It is not waited for, so
/// that its number, which is that of its group, does not become another's before the group is killed.
#[cfg(unix)]
fn has_exited(child: &mut Child) -> io::Result<bool> {
    use rustix::process::{Pid, WaitId, WaitIdOptions, waitid};
    let options = WaitIdOptions::EXITED | WaitIdOptions::NOHANG | WaitIdOptions::NOWAIT;
    Ok(waitid(WaitId::Pid(Pid::from_child(child)), options)?.is_some())
}

#[cfg(not(unix))]
fn has_exited(child: &mut Child) -> io::Result<bool> {
    Ok(child.try_wait()?.is_some())
}

#[cfg(unix)]
fn kill_group(leader: &Child) {
    use rustix::process::{Pid, Signal, kill_process_group};
    let _ = kill_process_group(Pid::from_child(leader), Signal::KILL);
}

#[cfg(not(unix))]
fn kill_group(_: &Child) {}
