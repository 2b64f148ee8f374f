//! Counts parameters against BayesFlow v1, and names what is wrong with a configuration.

use bayesburn_core::DataShape;
use bayesburn_networks::{
    AffineConfig, AffineNets, AttentionArchitecture, ConfigError, CouplingDesign, DeepSetArchitecture, DeepSetConfig,
    DenseNetConfig, DenseStageConfig, InterleavedConfig, InvertibleNetworkConfig, OutputInit, ParameterInit,
    PlainDeepSetConfig, Pooling, PostNormConfig, SeparateNets, SetTransformerConfig, SoftFlowConfig, SplineConfig,
    SummaryConfig, TimeSeriesTransformerConfig, TimeStamps, num_trainable_parameters, number_parameters,
};
use burn::{
    module::{Module, ModuleVisitor, Param},
    tensor::{Device, Int, Tensor},
};

#[test]
fn the_networks_of_bayesflow_v1_have_its_number_of_parameters() {
    let mut init = ParameterInit::new(0, &Device::default().autodiff());
    let summary_network = DeepSetConfig::bayesflow_v1(10).init(&DataShape::of_sets(4), &mut init).expect("valid");
    let inference_network =
        InvertibleNetworkConfig::bayesflow_v1().with_num_coupling_layers(4).init(4, 10, &mut init).expect("valid");
    // 64,330 and 4 layers of 2 couplings of 2 networks of (12 · 128 + 128) + (128² + 128) + (128 · 2 + 2), and 2 · 4
    // for activation normalisation.
    assert_eq!(num_trainable_parameters(&inference_network), 4 * (4 * (12 * 128 + 128 + 128 * 128 + 128 + 258) + 8));
    assert_eq!(num_trainable_parameters(&summary_network) + num_trainable_parameters(&inference_network), 362_698);
}

/// As `count_params` of BayesFlow 2.0.12 gives them, for 16 summaries of sets 50 × 4 and of series 100 × 2.
#[test]
fn transformers_have_the_number_of_parameters_of_bayesflow_2() {
    let mut init = ParameterInit::new(0, &Device::default().autodiff());
    let set = SetTransformerConfig::new(16).init(&DataShape::of_sets(4), &mut init).expect("valid");
    assert_eq!(num_trainable_parameters(&set), 202_260);
    let series = TimeSeriesTransformerConfig::new(16).init(&DataShape::of_sets(2), &mut init).expect("valid");
    assert_eq!(num_trainable_parameters(&series), 105_706);
}

#[test]
fn a_configuration_that_makes_no_network_names_the_field() {
    let device = Device::default();
    let flow = InvertibleNetworkConfig::new;
    let net = DenseNetConfig::new;
    let affine =
        |net| flow().with_coupling(CouplingDesign::Affine(AffineConfig::new().with_nets(AffineNets::Shared(net))));
    let clamped = |c| flow().with_coupling(CouplingDesign::Affine(AffineConfig::new().with_soft_clamping(Some(c))));
    let spline = |config| flow().with_coupling(CouplingDesign::Spline(config));
    let soft = |min, max| flow().with_soft_flow(Some(SoftFlowConfig::new().with_min(min).with_max(max)));
    for (field, config) in [
        ("num_coupling_layers", flow().with_num_coupling_layers(0)),
        ("units", affine(net().with_units(0))),
        ("dropout", affine(net().with_dropout(1.0))),
        ("dropout", affine(net().with_dropout(-0.1))),
        ("dropout", affine(net().with_dropout(f64::NAN))),
        ("soft_clamping", clamped(0.0)),
        ("soft_clamping", clamped(f64::NAN)),
        ("soft_clamping", clamped(f64::INFINITY)),
        ("bins", spline(SplineConfig::new().with_bins(0))),
        ("bins", spline(SplineConfig::new().with_bins(1))),
        ("domain", spline(SplineConfig::new().with_domain(0.0))),
        ("domain", spline(SplineConfig::new().with_domain(f64::INFINITY))),
        ("soft_flow.min", soft(0.0, 1.0)),
        ("soft_flow.max", soft(0.1, 0.05)),
        ("soft_flow.max", soft(0.1, f64::NAN)),
        ("soft_flow.max", soft(0.1, f64::INFINITY)),
    ] {
        assert_names(field, config.init(2, 3, &mut ParameterInit::new(0, &device)).err());
    }
    assert_names("dim", flow().init(0, 3, &mut ParameterInit::new(0, &device)).err());

    let plain =
        DeepSetArchitecture::Plain(PlainDeepSetConfig::new().with_s3(DenseStageConfig::new().with_num_dense(0)));
    for (field, config, features) in [
        ("summary_dim", DeepSetConfig::new(0), 3),
        ("units", DeepSetConfig::new(4).with_units(0), 3),
        ("features", DeepSetConfig::new(4), 0),
        ("dropout", DeepSetConfig::new(4).with_dropout(1.0), 3),
        ("dropout", DeepSetConfig::new(4).with_dropout(-0.1), 3),
        ("dropout", DeepSetConfig::new(4).with_dropout(f64::NAN), 3),
        ("s3.num_dense", DeepSetConfig::new(4).with_architecture(plain), 3),
    ] {
        assert_names(field, config.init(&DataShape::of_sets(features), &mut ParameterInit::new(0, &device)).err());
    }
    // The width before the last pooling is that of the data.
    let plain =
        DeepSetArchitecture::Plain(PlainDeepSetConfig::new().with_s1(DenseStageConfig::new().with_num_dense(0)));
    let config = DeepSetConfig::new(4).with_num_equiv(0).with_architecture(plain).with_pooling(Pooling::Attention);
    for (features, error) in [(3, true), (4, false)] {
        let network = config.init(&DataShape::of_sets(features), &mut ParameterInit::new(0, &device));
        assert_eq!(network.is_err(), error, "{features}");
    }
}

