//! Takes the steps of Adam and AdamW by kernels.
//!
//! Tensor by tensor, Burn's Adam is a dozen operations, each of which goes through memory and allocates; 140 tensors
//! with 363k parameters took 1.8 ms, a third of a step. Here all are one piece of work, on all cores, that clips as
//! well.

use crate::Optimizer;
#[cfg(feature = "gpu")]
use bayesburn_amortizers::{DensityPart, DirectLoss};
use bayesburn_kernels::{Adam, Moments, Operands, Updated, global_norm};
use bayesburn_networks::with_parameters;
use burn::{
    config::Config,
    module::{Module, ModuleVisitor, Param, ParamId},
    optim::{
        GradientsParams, LearningRate, OptimizerRecord, RecordState, StateSink, StateSource, join_path,
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

/// Adam's state, each moment of all parameters in one array.
#[cfg(feature = "gpu")]
#[derive(Debug)]
pub(crate) struct DirectState {
    /// The number of steps of each part's parameters.
    pub(crate) times: [usize; 2],
    pub(crate) first: Vec<f32>,
    pub(crate) second: Vec<f32>,
}

#[derive(Debug, Clone)]
pub(crate) struct OnePass {
    adam: Adam,
    moments: HashMap<ParamId, Moments>,
}

/// The fields of Burn's configurations. They are private, so they are read from the serialised form.
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
    /// `None` for what kernels do not support: other optimizers, AMSGrad, cautious or coupled weight decay, clipping
    /// tensor by tensor.
    pub(crate) fn new(optimizer: &Optimizer) -> Option<Self> {
        let written = match optimizer {
            Optimizer::Adam(config) => written(config)?,
            Optimizer::AdamW(config) => written(config)?,
            Optimizer::RmsProp(_) | Optimizer::Sgd(_) => return None,
        };
        let constants: Constants = serde_json::from_str(&written).ok()?;
        // Adam's own weight decay is serialised as a structure, not as a number.
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

    /// As [`Updater::step_directly`](super::Updater::step_directly).
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

    /// The constants of its steps.
    #[cfg(feature = "gpu")]
    pub(crate) fn adam(&self) -> Adam {
        self.adam
    }

    /// The state with all parameters' numbers in the places of these; `None` if parameters of one part have taken
    /// unequal numbers of steps.
    #[cfg(feature = "gpu")]
    pub(crate) fn direct_state(&self, loss: &DirectLoss) -> Option<DirectState> {
        let mut times = [None; 2];
        let (mut first, mut second) = (Vec::new(), Vec::new());
        for (id, part, range) in loss.parameters() {
            let moments = self.moments.get(&id).cloned().unwrap_or_default();
            let time = &mut times[usize::from(part == DensityPart::Inference)];
            if time.is_some_and(|time| time != moments.time) {
                return None;
            }
            *time = Some(moments.time);
            for (all, of) in [(&mut first, moments.first), (&mut second, moments.second)] {
                all.extend(of);
                all.resize(range.end, 0.0);
            }
        }
        Some(DirectState { times: times.map(|time| time.unwrap_or(0)), first, second })
    }

    #[cfg(feature = "gpu")]
    pub(crate) fn set_direct_state(&mut self, loss: &DirectLoss, state: &DirectState) {
        for (id, part, range) in loss.parameters() {
            let time = state.times[usize::from(part == DensityPart::Inference)];
            if time > 0 {
                let (first, second) = (state.first[range.clone()].to_vec(), state.second[range].to_vec());
                self.moments.insert(id, Moments { time, first, second });
            }
        }
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
                return Err(format!("{got} moments for a parameter of {len} values: it belongs to other networks"));
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

/// Carries moments into the state of one of Burn's optimizers, or out of it, parameter by parameter in their order:
/// only so are they written and read in Burn's format. It changes no parameter.
#[derive(Clone)]
struct Exchange {
    moments: Arc<Mutex<VecDeque<Option<Moments>>>>,
    gives: bool,
}

/// [`Moments`] as Burn writes the state of Adam. Their numbers stay arrays: tensors would be made on Burn's default
/// device, which, in a program that was built with CUDA, is a GPU that may not be there.
#[derive(Clone)]
struct Written {
    moments: Moments,
    shape: Vec<usize>,
}

impl RecordState for Written {
    fn state_flatten(&self, prefix: &str, out: &mut StateSink) {
        let prefix = join_path(prefix, "momentum");
        let Moments { time, first, second } = &self.moments;
        out.push_scalar(&prefix, "time", (*time).into());
        out.push_tensor(&prefix, "moment_1", TensorData::new(first.clone(), self.shape.clone()));
        out.push_tensor(&prefix, "moment_2", TensorData::new(second.clone(), self.shape.clone()));
    }

    fn state_unflatten(prefix: &str, source: &mut StateSource, _device: &Device) -> Option<Self> {
        let prefix = join_path(prefix, "momentum");
        let time = usize::try_from(source.take_scalar(&prefix, "time")?).ok()?;
        let mut shape = Vec::new();
        let mut take = |name| {
            let data = source.take_tensor(&prefix, name)?;
            shape = data.shape().to_vec();
            data.convert::<f32>().try_into_vec().ok()
        };
        let moments = Moments { time, first: take("moment_1")?, second: take("moment_2")? };
        Some(Self { moments, shape })
    }
}

impl burn::optim::Optimizer for Exchange {
    type State<const D: usize> = Written;

    fn step<const D: usize>(
        &self,
        _rate: LearningRate,
        parameter: Tensor<D>,
        _gradient: Tensor<D>,
        state: Option<Written>,
    ) -> (Tensor<D>, Option<Written>) {
        let mut moments = self.moments.lock().unwrap_or_else(PoisonError::into_inner);
        if !self.gives {
            moments.push_back(state.map(|state| state.moments));
            return (parameter, None);
        }
        let shape = parameter.dims().to_vec();
        (parameter, moments.pop_front().flatten().map(|moments| Written { moments, shape }))
    }

    fn to_device<const D: usize>(state: Written, _device: &Device) -> Written {
        state
    }
}
