//! Checks the laws of summary networks of images: any size and number of channels, masks of pixels, and that the
//! network computes what loops over pixels compute.

use crate::{
    cases::{Case, summaries},
    support::{largest_error, normal, parameters, tensor64},
};
use bayesburn_core::{DataShape, InputShape};
use bayesburn_networks::{Border, ConvolutionalNetworkConfig, DataTensor, InputTensor, ParameterInit, SummaryConfig};
use burn::tensor::Device;
use std::collections::HashMap;

fn shape(axes: [Option<usize>; 3]) -> DataShape {
    DataShape::new(vec![InputShape { name: "image".to_owned(), axes: axes.to_vec(), padded: false }])
}

fn small() -> ConvolutionalNetworkConfig {
    ConvolutionalNetworkConfig::new(4).with_filters(vec![4, 5, 6])
}

/// Images of these numbers, in f64.
fn images(device: &Device, sets: &[usize], axes: [usize; 3]) -> DataTensor {
    let values = sets.iter().flat_map(|set| normal(500 + *set as u64, axes.iter().product()));
    let [height, width, channels] = axes;
    tensor64(&values.collect::<Vec<_>>(), [sets.len(), height, width, channels], device).into()
}

#[test]
fn images_of_any_size_do_not_influence_each_other_and_weights_are_trained_and_loaded() {
    for (channels, [height, width]) in (1..=3).flat_map(|c| [[8, 8], [9, 13], [32, 32]].map(|size| (c, size))) {
        for (name, config) in [
            ("plain", small()),
            ("one block, dropout", small().with_blocks(1).with_dropout(0.3)),
            ("periodic", small().with_border(Border::Periodic)),
            ("not normalised", small().with_normalized(false)),
        ] {
            let data = |device: &Device, sets: &[usize]| images(device, sets, [height, width, channels]);
            let name = format!("{name}, {height} x {width} x {channels}");
            let shape = shape([height, width, channels].map(Some));
            Case { name: &name, config: &config, shape, data: &data }.check_all();
        }
    }
}

/// Three stages, one, and two for images whose size may vary.
fn networks() -> [(ConvolutionalNetworkConfig, DataShape); 3] {
    let varying = shape([None, None, Some(2)]);
    [(small(), varying.clone()), (small().with_filters(vec![4]), varying.clone()), (small().with_blocks(1), varying)]
}

/// An image whose pixels exist where `exists` says so; elsewhere values are far beyond.
fn masked(values: &[f64], [height, width, channels]: [usize; 3], exists: impl Fn(usize, usize) -> bool) -> DataTensor {
    let device = Device::default();
    let mask: Vec<bool> = (0..height * width).map(|pixel| exists(pixel / width, pixel % width)).collect();
    let values = values.chunks(channels).zip(&mask);
    let values = values.flat_map(|(pixel, exists)| pixel.iter().map(move |value| if *exists { *value } else { 1e3 }));
    let values = tensor64(&values.collect::<Vec<_>>(), [1, height, width, channels], &device);
    let mask: Vec<f64> = mask.into_iter().map(f64::from).collect();
    let input = InputTensor::new("image", values).with_row_mask(tensor64(&mask, [1, height, width], &device));
    DataTensor::new(vec![input])
}

/// An image at the upper left of larger ones, by a mask of pixels; or of larger height, by a mask of rows.
#[test]
fn padding_of_images_changes_nothing() {
    for (config, shape) in networks() {
        let case = Case { name: "padding", config: &config, shape, data: &|_, _| unreachable!("data of its own") };
        let network = case.network(1, &Device::default());
        for [height, width] in [[8, 8], [9, 13], [10, 7]] {
            let device = Device::default();
            let alone = normal(7, height * width * 2);
            let expected = summaries(&network, &tensor64(&alone, [1, height, width, 2], &device).into());
            for [h, w] in [[height + 1, width], [height, width + 1], [16, 16], [24, 17]] {
                let values: Vec<f64> = (0..h * w * 2)
                    .map(|i| match (i / 2 / w, i / 2 % w) {
                        (y, x) if y < height && x < width => alone[(y * width + x) * 2 + i % 2],
                        _ => 0.0,
                    })
                    .collect();
                let data = masked(&values, [h, w, 2], |y, x| y < height && x < width);
                let error = largest_error(&summaries(&network, &data), &expected);
                assert!(error < 1e-12, "{height} x {width} in {h} x {w}: off by {error:.1e}");
                let rows: Vec<f64> = (0..h).map(|y| f64::from(y < height)).collect();
                if w == width {
                    let data = InputTensor::new("image", tensor64(&values, [1, h, w, 2], &device));
                    let data = DataTensor::new(vec![data.with_row_mask(tensor64(&rows, [1, h], &device))]);
                    let error = largest_error(&summaries(&network, &data), &expected);
                    assert!(error < 1e-12, "{height} of {h} rows: off by {error:.1e}");
                }
            }
        }
    }
}

