//! Computes whole networks, and Adam's step, as single operations on the CPU.
//!
//! Burn's own operations cost some microseconds each, beside their arithmetic; a training step of small networks has a
//! thousand of them. So a network says by plain data ([`SetNetwork`], [`Flow`], [`Stack`]) what is to be computed, and
//! names its parameters by their places among the [`Operands`]. The operations are in `op/`, a folder for each, with
//! its code for the processor and for GPUs.
//!
//! - A [`Plan`] is a whole training loss without a graph: data go through a [`Summary`], the condition is made of it,
//!   and a loss follows. It computes the loss and all its gradients as one function of all parameters in one array,
//!   block by block of the batch. A step of [`Adam`] then changes that array. A new summary network is a
//!   [`SummaryOperation`], a new loss a [`LossOperation`]; the plan stays.
//! - A [`Kernel`] is a function of arrays with a gradient written by hand, which [`run`] makes one operation of Burn's
//!   graph, on all cores: a [`FlowKernel`], or any summary by [`Part::run`].
//!
//! Kernels know nothing of modules, and work on [Burn Flex](burn::backend::Flex) alone: [`runs_on`] says whether they
//! can. With the feature `gpu` CubeCL's devices take whole training steps, and compute summaries, densities and draws,
//! by the same plan: [`has_kernels`]. Networks are first of all compositions of Burn's operations, which run on every
//! device; that is also what the kernels are tested against.
//!
//! What comes out does not depend on the number of threads: a batch is cut into blocks by its size alone, and what the
//! blocks give is added up in their order.
//!
//! Without the feature `flex` the crate is empty.
#![cfg(feature = "flex")]

mod blocks;
#[cfg(feature = "gpu")]
mod gpu;
mod gradients;
mod memory;
mod op;
mod operation;
mod plan;
mod source;
mod vector;

#[cfg(feature = "gpu")]
pub use self::{
    gpu::{Gpu, GpuFailure, Numbers, Rows, is_gpu},
    plan::gpu::{
        GpuBatch, GpuDensity, GpuGradients, GpuInput, GpuLoss, GpuLossRows, GpuLosses, GpuPass, GpuStep, GpuStepBegun,
        GpuSummaries, GpuSummary, GpuTraining,
    },
};
pub use self::{
    gradients::Gradients,
    memory::Buffer,
    op::{
        activation::Activation,
        adam::{Adam, Moments, Updated, global_norm},
        affine::Affine,
        coupling::Coupling,
        dense::{Layer, Stack, Weight},
        flow::{Flow, FlowKernel, FlowLayer, InverseFlow},
        identity::IdentitySummary,
        log_density::NegativeLogDensity,
        normalization::Normalization,
        permutation::Permutation,
        pool::Pool,
        set::{SetModule, SetNetwork},
        spline::{Spline, SplineTransform},
    },
    operation::{Kernel, Operands, has_kernels, run, runs_on},
    plan::{
        Batch, Data, DensityPart, Input, Loss, LossBlock, LossOfBlock, LossOperation, Part, Plan, Summary,
        SummaryBlock, SummaryOperation,
    },
};
