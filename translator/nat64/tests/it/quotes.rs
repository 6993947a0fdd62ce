//! What ICMP errors quote, and what they leave alone (RFC 5508 §4, §7.7; RFC 7857 §7.1).

use std::time::Duration;

use nat64::{DropReason, Side};

use crate::lab::{Lab, POOL4, icmp, udp, via, with_ipv4};

const WEB: &str = "[2001:db8:1:2::7]:40001";
const DNS: &str = "9.9.9.9:53";

#[test]
fn options_of_a_quoted_header_are_stepped_over() {
    let mut lab = Lab::new();
    let sent = lab.inside(&udp(WEB, &via(DNS), b"question")).bytes();
    let with_options = with_ipv4(sent.clone(), |ip| ip.options = [7, 7, 4, 0, 0, 0, 0, 0].into());
    let about = |quote: &[u8]| icmp("8.8.8.8", &POOL4.to_string(), (3, 3), [0; 4], quote);

    let error = lab.outside(&about(&with_options)).sent();

    assert_eq!(error.payload, lab.outside(&about(&sent)).sent().payload, "as if the options had never been there");
}

#[test]
fn an_error_has_the_traffic_class_of_what_it_is_about() {
    let mut lab = Lab::new();
    let mut expedited = udp(WEB, &via("10.0.0.1:53"), b"question");
    // DSCP 46, ECN-capable.
    (expedited[0], expedited[1]) = (0x6b, 0xa0);
    lab.inside(&expedited).dropped();
    let (side, error) = lab.reply();
    assert_eq!((side, error.traffic_class), (Side::Inside, 0xb8), "congestion is not the error's");

    let expedited = with_ipv4(udp("198.18.0.7:7", "10.0.0.1:53", b""), |ip| ip.dscp = 46.try_into().unwrap());
    lab.inside(&expedited).dropped();
    assert_eq!(lab.reply().1.traffic_class, 0xb8);
}

#[test]
fn an_error_of_either_side_keeps_no_session_alive() {
    let mut lab = Lab::new();
    let sent = lab.inside(&udp(WEB, &via(DNS), b"question")).bytes();
    lab.pass(Duration::from_secs(299));

    lab.outside(&icmp("8.8.8.8", &POOL4.to_string(), (3, 3), [0; 4], &sent)).sent();
    let unreachable = icmp("2001:db8:1:2::7", "64:ff9b::909:909", (1, 4), [0; 4], &udp(&via(DNS), WEB, b"answer"));
    lab.inside(&unreachable).sent();
    lab.pass(Duration::from_secs(1));

    assert_eq!(lab.sizes(), (0, 0));
    assert_eq!(lab.inside(&unreachable).dropped(), DropReason::IcmpErrorWithoutSession);
}