/// Channels of pixels, row by row; `None` where there is no pixel.
type Image = Vec<Vec<Option<Vec<f64>>>>;

/// Applies a function to each place of an image of this size.
fn places(height: usize, width: usize, pixel: impl Fn(usize, usize) -> Option<Vec<f64>>) -> Image {
    (0..height).map(|y| (0..width).map(|x| pixel(y, x)).collect()).collect()
}

/// Applies a function to each pixel.
fn pixels(image: &Image, pixel: impl Fn(&[f64]) -> Vec<f64>) -> Image {
    places(image.len(), image[0].len(), |y, x| image[y][x].as_ref().map(|channels| pixel(channels)))
}

/// A network of images as loops over numbers.
struct Loops(HashMap<String, Vec<f64>>, Border);

impl Loops {
    fn linear(&self, place: &str, x: &[f64]) -> Vec<f64> {
        let (weight, bias) = (&self.0[&format!("{place}.weight")], &self.0[&format!("{place}.bias")]);
        let sum = |j: usize| x.iter().enumerate().map(|(i, x)| x * weight[i * bias.len() + j]).sum::<f64>();
        (0..bias.len()).map(|j| sum(j) + bias[j]).collect()
    }

    fn convolution(&self, place: &str, image: &Image) -> Image {
        let channels = image.iter().flatten().flatten().next().expect("a pixel").len();
        let (height, width) = (image.len(), image[0].len());
        let at = |y: usize, x: usize| match self.1 {
            Border::Zeros => image.get(y.wrapping_sub(1))?.get(x.wrapping_sub(1))?.clone(),
            Border::Periodic => image[(y + height - 1) % height][(x + width - 1) % width].clone(),
        };
        places(image.len(), image[0].len(), |y, x| {
            let square = (0..9).flat_map(|i| at(y + i / 3, x + i % 3).unwrap_or(vec![0.0; channels]));
            let square: Vec<f64> = square.collect();
            image[y][x].as_ref().map(|_| self.linear(&format!("{place}.linear"), &square))
        })
    }

    /// Without a norm, if there is none.
    fn norm_and_mish(&self, place: &str, image: &Image) -> Image {
        let mish = |x: f64| x * x.exp().ln_1p().tanh();
        let Some(scale) = self.0.get(&format!("{place}.gain")) else {
            return pixels(image, |x| x.iter().map(|x| mish(*x)).collect());
        };
        let shift = &self.0[&format!("{place}.bias")];
        pixels(image, |x| {
            let mean = x.iter().sum::<f64>() / x.len() as f64;
            let variance = x.iter().map(|x| (x - mean).powi(2)).sum::<f64>() / x.len() as f64;
            let normed = x
                .iter()
                .zip(scale)
                .zip(shift)
                .map(|((x, scale), shift)| mish((x - mean) / (variance + 1e-3).sqrt() * scale + shift));
            normed.collect()
        })
    }

    fn block(&self, place: &str, image: &Image) -> Image {
        let x = pixels(image, |x| self.linear(&format!("{place}.projection"), x));
        let h = self.norm_and_mish(&format!("{place}.first_norm"), &x);
        let h = self.convolution(&format!("{place}.first"), &h);
        let h = self.norm_and_mish(&format!("{place}.second_norm"), &h);
        let h = self.convolution(&format!("{place}.second"), &h);
        places(x.len(), x[0].len(), |row, column| {
            let sum = x[row][column].iter().flatten().zip(h[row][column].iter().flatten()).map(|(x, h)| x + h);
            x[row][column].as_ref().map(|_| sum.collect())
        })
    }

    /// The mean of the pixels that there are.
    fn mean<'i>(pixels: impl Iterator<Item = &'i Option<Vec<f64>>>) -> Option<Vec<f64>> {
        let pixels: Vec<_> = pixels.flatten().collect();
        let mean = |channel: usize| pixels.iter().map(|pixel| pixel[channel]).sum::<f64>() / pixels.len() as f64;
        pixels.first().map(|first| (0..first.len()).map(mean).collect())
    }

    fn summary(&self, mut image: Image, stages: usize, blocks: usize) -> Vec<f64> {
        for stage in 0..stages {
            for block in 0..blocks {
                image = self.block(&format!("stages.{stage}.blocks.{block}"), &image);
            }
            image = places(image.len().div_ceil(2), image[0].len().div_ceil(2), |y, x| {
                Self::mean(image.iter().skip(2 * y).take(2).flat_map(|row| row.iter().skip(2 * x).take(2)))
            });
        }
        self.linear("output", &Self::mean(image.iter().flatten()).expect("a pixel"))
    }
}

