//! The lab itself: who reaches whom before any binary of ours runs, and that nothing of it outlives it.

use std::io::{self, BufRead as _, BufReader, Write as _};
use std::path::Path;
use std::process::{Command, Stdio};
use std::thread;
use std::time::Duration;

use anyhow::Result;
use lab::{Lab, topology, wait};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

const LIMIT: Duration = Duration::from_secs(10);

#[test]
fn the_pi_reaches_the_ipv4_internet_and_sees_the_home_masqueraded() -> Result<()> {
    let lab = Lab::start()?;

    let page = lab.pi.run(&["curl", "-sS", "--max-time", "5", "http://web.example/"])?;

    assert_eq!(page, format!("hello from an IPv4-only web server, you are {}\n", topology::HOME_PUBLIC));
    Ok(())
}

#[test]
fn a_server_has_ipv6_names_and_no_way_to_ipv4() -> Result<()> {
    let lab = Lab::start()?;
    let server = lab.add_server("web")?;

    server.ping(&topology::DNS64.to_string())?;
    let address = server.host().run(&["dig", "+short", topology::WEB_NAME, "AAAA"])?;
    assert_eq!(address.trim(), "64:ff9b::cb00:7050");

    let error = server.curl(&format!("http://{}/", topology::WEB)).unwrap_err();
    assert!(error.to_string().contains("curl: (7)"), "{error}");
    let error = server.curl("http://web.example/").unwrap_err();
    assert!(error.to_string().contains("curl: ("), "{error}");
    Ok(())
}

#[test]
fn the_home_lets_answers_in_but_no_new_connection() -> Result<()> {
    let lab = Lab::start()?;
    let server = lab.add_server("web")?;

    lab.pi.run(&["ping", "-n", "-c", "1", "-W", "5", &server.address().to_string()])?;
    let inbound = server.host().attempt(&["ping", "-n", "-c", "1", "-W", "1", &topology::PI.to_string()])?;

    assert!(!inbound.status.success(), "the home let a ping from outside in");
    Ok(())
}

#[test]
fn the_large_file_is_the_one_whose_sha256_is_known() -> Result<()> {
    let lab = Lab::start()?;

    lab.publish_large_file()?;

    let url = format!("http://{}/{}", topology::WEB, topology::LARGE_FILE);
    let sum = lab.pi.script(&format!("curl -sS --max-time 60 {url} | sha256sum"))?;
    assert_eq!(sum.split(' ').next(), Some(topology::LARGE_FILE_SHA256));
    Ok(())
}

#[test]
fn two_labs_run_side_by_side() -> Result<()> {
    let (one, other) = (Lab::start()?, Lab::start()?);

    for lab in [&one, &other] {
        lab.pi.run(&["curl", "-sS", "--max-time", "5", "http://web.example/"])?;
    }
    Ok(())
}

/// Set in the process that builds a lab in order to be killed.
const VICTIM: &str = "LAB_TEST_VICTIM";

#[test]
fn a_killed_lab_leaves_no_process_and_no_file_behind() -> Result<()> {
    if std::env::var_os(VICTIM).is_some() {
        return wait_to_be_killed();
    }
    for signal in [Signal::SIGKILL, Signal::SIGINT] {
        let mut victim = Command::new(std::env::current_exe()?)
            .args(["--exact", "hosts::a_killed_lab_leaves_no_process_and_no_file_behind", "--nocapture"])
            .env(VICTIM, "1")
            .stdout(Stdio::piped())
            .spawn()?;
        let lines = BufReader::new(victim.stdout.take().unwrap()).lines();
        let told: Vec<String> = lines
            .map_while(Result::ok)
            .skip_while(|line| line != "lab:")
            .skip(1)
            .take_while(|line| line != "up")
            .collect();
        assert!(told.len() > 3, "the victim came up: {told:?}");

        kill(Pid::from_raw(victim.id().try_into()?), signal)?;
        victim.wait()?;

        for path in told {
            let what = format!("{path} to be gone after {signal}");
            wait::until(&what, LIMIT, || Ok((!Path::new(&path).exists()).then_some(())))?;
        }
    }
    Ok(())
}

/// Tells its directory and the /proc entries of its hosts, then waits.
fn wait_to_be_killed() -> Result<()> {
    let lab = Lab::start()?;
    let server = lab.add_server("web")?;
    let hosts = [&lab.pi, &lab.home, &lab.internet4, &lab.internet6, &lab.workstation, server.host()];
    let processes: Vec<_> = hosts.iter().map(|host| format!("/proc/{}", host.holder_pid())).collect();
    writeln!(io::stdout(), "\nlab:\n{}\n{}\nup", lab.subdirectory("")?.display(), processes.join("\n"))?;
    thread::sleep(Duration::from_secs(600));
    Ok(())
}
