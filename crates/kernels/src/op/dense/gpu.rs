//! Computes dense layers and their gradients on a GPU: a kernel for each layer.

use super::{Layer, Stack, Weight};
use crate::{
    gpu::{Numbers, Rows},
    op::{
        activation::{Activation, gpu::Mask},
        product::gpu::{Start, Then},
    },
    plan::gpu::{GpuGradients, GpuPass},
};

/// What a stack sees.
#[derive(Debug, Clone)]
pub(crate) enum Seen {
    /// Rows of its own.
    Own(Rows),
    /// Rows of its own, and beside them rows each of which belongs to several.
    Shared { own: Rows, shared: Rows },
}

impl Seen {
    fn own(&self) -> &Rows {
        match self {
            Self::Own(own) | Self::Shared { own, .. } => own,
        }
    }
}

/// The values of a forward pass that the backward pass needs.
#[derive(Debug)]
pub(crate) struct StackTape {
    seen: Seen,
    layers: Vec<LayerTape>,
}

#[derive(Debug)]
struct LayerTape {
    output: Rows,
    /// The activation, and what tells its derivative.
    inputs: Option<(Activation, Numbers)>,
}

impl LayerTape {
    fn inputs(&self) -> Option<(Activation, &Numbers)> {
        self.inputs.as_ref().map(|(activation, inputs)| (*activation, inputs))
    }
}

impl StackTape {
    pub(crate) fn output(&self) -> &Rows {
        &self.layers.last().expect("a stack has layers").output
    }
}

/// What is wanted of a backward pass beside the gradients of parameters.
#[derive(Debug, Clone, Copy)]
pub(crate) struct WantedOwn<'a> {
    /// Whether the gradients of the stack's own rows are.
    pub(crate) wants: bool,
    /// What is added to them.
    pub(crate) others: Option<&'a Rows>,
}

impl WantedOwn<'_> {
    /// They are wanted.
    pub(crate) const ALONE: Self = WantedOwn { wants: true, others: None };
}

/// Gradients of what a stack saw, if they are wanted.
#[derive(Debug)]
pub(crate) struct GradSeen {
    pub(crate) own: Option<Rows>,
    pub(crate) shared: Option<Rows>,
}

impl GradSeen {
    /// Of rows of its own, which was wanted.
    pub(crate) fn asked_for(self) -> Rows {
        self.own.expect("a gradient that was asked for")
    }
}

impl Weight {
    fn values(&self, pass: GpuPass<'_>, units: usize) -> Numbers {
        pass.operands[self.operand].from(self.first_row * units)
    }
}

impl Layer {
    fn mask<'a>(&self, pass: GpuPass<'a>) -> Option<Mask<'a>> {
        let (first, masks) = (self.dropout?, pass.dropout.expect("masks of dropped units"));
        Some(Mask { values: &masks.values, stride: masks.width, first })
    }

    fn write_gradients(&self, pass: GpuPass<'_>, x: &Rows, grad_sums: &Rows, gradients: &GpuGradients) {
        let Weight { operand, first_row } = self.weights[0];
        if let Some(grad_weight) = gradients.of(operand) {
            let grad_weight = grad_weight.from(first_row * self.units);
            let grad_bias = gradients.of(self.bias);
            pass.gpu.weight_gradients([x, grad_sums], &grad_weight, grad_bias.as_ref(), gradients.parts());
        }
    }
}

impl Stack {
    /// The most numbers that a row is in it, its input aside.
    pub(crate) fn widest(&self) -> usize {
        self.layers.iter().map(|layer| layer.units).max().unwrap_or(0)
    }

