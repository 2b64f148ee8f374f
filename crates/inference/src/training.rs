//! Trains on the pairs of all rounds so far, and collects warnings about the posterior.

use crate::{
    Correction, InferenceError, Npe, Posterior, Proposal, RejectionConfig, TrainingSummary,
    atomic::AtomicLoss,
    closed_form::ClosedFormLoss,
    coverage::uncovered,
    foreign::{self, difference},
    pairs::Pairs,
    summary::panics,
};
use bayesburn_amortizers::{AmortizedPosterior, Configurator};
use bayesburn_core::{Purpose, Simulations, derive_seed, one_line, settings::in_range};
use bayesburn_networks::SummaryConfig;
use bayesburn_simulation::{Copies, Dataset};
use bayesburn_trainers::{Trainer, TrainerError, TrainingLoss};
use ndarray::Axis;
use std::sync::Arc;

/// The number of held-out simulations below which there is a warning: the standard error of their mean loss is then at
/// least a fifth of a nat.
const FEW_HELD_OUT: usize = 20;
/// Number of rounds that get a warning after a round whose posterior was not covered by simulations.
const REMEMBERED: usize = 2;
/// The largest number of held-out simulations for the leakage estimate: some 3,000 draws, about a hundredth of the
/// training time.
const CORRECTED: usize = 128;

impl<C: SummaryConfig> Npe<C> {
    /// Trains on all simulations so far, from the weights of the last training, until the validation loss has not
    /// improved for some epochs; returns the posterior with the best weights.
    ///
    /// # Errors
    /// No simulations, or too few distinct ones to hold some out; a training that fails or is interrupted, which
    /// another call continues; a posterior that cannot be saved, which another call does without training.
    pub fn train(&mut self) -> Result<Posterior<C>, InferenceError> {
        let data_shape = self.data_shape.clone().ok_or(InferenceError::NoSimulations)?;
        let training = self.config.training.clone();
        let (fraction, batch_size) = (training.validation_fraction, training.batch_size);
        let pairs_seed = derive_seed(self.seed, const { Purpose::new("npe pairs") });
        let sizes = (batch_size, training.max_epochs);
        // A prior over integers makes equal simulations likely.
        let are_copies = |copies: &Copies| match self.prior.sample(1000, self.seed_of_draws()) {
            Ok(draws) => !foreign::recur(&draws),
            Err(_) => !copies.parameters_recur(),
        };
        let pairs = Pairs::new(&self.appended, pairs_seed, fraction, sizes, are_copies)?;
        let pairs = pairs.with_correction((self.posteriors > 0).then_some(training.correction));
        let (trained, held_out) = pairs.counts();
        if held_out == 0 || trained == 0 {
            let needed = (1.0 / fraction).ceil().max((1.0 / (1.0 - fraction)).ceil()) as usize;
            let (got, copies) = (self.num_simulations(), pairs.copies());
            if copies > 0 {
                return Err(InferenceError::Copies { got, copies, trained });
            }
            return Err(InferenceError::TooFewSimulations { got, fraction, held_out, trained, needed });
        }
        if let (1.., Correction::Atomic { .. } | Correction::AtomicCombined { .. }) =
            (self.posteriors, training.correction)
        {
            // With one atom there is nothing to classify.
            let fewest = batch_size.min(trained).min(held_out);
            in_range(fewest >= 2, "batch_size", "at least 2 for atoms, with 2 simulations held out", fewest)?;
        }
        let loss = self.loss();
        let mut warnings: Vec<String> = panics(self.simulations()).into_iter().collect();
        if held_out < FEW_HELD_OUT {
            warnings.push(format!(
                "only {held_out} simulations are held out, which hardly tell when to stop: simulate or append more, \
                 hundreds at least"
            ));
        }
        if !self.unresolved.is_empty() {
            warnings.push(format!(
                "the prior of {} spans decades, which is hard to resolve on its own scale: compare \
                 `corrected_validation_loss` with that of `NpeConfig::with_space(ParameterSpace::Unconstrained)`, or \
                 infer logarithms",
                self.unresolved.iter().map(|name| one_line(name)).collect::<Vec<_>>().join(", ")
            ));
        }
        if pairs.copies() > 0 {
            warnings.push(format!(
                "{} of {} simulations are copies of others, equal to the bit: copies are held out or trained on \
                 together, and nothing more is learnt from them; append each once",
                pairs.copies(),
                self.num_simulations()
            ));
        }
        warnings.extend(self.foreign_parameters()?);
        let mut trainer = match self.trainer.take() {
            Some(trainer) => trainer,
            None => self.make_trainer(pairs.data().clone(), pairs.training()?)?,
        };
        warnings.extend(trainer.amortizer().warnings());
        trainer.set_loss(loss);
        let runs = training.runs(self.config.networks.has_dropout());
        let mut result = Ok(());
        for (run, config) in runs.iter().enumerate().skip(self.runs_done) {
            // The last run must not end with worse weights than the one before.
            let trained = match run {
                0 => trainer.train(pairs.clone(), config),
                _ => trainer.refine(pairs.clone(), config),
            };
            result = trained.map(|_| ());
            if result.is_err() {
                break;
            }
            self.runs_done += 1;
        }
        let last = (self.trainings + 1) * runs.len() - 1;
        let epochs_of = |runs: std::ops::Range<usize>| runs.map(|run| trainer.epochs_of_run(run).len()).sum::<usize>();
        let (before, last_epochs) = (epochs_of(last + 1 - runs.len()..last), epochs_of(last..last + 1));
        let best = trainer.best_epoch_of_run(last).map(|epoch| {
            let loss = trainer.history().epochs[epoch].validation_loss.unwrap_or(f32::NAN);
            (epoch + 1 - epochs_of(0..last + 1 - runs.len()), loss)
        });
        let (best_epoch, best_validation_loss) = best.unwrap_or((0, f32::NAN));
        let stop_reason = trainer.stop_reason_of(last).unwrap_or_default().to_owned();
        let amortizer = trainer.amortizer().clone();
        let is_current = trainer.num_runs() == last + 1;
        self.trainer = Some(trainer);
        result?;
        let number = self.trainings;
        let (round, trained_for) = self.unsaved.get_or_insert((self.round, self.trained_for.clone())).clone();
        let configurator: Arc<dyn Configurator> = self.configurator.clone();
        let masked = self.appended.iter().any(|part| part.simulations.data.value_mask().is_some());
        let data = (data_shape, masked);
        let posterior = Posterior::new(amortizer, self.prior.clone(), configurator, data, round);
        let mut posterior = posterior.with_trained_for(trained_for);
        if let Some(store) = &self.store {
            posterior = store.posterior(number, posterior, is_current, &self.device)?;
        }
        let corrected_validation_loss = match self.posteriors {
            0 => {
                let held_out = self.configurator.configure(&pairs.validation_pairs(CORRECTED)?)?;
                Some(best_validation_loss + posterior.measure_leakage(&held_out)? as f32)
            }
            _ => None,
        };
        let uncovered = self.uncovered(&posterior)?;
        match (&uncovered, self.strayed) {
            (Some(_), _) if !matches!(self.proposal, Proposal::Truncated(_)) => self.strayed = Some(self.round),
            (None, Some(round)) if (round + 1..=round + REMEMBERED).contains(&self.round) => warnings.push(format!(
                "much of the posterior of round {round} was where hardly any simulations were; this one is where \
                 simulations are, and may still be too wide: compare it with that of another round, or infer by \
                 `Proposal::truncated`"
            )),
            _ => {}
        }
        warnings.extend(uncovered);
        for warning in &warnings {
            tracing::warn!("{warning}");
        }
        let summary = TrainingSummary {
            round,
            trained,
            held_out,
            excluded: self.appended.iter().map(|part| part.excluded).sum(),
            epochs: before + last_epochs,
            epochs_without_dropout: if runs.len() > 1 { last_epochs } else { 0 },
            best_epoch,
            best_validation_loss,
            corrected_validation_loss,
            stop_reason,
            warnings,
        };
        let posterior = posterior.with_summary(summary.clone());
        if let Some(store) = &self.store {
            store.keep(number, &posterior)?;
        }
        (self.trainings, self.runs_done, self.unsaved) = (number + 1, 0, None);
        self.summaries.push(summary);
        Ok(posterior)
    }

