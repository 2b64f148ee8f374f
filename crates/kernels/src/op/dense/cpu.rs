//! Computes dense layers and their gradients on the processor.

use super::{Layer, Stack, Weight};
use crate::{
    gradients::Gradients,
    memory::Buffer,
    op::{
        Arrays, Dropout,
        activation::Activation,
        product::{Matrix, Product, Start},
    },
    source::Source,
    vector::{add, sum_rows, vectorised},
};

/// What a stack is a function of, for some rows of a batch.
#[derive(Clone, Copy)]
pub(crate) struct Seen<'a> {
    pub(crate) arrays: Arrays<'a>,
    /// The inputs, side by side.
    pub(crate) sources: &'a [Source<'a>],
    pub(crate) rows: usize,
}

/// The values of a forward pass that the backward pass needs.
#[derive(Debug)]
pub(crate) struct StackTape {
    /// Before the activation, where the output does not tell the derivative.
    before: Vec<Option<Buffer>>,
    outputs: Vec<Buffer>,
}

impl StackTape {
    pub(crate) fn output(&self) -> &[f32] {
        self.outputs.last().expect("a stack has layers")
    }

    pub(crate) fn output_mut(&mut self) -> &mut [f32] {
        self.outputs.last_mut().expect("a stack has layers")
    }
}

impl Stack {
    pub(crate) fn forward(&self, seen: &Seen<'_>) -> StackTape {
        let Seen { arrays, sources, rows } = *seen;
        let mut tape = StackTape { before: Vec::new(), outputs: Vec::with_capacity(self.layers.len()) };
        for layer in &self.layers {
            let mut out = Buffer::new(rows * layer.units);
            layer.sums(seen, tape.outputs.last().map(|input| &**input), &mut out);
            let before = layer.activate(&mut out);
            layer.drop_units(arrays.dropout, &mut out);
            if layer.skip {
                add(&mut out, tape.outputs.last().map_or(sources[0].values, |input| input));
            }
            tape.before.push(before);
            tape.outputs.push(out);
        }
        let units = self.units();
        for (weight, source) in self.shortcut.iter().zip(sources) {
            // Each product is rounded before it is added, whether its rows are repeated or not.
            let mut product = Buffer::new(source.rows() * units);
            Product::new(source.matrix(), weight.matrix(arrays, source.width, units)).write(&mut product);
            source.with_values(&product, units).add_to(tape.output_mut());
        }
        tape
    }

    /// Puts the gradients of weights and biases where they belong, and returns those of the inputs that are wanted.
    pub(crate) fn backward(
        &self,
        seen: &Seen<'_>,
        tape: &StackTape,
        grad_output: Buffer,
        wanted: &[bool],
        gradients: &mut Gradients<'_>,
    ) -> Vec<Option<Buffer>> {
        let Seen { arrays, sources, rows } = *seen;
        let mut grad_sources: Vec<Option<Buffer>> = sources.iter().map(|_| None).collect();
        let shortcut = Products { weights: &self.shortcut, units: self.units(), seen, wanted };
        shortcut.backward(&grad_output, &mut grad_sources, gradients);
        let mut gradient = grad_output;
        for (i, layer) in self.layers.iter().enumerate().rev() {
            let grad_skip = layer.skip.then(|| Buffer::copy_of(&gradient));
            layer.drop_units(arrays.dropout, &mut gradient);
            layer.activation_backward(tape.before[i].as_deref(), &tape.outputs[i], &mut gradient);
            if let Some(grad_bias) = gradients.of(layer.bias) {
                sum_rows(&gradient, grad_bias);
            }
            if i == 0 {
                let first = Products { weights: &layer.weights, units: layer.units, seen, wanted };
                first.backward(&gradient, &mut grad_sources, gradients);
                if let (Some(grad_skip), Some(grad_source)) = (grad_skip, &mut grad_sources[0]) {
                    add(grad_source, &grad_skip);
                }
                break;
            }
            let input = &tape.outputs[i - 1];
            let width = input.len() / rows;
            let grad_sums = Matrix::new(&gradient, rows, layer.units);
            if let Some(grad_weight) = gradients.of(layer.weights[0].operand) {
                Product::new(Matrix::new(input, rows, width).transposed(), grad_sums).write(grad_weight);
            }
            let mut grad_input = Buffer::new(rows * width);
            let weight = layer.weights[0].matrix(arrays, width, layer.units).transposed();
            Product::new(grad_sums, weight).write(&mut grad_input);
            if let Some(grad_skip) = grad_skip {
                add(&mut grad_input, &grad_skip);
            }
            gradient = grad_input;
        }
        grad_sources
    }
}

impl Weight {
    fn matrix<'a>(&self, arrays: Arrays<'a>, width: usize, units: usize) -> Matrix<'a> {
        Matrix::rows(arrays.operands[self.operand], self.first_row, width, units)
    }
}

