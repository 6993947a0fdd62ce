//! `cargo xtask demo`: the main job on the lab, told as a person wants to see it.
//!
//! Ctrl-C needs no care: the lab's hosts live exactly as long as this process.

mod teller;

use std::process::ExitCode;

use anyhow::{Context as _, Result};
use lab::packages::Purpose;
use lab::site::Site;
use lab::terraform::Plan;
use lab::topology::{DNS, HOME_LAN, LARGE_FILE, LARGE_FILE_SHA256, WEB, WEB_NAME};
use lab::{Host, Server};
use nix::sys::signal::{SigSet, Signal};

use crate::cargo::build_binaries;
use teller::Teller;

#[derive(Debug, clap::Args)]
pub(crate) struct Options {
    /// Leave the lab up until Ctrl-C, and say how to enter its hosts
    #[arg(long)]
    keep: bool,
    /// Show the binaries as they were built last
    #[arg(long)]
    no_build: bool,
}

const PICTURE: &str = "
  workstation        web                internet6           home                     internet4
  terraform     ┌──────────────┐    ┌──────────────┐    ┌─────────────────────┐    ┌───────────────┐
  writes the    │ IPv6 only    │────│ routes, DNS64│────│ router: nothing new │────│ IPv4 only     │
  document      │ 2001:db8:1:1 │    └──────────────┘    │ in; masquerades IPv4│    │ web.example   │
                │         ::1  │                        └──────────┬──────────┘    │ 203.0.112.80  │
                └──────────────┘     WireGuard, dialled            pi              │ DNS .53       │
                       ▲            from inside the home   hetznat-translator      └───────────────┘
                       └───────────────────────────────────────────┘";

pub(crate) fn run(options: &Options) -> Result<ExitCode> {
    let mut teller = Teller::new();
    lab::packages::install(Purpose::Lab, |line| teller.note(line))?;
    let terraform = lab::binaries::terraform()?;
    if !options.no_build {
        teller.note("building the provider and the translator");
        build_binaries()?;
    }

    teller.restart();
    teller.text(PICTURE);
    teller.title(&format!("The lab: six hosts made of network namespaces; {}", terraform.version));
    let mut site = Site::start()?;
    let outcome = tell(&teller, &mut site, options);
    if outcome.is_err() {
        eprintln!("{}", site.report());
    }
    drop(site);
    outcome?;
    teller.title("Everything is taken down; nothing is left behind");
    Ok(ExitCode::SUCCESS)
}

fn tell(teller: &Teller, site: &mut Site, options: &Options) -> Result<()> {
    let web = site.lab.add_server("web")?;
    before(teller, &web)?;
    apply(teller, site, &web)?;
    connect(teller, site, &web)?;
    use_it(teller, &web)?;
    download(teller, site, &web)?;
    stay_out(teller, site, &web)?;

    teller.title("What the translator says");
    teller.said(site.lab.pi.name(), "hetznat-translator status", &site.translator()?.status_text(&[])?);
    if options.keep {
        keep(teller, site, &web)?;
    }
    end(teller, site)
}

fn before(teller: &Teller, web: &Server) -> Result<()> {
    teller.title("A new server: it has IPv6 and DNS64, and still no way to IPv4");
    teller.fails(web.host(), &["curl", "-sS", "--max-time", "2", "http://web.example/"])
}

fn apply(teller: &Teller, site: &mut Site, web: &Server) -> Result<()> {
    let workstation = site.lab.workstation.name().to_owned();
    teller.title("terraform plans and applies a gateway, a peer and a server");
    site.terraform.set_servers(&[web])?;
    let Plan::Changes(plan) = site.terraform.plan()? else { anyhow::bail!("the first plan is empty") };
    teller.said(&workstation, "terraform plan", &lines(&plan, &["  # ", "Plan:"]));
    let applied = site.terraform.apply()?;
    teller.said(&workstation, "terraform apply", &lines(&applied, &["Creation complete", "Apply complete"]));
    Ok(())
}

fn connect(teller: &Teller, site: &mut Site, web: &Server) -> Result<()> {
    teller.title("The translator starts at home and dials; the server boots with what terraform rendered");
    site.start_translator(&[])?;
    let took = site.connect(web)?;
    teller.text(&format!("  tunnel up {:.1} s after the server's boot", took.as_secs_f64()));
    teller.works(web.host(), &["wg", "show", lab::server::INTERFACE])
}

