//! What a connected server can do: every form of reaching the IPv4 internet, and a download that arrives whole.

use lab::site::on_site;
use lab::topology::{DNS, HOME_PUBLIC, LARGE_FILE, LARGE_FILE_SHA256, WEB, WEB_NAME};

#[test]
fn a_server_fetches_a_page_by_name_by_embedded_address_and_by_ipv4_literal() {
    on_site(|site| {
        let web = site.with_connected_server("web")?;

        for host in [WEB_NAME.to_owned(), format!("[64:ff9b::{WEB}]"), WEB.to_string()] {
            let page = web.curl(&format!("http://{host}/"))?;

            assert_eq!(page, format!("hello from an IPv4-only web server, you are {HOME_PUBLIC}\n"), "by {host}");
        }
        let way = web.host().run(&["curl", "-sS", "-o", "/dev/null", "-w", "%{remote_ip}", "http://web.example/"])?;
        assert_eq!(way, "64:ff9b::cb00:7050", "a name leads through DNS64");
        Ok(())
    });
}

#[test]
fn a_server_asks_a_dns_server_over_udp_both_ways() {
    on_site(|site| {
        let web = site.with_connected_server("web")?;

        for server in [format!("64:ff9b::{DNS}"), DNS.to_string()] {
            assert_eq!(web.dig(&server, WEB_NAME)?, WEB.to_string(), "from {server}");
        }
        Ok(())
    });
}

#[test]
fn a_server_pings_both_ways() {
    on_site(|site| {
        let web = site.with_connected_server("web")?;

        for address in [format!("64:ff9b::{WEB}"), WEB.to_string()] {
            web.ping(&address)?;
        }
        Ok(())
    });
}

#[test]
fn what_is_larger_than_a_packet_arrives_in_fragments_both_ways() {
    on_site(|site| {
        let web = site.with_connected_server("web")?;

        for address in [format!("64:ff9b::{WEB}"), WEB.to_string()] {
            web.host().run(&["ping", "-n", "-c", "2", "-i", "0.2", "-W", "5", "-s", "4000", &address])?;
        }
        assert_eq!(site.translator()?.dropped("fragments_incomplete")?, 0);
        Ok(())
    });
}

#[test]
fn a_server_pings_the_gateway_itself() {
    on_site(|site| {
        let web = site.with_connected_server("web")?;
        let gateway = site.translator()?.status()?["gateway"].take();

        for address in ["address6", "address4"] {
            web.ping(gateway[address].as_str().unwrap())?;
        }
        Ok(())
    });
}

#[test]
fn two_hundred_megabytes_arrive_whole_by_name_and_by_literal() {
    on_site(|site| {
        site.lab.publish_large_file()?;
        let web = site.with_connected_server("web")?;

        for host in [WEB_NAME.to_owned(), WEB.to_string()] {
            let download = format!("curl -sS --fail --max-time 100 http://{host}/{LARGE_FILE} | sha256sum");
            let sum = web.host().script(&download)?;

            assert_eq!(sum.split(' ').next(), Some(LARGE_FILE_SHA256), "by {host}");
        }
        Ok(())
    });
}

#[test]
fn an_upload_arrives_whole() {
    on_site(|site| {
        let web = site.with_connected_server("web")?;
        let file = web.host().directory().join("upload");
        lab::topology::write_large_file(&mut std::fs::File::create(&file)?, 30_000_000)?;
        let file = file.to_str().unwrap();
        let sum = web.host().run(&["sha256sum", file])?;

        for host in [WEB_NAME.to_owned(), WEB.to_string()] {
            let url = format!("http://{host}/");
            let received = web.host().run(&["curl", "-sS", "--fail", "--max-time", "60", "-T", file, &url])?;

            assert_eq!(received.trim(), &sum[..64], "by {host}");
        }
        Ok(())
    });
}
