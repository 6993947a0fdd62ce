//! Packets in and out of the stand-alone mode, byte for byte, for what kernels never send: see [`lab::vectors`].

use lab::router::{POOL4, on_router};
use lab::vectors::{cases, play};

const CASES: &str = include_str!("vectors.txt");

/// What the cases suppose, among it that packets of several flows leave in order: one queue. Packets that come out stay
/// where they are: no host is to answer them.
const OPTIONS: [&str; 20] = [
    "--workers",
    "1",
    "--ports",
    "1-3000",
    "--address6",
    "2001:db8::1",
    "--mtu4",
    "1500",
    "--mtu6",
    "1400",
    "--static",
    "udp,203.0.114.2:2000,[2001:db8::5]:2000",
    "--static",
    "tcp,203.0.114.2:2000,[2001:db8::5]:2000",
    "--static",
    "icmp,203.0.114.2:7,[2001:db8::5]:7",
    "--static",
    "udp,203.0.114.2:1000,[2001:db8::6]:1001",
    "--lowest-ipv6-mtu",
    "1280",
];

#[test]
fn every_packet_comes_out_as_it_is_written() {
    on_router(|router| {
        assert_eq!(POOL4, "203.0.114.2", "as the cases have it");
        router
            .router
            .script("echo 0 >/proc/sys/net/ipv4/ip_forward; echo 0 >/proc/sys/net/ipv6/conf/all/forwarding")?;
        router.translate(&OPTIONS)?;

        let cases = cases(CASES)?;
        let differences = play(&router.router, "nat64", &router.web_directory()?, &cases)?;

        assert!(cases.len() > 20 && differences.is_empty(), "{}", differences.join("\n"));
        Ok(())
    });
}
