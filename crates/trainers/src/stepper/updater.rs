//! Updates weights: clips gradients by their global norm and takes the optimizer's step.

use super::clip::clip_global_norm;
#[cfg(feature = "gpu")]
use super::one_pass::DirectState;
#[cfg(feature = "flex")]
use super::one_pass::{self, OnePass};
use crate::Optimizer;
#[cfg(feature = "flex")]
use burn::module::ParamId;
use burn::{
    module::{Module, ModuleVisitor, Param},
    optim::{GradientsParams, OptimizerRecord, module_optimizer::ModuleOptimizer},
    store::RecordError,
    tensor::{Bytes, Tensor},
};
#[cfg(feature = "flex")]
use std::ops::Range;
use std::panic::{AssertUnwindSafe, catch_unwind};
#[cfg(feature = "gpu")]
use {bayesburn_amortizers::DirectLoss, bayesburn_kernels::GpuStep};

/// An optimizer and its state: Burn's, or a kernel that takes Adam's step in one pass over all parameters.
#[derive(Clone)]
pub(crate) struct Updater {
    burn: ModuleOptimizer,
    #[cfg(feature = "flex")]
    one_pass: Option<OnePass>,
}

impl Updater {
    pub(crate) fn new(optimizer: &Optimizer) -> Self {
        Self {
            burn: optimizer.init(),
            #[cfg(feature = "flex")]
            one_pass: OnePass::new(optimizer),
        }
    }

    /// Takes one step. Returns the networks and the norm of all gradients together, which are scaled down to `max_norm`
    /// if it is larger.
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

    /// A step with these values, given the norm of all their gradients together, which are scaled down to `max_norm` if
    /// it is larger: identities and places of the parameters that have gradients, in their order.
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

    /// The state with all parameters' numbers in one array each, wherever the parameters are.
    #[cfg(feature = "gpu")]
    pub(crate) fn direct_state<M: Module>(&self, networks: &M, loss: &DirectLoss) -> Option<DirectState> {
        let mut one_pass = self.one_pass.clone()?;
        one_pass.restore(self.burn.to_record(), networks).ok()?;
        one_pass.direct_state(loss)
    }

    /// Goes on from such a state.
    #[cfg(feature = "gpu")]
    pub(crate) fn set_direct_state<M: Module>(&mut self, networks: &M, loss: &DirectLoss, state: &DirectState) {
        if let Some(one_pass) = &mut self.one_pass {
            one_pass.set_direct_state(loss, state);
            self.burn = self.burn.clone().load_record(one_pass.to_record(networks));
        }
    }

    /// A step of a GPU's, with the numbers that it is for each part.
    #[cfg(feature = "gpu")]
    pub(crate) fn gpu_step(&self, rate: f64, max_norm: Option<f64>, times: [usize; 2]) -> GpuStep {
        let adam = self.one_pass.as_ref().expect("an optimizer that kernels have").adam();
        GpuStep { adam, rate: rate as f32, max_norm: max_norm.map_or(f32::INFINITY, |norm| norm as f32), times }
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
    ///
    /// # Errors
    /// A state that is damaged, or of other parameters.
    pub(crate) fn restore<M: Module>(&mut self, state: Vec<u8>, networks: &M) -> Result<(), String> {
        // Burn panics on a foreign state. A trial step that changes nothing finds out whether the state fits.
        let restored = catch_unwind(AssertUnwindSafe(|| {
            self.try_restore(state, networks)?;
            let mut gradients = ZeroGradients::default();
            networks.visit(&mut gradients);
            let stepped = self.clone().step(networks, gradients.0, 0.0, None);
            stepped.map(|_| ()).map_err(|norm| format!("a step has the norm {norm}"))
        }));
        restored.unwrap_or_else(|_| Err("it is damaged, or belongs to other networks".to_owned()))
    }

    fn try_restore<M: Module>(&mut self, state: Vec<u8>, networks: &M) -> Result<(), String> {
        let record = OptimizerRecord::from_bytes(Bytes::from_bytes_vec(state)).map_err(|error| error.to_string())?;
        #[cfg(feature = "flex")]
        if let Some(one_pass) = &mut self.one_pass
            && one_pass::runs_on(networks)
        {
            return one_pass.restore(record, networks);
        }
        #[cfg(not(feature = "flex"))]
        let _ = networks;
        self.burn = self.burn.clone().load_record(record);
        Ok(())
    }
}

/// A gradient of zeros for each parameter that is trained.
#[derive(Default)]
struct ZeroGradients(GradientsParams);

impl ModuleVisitor for ZeroGradients {
    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
        if param.is_require_grad() {
            self.0.register(param.id, param.val().inner().zeros_like());
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
        tensor::Device,
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

    /// A state that is cut short, foreign, or of networks of other sizes is an error, and leaves the optimizer as it
    /// was.
    #[test]
    fn states_that_do_not_fit_are_refused() {
        let wide =
            number_parameters(ParameterInit::new(1, &Device::flex().autodiff()).linear(3, 4, OutputInit::Glorot));
        for optimizer in optimizers() {
            for direct in [true, false] {
                let new = || if direct { Updater::new(&optimizer) } else { burns(&optimizer) };
                let mut stepped = new();
                let mut gradients = ZeroGradients::default();
                layer().visit(&mut gradients);
                stepped.step(&layer(), gradients.0, 0.1, None).expect("zeros are finite");
                let state = stepped.to_bytes(&layer()).expect("written").to_vec();
                new().restore(state.clone(), &layer()).expect("its own");
                for (bad, networks) in [(state.clone(), wide.clone()), (state[..state.len() / 2].to_vec(), layer())] {
                    new().restore(bad, &networks).expect_err("another's");
                }
                new().restore(b"no state".to_vec(), &layer()).expect_err("foreign");
            }
        }
    }
}
