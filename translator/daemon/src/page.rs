//! A [`Report`] as people read it.

mod nat64;
mod tables;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::{self, Write as _};

use serde::Serialize;

use crate::datapath::PeerSnapshot;
use crate::dns64::Counts;
use crate::error::one_line;
use crate::report::{
    DatapathReport, DiscoveryReport, Dns64Report, DocumentReport, DocumentState, GatewayReport, Report, TrafficReport,
};

pub(crate) use nat64::render_nat64;
pub(crate) use tables::{render_bib, render_sessions};

/// The page that `status` prints.
pub(crate) fn render(report: &Report) -> String {
    let mut page = String::new();
    write_page(&mut page, report).expect("a String takes what is written to it");
    page
}

/// A report or a list as JSON, for programs.
pub(crate) fn render_json(report: &impl Serialize) -> String {
    let mut text = serde_json::to_string_pretty(report).expect("maps with text keys always serialize");
    text.push('\n');
    text
}

fn write_page(page: &mut String, report: &Report) -> fmt::Result {
    let GatewayReport { name, public_key, interface, pool6, address6, address4, pool4, mtu_bytes } = &report.gateway;
    let DatapathReport { listen_port, peers, traffic } = &report.datapath;
    let offload = &traffic.offload;
    writeln!(page, "gateway    {name}, up {}, version {}", Ago(report.uptime_secs), report.version)?;
    writeln!(page, "key        {public_key}")?;
    write_document(page, &report.document)?;
    writeln!(
        page,
        "interface  {interface}: {address6}, {address4}; tunnels of {mtu_bytes} bytes from UDP port {listen_port}; {offload}"
    )?;
    writeln!(page, "translates {pool6} to IPv4, from {pool4}")?;
    report.dns64.iter().try_for_each(|dns64| write_dns64(page, dns64))?;
    report.discovery.iter().try_for_each(|discovery| write_discovery(page, discovery))?;
    write_peers(page, peers)?;
    write_tables(page, traffic)?;
    write_counters(page, traffic)
}

fn write_document(page: &mut String, document: &DocumentReport) -> fmt::Result {
    let DocumentReport { path, serial, state, since_secs_ago } = document;
    let since = Ago(*since_secs_ago);
    match state {
        DocumentState::Applied => writeln!(page, "document   {}, serial {serial}, applied {since} ago", path.display()),
        DocumentState::Refused { reason } => {
            writeln!(page, "document   {}, refused {since} ago; serial {serial} serves on", path.display())?;
            writeln!(page, "           because: {}", one_line(reason))
        }
        DocumentState::Withdrawn { reason } => {
            writeln!(page, "document   {}, withdrawn {since} ago: no peer has access", path.display())?;
            writeln!(page, "           because: {}", one_line(reason))
        }
    }
}

fn write_dns64(page: &mut String, Dns64Report { problem, answered }: &Dns64Report) -> fmt::Result {
    let Counts { queries, synthesised, cache_hits, errors, refused, .. } = answered;
    writeln!(
        page,
        "dns64      {queries} questions, {synthesised} answered with addresses that were made, {cache_hits} from the cache, {errors} errors, {refused} refused"
    )?;
    problem
        .iter()
        .try_for_each(|problem| writeln!(page, "           cannot do as the document says: {}", one_line(problem)))
}

fn write_discovery(page: &mut String, discovery: &DiscoveryReport) -> fmt::Result {
    let DiscoveryReport { servers, found_secs_ago, interval_secs, problem, notes } = discovery;
    match found_secs_ago {
        Some(secs) => {
            writeln!(page, "discovery  {servers} servers found {} ago, asked every {interval_secs} s", Ago(*secs))?;
        }
        None if *servers > 0 => {
            writeln!(page, "discovery  {servers} servers found before the start, asked every {interval_secs} s")?;
        }
        None => writeln!(page, "discovery  no server found yet, asked every {interval_secs} s")?,
    }
    let lines = problem.iter().chain(notes);
    lines.into_iter().try_for_each(|line| writeln!(page, "           {}", one_line(line)))
}

fn write_peers(page: &mut String, peers: &[PeerSnapshot]) -> fmt::Result {
    page.push('\n');
    if peers.is_empty() {
        return writeln!(page, "no peers");
    }
    let heading = ["PEER", "IPV4", "ENDPOINT", "LAST HANDSHAKE", "RECEIVED", "SENT"].map(str::to_owned);
    let rows = std::iter::once(heading).chain(peers.iter().map(peer_row));
    write_table(page, &rows.collect::<Vec<_>>())
}

