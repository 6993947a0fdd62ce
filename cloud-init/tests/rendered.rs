//! What is rendered, byte for byte, and what the programs say that will read it.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::fs;
use std::io::{ErrorKind, Write as _};
use std::process::{Command, Stdio};

use cloud_init::{Dns, MAX_USER_DATA_BYTES, RenderError, Server, user_data, wireguard_config};
use contract::{Name, Pool6, PrivateKey};

#[test]
fn user_data_of_a_plain_peer() {
    insta::assert_snapshot!(*plain());
}

#[test]
fn user_data_with_the_gateways_own_names_and_prefix() {
    let rendered = with_server(|server| {
        let pool6 = "2001:db8:64::/56".parse().unwrap();
        user_data(&Server { dns: Dns::Gateway, pool6: &pool6, ..server.clone() }).unwrap().to_string()
    });

    let conf = rendered.split_once("cat >/etc/hetznat/conf").unwrap().1.split_once("\nEND\n").unwrap().0;
    insta::assert_snapshot!(conf);
}

#[test]
fn wireguard_configuration() {
    insta::assert_snapshot!(with_server(wireguard_config));
}

#[test]
fn the_same_server_renders_to_the_same_bytes() {
    assert_eq!(plain(), plain());
}

#[test]
fn another_key_is_another_installation() {
    let id = |rendered: &str| rendered.lines().find(|line| line.starts_with("ID=")).unwrap().to_owned();
    let other = with_server(|server| {
        let private_key = PrivateKey::from_random([8; 32]);
        user_data(&Server { private_key: &private_key, ..server.clone() }).unwrap()
    });

    assert_ne!(id(&plain()), id(&other));
}

#[test]
fn user_data_is_small_plain_ascii() {
    let rendered = plain();

    assert!(rendered.len() <= 8 * 1024, "{} bytes", rendered.len());
    assert!(rendered.bytes().all(|byte| byte == b'\n' || (b' '..=b'~').contains(&byte)));
}

#[test]
fn user_data_larger_than_hetzner_takes_is_refused() {
    let outcome =
        with_server(|server| user_data(&Server { gateway_name: &"x".repeat(30_000), ..server.clone() }).err());

    assert!(matches!(outcome, Some(RenderError::TooLarge { bytes }) if bytes > MAX_USER_DATA_BYTES));
}

#[test]
fn public_dns64_is_refused_where_it_would_lead_elsewhere() {
    let error = with_server(|server| {
        let pool6 = "2001:db8:64::/56".parse().unwrap();
        user_data(&Server { pool6: &pool6, ..server.clone() }).unwrap_err()
    });

    insta::assert_snapshot!(error);
}

#[test]
fn a_hostile_gateway_name_stays_in_its_comment() {
    let name = "x\nEND\nrm -rf /\n\u{1b}é";
    let count = |text: &str| text.lines().count();
    let lines = with_server(|server| (count(&user_data(server).unwrap()), count(&wireguard_config(server))));

    let hostile = with_server(|server| {
        let server = Server { gateway_name: name, ..server.clone() };
        (count(&user_data(&server).unwrap()), count(&wireguard_config(&server)))
    });

    assert_eq!(hostile, lines);
}

#[test]
fn pythons_email_parser_finds_one_boothook() {
    let program = "
import email, sys
message = email.message_from_string(sys.stdin.read())
parts = [part for part in message.walk() if not part.is_multipart()]
assert message.get_content_type() == 'multipart/mixed' and not message.defects, message.defects
print([(part.get_content_type(), part.get_filename()) for part in parts])
";

    assert_eq!(run("python3", "python3", &["-c", program], &plain()), "[('text/cloud-boothook', 'hetznat')]\n");
}

#[test]
fn the_shell_accepts_the_script() {
    run("dash", "dash", &["-n"], &script());
    run("shellcheck", "shellcheck", &["--shell=sh", "-"], &script());
}

#[test]
fn the_shell_accepts_the_installed_program() {
    run("dash", "dash", &["-n"], &installed("/usr/local/sbin/hetznat"));
    // The source, not what is installed: the directives for shellcheck are comments.
    run("shellcheck", "shellcheck", &["--shell=sh", "-"], include_str!("../src/server/hetznat.sh"));
}

#[test]
fn python_accepts_the_installed_module() {
    let home = tempfile::tempdir().unwrap();
    let path = home.path().join("wgset.py");
    fs::write(&path, installed("/usr/local/lib/hetznat/wgset.py")).unwrap();

    run("python3", "python3", &["-m", "py_compile", path.to_str().unwrap()], "");
}

#[test]
fn the_file_of_the_key_holds_the_key() {
    assert_eq!(installed("/etc/hetznat/wg.key").trim(), *PrivateKey::from_random([7; 32]).to_base64());
}

/// The content that the script writes to `path`.
fn installed(path: &str) -> String {
    let script = script();
    let (_, rest) = script.split_once(&format!("cat >{path} <<'END'\n")).unwrap();
    rest.split_once("END\n").unwrap().0.to_owned()
}

/// What cloud-init runs: the part's body without the line that makes it a boothook.
fn script() -> String {
    let rendered = plain();
    let (_, rest) = rendered.split_once("#cloud-boothook\n").unwrap();
    rest.split_once("\n--=-hetznat").unwrap().0.to_owned()
}

fn plain() -> String {
    with_server(|server| user_data(server).unwrap().to_string())
}

fn with_server<R>(render: impl FnOnce(&Server<'_>) -> R) -> R {
    let name: Name = "web".parse().unwrap();
    let private_key = PrivateKey::from_random([7; 32]);
    let pool6 = Pool6::default();
    render(&Server {
        name: &name,
        gateway_name: "home",
        private_key: &private_key,
        ipv4: "198.18.0.7".parse().unwrap(),
        gateway_public_key: "QJz8uFbMDdOTpLtzGDc0Ij2dQLwHYbMrwCy6oXDbO3Q=".parse().unwrap(),
        pool6: &pool6,
        address6: "fd64:ff9b::1".parse().unwrap(),
        address4: "198.18.0.1".parse().unwrap(),
        dns: Dns::Public,
    })
}

/// The program's standard output; panics if it is missing or fails.
fn run(program: &str, debian_package: &str, arguments: &[&str], input: &str) -> String {
    let spawned = Command::new(program).args(arguments).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn();
    let mut child = match spawned {
        Err(error) if error.kind() == ErrorKind::NotFound => {
            panic!("{program} is missing: install the Debian package {debian_package}")
        }
        spawned => spawned.unwrap(),
    };
    child.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(output.status.success(), "{program}: {text}");
    text
}
