//! Draws every figure for a known posterior: one parameter, four, a hundred, and four that are overconfident.
//!
//! `cargo run --release -p bayesburn-diagnostics --example figures -- <folder>` writes them as PNG and SVG.

#[path = "../tests/common/mod.rs"]
mod common;

use bayesburn_core::{Purpose, stream};
use bayesburn_diagnostics::{
    Bins, Cost, DiagnosticsSuite, Diagonal, EcdfPanels, EcdfPlot, EcdfScale, Figure, Limit, LocalC2st, LocalC2stConfig,
    OffDiagonal, PairPlot, Result, SuiteInput, central_coverage, compare_losses, confusion_matrix, latent_space,
    losses, mmd_test, model_calibration, pair_plot, predictive_check, prior_pairs, recovery, sbc_ecdf, sbc_histograms,
    tarp, z_score_contraction,
};
use ndarray::Array2;
use rand::RngExt;
use rand_distr::StandardNormal;
use std::path::{Path, PathBuf};

fn main() -> Result<()> {
    let folder = std::env::args().nth(1).map_or_else(|| PathBuf::from("target/figures"), PathBuf::from);
    let made = std::fs::create_dir_all(&folder).map_err(bayesburn_core::FileError::write(&folder));
    made.map_err(bayesburn_diagnostics::FigureError::from)?;
    for (label, d, width) in [("one", 1, 1.0), ("four", 4, 1.0), ("hundred", 100, 1.0), ("overconfident", 4, 0.7)] {
        calibration(&folder, label, d, width)?;
    }
    models(&folder)?;
    predictions(&folder)?;
    local_test(&folder)?;
    training(&folder)?;
    comparisons(&folder)?;
    pair_plots(&folder)
}

fn calibration(folder: &Path, label: &str, d: usize, width: f32) -> Result<()> {
    let (draws, truths) = common::conjugate([500, 250, d], width, 2023);
    let save = |check: &str, figure: Figure| {
        figure.save(folder.join(format!("{check}-{label}.png")))?;
        figure.save(folder.join(format!("{check}-{label}.svg")))
    };
    save("recovery", recovery(&draws, &truths)?.plot())?;
    save("contraction", z_score_contraction(&draws, &truths)?.plot())?;
    save("histograms", sbc_histograms(&draws, &truths, Bins::Auto)?.plot())?;
    let ecdfs = sbc_ecdf(&draws, &truths)?;
    save("ecdf", ecdfs.plot())?;
    let stacked = EcdfPlot::new().with_panels(EcdfPanels::Stacked);
    save("ecdf-stacked", ecdfs.plot_with(stacked))?;
    save("ecdf-plain", ecdfs.plot_with(EcdfPlot::new().with_scale(EcdfScale::Ecdf)))?;
    save("coverage", central_coverage(&draws, &truths)?.plot())?;
    save("tarp", tarp(&draws, &truths, 1)?.ecdfs.plot())?;
    save("prior", prior_pairs(draws.names(), &truths)?.plot())?;
    save("latent", latent_space(&truths.mapv(|z| z * width))?.plot())?;
    let input = SuiteInput::new(&draws, &truths)?;
    let suite = DiagnosticsSuite::new().with_title(label).with_limit(Limit::ContractionAtLeast(0.4));
    let report = suite.run(&input)?.with_figures(&input)?;
    ["html", "md", "xml", "json"]
        .into_iter()
        .try_for_each(|kind| Ok(report.save(folder.join(format!("report-{label}.{kind}")))?))
}

/// Posteriors that are shifted where the data are above 0, at data of 1 and of −1.
fn local_test(folder: &Path) -> Result<()> {
    let mut rng = stream(1, Purpose::new("local test"), 0);
    let mut normal = || -> f32 { rng.sample(StandardNormal) };
    let truths = Array2::from_shape_simple_fn((1000, 1), &mut normal);
    let data = truths.mapv(|theta| theta + normal());
    let mut draw = |x: f32| x / 2.0 + if x > 0.0 { 0.5 } else { 0.0 } + 0.5_f32.sqrt() * normal();
    let draws = data.mapv(&mut draw);
    let test = LocalC2st::train_with(&LocalC2stConfig::new().with_trials(50), &draws, &truths, &data, 1)?;
    for (label, x) in [("wrong", 1.0), ("right", -1.0)] {
        let draws = Array2::from_shape_simple_fn((500, 1), || draw(x));
        let figure = test.test(&draws, ndarray::array![x].view())?.plot();
        figure.save(folder.join(format!("local-test-{label}.png")))?;
    }
    Ok(())
}

