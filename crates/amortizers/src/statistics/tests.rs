//! Compares statistics with naive formulas, and checks what they must not depend on.

use super::*;
use crate::Conditions;
use bayesburn_core::{Data, Purpose, stream};
use ndarray::{Array, Array2, Array3, ArrayD, Axis, Dimension, ShapeBuilder, array, s};
use rand::RngExt;
use rand_distr::StandardNormal;

const ORDERED: [FixedStatistics; 2] = [FixedStatistics::OfSeries, FixedStatistics::OfImages];
const ALL: [FixedStatistics; 4] =
    [FixedStatistics::OfVectors, FixedStatistics::OfSets, FixedStatistics::OfSeries, FixedStatistics::OfImages];

fn numbers<D: Dimension, S: ShapeBuilder<Dim = D>>(shape: S, index: u64) -> Array<f32, D> {
    let mut rng = stream(7, const { Purpose::new("statistics tests") }, index);
    Array::from_shape_simple_fn(shape, || (0.5 * rng.sample::<f32, _>(StandardNormal)).exp())
}

/// Of each data set, without constants.
fn of(of: FixedStatistics, data: Data) -> Array2<f32> {
    let conditions = Conditions::from(data);
    let (input, masked) = (&conditions.data.inputs()[0], conditions.masked[0]);
    let statistics = statistics(of, input, masked, None);
    Array2::from_shape_vec((input.len(), width(of, input.features(), masked)), statistics).expect("as many")
}

/// A feature of one data set `[lines, pixels]`, in which some values are missing.
type Feature = Vec<Vec<Option<f64>>>;

fn present(feature: &Feature) -> Vec<f64> {
    feature.iter().flatten().flatten().copied().collect()
}

fn mean(values: &[f64]) -> f64 {
    if values.is_empty() { 0.0 } else { values.iter().sum::<f64>() / values.len() as f64 }
}

/// With divisor n.
fn variance(feature: &Feature) -> f64 {
    let (values, center) = (present(feature), mean(&present(feature)));
    mean(&values.iter().map(|value| (value - center).powi(2)).collect::<Vec<_>>())
}

/// Values of two places, both of which are there, of two features less their means.
fn pairs(a: &Feature, b: &Feature, [down, right]: [usize; 2]) -> Vec<(f64, f64)> {
    let (center_a, center_b) = (mean(&present(a)), mean(&present(b)));
    let mut pairs = Vec::new();
    for i in 0..a.len().saturating_sub(down) {
        for j in 0..a[i].len().saturating_sub(right) {
            if let (Some(x), Some(y)) = (a[i][j], b[i + down][j + right]) {
                pairs.push((x - center_a, y - center_b));
            }
        }
    }
    pairs
}

fn z(correlation: f64, pairs: usize) -> f64 {
    (correlation.clamp(-1.0, 1.0) * (1.0 - 1.0 / (pairs * pairs) as f64)).atanh()
}

fn products(pairs: &[(f64, f64)]) -> f64 {
    mean(&pairs.iter().map(|(a, b)| a * b).collect::<Vec<_>>())
}

