//! Changes weights by gradients: clips these by their global norm and takes the optimizer's step.

use crate::{Optimizer, clip::clip_global_norm};
use burn::{
    module::{Module, ParamId},
    optim::{GradientsParams, OptimizerRecord, module_optimizer::ModuleOptimizer},
    store::RecordError,
    tensor::Bytes,
};
use std::ops::Range;

/// An optimizer and its state: Burn's, or Adam in one pass over all parameters where kernels have it.
#[derive(Clone)]
pub(crate) struct Updater {
    burn: ModuleOptimizer,
    #[cfg(feature = "flex")]
    one_pass: Option<one_pass::OnePass>,
}

impl Updater {
    pub(crate) fn new(optimizer: &Optimizer) -> Self {
        Self {
            burn: optimizer.init(),
            #[cfg(feature = "flex")]
            one_pass: one_pass::OnePass::new(optimizer),
        }
    }

    /// The networks one step further and the norm of all gradients together, which are scaled down to `max_norm` if it is larger.
    ///
    /// # Errors
    /// The norm, if it is not finite; then nothing has changed.
    pub(crate) fn step<M: Module>(
        &mut self,
        networks: &M,
        gradients: GradientsParams,
        rate: f64,
        max_norm: Option<f64>,
    ) -> Result<(M, f64), f64> {
        #[cfg(feature = "flex")]
        if let Some(one_pass) = &mut self.one_pass
            && one_pass::runs_on(networks)
        {
            return one_pass.step(networks, gradients, rate, max_norm);
        }
        let (gradients, norm) = clip_global_norm(networks, gradients, max_norm);
        if !norm.is_finite() {
            return Err(norm);
        }
        Ok((self.burn.step(rate, networks.clone(), gradients), norm))
    }

    /// A step with these values, given the norm of all their gradients together, which are scaled down to `max_norm` if it is larger:
    /// identities and places of the parameters that have gradients, in their order.
    ///
    /// # Errors
    /// As [`Updater::step`].
    ///
    /// # Panics
    /// If this is not an optimizer that [`Updater::steps_directly`].
    #[cfg(feature = "flex")]
    pub(crate) fn step_directly(
        &mut self,
        parameters: impl Iterator<Item = (ParamId, Range<usize>)>,
        values: &mut [f32],
        (gradients, norm): (&[f32], f64),
        rate: f64,
        max_norm: Option<f64>,
    ) -> Result<(), f64> {
        let one_pass = self.one_pass.as_mut().expect("an optimizer that kernels have");
        one_pass.step_directly(parameters, values, (gradients, norm), rate, max_norm)
    }

    /// Whether steps can be taken with parameters in one array.
    #[cfg(feature = "flex")]
    pub(crate) fn steps_directly(&self) -> bool {
        self.one_pass.is_some()
    }

    /// The state in Burn's format, whoever took the steps.
    pub(crate) fn to_bytes<M: Module>(&self, networks: &M) -> Result<Bytes, RecordError> {
        #[cfg(feature = "flex")]
        if let Some(one_pass) = &self.one_pass
            && one_pass::runs_on(networks)
        {
            return one_pass.to_record(networks).into_bytes();
        }
        #[cfg(not(feature = "flex"))]
        let _ = networks;
        self.burn.to_record().into_bytes()
    }

    /// Goes on from a state in Burn's format.
    pub(crate) fn restore<M: Module>(&mut self, state: Vec<u8>, networks: &M) -> Result<(), RecordError> {
        let record = OptimizerRecord::from_bytes(Bytes::from_bytes_vec(state))?;
        #[cfg(feature = "flex")]
        if let Some(one_pass) = &mut self.one_pass
            && one_pass::runs_on(networks)
        {
            one_pass.restore(record, networks);
            return Ok(());
        }
        #[cfg(not(feature = "flex"))]
        let _ = networks;
        self.burn = self.burn.clone().load_record(record);
        Ok(())
    }
}

