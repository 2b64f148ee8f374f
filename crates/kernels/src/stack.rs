//! Dense layers one after the other, the arithmetic of every network here.

use crate::{
    gradients::Gradients,
    matrix::{Matrix, multiply},
    memory::Buffer,
    vector::{add, add_row, map, map_with, sigmoid, softplus, sum_rows, vectorised},
};
use wide::f32x8;

/// What follows a layer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Activation {
    /// max(x, 0).
    Relu,
    /// x · sigmoid(x).
    Silu,
    /// x above 0, exp(x) − 1 below.
    Elu,
    /// tanh(x).
    Tanh,
    /// ln(1 + exp(x)).
    Softplus,
}

/// Dense layers, the first of which may see several inputs side by side; weights and biases are given by their places among the
/// operands.
#[derive(Debug, Clone, Default)]
pub struct Stack {
    /// The layers, from the first.
    pub layers: Vec<Layer>,
    /// A linear map of the inputs that is added to the output: one weight for each input.
    pub shortcut: Vec<Weight>,
}

/// One dense layer: x ↦ a(x W + b) or, with a skip, x + a(x W + b).
#[derive(Debug, Clone)]
pub struct Layer {
    /// One weight for each input; the layers after the first have one input.
    pub weights: Vec<Weight>,
    /// The place of b.
    pub bias: usize,
    /// The width of what comes out.
    pub units: usize,
    /// a; without it the layer is linear.
    pub activation: Option<Activation>,
    /// Whether the layer's input is added. Such a layer has one input.
    pub skip: bool,
}

/// Some rows of an operand that is a matrix.
#[derive(Debug, Clone, Copy)]
pub struct Weight {
    /// The place of the matrix.
    pub operand: usize,
    /// Its first row that counts; as many count as the input is wide.
    pub first_row: usize,
}

/// An input: row r of the batch sees row (phase + r) / repeat of the values.
#[derive(Clone, Copy)]
pub(crate) struct Source<'a> {
    values: &'a [f32],
    width: usize,
    repeat: usize,
    phase: usize,
}

impl<'a> Source<'a> {
    pub(crate) fn new(values: &'a [f32], width: usize) -> Self {
        Self { values, width, repeat: 1, phase: 0 }
    }

    /// Each row for `repeat` rows of the batch, which begins `phase` rows after the first of these.
    pub(crate) fn repeated(values: &'a [f32], width: usize, repeat: usize, phase: usize) -> Self {
        Self { values, width, repeat, phase }
    }

    fn rows(&self) -> usize {
        self.values.len() / self.width
    }

    fn matrix(&self) -> Matrix<'a> {
        Matrix::new(self.values, self.rows(), self.width)
    }

    /// Adds row (phase + r) / repeat of `of_rows` to row r of `sum`.
    fn spread(&self, of_rows: &[f32], sum: &mut [f32], units: usize) {
        if self.repeat == 1 {
            return add(sum, of_rows);
        }
        for (r, sum) in sum.chunks_exact_mut(units).enumerate() {
            let row = (self.phase + r) / self.repeat;
            add(sum, &of_rows[row * units..(row + 1) * units]);
        }
    }

    /// The sum over the rows of the batch that see each row: the transpose of [`Source::spread`].
    fn gather(&self, values: &[f32], units: usize) -> Buffer {
        let mut sums = Buffer::zeros(self.rows() * units);
        for (r, values) in values.chunks_exact(units).enumerate() {
            let row = (self.phase + r) / self.repeat;
            add(&mut sums[row * units..(row + 1) * units], values);
        }
        sums
    }
}

/// What the backward pass needs of a forward pass.
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
    pub(crate) fn units(&self) -> usize {
        self.layers.last().expect("a stack has layers").units
    }

    pub(crate) fn forward(&self, operands: &[&[f32]], sources: &[Source<'_>], rows: usize) -> StackTape {
        let mut tape = StackTape { before: Vec::new(), outputs: Vec::with_capacity(self.layers.len()) };
        for layer in &self.layers {
            let mut out = Buffer::new(rows * layer.units);
            match tape.outputs.last() {
                None => products(&layer.weights, operands, sources, &mut out, layer.units, false),
                Some(input) => {
                    let width = input.len() / rows;
                    let weight = layer.weights[0].matrix(operands, width, layer.units);
                    multiply(&mut out, Matrix::new(input, rows, width), weight);
                }
            }
            let before = layer.finish(operands, &mut out);
            if layer.skip {
                add(&mut out, tape.outputs.last().map_or(sources[0].values, |input| input));
            }
            tape.before.push(before);
            tape.outputs.push(out);
        }
        if !self.shortcut.is_empty() {
            products(&self.shortcut, operands, sources, tape.output_mut(), self.units(), true);
        }
        tape
    }

    /// Puts the gradients of weights and biases where they belong, and returns those of the inputs that are wanted.
    pub(crate) fn backward(
        &self,
        operands: &[&[f32]],
        sources: &[Source<'_>],
        tape: &StackTape,
        of_output: Buffer,
        wanted: &[bool],
        gradients: &mut Gradients<'_>,
    ) -> Vec<Option<Buffer>> {
        let rows = of_output.len() / self.units();
        let mut of_sources: Vec<Option<Buffer>> = sources.iter().map(|_| None).collect();
        let shortcut = &self.shortcut;
        backward_products(shortcut, operands, sources, &of_output, self.units(), wanted, &mut of_sources, gradients);
        let mut gradient = of_output;
        for (i, layer) in self.layers.iter().enumerate().rev() {
            let of_skip = layer.skip.then(|| Buffer::copy_of(&gradient));
            layer.activation_backward(tape.before[i].as_deref(), &tape.outputs[i], &mut gradient);
            if let Some(of_bias) = gradients.of(layer.bias) {
                sum_rows(&gradient, of_bias);
            }
            if i == 0 {
                let weights = &layer.weights;
                let units = layer.units;
                backward_products(weights, operands, sources, &gradient, units, wanted, &mut of_sources, gradients);
                if let (Some(of_skip), Some(of_source)) = (of_skip, &mut of_sources[0]) {
                    add(of_source, &of_skip);
                }
                break;
            }
            let input = &tape.outputs[i - 1];
            let width = input.len() / rows;
            let of_sums = Matrix::new(&gradient, rows, layer.units);
            if let Some(of_weight) = gradients.of(layer.weights[0].operand) {
                multiply(of_weight, Matrix::new(input, rows, width).transposed(), of_sums);
            }
            let mut of_input = Buffer::new(rows * width);
            multiply(&mut of_input, of_sums, layer.weights[0].matrix(operands, width, layer.units).transposed());
            if let Some(of_skip) = of_skip {
                add(&mut of_input, &of_skip);
            }
            gradient = of_input;
        }
        of_sources
    }
}

impl Weight {
    fn matrix<'a>(&self, operands: &[&'a [f32]], width: usize, units: usize) -> Matrix<'a> {
        Matrix::rows(operands[self.operand], self.first_row, width, units)
    }
}

