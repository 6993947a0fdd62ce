//! A server that boots by itself: what Terraform rendered, Debian's cloud-init and kernel, and nobody's hand.

use std::io::{self, Write as _};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use lab::hetzner::Hetzner;
use lab::machine::{BOOT_LIMIT, Machine};
use lab::site::{Site, on_site};
use lab::topology::{HOME_PUBLIC, WEB, WEB_NAME};
use lab::{debian, wait};
use serde_json::json;

/// A timer of a minute, or a gateway's silence, and the rest of a busy machine.
const HEAL_LIMIT: Duration = Duration::from_secs(240);

/// What the user wants of the server besides: SSH for the test, and a package that only the IPv4 internet has.
fn wishes(public_key: &str) -> String {
    format!(
        "#cloud-config
disable_root: false
users: [{{name: root, ssh_authorized_keys: ['{public_key}']}}]
ssh_genkeytypes: [ed25519]
locale: false
apt: {{preserve_sources_list: false, sources_list: 'deb [trusted=yes] http://{WEB_NAME}/debian ./'}}
package_update: true
packages: [{}]
runcmd: [touch /run/user-runcmd]
",
        debian::PACKAGE
    )
}

/// A machine with its peer applied, and its user data: ours with the user's beside it.
fn prepared(site: &mut Site) -> Result<(Machine, String)> {
    debian::publish(&site.lab.web_directory()?)?;
    let machine = site.lab.add_machine("web")?;
    site.terraform.set("servers", json!({ "web": machine.network().prefix() }))?;
    site.terraform.set("extra_user_data", json!({ "web": wishes(&machine.public_key()?) }))?;
    site.terraform.apply()?;
    let user_data = site.terraform.output_entry("user_data", "web")?;
    Ok((machine, user_data))
}

/// The IPv4 internet by name and by literal, over the tunnel.
fn check_ipv4(machine: &Machine) -> Result<()> {
    for host in [WEB_NAME.to_owned(), WEB.to_string()] {
        let page = machine.run(&format!("curl -sS --fail --max-time 20 http://{host}/"))?;
        assert_eq!(page, format!("hello from an IPv4-only web server, you are {HOME_PUBLIC}\n"), "by {host}");
    }
    let way = machine.run(&format!("curl -sS -o /dev/null -w '%{{remote_ip}}' http://{WEB_NAME}/"))?;
    assert_eq!(way, "64:ff9b::cb00:7050", "a name leads through public DNS64");
    Ok(())
}

/// Until the IPv4 internet has seen the machine: the page that its first request asks for.
fn first_ipv4_byte(site: &Site, since: Instant) -> Result<Duration> {
    let asked = || site.lab.requests().contains("/debian/");
    wait::until("the first byte over IPv4", BOOT_LIMIT, || Ok(asked().then_some(())))?;
    Ok(since.elapsed())
}

/// Not by a macro, whose words a test that succeeds keeps to itself.
fn tell(what: &str, took: Duration) -> Result<()> {
    Ok(writeln!(io::stderr(), "{what}: {:.1} s", took.as_secs_f32())?)
}

#[test]
fn a_first_boot_brings_ipv4_packages_and_the_same_again_after_a_reboot() {
    on_site(|site| {
        let (mut machine, user_data) = prepared(site)?;
        site.start_translator(&[])?;

        let on = machine.power_on(&user_data)?;
        let first = first_ipv4_byte(site, on).with_context(|| machine.report())?;
        tell("from power-on to the first byte over IPv4", first)?;
        machine.wait_for(
            "cloud-init's end",
            BOOT_LIMIT,
            "test -e /run/user-runcmd; cloud-init status | grep -q 'status: done'",
        )?;

        check_kernel_tunnel(site, &machine)?;
        check_ipv4(&machine)?;
        check_files(&machine)?;
        assert_eq!(machine.run(&format!("cat {}", debian::FILE))?, debian::CONTENT);

        let again = machine.reboot()?;
        machine.wait_for("IPv4 after a reboot", BOOT_LIMIT, &format!("curl -sS --fail --max-time 5 http://{WEB}/"))?;
        tell("from a reboot to IPv4", again.elapsed())?;
        machine.run("! test -e /run/user-runcmd")?;
        check_kernel_tunnel(site, &machine)?;
        check_ipv4(&machine)?;
        check_files(&machine)?;
        check_refusal(&machine)
    });
}

