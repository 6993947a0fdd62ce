//! The command line of the stand-alone mode.

use std::net::{Ipv4Addr, Ipv6Addr};
use std::num::NonZeroUsize;
use std::thread::available_parallelism;

use clap::{Args, value_parser};
use contract::Pool6;
use ipnet::Ipv4Net;

use super::{ControlArgs, LogFormat, interface_name};
use crate::details::Details;
use crate::mapping::Mapping;
use crate::pools::{Addresses, Ports, host_address4};
use crate::settings::{self, Filtering, SMALLEST_MTU4, SMALLEST_MTU6, Switch, Unsolicited};

#[derive(Debug, Args)]
pub(crate) struct Nat64Args {
    /// Name of the TUN interface to create
    #[arg(long, value_name = "NAME", default_value = "nat64", value_parser = interface_name)]
    pub(crate) tun: String,
    /// An IPv6 prefix that stands for IPv4 (RFC 6052), routed to the interface; may be given several times, the longest
    /// one that fits wins, and who starts from outside is seen under the first
    #[arg(long, value_name = "PREFIX", default_value = "64:ff9b::/96")]
    pub(crate) pool6: Vec<Pool6>,
    /// IPv4 addresses to translate to, routed to the interface; may be given several times, for 256 addresses in all;
    /// this machine must not have them itself
    #[arg(long, value_name = "ADDRESS[-ADDRESS]", required = true)]
    pub(crate) pool4: Vec<Addresses>,
    /// The TCP and UDP ports and ICMP identifiers of these addresses to use; may be given several times, and for one
    /// protocol, which then has no others, like `icmp,1-65535`
    #[arg(long, value_name = "[PROTOCOL,]FIRST-LAST", default_value = "1-65535")]
    pub(crate) ports: Vec<Ports>,
    /// Source of the ICMP errors that are made here and go to IPv4; default: the pool4 address that was spoken to
    #[arg(long, value_name = "ADDRESS", value_parser = host_address4)]
    pub(crate) address4: Option<Ipv4Addr>,
    /// Sources of the ICMP errors that routers inside and this one send to IPv4 (RFC 6791): each has one of these
    /// addresses, and its IPv6 address goes with the error; may be given several times
    #[arg(long, value_name = "ADDRESS[-ADDRESS]", conflicts_with = "address4")]
    pub(crate) error_source4: Vec<Addresses>,
    /// Source of the ICMPv6 errors that are made here; default: --address4, or the first pool4 address, inside pool6
    #[arg(long, value_name = "ADDRESS", value_parser = address6)]
    pub(crate) address6: Option<Ipv6Addr>,
    /// Largest IPv4 packet in bytes; default: the smallest MTU of the IPv4 default routes (of all routes, if there is
    /// no default route), read from the kernel and followed
    #[arg(long, value_name = "BYTES", value_parser = value_parser!(u16).range(i64::from(SMALLEST_MTU4)..))]
    pub(crate) mtu4: Option<u16>,
    /// Largest IPv6 packet in bytes; default: the smallest MTU of all IPv6 routes but link-local ones, read from the
    /// kernel and followed
    #[arg(long, value_name = "BYTES", value_parser = value_parser!(u16).range(i64::from(SMALLEST_MTU6)..))]
    pub(crate) mtu6: Option<u16>,
    /// IPv4 packets that may be fragmented are, to this size of IPv6 packet (RFC 7915 §4)
    #[arg(long, value_name = "BYTES", default_value_t = SMALLEST_MTU6, value_parser = value_parser!(u16).range(i64::from(SMALLEST_MTU6)..))]
    pub(crate) lowest_ipv6_mtu: u16,
    /// Who may answer to a mapping (RFC 6146 §3.5)
    #[arg(long, value_name = "WHO", default_value = "endpoint-independent")]
    pub(crate) filtering: Filtering,
    /// Whether hosts inside reach each other by their pool4 endpoints
    #[arg(long, value_name = "SWITCH", default_value = "on")]
    pub(crate) hairpinning: Switch,
    /// What the outside hears when it sends what nobody inside waits for (RFC 6146 §3.5)
    #[arg(long, value_name = "WHAT", default_value = "answer")]
    pub(crate) unsolicited: Unsolicited,
    #[command(flatten)]
    pub(crate) details: Details,
    /// A mapping that is always there, like `udp,192.0.2.2:1000,[2001:db8::5]:1001`; for icmp, identifiers stand for ports
    #[arg(long = "static", value_name = "PROTOCOL,OUTSIDE,INSIDE")]
    pub(crate) mappings: Vec<Mapping>,
    /// IPv4 addresses that may be reached although they have a special purpose (RFC 6890) or are this machine's own
    #[arg(long, value_name = "PREFIX", value_parser = settings::prefix)]
    pub(crate) allow: Vec<Ipv4Net>,
    /// Threads that move packets, each with a queue of the interface; default: one for each core, but at most 4
    #[arg(long, value_name = "N", value_parser = workers)]
    pub(crate) workers: Option<NonZeroUsize>,
    #[command(flatten)]
    pub(crate) control: ControlArgs,
    /// How to write the log to standard error; HETZNAT_LOG sets the level (error, warn, info, debug)
    #[arg(long, value_name = "FORMAT", env = "HETZNAT_LOG_FORMAT", hide_env_values = true, default_value = "text")]
    pub(crate) log_format: LogFormat,
}

impl Nat64Args {
    /// How many threads move packets.
    pub(crate) fn workers(&self) -> NonZeroUsize {
        let cores = available_parallelism().unwrap_or(NonZeroUsize::MIN);
        self.workers.unwrap_or_else(|| cores.min(MOST_WORKERS_UNASKED))
    }
}

/// What more of them gain was not measured.
const MOST_WORKERS_UNASKED: NonZeroUsize = NonZeroUsize::new(4).expect("not zero");

/// More than the cores of any router, and less than the kernel's queues of an interface (256).
const MOST_WORKERS: usize = 64;

fn workers(text: &str) -> Result<NonZeroUsize, String> {
    let workers = text.parse().ok().filter(|workers: &NonZeroUsize| workers.get() <= MOST_WORKERS);
    workers.ok_or_else(|| format!("there may be 1 to {MOST_WORKERS} workers"))
}

fn address6(text: &str) -> Result<Ipv6Addr, String> {
    match text.parse::<Ipv6Addr>() {
        Ok(address) if address.is_multicast() || address.is_unspecified() || address.is_loopback() => {
            Err(format!("{address} is no address of a host"))
        }
        Ok(address) if address.is_unicast_link_local() => {
            Err(format!("{address} is link-local, and no router forwards what comes from it"))
        }
        Ok(address) => Ok(address),
        Err(_) => Err(format!("{text:?} is no IPv6 address")),
    }
}
