//! Takes a step of Adam for all parameters at once.

mod cpu;
#[cfg(feature = "gpu")]
pub(crate) mod gpu;

pub use cpu::global_norm;
pub(crate) use cpu::sum_of_squares;

/// The constants of Adam (Kingma & Ba 2015, algorithm 1) or AdamW (Loshchilov & Hutter 2019, algorithm 2).
#[derive(Debug, Clone, Copy)]
pub struct Adam {
    /// β₁.
    pub beta_1: f32,
    /// β₂.
    pub beta_2: f32,
    /// ε.
    pub epsilon: f32,
    /// λ: each parameter is first multiplied by 1 − rate · λ. 0 for Adam.
    pub weight_decay: f32,
}

/// Adam's state for a parameter.
#[derive(Debug, Clone, Default)]
pub struct Moments {
    /// The number of steps.
    pub time: usize,
    /// Averages of gradients; may be empty before the first step.
    pub first: Vec<f32>,
    /// Averages of squared gradients; may be empty before the first step.
    pub second: Vec<f32>,
}

/// A parameter in a step.
#[derive(Debug)]
pub struct Updated<'a> {
    /// Its values, which the step changes.
    pub parameter: &'a mut [f32],
    /// Their gradients.
    pub gradient: &'a [f32],
    /// Adam's state.
    pub moments: &'a mut Moments,
}
