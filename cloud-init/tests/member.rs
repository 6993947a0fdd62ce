//! What servers of a group are given: the same bytes for all, of which each makes what its gateway makes of it.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::fs;
use std::io::Write as _;
use std::path::Path;
use std::process::{Command, Stdio};

use cloud_init::{Dns, FirstBoot, Format, Members, RenderError, check_members, member_user_data};
use contract::{GroupSecret, MemberAddresses, Name, Pool6, PrivateKey};

/// What the gateway makes of a secret and an instance id.
const VECTORS: &str = include_str!("../../translator/contract/tests/group-vectors.txt");
const SECRET: &str = "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=";

fn rendered(secret: &str, prefix: &str, boot: &FirstBoot<'_>) -> Result<String, RenderError> {
    let (group, secret): (Name, GroupSecret) = ("workers".parse().unwrap(), secret.parse().unwrap());
    let members = Members {
        group: &group,
        gateway_name: "home",
        secret: &secret,
        addresses: MemberAddresses::of(prefix.parse().unwrap()),
        gateway_public_key: PrivateKey::from_random([9; 32]).public_key(),
        pool6: &Pool6::default(),
        address6: "fd64:ff9b::1".parse().unwrap(),
        address4: "198.18.0.1".parse().unwrap(),
        dns: Dns::Public,
    };
    member_user_data(&members, boot).map(|user_data| user_data.to_string())
}

/// The MIME message of a group without anything of the user's.
fn message(secret: &str, prefix: &str, format: Format) -> String {
    let rendered = rendered(secret, prefix, &FirstBoot { format, ..FirstBoot::default() }).unwrap();
    match format {
        Format::V1 => rendered,
        Format::V2 => opened(&rendered),
    }
}

fn opened(rendered: &str) -> String {
    let program =
        "import base64, gzip, sys; sys.stdout.buffer.write(gzip.decompress(base64.b64decode(sys.stdin.read())))";
    let mut python = Command::new("python3");
    let mut python = python.args(["-c", program]).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    python.stdin.take().unwrap().write_all(rendered.as_bytes()).unwrap();
    String::from_utf8(python.wait_with_output().unwrap().stdout).unwrap()
}

/// The file that the boothook writes to `path`.
fn file(user_data: &str, path: &str) -> String {
    let (_, rest) = user_data.split_once(&format!("cat >{path} <<'END-OF-MEMBER'\n")).unwrap();
    rest.split_once("\nEND-OF-MEMBER\n").unwrap().0.to_owned() + "\n"
}

