//! Finds and loads a trained posterior, of any of the library's summary networks.

use crate::{
    Result,
    arguments::Observed,
    output::{noted, warn},
};
use bayesburn_amortizers::{AmortizedPosterior, Conditions, TrainingRange, is_saved_amortizer, saved_description};
use bayesburn_core::{Draws, ParameterNames};
use bayesburn_inference::{Acceptance, Posterior};
use bayesburn_io::{Missing, TableOptions, read_array};
use bayesburn_networks::{DeepSetConfig, DenseSummaryConfig, IdentityConfig, SummaryConfig};
use burn::tensor::Device;
use indicatif::ProgressBar;
use ndarray::{Array1, Array2, Array3, ArrayD, Axis, Ix1, Ix2, Ix3, concatenate, s};
use serde_json::Value;
use std::{
    fs,
    path::{Path, PathBuf},
};

const AMORTIZED: &str = "amortizer.json";
const INFERENCE: &str = "inference.json";
/// The folder of its density estimator, in that of an inference.
const ESTIMATOR: &str = "estimator";
/// Draws between two steps of a progress bar.
const DRAWS_AT_A_TIME: usize = 1 << 18;

/// A trained posterior on disk.
pub(crate) struct Found {
    /// The posterior's own folder.
    pub(crate) folder: PathBuf,
    /// The folder of its networks.
    pub(crate) networks: PathBuf,
    /// What the networks are.
    pub(crate) description: Value,
    /// What is known of a posterior of neural posterior estimation.
    pub(crate) inference: Option<Value>,
}

impl Found {
    /// The posterior of a folder: saved, a checkpoint, or the newest of some checkpoints or of an inference's posteriors.
    pub(crate) fn new(path: &Path) -> Result<Self> {
        if !path.is_dir() {
            return Err(format!("{} is no folder: give one that holds a trained posterior", path.display()).into());
        }
        let description = |folder: &Path| saved_description(folder);
        if path.join(INFERENCE).is_file() {
            let text = fs::read_to_string(path.join(INFERENCE))?;
            let inference = serde_json::from_str(&text).map_err(|error| format!("{INFERENCE}: {error}"))?;
            let networks = path.join(ESTIMATOR);
            let description = description(&networks)?;
            return Ok(Self { folder: path.into(), networks, description, inference: Some(inference) });
        }
        if is_saved_amortizer(path) {
            let description = description(path)?;
            return Ok(Self { folder: path.into(), networks: path.into(), description, inference: None });
        }
        if path.join("checkpoints").is_dir() {
            return Self::new(&path.join("checkpoints"));
        }
        let mut newest = None;
        for entry in fs::read_dir(path)? {
            let place = entry?.path();
            let name = place.file_name().unwrap_or_default().to_string_lossy().into_owned();
            // Checkpoints of a training, or the posteriors of an inference's trainings.
            let number = name.strip_prefix("step-").or(name.strip_prefix("posterior-"));
            let number = number.and_then(|number| number.parse::<usize>().ok());
            newest = newest.max(number.map(|number| (number, place)));
        }
        match newest {
            Some((_, newest)) => Self::new(&newest),
            None => Err(format!(
                "{} holds no trained posterior: give the folder of a saved one, which has `{AMORTIZED}` or `{INFERENCE}` in it, or of a training or an inference",
                path.display()
            )
            .into()),
        }
    }

    /// The name of the summary network.
    pub(crate) fn summary_network(&self) -> Option<&str> {
        self.description["summary_network"].as_str()
    }

    /// Loads the posterior, with its weights.
    pub(crate) fn load(&self, device: &Device) -> Result<Box<dyn Model>> {
        match self.summary_network() {
            Some(IdentityConfig::NAME) => self.load_as::<IdentityConfig>(device),
            Some(DenseSummaryConfig::NAME) => self.load_as::<DenseSummaryConfig>(device),
            // Without a name the format is of another version, which loading says.
            Some(DeepSetConfig::NAME) | None => self.load_as::<DeepSetConfig>(device),
            Some(other) => Err(format!(
                "the summary network of {} is `{other}`, which only the program that trained it knows: use that program's commands",
                self.folder.display()
            )
            .into()),
        }
    }

    fn load_as<C: SummaryConfig>(&self, device: &Device) -> Result<Box<dyn Model>> {
        Ok(match self.inference {
            Some(_) => Box::new(Posterior::<C>::load_without_prior(&self.folder, device)?),
            None => Box::new(AmortizedPosterior::<C>::load(&self.folder, device)?),
        })
    }
}

/// A posterior, whatever its summary network.
pub(crate) trait Model {
    fn names(&self) -> &ParameterNames;
    /// The names of the simulator's features.
    fn feature_names(&self) -> Option<&[String]>;
    fn num_trainable_parameters(&self) -> usize;
    /// What it was trained on, if that is known.
    fn training_range(&self) -> Option<&TrainingRange>;
    /// What to know about its simulations.
    fn warnings(&self) -> Vec<String>;
    /// Draws, and for those that were looked for inside a prior's support, how many were.
    fn sample(&self, observed: &Observed, draws: usize, seed: u64) -> Result<(Draws, Option<Vec<Acceptance>>)>;
    /// The log density of rows of parameters.
    fn log_prob(&self, parameters: &Array2<f32>, observed: &Observed) -> Result<Array1<f32>>;
}

