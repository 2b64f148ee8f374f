//! Owns the weights that a training keeps beside the current ones.

use crate::stepper::Updater;
use bayesburn_amortizers::Amortizer;

/// Weights other than the current ones. The amortizer has the current weights or, between training calls, their
/// average. During an epoch, a stepper may have newer ones until they are put back.
pub(crate) struct Weights<N> {
    /// The weights of the run's best epoch, if the run ends with them.
    best: Option<N>,
    /// The average, while the amortizer has the raw weights.
    average: Option<N>,
    /// The raw weights of the last step, while the amortizer has the average.
    stepped: Option<N>,
    /// The weights and the optimizer's state before the epoch, or when the run was resumed: the target of a rollback
    /// after non-finite steps.
    last_finite: Option<(N, Updater)>,
}

impl<N> Default for Weights<N> {
    fn default() -> Self {
        Self { best: None, average: None, stepped: None, last_finite: None }
    }
}

impl<N: Clone> Weights<N> {
    pub(crate) fn set_best(&mut self, networks: N) {
        self.best = Some(networks);
    }

    pub(crate) fn best(&self) -> Option<&N> {
        self.best.as_ref()
    }

    pub(crate) fn take_best(&mut self) -> Option<N> {
        self.best.take()
    }

    /// Sets the raw weights of a resumed run, while the amortizer has the average.
    pub(crate) fn resume_stepped(&mut self, networks: N) {
        self.stepped = Some(networks);
    }

    pub(crate) fn average(&self) -> Option<&N> {
        self.average.as_ref()
    }

    pub(crate) fn set_average(&mut self, average: Option<N>) {
        self.average = average;
    }

    /// Begins or continues averaging: stores the amortizer's weights as the average, and gives it the raw weights to
    /// continue from.
    pub(crate) fn begin_average<A: Amortizer<Networks = N>>(&mut self, amortizer: &mut A) {
        self.average = Some(amortizer.networks().clone());
        if let Some(stepped) = self.stepped.take() {
            amortizer.set_networks(stepped);
        }
    }

    /// Ends averaging in a training call: gives the amortizer the average, if there is one, and keeps the raw weights
    /// if the run `goes_on`.
    pub(crate) fn leave_average<A: Amortizer<Networks = N>>(&mut self, amortizer: &mut A, goes_on: bool) {
        if let Some(average) = self.average.take() {
            let stepped = amortizer.networks().clone();
            amortizer.set_networks(average);
            self.stepped = goes_on.then_some(stepped);
        }
    }

    pub(crate) fn set_last_finite(&mut self, networks: N, updater: Updater) {
        self.last_finite = Some((networks, updater));
    }

    pub(crate) fn last_finite(&self) -> Option<&(N, Updater)> {
        self.last_finite.as_ref()
    }

    /// Ends a training call.
    pub(crate) fn forget_last_finite(&mut self) {
        self.last_finite = None;
    }

    /// Forgets what belongs to a run that is over, or of which nothing was trained.
    pub(crate) fn forget_run(&mut self) {
        self.best = None;
        self.stepped = None;
    }
}
