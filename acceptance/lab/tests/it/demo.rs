//! `cargo xtask demo`, as a person runs it.

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use lab::binaries::built;
use lab::wait;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

/// What a person is promised.
const LIMIT: Duration = Duration::from_secs(60);
const GONE_LIMIT: Duration = Duration::from_secs(10);

fn demo(options: &[&str]) -> Result<Command> {
    let mut command = Command::new(built("xtask")?);
    command.args(["demo", "--no-build"]).args(options).stdout(Stdio::piped());
    Ok(command)
}

#[test]
fn the_demo_shows_the_main_job_in_under_a_minute() -> Result<()> {
    let start = Instant::now();
    let output = demo(&[])?.output()?;
    let text = String::from_utf8_lossy(&output.stdout);

    assert!(output.status.success(), "{text}");
    assert!(start.elapsed() < LIMIT, "{:?}", start.elapsed());
    for shown in [
        "Plan: 4 to add",
        "Apply complete!",
        "tunnel up ",
        "hello from an IPv4-only web server, you are 203.0.112.10",
        "ping -n -c 2 -i 0.2 -W 5 64:ff9b::203.0.112.80",
        "ping -n -c 2 -i 0.2 -W 5 203.0.112.80",
        "large.bin: OK",
        "gateway    home, up ",
        "Destroy complete!",
        "nothing is left behind",
    ] {
        assert!(text.contains(shown), "{shown:?} is not in\n{text}");
    }
    assert_eq!(text.matches("hello from an IPv4-only").count(), 3, "by name, by embedded address, by literal\n{text}");
    Ok(())
}

/// Reads what the demo says up to the line that contains `last`.
fn told_until(said: &mut impl BufRead, last: &str) -> Result<Vec<String>> {
    let mut told = Vec::new();
    for line in said.lines() {
        told.push(line?);
        if told[told.len() - 1].contains(last) {
            return Ok(told);
        }
    }
    anyhow::bail!("the demo ended before it said {last:?}:\n{}", told.join("\n"))
}

#[test]
fn a_kept_demo_can_be_entered_and_goes_with_ctrl_c() -> Result<()> {
    let mut demo = demo(&["--keep"])?.spawn()?;
    let mut said = BufReader::new(demo.stdout.take().context("stdout is a pipe")?);
    let told = told_until(&mut said, "on workstation: cd ")?;
    let directory = told.last().and_then(|line| line.split(' ').nth(5)).context("the directory is told")?;
    let lab = Path::new(directory).parent().context("the lab's directory")?.to_owned();
    let entry = told.iter().find(|line| line.starts_with("  pi ")).context("the pi's entry is told")?;
    let enter = entry.trim_start().trim_start_matches("pi").trim().trim_end_matches("bash");

    let name = Command::new("sh").args(["-c", &format!("{enter} cat /proc/sys/kernel/hostname")]).output()?;
    assert_eq!(String::from_utf8_lossy(&name.stdout).trim(), "pi", "{entry}");
    let holder = entry.split("--target=").nth(1).and_then(|rest| rest.split(' ').next()).context("the holder's pid")?;

    kill(Pid::from_raw(demo.id().try_into()?), Signal::SIGINT)?;
    let end = told_until(&mut said, "nothing is left behind")?;
    assert!(demo.wait()?.success(), "{end:?}");
    for path in [lab, PathBuf::from(format!("/proc/{holder}"))] {
        wait::until(&format!("{} to be gone", path.display()), GONE_LIMIT, || Ok((!path.exists()).then_some(())))?;
    }
    Ok(())
}