/// Adam and AdamW by kernels.
///
/// Tensor by tensor, Burn's Adam is a dozen operations, each of which goes through memory and allocates; 140 tensors with 363k parameters
/// took 1.8 ms, a third of a step. Here all tensors are one piece of work, on all cores, that clips as well.
#[cfg(feature = "flex")]
mod one_pass {
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
    pub(super) struct OnePass {
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
        pub(super) fn new(optimizer: &Optimizer) -> Option<Self> {
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

        pub(super) fn step<M: Module>(
            &mut self,
            networks: &M,
            gradients: GradientsParams,
            rate: f64,
            max_norm: Option<f64>,
        ) -> Result<(M, f64), f64> {
            let mut collected = Collected { gradients, ..Collected::default() };
            networks.visit(&mut collected);
            let Collected { ids, parameters, of_parameters, .. } = collected;
            let norm = global_norm(&of_parameters);
            let mut places = Vec::with_capacity(ids.len());
            let (mut values, mut gradients) = (Vec::new(), Vec::new());
            for (parameter, gradient) in parameters.values().zip(of_parameters.values()) {
                places.push(values.len()..values.len() + parameter.len());
                values.extend(parameter);
                gradients.extend(gradient);
            }
            let named = ids.iter().copied().zip(places.iter().cloned());
            self.step_directly(named.clone(), &mut values, (&gradients, norm), rate, max_norm)?;
            let values = named.map(|(id, place)| (id, values[place].to_vec())).collect();
            Ok((with_parameters(networks.clone(), values), norm))
        }

        pub(super) fn step_directly(
            &mut self,
            parameters: impl Iterator<Item = (ParamId, Range<usize>)>,
            mut values: &mut [f32],
            (gradients, norm): (&[f32], f64),
            rate: f64,
            max_norm: Option<f64>,
        ) -> Result<(), f64> {
            if !norm.is_finite() {
                return Err(norm);
            }
            let factor = max_norm.map_or(1.0, |max_norm| if norm > max_norm { max_norm / norm } else { 1.0 });
            let parameters: Vec<_> = parameters.collect();
            let take = |(id, _): &(ParamId, Range<usize>)| self.moments.remove(id).unwrap_or_default();
            let mut moments: Vec<Moments> = parameters.iter().map(take).collect();
            let (mut updated, mut done) = (Vec::with_capacity(parameters.len()), 0);
            for ((_, place), moments) in parameters.iter().zip(&mut moments) {
                let (parameter, rest) = values.split_at_mut(place.start - done).1.split_at_mut(place.len());
                updated.push(Updated { parameter, gradient: &gradients[place.clone()], moments });
                (values, done) = (rest, place.end);
            }
            self.adam.step(rate as f32, factor as f32, updated);
            self.moments.extend(parameters.into_iter().map(|(id, _)| id).zip(moments));
            Ok(())
        }

        pub(super) fn to_record<M: Module>(&self, networks: &M) -> OptimizerRecord {
            let mut all = Numbered::default();
            networks.visit(&mut all);
            let moments = all.ids.iter().map(|id| self.moments.get(id).cloned()).collect();
            let mut optimizer = ModuleOptimizer::from(Exchange { moments: Arc::new(Mutex::new(moments)), gives: true });
            let _ = optimizer.step(0.0, networks.clone(), all.zeros);
            optimizer.to_record()
        }

        pub(super) fn restore<M: Module>(&mut self, record: OptimizerRecord, networks: &M) {
            let mut all = Numbered::default();
            networks.visit(&mut all);
            let exchange = Exchange { moments: Arc::default(), gives: false };
            let moments = Arc::clone(&exchange.moments);
            let mut optimizer = ModuleOptimizer::from(exchange).load_record(record);
            let _ = optimizer.step(0.0, networks.clone(), all.zeros);
            let moments = std::mem::take(&mut *moments.lock().unwrap_or_else(PoisonError::into_inner));
            self.moments = all.ids.into_iter().zip(moments).filter_map(|(id, m)| Some((id, m?))).collect();
        }
    }

    fn written(config: &impl Config) -> Option<String> {
        serde_json::to_string(config).ok()
    }

    /// Whether kernels work on the first parameter: all are on one device.
    pub(super) fn runs_on<M: Module>(networks: &M) -> bool {
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
        ids: Vec<ParamId>,
        zeros: GradientsParams,
    }