/// A kernel without WireGuard, as that of Rocky 8, is told from one that has it.
fn check_refusal(machine: &Machine) -> Result<()> {
    let said = machine.run(
        "echo 'install wireguard /bin/false' >/etc/modprobe.d/none.conf; hetznat down; modprobe -r wireguard
         hetznat up 2>&1 && exit 1; rm /etc/modprobe.d/none.conf; hetznat up",
    )?;
    assert!(
        said.contains("hetznat: Linux 6.1.") && said.contains("has no WireGuard; use an image with Linux 5.6"),
        "{said}"
    );
    Ok(())
}

/// A group with everything that can be asked of a first boot.
const GROUP: &str = r#"
variable "group" {
  type = string
}

resource "hetznat_peer_group" "workers" {
  gateway         = hetznat_gateway.home.link
  name            = "workers"
  metadata_guard  = true
  docker          = true
  extra_user_data = var.group
}

output "group" {
  value     = { user_data = hetznat_peer_group.workers.user_data }
  sensitive = true
}
"#;

/// A machine that a group's labels are on, and the user data that all of the group have.
fn member(site: &mut Site, hetzner: &Hetzner) -> Result<(Machine, String)> {
    debian::publish(&site.lab.web_directory()?)?;
    let mut machine = site.lab.add_machine("worker")?;
    site.terraform.set("group", json!(wishes(&machine.public_key()?)))?;
    site.terraform.write("group.tf", GROUP)?;
    site.terraform.apply()?;
    let labels = json!({ "hetznat-gateway": "home", "hetznat-group": "workers" });
    let rented = hetzner.create_servers(&site.lab.internet6, &[("worker", labels)])?.remove(0);
    assert_eq!(rented.network, machine.network().prefix(), "the lab and Hetzner count alike");
    machine.set_instance_id(rented.id);
    Ok((machine, site.terraform.output_entry("group", "user_data")?))
}

/// The member makes its key itself, and the gateway, which finds it by its label, makes the same.
#[test]
fn a_member_of_a_group_bears_a_gateway_that_is_late_and_one_that_goes_away() {
    on_site(|site| {
        let hetzner = site.lab.start_hetzner()?;
        let (mut machine, user_data) = member(site, &hetzner)?;
        let on = machine.power_on(&user_data)?;

        machine.wait_for("SSH without a gateway", BOOT_LIMIT, "true")?;
        tell("from power-on to SSH", on.elapsed())?;
        check_waiting(&machine)?;
        let came = Instant::now();
        site.start_translator_with(&hetzner)?;
        let first = first_ipv4_byte(site, came).with_context(|| machine.report())?;
        tell("from the gateway's start to the first byte over IPv4", first)?;
        machine.wait_for("the user's package", BOOT_LIMIT, &format!("cat {}", debian::FILE))?;
        check_ipv4(&machine)?;
        check_guard(&machine)?;
        check_containers(&machine)?;
        check_healing(&mut machine)?;
        check_silence(site, &hetzner, &mut machine)?;
        check_fence(site, &machine)
    });
}

/// Packages wait for the gateway, SSH does not; and what needs IPv4 is told at once that there is none.
fn check_waiting(machine: &Machine) -> Result<()> {
    let states =
        machine.run("systemctl show --property=ActiveState --value hetznat-wait.service cloud-final.service")?;
    assert_eq!(states, "activating\n\ninactive\n");
    check_fails_at_once(machine)?;
    let status = machine.run("hetznat-status || echo failed")?;
    assert!(
        status.contains("BAD  gateway  has never connected; is it running there") && status.contains("failed"),
        "{status}"
    );
    Ok(())
}

fn check_fails_at_once(machine: &Machine) -> Result<()> {
    for host in [WEB.to_string(), WEB_NAME.to_owned()] {
        let said = machine.run(&format!("curl -sS --max-time 20 http://{host}/ 2>&1 || :"))?;
        assert!(said.contains("Failed to connect") || said.contains("Couldn't connect"), "{host}: {said}");
        assert!(!said.contains("timed out"), "{host}: {said}");
    }
    Ok(())
}

