//! Clips gradients by their global norm.
//!
//! Burn's own clipping by norm treats each tensor by itself, which changes the direction of the step; BayesFlow and sbi
//! clip the norm of all gradients together (Pascanu et al. 2013).

use burn::{
    module::{Module, ModuleVisitor, Param},
    optim::GradientsParams,
    tensor::Tensor,
};

/// Scales all gradients by min(1, `max_norm` / norm), where the norm is that of all of them together; returns it too.
pub(crate) fn clip_global_norm<M: Module>(
    module: &M,
    mut gradients: GradientsParams,
    max_norm: Option<f64>,
) -> (GradientsParams, f64) {
    let mut squares = SumOfSquares { gradients: &gradients, sum: None };
    module.visit(&mut squares);
    let norm = squares.sum.map_or(0.0, |sum| f64::from(sum.into_scalar::<f32>()).sqrt());
    if let Some(max_norm) = max_norm
        && norm > max_norm
    {
        module.visit(&mut Scale { gradients: &mut gradients, factor: max_norm / norm });
    }
    (gradients, norm)
}

struct SumOfSquares<'a> {
    gradients: &'a GradientsParams,
    sum: Option<Tensor<1>>,
}

impl ModuleVisitor for SumOfSquares<'_> {
    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
        if let Some(gradient) = self.gradients.get::<D>(param.id) {
            let square = gradient.square().sum();
            self.sum = Some(match self.sum.take() {
                Some(sum) => sum + square,
                None => square,
            });
        }
    }
}

struct Scale<'a> {
    gradients: &'a mut GradientsParams,
    factor: f64,
}

impl ModuleVisitor for Scale<'_> {
    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
        if let Some(gradient) = self.gradients.remove::<D>(param.id) {
            self.gradients.register(param.id, gradient.mul_scalar(self.factor));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use bayesburn_networks::{OutputInit, ParameterInit};
    use burn::{nn::Linear, tensor::Device};

    /// The gradient of Σ (W x + b) for x = (3, 4): each column of W has (3, 4), b has 1; two outputs: norm² = 2 · 25 +
    /// 2.
    fn gradients(device: &Device) -> (Linear, GradientsParams) {
        let layer = ParameterInit::new(1, device).linear(2, 2, OutputInit::Glorot);
        let loss = layer.forward(Tensor::<2>::from_data([[3.0, 4.0]], device)).sum();
        let gradients = GradientsParams::from_grads(loss.backward(), &layer);
        (layer, gradients)
    }

    #[test]
    fn the_norm_is_that_of_all_tensors_together() {
        let device = Device::default().autodiff();
        let (layer, gradients) = gradients(&device);
        let (clipped, norm) = clip_global_norm(&layer, gradients, Some(1.0));
        assert!((norm - 52f64.sqrt()).abs() < 1e-5);
        let (_, after) = clip_global_norm(&layer, clipped, None);
        assert!((after - 1.0).abs() < 1e-5);
    }

    #[test]
    fn small_gradients_stay() {
        let device = Device::default().autodiff();
        let (layer, gradients) = gradients(&device);
        let (kept, norm) = clip_global_norm(&layer, gradients, Some(100.0));
        assert_eq!(clip_global_norm(&layer, kept, None).1, norm);
    }
}
