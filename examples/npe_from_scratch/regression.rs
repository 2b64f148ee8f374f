//! Trains a network to predict x from θ, with Burn alone: the five ingredients of deep learning, each on its own.

use bayesburn::core::{Purpose, stream};
use burn::{
    module::Module,
    nn::{Linear, LinearConfig, loss::MseLoss, loss::Reduction},
    optim::{AdamConfig, GradientsParams},
    tensor::{Device, Tensor, activation::relu},
};
use rand::seq::SliceRandom;

const BATCH_SIZE: usize = 64;
const LEARNING_RATE: f64 = 0.01;

// ---- 1. A dataset ---------------------------------------------------------------------------------------------------
/// Pairs of θ and x, in batches. (Burn has data loaders that read from disk in threads; two tensors need none.)
struct Pairs {
    theta: Tensor<2>,
    x: Tensor<2>,
}

impl Pairs {
    fn new(pairs: &[(f64, f64)], device: &Device) -> Self {
        let column = |values: Vec<f32>| Tensor::<1>::from_data(values.as_slice(), device).reshape([pairs.len(), 1]);
        Self {
            theta: column(pairs.iter().map(|pair| pair.0 as f32).collect()),
            x: column(pairs.iter().map(|pair| pair.1 as f32).collect()),
        }
    }

    /// Some of the pairs, `[B, 1]` and `[B, 1]`.
    fn batch(&self, rows: &[i32]) -> (Tensor<2>, Tensor<2>) {
        let rows = Tensor::from_data(rows, &self.theta.device());
        (self.theta.clone().select(0, rows.clone()), self.x.clone().select(0, rows))
    }
}

// ---- 2. A network ---------------------------------------------------------------------------------------------------
/// 1 → 32 → 32 → 1, with max(0, ·) after the hidden layers: 1,153 weights.
#[derive(Module, Debug)]
pub(crate) struct Network {
    first: Linear,
    second: Linear,
    output: Linear,
}

impl Network {
    fn new(device: &Device) -> Self {
        Self {
            first: LinearConfig::new(1, 32).init(device),
            second: LinearConfig::new(32, 32).init(device),
            output: LinearConfig::new(32, 1).init(device),
        }
    }

    /// `[B, 1]` to `[B, 1]`.
    fn forward(&self, theta: Tensor<2>) -> Tensor<2> {
        let hidden = relu(self.first.forward(theta));
        let hidden = relu(self.second.forward(hidden));
        self.output.forward(hidden)
    }

    /// The prediction of x for each θ.
    pub(crate) fn predict(&self, thetas: &[f64]) -> Vec<f64> {
        let thetas: Vec<f32> = thetas.iter().map(|theta| *theta as f32).collect();
        // Without gradients: `valid` takes the network off the device that keeps track of them.
        let network = self.valid();
        let device = network.output.weight.device();
        let theta = Tensor::<1>::from_data(thetas.as_slice(), &device).reshape([thetas.len(), 1]);
        network.forward(theta).into_data().iter::<f64>().collect()
    }
}

/// The network, trained, and the mean loss of each epoch.
pub(crate) fn train(pairs: &[(f64, f64)], epochs: usize, seed: u64) -> (Network, Vec<f64>) {
    let device = Device::default().autodiff();
    device.seed(seed);
    let data = Pairs::new(pairs, &device);
    let mut network = Network::new(&device);

    // ---- 3. A loss --------------------------------------------------------------------------------------------------
    // The mean squared error: (x̂ − x)², averaged over a batch.
    let loss_function = MseLoss::new();

    // ---- 4. An optimizer --------------------------------------------------------------------------------------------
    // Adam adapts its steps to each weight's gradients so far, so that it rarely needs tuning.
    let mut optimizer = AdamConfig::new().init();

    // ---- 5. A training loop -----------------------------------------------------------------------------------------
    // An epoch goes once through all pairs, in a new order.
    let mut rng = stream(seed, const { Purpose::new("order of pairs") }, 0);
    let mut order: Vec<i32> = (0..pairs.len() as i32).collect();
    let mut losses = Vec::new();
    for _ in 0..epochs {
        order.shuffle(&mut rng);
        let mut sum = 0.0;
        for rows in order.chunks(BATCH_SIZE) {
            let (theta, x) = data.batch(rows);
            let loss = loss_function.forward(network.forward(theta), x, Reduction::Mean); // forward pass
            let gradients = GradientsParams::from_grads(loss.backward(), &network); // backward pass
            network = optimizer.step(LEARNING_RATE, network, gradients); // modules are values: a step returns the next
            sum += loss.into_scalar::<f64>() * rows.len() as f64;
        }
        losses.push(sum / pairs.len() as f64);
    }
    (network, losses)
}
