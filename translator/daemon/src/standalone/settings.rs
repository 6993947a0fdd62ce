//! What the stand-alone mode was told, and what that makes of the engine's configuration. Pure.

use std::net::{Ipv4Addr, Ipv6Addr};

use contract::Pool6;
use ipnet::Ipv4Net;
use nat64::{Config, ErrorSource4, Limits, MssClamping, Reach, Reassembly, special_purpose};

use crate::cli::Nat64Args;
use crate::details::Details;
use crate::error::Error;
use crate::network::Surroundings;
use crate::pools::{Addresses, MOST_ADDRESSES, Ports};
use crate::report::{MtuReport, SettingsReport};
use crate::settings::{Filtering, Setting, Switch, Unsolicited};

/// A LAN is one /64, which to the engine is one peer: it may take half of each table, so that the next LAN finds room, and
/// as fast as a hundred servers.
const LIMITS: Limits = Limits {
    bib_entries: 1 << 19,
    sessions: 1 << 20,
    bib_entries_per_peer: 1 << 18,
    sessions_per_peer: 1 << 19,
    new_flows_per_second: 100_000,
    new_flows_at_once: 1 << 18,
    reassembly: Reassembly::DEFAULT,
};

/// The command line, and what `config set` made of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Settings {
    /// At least one.
    pub(super) pool6: Vec<Pool6>,
    /// At least one address, each of them once.
    pub(super) pool4: Vec<Addresses>,
    pub(super) ports: Vec<Ports>,
    /// `None`: errors come from the pool4 address that was spoken to, or from one of `error_source4`.
    pub(super) address4: Option<Ipv4Addr>,
    pub(super) error_source4: Vec<Addresses>,
    pub(super) address6: Ipv6Addr,
    /// `None`: the kernel's routes say.
    pub(super) mtu4: Option<u16>,
    /// `None`: the kernel's routes say.
    pub(super) mtu6: Option<u16>,
    pub(super) lowest_ipv6_mtu: u16,
    pub(super) filtering: Filtering,
    pub(super) hairpinning: Switch,
    pub(super) unsolicited: Unsolicited,
    pub(super) details: Details,
    pub(super) allow: Vec<Ipv4Net>,
}

impl Settings {
    /// # Errors
    /// [`Error::Usage`]: each option is right, and all of them together are not.
    pub(super) fn of(args: &Nat64Args) -> Result<Self, Error> {
        let pool6 = args.pool6.clone();
        if pool6.len() > Config::MOST_PREFIXES {
            return Err(Error::Usage(format!("--pool6: there may be at most {} prefixes", Config::MOST_PREFIXES)));
        }
        if let Some(twice) = (1..pool6.len()).find(|index| pool6[..*index].contains(&pool6[*index])) {
            return Err(Error::Usage(format!("--pool6 {}: it is given twice; give it once", pool6[twice])));
        }
        let pool4 = Addresses::joined(&args.pool4);
        if pool4.iter().flat_map(Addresses::all).count() > MOST_ADDRESSES {
            return Err(Error::Usage(format!("--pool4: there may be at most {MOST_ADDRESSES} addresses in all")));
        }
        let first = args.pool4.first().map_or(Ipv4Addr::UNSPECIFIED, |addresses| addresses.first);
        let from_inside = pool6.first().copied().unwrap_or_default().embed(args.address4.unwrap_or(first));
        Ok(Self {
            pool6,
            pool4,
            ports: args.ports.clone(),
            address4: args.address4,
            error_source4: Addresses::joined(&args.error_source4),
            address6: args.address6.unwrap_or(from_inside),
            mtu4: args.mtu4,
            mtu6: args.mtu6,
            lowest_ipv6_mtu: args.lowest_ipv6_mtu,
            filtering: args.filtering,
            hairpinning: args.hairpinning,
            unsolicited: args.unsolicited,
            details: args.details,
            allow: args.allow.clone(),
        })
    }

