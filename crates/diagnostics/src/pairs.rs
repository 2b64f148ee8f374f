//! Puts sets of samples over each other: each parameter alone, and all parameters in pairs.

mod error;

pub use error::PairPlotError;

use crate::checks::at_least;
use crate::grids::{Range, range_of, within};
use crate::{Extent, InputError, MarginalDensity, MarginalHistogram, PairDensity, PairHistogram, Result};
use bayesburn_core::{ParameterNames, settings::inside_unit_interval};
use ndarray::{Array2, ArrayView1, ArrayView2};
use std::borrow::Borrow;
use std::collections::HashSet;

/// What limits that nobody gave leave free on both sides, as a share of the range of samples and points.
const MARGIN: f64 = 0.02;
/// The label of the first set, unless it is named.
const FIRST: &str = "samples";
/// The shares of the mass inside the contours: 1, 2 and 2.6 standard deviations of a normal, in one dimension.
const CONTOURS: [f64; 3] = [0.68, 0.95, 0.99];

/// How a pair plot shows one parameter.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Diagonal {
    /// The samples in bins, as many as the rule of Freedman and Diaconis says.
    #[default]
    Histogram,
    /// The density, by a Gaussian kernel.
    Density,
}

/// How a pair plot shows two parameters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum OffDiagonal {
    /// The samples in 50 by 50 bins, the darker the more. Where several sets overlap, their colours mix.
    #[default]
    Histogram,
    /// The density on a grid of 50 by 50 points, by a Gaussian kernel, in shades as the histogram.
    Density,
    /// The smallest regions of that density that hold 68%, 95% and 99% of it, as lines.
    Contour,
    /// A dot for each sample, of at most 1,000 in a panel.
    Scatter,
}

/// Samples `[L, D]` or points `[P, D]` that a pair plot tells from others by a label and a colour.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct LabelledRows {
    pub(crate) label: String,
    pub(crate) samples: Array2<f32>,
}

/// One set of samples or several, with points such as the true parameters, to be seen one parameter at a time and in
/// pairs.
///
/// The figure has a panel for each parameter on its diagonal, and one for each pair above it. What the panels show is
/// there as numbers too, for each set, counted from 0 in the order in which they were added: histograms, densities and
/// the levels of contours. Samples outside the limits of a panel are left out of it, and counted.
///
/// Letters in shapes: L samples, D parameters, P points.
#[derive(Debug, Clone, PartialEq)]
pub struct PairPlot {
    names: ParameterNames,
    /// At least one.
    pub(crate) sets: Vec<LabelledRows>,
    pub(crate) points: Vec<LabelledRows>,
    limits: Vec<Range>,
    limits_given: bool,
    pub(crate) axis_labels: Vec<String>,
    pub(crate) subset: Vec<usize>,
    pub(crate) diagonal: Diagonal,
    pub(crate) upper: OffDiagonal,
    pub(crate) lower: Option<OffDiagonal>,
    /// Increasing.
    pub(crate) contours: Vec<f64>,
}

impl PairPlot {
    /// Names the first set in the legend. Default: `samples`.
    ///
    /// # Errors
    /// If another set or point has this label.
    pub fn named(mut self, label: impl Into<String>) -> Result<Self, PairPlotError> {
        let label = label.into();
        check_label(&label, self.sets.iter().skip(1).chain(&self.points))?;
        self.sets[0].label = label;
        Ok(self)
    }