/// The sum of the inputs' products with their weights; an input with repeated rows is multiplied once for all of them.
fn products(
    weights: &[Weight],
    operands: &[&[f32]],
    sources: &[Source<'_>],
    out: &mut [f32],
    units: usize,
    mut adds: bool,
) {
    for (weight, source) in weights.iter().zip(sources) {
        let weight = weight.matrix(operands, source.width, units);
        if source.repeat == 1 && !adds {
            multiply(out, source.matrix(), weight);
        } else {
            // Each product is rounded before it is added, whether its rows are repeated or not.
            let mut product = Buffer::new(source.rows() * units);
            multiply(&mut product, source.matrix(), weight);
            if !adds {
                out.fill(0.0);
            }
            source.spread(&product, out, units);
        }
        adds = true;
    }
}

#[expect(clippy::too_many_arguments, reason = "the arguments of `products` and where its gradients go")]
fn backward_products(
    weights: &[Weight],
    operands: &[&[f32]],
    sources: &[Source<'_>],
    of_sums: &[f32],
    units: usize,
    wanted: &[bool],
    of_sources: &mut [Option<Buffer>],
    gradients: &mut Gradients<'_>,
) {
    for (i, (weight, source)) in weights.iter().zip(sources).enumerate() {
        let gathered = (source.repeat > 1).then(|| source.gather(of_sums, units));
        let of_sums = Matrix::new(gathered.as_deref().unwrap_or(of_sums), source.rows(), units);
        if let Some(of_weight) = gradients.of(weight.operand) {
            let rows = weight.first_row * units..(weight.first_row + source.width) * units;
            multiply(&mut of_weight[rows], source.matrix().transposed(), of_sums);
        }
        if wanted[i] {
            let weight = weight.matrix(operands, source.width, units).transposed();
            let mut of_source = Buffer::new(source.rows() * source.width);
            multiply(&mut of_source, of_sums, weight);
            match &mut of_sources[i] {
                Some(sum) => add(sum, &of_source),
                none => *none = Some(of_source),
            }
        }
    }
}

impl Layer {
    /// Adds the bias and applies the activation; returns the sums if the backward pass needs them.
    fn finish(&self, operands: &[&[f32]], out: &mut Buffer) -> Option<Buffer> {
        let bias = operands[self.bias];
        let Some(activation) = self.activation else {
            add_row(out, bias);
            return None;
        };
        if activation == Activation::Relu && !self.skip {
            vectorised(|| {
                for row in out.chunks_exact_mut(bias.len()) {
                    row.iter_mut().zip(bias).for_each(|(value, add)| *value = (*value + add).max(0.0));
                }
            });
            return None;
        }
        add_row(out, bias);
        let before = Buffer::copy_of(out);
        let zero = f32x8::ZERO;
        match activation {
            Activation::Relu => map(out, |x| x.fast_max(zero)),
            Activation::Silu => map(out, |x| x * sigmoid(x)),
            Activation::Elu => map(out, |x| x.simd_gt(zero).select(x, x.exp_m1())),
            Activation::Tanh => map(out, f32x8::tanh),
            Activation::Softplus => map(out, softplus),
        }
        Some(before)
    }

    /// Multiplies the gradient of the output by the activation's derivative.
    fn activation_backward(&self, before: Option<&[f32]>, output: &[f32], gradient: &mut [f32]) {
        let Some(activation) = self.activation else { return };
        let (zero, one) = (f32x8::ZERO, f32x8::ONE);
        // The output of max(x, 0) is above 0 where x is.
        let before = before.unwrap_or(output);
        match activation {
            Activation::Relu => vectorised(|| {
                gradient.iter_mut().zip(before).for_each(|(g, &x)| *g = if x > 0.0 { *g } else { 0.0 });
            }),
            Activation::Silu => map_with(gradient, before, |g, x| {
                let s = sigmoid(x);
                g * s * (one + x * (one - s))
            }),
            Activation::Elu => map_with(gradient, before, |g, x| x.simd_gt(zero).select(g, g * x.exp())),
            Activation::Tanh => map_with(gradient, before, |g, x| {
                let y = x.tanh();
                g * (one - y * y)
            }),
            Activation::Softplus => map_with(gradient, before, |g, x| g * sigmoid(x)),
        }
    }
}
