//! Checks that a summary network of a user's own, of two inputs, one of them padded, trains without Burn's graph as
//! with it.

use crate::{
    direct::{agree, by_direct, by_graph},
    inference, normals, rng, untrained,
};
use bayesburn_amortizers::{Conditions, Configured, PosteriorConfig};
use bayesburn_core::{Data, DataShape};
use bayesburn_kernels::{Buffer, Gradients, Operands, Part, Summary, SummaryBlock, SummaryOperation};
use bayesburn_networks::{ConfigError, DataTensor, ParameterInit, Pass, SummaryConfig, SummaryNetwork};
use burn::{
    config::Config,
    module::{Module, Param},
    tensor::Tensor,
};
use ndarray::{Array2, Array4};
use rand::RngExt;

/// The mean over the rows of a series that exist, beside the mean over the pixels of an image, each times a weight.
#[derive(Module, Debug)]
struct Means {
    weights: Param<Tensor<1>>,
}

#[derive(Config, Debug, PartialEq)]
struct MeansConfig {}

impl SummaryConfig for MeansConfig {
    const NAME: &'static str = "means of two inputs";
    type Network = Means;

    fn init(&self, _: &DataShape, init: &mut ParameterInit) -> Result<Means, ConfigError> {
        Ok(Means { weights: init.constant([3], 0.7) })
    }
}

impl SummaryNetwork for Means {
    fn summary_dim(&self) -> usize {
        3
    }

    fn forward(&self, data: &DataTensor, _: &mut Pass) -> Tensor<2> {
        let (series, mask) = data.input("series").sets();
        // Padding is 0. Data sets of one length have no mask.
        let series = match mask {
            Some(mask) => series.sum_dim(1) / mask.sum_dim(1),
            None => series.mean_dim(1),
        };
        let series: Tensor<2> = series.squeeze_dim(1);
        let image = data.input("image").values::<4>().mean_dim(1).mean_dim(2);
        Tensor::cat(vec![series, image.reshape([-1, 1])], 1) * self.weights.val().unsqueeze()
    }

    fn fast_path(&self, _: &Tensor<2>, _: &Pass) -> Option<Part<Summary>> {
        let mut operands = Operands::default();
        let weights = operands.push_parameter(&self.weights);
        Some(Part { operation: Summary::new(MeansKernel { weights }), operands })
    }
}

#[derive(Debug)]
struct MeansKernel {
    weights: usize,
}

impl SummaryOperation for MeansKernel {
    /// The means, and the summaries.
    type Tape = [Vec<f32>; 2];

    fn summary_dim(&self) -> usize {
        3
    }

    fn forward_block(&self, block: &SummaryBlock<'_>) -> [Vec<f32>; 2] {
        let [series, image] = block.inputs else { panic!("two inputs") };
        assert_eq!((&series.shape[1..], image.shape), (&[2][..], &[4, 3, 1][..]));
        let length = series.shape[0];
        let mean_of_set = |(m, (series_of_set, image)): (usize, (&[f32], &[f32]))| {
            let rows = series.mask.map_or(length as f32, |mask| mask[m * length..(m + 1) * length].iter().sum());
            let mean = |f: usize| series_of_set.iter().skip(f).step_by(2).sum::<f32>() / rows;
            [mean(0), mean(1), image.iter().sum::<f32>() / 12.0]
        };
        let sets = series.values.chunks_exact(2 * length).zip(image.values.chunks_exact(12));
        let means: Vec<f32> = sets.enumerate().flat_map(mean_of_set).collect();
        let weights = block.operands[self.weights].iter().cycle();
        let summaries = means.iter().zip(weights).map(|(mean, weight)| mean * weight).collect();
        [means, summaries]
    }

    fn output<'t>(&self, [_, summaries]: &'t [Vec<f32>; 2]) -> &'t [f32] {
        summaries
    }

    fn backward_block(
        &self,
        _: &SummaryBlock<'_>,
        [means, _]: &[Vec<f32>; 2],
        grad_output: &[f32],
        gradients: &mut Gradients<'_>,
    ) -> Vec<Option<Buffer>> {
        if let Some(of_weights) = gradients.of(self.weights) {
            of_weights.fill(0.0);
            for (row, grads) in means.chunks_exact(3).zip(grad_output.chunks_exact(3)) {
                of_weights.iter_mut().zip(row.iter().zip(grads)).for_each(|(of, (mean, grad))| *of += mean * grad);
            }
        }
        vec![None, None]
    }
}

fn batch(m: usize, index: u64) -> Configured {
    let mut rng = rng(index);
    let mask = Array2::from_shape_fn((m, 6), |(m, n)| f32::from(u8::from(n < 2 + m % 5)));
    let series = Data::new(normals(&mut rng, (m, 6, 2)).mapv(|x| 7.0 + 5.0 * x)).with_row_mask(mask).expect("sound");
    let image = Data::new(Array4::from_shape_simple_fn((m, 4, 3, 1), || rng.random_range(-3.0..90.0)));
    let data = Data::named([("series", series), ("image", image)]).expect("two inputs");
    let parameters = Array2::from_shape_simple_fn((m, 2), || rng.random_range(-2.0..9.0));
    Configured::new(parameters, Conditions::from(data)).expect("the batch is sound")
}

#[test]
fn two_inputs_train_without_the_graph_as_with_it() {
    let posterior = untrained(PosteriorConfig::new(MeansConfig::new(), inference()), &batch(64, 1), 1);
    for (index, m) in [(2, 1), (3, 33), (4, 150)] {
        let batch = batch(m, index);
        let (loss, _, gradients) = by_direct(&posterior, &batch);
        let (expected, graph) = by_graph(&posterior, &batch);
        assert!((loss - expected).abs() <= 1e-5 * expected.abs().max(1.0), "{m}: {loss} against {expected}");
        assert!(agree(&gradients, &graph), "{m}");
        // The twin: of one data set fewer they are others.
        if m > 1 {
            assert!(!agree(&gradients, &by_graph(&posterior, &batch.rows(0..m - 1)).1), "{m}");
        }
    }
}