fn models(folder: &Path) -> Result<()> {
    let mut rng = stream(2023, Purpose::new("models"), 0);
    let names = ["linear", "quadratic", "exponential"].map(str::to_owned).into();
    let mut probabilities =
        Array2::from_shape_simple_fn((1000, 3), || (1.5 * rng.sample::<f32, _>(StandardNormal)).exp());
    probabilities.outer_iter_mut().for_each(|mut row| row /= row.sum());
    // True with the square roots of these probabilities: they are overconfident.
    let draw = |row: ndarray::ArrayView1<'_, f32>, u: f32| {
        let roots = row.mapv(f32::sqrt);
        let mut left = u * roots.sum();
        roots.iter().position(|p| (left -= p, left < 0.0).1).unwrap_or(2)
    };
    let models: Vec<usize> = probabilities.outer_iter().map(|row| draw(row, rng.random())).collect();
    model_calibration(&names, &probabilities, &models, 10)?.plot().save(folder.join("model-calibration.png"))?;
    Ok(confusion_matrix(&names, &probabilities, &models)?.plot().save(folder.join("confusion.png"))?)
}

fn predictions(folder: &Path) -> Result<()> {
    let mut rng = stream(2023, Purpose::new("predictions"), 0);
    let mut normal = || -> f32 { rng.sample(StandardNormal) };
    let simulated = ndarray::Array3::from_shape_simple_fn((500, 40, 1), &mut normal);
    let observed = Array2::from_shape_simple_fn((40, 1), || 1.4 * normal());
    let statistics = |x: ndarray::ArrayView2<'_, f32>| {
        let mean = f64::from(x.sum()) / x.len() as f64;
        let variance = x.iter().map(|&x| (f64::from(x) - mean).powi(2)).sum::<f64>() / x.len() as f64;
        vec![mean, variance.sqrt(), x.iter().copied().fold(0.0, |most: f32, x| most.max(x.abs())).into()]
    };
    let names = ["mean", "standard deviation", "largest"];
    let check = predictive_check(names, observed.view(), simulated.view(), statistics)?;
    check.plot().save(folder.join("predictive-check.png"))?;
    let reference = Array2::from_shape_simple_fn((500, 3), &mut normal);
    let shifted = Array2::from_shape_simple_fn((5, 3), || 0.8 + normal());
    Ok(mmd_test(&reference, &shifted, 1)?.plot().save(folder.join("mmd-test.png"))?)
}

fn training(folder: &Path) -> Result<()> {
    let mut rng = stream(2023, Purpose::new("losses"), 0);
    let mut noise = |scale: f32| scale * rng.sample::<f32, _>(StandardNormal);
    let mut train: Vec<f32> = (0..3_000).map(|i| 8.0 * (-(i as f32) / 400.0).exp() - 2.0 + noise(0.2)).collect();
    let validation: Vec<(usize, f32)> = (1..=6).map(|i| (500 * i, train[500 * i - 1] + 0.05)).collect();
    losses(&train, &validation)?.plot().save(folder.join("losses.png"))?;
    losses(&train, &[])?.plot().save(folder.join("losses-alone.png"))?;
    train[..40].iter_mut().for_each(|loss| *loss *= 1e6);
    train[1_000] = f32::NAN;
    losses(&train, &validation)?.plot().save(folder.join("losses-exploding.png"))?;
    let long: Vec<f32> = (0..1_000_000).map(|i| 8.0 * (-(i as f32) / 1e5).exp() - 2.0 + noise(0.2)).collect();
    Ok(losses(&long, &[])?.plot().save(folder.join("losses-million.png"))?)
}

