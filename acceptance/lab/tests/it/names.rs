//! Names by the gateway's DNS64, through the tunnel, for programs that other people wrote; and zones signed with Debian's BIND.

use std::time::Duration;

use anyhow::{Context as _, Result};
use lab::site::on_site;
use lab::topology::{DNS, HOME_LAN, PI_LAN, WEB};
use lab::{Host, Server, Site, bind, packages, wait};

/// The gateway itself inside the tunnel.
const GATEWAY6: &str = "fd64:ff9b::1";
const GATEWAY4: &str = "198.18.0.1";
/// What DNS64 makes of the web server's address.
const SYNTHESISED: &str = "64:ff9b::cb00:7050";
/// How long a translator may take to follow an apply, and a program to start.
const LIMIT: Duration = Duration::from_secs(15);

/// The block, asking the DNS server of the IPv4 internet.
fn dns64(more: &str) -> String {
    format!("dns64 {{\n upstreams = [\"{DNS}\"]\n {more}\n }}")
}

/// A connected server that asks its gateway for names.
fn server_with(site: &mut Site, options: &str) -> Result<Server> {
    site.terraform.set_gateway_options(options)?;
    let web = site.with_connected_server("web")?;
    web.host().use_resolver(GATEWAY6.parse()?)?;
    Ok(web)
}

