//! Draws from the posterior and evaluates it, in chunks of bounded memory.

use crate::{
    AmortizedPosterior, AmortizerError, Conditions, Configured,
    conditions::{check_finite, check_weights},
    encoded::EncodedRows,
    evaluator::Evaluator,
    familiar::Familiar,
    networks::Losses,
    targets::Targets,
};
use bayesburn_core::{Draws, Input, Purpose, stream};
use bayesburn_networks::{InferenceConfig, InferenceNetwork, Pass, SummaryConfig, SummaryNetwork};
use ndarray::{Array1, Array2, Array3, Axis, Slice};
use rand::RngExt;
use rand_distr::StandardNormal;
use rayon::prelude::*;
use std::ops::Range;

/// Draws that share one stream of noise: that of draw l of data set m comes from stream (m, l / 1024), so it is the
/// same for any number of draws, chunks or threads.
const DRAWS_IN_BLOCK: usize = 1024;

const LATENTS: Purpose = Purpose::new("posterior latents");
// Dropout masks at inference, where a network has them.
const SUMMARY_PASS: Purpose = Purpose::new("summary pass");
const DRAW_PASS: Purpose = Purpose::new("draw pass");
const DENSITY_PASS: Purpose = Purpose::new("density pass");

/// Some draws for one data set, at most [`DRAWS_IN_BLOCK`].
#[derive(Debug, Clone)]
struct Block {
    data_set: usize,
    draws: Range<usize>,
}

/// A posterior's networks as they are asked.
type Networks<C, I> = Evaluator<<C as SummaryConfig>::Network, <I as InferenceConfig>::Network>;

/// What the networks give for parameters and their data sets.
struct Evaluated {
    /// Latents `[B, D]`, of an estimator that has them.
    z: Option<Array2<f32>>,
    /// ln q(θ | x), `[B]`.
    log_prob: Array1<f32>,
    /// The data sets' summaries, `[M, S]`.
    summaries: Array2<f32>,
}

impl<C: SummaryConfig, I: InferenceConfig> AmortizedPosterior<C, I> {
    /// Draws from the posterior of each data set: `[M, num_draws, D]`, always with three axes.
    ///
    /// On Burn Flex to the bit, elsewhere up to rounding: draw l for data set m is the same for any `num_draws` above
    /// l, any data sets after m and any number of threads. Networks that take random numbers from the pass, as Monte
    /// Carlo dropout does, take them chunk by chunk, so that their draws depend on the number of draws and data sets
    /// too.
    ///
    /// Data unlike those that the networks were trained on are warned of: see [`Draws::warnings`] and
    /// [`AmortizedPosterior::warnings_for`].
    ///
    /// The latent numbers of a data set depend on the seed and on the data set's number alone. A call numbers its data
    /// sets from 0, so their draws are independent, but another call with the same seed uses the same latent numbers
    /// again. Checks of calibration need independent draws for different data sets: with one call for each data set and
    /// one seed, they reject exact posteriors. Draw for all data sets in one call, or for one at a time by its number
    /// with [`AmortizedPosterior::sample_numbered`].
    ///
    /// # Errors
    /// Zero draws; no data set; conditions of another width than the network's; a number of observations that networks
    /// trained on one number alone never saw; values that are not finite; an inference network without draws; a GPU
    /// that fails.
    pub fn sample(&self, conditions: &Conditions, num_draws: usize, seed: u64) -> Result<Draws, AmortizerError> {
        self.sample_numbered(conditions, 0, num_draws, seed)
    }

    /// Draws for data sets of different sizes, one or more in each element: `[sum of M, num_draws, D]`.
    ///
    /// # Errors
    /// As [`AmortizedPosterior::sample`]; no element.
    pub fn sample_each(&self, groups: &[Conditions], num_draws: usize, seed: u64) -> Result<Draws, AmortizerError> {
        let groups: Vec<&Conditions> = groups.iter().collect();
        self.sample_groups(&groups, 0, num_draws, seed)
    }

