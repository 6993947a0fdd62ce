//! Where DNS64 listens besides the tunnels.

use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::str::FromStr;

use crate::text::{quote, serde_as_text};

const PORT: u16 = 53;

/// One address of the gateway and a port, 53 unless another is given.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Listen(SocketAddr);

impl Listen {
    /// The address and the port.
    pub fn socket(self) -> SocketAddr {
        self.0
    }
}

impl FromStr for Listen {
    type Err = ListenError;

    fn from_str(text: &str) -> Result<Self, ListenError> {
        let socket = text.parse().or_else(|_| text.parse().map(|address: IpAddr| SocketAddr::new(address, PORT)));
        let socket: SocketAddr = socket.map_err(|_| ListenError::Syntax { found: quote(text) })?;
        if socket.ip().is_unspecified() || socket.ip().is_multicast() || socket.port() == 0 {
            return Err(ListenError::NotOne { found: socket.to_string() });
        }
        Ok(Self(socket))
    }
}

/// The text is no [`Listen`].
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ListenError {
    /// No address.
    #[error("{found} is not an address; write it like 192.168.1.10 or [fd00::10]:53")]
    Syntax {
        /// The text, quoted.
        found: String,
    },
    /// All addresses at once, or none.
    #[error("{found} is not one address of the gateway; name the one that it has in the LAN")]
    NotOne {
        /// The address and the port.
        found: String,
    },
}

impl fmt::Display for Listen {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.0.ip(), self.0.port()) {
            (address, PORT) => address.fmt(f),
            _ => self.0.fmt(f),
        }
    }
}

serde_as_text!(Listen);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_port_is_53_unless_another_is_given() {
        let socket = |text: &str| text.parse::<Listen>().unwrap().socket().to_string();

        assert_eq!(socket("192.168.1.10"), "192.168.1.10:53");
        assert_eq!(socket("192.168.1.10:5353"), "192.168.1.10:5353");
        assert_eq!(socket("fd00::10"), "[fd00::10]:53");
        assert_eq!("[fd00::10]:53".parse::<Listen>().unwrap().to_string(), "fd00::10");
    }

    #[test]
    fn nobody_listens_everywhere() {
        for text in ["", "0.0.0.0", "[::]:53", "224.0.0.251", "192.168.1.10:0", "eth0", "192.168.1.0/24"] {
            assert!(text.parse::<Listen>().is_err(), "{text}");
        }
    }
}