#[test]
fn settings_of_transformers_outside_their_range_are_errors_that_name_them() {
    let device = Device::default();
    let set = || SetTransformerConfig::new(4);
    let v1 = |blocks| set().with_architecture(AttentionArchitecture::PostNorm(blocks));
    for (field, config, features) in [
        ("summary_dim", SetTransformerConfig::new(0), 3),
        ("features", set(), 0),
        ("width", set().with_width(0), 3),
        ("width", set().with_width(66), 3),
        ("num_heads", set().with_num_heads(0), 3),
        ("num_seeds", set().with_num_seeds(0), 3),
        ("num_inducing_points", set().with_num_inducing_points(Some(0)), 3),
        ("dropout", set().with_dropout(1.0), 3),
        ("dropout", set().with_dropout(f64::NAN), 3),
        ("architecture.key_width", v1(PostNormConfig::new().with_key_width(0)), 3),
        ("architecture.units", v1(PostNormConfig::new().with_units(0)), 3),
        ("architecture.layer_norm", v1(PostNormConfig::new().with_layer_norm(true)), 1),
    ] {
        assert_names(field, config.init(&DataShape::of_sets(features), &mut ParameterInit::new(0, &device)).err());
    }
    let series = || TimeSeriesTransformerConfig::new(4);
    for (field, config) in [
        ("summary_dim", TimeSeriesTransformerConfig::new(0)),
        ("num_blocks", series().with_num_blocks(0)),
        ("width", series().with_num_heads(5)),
        ("num_heads", series().with_num_heads(0)),
        ("dropout", series().with_dropout(-0.1)),
        ("times", series().with_times(TimeStamps::Feature(3))),
    ] {
        assert_names(field, config.init(&DataShape::of_sets(3), &mut ParameterInit::new(0, &device)).err());
    }
    let error =
        series().with_times(TimeStamps::Feature(3)).init(&DataShape::of_sets(3), &mut ParameterInit::new(0, &device));
    let error = error.expect_err("there is no feature 3").to_string();
    assert_eq!(error, "`times` is 3, but must be the number of a feature, below 3");
}

fn assert_names(expected: &str, error: Option<ConfigError>) {
    match error {
        Some(ConfigError::Setting(error)) => assert_eq!(error.setting, expected),
        other => panic!("`{expected}` is wrong, but the result is {other:?}"),
    }
}

#[test]
fn a_setting_of_0_that_makes_sense_is_allowed() {
    let mut init = ParameterInit::new(0, &Device::default());
    assert!(DenseNetConfig::new().with_num_dense(0).init(3, 2, OutputInit::Glorot, &mut init).is_ok());
    assert!(DeepSetConfig::new(4).with_num_equiv(0).init(&DataShape::of_sets(3), &mut init).is_ok());
    // The noise scale of SoftFlow is a condition.
    let soft_flow = InvertibleNetworkConfig::new().with_soft_flow(Some(SoftFlowConfig::new()));
    assert!(soft_flow.init(1, 0, &mut init).is_ok());
}

/// In the configuration as text each network has one `dropout`: 1 of an affine layer with a shared network or of a
/// spline, 2 of separate ones, 2 of an interleaved design.
#[test]
fn the_dropout_of_an_invertible_network_is_that_of_every_network_in_it() {
    let separate = AffineNets::Separate(SeparateNets::new(DenseNetConfig::new(), DenseNetConfig::new()));
    let separate = AffineConfig::new().with_nets(separate);
    for (design, networks) in [
        (CouplingDesign::Affine(AffineConfig::new()), 1),
        (CouplingDesign::Affine(separate.clone()), 2),
        (CouplingDesign::Spline(SplineConfig::new()), 1),
        (CouplingDesign::Interleaved(InterleavedConfig::new()), 2),
        (CouplingDesign::Interleaved(InterleavedConfig::new().with_affine(separate)), 3),
    ] {
        let config = InvertibleNetworkConfig::new().with_coupling(design);
        let [before, after] = [config.clone(), config.with_dropout(0.125)].map(|config| format!("{config:?}"));
        assert_eq!((before.matches("dropout: 0.0,").count(), after.matches("dropout: 0.0,").count()), (networks, 0));
        assert_eq!(after.replace("dropout: 0.125,", "dropout: 0.0,"), before);
    }
}

#[test]
fn parameters_are_numbered_in_the_order_of_the_fields() {
    struct Ids(Vec<u64>);
    impl ModuleVisitor for Ids {
        fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
            self.0.push(param.id.val());
        }
        fn visit_int<const D: usize>(&mut self, param: &Param<Tensor<D, Int>>) {
            self.0.push(param.id.val());
        }
    }
    let mut init = ParameterInit::new(0, &Device::default());
    let network = number_parameters(InvertibleNetworkConfig::bayesflow_v1().init(2, 3, &mut init).expect("valid"));
    let mut ids = Ids(Vec::new());
    network.visit(&mut ids);
    // 6 layers of scale, bias, order, and two couplings of two networks of three layers of weight and bias.
    assert_eq!(ids.0, (1..=6 * (3 + 2 * 2 * 6)).collect::<Vec<u64>>());
}