    /// As [`AmortizedPosterior::sample`], with data sets numbered `first`, `first` + 1, …: for data sets that come one
    /// at a time. Draws are those that one call for all data sets gives to the ones with these numbers.
    ///
    /// ```
    /// # use bayesburn_amortizers::{AmortizedPosterior, Conditions, Configured, PosteriorConfig};
    /// # use bayesburn_networks::{DeepSetConfig, InvertibleNetworkConfig};
    /// # use burn::tensor::Device;
    /// # use ndarray::{Array2, Array3};
    /// # let config = PosteriorConfig::new(DeepSetConfig::new(10), InvertibleNetworkConfig::new());
    /// # let data = Array3::from_shape_fn((3, 50, 1), |(m, n, _)| m as f32 + 0.1 * n as f32);
    /// # let all = Conditions::new(data.clone());
    /// # let pilot = Configured::new(Array2::from_shape_fn((3, 1), |(m, _)| m as f32), all.clone())?;
    /// # let posterior = AmortizedPosterior::new(config, ["mu"], &[pilot], 2023, &Device::default())?;
    /// let at_once = posterior.sample(&all, 99, 1)?;
    /// for (m, x) in data.outer_iter().enumerate() {
    ///     let draws = posterior.sample_numbered(&Conditions::one(x.to_owned()), m, 99, 1)?; // one seed
    ///     assert_eq!(draws.data_set(0), at_once.data_set(m));
    /// }
    /// # Ok::<(), bayesburn_amortizers::AmortizerError>(())
    /// ```
    ///
    /// # Errors
    /// As [`AmortizedPosterior::sample`]; a number of 2³² or more.
    pub fn sample_numbered(
        &self,
        conditions: &Conditions,
        first: usize,
        num_draws: usize,
        seed: u64,
    ) -> Result<Draws, AmortizerError> {
        self.sample_groups(&[conditions], first, num_draws, seed)
    }

    /// Draws for groups of data sets, of which the first has the number `first`, with one decision on what is unlike
    /// simulations.
    fn sample_groups(
        &self,
        groups: &[&Conditions],
        first: usize,
        num_draws: usize,
        seed: u64,
    ) -> Result<Draws, AmortizerError> {
        let (mut all, mut given, mut next) = (Vec::with_capacity(groups.len()), Vec::new(), first);
        for conditions in groups {
            let numbers: Vec<usize> = (0..conditions.len()).map(|m| next.saturating_add(m)).collect();
            let (draws, summaries) = self.draw(conditions, &numbers, 0..num_draws, seed)?;
            all.push(draws);
            given.push((*conditions, summaries));
            next = next.saturating_add(conditions.len());
        }
        let mut all = all.into_iter();
        let draws = all
            .next()
            .ok_or(AmortizerError::Empty { what: "the list of data sets", remedy: "pass at least one element" })?;
        let warnings = self.warnings_by(&given, first)?;
        warnings.iter().for_each(|warning| tracing::warn!("{warning}"));
        Ok(draws.join(all)?.with_warnings(warnings))
    }

    /// Some of the draws of [`AmortizedPosterior::sample`], for some of the data sets: those that have these numbers
    /// among all. So a sampler that rejects some of the draws goes on for data sets that lack some, and the result is
    /// the same whatever it asked for at a time. These draws have no warnings: see
    /// [`AmortizedPosterior::warnings_for`].
    ///
    /// # Errors
    /// As [`AmortizedPosterior::sample`]; a number of data sets other than of numbers; a number of 2³² or more.
    pub fn sample_part(
        &self,
        conditions: &Conditions,
        numbers: &[usize],
        draws: Range<usize>,
        seed: u64,
    ) -> Result<Draws, AmortizerError> {
        Ok(self.draw(conditions, numbers, draws, seed)?.0)
    }

    /// Why posteriors of these data sets may be wrong: other numbers of observations or direct conditions than in
    /// training, and data unlike any simulation, by a distance of summaries and one of values that are calibrated by
    /// simulations. Of data that are simulated like those that were trained on, there is a warning with a probability
    /// of about 0.1%, however many data sets are given at a time.
    ///
    /// # Errors
    /// As [`AmortizedPosterior::summaries`].
    pub fn warnings_for(&self, conditions: &Conditions) -> Result<Vec<String>, AmortizerError> {
        self.check_observed(conditions)?;
        self.warnings_by(&[(conditions, self.summaries_unchecked(conditions)?)], 0)
    }

    /// Of groups of data sets with their summaries, of which the first has the number `first`.
    fn warnings_by(&self, groups: &[(&Conditions, Array2<f32>)], first: usize) -> Result<Vec<String>, AmortizerError> {
        let Some(range) = &self.range else { return Ok(Vec::new()) };
        let mut warnings: Vec<String> = groups.iter().flat_map(|(conditions, _)| range.outside(conditions)).collect();
        warnings.dedup();
        if let Some(familiar) = self.familiar()? {
            let columns = (&self.networks.masked[..], self.feature_names());
            warnings.extend(familiar.warning(range, groups, first, columns));
        }
        Ok(warnings)
    }

