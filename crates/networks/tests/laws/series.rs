//! Checks the laws of summary networks of series: padding and gaps change nothing, the order matters, and recurrent
//! networks compute what a loop over rows computes.

use crate::{
    cases::{Case, summaries},
    support::{largest_error, normal, parameters, tensor64},
};
use bayesburn_core::{DataShape, InputShape};
use bayesburn_networks::{
    Activation, DataTensor, Direction, InputTensor, ParameterInit, RecurrentCell, SequenceNetworkConfig, SummaryConfig,
    TimeSeriesNetworkConfig, num_trainable_parameters,
};
use burn::{module::Module, tensor::Device};
use std::collections::HashMap;

const N: usize = 11;
const F: usize = 3;

/// Applies a law to every network of series. A new one is one line here, and inherits every law.
fn for_all(law: &impl Law) {
    for (name, config) in time_series() {
        law.check(name, &config);
    }
    for (name, config) in sequence() {
        law.check(name, &config);
    }
}

fn sequence() -> [(&'static str, SequenceNetworkConfig); 4] {
    let small = || SequenceNetworkConfig::new(4).with_filters(5).with_units(6);
    [
        ("sequence", small()),
        ("sequence, GRU, dropout", small().with_cell(RecurrentCell::Gru).with_dropout(0.3)),
        ("sequence, one layer", small().with_num_layers(1).with_kernel_sizes(vec![2, 15, 1])),
        ("sequence, no convolution", small().with_num_layers(0)),
    ]
}

fn time_series() -> [(&'static str, TimeSeriesNetworkConfig); 6] {
    let small = || TimeSeriesNetworkConfig::new(4).with_filters(5).with_units(6);
    [
        ("GRU", small()),
        ("LSTM", small().with_cell(RecurrentCell::Lstm)),
        ("GRU, forward, without skip path", small().with_direction(Direction::Forward).with_skip_steps(None)),
        ("LSTM, forward", small().with_cell(RecurrentCell::Lstm).with_direction(Direction::Forward)),
        ("GRU, even kernel, dropout", small().with_kernel_size(4).with_dropout(0.3).with_activation(Activation::Silu)),
        (
            "GRU, kernel wider than a series, skip path step by step",
            small().with_kernel_size(25).with_skip_steps(Some(1)),
        ),
    ]
}

trait Law {
    fn check<C: SummaryConfig>(&self, name: &str, config: &C);
}

/// The values of a series.
fn series(set: usize, rows: usize) -> Vec<f64> {
    normal(300 + set as u64, rows * F)
}

/// Series `[sets, N, F]` in f64.
fn data(device: &Device, sets: &[usize]) -> DataTensor {
    let values: Vec<f64> = sets.iter().flat_map(|set| series(*set, N)).collect();
    tensor64(&values, [sets.len(), N, F], device).into()
}

fn case<'a, C: SummaryConfig>(name: &'a str, config: &'a C) -> Case<'a, C> {
    Case { name, config, shape: DataShape::of_sets(F), data: &data }
}

/// One series of which these rows exist; where they do not, the values are far beyond.
fn masked(values: &[f64], exists: &[bool]) -> DataTensor {
    let device = Device::default();
    let mask: Vec<f64> = exists.iter().map(|exists| f64::from(*exists)).collect();
    let values =
        values.chunks(F).zip(exists).flat_map(|(row, exists)| row.iter().map(|v| if *exists { *v } else { 1e3 }));
    let values = tensor64(&values.collect::<Vec<_>>(), [1, exists.len(), F], &device);
    let input = InputTensor::new("data", values).with_row_mask(tensor64(&mask, [1, exists.len()], &device));
    DataTensor::new(vec![input])
}

#[test]
fn series_do_not_influence_each_other_and_weights_are_trained_and_loaded() {
    struct Common;
    impl Law for Common {
        fn check<C: SummaryConfig>(&self, name: &str, config: &C) {
            case(name, config).check_all();
        }
    }
    for_all(&Common);
}

#[test]
fn the_order_of_a_series_matters_and_its_length_may_vary() {
    struct Order;
    impl Law for Order {
        fn check<C: SummaryConfig>(&self, name: &str, config: &C) {
            let device = Device::default();
            let network = case(name, config).network(1, &device);
            let run = |values: &[f64]| summaries(&network, &tensor64(values, [1, values.len() / F, F], &device).into());
            let there = run(&series(0, N));
            let back: Vec<f64> = series(0, N).chunks(F).rev().flatten().copied().collect();
            assert!(largest_error(&run(&back), &there) > 1e-4, "{name}: the same for the series read backwards");
            for rows in [1, 2, 3, 100] {
                assert!(run(&series(0, rows)).iter().all(|value| value.is_finite()), "{name}");
            }
        }
    }
    for_all(&Order);
}

/// Series of every length up to N, each with 0 to 9 rows of padding, some with a gap as well: by itself, with padding.
#[test]
fn padding_of_series_changes_nothing() {
    struct Padding;
    impl Law for Padding {
        fn check<C: SummaryConfig>(&self, name: &str, config: &C) {
            let network = case(name, config).network(1, &Device::default());
            for rows in 1..=N {
                for gap in [0, 2] {
                    let values = series(rows, N + 9);
                    let exists: Vec<bool> =
                        (0..rows).map(|row| !(3..3 + gap).contains(&row) || row + 1 == rows).collect();
                    let alone = match gap {
                        0 => {
                            let values = tensor64(&values[..rows * F], [1, rows, F], &Device::default());
                            summaries(&network, &values.into())
                        }
                        _ => summaries(&network, &masked(&values[..rows * F], &exists)),
                    };
                    for beyond in [1, 3, 9] {
                        let exists = [&exists[..], &vec![false; beyond]].concat();
                        let padded = summaries(&network, &masked(&values[..exists.len() * F], &exists));
                        let error = largest_error(&padded, &alone);
                        assert!(error < 1e-13, "{name}, {rows} rows and {beyond}, gap {gap}: off by {error:.1e}");
                    }
                }
            }
        }
    }
    for_all(&Padding);
}

/// Rows within a series that do not exist are not read, but rows after them keep their place.
#[test]
fn values_in_gaps_of_series_change_nothing() {
    struct Gaps;
    impl Law for Gaps {
        fn check<C: SummaryConfig>(&self, name: &str, config: &C) {
            let network = case(name, config).network(1, &Device::default());
            let values = series(0, N);
            for missing in [vec![0], vec![4], vec![3, 4, 5, 6, 7], vec![0, 1, 2, 3, 4], vec![1, 3, 5, 7, 9]] {
                let exists: Vec<bool> = (0..N).map(|row| !missing.contains(&row)).collect();
                let far = summaries(&network, &masked(&values, &exists));
                let mut others = values.clone();
                missing.iter().for_each(|row| others[row * F..(row + 1) * F].fill(-7.0));
                let mask = exists.iter().map(|exists| f64::from(*exists)).collect::<Vec<_>>();
                let input = InputTensor::new("data", tensor64(&others, [1, N, F], &Device::default()));
                let input = input.with_row_mask(tensor64(&mask, [1, N], &Device::default()));
                let near = summaries(&network, &DataTensor::new(vec![input]));
                let error = largest_error(&near, &far);
                assert!(error < 1e-13, "{name}, without {missing:?}: off by {error:.1e}");
                let all = summaries(&network, &masked(&values, &[true; N]));
                assert!(largest_error(&near, &all) > 1e-4, "{name}, without {missing:?}: as with these rows");
            }
        }
    }
    for_all(&Gaps);
}

/// The features of a row; `None` if it does not exist.
type Row = Option<Vec<f64>>;

/// Networks of series as loops over numbers.
struct Loops {
    cell: RecurrentCell,
    units: usize,
    parameters: HashMap<String, Vec<f64>>,
}

impl Loops {
    fn new<M: Module>(network: &M, cell: RecurrentCell, units: usize) -> Self {
        Self { cell, units, parameters: parameters(network).into_iter().collect() }
    }

    fn linear(&self, place: &str, x: &[f64]) -> Vec<f64> {
        let weight = &self.parameters[&format!("{place}.weight")];
        let bias = self.parameters.get(&format!("{place}.bias"));
        let width = weight.len() / x.len();
        let output = |j: usize| x.iter().enumerate().map(|(i, x)| x * weight[i * width + j]).sum::<f64>();
        (0..width).map(|j| output(j) + bias.map_or(0.0, |bias| bias[j])).collect()
    }

    /// A linear layer of the window of rows that begins at one that may be before the first.
    fn convolution(&self, place: &str, rows: &[Row], first: isize, len: usize) -> Vec<f64> {
        let width = rows.iter().flatten().next().expect("a row").len();
        let row = |row: isize| usize::try_from(row).ok().and_then(|row| rows.get(row)?.clone());
        let window: Vec<f64> = (0..len as isize).flat_map(|i| row(first + i).unwrap_or(vec![0.0; width])).collect();
        self.linear(&format!("{place}.linear"), &window)
    }

    /// The last state, of rows that are read in this order; rows that do not exist are left out.
    fn read<'r>(&self, place: &str, rows: impl Iterator<Item = &'r Row>) -> Vec<f64> {
        let sigmoid = |x: f64| 1.0 / (1.0 + (-x).exp());
        let units = self.units;
        let (mut h, mut c) = (vec![0.0; units], vec![0.0; units]);
        for row in rows.flatten() {
            let x = self.linear(&format!("{place}.input"), row);
            let s = self.linear(&format!("{place}.state"), &h);
            for j in 0..units {
                let sum = |block: usize| x[block * units + j] + s[block * units + j];
                match self.cell {
                    RecurrentCell::Gru => {
                        let (r, z) = (sigmoid(sum(0)), sigmoid(sum(1)));
                        let n = (x[2 * units + j] + r * s[2 * units + j]).tanh();
                        h[j] = (1.0 - z) * n + z * h[j];
                    }
                    RecurrentCell::Lstm => {
                        c[j] = sigmoid(sum(1)) * c[j] + sigmoid(sum(0)) * sum(2).tanh();
                        h[j] = sigmoid(sum(3)) * c[j].tanh();
                    }
                }
            }
        }
        h
    }

    /// As `read`, in these directions.
    fn recurrent(&self, place: &str, rows: &[Row], direction: Direction) -> Vec<f64> {
        let mut state = self.read(&format!("{place}.forward"), rows.iter());
        if direction == Direction::Both {
            let back = self.read(&format!("{place}.backward"), rows.iter().rev());
            state.iter_mut().zip(back).for_each(|(a, b)| *a += b);
        }
        state
    }

    fn time_series(&self, config: &TimeSeriesNetworkConfig, rows: &[Row]) -> Vec<f64> {
        let activation = |x: f64| match config.activation {
            Activation::Mish => x * x.exp().ln_1p().tanh(),
            _ => x / (1.0 + (-x).exp()),
        };
        let k = config.kernel_size;
        let filters = |row: usize| {
            let filters = self.convolution("convolution", rows, row as isize - ((k - 1) / 2) as isize, k);
            rows[row].is_some().then(|| filters.into_iter().map(activation).collect())
        };
        let filters: Vec<Row> = (0..rows.len()).map(filters).collect();
        let mut state = self.recurrent("direct", &filters, config.direction);
        if let Some(steps) = config.skip_steps {
            let window = |i: usize| {
                let exists = filters.iter().skip(i * steps).take(steps).any(Option::is_some);
                exists.then(|| self.convolution("skip.convolution", &filters, (i * steps) as isize, steps))
            };
            let windows: Vec<Row> = (0..rows.len().div_ceil(steps)).map(window).collect();
            let skip = self.recurrent("skip.recurrent", &windows, config.direction);
            state.iter_mut().zip(skip).for_each(|(a, b)| *a += b);
        }
        self.linear("output", &state)
    }

    fn sequence(&self, config: &SequenceNetworkConfig, rows: &[Row]) -> Vec<f64> {
        let relu = |x: Vec<f64>| x.into_iter().map(|x| x.max(0.0)).collect::<Vec<_>>();
        let mut rows = rows.to_vec();
        for layer in 0..config.num_layers {
            let filters = |row: usize| {
                let of_each = config.kernel_sizes.iter().enumerate().flat_map(|(i, k)| {
                    let place = format!("layers.{layer}.convolutions.{i}");
                    relu(self.convolution(&place, &rows, row as isize + 1 - *k as isize, *k))
                });
                let of_each: Vec<f64> = of_each.collect();
                rows[row].is_some().then(|| relu(self.linear(&format!("layers.{layer}.joint"), &of_each)))
            };
            rows = (0..rows.len()).map(filters).collect();
        }
        self.linear("output", &self.recurrent("recurrent", &rows, Direction::Forward))
    }
}

#[test]
fn recurrent_networks_are_what_loops_over_rows_compute() {
    for exists in [[true; N], std::array::from_fn(|row| ![0, 4, 5, 6, 7, 10].contains(&row))] {
        let values = series(0, N);
        let rows = values.chunks(F).zip(exists).map(|(row, exists)| exists.then(|| row.to_vec()));
        let rows: Vec<Row> = rows.collect();
        let check = |name: &str, found: Vec<f64>, expected: Vec<f64>| {
            let error = largest_error(&found, &expected);
            assert!(error < 1e-13, "{name}: off by {error:.1e}");
        };
        for (name, config) in time_series() {
            let network = case(name, &config).network(1, &Device::default());
            let loops = Loops::new(&network, config.cell, config.units);
            check(name, summaries(&network, &masked(&values, &exists)), loops.time_series(&config, &rows));
        }
        for (name, config) in sequence() {
            let network = case(name, &config).network(1, &Device::default());
            let loops = Loops::new(&network, config.cell, config.units);
            check(name, summaries(&network, &masked(&values, &exists)), loops.sequence(&config, &rows));
        }
    }
}

#[test]
fn a_configuration_of_series_that_makes_no_network_says_why() {
    let init = |config: TimeSeriesNetworkConfig, shape: &DataShape| {
        config.init(shape, &mut ParameterInit::new(1, &Device::default())).err().map(|error| error.to_string())
    };
    let config = || TimeSeriesNetworkConfig::new(4);
    for (setting, config) in [
        ("summary_dim", TimeSeriesNetworkConfig::new(0)),
        ("filters", config().with_filters(0)),
        ("kernel_size", config().with_kernel_size(0)),
        ("units", config().with_units(0)),
        ("skip_steps", config().with_skip_steps(Some(0))),
        ("dropout", config().with_dropout(1.0)),
    ] {
        let error = init(config, &DataShape::of_sets(F)).expect("an error");
        assert!(error.contains(setting), "{error}");
    }
    let image = InputShape { name: "image".to_owned(), axes: vec![Some(8), Some(8), Some(1)], padded: false };
    let error = init(config(), &DataShape::new(vec![image])).expect("an error");
    assert!(error.contains("series [N, F]") && error.contains("image [8, 8, 1]"), "{error}");
    assert!(init(config(), &DataShape::of_sets(0)).is_some());

    let config = || SequenceNetworkConfig::new(4);
    for (setting, config) in [
        ("summary_dim", SequenceNetworkConfig::new(0)),
        ("filters", config().with_filters(0)),
        ("kernel_sizes", config().with_kernel_sizes(Vec::new())),
        ("kernel_sizes", config().with_kernel_sizes(vec![1, 0])),
        ("units", config().with_units(0)),
        ("dropout", config().with_dropout(1.0)),
    ] {
        let network = config.init(&DataShape::of_sets(F), &mut ParameterInit::new(1, &Device::default()));
        let error = network.expect_err("an error").to_string();
        assert!(error.contains(setting), "{error}");
    }
}

#[test]
fn numbers_of_parameters_are_those_of_the_other_libraries() {
    let device = Device::default().autodiff();
    let count = |network: &dyn Fn(&mut ParameterInit) -> usize| network(&mut ParameterInit::new(1, &device));
    let shape = DataShape::of_sets(2);
    // Convolution, two GRUs on 32 filters, convolution, two GRUs on 128, dense.
    let gru = |d_input: usize| 3 * 128 * (d_input + 128 + 2);
    let expected = (3 * 2 + 1) * 32 + 2 * gru(32) + (4 * 32 + 1) * 128 + 2 * gru(128) + 129 * 16;
    let time_series = |init: &mut ParameterInit| {
        num_trainable_parameters(&TimeSeriesNetworkConfig::new(16).init(&shape, init).expect("valid"))
    };
    assert_eq!(count(&time_series), expected);
    // Convolutions of one and of two rows, twice, each with a joint layer; LSTM; dense.
    let layer = |d_input: usize| (d_input + 1) * 32 + (2 * d_input + 1) * 32 + (64 + 1) * 32;
    let expected = layer(2) + layer(32) + 4 * 128 * (32 + 128 + 1) + 129 * 10;
    let sequence = |init: &mut ParameterInit| {
        num_trainable_parameters(&SequenceNetworkConfig::new(10).init(&shape, init).expect("valid"))
    };
    assert_eq!(count(&sequence), expected);
}
