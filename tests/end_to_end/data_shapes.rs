//! Data of other shapes than sets of one length: of different lengths, and a series beside an image, from the simulator
//! to the command line.

use crate::models::{small_networks, training};
use bayesburn::{
    amortizers::AmortizedPosterior,
    networks::{
        AnySummaryConfig, ConfigError, DataTensor, OutputInit, ParameterInit, Pass, SummaryConfig, SummaryNetwork,
    },
    prelude::*,
    simulation::DataError,
    trainers::LastBatch,
    workflow::{
        Command, Workflow,
        saved::{Registry, Saved},
    },
};
use burn::{config::Config, module::Module, nn::Linear, tensor::Tensor};
use ndarray::{Array4, ArrayD, array};
use ndarray_npy::NpzWriter;
use std::{fs, path::Path};

/// A summary network of one's own: the mean over the time of a series that exists, beside the mean over the pixels of
/// an image.
#[derive(Module, Debug)]
struct SeriesAndImage {
    linear: Linear,
}

#[derive(Config, Debug, PartialEq)]
struct SeriesAndImageConfig {}

impl SummaryConfig for SeriesAndImageConfig {
    const NAME: &'static str = "series and image";

    type Network = SeriesAndImage;

    fn init(&self, shape: &DataShape, init: &mut ParameterInit) -> Result<SeriesAndImage, ConfigError> {
        let features = ["series", "image"].iter().filter_map(|name| shape.input(name)).map(|input| input.features());
        Ok(SeriesAndImage { linear: init.linear(features.sum(), 4, OutputInit::Glorot) })
    }
}

impl SummaryNetwork for SeriesAndImage {
    fn summary_dim(&self) -> usize {
        4
    }

    fn forward(&self, data: &DataTensor, _: &mut Pass) -> Tensor<2> {
        let (series, mask) = data.input("series").sets();
        let series = match mask {
            // Padding is 0.
            Some(mask) => series.sum_dim(1) / mask.sum_dim(1),
            None => series.mean_dim(1),
        };
        let image = data.input("image").values::<4>().mean_dim(1).mean_dim(2);
        let [rows, _, of_series] = series.dims();
        let of_image = image.dims()[3];
        self.linear.forward(Tensor::cat(vec![series.reshape([rows, of_series]), image.reshape([rows, of_image])], 1))
    }
}

/// A series of 5 to 30 observations around θ, and an image that is θ bright, with a number for each as context.
fn series_and_image() -> GenerativeModel {
    let prior = Prior::from_fn(["mu", "brightness"], |rng, _| [(); 2].map(|()| rng.sample(StandardNormal)));
    let context = ContextGenerator::new().with_batchable(|rng| ndarray::arr1(&[rng.random::<f32>()]));
    let simulator = Simulator::from_named_fn(|rng, theta, _| {
        let n = rng.random_range(5..=30);
        let series = Array2::from_shape_fn((n, 2), |_| theta[0] + rng.sample::<f32, _>(StandardNormal));
        let image =
            ndarray::Array3::from_shape_fn((4, 3, 1), |_| theta[1] + 0.1 * rng.sample::<f32, _>(StandardNormal));
        [("series", series.into_dyn()), ("image", image.into_dyn())]
    });
    GenerativeModel::new(prior, simulator.with_context(context)).expect("the pilot run succeeds")
}

fn config() -> PosteriorConfig<SeriesAndImageConfig> {
    PosteriorConfig::new(SeriesAndImageConfig::new(), small_networks().inference)
}

fn write_npz(path: &Path, arrays: &[(&str, ArrayD<f32>)]) {
    let mut npz = NpzWriter::new(fs::File::create(path).expect("writable"));
    arrays.iter().for_each(|(name, array)| npz.add_array(*name, array).expect("writable"));
    npz.finish().expect("writable");
}

