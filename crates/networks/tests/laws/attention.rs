//! Checks that networks with attention compute what loops over numbers compute, and their gradients.

use crate::support::{
    gradients, in_f64, largest_error, map_floats, normal, parameters, perturbed, tensor, tensor64, values,
};
use bayesburn_core::DataShape;
use bayesburn_networks::{
    AttentionArchitecture, DataTensor, InputTensor, ParameterInit, Pass, PostNormConfig, SetTransformer,
    SetTransformerConfig, SummaryConfig, SummaryNetwork, TimeSeriesTransformerConfig, TimeStamps,
};
use burn::{module::Module, tensor::Device};
use std::collections::HashMap;

const N: usize = 6;
const F: usize = 3;
const HEADS: usize = 2;

type Rows = Vec<Vec<f64>>;

/// Networks as loops over numbers, by the places of their parameters.
struct Loops {
    parameters: HashMap<String, Vec<f64>>,
}

impl Loops {
    fn new<M: Module>(network: &M) -> Self {
        Self { parameters: parameters(network).into_iter().collect() }
    }

    fn parameter(&self, place: &str) -> &[f64] {
        self.parameters.get(place).unwrap_or_else(|| panic!("no `{place}` in {:?}", self.parameters.keys()))
    }

    fn has(&self, place: &str) -> bool {
        self.parameters.keys().any(|name| name.starts_with(place))
    }

    fn linear(&self, place: &str, x: &[f64]) -> Vec<f64> {
        let weight = self.parameter(&format!("{place}.weight"));
        let bias = self.parameters.get(&format!("{place}.bias"));
        let width = weight.len() / x.len();
        let output = |j: usize| x.iter().enumerate().map(|(i, x)| x * weight[i * width + j]).sum::<f64>();
        (0..width).map(|j| output(j) + bias.map_or(0.0, |bias| bias[j])).collect()
    }

    fn linear_rows(&self, place: &str, rows: &Rows) -> Rows {
        rows.iter().map(|row| self.linear(place, row)).collect()
    }

    /// Either normalisation, or none where there is no parameter.
    fn norm(&self, place: &str, rows: &Rows) -> Rows {
        if !self.has(place) {
            return rows.clone();
        }
        let gain = self.parameter(&format!("{place}.gain"));
        let bias = self.parameters.get(&format!("{place}.bias"));
        let mean = |of: &[f64]| of.iter().sum::<f64>() / of.len() as f64;
        let row = |row: &Vec<f64>| {
            let (centre, epsilon) = if bias.is_some() { (mean(row), 1e-3) } else { (0.0, 1e-6) };
            let centred: Vec<f64> = row.iter().map(|x| x - centre).collect();
            let scale = (mean(&centred.iter().map(|x| x * x).collect::<Vec<_>>()) + epsilon).sqrt();
            let scaled = centred.iter().zip(gain).map(|(x, g)| x / scale * g);
            scaled.enumerate().map(|(i, x)| x + bias.map_or(0.0, |bias| bias[i])).collect()
        };
        rows.iter().map(row).collect()
    }

    fn attention(&self, place: &str, queries: &Rows, rows: &Rows) -> Rows {
        let [q, k, v] = [("query", queries), ("key", rows), ("value", rows)]
            .map(|(layer, of)| self.linear_rows(&format!("{place}.{layer}"), of));
        let width = q[0].len() / HEADS;
        let joined = q.iter().map(|q| {
            let mut heads = Vec::new();
            for head in 0..HEADS {
                let of = |row: &Vec<f64>| row[head * width..(head + 1) * width].to_vec();
                let dot = |a: Vec<f64>, b: Vec<f64>| a.iter().zip(&b).map(|(a, b)| a * b).sum::<f64>();
                let weight = |k| (dot(of(q), of(k)) / (width as f64).sqrt()).exp();
                let weights: Vec<f64> = k.iter().map(weight).collect();
                let total: f64 = weights.iter().sum();
                let value = |j: usize| weights.iter().zip(&v).map(|(w, v)| w * of(v)[j]).sum::<f64>() / total;
                heads.extend((0..width).map(value));
            }
            heads
        });
        self.linear_rows(&format!("{place}.output"), &joined.collect())
    }

    fn feed_forward(&self, place: &str, rows: &Rows) -> Rows {
        let row = |row: &Vec<f64>| {
            let gated = format!("{place}.Gated");
            if self.has(&gated) {
                let [gate, up] = ["gate", "up"].map(|layer| self.linear(&format!("{gated}.{layer}"), row));
                let hidden: Vec<f64> = gate.iter().zip(up).map(|(g, up)| g / (1.0 + (-g).exp()) * up).collect();
                return self.linear(&format!("{gated}.down"), &hidden);
            }
            let mut x = row.clone();
            for layer in 0..2 {
                x = self.linear(&format!("{place}.Dense.hidden.{layer}"), &x).iter().map(|x| x.max(0.0)).collect();
            }
            self.linear(&format!("{place}.Dense.output"), &x)
        };
        rows.iter().map(row).collect()
    }

