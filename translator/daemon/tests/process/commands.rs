//! Commands and errors that need neither root nor a network.

use std::io::Write as _;
use std::os::unix::fs::PermissionsExt;
use std::process::{Command, Stdio};

use contract::{Document, PrivateKey};

use crate::state::{State, document, edited, gateway_key};
use crate::translator::{BINARY, finish, run_arguments};

fn translator(arguments: &[&str]) -> (Option<i32>, String, String) {
    finish(Command::new(BINARY).args(arguments))
}

/// Feeds `input` to `pubkey`.
fn pubkey(input: &str) -> (Option<i32>, String, String) {
    let mut command = Command::new(BINARY);
    let mut child =
        command.arg("pubkey").stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    child.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    (output.status.code(), text(output.stdout), text(output.stderr))
}

#[test]
fn keygen_and_pubkey_work_as_wg_does() {
    let (code, private_key, _) = translator(&["keygen"]);
    assert_eq!(code, Some(0));
    let key: PrivateKey = private_key.trim_end().parse().unwrap();

    let (code, public_key, _) = pubkey(&private_key);

    assert_eq!((code, public_key), (Some(0), format!("{}\n", key.public_key())));
    assert_ne!(translator(&["keygen"]).1, private_key);
}

#[test]
fn keygen_to_a_file_shows_the_public_half_only() {
    let state = State::new();
    let path = state.directory().join("private.key");
    let path = path.to_str().unwrap();

    let (code, public_key, _) = translator(&["keygen", "--out", path]);

    assert_eq!(code, Some(0));
    assert_eq!(translator(&["pubkey", path]).1, public_key);
    assert_eq!(std::fs::metadata(path).unwrap().permissions().mode() & 0o777, 0o600);
    let before = std::fs::read(path).unwrap();
    assert_eq!(translator(&["keygen", "--out", path]).0, Some(71));
    assert_eq!(std::fs::read(path).unwrap(), before);
}

#[test]
fn check_shows_a_document_and_no_secret() {
    let state = State::new();

    let (code, page, _) = translator(&["check", "--state", state.path().to_str().unwrap(), "--gateway", "home"]);

    assert_eq!(code, Some(0));
    assert!(page.contains("web: 2001:db8:1:2::/64"), "{page}");
    assert!(!page.contains(gateway_key().to_base64().as_str()));
}

#[test]
fn help_and_version_are_no_errors() {
    assert_eq!(translator(&["--version"]).0, Some(0));
    let (code, help, _) = translator(&["run", "--help"]);
    assert_eq!(code, Some(0));
    assert!(help.contains("77  the capability CAP_NET_ADMIN is missing"), "{help}");
}

#[test]
fn a_reader_that_has_seen_enough_is_no_error() {
    let mut child = Command::new(BINARY).args(["run", "--help"]).stdout(Stdio::piped()).spawn().unwrap();
    drop(child.stdout.take());

    assert!(child.wait().unwrap().success());
}

/// Every error that can be had without root: what was typed, the exit code, the line.
#[test]
fn errors_are_one_line_that_says_what_to_do() {
    let state = State::new();
    let file = |name: &str| state.directory().join(name).to_str().unwrap().to_owned();
    let write = |name: &str, text: &str| {
        std::fs::write(file(name), text).unwrap();
        std::fs::set_permissions(file(name), PermissionsExt::from_mode(0o600)).unwrap();
    };
    let zeros = format!("{}=", "A".repeat(43));
    write("newer.json", &document().render().replace("\"format\": 1", "\"format\": 4"));
    write("half.json", document().render().get(..200).unwrap());
    write("empty.json", "");
    write("binary.json", "\u{0}\u{1}\n\n\u{1b}[2J");
    write("no-gateway.json", &Document::default().render());
    write("no-key.json", &edited(|gateway| gateway.private_key = None).render());
    write("bad-peer.json", &document().render().replace("2001:db8:1:2::/64", "2001:db8:1::/48"));
    write("other.key", &PrivateKey::from_random([9; 32]).to_base64());
    write("bad.key", "not a key\n");
    write("zero.key", &zeros);
    std::fs::create_dir(file("directory.json")).unwrap();

    let mut report = String::new();
    let mut check = |line: &str| {
        let arguments: Vec<String> = line.split_whitespace().map(|word| word.replace("@", &file(""))).collect();
        let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
        let (code, stdout, stderr) = translator(&arguments);
        assert_eq!((stdout.as_str(), stderr.matches('\n').count()), ("", 1), "{line}: {stderr}");
        report += &format!("$ {line}\n{} {}", code.unwrap(), state.redact(&stderr).replace("[DIR]/", "@"));
    };
    check("run --state @state.json --gateway home --frobnicate");
    for name in ["newer", "half", "empty", "binary", "bad-peer", "missing", "directory"] {
        check(&format!("check --state @{name}.json"));
    }
    check("check --state @state.json --gateway office");
    check("run --state @newer.json --gateway home");
    check("run --state @missing.json --gateway home");
    check("run --state @no-gateway.json --gateway home");
    check("run --state @state.json --gateway office");
    check("run --state @no-key.json --gateway home");
    for name in ["other", "bad", "zero", "missing"] {
        check(&format!("run --state @state.json --gateway home --private-key @{name}.key"));
    }
    check("pubkey @bad.key");
    check("pubkey @missing.key");
    check("keygen --out @other.key");
    check("keygen --out @missing/directory.key");
    check("status --control @control.sock");
    check("status --control @state.json");

    insta::assert_snapshot!(report);
}

#[test]
fn a_bad_log_level_is_a_usage_error() {
    let state = State::new();

    let mut command = Command::new(BINARY);
    let output = command.args(run_arguments(&state)).env("HETZNAT_LOG", "=loud=").output().unwrap();

    assert_eq!(output.status.code(), Some(64));
    let stderr = String::from_utf8(output.stderr).unwrap();
    assert!(stderr.starts_with("error: HETZNAT_LOG: ") && stderr.matches('\n').count() == 1, "{stderr}");
}

#[test]
fn the_environment_stands_in_for_options() {
    let state = State::new();
    let mut command = Command::new(BINARY);

    let (code, page, stderr) = finish(command.arg("check").env("HETZNAT_STATE", state.path()));

    assert_eq!(code, Some(0), "{stderr}");
    assert!(page.contains("serial 42"));
}