    /// Adds another set of samples of the same parameters, `[L, D]` with an L of its own: the prior, the posterior for
    /// another data set, or one of another network.
    ///
    /// # Errors
    /// If the columns are not D, there is no row, a value is not finite, or another set or point has this label.
    pub fn with<'a>(
        mut self,
        label: impl Into<String>,
        samples: impl Into<ArrayView2<'a, f32>>,
    ) -> Result<Self, PairPlotError> {
        let (label, samples) = (label.into(), samples.into());
        if samples.ncols() != self.names.len() {
            return Err(InputError::Names { expected: self.names.len(), got: samples.ncols() }.into());
        }
        at_least(Extent::Draws, 1, samples.nrows())?;
        check_label(&label, self.sets.iter().chain(&self.points))?;
        self.check_finite(&label, samples)?;
        self.sets.push(LabelledRows { label, samples: samples.to_owned() });
        Ok(self.fitted())
    }

    /// Adds a point in parameter space, such as the true parameters, or P of them under one label: D values, or P · D
    /// values, point by point. Arrays and slices of f32 will do, and rows of an array of truths.
    ///
    /// # Errors
    /// If the number of values is 0 or no multiple of D, one is not finite, or another set or point has this label.
    pub fn with_points(
        mut self,
        label: impl Into<String>,
        values: impl IntoIterator<Item: Borrow<f32>>,
    ) -> Result<Self, PairPlotError> {
        let label = label.into();
        let values: Vec<f32> = values.into_iter().map(|value| *Borrow::<f32>::borrow(&value)).collect();
        let (got, parameters) = (values.len(), self.names.len());
        if got == 0 || !got.is_multiple_of(parameters) {
            return Err(PairPlotError::Points { label, parameters, got });
        }
        let samples = Array2::from_shape_fn((got / parameters, parameters), |(p, d)| values[p * parameters + d]);
        check_label(&label, self.sets.iter().chain(&self.points))?;
        self.check_finite(&label, samples.view())?;
        self.points.push(LabelledRows { label, samples });
        Ok(self.fitted())
    }

    /// Sets what each parameter's axis spans: D pairs of a lower and an upper limit, both inclusive. Default: the range
    /// of all samples and points, 2% wider on each side.
    ///
    /// # Errors
    /// If there are not D of them, or one is not a finite number below another.
    pub fn with_limits(self, limits: impl AsRef<[(f64, f64)]>) -> Result<Self, PairPlotError> {
        let limits = limits.as_ref();
        if limits.len() != self.names.len() {
            return Err(PairPlotError::NumLimits { expected: self.names.len(), got: limits.len() });
        }
        // Not normal: infinite, NaN, 0, or too small to be divided into bins.
        let empty = limits.iter().position(|(low, high)| low >= high || !(high - low).is_normal());
        if let Some(parameter) = empty {
            let ((low, high), parameter) = (limits[parameter], self.names[parameter].clone());
            return Err(PairPlotError::Limits { parameter, low, high });
        }
        Ok(Self { limits: limits.to_vec(), limits_given: true, ..self })
    }

    /// Sets what the axes are called, D labels. Default: the parameters' names.
    ///
    /// # Errors
    /// If there are not D of them.
    pub fn with_labels(self, labels: impl IntoIterator<Item: Into<String>>) -> Result<Self, PairPlotError> {
        let axis_labels: Vec<String> = labels.into_iter().map(Into::into).collect();
        if axis_labels.len() != self.names.len() {
            return Err(PairPlotError::NumAxisLabels { expected: self.names.len(), got: axis_labels.len() });
        }
        Ok(Self { axis_labels, ..self })
    }

    /// Shows only these parameters, counted from 0, in this order. Samples, points, limits and labels stay those of all
    /// D.
    ///
    /// # Errors
    /// If there is none, one is not below D, or one comes twice.
    pub fn with_subset(self, subset: &[usize]) -> Result<Self, PairPlotError> {
        let parameters = self.names.len();
        let mut seen = HashSet::new();
        if subset.is_empty() || !subset.iter().all(|&parameter| parameter < parameters && seen.insert(parameter)) {
            return Err(PairPlotError::Subset { parameters, got: subset.to_vec() });
        }
        Ok(Self { subset: subset.to_vec(), ..self })
    }

    /// Sets how single parameters are shown. Default: as histograms.
    #[must_use]
    pub fn with_diagonal(self, diagonal: Diagonal) -> Self {
        Self { diagonal, ..self }
    }

    /// Sets how pairs are shown, above the diagonal. Default: as histograms.
    #[must_use]
    pub fn with_off_diagonal(self, upper: OffDiagonal) -> Self {
        Self { upper, ..self }
    }

    /// Shows the pairs below the diagonal too, in a way of their own. Default: not.
    #[must_use]
    pub fn with_lower(self, lower: OffDiagonal) -> Self {
        Self { lower: Some(lower), ..self }
    }

    /// Sets the shares of the mass that contours hold. Default: 0.68, 0.95 and 0.99.
    ///
    /// # Errors
    /// If one is not strictly between 0 and 1.
    pub fn with_contours(self, masses: impl AsRef<[f64]>) -> Result<Self, PairPlotError> {
        let mut contours = masses.as_ref().to_vec();
        contours.iter().try_for_each(|&mass| inside_unit_interval("the mass inside a contour", mass))?;
        contours.sort_unstable_by(f64::total_cmp);
        Ok(Self { contours, ..self })
    }

    /// The parameters' names, D of them.
    #[must_use]
    pub fn names(&self) -> &ParameterNames {
        &self.names
    }

    /// The labels of the sets, in the order in which they were added.
    #[must_use]
    pub fn labels(&self) -> Vec<&str> {
        self.sets.iter().map(|set| set.label.as_str()).collect()
    }

    /// The lower and the upper limit of each parameter, D pairs.
    #[must_use]
    pub fn limits(&self) -> &[(f64, f64)] {
        &self.limits
    }

    /// One parameter's samples in bins.
    ///
    /// # Panics
    /// If there is no such set or parameter.
    #[must_use]
    pub fn marginal_histogram(&self, set: usize, parameter: usize) -> MarginalHistogram {
        MarginalHistogram::new(self.column(set, parameter), self.limits[parameter])
    }

    /// One parameter's density.
    ///
    /// # Panics
    /// If there is no such set or parameter.
    #[must_use]
    pub fn marginal_density(&self, set: usize, parameter: usize) -> MarginalDensity {
        MarginalDensity::new(self.column(set, parameter), self.limits[parameter])
    }

    /// Two parameters' samples in bins.
    ///
    /// # Panics
    /// If there is no such set or parameter.
    #[must_use]
    pub fn pair_histogram(&self, set: usize, parameters: [usize; 2]) -> PairHistogram {
        let columns = parameters.map(|parameter| self.column(set, parameter));
        PairHistogram::new(columns, parameters.map(|parameter| self.limits[parameter]))
    }

    /// Two parameters' joint density.
    ///
    /// # Panics
    /// If there is no such set or parameter.
    #[must_use]
    pub fn pair_density(&self, set: usize, parameters: [usize; 2]) -> PairDensity {
        let columns = parameters.map(|parameter| self.column(set, parameter));
        PairDensity::new(columns, parameters.map(|parameter| self.limits[parameter]))
    }

    /// The number of samples of a set that are outside the limits of at least one of the parameters shown.
    ///
    /// # Panics
    /// If there is no such set.
    #[must_use]
    pub fn num_outside(&self, set: usize) -> usize {
        self.count_outside(&self.sets[set])
    }

    /// [`PairPlot::num_outside`] for a set of samples or of points.
    pub(crate) fn count_outside(&self, set: &LabelledRows) -> usize {
        let shown = |row: &ArrayView1<'_, f32>| self.subset.iter().all(|&d| within(self.limits[d], row[d]));
        set.samples.rows().into_iter().filter(|row| !shown(row)).count()
    }

    fn column(&self, set: usize, parameter: usize) -> ArrayView1<'_, f32> {
        self.sets[set].samples.column(parameter)
    }

    /// The same with limits that hold all samples and points, unless the limits were given.
    fn fitted(mut self) -> Self {
        if !self.limits_given {
            let all = || self.sets.iter().chain(&self.points);
            let range = |parameter: usize| {
                range_of(all().flat_map(|set| set.samples.column(parameter)).map(|&x| f64::from(x)), MARGIN)
            };
            self.limits = (0..self.names.len()).map(range).collect();
        }
        self
    }

    fn check_finite(&self, label: &str, values: ArrayView2<'_, f32>) -> Result<(), PairPlotError> {
        match values.indexed_iter().find(|(_, x)| !x.is_finite()) {
            None => Ok(()),
            Some(((row, parameter), &value)) => {
                let (label, parameter) = (label.to_owned(), self.names[parameter].clone());
                Err(PairPlotError::NonFiniteRow { label, row, parameter, value })
            }
        }
    }
}

