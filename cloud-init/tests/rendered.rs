//! What is rendered, byte for byte, and what the programs say that will read it.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::fs;
use std::io::{ErrorKind, Write as _};
use std::process::{Command, Stdio};

use cloud_init::{
    Dns, ExtraError, FirstBoot, Format, MAX_USER_DATA_BYTES, RenderError, Server, check, user_data, wireguard_config,
};
use contract::{Name, Pool6, PrivateKey};

/// Released formats never change: these files are what servers were created with.
#[test]
fn user_data_of_a_plain_peer() {
    insta::assert_snapshot!(plain(Format::V1));
}

#[test]
fn user_data_of_a_plain_peer_in_format_2() {
    insta::assert_snapshot!(plain(Format::V2));
}

#[test]
fn the_bytes_of_format_2_are_compressed_always_in_the_same_way() {
    insta::assert_snapshot!(with_server(|server| user_data(server, &FirstBoot::default()).unwrap().to_string()));
}

#[test]
fn user_data_with_the_users_own() {
    let extra = Some("#cloud-config\npackages: [nginx]\n");

    let message = with_extra(extra);

    let (ours, users) = message.split_once("\nexit 0\n").unwrap();
    assert!(plain(Format::V2).starts_with(ours));
    insta::assert_snapshot!(users);
}

