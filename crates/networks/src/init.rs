//! Draws initial weights on the host, so that one seed gives the same network on every backend.
//!
//! Burn initialises lazily and from one process-wide generator on its CPU backends: the weights would depend on which
//! layer is used first and on what else the process draws.

use bayesburn_core::{Purpose, StreamRng, stream};
use burn::{
    module::Param,
    nn::Linear,
    tensor::{Device, Int, Tensor, TensorData},
};
use rand::{RngExt, seq::SliceRandom};
use rand_distr::StandardNormal;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};

/// Makes parameters of networks from one stream of random numbers, in the order in which they are asked for.
#[derive(Debug)]
pub struct ParameterInit {
    rng: StreamRng,
    device: Device,
    /// How many more numbers it makes.
    budget: usize,
}

/// More numbers were asked for than [`ParameterInit::within`] has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct OverBudget;

/// How the last layer of a network begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OutputInit {
    /// Like the other layers.
    Glorot,
    /// All zeros: the network outputs 0, and a coupling layer begins as the identity.
    Zeros,
}

impl ParameterInit {
    /// Weights of this seed, on this device.
    #[must_use]
    pub fn new(seed: u64, device: &Device) -> Self {
        let rng = stream(seed, const { Purpose::new("initial weights") }, 0);
        Self { rng, device: device.clone(), budget: usize::MAX }
    }

    /// The device of what it makes.
    #[must_use]
    pub fn device(&self) -> &Device {
        &self.device
    }

    /// What `make` makes, unless it has more numbers than these: a configuration from a file may say anything, and
    /// memory that is not there ends the program.
    ///
    /// # Errors
    /// More numbers than the budget.
    pub fn within<T>(mut self, budget: usize, make: impl FnOnce(&mut Self) -> T) -> Result<T, OverBudget> {
        self.budget = budget;
        // All layers ask here, and none can fail: so it unwinds, without the message of a panic.
        catch_unwind(AssertUnwindSafe(|| make(&mut self))).map_err(|panic| match panic.downcast() {
            Ok(over) => *over,
            Err(panic) => resume_unwind(panic),
        })
    }

    /// As many layers, made one after the other: room is made for them as they come, so that the budget is what ends
    /// too many.
    pub(crate) fn layers<T>(&mut self, num: usize, mut layer: impl FnMut(usize, &mut Self) -> T) -> Vec<T> {
        let mut layers = Vec::new();
        for i in 0..num {
            layers.push(layer(i, self));
        }
        layers
    }

    /// Counts an array of this shape that is made elsewhere.
    pub fn spend(&mut self, shape: &[usize]) {
        let numbers = shape.iter().try_fold(1_usize, |numbers, len| numbers.checked_mul(*len));
        match numbers.and_then(|numbers| self.budget.checked_sub(numbers)) {
            Some(budget) => self.budget = budget,
            None => resume_unwind(Box::new(OverBudget)),
        }
    }

    /// A linear layer, `[.., d_input]` to `[.., d_output]`, with zero bias.
    pub fn linear(&mut self, d_input: usize, d_output: usize, init: OutputInit) -> Linear {
        let weight = match init {
            OutputInit::Glorot => self.glorot_uniform([d_input, d_output], d_input, d_output),
            OutputInit::Zeros => self.constant([d_input, d_output], 0.0),
        };
        Linear { weight, bias: Some(self.constant([d_output], 0.0)) }
    }

    /// A linear layer with Glorot weights, and with zero bias or none.
    pub(crate) fn linear_with(&mut self, has_bias: bool, d_input: usize, d_output: usize) -> Linear {
        let weight = self.glorot_uniform([d_input, d_output], d_input, d_output);
        Linear { weight, bias: has_bias.then(|| self.constant([d_output], 0.0)) }
    }

    /// Uniform on ±√(6 / (fan_in + fan_out)) (Glorot & Bengio 2010, eq. 16).
    pub fn glorot_uniform(&mut self, shape: [usize; 2], fan_in: usize, fan_out: usize) -> Param<Tensor<2>> {
        let bound = (6.0 / (fan_in + fan_out) as f32).sqrt();
        self.fill(shape, |rng| bound * (2.0 * rng.random::<f32>() - 1.0))
    }

    /// Normal around 0, with this standard deviation.
    pub fn normal(&mut self, shape: [usize; 2], std: f32) -> Param<Tensor<2>> {
        self.fill(shape, |rng| std * rng.sample::<f32, _>(StandardNormal))
    }

    /// These values, as many as the shape has places.
    pub(crate) fn values<const R: usize>(&mut self, values: Vec<f32>, shape: [usize; R]) -> Param<Tensor<R>> {
        self.spend(&shape);
        Param::from_data(TensorData::new(values, shape), &self.device)
    }

    /// One value everywhere.
    pub fn constant<const R: usize>(&mut self, shape: [usize; R], value: f32) -> Param<Tensor<R>> {
        self.fill(shape, |_| value)
    }

    /// A random rotation or reflection of `n` dimensions: Gram-Schmidt, twice for accuracy, on normal draws.
    pub fn orthogonal(&mut self, n: usize) -> Param<Tensor<2>> {
        self.orthogonal_blocks(n, 1)
    }

    /// As many of them side by side, `[n, num · n]`.
    pub(crate) fn orthogonal_blocks(&mut self, n: usize, num: usize) -> Param<Tensor<2>> {
        self.spend(&[n, num, n]);
        let blocks: Vec<Vec<Vec<f64>>> = (0..num).map(|_| self.orthonormal_rows(n)).collect();
        let values = (0..n).flat_map(|row| blocks.iter().flat_map(move |block| &block[row]));
        let values: Vec<f32> = values.map(|value| *value as f32).collect();
        Param::from_data(TensorData::new(values, [n, num * n]), &self.device)
    }

    fn orthonormal_rows(&mut self, n: usize) -> Vec<Vec<f64>> {
        let mut rows: Vec<Vec<f64>> = Vec::with_capacity(n);
        while rows.len() < n {
            let mut row: Vec<f64> = (0..n).map(|_| self.rng.sample(StandardNormal)).collect();
            for _ in 0..2 {
                for other in &rows {
                    let dot: f64 = row.iter().zip(other).map(|(a, b)| a * b).sum();
                    row.iter_mut().zip(other).for_each(|(a, b)| *a -= dot * b);
                }
            }
            let norm = row.iter().map(|a| a * a).sum::<f64>().sqrt();
            // A draw this close to the span of the others (probability below 1e-6) would lose half of the digits.
            if norm > 1e-6 {
                rows.push(row.iter().map(|a| a / norm).collect());
            }
        }
        rows
    }

    /// A random order of `n` positions.
    pub fn permutation(&mut self, n: usize) -> Param<Tensor<1, Int>> {
        self.spend(&[n]);
        let mut order: Vec<i64> = (0..n as i64).collect();
        order.shuffle(&mut self.rng);
        Param::initialized(burn::module::ParamId::new(), Tensor::from_data(TensorData::new(order, [n]), &self.device))
    }

    fn fill<const R: usize>(&mut self, shape: [usize; R], draw: impl Fn(&mut StreamRng) -> f32) -> Param<Tensor<R>> {
        self.spend(&shape);
        let values: Vec<f32> = (0..shape.iter().product()).map(|_| draw(&mut self.rng)).collect();
        Param::from_data(TensorData::new(values, shape), &self.device)
    }
}
