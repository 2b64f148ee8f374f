//! Checks the laws that summary networks of data of any shape have.

use crate::support::{assert_gradient_everywhere, gradients, in_f64, largest_error, loaded, perturbed, saved, values};
use bayesburn_core::DataShape;
use bayesburn_networks::{DataTensor, ParameterInit, Pass, SummaryConfig, SummaryNetwork};
use burn::tensor::Device;

/// A summary network and data for it.
pub(crate) struct Case<'a, C> {
    pub(crate) name: &'a str,
    pub(crate) config: &'a C,
    pub(crate) shape: DataShape,
    /// The data sets of these numbers, in f64.
    pub(crate) data: &'a dyn Fn(&Device, &[usize]) -> DataTensor,
}

/// The data sets of a case.
const SETS: [usize; 3] = [0, 1, 2];

impl<C: SummaryConfig> Case<'_, C> {
    /// The network of a seed, with biases and zero-initialised layers moved away from 0, in f64.
    pub(crate) fn network(&self, seed: u64, device: &Device) -> C::Network {
        let network = self.config.init(&self.shape, &mut ParameterInit::new(seed, device));
        let network = network.unwrap_or_else(|error| panic!("{}: {error}", self.name));
        in_f64(perturbed(network, seed, 0.1))
    }

    /// Summaries of these data sets, one after the other.
    pub(crate) fn summaries(&self, network: &C::Network, sets: &[usize]) -> Vec<f64> {
        summaries(network, &(self.data)(&Device::default(), sets))
    }

    pub(crate) fn check_all(&self) {
        self.data_sets_do_not_influence_each_other();
        self.a_gradient_reaches_every_parameter();
        self.a_fresh_object_with_loaded_weights_is_the_same_network();
        self.dropout_is_on_in_training_alone();
    }

    fn data_sets_do_not_influence_each_other(&self) {
        let network = self.network(1, &Device::default());
        let together = self.summaries(&network, &SETS);
        let width = network.summary_dim();
        assert_eq!(together.len(), SETS.len() * width, "{}", self.name);
        for (set, together) in SETS.iter().zip(together.chunks(width)) {
            // Not bit for bit: products of matrices sum in another order for other shapes.
            let error = largest_error(&self.summaries(&network, &[*set]), together);
            assert!(error < 1e-12, "{}, data set {set}: off by {error:.1e}", self.name);
        }
        let error = largest_error(&together[..width], &together[width..2 * width]);
        assert!(error > 1e-4, "{}: constant in its input", self.name);
    }

    fn a_gradient_reaches_every_parameter(&self) {
        let device = Device::default().autodiff();
        let network = self.network(1, &device);
        let loss = network.forward(&(self.data)(&device, &SETS), &mut Pass::training(0)).square().sum();
        assert_gradient_everywhere(self.name, &gradients(&network, &loss.backward()));
    }

    fn a_fresh_object_with_loaded_weights_is_the_same_network(&self) {
        let [original, fresh] = [1, 2].map(|seed| self.network(seed, &Device::default()));
        let expected = self.summaries(&original, &SETS);
        assert_ne!(self.summaries(&fresh, &SETS), expected, "{}: equal before loading proves nothing", self.name);
        assert_eq!(self.summaries(&loaded(fresh, saved(&original)), &SETS), expected, "{}", self.name);
    }

    /// If there is any; without, training and inference are alike to the bit.
    fn dropout_is_on_in_training_alone(&self) {
        let device = Device::default();
        let network = self.network(1, &device);
        let run = |mut pass: Pass| values(network.forward(&(self.data)(&device, &SETS), &mut pass));
        let expected = run(Pass::inference(0));
        assert_eq!(run(Pass::inference(1)), expected, "{}", self.name);
        assert_eq!(run(Pass::training(0).without_dropout()), expected, "{}", self.name);
        let trained = run(Pass::training(0));
        assert_eq!(run(Pass::training(0)), trained, "{}: the seed reproduces it", self.name);
        assert_eq!(trained != expected, self.config.has_dropout(), "{}", self.name);
    }
}

/// Summaries of data sets, one after the other.
pub(crate) fn summaries<S: SummaryNetwork>(network: &S, data: &DataTensor) -> Vec<f64> {
    let summaries = network.forward(data, &mut Pass::inference(0));
    assert_eq!(summaries.dims(), [data.inputs()[0].shape()[0], network.summary_dim()]);
    values(summaries)
}