    fn block(&self, place: &str, x: &Rows, y: &Rows) -> Rows {
        let pre = format!("{place}.PreNorm");
        if self.has(&pre) {
            let x = self.linear_rows(&format!("{pre}.projection"), x);
            let queries = self.norm(&format!("{pre}.query_norm"), &x);
            let keys = self.norm(&format!("{pre}.key_norm"), y);
            let x = sum(&x, &self.attention(&format!("{pre}.attention"), &queries, &keys));
            return sum(&x, &self.feed_forward(&format!("{pre}.feed_forward"), &self.norm(&format!("{pre}.norm"), &x)));
        }
        let post = format!("{place}.PostNorm");
        let h = sum(x, &self.attention(&format!("{post}.attention"), x, y));
        let h = self.norm(&format!("{post}.attention_norm"), &h);
        let h = sum(&h, &self.feed_forward(&format!("{post}.feed_forward"), &h));
        self.norm(&format!("{post}.norm"), &h)
    }

    /// Trained vectors `[num, width]`.
    fn vectors(&self, place: &str, num: usize) -> Rows {
        let values = self.parameter(place);
        values.chunks(values.len() / num).map(<[f64]>::to_vec).collect()
    }

    fn set_transformer(&self, config: &SetTransformerConfig, set: &Rows) -> Vec<f64> {
        let mut h = set.clone();
        for i in 0..config.num_blocks {
            h = match config.num_inducing_points {
                None => self.block(&format!("blocks.{i}.Direct"), &h, &h),
                Some(num) => {
                    let place = format!("blocks.{i}.Induced");
                    let points = self.vectors(&format!("{place}.points"), num);
                    let seen = self.block(&format!("{place}.from_rows"), &points, &h);
                    self.block(&format!("{place}.to_rows"), &h, &seen)
                }
            };
        }
        let rows = self.feed_forward("pooling.feed_forward", &h);
        let seeds = self.vectors("pooling.seeds", config.num_seeds);
        let pooled = self.block("pooling.block", &seeds, &rows).concat();
        if self.has("output") { self.linear("output", &pooled) } else { pooled }
    }

    fn time_series_transformer(&self, config: &TimeSeriesTransformerConfig, series: &[Option<Vec<f64>>]) -> Vec<f64> {
        let [weight, bias] = ["weight", "bias"].map(|name| self.parameter(&format!("time.{name}")));
        let encoded = |(i, row): (usize, &Vec<f64>)| {
            let t = match config.times {
                TimeStamps::Index => i as f64 / 100.0,
                TimeStamps::Feature(feature) => row[feature],
            };
            let phases = weight.iter().zip(bias).map(|(w, b)| w * t + b);
            let times = phases.enumerate().map(|(k, phase)| if k == 0 { phase } else { phase.sin() });
            row.iter().copied().chain(times).collect()
        };
        let there = series.iter().enumerate().filter_map(|(i, row)| row.as_ref().map(|row| (i, row)));
        let mut h: Rows = there.map(encoded).collect();
        for i in 0..config.num_blocks {
            h = self.block(&format!("blocks.{i}"), &h, &h);
        }
        let mean: Vec<f64> =
            (0..h[0].len()).map(|j| h.iter().map(|row| row[j]).sum::<f64>() / h.len() as f64).collect();
        self.linear("output", &mean)
    }
}

fn sum(a: &Rows, b: &Rows) -> Rows {
    let add = |(a, b): (&Vec<f64>, &Vec<f64>)| a.iter().zip(b).map(|(a, b)| a + b).collect();
    a.iter().zip(b).map(add).collect()
}

fn network<C: SummaryConfig>(config: &C, device: &Device) -> C::Network {
    let network = config.init(&DataShape::of_sets(F), &mut ParameterInit::new(1, device)).expect("valid");
    in_f64(perturbed(network, 1, 0.3))
}

/// A data set of which these rows exist, as a network and as loops see it.
fn data_set(exists: [bool; N], device: &Device) -> (DataTensor, Vec<Option<Vec<f64>>>) {
    let values = normal(7, N * F);
    let rows = values.chunks(F).zip(exists).map(|(row, exists)| exists.then(|| row.to_vec())).collect();
    let mask = tensor64(&exists.map(|exists| f64::from(u8::from(exists))), [1, N], device);
    let input = InputTensor::new("data", tensor64(&values, [1, N, F], device)).with_row_mask(mask);
    (DataTensor::new(vec![input]), rows)
}

