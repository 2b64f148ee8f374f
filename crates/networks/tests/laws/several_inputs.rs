//! Checks the laws of summary networks that are made of others: several inputs, groups of rows, levels of groups.

use crate::{
    cases::{Case, summaries},
    support::{assert_gradient_everywhere, gradients, in_f64, largest_error, normal, perturbed, tensor64, values},
};
use bayesburn_core::{DataShape, InputShape};
use bayesburn_networks::{
    AnySummaryConfig, ConvolutionalNetworkConfig, DataTensor, DeepSetConfig, DenseNetConfig, DenseSummaryConfig,
    FixedStatistics, FusionNetworkConfig, HierarchicalNetworkConfig, IdentityConfig, InputTensor, ParameterInit, Pass,
    SplitNetworkConfig, SummaryConfig, SummaryNetwork, TimeSeriesNetworkConfig,
};
use burn::tensor::Device;

fn input(name: &str, axes: &[usize]) -> InputShape {
    let axes = axes.iter().enumerate().map(|(i, len)| (axes.len() != 2 || i == 1).then_some(*len)).collect();
    InputShape { name: name.to_owned(), axes, padded: false }
}

fn deep_set(summary_dim: usize) -> DeepSetConfig {
    DeepSetConfig::new(summary_dim).with_units(5)
}

fn time_series(summary_dim: usize) -> TimeSeriesNetworkConfig {
    TimeSeriesNetworkConfig::new(summary_dim).with_filters(4).with_units(5)
}

/// The data sets of these numbers, `len` values each.
fn numbers(seed: u64, sets: &[usize], len: usize) -> Vec<f64> {
    sets.iter().flat_map(|set| normal(seed + *set as u64, len)).collect()
}

fn error<C: SummaryConfig>(config: &C, inputs: Vec<InputShape>) -> String {
    let network = config.init(&DataShape::new(inputs), &mut ParameterInit::new(1, &Device::default()));
    network.expect_err("an error").to_string()
}

/// A network of several inputs leaves the choice to the network of each, and one of groups says what is right for rows
/// in any order.
#[test]
fn networks_say_which_fixed_statistics_fit_their_inputs() {
    let networks: [(&str, AnySummaryConfig, &[usize], FixedStatistics); 6] = [
        ("set", deep_set(2).into(), &[50, 2], FixedStatistics::OfSets),
        ("series", time_series(2).into(), &[50, 2], FixedStatistics::OfSeries),
        ("image", ConvolutionalNetworkConfig::new(2).into(), &[16, 16, 1], FixedStatistics::OfImages),
        ("vector", DenseSummaryConfig::new(2).into(), &[3], FixedStatistics::OfVectors),
        ("observation", IdentityConfig::new().into(), &[1, 3], FixedStatistics::None),
        (
            "groups",
            HierarchicalNetworkConfig::new(vec![deep_set(2).into(); 2]).into(),
            &[4, 50, 2],
            FixedStatistics::OfSets,
        ),
    ];
    let add =
        |fusion: FusionNetworkConfig, (name, network): (&str, AnySummaryConfig)| fusion.with_network(name, network);
    let fusion = networks.iter().map(|(name, network, ..)| (*name, network.clone()));
    let fusion = fusion.fold(FusionNetworkConfig::new(), add);
    for (name, network, axes, expected) in networks {
        let input = input(name, axes);
        assert_eq!(network.statistics(&input), expected, "{name}");
        assert_eq!(fusion.statistics(&input), expected, "{name} among others");
    }
}

// Fusion.

fn fusion_shape() -> DataShape {
    DataShape::new(vec![input("image", &[8, 8, 1]), input("series", &[9, 2]), input("v", &[3])])
}

fn fusion_inputs(device: &Device, sets: &[usize]) -> [InputTensor; 3] {
    let m = sets.len();
    [
        InputTensor::new("image", tensor64(&numbers(100, sets, 64), [m, 8, 8, 1], device)),
        InputTensor::new("series", tensor64(&numbers(200, sets, 18), [m, 9, 2], device)),
        InputTensor::new("v", tensor64(&numbers(300, sets, 3), [m, 3], device)),
    ]
}

