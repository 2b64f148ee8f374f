//! Judges a trained posterior by data sets that are simulated for it.

use crate::{
    WorkflowError,
    memory::check_size,
    test_sets::{TestSets, rows_of},
};
use bayesburn_amortizers::{AmortizedPosterior, AmortizerError, Conditions, Configured};
use bayesburn_core::{Data, Draws, Purpose, Simulations, derive_seed};
use bayesburn_diagnostics::{DiagnosticsSuite, Ranks, Report, SuiteInput, quantity_ranks};
use bayesburn_inference::Posterior;
use bayesburn_networks::{InferenceConfig, SummaryConfig};
use bayesburn_simulation::GenerativeModel;
use bayesburn_trainers::{Trainer, TrainerError};
use ndarray::{Array1, Array2, Array3, ArrayView1, Axis};
use std::{fmt, path::Path, sync::Arc};

type Quantity = dyn Fn(ArrayView1<'_, f32>, &Conditions) -> f64 + Send + Sync;

/// How a posterior is judged: by draws for data sets whose parameters are known, over all contexts that the model
/// draws.
#[derive(Clone)]
pub struct Diagnose {
    suite: DiagnosticsSuite,
    data_sets: usize,
    draws: usize,
    seed: u64,
    quantities: Vec<(String, Arc<Quantity>)>,
}

impl fmt::Debug for Diagnose {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { suite, data_sets, draws, seed, quantities } = self;
        let names: Vec<_> = quantities.iter().map(|(name, _)| name).collect();
        f.debug_struct("Diagnose")
            .field("suite", suite)
            .field("data_sets", data_sets)
            .field("draws", draws)
            .field("seed", seed)
            .field("quantities", &names)
            .finish()
    }
}

impl Default for Diagnose {
    fn default() -> Self {
        Self { suite: DiagnosticsSuite::new(), data_sets: 1000, draws: 1000, seed: 0, quantities: Vec::new() }
    }
}

impl Diagnose {
    /// By 1,000 data sets with 1,000 draws each, and the suite without limits.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Another suite: a false-alarm rate, limits, a title.
    #[must_use]
    pub fn with_suite(self, suite: DiagnosticsSuite) -> Self {
        Self { suite, ..self }
    }

    /// Other numbers of data sets and of draws for each.
    #[must_use]
    pub fn with_size(self, data_sets: usize, draws: usize) -> Self {
        Self { data_sets, draws, ..self }
    }

    /// Another seed of data sets, draws and checks; it takes the place of the suite's own.
    #[must_use]
    pub fn with_seed(self, seed: u64) -> Self {
        Self { seed, ..self }
    }

