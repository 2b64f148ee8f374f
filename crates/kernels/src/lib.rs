//! Computes whole networks, losses and Adam's step as single operations, on the processor and on GPUs.
//!
//! Each of Burn's operations costs some microseconds besides its arithmetic, and a training step of small networks has
//! a thousand of them. So a network describes its computation as plain data ([`SetNetwork`], [`Flow`], [`Stack`]) that
//! names its parameters by their indices among the [`Operands`]. Each operation has a folder in `op/`, with its code
//! for the processor and for GPUs.
//!
//! - A [`Plan`] is a whole training loss without a graph: a [`Summary`] of the data, the condition, and a [`Loss`]. It
//!   computes the loss and all its gradients as one function of one array of parameters, block by block of the batch. A
//!   step of [`Adam`] then changes that array. A new summary network is a [`SummaryOperation`], a new loss a
//!   [`LossOperation`]; the plan does not change.
//! - A [`Part`] is an operation together with its operands.
//! - A [`Kernel`] is a function of arrays with a hand-written gradient. [`run`] makes it one operation of Burn's graph,
//!   on all cores: a [`FlowKernel`], or any summary by [`Part::run`]. Used so, operations speed up networks whose whole
//!   loss has no plan.
//!
//! Kernels have no modules. There are two sets of them. Those of the processor work on tensors of
//! [Burn Flex](burn::backend::Flex); [`runs_on`] tells whether a tensor is there. Those of GPUs (feature `gpu`) work on
//! arrays on CubeCL's devices: they take the training steps of a plan, and compute summaries, densities and draws.
//! [`has_kernels`] tells whether a tensor's device has either set. Every network is also a composition of Burn's
//! operations, which runs on every device and is the reference that kernels are tested against.
//!
//! Results do not depend on the number of threads: the size of a batch alone determines its blocks, and their results
//! are added in order.
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
        attention::{Attention, Queries},
        average_pool::AveragePool,
        chain::{Chain, Join, RowLayer, Sum},
        convolution::{Convolution, Windows},
        coupling::Coupling,
        dense::{Layer, Stack, Weight},
        flow::{Flow, FlowKernel, FlowLayer, InverseFlow},
        gated::Gated,
        identity::IdentitySummary,
        linear::Linear,
        log_density::NegativeLogDensity,
        norm::RowNorm,
        normalization::Normalization,
        permutation::Permutation,
        pool::Pool,
        recurrent::{Cell, Recurrent},
        set::{SetModule, SetNetwork},
        spline::{Spline, SplineTransform},
        time::{RowTime, TimeEmbedding},
    },
    operation::{Kernel, Operands, has_kernels, run, runs_on},
    plan::{
        Batch, Data, DensityPart, Input, Loss, LossBlock, LossOfBlock, LossOperation, Part, Plan, Summary,
        SummaryBlock, SummaryOperation,
    },
};