    impl ModuleVisitor for Numbered {
        fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
            self.ids.push(param.id);
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
                let moment = |values: Vec<f32>| {
                    Tensor::from_data(TensorData::new(values, parameter.dims()), &parameter.device())
                };
                AdamState::new(AdaptiveMomentumState::new(time, moment(first), moment(second)))
            });
            (parameter, state)
        }

        fn to_device<const D: usize>(mut state: AdamState<D>, device: &Device) -> AdamState<D> {
            state.momentum = state.momentum.to_device(device);
            state
        }
    }
}

#[cfg(all(test, feature = "flex"))]
mod tests {
    use super::*;
    use bayesburn_networks::{OutputInit, ParameterInit, number_parameters};
    use burn::{
        nn::Linear,
        optim::{AdamConfig, AdamWConfig},
        tensor::{Device, Tensor},
    };

    fn optimizers() -> [Optimizer; 2] {
        let adamw = AdamWConfig::new().with_weight_decay(0.1);
        [Optimizer::Adam(AdamConfig::new().with_epsilon(1e-7)), Optimizer::AdamW(adamw)]
    }

    /// Steps by Burn's own optimizer.
    fn burns(optimizer: &Optimizer) -> Updater {
        Updater { burn: optimizer.init(), one_pass: None }
    }

    fn layer() -> Linear {
        number_parameters(ParameterInit::new(1, &Device::flex().autodiff()).linear(3, 2, OutputInit::Glorot))
    }

    /// Some steps on Σ (W x + b)², whose gradients change as the weights do and are above the largest norm at first.
    fn steps(updater: &mut Updater, mut layer: Linear, number: usize) -> (Linear, Vec<f64>) {
        let x = Tensor::<2>::from_data([[3.0, 4.0, -1.0], [0.5, 1.0, 2.0]], &Device::flex().autodiff());
        let mut norms = Vec::new();
        for _ in 0..number {
            let gradients = layer.forward(x.clone()).square().sum().backward();
            let gradients = GradientsParams::from_grads(gradients, &layer);
            let (next, norm) = updater.step(&layer, gradients, 0.05, Some(20.0)).expect("finite gradients");
            norms.push(norm);
            layer = next;
        }
        (layer, norms)
    }

    fn largest_difference(a: &Linear, b: &Linear) -> f32 {
        let values = |layer: &Linear| {
            let mut values: Vec<f32> = layer.weight.val().into_data().try_into_vec().expect("f32");
            let bias = layer.bias.as_ref().expect("a bias").val();
            values.extend(bias.into_data().try_into_vec::<f32>().expect("f32"));
            values
        };
        values(a).into_iter().zip(values(b)).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max)
    }

    #[test]
    fn steps_in_one_pass_are_burns() {
        for optimizer in optimizers() {
            let (one_pass, norms) = steps(&mut Updater::new(&optimizer), layer(), 10);
            let (burn, burns_norms) = steps(&mut burns(&optimizer), layer(), 10);
            assert!(largest_difference(&one_pass, &burn) < 1e-5);
            assert!(norms[0] > 20.0 && norms.iter().zip(burns_norms).all(|(a, b)| (a - b).abs() < 1e-3 * b));
            // The twin: another number of steps gives other weights.
            assert!(largest_difference(&steps(&mut burns(&optimizer), layer(), 9).0, &burn) > 1e-3);
        }
    }

    /// A state may be saved by either and gone on with by either.
    #[test]
    fn states_are_in_burns_format() {
        for optimizer in optimizers() {
            let through = steps(&mut burns(&optimizer), layer(), 8).0;
            for (mut before, mut after) in [
                (Updater::new(&optimizer), burns(&optimizer)),
                (burns(&optimizer), Updater::new(&optimizer)),
                (Updater::new(&optimizer), Updater::new(&optimizer)),
            ] {
                let (halfway, _) = steps(&mut before, layer(), 4);
                let state = before.to_bytes(&halfway).expect("a state").to_vec();
                after.restore(state, &halfway).expect("a state");
                assert!(largest_difference(&steps(&mut after, halfway, 4).0, &through) < 1e-5);
            }
        }
    }
}
