//! What is measured: which load on which way, and whose turn it is.

use std::fmt;

use super::Contender;

/// One measurement, made with each of its contenders in turn.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Case {
    /// How packets come to the gateway.
    pub way: Way,
    /// What is sent.
    pub load: Load,
}

/// How packets come to the gateway.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Way {
    /// As they are.
    Plain,
    /// Through WireGuard.
    Tunnel,
}

/// What is put through a gateway.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Load {
    /// TCP flows, as fast as they go.
    Tcp {
        /// How many at a time.
        flows: u8,
        /// Where the bytes go.
        direction: Direction,
    },
    /// Datagrams, at whatever rate the most arrive.
    Udp {
        /// Bytes of payload.
        size: u16,
        /// How they leave the client.
        train: Train,
    },
    /// New TCP connections, one byte each way.
    Connections,
    /// Echoes of 64 bytes: alone, then beside a TCP flow.
    Latency,
    /// Eight clients with a TCP flow each.
    Memory,
}

/// How datagrams leave the client.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Train {
    /// One by one, as they come from a network.
    Cut,
    /// In super-packets, as they come from a program with `UDP_SEGMENT` on this very machine: a guest, a container.
    Whole,
}

/// Where the bytes of a TCP flow go.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Direction {
    /// From the client, which has IPv6, to the server, which has IPv4.
    Forward,
    /// From the server to the client: a download.
    Reverse,
}

const fn tcp(flows: u8, direction: Direction) -> Load {
    Load::Tcp { flows, direction }
}

const fn udp(size: u16, train: Train) -> Load {
    Load::Udp { size, train }
}

/// What clients do, however they come.
const FLOWS: [Load; 4] =
    [tcp(1, Direction::Forward), tcp(1, Direction::Reverse), tcp(4, Direction::Forward), tcp(4, Direction::Reverse)];

/// What clients do besides who come as they are.
const PLAIN: [Load; 6] = [
    udp(64, Train::Cut),
    udp(1400, Train::Cut),
    udp(64, Train::Whole),
    udp(1400, Train::Whole),
    Load::Connections,
    Load::Latency,
];

/// What clients do besides who come through WireGuard. 1300 bytes fit into one packet there; on the wire it is one by one.
const TUNNELLED: [Load; 5] =
    [udp(64, Train::Cut), udp(1300, Train::Cut), Load::Connections, Load::Latency, Load::Memory];

impl Case {
    /// Everything there is, in the order of the tables.
    pub fn all() -> impl Iterator<Item = Self> {
        let plain = FLOWS.into_iter().chain(PLAIN).map(|load| Self { way: Way::Plain, load });
        plain.chain(FLOWS.into_iter().chain(TUNNELLED).map(|load| Self { way: Way::Tunnel, load }))
    }

    /// Who takes turns.
    #[must_use]
    pub fn contenders(self) -> &'static [Contender] {
        match (self.way, self.load) {
            (Way::Tunnel, _) => &[Contender::TunnelTayga, Contender::TunnelOurs],
            // Tayga alone keeps no state of a connection; behind masquerading it does what the others do.
            (Way::Plain, Load::Connections) => &[Contender::Masquerade, Contender::TaygaMasqueraded, Contender::Ours],
            (Way::Plain, _) => &[Contender::Masquerade, Contender::Tayga, Contender::Ours],
        }
    }
}

impl fmt::Display for Case {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.way == Way::Tunnel {
            formatter.write_str("tunnel-")?;
        }
        match self.load {
            Load::Tcp { flows, direction: Direction::Forward } => write!(formatter, "tcp-{flows}"),
            Load::Tcp { flows, direction: Direction::Reverse } => write!(formatter, "tcp-{flows}-reverse"),
            Load::Udp { size, train: Train::Cut } => write!(formatter, "udp-{size}"),
            Load::Udp { size, train: Train::Whole } => write!(formatter, "udp-{size}-trains"),
            Load::Connections => formatter.write_str("connections"),
            Load::Latency => formatter.write_str("latency"),
            Load::Memory => formatter.write_str("memory"),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn every_case_has_a_name_of_its_own() {
        let names: BTreeSet<_> = Case::all().map(|case| case.to_string()).collect();

        assert_eq!(names.len(), Case::all().count());
        assert!(names.contains("tunnel-tcp-4-reverse") && names.contains("udp-64"), "{names:?}");
    }

    #[test]
    fn we_are_in_every_case_and_never_alone() {
        for case in Case::all() {
            let ours = if case.way == Way::Tunnel { Contender::TunnelOurs } else { Contender::Ours };
            assert!(case.contenders().contains(&ours) && case.contenders().len() > 1, "{case}");
        }
    }
}
