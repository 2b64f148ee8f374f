//! Does what the workers of these tests do: mostly, fail.

#![allow(clippy::print_stderr, reason = "what workers write there is tested")]
#![allow(clippy::zombie_processes, reason = "workers hang on purpose")]

use serde_json::{Value, json};
use std::{
    fs::{self, File},
    io::{Write, stdin},
    os::unix::process::CommandExt,
    path::PathBuf,
    process::{Command, exit},
    thread::sleep,
    time::Duration,
};

pub(crate) const TASK: &str = "BAYESBURN_TEST_TASK";
/// The first parameter of the simulation at which the task fails.
pub(crate) const AT: &str = "BAYESBURN_TEST_AT";
pub(crate) const FOLDER: &str = "BAYESBURN_TEST_FOLDER";

/// The process that the other tests run as worker; does nothing when it is not called by them.
#[test]
fn worker_process() {
    let Ok(task) = std::env::var(TASK) else { return };
    // The harness has written to standard output, which is therefore standard error here; see `process` in `main.rs`.
    let mut out = File::create("/dev/fd/3").expect("the other way");
    let at: Option<f32> = std::env::var(AT).ok().map(|at| at.parse().expect("a number"));
    let folder = std::env::var_os(FOLDER).map(PathBuf::from);
    let mut say = |line: &str| out.write_all(line.as_bytes()).and_then(|()| out.flush());
    eprintln!("worker {task} begins");
    if task == "ends at once" {
        exit(3);
    }
    // This and its children, which have its standard output too.
    let note_pids = |folder: &PathBuf, child: u32| {
        let path = folder.join("being written");
        fs::write(&path, format!("{} {child}", std::process::id())).expect("a file");
        fs::rename(path, folder.join("pids")).expect("a file");
    };
    if task == "have a child" {
        let child = Command::new("sleep").arg("3600").spawn().expect("sleep starts");
        note_pids(folder.as_ref().expect("a folder"), child.id());
    }
    for line in stdin().lines() {
        let request: Value = serde_json::from_str(&line.expect("text")).expect("JSON");
        let id = &request["id"];
        let answer = |data: Value| format!("{}\n", json!({"id": id, "data": data}));
        let is_it = at.is_none_or(|at| request["parameters"][0].as_f64().map(|mu| mu as f32) == Some(at));
        // "once TASK" fails at the first attempt, and leaves a file by which the second knows.
        let task = match task.strip_prefix("once ") {
            Some(_) if folder.as_ref().is_some_and(|folder| folder.join("failed").exists()) => "simulate",
            Some(task) if is_it => {
                fs::write(folder.as_ref().expect("a folder").join("failed"), "").expect("a file");
                task
            }
            _ => task.as_str(),
        };
        let text = match task {
            "echo contexts" => {
                let context = |key| request.get(key).cloned().unwrap_or(json!([]));
                let shared = context("non_batchable_context");
                assert!(shared.as_array().is_some_and(|shared| shared.len() == 1), "{shared}");
                let own = context("batchable_context");
                answer(json!([request["parameters"], own, [shared[0], request.as_object().map(|keys| keys.len())]]))
            }
            "echo large" => answer(request["batchable_context"].clone()),
            "pid" => answer(json!([std::process::id()])),
            // Answers the pilot run, and no longer reads.
            "deaf" if is_it => answer(simulate(&request)),
            "deaf" => {
                fs::write(folder.as_ref().expect("a folder").join("pid"), std::process::id().to_string())
                    .expect("a file");
                say(&answer(simulate(&request))).expect("the parent reads");
                sleep(Duration::from_secs(3600));
                continue;
            }
            "nan" => format!("{{\"id\":{id},\"data\":[[1.0,2.0],[NaN,Infinity]]}}\n"),
            "null" => format!("{{\"id\":{id},\"data\":[[1.0,2.0],[1,null]]}}\n"),
            "infinity" => format!("{{\"id\":{id},\"data\":[[1.0,-Infinity],[1,2]]}}\n"),
            "one each" => {
                say(&answer(simulate(&request))).expect("the parent reads");
                exit(0);
            }
            "chat" => format!("{}done\n", answer(simulate(&request))),
            _ if !is_it => answer(simulate(&request)),
            "die" => {
                eprintln!("the disk is full");
                exit(3);
            }
            "die in colour" => {
                eprint!("\x1b[2J\x1b]0;the title\x07the disk\r\n\tis full\u{9b}1A");
                exit(3);
            }
            "die before a child" => {
                let child = Command::new("sleep").arg("3600").spawn().expect("sleep starts");
                note_pids(folder.as_ref().expect("a folder"), child.id());
                exit(3);
            }
            // Outside of the worker's group; it writes blank lines, as long as anyone can read them.
            "die before a daemon" => {
                let write = "while echo >&3; do sleep 0.02; done";
                let daemon = Command::new("sh").args(["-c", write]).process_group(0).spawn().expect("sh starts");
                note_pids(folder.as_ref().expect("a folder"), daemon.id());
                exit(3);
            }
            "slow" => {
                fs::write(folder.as_ref().expect("a folder").join("begun"), "").expect("a file");
                sleep(Duration::from_secs(1));
                // Sixteen times what the pipe holds: who reads it notices first that time has passed.
                format!("{}{}", " ".repeat(1 << 20), answer(simulate(&request)))
            }
            "be killed" => {
                let _ = Command::new("sh").args(["-c", "kill -9 $PPID"]).status();
                continue;
            }
            "die in the middle of a line" => {
                say(&format!("{{\"id\":{id},\"data\":[[1.0,")).expect("the parent reads");
                exit(3);
            }
            "hang" => {
                if let Some(folder) = &folder {
                    let child = Command::new("sleep").arg("3600").spawn().expect("sleep starts");
                    note_pids(folder, child.id());
                }
                sleep(Duration::from_secs(3600));
                continue;
            }
            "nonsense" => format!("Iteration 1 of 1 {}\n", "=".repeat(500)),
            "wrong id" => format!("{}\n", json!({"id": 1_000_000, "data": simulate(&request)})),
            "answer twice" => answer(simulate(&request)).repeat(2),
            "ragged" => answer(json!([[1.0, 2.0], [3.0]])),
            "empty" => answer(json!([[], []])),
            "longer" => answer(json!([[1.0, 2.0], [1.0, 2.0], [1.0, 2.0]])),
            "wider" => answer(json!([[1.0, 2.0, 3.0], [1.0, 2.0, 3.0]])),
            "error" => format!("{}\n", json!({"id": id, "error": "no root in [0, 1]"})),
            _ => answer(simulate(&request)),
        };
        if say(&text).is_err() {
            return; // Killed parents read nothing.
        }
    }
}

/// Two observations of two features, of parameters and seed.
pub(crate) fn simulate(request: &Value) -> Value {
    let seed = request["seed"].as_u64().expect("a whole number");
    assert!(seed < 1 << 53);
    let theta = |d: usize| request["parameters"][d].as_f64().expect("a number") as f32;
    let noise = |i: u64, d: u64| ((seed % 1_000_003) * (2 * i + d + 1) % 1009) as f32 / 1009.0;
    let row = |i| [theta(0) + noise(i, 0), theta(1) + noise(i, 1)];
    json!([row(0), row(1)])
}
