//! Writes weights for other programs.

use crate::{
    Result,
    arguments::Export,
    output::{print, print_json},
};
use bayesburn_core::files::write_atomically;
use bayesburn_io::{read_arrays, write_arrays};
use bayesburn_workflow::{
    commands::Outcome,
    saved::{Registry, Saved},
};
use serde_json::json;
use std::{io::Write as _, path::Path};

pub(crate) fn run(options: &Export, json: bool) -> Result<Outcome> {
    let saved = Saved::find(&options.posterior.posterior)?;
    let folder = options.out.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let of_posterior = [saved.folder(), saved.networks()].into_iter().filter_map(|place| place.canonicalize().ok());
    if folder.canonicalize().is_ok_and(|folder| of_posterior.into_iter().any(|place| place == folder)) {
        return Err(format!("{}: choose another folder than the posterior's own", options.out.display()).into());
    }
    // A checkpoint that is damaged is not exported: loading looks.
    Registry::new().load(&saved, None)?;
    let arrays = read_arrays(saved.weights())?;
    write_arrays(&options.out, &arrays)?;
    let description = options.out.with_extension("json");
    let text = format!("{:#}\n", json!({ "posterior": saved.description(), "inference": saved.inference() }));
    write_atomically(&description, |file| file.write_all(text.as_bytes()))?;
    let numbers: usize = arrays.iter().map(|(_, array)| array.len()).sum();
    if json {
        let result = json!({
            "out": options.out, "description": description, "arrays": arrays.len(), "numbers": numbers,
        });
        print_json(result)?;
    } else {
        let out = options.out.display();
        print(format_args!(
            "{} arrays of {numbers} numbers: {out}\nWhat they are: {}\n",
            arrays.len(),
            description.display()
        ))?;
    }
    Ok(Outcome::Passed)
}