#[test]
fn a_convolutional_network_is_what_loops_over_pixels_compute() {
    let varying = shape([None, None, Some(2)]);
    let periodic = small().with_border(Border::Periodic).with_normalized(false);
    for (config, shape) in networks().into_iter().chain([(periodic, varying)]) {
        let case = Case { name: "loops", config: &config, shape, data: &|_, _| unreachable!("data of its own") };
        let network = case.network(1, &Device::default());
        let loops = Loops(parameters(&network).into_iter().collect(), config.border);
        for [height, width] in [[8, 8], [9, 13]] {
            let values = normal(7, height * width * 2);
            for every in [usize::MAX, 3] {
                let exists = |y: usize, x: usize| (y * width + x) % every != 2 && (every > 3 || y < 6 || x < 4);
                let pixel = |y: usize, x: usize| values[(y * width + x) * 2..][..2].to_vec();
                let image = places(height, width, |y, x| exists(y, x).then(|| pixel(y, x)));
                let expected = loops.summary(image, config.filters.len(), config.blocks);
                let found = summaries(&network, &masked(&values, [height, width, 2], exists));
                let error = largest_error(&found, &expected);
                assert!(error < 1e-12, "{height} x {width}: off by {error:.1e}");
            }
        }
    }
}

/// A periodic image may begin anywhere, in steps of the last squares; one within zeros may not.
#[test]
fn a_shift_changes_nothing_on_a_torus() {
    let (height, width) = (16, 8);
    for border in [Border::Periodic, Border::Zeros] {
        let (config, shape) = (small().with_border(border), shape([16, 8, 2].map(Some)));
        let case = Case { name: "shift", config: &config, shape, data: &|_, _| unreachable!("data of its own") };
        let network = case.network(1, &Device::default());
        let values = normal(7, height * width * 2);
        let shifted = |y: usize, x: usize| -> Vec<f64> {
            let place = |i: usize| (i / 2 / width + y) % height * width + (i / 2 + x) % width;
            let values: Vec<f64> = (0..values.len()).map(|i| values[place(i) * 2 + i % 2]).collect();
            summaries(&network, &tensor64(&values, [1, height, width, 2], &Device::default()).into())
        };
        let error = largest_error(&shifted(8, 0), &shifted(0, 0));
        assert_eq!(error < 1e-12, border == Border::Periodic, "{border:?}: {error:.1e}");
    }
}

#[test]
fn a_configuration_of_images_that_makes_no_network_says_why() {
    let error = |config: ConvolutionalNetworkConfig, shape: &DataShape| {
        config.init(shape, &mut ParameterInit::new(1, &Device::default())).expect_err("an error").to_string()
    };
    let image = shape([8, 9, 1].map(Some));
    for (setting, config) in [
        ("summary_dim", ConvolutionalNetworkConfig::new(0)),
        ("filters", small().with_filters(Vec::new())),
        ("filters", small().with_filters(vec![3, 0])),
        ("blocks", small().with_blocks(0)),
        ("dropout", small().with_dropout(1.0)),
    ] {
        let error = error(config, &image);
        assert!(error.contains(setting), "{error}");
    }
    for (config, axes, least) in [
        (small(), [Some(8), Some(7), Some(1)], "8 × 8"),
        (small(), [Some(4), None, Some(1)], "8 × 8"),
        (small().with_filters(vec![2; 4]), [Some(8), Some(8), Some(1)], "16 × 16"),
    ] {
        let error = error(config, &shape(axes));
        assert!(error.contains(least) && error.contains("stages"), "{error}");
    }
    let endless = small().with_filters(vec![1; 100]);
    assert!(error(endless, &image).contains("100 stages"));
    let mut padded = shape([Some(8), None, Some(1)]).inputs()[0].clone();
    padded.padded = true;
    let periodic = error(small().with_border(Border::Periodic), &DataShape::new(vec![padded]));
    assert!(periodic.contains("of one size") && periodic.contains("periodic"), "{periodic}");
    let error = error(small(), &DataShape::of_sets(3));
    assert!(error.contains("images [height, width, channels]") && error.contains("[N, 3]"), "{error}");
}