fn peer_row(peer: &PeerSnapshot) -> [String; 6] {
    let endpoint = peer.endpoint.map_or_else(|| "unknown".to_owned(), |endpoint| endpoint.to_string());
    let handshake =
        peer.latest_handshake_secs_ago.map_or_else(|| "never".to_owned(), |secs| format!("{} ago", Ago(secs)));
    let (received, sent) = (Bytes(peer.rx_bytes).to_string(), Bytes(peer.tx_bytes).to_string());
    [peer.name.to_string(), peer.ipv4.to_string(), endpoint, handshake, received, sent]
}

fn write_tables(page: &mut String, traffic: &TrafficReport) -> fmt::Result {
    let protocols: BTreeSet<&String> = traffic.bib.keys().chain(traffic.sessions.keys()).collect();
    page.push('\n');
    let heading = ["PROTOCOL", "BINDINGS", "SESSIONS"].map(str::to_owned);
    let rows = protocols.into_iter().map(|protocol| {
        let count = |table: &BTreeMap<String, usize>| table.get(protocol).copied().unwrap_or(0);
        [protocol.clone(), count(&traffic.bib).to_string(), count(&traffic.sessions).to_string()]
    });
    write_table(page, &std::iter::once(heading).chain(rows).collect::<Vec<_>>())
}

fn write_counters(page: &mut String, traffic: &TrafficReport) -> fmt::Result {
    let TrafficReport { packets_out, bytes_out, packets_in, bytes_in, dropped, .. } = traffic;
    writeln!(page)?;
    writeln!(
        page,
        "forwarded  {packets_out} packets out ({}), {packets_in} packets in ({})",
        Bytes(*bytes_out),
        Bytes(*bytes_in)
    )?;
    if dropped.is_empty() {
        return writeln!(page, "dropped    nothing");
    }
    let mut label = "dropped   ";
    for (reason, count) in dropped {
        writeln!(page, "{label} {count} {reason}")?;
        label = "          ";
    }
    Ok(())
}

/// Left-aligned columns, two spaces apart, no white space at the end of a line.
fn write_table<const N: usize>(page: &mut String, rows: &[[String; N]]) -> fmt::Result {
    let mut widths = [0; N];
    for row in rows {
        for (width, cell) in widths.iter_mut().zip(row) {
            *width = (*width).max(cell.chars().count());
        }
    }
    for row in rows {
        let cells: Vec<String> = row.iter().zip(widths).map(|(cell, width)| format!("{cell:width$}")).collect();
        writeln!(page, "{}", cells.join("  ").trim_end())?;
    }
    Ok(())
}

/// A number of seconds in its two largest units.
pub(crate) struct Ago(pub(crate) u64);

impl fmt::Display for Ago {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (minutes, hours, days) = (self.0 / 60, self.0 / 3600, self.0 / 86_400);
        match self.0 {
            0..60 => write!(f, "{} s", self.0),
            60..3600 => write!(f, "{minutes} min {} s", self.0 % 60),
            3600..86_400 => write!(f, "{hours} h {} min", minutes % 60),
            _ => write!(f, "{days} d {} h", hours % 24),
        }
    }
}

/// A number of bytes in binary units.
struct Bytes(u64);