/// What `dig` says to a question, whatever it is.
fn dig(host: &Host, server: &str, words: &[&str]) -> Result<String> {
    let server = format!("@{server}");
    let output = host.attempt(&[&["dig", &server, "+tries=1", "+time=3"], words].concat())?;
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

fn short(host: &Host, server: &str, name: &str, kind: &str) -> Result<String> {
    Ok(dig(host, server, &["+short", name, kind])?.trim().to_owned())
}

#[test]
fn dig_glibc_and_curl_find_ipv4_only_names_through_the_tunnel() {
    on_site(|site| {
        let web = server_with(site, &dns64(""))?;

        for server in [GATEWAY6, GATEWAY4] {
            assert_eq!(short(web.host(), server, "web.example", "AAAA")?, SYNTHESISED, "from {server}");
            assert_eq!(short(web.host(), server, "web.example", "A")?, WEB.to_string(), "from {server}");
        }
        let tcp = dig(web.host(), GATEWAY6, &["+short", "+tcp", "web.example", "AAAA"])?;
        assert_eq!(tcp.trim(), SYNTHESISED, "over TCP");
        let known = dig(web.host(), GATEWAY6, &["+short", "ipv4only.arpa", "AAAA"])?;
        assert!(known.contains("64:ff9b::c000:aa"), "a client learns the prefix (RFC 7050): {known}");
        let ahosts = web.host().run(&["getent", "ahosts", "web.example"])?;
        assert!(ahosts.lines().any(|line| line.starts_with(SYNTHESISED)), "{ahosts}");
        let way = web.host().run(&["curl", "-sS", "-o", "/dev/null", "-w", "%{remote_ip}", "http://web.example/"])?;
        assert_eq!(way, SYNTHESISED);
        Ok(())
    });
}

#[test]
fn systemd_resolved_asks_the_gateway() {
    on_site(|site| {
        let web = server_with(site, &dns64(""))?;
        // Installed, the package would take over the machine's own /etc/resolv.conf.
        let resolved = packages::unpacked("systemd-resolved")?.join("lib/systemd/systemd-resolved");
        web.host().script(&format!(
            "for kind in passwd group; do cp /etc/$kind /run/$kind; mount --bind /run/$kind /etc/$kind; done
             echo 'systemd-resolve:x:991:991::/:/usr/sbin/nologin' >>/run/passwd; echo 'systemd-resolve:x:991:' >>/run/group
             mkdir -p /run/systemd/resolved.conf.d
             printf '[Resolve]\\nDNS={GATEWAY6}\\n' >/run/systemd/resolved.conf.d/gateway.conf"
        ))?;
        let _resolved = web.host().spawn("resolved", &[resolved])?;

        let answer = wait::until("systemd-resolved", LIMIT, || {
            let answer = short(web.host(), "127.0.0.53", "web.example", "AAAA")?;
            Ok((answer == SYNTHESISED).then_some(answer))
        });
        answer?;
        web.host().use_resolver("127.0.0.53".parse()?)?;
        let ahosts = web.host().run(&["getent", "ahosts", "web.example"])?;

        assert!(ahosts.lines().any(|line| line.starts_with(SYNTHESISED)), "{ahosts}");
        web.curl("http://web.example/")?;
        Ok(())
    });
}

#[test]
fn a_signed_zone_validates_and_a_bogus_one_does_not() {
    on_site(|site| {
        let zones = bind::SignedZones::start(&site.lab.internet4, "203.0.112.54".parse()?, WEB)?;
        let anchors: Vec<String> = zones.anchors().iter().map(|anchor| format!("{anchor:?}")).collect();
        let block = format!(
            "dns64 {{\n upstreams = [\"{}\"]\n validate = true\n trust_anchors = [{}]\n }}",
            zones.address(),
            anchors.join(", ")
        );
        let web = server_with(site, &block)?;
        let ask = |words: &[&str]| dig(web.host(), GATEWAY6, words);

        let signed = ask(&["+dnssec", "v4only.signed.example", "AAAA"])?;
        assert!(signed.contains(SYNTHESISED) && flags(&signed)?.contains(" ad"), "{signed}");
        let plain = ask(&["+noedns", "+noadflag", "v4only.signed.example", "AAAA"])?;
        assert!(plain.contains(SYNTHESISED) && !flags(&plain)?.contains(" ad"), "RFC 6147 §5.5: {plain}");
        let real = ask(&["+dnssec", "v4only.signed.example", "A"])?;
        assert!(real.contains("RRSIG") && flags(&real)?.contains(" ad"), "{real}");
        for kind in ["AAAA", "A"] {
            let bogus = ask(&["v4only.bogus.example", kind])?;
            assert!(bogus.contains("status: SERVFAIL") && !bogus.contains("ANSWER SECTION"), "{bogus}");
        }
        let unchecked = ask(&["+cd", "+dnssec", "v4only.bogus.example", "A"])?;
        assert!(unchecked.contains("status: NOERROR") && unchecked.contains("RRSIG"), "{unchecked}");
        Ok(())
    });
}

fn flags(answer: &str) -> Result<&str> {
    let line = answer.lines().find(|line| line.starts_with(";; flags:")).context("dig shows flags")?;
    Ok(line.split(';').nth(2).unwrap_or_default())
}

#[test]
fn a_changed_block_is_followed_and_touches_no_server() {
    on_site(|site| {
        let web = server_with(site, "")?;
        let (user_data, handshake) = (site.terraform.output_entry("user_data", "web")?, web.latest_handshake()?);
        let pid = site.translator()?.pid();
        assert!(!dig(web.host(), GATEWAY6, &["web.example", "AAAA"])?.contains("status:"), "nobody answers yet");
        let follows = |site: &mut Site, options: &str, expected: &str| -> Result<()> {
            let apply = site.set_gateway_options(options)?;
            assert!(apply.contains("0 added, 1 changed, 0 destroyed"), "{apply}");
            wait::until(options, LIMIT, || {
                let answer = short(web.host(), GATEWAY6, "web.example", "AAAA")?;
                Ok((answer == expected).then_some(()))
            })?;
            Ok(())
        };

        follows(site, &dns64(""), SYNTHESISED)?;
        follows(site, &dns64("no_synth = [\"web.example\"]"), "")?;
        follows(site, &dns64("prefix {\n prefix = \"2001:db8:64::/96\"\n }"), "2001:db8:64::cb00:7050")?;
        follows(site, &dns64("mapped = [\"!203.0.112.0/24\", \"any\"]"), "")?;
        follows(site, &dns64(""), SYNTHESISED)?;
        site.set_gateway_options("")?;
        wait::until("nobody to answer", LIMIT, || {
            let answer = dig(web.host(), GATEWAY6, &["web.example", "AAAA"])?;
            Ok((!answer.contains("status:")).then_some(()))
        })?;

        assert_eq!(site.terraform.output_entry("user_data", "web")?, user_data);
        assert_eq!((site.translator()?.pid(), web.latest_handshake()?), (pid, handshake));
        Ok(())
    });
}

#[test]
fn the_lan_may_ask_where_the_block_says_so_and_nobody_else() {
    on_site(|site| {
        let pi = PI_LAN.to_string();
        let block = |client: &str| dns64(&format!("listen = [\"{pi}\"]\n clients = [\"{client}\"]"));
        let _web = server_with(site, &block(&format!("{HOME_LAN}/32")))?;

        assert_eq!(short(&site.lab.home, &pi, "web.example", "AAAA")?, SYNTHESISED);
        site.set_gateway_options(&block("192.168.178.99"))?;

        wait::until("the router to be refused", LIMIT, || {
            Ok(dig(&site.lab.home, &pi, &["web.example", "AAAA"])?.contains("status: REFUSED").then_some(()))
        })?;
        Ok(())
    });
}
