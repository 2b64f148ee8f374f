//! Chooses the transform of a half on a GPU.

use super::Coupling;
use crate::{
    gpu::{Numbers, Rows},
    op::dense::gpu::StackTape,
    plan::gpu::{GpuGradients, GpuPass},
};
use cubecl::prelude::*;

/// The values of a forward pass that the backward pass needs.
#[derive(Debug)]
pub(crate) struct CouplingTape {
    /// Of the network that makes scales, or scales and translations, or a spline's numbers.
    pub(crate) net: StackTape,
    pub(crate) translation: Option<StackTape>,
}

/// Columns of rows, which are coupled: the first of them, and how many.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Half<'a> {
    pub(crate) rows: &'a Rows,
    pub(crate) first: usize,
    pub(crate) dim: usize,
}

/// Where a transform writes.
#[derive(Debug, Clone, Copy)]
pub(crate) struct To<'a> {
    /// Its result, in the half's columns.
    pub(crate) out: &'a Rows,
    /// What the next networks see, if any do: the result and the condition.
    pub(crate) next: Option<&'a Rows>,
    /// Log-determinants to add to, towards latents; none of the way back.
    pub(crate) log_det: Option<&'a Numbers>,
    pub(crate) condition: &'a Rows,
}

/// Gradients of what a transform has written.
#[derive(Debug, Clone, Copy)]
pub(crate) struct GradTo<'a> {
    pub(crate) out: &'a Rows,
    /// What the networks that saw the result gave back of it and of the condition.
    pub(crate) next: Option<&'a Rows>,
    pub(crate) log_det: &'a Numbers,
    /// Where the gradients of the half's columns go.
    pub(crate) half: &'a Rows,
}

/// The rows of a half: their width, the first of its columns, how many, and the width and repetition of the condition's
/// rows.
#[derive(CubeType, CubeLaunch, Clone, Copy)]
pub(crate) struct HalfSizes {
    pub(crate) rows: usize,
    pub(crate) width: usize,
    pub(crate) first: usize,
    pub(crate) dim: usize,
    pub(crate) condition_width: usize,
    /// How many rows each of the condition's is for.
    pub(crate) repeat: usize,
}

impl To<'_> {
    /// Arguments of a forward kernel: condition, log-determinants, result, and what the next networks see. Arrays that
    /// are absent are replaced by the result; the kernel does not touch them.
    pub(crate) fn args(self) -> [BufferArg; 4] {
        let log_det = self.log_det.unwrap_or(&self.out.values);
        let next = self.next.unwrap_or(self.out);
        [self.condition.values.arg(), log_det.arg(), self.out.values.arg(), next.values.arg()]
    }
}

impl GradTo<'_> {
    /// Arguments of a backward kernel: gradients of the result, of log-determinants, of what the next networks saw
    /// (or, if there are none, an array that the kernel does not touch), and of the half.
    pub(crate) fn args(self) -> [BufferArg; 4] {
        let next = self.next.unwrap_or(self.half);
        [self.out.values.arg(), self.log_det.arg(), next.values.arg(), self.half.values.arg()]
    }

    /// The width of what the next networks saw; 0 if there are none.
    pub(crate) fn next_width(self) -> usize {
        self.next.map_or(0, |next| next.width)
    }
}

impl Half<'_> {
    pub(crate) fn sizes(&self, to: To<'_>) -> HalfSizesLaunch {
        HalfSizesLaunch {
            rows: self.rows.rows,
            width: self.rows.width,
            first: self.first,
            dim: self.dim,
            condition_width: to.next.map_or(0, |next| next.width - self.dim),
            repeat: self.rows.rows / to.condition.rows.max(1),
        }
    }

    /// In the backward pass, where the condition's own gradients are not asked for.
    pub(crate) fn grad_sizes(&self) -> HalfSizesLaunch {
        HalfSizesLaunch {
            rows: self.rows.rows,
            width: self.rows.width,
            first: self.first,
            dim: self.dim,
            condition_width: 0,
            repeat: 1,
        }
    }
}

impl Coupling {
    /// The most numbers that a row is in its networks, their input aside.
    pub(crate) fn widest(&self) -> usize {
        match self {
            Self::Affine(affine) => affine.widest(),
            Self::Spline(spline) => spline.net.widest(),
        }
    }

    /// Transforms a half given what the networks see: towards latents if there are log-determinants to add to, and else
    /// back.
    pub(crate) fn apply_on_gpu(&self, pass: GpuPass<'_>, given: Rows, half: Half<'_>, to: To<'_>) -> CouplingTape {
        match self {
            Self::Affine(affine) => affine.apply_on_gpu(pass, given, half, to),
            Self::Spline(spline) => spline.apply_on_gpu(pass, given, half, to),
        }
    }

    /// Writes the gradients of the half, and returns those of what the networks saw.
    pub(crate) fn backward_on_gpu(
        &self,
        pass: GpuPass<'_>,
        tape: &CouplingTape,
        half: Half<'_>,
        grad: GradTo<'_>,
        gradients: &GpuGradients,
    ) -> Rows {
        match self {
            Self::Affine(affine) => affine.backward_on_gpu(pass, tape, half, grad, gradients),
            Self::Spline(spline) => spline.backward_on_gpu(pass, tape, half, grad, gradients),
        }
    }
}

/// Writes the condition of row r behind the numbers that are there already.
#[cube]
pub(crate) fn give(condition: &[f32], next: &mut [f32], r: usize, dim: usize, condition_width: usize, repeat: usize) {
    for i in 0..condition_width {
        next[r * (dim + condition_width) + dim + i] = condition[r / repeat * condition_width + i];
    }
}
