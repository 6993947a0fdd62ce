//! Who is connected to whom, with which addresses.
//!
//! ```text
//!  server ─┐ 2001:db8:1:N::/64                        192.168.178.0/24
//!  server ─┼─ internet6 ── 2001:db8:4000::/64 ── home ── 2001:db8:4000:1::/64 ── pi
//!  server ─┘  (DNS64)                             │
//!                                          203.0.112.0/24 ── internet4 (web, DNS)
//! ```
//! Servers have no IPv4 but loopback; internet4 has no IPv6; the home lets no new connection in and masquerades IPv4.
//! 203.0.112.0/24 stands for the IPv4 internet: no special-purpose registry lists it, so the translator's policy lets it through.

use std::cell::Cell;
use std::net::{Ipv4Addr, Ipv6Addr};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, Result};

use crate::container::Stack;
use crate::directory::Directory;
use crate::dns64::{Names, Resolver};
use crate::hetzner::Hetzner;
use crate::machine::Network;
use crate::{Container, Host, Machine, Process, Server, Terraform, wait, web};

pub use crate::web::{LARGE_FILE, write_large_file};

/// The web server everybody wants to reach.
pub const WEB: Ipv4Addr = Ipv4Addr::new(203, 0, 112, 80);
/// The name of that web server.
pub const WEB_NAME: &str = "web.example";
/// A DNS server that speaks IPv4 only.
pub const DNS: Ipv4Addr = Ipv4Addr::new(203, 0, 112, 53);
/// The home's address on the IPv4 internet.
pub const HOME_PUBLIC: Ipv4Addr = Ipv4Addr::new(203, 0, 112, 10);
/// The home router's address in the LAN.
pub const HOME_LAN: Ipv4Addr = Ipv4Addr::new(192, 168, 178, 1);
/// The Pi's address in the LAN.
pub const PI_LAN: Ipv4Addr = Ipv4Addr::new(192, 168, 178, 10);
/// The Pi's global address, which no one can connect to from outside.
pub const PI: Ipv6Addr = Ipv6Addr::new(0x2001, 0xdb8, 0x4000, 1, 0, 0, 0, 0x10);
/// The public DNS64 resolver.
pub const DNS64: Ipv6Addr = Ipv6Addr::new(0x2001, 0xdb8, 0x64, 0, 0, 0, 0, 0x64);
/// The first of those that `dns = "public"` means.
const PUBLIC_DNS64: Ipv6Addr = Ipv6Addr::new(0x2606, 0x4700, 0x4700, 0, 0, 0, 0, 0x64);

/// What `ipv4only.arpa` has everywhere (RFC 7050 §8.2).
const IPV4_ONLY: Ipv4Addr = Ipv4Addr::new(192, 0, 0, 170);

/// Where Hetzner's API is.
pub const HETZNER: &str = "2001:db8:64::a";

/// Size of the large file the web server has: 200 MB.
pub const LARGE_FILE_BYTES: u64 = 200_000_000;
/// Of the first [`LARGE_FILE_BYTES`] bytes of the generator.
pub const LARGE_FILE_SHA256: &str = "1ca60f49fef2dc1ceeddeb7c5287ec66318d80262ed99d395d8e9ca6daee8296";

/// Where the state document is, as seen from every host.
const STATE: &str = "state";
const SERVICE_LIMIT: Duration = Duration::from_secs(20);

const INTERNET6: &str = "
echo 1 >/proc/sys/net/ipv6/conf/all/forwarding
ip address add 2001:db8:64::64/128 dev lo
ip address add 2001:db8:64::a/128 dev lo
ip address add 2606:4700:4700::64/128 dev lo
ip address add 2001:db8:4000::1/64 dev home
ip route add 2001:db8:4000:1::/64 via 2001:db8:4000::2";

