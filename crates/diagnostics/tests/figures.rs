//! Draws figures of extreme inputs: one parameter and a hundred, one data set, constants, infinities, odd names.
#![cfg(feature = "plots")]

mod common;

use bayesburn_core::Draws;
use bayesburn_diagnostics::{
    Bins, Cost, EcdfPanels, EcdfPlot, EcdfScale, Figure, LossComparison, PriorVariances, compare_losses, latent_space,
    losses, prior_pairs, recovery, sbc_ecdf, sbc_histograms, z_score_contraction_with,
};
use ndarray::{Array2, Array3};

/// Every figure of these draws.
fn figures(draws: &Draws, truths: &Array2<f32>) -> Vec<(&'static str, Figure)> {
    let ecdfs = sbc_ecdf(draws, truths).expect("valid");
    let prior = PriorVariances::Known(vec![1.0; draws.num_parameters()]);
    vec![
        ("recovery", recovery(draws, truths).expect("valid").plot()),
        ("contraction", z_score_contraction_with(draws, truths, prior).expect("valid").plot()),
        ("histograms", sbc_histograms(draws, truths, Bins::Auto).expect("valid").plot()),
        ("ecdf", ecdfs.plot()),
        ("plain ecdf", ecdfs.plot_with(EcdfPlot::new().with_scale(EcdfScale::Ecdf))),
        ("stacked ecdf", ecdfs.plot_with(EcdfPlot::new().with_panels(EcdfPanels::Stacked))),
    ]
}

fn assert_drawn(label: &str, figure: &Figure) {
    let svg = figure.to_svg();
    assert!(svg.starts_with("<svg") && svg.trim_end().ends_with("</svg>"), "{label}: no complete document");
    for bad in ["NaN", "inf"] {
        let coordinates = [format!("\"{bad}"), format!(" {bad} "), format!("-{bad} ")];
        assert!(!coordinates.iter().any(|bad| svg.contains(bad)), "{label}: a coordinate is {bad}");
    }
}

#[test]
fn one_parameter_and_a_hundred_keep_their_panel_size() {
    for (d, columns, rows) in [(1, 1.0, 1.0), (4, 4.0, 1.0), (100, 6.0, 17.0)] {
        let (draws, truths) = common::conjugate([60, 30, d], 1.0, 1);
        for (label, figure) in figures(&draws, &truths) {
            assert_drawn(label, &figure);
            if label == "stacked ecdf" {
                continue;
            }
            let [width, height] = figure.size();
            assert!((width / columns - 290.0).abs() < 15.0, "{label}, {d}: {width} wide");
            assert!(height > 292.0 * rows && height < 308.0 * rows + 110.0, "{label}, {d}: {height} high");
            assert!(
                draws.names().iter().all(|name| figure.to_svg().contains(name.as_str())),
                "{label}: a name is missing"
            );
        }
    }
}

#[test]
fn degenerate_draws_are_drawn() {
    let names =
        || ["a <b> & $c".to_owned(), "a name far longer than any panel could be wide, in words".to_owned()].into();
    let draw = |values: Array3<f32>, truths: Array2<f32>| {
        let draws = Draws::new(names(), values).expect("two names");
        figures(&draws, &truths).iter().for_each(|(label, figure)| assert_drawn(label, figure));
    };
    draw(Array3::zeros((1, 2, 2)), Array2::zeros((1, 2))); // one data set; z is NaN
    draw(Array3::zeros((5, 2, 2)), Array2::ones((5, 2))); // constants; z is infinite
    draw(Array3::from_elem((3, 4, 2), 1e30), Array2::from_elem((3, 2), -1e30));
}

#[test]
fn pairs_show_at_most_eight_dimensions_and_say_so() {
    let (draws, truths) = common::conjugate([50, 2, 100], 1.0, 1);
    let pairs = prior_pairs(draws.names(), &truths).expect("valid").plot();
    assert!(pairs.to_svg().contains("1–8 of 100"));
    assert!(pairs.size()[0] < 1400.0);
    for d in [1, 2, 8] {
        let z = Array2::from_shape_fn((50, d), |(m, d)| truths[[m, d]]);
        assert_drawn("latent", &latent_space(&z).expect("valid").plot());
    }
    let constant = latent_space(&Array2::from_elem((2, 3), 7.0)).expect("valid").plot();
    assert_drawn("constant", &constant);
    assert!(constant.to_svg().contains("r undefined"));
}

#[test]
fn short_and_long_runs_are_drawn_in_bounded_size() {
    assert_drawn("one step", &losses(&[1.0], &[(1, 2.0)]).expect("valid").plot());
    assert_drawn("constant", &losses(&[1.0; 50], &[]).expect("valid").plot());
    let long: Vec<f32> = (0..1_000_000).map(|i| ((i % 1000) as f32).sin()).collect();
    let svg = losses(&long, &[]).expect("valid").plot().to_svg();
    assert!(svg.len() < 200_000, "{} bytes", svg.len());
}

#[test]
fn comparisons_of_any_length_are_drawn_in_bounded_size() {
    let curve = |n: u32, scale: f64| -> Vec<(f64, f64)> {
        (0..n).map(|i| (f64::from(i), scale * (-f64::from(i) / 500.0).exp() + f64::from(i).sin())).collect()
    };
    let curves = |n: u32, count: u32| (1..=count).map(move |i| (format!("training {i}"), curve(n, f64::from(i))));
    let drawn = |label: &str, comparison: LossComparison| {
        let figure = comparison.plot();
        assert_drawn(label, &figure);
        (figure.to_svg(), figure.size())
    };

    let (_, alone) = drawn("one point", compare_losses(Cost::Steps, [("a", [(0.0, 1.0)])]).expect("valid"));
    let constant = compare_losses(Cost::Steps, [("a", [(3.0, 1.0); 4]), ("a <b> & $c", [(3.0, 1.0); 4])]);
    drawn("constants", constant.expect("valid").with_best_possible(1.0).expect("finite"));
    let huge = [
        ("a", vec![(0.0, 1e30), (1.0, 2.0), (1e9, 1.0), (2e9, f64::NAN)]),
        ("b", vec![(0.0, 1.5), (1.0, 1.2), (1e9, 1.1)]),
    ];
    let (svg, _) = drawn("huge", compare_losses(Cost::Named("Simulator calls".into()), huge).expect("valid"));
    assert!(svg.contains("Simulator calls") && svg.contains("1 beyond the axis, 1 not finite"));

    let long = compare_losses(Cost::Simulations, curves(10_000, 8)).expect("valid");
    let both = long.with_panel(Cost::Seconds, curves(2, 8)).expect("valid");
    let (svg, [width, _]) = drawn("eight", both.with_best_possible(0.0).expect("finite"));
    assert!(svg.len() < 700_000, "{} bytes", svg.len());
    assert!(width > alone[0], "two panels are {width} wide, one is {}", alone[0]);
    for text in ["training 8", "Simulations", "Seconds", "best possible", "mean of 100"] {
        assert!(svg.contains(text), "`{text}` is missing");
    }

    let folder = tempfile::tempdir().expect("a temporary folder");
    let file = folder.path().join("comparison.png");
    compare_losses(Cost::Steps, curves(15, 4)).expect("valid").plot().save(&file).expect("writable");
    let bytes = std::fs::read(file).expect("written");
    assert!(bytes.starts_with(b"\x89PNG") && bytes.len() > 10_000, "{} bytes", bytes.len());
}
