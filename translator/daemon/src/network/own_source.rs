//! Whether the kernel takes packets from the TUN interface whose source is this machine's own address.
//!
//! The settings are the interface's and go with it. They are made by netlink, because a service may find /proc/sys read only.

use rtnetlink::packet_core::DefaultNla;
use rtnetlink::packet_route::link::LinkAttribute;
use rtnetlink::{Handle, LinkUnspec};

use super::netlink;
use crate::error::Error;

/// linux/if_link.h and linux/ip.h; rtnetlink can read these settings, but not write single ones.
const IFLA_AF_SPEC: u16 = 26;
const AF_INET: u16 = 2;
const IFLA_INET_CONF: u16 = 1;
const IPV4_DEVCONF_RP_FILTER: u16 = 8;
const IPV4_DEVCONF_ACCEPT_LOCAL: u16 = 23;

/// What packets from the interface may have as their source.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum OwnSource {
    /// Packets of a shared uplink's address come from the engine.
    Accepted,
    /// As the kernel has it by itself.
    Refused,
}

/// Changes the interface's settings.
///
/// # Errors
/// [`Error::Netlink`].
pub(super) async fn set(handle: &Handle, index: u32, own_source: OwnSource) -> Result<(), Error> {
    // Loose, where the rest of the machine may be strict (RFC 3704): the way back to its own address is not the interface.
    let (accept_local, rp_filter) = match own_source {
        OwnSource::Accepted => (1, 2),
        OwnSource::Refused => (0, 0),
    };
    let settings =
        [attribute(IPV4_DEVCONF_ACCEPT_LOCAL, accept_local), attribute(IPV4_DEVCONF_RP_FILTER, rp_filter)].concat();
    let inet = nested(AF_INET, &nested(IFLA_INET_CONF, &settings));
    let message = LinkUnspec::new_with_index(index)
        .append_extra_attribute(LinkAttribute::Other(DefaultNla::new(IFLA_AF_SPEC, inet)))
        .build();
    let refused = netlink::refused("let packets in from the uplink's own address");
    handle.link().set(message).execute().await.map_err(refused)
}

fn attribute(kind: u16, value: u32) -> Vec<u8> {
    nested(kind, &value.to_ne_bytes())
}

/// One attribute: its length with these four bytes, its kind, what is in it. All lengths here are multiples of four.
fn nested(kind: u16, content: &[u8]) -> Vec<u8> {
    let length = u16::try_from(4 + content.len()).expect("a handful of settings");
    [&length.to_ne_bytes()[..], &kind.to_ne_bytes(), content].concat()
}
