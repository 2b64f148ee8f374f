//! Counts, numbers, replaces and averages the parameters of a network.

use burn::{
    module::{Module, ModuleMapper, ModuleVisitor, Param, ParamId},
    tensor::{Int, Tensor, TensorData, Transaction},
};
use std::collections::{HashMap, HashSet};

/// The number of trainable parameters. Fixed permutations and standardisation constants do not count.
///
/// # Examples
/// ```
/// use bayesburn_networks::{OutputInit, ParameterInit, num_trainable_parameters};
/// use burn::tensor::Device;
///
/// let layer = ParameterInit::new(0, &Device::default().autodiff()).linear(3, 5, OutputInit::Glorot);
/// assert_eq!(num_trainable_parameters(&layer), 3 * 5 + 5);
/// ```
pub fn num_trainable_parameters<M: Module>(module: &M) -> usize {
    struct Counter(usize);
    impl ModuleVisitor for Counter {
        fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
            if param.is_require_grad() {
                self.0 += param.shape().num_elements();
            }
        }
    }
    let mut counter = Counter(0);
    module.visit(&mut counter);
    counter.0
}

/// Gives the parameters the identities 1, 2, 3 … in the order of the module's fields.
///
/// Burn's identities are random for each process, and the optimizer's saved state names parameters by them: a state
/// that is loaded in a new process would find none of its parameters.
pub fn number_parameters<M: Module>(module: M) -> M {
    struct Renumber(u64);
    impl Renumber {
        fn next(&mut self) -> ParamId {
            self.0 += 1;
            ParamId::from(self.0)
        }
    }
    impl ModuleMapper for Renumber {
        fn map_float<const D: usize>(&mut self, param: Param<Tensor<D>>) -> Param<Tensor<D>> {
            let (_, value, mapper) = param.consume();
            Param::from_mapped_value(self.next(), value, mapper)
        }
        fn map_int<const D: usize>(&mut self, param: Param<Tensor<D, Int>>) -> Param<Tensor<D, Int>> {
            let (_, value, mapper) = param.consume();
            Param::from_mapped_value(self.next(), value, mapper)
        }
    }
    module.map(&mut Renumber(0))
}

/// Whether the order of each fixed permutation has each place once. What a file says may not.
pub fn orders_are_permutations<M: Module>(module: &M) -> bool {
    struct Checked {
        sound: bool,
        /// The types of the modules that are being visited, each in the one before.
        types: Vec<String>,
    }
    impl ModuleVisitor for Checked {
        fn enter_module(&mut self, _name: &str, container_type: &str) {
            self.types.push(container_type.to_owned());
        }

        fn exit_module(&mut self, _name: &str, _container_type: &str) {
            self.types.pop();
        }

        fn visit_int<const D: usize>(&mut self, param: &Param<Tensor<D, Int>>) {
            if self.types.last().is_none_or(|of| of != "Struct:FixedPermutation") {
                return;
            }
            let order = param.val().into_data_as::<i64>().try_into_vec::<i64>().expect("converted to i64");
            let mut seen = vec![false; order.len()];
            for i in order {
                let place = usize::try_from(i).ok().and_then(|i| seen.get_mut(i));
                self.sound &= place.is_some_and(|seen| !std::mem::replace(seen, true));
            }
        }
    }
    let mut checked = Checked { sound: true, types: Vec::new() };
    module.visit(&mut checked);
    checked.sound
}

/// The module with these values of the parameters that are named; the others stay.
///
/// # Panics
/// If there are more or fewer values than a parameter has.
pub fn with_parameters<M: Module>(module: M, values: HashMap<ParamId, Vec<f32>>) -> M {
    struct Replace(HashMap<ParamId, Vec<f32>>);
    impl ModuleMapper for Replace {
        fn map_float<const D: usize>(&mut self, param: Param<Tensor<D>>) -> Param<Tensor<D>> {
            let Some(values) = self.0.remove(&param.id) else { return param };
            param.map(|old| {
                let (device, shape, trained) = (old.device(), old.dims(), old.is_require_grad());
                Tensor::from_data(TensorData::new(values, shape), &device).set_require_grad(trained)
            })
        }
    }
    module.map(&mut Replace(values))
}

/// The identities of all trainable parameters.
pub fn parameter_ids<M: Module>(module: &M) -> HashSet<ParamId> {
    #[derive(Default)]
    struct Trained(HashSet<ParamId>);
    impl ModuleVisitor for Trained {
        fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
            if param.is_require_grad() {
                self.0.insert(param.id);
            }
        }
    }
    let mut trained = Trained::default();
    module.visit(&mut trained);
    trained.0
}

/// The values of all trainable parameters, read from their device at once.
pub fn parameter_values<M: Module>(module: &M) -> HashMap<ParamId, Vec<f32>> {
    #[derive(Default)]
    struct Trained {
        ids: Vec<ParamId>,
        values: Transaction,
    }
    impl ModuleVisitor for Trained {
        fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
            if param.is_require_grad() {
                self.ids.push(param.id);
                self.values = std::mem::take(&mut self.values).register(param.val());
            }
        }
    }
    let mut trained = Trained::default();
    module.visit(&mut trained);
    let values = trained.values.execute().into_iter().map(|data| {
        let data: TensorData = data.convert::<f32>();
        data.try_into_vec().expect("converted to f32")
    });
    trained.ids.into_iter().zip(values).collect()
}

/// The module with its trainable parameters moved by this share of the way to those of another of the same parameters.
///
/// # Panics
/// If the other does not have all of its parameters, or some are of another size.
pub fn moved_towards<M: Module>(module: M, other: &M, share: f32) -> M {
    let (mut from, to) = (parameter_values(&module), parameter_values(other));
    for (id, values) in &mut from {
        let to = &to[id];
        assert_eq!(values.len(), to.len(), "parameters of one size");
        // In this form what is equal stays so, to the bit.
        values.iter_mut().zip(to).for_each(|(from, to)| *from += share * (to - *from));
    }
    with_parameters(module, from)
}
