//! Owns the weights that a training has beside the current ones.

use crate::stepper::Updater;
use bayesburn_amortizers::Amortizer;

/// Weights of the networks at other moments than now. The amortizer has the current ones, which steps change, or,
/// between training calls, the average of them; a stepper may have newer ones until they are put back.
pub(crate) struct Weights<N> {
    /// Those of the run's best epoch, where the run ends with them.
    best: Option<N>,
    /// Their average over epochs, while the amortizer has those of the last step.
    average: Option<N>,
    /// Those of the last step, while the amortizer has the average.
    stepped: Option<N>,
    /// Those before the epoch, or when the run was resumed, with the optimizer's state then: what a run goes back to
    /// whose steps are not finite.
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

    pub(crate) fn take_best(&mut self) -> Option<N> {
        self.best.take()
    }

    /// Takes up the weights of the last step of a run that was interrupted, whose average the amortizer has.
    pub(crate) fn resume_stepped(&mut self, networks: N) {
        self.stepped = Some(networks);
    }

    pub(crate) fn average(&self) -> Option<&N> {
        self.average.as_ref()
    }

    pub(crate) fn set_average(&mut self, average: Option<N>) {
        self.average = average;
    }

    /// Begins to average, or goes on: the amortizer's weights are the average so far, and steps go on from those of the
    /// last step.
    pub(crate) fn begin_average<A: Amortizer<Networks = N>>(&mut self, amortizer: &mut A) {
        self.average = Some(amortizer.networks().clone());
        if let Some(stepped) = self.stepped.take() {
            amortizer.set_networks(stepped);
        }
    }

    /// Ends a training call: the amortizer has the average, if there is one. The weights of the last step are kept
    /// where the run `goes_on`.
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