    /// How far simulations are from each other, by the networks as they are; `None` if too few are known.
    pub(crate) fn familiar(&self) -> Result<Option<&Familiar>, AmortizerError> {
        if self.familiar.get().is_none()
            && let Some(range) = &self.range
        {
            let summaries = self.reference.iter().map(|part| self.summaries_unchecked(part));
            let summaries = summaries.collect::<Result<Vec<_>, AmortizerError>>()?;
            _ = self.familiar.set(Familiar::new(range, &self.reference, &summaries));
        }
        Ok(self.familiar.get().and_then(Option::as_ref))
    }

    /// Draws, and the summaries of their data sets.
    fn draw(
        &self,
        conditions: &Conditions,
        numbers: &[usize],
        draws: Range<usize>,
        seed: u64,
    ) -> Result<(Draws, Array2<f32>), AmortizerError> {
        let num_draws = draws.len();
        if num_draws == 0 {
            return Err(AmortizerError::Empty { what: "the request", remedy: "ask for at least 1 draw" });
        }
        self.check_observed(conditions)?;
        let (expected, got) = (conditions.len(), numbers.len());
        if expected != got {
            return Err(AmortizerError::Rows { what: "the list of numbers", expected, got });
        }
        // Streams have 32 bits for the number of a data set.
        if let Some(&got) = numbers.iter().find(|number| u32::try_from(**number).is_err()) {
            return Err(AmortizerError::DataSetNumber { got });
        }
        let first = numbers[0];
        let blocks: Vec<Block> = (0..conditions.len())
            .flat_map(|data_set| {
                let Range { start, end } = draws;
                (start / DRAWS_IN_BLOCK..end.div_ceil(DRAWS_IN_BLOCK)).map(move |block| {
                    let first = block * DRAWS_IN_BLOCK;
                    Block { data_set, draws: first.max(start)..(first + DRAWS_IN_BLOCK).min(end) }
                })
            })
            .collect();
        let (encoded, chunks) = self.evaluated(|networks| {
            let encoded = encode(networks, conditions, seed, first)?;
            let blocks_in_chunk = (networks.rows_in_chunk()[1] / num_draws.min(DRAWS_IN_BLOCK)).max(1);
            let chunks = networks.of_each(blocks.par_chunks(blocks_in_chunk), |chunk| {
                let targets = draw_chunk(networks, &encoded, chunk, self.names.len(), numbers, seed)?;
                Ok(self.support().parameters(targets))
            })?;
            Ok((encoded, chunks))
        })?;
        let shape = (conditions.len(), num_draws, self.names.len());
        let values = Array3::from_shape_vec(shape, chunks.concat()).expect("each block gave all of its rows");
        Ok((Draws::new(self.names.clone(), values)?, encoded.summaries))
    }

    /// log q(θ | x) for each row of parameters, `[M]`, in the parameters' own units and normalised; −∞ outside of
    /// [`PosteriorConfig::support`](crate::PosteriorConfig).
    ///
    /// M parameter vectors belong to M data sets; or to one, at which all of them are evaluated.
    ///
    /// # Errors
    /// Parameters or conditions of another width or number; values that are not finite; an inference network without a
    /// density; a GPU that fails.
    pub fn log_prob(&self, parameters: &Array2<f32>, conditions: &Conditions) -> Result<Array1<f32>, AmortizerError> {
        self.check_observed(conditions)?;
        let Evaluated { log_prob, summaries, .. } = self.evaluate(parameters, conditions)?;
        self.warnings_by(&[(conditions, summaries)], 0)?.iter().for_each(|warning| tracing::warn!("{warning}"));
        Ok(log_prob)
    }

    /// The mean of −w log q(θ | x) over simulations, each with its weight w, in the parameters' own units and without
    /// any summary loss: the validation loss of networks that are trained by it. Where all weights are 0, it is 0.
    ///
    /// # Errors
    /// As [`AmortizedPosterior::log_prob`]; a weight that is negative or not finite.
    pub fn negative_log_prob(&self, simulations: &Configured) -> Result<f32, AmortizerError> {
        let log_prob = self.evaluate(&simulations.parameters, &simulations.conditions)?.log_prob;
        mean(-log_prob, simulations)
    }