/// The products of all inputs with one weight each, which are added up.
struct Products<'a> {
    weights: &'a [Weight],
    /// The width of each product.
    units: usize,
    seen: &'a Seen<'a>,
    /// Of which inputs gradients are wanted.
    wanted: &'a [bool],
}

impl Products<'_> {
    /// Writes the gradients of the weights, and adds those of the inputs to `grad_sources`.
    fn backward(&self, grad_sums: &[f32], grad_sources: &mut [Option<Buffer>], gradients: &mut Gradients<'_>) {
        let Self { units, seen: Seen { arrays, sources, .. }, .. } = *self;
        for (i, (weight, source)) in self.weights.iter().zip(*sources).enumerate() {
            // Rows that are shared are multiplied once.
            let gathered = (source.repeat > 1).then(|| source.gather(grad_sums, units));
            let grad_sums = Matrix::new(gathered.as_deref().unwrap_or(grad_sums), source.rows(), units);
            if let Some(grad_weight) = gradients.of(weight.operand) {
                let rows = weight.first_row * units..(weight.first_row + source.width) * units;
                Product::new(source.matrix().transposed(), grad_sums).write(&mut grad_weight[rows]);
            }
            if self.wanted[i] {
                let weight = weight.matrix(*arrays, source.width, units).transposed();
                let mut grad_source = Buffer::new(source.rows() * source.width);
                Product::new(grad_sums, weight).write(&mut grad_source);
                match &mut grad_sources[i] {
                    Some(sum) => add(sum, &grad_source),
                    none => *none = Some(grad_source),
                }
            }
        }
    }
}

impl Layer {
    /// x W + b for all inputs, or for the output of the layer before. If nothing but max(x, 0) follows, it is applied.
    fn sums(&self, seen: &Seen<'_>, input: Option<&[f32]>, out: &mut [f32]) {
        let Seen { arrays, sources, rows } = *seen;
        let relu = self.is_plain_relu();
        let bias = Source::of_all(arrays.operands[self.bias]);
        if let Some(input) = input {
            let width = input.len() / rows;
            let (a, b) = (Matrix::new(input, rows, width), self.weights[0].matrix(arrays, width, self.units));
            return Product { a, b, start: Start::Rows(bias), relu }.write(out);
        }
        // From the last input to the first, each product is what the next one is added to. So a last input whose rows
        // are shared is multiplied once for all that see them, and gives the same bits as if they were not shared.
        let product = |i: usize, start, out: &mut [f32]| {
            let b = self.weights[i].matrix(arrays, sources[i].width, self.units);
            Product { a: sources[i].matrix(), b, start, relu: relu && i == 0 }.write(out);
        };
        let last = sources.len() - 1;
        let shared = sources[last].repeat > 1;
        assert!(sources[..last].iter().all(|source| source.repeat == 1), "only the last input's rows are shared");
        let mut of_shared = Buffer::new(if shared { sources[last].rows() * self.units } else { 0 });
        if shared {
            product(last, Start::Rows(bias), &mut of_shared);
        } else {
            product(last, Start::Rows(bias), out);
        }
        let of_shared = sources[last].with_values(&of_shared, self.units);
        if shared && last == 0 {
            for (r, row) in out.chunks_exact_mut(self.units).enumerate() {
                row.copy_from_slice(of_shared.row(r));
            }
        }
        for i in (0..last).rev() {
            product(i, if shared && i + 1 == last { Start::Rows(of_shared) } else { Start::There }, out);
        }
    }

    /// Whether the layer is max(x W + b, 0): then its output tells the derivative.
    fn is_plain_relu(&self) -> bool {
        self.activation == Some(Activation::Relu) && !self.skip
    }

    /// Applies the activation; returns the sums if the backward pass needs them.
    fn activate(&self, out: &mut Buffer) -> Option<Buffer> {
        let activation = self.activation.filter(|_| !self.is_plain_relu())?;
        let before = Buffer::copy_of(out);
        activation.apply(out);
        Some(before)
    }

    /// Multiplies the gradient of the output by the activation's derivative.
    fn activation_backward(&self, before: Option<&[f32]>, output: &[f32], gradient: &mut [f32]) {
        if let Some(activation) = self.activation {
            activation.apply_backward(before.unwrap_or(output), gradient);
        }
    }

    /// Multiplies rows of units, or their gradients, by the masks of dropped units.
    fn drop_units(&self, Dropout { values, width }: Dropout<'_>, units: &mut [f32]) {
        let Some(first) = self.dropout else { return };
        let rows = units.chunks_exact_mut(self.units).zip(values.chunks_exact(width));
        vectorised!(for (row, mask) in rows {
            for (value, mask) in row.iter_mut().zip(&mask[first..first + self.units]) {
                *value *= mask;
            }
        });
    }
}
