//! Computes whole networks, and Adam's step, as single operations on the CPU.
//!
//! Burn's own operations cost some microseconds each, beside their arithmetic; a training step of small networks has a thousand of
//! them. A [`Kernel`] is a function of arrays with a gradient written by hand, which [`run`] makes one operation of Burn's graph, on all
//! cores. The networks say by plain data ([`SetNetwork`], [`Flow`], [`Stack`]) what is to be computed, and refer to their parameters by the
//! places of the tensors among the [`Operands`].
//!
//! [`DensityLoss`] needs no graph at all: the loss of a set network and a flow together, and all its gradients, as one function of all
//! parameters in one array. A step of [`Adam`] then changes that array.
//!
//! Kernels know nothing of modules, and work on [Burn Flex](burn::backend::Flex) alone: [`runs_on`] says whether they can. With the feature
//! `gpu` CubeCL's devices take whole training steps, and compute summaries, densities and draws, by the same plain data: [`has_kernels`].
//! Networks are first of all compositions of Burn's operations, which run on every device; that is also what the kernels are tested against.
//!
//! What comes out does not depend on the number of threads: a batch is cut into blocks by its size alone, and what the blocks give is
//! added up in their order.
//!
//! Without the feature `flex` the crate is empty.
#![cfg(feature = "flex")]

mod adam;
mod blocks;
mod coupling;
mod deep_set;
mod density_loss;
mod flow;
#[cfg(feature = "gpu")]
mod gpu;
mod gradients;
mod matrix;
mod memory;
mod operation;
mod source;
mod spline;
mod stack;
mod vector;

#[cfg(feature = "gpu")]
pub use self::gpu::{GpuBatch, GpuDensity, GpuFailure, GpuStep, GpuStepBegun, GpuTraining, is_gpu};
pub use self::{
    adam::{Adam, Moments, Updated, global_norm},
    coupling::Coupling,
    deep_set::{Pool, SetModule, SetNetwork},
    density_loss::{DensityBatch, DensityLoss, DensityPart},
    flow::{Flow, FlowLayer, InverseFlow},
    operation::{Kernel, Operands, has_kernels, run, runs_on},
    spline::Spline,
    stack::{Activation, Layer, Mask, Stack, Weight},
};