    /// The mean over simulations of the loss times the weight: −log q(θ | x), or the inference network's own loss, in
    /// an inference pass.
    pub(crate) fn mean_loss(&self, simulations: &Configured) -> Result<f32, AmortizerError> {
        let Configured { parameters, conditions, .. } = simulations;
        self.check_rows(parameters, conditions)?;
        let targets = self.support().targets(parameters);
        let (_, chunks) = self.in_chunks(&targets.values, conditions, Evaluator::losses)?;
        let (mut own, mut log_prob) = (Vec::new(), Vec::new());
        for chunk in chunks {
            match chunk {
                Losses::Own(losses) => own.extend(losses),
                Losses::LogProb(of_chunk) => log_prob.extend(of_chunk),
            }
        }
        if own.is_empty() {
            return mean(-self.log_prob_of_parameters(log_prob, &targets, parameters), simulations);
        }
        // −log q is infinite there; targets at the bound would have a loss like others.
        self.support().check(&self.widths.names, parameters)?;
        mean(own.into(), simulations)
    }

    /// Latent variables of simulations: z `[M, D]` and log q(θ | x) `[M]`, whatever their weights. For a posterior that
    /// has converged, z is standard normal.
    ///
    /// # Errors
    /// As [`AmortizedPosterior::log_prob`]; an inference network without latents, such as a mixture of several normals.
    pub fn latent(&self, simulations: &Configured) -> Result<(Array2<f32>, Array1<f32>), AmortizerError> {
        self.check_observed(&simulations.conditions)?;
        let Evaluated { z, log_prob, .. } = self.evaluate(&simulations.parameters, &simulations.conditions)?;
        Ok((z.ok_or(AmortizerError::NoLatents)?, log_prob))
    }

    /// Summaries of the data sets, `[M, S]`: the learned summary statistics.
    ///
    /// # Errors
    /// As [`AmortizedPosterior::log_prob`].
    pub fn summaries(&self, conditions: &Conditions) -> Result<Array2<f32>, AmortizerError> {
        self.check_observed(conditions)?;
        self.summaries_unchecked(conditions)
    }

    fn summaries_unchecked(&self, conditions: &Conditions) -> Result<Array2<f32>, AmortizerError> {
        Ok(self.evaluated(|networks| encode(networks, conditions, 0, 0))?.summaries)
    }

    /// Whether parameters and data sets fit the networks and each other.
    fn check_rows(&self, parameters: &Array2<f32>, conditions: &Conditions) -> Result<(), AmortizerError> {
        conditions.check()?;
        self.check_conditions(conditions)?;
        self.widths.check_parameters(parameters.view())?;
        let (expected, got) = (conditions.len(), parameters.nrows());
        if got == 0 {
            let remedy = "pass at least one parameter vector";
            return Err(AmortizerError::Empty { what: "the array of parameters", remedy });
        }
        if expected != 1 && expected != got {
            return Err(AmortizerError::Rows { what: "the array of parameters", expected, got });
        }
        check_finite("the parameter vector", parameters)
    }

    /// What the networks give for targets and their data sets, or the one that all of them have, chunk by chunk.
    fn in_chunks<R: Send>(
        &self,
        targets: &Array2<f32>,
        conditions: &Conditions,
        of: impl Fn(&Networks<C, I>, &Array2<f32>, &EncodedRows, &mut Pass) -> Result<R, AmortizerError> + Sync + Send,
    ) -> Result<(EncodedRows, Vec<R>), AmortizerError> {
        let (data_sets, rows) = (conditions.len(), targets.nrows());
        self.evaluated(|networks| {
            let encoded = encode(networks, conditions, 0, 0)?;
            let [_, rows_in_chunk] = networks.rows_in_chunk();
            let starts: Vec<usize> = (0..rows).step_by(rows_in_chunk).collect();
            let chunks = networks.of_each(starts.into_par_iter(), |start| {
                let range = start..(start + rows_in_chunk).min(rows);
                let targets = targets.slice_axis(Axis(0), Slice::from(range.clone())).to_owned();
                let encoded = encoded.range(if data_sets == 1 { 0..1 } else { range });
                of(networks, &targets, &encoded, &mut Pass::inference(stream(0, DENSITY_PASS, start as u64).random()))
            })?;
            Ok((encoded, chunks))
        })
    }

    /// ln q of parameters, of that of the targets that they are mapped to.
    fn log_prob_of_parameters(
        &self,
        log_prob: Vec<f32>,
        targets: &Targets<'_>,
        parameters: &Array2<f32>,
    ) -> Array1<f32> {
        let mut log_prob = Array1::from(log_prob);
        if let Some(log_derivatives) = &targets.log_derivatives {
            log_prob += log_derivatives;
            for (log_prob, row) in log_prob.iter_mut().zip(parameters.outer_iter()) {
                if !self.support().contains(row) {
                    *log_prob = f32::NEG_INFINITY;
                }
            }
        }
        log_prob
    }

