//! Packets that come together, announced before they are handed in.

use packet::ipv4::Ipv4;
use packet::ipv6::Ipv6;
use packet::{Family, ipv4, ipv6};

use super::Engine;
use crate::tuple::{Inner, Outer, Protocol, Remote};

/// The ports of TCP and UDP.
const PORTS_LEN: usize = 4;

impl Engine {
    /// Packets that are about to be handed to [`handle_inside`](Self::handle_inside), as they will be.
    ///
    /// It changes nothing but the time they take: their sessions are looked up side by side, which makes up for main
    /// memory's latency where there are many. With few sessions, or where this is left out, all is the same.
    pub fn expect_inside<'p>(&mut self, packets: impl Iterator<Item = &'p [u8]>) {
        if self.state.is_worth_looking_ahead() {
            let prefixes = &self.policy.prefixes;
            self.state.look_ahead(packets, |bytes| match Family::of(bytes)? {
                Family::V6 => {
                    let (ip, ports) = read6(bytes)?;
                    let (address, _) = prefixes.extract(ip.destination())?;
                    let inner = Inner { address: ip.source(), port: ports[0] };
                    Some((protocol(Family::V6, ip.next_header())?, inner, Remote { address, port: ports[1] }))
                }
                Family::V4 => {
                    let (ip, ports) = read4(bytes)?;
                    let inner = Inner { address: ip.source().to_ipv6_mapped(), port: ports[0] };
                    let remote = Remote { address: ip.destination(), port: ports[1] };
                    Some((protocol(Family::V4, ip.protocol())?, inner, remote))
                }
            });
        }
    }

    /// The same of [`handle_outside`](Self::handle_outside).
    pub fn expect_outside<'p>(&mut self, packets: impl Iterator<Item = &'p [u8]>) {
        if self.state.is_worth_looking_ahead() {
            self.state.look_ahead(packets, |bytes| {
                let (ip, ports) = read4(bytes)?;
                let outer = Outer { address: ip.destination(), port: ports[1] };
                Some((protocol(Family::V4, ip.protocol())?, outer, Remote { address: ip.source(), port: ports[0] }))
            });
        }
    }
}

/// The protocols that have ports. Echoes are few.
#[inline(always)]
fn protocol(family: Family, number: u8) -> Option<Protocol> {
    Protocol::of(family, number).filter(|protocol| *protocol != Protocol::Icmp)
}

#[inline(always)]
fn read6(bytes: &[u8]) -> Option<(Ipv6<'_>, [u16; 2])> {
    let header: &[u8; ipv6::HEADER_LEN + PORTS_LEN] = bytes.first_chunk()?;
    Some((Ipv6::parse_quoted(header).ok()?, ports(header)))
}

/// With options, what stands where ports would is taken for some: no session is found then.
#[inline(always)]
fn read4(bytes: &[u8]) -> Option<(Ipv4<'_>, [u16; 2])> {
    let header: &[u8; ipv4::HEADER_LEN + PORTS_LEN] = bytes.first_chunk()?;
    Some((Ipv4::parse_quoted(header).ok()?, ports(header)))
}

/// The last four bytes.
#[inline(always)]
fn ports<const N: usize>(header: &[u8; N]) -> [u16; 2] {
    let word = |at: usize| u16::from_be_bytes([header[at], header[at + 1]]);
    [word(N - 4), word(N - 2)]
}
