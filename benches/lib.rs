//! The quickstart's model and networks, which all benchmarks time, their arithmetic, and how steps are timed.

use bayesburn::{
    amortizers::{Amortizer, AmortizerConfig},
    networks::{AffineConfig, AffineNets, DenseNetConfig, default_device},
    prelude::*,
    trainers::{Callback, StepReport, TrainerBuilder},
};
use std::{
    fs,
    ops::ControlFlow,
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};

/// Which networks: the quickstart's own, or those of BayesFlow v1.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Architecture {
    /// Residual, 179,914 parameters.
    Default,
    /// Layer for layer BayesFlow v1, 362,698 parameters.
    V1,
}

/// A training: which networks see how much data in a step.
#[derive(Debug, Clone, Copy)]
pub struct Setting {
    /// The networks.
    pub architecture: Architecture,
    /// B, simulations in a step.
    pub batch: usize,
    /// N, observations in a simulation.
    pub observations: usize,
    /// Units of the default architecture's summary network; coupling networks have twice as many. The v1 architecture
    /// has 64.
    pub units: usize,
}

impl Setting {
    /// The quickstart's own data and widths.
    #[must_use]
    pub fn quickstart(architecture: Architecture, batch: usize) -> Self {
        Self { architecture, batch, observations: 50, units: 64 }
    }

    /// Four means with a standard normal prior, and observations around them.
    ///
    /// # Panics
    /// Never: the pilot run succeeds.
    #[must_use]
    pub fn model(&self) -> GenerativeModel {
        let n = self.observations;
        let names = ["mu_1", "mu_2", "mu_3", "mu_4"];
        let prior = Prior::from_fn(names, |rng, _| [(); 4].map(|()| rng.sample(StandardNormal)));
        let simulator = Simulator::from_fn(move |rng, mu, _| {
            Array2::from_shape_fn((n, 4), |(_, d)| mu[d] + rng.sample::<f32, _>(StandardNormal))
        });
        GenerativeModel::new(prior, simulator).expect("the pilot run succeeds")
    }

    /// Four affine coupling layers on ten summaries.
    #[must_use]
    pub fn networks(&self) -> PosteriorConfig {
        if self.architecture == Architecture::V1 {
            return PosteriorConfig::bayesflow_v1(10, 4);
        }
        let net = DenseNetConfig::new().with_shortcut(true).with_units(2 * self.units);
        let coupling = CouplingDesign::Affine(AffineConfig::new().with_nets(AffineNets::Shared(net)));
        let inference = InvertibleNetworkConfig::new().with_num_coupling_layers(4).with_coupling(coupling);
        PosteriorConfig::new(DeepSetConfig::new(10).with_units(self.units), inference)
    }

    /// The matrix products of a forward pass, `[rows, inputs, outputs]` each. The pooled half of an equivariant layer
    /// is multiplied once for each set.
    #[must_use]
    pub fn products(&self) -> Vec<[usize; 3]> {
        let (sets, rows, u) = (self.batch, self.batch * self.observations, self.units);
        let mut products = Vec::new();
        let (nets, outputs) = match self.architecture {
            Architecture::Default => {
                products.push([rows, 4, u]);
                for _ in 0..2 {
                    products.extend([[rows, u, u], [sets, u, u], [rows, u, u]]);
                }
                products.push([sets, u, u]);
                (8, 4)
            }
            Architecture::V1 => {
                for width in [4, u] {
                    products.extend([[rows, width, u], [rows, u, u], [sets, u, u], [sets, u, u]]);
                    products.extend([[rows, width, u], [sets, u, u], [rows, u, u]]);
                }
                products.extend([[rows, u, u], [rows, u, u], [sets, u, u], [sets, u, u]]);
                (16, 2)
            }
        };
        products.push([sets, u, 10]);
        for _ in 0..nets {
            products.extend([[sets, 12, 2 * u], [sets, 2 * u, 2 * u], [sets, 2 * u, outputs]]);
        }
        products
    }

    /// Floating-point operations of the products of a training step: the backward pass has two for each of the forward
    /// pass.
    #[must_use]
    pub fn flops(&self) -> f64 {
        self.products().iter().map(|shape| 6.0 * shape.iter().product::<usize>() as f64).sum()
    }

    /// A trainer with fresh networks.
    ///
    /// # Panics
    /// Never: the networks are valid.
    #[must_use]
    pub fn trainer(&self) -> Trainer {
        Trainer::builder(self.model(), self.networks()).progress(Progress::Hidden).build().expect("valid networks")
    }

    /// Whole online steps a second, simulations included, in the steady state: the first 20 steps are not counted.
    ///
    /// # Panics
    /// Never: the training succeeds.
    #[must_use]
    pub fn steps_per_second(&self, duration: Duration) -> f64 {
        self.steps_per_second_on(&default_device(), duration)
    }

    /// The same with the networks on this device.
    ///
    /// # Panics
    /// If the device fails.
    #[must_use]
    pub fn steps_per_second_on(&self, device: &Device, duration: Duration) -> f64 {
        let builder = Trainer::builder(self.model(), self.networks()).device(device.clone());
        steps_per_second(builder, self.batch, duration).0
    }
}

/// Whole online steps a second, simulations included, in the steady state: the first 20 steps are not counted; and the
/// number of trained parameters.
///
/// # Panics
/// If the networks are not valid, or training fails.
#[must_use]
pub fn steps_per_second<K: AmortizerConfig>(
    builder: TrainerBuilder<K>,
    batch: usize,
    duration: Duration,
) -> (f64, usize) {
    let clock = Clock { duration, start: None, rate: Arc::default() };
    let rate = Arc::clone(&clock.rate);
    let mut trainer = builder.progress(Progress::Hidden).callback(clock).build().expect("valid networks");
    let source = Online::new().with_epochs(1).with_iterations_per_epoch(100_000).with_batch_size(batch);
    trainer.train(source, &TrainingConfig::new()).expect("training succeeds");
    let rate = *rate.lock().expect("no thread panicked");
    (rate, trainer.amortizer().num_trainable_parameters())
}

/// The largest memory that was ever resident, in MB. Linux only.
#[must_use]
pub fn peak_memory() -> f64 {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap_or_default();
    line.split_whitespace().next().and_then(|kb| kb.parse::<f64>().ok()).unwrap_or(f64::NAN) / 1024.0
}

/// Stops a training some time after its first 20 steps, and has counted the steps of that time.
struct Clock {
    duration: Duration,
    start: Option<Instant>,
    rate: Arc<Mutex<f64>>,
}

impl<A: Amortizer> Callback<A> for Clock {
    fn on_step(&mut self, report: &StepReport) -> ControlFlow<String> {
        const WARM_UP: usize = 20;
        if report.steps == WARM_UP {
            self.start = Some(Instant::now());
        }
        match self.start {
            Some(start) if report.steps > WARM_UP && start.elapsed() > self.duration => {
                let rate = (report.steps - WARM_UP) as f64 / start.elapsed().as_secs_f64();
                *self.rate.lock().expect("no thread panicked") = rate;
                ControlFlow::Break("timed".into())
            }
            _ => ControlFlow::Continue(()),
        }
    }
}

/// The median.
///
/// # Panics
/// If there are no values.
#[must_use]
pub fn median(values: &[f64]) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let middle = sorted.len() / 2;
    if sorted.len() % 2 == 1 { sorted[middle] } else { (sorted[middle - 1] + sorted[middle]) / 2.0 }
}
