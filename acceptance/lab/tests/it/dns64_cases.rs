//! The behaviour cases of acceptance/dns64 against the real resolver: real sockets, a scripted upstream, signed zones.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use anyhow::{Context as _, Result, ensure};
use serde_json::Value;

/// Processes at one time; each waits most of the time.
const SHARES: usize = 6;

/// Every case passes as it is written: not one may be an alternative that another resolver is forgiven for.
#[test]
fn dns64_cases_all_pass_over_sockets() {
    let statuses = run_all().unwrap();

    let others: Vec<&(String, String)> = statuses.iter().filter(|(_, status)| !status.starts_with("PASS")).collect();
    assert!(others.is_empty(), "{others:#?}");
    assert!(statuses.len() >= 99, "only {} cases ran", statuses.len());
}

/// Names of cases with what became of them.
fn run_all() -> Result<Vec<(String, String)>> {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("../dns64");
    let cases: Vec<Value> = serde_json::from_str(&std::fs::read_to_string(directory.join("cases.json"))?)?;
    let names: Vec<&str> = cases.iter().filter_map(|case| case["name"].as_str()).collect();
    let results = tempfile::tempdir()?;
    let share = |index: usize| -> Vec<&str> { names.iter().copied().skip(index).step_by(SHARES).collect() };
    let runners: Vec<(Child, PathBuf)> = (0..SHARES)
        .map(|index| {
            let path = results.path().join(format!("{index}.json"));
            Ok((runner(&directory, &share(index), &path)?, path))
        })
        .collect::<Result<_>>()?;
    let mut statuses = Vec::new();
    for (runner, path) in runners {
        let output = runner.wait_with_output()?;
        let said = || String::from_utf8_lossy(&output.stderr).into_owned();
        let text = std::fs::read_to_string(&path).with_context(said)?;
        for case in serde_json::from_str::<Vec<Value>>(&text)? {
            let word = |key: &str| case[key].as_str().unwrap_or_default().to_owned();
            statuses.push((word("name"), format!("{} {}", word("status"), word("note"))));
        }
    }
    ensure!(statuses.len() == names.len(), "{} of {} cases have a result", statuses.len(), names.len());
    Ok(statuses)
}

/// In a network of its own, so that nobody else takes the ports that it finds free.
fn runner(directory: &Path, names: &[&str], results: &Path) -> Result<Child> {
    let translator = lab::binaries::built(lab::binaries::TRANSLATOR)?;
    let command = format!("{} dns64 --config {{config}}", translator.display());
    let mut runner = Command::new("unshare");
    runner.args(["--net", "sh", "-c", "ip link set lo up && exec /usr/bin/python3 \"$@\"", "sh"]);
    runner.arg(directory.join("run.py")).args(["--adapter", "generic", "--cmd", &command]);
    runner.args(["--only", &names.join(","), "--json"]).arg(results);
    runner.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().context("unshare")
}