    /// The training loss, if it is not the posterior's own.
    fn loss(&self) -> Option<Arc<dyn TrainingLoss<AmortizedPosterior<C>>>> {
        if self.posteriors == 0 {
            return None;
        }
        let atomic = |atoms, combined| -> Option<Arc<dyn TrainingLoss<AmortizedPosterior<C>>>> {
            Some(Arc::new(AtomicLoss { prior: self.prior.clone(), atoms, combined }))
        };
        match self.config.training.correction {
            Correction::Atomic { atoms } => atomic(atoms, false),
            Correction::AtomicCombined { atoms } => atomic(atoms, true),
            Correction::ClosedForm => Some(Arc::new(ClosedFormLoss::new(self.mixtures.clone()))),
        }
    }

    fn seed_of_draws(&self) -> u64 {
        derive_seed(self.seed, const { Purpose::new("draws to compare with") })
    }

    /// A warning for appended parameters that do not look like draws from the prior or, in this round, from the
    /// proposal.
    fn foreign_parameters(&self) -> Result<Vec<String>, InferenceError> {
        /// Number of draws from a proposal, which may be slow.
        const PROPOSED: usize = 2000;
        let samples = foreign::samples(&self.appended, self.round);
        let mut warnings = Vec::new();
        for (is_of_prior, of_this) in [true, false].into_iter().zip(&samples) {
            if of_this.is_empty() {
                continue;
            }
            let (proposal, count) = match is_of_prior {
                true => (&Proposal::Prior, foreign::MOST_ROWS),
                false => (&self.proposal, PROPOSED),
            };
            let name = proposal.name();
            let draws = match proposal.sample(&self.prior, count, self.seed_of_draws()) {
                Ok(draws) => draws,
                Err(error) => {
                    warnings
                        .push(format!("appended parameters could not be compared with draws from the {name}: {error}"));
                    continue;
                }
            };
            for parameters in of_this {
                let looked_at = match proposal {
                    // Parameters outside of the region do no harm.
                    Proposal::Truncated(region) => region.contains(parameters).map(|inside| {
                        let rows: Vec<usize> = (0..inside.len()).filter(|&row| inside[row]).collect();
                        parameters.select(Axis(0), &rows)
                    })?,
                    _ => parameters.clone(),
                };
                let comparisons = samples.iter().map(Vec::len).sum();
                warnings.extend(difference(self.prior.names(), &looked_at, &draws, comparisons).map(|what| {
                    format!(
                        "the parameters of {} appended simulations do not look like draws from the {name}: {what}; \
                         the posterior is as if they were: append simulations of the {name}, name their proposal by \
                         `set_proposal`, or change the prior to what they are from",
                        parameters.nrows()
                    )
                }));
            }
        }
        Ok(warnings)
    }

