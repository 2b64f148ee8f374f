//! Maps the networks that saved posteriors name to what loads them: the one table of networks.

use super::{AnyPosterior, Saved, SavedError};
use bayesburn_amortizers::AmortizedPosterior;
use bayesburn_inference::Posterior;
use bayesburn_networks::{
    AnyInferenceConfig, AnySummaryConfig, ConvolutionalNetworkConfig, DeepSetConfig, DenseSummaryConfig,
    FusionNetworkConfig, HierarchicalNetworkConfig, IdentityConfig, InferenceConfig, SequenceNetworkConfig,
    SetTransformerConfig, SplitNetworkConfig, SummaryConfig, TimeSeriesNetworkConfig, TimeSeriesTransformerConfig,
    default_device, device,
};

type Load = fn(&Saved, Option<&str>) -> Result<Box<dyn AnyPosterior>, SavedError>;

/// The networks that saved posteriors may have, by the names that their files give.
///
/// A network of your own is one more line in your program; without it, its posteriors are an error that says so:
///
/// ```
/// use bayesburn_networks::DeepSetConfig;
/// use bayesburn_workflow::saved::Registry;
///
/// let registry = Registry::new().with::<DeepSetConfig>(); // in place of a network of your own
/// assert!(registry.names().any(|name| name == "deep set"));
/// ```
#[derive(Debug, Clone)]
pub struct Registry {
    networks: Vec<Entry>,
}

#[derive(Debug, Clone)]
struct Entry {
    summary: &'static str,
    /// Of a network that the library does not have.
    inference: Option<&'static str>,
    load: Load,
}

impl Default for Registry {
    // Compiled where it is used: programs that load no posterior do not hold the code of all networks.
    #[inline]
    fn default() -> Self {
        Self { networks: Vec::new() }
            .with::<DeepSetConfig>()
            .with::<DenseSummaryConfig>()
            .with::<IdentityConfig>()
            .with::<TimeSeriesNetworkConfig>()
            .with::<SequenceNetworkConfig>()
            .with::<ConvolutionalNetworkConfig>()
            .with::<FusionNetworkConfig>()
            .with::<SplitNetworkConfig>()
            .with::<HierarchicalNetworkConfig>()
            .with::<AnySummaryConfig>()
            .with::<SetTransformerConfig>()
            .with::<TimeSeriesTransformerConfig>()
    }
}

impl Registry {
    /// All networks of the library.
    #[inline]
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a summary network, with any inference network of the library behind it, or replaces the one of its name.
    #[must_use]
    pub fn with<C: SummaryConfig>(self) -> Self {
        self.with_entry(Entry { summary: C::NAME, inference: None, load: load::<C> })
    }

    /// Adds a summary network with an inference network of your own behind it.
    #[must_use]
    pub fn with_inference_network<C: SummaryConfig, I: InferenceConfig>(self) -> Self {
        self.with_entry(Entry { summary: C::NAME, inference: Some(I::NAME), load: load_amortizer::<C, I> })
    }

    fn with_entry(mut self, entry: Entry) -> Self {
        self.networks.retain(|known| (known.summary, known.inference) != (entry.summary, entry.inference));
        self.networks.push(entry);
        self
    }

    /// The names of the networks: of the summary network and, if it is one of your own, of the inference network.
    pub fn names(&self) -> impl Iterator<Item = String> {
        self.networks.iter().map(|entry| name(entry.summary, entry.inference))
    }

    /// Whether [`Registry::load`] can load it, if its files are whole.
    #[must_use]
    pub fn knows(&self, saved: &Saved) -> bool {
        self.loader(saved).is_ok()
    }

    /// Loads a saved posterior to a device of this name, see [`device`]; by default to the processor.
    ///
    /// # Errors
    /// A kind or a network that is not known; files that are damaged, or of a newer version; a device that is not
    /// there.
    pub fn load(&self, saved: &Saved, device: Option<&str>) -> Result<Box<dyn AnyPosterior>, SavedError> {
        self.loader(saved)?(saved, device)
    }

    fn loader(&self, saved: &Saved) -> Result<Load, SavedError> {
        let folder = || saved.folder().to_owned();
        if !saved.is_posterior() {
            return Err(SavedError::UnknownKind { folder: folder(), kind: saved.kind().to_owned() });
        }
        // Without a name the format is of another version, which loading reports.
        let summary = saved.summary_network().unwrap_or(DeepSetConfig::NAME);
        let inference = saved.inference_network();
        match self.networks.iter().find(|known| (known.summary, known.inference) == (summary, inference)) {
            Some(entry) => Ok(entry.load),
            None => Err(SavedError::UnknownNetwork {
                folder: folder(),
                name: name(summary, inference),
                known: self.names().collect(),
            }),
        }
    }
}

fn name(summary: &str, inference: Option<&str>) -> String {
    match inference {
        None => summary.to_owned(),
        Some(inference) => format!("{summary} with the inference network {inference}"),
    }
}

fn load<C: SummaryConfig>(saved: &Saved, name: Option<&str>) -> Result<Box<dyn AnyPosterior>, SavedError> {
    if saved.inference().is_none() {
        return load_amortizer::<C, AnyInferenceConfig>(saved, name);
    }
    let device = name.map_or_else(|| Ok(default_device()), device)?;
    Ok(Box::new(Posterior::<C>::load_without_prior(saved.folder(), &device)?))
}

fn load_amortizer<C: SummaryConfig, I: InferenceConfig>(
    saved: &Saved,
    name: Option<&str>,
) -> Result<Box<dyn AnyPosterior>, SavedError> {
    let device = name.map_or_else(|| Ok(default_device()), device)?;
    Ok(Box::new(AmortizedPosterior::<C, I>::load(saved.folder(), &device)?))
}
