//! Fills, reads, stores and differentiates modules, for all laws.

use burn::{
    module::{Module, ModuleMapper, ModuleVisitor, Param},
    tensor::{DType, Device, Gradients, Tensor, TensorData},
};
use burn_store::{ModuleSnapshot, SafetensorsStore};
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use rand_distr::StandardNormal;

/// Standard normal numbers, the same for the same seed.
pub(crate) fn normal(seed: u64, len: usize) -> Vec<f64> {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    (0..len).map(|_| rng.sample(StandardNormal)).collect()
}

/// A tensor of these numbers in f32.
pub(crate) fn tensor<const R: usize>(values: &[f64], shape: [usize; R], device: &Device) -> Tensor<R> {
    Tensor::from_data(TensorData::new(values.to_vec(), shape), (device, DType::F32))
}

/// A tensor of these numbers in f64, in which the laws hold to many more digits than in f32.
pub(crate) fn tensor64<const R: usize>(values: &[f64], shape: [usize; R], device: &Device) -> Tensor<R> {
    Tensor::from_data(TensorData::new(values.to_vec(), shape), (device, DType::F64))
}

/// The numbers of a tensor.
pub(crate) fn values<const R: usize>(tensor: Tensor<R>) -> Vec<f64> {
    tensor.into_data().convert::<f64>().try_to_vec().expect("f64")
}

/// The largest |a − b| / (1 + |b|); infinite if a number is not finite.
pub(crate) fn largest_error(a: &[f64], b: &[f64]) -> f64 {
    assert_eq!(a.len(), b.len());
    a.iter().zip(b).fold(0.0, |worst: f64, (a, b)| {
        let error = (a - b).abs() / (1.0 + b.abs());
        if error.is_finite() { worst.max(error) } else { f64::INFINITY }
    })
}

/// Replaces each float parameter by what a function makes of its place (`layers.0.output.bias`) and value.
pub(crate) fn map_floats<M: Module>(module: M, change: impl FnMut(&str, &TensorData) -> Vec<f64>) -> M {
    struct Mapper<F>(Vec<String>, F);
    impl<F: FnMut(&str, &TensorData) -> Vec<f64>> ModuleMapper for Mapper<F> {
        fn enter_module(&mut self, name: &str, _container_type: &str) {
            self.0.push(name.into());
        }
        fn exit_module(&mut self, _name: &str, _container_type: &str) {
            self.0.pop();
        }
        fn map_float<const D: usize>(&mut self, param: Param<Tensor<D>>) -> Param<Tensor<D>> {
            let place = self.0.join(".");
            param.map(|old| {
                let (shape, dtype, device) = (old.dims(), old.dtype(), old.device());
                let trained = old.is_require_grad();
                let new = (self.1)(&place, &old.into_data().convert::<f64>());
                let new = Tensor::<D>::from_data(TensorData::new(new, shape), (&device, dtype));
                new.set_require_grad(trained)
            })
        }
    }
    module.map(&mut Mapper(Vec::new(), change))
}

/// Adds normal noise of this size to every float parameter: networks begin as the identity, for which most laws hold
/// even if the code is wrong.
pub(crate) fn perturbed<M: Module>(module: M, seed: u64, size: f64) -> M {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    map_floats(module, |_, old| {
        old.iter::<f64>().map(|value| value + size * rng.sample::<f64, _>(StandardNormal)).collect()
    })
}

/// The module in f64.
pub(crate) fn in_f64<M: Module>(module: M) -> M {
    struct Cast;
    impl ModuleMapper for Cast {
        fn map_float<const D: usize>(&mut self, param: Param<Tensor<D>>) -> Param<Tensor<D>> {
            param.map(|t| {
                let trained = t.is_require_grad();
                t.set_require_grad(false).cast(DType::F64).set_require_grad(trained)
            })
        }
    }
    module.map(&mut Cast)
}

/// Place and values of each float parameter, in the order of [`map_floats`].
pub(crate) fn parameters<M: Module>(module: &M) -> Vec<(String, Vec<f64>)> {
    collect(module, None)
}

/// Place and gradient of each float parameter; empty where no gradient arrived.
pub(crate) fn gradients<M: Module>(module: &M, gradients: &Gradients) -> Vec<(String, Vec<f64>)> {
    collect(module, Some(gradients))
}

fn collect<M: Module>(module: &M, gradients: Option<&Gradients>) -> Vec<(String, Vec<f64>)> {
    struct Collector<'a>(Vec<String>, Option<&'a Gradients>, Vec<(String, Vec<f64>)>);
    impl ModuleVisitor for Collector<'_> {
        fn enter_module(&mut self, name: &str, _container_type: &str) {
            self.0.push(name.into());
        }
        fn exit_module(&mut self, _name: &str, _container_type: &str) {
            self.0.pop();
        }
        fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
            let found = match self.1 {
                Some(gradients) => param.val().grad(gradients).map(values).unwrap_or_default(),
                None => values(param.val()),
            };
            self.2.push((self.0.join("."), found));
        }
    }
    let mut collector = Collector(Vec::new(), gradients, Vec::new());
    module.visit(&mut collector);
    collector.2
}

/// Asserts that every trainable parameter receives a gradient that is finite and not zero everywhere.
pub(crate) fn assert_gradient_everywhere(name: &str, gradients: &[(String, Vec<f64>)]) {
    assert!(!gradients.is_empty(), "{name}: no parameters");
    for (place, gradient) in gradients {
        assert!(gradient.iter().all(|g| g.is_finite()), "{name}: the gradient of `{place}` is not finite");
        assert!(gradient.iter().any(|g| *g != 0.0), "{name}: no gradient reaches `{place}`");
    }
}

/// The module as safetensors.
pub(crate) fn saved<M: Module>(module: &M) -> Vec<u8> {
    let mut store = SafetensorsStore::from_bytes(None);
    module.save_into(&mut store).expect("memory can be written");
    store.get_bytes().expect("just saved")
}

/// The module with the tensors of safetensors in place of its own.
pub(crate) fn loaded<M: Module>(mut module: M, bytes: Vec<u8>) -> M {
    let result = module.load_from(&mut SafetensorsStore::from_bytes(Some(bytes))).expect("just saved");
    assert!(result.errors.is_empty() && result.missing.is_empty() && result.unused.is_empty(), "{result:?}");
    module
}
