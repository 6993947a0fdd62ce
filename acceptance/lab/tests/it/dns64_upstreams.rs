//! Upstreams over TLS and HTTPS that other people wrote: Debian's BIND, with a certificate of an authority of our own.

use std::time::Duration;

use anyhow::{Context as _, Result};
use lab::{Host, Process, wait};

const LIMIT: Duration = Duration::from_secs(20);

/// An authority, and a certificate of it for the server's name and address, by Debian's own Python.
const CERTIFY: &str = r"
import datetime, ipaddress
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

begin = datetime.datetime(2000, 1, 1)
def name(text): return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, text)])
def certificate(subject, key, extension):
    builder = x509.CertificateBuilder().subject_name(name(subject)).issuer_name(name('root')).public_key(key.public_key())
    builder = builder.serial_number(x509.random_serial_number()).not_valid_before(begin)
    builder = builder.not_valid_after(datetime.datetime(2100, 1, 1)).add_extension(extension, False)
    return builder.sign(root_key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM)
root_key, key = ec.generate_private_key(ec.SECP256R1()), ec.generate_private_key(ec.SECP256R1())
names = [x509.DNSName('resolver.example'), x509.IPAddress(ipaddress.ip_address('127.0.0.2'))]
open('root.pem', 'wb').write(certificate('root', root_key, x509.BasicConstraints(True, None)))
open('server.pem', 'wb').write(certificate('server', key, x509.SubjectAlternativeName(names)))
open('server.key', 'wb').write(key.private_bytes(
    serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()))
";

/// Every name of the zone has the same address.
const SERVE: &str = r#"
set -eu
ip address add 127.0.0.2/8 dev lo
cd "$1"
/usr/bin/python3 certify.py
printf '$TTL 300\n@ SOA ns hostmaster 1 7200 900 604800 300\n@ NS ns\nns A 127.0.0.2\n* A 203.0.112.80\n' >zone
cat >named.conf <<EOF
tls lab { cert-file "$1/server.pem"; key-file "$1/server.key"; };
http lab { endpoints { "/dns-query"; }; };
options {
    directory "$1"; pid-file "$1/named.pid"; session-keyfile "$1/session.key"; recursion no; dnssec-validation no;
    listen-on-v6 { none; };
    listen-on port 853 tls lab { 127.0.0.2; };
    listen-on port 443 tls lab http lab { 127.0.0.2; };
};
controls { };
zone "lab.example" { type primary; file "zone"; };
EOF
"#;

const MADE: &str = "64:ff9b::cb00:7050";

/// Each start needs a name of its own: logs are appended to, and what an earlier one said is no sign of this one.
fn named(host: &Host, place: &str, start: &str) -> Result<Process> {
    let named = host.spawn(start, &["named", "-g", "-u", "root", "-c", &format!("{place}/named.conf")])?;
    wait::until("named", LIMIT, || Ok(named.log().lines().any(|line| line.ends_with(" running")).then_some(())))
        .with_context(|| named.log())?;
    Ok(named)
}

fn ask(host: &Host, name: &str) -> Result<String> {
    let output = host.attempt(&["dig", "+tries=1", "+time=5", "@127.0.0.1", name, "AAAA"])?;
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

/// Many names over one connection, nothing while the server is gone, and answers again when it is back.
fn story(host: &Host, place: &str, upstream: &str) -> Result<()> {
    let config = format!("{place}/dns64.json");
    let text = format!(r#"{{ "listen": ["127.0.0.1"], "upstreams": ["{upstream}"], "ca_file": "{place}/root.pem" }}"#);
    std::fs::write(&config, text)?;
    let scheme = upstream.split_once(':').map_or(upstream, |(scheme, _)| scheme);
    let server = named(host, place, &format!("{scheme}-named"))?;
    let translator = lab::binaries::built(lab::binaries::TRANSLATOR)?;
    let resolver = host.spawn("dns64", &[translator.to_str().context("text")?, "dns64", "--config", &config])?;
    wait::until("the resolver", LIMIT, || Ok(ask(host, "ipv4only.arpa")?.contains("status: NOERROR").then_some(())))?;

    for number in 0..10 {
        let said = ask(host, &format!("n{number}.lab.example"))?;
        assert!(said.contains(MADE), "{upstream}: {said}\n{}", resolver.log());
    }
    let connections = host.run(&["ss", "-Htn", "state", "established", "dst", "127.0.0.2"])?;
    assert_eq!(connections.lines().count(), 1, "{upstream}: {connections}");
    drop(server);
    let without = ask(host, "without.lab.example")?;
    assert!(without.contains("status: SERVFAIL"), "{upstream}: {without}");
    let _server = named(host, place, &format!("{scheme}-named-again"))?;
    let said = ask(host, "again.lab.example")?;
    assert!(said.contains(MADE), "{upstream}: {said}\n{}", resolver.log());
    Ok(())
}

#[test]
fn debians_bind_is_asked_over_tls_and_https() {
    let directory = tempfile::tempdir().unwrap();
    let host = Host::start("resolver", directory.path().to_owned()).unwrap();
    let place = directory.path().to_str().unwrap();
    std::fs::write(directory.path().join("certify.py"), CERTIFY).unwrap();
    host.run(&["sh", "-c", SERVE, "sh", place]).unwrap();

    for upstream in ["tls://127.0.0.2#resolver.example", "https://127.0.0.2/dns-query"] {
        story(&host, place, upstream).unwrap();
    }
}
