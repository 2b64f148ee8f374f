//! Dense layers one after the other, as in [`crate::stack`].

use super::{Gpu, Numbers, Rows, product::Then};
use crate::stack::{Activation, Layer, Stack, Weight};

/// What a stack sees.
#[derive(Debug, Clone)]
pub(super) enum Input {
    /// Rows of its own.
    Own(Rows),
    /// Rows of its own, and beside them rows each of which belongs to several.
    Shared { own: Rows, shared: Rows },
}

impl Input {
    fn own(&self) -> &Rows {
        match self {
            Self::Own(own) | Self::Shared { own, .. } => own,
        }
    }
}

/// What the backward pass needs of a forward pass.
#[derive(Debug)]
pub(super) struct StackTape {
    input: Input,
    layers: Vec<LayerTape>,
}

#[derive(Debug)]
struct LayerTape {
    output: Rows,
    /// The activation, and what tells its derivative.
    inputs: Option<(Activation, Numbers)>,
}

impl StackTape {
    pub(super) fn output(&self) -> &Rows {
        &self.layers.last().expect("a stack has layers").output
    }
}

/// Parameters and other operands by their places.
pub(super) type Operands = [Option<Numbers>];

/// Where gradients go: an array for each part of the rows, one after the other, with the gradients of all parameters in it.
#[derive(Debug)]
pub(super) struct Gradients {
    pub(super) values: Numbers,
    pub(super) parts: usize,
    /// Numbers of an array.
    pub(super) stride: usize,
    /// Where in the first array the gradient of each operand is, if it is wanted.
    pub(super) places: Vec<Option<usize>>,
}

impl Gradients {
    pub(super) fn of(&self, operand: usize) -> Option<Numbers> {
        self.places[operand].map(|place| self.values.from(place))
    }

    pub(super) fn parts(&self) -> (usize, usize) {
        (self.parts, self.stride)
    }
}

pub(super) fn operand(operands: &Operands, place: usize) -> &Numbers {
    operands[place].as_ref().expect("an operand that is there")
}

fn weight(operands: &Operands, weight: &Weight, units: usize) -> Numbers {
    operand(operands, weight.operand).from(weight.first_row * units)
}

impl Layer {
    fn mask<'a>(&self, operands: &'a Operands) -> Option<(&'a Numbers, usize, usize)> {
        self.mask.as_ref().map(|mask| (operand(operands, mask.operand), mask.width, mask.first))
    }
}

impl Gpu {
    /// `keeps` what a backward pass needs. Inputs side by side are one, or two of which the second is shared. With `skip` the stack's own
    /// input is added to its output.
    pub(super) fn stack(&self, stack: &Stack, operands: &Operands, input: Input, skip: bool, keeps: bool) -> StackTape {
        let rows = input.own().rows;
        let mut layers: Vec<LayerTape> = Vec::with_capacity(stack.layers.len());
        let last = stack.layers.len() - 1;
        for (i, layer) in stack.layers.iter().enumerate() {
            let units = layer.units;
            let x = layers.last().map_or_else(|| input.own().clone(), |below| below.output.clone());
            let bias = operand(operands, layer.bias);
            let mut start = (bias.clone(), 0, rows);
            if i == 0
                && let Input::Shared { shared, .. } = &input
            {
                let of_shared = self.rows(shared.rows, units);
                let then = Then { start: Some((bias, 0, shared.rows)), ..Then::default() };
                self.forward(shared, &weight(operands, &layer.weights[1], units), &of_shared, then);
                start = (of_shared.values, units, rows / shared.rows);
            }
            if i == last
                && let Some(shortcut) = stack.shortcut.first()
            {
                let of_input = self.rows(rows, units);
                let (before, stride, repeat) = &start;
                let then = Then { start: Some((before, *stride, *repeat)), ..Then::default() };
                self.forward(input.own(), &weight(operands, shortcut, units), &of_input, then);
                start = (of_input.values, units, 1);
            }
            let output = self.rows(rows, units);
            let adds = match i {
                _ if layer.skip => Some(&x),
                _ if i == last && skip => Some(input.own()),
                _ => None,
            };
            // The output of max(x, 0) tells the derivative, unless something is added to it.
            let tells = layer.activation == Some(Activation::Relu) && adds.is_none();
            let inputs = layer
                .activation
                .filter(|_| keeps)
                .map(|activation| (activation, if tells { output.values.clone() } else { self.empty(rows * units) }));
            let then = Then {
                start: Some((&start.0, start.1, start.2)),
                keep: inputs.as_ref().map(|(_, inputs)| inputs).filter(|_| !tells),
                activation: layer.activation,
                mask: layer.mask(operands),
                add: adds.map(|rows| &rows.values),
                ..Then::default()
            };
            self.forward(&x, &weight(operands, &layer.weights[0], units), &output, then);
            if !keeps {
                layers.clear();
            }
            layers.push(LayerTape { output, inputs });
        }
        StackTape { input, layers }
    }

