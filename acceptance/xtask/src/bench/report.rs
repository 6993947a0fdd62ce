//! The section "Gateways" of docs/benchmarks.md, and its chart.

use std::fs;

use anyhow::{Context as _, Result};
use lab::bench::{Case, Contender, Direction, Load, Quantity, Train, Way};

use super::chart::{self, ChartBar, Colour, Group, Panel};
use super::document::write_section;
use super::gateways::Effort;
use super::results::Results;
use super::{programs, table};
use crate::cargo::root;

const CHART: &str = "docs/benchmarks.svg";

const HOW: &str = "\
`cargo xtask bench` (as root) measures the translator against what else gives hosts the IPv4 internet; `--quick` takes two minutes, `--only tcp-1 tunnel` measures a
part, `--write` puts the figures here. Three hosts made of network namespaces stand in a row, client – gateway – server, joined by veth pairs with the offloads that the
kernel gives them. The contenders take turns on the gateway, in every round and for every load, so that whatever else the machine does meets all alike. On a machine that does
much else, `chrt --rr 1 cargo xtask bench` gives it the rest: the kernel's own forwarding has nobody to wake up, and would win by that alone. TCP is what Linux comes with, cubic,
whatever the machine is set to; `--congestion-control bbr` takes another one. BBR paces: its sender arms a timer for each super-packet, which on a virtual machine costs an exit, and it is
these timers that are measured then (decision 20).";

const NAMES: &str = "\
*kernel masquerade* is nftables' NAT44: no translation at all, the limit of what can be had. *tayga* is Debian's with one fixed mapping, stateless; *tayga + masquerade* has a
private pool behind the kernel's masquerading, which is what it takes to do a NAT64's work with it. *boringtun + tayga* is a userspace WireGuard in front of that.
*hetznat nat64* is the stand-alone mode, *hetznat run* the gateway with its tunnels. The client's end of a tunnel is the same for both: `acceptance/load`, made of our own
`tunnel` crate.";

const REMARKS: &str = "\
* Generator, gateway and receiver share the machine's cores. A figure says as much about them as about the gateway; only ratios of one run mean anything. A ratio here is the
  median of the rounds' own ratios, and in parentheses are the least and the most.
* CPU time is that of the gateway's processes, with what the kernel did in their system calls: for a write to a TUN interface that is all of routing, masquerading and delivery
  on the other side. What the kernel does in softirqs on nobody's behalf is not seen, so there is no such figure for kernel masquerading.
* UDP is offered at rising rates, and the figure is the most that arrived; *sent* is what was offered then, the difference is loss; where
  there is none, the client was the limit. Plain datagrams are cut before they leave
  the client, as they come from a network; *in trains* they stay together (`UDP_SEGMENT`), as from a program on the same machine.