    /// One more check, of a quantity of yours: what is to be reported of parameters, or a likelihood, which sees best
    /// whether all of the data were looked at (Modrák et al. 2025; see [`quantity_ranks`]). The function is given
    /// parameters `[D]`, the truth or a draw, and the one data set that they belong to, as the networks see it.
    ///
    /// ```
    /// use bayesburn_workflow::Diagnose;
    ///
    /// let diagnose = Diagnose::new()
    ///     .with_quantity("R_0", |theta, _| f64::from(theta[0] / theta[1]))
    ///     .with_quantity("log likelihood", |theta, x| {
    ///         x.data.iter().map(|x| -0.5 * f64::from(x - theta[0]).powi(2)).sum()
    ///     });
    /// ```
    #[must_use]
    pub fn with_quantity(
        mut self,
        name: impl Into<String>,
        quantity: impl Fn(ArrayView1<'_, f32>, &Conditions) -> f64 + Send + Sync + 'static,
    ) -> Self {
        self.quantities.push((name.into(), Arc::new(quantity)));
        self
    }

    /// With other numbers where they are given.
    pub(crate) fn with_options(self, data_sets: Option<usize>, draws: Option<usize>, seed: Option<u64>) -> Self {
        Self {
            data_sets: data_sets.unwrap_or(self.data_sets),
            draws: draws.unwrap_or(self.draws),
            seed: seed.unwrap_or(self.seed),
            ..self
        }
    }

    /// The suite.
    #[must_use]
    pub fn suite(&self) -> &DiagnosticsSuite {
        &self.suite
    }

    /// Judges what a trainer has trained, by data sets of its model that training has not seen.
    ///
    /// Where the model has context that a batch shares, such as the number of observations N, the data sets are over
    /// all of it, five for each context, and the report has a verdict for ranges of it: a posterior that is wrong at
    /// small N alone fails.
    ///
    /// # Errors
    /// If the trainer has no model; data sets can't be simulated or drawn for; there are fewer than 20 of them, or
    /// fewer than 2 draws; draws and data sets exceed 32 GiB; a limit is on an unknown quantity; a quantity is NaN or
    /// ∞.
    pub fn trainer<C: SummaryConfig, I: InferenceConfig>(
        &self,
        trainer: &Trainer<AmortizedPosterior<C, I>>,
    ) -> Result<Diagnosis, WorkflowError> {
        let model = trainer.model().ok_or(TrainerError::NoModel)?;
        self.check_size(model)?;
        let batches = model.simulate_over_contexts(self.data_sets, self.seed_of_data())?;
        let test = TestSets::new(model, &batches, |batch| Ok(trainer.configure(batch)?))?;
        let amortizer = trainer.amortizer();
        let conditions: Vec<_> = test.groups.iter().map(|group| group.conditions.clone()).collect();
        let draws = amortizer.sample_each(&conditions, self.draws, self.seed)?;
        let log_prob = test.groups.iter().map(|group| amortizer.log_prob(&group.parameters, &group.conditions));
        let log_prob = match log_prob.collect() {
            // It is judged by its draws.
            Err(AmortizerError::NoDensity) => None,
            log_prob => Some(log_prob?),
        };
        self.judge(test, draws, log_prob)
    }

    /// Judges a posterior of neural posterior estimation, by data sets of its model, over all of the context that a
    /// batch shares as [`Diagnose::trainer`] has it. Simulations that are not finite are left out unless the model says
    /// otherwise, as they are from the training.
    ///
    /// # Errors
    /// As [`Diagnose::trainer`]; a posterior that was trained in several rounds, for one observation: it is not meant
    /// for the data sets of the prior.
    pub fn posterior<C: SummaryConfig>(
        &self,
        posterior: &Posterior<C>,
        model: &GenerativeModel,
    ) -> Result<Diagnosis, WorkflowError> {
        if posterior.trained_for().is_some() {
            return Err(WorkflowError::OneObservation { rounds: posterior.rounds() });
        }
        self.check_size(model)?;
        let model = model.clone().leaving_out_invalid();
        let batches = model.simulate_over_contexts(self.data_sets, self.seed_of_data())?;
        let configure = |batch: &Simulations| -> Result<Configured, WorkflowError> {
            let conditions = posterior.conditions(&batch.observations())?;
            Ok(Configured::new(batch.parameters.clone(), conditions)?)
        };
        let test = TestSets::new(&model, &batches, configure)?;
        // All of the one shape that the posterior takes, and so one group.
        let observations: Vec<_> = batches.iter().map(Simulations::observations).collect();
        let x = rows_of(observations.iter().map(|x| x.view()))?;
        let parameters = rows_of(batches.iter().map(|batch| batch.parameters.view()))?;
        let draws = posterior.sample_for(&x, self.draws, self.seed)?;
        // Without the correction for leakage, which would be estimated anew for each data set: what leaks is the
        // posterior's fault.
        let log_prob = posterior.uncorrected_log_prob_for(&parameters, &x)?;
        let mut diagnosis = self.judge(test, draws, Some(vec![log_prob]))?;
        if !diagnosis.report.passed() {
            diagnosis.report.advice.extend(posterior.advice());
        }
        Ok(diagnosis)
    }

    /// Not the seed itself: a user may have trained on `model.simulate(.., 0)`.
    fn seed_of_data(&self) -> u64 {
        derive_seed(self.seed, const { Purpose::new("diagnosis") })
    }

    /// Refuses what the suite would refuse, before anything is trained or simulated.
    pub(crate) fn check(&self) -> Result<(), WorkflowError> {
        let at_least = |what: &str, needed: usize, got: usize| match got < needed {
            true => {
                Err(WorkflowError::Usage { reason: format!("{got} {what}, but a diagnosis needs at least {needed}") })
            }
            false => Ok(()),
        };
        at_least("data sets", 20, self.data_sets)?;
        at_least("draws", 2, self.draws)
    }

    /// Refuses more draws or data sets of this model than memory holds.
    pub(crate) fn check_size(&self, model: &GenerativeModel) -> Result<(), WorkflowError> {
        let (parameters, values) = (model.parameter_names().len(), model.shapes().num_values());
        check_size(self.draws, self.data_sets, parameters, values).map_err(|reason| WorkflowError::Usage { reason })
    }

    /// By draws for all data sets, and the truths' log densities of each group.
    fn judge(
        &self,
        test: TestSets,
        draws: Draws,
        log_prob: Option<Vec<Array1<f32>>>,
    ) -> Result<Diagnosis, WorkflowError> {
        let truths = rows_of(test.groups.iter().map(|group| group.parameters.view()))?;
        let log_prob = log_prob.map(|of| rows_of(of.iter().map(|log_prob| log_prob.view()))).transpose()?;
        let quantities = self.quantity_ranks(&draws, &truths, &test)?;
        let inputs = test.groups.first().map_or(0, |group| group.conditions.data.inputs().len());
        let of_input = |i| test.groups.iter().flat_map(|group| arrays_of(&group.conditions.data, i)).collect();
        let mut data: Vec<Vec<Array3<f32>>> = (0..inputs).map(of_input).collect();
        let direct = test.groups.iter().filter_map(|group| group.conditions.direct_conditions.clone());
        data.push(direct.map(|direct| direct.insert_axis(Axis(1))).collect());
        data.retain(|arrays| !arrays.is_empty());
        let judged = Judged { draws, truths, data, contexts: test.contexts, log_prob, quantities };
        let report = self.suite.clone().with_seed(self.seed).run(&judged.suite_input()?)?;
        Ok(Diagnosis { report, judged })
    }

    fn quantity_ranks(
        &self,
        draws: &Draws,
        truths: &Array2<f32>,
        test: &TestSets,
    ) -> Result<Option<Ranks>, WorkflowError> {
        if self.quantities.is_empty() {
            return Ok(None);
        }
        let of_group = |group: &Configured| (0..group.len()).map(|m| group.conditions.select(&[m])).collect::<Vec<_>>();
        let data_sets: Vec<Conditions> = test.groups.iter().flat_map(of_group).collect();
        let names = self.quantities.iter().map(|(name, _)| name);
        let ranks = quantity_ranks(draws, truths, names, |data_set, theta| {
            self.quantities.iter().map(|(_, quantity)| quantity(theta, &data_sets[data_set])).collect()
        })?;
        Ok(Some(ranks))
    }
}

/// The rows of an input, `[m, rows, F]`: of all data sets together where they are of one length, or of each by itself.
fn arrays_of(data: &Data, input: usize) -> Vec<Array3<f32>> {
    let whole = |data: &Data| {
        let input = &data.inputs()[input];
        let (sets, features) = (input.len(), input.features());
        let rows = input.values().len() / (sets * features).max(1);
        input.values().to_shape((sets, rows, features)).expect("as many values as before").into_owned()
    };
    match data.inputs()[input].row_mask() {
        None => vec![whole(data)],
        Some(_) => (0..data.len()).map(|data_set| whole(&data.select(&[data_set]))).collect(),
    }
}

/// What a [`Diagnose`] found, and what it was found by.
#[derive(Debug, Clone)]
pub struct Diagnosis {
    report: Report,
    judged: Judged,
}

#[derive(Debug, Clone)]
struct Judged {
    draws: Draws,
    truths: Array2<f32>,
    /// What the networks see, and beside it direct conditions, each by the groups of data sets of equal shapes.
    data: Vec<Vec<Array3<f32>>>,
    contexts: Vec<(String, Array1<f32>)>,
    /// Of the truths, of a posterior that has a density.
    log_prob: Option<Array1<f32>>,
    quantities: Option<Ranks>,
}

impl Judged {
    fn suite_input(&self) -> Result<SuiteInput<'_>, WorkflowError> {
        let mut input = SuiteInput::new(&self.draws, &self.truths)?;
        for arrays in &self.data {
            input = input.with_data_of_sizes(arrays.iter().map(|data| data.view()))?;
        }
        for (name, values) in &self.contexts {
            input = input.with_context(name, values.clone())?;
        }
        if let Some(ranks) = &self.quantities {
            input = input.with_quantities(ranks.clone())?;
        }
        match &self.log_prob {
            Some(log_prob) => Ok(input.with_log_prob_of_truths(log_prob.clone())?),
            None => Ok(input),
        }
    }
}

