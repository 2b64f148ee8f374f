//! Draws figures of extreme inputs: one parameter and a hundred, one data set, constants, infinities, odd names.
#![cfg(feature = "plots")]

mod common;

use bayesburn_core::Draws;
use bayesburn_diagnostics::{
    Bins, Cost, Diagonal, EcdfPanels, EcdfPlot, EcdfScale, Figure, LossComparison, OffDiagonal, PairPlot,
    PairPlotError, PriorVariances, central_coverage, compare_losses, confusion_matrix, latent_space, losses, mmd_test,
    model_calibration, pair_plot, posterior_shifts, predictive_check, prior_pairs, prior_pushforward, recovery,
    sbc_ecdf, sbc_histograms, sensitivity_grid, z_score_contraction_with,
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
        ("coverage", central_coverage(draws, truths).expect("valid").plot()),
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
fn models_of_any_number_are_drawn() {
    for k in [1, 2, 12] {
        let names = (0..k).map(|i| format!("model {i} & <others>")).collect();
        let probabilities = Array2::from_elem((5, k), 1.0 / k as f32);
        let models = vec![k - 1; 5]; // the others are never true
        let calibration = model_calibration(&names, &probabilities, &models, 10).expect("valid");
        assert_drawn("model calibration", &calibration.plot());
        assert_drawn("confusion", &confusion_matrix(&names, &probabilities, &models).expect("valid").plot());
    }
}

#[test]
fn predictions_and_null_distributions_are_drawn() {
    for values in [1.0_f32, 0.0] {
        let simulated = Array3::from_shape_fn((60, 3, 1), |(l, n, _)| values * (l * (n + 1)) as f32);
        let names = || ["a mean & <more>", "a maximum"];
        let statistics = |x: ndarray::ArrayView2<'_, f32>| {
            vec![f64::from(x.sum()) / 3.0, f64::from(x.iter().copied().fold(f32::MIN, f32::max))]
        };
        let observed = Array2::from_elem((3, 1), 1e3);
        let check = predictive_check(names(), observed.view(), simulated.view(), statistics).expect("valid");
        assert_drawn("predictive check", &check.plot());
        let prior = prior_pushforward(names(), simulated.view(), statistics).expect("valid");
        assert_drawn("prior pushforward", &prior.plot());
    }
    let reference = Array2::from_shape_fn((30, 2), |(i, j)| (i * (j + 1)) as f32);
    assert_drawn("MMD test", &mmd_test(&reference, &Array2::from_elem((2, 2), 1e6), 1).expect("valid").plot());
}