    /// Takes a new value.
    pub(super) fn set(&mut self, setting: Setting) {
        match setting {
            Setting::LowestIpv6Mtu(mtu) => self.lowest_ipv6_mtu = mtu,
            Setting::Mtu4(mtu) => self.mtu4 = mtu,
            Setting::Mtu6(mtu) => self.mtu6 = mtu,
            Setting::Filtering(filtering) => self.filtering = filtering,
            Setting::Hairpinning(switch) => self.hairpinning = switch,
            Setting::Unsolicited(unsolicited) => self.unsolicited = unsolicited,
            Setting::TrafficClass(class) => self.details.traffic_class = class,
            Setting::Tos(class) => self.details.tos = class,
            Setting::OwnErrors(switch) => self.details.own_errors = switch,
            Setting::UdpWithoutChecksum(what) => self.details.udp_without_checksum = what,
            Setting::Pooling(pooling) => self.details.pooling = pooling,
            Setting::TcpOpening(seconds) => self.details.tcp_opening = seconds,
            Setting::TcpClosing(seconds) => self.details.tcp_closing = seconds,
            Setting::Allow(prefixes) => self.allow = prefixes,
        }
    }

    /// What the engine is told on a machine like this.
    pub(super) fn engine_config(&self, surroundings: &Surroundings) -> Config {
        let first = self.pool4.first().map(|pool| pool.first);
        let ports = Ports::of_protocols(&self.ports);
        let addresses = self.pool4.iter().flat_map(Addresses::all);
        let pool4 = addresses.flat_map(|address| {
            ports.iter().map(move |(protocol, ports)| nat64::Pool4 {
                address,
                ports: ports.clone(),
                protocol: protocol.map(Into::into),
            })
        });
        let is_allowed = |address: &Ipv4Addr| self.allow.iter().any(|prefix| prefix.contains(address));
        let own_addresses = surroundings.own_addresses.iter().filter(|address| !is_allowed(address));
        self.details.apply(Config {
            pool6: self.pool6.clone(),
            pool4: pool4.collect(),
            // Nobody inside speaks IPv4.
            ipv4_peers: Ipv4Addr::UNSPECIFIED.into(),
            address6: self.address6,
            address4: self.address4.or(first).unwrap_or(Ipv4Addr::UNSPECIFIED),
            error_source4: match (self.address4, &self.error_source4[..]) {
                (Some(_), _) => ErrorSource4::Address4,
                (None, []) => ErrorSource4::SpokenTo,
                (None, pool) => ErrorSource4::Pool(pool.iter().flat_map(Addresses::all).collect()),
            },
            mtu6: self.mtu6.unwrap_or(surroundings.next_hops.mtu6),
            mtu4: self.mtu4.unwrap_or(surroundings.next_hops.mtu4),
            lowest_ipv6_mtu: self.lowest_ipv6_mtu,
            own_addresses: own_addresses.copied().collect(),
            allow: self.allow.clone(),
            filtering: match self.filtering {
                Filtering::EndpointIndependent => nat64::Filtering::EndpointIndependent,
                Filtering::AddressDependent => nat64::Filtering::AddressDependent,
            },
            hairpinning: match self.hairpinning {
                Switch::On => nat64::Hairpinning::On,
                Switch::Off => nat64::Hairpinning::Off,
            },
            unsolicited: match self.unsolicited {
                Unsolicited::Answer => nat64::Unsolicited::Answer,
                Unsolicited::HoldSyns => nat64::Unsolicited::HoldSyns,
                Unsolicited::Silent => nat64::Unsolicited::Silent,
            },
            // The operator's own rules say what SYNs announce: `nft … tcp option maxseg size set rt mtu`.
            clamp_mss: MssClamping::Off,
            limits: LIMITS,
            ..Config::default()
        })
    }

