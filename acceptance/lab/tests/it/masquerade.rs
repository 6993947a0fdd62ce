//! What the kernel's masquerading, which stands behind the engine by default, does to flows.

use std::time::Duration;

use anyhow::{Context as _, Result};
use lab::site::on_site;
use lab::topology::WEB;
use lab::{Host, Server, wait};

use crate::egress::{LATER, PAGE, UPLINK, connect_pi, server_with, tracked};

const LIMIT: Duration = Duration::from_secs(10);

/// One socket that goes on asking who it is, from one port: the address to ask.
const WHO_AM_I: &str = "
import socket, sys
s = socket.socket(socket.AF_INET6 if ':' in sys.argv[1] else socket.AF_INET, socket.SOCK_DGRAM)
s.settimeout(0.2)
while True:
    s.sendto(b'who am I?', (sys.argv[1], 4000))
    try:
        print(s.recv(2048).decode(), flush=True)
    except TimeoutError:
        pass
";

/// Takes datagrams and says nothing.
const QUIET: &str = "
import signal, socket
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
s.bind(('0.0.0.0', 4001))
signal.pause()
";

/// Seconds until the Pi's kernel forgets each flow of datagrams to the web server.
fn remembered(pi: &Host) -> Result<Vec<u32>> {
    let udp = tracked(pi)?.into_iter().filter(|line| line.starts_with("udp"));
    udp.map(|line| line.split_whitespace().nth(2).and_then(|secs| secs.parse().ok()).context(line.clone())).collect()
}

fn send_one(web: &Server, to: &str, port: u16) -> Result<()> {
    let send = "import socket, sys\ns = socket.socket(socket.AF_INET6, socket.SOCK_DGRAM)\n\
                s.sendto(b'?', (sys.argv[1], int(sys.argv[2])))\n";
    web.host().run(&["python3", "-c", send, to, &port.to_string()]).map(drop)
}

#[test]
fn the_kernel_remembers_datagrams_as_long_as_the_engine_whether_answered_or_not() {
    on_site(|site| {
        let _outside = connect_pi(site)?;
        let web = server_with(site, "")?;
        let to = format!("64:ff9b::{WEB}");

        // 4000 answers; who has 4001 is silent.
        let _quiet = site.lab.internet4.spawn("quiet", &["python3", "-c", QUIET])?;
        wait::until("somebody at 4001", LIMIT, || {
            Ok(site.lab.internet4.script("ss -Hulpn")?.contains(":4001").then_some(()))
        })?;
        [4000, 4001].into_iter().try_for_each(|port| send_one(&web, &to, port))?;

        let pi = &site.lab.pi;
        let both = || Ok(Some(remembered(pi)?).filter(|flows| flows.len() == 2));
        let (flows, _) = wait::until("both flows", LIMIT, both)?;
        assert!(flows.iter().all(|secs| (240..=300).contains(secs)), "{flows:?} seconds are left");
        Ok(())
    });
}

#[test]
fn datagrams_of_one_flow_leave_from_whatever_address_the_uplink_has() {
    on_site(|site| {
        let _outside = connect_pi(site)?;
        let web = server_with(site, "")?;
        let asking = web.host().spawn("asking", &["python3", "-c", WHO_AM_I, &format!("64:ff9b::{WEB}")])?;
        let seen_as = |address| {
            let last = || asking.log().lines().last().is_some_and(|line| line.starts_with(address));
            wait::until("an answer", LIMIT, || Ok(last().then_some(()))).with_context(|| asking.log())
        };
        seen_as(UPLINK)?;

        site.lab.pi.script(&format!(
            "ip address del {UPLINK}/24 dev wan; ip address add {LATER}/24 dev wan; ip route replace default via 203.0.115.1"
        ))?;

        seen_as(LATER)?;
        web.curl(PAGE)?;
        let of_old = tracked(&site.lab.pi)?.into_iter().filter(|line| line.contains(UPLINK)).collect::<Vec<_>>();
        assert_eq!(of_old, Vec::<String>::new(), "the kernel has forgotten the old address");
        Ok(())
    });
}
