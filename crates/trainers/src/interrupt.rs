//! Lets Ctrl-C end trainings after their current step.

use crate::TrainerError;
use signal_hook::{SigId, consts::SIGINT, flag, low_level::unregister};
use std::sync::{
    Arc, LazyLock, Mutex, MutexGuard, PoisonError,
    atomic::{AtomicBool, Ordering},
};

/// A way to interrupt a training.
#[derive(Debug, Clone)]
pub(crate) enum Interrupt {
    /// A flag of the program's own.
    Flag(Arc<AtomicBool>),
    /// Ctrl-C.
    CtrlC(&'static CtrlC),
}

/// The process's handler of Ctrl-C.
#[derive(Debug)]
pub(crate) struct CtrlC {
    /// Whether Ctrl-C ends the process, as without a handler: always, except for the first one during trainings.
    ends_process: Arc<AtomicBool>,
    /// The number of trainings that listen.
    listeners: Mutex<usize>,
}

impl CtrlC {
    fn listeners(&self) -> MutexGuard<'_, usize> {
        self.listeners.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Interrupt {
    /// Sets the handler, the first time; it does nothing until a training listens.
    pub(crate) fn ctrl_c() -> Result<Self, TrainerError> {
        static HANDLER: LazyLock<std::io::Result<CtrlC>> = LazyLock::new(|| {
            let ends_process = Arc::new(AtomicBool::new(true));
            // In this order: the press that arms the second one does not end the process itself.
            flag::register_conditional_default(SIGINT, ends_process.clone())?;
            flag::register(SIGINT, ends_process.clone())?;
            Ok(CtrlC { ends_process, listeners: Mutex::new(0) })
        });
        match &*HANDLER {
            Ok(handler) => Ok(Self::CtrlC(handler)),
            Err(error) => Err(signal_error(error)),
        }
    }
}

fn signal_error(error: &std::io::Error) -> TrainerError {
    TrainerError::Signal { reason: error.to_string() }
}

/// The requests to interrupt one training. While this exists, Ctrl-C interrupts the training instead of the process.
/// Dropping it drops a request that was not taken.
#[derive(Debug, Default)]
pub(crate) struct Listening(Vec<Listener>);

impl Listening {
    pub(crate) fn to(interrupts: &[Interrupt]) -> Result<Self, TrainerError> {
        Ok(Self(interrupts.iter().map(Listener::to).collect::<Result<_, _>>()?))
    }

    /// Whether an interruption was requested; resets all requests, so that none is left for the next run.
    pub(crate) fn take(&self) -> bool {
        self.0.iter().filter(|listener| listener.take()).count() > 0
    }

    /// Stops listening. Whether an interruption was requested until then and not taken.
    pub(crate) fn end(mut self) -> bool {
        self.0.iter_mut().for_each(Listener::stop);
        self.take()
    }
}

/// One training's own flag, or that of the program.
#[derive(Debug)]
struct Listener {
    flag: Arc<AtomicBool>,
    ctrl_c: Option<(&'static CtrlC, SigId)>,
}

impl Listener {
    fn to(interrupt: &Interrupt) -> Result<Self, TrainerError> {
        let handler = match interrupt {
            Interrupt::Flag(flag) => return Ok(Self { flag: flag.clone(), ctrl_c: None }),
            Interrupt::CtrlC(handler) => *handler,
        };
        let flag = Arc::new(AtomicBool::new(false));
        let id = flag::register(SIGINT, flag.clone()).map_err(|error| signal_error(&error))?;
        let mut listeners = handler.listeners();
        *listeners += 1;
        // Also while another training ends because of the first Ctrl-C: the next one would end this one without a
        // checkpoint.
        handler.ends_process.store(false, Ordering::SeqCst);
        Ok(Self { flag, ctrl_c: Some((handler, id)) })
    }

    fn take(&self) -> bool {
        self.flag.swap(false, Ordering::SeqCst)
    }

    fn stop(&mut self) {
        let Some((handler, id)) = self.ctrl_c.take() else { return };
        let mut listeners = handler.listeners();
        *listeners -= 1;
        if *listeners == 0 {
            handler.ends_process.store(true, Ordering::SeqCst);
        }
        // This waits for a handler that runs on another thread, so that the flag has every Ctrl-C before this.
        unregister(id);
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        self.stop();
        self.take();
    }
}
