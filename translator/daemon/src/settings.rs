//! What the stand-alone mode can be told to change while it runs: `config set KEY VALUE`.

use std::fmt::Display;
use std::net::Ipv4Addr;

use clap::ValueEnum;
use clap::builder::PossibleValue;
use ipnet::Ipv4Net;
use serde::{Deserialize, Serialize};

use crate::details::{Class, Pooling, SHORTEST_TRANSITORY, WithoutChecksum};

/// The smallest MTU that every IPv4 link has (RFC 791 §3.2), in bytes.
pub(crate) const SMALLEST_MTU4: u16 = 68;
/// The smallest MTU that every IPv6 link has (RFC 8200 §5), in bytes.
pub(crate) const SMALLEST_MTU6: u16 = 1280;

/// A setting with its new value.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "key", content = "value", rename_all = "kebab-case")]
pub(crate) enum Setting {
    LowestIpv6Mtu(u16),
    /// `None`: the kernel's routes say.
    Mtu4(Option<u16>),
    /// `None`: the kernel's routes say.
    Mtu6(Option<u16>),
    Filtering(Filtering),
    Hairpinning(Switch),
    Unsolicited(Unsolicited),
    TrafficClass(Class),
    Tos(Class),
    OwnErrors(Switch),
    UdpWithoutChecksum(WithoutChecksum),
    Pooling(Pooling),
    /// In seconds.
    TcpOpening(u32),
    /// In seconds.
    TcpClosing(u32),
    /// In place of all exceptions there were.
    Allow(Vec<Ipv4Net>),
}

/// The names of settings.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Key {
    /// IPv4 packets that may be fragmented are, to this size of IPv6 packet
    #[value(name = "lowest-ipv6-mtu")]
    LowestIpv6Mtu,
    /// Largest IPv4 packet in bytes, or auto: the kernel's routes say
    Mtu4,
    /// Largest IPv6 packet in bytes, or auto: the kernel's routes say
    Mtu6,
    /// endpoint-independent or address-dependent
    Filtering,
    /// on or off
    Hairpinning,
    /// answer, hold-syns or silent
    Unsolicited,
    /// Of what goes to IPv6: copy, or a number up to 255 that replaces all eight bits
    TrafficClass,
    /// Of what goes to IPv4: copy, or a number up to 255 that replaces all eight bits
    Tos,
    /// ICMP errors made here: on or off
    OwnErrors,
    /// compute or drop
    UdpWithoutChecksum,
    /// paired or soft
    Pooling,
    /// How long a TCP connection that opens is remembered, in seconds from 240
    TcpOpening,
    /// How long a TCP connection that closes is remembered, in seconds from 240
    TcpClosing,
    /// IPv4 prefixes with commas between them, or none; they replace the exceptions there were
    Allow,
}

/// Who may answer to a mapping (RFC 6146 §3.5).
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Filtering {
    /// Anybody
    EndpointIndependent,
    /// Only addresses the inside has spoken to
    AddressDependent,
}

/// What the outside hears when it sends what nobody inside waits for (RFC 6146 §3.5).
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Unsolicited {
    /// Port or address unreachable; for a SYN after six seconds, in which it may meet one from inside
    Answer,
    /// Nothing, but for such a SYN
    HoldSyns,
    /// Nothing
    Silent,
}

/// Whether something is done.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Switch {
    On,
    Off,
}

impl Setting {
    /// Reads the value of a key.
    ///
    /// # Errors
    /// What the values of this key look like.
    pub(crate) fn parse(key: Key, value: &str) -> Result<Self, String> {
        let setting = match key {
            Key::LowestIpv6Mtu => Self::LowestIpv6Mtu(number(value)?),
            Key::Mtu4 => Self::Mtu4(mtu(value)?),
            Key::Mtu6 => Self::Mtu6(mtu(value)?),
            Key::Filtering => Self::Filtering(one_of(value)?),
            Key::Hairpinning => Self::Hairpinning(one_of(value)?),
            Key::Unsolicited => Self::Unsolicited(one_of(value)?),
            Key::TrafficClass => Self::TrafficClass(value.parse()?),
            Key::Tos => Self::Tos(value.parse()?),
            Key::OwnErrors => Self::OwnErrors(one_of(value)?),
            Key::UdpWithoutChecksum => Self::UdpWithoutChecksum(one_of(value)?),
            Key::Pooling => Self::Pooling(one_of(value)?),
            Key::TcpOpening => Self::TcpOpening(seconds(value)?),
            Key::TcpClosing => Self::TcpClosing(seconds(value)?),
            Key::Allow => Self::Allow(prefixes(value)?),
        };
        setting.check()?;
        Ok(setting)
    }

    /// Whether the value is one that makes sense.
    ///
    /// # Errors
    /// What the values of this key look like.
    pub(crate) fn check(&self) -> Result<(), String> {
        match *self {
            Self::LowestIpv6Mtu(mtu) | Self::Mtu6(Some(mtu)) => at_least(SMALLEST_MTU6, mtu),
            Self::Mtu4(Some(mtu)) => at_least(SMALLEST_MTU4, mtu),
            Self::TcpOpening(seconds) | Self::TcpClosing(seconds) => at_least(SHORTEST_TRANSITORY, seconds),
            Self::Mtu4(None)
            | Self::Mtu6(None)
            | Self::Filtering(_)
            | Self::Hairpinning(_)
            | Self::Unsolicited(_)
            | Self::TrafficClass(_)
            | Self::Tos(_)
            | Self::OwnErrors(_)
            | Self::UdpWithoutChecksum(_)
            | Self::Pooling(_)
            | Self::Allow(_) => Ok(()),
        }
    }
}