    /// Creates the trainer of all rounds. Its networks are standardised by the training pairs of the first.
    fn make_trainer(
        &self,
        data: Dataset,
        first: Simulations,
    ) -> Result<Trainer<AmortizedPosterior<C>>, InferenceError> {
        let configurator = self.configurator.clone();
        let configure = move |simulations: &Simulations| configurator.configure(simulations);
        if let Some(names) = &self.feature_names {
            // Whether there is one for each feature.
            data.clone().with_feature_names(names).map_err(TrainerError::from)?;
        }
        let mut builder = Trainer::builder(data, self.config.networks.clone())
            .seed(derive_seed(self.seed, const { Purpose::new("npe trainer") }))
            .device(self.device.clone())
            .progress(self.progress)
            .configurator(configure)
            .pilot(first);
        if let Some(names) = &self.feature_names {
            builder = builder.feature_names(names);
        }
        if let Some(store) = &self.store {
            builder = builder.checkpoints(store.checkpoints()).keep_checkpoints(1);
            if store.resumes() {
                builder = builder.resume();
            }
        }
        if let Some(flag) = &self.interrupt {
            builder = builder.stop_on(flag.clone());
        }
        if self.ctrl_c {
            builder = builder.stop_on_ctrl_c();
        }
        Ok(builder.build()?)
    }

    /// A warning if simulations hardly cover much of the new posterior of the observation.
    fn uncovered(&self, posterior: &Posterior<C>) -> Result<Option<String>, InferenceError> {
        match self.share_without_simulations(posterior) {
            // For a posterior mostly outside of the prior's support this cannot be determined; drawing from it gives
            // its own warning.
            Err(InferenceError::Rejection { .. }) => Ok(None),
            other => other,
        }
    }

    fn share_without_simulations(&self, posterior: &Posterior<C>) -> Result<Option<String>, InferenceError> {
        const TOO_MUCH: f64 = 0.05;
        const DRAWS: usize = 2048;
        let Some(x) = &self.trained_for else { return Ok(None) };
        let draws = || {
            let quick = posterior.clone().with_rejection(RejectionConfig::new().with_max_tries_per_draw(100));
            Ok::<_, InferenceError>(quick.sample_for(x, DRAWS, 0)?.data_set(0).to_owned())
        };
        if let Proposal::Truncated(region) = &self.proposal {
            let outside = region.contains(&draws()?)?.iter().filter(|inside| !**inside).count() as f64 / DRAWS as f64;
            return Ok((outside > TOO_MUCH).then(|| {
                format!(
                    "{:.0}% of the posterior of the observation is where the proposal of round {} had hardly any \
                     simulations: it does not cover the posterior; simulate another round from the new posterior, or \
                     from the prior again",
                    100.0 * outside,
                    self.round
                )
            }));
        }
        let of_proposal = |number: usize| {
            let parts = self.appended.iter().filter(move |part| part.proposal == number);
            parts.map(|part| part.simulations.len()).sum::<usize>()
        };
        let Some(round) = (1..=self.posteriors).map(of_proposal).max() else { return Ok(None) };
        let share = uncovered(&draws()?, &self.simulations().collect::<Vec<_>>(), round);
        Ok((share > TOO_MUCH).then(|| {
            format!(
                "{:.0}% of the posterior of the observation is where hardly any simulations of any round are, so that \
                 little in the training says how probable these parameters are: simulate another round from the new \
                 posterior or from the prior, or infer by `Proposal::truncated`",
                100.0 * share
            )
        }))
    }
}