fn naive(kind: Kind, features: &[Feature], a: usize) -> Vec<f64> {
    let feature = &features[a];
    let (values, lines) = (present(feature), feature.len());
    let one = match kind {
        Kind::Mean => mean(&values),
        Kind::LogVariance => (variance(feature) * values.len() as f64 / (values.len() - 1) as f64 + 1e-8).ln(),
        Kind::Correlation => {
            let z = |b: &Feature| {
                let pairs = pairs(feature, b, [0, 0]);
                z(products(&pairs) / (variance(feature) * variance(b)).sqrt(), pairs.len())
            };
            return features[a + 1..].iter().map(z).collect();
        }
        Kind::Lag(lag) => {
            let pairs = pairs(feature, feature, [lag, 0]);
            if pairs.is_empty() {
                return vec![0.0];
            }
            let shrunk = 1.0 - lag as f64 / lines as f64;
            z(shrunk * products(&pairs) / variance(feature), pairs.len())
        }
        Kind::Difference(distance) => {
            let both = [pairs(feature, feature, [distance, 0]), pairs(feature, feature, [0, distance])].concat();
            let squares: Vec<f64> = both.iter().map(|(a, b)| (a - b).powi(2)).collect();
            if squares.is_empty() { 0.0 } else { (mean(&squares) + 1e-8).ln() }
        }
        Kind::Trend => {
            let times: Feature = feature.iter().enumerate().map(|(t, x)| vec![x[0].map(|_| t as f64)]).collect();
            products(&pairs(&times, feature, [0, 0])) / variance(&times).sqrt()
        }
        Kind::Cell([i, j]) => {
            let inside = |cell: usize, place: usize, length: usize| {
                (cell * length / CELLS..(cell + 1) * length / CELLS).contains(&place)
            };
            let places = feature.iter().enumerate().filter(|(line, _)| inside(i, *line, lines));
            let pixels = places.flat_map(|(_, pixels)| {
                pixels.iter().enumerate().filter(|(pixel, _)| inside(j, *pixel, pixels.len())).map(|(_, value)| *value)
            });
            let pixels: Vec<f64> = pixels.flatten().collect();
            if pixels.is_empty() { 0.0 } else { mean(&pixels) - mean(&values) }
        }
    };
    vec![one]
}

/// Of values `[lines, pixels, F]`, NaN where they are missing.
fn assert_naive(which: FixedStatistics, got: &[f32], values: &ArrayD<f32>) {
    let shape = values.shape();
    let values = values.to_shape((shape[0], shape[1..shape.len() - 1].iter().product(), shape[shape.len() - 1]));
    let values: Array3<f32> = values.expect("as many values").into_owned();
    let feature = |feature: usize| -> Feature {
        let lines = values.outer_iter();
        let known = |value: &f32| (!value.is_nan()).then_some(f64::from(*value));
        lines.map(|line| line.column(feature).iter().map(known).collect()).collect()
    };
    let features: Vec<Feature> = (0..values.dim().2).map(feature).collect();
    let mut expected = Vec::new();
    for kind in kinds(which, features.len()) {
        (0..features.len()).for_each(|a| expected.extend(naive(kind, &features, a).into_iter().map(|x| (kind, x))));
    }
    assert_eq!(got.len(), expected.len(), "{which:?}");
    for (i, (got, (kind, expected))) in got.iter().zip(expected).enumerate() {
        assert!((f64::from(*got) - expected).abs() < 1e-4 * (1.0 + expected.abs()), "{i} {kind:?}: {got} {expected}");
    }
}

#[test]
fn statistics_are_those_of_the_formulas() {
    for (which, length) in
        [(FixedStatistics::OfSets, 7), (FixedStatistics::OfSeries, 33), (FixedStatistics::OfSeries, 6)]
    {
        let data = numbers((2, length, 3), 1);
        for (got, values) in of(which, Data::new(data.clone())).outer_iter().zip(data.outer_iter()) {
            assert_naive(which, got.as_slice().expect("a row"), &values.to_owned().into_dyn());
        }
    }
    for shape in [(2, 8, 10, 2), (2, 2, 7, 1), (2, 9, 3, 3)] {
        let data = numbers(shape, 2);
        for (got, values) in of(FixedStatistics::OfImages, Data::new(data.clone())).outer_iter().zip(data.outer_iter())
        {
            assert_naive(FixedStatistics::OfImages, got.as_slice().expect("a row"), &values.to_owned().into_dyn());
        }
    }
    let vectors = numbers((3, 5), 3);
    let named = Data::named([("v", Data::new(vectors.clone()))]).expect("one input");
    assert_eq!(of(FixedStatistics::OfVectors, named), vectors);
}