#[test]
fn user_data_with_the_gateways_own_names_and_prefix() {
    let rendered = with_server(|server| {
        let pool6 = "2001:db8:64::/56".parse().unwrap();
        let server = Server { dns: Dns::Gateway, pool6: &pool6, ..server.clone() };
        message(&user_data(&server, &FirstBoot::default()).unwrap())
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
    assert_eq!(Format::ALL.map(plain), Format::ALL.map(plain));
}

#[test]
fn another_key_is_another_installation() {
    let id = |rendered: &str| rendered.lines().find(|line| line.starts_with("ID=")).unwrap().to_owned();
    let other = with_server(|server| {
        let private_key = PrivateKey::from_random([8; 32]);
        message(&user_data(&Server { private_key: &private_key, ..server.clone() }, &FirstBoot::default()).unwrap())
    });

    assert_ne!(id(&plain(Format::V2)), id(&other));
}

#[test]
fn user_data_of_a_plain_peer_is_small_and_ascii() {
    for format in Format::ALL {
        let rendered = with_server(|server| user_data(server, &FirstBoot { format, ..FirstBoot::default() }).unwrap());

        eprintln!("user data of a plain peer, render format {}: {} bytes", format.number(), rendered.len());
        assert!(rendered.len() <= 8 * 1024, "{} bytes", rendered.len());
        assert!(rendered.bytes().all(|byte| byte == b'\n' || (b' '..=b'~').contains(&byte)));
    }
}

#[test]
fn user_data_larger_than_hetzner_takes_is_refused_with_figures() {
    let error = render_error(&format!("#!/bin/sh\n{}", noise(40_000)));

    assert!(matches!(error, RenderError::TooLarge { bytes, .. } if bytes > MAX_USER_DATA_BYTES));
    insta::assert_snapshot!(error);
}

#[test]
fn what_passes_the_check_fits_for_every_server() {
    let name = "q7x".repeat(21);
    // Close to the limit from below.
    let lengths = (22_000..27_000).rev().step_by(80);
    let texts = lengths.map(|length| format!("#!/bin/sh\n{}", noise(length)));
    let extra = texts.into_iter().find(|text| check(&boot(text)).is_ok()).unwrap();

    let rendered = with_server(|server| {
        let server = Server { gateway_name: &name, ipv4: "198.18.251.249".parse().unwrap(), ..server.clone() };
        user_data(&server, &boot(&extra)).unwrap()
    });

    assert!((32_300..=MAX_USER_DATA_BYTES).contains(&rendered.len()), "{} bytes", rendered.len());
}

#[test]
fn a_user_s_own_user_data_that_cloud_init_would_ignore_is_refused() {
    let refused =
        ["cloud-config\npackages: []\n", "aGVsbG8gd29ybGQ=", "#cloud config", "#upstart-job\n", "H4sIAAAAAAAA/w=="];

    let errors: Vec<_> = refused.iter().map(|text| render_error(text).to_string()).collect();

    insta::assert_snapshot!(errors.join("\n"));
}

#[test]
fn gzip_that_unpacks_to_a_mountain_is_refused() {
    let program = "import base64, gzip; print(base64.b64encode(gzip.compress(b'#!' + bytes(1 << 21))).decode())";
    let bomb = run("python3", "python3", &["-c", program], "");

    assert_eq!(render_error(&bomb), RenderError::Extra(ExtraError::Unpacked));
}

#[test]
fn nothing_in_the_users_own_is_the_same_as_none() {
    for nothing in ["", "  \n", "\u{feff}"] {
        assert_eq!(with_extra(Some(nothing)), plain(Format::V2));
    }
}

#[test]
fn a_boundary_in_the_users_own_is_not_ours() {
    let message = with_extra(Some("#!/bin/sh\ncat <<X\n--=-hetznat-2-=--\nX\n"));

    let parts = message.matches("\n--=-hetznat-2-==").count();
    assert_eq!(parts, 3, "one before each part, and the end\n{message}");
}

#[test]
fn what_the_first_format_cannot_do_is_refused() {
    let v1 = FirstBoot { format: Format::V1, ..FirstBoot::default() };
    let asked = [
        FirstBoot { extra: Some("#!/bin/sh\n"), ..v1 },
        FirstBoot { metadata_guard: true, ..v1 },
        FirstBoot { docker: true, ..v1 },
    ];

    let errors = asked.map(|boot| with_server(|server| user_data(server, &boot).unwrap_err()).to_string());

    insta::assert_snapshot!(errors.join("\n"));
}

#[test]
fn what_is_asked_of_the_first_boot_is_in_its_configuration() {
    let boot = FirstBoot { metadata_guard: true, docker: true, ..FirstBoot::default() };
    let conf = |dns| {
        let rendered = with_server(|server| message(&user_data(&Server { dns, ..server.clone() }, &boot).unwrap()));
        rendered
            .lines()
            .filter(|line| line.starts_with("GUARD=") || line.starts_with("DOCKER="))
            .collect::<Vec<_>>()
            .join("\n")
    };

    assert_eq!(conf(Dns::Public), "GUARD='yes'\nDOCKER='\"1.1.1.1\",\"8.8.8.8\"'");
    assert_eq!(conf(Dns::Gateway), "GUARD='yes'\nDOCKER='\"198.18.0.1\"'");
}

#[test]
fn public_dns64_is_refused_where_it_would_lead_elsewhere() {
    let error = with_server(|server| {
        let pool6 = "2001:db8:64::/56".parse().unwrap();
        user_data(&Server { pool6: &pool6, ..server.clone() }, &FirstBoot::default()).unwrap_err()
    });

    insta::assert_snapshot!(error);
}

#[test]
fn a_hostile_gateway_name_stays_in_its_comment() {
    let name = "x\nEND\nrm -rf /\n\u{1b}é";
    let count = |server: &Server<'_>| {
        let rendered = user_data(server, &FirstBoot::default()).unwrap();
        (message(&rendered).lines().count(), wireguard_config(server).lines().count())
    };
    let lines = with_server(count);

    let hostile = with_server(|server| count(&Server { gateway_name: name, ..server.clone() }));

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

    for format in Format::ALL {
        let found = run("python3", "python3", &["-c", program], &plain(format));
        assert_eq!(found, "[('text/cloud-boothook', 'hetznat')]\n");
    }
}

#[test]
fn the_shell_accepts_the_script() {
    for format in Format::ALL {
        run("dash", "dash", &["-n"], &script(format));
        run("shellcheck", "shellcheck", &["--shell=sh", "-"], &script(format));
    }
}

#[test]
fn the_shell_accepts_the_installed_program() {
    run("dash", "dash", &["-n"], &installed("/usr/local/sbin/hetznat"));
    // The source, not what is installed: the directives for shellcheck are comments.
    run("shellcheck", "shellcheck", &["--shell=sh", "-"], include_str!("../src/server/2/hetznat.sh"));
}

#[test]
fn python_accepts_the_installed_modules() {
    let home = tempfile::tempdir().unwrap();
    for name in ["wg.py", "gateway.py"] {
        let path = home.path().join(name);
        fs::write(&path, installed(&format!("/usr/local/lib/hetznat/{name}"))).unwrap();

        run("python3", "python3", &["-m", "py_compile", path.to_str().unwrap()], "");
    }
}

#[test]
fn the_file_of_the_key_holds_the_key() {
    assert_eq!(installed("/etc/hetznat/wg.key").trim(), *PrivateKey::from_random([7; 32]).to_base64());
}

/// The content that the script writes to `path`.
fn installed(path: &str) -> String {
    let script = script(Format::V2);
    let (_, rest) = script.split_once(&format!("cat >{path} <<'END'\n")).unwrap();
    rest.split_once("END\n").unwrap().0.to_owned()
}

/// What cloud-init runs: the part's body without the line that makes it a boothook.
fn script(format: Format) -> String {
    let rendered = plain(format);
    let (_, rest) = rendered.split_once("#cloud-boothook\n").unwrap();
    rest.split_once("\n--=-hetznat").unwrap().0.to_owned()
}

/// The MIME message of a peer without anything of the user's.
fn plain(format: Format) -> String {
    let rendered =
        with_server(|server| user_data(server, &FirstBoot { format, ..FirstBoot::default() }).unwrap().to_string());
    match format {
        Format::V1 => rendered,
        Format::V2 => message(&rendered),
    }
}

fn with_extra(extra: Option<&str>) -> String {
    with_server(|server| message(&user_data(server, &FirstBoot { extra, ..FirstBoot::default() }).unwrap()))
}

fn boot(extra: &str) -> FirstBoot<'_> {
    FirstBoot { extra: Some(extra), ..FirstBoot::default() }
}

/// What is said at plan, which is what is said when it is rendered.
fn render_error(extra: &str) -> RenderError {
    let error = with_server(|server| user_data(server, &boot(extra)).unwrap_err());
    assert!(check(&boot(extra)).is_err());
    error
}

/// Printable text that does not get smaller by much.
fn noise(length: usize) -> String {
    let mut state = 7_u64;
    let mut letter = || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        char::from(b'!' + u8::try_from((state >> 33) % 94).unwrap())
    };
    (0..length).map(|_| letter()).collect()
}

/// What is in the envelope of a format that has one, by Python: it is what opens it on a server.
fn message(rendered: &str) -> String {
    let program = "
import base64, gzip, sys
sys.stdout.write(gzip.decompress(base64.b64decode(sys.stdin.read(), validate=True)).decode())
";
    run("python3", "python3", &["-c", program], rendered)
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
