//! What the stand-alone mode was told, and what that makes of the engine's configuration. Pure.

use std::net::{Ipv4Addr, Ipv6Addr};

use contract::Pool6;
use ipnet::Ipv4Net;
use nat64::{Config, ErrorSource4, Limits, MssClamping, Reassembly};

use crate::cli::{Nat64Args, Pool4, Ports};
use crate::network::Surroundings;
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
    pub(super) pool4: Pool4,
    pub(super) ports: Ports,
    /// `None`: errors come from the pool4 address that was spoken to.
    pub(super) address4: Option<Ipv4Addr>,
    pub(super) address6: Ipv6Addr,
    /// `None`: the kernel's routes say.
    pub(super) mtu4: Option<u16>,
    /// `None`: the kernel's routes say.
    pub(super) mtu6: Option<u16>,
    pub(super) lowest_ipv6_mtu: u16,
    pub(super) filtering: Filtering,
    pub(super) hairpinning: Switch,
    pub(super) unsolicited: Unsolicited,
    pub(super) allow: Vec<Ipv4Net>,
}

impl Settings {
    pub(super) fn of(args: &Nat64Args) -> Self {
        let pool6 = args.pool6.clone();
        let from_inside =
            args.pool6.first().copied().unwrap_or_default().embed(args.address4.unwrap_or(args.pool4.first));
        Self {
            pool6,
            pool4: args.pool4,
            ports: args.ports.clone(),
            address4: args.address4,
            address6: args.address6.unwrap_or(from_inside),
            mtu4: args.mtu4,
            mtu6: args.mtu6,
            lowest_ipv6_mtu: args.lowest_ipv6_mtu,
            filtering: args.filtering,
            hairpinning: args.hairpinning,
            unsolicited: args.unsolicited,
            allow: args.allow.clone(),
        }
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
            Setting::Allow(prefixes) => self.allow = prefixes,
        }
    }

    /// What the engine is told on a machine like this.
    pub(super) fn engine_config(&self, surroundings: &Surroundings) -> Config {
        let pool4 = u32::from(self.pool4.first)..=u32::from(self.pool4.last);
        let pool4 = pool4.map(|address| nat64::Pool4::new(address.into(), self.ports.clone()));
        let is_allowed = |address: &Ipv4Addr| self.allow.iter().any(|prefix| prefix.contains(address));
        let own_addresses = surroundings.own_addresses.iter().filter(|address| !is_allowed(address));
        Config {
            pool6: self.pool6.clone(),
            pool4: pool4.collect(),
            // Nobody inside speaks IPv4.
            ipv4_peers: Ipv4Addr::UNSPECIFIED.into(),
            address6: self.address6,
            address4: self.address4.unwrap_or(self.pool4.first),
            error_source4: self.address4.map_or(ErrorSource4::SpokenTo, |_| ErrorSource4::Address4),
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
        }
    }

    /// What keeps packets from going where they should, one sentence each; all of it is the operator's to change.
    pub(super) fn warnings(&self, surroundings: &Surroundings) -> Vec<String> {
        let forwarding = surroundings
            .forwarding_off
            .iter()
            .map(|name| format!("{name} is 0, so this machine forwards nothing of it; run sysctl -w {name}=1"));
        let pool4 = self.pool4.first..=self.pool4.last;
        let own = surroundings.own_addresses.iter().filter(|address| pool4.contains(*address)).map(|address| {
            format!(
                "pool4 address {address} is this machine's own, so the kernel keeps its packets from the interface; \
                 remove it (ip address del), or take it out of --pool4"
            )
        });
        forwarding.chain(own).collect()
    }

    /// For `status`.
    pub(super) fn report(&self, interface: &str, surroundings: &Surroundings) -> SettingsReport {
        let mtu =
            |fixed: Option<u16>, followed| MtuReport { bytes: fixed.unwrap_or(followed), followed: fixed.is_none() };
        SettingsReport {
            interface: interface.to_owned(),
            pool6: self.pool6.clone(),
            pool4: (self.pool4.first, self.pool4.last),
            ports: (*self.ports.start(), *self.ports.end()),
            address4: self.address4,
            address6: self.address6,
            mtu4: mtu(self.mtu4, surroundings.next_hops.mtu4),
            mtu6: mtu(self.mtu6, surroundings.next_hops.mtu6),
            lowest_ipv6_mtu_bytes: self.lowest_ipv6_mtu,
            filtering: self.filtering,
            hairpinning: self.hairpinning,
            unsolicited: self.unsolicited,
            allow: self.allow.clone(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::{Command, Parsed, parse};
    use crate::network::NextHops;

    fn settings(options: &str) -> Settings {
        let line = format!("hetznat-translator nat64 {options}");
        let Ok(Parsed::Command(Command::Nat64(args))) = parse(line.split_whitespace().map(Into::into).collect()) else {
            panic!("{line} is another command");
        };
        Settings::of(&args)
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
