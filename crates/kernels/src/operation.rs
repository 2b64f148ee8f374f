//! Runs a kernel as one operation of Burn, with its own backward pass.

use burn::{
    backend::{
        Autodiff, Backend, BackendTensor, DispatchAutodiffContext, DispatchKindConversion, DispatchTensor, Flex,
        GradientCheckpointingStrategy, TensorMetadata,
        autodiff::{
            checkpoint::{base::Checkpointer, strategy::NoCheckpointing},
            grads::Gradients,
            ops::{Backward, NodeGuard, Ops, OpsKind},
        },
        tensor::FloatTensor,
    },
    module::{Param, ParamId},
    tensor::{DType, Device, Tensor, TensorData},
};
use std::{fmt, marker::PhantomData, sync::Arc};

pub(crate) type Cpu = FloatTensor<Flex>;
type Tracked = FloatTensor<Autodiff<Flex>>;

/// A function of arrays with its own gradient.
pub trait Kernel: fmt::Debug + Send + Sync + 'static {
    /// The values that the backward pass needs besides the operands.
    type Tape: fmt::Debug + Send + Sync + 'static;

    /// The output, row after row, its shape, and the tape, which is used only `with_gradients`.
    fn forward(&self, operands: &[&[f32]], with_gradients: bool) -> (Vec<f32>, [usize; 2], Self::Tape);

    /// Computes the gradients of the wanted operands from the gradient of the output.
    fn backward(
        &self,
        operands: &[&[f32]],
        tape: &Self::Tape,
        of_output: &[f32],
        wanted: &[bool],
    ) -> Vec<Option<Vec<f32>>>;
}

/// Tensors of any number of axes, in the order of their places. In Burn's graph, a kernel is a function of at most
/// [`Operands::MOST`].
#[derive(Debug, Default)]
pub struct Operands {
    tensors: Vec<DispatchTensor>,
    /// Places and identities of those that are parameters, and whether they are trained.
    parameters: Vec<(usize, ParamId, bool)>,
    /// Layers with dropout: the probability, and the number of units.
    dropped: Vec<(f64, usize)>,
}

impl Operands {
    /// The largest number of tensors.
    pub const MOST: usize = 256;

    /// Adds a tensor and returns its place.
    pub fn push<const D: usize>(&mut self, tensor: Tensor<D>) -> usize {
        self.tensors.push(tensor.into_dispatch());
        self.tensors.len() - 1
    }

    /// Adds a parameter and returns its place.
    pub fn push_parameter<const D: usize>(&mut self, parameter: &Param<Tensor<D>>) -> usize {
        let tensor = parameter.val();
        self.parameters.push((self.tensors.len(), parameter.id, tensor.is_require_grad()));
        self.push(tensor)
    }

    /// Whether gradients are wanted of all parameters.
    #[must_use]
    pub fn trains_all(&self) -> bool {
        self.parameters.iter().all(|(.., trained)| *trained)
    }

    /// The parameters: place, identity and how many numbers.
    pub(crate) fn parameters(&self) -> impl Iterator<Item = (usize, ParamId, usize)> {
        self.parameters.iter().map(|&(place, id, _)| (place, id, self.tensors[place].shape().num_elements()))
    }

    /// Calls `use_numbers` with the values of all tensors, in order.
    ///
    /// # Panics
    /// If one is not a tensor of Burn Flex in f32 without autodiff.
    pub fn with_numbers<R>(&self, use_numbers: impl FnOnce(&[&[f32]]) -> R) -> R {
        let number = |tensor: &DispatchTensor| on::<Flex>(tensor.clone()).float().to_contiguous();
        let tensors: Vec<Cpu> = self.tensors.iter().map(number).collect();
        use_numbers(&slices(&tensors))
    }

    /// Registers a layer with dropout of this probability, and returns the first of its columns in the common mask.
    pub fn push_dropped(&mut self, probability: f64, units: usize) -> usize {
        let column = self.dropped.iter().map(|(_, units)| units).sum();
        self.dropped.push((probability, units));
        column
    }

    /// The layers with dropout: probability and number of units of each. Their masks are side by side.
    #[must_use]
    pub fn dropped(&self) -> &[(f64, usize)] {
        &self.dropped
    }

    /// The numbers of tensors and of layers with dropout, for [`Operands::truncate`].
    #[must_use]
    pub fn mark(&self) -> (usize, usize) {
        (self.tensors.len(), self.dropped.len())
    }

    /// Removes what was added since the mark.
    pub fn truncate(&mut self, (tensors, dropped): (usize, usize)) {
        self.tensors.truncate(tensors);
        self.parameters.retain(|(place, ..)| *place < tensors);
        self.dropped.truncate(dropped);
    }

    /// Whether there are no tensors.
    pub fn is_empty(&self) -> bool {
        self.tensors.is_empty()
    }

    /// The number of tensors.
    pub fn len(&self) -> usize {
        self.tensors.len()
    }
}

/// Whether kernels can run on this tensor: it must be on Burn Flex, in f32, without gradient checkpointing.
pub fn runs_on<const D: usize>(tensor: &Tensor<D>) -> bool {
    is_plain(tensor) && tensor.device().without_autodiff() == Device::flex()
}