fn fusion() -> FusionNetworkConfig {
    FusionNetworkConfig::new()
        .with_network("v", DenseSummaryConfig::new(2).with_net(DenseNetConfig::new().with_units(4)))
        .with_network("image", ConvolutionalNetworkConfig::new(3).with_filters(vec![4, 5]).with_blocks(1))
        .with_network("series", time_series(4))
}

#[test]
fn fusion_has_the_laws_of_all_networks() {
    let head = DenseSummaryConfig::new(3).with_net(DenseNetConfig::new().with_units(6));
    let data = |device: &Device, sets: &[usize]| DataTensor::new(fusion_inputs(device, sets).to_vec());
    for (name, config) in [("fusion", fusion()), ("fusion with a head", fusion().with_head(Some(head)))] {
        Case { name, config: &config, shape: fusion_shape(), data: &data }.check_all();
        Case { name, config: &AnySummaryConfig::from(config), shape: fusion_shape(), data: &data }.check_all();
    }
}

#[test]
fn summaries_of_inputs_are_in_the_order_of_the_data() {
    let device = Device::default();
    let run = |config: &FusionNetworkConfig, inputs: Vec<InputTensor>| {
        let init = &mut ParameterInit::new(1, &device);
        let network = in_f64(config.init(&fusion_shape(), init).expect("valid"));
        summaries(&network, &DataTensor::new(inputs))
    };
    let inputs = || fusion_inputs(&device, &[0]).to_vec();
    let found = run(&fusion(), inputs());
    assert_eq!(found.len(), 3 + 4 + 2);
    let mut reversed = fusion();
    reversed.networks.reverse();
    assert_eq!(run(&reversed, inputs()), found);
    assert_eq!(run(&fusion(), inputs().into_iter().rev().collect()), found);
    // Each input changes its own part.
    for (changed, part) in [(0, 0..3), (1, 3..7), (2, 7..9)] {
        let mut others = inputs();
        others[changed] = fusion_inputs(&device, &[1])[changed].clone();
        let others = run(&fusion(), others);
        let differs = (0..9).filter(|i| others[*i] != found[*i]);
        assert_eq!(differs.collect::<Vec<_>>(), part.collect::<Vec<_>>());
    }
}

#[test]
fn padding_of_an_input_changes_nothing() {
    let device = Device::default();
    let mut shape = fusion_shape().inputs().to_vec();
    shape[1].padded = true;
    let network = fusion().init(&DataShape::new(shape), &mut ParameterInit::new(1, &device)).expect("valid");
    let network = in_f64(perturbed(network, 1, 0.1));
    let [image, series, v] = fusion_inputs(&device, &[0]);
    let expected = summaries(&network, &DataTensor::new(vec![image.clone(), series, v.clone()]));
    let padded = [numbers(200, &[0], 18), vec![1e3; 10]].concat();
    let mask = [vec![1.0; 9], vec![0.0; 5]].concat();
    let series = InputTensor::new("series", tensor64(&padded, [1, 14, 2], &device));
    let series = series.with_row_mask(tensor64(&mask, [1, 14], &device));
    let found = summaries(&network, &DataTensor::new(vec![image, series, v]));
    assert!(largest_error(&found, &expected) < 1e-13);
}

