//! Checks amortized posteriors: each statistic is plain data first, then a figure, then part of a report.
//!
//! Most checks take posterior draws and the true parameters of simulated data sets, from any sampler, and return a
//! struct of numbers. With the feature `plots` (default) it has a method `plot`, which gives a `Figure` to save as PNG
//! or SVG.
//!
//! | function | what it checks | reference |
//! |---|---|---|
//! | [`losses`] | whether training has converged without overfitting | |
//! | [`compare_losses`] | which of several trainings has the lowest loss, and which reaches it first | |
//! | [`latent_space`] | whether the latent variables are standard normal | Radev et al. 2020 |
//! | [`prior_pairs`] | whether draws of the prior look as intended | Gabry et al. 2019 |
//! | [`pair_plot`] | the shape of a posterior, beside the prior, other posteriors and the truth | |
//! | [`recovery`] | whether posterior medians recover the truths | Radev et al. 2020 |
//! | [`z_score_contraction`] | how much posteriors contract, and whether means agree with widths | Schad et al. 2021 |
//! | [`sbc_ranks`] | the ranks that the next functions judge | Talts et al. 2018 |
//! | [`sbc_histograms`] | calibration at a glance, bin by bin | Talts et al. 2018 |
//! | [`sbc_ecdf`] | calibration as a test: is the whole ECDF in its band? | Säilynoja, Bürkner & Vehtari 2022 |
//! | [`sbc_tests`] | calibration in numbers: bias, spread and shape of ranks, with p-values | Modrák et al. 2025 |
//! | [`central_coverage`] | how often central intervals contain the truth | Hermans et al. 2022 |
//! | [`highest_density_coverage`] | how often regions of highest density contain the truth | Hermans et al. 2022 |
//! | [`calibration_error`] | the error of central coverage in one number | Radev et al. 2020 |
//! | [`tarp`] | joint coverage of all parameters, from draws alone | Lemos et al. 2023 |
//! | [`quantity_ranks`] | ranks of functions of parameters and data | Modrák et al. 2025 |
//! | [`product_ranks`], [`distance_ranks`], [`density_ranks`] | ranks of built-in quantities | Modrák et al. 2025 |
//! | [`estimation_errors`] | how far draws are from the truths | |
//! | [`predictive_check`] | whether data simulated from a posterior resemble the observed data | Gelman et al. 1996 |
//! | [`sensitivity_grid`] | how results change as data depart from the model | Radev et al. 2023 |
//! | [`posterior_shifts`] | how a posterior changes with its prior, or by an observation | Elsemüller et al. 2024 |
//! | [`prior_pushforward`] | which data a prior predicts | Gabry et al. 2019 |
//! | [`model_calibration`], [`confusion_matrix`] | probabilities of models | Guo et al. 2017 |
//!
//! [`DiagnosticsSuite`] runs all checks that can fail, with one joint false-alarm rate, and describes what is wrong.
//! Its [`Report`] can be printed, or saved as HTML, Markdown, JUnit XML and JSON.
//!
//! If a reference posterior of the same data is known, compare its samples with the draws directly:
//!
//! | function | how far apart two sample sets are | reference |
//! |---|---|---|
//! | [`c2st`] | accuracy of a classifier: 0.5 (guessing) to 1 | Lopez-Paz & Oquab 2017; Lueckmann et al. 2021 |
//! | [`LocalC2st`] | a classifier trained on many data sets, for one observation | Linhart et al. 2023 |
//! | [`mmd`] | squared maximum mean discrepancy with a Gaussian kernel | Gretton et al. 2012 |
//! | [`mmd_test`] | the same as a test whether observed data could come from a model | Schmitt et al. 2023 |
//! | [`sliced_wasserstein`] | mean distance of projections, in the parameters' units | Bonneel et al. 2015 |
//!
//! | type | what it is |
//! |---|---|
//! | [`Ranks`] | ranks of the truths, counted here or elsewhere, for all functions that judge ranks |
//! | [`SuiteInput`] | the suite's input: draws and truths; optionally data, densities and quantities |
//! | [`PairPlot`] | histograms, densities and contours of several sample sets, overlaid |
//! | [`EcdfBands`] | the exact simultaneous band for the ECDF of uniform ranks |
//! | [`InputError`], [`RankError`], [`TwoSampleError`], … | what is wrong with the input, by topic, and what to do |
//! | [`DiagnosticsError`] | any of them |
//!
//! All checks of calibration need independent draws for different data sets. If all data sets share the same random
//! numbers, exact posteriors fail: 85% of them at M = 500 and L = 99. A posterior of bayesburn uses the same latent
//! numbers in every call with the same seed. So pass all data sets to one call of `sample` or `sample_for`, or, for one
//! data set at a time, its index to `sample_numbered`. Give any other sampler a new seed for each data set, or one
//! generator for all.
//!
//! Letters in shapes: M data sets, L draws for each, D parameters; N and M rows of two sample sets.
//!
//! ```
//! use bayesburn_core::{Draws, Purpose, stream};
//! use bayesburn_diagnostics::{sbc_ecdf, z_score_contraction};
//! use ndarray::{Array2, Array3};
//! use rand::RngExt;
//! use rand_distr::StandardNormal;
//!
//! // θ ~ N(0, 1) and x ~ N(θ, 1), whose posterior is N(x/2, 1/2): 200 data sets, 99 draws for each.
//! let mut rng = stream(2023, Purpose::new("diagnostics example"), 0);
//! let mut normal = || -> f32 { rng.sample(StandardNormal) };
//! let truths = Array2::from_shape_simple_fn((200, 1), &mut normal);
//! let x = truths.mapv(|theta| theta + normal());
//! let draws = Array3::from_shape_fn((200, 99, 1), |(m, _, _)| x[[m, 0]] / 2.0 + normal() * 0.5_f32.sqrt());
//! let draws = Draws::new(["theta".to_owned()].into(), draws)?;
//!
//! assert!(sbc_ecdf(&draws, &truths)?.all_inside());
//! let contraction = z_score_contraction(&draws, &truths)?.mean_contractions[0];
//! assert!((contraction - 0.5).abs() < 0.1);
//!
//! // Draws that are too narrow leave the band.
//! let narrow = Array3::from_shape_fn((200, 99, 1), |(m, _, _)| x[[m, 0]] / 2.0 + normal() * 0.3);
//! let narrow = Draws::new(["theta".to_owned()].into(), narrow)?;
//! assert!(!sbc_ecdf(&narrow, &truths)?.all_inside());
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # Features
//! - `plots` (default): figures, with the crate kuva. Without it, numbers stay, and no drawing code is compiled.

