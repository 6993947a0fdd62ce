//! The log of mappings (RFC 6888 REQ-12).

use std::time::Duration;

use nat64::{Binding, Event, EventLog, Protocol, StaticMapping};

use crate::lab::{Lab, POOL4, at, udp, via};

const WEB: &str = "[2001:db8:1:2::7]:40001";
const DNS: &str = "9.9.9.9:53";

fn events(lab: &mut Lab) -> Vec<Event> {
    std::iter::from_fn(|| lab.engine.poll_event()).collect()
}

#[test]
fn a_mapping_is_logged_when_it_begins_and_when_it_ends_and_not_in_between() {
    let mut lab = Lab::with(|config| config.event_log = EventLog::On);
    let outer = lab.inside(&udp(WEB, &via(DNS), b"")).sent().source;
    lab.inside(&udp(WEB, &via("8.8.8.8:53"), b"")).sent();
    lab.outside(&udp(DNS, &outer.to_string(), b"")).sent();
    let outer = outer.to_string().parse().unwrap();
    let binding = Binding { protocol: Protocol::Udp, inner: at(WEB), outer };

    assert_eq!(events(&mut lab), [Event::Created(binding)]);
    lab.pass(Duration::from_secs(600));
    assert_eq!(events(&mut lab), [Event::Ended(binding)]);
}

#[test]
fn what_operators_do_is_logged_too() {
    let mut lab = Lab::with(|config| config.event_log = EventLog::On);
    let outer = std::net::SocketAddrV4::new(POOL4, 5000);
    let mapping = StaticMapping { protocol: Protocol::Tcp, outer, inner: at(WEB) };

    lab.engine.add_mapping(lab.now, mapping).unwrap();
    lab.engine.remove_mapping(Protocol::Tcp, outer).unwrap();

    let binding = Binding { protocol: Protocol::Tcp, inner: at(WEB), outer };
    assert_eq!(events(&mut lab), [Event::Created(binding), Event::Ended(binding)]);
}

#[test]
fn nothing_is_logged_unless_asked_for() {
    let mut lab = Lab::new();
    lab.inside(&udp(WEB, &via(DNS), b"")).sent();
    assert_eq!(events(&mut lab), []);

    lab.reconfigure(|config| config.event_log = EventLog::On);
    lab.pass(Duration::from_secs(600));
    assert_eq!(events(&mut lab).len(), 1);
}
