//! The systemd unit: it stays as hardened as it says.

use std::process::Command;

#[test]
fn the_unit_s_exposure_is_low() {
    let unit = concat!(env!("CARGO_MANIFEST_DIR"), "/systemd/hetznat-translator.service");
    let mut command = Command::new("systemd-analyze");
    command.args(["security", "--offline=true", "--no-pager", "--threshold=25", unit]);
    let output = command.output().expect("systemd-analyze is missing: apt-get install systemd");

    // The threshold is in tenths, and decides the exit code.
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stdout));
}
