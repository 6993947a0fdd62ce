//! What the engine has to say about a packet it does not pass on.

use std::borrow::Cow;
use std::net::{Ipv4Addr, Ipv6Addr};

use packet::ipv4::Ipv4;
use packet::{Offload, Packet, segment};

use super::{Engine, Passed};
use crate::arrival::FromOutside;
use crate::drop::Refusal;
use crate::reply::{self, Reply, Source};
use crate::timers::Tick;
use crate::tuple::{Outer, Remote, Transport};
use crate::unsolicited::{self, Treatment};
use crate::{DropReason, ErrorSource4, OwnErrors, Side, Unsolicited, Verdict, error_source, pool4};

impl Engine {
    /// Counts a drop, and tells the sender where it should hear of it.
    pub(super) fn refuse(&mut self, now: Tick, side: Side, packet: &Packet<'_>, refusal: Refusal) -> Verdict {
        self.stats.count_drop(refusal.reason);
        if let Some(reply) = refusal.reply
            && reply::may_be_answered(reply, packet.bytes())
        {
            self.answer(now, side, &as_it_was_sent(packet), reply);
        }
        Verdict::Drop(refusal.reason)
    }

    pub(super) fn answer(&mut self, now: Tick, side: Side, about: &[u8], reply: Reply) {
        if self.config.own_errors == OwnErrors::Off {
            self.stats.errors_suppressed += 1;
            return;
        }
        let is_sent = self.error_rate.admits(now, about) && {
            let v4 = self.error_source4(side, about);
            let identification = self.identifications.take(v4, 1);
            let error = reply::error(reply, about, Source { v4, v6: self.config.address6, identification });
            error.is_some_and(|bytes| self.transmit.push(side, bytes).is_ok())
        };
        match is_sent {
            true => self.stats.errors_sent += 1,
            false => self.stats.errors_suppressed += 1,
        }
    }

    /// Towards the internet the engine is the pool4 address that was spoken to, unless it is told otherwise: the kernel
    /// takes a packet from `address4`, where that is its own, for a martian, and conntrack would not relate it to the
    /// session it is about.
    fn error_source4(&self, side: Side, about: &[u8]) -> Ipv4Addr {
        let pooled = match side {
            Side::Inside => None,
            Side::Outside => self.pooled_error_source4(self.config.address6),
        };
        if let Some(address) = pooled {
            return address;
        }
        let spoken_to = match (side, &self.config.error_source4) {
            (Side::Inside, _) | (_, ErrorSource4::Address4) => None,
            (Side::Outside, ErrorSource4::SpokenTo | ErrorSource4::Pool(_)) => {
                Ipv4::parse_quoted(about).ok().map(|header| header.destination())
            }
        };
        let in_pool4 = |address: &Ipv4Addr| self.config.pool4.iter().any(|part| part.address == *address);
        spoken_to.filter(in_pool4).unwrap_or(self.config.address4)
    }

    /// RFC 6791: the IPv4 address that stands for a router, if there is a pool of them.
    pub(super) fn pooled_error_source4(&self, router: Ipv6Addr) -> Option<Ipv4Addr> {
        match &self.config.error_source4 {
            ErrorSource4::SpokenTo | ErrorSource4::Address4 => None,
            ErrorSource4::Pool(pool) => error_source::choose(self.error_source_key, pool, router),
        }
    }

    /// What nobody inside waits for. Those inside are always answered.
    pub(super) fn unsolicited(
        &mut self,
        now: Tick,
        (side, packet): (Side, &Packet<'_>),
        arrival: &FromOutside,
        (transport, reason): (&Transport, DropReason),
    ) -> Result<Passed, Refusal> {
        let outer = Outer { address: arrival.destination, port: transport.port_outside() };
        let covers = |protocol| pool4::covers(&self.config.pool4, protocol, outer);
        let is_ours = transport.protocol().is_some_and(covers);
        let unsolicited = match side {
            Side::Inside => Unsolicited::Answer,
            Side::Outside => self.config.unsolicited,
        };
        // Nobody ever gets a port that is not in pool4, and another may have it.
        if unsolicited != Unsolicited::Answer && !is_ours {
            return Err(reason.into());
        }
        match (unsolicited::treatment(unsolicited, transport, reason), *transport) {
            (Treatment::Hold, Transport::Tcp { source, .. }) => {
                let remote = Remote { address: arrival.source, port: source };
                if !self.state.hold(now, outer, remote, (side, &as_it_was_sent(packet))) {
                    return Err(reason.into());
                }
                self.stats.syns_held += 1;
                Ok(Passed::Taken)
            }
            (Treatment::Hold, _) => Err(reason.into()),
            (Treatment::Refuse(refusal), _) => Err(refusal),
        }
    }
}

/// What the sender of a super-packet knows of it: the first segment, with a complete checksum.
fn as_it_was_sent<'p>(packet: &'p Packet<'_>) -> Cow<'p, [u8]> {
    if packet.offload == Offload::default() {
        return Cow::Borrowed(packet.bytes());
    }
    let mut first = None;
    let cut = segment::segment(packet, |part| {
        first.get_or_insert_with(|| part.to_vec());
    });
    match (cut, first) {
        (Ok(()), Some(first)) => Cow::Owned(first),
        _ => Cow::Borrowed(packet.bytes()),
    }
}
