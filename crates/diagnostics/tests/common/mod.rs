//! Simulates a conjugate normal model, whose posterior is known exactly.

use bayesburn_core::{Draws, Purpose, stream};
use ndarray::{Array2, Array3};
use rand::RngExt;
use rand_distr::StandardNormal;

/// Draws `[M, L, D]` and truths `[M, D]` of D independent copies of θ ~ N(0, 1), x ~ N(θ, 1), so that θ | x ~ N(x/2,
/// 1/2).
///
/// The draws' standard deviation is `width` times the exact one: 1 is calibrated, 0.8 overconfident by 20%.
pub(crate) fn conjugate([m, l, d]: [usize; 3], width: f32, seed: u64) -> (Draws, Array2<f32>) {
    let mut rng = stream(seed, Purpose::new("conjugate model"), 0);
    let mut normal = || -> f32 { rng.sample(StandardNormal) };
    let truths = Array2::from_shape_simple_fn((m, d), &mut normal);
    let x = truths.mapv(|theta| theta + normal());
    let std = width * 0.5_f32.sqrt();
    let draws = Array3::from_shape_fn((m, l, d), |(m, _, d)| x[[m, d]] / 2.0 + std * normal());
    let names = (1..=d).map(|i| format!("theta_{i}")).collect();
    (Draws::new(names, draws).expect("D names"), truths)
}
