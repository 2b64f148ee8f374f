//! Refuses folders that hold no posterior to use, and commands that do not exist.

use crate::{json, normal, pilot, refused, text, untrained};
use bayesburn_amortizers::{AmortizedPosterior, PosteriorConfig};
use bayesburn_networks::{DeepSetConfig, InvertibleNetworkConfig};
use burn::tensor::Device;
use ndarray::Array1;
use ndarray_npy::write_npy;
use std::fs;

#[test]
fn folders_that_hold_no_such_posterior_are_refused() {
    let folder = tempfile::tempdir().expect("a folder");
    let at = folder.path();
    write_npy(at.join("x.npy"), &normal((1, 5, 2), 1)).expect("written");
    let sample = |posterior: &'static str| ["sample", posterior, "--data", "x.npy", "--out", "d.npz"];
    refused(at, &sample("nowhere"), &["nowhere", "is not a folder"]);
    refused(at, &sample("."), &["holds no trained posterior", "amortizer.json"]);
    untrained(0, 1).save(at.join("p")).expect("written");
    let text_of = |name: &str| fs::read_to_string(at.join("p").join(name)).expect("written");
    let description = text_of("amortizer.json");
    let changed = |from: &str, to: &str| {
        fs::write(at.join("p/amortizer.json"), description.replacen(from, to, 1)).expect("written");
        bayesburn_core::files::seal(&at.join("p")).expect("sealed");
    };
    changed("\"deep set\"", "\"transformer\"");
    refused(at, &sample("p"), &["`transformer`", "the program that trained it", "deep set"]);
    let words = text(at, &["info", "p"], 0);
    for part in ["Kind: posterior", "Summary network: transformer", "Parameters: a, b, c", "program that trained it"] {
        assert!(words.contains(part), "`{part}` is not in: {words}");
    }
    changed("\"kind\": \"posterior\"", "\"kind\": \"classifier\", \"classes\": 3");
    refused(at, &sample("p"), &["`classifier`", "the program that trained it"]);
    refused(at, &["export", "p", "--out", "w.npz"], &["`classifier`"]);
    let words = text(at, &["info", "p"], 0);
    for part in ["Kind: classifier", "Format version: 6", "classes: 3", "program that trained it"] {
        assert!(words.contains(part), "`{part}` is not in: {words}");
    }
    let info = json(at, &["info", "p"]);
    assert_eq!((&info["kind"], &info["can_be_used"]), (&"classifier".into(), &false.into()));
    changed("\"format_version\": 6", "\"format_version\": 4");
    refused(at, &sample("p"), &["`format_version` is 4", "reads 5 to 6"]);
    changed("\"format_version\": 6", "\"format_version\": 999");
    refused(at, &sample("p"), &["`format_version` is 999", "the version of bayesburn that wrote it"]);
    refused(at, &["info", "p"], &["`format_version` is 999", "a newer one"]);
    changed("{", "[");
    refused(at, &sample("p"), &["amortizer.json"]);
    changed("", "");
    text(at, &sample("p"), 0);
    let weights = at.join("p/weights.safetensors");
    let whole = fs::read(&weights).expect("written");
    fs::write(&weights, &whole[..whole.len() - 3]).expect("written");
    refused(at, &sample("p"), &["weights.safetensors"]);
    refused(at, &["export", "p", "--out", "w.npz"], &["weights.safetensors"]);
    fs::write(&weights, &whole).expect("written");

    refused(at, &["sample", "p", "--data", "x.npy", "--out", "d.txt"], &["d.txt", ".nc"]);
    refused(at, &["sample", "p", "--out", "d.npz"], &["--data"]);
    refused(at, &["sample", "p", "--data", "x.npy", "--draws", "0", "--out", "d.npz"], &["--draws 1"]);
    let device = |name: &'static str| ["sample", "p", "--data", "x.npy", "--out", "d.npz", "--device", name];
    text(at, &device("flex"), 0);
    refused(at, &device("gpu"), &["`gpu`", "cuda:N"]);
    #[cfg(not(feature = "cuda"))]
    refused(at, &device("cuda:1"), &["--features cuda"]);
    let many = ["sample", "p", "--data", "x.npy", "--draws", "18446744073709551615", "--out", "d.npz"];
    refused(at, &many, &["--draws 18446744073709551615", "at most"]);
    refused(at, &["export", "p", "--out", "w.txt"], &["w.txt", ".npz or .safetensors"]);
    write_npy(at.join("x.npy"), &normal((1, 5, 3), 1)).expect("written");
    refused(at, &sample("p"), &["3", "2"]);
    let mut unknown = normal((1, 5, 2), 1);
    unknown[[0, 2, 1]] = f32::NAN;
    write_npy(at.join("x.npy"), &unknown).expect("written");
    refused(at, &sample("p"), &["NaN"]);
    write_npy(at.join("x.npy"), &Array1::<f32>::zeros(3)).expect("written");
    refused(at, &sample("p"), &["[3]", "[N, F]"]);
}

