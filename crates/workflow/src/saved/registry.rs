//! Maps the networks that saved posteriors name to what loads them: the one table of networks.

use super::{AnyPosterior, Saved, SavedError};
use bayesburn_amortizers::AmortizedPosterior;
use bayesburn_inference::Posterior;
use bayesburn_networks::{DeepSetConfig, DenseSummaryConfig, IdentityConfig, SummaryConfig, default_device, device};

type Load = fn(&Saved, Option<&str>) -> Result<Box<dyn AnyPosterior>, SavedError>;

/// The summary networks that saved posteriors may have, by the names that their files give.
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
    networks: Vec<(&'static str, Load)>,
}

impl Default for Registry {
    fn default() -> Self {
        Self { networks: Vec::new() }.with::<DeepSetConfig>().with::<DenseSummaryConfig>().with::<IdentityConfig>()
    }
}

impl Registry {
    /// All networks of the library.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a network, or replaces the one of its name.
    #[must_use]
    pub fn with<C: SummaryConfig>(mut self) -> Self {
        self.networks.retain(|(name, _)| *name != C::NAME);
        self.networks.push((C::NAME, load::<C>));
        self
    }

    /// The names of the networks.
    pub fn names(&self) -> impl Iterator<Item = &'static str> {
        self.networks.iter().map(|(name, _)| *name)
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
        let name = saved.summary_network().unwrap_or(DeepSetConfig::NAME);
        match self.networks.iter().find(|(known, _)| *known == name) {
            Some((_, load)) => Ok(*load),
            None => Err(SavedError::UnknownNetwork {
                folder: folder(),
                name: name.to_owned(),
                known: self.names().collect(),
            }),
        }
    }
}

fn load<C: SummaryConfig>(saved: &Saved, name: Option<&str>) -> Result<Box<dyn AnyPosterior>, SavedError> {
    let device = name.map_or_else(|| Ok(default_device()), device)?;
    Ok(match saved.inference() {
        Some(_) => Box::new(Posterior::<C>::load_without_prior(saved.folder(), &device)?),
        None => Box::new(AmortizedPosterior::<C>::load(saved.folder(), &device)?),
    })
}