fn use_it(teller: &Teller, web: &Server) -> Result<()> {
    teller.title("A page by name (DNS64 and NAT64), by embedded address, by IPv4 literal (NAT44)");
    for host in [WEB_NAME.to_owned(), format!("[64:ff9b::{WEB}]"), WEB.to_string()] {
        teller.works(web.host(), &["curl", "-sS", "--max-time", "10", &format!("http://{host}/")])?;
    }
    teller.title("Ping and UDP, both ways");
    for address in [format!("64:ff9b::{WEB}"), WEB.to_string()] {
        teller.works(web.host(), &["ping", "-n", "-c", "2", "-i", "0.2", "-W", "5", &address])?;
    }
    for server in [format!("@64:ff9b::{DNS}"), format!("@{DNS}")] {
        teller.works(web.host(), &["dig", &server, "+short", WEB_NAME, "A"])?;
    }
    Ok(())
}

fn download(teller: &Teller, site: &Site, web: &Server) -> Result<()> {
    site.lab.publish_large_file()?;
    teller.title("A file of 200 MB by name");
    let told = "fetched %{size_download} bytes from %{remote_ip} in %{time_total} s\\n";
    let path = web.host().directory().join(LARGE_FILE);
    let path = path.to_str().context("a path is text")?;
    let url = format!("http://{WEB_NAME}/{LARGE_FILE}");
    teller.works(web.host(), &["curl", "-sS", "--fail", "--max-time", "60", "-o", path, "-w", told, &url])?;
    teller.works(web.host(), &["sh", "-c", &format!("echo {LARGE_FILE_SHA256} {path} | sha256sum --check")])
}

fn stay_out(teller: &Teller, site: &Site, web: &Server) -> Result<()> {
    teller.title("What is at home stays out of reach");
    let page = format!("http://{HOME_LAN}/");
    let _router = site.lab.serve_page(&site.lab.home, "::", "the home's router")?;
    teller.works(&site.lab.pi, &["curl", "-sS", "--max-time", "2", &page])?;
    for url in [&page, &format!("http://[64:ff9b::{HOME_LAN}]/")] {
        teller.fails(web.host(), &["curl", "-sS", "--max-time", "2", url])?;
    }
    Ok(())
}

fn keep(teller: &Teller, site: &Site, web: &Server) -> Result<()> {
    teller.title("The lab stays up until Ctrl-C; in another terminal, as root:");
    let lab = &site.lab;
    let hosts: [&Host; 6] = [web.host(), &lab.pi, &lab.home, &lab.internet6, &lab.internet4, &lab.workstation];
    for host in hosts {
        teller.text(&format!("  {:<12} {}", host.name(), host.entry()));
    }
    let directory = site.terraform.directory().display();
    teller.text(&format!("\n  on pi: {}", site.translator()?.status_command()));
    teller.text(&format!("  on workstation: cd {directory} && TF_CLI_CONFIG_FILE=$PWD/terraform.rc terraform plan"));
    // Waited for rather than died of: the tear-down is part of what is shown.
    let signals: SigSet = [Signal::SIGINT, Signal::SIGTERM].into_iter().collect();
    signals.thread_block()?;
    signals.wait().map(drop).context("waiting for Ctrl-C")
}

fn end(teller: &Teller, site: &mut Site) -> Result<()> {
    teller.title("terraform destroys, the translator stops");
    let destroyed = site.terraform.destroy()?;
    let workstation = site.lab.workstation.name();
    teller.said(workstation, "terraform destroy", &lines(&destroyed, &["Destruction complete", "Destroy complete"]));
    site.translator()?.wait_for_document("withdrawn")?;
    let status = site.stop_translator()?;
    teller.text(&format!("  the translator ended with {status}"));
    Ok(())
}

/// The lines that contain one of these.
fn lines(text: &str, telling: &[&str]) -> String {
    let lines: Vec<_> = text.lines().filter(|line| telling.iter().any(|word| line.contains(word))).collect();
    lines.join("\n")
}
