//! The stand-alone mode in use: a router with a translator between hosts that have IPv6 only and hosts that have IPv4 only.
//!
//! ```text
//!  client ── 2001:db8::/64 ── router ── 203.0.112.0/24 ── server
//! ```
//! The kernel does everything but the translation. No tunnels, no terraform, no masquerading: the server routes pool4 to
//! the router.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, Result};

use crate::directory::Directory;
use crate::{Host, Process, Translator, site, wait, web};

/// The client's address; it has no IPv4.
pub const CLIENT: &str = "2001:db8::5";
/// The router's IPv4 address.
pub const ROUTER: &str = "203.0.112.1";
/// The server's address; it has no IPv6.
pub const SERVER: &str = "203.0.112.80";
/// What the router translates to.
pub const POOL4: &str = "203.0.114.2";

const LIMIT: Duration = Duration::from_secs(20);

const CLIENT_SET_UP: &str = "
ip address add 2001:db8::5/64 dev eth0
ip route add default via 2001:db8::1";

const ROUTER_SET_UP: &str = "
echo 1 >/proc/sys/net/ipv6/conf/all/forwarding
echo 1 >/proc/sys/net/ipv4/ip_forward
ip address add 2001:db8::1/64 dev lan
ip address add 203.0.112.1/24 dev wan";

const SERVER_SET_UP: &str = "
echo 1 >/proc/sys/net/ipv6/conf/all/disable_ipv6
ip address add 203.0.112.80/24 dev eth0
ip route add 203.0.114.0/24 via 203.0.112.1";

/// A client, whatever stands in the middle, and a server that routes pool4 to it. The links have no addresses in the middle
/// and on the client yet.
pub(crate) fn hosts_in_a_row(directory: &Directory, middle: &str) -> Result<(Host, Arc<Host>, Host)> {
    let host = |name: &str| Host::start(name, directory.subdirectory(name)?);
    let (client, middle, server) = (host("client")?, Arc::new(host(middle)?), host("server")?);
    middle.link("lan", &client, "eth0", 1)?;
    middle.link("wan", &server, "eth0", 2)?;
    server.script(SERVER_SET_UP)?;
    Ok((client, middle, server))
}

/// The hosts, and the translator on the one in the middle.
#[derive(Debug)]
pub struct Router {
    // Dropped in this order: what runs in the hosts, the hosts, then the files.
    translator: Option<Translator>,
    services: Vec<Process>,
    /// IPv6 only.
    pub client: Host,
    /// Both.
    pub router: Arc<Host>,
    /// IPv4 only, with a web server.
    pub server: Host,
    directory: Directory,
}

impl Router {
    /// The hosts and the server's web server, without a translator.
    ///
    /// # Errors
    /// Not root, or a program of [`crate::packages`] is missing.
    pub fn start() -> Result<Self> {
        let directory = Directory::create()?;
        let (client, router, server) = hosts_in_a_row(&directory, "router")?;
        client.script(CLIENT_SET_UP)?;
        router.script(ROUTER_SET_UP)?;
        let page = web::serve(&server, "0.0.0.0", &directory.subdirectory("www")?, "an IPv4-only web server")?;
        Ok(Self { translator: None, services: vec![page], client, router, server, directory })
    }

    /// Starts the stand-alone mode.
    ///
    /// # Errors
    /// It did not come up.
    pub fn translate(&mut self, options: &[&str]) -> Result<()> {
        let fixed = ["--pool6", "64:ff9b::/96", "--pool4", POOL4];
        let translator = Translator::start_nat64(Arc::clone(&self.router), &[&fixed, options].concat())?;
        self.translator = Some(translator);
        Ok(())
    }

    /// The running translator.
    ///
    /// # Errors
    /// None was started.
    pub fn translator(&self) -> Result<&Translator> {
        self.translator.as_ref().context("no translator was started")
    }

    /// Stops the translator with SIGTERM and says how it ended.
    ///
    /// # Errors
    /// None was started, or it does not stop.
    pub fn stop_translator(&mut self) -> Result<std::process::ExitStatus> {
        self.translator.take().context("no translator was started")?.stop()
    }

    /// A web server on the client's port 80.
    ///
    /// # Errors
    /// It did not come up.
    pub fn serve_page_of_the_client(&mut self) -> Result<()> {
        let page = web::serve(&self.client, "::", &self.directory.subdirectory("www6")?, "an IPv6-only web server")?;
        self.services.push(page);
        Ok(())
    }

    /// A service on a host that sends every datagram back and says where it came from.
    ///
    /// # Errors
    /// It did not come up.
    pub fn echo(&self, host: &Host, address: &str, port: u16) -> Result<Process> {
        let (script, port) = (include_str!("udp_echo.py"), port.to_string());
        let echo = host.spawn("echo", &["python3", "-c", script, address, &port])?;
        wait::until("the echo service", LIMIT, || Ok(echo.log().contains("ready").then_some(())))?;
        Ok(echo)
    }

    /// The directory of the server's web server.
    ///
    /// # Errors
    /// The disk is full.
    pub fn web_directory(&self) -> Result<PathBuf> {
        self.directory.subdirectory("www")
    }

    /// Everything in the router's kernel that a translator could change.
    ///
    /// # Errors
    /// A program of [`crate::packages`] is missing.
    pub fn kernel_state(&self) -> Result<String> {
        self.router.script(
            "ip -brief address; ip rule; ip -6 rule; ip route show table all; ip -6 route show table all; \
             nft list ruleset; cat /proc/sys/net/ipv4/ip_forward /proc/sys/net/ipv6/conf/all/forwarding",
        )
    }

    fn report(&self) -> String {
        let Some(translator) = &self.translator else { return "the translator is not running".to_owned() };
        let status = translator.status_text(&[]).unwrap_or_else(|error| format!("{error:#}"));
        format!("== translator's status\n{status}\n== translator's log\n{}", translator.log())
    }
}

/// What comes back for one datagram.
///
/// # Errors
/// Nothing comes back within 3 s.
pub fn udp(host: &Host, address: &str, port: u16, text: &str) -> Result<String> {
    let script = include_str!("udp_ask.py");
    host.run(&["python3", "-c", script, address, &port.to_string(), text]).map(|answer| answer.trim().to_owned())
}

/// One `ping` with these options, whatever becomes of it; what it printed.
///
/// # Errors
/// It could not be started.
pub fn ping(host: &Host, options: &[&str]) -> Result<String> {
    let fixed = ["ping", "-n", "-c", "1", "-W", "2"];
    let output = host.attempt(&[&fixed, options].concat())?;
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

/// Runs a test on hosts of its own; when it fails, prints what the translator knows.
///
/// # Panics
/// With the test's error or panic.
pub fn on_router(test: impl FnOnce(&mut Router) -> Result<()>) {
    site::run(Router::start(), test, Router::report);
}
