//! Sockets of this machine that hold ports which are to be the engine's: they hear no answer from IPv4 any more.

use std::collections::BTreeSet;
use std::fs;
use std::net::{Ipv4Addr, Ipv6Addr};

use contract::PortRange;

/// Sockets that the warning names; who has more looks for himself.
const NAMED: usize = 5;

/// proc_pid_net(5): what is left of a connection that no program has any more.
const TIME_WAIT: u8 = 6;

/// Warns of sockets that were there before the range was reserved.
pub(super) fn warn(ports: PortRange) {
    let own = own_inodes();
    let read = |protocol: &'static str, table: &str| {
        let text = fs::read_to_string(format!("/proc/net/{table}")).unwrap_or_default();
        text.lines()
            .filter_map(Entry::parse)
            .filter(|entry| entry.holds(ports) && !own.contains(&entry.inode))
            .map(|entry| (protocol, entry.port))
            .collect::<Vec<_>>()
    };
    let tables = [("TCP", "tcp"), ("TCP", "tcp6"), ("UDP", "udp"), ("UDP", "udp6")];
    let held: BTreeSet<_> = tables.into_iter().flat_map(|(protocol, table)| read(protocol, table)).collect();
    if !held.is_empty() {
        tracing::warn!("{}", sentence(ports, &held));
    }
}

fn sentence(ports: PortRange, held: &BTreeSet<(&str, u16)>) -> String {
    let mut names: Vec<_> = held.iter().take(NAMED).map(|(protocol, port)| format!("{protocol} {port}")).collect();
    if held.len() > NAMED {
        names.push(format!("{} more", held.len() - NAMED));
    }
    format!(
        "programs of this machine hold ports of egress_ports {ports}: {}; they hear nothing from IPv4 there any more, so \
         restart them on other ports (ss -tuanp names them), or choose other egress_ports",
        names.join(", ")
    )
}

/// A line of /proc/net/{tcp,tcp6,udp,udp6}.
#[derive(Debug, PartialEq, Eq)]
struct Entry {
    port: u16,
    /// Whether packets to the uplink's IPv4 address may be for it.
    is_outside: bool,
    state: u8,
    inode: u64,
}

impl Entry {
    fn parse(line: &str) -> Option<Self> {
        let mut fields = line.split_ascii_whitespace();
        let (address, port) = fields.nth(1)?.split_once(':')?;
        let state = u8::from_str_radix(fields.nth(1)?, 16).ok()?;
        Some(Self {
            port: u16::from_str_radix(port, 16).ok()?,
            is_outside: is_outside(address)?,
            state,
            inode: fields.nth(5)?.parse().ok()?,
        })
    }

    fn holds(&self, ports: PortRange) -> bool {
        self.is_outside && self.state != TIME_WAIT && ports.ports().contains(&self.port)
    }
}

/// Addresses are words in the machine's byte order.
fn is_outside(address: &str) -> Option<bool> {
    let words = address.as_bytes().chunks(8).map(|word| {
        let word = u32::from_str_radix(str::from_utf8(word).ok()?, 16).ok()?;
        Some(word.to_ne_bytes())
    });
    let bytes = words.collect::<Option<Vec<_>>>()?.concat();
    if let Ok(v4) = <[u8; 4]>::try_from(&bytes[..]) {
        return Some(!Ipv4Addr::from(v4).is_loopback());
    }
    let v6 = Ipv6Addr::from(<[u8; 16]>::try_from(&bytes[..]).ok()?);
    // Whether a socket without an address speaks IPv4, too, is not told.
    Some(v6.is_unspecified() || v6.to_ipv4_mapped().is_some_and(|v4| !v4.is_loopback()))
}

/// The translator's own sockets speak IPv6 only.
fn own_inodes() -> BTreeSet<u64> {
    let entries = fs::read_dir("/proc/self/fd").into_iter().flatten().flatten();
    let links = entries.filter_map(|entry| fs::read_link(entry.path()).ok());
    links.filter_map(|link| link.to_str()?.strip_prefix("socket:[")?.strip_suffix(']')?.parse().ok()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const PORTS: &str = "40000-59999";

    fn check(line: &str, port: u16, holds: bool) {
        let entry = Entry::parse(line).unwrap();

        assert_eq!((entry.port, entry.holds(PORTS.parse().unwrap())), (port, holds), "{line}");
    }

    // The words are those of a machine that puts the least byte first.
    #[cfg(target_endian = "little")]
    #[test]
    fn sockets_that_hear_the_uplink_hold_their_ports() {
        const REST: &str = "00000000:0000 07 00000000:00000000 00:00000000 00000000     0        0 4711 2 0 0";
        let v6 = |address: &str| format!("  1: {address}:9C40 {REST}");

        check(&format!("  0: 00000000:9C40 {REST}"), 40_000, true);
        check(&format!("  0: 0AB2A8C0:EA5F {REST}"), 59_999, true);
        check(&format!("  0: 00000000:EA60 {REST}"), 60_000, false);
        check(&format!("  0: 0100007F:9C40 {REST}"), 40_000, false);
        check(&v6("00000000000000000000000000000000"), 40_000, true);
        check(&v6("0000000000000000FFFF00000AB2A8C0"), 40_000, true);
        check(&v6("0000000000000000FFFF00000100007F"), 40_000, false);
        check(&v6("B80D0120000000000000000001000000"), 40_000, false);
    }

    #[test]
    fn a_connection_that_nobody_has_any_more_holds_nothing() {
        let line = "  0: 00000000:9C40 00000000:0000 06 00000000:00000000 00:00000000 00000000     0        0 0 2 0";

        check(line, 40_000, false);
    }

    #[test]
    fn what_is_no_entry_is_none() {
        let heading =
            "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode";

        for line in ["", heading, "0: 00:00", "0: zz:9C40 0:0 07 0:0 0:0 0 0 0 1", "0: 00000000:9C40 00000000:0000"] {
            assert_eq!(Entry::parse(line), None, "{line}");
        }
    }

    #[test]
    fn a_few_are_named_and_the_others_counted() {
        let held = (1..=7).map(|port| ("UDP", port)).collect();

        let sentence = sentence(PORTS.parse().unwrap(), &held);

        assert!(sentence.contains("40000-59999: UDP 1, UDP 2, UDP 3, UDP 4, UDP 5, 2 more;"), "{sentence}");
    }
}
