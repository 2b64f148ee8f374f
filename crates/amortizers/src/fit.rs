//! Makes a posterior's networks, and fits to pilot simulations what is not trained: standardisation, regression,
//! normalisation.

use crate::{
    AmortizedPosterior, AmortizerError, Configured, PosteriorConfig, PosteriorNetworks, Standardization, SummaryLoss,
    encoded::{Encoded, rows},
    networks::tensor,
    regression::{MOST_FEATURES, Predictor, Regression, fitted_rows},
    standardize::{ColumnMoments, Standardizer},
    widths::Widths,
};
use bayesburn_core::{Interval, settings::in_range};
use bayesburn_networks::{
    ConditionWidths, ConfigError, InferenceConfig, InferenceNetwork, ParameterInit, Pass, SummaryConfig,
    SummaryNetwork, check_device, number_parameters,
};
use burn::tensor::Device;
use ndarray::{Array2, Axis, concatenate};
use std::sync::Arc;

impl<C: SummaryConfig, I: InferenceConfig> AmortizedPosterior<C, I> {
    /// Random weights, identity standardisation.
    pub(crate) fn untrained(
        config: PosteriorConfig<C, I>,
        widths: Widths,
        seed: u64,
        device: &Device,
    ) -> Result<Self, AmortizerError> {
        check_device(device)?;
        Self::untrained_by(config, widths, &mut ParameterInit::new(seed, &device.clone().autodiff()))
    }

    /// [`AmortizedPosterior::untrained`] with weights from elsewhere.
    pub(crate) fn untrained_by(
        config: PosteriorConfig<C, I>,
        widths: Widths,
        init: &mut ParameterInit,
    ) -> Result<Self, AmortizerError> {
        if let Some(SummaryLoss::Mmd { weight }) = config.summary_loss {
            let holds = weight >= 0.0 && weight.is_finite();
            in_range(holds, "summary_loss.weight", "at least 0 and finite", weight).map_err(ConfigError::from)?;
        }
        for support in [&config.support, &config.bounds].into_iter().flatten() {
            let (expected, got) = (widths.names.len(), support.len());
            if expected != got {
                return Err(AmortizerError::Support { expected, got });
            }
            support.iter().try_for_each(|interval| interval.checked().map(|_| ()))?;
        }
        let device = init.device().clone();
        let summary = config.summary.init(&widths.shape(), init)?;
        let derived = widths.derived();
        let width_of_direct = widths.direct + derived.width();
        let condition = ConditionWidths { summaries: summary.summary_dim(), direct: width_of_direct };
        let inference = config.inference.init(widths.names.len(), condition, init)?;
        let mut standardizer = |applies: bool, width| {
            applies.then(|| {
                init.spend(&[2, width]);
                Standardizer::identity(width, &device)
            })
        };
        let all = config.standardizes_data();
        let of_data = config.summary.num_observations() == Some(1) && widths.is_plain();
        let features = width_of_direct + if of_data { widths.features } else { 0 };
        let regresses = config.standardization == Standardization::All && (1..=MOST_FEATURES).contains(&features);
        let parameters = standardizer(config.standardization != Standardization::None, widths.names.len());
        let data = standardizer(all, widths.features);
        let direct = standardizer(all && width_of_direct > 0, width_of_direct);
        let regression = regresses.then(|| {
            init.spend(&[features, widths.names.len()]);
            Regression::none(features, widths.names.len(), of_data, &device)
        });
        let masked = widths.masked();
        let networks = PosteriorNetworks { summary, inference, parameters, data, direct, regression, masked, derived };
        let names = widths.names.iter().cloned().collect();
        Ok(Self {
            config,
            names,
            widths,
            networks: number_parameters(networks),
            device,
            evaluator: Arc::default(),
            range: None,
            reference: Arc::default(),
            familiar: Arc::default(),
            any_num_observations: false,
        })
    }