/// Simulated into a store, read as a data set, trained offline, saved, loaded, and asked by a program's own command
/// line.
#[test]
fn two_inputs_go_from_the_simulator_to_the_command_line() {
    let folder = tempfile::tempdir().expect("a folder");
    let model = series_and_image();
    let data = model.presimulate(folder.path().join("store"), &Presimulation::new(300, 1)).expect("a store");
    let data = Dataset::open(folder.path().join("store")).map(|again| (again.len() == data.len()).then_some(again));
    let data = data.expect("sound").expect("all of it");
    let builder = Trainer::builder(data.clone(), config()).seed(1).progress(Progress::Hidden);
    let mut trainer = builder.checkpoints(folder.path().join("run")).build().expect("sound");
    let source = Offline::new(data.clone()).with_epochs(2).with_last_batch(LastBatch::Drop);
    let history = trainer.train(source, &TrainingConfig::new()).expect("trains");
    assert!(history.epochs.iter().all(|epoch| epoch.validation_loss.is_some_and(f32::is_finite)));
    let posterior = trainer.amortizer();
    // The number is no feature of a series or of an image: it is a direct condition.
    assert_eq!(posterior.data_shape().to_string(), "series [N, 2], image [4, 3, 1]");
    assert_eq!(posterior.condition_widths(), [3, 1]);

    let test = trainer.configure(&model.simulate(20, 7).expect("simulates")).expect("configures");
    let draws = posterior.sample(&test.conditions, 50, 3).expect("draws");
    posterior.save(folder.path().join("posterior")).expect("saved");
    let loaded = AmortizedPosterior::<SeriesAndImageConfig>::load(folder.path().join("posterior"), &Default::default());
    let loaded = loaded.expect("loads");
    assert_eq!(loaded.sample(&test.conditions, 50, 3).expect("draws").values(), draws.values());
    // Alone, a data set is not padded: its draws are the same but for the order of sums.
    for m in 0..3 {
        let alone = posterior.sample_numbered(&test.conditions.select(&[m]), m, 50, 3).expect("draws");
        let difference = (&alone.data_set(0) - &draws.data_set(m)).mapv(f32::abs);
        assert!(difference.iter().all(|difference| *difference < 1e-4), "{difference}");
    }
    let other = Conditions::from(Data::new(Array4::<f32>::zeros((1, 4, 3, 1))));
    let error = posterior.sample(&other, 5, 1).expect_err("an image alone").to_string();
    assert!(error.contains("series [N, 2], image [4, 3, 1]"), "{error}");
}

/// Without naming a network: of the shapes, by fusion. What is saved is known by its name alone.
#[test]
fn the_default_networks_of_two_inputs_train_and_load() {
    let folder = tempfile::tempdir().expect("a folder");
    let model = series_and_image();
    let shape = model.simulate(2, 1).expect("simulates").data.shape();
    let networks = AnySummaryConfig::for_shape(&shape, 4).expect("known shapes");
    let config = PosteriorConfig::new(networks, small_networks().inference);
    let mut trainer =
        Trainer::builder(model.clone(), config).seed(1).progress(Progress::Hidden).build().expect("sound");
    let source = Online::new().with_epochs(2).with_iterations_per_epoch(10).with_batch_size(8);
    let history = trainer.train(source, &training()).expect("trains");
    assert!(history.epochs.iter().all(|epoch| epoch.validation_loss.is_some_and(f32::is_finite)));
    let posterior = trainer.amortizer();
    let test = trainer.configure(&model.simulate(20, 7).expect("simulates")).expect("configures");
    let draws = posterior.sample(&test.conditions, 50, 3).expect("draws");
    posterior.save(folder.path().join("posterior")).expect("saved");
    let loaded = AmortizedPosterior::<AnySummaryConfig>::load(folder.path().join("posterior"), &Default::default());
    let again = loaded.expect("loads").sample(&test.conditions, 50, 3).expect("draws");
    assert_eq!(again.values(), draws.values());
    let saved = Saved::find(&folder.path().join("posterior")).expect("sound");
    Registry::new().load(&saved, None).expect("a network of the library");
}

/// Arrays by name, NaN for padding, and a mask in place of it.
#[test]
fn observed_inputs_are_read_by_a_program() {
    let folder = tempfile::tempdir().expect("a folder");
    let builder = || Trainer::builder(series_and_image(), config()).seed(1).progress(Progress::Hidden);
    let workflow = || {
        Workflow::new("a series and an image", builder(), |trainer| {
            trainer.train(Online::new().with_epochs(1).with_iterations_per_epoch(5), &TrainingConfig::new()).map(|_| ())
        })
        .with_folder(folder.path().join("out"))
    };
    let run = |line: &[&str]| {
        let (command, common) = Command::read(line).expect("sound").expect("a command");
        let mut out = Vec::new();
        workflow().run(&command, &common, &mut out).map(|_| String::from_utf8(out).expect("text"))
    };
    run(&["train"]).expect("trains");
    let image = ArrayD::zeros(vec![2, 4, 3, 1]);
    let mut series = ArrayD::ones(vec![2, 9, 2]);
    series.index_axis_mut(Axis(0), 1).slice_axis_mut(Axis(0), (6..).into()).fill(f32::NAN);
    let path = |name: &str| folder.path().join(name).display().to_string();
    let context = path("context.npy");
    ndarray_npy::write_npy(&context, &array![[0.5_f32], [0.25]]).expect("writable");
    write_npz(path("nan.npz").as_ref(), &[("image", image.clone()), ("series", series.clone())]);
    let rows = series.map_axis(Axis(2), |row| if row[0].is_nan() { 0.0 } else { 1.0 });
    let zeros = series.mapv(|value| if value.is_nan() { 0.0 } else { value });
    write_npz(path("rows.npz").as_ref(), &[("series", zeros), ("image", image), ("series_rows", rows)]);
    let draws = ["nan", "rows"].map(|name| {
        let (data, out) = (path(&format!("{name}.npz")), path(&format!("{name}-draws.npy")));
        let line = ["sample", "--data", &data, "--batchable-context", &context, "--out", &out, "--draws", "20"];
        run(&line).expect("draws");
        fs::read(out).expect("draws")
    });
    assert_eq!(draws[0], draws[1]);
    write_npz(path("one.npz").as_ref(), &[("series", series)]);
    let (data, out) = (path("one.npz"), path("draws.npy"));
    let error =
        run(&["sample", "--data", &data, "--batchable-context", &context, "--out", &out]).expect_err("no image");
    assert!(error.to_string().contains("no array is named `image`"), "{error}");
}

