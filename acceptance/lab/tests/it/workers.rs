//! The stand-alone mode with several workers: what one of them promises, all of them keep.

use std::time::Duration;

use anyhow::Result;
use lab::router::{SERVER, on_router, ping};
use lab::{Router, wait};

const LIMIT: Duration = Duration::from_secs(10);

/// On every port that is named: sends each datagram back, and the port that it came from in front of it.
const SERVICE: &str = "
import select, socket, sys
sockets = []
for port in sys.argv[1:]:
    s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    s.setsockopt(socket.SOL_SOCKET, 33, 8 << 20)  # SO_RCVBUFFORCE: nothing is lost at the ends
    s.bind(('', int(port)))
    sockets.append(s)
print('ready', flush=True)
while True:
    for s in select.select(sockets, [], [])[0]:
        data, peer = s.recvfrom(2048)
        s.sendto(peer[1].to_bytes(2, 'big') + data, peer)
";

/// Sixteen sockets send ten times twenty numbered datagrams each, all at once, and want them back in that order.
const IN_ORDER: &str = "
import socket, sys
sockets = []
for _ in range(16):
    s = socket.socket(socket.AF_INET6, socket.SOCK_DGRAM)
    s.settimeout(5)
    s.connect((sys.argv[1], 4000))
    sockets.append(s)
for base in range(0, 200, 20):
    for number in range(base, base + 20):
        for s in sockets:
            s.send(bytes([number]) * 50)
    for s in sockets:
        came = [s.recv(2048)[2] for _ in range(20)]
        assert came == list(range(base, base + 20)), came
print('in order')
";

/// One socket asks forty ports, and prints how many ports of its own they see.
const ENDPOINTS: &str = "
import socket, sys
s = socket.socket(socket.AF_INET6, socket.SOCK_DGRAM)
s.settimeout(5)
seen = set()
for port in range(4000, 4040):
    s.sendto(b'?', (sys.argv[1], port))
    seen.add(s.recv(2048)[:2])
print(len(seen))
";

fn server() -> String {
    format!("64:ff9b::{SERVER}")
}

fn start_service(router: &Router) -> Result<lab::Process> {
    let ports: Vec<_> = (4000..4040).map(|port| port.to_string()).collect();
    let words = [&["python3", "-c", SERVICE][..], &ports.iter().map(String::as_str).collect::<Vec<_>>()].concat();
    let service = router.server.spawn("service", &words)?;
    wait::until("the service", LIMIT, || Ok(service.log().contains("ready").then_some(())))?;
    Ok(service)
}

/// linux/if_tun.h: `IFF_MULTI_QUEUE`.
fn has_several_queues(router: &Router) -> Result<bool> {
    let flags = router.router.run(&["cat", "/sys/class/net/nat64/tun_flags"])?;
    Ok(u32::from_str_radix(flags.trim().trim_start_matches("0x"), 16)? & 0x100 != 0)
}

#[test]
fn flows_stay_in_order_and_endpoints_are_one_with_several_workers() {
    on_router(|router| {
        let _service = start_service(router)?;
        let before = router.kernel_state()?;
        router.translate(&["--workers", "4"])?;
        assert!(has_several_queues(router)?);

        assert_eq!(router.client.run(&["python3", "-c", IN_ORDER, &server()])?.trim(), "in order");
        assert_eq!(router.client.run(&["python3", "-c", ENDPOINTS, &server()])?.trim(), "1");

        router.translator()?.ask(&["config", "set", "mtu4", "1300"])?;
        let refused = ping(&router.client, &["-M", "do", "-s", "1400", &server()])?;
        assert!(refused.contains("Packet too big: mtu=1320"), "{refused}");
        assert!(router.stop_translator()?.success());
        assert_eq!(router.kernel_state()?, before);
        Ok(())
    });
}

#[test]
fn an_interface_of_one_worker_takes_no_second_one() {
    on_router(|router| {
        let _service = start_service(router)?;
        router.translate(&["--workers", "1"])?;

        assert!(!has_several_queues(router)?);
        assert_eq!(router.client.run(&["python3", "-c", IN_ORDER, &server()])?.trim(), "in order");
        Ok(())
    });
}
