//! Path MTU discovery through the translator: hosts on the IPv4 internet learn how large a packet to a server may be.

use lab::site::on_site;
use lab::topology::WEB;

/// Answers each datagram with one that fills an Ethernet frame and may not be fragmented; on a line of its own, what the
/// kernel believes of the path by then.
const ECHO: &str = "
import errno, socket
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
s.setsockopt(socket.IPPROTO_IP, 10, 2)  # IP_MTU_DISCOVER = IP_PMTUDISC_DO
s.bind(('', 4000))
while True:
    _, peer = s.recvfrom(2048)
    path = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    path.connect(peer)
    mtu = path.getsockopt(socket.IPPROTO_IP, 14)  # IP_MTU
    print(mtu, flush=True)
    try:
        s.sendto(bytes(mtu - 28), peer)
    except OSError as error:
        if error.errno != errno.EMSGSIZE:
            raise
";

/// Asks until an answer comes, also while nobody listens yet; prints its length.
const ASK: &str = "
import socket, sys
s = socket.socket(socket.AF_INET6 if ':' in sys.argv[1] else socket.AF_INET, socket.SOCK_DGRAM)
s.settimeout(1)
for _ in range(20):
    try:
        s.sendto(b'?', (sys.argv[1], 4000))
        print(len(s.recv(2048)))
        break
    except (ConnectionRefusedError, TimeoutError):
        pass
";

#[test]
fn a_host_on_the_ipv4_internet_learns_the_mtu_of_the_tunnel() {
    // The tunnel takes 1412 bytes; translation to IPv6 adds 20 to what is sent, NAT44 adds nothing.
    for (address, mtu) in [(format!("64:ff9b::{WEB}"), 1392), (WEB.to_string(), 1412)] {
        on_site(|site| {
            let web = site.with_connected_server("web")?;
            let echo = site.lab.internet4.spawn("echo", &["python3", "-u", "-c", ECHO])?;

            let length = web.host().run(&["python3", "-c", ASK, &address])?;

            assert_eq!(length.trim(), (mtu - 28).to_string(), "through {address}");
            let mut believed: Vec<String> = echo.log().lines().map(str::to_owned).collect();
            believed.dedup();
            assert_eq!(believed, ["1500".to_owned(), mtu.to_string()], "what its link takes, until it was told");
            assert!(site.translator()?.dropped("packet_too_big")? >= 1);
            Ok(())
        });
    }
}
