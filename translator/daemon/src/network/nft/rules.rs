//! The text of our nftables table: a fence around this machine and its LAN, and the way out and back.
//!
//! Chains come before those of other tables (`filter - 5`): what is dropped here nobody accepts. With a shared or a routed
//! address nothing of the engine's is tracked: `raw` comes before connection tracking, and after the kernel has put
//! fragments together.

use std::fmt::Display;
use std::net::Ipv4Addr;

use contract::PortRange;
use ipnet::Ipv4Net;

use super::super::Plan;
use super::REMOVE;
use crate::egress::Outside;

/// Private and special-purpose destinations (IANA registry, RFC 6890): never through the tunnel, neither to the LAN nor out.
const SPECIAL_PURPOSE: [&str; 14] = [
    "0.0.0.0/8",
    "10.0.0.0/8",
    "100.64.0.0/10",
    "127.0.0.0/8",
    "169.254.0.0/16",
    "172.16.0.0/12",
    "192.0.0.0/24",
    "192.0.2.0/24",
    "192.88.99.0/24",
    "192.168.0.0/16",
    "198.18.0.0/15",
    "198.51.100.0/24",
    "203.0.113.0/24",
    "224.0.0.0/3",
];

/// The set of ports that this translator reserved: no rule asks for it, but the next translator does if this one is killed.
pub(super) const RESERVED_PORTS: &str = "reserved_ports";

/// Who says for how long the kernel's connection tracking remembers a datagram of a masqueraded flow.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum UdpTimeout {
    /// The engine: the kernel's own 30 seconds are less than a NAT may have (RFC 4787 §4.3).
    OfEngine,
    /// The kernel, which takes none from us.
    OfKernel,
}

/// The whole table for a plan, in place of whatever is there.
pub(super) fn render(plan: &Plan, reserved_ports: &str, timeout: UdpTimeout) -> String {
    let reserved_ports: Vec<_> = reserved_ports.split(',').filter(|part| !part.is_empty()).collect();
    let mut sets = vec![
        set("bad4", "ipv4_addr", &SPECIAL_PURPOSE),
        set("allow4", "ipv4_addr", &Ipv4Net::aggregate(&plan.allow)),
        set("home4", "ipv4_addr", &plan.home_addresses),
        set("pool4", "ipv4_addr", &Ipv4Net::aggregate(&plan.outside.sources())),
    ];
    if !reserved_ports.is_empty() {
        sets.push(set(RESERVED_PORTS, "inet_service", &reserved_ports));
    }
    let chains = [input(plan), forward(plan), outside(plan, timeout)];
    format!("{REMOVE}table inet hetznat {{\n{}\n{}}}\n", sets.join("\n"), chains.join("\n"))
}

fn set(name: &str, of: &str, elements: &[impl Display]) -> String {
    let elements: Vec<String> = elements.iter().map(ToString::to_string).collect();
    let elements =
        if elements.is_empty() { String::new() } else { format!("\t\telements = {{ {} }}\n", elements.join(", ")) };
    format!("\tset {name} {{\n\t\ttype {of}\n\t\tflags interval\n{elements}\t}}\n")
}

fn input(plan: &Plan) -> String {
    let Plan { name, address6, address4, .. } = plan;
    format!(
        r#"	chain input {{
		type filter hook input priority filter - 5; policy accept;
		iifname "{name}" jump input_from_peers
	}}

	chain input_from_peers {{
		ct state invalid drop
		meta nfproto ipv4 ip daddr != {address4} drop
		meta nfproto ipv6 ip6 daddr != {address6} drop
		icmp type echo-request limit rate over 20/second burst 20 packets drop
		icmpv6 type echo-request limit rate over 20/second burst 20 packets drop
		ct state established,related accept
		meta l4proto {{ tcp, udp }} th dport 53 accept
		icmp type echo-request accept
		icmpv6 type echo-request accept
		drop
	}}
"#
    )
}

fn forward(plan: &Plan) -> String {
    let name = &plan.name;
    let back = match &plan.outside {
        Outside::Masquerade { .. } | Outside::Shared { uplink: None, .. } => String::new(),
        Outside::Shared { through, .. } => format!("\t\tct state untracked ip daddr {through} accept\n"),
        Outside::Routed { .. } => "\t\tct state untracked ip daddr @pool4 accept\n".to_owned(),
    };
    format!(
        r#"	chain forward {{
		type filter hook forward priority filter - 5; policy accept;
		iifname "{name}" jump forward_out
		oifname "{name}" jump forward_back
	}}

	chain forward_out {{
		meta nfproto ipv6 drop
		oifname "{name}" drop
		ip saddr != @pool4 drop
		ct state invalid drop
		ip daddr @home4 drop
		ip daddr @bad4 ip daddr != @allow4 drop
	}}

	chain forward_back {{
		meta nfproto ipv6 drop
		ct state established,related accept
{back}		drop
	}}
"#
    )
}

fn outside(plan: &Plan, timeout: UdpTimeout) -> String {
    match &plan.outside {
        Outside::Masquerade { .. } if timeout == UdpTimeout::OfEngine => {
            format!("{}\n{}", masquerade(&plan.name), remember(&plan.name))
        }
        Outside::Masquerade { .. } => masquerade(&plan.name),
        Outside::Shared { uplink: None, .. } => String::new(),
        Outside::Shared { uplink: Some(uplink), ports, through } => shared(plan, *uplink, *ports, *through),
        Outside::Routed { .. } => routed(&plan.name),
    }
}

