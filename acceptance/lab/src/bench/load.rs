//! What is put through a gateway, and what comes of it.

use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use serde_json::Value;

use super::hosts::{ACCEPT_PORT, COUNT_PORT, ECHO_PORT, iperf_port, text};
use super::{Contender, Direction, Gateway, Load, Train};

/// Datagrams per second to offer, one after the other; the last is as fast as the client can. On cores that sender, gateway
/// and receiver share, what is offered beyond a gateway's capacity takes away from it, and from the receiver.
const RATES: [u32; 8] = [60_000, 120_000, 240_000, 480_000, 960_000, 1_920_000, 3_840_000, 0];

/// Where less than this share of the best arrives, the rate is far beyond the gateway's capacity, and so are higher ones.
const OVERLOAD: f64 = 0.5;

/// How long something may take beyond the time it was told to run for.
const SLACK: Duration = Duration::from_secs(20);

/// What is measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Quantity {
    /// Payload that arrived, in Gbit/s.
    Throughput,
    /// CPU seconds of the gateway's processes per gigabyte of payload.
    CpuPerGigabyte,
    /// Datagrams that arrived, in thousands per second.
    Datagrams,
    /// Datagrams that were sent, in thousands per second.
    Offered,
    /// Connections per second.
    Connections,
    /// Connections that came to nothing, per second.
    Failed,
    /// Median of the time of an echo, in microseconds, with nothing else on the way.
    IdleMedian,
    /// 99 of 100 echoes were faster, with nothing else on the way; in microseconds.
    IdleTail,
    /// As [`Quantity::IdleMedian`], beside a TCP flow.
    LoadedMedian,
    /// As [`Quantity::IdleTail`], beside a TCP flow.
    LoadedTail,
    /// The most memory resident, in MiB.
    Resident,
}

/// What one measurement found.
pub type Figures = Vec<(Quantity, f64)>;

/// Puts a load through a running gateway for a number of seconds.
///
/// # Errors
/// Nothing came through, or a program failed.
pub fn measure(gateway: &Gateway<'_>, load: Load, seconds: u32) -> Result<Figures> {
    match load {
        Load::Tcp { flows, direction } => tcp(gateway, flows, direction, seconds),
        Load::Udp { size, train } => udp(gateway, size, train, seconds),
        Load::Connections => connections(gateway, seconds),
        Load::Latency => latency(gateway, seconds),
        Load::Memory => memory(gateway, seconds),
    }
}

fn tcp(gateway: &Gateway<'_>, flows: u8, direction: Direction, seconds: u32) -> Result<Figures> {
    let _server = gateway.hosts.serve_iperf(1)?;
    let before = gateway.cpu_time()?;
    let words = iperf(gateway, 1, flows, direction, seconds);
    let said: Value = serde_json::from_str(&gateway.hosts.client.run(&words)?).context("iperf3's JSON")?;
    let cpu = gateway.cpu_time()?.zip(before).map(|(after, before)| after.saturating_sub(before));
    let received = &said["end"]["sum_received"];
    let bits_per_second = received["bits_per_second"].as_f64().unwrap_or(0.0);
    let gigabytes = received["bytes"].as_f64().unwrap_or(0.0) / 1e9;
    ensure!(gigabytes > 0.0, "iperf3 moved nothing through {}: {said}", gateway.contender);
    let (asked, taken) = (&gateway.hosts.congestion_control, &said["end"]["sender_tcp_congestion"]);
    ensure!(taken == asked, "TCP was to have the congestion control {asked}, and had {taken}");
    let mut figures = vec![(Quantity::Throughput, bits_per_second / 1e9)];
    figures.extend(cpu.map(|cpu| (Quantity::CpuPerGigabyte, cpu.as_secs_f64() / gigabytes)));
    Ok(figures)
}

fn iperf(gateway: &Gateway<'_>, client: u8, flows: u8, direction: Direction, seconds: u32) -> Vec<String> {
    let port = iperf_port(client);
    let mut line = format!("iperf3 --client {} --port {port} --time {seconds} --json", gateway.target());
    line += &format!(" --parallel {flows} --connect-timeout 5000");
    if direction == Direction::Reverse {
        line += " --reverse";
    }
    if let Some(source) = gateway.source(client) {
        line += &format!(" --bind {source}");
    }
    line.split(' ').map(str::to_owned).collect()
}

fn udp(gateway: &Gateway<'_>, size: u16, train: Train, seconds: u32) -> Result<Figures> {
    // Through a tunnel, what is on the wire is WireGuard's datagrams, in whatever trains its sender makes.
    let cut = train == Train::Cut && !gateway.contender.is_tunnel();
    if !cut {
        return most_datagrams(gateway, size, seconds);
    }
    gateway.hosts.set_trains(Train::Cut)?;
    let figures = most_datagrams(gateway, size, seconds);
    gateway.hosts.set_trains(Train::Whole)?;
    figures
}

