//! Containers of a real Docker on a server that was told to configure it: its networks reach IPv4 as they stand.

use std::time::Duration;

use anyhow::Result;
use lab::Container;
use lab::container::{Archive, Stack};
use lab::site::on_site;
use lab::topology::{HOME_PUBLIC, WEB, WEB_NAME};
use serde_json::json;

const LIMIT: Duration = Duration::from_secs(120);

const DOCKER: Stack = Stack {
    name: "docker",
    archive: Archive::Debian,
    suite: "trixie",
    packages: &["ifupdown", "dhcpcd-base", "docker.io", "docker-cli", "busybox-static"],
};

/// A page, fetched by a container that is made for it, with these options.
fn fetch(server: &Container, options: &str, url: &str) -> Result<String> {
    server.run(&format!("docker run --rm {options} box /bin/busybox wget -q -T 20 -O - {url}"))
}

#[test]
fn docker_containers_reach_ipv4_with_and_without_ipv6_of_their_own() {
    on_site(|site| {
        site.terraform.set("docker", json!(true))?;
        let mut server = site.lab.add_container("web", &DOCKER)?;
        site.terraform.set("servers", json!({ "web": server.network().prefix() }))?;
        site.terraform.apply()?;
        // What `docker = true` names as the containers' resolver.
        site.lab.internet4.script("ip address add 1.1.1.1/32 dev lo")?;
        site.lab.home.script("ip route add 1.1.1.1/32 via 203.0.112.53")?;
        server.set_user_data(&site.terraform.output_entry("user_data", "web")?)?;
        site.start_translator(&[])?;
        server.boot()?;
        server.wait_for(
            "Docker",
            LIMIT,
            "docker info >/dev/null 2>&1; tar -C /usr -c bin/busybox | docker import - box",
        )?;
        let hello = format!("hello from an IPv4-only web server, you are {HOME_PUBLIC}\n");

        // As Compose and GitHub's runner make them.
        server.run("docker network create plain")?;
        let addresses =
            server.run("docker run --rm --network plain box /bin/busybox ip -6 address show dev eth0 scope global")?;
        assert_eq!(addresses, "", "a network without IPv6");
        assert_eq!(fetch(&server, "--network plain", &format!("http://{WEB}/"))?, hello);

        let addresses = server.run("docker run --rm box /bin/busybox ip -6 address show dev eth0 scope global")?;
        assert!(addresses.contains("inet6 2001:db8:1:1:d0c:"), "a slice of the server's own network: {addresses}");
        assert_eq!(fetch(&server, "", &format!("http://{WEB}/"))?, hello);
        assert_eq!(fetch(&server, "", "http://[64:ff9b::cb00:7050]/")?, hello);
        let mtu = server.run("docker run --rm box /bin/busybox cat /sys/class/net/eth0/mtu")?;
        assert_eq!(mtu, "1412\n");
        for network in ["bridge", "plain"] {
            let name = server
                .run(&format!("docker run --rm --network {network} box /bin/busybox nslookup -type=a {WEB_NAME}"))?;
            assert!(name.contains(&format!("Address: {WEB}\n")), "{network}: {name}");
        }
        Ok(())
    });
}
