//! Simulates for an inference, in parts.
//!
//! After each part the progress bar advances, the part is saved, and interruptions are checked.

use crate::{InferenceError, Npe, Proposal};
use bayesburn_core::{Purpose, SimulationId, Simulations, settings::at_least_one, stream};
use bayesburn_networks::SummaryConfig;
use bayesburn_simulation::{InvalidSimulations, Quantity, SimulationBar, SimulationError};
use ndarray::{Array2, s};
use rand::Rng;
use std::sync::atomic::Ordering;

impl<C: SummaryConfig> Npe<C> {
    /// Draws parameters from the proposal, at first the prior, simulates their data on all cores, and appends both.
    ///
    /// Non-finite simulations are dropped and counted, unless the model's simulator has another policy. With
    /// [`Panics::AsInvalid`](bayesburn_simulation::Panics::AsInvalid), so are those that panic.
    ///
    /// # Errors
    /// No simulator; a proposal that cannot be drawn from, or that has other parameters or data; simulations that fail;
    /// no finite simulation; a training that is complete and could not be saved; an interruption by the flag of
    /// [`NpeBuilder::stop_on`](crate::NpeBuilder::stop_on).
    pub fn simulate(&mut self, num_simulations: usize) -> Result<(), InferenceError> {
        let model = self.model.clone().ok_or(InferenceError::NoSimulator)?;
        self.check_saved()?;
        at_least_one("num_simulations", num_simulations)?;
        self.check_proposal(self.data_shape.as_deref())?;
        let seed = |purpose| stream(self.seed, purpose, self.calls).next_u64();
        let (draws_seed, data_seed) =
            (seed(const { Purpose::new("proposed parameters") }), seed(const { Purpose::new("pairs") }));
        // Parameters are drawn only when needed: if a round is on disk, the proposal may have changed since.
        let mut proposed: Option<Array2<f32>> = None;
        let part = |first: usize, length: usize| -> Result<Simulations, InferenceError> {
            if let Proposal::Prior = self.proposal {
                return Ok(model.simulate_from(data_seed, first as u64, length)?);
            }
            let all = match &mut proposed {
                Some(all) => all,
                None => proposed.insert(self.proposal.sample(&self.prior, num_simulations, draws_seed)?),
            };
            let parameters = all.slice(s![first..first + length, ..]).to_owned();
            Ok(model.simulate_given(&parameters, data_seed, first as u64)?)
        };
        let length = match (&self.store, model.simulations_are_independent()) {
            (_, false) => num_simulations,
            // A hundred steps of the bar, or more.
            (None, true) => num_simulations.div_ceil(100).clamp(64, 512),
            // Twenty files, if they are worth it.
            (Some(_), true) => num_simulations.div_ceil(20).max(100),
        };
        let simulations = self.in_parts(num_simulations, length, data_seed, part)?;
        let excluded = match model.invalid_simulations() {
            // What was redrawn or masked is still there.
            InvalidSimulations::Redraw { .. } | InvalidSimulations::Mask => 0,
            _ => simulations.invalid.len(),
        };
        self.add(simulations, excluded)
    }

    /// Returns an error if the first simulation on disk differs from the model's now, since the prior or the simulator
    /// has changed.
    fn check_model(
        &self,
        stored: &Simulations,
        make: &mut impl FnMut(usize, usize) -> Result<Simulations, InferenceError>,
    ) -> Result<(), InferenceError> {
        let model = self.model.as_ref().ok_or(InferenceError::NoSimulator)?;
        // One that was left out has no row; and a proposal may be another posterior by now.
        let is_first = stored.invalid.iter().all(|id| id.index > 0);
        if !model.simulations_are_independent() || !is_first || !matches!(self.proposal, Proposal::Prior) {
            return Ok(());
        }
        let (now, then) = (make(0, 1)?, stored.select(&[0]));
        if (&now.parameters, &now.data) == (&then.parameters, &then.data) {
            return Ok(());
        }
        // A program with its own source of randomness answers differently each time.
        if now.parameters == then.parameters && make(0, 1)?.data != now.data {
            tracing::warn!("the simulator is not reproducible, so it cannot be compared with the simulations on disk");
            return Ok(());
        }
        let folder = self.store.as_ref().map(|store| store.folder().to_owned()).unwrap_or_default();
        let reason = format!(
            "its first simulation has parameters {} and data {}, and the model makes parameters {} and data {} of it",
            then.parameters,
            then.data.values(),
            now.parameters,
            now.data.values()
        );
        Err(InferenceError::OtherInference { folder, reason })
    }

    /// So many simulations, in parts of this length: from disk, as far as they are there, or made by `make`, given the
    /// first and how many.
    fn in_parts(
        &self,
        count: usize,
        length: usize,
        seed: u64,
        mut make: impl FnMut(usize, usize) -> Result<Simulations, InferenceError>,
    ) -> Result<Simulations, InferenceError> {
        let open = |store: &crate::store::Store| store.call(self.calls, self.proposal.name(), self.seed, count);
        let stored = self.store.as_ref().map(open).transpose()?;
        let bar = SimulationBar::new(self.progress, 0, count as u64);
        let (mut parts, mut nothing_left): (Vec<Simulations>, _) = (Vec::new(), None);
        let (mut left_out, mut all_panicked) = (Vec::new(), Vec::new());
        for first in (0..count).step_by(length) {
            let these = length.min(count - first);
            if self.interrupt.as_ref().is_some_and(|flag| flag.swap(false, Ordering::SeqCst)) {
                return Err(InferenceError::Interrupted { made: first, count, is_kept: stored.is_some() });
            }
            match stored.as_ref().map(|stored| stored.load(first)).transpose()?.flatten() {
                Some(part) => {
                    if first == 0 {
                        self.check_model(&part, &mut make)?;
                    }
                    parts.push(part);
                }
                None => match make(first, these) {
                    Ok(part) => {
                        let shape = |simulations: &Simulations| simulations.data.values().shape()[1..].to_vec();
                        let (got, index) = (shape(&part), first as u64);
                        if let Some(expected) = parts.first().map(shape).filter(|expected| *expected != got) {
                            let quantity = Quantity::SimData;
                            let error =
                                SimulationError::ShapeChanged { quantity, index, seed, attempt: 0, expected, got };
                            return Err(error.into());
                        }
                        stored.as_ref().map(|stored| stored.save(first, &part)).transpose()?;
                        parts.push(part);
                    }
                    // Of all parts together there may be something. When this is resumed, such a part is made again.
                    Err(InferenceError::Simulation(SimulationError::NothingLeft { count, first, panicked })) => {
                        let alone = first.batch == 1;
                        left_out.extend((0..count as u64).map(|i| {
                            let index = first.index + i;
                            SimulationId { index, first: if alone { index } else { first.first }, ..first }
                        }));
                        all_panicked.extend(panicked);
                        nothing_left.get_or_insert(first);
                    }
                    Err(error) => return Err(error),
                },
            }
            bar.add(these);
        }
        bar.finish();
        match nothing_left {
            Some(first) if parts.is_empty() => {
                Err(SimulationError::NothingLeft { count, first, panicked: all_panicked }.into())
            }
            _ => {
                let mut all = Simulations::join(&parts)?;
                all.invalid.extend(left_out);
                all.panicked.extend(all_panicked);
                Ok(all)
            }
        }
    }
}
