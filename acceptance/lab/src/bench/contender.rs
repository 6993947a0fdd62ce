//! Who is measured.

use std::fmt;

/// A way to give hosts the IPv4 internet.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Contender {
    /// The kernel's own NAT44: what no NAT64 in user space can be faster than.
    Masquerade,
    /// Debian's tayga with one fixed mapping: stateless.
    Tayga,
    /// Debian's tayga with a private pool, masqueraded by the kernel: stateful.
    TaygaMasqueraded,
    /// `hetznat-translator nat64`.
    Ours,
    /// A userspace WireGuard, then [`Contender::TaygaMasqueraded`].
    TunnelTayga,
    /// `hetznat-translator run`.
    TunnelOurs,
}

impl Contender {
    /// How many clients' tunnels it must be in front of at most.
    pub(super) const MOST_CLIENTS: u8 = 8;

    /// Whether the client reaches it by IPv4, having no need of translation.
    pub(super) fn is_ipv4(self) -> bool {
        self == Self::Masquerade
    }

    /// Whether clients come through WireGuard.
    pub(super) fn is_tunnel(self) -> bool {
        matches!(self, Self::TunnelTayga | Self::TunnelOurs)
    }
}

impl fmt::Display for Contender {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.pad(match self {
            Self::Masquerade => "kernel masquerade",
            Self::Tayga => "tayga",
            Self::TaygaMasqueraded => "tayga + masquerade",
            Self::Ours => "hetznat nat64",
            Self::TunnelTayga => "boringtun + tayga",
            Self::TunnelOurs => "hetznat run",
        })
    }
}