#[test]
fn grids_and_shifts_are_drawn() {
    for (rows, columns) in [(1, 1), (3, 4), (10, 12)] {
        let values = |n: usize| (0..n).map(|i| 0.25 * i as f64).collect();
        let numbers = |a: f64, b: f64| Ok::<_, bayesburn_diagnostics::DiagnosticsError>(vec![a * b, f64::NAN, 1.0 / a]);
        let names = ["error <&>", "none", "infinite at 0"];
        let grid = sensitivity_grid(("a", values(rows)), ("b", values(columns)), names, numbers).expect("valid");
        assert_drawn("sensitivity", &grid.plot());
    }
    for k in [1, 40] {
        let names = || ["a".to_owned(), "b <&>".to_owned()].into();
        let base = Draws::new(names(), Array3::from_shape_fn((1, 9, 2), |(_, l, _)| l as f32)).expect("two names");
        let others = Draws::new(names(), Array3::from_shape_fn((k, 9, 2), |(k, _, _)| k as f32)).expect("two names");
        let labels = (0..k).map(|i| format!("without <observation> {i}, a label of some length"));
        assert_drawn("shifts", &posterior_shifts(&base, &others, labels).expect("valid").plot());
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

/// The posteriors for two data sets in one pair plot, with the truth of the first.
fn pairs(draws: &Draws, truths: &Array2<f32>) -> Result<PairPlot, PairPlotError> {
    pair_plot(draws.names(), draws.data_set(0))?
        .named("first")?
        .with("second", draws.data_set(1))?
        .with_points("truth of the first", truths.row(0))
}

#[test]
fn pair_plots_of_any_number_of_parameters_are_drawn_in_every_style() {
    use OffDiagonal::{Contour, Density, Histogram, Scatter};
    for d in [1, 2, 3, 12, 40] {
        let (draws, truths) = common::conjugate([2, 200, d], 1.0, 1);
        let pairs = pairs(&draws, &truths).expect("valid");
        for (upper, lower) in [(Histogram, None), (Contour, None), (Density, Some(Scatter)), (Scatter, Some(Contour))] {
            for diagonal in [Diagonal::Histogram, Diagonal::Density] {
                let styled = pairs.clone().with_off_diagonal(upper).with_diagonal(diagonal);
                let figure = match lower {
                    None => styled.plot(),
                    Some(lower) => styled.with_lower(lower).plot(),
                };
                let label = format!("{d} parameters, {upper:?} over {lower:?}");
                assert_drawn(&label, &figure);
                let svg = figure.to_svg();
                for text in ["first", "second", "truth of the first", "theta_1"] {
                    assert!(svg.contains(text), "{label}: `{text}` is missing");
                }
                assert_eq!(svg.contains("Parameters 1–12 of 40"), d == 40, "{label}");
                let [width, height] = figure.size();
                assert!(width < 1700.0 && height < 2100.0, "{label}: {width} by {height}");
            }
        }
        let marginals = pairs.plot_marginals();
        assert_drawn("marginals", &marginals);
        let svg = marginals.to_svg();
        assert!(draws.names().iter().all(|name| svg.contains(name.as_str())), "{d}: a name is missing");
    }
}

#[test]
fn pair_plots_span_their_limits_and_count_what_is_outside() {
    let (draws, truths) = common::conjugate([2, 10_000, 3], 1.0, 1);
    let pairs = pair_plot(draws.names(), draws.data_set(0)).and_then(|pairs| pairs.with_limits([(-1.5, 2.5); 3]));
    let pairs = pairs.expect("valid");
    let (figure, outside) = (pairs.plot(), pairs.num_outside(0));
    assert!(outside > 0, "{outside}");
    let svg = figure.to_svg();
    assert!(svg.contains(&format!("samples ({outside} of 10000 outside the limits)")));
    // The limits and their middle below each panel of the diagonal.
    assert_eq!([">-1.5<", ">0.5<", ">2.5<"].map(|tick| svg.matches(tick).count()), [3, 3, 3]);
    assert!(svg.len() < 800_000, "{} bytes", svg.len());

    // One set and one point need a legend; one set alone does not.
    let alone = pair_plot(draws.names(), draws.data_set(0)).expect("valid");
    assert!(!alone.plot().to_svg().contains("samples"));
    let marked = alone.with_points("truth", truths.row(0)).expect("valid");
    assert!(marked.plot().to_svg().contains(">truth<"));

    let [only, labels] = [marked.clone().with_subset(&[2, 0]), marked.with_labels(["a", "b", "c"])];
    let svg = only.expect("valid").plot().to_svg();
    assert!(svg.contains("theta_3") && svg.contains("theta_1") && !svg.contains("theta_2"));
    let svg = labels.expect("valid").plot().to_svg();
    assert!(svg.contains(">b<") && !svg.contains("theta"));

    let folder = tempfile::tempdir().expect("a temporary folder");
    let file = folder.path().join("pairs.png");
    figure.save(&file).expect("writable");
    let bytes = std::fs::read(file).expect("written");
    assert!(bytes.starts_with(b"\x89PNG") && bytes.len() > 10_000, "{} bytes", bytes.len());
}

#[test]
fn degenerate_pair_plots_are_drawn() {
    use OffDiagonal::{Contour, Density, Histogram, Scatter};
    let names = ["a <b> & $c".to_owned(), "a name far longer than any panel could be wide, in words".to_owned()].into();
    let ascending = |n: usize, scale: f32| Array2::from_shape_fn((n, 2), |(i, d)| scale * (i + d) as f32);
    for (label, samples) in [
        ("one sample", ascending(1, 1.0)),
        ("constants", Array2::from_elem((50, 2), 7.0)),
        ("a line", ascending(300, 1.0)),
        ("huge", ascending(300, 1e30)),
        ("tiny", ascending(300, 1e-30)),
    ] {
        let pairs = pair_plot(&names, &samples).expect("valid");
        let elsewhere = pairs.clone().with_limits([(-3.0, -2.0), (-1e9, -1.0)]).expect("valid");
        for (pairs, style) in [&pairs, &elsewhere]
            .iter()
            .flat_map(|pairs| [Histogram, Density, Contour, Scatter].map(|style| (*pairs, style)))
        {
            let pairs = pairs.clone().with_off_diagonal(style).with_lower(style).with_diagonal(Diagonal::Density);
            assert_drawn(&format!("{label}, {style:?}"), &pairs.plot());
        }
        for pairs in [pairs, elsewhere] {
            assert_drawn(label, &pairs.plot_marginals());
            assert_drawn(label, &pairs.with_subset(&[1]).expect("in range").plot());
        }
    }
    // More sets than colours.
    let first = pair_plot(&names, &ascending(30, 1.0));
    let ten =
        (1..10).try_fold(first.expect("valid"), |pairs, i| pairs.with(format!("set {i}"), &ascending(30 + i, 1.0)));
    assert_drawn("ten sets", &ten.expect("valid").plot());
}