impl Diagnosis {
    /// The report, which prints as the verdict in words.
    #[must_use]
    pub fn report(&self) -> &Report {
        &self.report
    }

    /// The posterior draws, `[M, L, D]`, and the truths, `[M, D]`; data sets of fewer observations come first.
    #[must_use]
    pub fn draws_and_truths(&self) -> (&Draws, &Array2<f32>) {
        (&self.judged.draws, &self.judged.truths)
    }

    /// Writes the report, in the format that the path ends in; with figures, if it is HTML.
    ///
    /// # Errors
    /// If the path ends in anything but `.html`, `.md`, `.xml` or `.json`, or can't be written.
    pub fn save(&self, path: impl AsRef<Path>) -> Result<(), WorkflowError> {
        let path = path.as_ref();
        #[cfg(feature = "plots")]
        if path.extension().is_some_and(|extension| extension.eq_ignore_ascii_case("html")) {
            let report = self.report.clone().with_figures(&self.judged.suite_input()?)?;
            return Ok(report.save(path)?);
        }
        Ok(self.report.save(path)?)
    }

    /// For tests: writes the report if anything failed, and panics with the verdict and the path.
    ///
    /// # Panics
    /// If a check failed or a limit is not kept.
    #[track_caller]
    pub fn assert_passed(&self, path: impl AsRef<Path>) {
        if self.report.passed() {
            return;
        }
        let path = path.as_ref();
        match self.save(path) {
            Ok(()) => panic!("{}The whole report is in {}", self.report, path.display()),
            Err(error) => panic!("{}The whole report could not be written: {error}", self.report),
        }
    }
}