impl<C: SummaryConfig> Model for AmortizedPosterior<C> {
    fn names(&self) -> &ParameterNames {
        self.parameter_names()
    }

    fn feature_names(&self) -> Option<&[String]> {
        AmortizedPosterior::feature_names(self)
    }

    fn num_trainable_parameters(&self) -> usize {
        AmortizedPosterior::num_trainable_parameters(self)
    }

    fn training_range(&self) -> Option<&TrainingRange> {
        AmortizedPosterior::training_range(self)
    }

    fn warnings(&self) -> Vec<String> {
        AmortizedPosterior::warnings(self)
    }

    fn sample(&self, observed: &Observed, draws: usize, seed: u64) -> Result<(Draws, Option<Vec<Acceptance>>)> {
        let conditions = conditions_for(self, observed)?;
        let posterior = taking(self, observed);
        let numbers = conditions.len().saturating_mul(draws).saturating_mul(self.parameter_names().len());
        check_size(draws, numbers)?;
        let at_a_time = (DRAWS_AT_A_TIME / draws).max(1);
        let data_sets: Vec<usize> = (0..conditions.len()).collect();
        let bar = ProgressBar::new(conditions.len() as u64).with_message("data sets");
        let mut parts = Vec::new();
        for some in data_sets.chunks(at_a_time) {
            parts.push(posterior.sample_part(&conditions.select(some), some, 0..draws, seed)?);
            bar.inc(some.len() as u64);
        }
        bar.finish_and_clear();
        let mut parts = parts.into_iter();
        let first = parts.next().ok_or("no data set: give at least one")?;
        Ok((first.join(parts)?.with_warnings(posterior.warnings_for(&conditions)?), None))
    }

    fn log_prob(&self, parameters: &Array2<f32>, observed: &Observed) -> Result<Array1<f32>> {
        let conditions = conditions_for(self, observed)?;
        let posterior = taking(self, observed);
        posterior.warnings_for(&conditions)?.iter().for_each(|warning| warn(warning));
        Ok(posterior.log_prob(parameters, &conditions)?)
    }
}

impl<C: SummaryConfig> Model for Posterior<C> {
    fn names(&self) -> &ParameterNames {
        self.prior().names()
    }

    fn feature_names(&self) -> Option<&[String]> {
        self.amortizer().feature_names()
    }

    fn num_trainable_parameters(&self) -> usize {
        self.amortizer().num_trainable_parameters()
    }

    fn training_range(&self) -> Option<&TrainingRange> {
        self.amortizer().training_range()
    }

    fn warnings(&self) -> Vec<String> {
        Posterior::warnings(self).to_vec()
    }

    fn sample(&self, observed: &Observed, draws: usize, seed: u64) -> Result<(Draws, Option<Vec<Acceptance>>)> {
        let x = observation(self, observed)?;
        check_size(draws, self.conditions(&x)?.len().saturating_mul(draws).saturating_mul(self.names().len()))?;
        let bar = ProgressBar::new_spinner().with_message("drawing inside the prior's support");
        bar.enable_steady_tick(std::time::Duration::from_millis(100));
        let sampled = self.sample_with_report(&x, draws, seed);
        bar.finish_and_clear();
        let sampled = sampled?;
        let acceptance = sampled.acceptance().to_vec();
        Ok((sampled.into_draws()?, Some(acceptance)))
    }

    fn log_prob(&self, parameters: &Array2<f32>, observed: &Observed) -> Result<Array1<f32>> {
        let x = observation(self, observed)?;
        self.amortizer().warnings_for(&self.conditions(&x)?)?.iter().for_each(|warning| warn(warning));
        Ok(self.log_prob_for(parameters, &x)?)
    }
}

/// The posterior, which takes any number of observations if that is asked for.
fn taking<C: SummaryConfig>(posterior: &AmortizedPosterior<C>, observed: &Observed) -> AmortizedPosterior<C> {
    let posterior = posterior.clone();
    if observed.any_num_observations { posterior.with_any_num_observations() } else { posterior }
}

/// Refuses draws that no memory holds, instead of ending for want of it.
fn check_size(draws: usize, numbers: usize) -> Result<()> {
    const MOST: usize = 1 << 33;
    match draws {
        0 => Err("no draws were asked for: give --draws 1 or more".into()),
        _ if numbers > MOST => {
            Err(format!("--draws {draws}: {numbers} numbers in all, of 4 bytes each: ask for at most {MOST} at a time")
                .into())
        }
        _ => Ok(()),
    }
}

