//! Dense layers one after the other, the arithmetic of every network here.

use crate::{
    gradients::Gradients,
    matrix::{Matrix, Product, Start},
    memory::Buffer,
    source::Source,
    vector::{add, exp, exp_m1, map, sigmoid, softplus, sum_rows, tanh, vectorised},
};

/// What follows a layer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
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
    /// What the activation's output is multiplied by, unit by unit: dropout.
    pub mask: Option<Mask>,
}

/// Some columns of an operand that has a row for each row of the batch.
#[derive(Debug, Clone, Copy)]
pub struct Mask {
    /// The place of the operand.
    pub operand: usize,
    /// Its width.
    pub width: usize,
    /// The first of the columns, as many as the layer has units.
    pub first: usize,
}

impl Mask {
    /// Multiplies rows of this width by the mask.
    fn apply(&self, operands: &[&[f32]], values: &mut [f32], units: usize) {
        let rows = values.chunks_exact_mut(units).zip(operands[self.operand].chunks_exact(self.width));
        vectorised!(for (row, mask) in rows {
            for (value, mask) in row.iter_mut().zip(&mask[self.first..self.first + units]) {
                *value *= mask;
            }
        });
    }
}

/// Some rows of an operand that is a matrix.
#[derive(Debug, Clone, Copy)]
pub struct Weight {
    /// The place of the matrix.
    pub operand: usize,
    /// Its first row that counts; as many count as the input is wide.
    pub first_row: usize,
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
    /// The most numbers that a row is in it, its input aside.
    #[cfg(feature = "gpu")]
    pub(crate) fn widest(&self) -> usize {
        self.layers.iter().map(|layer| layer.units).max().unwrap_or(0)
    }

    pub(crate) fn units(&self) -> usize {
        self.layers.last().expect("a stack has layers").units
    }

    pub(crate) fn forward(&self, operands: &[&[f32]], sources: &[Source<'_>], rows: usize) -> StackTape {
        let mut tape = StackTape { before: Vec::new(), outputs: Vec::with_capacity(self.layers.len()) };
        for layer in &self.layers {
            let mut out = Buffer::new(rows * layer.units);
            layer.sums(operands, sources, tape.outputs.last().map(|input| &**input), &mut out);
            let before = layer.activate(&mut out);
            if let Some(mask) = &layer.mask {
                mask.apply(operands, &mut out, layer.units);
            }
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
            Product::new(source.matrix(), weight.matrix(operands, source.width, units)).write(&mut product);
            source.with_values(&product, units).add_to(tape.output_mut());
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
            if let Some(mask) = &layer.mask {
                mask.apply(operands, &mut gradient, layer.units);
            }
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
                Product::new(Matrix::new(input, rows, width).transposed(), of_sums).write(of_weight);
            }
            let mut of_input = Buffer::new(rows * width);
            let weight = layer.weights[0].matrix(operands, width, layer.units).transposed();
            Product::new(of_sums, weight).write(&mut of_input);
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

#[expect(clippy::too_many_arguments, reason = "the inputs, their weights, the output and where gradients go")]
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
        // Rows that are shared are multiplied once.
        let gathered = (source.repeat > 1).then(|| source.gather(of_sums, units));
        let of_sums = Matrix::new(gathered.as_deref().unwrap_or(of_sums), source.rows(), units);
        if let Some(of_weight) = gradients.of(weight.operand) {
            let rows = weight.first_row * units..(weight.first_row + source.width) * units;
            Product::new(source.matrix().transposed(), of_sums).write(&mut of_weight[rows]);
        }
        if wanted[i] {
            let weight = weight.matrix(operands, source.width, units).transposed();
            let mut of_source = Buffer::new(source.rows() * source.width);
            Product::new(of_sums, weight).write(&mut of_source);
            match &mut of_sources[i] {
                Some(sum) => add(sum, &of_source),
                none => *none = Some(of_source),
            }
        }
    }
}

impl Layer {
    /// x W + b for all inputs, or for the output of the layer before. If nothing but max(x, 0) follows, it is applied.
    fn sums(&self, operands: &[&[f32]], sources: &[Source<'_>], input: Option<&[f32]>, out: &mut [f32]) {
        let relu = self.is_plain_relu();
        let bias = Source::of_all(operands[self.bias]);
        let rows = out.len() / self.units;
        if let Some(input) = input {
            let width = input.len() / rows;
            let (a, b) = (Matrix::new(input, rows, width), self.weights[0].matrix(operands, width, self.units));
            return Product { a, b, start: Start::Rows(bias), relu }.write(out);
        }
        // From the last input to the first, each product is what the next one is added to. So a last input whose rows are shared is
        // multiplied once for all that see them, and gives the same bits as if they were not shared.
        let product = |i: usize, start, out: &mut [f32]| {
            let b = self.weights[i].matrix(operands, sources[i].width, self.units);
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
        match activation {
            // Not `max`, which would make 0 of what is no number.
            Activation::Relu => map!(x in out => if x < 0.0 { 0.0 } else { x }),
            Activation::Silu => map!(x in out => x * sigmoid(x)),
            Activation::Elu => map!(x in out => if x > 0.0 { x } else { exp_m1(x) }),
            Activation::Tanh => map!(x in out => tanh(x)),
            Activation::Softplus => map!(x in out => softplus(x)),
        }
        Some(before)
    }

    /// Multiplies the gradient of the output by the activation's derivative.
    fn activation_backward(&self, before: Option<&[f32]>, output: &[f32], gradient: &mut [f32]) {
        let Some(activation) = self.activation else { return };
        // The output of max(x, 0) is above 0 where x is.
        let before = before.unwrap_or(output);
        match activation {
            Activation::Relu => map!(g in gradient, x in before => if x > 0.0 { g } else { 0.0 }),
            Activation::Silu => map!(g in gradient, x in before => {
                let s = sigmoid(x);
                g * s * (1.0 + x * (1.0 - s))
            }),
            Activation::Elu => map!(g in gradient, x in before => if x > 0.0 { g } else { g * exp(x) }),
            Activation::Tanh => map!(g in gradient, x in before => {
                let y = tanh(x);
                g * (1.0 - y * y)
            }),
            Activation::Softplus => map!(g in gradient, x in before => g * sigmoid(x)),
        }
    }
}
