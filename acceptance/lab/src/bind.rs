//! Two zones signed with Debian's BIND and served by it: one as it was signed, one with an address that was changed afterwards.

use std::fs;
use std::net::Ipv4Addr;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};

use crate::{Host, Process, wait};

/// Until named serves; it reads a handful of files.
const LIMIT: Duration = Duration::from_secs(20);

/// `signed.example` and `bogus.example`, each with the IPv4-only name `v4only`; dropping it stops the server.
#[derive(Debug)]
pub struct SignedZones {
    _named: Process,
    address: Ipv4Addr,
    anchors: Vec<String>,
}

/// Keys, signatures, and the DS records on standard output. Afterwards nobody signs what the bogus zone says.
const SIGN: &str = r#"
set -eu
cd "$1"
for zone in signed.example bogus.example; do
    printf '$TTL 300\n@ SOA ns hostmaster 1 7200 900 604800 300\n@ NS ns\nns A %s\nv4only A %s\n' "$2" "$3" >"$zone.zone"
    dnssec-keygen -q -K . -a ECDSAP256SHA256 -f KSK "$zone" >keys
    dnssec-keygen -q -K . -a ECDSAP256SHA256 "$zone" >keys
    dnssec-signzone -S -K . -o "$zone" -f "$zone.signed" "$zone.zone" >log 2>&1
    dnssec-dsfromkey -2 -f "$zone.signed" "$zone"
done
sed -i "s/$3/192.0.2.1/" bogus.example.signed
"#;

impl SignedZones {
    /// Signs the zones and serves them on port 53 of an address that the host gets.
    ///
    /// # Errors
    /// BIND is not installed, or does not come up.
    pub fn start(host: &Host, address: Ipv4Addr, v4only: Ipv4Addr) -> Result<Self> {
        let directory = host.directory().join("bind");
        fs::create_dir_all(&directory)?;
        let place = directory.to_str().context("a path that is text")?;
        let words = ["sh", "-c", SIGN, "sh", place, &address.to_string(), &v4only.to_string()];
        let anchors: Vec<String> = host.run(&words)?.lines().map(str::to_owned).collect();
        ensure!(anchors.len() == 2, "one DS record for each zone: {anchors:?}");
        let bogus = fs::read_to_string(directory.join("bogus.example.signed"))?;
        ensure!(bogus.contains("192.0.2.1"), "the bogus zone is as it was signed:\n{bogus}");
        fs::write(directory.join("named.conf"), configuration(place, address))?;
        host.run(&["ip", "address", "add", &format!("{address}/24"), "dev", "eth0"])?;
        let named = host.spawn("named", &["named", "-g", "-u", "root", "-c", &format!("{place}/named.conf")])?;
        wait::until("named", LIMIT, || Ok(named.log().lines().any(|line| line.ends_with(" running")).then_some(())))
            .with_context(|| named.log())?;
        Ok(Self { _named: named, address, anchors })
    }

    /// Where the zones are served.
    #[must_use]
    pub fn address(&self) -> Ipv4Addr {
        self.address
    }

    /// The DS record of each zone.
    #[must_use]
    pub fn anchors(&self) -> &[String] {
        &self.anchors
    }
}

fn configuration(directory: &str, address: Ipv4Addr) -> String {
    let zone = |name: &str| format!("zone \"{name}\" {{ type primary; file \"{name}.signed\"; }};\n");
    format!(
        "options {{ directory \"{directory}\"; pid-file \"{directory}/named.pid\"; \
         session-keyfile \"{directory}/session.key\"; listen-on {{ {address}; }}; listen-on-v6 {{ none; }}; \
         recursion yes; allow-query {{ any; }}; allow-recursion {{ any; }}; dnssec-validation no; }};\ncontrols {{ }};\n{}{}",
        zone("signed.example"),
        zone("bogus.example"),
    )
}
