//! Infers the spectrum of a random field from a noisy image of it.
//!
//! The field is a sum of waves on a torus of 32 × 32 pixels, of which each has a normal random amplitude. Long waves
//! are stronger than short ones, by a power law:
//!
//! ```text
//! variance of a wave with k periods along the image = A² (k / 4)^−slope + noise²
//! ln A ~ N(0, 0.3²)        slope ~ N(2, 0.3²)
//! ```
//!
//! The power at each k, which a Fourier transform gives, is sufficient for both parameters. A sum over a grid then
//! gives the exact posterior. The network sees the image alone.
//!
//! **The network.** Convolutions compare neighbours, and the means over pixels at the end make the power of patterns of
//! such comparisons. After three means over 2 × 2 pixels, convolutions of the fourth stage see the whole image, and so
//! the longest waves. Two settings matter:
//!
//! - `Border::Periodic`: beyond its border the field continues on the other side. With zeros there, patterns at the
//!   border are wrong. Even a quadratic regression on the powers of eight filters then has an error of 0.16 posterior
//!   standard deviations (0.09 with a periodic border).
//! - Without normalisation. It divides each pixel by its amplitude, which is what is to be measured.
//!
//! Fixed statistics are off: the network finds much more than they tell, and finds it later with them.
//!
//! **Results.** In `comparison.png`, posterior means and standard deviations lie on the diagonal; `posterior.png` shows
//! both posteriors for one image, and `fields.png` some data.
//!
//! `cargo run --release --example random_field` writes figures and `summary.json` to `out/random_field`. Options:
//! `--quick` (a few steps, to see that everything runs), `--out FOLDER`, `--seed N`, `--steps N`.

#![allow(clippy::print_stdout, reason = "an example talks to its reader")]

#[path = "../common/mod.rs"]
mod common;
mod field;

use bayesburn::{
    core::{Purpose, stream},
    networks::{Border, ConvolutionalNetworkConfig},
    prelude::*,
};
use common::{
    Options,
    figures::{Panel, save},
    grid::{Exact, Grid},
    train,
};
use field::{SIDE, Waves};
use kuva::plot::Heatmap;
use serde_json::json;

/// The mean of ln A and of the slope in the prior.
const PRIOR_MEANS: [f64; 2] = [0.0, 2.0];
/// The standard deviation of either.
const PRIOR_SD: f64 = 0.3;

fn main() -> bayesburn::Result<()> {
    let options = Options::read("random_field")?;
    let [log_amplitude, slope] = priors()?;
    let prior = Prior::independent([("log_amplitude", log_amplitude), ("slope", slope)]);
    let waves = Waves::new();
    let simulator = Simulator::from_fn({
        let waves = waves.clone();
        move |rng, theta, _| waves.simulate(rng, [theta[0].into(), theta[1].into()]).insert_axis(Axis(2))
    });
    let model = GenerativeModel::new(prior, simulator)?;
    save_fields(&waves, &options)?;

    let summary = ConvolutionalNetworkConfig::new(16)
        .with_filters(vec![16, 32, 32, 32])
        .with_blocks(1)
        .with_border(Border::Periodic)
        .with_normalized(false);
    let flow = InvertibleNetworkConfig::new().with_num_coupling_layers(4);
    let config = PosteriorConfig::new(summary, flow).with_statistics(Statistics::None);
    let trained = train(model, config, (options.steps(10_000), 4e-3), &options)?;
    let judgement = trained.judge(|data, truths, draws| exact(&waves, data, truths, draws), &options)?;
    judgement.save_figures(&options)?;
    judgement.finish(&options, json!({}))
}

fn priors() -> bayesburn::Result<[Univariate; 2]> {
    let [log_amplitude, slope] = PRIOR_MEANS.map(|mean| Univariate::normal(mean, PRIOR_SD));
    Ok([log_amplitude?, slope?])
}

/// The exact posteriors of images.
fn exact(waves: &Waves, images: &Data, truths: &Array2<f32>, num_draws: usize) -> bayesburn::Result<Exact> {
    // The narrowest posteriors have a standard deviation of 0.05.
    let [log_amplitude, slope] = priors()?;
    let [of_amplitude, of_slope] = PRIOR_MEANS.map(|mean| [mean - 5.0 * PRIOR_SD, mean + 5.0 * PRIOR_SD]);
    let grid = Grid::new([("log_amplitude", log_amplitude, of_amplitude), ("slope", slope, of_slope)], 120);
    grid.posteriors(|theta| waves.likelihood(theta), &waves.powers(images), truths, num_draws)
}

/// Fields of three slopes, from the same random numbers.
fn save_fields(waves: &Waves, options: &Options) -> bayesburn::Result<()> {
    let panel = |slope: f64| {
        let rng = &mut stream(options.seed, const { Purpose::new("figure") }, 0);
        let image = waves.simulate(rng, [PRIOR_MEANS[0], slope]);
        let side = (0.0, SIDE as f64);
        let mut panel = Panel::new(format!("slope {slope}"), side, side);
        let heatmap = Heatmap::new().with_data(image.outer_iter().map(|row| row.to_vec()));
        panel.plots.push(heatmap.with_x_range(side.0, side.1).with_y_range(side.0, side.1).into());
        panel
    };
    save(&options.out.join("fields.png"), 3, (340.0, 330.0), [1.4, 2.0, 2.6].map(panel).into())
}
