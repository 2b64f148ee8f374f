//! Computes networks without gradients, from arrays to arrays: by Burn or, where there are kernels for it, on a GPU.

#[cfg(feature = "gpu")]
use crate::gpu::GpuNetworks;
use crate::{
    AmortizedPosterior, AmortizerError, Conditions, PosteriorNetworks,
    encoded::EncodedRows,
    networks::{Losses, tensor, to_vec},
};
use bayesburn_networks::{InferenceConfig, InferenceNetwork, Pass, SummaryConfig, SummaryNetwork, is_processor};
use burn::{
    module::Module,
    tensor::{Device, Tensor, TensorData},
};
use ndarray::Array2;
use rayon::prelude::*;
use std::sync::{Arc, Mutex};

/// Networks of a posterior, and how much of a job they are given at a time.
#[derive(Debug)]
pub(crate) enum Evaluator<S: Module, N: Module> {
    /// By Burn's tensors, on this device.
    Burn { networks: Box<PosteriorNetworks<S, N>>, device: Device },
    /// By kernels of our own.
    #[cfg(feature = "gpu")]
    Gpu(Box<GpuNetworks>),
}

/// An evaluator that is kept, or not made yet; shared by all that hold this.
pub(crate) type Kept<S, N> = Arc<Mutex<Option<Arc<Evaluator<S, N>>>>>;

impl<S: SummaryNetwork, N: InferenceNetwork> Evaluator<S, N> {
    pub(crate) fn new<C, I>(posterior: &AmortizedPosterior<C, I>) -> Self
    where
        C: SummaryConfig<Network = S>,
        I: InferenceConfig<Network = N>,
    {
        #[cfg(feature = "gpu")]
        if let Some(networks) = GpuNetworks::new(posterior) {
            return Self::Gpu(Box::new(networks));
        }
        Self::Burn { networks: Box::new(posterior.networks.valid()), device: posterior.device().clone().inner() }
    }

    fn is_on_processor(&self) -> bool {
        match self {
            Self::Burn { device, .. } => is_processor(device),
            #[cfg(feature = "gpu")]
            Self::Gpu(_) => false,
        }
    }

    /// Observations of one chunk through the summary network, and rows of one through the inference network.
    ///
    /// On a processor 2,048 rows of 128 units are 1 MB for each layer: they stay in a core's cache, and the
    /// per-operation cost of a chunk is below a tenth of its arithmetic. Elsewhere the device is to be kept busy,
    /// within its memory.
    pub(crate) fn rows_in_chunk(&self) -> [usize; 2] {
        match self {
            Self::Burn { device, .. } if is_processor(device) => [1 << 12, 1 << 11],
            Self::Burn { .. } => [1 << 14, 1 << 14],
            #[cfg(feature = "gpu")]
            Self::Gpu(networks) => networks.rows_at_once(),
        }
    }

    /// What becomes of each chunk: on all cores, or one after the other on a GPU.
    pub(crate) fn of_each<T: Send, R: Send>(
        &self,
        chunks: impl IndexedParallelIterator<Item = T>,
        f: impl Fn(T) -> Result<R, AmortizerError> + Send + Sync,
    ) -> Result<Vec<R>, AmortizerError> {
        if self.is_on_processor() {
            return chunks.map(f).collect();
        }
        let done = chunks.collect::<Vec<_>>().into_iter().map(f).collect();
        #[cfg(feature = "gpu")]
        if let Self::Gpu(networks) = self {
            // Chunks share their memory, some hundred MB; a posterior that waits for its next data set does not keep
            // it.
            networks.release();
        }
        done
    }

    /// See [`PosteriorNetworks::encode`].
    pub(crate) fn encode(&self, conditions: &Conditions, pass: &mut Pass) -> Result<EncodedRows, AmortizerError> {
        match self {
            Self::Burn { networks, device } => Ok(networks.encode(conditions, device, pass).to_rows()),
            #[cfg(feature = "gpu")]
            Self::Gpu(networks) => networks.encode(conditions),
        }
    }

    /// The standard normals that a draw of `dim` numbers is made from.
    pub(crate) fn noise_dim(&self, dim: usize) -> usize {
        match self {
            Self::Burn { networks, .. } => networks.inference.num_normals(dim),
            #[cfg(feature = "gpu")]
            Self::Gpu(_) => dim,
        }
    }

    /// Targets of noise: see [`PosteriorNetworks::draw`].
    pub(crate) fn draw(
        &self,
        noise: Array2<f32>,
        dim: usize,
        encoded: &EncodedRows,
        pass: &mut Pass,
    ) -> Result<Vec<f32>, AmortizerError> {
        let shape = [noise.nrows(), noise.ncols()];
        let noise = noise.into_raw_vec_and_offset().0;
        match self {
            Self::Burn { networks, device } => {
                let noise = Tensor::from_data(TensorData::new(noise, shape), device);
                Ok(to_vec(networks.draw(noise, dim, &encoded.to_tensors(device), pass)?))
            }
            #[cfg(feature = "gpu")]
            Self::Gpu(networks) => networks.draw(noise, encoded),
        }
    }

    /// Latents, of networks that have them, and ln q of targets: see [`PosteriorNetworks::evaluate`].
    pub(crate) fn evaluate(
        &self,
        targets: &Array2<f32>,
        encoded: &EncodedRows,
        pass: &mut Pass,
    ) -> Result<(Vec<f32>, Vec<f32>), AmortizerError> {
        match self {
            Self::Burn { networks, device } => {
                let (targets, encoded) = (tensor::<2, _>(targets, device), encoded.to_tensors(device));
                let (z, log_prob) = networks.evaluate(targets, &encoded, pass)?;
                Ok((z.map(to_vec).unwrap_or_default(), to_vec(log_prob)))
            }
            #[cfg(feature = "gpu")]
            Self::Gpu(networks) => networks.evaluate(targets, encoded),
        }
    }

    /// The losses of targets: see [`PosteriorNetworks::losses`].
    ///
    /// The random numbers of a loss of the network's own are those of the targets: the same at every epoch, and others
    /// for other targets.
    pub(crate) fn losses(
        &self,
        targets: &Array2<f32>,
        encoded: &EncodedRows,
        pass: &mut Pass,
    ) -> Result<Losses, AmortizerError> {
        match self {
            Self::Burn { networks, device } => {
                let mut own_pass = Pass::inference(seed_of(targets));
                let (targets, encoded) = (tensor::<2, _>(targets, device), encoded.to_tensors(device));
                networks.losses(targets, &encoded, (&mut own_pass, pass))
            }
            // Kernels that evaluate are those of −ln q.
            #[cfg(feature = "gpu")]
            Self::Gpu(networks) => Ok(Losses::LogProb(networks.evaluate(targets, encoded)?.1)),
        }
    }
}

/// A seed that depends on all numbers of an array: FNV-1a of their bits.
fn seed_of(array: &Array2<f32>) -> u64 {
    array.iter().fold(0xcbf2_9ce4_8422_2325, |hash, x| (hash ^ u64::from(x.to_bits())).wrapping_mul(0x100_0000_01b3))
}
