//! Checks the densities of priors against closed forms, and that draws are theirs.

use bayesburn_core::Interval;
use bayesburn_simulation::{
    Density, GenerativeModel, InvalidSimulations, Prior, PriorError, SimulationError, Simulator, Univariate,
};
use ndarray::{Array1, Array2, arr1, arr2, array};
use std::f64::consts::PI;

fn covariance() -> Array2<f64> {
    arr2(&[[4.0, 1.2], [1.2, 1.0]])
}

fn normal() -> Prior {
    Prior::multivariate_normal(["a", "b"], &[1.0, -2.0], &covariance()).expect("a covariance")
}

fn density(prior: &Prior) -> &Density {
    prior.density().expect("it was made with one")
}

#[test]
fn a_multivariate_normal_has_the_density_of_the_formula() {
    // |Σ| = 4 − 1.44 = 2.56; (θ − μ)ᵀ Σ⁻¹ (θ − μ) at (2, −1) is (1·1 − 2·1.2 + 4·1) / 2.56.
    let expected = -0.5 * (2.6 / 2.56) - (2.0 * PI * 1.6).ln();
    let got = normal().log_prob(&arr2(&[[2.0, -1.0]])).expect("it has a density")[0];
    assert!((got - expected).abs() < 1e-12, "{got} and not {expected}");
    let (mean, covariance_of) = density(&normal()).as_normal().expect("it is normal");
    assert_eq!((mean, covariance_of), (array![1.0, -2.0], covariance()));
    let moments = density(&normal()).moments().expect("closed forms");
    assert_eq!((moments.means, moments.stds), (arr1(&[1.0, -2.0]), arr1(&[2.0, 1.0])));
}

/// Whether n = 20,000 draws have this correlation; 4 standard errors (1 − ρ²) / √n, alpha 6e-5.
fn correlates(prior: &Prior, correlation: f64) -> bool {
    let draws = prior.sample(20_000, 7).expect("the prior is sound").mapv(f64::from);
    let centred = &draws - &draws.mean_axis(ndarray::Axis(0)).expect("some draws");
    let product = |i: usize, j: usize| (&centred.column(i) * &centred.column(j)).sum();
    let got = product(0, 1) / f64::sqrt(product(0, 0) * product(1, 1));
    (got - correlation).abs() < 4.0 * (1.0 - correlation * correlation) / 20_000_f64.sqrt()
}

/// The twin has another correlation.
#[test]
fn draws_of_a_multivariate_normal_correlate() {
    for prior in [normal(), normal_of_precision()] {
        assert!(correlates(&prior, 0.6));
        assert!(!correlates(&prior, 0.65));
    }
}

/// The inverse of [`covariance`].
fn precision() -> Array2<f64> {
    arr2(&[[1.0, -1.2], [-1.2, 4.0]]) / 2.56
}

fn normal_of_precision() -> Prior {
    Prior::multivariate_normal_with_precision(["a", "b"], &[1.0, -2.0], &precision()).expect("a precision")
}

#[test]
fn a_precision_is_the_inverse_of_a_covariance() {
    let at = arr2(&[[2.0, -1.0], [0.0, 0.0], [-30.0, 4.0]]);
    let log_prob = |prior: &Prior| prior.log_prob(&at).expect("it has a density");
    let off = log_prob(&normal_of_precision()) - log_prob(&normal());
    assert!(off.iter().all(|off| off.abs() < 1e-11), "{off}");
    let twin = Prior::multivariate_normal(["a", "b"], &[1.0, -2.0], &precision()).expect("symmetric and definite");
    assert!((log_prob(&twin) - log_prob(&normal())).iter().all(|off| off.abs() > 0.1), "the twin");
    let (_, got) = density(&normal_of_precision()).as_normal().expect("it is normal");
    assert!((got - covariance()).iter().all(|off| off.abs() < 1e-12));
}

