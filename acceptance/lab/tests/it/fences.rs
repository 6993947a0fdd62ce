//! What a server must not do: pretend to be another one, or reach anything at home.

use std::net::Ipv4Addr;
use std::time::Duration;

use anyhow::Result;
use lab::site::on_site;
use lab::topology::{HOME_LAN, PI, PI_LAN, WEB};
use lab::{Server, Site, wait};

/// How long a translator may take to follow an apply.
const LIMIT: Duration = Duration::from_secs(10);

/// One ping that nobody may answer, from an address the server does not own.
fn ping_from(server: &Server, source: &str, destination: &str) -> Result<bool> {
    // An IPv6 address that is still examined (RFC 4862 §5.4) is no source yet.
    let at_once = if source.contains(':') { "nodad" } else { "" };
    server.host().script(&format!("ip address add {source} dev lo {at_once}"))?;
    let ping = server.host().attempt(&["ping", "-n", "-c", "1", "-W", "1", "-I", source, destination])?;
    Ok(ping.status.success())
}

/// How many packets were dropped for `reason` while `act` ran.
fn dropped(site: &Site, reason: &str, act: impl FnOnce() -> Result<()>) -> Result<u64> {
    let before = site.translator()?.dropped(reason)?;
    act()?;
    Ok(site.translator()?.dropped(reason)? - before)
}

#[test]
fn a_packet_from_outside_its_peers_prefix_is_dropped_and_counted() {
    on_site(|site| {
        let web = site.with_connected_server("web")?;
        let forged = [
            ("2001:db8:1:99::1", format!("64:ff9b::{WEB}")),
            ("fd64:ff9b::1", format!("64:ff9b::{WEB}")),
            ("198.18.77.77", WEB.to_string()),
        ];

        for (source, destination) in forged {
            let count = dropped(site, "source_outside_prefix", || {
                assert!(!ping_from(&web, source, &destination)?, "a ping from {source} was answered");
                Ok(())
            })?;
            assert_eq!(count, 1, "from {source}");
        }
        Ok(())
    });
}

#[test]
fn a_server_cannot_send_in_the_name_of_another() {
    on_site(|site| {
        let (honest, forger) = (site.lab.add_server("honest")?, site.lab.add_server("forger")?);
        site.connect_all(&[&honest, &forger])?;

        let count = dropped(site, "source_outside_prefix", || {
            ping_from(&forger, &honest.address().to_string(), &format!("64:ff9b::{WEB}")).map(drop)
        })?;

        assert_eq!(count, 1);
        Ok(())
    });
}

#[test]
fn a_packet_to_a_private_address_is_dropped_and_counted() {
    on_site(|site| {
        let web = site.with_connected_server("web")?;
        let private: [Ipv4Addr; 3] = [HOME_LAN, [10, 0, 0, 1].into(), [169, 254, 1, 1].into()];
        let private = private.map(|address| (address, "destination_not_global"));
        let own = [PI_LAN, Ipv4Addr::LOCALHOST].map(|address| (address, "destination_own_address"));

        for (address, reason) in private.into_iter().chain(own) {
            let count = dropped(site, reason, || {
                let ping = web.host().attempt(&["ping", "-n", "-c", "1", "-W", "1", &format!("64:ff9b::{address}")])?;
                assert!(!ping.status.success(), "64:ff9b::{address} answered");
                Ok(())
            })?;
            assert_eq!(count, 1, "to 64:ff9b::{address}");
        }
        Ok(())
    });
}

#[test]
fn a_server_cannot_send_mail_from_the_home_s_address() {
    on_site(|site| {
        let web = site.with_connected_server("web")?;

        for host in [format!("[64:ff9b::{WEB}]"), WEB.to_string()] {
            let count = dropped(site, "destination_port_denied", || {
                assert!(!web.reaches(&format!("http://{host}:25/"))?);
                Ok(())
            })?;
            assert_eq!(count, 1, "to {host}");
        }
        Ok(())
    });
}