mod calibration;
mod checks;
mod comparison;
mod contraction;
mod error;
mod estimation;
mod grids;
mod input_error;
mod losses;
mod models;
mod moments;
mod pairs;
mod panels;
#[cfg(feature = "plots")]
mod plots;
mod predictive;
mod recovery;
mod samples;
mod sensitivity;
mod suite;
mod two_sample;

pub use calibration::{Bins, RankHistograms, sbc_histograms};
pub use calibration::{CalibrationError, calibration_error};
pub use calibration::{Coverage, Region, central_coverage, highest_density_coverage};
pub use calibration::{EcdfBands, EcdfConfig, EcdfVerdict, Family, RankEcdfs, sbc_ecdf, sbc_ecdf_with};
pub use calibration::{HypothesisTest, RankError, RankTests, Ranks, sbc_ranks, sbc_tests};
pub use calibration::{Tarp, density_ranks, distance_ranks, product_ranks, quantity_ranks, tarp};
pub use comparison::{Cost, LossComparison, LossError, LossPanel, TrainingCurve, compare_losses};
pub use contraction::{PriorVariances, ZScoreContraction, z_score_contraction, z_score_contraction_with};
pub use error::{DiagnosticsError, Result};
pub use estimation::{EstimationErrors, estimation_errors};
pub use input_error::{Extent, InputError, InputValue};
pub use losses::{LossCurves, losses};
pub use models::{CalibrationBin, ConfusionMatrix, ModelCalibration, ModelError, confusion_matrix, model_calibration};
pub use pairs::{Diagonal, OffDiagonal, PairPlot, PairPlotError, pair_plot};
pub use panels::{MarginalDensity, MarginalHistogram, PairDensity, PairHistogram};
#[cfg(feature = "plots")]
pub use plots::{EcdfPanels, EcdfPlot, EcdfScale, Figure, FigureError};
pub use predictive::{Observed, PredictiveCheck, predictive_check, prior_pushforward};
pub use recovery::{Recovery, recovery};
pub use samples::{LatentSpace, PriorPairs, SampleMoments, latent_space, prior_pairs};
pub use sensitivity::{PosteriorShifts, SensitivityGrid, posterior_shifts, sensitivity_grid};
pub use suite::{Check, CheckKind, ContextRange, Detectable, DiagnosticsSuite, Limit, LimitCheck, SuiteInput};
pub use suite::{LimitError, Metrics, ParameterMetrics, Report, ReportError, Side, Stratum};
pub use two_sample::{Bandwidth, Mmd, MmdConfig, MmdEstimator, mmd, mmd_with, sliced_wasserstein};
pub use two_sample::{C2st, C2stConfig, c2st, c2st_with};
pub use two_sample::{LocalC2st, LocalC2stConfig, LocalTest};
pub use two_sample::{MmdTest, MmdTestConfig, mmd_test, mmd_test_with};
pub use two_sample::{SampleSet, TwoSampleError};