/// A quarter of the values, and of the rows at random places.
#[test]
fn what_is_missing_does_not_count() {
    let mut data = numbers((3, 24, 3), 4);
    let gone = numbers((3, 24, 3), 5);
    data.zip_mut_with(&gone, |value, gone| *value = if *gone < 0.7 { f32::NAN } else { *value });
    for which in [FixedStatistics::OfSets, FixedStatistics::OfSeries] {
        for (got, values) in of(which, Data::with_missing(data.clone())).outer_iter().zip(data.outer_iter()) {
            assert_naive(which, got.as_slice().expect("a row"), &values.to_owned().into_dyn());
        }
    }
    // Rows that a mask of rows leaves out, between others.
    let data = numbers((1, 24, 2), 6);
    let mask = Array2::from_shape_fn((1, 24), |(_, t)| if t % 5 == 2 { 0.0 } else { 1.0 });
    let mut with_gaps = data.index_axis(Axis(0), 0).to_owned();
    (0..24).filter(|t| t % 5 == 2).for_each(|t| with_gaps.row_mut(t).fill(f32::NAN));
    let masked = || Data::new(data.clone()).with_row_mask(mask.clone()).expect("a mask of rows");
    let series = of(FixedStatistics::OfSeries, masked());
    assert_naive(FixedStatistics::OfSeries, series.as_slice().expect("a row"), &with_gaps.into_dyn());
    // Those of a set are as if the rows had never been.
    let rows: Vec<usize> = (0..24).filter(|t| t % 5 != 2).collect();
    let alone = of(FixedStatistics::OfSets, Data::new(data.select(Axis(1), &rows)));
    assert_eq!(of(FixedStatistics::OfSets, masked()), alone);
}

#[test]
fn padding_changes_no_bit() {
    for which in [FixedStatistics::OfSets, FixedStatistics::OfSeries] {
        let sets = [3, 20, 11, 1].map(|n| numbers((n, 3), n as u64));
        let together = of(which, Data::padded(sets.clone()).expect("of three features"));
        for (set, got) in sets.into_iter().zip(together.outer_iter()) {
            assert_eq!(of(which, Data::new(set.insert_axis(Axis(0)))).row(0), got, "{which:?}");
        }
    }
    let images = [(4, 9), (10, 3), (7, 7)].map(|(h, w)| numbers((h, w, 2), h as u64));
    let together = of(FixedStatistics::OfImages, Data::padded(images.clone()).expect("of two channels"));
    for (image, got) in images.into_iter().zip(together.outer_iter()) {
        assert_eq!(of(FixedStatistics::OfImages, Data::new(image.insert_axis(Axis(0)))).row(0), got);
    }
}

/// The twin: of series it does.
#[test]
fn the_order_of_rows_does_not_matter_to_sets() {
    let data = numbers((4, 30, 3), 8);
    let turned = data.slice(s![.., ..;-1, ..]).to_owned();
    let difference = |which| {
        let difference = of(which, Data::new(data.clone())) - of(which, Data::new(turned.clone()));
        difference.fold(0f32, |most, d| most.max(d.abs()))
    };
    assert!(difference(FixedStatistics::OfSets) < 1e-6);
    assert!(difference(FixedStatistics::OfSeries) > 0.1);
}

#[test]
fn the_unit_of_the_data_does_not_matter() {
    let standardised = |scale: f32, shift: f32| {
        let conditions = Conditions::new(numbers((5, 12, 2), 9).mapv(|x| scale * x + shift));
        let (mean, std) = ([scale + shift; 2], [0.5 * scale; 2]);
        statistics(FixedStatistics::OfSeries, &conditions.data.inputs()[0], 0, Some([&mean, &std]))
    };
    let other = standardised(1000.0, -5.0);
    for (a, b) in standardised(1.0, 0.0).into_iter().zip(other) {
        assert!((a - b).abs() < 1e-3 * a.abs().max(1.0), "{a} {b}");
    }
    assert_eq!(standardised(1.0, 0.0), standardised(1024.0, 0.0), "a power of two changes no digit");
}