fn most_datagrams(gateway: &Gateway<'_>, size: u16, seconds: u32) -> Result<Figures> {
    let seconds = f64::from(seconds) / RATES.len() as f64;
    let (mut best, mut offered) = (0.0, 0.0);
    for rate in RATES {
        let (sent, received) = datagrams(gateway, size, rate, seconds)?;
        if received > best {
            (best, offered) = (received, sent);
        }
        if received < best * OVERLOAD {
            break;
        }
    }
    ensure!(best > 0.0, "no datagram came through {}", gateway.contender);
    Ok(vec![(Quantity::Datagrams, best / 1e3), (Quantity::Offered, offered / 1e3)])
}

/// Datagrams per second that were sent, and that arrived.
fn datagrams(gateway: &Gateway<'_>, size: u16, rate: u32, seconds: f64) -> Result<(f64, f64)> {
    let (size, listen) = (size.to_string(), format!("0.0.0.0:{COUNT_PORT}"));
    let mut counter = gateway.hosts.serve_load(&["udp-count", &listen, "--size", &size])?;
    let sent = ask(gateway, "udp-send", COUNT_PORT, &["--size", &size, "--rate", &rate.to_string()], seconds)?;
    counter.wait(SLACK)?;
    let log = counter.log();
    let counted: Value = serde_json::from_str(log.lines().last().unwrap_or_default()).with_context(|| log.clone())?;
    let figure = |told: &Value, key: &str| told[key].as_f64().with_context(|| told.to_string());
    let secs = figure(&sent, "secs")?;
    // What waited in queues when the sender stopped arrived later, not faster.
    let received = figure(&counted, "received")? / figure(&counted, "secs")?.max(secs);
    Ok((figure(&sent, "sent")? / secs, received))
}

fn connections(gateway: &Gateway<'_>, seconds: u32) -> Result<Figures> {
    let told = ask(gateway, "connect", ACCEPT_PORT, &[], seconds)?;
    let figure = |key: &str| told[key].as_f64().with_context(|| told.to_string());
    let (made, failed, secs) = (figure("connections")?, figure("failed")?, figure("secs")?);
    ensure!(made > 0.0, "no connection came through {}: {told}", gateway.contender);
    Ok(vec![(Quantity::Connections, made / secs), (Quantity::Failed, failed / secs)])
}

fn latency(gateway: &Gateway<'_>, seconds: u32) -> Result<Figures> {
    let idle = ask(gateway, "ask", ECHO_PORT, &[], seconds)?;
    // The flow outlasts the echoes, and is ended with them.
    let words = iperf(gateway, 1, 1, Direction::Forward, seconds + 5);
    let words: Vec<_> = words.iter().map(String::as_str).collect();
    let server = gateway.hosts.serve_iperf(1)?;
    let flow = gateway.hosts.client.spawn("flow", &words)?;
    let loaded = ask(gateway, "ask", ECHO_PORT, &[], seconds);
    drop((flow, server));
    let loaded = loaded?;
    let quantities = [
        (Quantity::IdleMedian, &idle, "median_us"),
        (Quantity::IdleTail, &idle, "p99_us"),
        (Quantity::LoadedMedian, &loaded, "median_us"),
        (Quantity::LoadedTail, &loaded, "p99_us"),
    ];
    let figure = |(quantity, told, key): (_, &Value, _)| Some((quantity, told[key].as_f64()?));
    quantities.into_iter().map(figure).collect::<Option<_>>().context("hetznat-load's JSON")
}

/// Runs a `hetznat-load` on the client to its end; what it printed.
fn ask(gateway: &Gateway<'_>, command: &str, port: u16, options: &[&str], seconds: impl Into<f64>) -> Result<Value> {
    let to = match gateway.contender.is_ipv4() {
        true => format!("{}:{port}", gateway.target()),
        false => format!("[{}]:{port}", gateway.target()),
    };
    let words = [text(&gateway.hosts.programs.load)?, command, &to, "--secs", &seconds.into().to_string()];
    let said = gateway.hosts.client.run(&[&words, options].concat())?;
    serde_json::from_str(&said).with_context(|| said.clone())
}

fn memory(gateway: &Gateway<'_>, seconds: u32) -> Result<Figures> {
    let clients = 1..=Contender::MOST_CLIENTS;
    let _servers = clients.clone().map(|client| gateway.hosts.serve_iperf(client)).collect::<Result<Vec<_>>>()?;
    let mut flows = Vec::new();
    for client in clients {
        let direction = if client % 2 == 0 { Direction::Reverse } else { Direction::Forward };
        let words = iperf(gateway, client, 1, direction, seconds);
        let words: Vec<_> = words.iter().map(String::as_str).collect();
        flows.push(gateway.hosts.client.spawn(&format!("flow{client}"), &words)?);
    }
    for flow in &mut flows {
        let status = flow.wait(Duration::from_secs(seconds.into()) + SLACK)?;
        ensure!(status.success(), "iperf3: {}", flow.log());
    }
    let bytes = gateway.peak_resident_bytes()?.context("no process holds the memory")?;
    Ok(vec![(Quantity::Resident, bytes as f64 / f64::from(1 << 20))])
}
