//! Packets from outside that nobody inside waits for: held, answered or dropped silently (RFC 6146 §3.5).

use packet::tcp::Flags;

use crate::DropReason;
use crate::config::Unsolicited;
use crate::drop::Refusal;
use crate::reply::Reply;
use crate::tuple::Transport;

/// What is to become of a packet that was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Treatment {
    /// A SYN: the inside may be about to send its own (RFC 6146 §3.5.2.2).
    Hold,
    Refuse(Refusal),
}

pub(crate) fn treatment(unsolicited: Unsolicited, transport: &Transport, reason: DropReason) -> Treatment {
    let is_held = opens(transport) && matches!(reason, DropReason::NoBibEntry | DropReason::FilteredByAddress);
    match unsolicited {
        Unsolicited::HoldSyns | Unsolicited::Answer if is_held => Treatment::Hold,
        Unsolicited::Answer => Treatment::Refuse(Refusal { reason, reply: answer(transport, reason) }),
        Unsolicited::Silent | Unsolicited::HoldSyns => Treatment::Refuse(reason.into()),
    }
}

/// The answer that RFC 6146 §3.5.1, §3.5.3 allow. RFC 5382 REQ-4: a segment is not answered at once.
pub(crate) const fn answer(transport: &Transport, reason: DropReason) -> Option<Reply> {
    match (transport, reason) {
        (Transport::Udp { .. }, DropReason::NoBibEntry) => Some(Reply::PortUnreachable),
        (Transport::Echo { .. }, DropReason::NoBibEntry) => Some(Reply::AddressUnreachable),
        (Transport::Udp { .. } | Transport::Echo { .. }, DropReason::FilteredByAddress) => Some(Reply::Prohibited),
        _ => None,
    }
}

/// A SYN that answers nothing.
const fn opens(transport: &Transport) -> bool {
    match transport {
        Transport::Tcp { flags, .. } => flags.has(Flags::SYN) && !flags.has(Flags::ACK) && !flags.has(Flags::RST),
        Transport::Udp { .. } | Transport::Echo { .. } | Transport::IcmpError => false,
    }
}
