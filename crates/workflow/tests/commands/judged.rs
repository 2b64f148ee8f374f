//! Judges posteriors by `Diagnose`: each takes the path that a user's observations take.

use bayesburn_diagnostics::{DiagnosticsSuite, Evidence};
use bayesburn_inference::{Npe, NpeConfig};
use bayesburn_simulation::{GenerativeModel, InvalidSimulations, Prior, Progress, Simulator, Univariate};
use bayesburn_workflow::Diagnose;
use ndarray::{ArrayD, arr1};
use rand::RngExt;
use rand_distr::StandardNormal;

/// θ ~ N(0, 1), two values x ~ N(5 + θ, 0.5²), of which the second is missing where the first is above 5: a posterior that passes. n = 500
/// data sets of 200 draws, a false-alarm rate of 1%, seed 0. The twin is asked about zeros in place of what is missing, and fails.
#[test]
fn missing_values_are_missing_to_the_judge() {
    let prior = Prior::independent([("theta", Univariate::normal(0.0, 1.0).expect("sound"))]);
    let simulator = Simulator::from_fn(|rng, theta, _| {
        let x = [(); 2].map(|()| theta[0] + 5.0 + 0.5 * rng.sample::<f32, _>(StandardNormal));
        arr1(&[x[0], if x[0] > 5.0 { f32::NAN } else { x[1] }])
    });
    let model = GenerativeModel::new(prior, simulator.on_invalid(InvalidSimulations::Mask)).expect("masked");
    let mut npe =
        Npe::builder(model.clone(), NpeConfig::new()).seed(1).progress(Progress::Hidden).build().expect("sound");
    npe.simulate(5000).expect("it simulates");
    let posterior = npe.train().expect("it trains");
    let diagnosis = Diagnose::new().with_size(500, 200).posterior(&posterior, &model).expect("it runs");
    assert!(diagnosis.report().passed(), "{}", diagnosis.report());

    let test = model.simulate(500, 77).expect("it simulates");
    let passes = |x: &ArrayD<f32>| {
        let draws = posterior.sample_for(x, 200, 3).expect("draws");
        let evidence = Evidence::new(&draws, &test.parameters).expect("sound evidence");
        DiagnosticsSuite::new().run(&evidence).expect("it runs").passed()
    };
    assert!(passes(&test.observations()) && !passes(&test.sim_data));
}
