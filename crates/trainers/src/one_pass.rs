//! Takes the steps of Adam and AdamW by kernels.
//!
//! Tensor by tensor, Burn's Adam is a dozen operations, each of which goes through memory and allocates; 140 tensors with 363k parameters
//! took 1.8 ms, a third of a step. Here all are one piece of work, on all cores, that clips as well.

use crate::Optimizer;
use bayesburn_kernels::{Adam, Moments, Operands, Updated, global_norm};
use bayesburn_networks::with_parameters;
use burn::{
    config::Config,
    module::{Module, ModuleVisitor, Param, ParamId},
    optim::{
        AdamState, AdaptiveMomentumState, GradientsParams, LearningRate, OptimizerRecord,
        module_optimizer::ModuleOptimizer,
    },
    tensor::{Device, Tensor, TensorData},
};
use serde::{Deserialize, de::IgnoredAny};
use std::{
    collections::{HashMap, VecDeque},
    ops::Range,
    sync::{Arc, Mutex, PoisonError},
};

#[derive(Debug, Clone)]
pub(crate) struct OnePass {
    adam: Adam,
    moments: HashMap<ParamId, Moments>,
}

/// What Burn's configurations hold: their fields are private, what they are written as is not.
#[derive(Deserialize)]
struct Constants {
    beta_1: f32,
    beta_2: f32,
    epsilon: f32,
    amsgrad: bool,
    #[serde(default)]
    cautious_weight_decay: bool,
    grad_clipping: Option<IgnoredAny>,
}

#[derive(Deserialize)]
struct Decay {
    weight_decay: Option<f32>,
}

impl OnePass {
    /// `None` for what kernels do not have: other optimizers, AMSGrad, cautious or coupled weight decay, clipping tensor by tensor.
    pub(crate) fn new(optimizer: &Optimizer) -> Option<Self> {
        let written = match optimizer {
            Optimizer::Adam(config) => written(config)?,
            Optimizer::AdamW(config) => written(config)?,
            Optimizer::RmsProp(_) | Optimizer::Sgd(_) => return None,
        };
        let constants: Constants = serde_json::from_str(&written).ok()?;
        // Adam's own decay is written as a structure, which is no number.
        let weight_decay = serde_json::from_str::<Decay>(&written).ok()?.weight_decay.unwrap_or(0.0);
        let Constants { beta_1, beta_2, epsilon, amsgrad, cautious_weight_decay, grad_clipping } = constants;
        let plain = !amsgrad && !cautious_weight_decay && grad_clipping.is_none();
        let adam = Adam { beta_1, beta_2, epsilon, weight_decay };
        plain.then(|| Self { adam, moments: HashMap::new() })
    }

    pub(crate) fn step<M: Module>(
        &mut self,
        networks: &M,
        gradients: GradientsParams,
        rate: f64,
        max_norm: Option<f64>,
    ) -> Result<(M, f64), f64> {
        let mut collected = Collected { gradients, ..Collected::default() };
        networks.visit(&mut collected);
        let Collected { ids, parameters, of_parameters, .. } = collected;
        let mut values =
            parameters.with_numbers(|slices| slices.iter().map(|slice| slice.to_vec()).collect::<Vec<_>>());
        let norm = of_parameters.with_numbers(|gradients| {
            let norm = global_norm(gradients);
            let slices = values.iter_mut().map(Vec::as_mut_slice).zip(gradients.iter().copied());
            self.update(&ids, slices, norm, rate, max_norm).map(|()| norm)
        })?;
        Ok((with_parameters(networks.clone(), ids.into_iter().zip(values).collect()), norm))
    }

    /// As [`Updater::step_directly`](crate::updater::Updater::step_directly).
    pub(crate) fn step_directly(
        &mut self,
        parameters: impl Iterator<Item = (ParamId, Range<usize>)>,
        mut values: &mut [f32],
        (gradients, norm): (&[f32], f64),
        rate: f64,
        max_norm: Option<f64>,
    ) -> Result<(), f64> {
        let (ids, places): (Vec<_>, Vec<_>) = parameters.unzip();
        let mut done = 0;
        let slices = places.into_iter().map(|place| {
            let (parameter, rest) = std::mem::take(&mut values)[place.start - done..].split_at_mut(place.len());
            (values, done) = (rest, place.end);
            (parameter, &gradients[place])
        });
        self.update(&ids, slices, norm, rate, max_norm)
    }