#[test]
fn a_policy_opens_closes_and_bounds_while_the_tunnels_stay() {
    on_site(|site| {
        let _page = site.lab.serve_page(&site.lab.home, "::", "the router of the home")?;
        let web = site.with_connected_server("web")?;
        let (router, page) = (format!("http://[64:ff9b::{HOME_LAN}]/"), "http://web.example/");
        let handshake = web.latest_handshake()?;
        assert!(!web.reaches(&router)?, "private, and so refused");

        site.set_gateway_options(&format!("policy {{\n allow = [\"{HOME_LAN}\"]\n denied_ports = [\"tcp/80\"]\n }}"))?;
        wait::until("the port to be denied", LIMIT, || Ok((!web.reaches(page)?).then_some(())))?;
        assert!(!web.reaches(&router)?, "allowed, but not this port");
        site.set_gateway_options(&format!("policy {{\n allow = [\"{HOME_LAN}\"]\n }}"))?;
        wait::until("the way to the router", LIMIT, || Ok(web.reaches(&router)?.then_some(())))?;
        web.curl(page)?;
        assert!(!web.reaches(&format!("http://[64:ff9b::{PI_LAN}]/"))?, "its neighbour is still private");
        site.set_gateway_options(&format!("policy {{\n home_addresses = [\"{WEB}\"]\n }}"))?;
        wait::until("the address to be the home's", LIMIT, || Ok((!web.reaches(page)?).then_some(())))?;

        assert!(site.translator()?.dropped("destination_own_address")? >= 1);
        assert!(!web.reaches(&router)?, "no longer allowed");
        site.set_gateway_options("")?;
        wait::until("everything to be as before", LIMIT, || Ok(web.reaches(page)?.then_some(())))?;
        assert_eq!(web.latest_handshake()?, handshake, "the tunnel was never made again");
        Ok(())
    });
}

#[test]
fn nothing_at_home_can_be_reached_by_any_form_of_address() {
    on_site(|site| {
        let _router = site.lab.serve_page(&site.lab.home, "::", "the router of the home")?;
        let _pi = site.lab.serve_page(&site.lab.pi, "::", "the pi")?;
        for page in [format!("http://{HOME_LAN}/"), format!("http://{PI_LAN}/"), format!("http://[{PI}]/")] {
            site.lab.pi.run(&["curl", "-sS", "--fail", "--max-time", "5", &page])?;
        }
        let web = site.with_connected_server("web")?;
        let gateway = site.translator()?.status()?["gateway"].take();
        let own = |key: &str| gateway[key].as_str().unwrap().to_owned();
        let pool4 = own("pool4").trim_end_matches(" (masqueraded)").to_owned();

        let mut hosts = vec!["rebinding.example".to_owned(), format!("[{PI}]"), "[2001:db8:4000:1::1]".to_owned()];
        for address in [HOME_LAN.to_string(), PI_LAN.to_string(), own("address4"), pool4] {
            hosts.extend([format!("[64:ff9b::{address}]"), address]);
        }
        hosts.push(format!("[{}]", own("address6")));
        let pages: Vec<_> = hosts.iter().map(|host| format!("http://{host}/")).collect();
        assert_eq!(web.reached(&pages)?, Vec::<String>::new());
        assert_eq!(web.reached(&["http://web.example/".to_owned()])?.len(), 1, "the question is a good one");
        Ok(())
    });
}

#[test]
fn servers_cannot_reach_each_other_through_the_gateway() {
    on_site(|site| {
        let (one, other) = (site.lab.add_server("one")?, site.lab.add_server("other")?);
        site.connect_all(&[&one, &other])?;
        let _page = site.lab.serve_page(other.host(), "::", "the other server")?;
        let status = site.translator()?.status()?;
        let peers = status["datapath"]["peers"].as_array().unwrap();
        let ipv4 = peers.iter().find(|peer| peer["name"] == "other").unwrap()["ipv4"].as_str().unwrap();

        let pages = [ipv4.to_owned(), format!("[64:ff9b::{ipv4}]")].map(|host| format!("http://{host}/"));
        assert_eq!(one.reached(&pages)?, Vec::<String>::new());
        one.curl(&format!("http://[{}]/", other.address()))?;
        Ok(())
    });
}
