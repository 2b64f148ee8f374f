//! Implements distributions of one parameter: density, draws, moments and support.

use super::PriorError;
use bayesburn_core::{Interval, StreamRng};
use rand::RngExt;
use rand_distr as draws;
use statrs::{
    distribution::{Beta, Continuous, ContinuousCDF, Exp, Gamma, LogNormal, Normal, StudentsT, Uniform},
    statistics::{self, Distribution as _},
};

/// A distribution of one parameter.
///
/// | distribution | density at θ, up to a constant | support |
/// |---|---|---|
/// | [`uniform`](Univariate::uniform)(a, b) | 1 | a to b |
/// | [`normal`](Univariate::normal)(μ, σ) | exp(−(θ − μ)² / 2σ²) | the reals |
/// | [`log_normal`](Univariate::log_normal)(μ, σ) | exp(−(ln θ − μ)² / 2σ²) / θ | above 0 |
/// | [`gamma`](Univariate::gamma)(α, β) | θ^(α−1) exp(−βθ) | above 0 |
/// | [`beta`](Univariate::beta)(α, β) | θ^(α−1) (1 − θ)^(β−1) | 0 to 1 |
/// | [`exponential`](Univariate::exponential)(λ) | exp(−λθ) | above 0 |
/// | [`half_normal`](Univariate::half_normal)(σ) | exp(−θ² / 2σ²) | above 0 |
/// | [`student_t`](Univariate::student_t)(ν, μ, σ) | (1 + ((θ − μ)/σ)² / ν)^(−(ν+1)/2) | the reals |
///
/// [`Univariate::truncated`] truncates any of them to an interval.
///
/// ```
/// use bayesburn_simulation::Univariate;
///
/// let rate = Univariate::gamma(2.0, 3.0)?; // shape and rate: mean 2/3
/// assert!((rate.log_prob(0.5) - (9.0_f64 * 0.5).ln() + 1.5).abs() < 1e-12);
/// let small = rate.truncated(0.0, 0.5)?;
/// assert_eq!(small.log_prob(0.6), f64::NEG_INFINITY);
/// # Ok::<(), bayesburn_simulation::SimulationError>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Univariate {
    family: Family,
    /// The support, after truncation.
    support: Interval,
    /// The truncation, if there is one.
    cut: Option<Cut>,
}

/// The family's functions from statrs, and a sampler where drawing takes more than a formula. Both are validated and
/// built once.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Family {
    Uniform(Uniform),
    Normal(Normal),
    LogNormal(LogNormal),
    Gamma(Gamma, draws::Gamma<f64>),
    Beta(Beta, draws::Beta<f64>),
    Exponential(Exp),
    StudentT(StudentsT, draws::StudentT<f64>),
}

/// A truncation of a family to an interval.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Cut {
    low: f64,
    high: f64,
    /// The family's probability in the interval, and below it.
    mass: f64,
    below: f64,
}

/// The least probability of an interval that can be drawn from by quantiles, which have 16 digits.
const LEAST_MASS: f64 = 1e-9;

/// The functions of statrs that each family has.
trait Known: Continuous<f64, f64> + ContinuousCDF<f64, f64> + statistics::Distribution<f64> {}

impl<D: Continuous<f64, f64> + ContinuousCDF<f64, f64> + statistics::Distribution<f64>> Known for D {}

impl Family {
    fn known(&self) -> &dyn Known {
        match self {
            Self::Uniform(d) => d,
            Self::Normal(d) => d,
            Self::LogNormal(d) => d,
            Self::Gamma(d, _) => d,
            Self::Beta(d, _) => d,
            Self::Exponential(d) => d,
            Self::StudentT(d, _) => d,
        }
    }

    /// Mean and standard deviation; NaN where they do not exist.
    fn moments(&self) -> (f64, f64) {
        let finite = |moment: Option<f64>| moment.filter(|value| value.is_finite()).unwrap_or(f64::NAN);
        (finite(self.known().mean()), finite(self.known().std_dev()))
    }

    fn sample(&self, rng: &mut StreamRng) -> f64 {
        match self {
            Self::Uniform(d) => d.min() + (d.max() - d.min()) * rng.random::<f64>(),
            Self::Normal(d) => {
                d.mean().unwrap_or(0.0) + d.std_dev().unwrap_or(1.0) * rng.sample::<f64, _>(draws::StandardNormal)
            }
            Self::LogNormal(d) => (d.location() + d.scale() * rng.sample::<f64, _>(draws::StandardNormal)).exp(),
            Self::Gamma(_, gamma) => rng.sample(gamma),
            Self::Beta(_, beta) => rng.sample(beta),
            Self::Exponential(d) => rng.sample::<f64, _>(draws::Exp1) / d.rate(),
            Self::StudentT(d, t) => d.location() + d.scale() * rng.sample(t),
        }
    }
}

