//! Packets for a shared uplink's address, which the kernel leads to us through another one: they get their destination back.

use std::net::Ipv4Addr;

use packet::checksum::{Difference, Sum, addresses4, udp_never_zero};
use packet::ipv4::{Ipv4, Ipv4Mut};
use packet::{Checksum, Packet, protocol, tcp, udp};

/// Makes `destination` the packet's, with right checksums. Of a fragment only the first one has a transport header.
///
/// What is no IPv4 packet stays as it is: the engine says what is wrong with it.
pub(super) fn restore(packet: &mut Packet<'_>, destination: Ipv4Addr) {
    let Ok(ip) = Ipv4::parse(packet.bytes()) else { return };
    let checksum_at = match ip.protocol() {
        protocol::TCP => Some(tcp::CHECKSUM_AT),
        protocol::UDP => Some(udp::CHECKSUM_AT),
        _ => None,
    };
    let checksum_at = checksum_at.filter(|_| ip.fragment_offset() == 0).map(|at| ip.header_len() + at);
    let is_udp = ip.protocol() == protocol::UDP;
    let difference = Difference::between(sum(ip.destination()), sum(destination));
    let partial = packet.offload.checksum;
    if let Ok(mut ip) = Ipv4Mut::parse(packet.bytes_mut()) {
        ip.set_destination(destination);
        ip.seal();
    }
    let field = checksum_at.and_then(|at| packet.bytes_mut().get_mut(at..at + 2));
    if let Some(field) = field {
        let before = u16::from_be_bytes([field[0], field[1]]);
        let after = match partial {
            Checksum::Partial => difference.apply_to_partial(before),
            // RFC 768: there is none.
            Checksum::Complete if is_udp && before == 0 => return,
            Checksum::Complete if is_udp => udp_never_zero(difference.apply_to_complete(before)),
            Checksum::Complete => difference.apply_to_complete(before),
        };
        field.copy_from_slice(&after.to_be_bytes());
    }
}

/// Of a destination alone: the source does not change.
fn sum(destination: Ipv4Addr) -> Sum {
    addresses4(Ipv4Addr::UNSPECIFIED, destination)
}

#[cfg(test)]
mod tests {
    use packet::Offload;
    use packet::checksum::protocol_and_length;
    use packet::ipv4::{Fragmentation, Header};

    use super::*;

    const REMOTE: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 1);
    const THROUGH: Ipv4Addr = Ipv4Addr::new(198, 18, 255, 254);
    const UPLINK: Ipv4Addr = Ipv4Addr::new(192, 168, 178, 10);

    /// A packet to `THROUGH` whose transport checksum is what `checksum` makes of the transport header without one.
    fn packet(protocol: u8, fragmentation: Fragmentation, transport: &[u8]) -> Vec<u8> {
        let header = Header {
            traffic_class: 0,
            total_len: u16::try_from(20 + transport.len()).unwrap(),
            identification: 7,
            fragmentation,
            ttl: 64,
            protocol,
            source: REMOTE,
            destination: THROUGH,
        };
        [&header.to_bytes()[..], transport].concat()
    }

    fn restored(mut bytes: Vec<u8>, checksum: Checksum) -> Vec<u8> {
        let len = bytes.len();
        let mut packet = Packet::new(&mut bytes, 0..len);
        packet.offload = Offload { checksum, segments: None };
        restore(&mut packet, UPLINK);
        let ip = Ipv4::parse(packet.bytes()).unwrap();
        assert!(ip.checksum_is_right() && ip.destination() == UPLINK && ip.source() == REMOTE);
        bytes
    }

    fn pseudo_header(destination: Ipv4Addr, protocol: u8, len: usize) -> Sum {
        addresses4(REMOTE, destination).plus(protocol_and_length(protocol, len))
    }

    fn sealed(mut transport: Vec<u8>, at: usize, protocol: u8) -> Vec<u8> {
        let sum = pseudo_header(THROUGH, protocol, transport.len()).bytes(&transport);
        transport[at..at + 2].copy_from_slice(&sum.complete().to_be_bytes());
        transport
    }

    #[test]
    fn complete_checksums_stay_right() {
        for (protocol, at) in [(protocol::TCP, tcp::CHECKSUM_AT), (protocol::UDP, udp::CHECKSUM_AT)] {
            let mut transport: Vec<u8> = (1..=40).collect();
            transport[at..at + 2].fill(0);
            let bytes = packet(protocol, Fragmentation::Never, &sealed(transport, at, protocol));

            let bytes = restored(bytes, Checksum::Complete);

            assert_eq!(pseudo_header(UPLINK, protocol, 40).bytes(&bytes[20..]).complete(), 0, "protocol {protocol}");
        }
    }

    #[test]
    fn a_partial_checksum_is_that_of_the_new_pseudo_header() {
        let mut transport: Vec<u8> = (1..=40).collect();
        let partial = pseudo_header(THROUGH, protocol::TCP, 40).fold();
        transport[tcp::CHECKSUM_AT..tcp::CHECKSUM_AT + 2].copy_from_slice(&partial.to_be_bytes());

        let bytes = restored(packet(protocol::TCP, Fragmentation::Never, &transport), Checksum::Partial);

        let field = u16::from_be_bytes([bytes[20 + tcp::CHECKSUM_AT], bytes[21 + tcp::CHECKSUM_AT]]);
        assert_eq!(field, pseudo_header(UPLINK, protocol::TCP, 40).fold());
    }

    #[test]
    fn a_datagram_without_a_checksum_gets_none_and_later_fragments_have_no_header() {
        let transport: Vec<u8> = (1..=6).chain([0, 0]).chain(9..=16).collect();
        let whole = packet(protocol::UDP, Fragmentation::Never, &transport);
        assert_eq!(restored(whole, Checksum::Complete)[20..], transport);
        let later = Fragmentation::Part { offset_bytes: 1480, more: false };
        let bytes: Vec<u8> = (1..=16).collect();

        assert_eq!(restored(packet(protocol::UDP, later, &bytes), Checksum::Complete)[20..], bytes);
        assert_eq!(restored(packet(protocol::ICMPV4, Fragmentation::Never, &bytes), Checksum::Complete)[20..], bytes);
    }

    #[test]
    fn a_header_that_is_cut_off_is_left_to_the_engine() {
        for len in [0, 1, 5, 16, 17] {
            let bytes: Vec<u8> = (1..=len).collect();

            assert_eq!(restored(packet(protocol::TCP, Fragmentation::Never, &bytes), Checksum::Complete)[20..], bytes);
        }
    }
}
