//! The way of packets that come or go in fragments (RFC 6146 §3.4, RFC 7915 §4.1, §5.1.1).
//!
//! A datagram is taken as a whole: ports, checksum and policy are those of the packet its sender had in mind. What
//! leaves is cut where it was before.

use packet::ipv4::Ipv4;
use packet::{Family, HEADROOM, Packet};

use super::{Engine, Passed};
use crate::arrival;
use crate::drop::Refusal;
use crate::fragments::{Datagram, Expired, Key, Piece};
use crate::network::{self, Network};
use crate::reply::{self, Reply};
use crate::timers::Tick;
use crate::tuple::{Outer, Protocol};
use crate::xlat::Addresses;
use crate::xlat::fragment::{Train, fragments};
use crate::{DropReason, Side, Verdict};

impl Engine {
    /// Keeps a fragment until its datagram is whole, and then sends that in its place.
    #[cold]
    pub(super) fn take_fragment(
        &mut self,
        now: Tick,
        side: Side,
        packet: &mut Packet<'_>,
        network: &Network,
    ) -> Result<Verdict, Refusal> {
        let Some(datagram) = self.store(now, side, packet, network)? else { return Ok(Verdict::Taken) };
        let mut buffer = datagram.assemble()?;
        let end = buffer.len();
        let mut whole = Packet::new(&mut buffer, HEADROOM..end);
        match self.take_datagram(now, side, &mut whole, &datagram.train()) {
            Ok(Some(fragments)) => self.deliver(packet, side.other(), fragments),
            Ok(None) => Ok(Verdict::Taken),
            Err(refusal) => {
                let mut first = datagram.first_fragment().unwrap_or_default();
                let end = first.len();
                Ok(self.refuse(now, side, &Packet::new(&mut first, 0..end), refusal))
            }
        }
    }

    fn store(
        &mut self,
        now: Tick,
        side: Side,
        packet: &Packet<'_>,
        network: &Network,
    ) -> Result<Option<Datagram>, Refusal> {
        // No device cuts fragments, or completes their checksums.
        if packet.offload != packet::Offload::default() {
            return Err(DropReason::OffloadMismatch.into());
        }
        if Protocol::of(network.family, network.protocol).is_none() {
            return Err(Refusal::with(DropReason::ProtocolNotSupported, Reply::ProtocolUnreachable));
        }
        let place = network::place(network.family, packet.bytes())?;
        let (source, destination) = match Addresses::of(packet.bytes(), network.family)? {
            Addresses::V4 { source, destination } => (source.to_ipv6_mapped(), destination.to_ipv6_mapped()),
            Addresses::V6 { source, destination } => (source, destination),
        };
        let Network { family, protocol, .. } = *network;
        let key = Key { family, source, destination, identification: place.identification, protocol };
        let piece = Piece::new(packet.bytes(), network, place);
        self.fragments[side as usize].add(now, key, &piece, &mut self.stats)
    }

    /// Gives up one datagram whose time is over, and says whether there was one.
    ///
    /// RFC 792, RFC 8200 §4.5: its sender hears of it if the first fragment is here. Outside, only of what somebody waits
    /// for: whoever sends with the addresses of others gets no help from here.
    pub(super) fn expire_fragments(&mut self, now: Tick) -> bool {
        for side in [Side::Inside, Side::Outside] {
            match self.fragments[side as usize].expire(now) {
                Some(Expired::Incomplete(datagram)) => {
                    self.stats.count_drop(DropReason::FragmentsIncomplete);
                    if let Some(first) = datagram.first_fragment()
                        && (side == Side::Inside || self.is_awaited(&first))
                        && reply::may_be_answered(Reply::ReassemblyTimeExceeded, &first)
                    {
                        self.answer(now, side, &first, Reply::ReassemblyTimeExceeded);
                    }
                    return true;
                }
                Some(Expired::Spoilt) => return true,
                None => {}
            }
        }
        false
    }

    /// Whether a first fragment from outside is for somebody.
    fn is_awaited(&self, first: &[u8]) -> bool {
        let Ok(ip) = Ipv4::parse(first) else { return false };
        let [_, _, a, b, c, d, ..] = *ip.payload() else { return false };
        let (protocol, port) = match Protocol::of(Family::V4, ip.protocol()) {
            Some(protocol @ (Protocol::Tcp | Protocol::Udp)) => (protocol, u16::from_be_bytes([a, b])),
            Some(Protocol::Icmp) => (Protocol::Icmp, u16::from_be_bytes([c, d])),
            None => return false,
        };
        self.state.has_mapping(protocol, Outer { address: ip.destination(), port })
    }

    /// Takes a datagram as if it had come whole, and gives what leaves on the other side.
    fn take_datagram(
        &mut self,
        now: Tick,
        side: Side,
        whole: &mut Packet<'_>,
        train: &Train,
    ) -> Result<Option<Vec<Vec<u8>>>, Refusal> {
        let passed = match side {
            Side::Inside => {
                let arrival = arrival::from_inside(&self.config, &self.policy, whole.bytes())?;
                let way = self.policy.destination(arrival.destination)?;
                self.send_outside(now, whole, (&arrival, way), Some(train))?
            }
            Side::Outside => {
                let arrival = arrival::from_outside(self.state.pool(), whole.bytes())?;
                self.send_inside(now, whole, &arrival, Some(train))?
            }
        };
        match passed {
            Passed::AsItIs => Ok(Some(vec![whole.bytes().to_vec()])),
            Passed::ToBeCut(cutting) => Ok(Some(fragments(whole, cutting, Some(train))?)),
            Passed::Taken => Ok(None),
        }
    }

    /// Leaves the first fragment in the caller's buffer, if it fits there, and queues the others.
    pub(super) fn deliver(
        &mut self,
        packet: &mut Packet<'_>,
        side: Side,
        fragments: Vec<Vec<u8>>,
    ) -> Result<Verdict, Refusal> {
        let mut fragments = fragments.into_iter();
        let fits = fragments.as_slice().first().is_some_and(|first| first.len() <= packet.capacity());
        if !fits {
            self.transmit.extend(side, fragments)?;
            return Ok(Verdict::Taken);
        }
        let first = fragments.next().ok_or(DropReason::Malformed)?;
        self.transmit.extend(side, fragments)?;
        packet.replace(&first)?;
        Ok(Verdict::Forward)
    }
}