/// Returns an error for settings outside their range.
fn setting<T, E>(
    made: Result<T, E>,
    distribution: &'static str,
    got: &[f64],
    expected: &'static str,
) -> Result<T, PriorError> {
    let finite = got.iter().all(|value| value.is_finite());
    made.ok().filter(|_| finite).ok_or_else(|| PriorError::DistributionSetting {
        distribution,
        expected,
        got: got.to_vec(),
    })
}

impl Univariate {
    fn new(family: Family, support: Interval) -> Self {
        Self { family, support, cut: None }
    }

    /// Uniform from `low` to `high`, both rounded to f32.
    ///
    /// # Errors
    /// Unless `low < high`, both finite.
    pub fn uniform(low: f64, high: f64) -> Result<Self, PriorError> {
        let support = Interval::between(low as f32, high as f32)?;
        let (low, high) = (f64::from(low as f32), f64::from(high as f32));
        let made = setting(Uniform::new(low, high), "uniform", &[low, high], "low < high")?;
        Ok(Self::new(Family::Uniform(made), support))
    }

    /// Normal with this mean and standard deviation.
    ///
    /// # Errors
    /// Unless the standard deviation is above 0, and both are finite.
    pub fn normal(mean: f64, std: f64) -> Result<Self, PriorError> {
        let made = setting(Normal::new(mean, std), "normal", &[mean, std], "a mean, and a standard deviation above 0")?;
        Ok(Self::new(Family::Normal(made), Interval::Real))
    }

    /// Log-normal: ln θ is normal with this mean and standard deviation.
    ///
    /// # Errors
    /// Unless the standard deviation is above 0, and both are finite.
    pub fn log_normal(mean_log: f64, std_log: f64) -> Result<Self, PriorError> {
        let expected = "mean and standard deviation of the logarithm, the latter above 0";
        let made = setting(LogNormal::new(mean_log, std_log), "log-normal", &[mean_log, std_log], expected)?;
        Ok(Self::new(Family::LogNormal(made), Interval::Above(0.0)))
    }

    /// Gamma with this shape and rate: the mean is shape / rate.
    ///
    /// # Errors
    /// Unless both are above 0 and finite.
    pub fn gamma(shape: f64, rate: f64) -> Result<Self, PriorError> {
        let (got, expected) = ([shape, rate], "shape and rate above 0");
        let known = setting(Gamma::new(shape, rate), "gamma", &got, expected)?;
        let draws = setting(draws::Gamma::new(shape, 1.0 / rate), "gamma", &got, expected)?;
        Ok(Self::new(Family::Gamma(known, draws), Interval::Above(0.0)))
    }

    /// Beta with these shapes: the mean is α / (α + β).
    ///
    /// # Errors
    /// Unless both are above 0 and finite.
    pub fn beta(alpha: f64, beta: f64) -> Result<Self, PriorError> {
        let (got, expected) = ([alpha, beta], "two shapes above 0");
        let known = setting(Beta::new(alpha, beta), "beta", &got, expected)?;
        let draws = setting(draws::Beta::new(alpha, beta), "beta", &got, expected)?;
        Ok(Self::new(Family::Beta(known, draws), Interval::Between(0.0, 1.0)))
    }

    /// Exponential with this rate: the mean is 1 / rate.
    ///
    /// # Errors
    /// Unless the rate is above 0 and finite.
    pub fn exponential(rate: f64) -> Result<Self, PriorError> {
        let made = setting(Exp::new(rate), "exponential", &[rate], "a rate above 0")?;
        Ok(Self::new(Family::Exponential(made), Interval::Above(0.0)))
    }

    /// Half-normal: the absolute value of a normal variable with mean 0 and this standard deviation.
    ///
    /// # Errors
    /// Unless the standard deviation is above 0 and finite.
    pub fn half_normal(std: f64) -> Result<Self, PriorError> {
        let made = setting(Normal::new(0.0, std), "half-normal", &[std], "a standard deviation above 0")?;
        Self::new(Family::Normal(made), Interval::Real).truncated(0.0, f64::INFINITY)
    }

    /// Student's t with ν degrees of freedom, shifted by `location` and scaled by `scale`.
    ///
    /// # Errors
    /// Unless degrees of freedom and scale are above 0, and all are finite.
    pub fn student_t(degrees_of_freedom: f64, location: f64, scale: f64) -> Result<Self, PriorError> {
        let got = [degrees_of_freedom, location, scale];
        let expected = "degrees of freedom above 0, a location, and a scale above 0";
        let known = setting(StudentsT::new(location, scale, degrees_of_freedom), "student-t", &got, expected)?;
        let draws = setting(draws::StudentT::new(degrees_of_freedom), "student-t", &got, expected)?;
        Ok(Self::new(Family::StudentT(known, draws), Interval::Real))
    }