/// The observation given, or the posterior's own.
fn observation<C: SummaryConfig>(posterior: &Posterior<C>, observed: &Observed) -> Result<ArrayD<f32>> {
    if observed.direct.is_some() {
        return Err("--direct is not for this posterior: its networks see the data alone".into());
    }
    match (&observed.data, posterior.observation()) {
        (Some(path), _) => {
            let options = observed.tables.options();
            let options = TableOptions { columns: posterior.amortizer().feature_names().map(<[_]>::to_vec), ..options };
            Ok(noted(read_array(path, &options.with_missing(missing(posterior.is_masked())))?))
        }
        (None, Some(own)) => Ok(own.clone()),
        (None, None) => Err("the posterior has no observation of its own: give one by --data FILE".into()),
    }
}

/// What becomes of missing values.
fn missing(may_be: bool) -> Missing {
    if may_be { Missing::Nan } else { Missing::Refuse }
}

/// The conditions of this posterior, of its widths.
fn conditions_for<C: SummaryConfig>(posterior: &AmortizedPosterior<C>, observed: &Observed) -> Result<Conditions> {
    let [features, direct] = posterior.condition_widths();
    let masked = posterior.num_masked_features();
    let names = posterior.feature_names().map(<[_]>::to_vec);
    let others = names.as_ref().map_or(0, |names| (features - masked).saturating_sub(names.len()));
    let options = TableOptions { columns: names, ..observed.tables.options() };
    let options = options.with_others(others).with_missing(missing(masked > 0));
    let are_vectors = posterior.config().summary.num_observations() == Some(1);
    let conditions = beside_mask(conditions(observed, are_vectors, &options)?, masked, features);
    let (got, got_direct) = (
        conditions.summary_conditions.dim().2,
        conditions.direct_conditions.as_ref().map_or(0, |direct| direct.ncols()),
    );
    let name = |path: &Option<PathBuf>| path.as_ref().map(|path| path.display().to_string()).unwrap_or_default();
    if got != features {
        let data = name(&observed.data);
        return Err(format!("{data}: {got} numbers for each observation, where the posterior takes {features}").into());
    }
    let range = posterior.training_range();
    match (&observed.direct, got_direct == direct) {
        (_, true) => Ok(conditions),
        // The data tell it.
        (None, _) if direct == 1 && range.is_some_and(|range| range.direct_of_num_observations() == Some(0)) => {
            Ok(conditions.with_num_observations())
        }
        (None, _) => Err(format!(
            "the posterior takes {direct} direct conditions beside the data: give them by --direct FILE, with {direct} numbers for each data set"
        )
        .into()),
        (path, _) => {
            Err(format!("{}: {got_direct} numbers, where the posterior takes {direct}", name(path)).into())
        }
    }
}

/// Data as they are observed, with a mask behind the features that may be missing; as they are, if the mask is there.
fn beside_mask(conditions: Conditions, masked: usize, features: usize) -> Conditions {
    let data = &conditions.summary_conditions;
    if masked == 0 || data.dim().2 + masked != features {
        return conditions;
    }
    let mut with_mask = Conditions::with_missing(data.slice(s![.., .., ..masked]).to_owned());
    let contexts = data.slice(s![.., .., masked..]);
    let parts = [with_mask.summary_conditions.view(), contexts];
    with_mask.summary_conditions = concatenate(Axis(2), &parts).expect("of the same data sets");
    with_mask.direct_conditions = conditions.direct_conditions;
    with_mask
}

/// The conditions of a posterior that is used as it was trained. Vectors are of networks that take one observation.
fn conditions(observed: &Observed, are_vectors: bool, options: &TableOptions) -> Result<Conditions> {
    let path = observed.data.as_ref().ok_or("the posterior needs observed data: give them by --data FILE")?;
    let array = noted(read_array(path, options)?);
    let shape = array.shape().to_vec();
    let data: Option<Array3<f32>> = match (array.ndim(), are_vectors) {
        (1, true) => array.into_dimensionality::<Ix1>().ok().map(|x| x.insert_axis(Axis(0)).insert_axis(Axis(0))),
        (2, true) => array.into_dimensionality::<Ix2>().ok().map(|x| x.insert_axis(Axis(1))),
        (2, false) => array.into_dimensionality::<Ix2>().ok().map(|x| x.insert_axis(Axis(0))),
        _ => array.into_dimensionality::<Ix3>().ok(),
    };
    let expected = if are_vectors { "[F], or [M, F] for M data sets" } else { "[N, F], or [M, N, F] for M data sets" };
    let data =
        data.ok_or_else(|| format!("{}: an array of shape {shape:?}, where {expected} is needed", path.display()))?;
    let m = data.dim().0;
    let conditions = Conditions::new(data);
    let Some(path) = &observed.direct else { return Ok(conditions) };
    let array = noted(read_array(path, &observed.tables.options())?);
    let shape = array.shape().to_vec();
    let wrong = || format!("{}: an array of shape {shape:?}, where [C], or [{m}, C], is needed", path.display());
    let direct = match array.ndim() {
        1 => array.into_dimensionality::<Ix1>().ok().map(|row| row.broadcast((m, row.len())).map(|a| a.to_owned())),
        _ => array.into_dimensionality::<Ix2>().ok().map(Some),
    };
    let direct = direct.flatten().filter(|direct| direct.nrows() == m).ok_or_else(wrong)?;
    Ok(conditions.with_direct(direct))
}
