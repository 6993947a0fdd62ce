//! Ports that the kernel gives to no program that asks for any: those of a shared uplink's address are the engine's.
//!
//! The setting outlives a translator that is killed, and does not tell whose its ports are. So those that were not reserved
//! before stand in our nftables table, which lives as long as the setting: in this network namespace, until the next boot.

use std::fmt::Write as _;
use std::io;
use std::ops::RangeInclusive;

use contract::PortRange;

use super::port_holders;
use crate::error::Reason;

const SETTING: &str = "/proc/sys/net/ipv4/ip_local_reserved_ports";

/// Reserved ports; dropping it gives back those that were not reserved before.
#[derive(Debug)]
pub(super) struct ReservedPorts {
    ports: PortRange,
    own: Ports,
}

impl ReservedPorts {
    /// Reserves the ports. Where the setting cannot be written, others may take them, and a warning says so: a program that
    /// is given one hears no answer.
    pub(super) fn reserve(ports: PortRange) -> Option<Self> {
        port_holders::warn(ports);
        let reserved = read().and_then(|before| {
            let (mut all, mut own) = (before.clone(), Ports::none());
            all.fill(ports.ports(), true);
            write(&all)?;
            ports.ports().filter(|port| !before.has(*port)).for_each(|port| own.fill(port..=port, true));
            Ok(Self { ports, own })
        });
        reserved
            .inspect_err(|error| {
                tracing::warn!(
                    "net.ipv4.ip_local_reserved_ports cannot be set ({}); set it to {ports} by hand, so that programs of \
                     this machine leave egress_ports alone",
                    Reason(error)
                );
            })
            .ok()
    }

    pub(super) fn ports(&self) -> PortRange {
        self.ports
    }

    /// Those that were not reserved before, as a list.
    pub(super) fn own(&self) -> String {
        self.own.to_text()
    }
}

impl Drop for ReservedPorts {
    fn drop(&mut self) {
        give_back(&self.own);
    }
}

/// Gives back what a killed translator reserved, by its list.
pub(super) fn give_back_list(list: &str) {
    match Ports::parse(list) {
        Some(ports) => {
            tracing::info!("a translator that was killed had reserved ports; they are given back");
            give_back(&ports);
        }
        None => tracing::warn!(
            "the nftables table inet hetznat has a set of reserved ports that nobody understands: {list}"
        ),
    }
}

fn give_back(own: &Ports) {
    let restored = read().and_then(|mut now| {
        (0..=u16::MAX).filter(|port| own.has(*port)).for_each(|port| now.fill(port..=port, false));
        write(&now)
    });
    if let Err(error) = restored {
        tracing::error!("net.ipv4.ip_local_reserved_ports keeps {}: {}", own.to_text(), Reason(&error));
    }
}

fn read() -> io::Result<Ports> {
    let text = std::fs::read_to_string(SETTING)?;
    Ports::parse(text.trim()).ok_or_else(|| io::Error::other(format!("{:?} is no list of ports", text.trim())))
}

fn write(ports: &Ports) -> io::Result<()> {
    // The kernel takes a line end for an empty list, and nothing at all for no change.
    std::fs::write(SETTING, format!("{}\n", ports.to_text()))
}

/// A set of ports, as the kernel writes it: `8080,9000-9100`.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Ports(Box<[bool]>);

impl Ports {
    fn none() -> Self {
        Self(vec![false; usize::from(u16::MAX) + 1].into())
    }

    fn parse(text: &str) -> Option<Self> {
        let mut ports = Self::none();
        for part in text.split(',').filter(|part| !part.is_empty()) {
            let (first, last) = part.split_once('-').unwrap_or((part, part));
            ports.fill(first.parse().ok()?..=last.parse().ok()?, true);
        }
        Some(ports)
    }

    fn has(&self, port: u16) -> bool {
        self.0[usize::from(port)]
    }

    fn fill(&mut self, ports: RangeInclusive<u16>, is_in: bool) {
        ports.for_each(|port| self.0[usize::from(port)] = is_in);
    }

    fn to_text(&self) -> String {
        let mut text = String::new();
        let mut rest = 0..=u16::MAX;
        while let Some(first) = rest.find(|port| self.has(*port)) {
            let end = rest.find(|port| !self.has(*port));
            let last = end.map_or(u16::MAX, |end| end - 1);
            let comma = if text.is_empty() { "" } else { "," };
            let written =
                if first == last { write!(text, "{comma}{first}") } else { write!(text, "{comma}{first}-{last}") };
            written.expect("a String takes what is written to it");
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_are_read_and_written_as_the_kernel_does() {
        for text in ["", "0", "8080,9000-9100", "1,3,5-6,65535", "0-65535"] {
            assert_eq!(Ports::parse(text).unwrap().to_text(), text);
        }
        assert_eq!(Ports::parse("9-10,10-12,8").unwrap().to_text(), "8-12");
    }

    #[test]
    fn what_is_no_list_is_not_read_as_one() {
        for text in ["a", "1-", "1-2-3", "65536", "1 2"] {
            assert_eq!(Ports::parse(text), None, "{text}");
        }
    }
}