    /// Sets the standardisation's constants; returns the moments of the data's columns and of the targets.
    pub(crate) fn fit_standardization(&mut self, pilot: &[Configured]) -> (Vec<ColumnMoments>, Vec<ColumnMoments>) {
        let device = &self.device;
        let targets: Vec<_> = pilot.iter().map(|batch| self.support().targets(&batch.parameters)).collect();
        let targets = ColumnMoments::of_columns(targets.iter().map(|targets| targets.values.view()), 0);
        if self.networks.parameters.is_some() {
            self.networks.parameters = Some(Standardizer::fitted(&targets, device));
        }
        let of_input = |(input, &masked): (usize, &usize)| {
            let flat: Vec<Array2<f32>> = pilot.iter().map(|batch| batch.conditions.rows_of(input)).collect();
            ColumnMoments::of_columns(flat.iter().map(|rows| rows.view()), masked)
        };
        let columns: Vec<ColumnMoments> = self.widths.masked().iter().enumerate().flat_map(of_input).collect();
        if self.networks.data.is_some() {
            self.networks.data = Some(Standardizer::fitted(&columns, device));
        }
        if self.networks.direct.is_some() {
            let data = self.networks.data.as_ref().map(Standardizer::constants);
            let rows = pilot.iter().map(|batch| self.networks.derived.appended(&batch.conditions, data.as_ref()));
            let rows: Vec<_> = rows.flatten().collect();
            let moments = ColumnMoments::of_columns(rows.iter().map(|rows| rows.view()), 0);
            self.networks.direct = Some(Standardizer::fitted(&moments, device));
        }
        (columns, targets)
    }

    /// Fits the regression, if there is to be one, and scales parameters by what it leaves of them.
    pub(crate) fn fit_regression(&mut self, pilot: &[Configured], targets: &[ColumnMoments]) {
        let Some(regression) = &self.networks.regression else { return };
        let all = pilot.iter().map(Configured::len).sum();
        let mut chosen = fitted_rows(all, regression.num_features()).peekable();
        let (mut features, mut parameters, mut start) = (Vec::new(), Vec::new(), 0);
        for batch in pilot {
            let end = start + batch.len();
            let of_batch: Vec<usize> =
                std::iter::from_fn(|| chosen.next_if(|row| *row < end)).map(|row| row - start).collect();
            start = end;
            if of_batch.is_empty() {
                continue;
            }
            let conditions = batch.conditions.select(&of_batch);
            let (data, direct) = self.networks.standardized_conditions(&conditions, &self.device);
            features.push(rows(&regression.features(&data, direct)));
            let targets = self.support().targets(&batch.parameters).values.select(Axis(0), &of_batch);
            let targets = tensor::<2, _>(&targets, &self.device);
            parameters.push(rows(&self.networks.standardized_targets(targets, None)));
        }
        let joined = |parts: &[Array2<f32>]| {
            let views: Vec<_> = parts.iter().map(|part| part.view()).collect();
            concatenate(Axis(0), &views).expect("of one width, which was checked")
        };
        let (features, parameters) = (joined(&features), joined(&parameters));
        let (means, stds) = self.parameter_standardization();
        let standardized = |value: f32, d: usize| f64::from((value - means[d]) / stds[d]);
        // Those of targets.
        let bounds = (0..means.len()).map(|d| match (&self.config.support, &self.config.bounds) {
            (support, Some(bounds)) => {
                let map = support.as_ref().map_or(Interval::Real, |support| support[d]);
                let (low, high) = bounds[d].bounds();
                (standardized(map.to_real(low) as f32, d), standardized(map.to_real(high) as f32, d))
            }
            _ => (f64::NEG_INFINITY, f64::INFINITY),
        });
        let bounds: Vec<(f64, f64)> = bounds.collect();
        // Some rows may be the same where all are not.
        let deviations = parameters.std_axis(Axis(0), 0.0);
        let varies: Vec<bool> = targets.iter().zip(&deviations).map(|(of, std)| of.varies() && *std > 0.0).collect();
        let (of_data, statistics) = (regression.is_of_data(), self.networks.derived.num_statistics());
        let (predictor, left) = Predictor::fitted((of_data, statistics), &features, &parameters, &varies, &bounds);
        let stds = stds.iter().zip(left).map(|(std, left)| std * left).collect();
        self.networks.regression = Some(Regression::new(predictor, &self.device));
        self.networks.parameters = Some(Standardizer::of(means, stds, &self.device));
    }

    /// Fits on all pilot batches that have as many observations as the first: only these fit into one tensor.
    pub(crate) fn fit_inference_network(mut self, pilot: &[Configured]) -> Result<Self, AmortizerError> {
        let observations = |batch: &Configured| batch.conditions.range_of_observations();
        let all = !self.widths.is_plain();
        let alike = pilot.iter().filter(|batch| all || observations(batch) == observations(&pilot[0]));
        let batch = Configured::joined(&alike.cloned().collect::<Vec<_>>())?;
        let mut pass = Pass::inference(0);
        let Encoded { condition, predicted } = self.networks.encode(&batch.conditions, &self.device, &mut pass);
        let targets = tensor::<2, _>(&*self.support().targets(&batch.parameters).values, &self.device);
        let targets = self.networks.standardized_targets(targets, predicted);
        let inference = self.networks.inference.clone();
        self.networks.inference = inference.initialised(targets, &condition, &mut pass);
        Ok(self)
    }
}