* Datagrams in trains stay whole all the way through the translator. At rates beyond 2 million a second three processes want two cores, and the counter, not the gateway, is what loses.
* An echo beside a flow waits behind what the flow has in flight, up to 4 MB of the sender's buffer, and for a core. The kernel's own forwarding never lets a flow fill a queue, since sender and
  forwarding are one call; a smaller buffer somewhere on the way (boringtun's) keeps flow and wait small.
* A connection is opened, carries one byte each way, and is reset, so that no port waits in TIME_WAIT. Echoes come half a millisecond apart: everybody sleeps between two of them.
* Memory is the largest resident set of each process, added up.";

/// Writes both files.
pub(super) fn write(cases: &[Case], results: &Results, effort: &Effort) -> Result<()> {
    let mut parts = vec![HOW.to_owned(), machine(effort)];
    parts.extend(table::promises(results));
    parts.push("![Throughput, datagrams and connections, as bars](benchmarks.svg)".to_owned());
    parts.push(NAMES.to_owned());
    for (title, way) in [("Without tunnels:", Way::Plain), ("Through WireGuard:", Way::Tunnel)] {
        if let Some(figures) = table::figures(way, cases, results) {
            parts.extend([title.to_owned(), figures]);
        }
    }
    parts.push(REMARKS.to_owned());
    let parts: Vec<_> = parts.iter().map(|part| part.trim_end()).collect();
    write_section("Gateways", &parts.join("\n\n"))?;
    fs::write(root().join(CHART), picture(results)).context(CHART)
}

fn machine(effort: &Effort) -> String {
    let read = |path| fs::read_to_string(path).unwrap_or_default();
    let (processor, release) = (read("/proc/cpuinfo"), read("/proc/sys/kernel/osrelease"));
    let model = processor.lines().find_map(|line| line.strip_prefix("model name")?.split_once(": "));
    let model = model.map_or("unknown processor", |(_, model)| model);
    let cores = std::thread::available_parallelism().map_or(0, usize::from);
    // What stands behind the number is the distribution's business.
    let kernel = release.split('-').next().unwrap_or_default().trim();
    let Effort { rounds, seconds, congestion_control } = effort;
    let priority = if is_real_time(&read("/proc/self/stat")) { ", everything at real-time priority" } else { "" };
    let versions = programs::versions();
    format!(
        "Measured on {cores} cores of \"{model}\", Linux {kernel}, with {versions}: {rounds} rounds, {seconds} s each, TCP with {congestion_control}{priority}."
    )
}

/// Field 41 of /proc/PID/stat (proc_pid_stat(5)), the scheduling policy: SCHED_FIFO or SCHED_RR.
fn is_real_time(stat: &str) -> bool {
    let policy = stat.rsplit_once(") ").and_then(|(_, fields)| fields.split(' ').nth(38));
    matches!(policy, Some("1" | "2"))
}

fn picture(results: &Results) -> String {
    let tcp = |way| {
        let load = |flows, direction| Case { way, load: Load::Tcp { flows, direction } };
        [(1, Direction::Forward), (1, Direction::Reverse), (4, Direction::Forward), (4, Direction::Reverse)]
            .map(|(flows, direction)| load(flows, direction))
    };
    let udp = |way, size| Case { way, load: Load::Udp { size, train: Train::Cut } };
    let (plain, tunnel) = (Way::Plain, Way::Tunnel);
    let connections = [plain, tunnel].map(|way| Case { way, load: Load::Connections });
    let panels = [
        panel("TCP, Gbit/s", &tcp(plain), Quantity::Throughput, results),
        panel("TCP through WireGuard, Gbit/s", &tcp(tunnel), Quantity::Throughput, results),
        panel("UDP, thousand datagrams per second", &[udp(plain, 64), udp(plain, 1400)], Quantity::Datagrams, results),
        panel(
            "UDP through WireGuard, thousand datagrams per second",
            &[udp(tunnel, 64), udp(tunnel, 1300)],
            Quantity::Datagrams,
            results,
        ),
        panel(
            "New TCP connections per second; the lower group through WireGuard",
            &connections,
            Quantity::Connections,
            results,
        ),
    ];
    let legend = [
        (Colour::Kernel, "kernel masquerade"),
        (Colour::Others, "tayga, boringtun + tayga"),
        (Colour::Ours, "hetznat"),
    ];
    let panels: Vec<_> = panels.into_iter().filter(|panel| !panel.groups.is_empty()).collect();
    chart::svg(&legend, &panels)
}

fn panel(title: &str, cases: &[Case], quantity: Quantity, results: &Results) -> Panel {
    let digits = table::words(quantity).2;
    let bar = |case: Case, contender| {
        let value = results.summary(case, contender, quantity)?.median;
        Some(ChartBar { colour: colour(contender), value, text: format!("{value:.digits$}") })
    };
    let group = |case: &Case| {
        let bars: Vec<_> = case.contenders().iter().filter_map(|contender| bar(*case, *contender)).collect();
        (!bars.is_empty()).then(|| Group { label: table::load(case.load), bars })
    };
    Panel { title: title.to_owned(), groups: cases.iter().filter_map(group).collect() }
}

fn colour(contender: Contender) -> Colour {
    match contender {
        Contender::Masquerade => Colour::Kernel,
        Contender::Tayga | Contender::TaygaMasqueraded | Contender::TunnelTayga => Colour::Others,
        Contender::Ours | Contender::TunnelOurs => Colour::Ours,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_scheduling_policy_is_the_41st_field() {
        let stat = |policy| format!("7 (a ) b) S {} {policy} 0", vec!["9"; 37].join(" "));

        assert!(is_real_time(&stat(2)) && is_real_time(&stat(1)));
        assert!(!is_real_time(&stat(0)) && !is_real_time("7 (cut) S"));
    }
}