/// What a server with this instance id runs: the boothook of a peer.
fn boothook(user_data: &str, instance: &str) -> String {
    let home = tempfile::tempdir().unwrap();
    let write = |name: &str, path: &str| fs::write(home.path().join(name), file(user_data, path)).unwrap();
    write("group.secret", "/etc/hetznat/group.secret");
    write("member.py", "/etc/hetznat/member.py");
    write("boothook", "/etc/hetznat/member.boothook");
    let (_, call) = user_data.rsplit_once("/etc/hetznat/group.secret ").unwrap();
    let words: Vec<&str> = call.split_whitespace().take(2).collect();
    let output = Command::new("python3")
        .args(["-I", "member.py", "group.secret", words[0], words[1], "boothook", instance])
        .current_dir(home.path())
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

fn accepted_by_the_shell(script: &str) {
    let home = tempfile::tempdir().unwrap();
    let path: &Path = &home.path().join("script");
    fs::write(path, script).unwrap();
    for (program, options) in [("dash", &["-n"][..]), ("shellcheck", &["--shell=sh"])] {
        let output = Command::new(program).args(options).arg(path).output();
        let output = output.unwrap_or_else(|error| panic!("{program} is missing (apt-get install {program}): {error}"));
        assert!(output.status.success(), "{program}: {}", String::from_utf8_lossy(&output.stdout));
    }
}

/// Released formats never change: these are what the servers of a group were created with.
#[test]
fn user_data_of_a_group() {
    for format in Format::ALL {
        insta::assert_snapshot!(
            format!("user_data_of_a_group_in_format_{}", format.number()),
            message(SECRET, "198.18.0.0/16", format)
        );
    }
}

#[test]
fn a_member_makes_the_key_and_the_address_that_its_gateway_makes_for_it() {
    for line in VECTORS.lines().filter(|line| !line.starts_with('#')) {
        let [secret, prefix, instance, key, address] = line.split(' ').collect::<Vec<_>>()[..] else {
            panic!("{line}")
        };
        for format in Format::ALL {
            let boothook = boothook(&message(secret, prefix, format), instance);

            assert!(boothook.contains(&format!("\n{key}\n")), "{line}");
            assert!(boothook.contains(&format!("\nIPV4={address}\n")), "{line}");
            assert!(!["@key@", "@ipv4@", "@instance@"].iter().any(|mark| boothook.contains(mark)), "{boothook}");
        }
    }
}

#[test]
fn the_user_data_is_one_for_all_and_every_instance_is_installed_anew() {
    let user_data = message(SECRET, "198.18.0.0/16", Format::V2);
    let id = |instance: &str| {
        boothook(&user_data, instance).lines().find(|line| line.starts_with("ID=")).unwrap().to_owned()
    };

    assert_eq!(user_data, message(SECRET, "198.18.0.0/16", Format::V2));
    assert_eq!(id("41"), id("41"));
    assert_ne!(id("41"), id("42"), "a server made of the snapshot of another one");
}

#[test]
fn the_shell_accepts_what_a_member_runs() {
    for format in Format::ALL {
        let user_data = message(SECRET, "198.18.0.0/16", format);
        let script = user_data.split_once("#cloud-boothook\n").unwrap().1.rsplit_once("\n--").unwrap().0;

        accepted_by_the_shell(script);
        accepted_by_the_shell(&format!("#!/bin/sh\n{}", boothook(&user_data, "41")));
    }
}

#[test]
fn the_user_data_is_small_plain_ascii() {
    for format in Format::ALL {
        let user_data = rendered(SECRET, "198.18.0.0/16", &FirstBoot { format, ..FirstBoot::default() }).unwrap();

        eprintln!("user data of a plain group, render format {}: {} bytes", format.number(), user_data.len());
        assert!(user_data.len() <= 10 * 1024, "{} bytes", user_data.len());
        assert!(user_data.bytes().all(|byte| byte == b'\n' || (b' '..=b'~').contains(&byte)));
    }
}

#[test]
fn a_group_has_what_a_peer_has() {
    let boot = FirstBoot {
        extra: Some("#cloud-config\npackages: [nginx]\n"),
        metadata_guard: true,
        docker: true,
        ..FirstBoot::default()
    };

    let message = opened(&rendered(SECRET, "198.18.0.0/16", &boot).unwrap());

    assert!(message.contains("\nGUARD='yes'\nDOCKER='\"1.1.1.1\",\"8.8.8.8\"'\n"), "{message}");
    assert!(message.contains("\nContent-Type: text/plain") && message.contains("\npackages: [nginx]\n"), "{message}");
    let first = FirstBoot { format: Format::V1, ..boot };
    assert!(matches!(
        rendered(SECRET, "198.18.0.0/16", &first).unwrap_err(),
        RenderError::NeedsNewerFormat { attribute: "extra_user_data" }
    ));
}

#[test]
fn what_is_too_large_for_a_group_is_refused_before_there_is_one() {
    let mut state = 7_u64;
    let mut letter = || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        char::from(b'!' + u8::try_from((state >> 33) % 94).unwrap())
    };
    let noise: String = (0..30_000).map(|_| letter()).collect();
    let (large, small) = (format!("#!/bin/sh\n{noise}"), format!("#!/bin/sh\n{}", &noise[..15_000]));
    let boot = |extra| FirstBoot { extra: Some(extra), ..FirstBoot::default() };

    assert!(matches!(check_members(&boot(&large)), Err(RenderError::TooLarge { .. })));
    assert_eq!(check_members(&boot(&small)), Ok(()));
    assert!(rendered(SECRET, "198.18.0.0/16", &boot(&small)).is_ok());
}
