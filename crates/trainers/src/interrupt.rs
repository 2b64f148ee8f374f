//! Lets Ctrl-C end a training after its current step.

use crate::TrainerError;
use signal_hook::{consts::SIGINT, flag};
use std::sync::{
    Arc, LazyLock,
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
    pressed: Arc<AtomicBool>,
    /// Whether Ctrl-C ends the process, as without a handler: always, except for the first one during a training.
    ends_process: Arc<AtomicBool>,
}

impl Interrupt {
    /// Sets the handler, the first time; it does nothing until a training listens.
    pub(crate) fn ctrl_c() -> Result<Self, TrainerError> {
        static HANDLER: LazyLock<std::io::Result<CtrlC>> = LazyLock::new(|| {
            let (pressed, ends_process) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicBool::new(true)));
            // In this order: the press that arms the second one does not end the process itself.
            flag::register_conditional_default(SIGINT, ends_process.clone())?;
            flag::register(SIGINT, pressed.clone())?;
            flag::register(SIGINT, ends_process.clone())?;
            Ok(CtrlC { pressed, ends_process })
        });
        match &*HANDLER {
            Ok(handler) => Ok(Self::CtrlC(handler)),
            Err(error) => Err(TrainerError::Signal { reason: error.to_string() }),
        }
    }

    /// Makes Ctrl-C interrupt the training instead of the process, until the result is dropped.
    pub(crate) fn listen(&self) -> Listening {
        match self {
            Self::Flag(_) => Listening(None),
            Self::CtrlC(handler) => {
                handler.ends_process.store(false, Ordering::SeqCst);
                Listening(Some(handler))
            }
        }
    }

    /// Whether an interruption was requested; resets the request.
    pub(crate) fn take(&self) -> bool {
        match self {
            Self::Flag(flag) => flag.swap(false, Ordering::SeqCst),
            Self::CtrlC(handler) => handler.pressed.swap(false, Ordering::SeqCst),
        }
    }
}

/// A guard during which Ctrl-C interrupts a training.
#[derive(Debug)]
pub(crate) struct Listening(Option<&'static CtrlC>);

impl Drop for Listening {
    fn drop(&mut self) {
        if let Some(handler) = self.0 {
            handler.ends_process.store(true, Ordering::SeqCst);
        }
    }
}