    /// Where ICMP errors to IPv4 may come from but for pool4.
    pub(super) fn error_sources4(&self) -> impl Iterator<Item = Ipv4Addr> + '_ {
        self.address4.into_iter().chain(self.error_source4.iter().flat_map(Addresses::all))
    }

    /// What keeps packets from going where they should, one sentence each; all of it is the operator's to change.
    pub(super) fn warnings(&self, surroundings: &Surroundings) -> Vec<String> {
        let forwarding = surroundings
            .forwarding_off
            .iter()
            .map(|name| format!("{name} is 0, so this machine forwards nothing of it; run sysctl -w {name}=1"));
        let is_pool4 = |address: &&Ipv4Addr| self.pool4.iter().any(|pool| pool.contains(**address));
        let own = surroundings.own_addresses.iter().filter(is_pool4).map(|address| {
            format!(
                "pool4 address {address} is this machine's own, so the kernel keeps its packets from the interface; \
                 remove it (ip address del), or take it out of --pool4"
            )
        });
        // RFC 6791 §3.1, and what else is nowhere on the internet.
        let is_lost = |address: &Ipv4Addr| special_purpose(*address).is_some_and(|block| block.reach != Reach::Global);
        let lost = self.error_source4.iter().filter(|pool| is_lost(&pool.first) || is_lost(&pool.last)).map(|pool| {
            format!("--error-source4 {pool} has addresses that the internet does not route: errors from there get lost")
        });
        forwarding.chain(own).chain(lost).collect()
    }

    /// For `status`.
    pub(super) fn report(&self, interface: &str, surroundings: &Surroundings) -> SettingsReport {
        let mtu =
            |fixed: Option<u16>, followed| MtuReport { bytes: fixed.unwrap_or(followed), followed: fixed.is_none() };
        SettingsReport {
            interface: interface.to_owned(),
            pool6: self.pool6.clone(),
            pool4: self.pool4.clone(),
            ports: self.ports.clone(),
            address4: self.address4,
            error_source4: self.error_source4.clone(),
            address6: self.address6,
            mtu4: mtu(self.mtu4, surroundings.next_hops.mtu4),
            mtu6: mtu(self.mtu6, surroundings.next_hops.mtu6),
            lowest_ipv6_mtu_bytes: self.lowest_ipv6_mtu,
            filtering: self.filtering,
            hairpinning: self.hairpinning,
            unsolicited: self.unsolicited,
            details: self.details,
            allow: self.allow.clone(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::{Command, Parsed, parse};
    use crate::network::NextHops;

    fn arguments(options: &str) -> Nat64Args {
        let line = format!("hetznat-translator nat64 {options}");
        let Ok(Parsed::Command(Command::Nat64(args))) = parse(line.split_whitespace().map(Into::into).collect()) else {
            panic!("{line} is another command");
        };
        *args
    }

    fn settings(options: &str) -> Settings {
        Settings::of(&arguments(options)).unwrap()
    }

    fn surroundings() -> Surroundings {
        Surroundings {
            next_hops: NextHops { mtu4: 1492, mtu6: 9000 },
            own_addresses: vec!["192.0.2.2".parse().unwrap(), "203.0.113.1".parse().unwrap()],
            forwarding_off: Vec::new(),
        }
    }

    #[test]
    fn the_shortest_command_line_has_a_source_for_errors_in_pool6() {
        let config = settings("--pool4 198.51.100.7-198.51.100.9").engine_config(&surroundings());

        assert_eq!(config.address6, "64:ff9b::c633:6407".parse::<Ipv6Addr>().unwrap());
        assert_eq!(config.error_source4, ErrorSource4::SpokenTo);
        assert_eq!((config.mtu4, config.mtu6), (1492, 9000));
        let addresses: Vec<String> = config.pool4.iter().map(|part| part.address.to_string()).collect();
        assert_eq!(addresses, ["198.51.100.7", "198.51.100.8", "198.51.100.9"]);
        assert_eq!(config.pool4[0].ports, 1..=65535);
    }

    #[test]
    fn what_is_given_wins_over_what_is_found() {
        let options = "--pool4 198.51.100.7 --mtu4 1400 --mtu6 1300 --address4 203.0.113.5 --address6 2001:db8::1";
        let config = settings(options).engine_config(&surroundings());

        assert_eq!((config.mtu4, config.mtu6), (1400, 1300));
        assert_eq!(config.error_source4, ErrorSource4::Address4);
        assert_eq!(config.address4, Ipv4Addr::new(203, 0, 113, 5));
        assert_eq!(config.address6, "2001:db8::1".parse::<Ipv6Addr>().unwrap());
    }

    #[test]
    fn several_pools_are_one_and_protocols_may_have_ports_of_their_own() {
        let options = "--pool4 198.51.100.9 --pool4 198.51.100.8-198.51.100.9 --ports 1024-65535 --ports icmp,1-65535";
        let settings = settings(options);
        let config = settings.engine_config(&surroundings());

        assert_eq!(settings.pool4, ["198.51.100.8-198.51.100.9".parse().unwrap()]);
        assert_eq!(config.pool4.len(), 2 * 3);
        let part =
            |ports, protocol| nat64::Pool4 { address: Ipv4Addr::new(198, 51, 100, 8), ports, protocol: Some(protocol) };
        assert_eq!(config.pool4[0], part(1024..=65535, nat64::Protocol::Tcp));
        assert_eq!(config.pool4[2], part(1..=65535, nat64::Protocol::Icmp));
        assert_eq!(config.address6, "64:ff9b::198.51.100.9".parse::<Ipv6Addr>().unwrap(), "the first that was given");
    }

    #[test]
    fn errors_may_come_from_a_pool_of_their_own() {
        let settings = settings("--pool4 198.51.100.7 --error-source4 8.8.8.8 --error-source4 10.0.0.1-10.0.0.2");

        let expected: [Ipv4Addr; 3] = ["8.8.8.8", "10.0.0.1", "10.0.0.2"].map(|address| address.parse().unwrap());
        assert_eq!(settings.engine_config(&surroundings()).error_source4, ErrorSource4::Pool(expected.to_vec()));
        let warnings = settings.warnings(&surroundings());
        assert!(warnings[0].starts_with("--error-source4 10.0.0.1-10.0.0.2 has addresses"), "{warnings:?}");
    }

    #[test]
    fn what_is_too_much_or_given_twice_is_refused() {
        let refused = |options: &str| Settings::of(&arguments(options)).unwrap_err().line();

        let many = "--pool4 198.51.100.0-198.51.100.255 --pool4 203.0.113.1";
        assert_eq!(refused(many), "--pool4: there may be at most 256 addresses in all");
        let twice = "--pool4 198.51.100.7 --pool6 64:ff9b::/96 --pool6 64:ff9b::/96";
        assert_eq!(refused(twice), "--pool6 64:ff9b::/96: it is given twice; give it once");
        let prefixes: String = (0..257).map(|index| format!(" --pool6 2001:db8:{index:x}::/48")).collect();
        assert_eq!(refused(&format!("--pool4 198.51.100.7{prefixes}")), "--pool6: there may be at most 256 prefixes");
    }

    #[test]
    fn own_addresses_are_refused_but_for_those_that_are_allowed_by_name() {
        let mut settings = settings("--pool4 198.51.100.7 --allow 192.0.2.0/24");
        assert_eq!(settings.engine_config(&surroundings()).own_addresses, [Ipv4Addr::new(203, 0, 113, 1)]);

        settings.set(Setting::Allow(Vec::new()));

        assert_eq!(settings.engine_config(&surroundings()).own_addresses.len(), 2);
    }

    #[test]
    fn a_setting_can_be_given_back_to_the_kernel() {
        let mut settings = settings("--pool4 198.51.100.7 --mtu4 1400");

        settings.set(Setting::Mtu4(None));

        assert_eq!(settings.engine_config(&surroundings()).mtu4, 1492);
        assert!(settings.report("nat64", &surroundings()).mtu4.followed);
    }

    #[test]
    fn what_stops_packets_is_said() {
        let forwarding_off = vec!["net.ipv4.ip_forward"];
        let warnings =
            settings("--pool4 192.0.2.1-192.0.2.3").warnings(&Surroundings { forwarding_off, ..surroundings() });

        assert_eq!(
            warnings,
            [
                "net.ipv4.ip_forward is 0, so this machine forwards nothing of it; run sysctl -w net.ipv4.ip_forward=1",
                "pool4 address 192.0.2.2 is this machine's own, so the kernel keeps its packets from the interface; \
                 remove it (ip address del), or take it out of --pool4",
            ]
        );
    }
}