/// Four validation curves of 15 points, eight and ten noisy training curves, and four of which one starts at a huge
/// loss.
fn comparisons(folder: &Path) -> Result<()> {
    type Points = Vec<(f64, f64)>;
    let mut rng = stream(2023, Purpose::new("comparisons"), 0);
    let mut curve = |n: usize, speed: f64, end: f64, noise: f64| -> Points {
        let progress = (1..=n).map(|i| i as f64 / n as f64);
        progress
            .map(|t| (2e6 * t, end + 5.0 * (-speed * t).exp() + noise * rng.sample::<f64, _>(StandardNormal)))
            .collect()
    };
    let save = |name: &str, figure: Figure| {
        figure.save(folder.join(format!("comparison-{name}.png")))?;
        figure.save(folder.join(format!("comparison-{name}.svg")))
    };
    let names = ["online", "round by round", "offline, 10,000 simulations", "offline, 100,000 simulations"];
    let mut few: Vec<(&str, Points)> =
        (0..4).map(|i| (names[i], curve(15, 3.0 + 2.0 * i as f64, -2.0 + 0.2 * i as f64, 0.03))).collect();
    let seconds: Vec<(&str, Points)> = few
        .iter()
        .zip([1.0, 2.0, 0.25, 0.4])
        .map(|((name, points), rate)| (*name, points.iter().map(|&(x, loss)| (x * rate / 1_000.0, loss)).collect()))
        .collect();
    save("alone", compare_losses(Cost::Simulations, few.iter().cloned())?.plot())?;
    let both = compare_losses(Cost::Simulations, few.iter().cloned())?.with_panel(Cost::Seconds, seconds.clone())?;
    save("few", both.with_best_possible(-2.1)?.plot())?;

    let noisy =
        (0..8).map(|i| (format!("width {}", 16 << i), curve(5_000, 4.0 + f64::from(i), -0.2 * f64::from(i), 0.4)));
    let noisy: Vec<(String, Points)> = noisy.collect();
    let minutes: Vec<(String, Points)> = noisy
        .iter()
        .zip(1_i32..)
        .map(|((name, points), i)| (name.clone(), points.iter().map(|&(x, y)| (x * f64::from(i) / 4e5, y)).collect()))
        .collect();
    save("noisy-alone", compare_losses(Cost::Simulations, noisy.iter().cloned())?.plot())?;
    let both = compare_losses(Cost::Simulations, noisy)?.with_panel(Cost::Named("Minutes".into()), minutes)?;
    save("noisy", both.plot())?;
    let ten = (0..10).map(|i| (format!("seed {i}"), curve(400, 6.0, -0.3 * f64::from(i), 0.1)));
    save("ten", compare_losses(Cost::Steps, ten)?.plot())?;

    few[1].1[0].1 = 1e6;
    few[2].1[7].1 = f64::NAN;
    let huge = compare_losses(Cost::Simulations, few)?.with_panel(Cost::Seconds, seconds)?;
    Ok(save("exploding", huge.with_best_possible(-2.1)?.plot())?)
}

/// Posteriors of a normal mean, alone, overlaid and as dots; correlated and curved ones; one parameter, and fifteen.
fn pair_plots(folder: &Path) -> Result<()> {
    let save = |name: &str, figure: Figure| {
        figure.save(folder.join(format!("pairs-{name}.png")))?;
        figure.save(folder.join(format!("pairs-{name}.svg")))
    };
    let (draws, truths) = common::conjugate([2, 10_000, 3], 1.0, 2023);
    let posterior = || pair_plot(draws.names(), draws.data_set(0));
    let within_two = || posterior().and_then(|pairs| pairs.with_limits([(-2.0, 2.0); 3]));
    save("normal", within_two()?.with_points("truth", truths.row(0))?.plot())?;
    save("alone", posterior()?.with_labels(["θ₁", "θ₂", "θ₃"])?.plot())?;
    save("densities", within_two()?.with_diagonal(Diagonal::Density).with_off_diagonal(OffDiagonal::Density).plot())?;
    save("one", posterior()?.with_points("truth", truths.row(0))?.with_subset(&[0])?.plot())?;

    let both = || -> Result<PairPlot> {
        Ok(posterior()?
            .named("first data set")?
            .with("second data set", draws.data_set(1))?
            .with_points("truth of the first", truths.row(0))?
            .with_points("truth of the second", truths.row(1))?)
    };
    let contours = both()?.with_diagonal(Diagonal::Density).with_off_diagonal(OffDiagonal::Contour);
    save("contours", contours.plot())?;
    save("overlaid", both()?.plot())?;
    save("scatter", both()?.with_off_diagonal(OffDiagonal::Scatter).plot())?;
    save("marginals", both()?.plot_marginals())?;
    save("marginal-densities", contours.plot_marginals())?;
    let lower = both()?.with_off_diagonal(OffDiagonal::Density).with_lower(OffDiagonal::Scatter);
    save("upper-and-lower", lower.plot())?;

    // A banana and a narrow ridge: x, x² + noise, x + a little noise.
    let mut rng = stream(2023, Purpose::new("pairs"), 0);
    let mut normal = || -> f32 { rng.sample(StandardNormal) };
    let mut curved = Array2::<f32>::zeros((10_000, 3));
    for mut row in curved.rows_mut() {
        let x = normal();
        (row[0], row[1], row[2]) = (x, x * x + 0.3 * normal(), x + 0.1 * normal());
    }
    let names = ["x".to_owned(), "x² + noise".to_owned(), "x + less noise".to_owned()].into();
    let curved = pair_plot(&names, &curved)?.with_diagonal(Diagonal::Density).with_off_diagonal(OffDiagonal::Contour);
    save("curved", curved.with_lower(OffDiagonal::Histogram).plot())?;

    for d in [6, 12, 15] {
        let (draws, truths) = common::conjugate([2, 10_000, d], 1.0, 2023);
        let pairs = pair_plot(draws.names(), draws.data_set(0))?.with_points("truth", truths.row(0))?;
        save(&format!("{d}"), pairs.plot())?;
        save(&format!("{d}-contours"), pairs.with_off_diagonal(OffDiagonal::Contour).plot())?;
    }
    Ok(())
}
