//! Brings a summary network and a loss of this file's own through a plan, and checks gradients, masks and Burn's graph.
#![cfg(feature = "flex")]

use bayesburn_kernels::{
    Activation, Batch, Buffer, DensityPart, Gradients, Input, Layer, Loss, LossBlock, LossOfBlock, LossOperation,
    Operands, Part, Plan, Pool, SetModule, SetNetwork, Stack, Summary, SummaryBlock, SummaryOperation, Weight,
};
use burn::{
    module::Param,
    tensor::{Device, Tensor, TensorData},
};

const BOTH: [DensityPart; 2] = [DensityPart::Summary, DensityPart::Inference];

/// Numbers between −1 and 1 that look random.
fn numbers(len: usize, seed: usize) -> Vec<f32> {
    (0..len).map(|i| ((i * 7919 + seed * 104_729 + 13) % 1009) as f32 / 504.5 - 1.0).collect()
}

fn parameter(operands: &mut Operands, shape: [usize; 2], seed: usize, device: &Device) -> usize {
    let values = TensorData::new(numbers(shape[0] * shape[1], seed), shape);
    operands.push_parameter(&Param::from_tensor(Tensor::<2>::from_data(values, device)))
}

/// The mean over a set's rows of tanh(x W): a summary network that the crate does not have.
#[derive(Debug)]
struct MeanOfTanh {
    weight: usize,
    features: usize,
    dim: usize,
}

impl MeanOfTanh {
    fn part(features: usize, dim: usize, device: &Device) -> Part<Summary> {
        let mut operands = Operands::default();
        let weight = parameter(&mut operands, [features, dim], 1, device);
        Part { operation: Summary::new(Self { weight, features, dim }), operands }
    }

    fn tanh(&self, weight: &[f32], row: &[f32], s: usize) -> f32 {
        row.iter().enumerate().map(|(f, x)| x * weight[f * self.dim + s]).sum::<f32>().tanh()
    }
}

impl SummaryOperation for MeanOfTanh {
    type Tape = Vec<f32>;

    fn summary_dim(&self) -> usize {
        self.dim
    }

    fn forward_block(&self, block: &SummaryBlock<'_>) -> Vec<f32> {
        let (data, weight) = (block.inputs[0], block.operands[self.weight]);
        let n = data.shape[0];
        let of_set = |set: &[f32]| -> Vec<f32> {
            let rows = || set.chunks_exact(self.features);
            (0..self.dim).map(|s| rows().map(|row| self.tanh(weight, row, s)).sum::<f32>() / n as f32).collect()
        };
        data.values.chunks_exact(n * self.features).flat_map(of_set).collect()
    }

    fn output<'t>(&self, tape: &'t Vec<f32>) -> &'t [f32] {
        tape
    }

    fn backward_block(
        &self,
        block: &SummaryBlock<'_>,
        _tape: &Vec<f32>,
        grad_output: &[f32],
        gradients: &mut Gradients<'_>,
    ) -> Vec<Option<Buffer>> {
        let (data, weight) = (block.inputs[0], block.operands[self.weight]);
        let n = data.shape[0];
        if let Some(grad_weight) = gradients.of(self.weight) {
            grad_weight.fill(0.0);
            for (r, row) in data.values.chunks_exact(self.features).enumerate() {
                for s in 0..self.dim {
                    let y = self.tanh(weight, row, s);
                    let grad = grad_output[r / n * self.dim + s] * (1.0 - y * y) / n as f32;
                    row.iter().enumerate().for_each(|(f, x)| grad_weight[f * self.dim + s] += grad * x);
                }
            }
        }
        vec![None]
    }
}

/// ½ |target − condition V|²: a loss that the crate does not have.
#[derive(Debug)]
struct SquaredError {
    weight: usize,
    condition: usize,
    dim: usize,
}

impl SquaredError {
    fn part(condition: usize, dim: usize, device: &Device) -> Part<Loss> {
        let mut operands = Operands::default();
        let weight = parameter(&mut operands, [condition, dim], 2, device);
        Part { operation: Loss::new(Self { weight, condition, dim }), operands }
    }
}

impl LossOperation for SquaredError {
    fn condition_dim(&self) -> usize {
        self.condition
    }

    fn target_dim(&self) -> usize {
        self.dim
    }