fn check_label<'a>(label: &str, mut others: impl Iterator<Item = &'a LabelledRows>) -> Result<(), PairPlotError> {
    if others.any(|set| set.label == label) {
        return Err(PairPlotError::SameLabel { label: label.to_owned() });
    }
    Ok(())
}

/// Samples one parameter at a time and in pairs: the posterior for one data set, and whatever is to be compared with
/// it.
///
/// [`PairPlot::with`] lays further sets over the first, such as the prior, and [`PairPlot::with_points`] marks points,
/// such as the true parameters.
///
/// # Shapes
/// Samples `[L, D]`, an array or a view such as [`Draws::data_set`](bayesburn_core::Draws::data_set) gives, and D
/// names.
///
/// # Errors
/// If the number of names is not D, there is no parameter, no sample, or a value is not finite.
///
/// ```
/// use bayesburn_core::Draws;
/// use bayesburn_diagnostics::{Diagonal, OffDiagonal, pair_plot};
/// use ndarray::{Array2, array};
///
/// let draws = array![[[0.0, 1.0], [1.0, 2.0], [2.0, 1.5]]];
/// let draws = Draws::new(["mu".to_owned(), "sigma".to_owned()].into(), draws)?;
/// let prior: Array2<f32> = array![[-3.0, 0.5], [4.0, 3.0]];
/// let truths: Array2<f32> = array![[0.5, 1.5]];
///
/// let pairs = pair_plot(draws.names(), draws.data_set(0))?
///     .named("posterior")?
///     .with("prior", &prior)?
///     .with_points("truth", truths.row(0))?
///     .with_limits([(-4.0, 4.0), (0.0, 2.0)])?
///     .with_labels(["μ", "σ"])?
///     .with_diagonal(Diagonal::Density)
///     .with_off_diagonal(OffDiagonal::Contour);
///
/// assert_eq!(pairs.pair_histogram(0, [0, 1]).counts.sum(), 3);
/// assert_eq!(pairs.num_outside(1), 1); // the prior's second draw has σ = 3
/// assert_eq!(pairs.marginal_histogram(1, 1).outside, 1);
/// let density = pairs.pair_density(0, [0, 1]);
/// assert!(density.level(0.68) > density.level(0.95));
/// # #[cfg(feature = "plots")]
/// assert!(pairs.plot().to_svg().contains("posterior"));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn pair_plot<'a>(
    names: &ParameterNames,
    samples: impl Into<ArrayView2<'a, f32>>,
) -> Result<PairPlot, PairPlotError> {
    at_least(Extent::Parameters, 1, names.len())?;
    let empty = PairPlot {
        names: names.clone(),
        sets: Vec::new(),
        points: Vec::new(),
        limits: Vec::new(),
        limits_given: false,
        axis_labels: names.to_vec(),
        subset: (0..names.len()).collect(),
        diagonal: Diagonal::default(),
        upper: OffDiagonal::default(),
        lower: None,
        contours: CONTOURS.to_vec(),
    };
    empty.with(FIRST, samples)
}