#[test]
fn a_box_is_uniform_inside_and_nothing_outside() {
    let prior = Prior::box_uniform(["x", "y"], &[-2.0, 0.0], &[2.0, 0.5]).expect("a box");
    let at = arr2(&[[0.0, 0.25], [-2.0, 0.5], [2.1, 0.25], [0.0, -0.1]]);
    let inside = -(4.0 * 0.5_f64).ln();
    let expected = [inside, inside, f64::NEG_INFINITY, f64::NEG_INFINITY];
    assert_eq!(prior.log_prob(&at).expect("it has a density"), arr1(&expected));
    assert_eq!(density(&prior).support(), [Interval::Between(-2.0, 2.0), Interval::Between(0.0, 0.5)]);
    assert!(density(&prior).is_uniform() && density(&prior).as_normal().is_none());
    let draws = prior.sample(5000, 1).expect("the prior is sound");
    assert!(draws.outer_iter().all(|row| density(&prior).contains(&row.to_vec())));
}

#[test]
fn a_product_is_the_sum_of_its_logarithms() {
    let gamma = Prior::independent([("c", Univariate::gamma(2.0, 1.0).expect("settings"))]);
    let prior = Prior::product([normal(), gamma.clone()]).expect("both have densities");
    assert_eq!(prior.names().to_vec(), ["a", "b", "c"]);
    let whole = density(&prior).log_prob(&[2.0, -1.0, 0.5]);
    let parts = density(&normal()).log_prob(&[2.0, -1.0]) + density(&gamma).log_prob(&[0.5]);
    assert!((whole - parts).abs() < 1e-12 && whole.is_finite());
    assert_eq!(density(&prior).log_prob(&[2.0, -1.0, -0.5]), f64::NEG_INFINITY);
    assert!(density(&prior).as_normal().is_none() && !density(&prior).is_uniform());

    let standard = Prior::independent([("c", Univariate::normal(5.0, 3.0).expect("settings"))]);
    let both = Prior::product([normal(), standard]).expect("both have densities");
    let (mean, covariance) = density(&both).as_normal().expect("normal beside normal");
    assert_eq!(mean, array![1.0, -2.0, 5.0]);
    assert_eq!(covariance, arr2(&[[4.0, 1.2, 0.0], [1.2, 1.0, 0.0], [0.0, 0.0, 9.0]]));
}

/// A change here changes every simulation of a seed: it is value-breaking, and the changelog says so.
#[test]
fn draws_of_a_seed_stay_the_same() {
    let prior = Prior::product([
        normal(),
        Prior::independent(
            [
                ("uniform", Univariate::uniform(0.0, 1.0)),
                ("log-normal", Univariate::log_normal(0.0, 1.0)),
                ("gamma", Univariate::gamma(2.0, 1.0)),
                ("beta", Univariate::beta(2.0, 2.0)),
                ("exponential", Univariate::exponential(1.0)),
                ("half-normal", Univariate::half_normal(1.0)),
                ("student-t", Univariate::student_t(3.0, 0.0, 1.0)),
                ("tail", Univariate::normal(0.0, 1.0).and_then(|normal| normal.truncated(2.5, 3.5))),
            ]
            .map(|(name, distribution)| (name, distribution.expect("settings"))),
        ),
    ])
    .expect("distributions");
    let draws = prior.sample(2, 2023).expect("the prior is sound");
    let expected = [
        0.44814503, -1.8239762, 0.43916932, 0.37222257, 3.3451838, 0.17122711, 0.91465735, 0.62162715, -15.548412,
        3.065687,
    ];
    // Up to what a logarithm may differ between platforms.
    let same =
        draws.row(1).iter().zip(expected).all(|(draw, expected): (&f32, f32)| (draw / expected - 1.0).abs() < 1e-5);
    assert!(same, "{:?}", draws.row(1).to_vec());
}

