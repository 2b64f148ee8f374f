//! Takes one number without an axis, as simulators of a count return it, for a vector of one.

use crate::normal_prior;
use bayesburn_simulation::{GenerativeModel, Simulator};
use ndarray::{Axis, arr0, arr1};

#[test]
fn one_number_is_a_vector_of_one() {
    let of = |simulator| GenerativeModel::new(normal_prior(), simulator).expect("the pilot run is sound");
    let number = of(Simulator::from_fn(|_, theta, _| arr0(theta[0])));
    let vector = of(Simulator::from_fn(|_, theta, _| arr1(&theta[..1])));
    assert_eq!(number.shapes(), vector.shapes());
    assert_eq!(number.shapes().data, [1]);
    let simulations = number.simulate(100, 1).expect("it simulates");
    assert_eq!(simulations, vector.simulate(100, 1).expect("it simulates"));
    let first = simulations.parameters.select(Axis(1), &[0]).into_dyn();
    assert_eq!(simulations.data.values(), first);
}