/// Root asks the metadata service, as cloud-init does; nobody else does.
fn check_guard(machine: &Machine) -> Result<()> {
    let ask = "curl -sS -o /dev/null --fail --max-time 20 http://169.254.169.254/hetzner/v1/userdata";
    machine.run(ask)?;
    let refused = machine.run(&format!("setpriv --reuid=nobody --clear-groups {ask} 2>&1 || echo refused"))?;
    assert!(refused.contains("refused") && !refused.contains("timed out"), "{refused}");
    Ok(())
}

/// A bridge as Docker makes it, IPv4 only and masqueraded, with a container on it.
fn check_containers(machine: &Machine) -> Result<()> {
    let json = machine.run("cat /etc/docker/daemon.json")?;
    let expected = json!({
        "experimental": true, "ipv6": true, "ip6tables": true, "fixed-cidr-v6": "2001:db8:1:1:d0c::/80",
        "dns": ["1.1.1.1", "8.8.8.8"], "mtu": 1412,
    });
    assert_eq!(serde_json::from_str::<serde_json::Value>(&json)?, expected);
    machine.run(
        "ip netns add container; ip link add docker0 type bridge; ip addr add 172.17.0.1/16 dev docker0; ip link set docker0 up
         ip link add veth0 type veth peer name eth0 netns container; ip link set veth0 master docker0 up
         ip -n container addr add 172.17.0.2/16 dev eth0; ip -n container link set eth0 up; ip -n container route add default via 172.17.0.1
         sysctl -q net.ipv4.ip_forward=1
         nft 'table ip masq { chain post { type nat hook postrouting priority 100; ip saddr 172.17.0.0/16 oifname != docker0 masquerade; }; }'",
    )?;
    let page = machine.run(&format!("ip netns exec container curl -sS --fail --max-time 20 http://{WEB}/"))?;
    assert_eq!(page, format!("hello from an IPv4-only web server, you are {HOME_PUBLIC}\n"));
    let metadata = "ip netns exec container curl -sS --max-time 20 http://169.254.169.254/ 2>&1 || echo refused";
    assert!(machine.run(metadata)?.contains("refused"), "a container reads no user data");
    Ok(())
}

/// Whatever a DHCP client or a restart takes away, the timer puts back.
fn check_healing(machine: &mut Machine) -> Result<()> {
    machine.run(
        "ip rule del pref 32701; ip route flush table 46464; ip -6 route del 64:ff9b::/96 dev hetznat0; nft delete table inet hetznat",
    )?;
    let whole =
        "ip route get 203.0.112.80 | grep -q 'dev hetznat0'; ip -6 route show 64:ff9b::/96 dev hetznat0 | grep -q .
                 nft list table inet hetznat >/dev/null; hetznat-status";
    let status = machine.wait_for("routes and firewall to heal", HEAL_LIMIT, whole)?;
    assert_eq!(status.matches("ok   ").count(), 5, "{status}");
    Ok(())
}

/// The gateway loses its power: soon nothing hangs any more; when it is back, so is everything.
fn check_silence(site: &mut Site, hetzner: &Hetzner, machine: &mut Machine) -> Result<()> {
    site.kill_translator()?;
    machine.wait_for("the silence to be noticed", HEAL_LIMIT, "test -e /run/hetznat.away")?;
    check_fails_at_once(machine)?;
    let status = machine.run("hetznat-status || echo failed")?;
    assert!(
        status.contains("BAD  gateway  silent, last handshake ") && status.contains("BAD  ipv4     off until"),
        "{status}"
    );
    site.start_translator_with(hetzner)?;
    machine.wait_for(
        "IPv4 again",
        HEAL_LIMIT,
        &format!("curl -sS --fail --max-time 5 http://{WEB}/; hetznat-status"),
    )?;
    Ok(())
}