#[test]
fn networks_for_other_inputs_are_refused() {
    let shape = || fusion_shape().inputs().to_vec();
    let missing = FusionNetworkConfig::new().with_network("v", IdentityConfig::new());
    let twice = fusion().with_network("v", IdentityConfig::new());
    let other = FusionNetworkConfig::new()
        .with_network("v", IdentityConfig::new())
        .with_network("image", deep_set(1))
        .with_network("serie", deep_set(1));
    for config in [missing, twice, other] {
        let error = error(&config, shape());
        assert!(error.contains(r#"the data have ["image", "series", "v"]"#), "{error}");
    }
    // What a network of an input says is passed on.
    assert!(error(&fusion(), [vec![input("image", &[2, 8, 1])], shape()[1..].to_vec()].concat()).contains("4 × 4"));
    // Several rows would be found out by a panic.
    let rows = FusionNetworkConfig::new().with_network("rows", IdentityConfig::new());
    assert!(error(&rows, vec![input("rows", &[5, 2])]).contains("vectors [F]"));
    let headless = fusion().with_head(Some(DenseSummaryConfig::new(0)));
    assert!(error(&headless, shape()).contains("head.summary_dim"));
}

#[test]
fn the_default_network_is_that_of_the_shape() {
    let default = |inputs| AnySummaryConfig::for_shape(&DataShape::new(inputs), 7);
    let convolutional = |filters: &[usize]| ConvolutionalNetworkConfig::new(7).with_filters(filters.to_vec());
    let image = |size: [usize; 2]| input("image", &[size[0], size[1], 2]);
    let mut varying = image([8, 8]);
    varying.axes[..2].fill(None);
    let both =
        FusionNetworkConfig::new().with_network("v", IdentityConfig::new()).with_network("x", DeepSetConfig::new(7));
    for (inputs, expected) in [
        (vec![input("v", &[3])], IdentityConfig::new().into()),
        (vec![input("x", &[5, 3])], DeepSetConfig::new(7).into()),
        (vec![image([8, 8])], convolutional(&[32, 64, 128]).into()),
        (vec![varying], convolutional(&[32, 64, 128]).into()),
        (vec![image([32, 4])], convolutional(&[32, 64]).into()),
        (vec![image([2, 9])], convolutional(&[32]).into()),
        (vec![input("v", &[3]), input("x", &[5, 3])], both.into()),
    ] {
        let found = default(inputs.clone()).expect("a default");
        assert_eq!(found, expected);
        found.init(&DataShape::new(inputs), &mut ParameterInit::new(1, &Device::default())).expect("a network");
    }
    let error = default(vec![input("x", &[2, 3, 4, 5])]).expect_err("no default").to_string();
    assert!(error.contains("[2, 3, 4, 5]") && error.contains("several inputs"), "{error}");
}

// Split.

/// 10 rows of 2 features around 3 indicators; row i is in group i mod 3, every fifth in no group.
fn split_rows(values: &[f64], in_group: impl Fn(usize) -> Option<usize>) -> Vec<f64> {
    let row = |(i, row): (usize, &[f64])| {
        let indicator = |group| f64::from(in_group(i) == Some(group));
        [row[0], indicator(0), indicator(1), indicator(2), row[1]]
    };
    values.chunks(2).enumerate().flat_map(row).collect()
}

fn split() -> SplitNetworkConfig {
    SplitNetworkConfig::new(1, vec![deep_set(2).into(), time_series(3).into(), deep_set(4).into()])
}

fn default_groups(row: usize) -> Option<usize> {
    (row % 5 != 4).then_some(row % 3)
}

#[test]
fn split_has_the_laws_of_all_networks() {
    let data = |device: &Device, sets: &[usize]| {
        let rows = sets.iter().flat_map(|set| split_rows(&normal(400 + *set as u64, 20), default_groups));
        tensor64::<3>(&rows.collect::<Vec<_>>(), [sets.len(), 10, 5], device).into()
    };
    Case { name: "split", config: &split(), shape: DataShape::of_sets(5), data: &data }.check_all();
}

/// The rows of each group by themselves in its network; standardised indicators; padding; groups without rows.
#[test]
fn each_network_sees_the_rows_of_its_group() {
    let device = Device::default();
    let network = split().init(&DataShape::of_sets(5), &mut ParameterInit::new(1, &device)).expect("valid");
    let network = in_f64(perturbed(network, 1, 0.1));
    let one = |rows: &[f64]| tensor64::<3>(rows, [1, rows.len() / 5, 5], &device);
    let values = normal(400, 20);
    let all = split_rows(&values, default_groups);
    let expected = summaries(&network, &one(&all).into());
    let parts = [0..2, 2..5, 5..9];
    for (group, part) in parts.iter().enumerate() {
        // Only this group: its summary is the same, and the others are 0.
        let only = split_rows(&values, |row| default_groups(row).filter(|of| *of == group));
        let found = summaries(&network, &one(&only).into());
        assert!(largest_error(&found[part.clone()], &expected[part.clone()]) < 1e-13);
        assert!((0..9).all(|i| part.contains(&i) || found[i] == 0.0), "{found:?}");
        // Without this group.
        let others = split_rows(&values, |row| default_groups(row).filter(|of| *of != group));
        let found = summaries(&network, &one(&others).into());
        assert!((0..9).all(|i| found[i] == if part.contains(&i) { 0.0 } else { expected[i] }), "{found:?}");
    }
    // A posterior subtracts the mean and divides by the standard deviation.
    let standardised: Vec<f64> = all
        .iter()
        .enumerate()
        .map(|(i, value)| if (1..4).contains(&(i % 5)) { (value - 0.3) / 0.46 } else { *value })
        .collect();
    assert_eq!(summaries(&network, &one(&standardised).into()), expected);
    // Rows of all groups in the padding.
    let padded = [all.clone(), vec![1e3; 20]].concat();
    let mask = [vec![1.0; 10], vec![0.0; 4]].concat();
    let padded = InputTensor::new("data", one(&padded)).with_row_mask(tensor64(&mask, [1, 14], &device));
    let found = summaries(&network, &DataTensor::new(vec![padded]));
    assert!(largest_error(&found, &expected) < 1e-13);
    // The first network reads a set, the second a series with gaps.
    let mut order: Vec<&[f64]> = all.chunks(5).collect();
    order.swap(0, 6);
    let found = summaries(&network, &one(&order.concat()).into());
    assert!(largest_error(&found, &expected) < 1e-13);
    order.swap(1, 7);
    let found = summaries(&network, &one(&order.concat()).into());
    assert!(largest_error(&found[2..5], &expected[2..5]) > 1e-4);
}

#[test]
fn groups_without_rows_have_finite_gradients() {
    let device = Device::default().autodiff();
    let network = split().init(&DataShape::of_sets(5), &mut ParameterInit::new(1, &device)).expect("valid");
    let network = in_f64(perturbed(network, 1, 0.1));
    let rows = [
        split_rows(&normal(400, 20), default_groups),
        split_rows(&normal(401, 20), |_| None),
        split_rows(&normal(402, 20), |_| Some(1)),
    ];
    let data = tensor64::<3>(&rows.concat(), [3, 10, 5], &device);
    let loss = network.forward(&data.into(), &mut Pass::training(0)).square().sum();
    assert_gradient_everywhere("split", &gradients(&network, &loss.backward()));
}

#[test]
fn a_split_of_other_data_is_refused() {
    let rows = |features: usize| vec![input("x", &[5, features])];
    // Indicators alone; indicators beyond the features; no rows.
    for inputs in [rows(3), rows(2), vec![input("x", &[8, 8, 5])], [rows(5), rows(5)].concat()] {
        assert!(error(&split(), inputs).contains("an indicator feature for each network"));
    }
    let beyond = SplitNetworkConfig { first_indicator: usize::MAX, ..split() };
    assert!(error(&beyond, rows(5)).contains("an indicator feature for each network"));
    assert!(error(&SplitNetworkConfig::new(0, Vec::new()), rows(5)).contains("the number of networks"));
    assert!(error(&SplitNetworkConfig::new(0, vec![IdentityConfig::new().into()]), rows(5)).contains("vectors [F]"));
}

// Levels of groups.

const GROUPS: usize = 4;
const ROWS: usize = 6;

fn hierarchical() -> HierarchicalNetworkConfig {
    HierarchicalNetworkConfig::new(vec![time_series(3).into(), deep_set(2).into()])
}

fn groups_shape() -> DataShape {
    DataShape::new(vec![InputShape { padded: true, ..input("groups", &[GROUPS, ROWS, 2]) }])
}

fn groups(device: &Device, sets: &[usize]) -> DataTensor {
    let values = numbers(500, sets, GROUPS * ROWS * 2);
    DataTensor::new(vec![InputTensor::new("groups", tensor64(&values, [sets.len(), GROUPS, ROWS, 2], device))])
}

#[test]
fn levels_of_groups_have_the_laws_of_all_networks() {
    let config = hierarchical();
    Case { name: "two levels", config: &config, shape: groups_shape(), data: &groups }.check_all();

    let three = HierarchicalNetworkConfig::new(vec![deep_set(3).into(), time_series(2).into(), deep_set(4).into()]);
    let deeper = |device: &Device, sets: &[usize]| {
        tensor64::<5>(&numbers(500, sets, 2 * 5 * 4 * 2), [sets.len(), 2, 5, 4, 2], device).into()
    };
    let shape = DataShape::new(vec![input("data", &[2, 5, 4, 2])]);
    Case { name: "three levels", config: &three, shape, data: &deeper }.check_all();

    let vectors = HierarchicalNetworkConfig::new(vec![IdentityConfig::new().into(), deep_set(2).into()]);
    let data =
        |device: &Device, sets: &[usize]| tensor64::<3>(&numbers(500, sets, 10), [sets.len(), 5, 2], device).into();
    Case { name: "groups of a vector", config: &vectors, shape: DataShape::of_sets(2), data: &data }.check_all();

    let images = ConvolutionalNetworkConfig::new(3).with_filters(vec![4]);
    let images = HierarchicalNetworkConfig::new(vec![images.into(), deep_set(2).into()]);
    let data = |device: &Device, sets: &[usize]| {
        tensor64::<5>(&numbers(500, sets, 3 * 20), [sets.len(), 3, 4, 5, 1], device).into()
    };
    let shape = DataShape::new(vec![input("data", &[3, 4, 5, 1])]);
    Case { name: "groups of an image", config: &images, shape, data: &data }.check_all();
}

/// Summaries of groups do not depend on each other, and the last level is that of `forward`.
#[test]
fn all_levels_are_at_hand() {
    let device = Device::default();
    let config = hierarchical();
    let network =
        Case { name: "two levels", config: &config, shape: groups_shape(), data: &groups }.network(1, &device);
    let data = groups(&device, &[0, 1, 2]);
    let levels = network.levels(&data, &mut Pass::inference(0));
    let shapes: Vec<_> = levels.iter().map(|level| level.shape().to_vec()).collect();
    assert_eq!(shapes, [vec![3, GROUPS, 3], vec![3, 2]]);
    assert_eq!(values(levels[1].values::<2>()), summaries(&network, &data));
    for group in 0..GROUPS {
        let alone = data.only().values::<4>().narrow(1, group, 1);
        let alone = network.levels(&alone.into(), &mut Pass::inference(0))[0].values::<3>();
        let together = levels[0].values::<3>().narrow(1, group, 1);
        assert!(largest_error(&values(alone), &values(together)) < 1e-13);
    }
}

/// Groups of 6, 2, 0 and 5 rows: the third does not exist, whether its rows are masked, or it is, or it is not there.
#[test]
fn padding_of_groups_and_of_rows_changes_nothing() {
    let device = Device::default();
    let config = hierarchical();
    let network =
        Case { name: "two levels", config: &config, shape: groups_shape(), data: &groups }.network(1, &device);
    let lengths = [6, 2, 0, 5];
    let mask: Vec<f64> = lengths.iter().flat_map(|n| (0..ROWS).map(move |row| f64::from(row < *n))).collect();
    let values: Vec<f64> = normal(500, GROUPS * ROWS * 2);
    let far: Vec<f64> = values.iter().enumerate().map(|(i, v)| if mask[i / 2] == 1.0 { *v } else { 1e3 }).collect();
    let input =
        |values: &[f64], groups: usize| InputTensor::new("groups", tensor64(values, [1, groups, ROWS, 2], &device));
    let run = |input: InputTensor| {
        let levels = network.levels(&DataTensor::new(vec![input]), &mut Pass::inference(0));
        let mask = levels[0].row_mask::<2>().map(self::values);
        (self::values(levels[0].values::<3>()), mask, self::values(levels[1].values::<2>()))
    };
    let (of_groups, exist, summary) =
        run(input(&far, GROUPS).with_row_mask(tensor64(&mask, [1, GROUPS, ROWS], &device)));
    assert_eq!(exist, Some(vec![1.0, 1.0, 0.0, 1.0]));
    assert_eq!(of_groups[6..9], [0.0; 3]);
    // Each group by itself, cut off.
    for (group, rows) in [(0, 6), (1, 2), (3, 5)] {
        let first = group * ROWS * 2;
        let alone = tensor64::<4>(&values[first..first + rows * 2], [1, 1, rows, 2], &device);
        let alone = network.levels(&alone.into(), &mut Pass::inference(0))[0].values::<3>();
        assert!(largest_error(&of_groups[group * 3..][..3], &self::values(alone)) < 1e-13);
    }
    // Without the group that is not there.
    let without = |of: &[f64], width: usize| [&of[..2 * width], &of[3 * width..]].concat();
    let rest = input(&without(&far, ROWS * 2), 3).with_row_mask(tensor64(&without(&mask, ROWS), [1, 3, ROWS], &device));
    let (_, exist, found) = run(rest);
    assert_eq!(exist, Some(vec![1.0; 3]));
    assert!(largest_error(&found, &summary) < 1e-13);
    // A mask of groups alone.
    let (_, exist, of_all) =
        run(input(&values, GROUPS).with_row_mask(tensor64(&[1.0, 1.0, 0.0, 1.0], [1, GROUPS], &device)));
    assert_eq!(exist, Some(vec![1.0, 1.0, 0.0, 1.0]));
    let (_, exist, found) = run(input(&without(&values, ROWS * 2), 3));
    assert_eq!(exist, None);
    assert!(largest_error(&found, &of_all) < 1e-13);
    assert!(largest_error(&found, &summary) > 1e-4);
}

#[test]
fn groups_that_do_not_exist_have_finite_gradients() {
    let device = Device::default().autodiff();
    let config = hierarchical();
    let network =
        Case { name: "two levels", config: &config, shape: groups_shape(), data: &groups }.network(1, &device);
    let mask: Vec<f64> = (0..2 * GROUPS * ROWS).map(|row| f64::from(row / ROWS % 3 != 1 && row % ROWS < 5)).collect();
    let data = groups(&device, &[0, 1]).only().clone();
    let data = data.with_row_mask(tensor64::<3>(&mask, [2, GROUPS, ROWS], &device));
    let loss = network.forward(&DataTensor::new(vec![data]), &mut Pass::training(0)).square().sum();
    assert_gradient_everywhere("two levels", &gradients(&network, &loss.backward()));
}

#[test]
fn levels_for_other_data_are_refused() {
    assert!(
        error(&HierarchicalNetworkConfig::new(Vec::new()), vec![input("x", &[2, 3])]).contains("number of networks")
    );
    // A vector has no groups, and rows in two groups are vectors, of which there are no series.
    assert!(error(&hierarchical(), vec![input("x", &[3])]).contains("an axis of groups for each network"));
    assert!(error(&hierarchical(), vec![input("x", &[5, 3])]).contains("series [N, F]"));
    assert!(error(&hierarchical(), vec![input("x", &[4, 5, 3]), input("v", &[2])]).contains("one input"));
}
