//! Tests derivatives against differences, losses against NumPy, and that the network learns.

use super::*;
use bayesburn_core::{Purpose, stream};

/// Five rows in the plane, none of whose units is within 0.09 of its kink, so that differences of 0.01 are smooth.
fn small() -> (Classifier, Pass) {
    let shape = Shape { inputs: 2, units: 3 };
    let number: usize = shape.lengths().iter().sum();
    let parameters = (0..number).map(|i| ((i * 31 % 19) as f32 - 9.0) / 10.0).collect();
    let examples = Examples {
        inputs: vec![0.5, -1.0, 1.5, 0.3, -0.7, 0.8, 0.2, 1.1, -1.2, -0.4],
        columns: 2,
        labels: vec![0.0, 1.0, 1.0, 0.0, 1.0],
    };
    let mut pass = Pass::default();
    pass.load(&examples, &[0, 1, 2, 3, 4], 3);
    (Classifier { shape, parameters }, pass)
}

/// Loss, penalty included, over the number of rows, and its gradient.
fn loss(network: &Classifier, pass: &mut Pass) -> (f64, Vec<f32>) {
    let mut gradient = vec![f32::NAN; network.parameters.len()];
    network.forward(pass);
    let loss = network.backward(pass, &mut gradient) + network.penalize(5, &mut gradient);
    (loss / 5.0, gradient)
}

#[test]
fn gradients_are_differences_of_the_loss() {
    let (mut network, mut pass) = small();
    let (_, gradient) = loss(&network, &mut pass);
    for (i, derivative) in gradient.into_iter().enumerate() {
        let value = network.parameters[i];
        let mut at = |value| {
            network.parameters[i] = value;
            loss(&network, &mut pass).0
        };
        let difference = (at(value + 0.01) - at(value - 0.01)) / 0.02;
        at(value);
        assert!((f64::from(derivative) - difference).abs() < 1e-4, "{i}: {derivative}, not {difference}");
    }
}

/// The loss of `small` as NumPy computes it, without the penalty: 4.481710 over 5 rows.
#[test]
fn losses_are_cross_entropies_with_a_penalty_on_weights_alone() {
    let (network, mut pass) = small();
    let squares: f32 = network.parameters[..18].iter().map(|w| w * w).sum();
    let expected = (4.481_710_3 + 0.5e-4 * f64::from(squares)) / 5.0;
    assert!((loss(&network, &mut pass).0 - expected).abs() < 1e-5); // the penalty is 6e-5
}

/// The first step of Adam is its rate, whatever the size of the gradient.
#[test]
fn first_steps_are_as_long_as_the_rate() {
    let mut parameters = [1.0_f32, 1.0, 1.0];
    Adam::new(3).step(&mut parameters, &[100.0, -0.01, 0.0]);
    assert!((parameters[0] - 0.999).abs() < 1e-6 && (parameters[1] - 1.001).abs() < 1e-6, "{parameters:?}");
    assert_eq!(parameters[2], 1.0);
}

#[test]
fn what_is_above_a_parabola_is_learned() {
    let mut rng = stream(1, Purpose::new("parabola"), 0);
    let inputs: Vec<f32> = (0..2_000).map(|_| 4.0 * rng.random::<f32>() - 2.0).collect();
    let labels = inputs.chunks_exact(2).map(|x| f32::from(u8::from(x[1] > x[0] * x[0] - 1.0))).collect();
    let examples = Examples { inputs, columns: 2, labels };
    let rows: Vec<usize> = (0..1_000).collect();
    let mut train = |max_epochs| {
        let (network, epochs) = Classifier::train(&examples, rows[..700].to_vec(), 20, max_epochs, &mut rng);
        (network.accuracy(&examples, &rows[700..]), epochs)
    };
    let (accuracy, epochs) = train(10_000);
    assert!(accuracy > 0.95 && epochs > PATIENCE && epochs < 10_000, "{accuracy} after {epochs} epochs");
    // The twin: no time to learn.
    let (accuracy, epochs) = train(1);
    assert!(accuracy < 0.95 && epochs == 1, "{accuracy} after {epochs} epochs");
}