fn masquerade(name: &str) -> String {
    format!(
        r#"	chain postrouting {{
		type nat hook postrouting priority srcnat; policy accept;
		iifname "{name}" oifname != "{name}" ip saddr @pool4 masquerade
	}}
"#
    )
}

fn remember(name: &str) -> String {
    let secs = nat64::Lifetimes::default().udp.as_secs();
    format!(
        r#"	ct timeout engine_udp {{
		protocol udp
		l3proto ip
		policy = {{ unreplied : {secs}, replied : {secs} }}
	}}

	chain remember {{
		type filter hook forward priority filter; policy accept;
		iifname "{name}" ip saddr @pool4 meta l4proto udp ct timeout set "engine_udp"
	}}
"#
    )
}

fn routed(name: &str) -> String {
    format!(
        r#"	chain untrack {{
		type filter hook prerouting priority raw; policy accept;
		iifname "{name}" ip saddr @pool4 notrack
		iifname != "{name}" ip daddr @pool4 notrack
	}}
"#
    )
}

/// What comes for the engine's ports gets a destination that is routed to the engine; nothing else of it changes. The kernel's
/// own errors about what it could not forward leave by the output hook, for their destination is local.
fn shared(plan: &Plan, uplink: Ipv4Addr, ports: PortRange, through: Ipv4Addr) -> String {
    let Plan { name, address4, .. } = plan;
    let quoted = |target: &str| quoted(target, uplink, ports);
    format!(
        r#"	chain untrack {{
		type filter hook prerouting priority raw; policy accept;
		iifname "{name}" ip saddr @pool4 notrack accept
		iifname != {{ "{name}", "lo" }} ip daddr {uplink} jump to_uplink
	}}

	chain to_uplink {{
		meta l4proto {{ tcp, udp }} th dport {ports} goto to_engine
		icmp type echo-reply icmp id {ports} goto to_engine
		icmp type {{ destination-unreachable, time-exceeded, parameter-problem }} jump error_to_uplink
	}}

	chain error_to_uplink {{
{in_error}	}}

	chain to_engine {{
		notrack ip daddr set {through}
	}}

	chain own {{
		type route hook output priority raw; policy accept;
		ip daddr {uplink} icmp type {{ destination-unreachable, time-exceeded, parameter-problem }} jump own_error
	}}

	chain own_error {{
{in_own_error}	}}

	chain own_to_engine {{
		notrack ip saddr set {address4} ip daddr set {through}
	}}
"#,
        in_error = quoted("to_engine"),
        in_own_error = quoted("own_to_engine"),
    )
}

/// Whether an ICMP error quotes a packet of the engine, seen from the start of the ICMP header in bits: the quoted IPv4 header
/// begins at 64 and has no options (the engine sends none), the quoted transport header at 224.
fn quoted(target: &str, uplink: Ipv4Addr, ports: PortRange) -> String {
    let uplink = uplink.to_bits();
    format!(
        r#"		@th,64,8 != 0x45 return
		@th,160,32 != {uplink:#x} return
		@th,136,8 {{ 6, 17 }} @th,224,16 {ports} goto {target}
		@th,136,8 1 @th,224,8 8 @th,256,16 {ports} goto {target}
"#
    )
}

#[cfg(test)]
mod tests {
    use contract::{Egress, Gateway, Policy};

    use super::*;
    use crate::network::Machine;
    use crate::testing;

    fn rules(egress: Egress, uplink: Option<Ipv4Addr>, reserved_ports: &str) -> String {
        let policy = Policy {
            allow: vec!["192.168.178.20/32".parse().unwrap(), "192.168.178.0/24".parse().unwrap()],
            home_addresses: vec![Ipv4Addr::new(203, 0, 113, 7)],
            ..Policy::default()
        };
        let gateway = Gateway { egress, policy: Some(policy), ..testing::gateway() };
        let machine = Machine { own_addresses: Vec::new(), uplink };
        render(&Plan::new("hetznat0", 7, &gateway, &machine), reserved_ports, UdpTimeout::OfEngine)
    }

    #[test]
    fn rules_of_a_gateway() {
        let plan = Plan::new("hetznat0", 7, &testing::gateway(), &Machine::default());

        insta::assert_snapshot!(render(&plan, "", UdpTimeout::OfEngine));
        assert!(!render(&plan, "", UdpTimeout::OfKernel).contains("timeout"));
    }

    #[test]
    fn rules_of_a_shared_uplink() {
        let egress = Egress::Shared { ports: "40000-59999".parse().unwrap() };

        insta::assert_snapshot!(rules(egress, Some(Ipv4Addr::new(192, 168, 178, 10)), "40000-49999,50003-59999"));
    }

    #[test]
    fn rules_of_a_routed_pool() {
        let egress = Egress::Routed { pool4: vec!["203.0.112.8/29".parse().unwrap()] };

        insta::assert_snapshot!(rules(egress, None, ""));
    }

    #[test]
    fn without_an_uplink_to_share_nothing_leaves() {
        let rules = rules(Egress::Shared { ports: PortRange::default() }, None, "");

        assert!(rules.contains("set pool4 {\n\t\ttype ipv4_addr\n\t\tflags interval\n\t}"), "{rules}");
        assert!(!rules.contains("notrack") && !rules.contains("masquerade"), "{rules}");
    }
}
