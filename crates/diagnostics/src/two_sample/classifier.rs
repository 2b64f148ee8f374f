//! Trains a small network to tell two classes apart, with the settings of scikit-learn's `MLPClassifier`.
//!
//! Two hidden layers of rectified linear units and a logistic output, binary cross-entropy with a penalty on the
//! weights, Adam. Sets of 10,000 rows in 10 dimensions that are equal take 500 epochs in each of 5 folds, 200,000 steps
//! of 13 million operations. Hence forward and backward pass are written by hand, on flat arrays: of a tensor library's
//! graph the overhead alone would be minutes.

use bayesburn_core::StreamRng;
use ndarray::{ArrayView2, ArrayViewMut2, aview1, linalg::general_mat_mul};
use rand::{RngExt, seq::SliceRandom};

/// Rows of a batch; the last one of an epoch may have fewer.
const BATCH: usize = 200;
/// The factor of ½ Σ w² / B in a batch's loss, over weights and not biases.
const PENALTY: f32 = 1e-4;
/// Adam's learning rate.
const RATE: f64 = 1e-3;
/// The decay of Adam's mean of gradients, and of that of their squares.
const BETA_1: f64 = 0.9;
const BETA_2: f64 = 0.999;
/// What keeps Adam's divisor above 0.
const EPSILON: f32 = 1e-8;
/// An epoch whose loss is not this much below the best one so far brings nothing.
const TOLERANCE: f64 = 1e-4;
/// Training ends when more epochs than this in a row have brought nothing.
const PATIENCE: usize = 10;

/// Rows to tell apart.
pub(super) struct Examples {
    /// One row after the other.
    pub(super) inputs: Vec<f32>,
    /// D, the length of a row.
    pub(super) columns: usize,
    /// 0 or 1 for each row.
    pub(super) labels: Vec<f32>,
}

/// A network of D inputs, twice H units and one output.
#[derive(Debug, Clone, Copy)]
struct Shape {
    inputs: usize,
    units: usize,
}

impl Shape {
    /// Parameters of each part: weights `[D, H]`, `[H, H]` and `[H, 1]`, then the biases of the same layers.
    fn lengths(self) -> [usize; 6] {
        let Self { inputs, units } = self;
        [inputs * units, units * units, units, units, units, 1]
    }

    fn num_weights(self) -> usize {
        self.lengths()[..3].iter().sum()
    }

    fn parts(self, mut values: &[f32]) -> [&[f32]; 6] {
        self.lengths().map(|length| values.split_off(..length).expect("one value for each parameter"))
    }

    fn parts_mut(self, mut values: &mut [f32]) -> [&mut [f32]; 6] {
        self.lengths().map(|length| values.split_off_mut(..length).expect("one value for each parameter"))
    }
}

/// A batch on its way through the network: rows, one after the other.
#[derive(Default)]
struct Pass {
    inputs: Vec<f32>,
    labels: Vec<f32>,
    /// What the hidden layers make of the inputs.
    hidden: [Vec<f32>; 2],
    /// Log-odds of label 1.
    outputs: Vec<f32>,
    /// Derivatives of the loss by what goes into the hidden units.
    deltas: [Vec<f32>; 2],
}

impl Pass {
    fn load(&mut self, examples: &Examples, rows: &[usize], units: usize) {
        let d = examples.columns;
        self.inputs.clear();
        self.labels.clear();
        for &row in rows {
            self.inputs.extend_from_slice(&examples.inputs[row * d..(row + 1) * d]);
            self.labels.push(examples.labels[row]);
        }
        for values in self.hidden.iter_mut().chain(&mut self.deltas) {
            values.resize(rows.len() * units, 0.0);
        }
        self.outputs.resize(rows.len(), 0.0);
    }
}

/// The trained network.
#[derive(Debug)]
pub(super) struct Classifier {
    shape: Shape,
    parameters: Vec<f32>,
}

impl Classifier {
    /// Trains on some of the rows; also returns the number of epochs, at most `max_epochs`.
    pub(super) fn train(
        examples: &Examples,
        mut rows: Vec<usize>,
        units: usize,
        max_epochs: usize,
        rng: &mut StreamRng,
    ) -> (Self, usize) {
        let mut network = Self::new(Shape { inputs: examples.columns, units }, rng);
        let mut training = Training::new(&network);
        let (mut epochs, mut best, mut in_vain) = (0, f64::INFINITY, 0);
        while epochs < max_epochs && in_vain <= PATIENCE {
            let loss = training.epoch(&mut network, examples, &mut rows, rng);
            epochs += 1;
            in_vain = if loss > best - TOLERANCE { in_vain + 1 } else { 0 };
            best = best.min(loss);
        }
        (network, epochs)
    }

