//! The model: an epidemic day by day, and the cases that are reported of it.

use bayesburn::{
    prelude::*,
    rand_distr::{Binomial, Gamma, Poisson},
};

/// Days on which cases are reported.
pub(crate) const DAYS: usize = 60;
/// Persons; at first all are susceptible but those infectious.
const POPULATION: u64 = 10_000;
/// Persons who are infectious on the morning of the first day.
const FIRST_INFECTIOUS: u64 = 5;
/// Reporting varies between days by a factor with a gamma distribution of this shape: a standard deviation of 32%.
const REPORTING_SHAPE: f32 = 10.0;

/// Names and priors: of R₀, the infections that one infectious person causes among susceptible persons; of the
/// duration, the mean number of days for which a person is infectious; and of detection, the share of infections that
/// is reported.
pub(crate) fn priors() -> bayesburn::Result<[(&'static str, Univariate); 3]> {
    Ok([
        ("r_0", Univariate::log_normal(2.5_f64.ln(), 0.4)?),
        ("duration", Univariate::log_normal(6_f64.ln(), 0.4)?),
        ("detection", Univariate::beta(2.0, 4.0)?),
    ])
}

/// Reported cases of each day, `[60, 1]`, given R₀, duration and detection.
pub(crate) fn simulate(rng: &mut StreamRng, theta: &[f32]) -> Array2<f32> {
    let [r_0, duration, detection] = [theta[0], theta[1], theta[2]].map(f64::from);
    let contacts = r_0 / duration / POPULATION as f64;
    let recovery = 1.0 - (-1.0 / duration).exp();
    let (mut susceptible, mut infectious) = (POPULATION - FIRST_INFECTIOUS, FIRST_INFECTIOUS);
    Array2::from_shape_simple_fn((DAYS, 1), || {
        let infected = binomial(rng, susceptible, 1.0 - (-contacts * infectious as f64).exp());
        let recovered = binomial(rng, infectious, recovery);
        susceptible -= infected;
        infectious = infectious + infected - recovered;
        reported(rng, (detection * infected as f64) as f32)
    })
}

fn binomial(rng: &mut StreamRng, n: u64, p: f64) -> u64 {
    rng.sample(Binomial::new(n, p).expect("p is a probability"))
}

/// A negative binomial number with this mean: a Poisson number whose mean varies by the factor of the day.
fn reported(rng: &mut StreamRng, mean: f32) -> f32 {
    let factor: f32 = rng.sample(Gamma::new(REPORTING_SHAPE, 1.0 / REPORTING_SHAPE).expect("both are above 0"));
    match Poisson::new(mean * factor) {
        Ok(cases) => rng.sample(cases),
        // There is no Poisson distribution of mean 0 in the crate.
        Err(_) => 0.0,
    }
}
