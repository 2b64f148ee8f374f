//! Checks the numbers of pair plots: densities and contours against closed forms, counts by hand, refusals by their
//! words.

use bayesburn_core::ParameterNames;
use bayesburn_diagnostics::{InputError, PairPlot, PairPlotError, pair_plot};
use ndarray::{Array2, array};
use statrs::distribution::{ContinuousCDF, Normal};
use std::f64::consts::PI;

const N: usize = 10_000;

fn names(d: usize) -> ParameterNames {
    (0..d).map(|i| format!("p{i}")).collect()
}

/// 10,000 pairs of standard normals with this correlation: quantiles of points that fill the unit square evenly, so
/// that nothing here is random.
fn normal_pairs(correlation: f64) -> PairPlot {
    let normal = Normal::standard();
    let golden = (5.0_f64.sqrt() - 1.0) / 2.0;
    let samples = Array2::from_shape_fn((N, 2), |(i, parameter)| {
        let x = normal.inverse_cdf((i as f64 + 0.5) / N as f64);
        let y = normal.inverse_cdf((i as f64 * golden + 0.5).fract());
        let pair = [x, correlation * x + (1.0 - correlation * correlation).sqrt() * y];
        pair[parameter] as f32
    });
    pair_plot(&names(2), &samples).and_then(|pairs| pairs.with_limits([(-4.0, 4.0); 2])).expect("valid")
}

/// A normal smoothed by a normal kernel is a normal whose variances are added. Errors seen: 0.0002 and 0.003, of peaks
/// 0.39 and 0.25. The twins, normals that are not smoothed, are 0.005 and 0.017 away.
#[test]
fn densities_of_normals_match_the_smoothed_normal() {
    let pairs = normal_pairs(0.8);
    let marginal = pairs.marginal_density(0, 0);
    let error = |variance: f64| {
        let normal = |x: f64| (-0.5 * x * x / variance).exp() / (2.0 * PI * variance).sqrt();
        let errors = marginal.points.iter().zip(&marginal.density).map(|(&x, density)| (density - normal(x)).abs());
        errors.fold(0.0, f64::max)
    };
    let smoothed = error(1.0 + marginal.bandwidth.powi(2));
    assert!(smoothed < 5e-4, "{smoothed}");
    assert!(error(1.0) > 3e-3, "{}", error(1.0));

    let pair = pairs.pair_density(0, [0, 1]);
    let [[k_xx, k_xy], [_, k_yy]] = pair.kernel;
    let error = |[xx, xy, yy]: [f64; 3]| {
        let determinant = xx * yy - xy * xy;
        let normal = |x: f64, y: f64| {
            let square = (yy * x * x - 2.0 * xy * x * y + xx * y * y) / determinant;
            (-0.5 * square).exp() / (2.0 * PI * determinant.sqrt())
        };
        let errors = pair
            .density
            .indexed_iter()
            .map(|((i, j), density)| (density - normal(pair.points[0][i], pair.points[1][j])).abs());
        errors.fold(0.0, f64::max)
    };
    let smoothed = error([1.0 + k_xx, 0.8 + k_xy, 1.0 + k_yy]);
    assert!(smoothed < 5e-3, "{smoothed}");
    assert!(error([1.0, 0.8, 1.0]) > 0.01, "{}", error([1.0, 0.8, 1.0]));
}

/// The region of mass m of a normal of variance s² is a disc of radius² −2 s² ln(1 − m), in which a standard normal has
/// 1 − (1 − m)^(s²). Seen: levels up to 1.8% above, since a level is that of the last point inside, and masses 0.002
/// off.
#[test]
fn contours_hold_their_mass() {
    let pairs = normal_pairs(0.0);
    let (density, histogram) = (pairs.pair_density(0, [0, 1]), pairs.pair_histogram(0, [0, 1]));
    let variance = 1.0 + density.kernel[0][0];
    for mass in [0.68, 0.95, 0.99] {
        let level = density.level(mass);
        let expected = (1.0 - mass) / (2.0 * PI * variance);
        assert!((level / expected - 1.0).abs() < 0.03, "{mass}: {level}, but {expected} expected");
        let cells = density.density.iter().zip(&histogram.counts).filter(|(cell, _)| **cell >= level);
        let held = cells.map(|(_, count)| count).sum::<usize>() as f64 / N as f64;
        let expected = 1.0 - (1.0 - mass).powf(variance);
        assert!((held - expected).abs() < 0.004, "{mass}: {held}, but {expected} expected");
    }
    assert!(density.level(0.5) > 1.2 * density.level(0.68));
}

#[test]
fn limits_hold_all_samples_and_points_unless_they_are_given() {
    let samples = array![[0.0_f32, 5.0], [10.0, 5.0]];
    let pairs = pair_plot(&names(2), &samples).expect("valid");
    assert_eq!(pairs.limits(), [(-0.2, 10.2), (4.5, 5.5)]);
    let pairs = pairs.with("other", &array![[-10.0_f32, 5.0]]).expect("valid");
    assert_eq!(pairs.limits()[0], (-10.4, 10.4));
    let pairs = pairs.with_points("point", [20.0_f32, 5.0]).expect("valid");
    assert_eq!(pairs.limits()[0], (-10.6, 20.6));
    assert_eq!((pairs.num_outside(0), pairs.num_outside(1)), (0, 0));

    let given = pairs.with_limits([(0.0, 5.0), (0.0, 5.0)]).expect("valid");
    let given = given.with("third", &array![[0.0_f32, 0.0], [5.0, 5.0], [6.0, 6.0]]).expect("valid");
    assert_eq!(given.limits(), [(0.0, 5.0), (0.0, 5.0)]);
    assert_eq!([0, 1, 2].map(|set| given.num_outside(set)), [1, 1, 1]);
    assert_eq!(given.marginal_histogram(0, 1).outside, 0);
    assert_eq!((given.marginal_density(2, 0).outside, given.pair_density(2, [1, 0]).outside), (1, 1));
    // Only what is shown counts.
    assert_eq!(given.with_subset(&[1]).expect("valid").num_outside(0), 0);
}