    /// A step with these parameters and their gradients, of this norm.
    fn update<'a>(
        &mut self,
        ids: &[ParamId],
        slices: impl Iterator<Item = (&'a mut [f32], &'a [f32])>,
        norm: f64,
        rate: f64,
        max_norm: Option<f64>,
    ) -> Result<(), f64> {
        if !norm.is_finite() {
            return Err(norm);
        }
        let factor = max_norm.map_or(1.0, |max_norm| if norm > max_norm { max_norm / norm } else { 1.0 });
        let mut moments: Vec<Moments> = ids.iter().map(|id| self.moments.remove(id).unwrap_or_default()).collect();
        let updated = slices.zip(&mut moments);
        let updated = updated.map(|((parameter, gradient), moments)| Updated { parameter, gradient, moments });
        self.adam.step(rate as f32, factor as f32, updated.collect());
        self.moments.extend(ids.iter().copied().zip(moments));
        Ok(())
    }

    pub(crate) fn to_record<M: Module>(&self, networks: &M) -> OptimizerRecord {
        let mut all = Numbered::default();
        networks.visit(&mut all);
        let moments = all.ids.iter().map(|(id, _)| self.moments.get(id).cloned()).collect();
        let mut optimizer = ModuleOptimizer::from(Exchange { moments: Arc::new(Mutex::new(moments)), gives: true });
        let _ = optimizer.step(0.0, networks.clone(), all.zeros);
        optimizer.to_record()
    }

    /// Takes the moments of a state in Burn's format.
    ///
    /// # Errors
    /// Moments of another length than their parameter.
    pub(crate) fn restore<M: Module>(&mut self, record: OptimizerRecord, networks: &M) -> Result<(), String> {
        let mut all = Numbered::default();
        networks.visit(&mut all);
        let exchange = Exchange { moments: Arc::default(), gives: false };
        let moments = Arc::clone(&exchange.moments);
        let mut optimizer = ModuleOptimizer::from(exchange).load_record(record);
        let _ = optimizer.step(0.0, networks.clone(), all.zeros);
        let moments = std::mem::take(&mut *moments.lock().unwrap_or_else(PoisonError::into_inner));
        let mut restored = HashMap::new();
        for ((id, len), moments) in all.ids.into_iter().zip(moments) {
            let Some(moments) = moments else { continue };
            if [moments.first.len(), moments.second.len()] != [len; 2] {
                let got = moments.first.len();
                return Err(format!("{got} moments for a parameter of {len} numbers: it is of other networks"));
            }
            restored.insert(id, moments);
        }
        self.moments = restored;
        Ok(())
    }
}

fn written(config: &impl Config) -> Option<String> {
    serde_json::to_string(config).ok()
}

/// Whether kernels work on the first parameter: all are on one device.
pub(crate) fn runs_on<M: Module>(networks: &M) -> bool {
    struct First(Option<bool>);
    impl ModuleVisitor for First {
        fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
            self.0.get_or_insert_with(|| bayesburn_kernels::runs_on(&param.val()));
        }
    }
    let mut first = First(None);
    networks.visit(&mut first);
    first.0.unwrap_or(false)
}

/// The parameters that have a gradient.
#[derive(Default)]
struct Collected {
    gradients: GradientsParams,
    ids: Vec<ParamId>,
    parameters: Operands,
    of_parameters: Operands,
}

impl ModuleVisitor for Collected {
    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
        if let Some(gradient) = self.gradients.remove::<D>(param.id) {
            self.ids.push(param.id);
            self.parameters.push(param.val().inner());
            self.of_parameters.push(gradient);
        }
    }
}

/// All parameters in their order, with gradients of 0.
#[derive(Default)]
struct Numbered {
    /// With the number of their values.
    ids: Vec<(ParamId, usize)>,
    zeros: GradientsParams,
}

impl ModuleVisitor for Numbered {
    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
        self.ids.push((param.id, param.shape().num_elements()));
        self.zeros.register(param.id, param.val().inner().zeros_like());
    }
}

/// Carries moments into the state of one of Burn's optimizers, or out of it, parameter by parameter in their order: only so are
/// they written and read in Burn's format. It changes no parameter.
#[derive(Clone)]
struct Exchange {
    moments: Arc<Mutex<VecDeque<Option<Moments>>>>,
    gives: bool,
}

impl burn::optim::Optimizer for Exchange {
    type State<const D: usize> = AdamState<D>;

    fn step<const D: usize>(
        &self,
        _rate: LearningRate,
        parameter: Tensor<D>,
        _gradient: Tensor<D>,
        state: Option<AdamState<D>>,
    ) -> (Tensor<D>, Option<AdamState<D>>) {
        let mut moments = self.moments.lock().unwrap_or_else(PoisonError::into_inner);
        if !self.gives {
            let values = |moment: Tensor<D>| moment.into_data_as::<f32>().try_into_vec().expect("converted to f32");
            moments.push_back(state.map(|AdamState { momentum }| Moments {
                time: momentum.time,
                first: values(momentum.moment_1),
                second: values(momentum.moment_2),
            }));
            return (parameter, None);
        }
        let state = moments.pop_front().flatten().map(|Moments { time, first, second }| {
            let moment =
                |values: Vec<f32>| Tensor::from_data(TensorData::new(values, parameter.dims()), &parameter.device());
            AdamState::new(AdaptiveMomentumState::new(time, moment(first), moment(second)))
        });
        (parameter, state)
    }

    fn to_device<const D: usize>(mut state: AdamState<D>, device: &Device) -> AdamState<D> {
        state.momentum = state.momentum.to_device(device);
        state
    }
}