#[test]
fn statistics_of_degenerate_data_are_finite() {
    let missing = |mut data: Array3<f32>| {
        data.slice_mut(s![.., .., 0]).fill(f32::NAN);
        data.slice_mut(s![.., 1.., 1]).fill(f32::NAN);
        Data::with_missing(data)
    };
    let largest = array![[[f32::MAX, 1.0, 0.0], [-f32::MAX, f32::MIN_POSITIVE, 0.0], [f32::MAX, 0.0, 0.0]]];
    let sets = [
        Data::new(numbers((2, 1, 3), 10)),
        Data::new(numbers((2, 2, 3), 11)),
        Data::new(Array3::from_elem((2, 9, 3), 0.1)),
        Data::new(Array3::zeros((2, 9, 3))),
        Data::new(largest),
        missing(numbers((2, 9, 3), 12)),
        missing(numbers((2, 1, 3), 13)),
    ];
    for data in sets {
        for which in ALL {
            let statistics = of(which, data.clone());
            assert!(statistics.iter().all(|x| x.is_finite()), "{which:?} of {data:?}: {statistics}");
        }
    }
    for shape in [(2, 1, 1, 1), (2, 1, 8, 2), (2, 3, 2, 1)] {
        for data in [numbers(shape, 14), ndarray::Array4::zeros(shape)] {
            let statistics = of(FixedStatistics::OfImages, Data::new(data));
            assert!(statistics.iter().all(|x| x.is_finite()), "{shape:?}: {statistics}");
        }
    }
}

/// Of n equal values, which are not the same number in other units, the variance is that of half an event.
#[test]
fn equal_values_are_not_far_from_others() {
    let constant = Array3::from_elem((1, 50, 1), 0.1);
    let got = of(FixedStatistics::OfSeries, Data::new(constant.clone()));
    let expected = -f64::from(2.0 * 49.0f32).ln();
    assert!(
        (f64::from(got[[0, 1]]) - expected).abs() < 1e-6 && (f64::from(got[[0, 3]]) - expected).abs() < 1e-6,
        "{got}"
    );
    assert_eq!(got[[0, 2]], 0.0, "no autocorrelation");
    // The twin: values that differ by steps of f32.
    let mut rounded = constant;
    rounded[[0, 7, 0]] = 0.1f32.next_up();
    let got = of(FixedStatistics::OfSeries, Data::new(rounded));
    assert!((f64::from(got[[0, 1]]) - 1e-8f64.ln()).abs() < 1e-3, "{got}");
}

/// Data of a rank that a kind does not know are sets of rows.
#[test]
fn every_rank_has_statistics() {
    let data = numbers((2, 3, 4, 5, 2), 15);
    let flat = data.to_shape((2, 60, 2)).expect("as many values").into_owned();
    assert_eq!(of(FixedStatistics::OfSets, Data::new(data.clone())), of(FixedStatistics::OfSets, Data::new(flat)));
    for which in ORDERED {
        assert!(of(which, Data::new(data.clone())).iter().all(|x| x.is_finite()));
    }
}

/// Kinds that would be too many are left out, those behind them are not.
#[test]
fn there_are_at_most_64() {
    let widths = |which| [1, 4, 10, 20, 64, 65].map(|features| width(which, features, 0));
    assert_eq!(widths(FixedStatistics::OfSets), [2, 14, 20, 40, 64, 0]);
    assert_eq!(widths(FixedStatistics::OfSeries), [8, 38, 60, 60, 64, 0]);
    assert_eq!(widths(FixedStatistics::OfImages), [14, 62, 60, 60, 64, 0]);
    assert_eq!(widths(FixedStatistics::OfVectors), [1, 4, 10, 20, 64, 0]);
    assert_eq!(widths(FixedStatistics::None), [0; 6]);
    assert_eq!(width(FixedStatistics::OfSets, 7, 3), 14, "the columns of a mask are no features");
}
