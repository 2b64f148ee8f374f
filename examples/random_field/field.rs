//! Simulates the random field, and has its likelihood.

use crate::common::grid::Terms;
use bayesburn::prelude::*;
use std::f64::consts::PI;

/// Pixels of a side.
pub(crate) const SIDE: usize = 32;
/// The wavenumber, in waves per side, at which the spectrum is the squared amplitude.
const PIVOT: f64 = 4.0;
/// The standard deviation of a pixel's noise.
const NOISE: f64 = 1.0;

/// Waves on a torus, an orthonormal basis of images: products of the rows of `basis`.
#[derive(Clone)]
pub(crate) struct Waves {
    /// Row i is a constant, a cosine or a sine along one side.
    basis: Array2<f64>,
    /// For each product of two rows, the index of its wavenumber in `wavenumbers`.
    shell: Array2<usize>,
    /// The squared wavenumbers that occur, and how many products have each.
    wavenumbers: Vec<(usize, usize)>,
}

impl Waves {
    pub(crate) fn new() -> Self {
        // Rows 2w − 1 and 2w have w waves. The last row, of half as many waves as pixels, has no sine.
        let waves = |row: usize| row.div_ceil(2);
        let basis = Array2::from_shape_fn((SIDE, SIDE), |(row, pixel)| {
            let angle = 2.0 * PI * (waves(row) * pixel) as f64 / SIDE as f64;
            let scale = if row == 0 || row == SIDE - 1 { 1.0 } else { 2.0 };
            let value = if row % 2 == 0 && row > 0 { angle.sin() } else { angle.cos() };
            value * (scale / SIDE as f64).sqrt()
        });
        let squared = Array2::from_shape_fn((SIDE, SIDE), |(i, j)| waves(i).pow(2) + waves(j).pow(2));
        let mut all: Vec<usize> = squared.iter().copied().collect();
        all.sort_unstable();
        let wavenumbers: Vec<(usize, usize)> = all.chunk_by(|a, b| a == b).map(|of| (of[0], of.len())).collect();
        let shell = squared.mapv(|squared| wavenumbers.partition_point(|of| of.0 < squared));
        Self { basis, shell, wavenumbers }
    }

    /// The variance of the coefficients of waves with this squared wavenumber, signal and noise.
    fn variance([log_amplitude, slope]: [f64; 2], squared_wavenumber: usize) -> f64 {
        let signal = match squared_wavenumber {
            // The mean of a field is 0.
            0 => 0.0,
            squared => (2.0 * log_amplitude - slope * ((squared as f64).sqrt() / PIVOT).ln()).exp(),
        };
        signal + NOISE * NOISE
    }

    /// An image `[SIDE, SIDE]` of the field, with noise.
    pub(crate) fn simulate(&self, rng: &mut StreamRng, theta: [f64; 2]) -> Array2<f32> {
        let of_shell: Vec<f64> = self.wavenumbers.iter().map(|of| Self::variance(theta, of.0).sqrt()).collect();
        let waves = self.shell.mapv(|shell| of_shell[shell] * rng.sample::<f64, _>(StandardNormal));
        self.basis.t().dot(&waves).dot(&self.basis).mapv(|pixel| pixel as f32)
    }

    /// The power of images at each wavenumber `[M, K]`, the sum of the squares of the coefficients: sufficient
    /// statistics.
    pub(crate) fn powers(&self, images: &Data) -> Array2<f64> {
        let mut powers = Array2::zeros((images.len(), self.wavenumbers.len()));
        let images = images.inputs()[0].values().mapv(f64::from);
        for (image, mut powers) in images.axis_iter(Axis(0)).zip(powers.outer_iter_mut()) {
            let image = image.to_shape((SIDE, SIDE)).expect("one channel");
            let waves = self.basis.dot(&image).dot(&self.basis.t());
            self.shell.iter().zip(&waves).for_each(|(shell, wave)| powers[*shell] += wave * wave);
        }
        powers
    }

    /// The likelihood of the parameters for powers: coefficients are independent normal numbers.
    pub(crate) fn likelihood(&self, theta: [f64; 2]) -> Terms {
        let variances: Array1<f64> = self.wavenumbers.iter().map(|of| Self::variance(theta, of.0)).collect();
        let log_normaliser = self.wavenumbers.iter().zip(&variances).map(|(of, v)| 0.5 * of.1 as f64 * v.ln()).sum();
        Terms { natural: variances.mapv(|variance| -0.5 / variance), log_normaliser }
    }
}