fn at_least<T: Ord + Display>(smallest: T, value: T) -> Result<(), String> {
    if value < smallest { Err(format!("{value} is too small; the least is {smallest}")) } else { Ok(()) }
}

fn seconds(text: &str) -> Result<u32, String> {
    text.parse().map_err(|_| format!("{text:?} is no number of seconds"))
}

fn number(text: &str) -> Result<u16, String> {
    text.parse().map_err(|_| format!("{text:?} is no number of bytes up to {}", u16::MAX))
}

fn mtu(text: &str) -> Result<Option<u16>, String> {
    if text == "auto" { Ok(None) } else { number(text).map(Some) }
}

fn one_of<T: ValueEnum>(text: &str) -> Result<T, String> {
    T::from_str(text, false).map_err(|_| {
        let values = T::value_variants().iter().filter_map(ValueEnum::to_possible_value);
        let names: Vec<String> = values.map(|value: PossibleValue| value.get_name().to_owned()).collect();
        format!("{text:?} is neither {}", names.join(" nor "))
    })
}

fn prefixes(text: &str) -> Result<Vec<Ipv4Net>, String> {
    if text == "none" {
        return Ok(Vec::new());
    }
    text.split(',').map(prefix).collect()
}

/// An IPv4 prefix, or a single address.
pub(crate) fn prefix(text: &str) -> Result<Ipv4Net, String> {
    let prefix = text.parse().or_else(|_| text.parse().map(|address: Ipv4Addr| Ipv4Net::from(address)));
    prefix
        .map(|prefix: Ipv4Net| prefix.trunc())
        .map_err(|_| format!("{text:?} is no IPv4 prefix; write one like 10.0.0.0/8"))
}

/// The name of a value, as it is typed.
pub(crate) fn name_of<T: ValueEnum>(value: T) -> String {
    value.to_possible_value().map(|value| value.get_name().to_owned()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_key_reads_its_values_and_its_json_reads_back() {
        let settings = [
            (Key::LowestIpv6Mtu, "1400", r#"{"key":"lowest-ipv6-mtu","value":1400}"#),
            (Key::Mtu4, "68", r#"{"key":"mtu4","value":68}"#),
            (Key::Mtu4, "auto", r#"{"key":"mtu4","value":null}"#),
            (Key::Mtu6, "65535", r#"{"key":"mtu6","value":65535}"#),
            (Key::Filtering, "address-dependent", r#"{"key":"filtering","value":"address-dependent"}"#),
            (Key::Hairpinning, "off", r#"{"key":"hairpinning","value":"off"}"#),
            (Key::Unsolicited, "hold-syns", r#"{"key":"unsolicited","value":"hold-syns"}"#),
            (Key::TrafficClass, "copy", r#"{"key":"traffic-class","value":"copy"}"#),
            (Key::Tos, "184", r#"{"key":"tos","value":"184"}"#),
            (Key::OwnErrors, "off", r#"{"key":"own-errors","value":"off"}"#),
            (Key::UdpWithoutChecksum, "drop", r#"{"key":"udp-without-checksum","value":"drop"}"#),
            (Key::Pooling, "soft", r#"{"key":"pooling","value":"soft"}"#),
            (Key::TcpOpening, "300", r#"{"key":"tcp-opening","value":300}"#),
            (Key::TcpClosing, "240", r#"{"key":"tcp-closing","value":240}"#),
            (Key::Allow, "none", r#"{"key":"allow","value":[]}"#),
            (Key::Allow, "10.1.2.3/8,192.0.2.1", r#"{"key":"allow","value":["10.0.0.0/8","192.0.2.1/32"]}"#),
        ];

        for (key, value, json) in settings {
            let setting = Setting::parse(key, value).unwrap();
            assert_eq!(serde_json::to_string(&setting).unwrap(), json);
            assert_eq!(serde_json::from_str::<Setting>(json).unwrap(), setting);
        }
    }

    #[test]
    fn a_wrong_value_is_told_what_the_right_ones_are() {
        let settings = [
            (Key::LowestIpv6Mtu, "1279"),
            (Key::Mtu4, "67"),
            (Key::Mtu6, "70000"),
            (Key::Mtu6, "large"),
            (Key::Filtering, "none"),
            (Key::Hairpinning, "yes"),
            (Key::Unsolicited, "maybe"),
            (Key::TrafficClass, "256"),
            (Key::Tos, "zero"),
            (Key::OwnErrors, "limited"),
            (Key::UdpWithoutChecksum, "keep"),
            (Key::Pooling, "none"),
            (Key::TcpOpening, "239"),
            (Key::TcpClosing, "4m"),
            (Key::Allow, "10.0.0.0/33"),
            (Key::Allow, "10.0.0.0/8,"),
            (Key::Allow, "2001:db8::/32"),
        ];

        let report: Vec<String> =
            settings.iter().map(|(key, value)| Setting::parse(*key, value).unwrap_err()).collect();

        insta::assert_snapshot!(report.join("\n"));
    }
}
