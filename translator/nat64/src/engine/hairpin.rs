//! Hairpinning (RFC 6146 §3.8): a packet from inside to pool4 is translated to IPv4 and, as if it had come from outside,
//! back again. It passes one router all the same, and loses one hop.
//!
//! Both its endpoints are looked up before it is touched, so that an error can quote it. It leaves by the queue of what
//! the engine makes: its sender and its receiver are on the same side.

use packet::ipv4::Ipv4;
use packet::{Family, Packet};

use super::{Engine, Passed};
use crate::arrival::{FromInside, FromOutside};
use crate::drop::Refusal;
use crate::network;
use crate::timers::Tick;
use crate::tuple::{Receiver, Transport};
use crate::xlat::fragment::{Cutting, Train, fragments};
use crate::xlat::size;
use crate::xlat::transport::Port;
use crate::xlat::{Addresses, NewHeader, translate};
use crate::{Side, icmp_error};

impl Engine {
    pub(super) fn hairpin(
        &mut self,
        now: Tick,
        packet: &mut Packet<'_>,
        (arrival, transport): (&FromInside, &Transport),
        train: Option<&Train>,
    ) -> Result<Passed, Refusal> {
        if *transport == Transport::IcmpError {
            return self.hairpin_error(packet, arrival);
        }
        let outer = self.mapping_for(now, arrival, transport)?;
        let seen = FromOutside { network: arrival.network, source: outer.address, destination: arrival.destination };
        let sent = transport.sent_from(outer.port);
        let Receiver { inner, prefix } = match self.mapped_by(now, &seen, &sent) {
            Ok(receiver) => receiver,
            Err(reason) => return self.unsolicited(now, (Side::Inside, packet), &seen, (&sent, reason)),
        };
        let addresses = match inner.ipv4() {
            Some(destination) => Addresses::V4 { source: outer.address, destination },
            None => {
                Addresses::V6 { source: self.policy.prefixes.embed(prefix, outer.address), destination: inner.address }
            }
        };
        self.check_checksum(packet, &seen, transport, addresses.family())?;
        let wire_len = size::on_the_wire(packet, &arrival.network, transport, addresses.family());
        let mtu = size::mtu_inside(&self.config, &arrival.network, addresses.family());
        match train {
            None => size::fit(&arrival.network, wire_len, addresses.family(), mtu)?,
            Some(train) => size::fit_train(&arrival.network, train, addresses.family(), mtu)?,
        };
        let packets = size::packets(packet, &arrival.network, transport);
        let identification = self.identifications.take(arrival.destination, packets);
        let traffic_class = self.config.traffic_class(&arrival.network, Family::V4);
        let new = NewHeader { traffic_class, identification, wire_len };
        let between = Addresses::V4 { source: outer.address, destination: arrival.destination };
        translate(packet, &arrival.network, transport, (between, Port::Source(outer.port)), new)?;
        let network = network::own4(Ipv4::parse(packet.bytes())?, arrival.network.hop_limit);
        let new = NewHeader { traffic_class: self.config.traffic_class(&network, addresses.family()), ..new };
        translate(packet, &network, transport, (addresses, Port::Destination(inner.port)), new)?;
        let widest = if arrival.network.family == Family::V6 { Family::V6 } else { addresses.family() };
        self.clamp_mss(packet, &network, transport, widest);
        self.stats.hairpinned.count(packets, packet.len());
        self.send_back(packet, Cutting { mtu, identification }, train)
    }

    /// An error about a packet that went the same way.
    fn hairpin_error(&mut self, packet: &mut Packet<'_>, arrival: &FromInside) -> Result<Passed, Refusal> {
        let identification = self.identifications.take(arrival.destination, 1);
        let new = (identification, None);
        icmp_error::outgoing(&self.state, (&self.config, &self.policy), packet, arrival, new)?;
        let ip = Ipv4::parse(packet.bytes())?;
        let network = network::own4(ip, arrival.network.hop_limit);
        let seen = FromOutside { network, source: ip.source(), destination: ip.destination() };
        icmp_error::incoming(&self.state, (&self.config, &self.policy), packet, &seen)?;
        self.stats.hairpinned.count(1, packet.len());
        self.send_back(packet, Cutting { mtu: self.config.mtu6, identification: 0 }, None)
    }

    fn send_back(&mut self, packet: &Packet<'_>, cutting: Cutting, train: Option<&Train>) -> Result<Passed, Refusal> {
        let parts = fragments(packet, cutting, train)?;
        self.transmit.extend(Side::Inside, parts.into_iter())?;
        Ok(Passed::Taken)
    }
}
