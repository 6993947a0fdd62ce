//! What the machine must offer, checked before anything is touched.

use std::path::Path;

use super::nft;
use crate::error::Error;

/// linux/capability.h.
const CAP_NET_ADMIN: u32 = 12;

/// What a translator needs besides a TUN interface.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Needs {
    Nftables,
    Nothing,
}

/// Fails early, and with the cause that the operator can remove.
///
/// # Errors
/// [`Error::NoTunDevice`], [`Error::NoNft`], [`Error::NoCapability`].
pub(crate) fn check_requirements(needs: Needs) -> Result<(), Error> {
    if !Path::new("/dev/net/tun").exists() {
        return Err(Error::NoTunDevice);
    }
    match needs {
        Needs::Nftables => nft::find_nft().map(drop)?,
        Needs::Nothing => {}
    }
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    // Where /proc does not tell, the kernel will.
    if effective_capabilities(&status).is_some_and(|set| set & (1 << CAP_NET_ADMIN) == 0) {
        return Err(Error::NoCapability);
    }
    Ok(())
}

fn effective_capabilities(status: &str) -> Option<u64> {
    let set = status.lines().find_map(|line| line.strip_prefix("CapEff:"))?;
    u64::from_str_radix(set.trim(), 16).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn capabilities_are_read_as_the_kernel_writes_them() {
        let status = "Name:\tx\nCapPrm:\t000001ffffffffff\nCapEff:\t0000000000001000\nCapBnd:\t0000000000000000\n";

        assert_eq!(effective_capabilities(status), Some(1 << CAP_NET_ADMIN));
        assert_eq!(effective_capabilities("Name:\tx\n"), None);
        assert_eq!(effective_capabilities("CapEff:\tnonsense\n"), None);
    }
}