    /// Trains on some of the rows until the loss on others no longer falls, and has the weights of its least:
    /// probabilities, and not labels, are wanted of it.
    pub(super) fn train_until_overfitted(
        examples: &Examples,
        (mut rows, held_out): (Vec<usize>, &[usize]),
        units: usize,
        max_epochs: usize,
        rng: &mut StreamRng,
    ) -> Self {
        let mut network = Self::new(Shape { inputs: examples.columns, units }, rng);
        let mut training = Training::new(&network);
        let (mut best, mut in_vain) = ((network.loss(examples, held_out), network.parameters.clone()), 0);
        for _ in 0..max_epochs {
            training.epoch(&mut network, examples, &mut rows, rng);
            let loss = network.loss(examples, held_out);
            in_vain = if loss < best.0 { 0 } else { in_vain + 1 };
            if in_vain == 0 {
                best = (loss, network.parameters.clone());
            } else if in_vain > PATIENCE {
                break;
            }
        }
        Self { parameters: best.1, ..network }
    }

    /// The mean loss of rows, without the penalty.
    fn loss(&self, examples: &Examples, rows: &[usize]) -> f64 {
        let (mut pass, mut sum) = (Pass::default(), 0.0);
        for batch in rows.chunks(BATCH) {
            pass.load(examples, batch, self.shape.units);
            self.forward(&mut pass);
            sum += pass
                .outputs
                .iter()
                .zip(&pass.labels)
                .map(|(&output, &label)| cross_entropy(output, label))
                .sum::<f64>();
        }
        sum / rows.len() as f64
    }

    /// The probability of label 1 of each row.
    pub(super) fn probabilities(&self, examples: &Examples) -> Vec<f64> {
        let rows: Vec<usize> = (0..examples.labels.len()).collect();
        let (mut pass, mut all) = (Pass::default(), Vec::with_capacity(rows.len()));
        for batch in rows.chunks(BATCH) {
            pass.load(examples, batch, self.shape.units);
            self.forward(&mut pass);
            all.extend(pass.outputs.iter().map(|&output| 1.0 / (1.0 + (-f64::from(output)).exp())));
        }
        all
    }

    /// The share of these rows that the network labels correctly.
    pub(super) fn accuracy(&self, examples: &Examples, rows: &[usize]) -> f64 {
        let (mut pass, mut correct) = (Pass::default(), 0);
        for batch in rows.chunks(BATCH) {
            pass.load(examples, batch, self.shape.units);
            self.forward(&mut pass);
            let verdicts = pass.outputs.iter().zip(&pass.labels);
            correct += verdicts.filter(|(output, label)| (**output > 0.0) == (**label > 0.5)).count();
        }
        correct as f64 / rows.len() as f64
    }

    /// Weights and biases are uniform on ±√(6 / (fan_in + fan_out)) of their layer.
    fn new(shape: Shape, rng: &mut StreamRng) -> Self {
        let Shape { inputs, units } = shape;
        let fans = [inputs + units, units + units, units + 1];
        let mut parameters = Vec::with_capacity(shape.lengths().iter().sum());
        for (part, length) in shape.lengths().into_iter().enumerate() {
            let bound = (6.0 / fans[part % 3] as f32).sqrt();
            parameters.extend((0..length).map(|_| bound * (2.0 * rng.random::<f32>() - 1.0)));
        }
        Self { shape, parameters }
    }

    fn forward(&self, pass: &mut Pass) {
        let [w1, w2, w3, b1, b2, b3] = self.shape.parts(&self.parameters);
        let [a1, a2] = &mut pass.hidden;
        hidden_layer(&pass.inputs, w1, b1, a1);
        hidden_layer(a1, w2, b2, a2);
        for (output, row) in pass.outputs.iter_mut().zip(a2.chunks_exact(self.shape.units)) {
            *output = b3[0] + aview1(row).dot(&aview1(w3));
        }
    }

    /// The sum of the losses of a batch that went forward; its gradient, over the number of rows, replaces `gradient`.
    fn backward(&self, pass: &mut Pass, gradient: &mut [f32]) -> f64 {
        let Shape { inputs, units } = self.shape;
        let [_, w2, w3, ..] = self.shape.parts(&self.parameters);
        let [to_w1, to_w2, to_w3, to_b1, to_b2, to_b3] = self.shape.parts_mut(gradient);
        let Pass { inputs: x, labels, hidden: [a1, a2], outputs, deltas: [d1, d2] } = pass;
        let share = 1.0 / labels.len() as f32;
        let mut loss = 0.0;
        to_w3.fill(0.0);
        to_b3.fill(0.0);
        let rows = a2.chunks_exact(units).zip(d2.chunks_exact_mut(units));
        for ((&output, &label), (a2, d2)) in outputs.iter().zip(labels.iter()).zip(rows) {
            loss += cross_entropy(output, label);
            let delta = share * (1.0 / (1.0 + (-output).exp()) - label);
            to_b3[0] += delta;
            for (((d, &a), to_w), &w) in d2.iter_mut().zip(a2).zip(to_w3.iter_mut()).zip(w3) {
                *to_w += delta * a;
                *d = if a > 0.0 { delta * w } else { 0.0 };
            }
        }
        product(matrix(a1, units).reversed_axes(), matrix(d2, units), 0.0, to_w2);
        sum_rows(d2, to_b2);
        product(matrix(d2, units), matrix(w2, units).reversed_axes(), 0.0, d1);
        for (d, &a) in d1.iter_mut().zip(a1.iter()) {
            *d = if a > 0.0 { *d } else { 0.0 };
        }
        product(matrix(x, inputs).reversed_axes(), matrix(d1, units), 0.0, to_w1);
        sum_rows(d1, to_b1);
        loss
    }