/// Whether there are kernels for this tensor's device: those of the processor (see [`runs_on`]), or those of a GPU,
/// which work on arrays.
pub fn has_kernels<const D: usize>(tensor: &Tensor<D>) -> bool {
    #[cfg(feature = "gpu")]
    if is_plain(tensor) && crate::gpu::is_gpu(&tensor.device()) {
        return true;
    }
    runs_on(tensor)
}

fn is_plain<const D: usize>(tensor: &Tensor<D>) -> bool {
    let recomputes = tensor.device().gradient_checkpointing_strategy() == Some(GradientCheckpointingStrategy::Balanced);
    tensor.dtype() == DType::F32 && !recomputes
}

/// Runs a kernel. Returns its output, `[rows, columns]`, with the kernel's own backward pass.
///
/// # Panics
/// If there are more than [`Operands::MOST`] operands, or one of them is not supported: see [`runs_on`].
pub fn run<K: Kernel>(kernel: K, operands: Operands) -> Tensor<2> {
    let (values, tracked): (Vec<Cpu>, Vec<Option<Tracked>>) = operands.tensors.into_iter().map(values).unzip();
    let with_gradients = tracked.iter().flatten().any(Tracked::is_tracked);
    let (out, shape, tape) = kernel.forward(&slices(&values), with_gradients);
    let out = Cpu::from_data(TensorData::new(out, shape));
    if tracked.iter().all(Option::is_none) {
        return Tensor::from_primitive::<Flex>(out);
    }
    let pass = Pass { kernel, operands: values, tape };
    let out = match tracked.len() {
        0..=16 => register::<K, 16>(pass, tracked, out, with_gradients),
        17..=64 => register::<K, 64>(pass, tracked, out, with_gradients),
        65..=Operands::MOST => register::<K, { Operands::MOST }>(pass, tracked, out, with_gradients),
        many => panic!("{many} operands for a kernel, which can have {} at most", Operands::MOST),
    };
    Tensor::from_primitive::<Autodiff<Flex>>(out)
}

/// The values, and the tensor itself if it may be part of a graph.
fn values(tensor: DispatchTensor) -> (Cpu, Option<Tracked>) {
    if tensor.autodiff == DispatchAutodiffContext::Disabled {
        return (on::<Flex>(tensor).float().to_contiguous(), None);
    }
    let tensor = on::<Autodiff<Flex>>(tensor).float();
    (tensor.primitive().to_contiguous(), Some(tensor))
}

fn on<B: Backend>(tensor: DispatchTensor) -> BackendTensor<B>
where
    DispatchTensor: DispatchKindConversion<B>,
{
    let tensor = <DispatchTensor as DispatchKindConversion<B>>::try_into_backend(tensor);
    tensor.expect("operands on Burn Flex, without gradient checkpointing")
}

fn slices(tensors: &[Cpu]) -> Vec<&[f32]> {
    tensors.iter().map(|tensor| tensor.as_slice().expect("contiguous f32")).collect()
}

/// The state that a forward pass keeps for the backward pass.
#[derive(Debug)]
struct Pass<K: Kernel> {
    kernel: K,
    operands: Vec<Cpu>,
    tape: K::Tape,
}

/// Makes the output a node of Burn's graph. Nodes have a fixed number of parents, so the operands are padded with
/// constants.
fn register<K: Kernel, const N: usize>(
    pass: Pass<K>,
    tracked: Vec<Option<Tracked>>,
    out: Cpu,
    with_gradients: bool,
) -> Tracked {
    let constant = Tracked::new(Cpu::from_data(TensorData::new(vec![0.0f32], [1])));
    let node = |i: usize| tracked.get(i).and_then(Option::as_ref).unwrap_or(&constant).node();
    let nodes: [NodeGuard; N] = std::array::from_fn(node);
    let prepared = BackwardOf::<K>(PhantomData).prepare::<NoCheckpointing>(nodes).compute_bound().stateful();
    debug_assert_eq!(with_gradients, matches!(prepared, OpsKind::Tracked(_)));
    match prepared {
        OpsKind::Tracked(prepared) => prepared.finish(Arc::new(pass), out),
        OpsKind::UnTracked(prepared) => prepared.finish(out),
    }
}

/// The backward pass of a kernel.
#[derive(Debug)]
struct BackwardOf<K>(PhantomData<K>);

impl<K: Kernel, const N: usize> Backward<Flex, N> for BackwardOf<K> {
    type State = Arc<Pass<K>>;

    fn backward(self, ops: Ops<Self::State, N>, gradients: &mut Gradients, _: &mut Checkpointer) {
        let of_output = gradients.consume::<Flex>(&ops.node).to_contiguous();
        let Pass { kernel, operands, tape } = &*ops.state;
        let of_output = of_output.as_slice().expect("contiguous f32");
        let wanted: Vec<bool> = ops.parents[..operands.len()].iter().map(Option::is_some).collect();
        let of_operands = kernel.backward(&slices(operands), tape, of_output, &wanted);
        for ((parent, operand), of_operand) in ops.parents.into_iter().zip(operands).zip(of_operands) {
            if let (Some(parent), Some(of_operand)) = (parent, of_operand) {
                let shape = operand.layout().shape().clone();
                gradients.register::<Flex>(parent.id, Cpu::from_data(TensorData::new(of_operand, shape)));
            }
        }
    }
}