/// Somebody at home who has the gateway's key tries the server's ports through the tunnel.
fn check_fence(site: &mut Site, machine: &Machine) -> Result<()> {
    let status = site.translator()?.status()?;
    site.stop_translator()?;
    let document: serde_json::Value = serde_json::from_str(&std::fs::read_to_string(site.lab.document())?)?;
    let text = |value: &serde_json::Value| value.as_str().unwrap_or_default().to_owned();
    let (key, member) = (text(&document["gateways"]["home"]["private_key"]), &status["datapath"]["peers"][0]);
    let (server, ipv4) = (text(&member["public_key"]), text(&member["ipv4"]));
    let pi = &site.lab.pi;
    let file = pi.directory().join("intruder.conf");
    std::fs::write(
        &file,
        format!(
            "[Interface]\nPrivateKey = {key}\nAddress = 198.18.0.1/32\n[Peer]\nPublicKey = {server}\n\
         AllowedIPs = {ipv4}/32\nEndpoint = [{}]:46464\n",
            machine.network().address()
        ),
    )?;
    let file = file.display().to_string();
    pi.run(&["env", "WG_QUICK_USERSPACE_IMPLEMENTATION=wireguard-go", "wg-quick", "up", &file])?;

    wait::until("the intruder's tunnel", HEAL_LIMIT, || {
        pi.run(&["ping", "-n", "-c", "1", "-W", "2", &ipv4]).map(Some)
    })?;
    let door = format!("telnet://{ipv4}:22");
    let knock = ["curl", "-s", "--max-time", "10", &door];
    let banner = |output: std::process::Output| String::from_utf8_lossy(&output.stdout).starts_with("SSH-2.0");
    assert!(!banner(pi.attempt(&knock)?), "home connected to the server through the tunnel");
    machine.run("nft delete table inet hetznat")?;
    assert!(banner(pi.attempt(&knock)?), "without the fence it can: the question is a good one");
    pi.run(&["env", "WG_QUICK_USERSPACE_IMPLEMENTATION=wireguard-go", "wg-quick", "down", &file])?;
    Ok(())
}

/// The guest's own kernel speaks WireGuard, and the translator has shaken hands with it.
fn check_kernel_tunnel(site: &Site, machine: &Machine) -> Result<()> {
    let link = machine
        .run("ip -details link show dev hetznat0; test -d /sys/module/wireguard; cat /sys/class/net/hetznat0/mtu")?;
    assert!(link.contains("wireguard") && link.ends_with("1412\n"), "{link}");
    assert_eq!(machine.run("command -v wg || :")?, "", "no package was needed for it");
    let status = site.translator()?.status()?;
    let peers = status["datapath"]["peers"].as_array().context("peers")?;
    assert!(peers.len() == 1 && peers[0]["latest_handshake_secs_ago"].is_u64(), "{peers:?}");
    Ok(())
}

/// Secrets are root's; programs are everybody's to read; the metadata service stays on the uplink.
fn check_files(machine: &Machine) -> Result<()> {
    let modes = machine.run(
        "cd /; stat -c '%a %U %n' etc/hetznat etc/hetznat/wg.key etc/hetznat/conf usr/local/sbin/hetznat \
         usr/local/lib/hetznat/wg.py etc/systemd/system/hetznat.service etc/resolv.conf",
    )?;
    let expected = "700 root etc/hetznat\n600 root etc/hetznat/wg.key\n600 root etc/hetznat/conf\n\
                    755 root usr/local/sbin/hetznat\n644 root usr/local/lib/hetznat/wg.py\n\
                    644 root etc/systemd/system/hetznat.service\n644 root etc/resolv.conf\n";
    assert_eq!(modes, expected);
    let resolvers = machine.run("grep nameserver /etc/resolv.conf")?;
    assert!(resolvers.starts_with("nameserver 2606:4700:4700::64\n"), "{resolvers}");
    assert!(!resolvers.contains("185.12.64.1"), "the lease's resolver is not asked: {resolvers}");
    let way = machine.run("ip route get 169.254.169.254; ip -6 route get 64:ff9b::1")?;
    assert!(way.contains("dev eth0") && way.contains("dev hetznat0"), "{way}");
    machine.run("curl -sS --fail --max-time 20 http://169.254.169.254/hetzner/v1/metadata | grep -q instance-id")?;
    Ok(())
}