    fn evaluate(&self, parameters: &Array2<f32>, conditions: &Conditions) -> Result<Evaluated, AmortizerError> {
        self.check_rows(parameters, conditions)?;
        let targets = self.support().targets(parameters);
        let (encoded, chunks) = self.in_chunks(&targets.values, conditions, Evaluator::evaluate)?;
        let (z, log_prob): (Vec<_>, Vec<_>) = chunks.into_iter().unzip();
        let z = Array2::from_shape_vec(parameters.dim(), z.concat()).ok();
        let log_prob = self.log_prob_of_parameters(log_prob.concat(), &targets, parameters);
        Ok(Evaluated { z, log_prob, summaries: encoded.summaries })
    }
}

/// The mean of losses times weights. Where all weights are 0, it is 0.
fn mean(losses: Array1<f32>, simulations: &Configured) -> Result<f32, AmortizerError> {
    if let Some(weights) = &simulations.weights {
        check_weights(weights, losses.len())?;
    }
    let weight = |row: usize| simulations.weights.as_ref().map_or(1.0, |weights| f64::from(weights[row]));
    // A weight of 0 takes away also what is infinite.
    let counted = losses.iter().enumerate().filter(|(row, _)| weight(*row) > 0.0);
    let sum: f64 = counted.map(|(row, &loss)| weight(row) * f64::from(loss)).sum();
    Ok((sum / losses.len() as f64) as f32)
}

/// What the networks make of data sets, of which the first has the number `first`.
fn encode<S: SummaryNetwork, N: InferenceNetwork>(
    networks: &Evaluator<S, N>,
    conditions: &Conditions,
    seed: u64,
    first: usize,
) -> Result<EncodedRows, AmortizerError> {
    let data_sets = conditions.len();
    let rows = |input: &Input| input.values().len() / input.features().max(1) / data_sets.max(1);
    let observations = conditions.data.inputs().iter().map(rows).max().unwrap_or(1);
    let sets_in_chunk = (networks.rows_in_chunk()[0] / observations.max(1)).max(1);
    let starts: Vec<usize> = (0..data_sets).step_by(sets_in_chunk).collect();
    let chunks = networks.of_each(starts.into_par_iter(), |start| {
        let part = conditions.range(start..(start + sets_in_chunk).min(data_sets));
        let mut pass = Pass::inference(stream(seed, SUMMARY_PASS, (first + start) as u64).random());
        networks.encode(&part, &mut pass)
    })?;
    Ok(EncodedRows::joined(&chunks))
}

/// Draws for some blocks, row after row.
fn draw_chunk<S: SummaryNetwork, N: InferenceNetwork>(
    networks: &Evaluator<S, N>,
    encoded: &EncodedRows,
    blocks: &[Block],
    dim: usize,
    numbers: &[usize],
    seed: u64,
) -> Result<Vec<f32>, AmortizerError> {
    let width = networks.noise_dim(dim);
    let mut noise = Array2::zeros((blocks.iter().map(|block| block.draws.len()).sum(), width));
    let mut rest = noise.as_slice_mut().expect("row after row");
    let mut places = Vec::with_capacity(blocks.len());
    for block in blocks {
        let (place, others) = rest.split_at_mut(block.draws.len() * width);
        places.push((block, place));
        rest = others;
    }
    places.into_par_iter().for_each(|(block, place)| {
        let number = (numbers[block.data_set] as u64) << 32 | (block.draws.start / DRAWS_IN_BLOCK) as u64;
        let mut rng = stream(seed, LATENTS, number);
        let before = block.draws.start % DRAWS_IN_BLOCK;
        (0..before * width).for_each(|_| _ = rng.sample::<f32, _>(StandardNormal));
        place.fill_with(|| rng.sample(StandardNormal));
    });
    // One row for each block where they are of the same length: what depends on the condition alone is then computed
    // once for all of its draws.
    let alike = blocks.iter().all(|block| block.draws.len() == blocks[0].draws.len());
    let repeats = |block: &Block| if alike { 1 } else { block.draws.len() };
    let of_each = blocks.iter().flat_map(|block| std::iter::repeat_n(block.data_set, repeats(block)));
    let encoded = encoded.select(&of_each.collect::<Vec<_>>());
    let number = (numbers[blocks[0].data_set] as u64) << 32 | blocks[0].draws.start as u64;
    let mut pass = Pass::inference(stream(seed, DRAW_PASS, number).random());
    networks.draw(noise, dim, &encoded, &mut pass)
}