    /// With `skip` the stack's own input is added to its output.
    pub(crate) fn forward_on_gpu(&self, pass: GpuPass<'_>, seen: Seen, skip: bool) -> StackTape {
        let GpuPass { gpu, keeps, .. } = pass;
        let rows = seen.own().rows;
        let mut layers: Vec<LayerTape> = Vec::with_capacity(self.layers.len());
        let last = self.layers.len() - 1;
        for (i, layer) in self.layers.iter().enumerate() {
            let units = layer.units;
            let x = layers.last().map_or_else(|| seen.own().clone(), |below| below.output.clone());
            let bias = &pass.operands[layer.bias];
            let mut start = (bias.clone(), 0, rows);
            if i == 0
                && let Seen::Shared { shared, .. } = &seen
            {
                let of_shared = gpu.rows(shared.rows, units);
                let then = Then { start: Some(Start::new(bias, 0, shared.rows)), ..Then::default() };
                gpu.forward(shared, &layer.weights[1].values(pass, units), &of_shared, then);
                start = (of_shared.values, units, rows / shared.rows);
            }
            if i == last
                && let Some(shortcut) = self.shortcut.first()
            {
                let of_input = gpu.rows(rows, units);
                let then = Then { start: Some(Start::new(&start.0, start.1, start.2)), ..Then::default() };
                gpu.forward(seen.own(), &shortcut.values(pass, units), &of_input, then);
                start = (of_input.values, units, 1);
            }
            let output = gpu.rows(rows, units);
            let adds = match i {
                _ if layer.skip => Some(&x),
                _ if i == last && skip => Some(seen.own()),
                _ => None,
            };
            // The output of max(x, 0) tells the derivative, unless something is added to it.
            let tells = layer.activation == Some(Activation::Relu) && adds.is_none();
            let inputs = layer
                .activation
                .filter(|_| keeps)
                .map(|activation| (activation, if tells { output.values.clone() } else { gpu.empty(rows * units) }));
            let then = Then {
                start: Some(Start::new(&start.0, start.1, start.2)),
                keep: inputs.as_ref().map(|(_, inputs)| inputs).filter(|_| !tells),
                activation: layer.activation,
                mask: layer.mask(pass),
                add: adds.map(|rows| &rows.values),
                ..Then::default()
            };
            gpu.forward(&x, &layer.weights[0].values(pass, units), &output, then);
            if !keeps {
                layers.clear();
            }
            layers.push(LayerTape { output, inputs });
        }
        StackTape { seen, layers }
    }

    /// Writes the gradients of weights and biases, and returns those of what the stack saw.
    pub(crate) fn backward_on_gpu(
        &self,
        pass: GpuPass<'_>,
        tape: &StackTape,
        grad_output: Rows,
        WantedOwn { wants, others }: WantedOwn<'_>,
        gradients: &GpuGradients,
    ) -> GradSeen {
        let gpu = pass.gpu;
        let own = tape.seen.own();
        let last = self.layers.len() - 1;
        // What is added to the gradients of the stack's own input.
        let mut grad_own = others.cloned();
        if let Some(shortcut) = self.shortcut.first() {
            if let Some(grad_weight) = gradients.of(shortcut.operand) {
                let grad_weight = grad_weight.from(shortcut.first_row * grad_output.width);
                gpu.weight_gradients([own, &grad_output], &grad_weight, None, gradients.parts());
            }
            if wants {
                let grads = gpu.rows(own.rows, own.width);
                let then = Then { start: grad_own.as_ref().map(Start::of_rows), ..Then::default() };
                gpu.backward(&grad_output, &shortcut.values(pass, grad_output.width), &grads, then);
                grad_own = Some(grads);
            }
        }
        // Gradients of the layer's output, and of its sums.
        let mut grad_layer = grad_output;
        let inputs = |i: usize| tape.layers[i].inputs();
        let mut grad_sums = match (inputs(last), self.layers[last].mask(pass)) {
            (None, None) => grad_layer.clone(),
            (inputs, mask) => gpu.through_activation(&grad_layer, inputs, mask),
        };
        for i in (1..=last).rev() {
            let (layer, below) = (&self.layers[i], &self.layers[i - 1]);
            let x = &tape.layers[i - 1].output;
            layer.write_gradients(pass, x, &grad_sums, gradients);
            let (grad_x, grad_sums_below) = (gpu.rows(x.rows, x.width), gpu.rows(x.rows, x.width));
            let then = Then {
                start: layer.skip.then(|| Start::of_rows(&grad_layer)),
                keep: below.skip.then_some(&grad_x.values),
                derivative: inputs(i - 1),
                mask: below.mask(pass),
                ..Then::default()
            };
            gpu.backward(&grad_sums, &layer.weights[0].values(pass, layer.units), &grad_sums_below, then);
            (grad_layer, grad_sums) = (grad_x, grad_sums_below);
        }
        let first = &self.layers[0];
        first.write_gradients(pass, own, &grad_sums, gradients);
        let shared = if let Seen::Shared { own, shared } = &tape.seen {
            // Rows that are shared are multiplied once.
            let gathered = gpu.gather(&grad_sums, own.rows / shared.rows);
            let second = &first.weights[1];
            if let Some(grad_weight) = gradients.of(second.operand) {
                let grad_weight = grad_weight.from(second.first_row * first.units);
                gpu.weight_gradients([shared, &gathered], &grad_weight, None, gradients.parts());
            }
            let grad_shared = gpu.rows(shared.rows, shared.width);
            gpu.backward(&gathered, &second.values(pass, first.units), &grad_shared, Then::default());
            Some(grad_shared)
        } else {
            None
        };
        let own = wants.then(|| {
            let grads = gpu.rows(own.rows, own.width);
            let then = Then {
                start: grad_own.as_ref().map(Start::of_rows),
                add: first.skip.then_some(&grad_layer.values),
                ..Then::default()
            };
            gpu.backward(&grad_sums, &first.weights[0].values(pass, first.units), &grads, then);
            grads
        });
        GradSeen { own, shared }
    }
}