const HOME: &str = "
echo 1 >/proc/sys/net/ipv6/conf/all/forwarding
echo 1 >/proc/sys/net/ipv4/ip_forward
ip address add 2001:db8:4000::2/64 dev wan6
ip address add 2001:db8:4000:1::1/64 dev lan
ip address add 192.168.178.1/24 dev lan
ip address add 203.0.112.10/24 dev wan4
ip route add default via 2001:db8:4000::1
nft -f - <<'RULES'
table inet filter {
    chain inbound {
        ct state established,related accept
        meta l4proto ipv6-icmp icmpv6 type { nd-neighbor-solicit, nd-neighbor-advert, nd-router-advert, packet-too-big } accept
        counter drop
    }
    chain forward {
        type filter hook forward priority filter
        iifname { wan6, wan4 } jump inbound
    }
    chain input {
        type filter hook input priority filter
        iifname { wan6, wan4 } jump inbound
    }
}
table ip nat {
    chain postrouting {
        type nat hook postrouting priority srcnat
        oifname wan4 masquerade
    }
}
RULES";

const PI_SET_UP: &str = "
ip address add 192.168.178.10/24 dev eth0
ip address add 2001:db8:4000:1::10/64 dev eth0
ip route add default via 192.168.178.1
ip route add default via 2001:db8:4000:1::1";

const INTERNET4: &str = "
echo 1 >/proc/sys/net/ipv6/conf/all/disable_ipv6
ip address add 203.0.112.80/24 dev eth0
ip address add 203.0.112.53/24 dev eth0";

/// Everything but the servers, up and serving.
#[derive(Debug)]
pub struct Lab {
    // Dropped in this order: what runs in the hosts, the hosts, then the files.
    services: Vec<Process>,
    _resolvers: [Resolver; 2],
    /// Where terraform runs: a machine that is connected to nothing.
    pub workstation: Arc<Host>,
    /// Routes between the servers and the home; the DNS64 resolver is here.
    pub internet6: Arc<Host>,
    /// The home's router.
    pub home: Host,
    /// The Raspberry Pi.
    pub pi: Arc<Host>,
    /// The IPv4 internet: one machine with a web server and a DNS server.
    pub internet4: Host,
    servers: Cell<u8>,
    directory: Directory,
}

impl Lab {
    /// Builds the hosts, connects them and starts the services of both internets.
    ///
    /// # Errors
    /// Not root, or a program of [`crate::packages`] is missing.
    pub fn start() -> Result<Self> {
        let directory = Directory::create()?;
        directory.subdirectory(STATE)?;
        let host = |name: &str| Host::start(name, directory.subdirectory(name)?);
        let (workstation, internet6, home) =
            (Arc::new(host("workstation")?), Arc::new(host("internet6")?), host("home")?);
        let (pi, internet4) = (Arc::new(host("pi")?), host("internet4")?);
        internet6.link("home", &home, "wan6", 1)?;
        home.link("lan", &pi, "eth0", 2)?;
        home.link("wan4", &internet4, "eth0", 3)?;
        for (host, script) in [(&*internet6, INTERNET6), (&home, HOME), (&pi, PI_SET_UP), (&internet4, INTERNET4)] {
            host.script(script)?;
        }
        pi.use_resolver(DNS.into())?;
        let resolvers =
            [Resolver::start(&internet6, DNS64, names())?, Resolver::start(&internet6, PUBLIC_DNS64, names())?];
        let services = vec![serve_names(&internet4)?];
        let lab = Self {
            services,
            _resolvers: resolvers,
            workstation,
            internet6,
            home,
            pi,
            internet4,
            servers: Cell::new(0),
            directory,
        };
        lab.with_page_of_the_ipv4_internet()
    }

    fn with_page_of_the_ipv4_internet(mut self) -> Result<Self> {
        let page = self.serve_page(&self.internet4, "0.0.0.0", "an IPv4-only web server")?;
        self.services.push(page);
        Ok(self)
    }

    /// A web server on port 80 of a host, with a page that says whose it is and whom it sees.
    ///
    /// # Errors
    /// It did not come up.
    pub fn serve_page(&self, host: &Host, address: &str, title: &str) -> Result<Process> {
        web::serve(host, address, &self.web_directory()?, title)
    }

    /// What the web server of the IPv4 internet serves.
    ///
    /// # Errors
    /// The disk is full.
    pub fn web_directory(&self) -> Result<PathBuf> {
        self.directory.subdirectory("www")
    }

    /// What has been asked of the web server and the DNS server of the IPv4 internet, one line each.
    #[must_use]
    pub fn requests(&self) -> String {
        self.services.iter().map(Process::log).collect()
    }

    /// Puts the large file on the web server.
    ///
    /// # Errors
    /// The disk is full.
    pub fn publish_large_file(&self) -> Result<()> {
        web::publish_large_file(&self.web_directory()?, LARGE_FILE_BYTES)
    }

