//! Describes saved amortizers, also those of kinds and networks that only their own program knows.

use crate::{
    Result,
    arguments::Posterior,
    output::{print, print_json},
};
use bayesburn_workflow::{
    commands::Outcome,
    saved::{Registry, Saved, describe, description},
};

pub(crate) fn run(options: &Posterior, json: bool) -> Result<Outcome> {
    let (saved, registry) = (Saved::find(&options.posterior)?, Registry::new());
    // A posterior that is damaged is not described: loading looks.
    let posterior = if registry.knows(&saved) { Some(registry.load(&saved, None)?) } else { None };
    if json {
        print_json(format_args!("{:#}", description(&saved, posterior.as_deref())?))?;
    } else {
        print(describe(&saved, posterior.as_deref())?)?;
    }
    Ok(Outcome::Passed)
}