/// Before a posterior is looked for, loaded or evaluated.
#[test]
fn an_output_that_cannot_be_written_is_refused_first() {
    let folder = tempfile::tempdir().expect("a folder");
    let log_prob = ["log-prob", "nowhere", "--data", "x.npy", "--parameters", "theta.csv", "--out"];
    for out in ["q.txt", "q", "q.npz"] {
        refused(folder.path(), &[&log_prob[..], &[out]].concat(), &[out, ".npy or .csv"]);
    }
    refused(folder.path(), &[&log_prob[..], &["q.npy"]].concat(), &["`nowhere` is not a folder"]);
}

/// Names that would clear the terminal, or begin a line of their own.
#[test]
fn names_do_not_reach_the_terminal_as_they_are() {
    const NAME: &str = "a\u{1b}[2J\nPASSED\u{9b}K";
    let folder = tempfile::tempdir().expect("a folder");
    let at = folder.path();
    let config = PosteriorConfig::new(DeepSetConfig::new(3).with_units(8), InvertibleNetworkConfig::new());
    let pilot = [pilot(5, 0), pilot(4, 0)];
    let posterior = AmortizedPosterior::new(config, [NAME, "b", "c"], &pilot, 1, &Device::flex()).expect("valid");
    posterior.save(at.join("p")).expect("written");
    write_npy(at.join("x.npy"), &normal((1, 5, 2), 1)).expect("written");
    let sample = ["sample", "p", "--data", "x.npy", "--draws", "20", "--out", "d.npz"];
    let escaped = "a\\u{1b}[2J\\nPASSED\\u{9b}K";
    fs::write(at.join("theta.csv"), format!("\"{NAME}\",b,b\n1,2,3\n")).expect("written");
    let log_prob = ["log-prob", "p", "--data", "x.npy", "--parameters", "theta.csv"];
    let (described, drawn, refused) = (text(at, &["info", "p"], 0), text(at, &sample, 0), text(at, &log_prob, 2));
    for text in [&described, &drawn, &refused] {
        assert!(!text.contains(|c: char| c.is_control() && c != '\n'), "{text:?}");
        assert!(!text.lines().any(|line| line.starts_with("PASSED")), "{text}");
    }
    assert!(described.contains(&format!("Parameters: {escaped}, b, c\n")) && drawn.contains(escaped), "{drawn}");
    // JSON has its own way to escape, and the name as it is.
    for command in [&["info", "p"][..], &sample] {
        let text = text(at, &[command, &["--json"]].concat(), 0);
        assert!(!text.contains(|c: char| c.is_control() && c != '\n'), "{text:?}");
        let value: serde_json::Value = serde_json::from_str(&text).expect("JSON");
        assert_eq!(value["parameters"][0], NAME);
    }
}

#[test]
fn help_and_completions_know_every_command() {
    let folder = tempfile::tempdir().expect("a folder");
    let help = text(folder.path(), &["--help"], 0);
    let completions = text(folder.path(), &["completions", "bash"], 0);
    for command in ["info", "sample", "log-prob", "diagnose", "report", "export", "completions"] {
        assert!(help.contains(command) && completions.contains(command), "{command}");
        let help = text(folder.path(), &[command, "--help"], 0);
        assert!(command == "info" || help.contains("Examples:"), "{help}");
    }
    refused(folder.path(), &["trian"], &["trian"]);
    refused(folder.path(), &["completions", "basic"], &["basic", "bash"]);
}
