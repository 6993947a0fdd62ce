//! IPv4 forwarding: what lets the kernel carry the engine's packets between the TUN and the uplink.
//!
//! IPv6 forwarding is never needed, and would make the kernel stop listening to the home router.

use crate::error::{Error, Reason};

const IP_FORWARD: &str = "/proc/sys/net/ipv4/ip_forward";

/// Forwarding as it should be; dropping it switches forwarding off again if it was off before.
#[derive(Debug)]
pub(super) struct Forwarding {
    was_off: bool,
}

impl Forwarding {
    pub(super) fn switch_on() -> Result<Self, Error> {
        let setting = std::fs::read_to_string(IP_FORWARD).map_err(Error::Forwarding)?;
        let was_off = setting.trim() == "0";
        if was_off {
            write("1").map_err(Error::Forwarding)?;
            tracing::debug!("IPv4 forwarding is on until this translator ends");
        }
        Ok(Self { was_off })
    }
}

impl Drop for Forwarding {
    fn drop(&mut self) {
        if !self.was_off {
            return;
        }
        if let Err(error) = write("0") {
            tracing::error!("IPv4 forwarding stays on: {}", Reason(&error));
        }
    }
}

fn write(value: &str) -> std::io::Result<()> {
    std::fs::write(IP_FORWARD, value)
}