    /// The distribution truncated to `low` to `high`. Either bound may be infinite; both are rounded to f32.
    ///
    /// # Errors
    /// Unless `low < high`; an interval with a probability below 1e-9.
    pub fn truncated(self, low: f64, high: f64) -> Result<Self, PriorError> {
        let (was_low, was_high) = self.support.bounds();
        let (low, high) = ((low as f32).max(was_low), (high as f32).min(was_high));
        let support = match (low.is_finite(), high.is_finite()) {
            (false, false) => Interval::Real,
            (true, false) => Interval::Above(low),
            (false, true) => Interval::Below(high),
            (true, true) => Interval::Between(low, high),
        };
        let support = support.checked()?;
        if let Family::Uniform(_) = self.family {
            return Self::uniform(f64::from(low), f64::from(high));
        }
        let (low, high) = (f64::from(low), f64::from(high));
        let cdf = self.family.known();
        let below = if low.is_finite() { cdf.cdf(low) } else { 0.0 };
        // In the upper tail the difference of survival functions keeps the digits.
        let mass = match (low.is_finite(), high.is_finite()) {
            (true, false) => cdf.sf(low),
            (_, true) if below > 0.5 => cdf.sf(low) - cdf.sf(high),
            (_, true) => cdf.cdf(high) - below,
            (false, false) => 1.0,
        };
        if mass < LEAST_MASS || mass.is_nan() {
            return Err(PriorError::LittleMass { low, high, mass });
        }
        Ok(Self { family: self.family, support, cut: Some(Cut { low, high, mass, below }) })
    }

    /// The support.
    #[must_use]
    pub fn support(&self) -> Interval {
        self.support
    }

    /// The logarithm of the normalised density at a value; −∞ outside of the support.
    #[must_use]
    pub fn log_prob(&self, value: f32) -> f64 {
        if !self.support.contains(value) {
            return f64::NEG_INFINITY;
        }
        self.family.known().ln_pdf(f64::from(value)) - self.cut.map_or(0.0, |cut| cut.mass.ln())
    }

    /// Mean and standard deviation; NaN where they do not exist, as for Student's t with few degrees of freedom.
    #[must_use]
    pub fn mean_and_std(&self) -> (f64, f64) {
        let (mean, std) = self.family.moments();
        let Some(cut) = self.cut else { return (mean, std) };
        let bounded = cut.low.is_finite() && cut.high.is_finite();
        if !bounded && (mean.is_nan() || std.is_nan()) {
            return (f64::NAN, f64::NAN);
        }
        // E f(θ) = ∫ f(Q(p)) dp, with p the logistic function of u, so that both tails are reached. The trapezoidal
        // rule then converges faster than any power of its step.
        let (step, mut sums) = (0.05, [0.0; 2]);
        for k in -700..=700 {
            let p = 1.0 / (1.0 + (-step * f64::from(k)).exp());
            let value = self.quantile_of_cut(&cut, p);
            let weight = step * p * (1.0 - p);
            sums[0] += weight * value;
            sums[1] += weight * value * value;
        }
        (sums[0], (sums[1] - sums[0] * sums[0]).max(0.0).sqrt())
    }

    pub(crate) fn is_uniform(&self) -> bool {
        matches!(self.family, Family::Uniform(_))
    }

    /// Mean and standard deviation of a normal distribution without truncation.
    pub(crate) fn as_normal(&self) -> Option<(f64, f64)> {
        (matches!(self.family, Family::Normal(_)) && self.cut.is_none()).then(|| self.family.moments())
    }

    /// One draw; it lies in the support.
    pub fn sample(&self, rng: &mut StreamRng) -> f32 {
        let value = match &self.cut {
            None => self.family.sample(rng),
            // A tenth of the draws or more stay: no quantile is needed.
            Some(cut) if cut.mass > 0.1 => loop {
                let value = self.family.sample(rng);
                if cut.low <= value && value <= cut.high {
                    break value;
                }
            },
            Some(cut) => self.quantile_of_cut(cut, rng.random::<f64>()),
        };
        self.inside(value)
    }

    fn quantile_of_cut(&self, cut: &Cut, p: f64) -> f64 {
        // Not 1, which stands for infinity.
        let p = (cut.below + p * cut.mass).min(1.0 - f64::EPSILON / 2.0);
        self.family.known().inverse_cdf(p).clamp(cut.low, cut.high)
    }

    /// A value in f32 that rounding has not carried out of the support, nor onto a bound at which a density may be 0 or
    /// infinite.
    fn inside(&self, value: f64) -> f32 {
        let (low, high) = self.support.bounds();
        match self.family {
            Family::Uniform(_) => (value as f32).clamp(low, high),
            _ => (value as f32).clamp(low.next_up(), high.next_down()),
        }
    }
}

#[cfg(test)]
mod tests;