    fn block(&self, block: &LossBlock<'_>, gradients: &mut Gradients<'_>) -> LossOfBlock {
        let weight = block.operands[self.weight];
        let mut grad_weight = gradients.of(self.weight);
        if let Some(grad) = &mut grad_weight {
            grad.fill(0.0);
        }
        let (mut weighted_sum, mut grad_condition) = (0.0, Buffer::zeros(block.condition.len()));
        for r in 0..block.rows {
            let condition = &block.condition[r * self.condition..(r + 1) * self.condition];
            for d in 0..self.dim {
                let predicted: f32 = condition.iter().enumerate().map(|(c, x)| x * weight[c * self.dim + d]).sum();
                let error = predicted - block.targets[r * self.dim + d];
                weighted_sum += f64::from(block.weight(r)) * 0.5 * f64::from(error * error);
                let grad = block.share(r) * error;
                for (c, x) in condition.iter().enumerate() {
                    grad_condition[r * self.condition + c] += grad * weight[c * self.dim + d];
                    if let Some(grad_weight) = &mut grad_weight {
                        grad_weight[c * self.dim + d] += grad * x;
                    }
                }
            }
        }
        LossOfBlock { weighted_sum, grad_condition: block.wants_condition.then_some(grad_condition) }
    }
}

/// M simulations with sets of N rows of two features, one direct condition, two targets and weights.
fn batch(m: usize, n: usize) -> Batch {
    Batch {
        inputs: vec![Input { values: numbers(m * n * 2, 3), shape: vec![n, 2], mask: None }],
        direct: numbers(m, 4),
        targets: numbers(2 * m, 5),
        weights: Some(numbers(m, 6).iter().map(|w| w + 1.5).collect()),
        dropout: Vec::new(),
    }
}

/// Values for all parameters of a plan.
fn values(plan: &Plan) -> Vec<f32> {
    numbers(plan.parameters().map(|(.., range)| range.len()).sum(), 7)
}

fn loss(plan: &Plan, batch: &Batch, values: &[f32]) -> f64 {
    plan.with_gradients(batch, values, &BOTH, &mut vec![0.0; values.len()]).0
}

/// Central differences of the loss.
#[track_caller]
fn assert_gradients(plan: &Plan, batch: &Batch) {
    const STEP: f32 = 1e-2;
    let values = values(plan);
    let mut gradients = vec![f32::NAN; values.len()];
    let (_, norm) = plan.with_gradients(batch, &values, &BOTH, &mut gradients);
    for (i, got) in gradients.iter().enumerate() {
        let at = |step: f32| {
            let mut moved = values.clone();
            moved[i] += step;
            (loss(plan, batch, &moved), f64::from(moved[i]))
        };
        let ((above, x), (below, y)) = (at(STEP), at(-STEP));
        let expected = (above - below) / (x - y);
        // The third derivative's part of a central difference is some 1e-4.
        assert!((f64::from(*got) - expected).abs() < 1e-3, "gradient {i}: {got} against {expected}");
        assert!((f64::from(*got) + 0.01 - expected).abs() > 1e-3, "gradient {i}: a planted error passes");
    }
    let squares: f64 = gradients.iter().map(|&g| f64::from(g) * f64::from(g)).sum();
    assert!((norm - squares.sqrt()).abs() < 1e-9 * norm, "{norm}");
}

#[test]
fn a_summary_and_a_loss_of_ones_own_go_through_a_plan() {
    let device = Device::flex();
    let plan = Plan::new(Some(MeanOfTanh::part(2, 3, &device)), SquaredError::part(4, 2, &device));
    for (m, n) in [(1, 1), (7, 5), (40, 3)] {
        assert_gradients(&plan, &batch(m, n));
    }
    // Without a summary network, the condition is what is given directly.
    let alone = Plan::new(None, SquaredError::part(1, 2, &device));
    assert_gradients(&alone, &Batch { inputs: Vec::new(), ..batch(7, 5) });
}

#[test]
fn a_part_is_trained_alone_and_the_other_one_stays() {
    let device = Device::flex();
    let plan = Plan::new(Some(MeanOfTanh::part(2, 3, &device)), SquaredError::part(4, 2, &device));
    let (batch, values) = (batch(40, 3), values(&plan));
    let mut all = vec![0.0; values.len()];
    plan.with_gradients(&batch, &values, &BOTH, &mut all);
    for part in BOTH {
        let mut gradients = vec![7.0; values.len()];
        plan.with_gradients(&batch, &values, &[part], &mut gradients);
        for (_, of, range) in plan.parameters() {
            let expected = if of == part { &all[range.clone()] } else { &vec![7.0; range.len()][..] };
            assert_eq!(&gradients[range], expected);
        }
    }
}