const MASKS: [[bool; N]; 3] =
    [[true; N], [true, false, true, true, false, false], [false, false, false, false, true, false]];

fn set_transformers() -> [(&'static str, SetTransformerConfig); 5] {
    let small = || SetTransformerConfig::new(4).with_width(6).with_num_heads(HEADS);
    let v1 = |layer_norm| {
        let blocks = PostNormConfig::new().with_key_width(3).with_units(7).with_layer_norm(layer_norm);
        small().with_architecture(AttentionArchitecture::PostNorm(blocks))
    };
    [
        ("direct", small()),
        ("inducing points", small().with_num_inducing_points(Some(3)).with_num_seeds(1)),
        ("post-norm", v1(false).with_num_inducing_points(Some(3)).with_num_seeds(1)),
        ("post-norm, several seeds", v1(false).with_num_blocks(1)),
        ("post-norm with layer normalisation", v1(true).with_num_seeds(1)),
    ]
}

#[test]
fn a_set_transformer_is_what_loops_compute() {
    let device = Device::default();
    for (name, config) in set_transformers() {
        let network = network(&config, &device);
        for exists in MASKS {
            let (data, rows) = data_set(exists, &device);
            let rows: Rows = rows.into_iter().flatten().collect();
            let expected = Loops::new(&network).set_transformer(&config, &rows);
            let got = values(network.forward(&data, &mut Pass::inference(0)));
            let error = largest_error(&got, &expected);
            assert!(error < 1e-13, "{name}, {} rows: off by {error:.1e}", rows.len());
        }
    }
}

#[test]
fn a_time_series_transformer_is_what_loops_compute() {
    let device = Device::default();
    for times in [TimeStamps::Index, TimeStamps::Feature(2)] {
        let config = TimeSeriesTransformerConfig::new(4).with_times(times).with_width(6).with_num_heads(HEADS);
        let network = network(&config, &device);
        for exists in MASKS {
            let (data, rows) = data_set(exists, &device);
            let expected = Loops::new(&network).time_series_transformer(&config, &rows);
            let got = values(network.forward(&data, &mut Pass::inference(0)));
            let error = largest_error(&got, &expected);
            assert!(error < 1e-13, "{times:?}: off by {error:.1e}");
        }
    }
}

/// One number of each parameter, moved both ways.
#[test]
fn gradients_of_set_transformers_are_differences() {
    let device = Device::default().autodiff();
    for (name, config) in set_transformers() {
        let network = network(&config, &device);
        let loss = |network: &SetTransformer| {
            let (data, _) = data_set(MASKS[1], &device);
            network.forward(&data, &mut Pass::training(0)).square().sum()
        };
        let step = 1e-5;
        let gradients = gradients(&network, &loss(&network).backward());
        for (number, (place, gradient)) in gradients.into_iter().enumerate() {
            let entry = number % gradient.len();
            let [above, below] = [step, -step].map(|step| {
                let moved = map_floats(network.clone(), |at, old| {
                    let mut values: Vec<f64> = old.iter::<f64>().collect();
                    if at == place {
                        values[entry] += step;
                    }
                    values
                });
                values(loss(&moved))[0]
            });
            let expected = (above - below) / (2.0 * step);
            // The error of a difference is some step², or 1e-16 of the loss in units of the step.
            let error = (gradient[entry] - expected).abs();
            assert!(error < 1e-7 * (1.0 + expected.abs()), "{name}, `{place}`: {} for {expected}", gradient[entry]);
        }
    }
}

/// In f32, at sizes of which Burn works on several threads.
#[test]
fn transformers_do_not_depend_on_threads() {
    fn check<C: SummaryConfig>(config: &C) {
        let device = Device::default().autodiff();
        let network = config.init(&DataShape::of_sets(2), &mut ParameterInit::new(1, &device)).expect("valid");
        let step = || {
            let data = tensor(&normal(4, 32 * 100 * 2), [32, 100, 2], &device);
            let summaries = network.forward(&data.into(), &mut Pass::training(1));
            (values(summaries.clone()), gradients(&network, &summaries.square().sum().backward()))
        };
        let on_all_cores = step();
        for threads in [1, 2, 3] {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().expect("threads");
            assert!(on_all_cores == pool.install(step), "{}, {threads} threads", C::NAME);
        }
    }
    check(&SetTransformerConfig::new(10));
    check(&SetTransformerConfig::bayesflow_v1(10));
    check(&TimeSeriesTransformerConfig::new(10));
}