impl fmt::Display for Bytes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const UNITS: [&str; 6] = ["KiB", "MiB", "GiB", "TiB", "PiB", "EiB"];
        if self.0 < 1024 {
            return write!(f, "{} B", self.0);
        }
        let power = (self.0.ilog2() / 10).min(6);
        // Tenths, rounded down: a number of bytes never looks like more than it is.
        let tenths = (u128::from(self.0) * 10) >> (10 * power);
        let unit = UNITS[power as usize - 1];
        write!(f, "{}.{} {unit}", tenths / 10, tenths % 10)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing;

    pub(super) fn traffic() -> TrafficReport {
        TrafficReport {
            offload: "tso".to_owned(),
            bib: BTreeMap::from([("icmp".to_owned(), 1), ("tcp".to_owned(), 12), ("udp".to_owned(), 3)]),
            sessions: BTreeMap::from([("icmp".to_owned(), 1), ("tcp".to_owned(), 140), ("udp".to_owned(), 3)]),
            packets_out: 1_234,
            bytes_out: 99_000,
            packets_in: 2_345,
            bytes_in: 3_600_000,
            dropped: BTreeMap::from([("private_destination".to_owned(), 17), ("source_outside_prefix".to_owned(), 3)]),
        }
    }

    fn report() -> Report {
        let gateway = testing::gateway();
        let peer = gateway.peers.values().next().unwrap();
        let web = PeerSnapshot {
            name: "web".parse().unwrap(),
            public_key: peer.public_key,
            prefix: peer.prefix,
            ipv4: peer.ipv4,
            endpoint: peer.endpoint.map(Into::into),
            latest_handshake_secs_ago: Some(12),
            rx_bytes: 1_300_000,
            tx_bytes: 3_700_000_000,
        };
        let fresh = PeerSnapshot {
            name: "a-server-with-a-long-name".parse().unwrap(),
            ipv4: "198.18.0.3".parse().unwrap(),
            endpoint: None,
            latest_handshake_secs_ago: None,
            rx_bytes: 0,
            tx_bytes: 148,
            ..web.clone()
        };
        Report {
            version: "0.1.0".to_owned(),
            uptime_secs: 7_500,
            gateway: GatewayReport {
                name: "home".parse().unwrap(),
                public_key: gateway.public_key,
                interface: "hetznat0".to_owned(),
                pool6: gateway.pool6,
                address6: gateway.address6,
                address4: gateway.address4(),
                pool4: "198.18.255.254 (masqueraded)".to_owned(),
                mtu_bytes: gateway.mtu,
            },
            document: DocumentReport {
                path: "/var/lib/hetznat/state.json".into(),
                serial: 42,
                state: DocumentState::Applied,
                since_secs_ago: 200,
            },
            discovery: None,
            datapath: DatapathReport { listen_port: 46464, peers: vec![fresh, web], traffic: traffic() },
            dns64: None,
        }
    }

    #[test]
    fn what_was_found_and_what_was_not_is_told() {
        let mut report = report();
        report.discovery = Some(DiscoveryReport {
            servers: 3,
            found_secs_ago: Some(64),
            interval_secs: 30,
            problem: Some("Hetzner answers 503 (unavailable): later".to_owned()),
            notes: vec!["peer db: no server has the label hetznat-peer=db".to_owned()],
        });

        let page = render(&report);

        let lines: Vec<&str> = page.lines().skip_while(|line| !line.starts_with("discovery")).take(3).collect();
        assert_eq!(
            lines,
            [
                "discovery  3 servers found 1 min 4 s ago, asked every 30 s",
                "           Hetzner answers 503 (unavailable): later",
                "           peer db: no server has the label hetznat-peer=db",
            ]
        );
    }

    #[test]
    fn a_page_with_tunnels_and_drops() {
        insta::assert_snapshot!(render(&report()));
    }

    #[test]
    fn a_page_with_a_resolver_that_cannot_listen() {
        let mut report = report();
        let answered = Counts { queries: 7, synthesised: 3, cache_hits: 2, errors: 1, ..Counts::default() };
        let problem = Some("cannot listen on 192.168.1.10:53: address already in use".to_owned());
        report.dns64 = Some(Dns64Report { problem, answered });

        insta::assert_snapshot!(
            render(&report)
                .lines()
                .filter(|line| line.contains("dns64") || line.contains("listen"))
                .collect::<Vec<_>>()
                .join("\n")
        );
    }

    #[test]
    fn a_page_that_says_why_the_document_is_refused() {
        let mut report = report();
        let reason = "line 3, column 4: EOF while parsing an object; repair it".to_owned();
        report.document.state = DocumentState::Refused { reason };

        insta::assert_snapshot!(render(&report));
    }

    #[test]
    fn a_page_of_a_gateway_that_was_taken_out_of_the_document() {
        let mut report = report();
        let reason = "there is no gateway home in it (it has none)".to_owned();
        report.document.state = DocumentState::Withdrawn { reason };
        report.datapath.peers.clear();
        report.datapath.traffic.dropped.clear();

        insta::assert_snapshot!(render(&report));
    }

    #[test]
    fn the_json_of_a_report_reads_back() {
        let json = serde_json::to_string(&report()).unwrap();

        assert_eq!(serde_json::from_str::<Report>(&json).unwrap(), report());
    }

    #[test]
    fn times_have_two_units_and_sizes_one() {
        let times = [0, 59, 60, 3_599, 3_600, 86_399, 86_400, 90_000].map(|secs| Ago(secs).to_string());
        let expected = ["0 s", "59 s", "1 min 0 s", "59 min 59 s", "1 h 0 min", "23 h 59 min", "1 d 0 h", "1 d 1 h"];
        assert_eq!(times, expected);

        let sizes = [0, 1_023, 1_024, 1_048_575, 1_048_576, u64::MAX].map(|bytes| Bytes(bytes).to_string());
        assert_eq!(sizes, ["0 B", "1023 B", "1.0 KiB", "1023.9 KiB", "1.0 MiB", "15.9 EiB"]);
    }
}
