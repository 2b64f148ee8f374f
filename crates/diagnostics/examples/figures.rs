//! Draws every figure for a known posterior: one parameter, four, a hundred, and four that are overconfident.
//!
//! `cargo run --release -p bayesburn-diagnostics --example figures -- <folder>` writes them as PNG and SVG.

#[path = "../tests/common/mod.rs"]
mod common;

use bayesburn_core::{Purpose, stream};
use bayesburn_diagnostics::{
    Bins, EcdfPanels, EcdfPlot, EcdfScale, Figure, Result, latent_space, losses, prior_pairs, recovery, sbc_ecdf,
    sbc_histograms, z_score_contraction,
};
use rand::RngExt;
use rand_distr::StandardNormal;
use std::path::{Path, PathBuf};

fn main() -> Result<()> {
    let folder = std::env::args().nth(1).map_or_else(|| PathBuf::from("target/figures"), PathBuf::from);
    std::fs::create_dir_all(&folder)
        .map_err(|source| bayesburn_diagnostics::DiagnosticsError::Write { path: folder.clone(), source })?;
    for (label, d, width) in [("one", 1, 1.0), ("four", 4, 1.0), ("hundred", 100, 1.0), ("overconfident", 4, 0.7)] {
        calibration(&folder, label, d, width)?;
    }
    training(&folder)
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
    save("prior", prior_pairs(draws.names(), &truths)?.plot())?;
    save("latent", latent_space(&truths.mapv(|z| z * width))?.plot())
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
    losses(&long, &[])?.plot().save(folder.join("losses-million.png"))
}
