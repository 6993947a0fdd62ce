//! What servers of a group are given: the same bytes for all, of which each makes what its gateway makes of it.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::fs;
use std::path::Path;
use std::process::Command;

use cloud_init::{Dns, Members, member_user_data};
use contract::{GroupSecret, MemberAddresses, Name, Pool6, PrivateKey};

/// What the gateway makes of a secret and an instance id.
const VECTORS: &str = include_str!("../../translator/contract/tests/group-vectors.txt");
const SECRET: &str = "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=";

fn rendered(secret: &str, prefix: &str) -> String {
    let (group, secret): (Name, GroupSecret) = ("workers".parse().unwrap(), secret.parse().unwrap());
    let members = Members {
        group: &group,
        gateway_name: "home",
        secret: &secret,
        addresses: MemberAddresses::of(prefix.parse().unwrap()),
        gateway_public_key: PrivateKey::from_random([9; 32]).public_key(),
        pool6: &Pool6::default(),
        address6: "fd64:ff9b::1".parse().unwrap(),
        dns: Dns::Public,
    };
    member_user_data(&members).unwrap().to_string()
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

#[test]
fn a_member_makes_the_key_and_the_address_that_its_gateway_makes_for_it() {
    for line in VECTORS.lines().filter(|line| !line.starts_with('#')) {
        let [secret, prefix, instance, key, address] = line.split(' ').collect::<Vec<_>>()[..] else {
            panic!("{line}")
        };

        let boothook = boothook(&rendered(secret, prefix), instance);

        assert!(boothook.contains(&format!("\n{key}\n")), "{line}");
        assert!(boothook.contains(&format!("\nIPV4={address}\n")), "{line}");
        assert!(!["@key@", "@ipv4@", "@instance@"].iter().any(|mark| boothook.contains(mark)), "{boothook}");
    }
}

#[test]
fn the_user_data_is_one_for_all_and_every_instance_is_installed_anew() {
    let user_data = rendered(SECRET, "198.18.0.0/16");
    let id = |instance: &str| {
        boothook(&user_data, instance).lines().find(|line| line.starts_with("ID=")).unwrap().to_owned()
    };

    assert_eq!(user_data, rendered(SECRET, "198.18.0.0/16"));
    assert_eq!(id("41"), id("41"));
    assert_ne!(id("41"), id("42"), "a server made of the snapshot of another one");
}

#[test]
fn the_shell_accepts_what_a_member_runs() {
    let user_data = rendered(SECRET, "198.18.0.0/16");
    let script = user_data.split_once("#cloud-boothook\n").unwrap().1.rsplit_once("\n--").unwrap().0;

    accepted_by_the_shell(script);
    accepted_by_the_shell(&format!("#!/bin/sh\n{}", boothook(&user_data, "41")));
}

#[test]
fn the_user_data_is_small_plain_ascii() {
    let user_data = rendered(SECRET, "198.18.0.0/16");

    assert!(user_data.len() <= 10 * 1024, "{} bytes", user_data.len());
    assert!(user_data.bytes().all(|byte| byte == b'\n' || (b' '..=b'~').contains(&byte)));
}
