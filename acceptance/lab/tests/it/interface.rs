//! The stand-alone mode's interface and what the kernel makes of it: full, filtered, deleted.

use std::time::Duration;

use anyhow::Result;
use lab::router::{POOL4, SERVER, on_router, ping, udp};
use lab::wait;

const LIMIT: Duration = Duration::from_secs(10);

/// An IPv4 address as hosts inside see it.
fn inside(address: &str) -> String {
    format!("64:ff9b::{address}")
}

/// Sends 900 numbered datagrams, each to a port of its own: none is merged with another.
const FLOOD: &str = "
import socket, sys
s = socket.socket(socket.AF_INET6, socket.SOCK_DGRAM)
for number in range(900):
    s.sendto(number.to_bytes(2, 'big'), (sys.argv[1], 5000 + number))
";

#[test]
fn what_the_interface_has_no_room_for_is_lost_at_the_end_of_its_queue_and_nothing_else() {
    on_router(|router| {
        router.translate(&["--workers", "1"])?;
        assert!(ping(&router.client, &[&inside(SERVER)])?.contains("1 received"));
        let number = |file: &str| -> Result<u64> {
            Ok(router.router.run(&["cat", &format!("/sys/class/net/nat64/{file}")])?.trim().parse()?)
        };
        // The kernel's default: 500 super-packets are 32 MB, a quarter of a second at 1 Gbit/s.
        assert_eq!(number("tx_queue_len")?, 500);

        router.translator()?.signal("STOP")?;
        router.client.run(&["python3", "-c", FLOOD, &inside(SERVER)])?;
        let lost = number("statistics/tx_dropped")?;
        router.translator()?.signal("CONT")?;

        assert!((300..500).contains(&lost), "{lost} of 900 were lost");
        let flows = || -> Result<usize> {
            let bib: serde_json::Value =
                serde_json::from_str(&router.translator()?.ask(&["sessions", "list", "--json"])?)?;
            Ok(bib.as_array().map_or(0, Vec::len))
        };
        wait::until("the others", LIMIT, || Ok((flows()? >= 900 - lost as usize).then_some(())))?;
        let sessions = router.translator()?.ask(&["sessions", "list", "--json"])?;
        assert!(sessions.contains(":5000\"") && !sessions.contains(":5899\""), "the newest are lost: {sessions}");
        assert!(ping(&router.client, &[&inside(SERVER)])?.contains("1 received"));
        Ok(())
    });
}

#[test]
fn strict_reverse_path_filters_let_everything_through() {
    on_router(|router| {
        let _echo = router.echo(&router.server, "0.0.0.0", 7)?;
        // The interface takes the default when it is made.
        router.router.script(
            "cd /proc/sys/net/ipv4/conf; for scope in all default lan wan; do echo 1 >$scope/rp_filter; done",
        )?;
        router.translate(&[])?;

        assert!(ping(&router.client, &[&inside(SERVER)])?.contains("1 received"));
        assert_eq!(udp(&router.client, &inside(SERVER), 7, "hello")?, format!("hello from {POOL4}"));
        Ok(())
    });
}

#[test]
fn a_deleted_interface_ends_the_translator() {
    on_router(|router| {
        for workers in ["1", "4"] {
            router.translate(&["--workers", workers])?;
            router.router.run(&["ip", "link", "delete", "nat64"])?;

            wait::until("the end", LIMIT, || Ok(router.translator()?.status().is_err().then_some(())))?;
            let log = router.translator()?.log();
            assert!(log.contains("the TUN interface is gone"), "{log}");
        }
        Ok(())
    });
}