    /// A new server, IPv6 only, on a network of its own; servers are numbered from 1.
    ///
    /// # Errors
    /// As [`Lab::start`].
    pub fn add_server(&self, name: &str) -> Result<Server> {
        let (number, network) = self.next_network(name);
        let host = Host::start(name, self.directory.subdirectory(name)?)?;
        let interface = network.interface();
        self.internet6.link(&interface, &host, "eth0", 16 + number)?;
        // As at Hetzner: the gateway is fe80::1, the network is routed to the server's link, the server is ::1 of it.
        self.internet6.script(&format!(
            "ip address add fe80::1/64 dev {interface}; ip route add {} dev {interface}",
            network.prefix()
        ))?;
        let server = Server::new(host, network);
        server.host().script(&format!(
            "ip address add {}/64 dev eth0; ip route add default via fe80::1 dev eth0",
            server.address()
        ))?;
        server.host().use_resolver(DNS64.into())?;
        Ok(server)
    }

    /// Hetzner's API with an empty project, which gives its servers the networks that [`Lab::add_server`] gives hosts.
    ///
    /// # Errors
    /// It is not built, or did not come up.
    pub fn start_hetzner(&self) -> Result<Hetzner> {
        Hetzner::start(&self.internet6, HETZNER)
    }

    /// A new server that boots as a whole machine, switched off.
    ///
    /// # Errors
    /// Its disk is not built yet and cannot be, see [`crate::machine`].
    pub fn add_machine(&self, name: &str) -> Result<Machine> {
        let (_, network) = self.next_network(name);
        Machine::new(Arc::clone(&self.internet6), network, self.directory.subdirectory(name)?)
    }

    /// A new server that boots in namespaces, switched off.
    ///
    /// # Errors
    /// Its root file system is not built yet and cannot be, see [`crate::container`].
    pub fn add_container(&self, name: &str, stack: &Stack) -> Result<Container> {
        let (number, network) = self.next_network(name);
        let host = Host::start(name, self.directory.subdirectory(name)?)?;
        self.internet6.link(&network.interface(), &host, "eth0", 16 + number)?;
        Container::new(&self.internet6, host, network, stack)
    }

    fn next_network(&self, name: &str) -> (u8, Network) {
        let number = self.servers.get() + 1;
        self.servers.set(number);
        (number, Network::new(name, number))
    }

    /// A terraform working directory on the workstation, with the configuration of `terraform/main.tf` until it is written over.
    ///
    /// # Errors
    /// Terraform or our provider is missing.
    pub fn terraform(&self, name: &str) -> Result<Terraform> {
        Terraform::new(Arc::clone(&self.workstation), &self.directory.subdirectory(name)?)
    }

    /// A directory of the lab that all hosts see, made if it is not there.
    ///
    /// # Errors
    /// The disk is full.
    pub fn subdirectory(&self, name: &str) -> Result<PathBuf> {
        self.directory.subdirectory(name)
    }

    /// The state document, as both sides are told: the provider writes it, the translator reads it.
    #[must_use]
    pub fn document(&self) -> PathBuf {
        self.directory.path().join(STATE).join("state.json")
    }
}

/// The last one is what a name under an attacker's control could say.
fn names() -> Names {
    [(WEB_NAME, WEB), ("dns.example", DNS), ("ipv4only.arpa", IPV4_ONLY), ("rebinding.example", HOME_LAN)]
        .map(|(name, address)| (name.to_owned(), address))
        .into()
}

fn serve_names(host: &Host) -> Result<Process> {
    let mut words: Vec<String> =
        ["dnsmasq", "--keep-in-foreground", "--conf-file=/dev/null", "--no-resolv", "--no-hosts", "--user=root"]
            .map(str::to_owned)
            .into();
    words.push("--pid-file=/run/dnsmasq.pid".to_owned());
    words.push("--log-facility=-".to_owned());
    words.extend(names().iter().map(|(name, address)| format!("--address=/{name}/{address}")));
    let dnsmasq = host.spawn("dnsmasq", &words)?;
    wait::until("dnsmasq", SERVICE_LIMIT, || Ok(dnsmasq.log().contains("started").then_some(())))
        .with_context(|| dnsmasq.log())?;
    Ok(dnsmasq)
}
