//! UDP without checksum (RFC 7915 §4.5).

use packet::{Checksum, Family, Packet, udp};

use super::Engine;
use crate::arrival::FromOutside;
use crate::network::Network;
use crate::tuple::{Outer, Remote, Transport};
use crate::{DropReason, UdpWithoutChecksum};

impl Engine {
    /// Refuses a datagram without checksum, if the operator does not want one made. To IPv4 it may go as it is.
    #[inline(always)]
    pub(super) fn check_checksum(
        &mut self,
        packet: &Packet<'_>,
        arrival: &FromOutside,
        transport: &Transport,
        after: Family,
    ) -> Result<(), DropReason> {
        let Transport::Udp { source, destination } = *transport else { return Ok(()) };
        if self.config.udp_without_checksum == UdpWithoutChecksum::Computed
            || (arrival.network.family, after) != (Family::V4, Family::V6)
            || has_checksum(packet, &arrival.network)
        {
            return Ok(());
        }
        let remote = Remote { address: arrival.source, port: source };
        self.state.log_without_checksum(remote, Outer { address: arrival.destination, port: destination });
        Err(DropReason::UdpWithoutChecksum)
    }
}

/// Whether a datagram has a checksum, or gets it from the device.
fn has_checksum(packet: &Packet<'_>, network: &Network) -> bool {
    let at = network.transport_at + udp::CHECKSUM_AT;
    packet.offload.checksum == Checksum::Partial || packet.bytes().get(at..at + 2).is_none_or(|field| field != [0, 0])
}