#[test]
fn pairs_keep_the_order_of_their_parameters() {
    let samples = array![[0.0_f32, 0.0], [1.0, 0.0]];
    let pairs = pair_plot(&names(2), &samples).and_then(|pairs| pairs.with_limits([(0.0, 1.0), (0.0, 1.0)]));
    let pairs = pairs.expect("valid");
    let counts = pairs.pair_histogram(0, [0, 1]).counts;
    assert_eq!((counts[[49, 0]], counts[[0, 49]]), (1, 0));
    assert_eq!(pairs.pair_histogram(0, [1, 0]).counts, counts.t());
}

#[test]
fn views_and_arrays_of_any_order_will_do() {
    let samples = array![[1.0_f32, 2.0], [3.0, 4.0], [5.0, 6.0]];
    let pairs = pair_plot(&names(2), &samples).expect("valid");
    assert_eq!(pair_plot(&names(2), samples.view()).expect("valid"), pairs);
    let transposed = samples.t().as_standard_layout().to_owned();
    assert_eq!(pair_plot(&names(2), transposed.t()).expect("valid"), pairs);

    let marked = |pairs: Result<PairPlot, PairPlotError>| pairs.expect("valid");
    let row = marked(pairs.clone().with_points("point", samples.row(1)));
    assert_eq!(marked(pairs.clone().with_points("point", [3.0_f32, 4.0])), row);
    assert_eq!(marked(pairs.clone().with_points("point", &array![[3.0_f32, 4.0]])), row);
    assert_ne!(marked(pairs.with_points("point", &samples)), row);
}

#[test]
fn every_refusal_says_what_came_and_what_to_do() {
    let samples = array![[0.0_f32, 5.0], [10.0, 5.0]];
    let pairs = || pair_plot(&names(2), &samples).expect("valid");
    let say = |result: Result<PairPlot, PairPlotError>| result.expect_err("must be refused").to_string();

    assert!(matches!(
        pair_plot(&names(3), &samples),
        Err(PairPlotError::Input(InputError::Names { expected: 3, got: 2 }))
    ));
    assert!(say(pair_plot(&names(0), &Array2::<f32>::zeros((1, 0)))).contains("0 parameters"));
    assert!(say(pair_plot(&names(2), &Array2::<f32>::zeros((0, 2)))).contains("0 draws"));
    let infinite = say(pairs().with("prior", &array![[0.0, 1.0], [0.0, f32::INFINITY]]));
    assert!(infinite.contains("row 1 of `prior` is inf for parameter `p1`"), "{infinite}");
    let nan = say(pairs().with_points("truth", [f32::NAN, 0.0]));
    assert!(nan.contains("row 0 of `truth` is NaN for parameter `p0`"), "{nan}");
    let columns = say(pairs().with("prior", &Array2::<f32>::zeros((1, 3))));
    assert!(columns.contains("3 columns, but 2 names"), "{columns}");

    for twice in [
        pairs().with("samples", &samples),
        pairs().with_points("samples", [0.0_f32, 0.0]),
        pairs().with("a", &samples).and_then(|pairs| pairs.named("a")),
        pairs().with_points("a", [0.0_f32, 0.0]).and_then(|pairs| pairs.with_points("a", [0.0_f32, 0.0])),
    ] {
        assert!(matches!(twice, Err(PairPlotError::SameLabel { .. })), "{twice:?}");
    }
    assert!(pairs().named("samples").is_ok());

    for wrong in [&[] as &[f32], &[0.0], &[0.0, 1.0, 2.0]] {
        let points = say(pairs().with_points("truth", wrong));
        assert!(points.contains(&format!("{} values of `truth`, but 2 parameters", wrong.len())), "{points}");
    }
    let limits = say(pairs().with_limits([(0.0, 1.0)]));
    assert!(limits.contains("1 limits, but 2 parameters"), "{limits}");
    for (low, high) in [(1.0, 1.0), (2.0, 1.0), (0.0, f64::NAN), (f64::NEG_INFINITY, 0.0), (0.0, 1e-320)] {
        let limits = say(pairs().with_limits([(0.0, 1.0), (low, high)]));
        assert!(limits.contains(&format!("limits {low} to {high} for parameter `p1`")), "{limits}");
    }
    let labels = say(pairs().with_labels(["x", "y", "z"]));
    assert!(labels.contains("3 axis labels, but 2 parameters"), "{labels}");
    for wrong in [&[] as &[usize], &[2], &[1, 1]] {
        let subset = say(pairs().with_subset(wrong));
        assert!(subset.contains(&format!("{wrong:?}")) && subset.contains("below 2"), "{subset}");
    }
    assert!(say(pairs().with_contours([0.5, 1.0])).contains("contour` is 1, but must be above 0 and below 1"));
}