#[test]
fn what_is_no_prior_is_refused_with_the_reason() {
    let message = |result: Result<Prior, PriorError>| result.expect_err("refused").to_string();
    let error = message(Prior::box_uniform(["x", "y"], &[0.0], &[1.0, 1.0]));
    assert!(error.contains("1 lower bounds for 2 parameters"), "{error}");
    let error = message(Prior::box_uniform(["x"], &[2.0], &[1.0]));
    assert!(error.contains("from 2 to 1"), "{error}");
    for (covariance, reason) in [
        (arr2(&[[1.0, 2.0], [2.0, 1.0]]), "positive definite"),
        (arr2(&[[1.0, 0.5], [0.4, 1.0]]), "not symmetric"),
        (arr2(&[[1.0, f64::NAN], [0.4, 1.0]]), "NaN"),
        (arr2(&[[1.0, 0.0, 0.0]]), "shape [1, 3]"),
    ] {
        let error = message(Prior::multivariate_normal(["a", "b"], &[0.0, 0.0], &covariance));
        assert!(error.contains("a covariance") && error.contains(reason), "{error}");
        let error = message(Prior::multivariate_normal_with_precision(["a", "b"], &[0.0, 0.0], &covariance));
        assert!(error.contains("a precision") && error.contains(reason), "{error}");
    }
    let function = Prior::from_fn(["theta"], |_, _| [0.5]);
    let error = message(Prior::product([normal(), function.clone()]));
    assert!(error.contains("theta") && error.contains("with_log_prob"), "{error}");
    let error = function.log_prob(&arr2(&[[0.5]])).expect_err("no density").to_string();
    assert!(error.contains("has no density"), "{error}");
    let error = message(function.with_log_prob([Interval::Real; 2], |_| 0.0));
    assert!(error.contains("2 intervals for 1 parameters"), "{error}");
    let error = normal().log_prob(&arr2(&[[0.5]])).expect_err("one column").to_string();
    assert!(error.contains("1 columns for 2 parameters"), "{error}");
}

#[test]
fn a_model_draws_from_distributions_as_from_functions() {
    let simulator = Simulator::from_fn(|_, theta, _| arr1(&[theta[0] + theta[1]]));
    let model = GenerativeModel::new(normal(), simulator).expect("the model is sound");
    let simulations = model.simulate(100, 3).expect("the model is sound");
    assert_eq!(simulations.parameters, normal().sample(100, 3).expect("the prior is sound"));
}

#[test]
fn data_are_drawn_for_given_parameters_as_in_a_batch() {
    let simulator = |x: fn(f32, f32) -> f32| {
        Simulator::from_fn(move |rng, theta, _| arr1(&[x(theta[0], rand::RngExt::random::<f32>(rng))]))
    };
    let prior = Prior::independent([("a", Univariate::uniform(0.0, 1.0).expect("bounds"))]);
    let model = GenerativeModel::new(prior.clone(), simulator(|theta, noise| theta + noise)).expect("a model");
    // From simulation 100 on.
    let whole = model.simulate_from(3, 100, 1300).expect("simulations");
    let given = model.simulate_given(&whole.parameters, 3, 100).expect("simulations");
    assert_eq!(given, whole);

    let invalid = simulator(|theta, noise| if theta < 0.5 { f32::NAN } else { noise });
    let dropping = invalid.clone().on_invalid(InvalidSimulations::Drop);
    let model = GenerativeModel::new(prior.clone(), dropping).expect("a model");
    let kept = model.simulate_given(&whole.parameters, 3, 0).expect("half of them");
    assert!(kept.parameters.iter().all(|&theta| theta >= 0.5) && kept.len() + kept.invalid.len() == 1300);
    let error = model.simulate_given(&Array2::zeros((600, 1)), 3, 0).expect_err("nothing left");
    assert!(matches!(error, SimulationError::NothingLeft { .. }), "{error}");

    let parameters = Array2::from_shape_fn((1300, 1), |(m, _)| if m < 512 { 0.1 } else { 0.9 });
    let kept = model.simulate_given(&parameters, 3, 0).expect("788 of them");
    assert_eq!((kept.len(), kept.invalid.len()), (788, 512));

    let changing = Simulator::from_fn(|_, theta, _| Array1::<f32>::zeros(if theta[0] < 0.5 { 2 } else { 3 }));
    let always = Prior::from_fn(["a"], |_, _| [0.1]);
    let changing = GenerativeModel::new(always, changing).expect("the pilot run has one shape");
    let error = changing.simulate_given(&parameters, 3, 0).expect_err("another shape").to_string();
    assert!(error.contains("[3]") && error.contains("simulation 512") && error.contains("[2]"), "{error}");

    let redrawing = invalid.on_invalid(InvalidSimulations::Redraw { max_attempts: 10 });
    let model = GenerativeModel::new(prior, redrawing).expect("a model");
    let refused = |parameters: Array2<f32>| model.simulate_given(&parameters, 3, 0).expect_err("refused").to_string();
    assert!(refused(Array2::zeros((2, 1))).contains("cannot be redrawn"));
    assert!(refused(Array2::zeros((2, 2))).contains("2 values"));
}
