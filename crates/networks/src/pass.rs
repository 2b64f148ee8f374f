//! Tells a network whether it trains or infers, and carries the generator of its dropout and noise.

use bayesburn_core::{Purpose, StreamRng, stream};
use burn::tensor::{Tensor, TensorData};
use rand::{Rng, RngExt};
use rand_distr::StandardNormal;

/// One pass through a network. All randomness inside the pass comes from its own generator, drawn on the host, so that
/// the result does not depend on the backend, the number of threads or what ran before.
#[derive(Debug)]
pub struct Pass {
    training: bool,
    dropout: bool,
    #[cfg_attr(not(feature = "flex"), expect(dead_code, reason = "there are no kernels"))]
    kernels: bool,
    rng: StreamRng,
}

impl Pass {
    /// A training pass: dropout and noise are on. Give every step its own seed.
    #[must_use]
    pub fn training(seed: u64) -> Self {
        Self {
            training: true,
            dropout: true,
            kernels: true,
            rng: stream(seed, const { Purpose::new("training pass") }, 0),
        }
    }

    /// An inference pass: only Monte Carlo dropout is on.
    #[must_use]
    pub fn inference(seed: u64) -> Self {
        Self {
            training: false,
            dropout: true,
            kernels: true,
            rng: stream(seed, const { Purpose::new("inference pass") }, 0),
        }
    }

    /// The same pass with no unit dropped.
    #[must_use]
    pub fn without_dropout(self) -> Self {
        Self { dropout: false, ..self }
    }

    /// The same pass by Burn's own operations, one by one, as on devices that have no kernels: what the kernels are
    /// tested against.
    #[must_use]
    pub fn without_kernels(self) -> Self {
        Self { kernels: false, ..self }
    }

    /// Whether networks may run as single operations where they can.
    #[cfg(feature = "flex")]
    pub(crate) fn uses_kernels(&self) -> bool {
        self.kernels
    }

    /// Whether this is a training pass.
    #[must_use]
    pub fn is_training(&self) -> bool {
        self.training
    }

    /// Whether a network drops units of this probability in this pass, if it does so in training alone.
    #[cfg(feature = "flex")]
    pub(crate) fn drops(&self, probability: f64) -> bool {
        self.training && self.dropout && probability > 0.0
    }

    /// Standard normal noise of this shape, on the device and in the precision of `like`.
    pub fn normal(&mut self, shape: [usize; 2], like: &Tensor<2>) -> Tensor<2> {
        self.fill(shape, like, |rng| rng.sample(StandardNormal))
    }

    /// Uniform noise on `[low, high)`, on the device and in the precision of `like`.
    pub fn uniform(&mut self, shape: [usize; 2], (low, high): (f32, f32), like: &Tensor<2>) -> Tensor<2> {
        self.fill(shape, like, |rng| low + (high - low) * rng.random::<f32>())
    }

    /// A seed for what else is random in this pass, different each time.
    pub fn seed(&mut self) -> u64 {
        self.rng.next_u64()
    }

    /// A dropout mask for `like`: 0 with this probability, else 1 / (1 − probability), so that the mean stays.
    pub(crate) fn dropout_mask<const R: usize>(&mut self, probability: f64, like: &Tensor<R>) -> Tensor<R> {
        if !self.dropout {
            return like.ones_like();
        }
        let Dropout { below, keep } = Dropout::new(probability);
        self.fill(like.dims(), like, |rng| if rng.next_u32() < below { 0.0 } else { keep })
    }

    /// The masks of layers side by side, `[rows, all units]`, of which [`Pass::dropout_mask`] draws one after the
    /// other.
    #[cfg(feature = "flex")]
    #[doc(hidden)]
    pub fn dropout_masks(&mut self, layers: &[(f64, usize)], rows: usize) -> Vec<f32> {
        let width: usize = layers.iter().map(|(_, units)| units).sum();
        if !self.dropout {
            return vec![1.0; rows * width];
        }
        let mut masks = vec![0.0; rows * width];
        let mut first = 0;
        for &(probability, units) in layers {
            let Dropout { below, keep } = Dropout::new(probability);
            // All at once, since drawing them costs as much as a tenth of a step with dropout.
            let mut random = vec![0u32; rows * units];
            self.rng.fill(&mut random[..]);
            for (row, random) in masks.chunks_exact_mut(width).zip(random.chunks_exact(units)) {
                for (value, &random) in row[first..first + units].iter_mut().zip(random) {
                    *value = if random < below { 0.0 } else { keep };
                }
            }
            first += units;
        }
        masks
    }

    fn fill<const R: usize>(
        &mut self,
        shape: [usize; R],
        like: &Tensor<R>,
        draw: impl Fn(&mut StreamRng) -> f32,
    ) -> Tensor<R> {
        let values: Vec<f32> = (0..shape.iter().product()).map(|_| draw(&mut self.rng)).collect();
        constant(values, shape, like)
    }
}

/// How a unit's mask is made of 32 random bits: 0 if they are below a bound.
struct Dropout {
    below: u32,
    /// The mask of a unit that stays.
    keep: f32,
}

impl Dropout {
    fn new(probability: f64) -> Self {
        Self { below: (probability * 2f64.powi(32)) as u32, keep: (1.0 / (1.0 - probability)) as f32 }
    }
}

/// A constant tensor on the device and in the precision of `like`.
pub(crate) fn constant<const R: usize>(values: Vec<f32>, shape: [usize; R], like: &Tensor<R>) -> Tensor<R> {
    Tensor::<R>::from_data(TensorData::new(values, shape), &like.device()).cast(like.dtype())
}