    /// Writes the gradients of weights and biases, and returns those of what the stack saw, if they are wanted: of its own rows, to which
    /// `others` are added, and of those that it shared.
    pub(super) fn stack_backward(
        &self,
        stack: &Stack,
        operands: &Operands,
        tape: &StackTape,
        of_output: Rows,
        wants_own: bool,
        others: Option<&Rows>,
        gradients: &Gradients,
    ) -> (Option<Rows>, Option<Rows>) {
        let input = &tape.input;
        let own = input.own();
        let last = stack.layers.len() - 1;
        // What is added to the gradients of the stack's own input.
        let mut of_own = others.cloned();
        if let Some(shortcut) = stack.shortcut.first() {
            if let Some(of_weight) = gradients.of(shortcut.operand) {
                let of_weight = of_weight.from(shortcut.first_row * of_output.width);
                self.of_weights(own, &of_output, &of_weight, None, gradients.parts());
            }
            if wants_own {
                let of = self.rows(own.rows, own.width);
                let then = Then { start: of_own.as_ref().map(|of| (&of.values, own.width, 1)), ..Then::default() };
                self.backward(&of_output, &weight(operands, shortcut, of_output.width), &of, then);
                of_own = Some(of);
            }
        }
        // Gradients of the layer's output, and of its sums.
        let mut of_layer = of_output;
        let inputs = |i: usize| tape.layers[i].inputs.as_ref().map(|(activation, inputs)| (*activation, inputs));
        let top = &stack.layers[last];
        let mut of_sums = match (inputs(last), top.mask(operands)) {
            (None, None) => of_layer.clone(),
            (inputs, mask) => self.through_activation(&of_layer, inputs, mask),
        };
        for i in (1..=last).rev() {
            let (layer, below) = (&stack.layers[i], &stack.layers[i - 1]);
            let x = &tape.layers[i - 1].output;
            self.layer_gradients(layer, x, &of_sums, gradients);
            let (of_x, of_sums_below) = (self.rows(x.rows, x.width), self.rows(x.rows, x.width));
            let then = Then {
                start: layer.skip.then_some((&of_layer.values, x.width, 1)),
                keep: below.skip.then_some(&of_x.values),
                derivative: inputs(i - 1),
                mask: below.mask(operands),
                ..Then::default()
            };
            self.backward(&of_sums, &weight(operands, &layer.weights[0], layer.units), &of_sums_below, then);
            (of_layer, of_sums) = (of_x, of_sums_below);
        }
        let first = &stack.layers[0];
        self.layer_gradients(first, own, &of_sums, gradients);
        let of_shared = if let Input::Shared { own, shared } = input {
            // Rows that are shared are multiplied once.
            let gathered = self.gather(&of_sums, own.rows / shared.rows);
            let second = &first.weights[1];
            if let Some(of_weight) = gradients.of(second.operand) {
                let of_weight = of_weight.from(second.first_row * first.units);
                self.of_weights(shared, &gathered, &of_weight, None, gradients.parts());
            }
            let of_shared = self.rows(shared.rows, shared.width);
            self.backward(&gathered, &weight(operands, second, first.units), &of_shared, Then::default());
            Some(of_shared)
        } else {
            None
        };
        let of_own = wants_own.then(|| {
            let of = self.rows(own.rows, own.width);
            let then = Then {
                start: of_own.as_ref().map(|of| (&of.values, own.width, 1)),
                add: first.skip.then_some(&of_layer.values),
                ..Then::default()
            };
            self.backward(&of_sums, &weight(operands, &first.weights[0], first.units), &of, then);
            of
        });
        (of_own, of_shared)
    }

    fn layer_gradients(&self, layer: &Layer, x: &Rows, of_sums: &Rows, gradients: &Gradients) {
        let Weight { operand, first_row } = layer.weights[0];
        if let Some(of_weight) = gradients.of(operand) {
            let of_weight = of_weight.from(first_row * layer.units);
            self.of_weights(x, of_sums, &of_weight, gradients.of(layer.bias).as_ref(), gradients.parts());
        }
    }
}