/// μ ~ N(0, 1), and from 5 to 100 observations around it, another number in each simulation.
fn lengths() -> GenerativeModel {
    let prior = Prior::from_fn(["mu"], |rng, _| [rng.sample(StandardNormal)]);
    let simulator = Simulator::from_fn(|rng, mu, _| {
        let n = rng.random_range(5..=100);
        Array2::from_shape_fn((n, 1), |_| mu[0] + rng.sample::<f32, _>(StandardNormal))
    });
    GenerativeModel::new(prior, simulator).expect("the pilot run succeeds")
}

/// Also in the modes that keep simulations.
#[test]
fn data_sets_of_different_lengths_are_trained_on() {
    let folder = tempfile::tempdir().expect("a folder");
    let networks = || PosteriorConfig::new(DeepSetConfig::new(4).with_units(16), small_networks().inference);
    let trainer = |name: &str| {
        let builder = Trainer::builder(lengths(), networks()).seed(1).progress(Progress::Hidden);
        builder.checkpoints(folder.path().join(name)).build().expect("sound")
    };
    let mut online = trainer("online");
    let run = || Online::new().with_epochs(2).with_iterations_per_epoch(30).with_batch_size(32);
    online.train(run(), &training()).expect("trains");
    let posterior = online.amortizer();
    assert!(posterior.data_shape().is_padded());
    let range = posterior.training_range().expect("known");
    assert_eq!(range.num_observations(), 5..=100);
    // ln N is a condition of its own, so that the same mean of more observations says more.
    let mean = |n: usize| Conditions::one(Array2::from_elem((n, 1), 0.5));
    let [few, many] = [5, 100].map(|n| posterior.summaries(&mean(n)).expect("summaries"));
    assert!((&few - &many).iter().all(|difference| difference.abs() < 1e-3), "{few} {many}");
    let [few, many] = [5, 100].map(|n| posterior.log_prob(&array![[0.5]], &mean(n)).expect("a density")[0]);
    assert!((few - many).abs() > 1e-3, "{few} {many}");
    assert!(posterior.warnings_for(&mean(300)).expect("known")[0].contains("300 observations"));
    let mut replay = trainer("replay");
    let source = Replay::new().with_epochs(2).with_iterations_per_epoch(10).with_batch_size(16);
    replay.train(source, &training()).expect("trains");
    let mut rounds = trainer("rounds");
    rounds
        .train(
            Rounds::new().with_rounds(2).with_simulations_per_round(64).with_epochs_per_round(1).with_batch_size(32),
            &training(),
        )
        .expect("trains");
}

/// Networks that were made for one length say so, and are asked for each length by itself.
#[test]
fn padded_data_are_refused_by_networks_for_one_length() {
    let folder = tempfile::tempdir().expect("a folder");
    let mut trainer = Trainer::builder(crate::models::normal_means(), small_networks()).seed(1).build().expect("sound");
    trainer.train(crate::models::short_run(), &training()).expect("trains");
    let posterior = trainer.amortizer().clone().with_any_num_observations();
    let two = Data::padded([5, 10].map(|n| Array2::<f32>::zeros((n, 2)))).expect("two lengths");
    let error = posterior.sample(&Conditions::from(two.clone()), 5, 1).expect_err("two lengths").to_string();
    assert!(error.contains("`sample_each`"), "{error}");
    let each = [0, 1].map(|m| Conditions::from(two.select(&[m])));
    assert_eq!(posterior.sample_each(&each, 5, 1).expect("draws").num_data_sets(), 2);
    // Data of one length with a model of several inputs are no data set of it.
    let named = Dataset::from_simulations(series_and_image().simulate(40, 1).expect("simulates")).expect("sound");
    let plain = Dataset::from_simulations(crate::models::normal_means().simulate(40, 1).expect("simulates"));
    let error = Dataset::join([&named, &plain.expect("sound")]).expect_err("other inputs");
    assert!(matches!(error, DataError::Differs { .. }), "{error}");
    drop(folder);
}
