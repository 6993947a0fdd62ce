//! The stand-alone mode as people read it.

use std::fmt::{self, Write as _};

use super::{Ago, write_counters, write_tables};
use crate::pools::listed;
use crate::report::{MtuReport, Nat64Report, SettingsReport};
use crate::settings::{Switch, Unsolicited, name_of};

/// The page that `status` prints.
pub(crate) fn render_nat64(report: &Nat64Report) -> String {
    let mut page = String::new();
    write_page(&mut page, report).expect("a String takes what is written to it");
    page
}

fn write_page(page: &mut String, report: &Nat64Report) -> fmt::Result {
    let Nat64Report { version, uptime_secs, nat64, datapath } = report;
    let SettingsReport { interface, address4, address6, mtu4, mtu6, lowest_ipv6_mtu_bytes, .. } = nat64;
    let error_source4 = match (address4, &nat64.error_source4[..]) {
        (Some(address), _) => address.to_string(),
        (None, []) => "the pool4 address that was spoken to".to_owned(),
        (None, pool) => format!("{}, one for each router", listed(pool)),
    };
    let hairpinning = match nat64.hairpinning {
        Switch::On => "hairpinning",
        Switch::Off => "no hairpinning",
    };
    writeln!(page, "nat64      {interface}, up {}, version {version}; {}", Ago(*uptime_secs), datapath.offload)?;
    writeln!(page, "translates {}", Translates(nat64))?;
    writeln!(page, "errors     from {address6} and {error_source4}")?;
    writeln!(page, "MTU        IPv4 {mtu4}, IPv6 {mtu6}, lowest IPv6 MTU {lowest_ipv6_mtu_bytes}")?;
    writeln!(page, "policy     {} filtering, {hairpinning}, {}", name_of(nat64.filtering), Allowed(nat64))?;
    let changed = Changed(nat64).to_string();
    if !changed.is_empty() {
        writeln!(page, "set        {changed}")?;
    }
    write_tables(page, datapath)?;
    write_counters(page, datapath)
}

/// Addresses and ports.
struct Translates<'a>(&'a SettingsReport);

impl fmt::Display for Translates<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let SettingsReport { pool6, pool4, ports, .. } = self.0;
        write!(f, "{} to IPv4, from {} ports {}", listed(pool6), listed(pool4), listed(ports))
    }
}

/// Exceptions to the policy.
struct Allowed<'a>(&'a SettingsReport);

impl fmt::Display for Allowed<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0.allow.is_empty() {
            return f.write_str("nothing special-purpose is reached");
        }
        write!(f, "{} may be reached", listed(&self.0.allow))
    }
}

/// What few change, where somebody has, as `config set` takes it.
struct Changed<'a>(&'a SettingsReport);

impl fmt::Display for Changed<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let SettingsReport { unsolicited, details, .. } = self.0;
        if *unsolicited != Unsolicited::Answer {
            write!(f, "unsolicited {}{}", name_of(*unsolicited), if details.is_default() { "" } else { ", " })?;
        }
        write!(f, "{details}")
    }
}

impl fmt::Display for MtuReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let by = if self.followed { "by the routes" } else { "set" };
        write!(f, "{} ({by})", self.bytes)
    }
}

/// One line of it, for a log.
impl fmt::Display for SettingsReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { interface, mtu4, mtu6, lowest_ipv6_mtu_bytes, filtering, hairpinning, .. } = self;
        write!(
            f,
            "{interface} translates {}; MTU IPv4 {mtu4}, IPv6 {mtu6}, lowest IPv6 MTU {lowest_ipv6_mtu_bytes}; \
             {} filtering, hairpinning {}, {}",
            Translates(self),
            name_of(*filtering),
            name_of(*hairpinning),
            Allowed(self)
        )?;
        let changed = Changed(self).to_string();
        if changed.is_empty() { Ok(()) } else { write!(f, "; {changed}") }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::details::Details;
    use crate::page::tests::traffic;
    use crate::settings::Filtering;

    fn report() -> Nat64Report {
        Nat64Report {
            version: "0.1.0".to_owned(),
            uptime_secs: 7_500,
            nat64: SettingsReport {
                interface: "nat64".to_owned(),
                pool6: vec![contract::Pool6::default(), "2001:db8:64::/48".parse().unwrap()],
                pool4: vec!["192.0.2.2-192.0.2.4".parse().unwrap(), "192.0.2.9".parse().unwrap()],
                ports: vec!["1024-65535".parse().unwrap(), "icmp,1-65535".parse().unwrap()],
                address4: None,
                error_source4: Vec::new(),
                address6: "64:ff9b::c000:202".parse().unwrap(),
                mtu4: MtuReport { bytes: 1492, followed: true },
                mtu6: MtuReport { bytes: 1400, followed: false },
                lowest_ipv6_mtu_bytes: 1280,
                filtering: Filtering::EndpointIndependent,
                hairpinning: Switch::On,
                unsolicited: Unsolicited::Answer,
                details: Details::DEFAULT,
                allow: vec!["10.0.0.0/8".parse().unwrap(), "192.168.1.1/32".parse().unwrap()],
            },
            datapath: traffic(),
        }
    }

    #[test]
    fn a_page_of_the_stand_alone_mode() {
        insta::assert_snapshot!(render_nat64(&report()));
    }

    #[test]
    fn a_pool_of_error_sources_has_its_place_on_the_page() {
        let mut report = report();
        report.nat64.error_source4 = vec!["192.0.2.100-192.0.2.103".parse().unwrap()];

        let page = render_nat64(&report);
        assert!(page.contains("64:ff9b::c000:202 and 192.0.2.100-192.0.2.103, one for each router"), "{page}");
    }

    #[test]
    fn what_few_change_has_its_place_on_the_page_where_somebody_has() {
        let mut report = report();
        report.nat64.details.tcp_closing = 300;

        let page = render_nat64(&report);
        assert!(page.contains("set        tcp-closing 300\n"), "{page}");
        report.nat64.unsolicited = Unsolicited::HoldSyns;
        let page = render_nat64(&report);
        assert!(page.contains("set        unsolicited hold-syns, tcp-closing 300\n"), "{page}");
        report.nat64.details = Details::DEFAULT;
        assert!(report.nat64.to_string().ends_with("; unsolicited hold-syns"), "{}", report.nat64);
    }

    #[test]
    fn a_line_of_the_stand_alone_mode() {
        insta::assert_snapshot!(report().nat64.to_string());
    }

    #[test]
    fn the_json_of_a_report_reads_back() {
        let json = serde_json::to_string(&report()).unwrap();

        assert_eq!(serde_json::from_str::<Nat64Report>(&json).unwrap(), report());
    }
}
