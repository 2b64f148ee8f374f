//! Checks names, shapes and errors.

use bayesburn_simulation::tasks::{self, TaskError};

#[test]
fn tasks_are_found_by_their_names() {
    let shapes = tasks::all().map(|task| {
        assert_eq!(tasks::by_name(task.name()).expect("its own name").name(), task.name());
        let names = task.model().parameter_names().clone();
        let shapes = task.model().shapes().clone();
        assert_eq!((names[0].as_str(), names.len()), ("theta_1", shapes.parameters[0]));
        assert!(task.model().simulations_are_independent() && task.model().prior().density().is_some());
        (task.name(), shapes.parameters[0], shapes.data, task.has_exact_posterior())
    });
    let expected = [
        ("gaussian_linear", 10, vec![10], true),
        ("gaussian_linear_uniform", 10, vec![10], true),
        ("slcp", 5, vec![8], false),
        ("two_moons", 2, vec![2], true),
    ];
    assert_eq!(shapes, expected);
    let error = tasks::by_name("two_moon").expect_err("no such task").to_string();
    assert!(error.contains("`two_moon`") && error.contains("\"two_moons\""), "{error}");
}

#[test]
fn priors_are_those_of_the_paper() {
    let density = |name| tasks::by_name(name).expect("a task").model().prior().density().expect("it has one").clone();
    let (mean, covariance) = density("gaussian_linear").as_normal().expect("normal");
    assert!(mean.iter().all(|&mean| mean == 0.0));
    assert!((covariance - 0.1 * ndarray::Array2::<f64>::eye(10)).iter().all(|error| error.abs() < 1e-15));
    for (name, dim, bound) in [("gaussian_linear_uniform", 10, 1.0_f64), ("slcp", 5, 3.0), ("two_moons", 2, 1.0)] {
        let density = density(name);
        assert!(density.is_uniform());
        let volume = dim as f64 * (2.0 * bound).ln();
        assert!((density.log_prob(&vec![-bound as f32; dim]) + volume).abs() < 1e-12, "{name}");
    }
}

#[test]
fn what_does_not_fit_is_refused_with_the_reason() {
    for task in tasks::all() {
        let (d, f) = (task.model().shapes().parameters[0], task.model().shapes().data[0]);
        let error = task.log_likelihood(&vec![0.5; d + 1], &vec![0.5; f]).expect_err("too many parameters");
        assert!(matches!(error, TaskError::Lengths { expected, got, .. } if (expected, got) == (d, d + 1)));
        let error = task.log_likelihood(&vec![0.5; d], &vec![0.5; f - 1]).expect_err("too little data").to_string();
        assert!(error.contains(&format!("{} values of data for the task `{}`", f - 1, task.name())), "{error}");
        if !task.has_exact_posterior() {
            let error = task.exact_posterior(&vec![0.5; f], 1, 1).expect_err("none").to_string();
            assert!(error.contains("`slcp` has no closed form"), "{error}");
            continue;
        }
        let refused = |x: &[f32], num_draws| task.exact_posterior(x, num_draws, 1).expect_err("refused");
        assert!(matches!(refused(&vec![0.5; f + 1], 1), TaskError::Lengths { .. }));
        assert!(matches!(refused(&vec![0.1; f], 0), TaskError::NoDraws));
        let mut impossible = vec![f32::NAN, f32::INFINITY];
        if task.name() != "gaussian_linear" {
            impossible.push(5.0);
        }
        for value in impossible {
            let mut x = vec![0.1; f];
            x[f - 1] = value;
            let error = refused(&x, 10).to_string();
            assert!(error.contains("no parameters") && error.contains(task.name()), "{error}");
        }
    }
}

/// A change here changes every simulation or draw of a seed: it is value-breaking, and the changelog says so.
#[test]
fn draws_of_a_seed_stay_the_same() {
    let pinned: [([f32; 2], &[f32]); 4] = [
        ([-0.13458808, 0.16248833], &[-0.25372538, -0.06440161]),
        ([-0.18939732, 0.72469175], &[-0.45305106, 0.5187175]),
        ([-0.8842119, 1.2029012], &[]),
        ([-0.15599725, 0.51714385], &[-0.108732045, 0.74125415]),
    ];
    for (task, (data, theta)) in tasks::all().iter().zip(pinned) {
        let simulations = task.model().simulate(3, 2023).expect("the model is sound");
        let x: Vec<f32> = simulations.data.values().outer_iter().nth(2).expect("3 of them").iter().copied().collect();
        let draws = task.has_exact_posterior().then(|| task.exact_posterior(&x, 3, 2023).expect("it has a posterior"));
        let draw = draws.map_or(Vec::new(), |draws| draws.data_set(0).row(2).to_vec());
        // Up to what a logarithm may differ between platforms.
        let same = |got: &[f32], pinned: &[f32]| pinned.iter().zip(got).all(|(a, b)| (a - b).abs() < 1e-5 * a.abs());
        assert!(same(&x, &data) && same(&draw, theta), "{}: {x:?}, {draw:?}", task.name());
    }
}

#[test]
fn a_draw_is_the_same_among_any_number() {
    for task in tasks::all().iter().filter(|task| task.has_exact_posterior()) {
        let x = vec![0.1; task.model().shapes().data[0]];
        let draws = |number| task.exact_posterior(&x, number, 5).expect("a posterior").data_set(0).to_owned();
        let (few, many) = (draws(10), draws(100));
        assert_eq!(few, many.slice(ndarray::s![..10, ..]));
        assert_ne!(many.row(0), many.row(1));
    }
}