    /// ½ · penalty · Σ w²; its gradient, over the number of rows of the batch, is added.
    fn penalize(&self, rows: usize, gradient: &mut [f32]) -> f64 {
        let weights = &self.parameters[..self.shape.num_weights()];
        let factor = PENALTY / rows as f32;
        gradient.iter_mut().zip(weights).for_each(|(to_w, w)| *to_w += factor * w);
        f64::from(0.5 * PENALTY * aview1(weights).dot(&aview1(weights)))
    }
}

/// ln(1 + eᶻ) − yz, without overflow.
fn cross_entropy(output: f32, label: f32) -> f64 {
    f64::from(output.max(0.0) - output * label + (-output.abs()).exp().ln_1p())
}

/// What a training keeps from step to step.
struct Training {
    adam: Adam,
    gradient: Vec<f32>,
    pass: Pass,
}

impl Training {
    fn new(network: &Classifier) -> Self {
        let parameters = network.parameters.len();
        Self { adam: Adam::new(parameters), gradient: vec![0.0; parameters], pass: Pass::default() }
    }

    /// One epoch over the rows, which are shuffled; the mean of its batches' losses, penalties included.
    fn epoch(&mut self, network: &mut Classifier, examples: &Examples, rows: &mut [usize], rng: &mut StreamRng) -> f64 {
        rows.shuffle(rng);
        let mut loss = 0.0;
        for batch in rows.chunks(BATCH) {
            self.pass.load(examples, batch, network.shape.units);
            network.forward(&mut self.pass);
            loss += network.backward(&mut self.pass, &mut self.gradient);
            loss += network.penalize(batch.len(), &mut self.gradient);
            self.adam.step(&mut network.parameters, &self.gradient);
        }
        loss / rows.len() as f64
    }
}

/// max(0, b + x W), row by row.
fn hidden_layer(inputs: &[f32], weights: &[f32], biases: &[f32], out: &mut [f32]) {
    let units = biases.len();
    out.chunks_exact_mut(units).for_each(|row| row.copy_from_slice(biases));
    product(matrix(inputs, weights.len() / units), matrix(weights, units), 1.0, out);
    out.iter_mut().for_each(|value| *value = value.max(0.0));
}

/// Rows of so many numbers.
fn matrix(values: &[f32], columns: usize) -> ArrayView2<'_, f32> {
    ArrayView2::from_shape((values.len() / columns, columns), values).expect("whole rows")
}

/// out = a b + keep · out; with 0, what is in `out` is not read.
fn product(a: ArrayView2<'_, f32>, b: ArrayView2<'_, f32>, keep: f32, out: &mut [f32]) {
    let mut out = ArrayViewMut2::from_shape((a.nrows(), b.ncols()), out).expect("as many numbers as the product has");
    general_mat_mul(1.0, &a, &b, keep, &mut out);
}

fn sum_rows(values: &[f32], sums: &mut [f32]) {
    sums.fill(0.0);
    for row in values.chunks_exact(sums.len()) {
        sums.iter_mut().zip(row).for_each(|(sum, value)| *sum += value);
    }
}

/// Adam (Kingma and Ba 2015), in the order of operations of its section 2: ε is added to the square root before its
/// correction.
struct Adam {
    first: Vec<f32>,
    second: Vec<f32>,
    steps: i32,
}

impl Adam {
    fn new(parameters: usize) -> Self {
        Self { first: vec![0.0; parameters], second: vec![0.0; parameters], steps: 0 }
    }

    fn step(&mut self, parameters: &mut [f32], gradient: &[f32]) {
        self.steps += 1;
        let rate = (RATE * (1.0 - BETA_2.powi(self.steps)).sqrt() / (1.0 - BETA_1.powi(self.steps))) as f32;
        let (old_1, new_1) = (BETA_1 as f32, (1.0 - BETA_1) as f32);
        let (old_2, new_2) = (BETA_2 as f32, (1.0 - BETA_2) as f32);
        let moments = self.first.iter_mut().zip(&mut self.second);
        for ((w, &g), (first, second)) in parameters.iter_mut().zip(gradient).zip(moments) {
            *first = old_1 * *first + new_1 * g;
            *second = old_2 * *second + new_2 * g * g;
            *w -= rate * *first / (second.sqrt() + EPSILON);
        }
    }
}

#[cfg(test)]
mod tests;