/// The same code in Burn's graph.
#[test]
fn a_summary_of_ones_own_is_an_operation_of_the_graph() {
    let device = Device::flex();
    let weight =
        Param::from_tensor(Tensor::<2>::from_data(TensorData::new(numbers(6, 1), [2, 3]), &device.clone().autodiff()));
    let mut operands = Operands::default();
    let place = operands.push_parameter(&weight);
    let operation = Summary::new(MeanOfTanh { weight: place, features: 2, dim: 3 });
    let data = Tensor::<3>::from_data(TensorData::new(numbers(20 * 5 * 2, 3), [20, 5, 2]), &device.autodiff());
    let by_kernel = Part { operation, operands }.run(data.clone(), None).expect("few operands");
    let composed = data.matmul(weight.val().unsqueeze()).tanh().mean_dim(1).reshape([20, 3]);
    let [of_kernel, of_composed] = [&by_kernel, &composed].map(|summaries| {
        let gradients = summaries.clone().square().sum().backward();
        weight.val().grad(&gradients).expect("a gradient").into_data().iter::<f32>().collect::<Vec<_>>()
    });
    let [by_kernel, composed] = [by_kernel, composed].map(|s| s.into_data().iter::<f32>().collect::<Vec<_>>());
    for (got, expected) in by_kernel.iter().zip(&composed).chain(of_kernel.iter().zip(&of_composed)) {
        assert!((got - expected).abs() < 1e-5, "{got} against {expected}");
    }
}

/// A set network with every part, by plain data.
fn set_network(pool: Pool, device: &Device) -> Part<Summary> {
    let mut operands = Operands::default();
    let mut seed = 10;
    let mut layer = |inputs: &[usize], units: usize, activation: Option<Activation>| {
        let mut push = |rows| {
            seed += 1;
            parameter(&mut operands, [rows, units], seed, device)
        };
        let weights = inputs.iter().map(|&width| Weight { operand: push(width), first_row: 0 }).collect();
        let layer = Layer { weights, bias: push(1), units, activation, skip: false, dropout: None };
        Stack { layers: vec![layer], shortcut: Vec::new() }
    };
    let tanh = Some(Activation::Tanh);
    let module = SetModule {
        before: Some(layer(&[4], 3, tanh)),
        after: Some(layer(&[3], 5, tanh)),
        joint: layer(&[4, 5], 4, tanh),
        skip: true,
    };
    let network = SetNetwork {
        features: 2,
        embedding: Some(layer(&[2], 4, None)),
        modules: vec![module],
        before: Some(layer(&[4], 6, tanh)),
        after: layer(&[6], 3, None),
        pool,
    };
    Part { operation: Summary::new(network), operands }
}

/// Rows that are not there change no bit, whatever their values are and wherever they lie.
#[test]
fn padding_changes_nothing() {
    let device = Device::flex();
    for pool in [Pool::Mean, Pool::Max] {
        let plan = Plan::new(Some(set_network(pool, &device)), SquaredError::part(4, 2, &device));
        let (whole, values) = (batch(40, 3), values(&plan));
        let mut padded = whole.clone();
        let [input] = &mut padded.inputs[..] else { unreachable!("one input") };
        let rows = whole.inputs[0]
            .values
            .chunks_exact(6)
            .flat_map(|set| [&set[..2], &[9.0, -9.0], &set[2..], &[0.5, f32::MAX]].concat());
        *input = Input { values: rows.collect(), shape: vec![5, 2], mask: Some([1.0, 0.0, 1.0, 1.0, 0.0].repeat(40)) };
        let step = |batch: &Batch| {
            let mut gradients = vec![f32::NAN; values.len()];
            let (loss, _) = plan.with_gradients(batch, &values, &BOTH, &mut gradients);
            (loss, gradients)
        };
        let (loss, gradients) = step(&whole);
        assert!(step(&padded) == (loss, gradients.clone()), "{pool:?}");
        // The twin: without the mask they do change it.
        padded.inputs[0].mask = None;
        assert!((step(&padded).0 - loss).abs() > 1e-3, "{pool:?}");
    }
}

#[test]
#[should_panic(expected = "data of shape [3, 2]")]
fn data_that_do_not_fit_the_targets_panic() {
    let device = Device::flex();
    let plan = Plan::new(Some(MeanOfTanh::part(2, 3, &device)), SquaredError::part(4, 2, &device));
    let mut batch = batch(4, 3);
    batch.inputs[0].values.pop();
    loss(&plan, &batch, &values(&plan));
}
